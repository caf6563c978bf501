"""What the site database knows of every day block, wherever its reads are: how complete it is, and whether closed."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from headend.store.intervals import BlockKey, ChannelDay
from headend.store.tables import day_block


def channel_days(tx: Connection, first_day: int, end_day: int) -> Iterable[ChannelDay]:
    """Completeness of every channel-day there is in [first_day, end_day)."""
    b = day_block.c
    query = select(b.day, b.meter, b.channel, b.interval_s, b.present, b.estimated, b.settled).where(
        b.day >= first_day, b.day < end_day
    )
    return [ChannelDay(*row) for row in tx.execute(query)]


def open_days(tx: Connection, before_day: int) -> list[BlockKey]:
    """Keys of blocks before `before_day` that validation has not closed."""
    b = day_block.c
    query = select(b.day, b.meter, b.channel).where(b.settled.is_(False), b.day < before_day)
    return [(row.day, row.meter, row.channel) for row in tx.execute(query)]
