"""Interval stores side by side with the plain ways: reads in, a month of everybody out, one meter's month, size.

A month of hourly reads, an hour of all meters a transaction or a day of all a transaction, each durable when it is
counted; what is taken in is merged and its history kept as intake does it. PostgreSQL commits to disk. InfluxDB is told
what a site database holds, and answers for days that it alone has. Clients and servers share the machine.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection

from benchmarks.month import CHANNEL, DAYS, FIRST_DAY, INTERVAL_S, Delivery, Month
from benchmarks.plain_stores import (
    Columns,
    PlainInflux,
    RowsInSql,
    bodies_of,
    rows_in_postgresql,
    rows_in_sqlite,
)
from benchmarks.table import show
from headend.config import Settings, load_settings
from headend.reads import Blocks, Quality
from headend.reads.blocks import contested, merge
from headend.reads.days import DAY_S, day_of
from headend.store import history
from headend.store.bulk import insert_rows
from headend.store.database import Database
from headend.store.influx.connection import Influx
from headend.store.influx.parts import forwarder, interval_store
from headend.store.influx.reads import InfluxReads
from headend.store.intervals import IntervalStore
from headend.store.sql import SqlIntervalStore
from headend.store.tables import meter
from headend.store.unsent import backlog
from tests.servers import Influxd, Postgres

_BEGIN_S, _END_S = FIRST_DAY * DAY_S, (FIRST_DAY + DAYS) * DAY_S
_NOW = datetime.combine(day_of(FIRST_DAY + DAYS), datetime.min.time(), UTC)
_SCANS, _LOOK_UPS, _LATEST = 5, 200, 5
_PATIENCE_S = 10


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: meters, hours that come one by one, meters whose month becomes records, points made."""

    meters: int
    hours: int
    records_of: int
    points: int


