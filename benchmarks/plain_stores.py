"""The plain ways to keep interval reads: a row a read in SQL; line protocol, points and records in InfluxDB.

They keep the newest value and count its versions, and have no history: less than what they are compared with.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write.point import Point
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.write_precision import WritePrecision
from numpy.typing import NDArray

from benchmarks.month import DAYS, FIRST_DAY, INTERVAL_S, Delivery
from headend.reads.days import DAY_S
from tests.servers import Influxd

_BEGIN_S, _END_S = FIRST_DAY * DAY_S, (FIRST_DAY + DAYS) * DAY_S
_HOURS = DAYS * 24

#: Meter, begin of the interval [s since 1970], value [Wh] and register [Wh] of each read of a stack, as lists.
Columns = tuple[Sequence[int], Sequence[int], Sequence[int], Sequence[int]]


class RowsInSql:
    """A row a read.

    Parameters
    ----------
    connect
        opens a connection of the driver that commits when told.
    mark
        of a parameter in a statement.
    key
        columns of the primary key.
    size
        bytes on disk, of the connection.
    """

    def __init__(self, connect: Callable[[], Any], mark: str, key: str, size: Callable[[Any], int]) -> None:
        self._connection, self._mark, self._size = connect(), mark, size
        self._cursor = self._connection.cursor()
        rowid = " WITHOUT ROWID" if mark == "?" else ""
        self._cursor.execute(
            "CREATE TABLE interval_read (meter BIGINT NOT NULL, start_s BIGINT NOT NULL, value BIGINT NOT NULL,"
            f" quality SMALLINT NOT NULL, version SMALLINT NOT NULL, register BIGINT, PRIMARY KEY ({key})){rowid}"
        )
        self._connection.commit()

    def write(self, delivery: Delivery) -> None:
        """All of it in one durable transaction."""
        register = [None if value < 0 else value for value in delivery.register.tolist()]
        rows = zip(delivery.meter.tolist(), delivery.start_s.tolist(), delivery.values.tolist(), register, strict=True)
        self._cursor.executemany(
            f"INSERT INTO interval_read VALUES ({self._mark}, {self._mark}, {self._mark}, 1, 1, {self._mark})"
            " ON CONFLICT (meter, start_s) DO UPDATE SET value = excluded.value, register = excluded.register,"
            " version = interval_read.version + 1 WHERE interval_read.value <> excluded.value",
            list(rows),
        )
        self._connection.commit()

    def month(self, meters: int) -> NDArray[np.int64]:
        """All meters' values side by side (meters, hours)."""
        found = self._rows(
            "SELECT meter, start_s, value, quality FROM interval_read WHERE start_s >= {0} AND start_s < {0}"
        )
        table = np.array(found, dtype=np.int64)
        values = np.zeros((meters, _HOURS), dtype=np.int64)
        values[table[:, 0] - 1, (table[:, 1] - _BEGIN_S) // INTERVAL_S] = table[:, 2]
        return values

    def meter_month(self, meter: int) -> int:
        """One meter's month; how many reads that were."""
        query = (
            "SELECT start_s, value, quality FROM interval_read WHERE start_s >= {0} AND start_s < {0} AND meter = {0}"
        )
        return len(self._rows(query, meter))

    def latest(self) -> int:
        """The newest read of each meter; of how many there is one."""
        query = "SELECT meter, max(start_s) FROM interval_read WHERE start_s >= {0} AND start_s < {0} GROUP BY meter"
        return len(self._rows(query))

    def size(self) -> int:
        """Bytes on disk."""
        return self._size(self._connection)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _rows(self, query: str, *more: int) -> list[Any]:
        self._cursor.execute(query.format(self._mark), (_BEGIN_S, _END_S, *more))
        return list(self._cursor.fetchall())


def rows_in_sqlite(file: Path, key: str) -> RowsInSql:
    """… with the settings the head-end has."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(file)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-65536"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    return RowsInSql(connect, "?", key, lambda _: file.stat().st_size)


def rows_in_postgresql(url: str, key: str) -> RowsInSql:
    """… through psycopg, which sends the rows of a statement without waiting for each."""

    def size(connection: psycopg.Connection) -> int:
        row = connection.execute("SELECT pg_total_relation_size('interval_read')").fetchone()
        return int(row[0]) if row else 0

    return RowsInSql(lambda: psycopg.connect(url.replace("+psycopg", "")), "%s", key, size)


class PlainInflux:
    """The same server, bucket by bucket, with what its client library and HTTP offer."""

    def __init__(self, server: Influxd, connections: int) -> None:
        self._server, self._connections = server, connections
        self._pool = urllib3.PoolManager(maxsize=connections, retries=False, timeout=60)

    def write_bodies(self, bucket: str, bodies: Iterable[bytes], *, gzip: bool) -> None:
        """Send what is made already, compressed already, over as many connections; all confirmed on return."""
        path = f"{self._server.url}/api/v2/write?org={self._server.ORG}&bucket={bucket}&precision=s"
        headers = {"Authorization": f"Token {self._server.TOKEN}", "Content-Type": "text/plain"}
        if gzip:
            headers["Content-Encoding"] = "gzip"

        def send(body: bytes) -> None:
            answer = self._pool.request("POST", path, body=body, headers=headers)
            assert answer.status == 204, answer.data

        with ThreadPoolExecutor(self._connections) as threads:
            list(threads.map(send, bodies))

    def write_points(self, bucket: str, columns: Columns, portion: int) -> None:
        """As Point objects through the client library, confirmed."""
        with (
            InfluxDBClient(self._server.url, self._server.TOKEN, org=self._server.ORG) as client,
            closing(client.write_api(write_options=SYNCHRONOUS)) as api,
            ThreadPoolExecutor(self._connections) as threads,
        ):
            meters, starts, values, registers = columns

            def send(first: int) -> None:
                points = [
                    Point("reads")
                    .tag("meter", f"E-{meter:05}")
                    .tag("channel", "1-0:1.8.0")
                    .field("value", value)
                    .field("quality", 2)
                    .field("version", 1)
                    .field("flags", 0)
                    .field("register", register)
                    .time(start, WritePrecision.S)
                    for meter, start, value, register in zip(
                        *(column[first : first + portion] for column in (meters, starts, values, registers)),
                        strict=True,
                    )
                ]
                api.write(bucket, record=points, write_precision=WritePrecision.S)

            list(threads.map(send, range(0, len(meters), portion)))

    def records(self, bucket: str, meters: int) -> NDArray[np.int64]:
        """Values of the first so many meters' month out of FluxRecord objects (meters, hours)."""
        names = "|".join(f"E-{meter:05}" for meter in range(1, meters + 1))
        flux = (
            f'from(bucket: "{bucket}") |> range(start: {_BEGIN_S}, stop: {_END_S})'
            f' |> filter(fn: (r) => r._measurement == "reads" and r._field == "value" and r.meter =~ /^({names})$/)'
        )
        values = np.zeros((meters, _HOURS), dtype=np.int64)
        with InfluxDBClient(self._server.url, self._server.TOKEN, org=self._server.ORG, timeout=600_000) as client:
            for record in client.query_api().query_stream(flux):
                hour = (int(record.get_time().timestamp()) - _BEGIN_S) // INTERVAL_S
                values[int(record["meter"][2:]) - 1, hour] = record.get_value()
        return values


def bodies_of(columns: Columns, portion: int, *, gzip: bool) -> list[bytes]:
    """Line protocol of the same points and fields, made before the clock runs."""
    lines = [
        f"reads,channel=1-0:1.8.0,meter=E-{meter:05}"
        f" value={value}i,quality=2i,version=1i,flags=0i,register={register}i {start}"
        for meter, start, value, register in zip(*columns, strict=True)
    ]
    bodies = ["\n".join(lines[first : first + portion]).encode() for first in range(0, len(lines), portion)]
    return [zlib.compress(body, 1, 16 + zlib.MAX_WBITS) for body in bodies] if gzip else bodies
