"""Rows of day blocks, found in the way that is quickest for as many as are wanted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

from headend.store.bulk import BINARY, SCAN_FROM, meters_between, rows_at
from headend.store.intervals import BlockKey, ChannelKey
from headend.store.tables import day_block

# What load profiles are made of. The driver has the types already: to have SQLAlchemy look at every value, or make rows
# with names, would cost as much again; and each column a tenth, so what is known already is not asked for.
_COLUMNS = "meter, reads, quality, flags, register"

# Counted from the end: the quality of a row of day blocks, the reads of one over days. Both are empty at once.
_SAID = -4


def rows_with(tx: Connection, keys: Sequence[BlockKey], interval_s: int) -> list[Any]:
    """The rows of these keys that have this interval length, in any order."""
    return [row for row in rows_at(tx, day_block, keys) if row.interval_s == interval_s]


def is_here(row: Any) -> bool:
    """Whether the reads of a row are in it, and not in InfluxDB alone."""
    return len(row[_SAID]) > 0


def rows_over(
    tx: Connection, channels: Sequence[ChannelKey], days: range, interval_s: int
) -> Iterator[tuple[int, int, Sequence[Any]]]:
    """The rows of these channels over these days: day, channel, and what of it is there.

    The rows are of meter, reads, quality, flags and registers; rows of other meters may be among them.
    """
    between = meters_between(channels)
    if between is None:
        # A day at a time, where many are wanted.
        for some in [days] if len(channels) < SCAN_FROM else [[day] for day in days]:
            found: dict[tuple[int, int], list[tuple[Any, ...]]] = defaultdict(list)
            for row in rows_with(tx, [(day, *channel) for day in some for channel in channels], interval_s):
                found[row.day, row.channel].append((row.meter, row.reads, row.quality, row.flags, row.register))
            for (day, channel), rows in found.items():
                yield day, channel, rows
        return
    for channel in sorted({int(code) for _, code in channels}):
        wanted = f"{between} AND channel = {channel} AND interval_s = {int(interval_s)}"
        for day in days:
            query = f"SELECT {_COLUMNS} FROM {day_block.name} WHERE day = {int(day)} AND {wanted}"
            its = tx.exec_driver_sql(query, execution_options=BINARY)
            yield day, channel, its.cursor.fetchall()
            its.close()
