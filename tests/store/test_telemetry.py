"""The table of telemetry, on either database: each value once, and sent on once."""

from __future__ import annotations

from sqlalchemy import select, update

from headend.store.database import Database
from headend.store.tables import telemetry
from headend.store.telemetry import Series, Told, keep_clock_offsets, keep_telemetry, telemetry_of

NOON = 1_767_614_400


def rows(database: Database) -> list[tuple[object, ...]]:
    with database.read() as tx:
        return [tuple(row) for row in tx.execute(select(telemetry).order_by(*telemetry.primary_key.columns))]


def test_the_same_value_again_is_not_sent_again_and_another_one_is(site_database: Database) -> None:
    told = {Told(NOON, "GW", "", "battery_v"): 3.62, Told(NOON, "GW", "E-1", "voltage_v"): 231.4}
    with site_database.write() as tx:
        keep_telemetry(tx, told, sent=False)
        tx.execute(update(telemetry).values(sent=True))
        keep_telemetry(tx, told | {Told(NOON, "GW", "E-1", "voltage_v"): 231.5}, sent=False)
        keep_telemetry(tx, {}, sent=False)
    assert rows(site_database) == [
        (NOON, "GW", "", "battery_v", 3.62, True),
        (NOON, "GW", "E-1", "voltage_v", 231.5, False),
    ]


def test_a_clock_is_kept_once_a_minute(site_database: Database) -> None:
    with site_database.write() as tx:
        for after_s, offset_s in ((0, 5), (59, 7), (60, 9)):
            keep_clock_offsets(tx, {"GW": (NOON + after_s, offset_s), "GW-2": (NOON, -2)}, sent=True)
        keep_clock_offsets(tx, {}, sent=True)
    assert rows(site_database) == [
        (NOON, "GW", "", "clock_offset_s", 5.0, True),
        (NOON, "GW-2", "", "clock_offset_s", -2.0, True),
        (NOON + 60, "GW", "", "clock_offset_s", 9.0, True),
    ]


def test_series_are_of_one_gateway_or_one_meter_and_one_time(site_database: Database) -> None:
    told = {
        Told(NOON + hour * 3600, gateway, meter, quantity): float(hour)
        for hour in range(4)
        for gateway in ("GW", "GW-2")
        for meter, quantity in (("", "signal_dbm"), ("E-1", "voltage_v"), ("E-2", "voltage_v"))
    }
    with site_database.write() as tx:
        keep_telemetry(tx, told, sent=True)
        # The meter went behind another gateway.
        tx.execute(telemetry.delete().where(telemetry.c.gateway == "GW", telemetry.c.at_s >= NOON + 7200))
        tx.execute(telemetry.delete().where(telemetry.c.gateway == "GW-2", telemetry.c.at_s < NOON + 7200))
    at_s = [NOON + hour * 3600 for hour in range(4)]
    with site_database.read() as tx:
        assert telemetry_of(tx, NOON, NOON + 7200, gateway="GW") == [Series("signal_dbm", at_s[:2], [0.0, 1.0])]
        assert telemetry_of(tx, NOON, NOON + 7200, gateway="GW-2") == []
        assert telemetry_of(tx, at_s[1], at_s[3], meter="E-1") == [Series("voltage_v", at_s[1:3], [1.0, 2.0])]
        assert telemetry_of(tx, 0, 2**40, meter="E-1", limit=3) == [Series("voltage_v", at_s[:3], [0.0, 1.0, 2.0])]
