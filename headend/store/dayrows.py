"""Rows of day blocks, found in the way that is quickest for as many as are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, select

from headend.store.bulk import rows_at
from headend.store.intervals import BlockKey, ChannelKey
from headend.store.tables import day_block

# With more channels than this, reading whole days and leaving out the rest beats looking up single keys.
_SCAN_FROM = 64

_BLOCK = select(day_block)


def rows_with(tx: Connection, keys: Sequence[BlockKey], interval_s: int) -> list[Any]:
    """The rows of these keys that have this interval length, in any order."""
    return [row for row in rows_at(tx, day_block, keys) if row.interval_s == interval_s]


def is_here(row: Any) -> bool:
    """Whether the reads of a row are in it, and not in InfluxDB alone."""
    return len(row.quality) > 0


def rows_over(tx: Connection, channels: Sequence[ChannelKey], days: range, interval_s: int) -> Iterator[Sequence[Any]]:
    """The rows of these channels over these days, in portions; rows of other channels may be among them."""
    if len(channels) < _SCAN_FROM:
        yield rows_with(tx, [(day, meter, channel) for day in days for meter, channel in channels], interval_s)
        return
    for day in days:
        yield tx.execute(_BLOCK.where(day_block.c.day == day, day_block.c.interval_s == interval_s)).all()
