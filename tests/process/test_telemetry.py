"""Telemetry into the table: once, whatever comes twice, and noted for InfluxDB where that is the store."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from headend.process import Intake
from headend.reads.days import seconds
from headend.store import tables as t

from .field import MONDAY, Field, meter, registry, run

#: When the field's clock stands; nothing is told from later.
NOW = MONDAY + timedelta(days=100)


def item(**said: Any) -> dict[str, Any]:
    return {"at": MONDAY.isoformat()} | said


def tell(field: Field, *items: dict[str, Any], gateway: str = "GW", behind_s: int = 0) -> int:
    """A message with a read and telemetry into the journal, from a clock that is so much behind; its offset."""
    field.sent += 1
    sent_at = field.clock() - timedelta(seconds=behind_s)
    message = {"seq": field.sent, "sent_at": sent_at.isoformat(), "blocks": [run(MONDAY, [1])], "telemetry": items}
    return field.journal_raw(json.dumps(message).encode(), f"headend/v1/{gateway}/reads", gateway)


def rows(field: Field, *, clock: bool = False) -> list[tuple[Any, ...]]:
    """(seconds after Monday, gateway, meter, quantity, value, sent), of clocks or of all else."""
    c = t.telemetry.c
    with field.site.database.read() as tx:
        found = tx.execute(select(t.telemetry).where((c.quantity == "clock_offset_s") == clock).order_by(*c)).all()
    return [(row.at_s - seconds(MONDAY), *row[1:]) for row in found]


def with_influx(field: Field) -> Intake:
    settings = field.site.settings
    store = settings.store.model_copy(update={"kind": "influx"})
    return Intake(replace(field.site, settings=settings.model_copy(update={"store": store})))


def set_sent(field: Field) -> None:
    with field.site.database.write() as tx:
        tx.execute(update(t.telemetry).values(sent=True))


def test_values_are_kept_once_and_the_reads_beside_them_too(field: Field) -> None:
    for _ in range(3):
        tell(field, item(signal_dbm=-71, battery_v=3.62), item(meter="E-1", voltage_v=231.4))
    assert field.intake.step() == 3
    tell(field, item(meter="E-1", voltage_v=231.4))
    assert field.intake.step() == 1
    assert rows(field) == [
        (0, "GW", "", "battery_v", 3.62, True),
        (0, "GW", "", "signal_dbm", -71.0, True),
        (0, "GW", "E-1", "voltage_v", 231.4, True),
    ]
    assert field.values(MONDAY, 1) == [1]
    assert (field.totals().stored, field.totals().duplicates) == (1, 3)


def test_what_influxdb_is_to_have_is_unsent_until_it_is_sent_and_not_again(field: Field) -> None:
    intake = with_influx(field)
    tell(field, item(signal_dbm=-71, battery_v=3.62))
    intake.step()
    assert [row[-1] for row in rows(field)] == [False, False]
    set_sent(field)
    tell(field, item(signal_dbm=-71, battery_v=3.7))
    intake.step()
    # The same value is no news; the other one is.
    assert rows(field) == [(0, "GW", "", "battery_v", 3.7, False), (0, "GW", "", "signal_dbm", -71.0, True)]


def test_a_clock_is_noted_once_a_minute_however_much_a_gateway_sends(field: Field) -> None:
    intake = with_influx(field)
    field.clock.now = MONDAY + timedelta(seconds=7)
    for behind_s in (5, 4, 9):
        tell(field, behind_s=behind_s)
    tell(field, gateway="GW-2", behind_s=-80)
    intake.step()
    set_sent(field)
    field.clock.now = MONDAY + timedelta(seconds=59)
    tell(field, behind_s=100)
    intake.step()
    field.clock.now = MONDAY + timedelta(seconds=61)
    tell(field, behind_s=6)
    intake.step()
    assert rows(field, clock=True) == [
        # Of a batch the message that was least on its way.
        (0, "GW", "", "clock_offset_s", -4.0, True),
        (0, "GW-2", "", "clock_offset_s", 80.0, True),
        (60, "GW", "", "clock_offset_s", -6.0, False),
    ]


def test_what_is_wrong_waits_in_quarantine_and_comes_in_later(field: Field) -> None:
    field.clock.now = NOW
    offset = tell(field, item(meter="E-2", voltage_v=229), item(voltage_v=1e9), item(battery_v=3.6))
    field.intake.step()
    assert rows(field) == [(0, "GW", "", "battery_v", 3.6, True)]
    with field.site.database.read() as tx:
        quarantined = tx.execute(select(t.quarantine.c.path, t.quarantine.c.fault).order_by(t.quarantine.c.path)).all()
    assert quarantined == [("telemetry.0", "unknown meter"), ("telemetry.1", "not the schema")]
    field.enrol(registry(meter("E-1"), meter("E-2")))
    field.clock.now = NOW + timedelta(hours=1)
    assert field.intake.retry([offset]) == 1
    assert rows(field) == [(0, "GW", "", "battery_v", 3.6, True), (0, "GW", "E-2", "voltage_v", 229.0, True)]
    # Its clock was noted when it came, and says nothing of now.
    assert len(rows(field, clock=True)) == 1
