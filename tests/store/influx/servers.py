"""A site whose reads go to InfluxDB, step by step, for the tests of the store on InfluxDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert

from headend.config import InfluxSettings, load_settings
from headend.store.database import Database
from headend.store.influx.connection import Influx
from headend.store.influx.forwarder import Forwarder
from headend.store.influx.reads import InfluxReads
from headend.store.influx.store import InfluxIntervalStore
from headend.store.influx.telemetry import InfluxTelemetry
from headend.store.tables import meter


@dataclass(frozen=True)
class Forwarded:
    """The site database, the store on it, and what stands between it and InfluxDB."""

    database: Database
    influx: Influx
    reads: InfluxReads
    store: InfluxIntervalStore
    forwarder: Forwarder

    def forward_all(self) -> None:
        """Until InfluxDB has confirmed everything."""
        while self.forwarder.forward():
            pass


def influx_section(given: Mapping[str, object]) -> InfluxSettings:
    """The shipped settings, but for what is given."""
    return load_settings(None, {"influx": dict(given)}).influx


def with_meters(database: Database, count: int) -> None:
    """Meters 1 to `count` in the registry."""
    with database.write() as tx:
        tx.execute(
            insert(meter), [{"id": i, "name": f"E-{i:03d}", "commodity": "electricity"} for i in range(1, count + 1)]
        )


@contextmanager
def forwarded(
    database: Database, given: Mapping[str, object], *, clock: Callable[[], datetime], recent_days: int = 7
) -> Iterator[Forwarded]:
    """A site on InfluxDB whose forwarder goes only when it is told to."""
    settings = influx_section(given)
    influx = Influx(settings)
    reads = InfluxReads(influx, settings.reads_bucket)
    telemetry = InfluxTelemetry(influx, settings.telemetry_bucket)
    forwarder = Forwarder(database, reads, telemetry, every_s=0.05, recent_days=recent_days, given_up_s=0, clock=clock)
    yield Forwarded(database, influx, reads, InfluxIntervalStore(reads, clock), forwarder)
    influx.close()
