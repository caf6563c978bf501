"""Foreign JSON: the shipped formats on messages as devices send them, and what a mapping file may say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headend.collect.mapping import ForeignFormat, load_mapping, read_foreign
from headend.config import shipped
from headend.errors import InvalidConfig, InvalidMessage

MESSAGES = Path(__file__).parents[1] / "data/messages"
RECEIVED = datetime(2026, 1, 5, 13, 0, 7, tzinfo=UTC)
IMPORT, EXPORT, WATER = "1-0:1.8.0", "1-0:2.8.0", "8-0:1.0.0"


def shipped_format(name: str) -> ForeignFormat:
    return load_mapping(shipped("mappings") / f"{name}.toml")


@pytest.mark.parametrize(
    ("form", "topic", "recorded", "gateway", "expected"),
    [
        ("tasmota", "tele/athomspv3a/SENSOR", "tasmota", "athomspv3a",
         [("athomspv3a", IMPORT, "2024-01-14T17:03:15+00:00", 1_066_001, None)]),
        ("shelly-gen2", "shellypro3em-a0dd6c9f4d5c/events/rpc", "shelly-pro3em", "shellypro3em-a0dd6c9f4d5c",
         [("shellypro3em-a0dd6c9f4d5c", IMPORT, "2023-03-13T09:24:00.940000+00:00", 20_269,
           "shellypro3em-a0dd6c9f4d5c"),
          ("shellypro3em-a0dd6c9f4d5c", EXPORT, "2023-03-13T09:24:00.940000+00:00", 12,
           "shellypro3em-a0dd6c9f4d5c")]),
        ("shelly-gen2", "attic/events/rpc", "shelly-1pm", "attic",
         [("attic:switch:0", IMPORT, "2026-09-09T09:14:00.020000+00:00", 152_670, "shelly1pmminig3-5432044edbc0")]),
        ("thingsboard", "v1/gateway/telemetry", "thingsboard", "thingsboard",
         [("E-10023", IMPORT, "2017-01-01T00:00:00+00:00", 48_211_370, None),
          ("E-10023", IMPORT, "2017-01-01T00:00:01+00:00", 48_211_371, None),
          ("E-10023", EXPORT, "2017-01-01T00:00:01+00:00", 17, None),
          ("W-7", WATER, "2017-01-01T00:00:00+00:00", 900, None)]),
    ],
)  # fmt: skip
def test_shipped_formats_read_what_devices_send(
    form: str, topic: str, recorded: str, gateway: str, expected: list[tuple[Any, ...]]
) -> None:
    mapping = shipped_format(form)
    claims = read_foreign(mapping, topic, (MESSAGES / f"{recorded}.json").read_bytes(), RECEIVED)
    assert claims.faults == []
    assert mapping.gateway_of(topic) == gateway
    assert [(r.meter, r.channel, r.at.isoformat(), r.value, r.serial) for _, r in claims.registers] == expected


def test_a_phase_of_a_shelly_is_a_meter_of_its_own() -> None:
    params = {"ts": 0, "em1data:1": {"id": 1, "total_act_energy": 7.5, "total_act_ret_energy": 0.5}, "em1:1": {"pf": 1}}
    message = json.dumps({"src": "s", "method": "NotifyStatus", "params": params}).encode()
    claims = read_foreign(shipped_format("shelly-gen2"), "pro/events/rpc", message, RECEIVED)
    assert [(r.meter, r.channel, r.value) for _, r in claims.registers] == [
        ("pro:em1data:1", IMPORT, 8), ("pro:em1data:1", EXPORT, 0),
    ]  # fmt: skip


def test_a_tasmota_without_an_offset_is_refused_rather_than_guessed() -> None:
    message = b'{"Time":"2024-10-27T02:30:00","ENERGY":{"Total":1066.000}}'
    claims = read_foreign(shipped_format("tasmota"), "tele/plug/SENSOR", message, RECEIVED)
    ((path, fault),) = claims.faults
    assert (path, claims.registers) == ("$", [])
    assert str(fault) == "time: found '2024-10-27T02:30:00', expected an ISO 8601 time after 1970 with Z or an offset"


@pytest.mark.parametrize(
    "message", [b"{}", b'{"ENERGY":{}}', b'{"ENERGY":{"Total":null}}', b"[]", b"7", b'"x"', b"null"]
)
def test_what_a_message_does_not_say_is_no_fault(message: bytes) -> None:
    claims = read_foreign(shipped_format("tasmota"), "tele/plug/SENSOR", message, RECEIVED)
    assert (claims.registers, claims.faults) == ([], [])


RULE: dict[str, Any] = {
    "meter": "{meter}", "channel": IMPORT, "value": "$.v", "unit": "kWh", "kind": "register", "time_format": "none",
}  # fmt: skip


def made(**changes: Any) -> ForeignFormat:
    rule = {key: value for key, value in (RULE | changes).items() if value is not None}
    return ForeignFormat.model_validate({"topic": "v1/{gateway}/{meter}", "reads": [rule]})


def read(form: ForeignFormat, message: str, topic: str = "v1/GW/E-1") -> Any:
    claims = read_foreign(form, topic, message.encode(), RECEIVED)
    for _, fault in claims.faults:
        raise fault
    ((_, found),) = claims.registers + claims.blocks
    return found


@pytest.mark.parametrize(
    ("number", "scale", "value"),
    [
        ("12345.678", "1", 12_345_678),
        ("0.1", "0.1", 10),
        ("9007199254740.992", "1", 2**53),
        ("1.0000005000000000000000000001e3", "1", 1_000_001),  # more than half: no rounding on the way
        ("1000.0005", "1", 1_000_000),
        ("1000.0015", "1", 1_000_002),
        ('"48.211"', "1", 48_211),
        ("7", "0.125", 875),
    ],
)
def test_numbers_are_exact_and_rounded_once(number: str, scale: str, value: int) -> None:
    assert read(made(scale=scale), f'{{"v": {number}}}').value == value


@pytest.mark.parametrize(
    ("number", "found"),
    [
        ("-1", "value: found -1000"), ("1e400", "value: found 1E+400"), ("1e-999999999", "value: found 1E-999999999"),
        ("1" * 70, "value: found 1111"), ("1e13", "value: found 10000000000000000"), ("true", "value: found True"),
        ('"1e5"', "value: found '1e5'"), ('"NaN"', "value: found 'NaN'"), ("[1]", "value: found [1]"),
        ("{}", "value: found {}"), ("NaN", "message: found"), ("1" * 5_000, "message: found"),
    ],
)  # fmt: skip
def test_what_no_register_can_be_is_refused(number: str, found: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        read(made(), f'{{"v": {number}}}')
    assert str(refused.value).startswith(found)


@pytest.mark.parametrize(
    ("form", "told", "at"),
    [
        ("iso8601", '"2026-01-05T14:00:00.5+01:00"', RECEIVED - timedelta(seconds=6.5)),
        ("iso8601", '"2026-01-05T13:00:00Z"', RECEIVED - timedelta(seconds=7)),
        ("epoch_s", "1767618000.25", RECEIVED - timedelta(seconds=6.75)),
        ("epoch_s", '"1767618000"', RECEIVED - timedelta(seconds=7)),
        ("epoch_ms", "1767618000250", RECEIVED - timedelta(seconds=6.75)),
    ],
)
def test_times(form: str, told: str, at: datetime) -> None:
    assert read(made(time="$.t", time_format=form), f'{{"v": 1, "t": {told}}}').at == at


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("iso8601", '"2026-01-05T13:00:00"'), ("iso8601", '"yesterday"'), ("iso8601", "5"), ("iso8601", "null"),
        ("iso8601", '"0001-01-01T00:00:00Z"'),
        ("iso8601", '"0001-01-01T00:00:00+23:59"'), ("epoch_s", "-1"), ("epoch_s", "1e18"), ("epoch_s", "1e999999999"),
        ("epoch_ms", "1e17"), ("epoch_ms", '"soon"'), ("epoch_ms", "true"), ("epoch_ms", "null"),
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(form: str, told: str) -> None:
    with pytest.raises(InvalidMessage):
        read(made(time="$.t", time_format=form), f'{{"v": 1, "t": {told}}}')


def test_without_a_time_in_the_message_it_is_when_it_came() -> None:
    assert read(made(), '{"v": 1}').at == RECEIVED


@pytest.mark.parametrize(("names", "start"), [("begin", 13), ("end", 12)])
def test_an_interval_is_named_by_its_begin(names: str, start: int) -> None:
    form = made(kind="interval", interval_s=3_600, time="$.t", time_format="iso8601", time_names=names)
    block = read(form, '{"v": 1.5, "t": "2026-01-05T13:00:00Z"}')
    assert (block.meter, block.start, block.interval_s) == ("E-1", datetime(2026, 1, 5, start, tzinfo=UTC), 3_600)
    assert block.values == [1_500]


def test_channels_come_from_a_table_and_others_are_passed_over() -> None:
    form = made(items="$.all[*]", channel="@.q", channels={"in": IMPORT, "out": EXPORT}, value="@.v")
    message = b'{"all": [{"q": "out", "v": 2}, {"q": "volt", "v": 230}, {"q": "in", "v": 1}, {"v": 3}]}'
    claims = read_foreign(form, "v1/GW/E-1", message, RECEIVED)
    assert [(r.channel, r.value) for _, r in claims.registers] == [(EXPORT, 2_000), (IMPORT, 1_000)]
    assert claims.faults == []


def test_one_bad_item_does_not_hold_back_the_others() -> None:
    form = made(items="$.all[*]", meter="@.m", value="@.v")
    message = b'{"all": [{"m": "A", "v": 2}, {"m": 7, "v": 2}, {"v": 1}, {"m": "B", "v": "?"}, {"m": "C", "v": 1}]}'
    claims = read_foreign(form, "v1/GW/E-1", message, RECEIVED)
    assert [r.meter for _, r in claims.registers] == ["A", "C"]
    assert [f"{path} {fault}" for path, fault in claims.faults] == [
        "$['all'][1] meter: found 7, expected a valid string",
        "$['all'][2] meter: found None, expected a valid string",
        "$['all'][3] value: found '?', expected a number",
    ]


def test_topics_are_matched_level_by_level() -> None:
    form = made()
    assert form.subscription == "v1/+/+"
    assert form.match("v1/GW/E-1") == {"gateway": "GW", "meter": "E-1"}
    assert not any(map(form.match, ("v1/GW", "v1/GW/E-1/x", "v2/GW/E-1", "v1//E-1", "x/v1/GW/E-1", "")))
    assert shipped_format("shelly-gen2").match("headend/events/rpc") is None
    with pytest.raises(InvalidMessage, match=r"^topic: found 'v1/G W/E-1'"):
        form.gateway_of("v1/G W/E-1")
    with pytest.raises(InvalidMessage, match=r"^topic: found 'v2/GW/E-1'"):
        read_foreign(form, "v2/GW/E-1", b"{}", RECEIVED)


@pytest.mark.parametrize("message", [b"", b"{", b"\xff", b"[" * 100_000, b'{"v": 1}x', b'{"v": Infinity}'])
def test_what_is_no_json_is_refused(message: bytes) -> None:
    with pytest.raises(InvalidMessage) as refused:
        read_foreign(made(), "v1/GW/E-1", message, RECEIVED)
    assert refused.value.fault == "not JSON"


def test_a_message_of_a_million_items_costs_little() -> None:
    form = made(items="$[*]", value="@.v")
    with pytest.raises(InvalidMessage) as refused:
        read_foreign(form, "v1/GW/E-1", b"[" + b",".join([b"1"] * 500_000) + b"]", RECEIVED)
    assert refused.value.fault == "too large"
    claims = read_foreign(form, "v1/GW/E-1", b"[" + b",".join([b'{"v":-1}'] * 4_000) + b"]", RECEIVED)
    assert len(claims.faults) == 101


FILE = """topic = "v1/{gateway}/{meter}"
[[reads]]
meter = "{meter}"
channel = "1-0:1.8.0"
value = "$.v"
unit = "kWh"
kind = "register"
time_format = "none"
"""


@pytest.mark.parametrize(
    ("was", "line", "complaint"),
    [
        ("v1/{gateway}/{meter}", "headend/{gateway}/{meter}", "topic: found 'headend/{gateway}/{meter}'"),
        ("v1/{gateway}/{meter}", "spBv1.0/{gateway}/{meter}", "topic: found"),
        ("v1/{gateway}/{meter}", "modbus/{gateway}/{meter}", "topic: found"),
        ("v1/{gateway}/{meter}", "file/{gateway}/{meter}", "topic: found"),
        ("v1/{gateway}/{meter}", "v1/+/{meter}", "topic: found 'v1/+/{meter}', expected levels that are text or"),
        ("v1/{gateway}/{meter}", "v1/x{gateway}/{meter}", "topic: found"),
        ("v1/{gateway}/{meter}", "v1/{meter}/{meter}", "topic: found"),
        ("v1/{gateway}/{meter}", "v1/{meter}", "gateway: found '{gateway}'"),
        ('meter = "{meter}"', 'meter = "{metre}"', "reads.0: found {metre}, expected a name of"),
        ('meter = "{meter}"', "", "reads.0.meter: found nothing"),
        ('meter = "{meter}"', "meter = 7", "reads.0.meter: found 7"),
        ('channel = "1-0:1.8.0"', 'channel = "1.8.0"', "reads.0.channel: found '1.8.0', expected an OBIS code"),
        ("$.v", "$.v[", "reads.0.value: found '$.v[', expected an RFC 9535 JSONPath"),
        ("kWh", "BTU", "reads.0.unit: found 'BTU', expected one of Wh"),
        ('"register"', '"counter"', "reads.0.kind: found 'counter'"),
        ('"none"', '"local"', "reads.0.time_format: found 'local'"),
        ('"none"', '"epoch_s"', "reads.0.time: found None, expected a path, or none with"),
        ('kind = "register"', 'kind = "interval"', "reads.0.interval_s: found None"),
        ('kind = "register"', 'kind = "register"\ninterval_s = 60', "reads.0.interval_s: found 60"),
        ('kind = "register"', 'kind = "register"\nitems = "@.x"', "reads.0.items: found '@.x'"),
        ('kind = "register"', 'kind = "register"\nscale = 0', "reads.0.scale: found 0"),
        ('kind = "register"', 'kind = "register"\nchannels = {a = "1.8"}', "reads.0.channels.a.channel: found"),
        ('kind = "register"', 'kind = "register"\ncolour = 1', "reads.0.colour: found 1"),
        ("[[reads]]", "[[reads", "found"),
    ],
)  # fmt: skip
def test_a_wrong_file_says_where(tmp_path: Path, was: str, line: str, complaint: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(FILE, encoding="utf-8")
    load_mapping(file)
    file.write_text(FILE.replace(was, line), encoding="utf-8")
    with pytest.raises(InvalidConfig) as refused:
        load_mapping(file)
    assert str(refused.value).startswith(f"{file}: {complaint}")
