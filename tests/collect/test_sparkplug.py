"""Sparkplug B, message by message: sessions, aliases, units and types, deaths, lost messages, and what is refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from headend.collect.claims import Claims
from headend.collect.sparkplug import follow_sequence, gateway_of, read_sparkplug, rebirth_command
from headend.collect.sparkplug_payload import Payload
from headend.errors import InvalidMessage

BORN_MS = 1_767_618_000_000  # 2026-01-05T13:00:00Z
BORN = datetime(2026, 1, 5, 13, tzinfo=UTC)
INT8, INT32, INT64, UINT64, FLOAT, DOUBLE, STRING = 1, 3, 4, 8, 9, 10, 12
FIELD = {INT8: "int_value", INT32: "int_value", INT64: "long_value", UINT64: "long_value", FLOAT: "float_value",
         DOUBLE: "double_value", STRING: "string_value"}  # fmt: skip


def payload(*metrics: dict[str, Any], timestamp: int | None = BORN_MS, seq: int | None = 0) -> bytes:
    message = Payload(timestamp=timestamp, seq=seq)
    for metric in metrics:
        added = message.metrics.add()
        for key, value in metric.items():
            if key == "properties":
                for name, text in value.items():
                    added.properties.keys.append(name)
                    added.properties.values.add(type=STRING, string_value=text)
            else:
                setattr(added, key, value)
    return message.SerializeToString()


def metric(name: str, value: Any, datatype: int = INT64, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, FIELD[datatype]: value, **more}


def by_alias(alias: int, value: Any, datatype: int = INT64, **more: Any) -> dict[str, Any]:
    return {"alias": alias, FIELD[datatype]: value, **more}


class Node:
    """What a head-end knows of one node, from message to message."""

    def __init__(self) -> None:
        self.births: dict[tuple[str, str], str] = {}

    def says(self, kind: str, *metrics: dict[str, Any], device: str = "", **more: Any) -> Claims:
        topic = f"spBv1.0/plant/{kind}/press" + (f"/{device}" if device else "")
        claims = read_sparkplug(topic, payload(*metrics, **more), self.births)
        self.births |= {(birth.node, birth.device): birth.metrics for birth in claims.births}
        return claims


@pytest.fixture
def node() -> Node:
    """A node that is born, with a device whose import has the alias 1."""
    node = Node()
    node.says("NBIRTH", metric("bdSeq", 3))
    node.says("DBIRTH", metric("1-0:1.8.0", 5, alias=1, properties={"engUnit": "kWh"}), device="E-1")
    return node


def only(claims: Claims) -> Any:
    assert claims.faults == []
    ((_, read),) = claims.registers
    return read


def fault(claims: Claims) -> str:
    assert claims.registers == []
    ((path, found),) = claims.faults
    return f"{path} {found} ({found.fault})"


@pytest.mark.parametrize(
    ("unit", "value", "datatype", "whole"),
    [
        ("Wh", 48_211_370, INT64, 48_211_370),
        ("kWh", 12_345.678, DOUBLE, 12_345_678),
        ("kWh", 0.1 + 0.2, DOUBLE, 300),
        ("kWh", 1234.567, FLOAT, 1_234_567),  # 1234.5670166015625 in 32 bits
        ("MWh", 2, INT64, 2_000_000),
        ("varh", 7, INT64, 7),
        ("kvarh", 7, INT64, 7_000),
        ("m3", 10.0005, DOUBLE, 10_000),  # 10000.5: halves to even
        ("m3", 10.0015, DOUBLE, 10_002),
        ("dm3", 7, INT64, 7),
        ("L", 7, INT64, 7),
        ("", 7, INT64, 7),
        ("Wh", 2**53, UINT64, 2**53),
    ],
)
def test_registers_come_in_whole_base_units(unit: str, value: Any, datatype: int, whole: int) -> None:
    born = Node().says(
        "DBIRTH", metric("1-0:1.8.0", value, datatype, properties={"engUnit": unit} if unit else {}), device="E-1"
    )
    assert only(born).value == whole


def test_the_unit_of_a_birth_holds_for_what_comes_by_alias(node: Node) -> None:
    read = only(node.says("DDATA", by_alias(1, 6), device="E-1"))
    assert (read.meter, read.channel, read.value, read.at) == ("E-1", "1-0:1.8.0", 6_000, BORN)


def test_names_do_as_well_as_aliases(node: Node) -> None:
    assert only(node.says("DDATA", metric("1-0:1.8.0", 6), device="E-1")).value == 6_000


def test_a_nodes_own_metrics_name_the_meter_first() -> None:
    node = Node()
    born = node.says("NBIRTH", metric("W-7/hall/8-0:1.0.0", 5), metric("W-7/serial", "S9", STRING))
    read = only(born)
    assert (read.meter, read.channel, read.value, read.serial) == ("W-7", "8-0:1.0.0", 5, "S9")
    assert fault(node.says("NBIRTH", metric("1-0:1.8.0", 5))).startswith("metrics.0 meter: found ''")


def test_what_is_no_register_is_passed_over(node: Node) -> None:
    born = node.says("DBIRTH", metric("voltage", 230, alias=9), metric("1-0:1.8.256", 1), device="E-1")
    assert (born.registers, born.faults) == ([], [])
    heard = node.says("DDATA", by_alias(9, 231), device="E-1")
    assert (heard.registers, heard.faults, heard.rebirth) == ([], [], False)


def test_a_register_has_its_own_time_above_the_messages(node: Node) -> None:
    at = datetime(2026, 1, 5, 12, 0, 0, 250_000, tzinfo=UTC)
    late = by_alias(1, 6, timestamp=BORN_MS - 3_600_000 + 250, is_historical=True)
    claims = node.says("DDATA", late, device="E-1")
    assert (only(claims).at, claims.sent_at) == (at, BORN)
    untimed = node.says("DDATA", by_alias(1, 6, is_historical=True), device="E-1")
    assert fault(untimed) == "metrics.0 timestamp: found nothing, expected when the register was read (not the schema)"


def test_null_is_missing_and_nothing_is_a_fault(node: Node) -> None:
    missing = node.says("DDATA", {"alias": 1, "is_null": True}, device="E-1")
    assert (missing.registers, missing.faults) == ([], [])
    assert "value: found nothing" in fault(node.says("DDATA", {"alias": 1}, device="E-1"))


@pytest.mark.parametrize(
    ("value", "datatype", "found"),
    [
        (float("nan"), DOUBLE, "value: found NaN"),
        (float("inf"), FLOAT, "value: found Infinity"),
        (1e300, DOUBLE, "value: found 1E+300"),
        (1e15, DOUBLE, "value: found 1000000000000000000"),
        (-1.5, DOUBLE, "value: found -1500"),
        (2**64 - 5, INT64, "value: found a negative number"),
        (2**32 - 5, INT32, "value: found a negative number"),
        (251, INT8, "value: found a negative number"),
        (2**63, UINT64, "value: found 9223372036854775808000"),
        ("12", STRING, "value: found '12'"),
    ],
)
def test_what_no_register_can_be_is_refused(node: Node, value: Any, datatype: int, found: str) -> None:
    claims = node.says("DDATA", by_alias(1, value, datatype) | {"datatype": datatype}, device="E-1")
    assert found in fault(claims)


def test_the_type_of_a_birth_tells_negative_numbers(node: Node) -> None:
    node.says("DBIRTH", metric("1-0:1.8.0", 5, INT32, alias=1), device="E-1")
    assert "a negative number" in fault(node.says("DDATA", by_alias(1, 2**32 - 5, INT32), device="E-1"))


def test_an_unknown_unit_is_refused_by_name(node: Node) -> None:
    born = node.says("DBIRTH", metric("1-0:1.8.0", 5, properties={"engUnit": "BTU"}), device="E-1")
    assert "engUnit: found 'BTU', expected one of Wh, " in fault(born)


def test_one_bad_metric_does_not_hold_back_the_others(node: Node) -> None:
    claims = node.says("DDATA", by_alias(1, 6), by_alias(2, 6), by_alias(1, 7), device="E-1")
    assert [(place, read.value) for place, read in claims.registers] == [(0, 6_000), (2, 7_000)]
    assert [path for path, _ in claims.faults] == ["metrics.1"]
    assert claims.rebirth


def test_names_of_an_earlier_session_are_not_believed(node: Node) -> None:
    node.says("NBIRTH", metric("bdSeq", 4), timestamp=BORN_MS + 60_000)
    claims = node.says("DDATA", by_alias(1, 6), device="E-1")
    assert fault(claims) == "metrics.0 alias: found 1, expected one that a birth of this session told (no birth)"
    assert claims.rebirth
    node.says("DBIRTH", metric("1-0:2.8.0", 5, alias=1), device="E-1")
    assert only(node.says("DDATA", by_alias(1, 6), device="E-1")).channel == "1-0:2.8.0"


def test_without_its_nodes_birth_a_device_is_asked_for_all_of_it() -> None:
    node = Node()
    born = node.says("DBIRTH", metric("1-0:1.8.0", 5, alias=1), device="E-1")
    assert (only(born).value, born.rebirth) == (5, True)
    assert node.says("DDATA", by_alias(1, 6), device="E-1").rebirth
    assert node.says("NDATA").rebirth


def test_a_serial_number_is_remembered_until_another_comes(node: Node) -> None:
    node.says("DBIRTH", metric("1-0:1.8.0", 5, alias=1), metric("serial", "A", STRING, alias=2), device="E-1")
    unchanged = node.says("DDATA", by_alias(1, 6), device="E-1")
    assert (only(unchanged).serial, unchanged.births) == ("A", [])
    assert only(node.says("DDATA", by_alias(1, 1), by_alias(2, "B", STRING), device="E-1")).serial == "B"
    assert only(node.says("DDATA", by_alias(1, 2), device="E-1")).serial == "B"
    assert only(node.says("DBIRTH", metric("1-0:1.8.0", 5, properties={"serial": "C"}), device="E-1")).serial == "C"


def test_a_death_counts_for_its_own_session_only(node: Node) -> None:
    assert node.says("NDEATH", metric("bdSeq", 2), timestamp=None, seq=None).online is None
    death = node.says("NDEATH", metric("bdSeq", 3), timestamp=BORN_MS - 86_400_000, seq=None)
    assert (death.online, death.sent_at) == (False, None)
    assert node.says("NDEATH", seq=None).online is False
    assert Node().says("NDEATH", metric("bdSeq", 9)).online is False


def test_a_devices_death_says_nothing_of_the_node(node: Node) -> None:
    died = node.says("DDEATH", device="E-1")
    assert (died.online, died.sent_at, died.registers, died.faults) == (None, BORN, [], [])


def test_lost_messages_are_noticed_and_the_count_goes_round() -> None:
    def follow(kind: str, seq: int | None, last: int | None) -> tuple[int | None, bool]:
        topic = f"spBv1.0/plant/{kind}/press" + ("/E-1" if kind[0] == "D" else "")
        return follow_sequence(topic, payload(seq=seq), last)

    assert follow("DDATA", 17, None) == (17, False)
    assert follow("DDATA", 18, 17) == (18, False)
    assert follow("NDATA", 18, 18) == (18, False)  # the same once more
    assert follow("NDATA", 20, 18) == (20, True)
    assert follow("DDATA", 0, 255) == (0, False)
    assert follow("DDATA", 1, 255) == (1, True)
    assert follow("NBIRTH", 0, 99) == (0, False)
    assert follow("NDEATH", None, 99) == (None, False)
    assert follow("DDATA", None, 99) == (99, False)


def test_the_rebirth_command() -> None:
    topic, command = rebirth_command("plant/press", BORN)
    assert topic == "spBv1.0/plant/NCMD/press"
    message = Payload.FromString(command)
    (asked,) = message.metrics
    assert (message.timestamp, asked.name, asked.datatype, asked.boolean_value) == (
        BORN_MS, "Node Control/Rebirth", 11, True,
    )  # fmt: skip


def test_gateways_are_named_by_group_and_node() -> None:
    assert gateway_of("spBv1.0/plant/NDATA/press.1") == "plant.press.1"
    assert gateway_of("spBv1.0/plant/DDATA/press/a device of any name") == "plant.press"


@pytest.mark.parametrize(
    "topic",
    ["", "spBv1.0/plant/NDATA", "spBv1.0/plant/NDATA/press/E-1", "spBv1.0/plant/DDATA/press", "spBv1.0/plant/DDATA/p/",
     "spBv1.0/plant/DDATA/press/E/1", "spBv1.0/a.b/NDATA/press", "spBv1.0/our plant/NDATA/press", "spBv1.0//NDATA/p",
     "spAv1.0/plant/NDATA/press", "spBv1.0/plant/NCMD/press", "spBv1.0/STATE/headend", "spBv1.0/plant/NDATA/press\n",
     "spBv1.0/" + "g" * 32 + "/NDATA/" + "n" * 32],
)  # fmt: skip
def test_topics_that_are_not_ours(topic: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        read_sparkplug(topic, payload(), {})
    assert refused.value.fault == "not our topic"


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (b"\xff\xff", "message: found bytes ffff"),
        (b'{"seq": 1}', "message: found bytes "),
        (b"\x12\x03\x0a\x01\xff", "message: found bytes 12030a01ff"),  # a name that is not UTF-8
        (b"\x22\x12SPBV1.0_COMPRESSED", "uuid: found SPBV1.0_COMPRESSED, expected an uncompressed payload"),
        (b"\x12\x00" * 20_001, "metrics: found 20001 of them"),
        (b"\x08" + b"\xff" * 9 + b"\x01", "time: found 18446744073709551615"),
    ],
)
def test_what_is_no_payload_is_refused(message: bytes, found: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        read_sparkplug("spBv1.0/plant/NDATA/press", message, {})
    assert str(refused.value).startswith(found)


def test_a_birth_must_say_when() -> None:
    with pytest.raises(InvalidMessage, match=r"^timestamp: found nothing"):
        Node().says("NBIRTH", timestamp=None)


def test_a_message_of_wrong_metrics_costs_no_more_than_a_right_one(node: Node) -> None:
    began = time.process_time()
    claims = node.says("DDATA", *[by_alias(99, 1)] * 20_000, device="E-1")
    assert len(claims.faults) == 101
    assert time.process_time() - began < 1
