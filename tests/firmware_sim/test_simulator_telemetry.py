"""Telemetry of the simulated field: believable, the same each time, and beside the reads."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import pytest

from firmware_sim.clock import stamp
from firmware_sim.gateway import Flash
from firmware_sim.inventory import make_shipment
from firmware_sim.messages import Message, never_sent
from firmware_sim.meter import ORIGIN
from firmware_sim.plan import FaultPlan
from firmware_sim.telemetry import ITEMS_A_MESSAGE, Telemetry, with_telemetry
from headend.collect.wire import read_reads
from tests.firmware_sim.parts import SPECS, Bench

DAY = 24
ELECTRICITY = {spec.meter for spec in SPECS if spec.commodity == "electricity"}


def telemetry(every_h: int = 1, seed: int = 1) -> Telemetry:
    return Telemetry("GW-1", SPECS, every_h, seed=seed, zone="Europe/Berlin")


def items(begin: int, end: int, *, every_h: int = 1, seed: int = 1) -> list[dict]:
    return [json.loads(item) for item in telemetry(every_h, seed).items(begin, end)]


def series(told: list[dict], quantity: str, meter: str | None = None) -> list[float]:
    return [item[quantity] for item in told if item.get("meter") == meter and quantity in item]


def test_values_are_believable() -> None:
    told = items(ORIGIN, ORIGIN + 365 * DAY)
    signal, battery = series(told, "signal_dbm"), series(told, "battery_v")
    assert len(signal) == len(battery) == 365 * DAY
    assert all(-102 <= dbm <= -58 for dbm in signal)
    assert all(3.4 < volts < 3.75 for volts in battery)
    for meter in ELECTRICITY:
        voltage = np.array(series(told, "voltage_v", meter))
        # EN 50160: 230 V ± 10 %
        assert voltage.min() > 207
        assert voltage.max() < 253
        # At supper less than at night: Berlin's 19:00 and 3:00, in winter.
        january = voltage[: 31 * DAY].reshape(31, DAY)
        assert january[:, 18].mean() < january[:, 2].mean() - 1.5


def test_an_hour_says_the_same_whoever_asks_for_it() -> None:
    whole = items(ORIGIN, ORIGIN + 3 * DAY)
    assert whole == [item for hour in range(3 * DAY) for item in items(ORIGIN + hour, ORIGIN + hour + 1)]
    assert whole != items(ORIGIN, ORIGIN + 3 * DAY, seed=2)


def test_values_come_as_often_as_is_asked_for() -> None:
    told = items(ORIGIN + 1, ORIGIN + DAY, every_h=6)
    assert sorted({item["at"] for item in told}) == [stamp(ORIGIN + hour) for hour in (6, 12, 18)]
    assert {item.get("meter") for item in told} == {None, *ELECTRICITY}
    assert items(ORIGIN, ORIGIN + DAY, every_h=0) == []


def bench(telemetry_h: int, plan: FaultPlan | None = None, days: int = 3) -> Bench:
    end = ORIGIN + days * DAY
    return Bench(plan or FaultPlan(), ORIGIN, end, flash=Flash(window=8), telemetry_h=telemetry_h)


def test_it_stands_beside_the_same_reads_under_the_same_numbers() -> None:
    plan = FaultPlan(lost=0.1, duplicates=0.2, unknown_meters=0.3, future=0.3, missing=0.05, tamper=0.2)
    without, told = bench(0, plan, 30), bench(1, plan, 30)
    messages, plain = told.told(), without.told()
    assert [message | {"telemetry": 0} for message in messages] == [message | {"telemetry": 0} for message in plain]
    assert told.tally.totals() == without.tally.totals()
    once = {message["seq"]: message for message in messages}.values()
    found = [item for message in once for item in message.get("telemetry", ())]
    assert found == items(ORIGIN, ORIGIN + 30 * DAY)


def test_live_hours_tell_it_with_their_reads() -> None:
    live = bench(1, days=0)
    for hour in range(3):
        live.gateway.measure_hour(ORIGIN + hour)
    payloads = live.due()
    assert len(payloads) == 3
    for hour, payload in enumerate(payloads):
        message = read_reads(payload)
        assert {item.at for item in message.telemetry} == {datetime.fromisoformat(stamp(ORIGIN + hour))}
        assert {item.meter for item in message.telemetry} == {None, *ELECTRICITY}
        assert {block.start for block in message.blocks} == {datetime.fromisoformat(stamp(ORIGIN + hour))}


def test_what_is_lost_takes_its_telemetry_along() -> None:
    lost = never_sent(Message(b'"blocks": []'), ORIGIN, ORIGIN + 1)
    assert list(with_telemetry(iter([lost]), ["{}"])) == [lost]
    (first, second) = with_telemetry(iter([lost, Message(b'"blocks": []')]), ["{}"])
    assert (first, second.body) == (lost, b'"telemetry": [{}], "blocks": []')


@pytest.mark.parametrize(("count", "messages"), [(ITEMS_A_MESSAGE, 2), (2 * ITEMS_A_MESSAGE + 1, 3)])
def test_no_message_has_more_than_the_wire_takes(count: int, messages: int) -> None:
    found = list(with_telemetry(iter([Message(b'"blocks": []')] * 2), ["{}"] * count))
    told = [json.loads(b"{" + message.body + b"}").get("telemetry", []) for message in found]
    assert len(found) == messages
    assert sum(map(len, told)) == count
    assert max(map(len, told)) == ITEMS_A_MESSAGE


def test_a_gateway_without_electricity_tells_of_itself() -> None:
    water = [spec for spec in make_shipment(1, 40, 1).meters if spec.commodity == "water"]
    told = Telemetry("GW-1", water, 1, seed=1, zone="Europe/Berlin").items(ORIGIN, ORIGIN + 2)
    assert [sorted(json.loads(item)) for item in told] == [["at", "battery_v", "signal_dbm"]] * 2
