"""The parts of a site on InfluxDB, put together from its settings. Imported only where InfluxDB is the store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from headend.config import InfluxSettings, Settings
from headend.store.database import Database
from headend.store.influx.connection import Influx
from headend.store.influx.forwarder import Forwarder
from headend.store.influx.reads import InfluxReads
from headend.store.influx.store import InfluxIntervalStore
from headend.store.influx.telemetry import InfluxTelemetry


def interval_store(settings: InfluxSettings, clock: Callable[[], datetime]) -> InfluxIntervalStore:
    """The interval store; no connection is made before somebody asks for an old day."""
    return InfluxIntervalStore(InfluxReads(Influx(settings), settings.reads_bucket), clock)


def forwarder(settings: Settings, database: Database, clock: Callable[[], datetime]) -> Forwarder:
    """What sends InfluxDB the reads and the telemetry that it lacks."""
    influx = Influx(settings.influx)
    return Forwarder(
        database,
        InfluxReads(influx, settings.influx.reads_bucket),
        InfluxTelemetry(influx, settings.influx.telemetry_bucket),
        every_s=settings.influx.forward_every_ms / 1_000,
        recent_days=settings.store.recent_days,
        given_up_s=5 * settings.influx.timeout_s,
        clock=clock,
    )