class Stored:
    """A month in a store of ours: how fast it goes in and comes out."""

    def __init__(self, database: Database, store: IntervalStore, month: Month) -> None:
        self._database, self._store, self._month = database, store, month
        self._look_ups = np.random.default_rng(5)
        with database.write() as tx:
            insert_rows(tx, meter, [(n, f"E-{n:05}", "electricity", None) for n in range(1, month.meters + 1)])

    def write(self, delivery: Delivery) -> None:
        """One transaction."""
        with self._database.write() as tx:
            for incoming in delivery.blocks():
                take_in(tx, self._store, incoming)

    def month(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Everybody's values, for billing (meters, hours)."""
        with self._database.read() as tx:
            return self._store.profiles(tx, self._month.channels, _BEGIN_S, _END_S, INTERVAL_S).values

    def meter_month(self) -> int:
        """Of any meter; how many reads."""
        key = int(self._look_ups.integers(1, self._month.meters + 1)), CHANNEL
        with self._database.read() as tx:
            return int((self._store.profiles(tx, [key], _BEGIN_S, _END_S, INTERVAL_S).quality[0] > 0).sum())

    def latest(self) -> int:
        """Of all meters; of how many there is one."""
        with self._database.read() as tx:
            return len(self._store.latest(tx, self._month.channels, _BEGIN_S, _END_S))


def take_in(tx: Connection, store: IntervalStore, incoming: Blocks) -> None:
    """Reads that arrive, as intake puts them into the store."""
    stored = store.load(tx, incoming.keys, incoming.interval_s)
    merged = merge(stored, incoming, history.holds(tx, incoming, contested(stored, incoming)))
    history.keep(tx, stored, merged.replaced, by="journal", now=_NOW)
    changed = merged.stored | merged.replaced | (merged.blocks.register != stored.register)
    touched = changed.any(axis=1)
    store.save(tx, merged.blocks.take(touched), changed[touched], settled=False)


@dataclass(frozen=True, slots=True)
class Reading:
    """Figures of one way to read: reads/s, ms, ms, ms, bytes a read; nan where it was not measured."""

    scan: float
    p50_ms: float
    p99_ms: float
    latest_ms: float
    size: float


def reading(
    month: Month,
    scan: Callable[[], Any],
    meter_month: Callable[[], int],
    latest: Callable[[], int],
    size: float,
) -> Reading:
    """Measured, and what comes out compared with what went in."""
    assert np.array_equal(scan(), month.values)
    scans = repeated(scan, _SCANS)
    assert meter_month() == month.values.shape[1]
    one = sorted(repeated(meter_month, _LOOK_UPS))
    assert latest() == month.meters
    newest = statistics.median(repeated(latest, _LATEST))
    return Reading(
        month.reads / statistics.median(scans),
        1_000 * one[len(one) // 2],
        1_000 * one[int(0.99 * len(one))],
        1_000 * newest,
        size / month.reads,
    )


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def repeated(work: Callable[[], object], times: int) -> list[float]:
    """How long it takes each time; not all of the times where that would take too long."""
    until = time.perf_counter() + _PATIENCE_S
    took = [seconds(work)]
    while len(took) < times and time.perf_counter() < until:
        took.append(seconds(work))
    return took


def rate(write: Callable[[Delivery], None], deliveries: Iterable[Delivery]) -> float:
    """Reads a second over transactions, those of reads that came twice included."""
    ready = list(deliveries)
    took = seconds(lambda: [write(delivery) for delivery in ready])
    return sum(map(len, ready)) / took


def sql_stores(month: Month, size: Size, folder: Path, server: Postgres) -> tuple[dict[str, Any], dict[str, Any]]:
    """SQLite and PostgreSQL, day blocks and rows: rates of both kinds of writing, and readings."""
    writing: dict[str, tuple[float, float]] = {}
    readings: dict[str, Reading] = {}
    for name, url in (("SQLite", f"sqlite:///{folder}/"), ("PostgreSQL", "")):

        def blocks(of: str, url: str = url) -> Database:
            return Database(f"{url}{of}.db" if url else server.url(server.fresh_database()), "site")

        database = blocks("hours")
        hourly = rate(Stored(database, SqlIntervalStore(), month).write, islice(month.by_the_hour(), size.hours))
        database.close()
        database = blocks("days")
        empty, stored = size_of(database), Stored(database, SqlIntervalStore(), month)
        writing[f"{name}, day blocks"] = hourly, rate(stored.write, month.by_the_day())
        readings[f"{name}, day blocks"] = reading(
            month, stored.month, stored.meter_month, stored.latest, size_of(database) - empty
        )
        database.close()
        # PostgreSQL finds its way in both kinds of key alike.
        for key in ("meter, start_s", "start_s, meter") if name == "SQLite" else ("meter, start_s",):
            way = f"{name}, row a read, key ({key.replace('start_s', 'time')})"

            def rows(of: str, name: str = name, key: str = key) -> RowsInSql:
                if name == "SQLite":
                    return rows_in_sqlite(folder / f"{of}.db", key)
                return rows_in_postgresql(server.url(server.fresh_database()), key)

            plain = rows(f"hourly-{key[0]}")
            hourly = rate(plain.write, islice(month.by_the_hour(), size.hours))
            plain.close()
            plain = rows(f"daily-{key[0]}")
            writing[way] = hourly, rate(plain.write, month.by_the_day())
            numbers = cycle(range(1, month.meters + 1, 7))
            readings[way] = reading(
                month,
                lambda plain=plain: plain.month(month.meters),
                lambda plain=plain, numbers=numbers: plain.meter_month(next(numbers)),
                plain.latest,
                plain.size(),
            )
            plain.close()
    return writing, readings


def size_of(database: Database) -> int:
    """Bytes of the site database's blocks on disk."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if database.engine.dialect.name != "sqlite":
            return int(connection.exec_driver_sql("SELECT pg_total_relation_size('day_block')").scalar_one())
    raw = database.engine.raw_connection()
    try:
        pages, page = (raw.cursor().execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
        return int(pages * page)
    finally:
        raw.close()


class InfluxMonth:
    """A month in InfluxDB, and the site that it was let go of."""

    def __init__(self, month: Month, folder: Path, server: Influxd) -> None:
        self._month, self._server = month, server
        self.settings = settings_for(server, folder)
        self.database = Database(f"sqlite:///{folder / 'influx.db'}", "site")
        self.names: Mapping[int, str] = {n: f"E-{n:05}" for n in range(1, month.meters + 1)}
        self.stored = Stored(self.database, interval_store(self.settings.influx, lambda: _NOW), month)

    def days(self) -> Iterator[Blocks]:
        """The month's days of all meters, as they are after settlement."""
        meters, channels = np.array(self._month.channels).T
        for day in range(DAYS):
            hours = slice(24 * day, 24 * (day + 1))
            values, register = self._month.values[:, hours], self._month.register[:, hours]
            quality = np.full(values.shape, Quality.VALIDATED, np.uint8)
            numbers = np.full(len(meters), FIRST_DAY + day)
            nothing, once = np.zeros_like(quality), np.ones_like(quality)
            yield Blocks(INTERVAL_S, meters, channels, numbers, values, quality, nothing, once, register)

    def write_side_by_side(self, points: int) -> dict[str, list[float]]:
        """Reads/s of our path and the plain ones, one after the other day by day, each into a bucket of its own."""
        plain = PlainInflux(self._server, self.settings.influx.connections)
        portion = self.settings.influx.points_a_request
        bodies_bucket, points_bucket = self._server.fresh_bucket("plain"), self._server.fresh_bucket("points")
        packed_bucket, ours_packed_bucket = self._server.fresh_bucket("plain"), self._server.fresh_bucket("ours")
        packed = self.settings.influx.model_copy(update={"gzip": True, "reads_bucket": ours_packed_bucket})
        unpacked = self.settings.influx.model_copy(update={"gzip": False})
        ours = InfluxReads(Influx(unpacked), unpacked.reads_bucket)
        ours_packed = InfluxReads(Influx(packed), packed.reads_bucket)
        found: dict[str, list[float]] = {}
        for blocks in self.days():
            columns = columns_of(blocks)
            count, every = blocks.values.size, np.ones(blocks.values.shape, np.bool_)
            some: Columns = tuple(column[:points] for column in columns)  # type: ignore[assignment]
            bodies = bodies_of(columns, portion, gzip=False)
            packed_bodies = bodies_of(columns, portion, gzip=True)
            for name, work, n in (
                ("head-end", lambda b=blocks, e=every: ours.write(b, e, self.names), count),
                ("plain", lambda bodies=bodies: plain.write_bodies(bodies_bucket, bodies, gzip=False), count),
                ("points", lambda some=some: plain.write_points(points_bucket, some, portion), len(some[0])),
                ("head-end, gzip", lambda b=blocks, e=every: ours_packed.write(b, e, self.names), count),
                ("plain, gzip", lambda b=packed_bodies: plain.write_bodies(packed_bucket, b, gzip=True), count),
            ):
                found.setdefault(name, []).append(n / seconds(work))
            with self.database.write() as tx:
                SqlIntervalStore().save(tx, blocks, every, settled=True)
        return found

    def let_go(self) -> float:
        """Reads/s that are read back, compared and let go of, until InfluxDB alone has them."""
        site = forwarder(self.settings, self.database, lambda: _NOW + timedelta(days=400))
        took = seconds(lambda: setattr(self, "emptied", site.let_go()))
        assert self.emptied == self._month.meters * DAYS, self.emptied
        return self._month.reads / took

    emptied = 0

    def records(self, meters: int) -> float:
        """Reads/s of so many meters' month as the client library's records."""
        plain = PlainInflux(self._server, self.settings.influx.connections)
        bucket = self.settings.influx.reads_bucket
        took = seconds(lambda: plain.records(bucket, meters))
        return meters * DAYS * 24 / took

    def size(self, engine: Path) -> int:
        """Bytes of the bucket's files once the server has put all it holds in memory into them.

        It does that by itself for shards nobody writes to, after minutes and hours; here it is told seconds.
        """
        with Influx(self.settings.influx).client() as client:
            bucket = client.buckets_api().find_bucket_by_name(self.settings.influx.reads_bucket).id
        self._server.stop()
        cold = (
            "--storage-cache-snapshot-write-cold-duration",
            "1s",
            "--storage-compact-full-write-cold-duration",
            "1s",
        )
        self._server._command += cold
        self._server.start()
        size, before, until = -1, -2, time.monotonic() + 300
        waiting = True
        while (waiting or size != before) and time.monotonic() < until:
            time.sleep(3)
            waiting = any(bytes_in(wal) > 0 for wal in (engine / "wal" / bucket).glob("*/*"))
            before, size = size, bytes_in(engine / "data" / bucket)
        return size


def bytes_in(folder: Path) -> int:
    """Of all files below, and of those of series, which all of a bucket's shards share."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def columns_of(blocks: Blocks) -> Columns:
    """Its reads, block after block."""
    meters = np.repeat(blocks.meter, blocks.values.shape[1])
    return (
        meters.tolist(),
        blocks.start_s.ravel().tolist(),
        blocks.values.ravel().tolist(),
        blocks.register.ravel().tolist(),
    )


def settings_for(server: Influxd, folder: Path) -> Settings:
    """A head-end on this server, as shipped."""
    return load_settings(None, {"data": {"directory": str(folder)}, "influx": server.settings()})


def intake_beside(month: Month, folder: Path, server: Influxd) -> dict[str, tuple[float, float, float]]:
    """Reads/s into the site database, InfluxDB being no store, away, or filled at the same time; and of the drain."""
    found: dict[str, tuple[float, float, float]] = {}
    kinds: Mapping[str, Callable[[], Iterable[Delivery]]] = {
        "an hour of all meters at a time": lambda: islice(month.by_the_hour(), 24),
        "a day of all meters at a time": lambda: islice(month.by_the_day(), 2),
    }
    for number, (what, deliveries) in enumerate(kinds.items()):
        rates = []
        for way in ("sql", "away", "beside"):
            database = Database(f"sqlite:///{folder / f'{way}-{number}.db'}", "site")
            settings = settings_for(server, folder)
            store = SqlIntervalStore() if way == "sql" else interval_store(settings.influx, lambda: _NOW)
            stored = Stored(database, store, month)
            site = forwarder(settings, database, lambda: _NOW)
            if way == "beside":
                site.start()
            rates.append(rate(stored.write, deliveries()))
            if way == "beside":
                site.stop()
            if way == "away":
                reads = sum(map(len, deliveries()))
                took = seconds(lambda site=site: drain(site))
                with database.read() as tx:
                    assert backlog(tx).blocks == 0
                drained = reads / took
            database.close()
        found[what] = (rates[0], rates[1], rates[2], drained)
    return found


def drain(site: Any) -> None:
    """Until nothing is unsent."""
    while site.forward():
        pass


@contextmanager
def servers() -> Iterator[tuple[Path, Postgres, Influxd]]:
    """A folder and the servers, which are gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        postgres, influxd = Postgres(durable=True), Influxd(folder)
        try:
            yield folder, postgres, influxd
        finally:
            postgres.stop()
            influxd.kill()
            shutil.rmtree(folder / "engine", ignore_errors=True)


def main(quick: bool = False) -> None:
    """Print the tables."""
    size = Size(1_000, 24, 100, 5_000) if quick else Size(10_000, 72, 1_000, 50_000)
    month = Month(size.meters)
    with servers() as (folder, postgres, influxd):
        writing, readings = sql_stores(month, size, folder, postgres)
        beside = intake_beside(month, folder, influxd)
        influx = InfluxMonth(month, folder, influxd)
        side_by_side = {
            name: statistics.median(rates) for name, rates in influx.write_side_by_side(size.points).items()
        }
        back = influx.let_go()
        stored = influx.stored
        bytes_a_read = influx.size(folder / "engine")
        readings["InfluxDB"] = reading(month, stored.month, stored.meter_month, stored.latest, bytes_a_read)
        records = influx.records(size.records_of)
    many = f"{size.meters:,} meters"
    show(
        f"Interval stores, writing: durable reads/s, {many}, {size.hours} hours or {DAYS} days",
        ("store", "an hour at a time", "a day at once"),
        [(name, f"{hourly:,.0f}", f"{daily:,.0f}") for name, (hourly, daily) in writing.items()],
    )
    show(
        f"Interval stores, reading: a month of {many}",
        ("store", "billing, reads/s", "meter-month p50", "p99", "latest of all", "bytes a read"),
        [
            (
                name,
                f"{found.scan:,.0f}",
                f"{found.p50_ms:.2f} ms",
                f"{found.p99_ms:.2f} ms",
                f"{found.latest_ms:,.0f} ms",
                f"{found.size:.1f}",
            )
            for name, found in readings.items()
        ]
        + [("InfluxDB, the client's records", f"{records:,.0f}", "", "", "", "")],
    )
    show(
        f"InfluxDB, writing: confirmed reads/s of 5 fields, {many}, {influx.settings.influx.connections} connections",
        ("way", "reads/s", "of plain"),
        [
            (name, f"{side_by_side[name]:,.0f}", f"{side_by_side[name] / side_by_side[plain]:.0%}")
            for plain, ways in (
                ("plain", ("plain", "head-end", "points")),
                ("plain, gzip", ("plain, gzip", "head-end, gzip")),
            )
            for name in ways
        ]
        + [("read back, compared and let go of", f"{back:,.0f}", "")],
    )
    show(
        f"InfluxDB as the store: intake and forwarding beside each other, reads/s, {many}",
        ("what arrives", "intake, no InfluxDB", "InfluxDB away", "being filled", "drain"),
        [(what, *(f"{figure:,.0f}" for figure in figures)) for what, figures in beside.items()],
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
