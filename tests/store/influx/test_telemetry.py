"""Telemetry to a real InfluxDB: every value once it is confirmed, the oldest first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from headend.errors import StoreAway
from headend.store.database import Database
from headend.store.influx import telemetry as module
from headend.store.influx.connection import Influx
from headend.store.influx.telemetry import InfluxTelemetry
from headend.store.tables import telemetry
from tests.databases import file_database
from tests.servers import Influxd, free_port

from .servers import influx_section


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = file_database(tmp_path / "site.db", "site")
    yield opened
    opened.close()


def told(database: Database, *rows: tuple[int, str, str, str, float]) -> None:
    names = ("at_s", "gateway", "meter", "quantity", "value")
    with database.write() as tx:
        tx.execute(insert(telemetry), [dict(zip(names, row, strict=True)) | {"sent": False} for row in rows])


def unsent(database: Database) -> int:
    with database.read() as tx:
        return tx.execute(select(func.count()).where(telemetry.c.sent.is_(False))).scalar_one()


def points(influxd: Influxd, influx: Influx) -> list[tuple[str, str, str, str, float]]:
    flux = f'from(bucket: "{influx.settings.telemetry_bucket}") |> range(start: 0)'
    return sorted(
        (row["_time"], row["gateway"], row.get("meter") or "", row["_field"], float(row["_value"]))
        for row in influxd.rows(flux)
    )


def test_what_gateways_tell_arrives_as_told(database: Database, influxd: Influxd, influx: Influx) -> None:
    told(
        database,
        (1_700_000_000, "GW-1", "", "signal_dbm", -71.0),
        (1_700_000_000, "GW-1", "", "clock_offset_s", 0.1 + 0.2),
        (1_700_000_000, "GW-1", "E-1", "voltage_v", 230.25),
        (1_700_000_060, "GW 2", "E,1=x", "battery_v", 5e-324),
    )
    sender = InfluxTelemetry(influx, influx.settings.telemetry_bucket)
    assert (sender.forward(database), sender.forward(database), unsent(database)) == (4, 0, 0)
    assert points(influxd, influx) == [
        ("2023-11-14T22:13:20Z", "GW-1", "", "clock_offset_s", 0.1 + 0.2),
        ("2023-11-14T22:13:20Z", "GW-1", "", "signal_dbm", -71.0),
        ("2023-11-14T22:13:20Z", "GW-1", "E-1", "voltage_v", 230.25),
        ("2023-11-14T22:14:20Z", "GW 2", "E,1=x", "battery_v", 5e-324),
    ]


def test_a_number_that_is_none_holds_up_nothing(database: Database, influxd: Influxd, influx: Influx) -> None:
    told(database, (1, "GW-1", "", "signal_dbm", math.inf), (1, "GW-1", "", "battery_v", 3.5))
    sender = InfluxTelemetry(influx, influx.settings.telemetry_bucket)
    assert (sender.forward(database), unsent(database)) == (2, 0)
    assert [point[3] for point in points(influxd, influx)] == ["battery_v"]


def test_the_oldest_go_first(
    database: Database, influxd: Influxd, influx: Influx, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(database, *[(at, "GW-1", "", "signal_dbm", float(at)) for at in (5, 3, 9, 1, 7)])
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 3)
    sender = InfluxTelemetry(influx, influx.settings.telemetry_bucket)
    assert sender.forward(database) == 3
    assert [point[4] for point in points(influxd, influx)] == [1, 3, 5]
    assert (sender.forward(database), sender.forward(database)) == (2, 0)


def test_what_is_not_confirmed_is_kept(database: Database, influx_settings: dict[str, Any]) -> None:
    told(database, (1, "GW-1", "", "battery_v", 3.5))
    away = Influx(influx_section(influx_settings | {"url": f"http://127.0.0.1:{free_port()}"}))
    with pytest.raises(StoreAway):
        InfluxTelemetry(away, "telemetry").forward(database)
    assert unsent(database) == 1
    away.close()
