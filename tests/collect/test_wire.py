"""The wire, as documented: what decodes, what is refused and in which words."""

from __future__ import annotations

import contextlib
import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headend.collect.wire import (
    QUANTITIES,
    Acknowledgement,
    Topic,
    json_schema,
    read_envelope,
    read_reads,
    read_status,
)
from headend.errors import InvalidMessage
from headend.store.sequence import SequenceWindow

DOCS = Path(__file__).parents[2] / "docs"
AT = "2026-01-05T13:00:00Z"


def message(**changes: Any) -> dict[str, Any]:
    block = {"meter": "E-1", "channel": "1-0:1.8.0", "start": "2026-01-05T12:00:00Z", "interval_s": 3600, "values": [1]}
    whole = {"seq": 1, "sent_at": "2026-01-05T13:00:07Z", "blocks": [block]}
    for key, value in changes.items():
        if key in whole or key in {"epoch", "oldest", "telemetry"}:
            whole[key] = value
        else:
            block[key] = value
    return whole


def encoded(what: object) -> bytes:
    return json.dumps(what).encode()


def test_the_documented_message_decodes() -> None:
    text = (DOCS / "wire-format.md").read_text(encoding="utf-8")
    documented = re.search(r"## Reads\s+```json\n(.*?)```", text, re.DOTALL)
    decoded = read_reads(documented.group(1).encode())
    assert (decoded.seq, decoded.epoch, decoded.oldest) == (1042, None, None)
    assert decoded.sent_at == datetime(2026, 1, 5, 13, 0, 7, tzinfo=UTC)
    (block,) = decoded.blocks
    assert (block.meter, block.channel, block.interval_s) == ("E-10023", "1-0:1.8.0", 3600)
    assert block.start == datetime(2026, 1, 5, 12, tzinfo=UTC)
    assert (block.values, block.quality, block.register_) == ([1240], [0], 48_211_370)


def test_the_documented_acknowledgement_is_what_a_window_says() -> None:
    text = (DOCS / "wire-format.md").read_text(encoding="utf-8")
    documented = json.loads(re.search(r'\{"through".*?\}', text).group())
    window = SequenceWindow(None, 1, 1042, [(1030, 1031)])
    assert window.acknowledgement() == documented
    assert Acknowledgement(**documented).missing == [1030, 1031]


def test_the_documented_telemetry_is_read() -> None:
    text = (DOCS / "wire-format.md").read_text(encoding="utf-8")
    section = text[text.index("## Telemetry") :]
    told = read_reads(re.search(r"```json\n(.*?)```", section, re.DOTALL).group(1).encode()).telemetry
    assert [(one.meter, one.voltage_v, one.signal_dbm, one.battery_v, one.temperature_c) for one in told] == [
        (None, None, -71.0, 3.62, None),
        ("E-10023", 231.4, None, None, None),
    ]
    assert set(re.findall(r"`([a-z]+_(?:v|dbm|c))`", section.partition("\n## ")[0])) == set(QUANTITIES)


