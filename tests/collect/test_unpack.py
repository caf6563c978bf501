"""Journal entries unpacked: who may say what, and that one bad block does not hold back the good ones."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.collect.topics import Topics
from headend.config import shipped
from headend.process.belief import Belief
from headend.process.unpack import Unpacked, unpack
from headend.reads import NO_REGISTER, Channel, Quality
from headend.reads.days import seconds
from headend.reads.quality import Flag
from headend.registry.registry import EnrolledChannel
from headend.store.journal import Entry
from headend.vee import load_rule_set

IMPORT, WATER = Channel.parse("1-0:1.8.0"), Channel.parse("8-0:1.0.0")
NOON = seconds(datetime(2026, 1, 5, 12, tzinfo=UTC))
RECEIVED = NOON + 3600 + 7
INSTALLED = NOON - 10 * 3600
DAY_S = 86_400
RESTARTED = "2026-01-05T12:59:00Z"


def channel(
    meter: int, name: str, code: Channel, *, gateway: str | None = None, interval_s: int = 3600
) -> EnrolledChannel:
    return EnrolledChannel(
        meter, name, code, gateway, interval_s, 20_000, 9, "UP", "Europe/Berlin", "residential", INSTALLED, None
    )


ENROLLED = {
    "E-1": {"1-0:1.8.0": channel(1, "E-1", IMPORT), "8-0:1.0.0": channel(1, "E-1", WATER, interval_s=900)},
    "E-2": {"1-0:1.8.0": channel(2, "E-2", IMPORT, gateway="GW-2")},
    "M-1": {"1-0:1.8.0": replace(channel(3, "M-1", IMPORT), polled=True)},
}


#: A register read.
READ = {"meter": "E-2", "channel": "1-0:1.8.0", "at": RESTARTED, "value": 7}


def block(**changes: Any) -> dict[str, Any]:
    usual = {"meter": "E-1", "channel": "1-0:1.8.0", "start": "2026-01-05T12:00:00Z", "interval_s": 3600, "values": [5]}
    return usual | changes


def entry(payload: object, topic: str = "headend/v1/GW-1/reads", offset: int = 1, size: int | None = None) -> Entry:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    gateway = topic.split("/")[2] if topic.count("/") == 3 else ""
    return Entry(offset, RECEIVED * 1_000_000, topic, gateway, raw, len(raw) if size is None else size, b"")


def reads(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"seq": 1, "sent_at": "2026-01-05T13:00:07Z", "blocks": list(blocks)} | more


def done(*entries: Entry) -> Unpacked:
    belief = Belief(ENROLLED, {"GW-R"}, max_bytes=2**20, rules=load_rule_set(shipped("vee.toml")), past_s=1100 * 86_400)
    return unpack(entries, Topics(), belief, {}, {})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"meter": "E-9"}, "meter: found unknown meter 'E-9', expected a meter of the registry"),
        ({"channel": "1-0:2.8.0"}, "channel: found '1-0:2.8.0', expected one that E-1 has: 1-0:1.8.0, 8-0:1.0.0"),
        ({"channel": "01-0:1.8.0"}, "channel: found '01-0:1.8.0', expected one that E-1 has: 1-0:1.8.0, 8-0:1.0.0"),
        (
            {"channel": "1-0:1.8\n.0\0"},
            r"channel: found '1-0:1.8\n.0\x00', expected one that E-1 has: 1-0:1.8.0, 8-0:1.0.0",
        ),
        ({"meter": "E-2"}, "meter: found E-2 from gateway GW-1, expected it from GW-2"),
        ({"interval_s": 900}, "interval_s: found 900, expected 3600 for E-1"),
        ({"start": "2026-01-05T12:00:01Z"}, "start: found 2026-01-05T12:00:01+00:00, expected a multiple of 3600 s"),
        (
            {"start": "2026-01-05T12:00:00.5Z"},
            "start: found 2026-01-05T12:00:00.500000+00:00, expected a multiple of 3600 s",
        ),
        (
            {"start": "2026-01-05T12:00:00+05:30"},
            "start: found 2026-01-05T12:00:00+05:30, expected a multiple of 3600 s",
        ),
        (
            {"start": "2026-01-05T01:00:00Z"},
            "start: found 2026-01-05T01:00:00+00:00, expected no time before E-1 was installed",
        ),
        (
            {"start": "0001-01-01T00:00:00+14:00"},
            "start: found 0001-01-01T00:00:00+14:00, expected no time before E-1 was installed",
        ),
        (
            {"start": "2026-01-05T13:00:00Z"},
            "start: found 2026-01-05T13:00:00+00:00, in the future, expected intervals that have ended",
        ),
        (
            {"values": [5, 6]},
            "start: found 2026-01-05T12:00:00+00:00, in the future, expected intervals that have ended",
        ),
        (
            {"start": "9999-12-31T23:00:00-14:00"},
            "start: found 9999-12-31T23:00:00-14:00, in the future, expected intervals that have ended",
        ),
        ({"quality": [0, 0]}, "quality: found 2 flags, expected one for each of 1 values"),
    ],
)
def test_a_block_that_may_not_say_what_it_says(changes: dict[str, Any], reason: str) -> None:
    found = done(entry(reads(block(start="2026-01-05T11:00:00Z"), block(**changes), block(values=[7]))))
    (rejected,) = found.rejected
    assert (rejected.path, rejected.reason) == ("blocks.1", f"blocks.1.{reason}")
    assert rejected.excerpt.startswith('{"seq": 1')
    # What stands beside it is good.
    (stack,) = found.stacks
    assert stack.values[0, 11:13].tolist() == [5, 7]
    assert stack.present.sum() == 2


@pytest.mark.parametrize(("sooner_s", "good"), [(0, True), (300, True), (301, False)])
def test_an_interval_may_end_a_little_in_the_future(sooner_s: int, good: bool) -> None:
    received_us = (NOON + 3600 - sooner_s) * 1_000_000
    found = done(replace(entry(reads(block())), received_us=received_us))
    assert bool(found.rejected) is not good


def test_a_meter_that_names_its_gateway_is_taken_from_it() -> None:
    found = done(entry(reads(block(meter="E-2")), topic="headend/v1/GW-2/reads"))
    assert found.rejected == []
    assert found.stacks[0].meter.tolist() == [2]


def test_a_run_over_midnight_with_nulls_flags_and_a_register() -> None:
    start = NOON - 11 * 3600
    assert start % DAY_S == 3600
    run = block(start="2026-01-05T03:00:00+01:00", values=[1, None, 3], quality=[0, 1, 4], register=77)
    (stack,) = done(entry(reads(run))).stacks
    assert stack.day.tolist() == [NOON // DAY_S]
    assert stack.values[0, 2:5].tolist() == [1, 0, 3]
    assert stack.quality[0, 1:6].tolist() == [
        Quality.MISSING,
        Quality.RAW,
        Quality.MISSING,
        Quality.RAW,
        Quality.MISSING,
    ]
    assert stack.flags[0, 2:5].tolist() == [0, Flag.POWER_OUTAGE | Flag.LOST, Flag.PARTIAL]
    assert stack.register[0].tolist() == [NO_REGISTER] * 4 + [77] + [NO_REGISTER] * 19


def test_a_register_comes_even_with_a_last_value_that_is_missing() -> None:
    (stack,) = done(entry(reads(block(values=[None], register=0)))).stacks
    assert stack.register[0, 12] == 0
    assert not stack.present.any()


def test_the_same_interval_twice_keeps_its_order() -> None:
    earlier, later = reads(block(values=[5]), block(values=[6])), reads(block(values=[7]))
    stacks = done(entry(earlier), entry(later, offset=2)).stacks
    assert [int(stack.values[0, 12]) for stack in stacks] == [5, 6, 7]


def test_different_interval_lengths_are_different_stacks() -> None:
    quarter = block(channel="8-0:1.0.0", interval_s=900, values=[1, 2, 3, 4])
    stacks = done(entry(reads(block(), quarter))).stacks
    assert sorted((s.interval_s, int(s.values.sum())) for s in stacks) == [(900, 10), (3600, 5)]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (entry(b"not json"), "message: found 'not json', expected JSON ("),
        (entry(b""), "message: found '', expected JSON ("),
        (entry({"seq": 1}), "sent_at: found nothing, expected a value"),
        (entry(reads(block()), size=2**20 + 1), "message: found 1048577 bytes, expected at most 1048576"),
        (entry({"online": "yes"}, topic="headend/v1/GW-1/status"), "online: found 'yes', expected a valid boolean"),
        (
            entry(reads(block()), topic="elsewhere/v1/GW-1/reads"),
            "topic: found 'elsewhere/v1/GW-1/reads', expected headend/v1/",
        ),
    ],
)
def test_a_message_that_cannot_be_used(made: Entry, reason: str) -> None:
    found = done(made, entry(reads(block()), offset=2))
    (rejected,) = found.rejected
    assert rejected.path == ""
    assert rejected.reason.startswith(reason)
    assert "\n" not in rejected.reason
    assert found.stacks[0].present.sum() == 1


def test_an_excerpt_is_for_people_whatever_the_bytes() -> None:
    (rejected,) = done(entry(b"\x00\xff" * 10_000)).rejected
    assert len(rejected.excerpt) <= 300
    assert "\x00" not in rejected.excerpt


def test_events_are_kept_with_their_place() -> None:
    told = [{"kind": "tamper", "at": "2026-01-05T12:30:00Z", "meter": "E-1"}, {"kind": "restart", "at": RESTARTED}]
    found = done(
        entry({"seq": 3, "sent_at": "2026-01-05T13:00:07Z", "events": told}, topic="headend/v1/GW-1/events", offset=9)
    )
    assert (found.stacks, found.rejected) == ([], [])
    assert found.gateways["GW-1"].messages == 1
    assert [(one.entry.offset, one.place, one.event.kind, one.event.meter) for one in found.events] == [
        (9, 0, "tamper", "E-1"),
        (9, 1, "restart", None),
    ]
    (rejected,) = done(entry(b"anything", topic="headend/v1/GW-1/events")).rejected
    assert rejected.reason.startswith("message: found 'anything', expected JSON (")


def told(*meters: str | None) -> dict[str, Any]:
    """Events, one for each meter; None: of the gateway itself."""
    events = [{"kind": "tamper", "at": RESTARTED} | ({} if meter is None else {"meter": meter}) for meter in meters]
    return {"seq": 3, "sent_at": "2026-01-05T13:00:07Z", "events": events}


def test_an_event_of_a_meter_is_taken_from_who_tells_its_reads() -> None:
    found = done(entry(told("E-1", "E-2", "E-9", "M-1", None), topic="headend/v1/GW-1/events"))
    assert [(one.place, one.event.meter) for one in found.events] == [(0, "E-1"), (4, None)]
    assert [(one.path, one.fault, one.reason) for one in found.rejected] == [
        (
            "events.1",
            "another gateway's meter",
            "events.1.meter: found E-2 from gateway GW-1, expected it from GW-2",
        ),
        (
            "events.2",
            "unknown meter",
            "events.2.meter: found unknown meter 'E-9', expected a meter of the registry",
        ),
        (
            "events.3",
            "another gateway's meter",
            "events.3.meter: found M-1 from gateway GW-1, expected it from the Modbus poller",
        ),
    ]
    assert done(entry(told("E-2"), topic="headend/v1/GW-2/events")).rejected == []


def test_the_poller_tells_of_any_meter_there_is() -> None:
    found = done(entry(told("M-1", "E-2", "E-9"), topic="modbus/poller/events"))
    assert [(one.place, one.event.meter) for one in found.events] == [(0, "M-1"), (1, "E-2")]
    assert [(one.path, one.fault) for one in found.rejected] == [("events.2", "unknown meter")]


def telemetry(*items: dict[str, Any]) -> dict[str, Any]:
    return reads(block(), telemetry=[{"at": RESTARTED, **item} for item in items])


def test_telemetry_is_kept_by_moment_teller_meter_and_quantity() -> None:
    at_s = NOON + 59 * 60
    found = done(
        entry(telemetry({"signal_dbm": -71, "battery_v": 3.62}, {"meter": "E-1", "voltage_v": 231.4})),
        entry(telemetry({"meter": "E-1", "voltage_v": 229.9}), offset=2),
        entry(telemetry({"signal_dbm": -80}), topic="headend/v1/GW-2/reads"),
    )
    assert found.rejected == []
    assert found.telemetry == {
        (at_s, "GW-1", "", "signal_dbm"): -71.0,
        (at_s, "GW-1", "", "battery_v"): 3.62,
        (at_s, "GW-1", "E-1", "voltage_v"): 229.9,
        (at_s, "GW-2", "", "signal_dbm"): -80.0,
    }


def test_telemetry_is_believed_like_reads() -> None:
    strange = [
        {"meter": "E-9", "voltage_v": 230},
        {"meter": "E-2", "voltage_v": 230},
        {"meter": "M-1", "voltage_v": 230},
        {"voltage_v": 230, "at": "2026-01-05T13:06:00Z"},
        {"voltage_v": 230, "at": "2020-01-05T13:06:00Z"},
        {"meter": "E-1", "voltage_v": 230, "at": "2026-01-05T01:00:00Z"},
        {"meter": "E-1", "voltage_v": 230, "at": "2026-01-05T13:06:00Z"},
    ]
    found = done(entry(telemetry(*strange, {"battery_v": 3})))
    assert [(one.path, one.fault) for one in found.rejected] == [
        ("telemetry.0", "unknown meter"),
        ("telemetry.1", "another gateway's meter"),
        ("telemetry.2", "another gateway's meter"),
        ("telemetry.3", "in the future"),
        ("telemetry.4", "too old"),
        ("telemetry.5", "before installation"),
        ("telemetry.6", "in the future"),
    ]
    assert found.rejected[1].reason == "telemetry.1.meter: found E-2 from gateway GW-1, expected it from GW-2"
    assert list(found.telemetry.values()) == [3.0]
    assert found.stacks[0].present.sum() == 1


def test_telemetry_that_is_none_is_refused_alone() -> None:
    wrong = [{}, {"voltage_v": "230"}, {"voltage_v": 1e7}, {"at": "yesterday", "voltage_v": 230}]
    found = done(entry(telemetry({"signal_dbm": -70}, *wrong, {"battery_v": 3})))
    assert [(one.path, one.fault) for one in found.rejected] == [
        (f"telemetry.{place}", "not the schema") for place in range(1, 5)
    ]
    assert found.rejected[0].reason.startswith("telemetry.1.message: found {'at': '2026-01-05T12:59:00Z'}, expected at")
    assert sorted(found.telemetry.values()) == [-70.0, 3.0]
    assert found.stacks[0].present.sum() == 1


def test_more_telemetry_than_a_message_may_have_is_left() -> None:
    found = done(entry(reads(block(), telemetry=[{"at": RESTARTED, "voltage_v": 230}] * 10_002)))
    assert [(one.path, one.reason) for one in found.rejected] == [
        ("telemetry.10000", "telemetry.10000.telemetry: found 10002 items, expected at most 10000")
    ]
    assert list(found.telemetry.values()) == [230.0]
    assert found.stacks[0].present.sum() == 1


def test_telemetry_may_come_as_cbor() -> None:
    payload = cbor2.dumps(telemetry({"meter": "E-1", "voltage_v": 231.5}))
    assert list(done(entry(payload)).telemetry.items()) == [((NOON + 3540, "GW-1", "E-1", "voltage_v"), 231.5)]


def test_a_revoked_gateway_is_not_believed() -> None:
    (rejected,) = done(entry(reads(block()), topic="headend/v1/GW-R/reads")).rejected
    assert (rejected.path, rejected.fault) == ("", "revoked gateway")


def test_what_we_read_from_files_and_meters_binds_no_gateway() -> None:
    source = {"name": "e.csv", "sha256": "0" * 64, "format": "csv"}
    codes = [Quality.EDITED, Quality.RAW]
    history = block(meter="E-2", start="2026-01-05T03:00:00Z", values=[4, 5], codes=codes)
    found = done(
        entry(reads(history, source=source), topic="file/e.csv"),
        entry(reads(registers=[READ]), topic="modbus/poller"),
    )
    assert found.rejected == []
    assert found.stacks[0].quality[0, 3:5].tolist() == codes
    assert [(one.channel.meter, one.register, one.serial) for one in found.registers] == [(2, 7, None)]


def test_of_a_meter_that_is_polled_only_the_poller_and_files_tell() -> None:
    polled = {**READ, "meter": "M-1"}
    said = reads(block(meter="M-1"), registers=[polled])
    found = done(entry(said))
    assert [(one.path, one.fault) for one in found.rejected] == [
        ("blocks.0", "another gateway's meter"),
        ("registers.0", "another gateway's meter"),
    ]
    assert found.rejected[0].reason == "blocks.0.meter: found M-1 from gateway GW-1, expected it from the Modbus poller"
    assert (found.stacks, found.registers) == ([], [])
    source = {"name": "m.csv", "sha256": "0" * 64, "format": "csv"}
    found = done(
        entry(reads(registers=[polled]), topic="modbus/poller"),
        entry(reads(block(meter="M-1"), registers=[polled], source=source), topic="file/m.csv"),
    )
    assert found.rejected == []
    assert (len(found.stacks), len(found.registers)) == (1, 2)


def test_a_block_that_is_none_does_not_hold_back_its_neighbours() -> None:
    bad = [block(values=[10**30]), block(channel="x"), {}, block(start="2026-01-05T12:00:00"), 7]
    found = done(entry(reads(*bad, block())))
    assert [(one.path, one.fault) for one in found.rejected] == [
        (f"blocks.{place}", "not the schema") for place in range(5)
    ]
    assert found.rejected[0].reason.startswith("blocks.0.values.0: found 1000000")
    assert found.rejected[2].reason == "blocks.2.meter: found nothing, expected a value"
    assert found.rejected[3].reason.startswith("blocks.3.start: found '2026-01-05T12:00:00', expected a time with Z")
    assert found.stacks[0].present.sum() == 1


def test_a_message_of_bad_blocks_is_not_searched_to_its_end() -> None:
    found = done(entry(reads(*[{}] * 5_000, block())))
    assert len(found.rejected) == 101
    assert found.rejected[100].reason.startswith("blocks.100.block: found 4901 more blocks after 100 bad ones")
    assert found.stacks == []


def test_a_message_of_meters_nobody_knows_is_not_searched_to_its_end() -> None:
    good, strange = block(), block(meter="E-9")
    found = done(entry(reads(good, *[strange] * 300, block(values=[7]), registers=[{**READ, "meter": "E-9"}] * 2)))
    assert [one.path for one in found.rejected] == [f"blocks.{place}" for place in range(1, 102)]
    assert {one.fault for one in found.rejected[:100]} == {"unknown meter"}
    assert (found.rejected[100].fault, found.rejected[100].reason) == (
        "too many bad pieces",
        "blocks.101.piece: found 203 more pieces after 100 bad ones, expected pieces that can be used",
    )
    # What was good before counts.
    assert [int(stack.values[0, 12]) for stack in found.stacks] == [5]


def test_a_hundred_bad_pieces_with_nothing_after_them_are_only_themselves() -> None:
    assert len(done(entry(reads(*[block(meter="E-9")] * 100))).rejected) == 100


@pytest.mark.parametrize(
    ("sent_at", "offset_s"),
    [
        ("2026-01-05T13:00:07Z", 0),
        ("2026-01-05T14:01:07+01:00", 60),
        ("2026-01-05T12:00:07Z", -3600),
        ("9999-12-31T23:59:59Z", 2**31 - 1),
        ("0001-01-01T00:00:00Z", -(2**31 - 1)),
    ],
)
def test_what_gateways_say_of_themselves(sent_at: str, offset_s: int) -> None:
    found = done(
        entry(reads(block(), sent_at=sent_at)),
        entry({"online": False}, topic="headend/v1/GW-1/status", offset=2),
        entry({"online": True}, topic="headend/v1/GW-7/status", offset=3),
    )
    one, seven = found.gateways["GW-1"], found.gateways["GW-7"]
    assert (one.clock_offset_s, one.messages, one.online, one.last_seen_s) == (offset_s, 1, False, RECEIVED)
    # A status may be retained or a last will: it does not say that the gateway was heard.
    assert (seven.clock_offset_s, seven.messages, seven.online, seven.last_seen_s) == (None, 0, True, 0)


def test_who_tells_something_is_there_though_it_has_not_just_connected() -> None:
    late_will = entry({"online": False}, topic="headend/v1/GW-1/status")
    news = done(late_will, entry(reads(block()), offset=2)).gateways["GW-1"]
    assert (news.online, news.connected) == (True, False)
    connected = entry({"online": True, "firmware": "1.2"}, topic="headend/v1/GW-1/status", offset=3)
    news = done(connected, late_will).gateways["GW-1"]
    assert (news.online, news.connected, news.firmware) == (False, True, "1.2")


RUNS = st.lists(
    st.tuples(st.integers(0, 9), st.lists(st.none() | st.integers(-(2**53), 2**53), min_size=1, max_size=4)),
    min_size=1,
    max_size=8,
)


@given(RUNS)
def test_runs_become_the_reads_they_are(runs: list[tuple[int, list[int | None]]]) -> None:
    blocks = [
        block(start=datetime.fromtimestamp(NOON - (9 - at) * 3600, tz=UTC).isoformat(), values=values[: 10 - at])
        for at, values in runs
    ]
    expected: list[dict[int, int | None]] = []
    for made in blocks:
        first = datetime.fromisoformat(made["start"]).hour
        for hour, value in enumerate(made["values"], first):
            stack = next((s for s in expected if hour not in s), None)
            if stack is None:
                expected.append(stack := {})
            stack[hour] = value
    found = done(entry(reads(*blocks)))
    assert found.rejected == []
    assert len(found.stacks) == len(expected)
    for stack, model in zip(found.stacks, expected, strict=True):
        present = {hour: value for hour, value in model.items() if value is not None}
        assert {h: int(stack.values[0, h]) for h in np.flatnonzero(stack.present[0]).tolist()} == present
