"""Whose reads they are, and the messages they become."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from headend.collect.files.match import read_names
from headend.collect.files.message import read_file_message
from headend.collect.files.prepare import Prepared, parse, prepare
from headend.errors import InvalidInput, InvalidMessage
from headend.reads.quality import Quality
from tests.collect.files.samples import DATA

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
KNOWN = {("E-1", "1-0:1.8.0"), ("E-1", "1-0:2.8.0"), ("E-2", "1-0:1.8.0"), ("METSER123", "1-0:1.8.0")}


def prepared(name: str, *names: str, skip_unknown: bool = False) -> Prepared:
    payload = (DATA / name).read_bytes()
    return prepare(name, payload, KNOWN, names=read_names(names), skip_unknown=skip_unknown)


def refused(name: str, *names: str) -> str:
    with pytest.raises(InvalidInput) as refusal:
        prepared(name, *names)
    return str(refusal.value)


def keys(of: Prepared) -> list[tuple[str, str]]:
    return [key for key, _ in of.matched.series]


QUALITY = "Example_NEM12_multiple_quality.csv"
SOLAR = "Example_NEM12_month_solar.csv"
VOLTS = "Example_NEM12_different_interval_length.csv"


def test_the_first_name_the_registry_knows_counts():
    assert keys(prepared(QUALITY)) == [("METSER123", "1-0:1.8.0")]  # by its serial number
    assert keys(prepared(QUALITY, "CCCC123456=E-2")) == [("E-2", "1-0:1.8.0")]
    assert keys(prepared(QUALITY, "METSER123=E-2")) == [("E-2", "1-0:1.8.0")]


def test_a_channel_is_named_with_its_meter():
    assert keys(prepared(SOLAR, "NMI1234567=E-1")) == [("E-1", "1-0:2.8.0"), ("E-1", "1-0:1.8.0")]
    names = ("NMI1234567:B1=E-2/1-0:1.8.0", "NMI1234567:E1=E-1/1-0:1.8.0")
    assert keys(prepared(SOLAR, *names)) == [("E-2", "1-0:1.8.0"), ("E-1", "1-0:1.8.0")]


def test_what_is_unknown_refuses_the_file_and_is_named():
    assert "line 2: found unknown meter 'NMI1234567', channel 'B1', expected a meter of the registry" in refused(SOLAR)
    assert "line 2: found unknown channel 'NMI1234567', channel 'B1' (1-0:2.8.0), expected one that E-2 has: " in (
        refused(SOLAR, "NMI1234567=E-2")
    )
    assert "(named E-9)" in refused(SOLAR, "NMI1234567=E-9")


def test_what_is_unknown_can_be_left_out():
    some = prepared(SOLAR, "NMI1234567=E-2", skip_unknown=True)
    assert keys(some) == [("E-2", "1-0:1.8.0")]
    assert some.left_out == ["unknown channel 'NMI1234567', channel 'B1' (1-0:2.8.0)"]


def test_two_channels_for_one_of_ours_are_told_apart_or_refused():
    with pytest.raises(InvalidInput, match=r"lines 2 and 4: found 'C123' 'E1' and 'C123' 'E2' for E-1/1-0:1.8.0"):
        prepared(VOLTS, "C123=E-1", skip_unknown=True)
    apart = prepared(VOLTS, "C123=E-1", "C123:E2=E-2", skip_unknown=True)
    assert keys(apart) == [("E-1", "1-0:1.8.0"), ("E-2", "1-0:1.8.0")]
    assert apart.left_out == ["'C123', channel 'V1': its unit '' is none of energy"]
    assert "'VDEF005890' '11' and 'VDEF005890' '41'" in refused("Example_NEM13_forward_estimate.csv", "VDEF005890=E-1")


@pytest.mark.parametrize("option", ["E-1", "=E-1", "NMI=", "NMI=/1-0:1.8.0"])
def test_a_name_says_what_it_is(option: str):
    with pytest.raises(InvalidInput, match=r"expected NMI=E-1 or NMI:E1=E-1/1-0:1.8.0"):
        read_names([option])


def test_messages_carry_every_value_with_its_quality():
    (arrival,) = prepared(QUALITY).arrivals(NOW)
    assert (arrival.topic, arrival.gateway, arrival.size) == (f"file/{QUALITY}", "", len(arrival.payload))
    message = read_file_message(arrival.payload)
    (block,) = message.blocks
    assert (block.meter, block.channel, block.interval_s) == ("METSER123", "1-0:1.8.0", 1800)
    assert block.start == datetime(2004, 4, 16, 14, tzinfo=UTC)
    assert block.values[:2] == [18_023, 19_150]
    assert block.codes == [Quality.EDITED] * 20 + [Quality.RAW] * 4 + [Quality.ESTIMATED_LIKE_DAY] * 24
    assert (message.source.name, message.source.format, len(message.source.sha256)) == (QUALITY, "nem12", 64)


def test_a_long_file_becomes_messages_of_a_few_thousand_values():
    arrivals = prepared(SOLAR, "NMI1234567=E-1").arrivals(NOW)
    messages = [read_file_message(arrival.payload) for arrival in arrivals]
    assert [message.seq for message in messages] == list(range(1, len(messages) + 1))
    assert sum(len(block.values) for message in messages for block in message.blocks) == 2 * 31 * 288
    assert all(sum(len(block.values) for block in message.blocks) <= 4_000 for message in messages)
    assert {block.codes is None for message in messages for block in message.blocks} == {True}


def test_many_short_runs_do_not_make_a_message_too_large():
    rows = "".join(f"E-1,1-0:1.8.0,2026-01-{d:02}T{h:02}:{m:02}:00Z,1,60\n" for d in range(1, 29) for h in range(24)
                   for m in range(0, 60, 2))  # fmt: skip
    file = prepare("x.csv", f"meter,channel,start,value,interval_s\n{rows}".encode(), KNOWN)
    assert max(arrival.size for arrival in file.arrivals(NOW)) < 500_000


def test_missing_values_and_registers_survive_the_journal():
    text = "meter,channel,start,value\nE-1,1-0:1.8.0,2026-01-05T12:00:00Z,\nE-1,1-0:1.8.0,2026-01-05T13:00:00Z,4\n"
    (arrival,) = prepare("a b/ö.csv", text.encode(), KNOWN).arrivals(NOW)
    assert arrival.topic == "file/_.csv"
    assert read_file_message(arrival.payload).blocks[0].values == [None, 4]
    text = "meter,channel,at,register\nE-1,1-0:1.8.0,2026-01-05T12:00:00Z,48\n"
    (arrival,) = prepare("r.csv", text.encode(), KNOWN).arrivals(NOW)
    (register,) = read_file_message(arrival.payload).registers
    assert (register.meter, register.value, register.serial) == ("E-1", 48, None)


def test_a_message_with_codes_for_other_values_is_refused():
    (arrival,) = prepared(QUALITY).arrivals(NOW)
    broken = arrival.payload.replace(b'"codes":[5,', b'"codes":[')
    with pytest.raises(InvalidMessage, match="found 47 codes, expected one for each of 48 values"):
        read_file_message(broken)
    with pytest.raises(InvalidMessage, match="found"):
        read_file_message(b"{}")


def test_formats_are_told_apart_by_content():
    green = (DATA / "test_usage_data_01.xml").read_bytes()
    assert parse("x", green).format == "greenbutton"
    assert parse("x", green.replace(b"UTF-8", b"UTF-16").decode().encode("utf-16")).format == "greenbutton"
    assert parse("x", b"\xef\xbb\xbf" + (DATA / SOLAR).read_bytes()).format == "nem12"
    with pytest.raises(InvalidInput, match="expected the columns"):
        parse("x", (DATA / SOLAR).read_bytes(), form="csv")


def test_flags_of_a_file_are_in_its_messages_as_a_device_tells_them():
    text = "meter,channel,start,value,flags\nE-1,1-0:1.8.0,2026-01-05T12:00:00Z,5,1\n"
    prepared = prepare("x", text.encode(), {("E-1", "1-0:1.8.0")})
    (message,) = prepared.messages(datetime(2026, 1, 6, tzinfo=UTC))
    assert (message.blocks[0].quality, message.blocks[0].codes) == ([1], None)