def test_the_schema_file_is_the_models() -> None:
    written = json.loads((DOCS / "wire.schema.json").read_text(encoding="utf-8"))
    assert written == json_schema(), (
        "docs/wire.schema.json is not what the models say; write it again: python -c 'import json; "
        "from headend.collect.wire import json_schema; print(json.dumps(json_schema(), indent=2, ensure_ascii=False))'"
        " > docs/wire.schema.json"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"seq": 0},
        {"seq": 2**63 - 1, "epoch": "x" * 32, "oldest": 5},
        {"sent_at": "2026-01-05T14:00:07.123+01:00"},
        {"values": [None, -5, 2**53]},
        {"quality": [31], "register": 0},
        {"quality": None, "register": None},
        {"blocks": []},
        {"meter": "E" * 64},
        {"colour": "a newer gateway says more"},
        {"telemetry": []},
        {"telemetry": [{"at": AT, "signal_dbm": -71}, {"at": AT, "meter": "E-1", "voltage_v": 231.4, "current_a": 5}]},
        {"telemetry": [{"at": AT, "battery_v": 3.61, "temperature_c": -7.5, "voltage_v": None}]},
    ],
)
def test_what_is_allowed(changes: dict[str, Any]) -> None:
    read_reads(encoded(message(**changes)))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"seq": -1}, "seq: found -1, expected greater than or equal to 0"),
        ({"seq": "7"}, "seq: found '7', expected a whole number"),
        ({"seq": 7.5}, "seq: found 7.5, expected a whole number"),
        ({"seq": True}, "seq: found True, expected a whole number"),
        ({"epoch": "x" * 33}, "epoch: found 'xxxxxxxxxx"),
        ({"oldest": -1}, "oldest: found -1, expected greater than"),
        ({"sent_at": "yesterday"}, "sent_at: found 'yesterday', expected "),
        ({"sent_at": "2026-01-05T13:00:07"}, "sent_at: found '2026-01-05T13:00:07', expected "),
        ({"sent_at": 1_767_618_007}, "sent_at: found 1767618007, expected "),
        ({"blocks": None}, "blocks: found None, expected a valid "),
        ({"blocks": [5]}, "blocks.0: found 5, expected "),
        ({"meter": ""}, "blocks.0.meter: found '', expected "),
        ({"meter": "E" * 65}, "blocks.0.meter: found 'EEEE"),
        ({"channel": "1.8.0"}, "blocks.0.channel: found '1.8.0', expected "),
        ({"start": "2026-01-05T12:00:00"}, "blocks.0.start: found '2026-01-05T12:00:00', expected "),
        ({"interval_s": 0}, "blocks.0.interval_s: found 0, expected greater than 0"),
        ({"interval_s": 86_401}, "blocks.0.interval_s: found 86401, expected less than or equal to 86400"),
        ({"values": []}, "blocks.0.values: found [], expected "),
        ({"values": [1.5]}, "blocks.0.values.0: found 1.5, expected a whole number"),
        ({"values": [0, "x"]}, "blocks.0.values.1: found 'x', expected a whole number"),
        ({"values": [2**53 + 1]}, "blocks.0.values.0: found 9007199254740993, expected less than or equal to"),
        ({"values": [10**40]}, "blocks.0.values.0: found 1000"),
        ({"values": [0] * 10_001}, "blocks.0.values: found [0, 0,"),
        ({"quality": [32]}, "blocks.0.quality.0: found 32, expected less than or equal to 31"),
        ({"quality": [None]}, "blocks.0.quality.0: found None, expected a whole number"),
        ({"register": -1}, "blocks.0.register: found -1, expected greater than or equal to 0"),
        (
            {"telemetry": [{"at": AT}]},
            "telemetry.0: found {'at': '2026-01-05T13:00:00Z'}, expected at least one of volt",
        ),
        ({"telemetry": [{"at": AT, "signal_dbm": None}]}, "telemetry.0: found {'at': '2026-01-05T13:00:00Z', 'si"),
        ({"telemetry": [{"voltage_v": 1}]}, "telemetry.0.at: found nothing, expected a value"),
        ({"telemetry": [{"at": AT[:-1], "voltage_v": 1}]}, "telemetry.0.at: found '2026-01-05T13:00:00', expected a"),
        ({"telemetry": [{"at": AT, "voltage_v": "230"}]}, "telemetry.0.voltage_v: found '230', expected a valid"),
        ({"telemetry": [{"at": AT, "voltage_v": True}]}, "telemetry.0.voltage_v: found True, expected a valid"),
        ({"telemetry": [{"at": AT, "voltage_v": -0.1}]}, "telemetry.0.voltage_v: found -0.1, expected greater than"),
        ({"telemetry": [{"at": AT, "signal_dbm": 51}]}, "telemetry.0.signal_dbm: found 51, expected less than"),
        ({"telemetry": [{"at": AT, "battery_v": float("nan")}]}, "telemetry.0.battery_v: found nan, expected a finite"),
        ({"telemetry": [{"at": AT, "battery_v": float("inf")}]}, "telemetry.0.battery_v: found inf, expected a finite"),
        ({"telemetry": [{"at": AT, "temperature_c": -101}]}, "telemetry.0.temperature_c: found -101, expected greater"),
        ({"telemetry": [{"at": AT, "meter": "", "voltage_v": 1}]}, "telemetry.0.meter: found '', expected "),
        ({"telemetry": [{"at": AT, "voltage_v": 1}] * 10_001}, "telemetry: found [{'at': '2026-"),
        ({"register": 2**53 + 1}, "blocks.0.register: found 9007199254740993, expected less"),
    ],
)
def test_what_is_refused_says_where(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        read_reads(encoded(message(**changes)))
    assert str(refused.value).startswith(line), str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("key", ["seq", "sent_at", "blocks"])
def test_what_is_left_out_is_named(key: str) -> None:
    whole = message()
    del whole[key]
    with pytest.raises(InvalidMessage, match=f"^{key}: found nothing, expected a value$"):
        read_reads(encoded(whole))


@pytest.mark.parametrize("key", ["meter", "channel", "start", "interval_s", "values"])
def test_what_a_block_leaves_out_is_named(key: str) -> None:
    whole = message()
    del whole["blocks"][0][key]
    with pytest.raises(InvalidMessage, match=rf"^blocks\.0\.{key}: found nothing, expected a value$"):
        read_reads(encoded(whole))


@pytest.mark.parametrize(
    "payload", [b"", b"null", b"[]", b"{", b"\xff\xfe", b'"seq"', b"NaN", b"\x00", b'{"seq": 1}\x00']
)
def test_what_is_no_message_at_all_is_one_line(payload: bytes) -> None:
    with pytest.raises(InvalidMessage) as refused:
        read_reads(payload)
    assert "\n" not in str(refused.value)
    assert read_envelope(payload) is None


def test_a_message_of_wrong_blocks_costs_no_more_than_a_right_one() -> None:
    payload = b'{"seq":1,"sent_at":"2026-01-05T13:00:07Z","blocks":[' + b",".join([b"{}"] * 340_000) + b"]}"
    assert len(payload) < 2**20
    began = time.process_time()
    with pytest.raises(InvalidMessage, match=r"^blocks\.0\.meter: found nothing"):
        read_reads(payload)
    assert time.process_time() - began < 1


def test_a_message_whose_blocks_are_wrong_is_still_acknowledged() -> None:
    envelope = read_envelope(encoded(message(seq=9, epoch="e", oldest=4, blocks="?")))
    assert (envelope.seq, envelope.epoch, envelope.oldest) == (9, "e", 4)
    assert read_envelope(encoded(message(seq=-9))) is None


def test_status() -> None:
    assert read_status(b'{"online": true, "firmware": "2"}').online is True
    for payload in (b"{}", b'{"online": 1}', b'{"online": "true"}', b""):
        with pytest.raises(InvalidMessage):
            read_status(payload)


@pytest.mark.parametrize("gateway", ["G", "GW-001", "a.b_c-D9", "x" * 64])
def test_our_topics(gateway: str) -> None:
    assert Topic.parse(f"headend/v1/{gateway}/reads") == Topic(gateway, "reads")


@pytest.mark.parametrize(
    "topic",
    ["", "headend/v1/GW", "headend/v1/GW/reads/more", "headend/v2/GW/reads", "other/v1/GW/reads", "headend/v1//reads",
     "headend/v1/" + "x" * 65 + "/reads", "/headend/v1/GW/reads", "headend/v1/G W/reads", "headend/v1/Gü/reads",
     "headend/v1/GW\n/reads", "headend/v1/+/reads", "x" * 10_000],
)  # fmt: skip
def test_topics_that_are_not_ours(topic: str) -> None:
    with pytest.raises(InvalidMessage, match=r"^topic: found ") as refused:
        Topic.parse(topic)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
ODD = JSON | st.integers(2**52, 2**70) | st.datetimes().map(str) | st.sampled_from(["0001-01-01T00:00:00+23:59"])
KEYS = "seq epoch oldest sent_at blocks telemetry meter channel start interval_s values quality register"
NEARLY = st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS.split(), ODD))


@given(st.binary(max_size=200) | JSON.map(encoded) | NEARLY.map(lambda changes: encoded(message(**changes))))
@example(b'{"seq": ' + b"9" * 5_000 + b"}")
@example(b"[" * 5_000)
@example(b'{"seq": 1e400}')
@example(b'"\\ud800"')
def test_nothing_but_invalid_message_ever_escapes(payload: bytes) -> None:
    read_envelope(payload)
    for read in (read_reads, read_status):
        with contextlib.suppress(InvalidMessage):
            read(payload)
