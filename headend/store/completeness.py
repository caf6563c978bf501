"""What the site database knows of every day block, wherever its reads are: how complete it is, and whether closed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, case, func, select

from headend.reads.days import DAY_S
from headend.store.bulk import KEYS_A_QUERY, portions
from headend.store.intervals import BlockKey, ChannelDay, ChannelKey
from headend.store.tables import day_block, moved_day


def channel_days(tx: Connection, first_day: int, end_day: int) -> Iterable[ChannelDay]:
    """Completeness of every channel-day there is in [first_day, end_day)."""
    b = day_block.c
    query = select(b.day, b.meter, b.channel, b.interval_s, b.present, b.estimated, b.settled).where(
        b.day >= first_day, b.day < end_day
    )
    return [ChannelDay(*row) for row in tx.execute(query)]


@dataclass(frozen=True, slots=True)
class ChannelTotals:
    """One channel's days together.

    Parameters
    ----------
    present, estimated
        intervals with a value, and how many of those are estimates.
    last_day
        the newest day on which not all values are estimates; None: there is none.
    """

    meter: int
    channel: int
    present: int
    estimated: int
    last_day: int | None


def channel_totals(tx: Connection, first_day: int, end_day: int) -> list[ChannelTotals]:
    """Every channel's days in [first_day, end_day), added up by the database: a fleet's month is a row a channel."""
    b = day_block.c
    last_day = func.max(case((b.present > b.estimated, b.day)))
    query = (
        select(b.meter, b.channel, func.sum(b.present), func.sum(b.estimated), last_day)
        .where(b.day >= first_day, b.day < end_day)
        .group_by(b.meter, b.channel)
    )
    return [ChannelTotals(*row) for row in tx.execute(query).all()]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of how many days one channel has blocks: the first and the last of them, and the first with a value."""

    meter: int
    channel: int
    days: int
    first_day: int
    last_day: int
    first_read: int | None


def coverage(tx: Connection, first_day: int, end_day: int) -> list[Coverage]:
    """Every channel's days in [first_day, end_day), counted by the database."""
    b = day_block.c
    first_read = func.min(case((b.present > 0, b.day)))
    query = (
        select(b.meter, b.channel, func.count(), func.min(b.day), func.max(b.day), first_read)
        .where(b.day >= first_day, b.day < end_day)
        .group_by(b.meter, b.channel)
    )
    return [Coverage(*row) for row in tx.execute(query).all()]


def days_of(
    tx: Connection, channels: Collection[ChannelKey], first_day: int, end_day: int
) -> dict[ChannelKey, set[int]]:
    """The days in [first_day, end_day) of which these channels have blocks."""
    b = day_block.c
    query = select(b.day, b.meter, b.channel).where(b.day >= first_day, b.day < end_day)
    meters = sorted({meter for meter, _ in channels})
    if len(meters) <= KEYS_A_QUERY:
        query = query.where(b.meter.in_(meters))
    days: dict[ChannelKey, set[int]] = {key: set() for key in channels}
    for day, meter, channel in tx.execute(query).all():
        if (its := days.get((meter, channel))) is not None:
            its.add(day)
    return days


def whole_days_of(
    tx: Connection, channels: Collection[ChannelKey], first_day: int, end_day: int
) -> dict[ChannelKey, set[int]]:
    """The days in [first_day, end_day) of which these channels have every interval, and that validation has closed."""
    b = day_block.c
    query = select(b.day, b.meter, b.channel).where(
        b.day >= first_day, b.day < end_day, b.settled, b.present * b.interval_s == DAY_S
    )
    meters = sorted({meter for meter, _ in channels})
    days: dict[ChannelKey, set[int]] = {key: set() for key in channels}
    for some in portions(meters):
        for day, meter, channel in tx.execute(query.where(b.meter.in_(some))).all():
            if (its := days.get((meter, channel))) is not None:
                its.add(day)
    return days


def open_days(tx: Connection, before_day: int) -> list[BlockKey]:
    """Keys of blocks before `before_day` that validation has not closed."""
    b = day_block.c
    query = select(b.day, b.meter, b.channel).where(b.settled.is_(False), b.day < before_day)
    return [(row.day, row.meter, row.channel) for row in tx.execute(query)]


def open_days_of(tx: Connection, channels: Collection[ChannelKey], before_day: int) -> list[BlockKey]:
    """The same, of these channels."""
    b = day_block.c
    query = select(b.day, b.meter, b.channel).where(b.settled.is_(False), b.day < before_day)
    meters = sorted({meter for meter, _ in channels})
    return [
        (row.day, row.meter, row.channel)
        for some in portions(meters)
        for row in tx.execute(query.where(b.meter.in_(some)))
        if (row.meter, row.channel) in channels
    ]


def days_there_are(tx: Connection) -> Iterator[int]:
    """Every day of which there is a block, oldest first: one look into the index for each."""
    oldest = select(func.min(day_block.c.day))
    day = tx.execute(oldest).scalar()
    while day is not None:
        yield day
        day = tx.execute(oldest.where(day_block.c.day > day)).scalar()


def days_that_came_back(tx: Connection) -> set[int]:
    """Days that InfluxDB alone had, and of which late reads have come here since."""
    b = day_block.c
    moved = select(moved_day.c.day)
    return set(tx.execute(select(b.day).where(b.day.in_(moved), func.length(b.quality) > 0).distinct()).scalars())
