"""Rows of day blocks, found in the way that is quickest for as many as are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

from headend.store.bulk import BINARY, SCAN_FROM, meters_between, rows_at
from headend.store.intervals import BlockKey, ChannelKey
from headend.store.tables import day_block

# What a block is made of; how complete it is can be left out. The driver has the types already: to have SQLAlchemy look
# at every value would cost as much again.
_COLUMNS = "day, meter, channel, reads, quality, version, flags, register"


# Counted from the end, where all rows of day blocks are alike.
_QUALITY = -4


def rows_with(tx: Connection, keys: Sequence[BlockKey], interval_s: int) -> list[Any]:
    """The rows of these keys that have this interval length, in any order."""
    return [row for row in rows_at(tx, day_block, keys) if row.interval_s == interval_s]


def is_here(row: Any) -> bool:
    """Whether the reads of a row are in it, and not in InfluxDB alone."""
    return len(row[_QUALITY]) > 0


def rows_over(tx: Connection, channels: Sequence[ChannelKey], days: range, interval_s: int) -> Iterator[Sequence[Any]]:
    """The rows of these channels over these days, in portions; rows of other channels may be among them.

    They begin with the key, and end with what blocks are made of.
    """
    between = meters_between(channels)
    if between is None:
        # A day at a time, where many are wanted.
        for some in [days] if len(channels) < SCAN_FROM else [[day] for day in days]:
            yield rows_with(tx, [(day, meter, channel) for day in some for meter, channel in channels], interval_s)
        return
    wanted = f"{between} AND interval_s = {int(interval_s)}"
    for day in days:
        query = f"SELECT {_COLUMNS} FROM {day_block.name} WHERE day = {int(day)} AND {wanted}"
        # The driver's own tuples: to make rows with names of them would cost a tenth more.
        found = tx.exec_driver_sql(query, execution_options=BINARY)
        yield found.cursor.fetchall()
        found.close()
