"""Reads as pages and API show them: one channel over a stretch of time, by interval, hour or local day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from headend.monitor.lag import Behind, behind
from headend.reads.channels import Channel
from headend.reads.days import DAY_S, HOUR_S, Period, day_number, day_of, local_seconds, midnight, seconds
from headend.reads.quality import IS_ESTIMATED, Quality
from headend.registry.registry import EnrolledChannel, agreements, channels_of
from headend.site import Site
from headend.store import tables as t
from headend.store.intervals import IntervalStore

Int64s = NDArray[np.int64]
Bytes = NDArray[np.uint8]

_LOOKED_BACK_DAYS = 365


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """One channel's intervals, from `start_s` on without a hole.

    Parameters
    ----------
    interval_s
        length of an interval [s].
    start_s
        begin of the first, UTC [s since 1970].
    values
        base units (n,); 0 where missing.
    quality, version
        `Quality`, and how often a value was stored (n,).
    """

    meter: str
    channel: Channel
    interval_s: int
    start_s: int
    values: Int64s
    quality: Bytes
    version: Bytes

    def __len__(self) -> int:
        return len(self.values)

    @property
    def starts_s(self) -> Int64s:
        """Begin of every interval, UTC [s since 1970] (n,)."""
        return self.start_s + self.interval_s * np.arange(len(self), dtype=np.int64)

    @property
    def end_s(self) -> int:
        """End of the last interval, UTC [s since 1970]."""
        return self.start_s + self.interval_s * len(self)


@dataclass(frozen=True, slots=True, eq=False)
class DailyUse:
    """Use by local day.

    Parameters
    ----------
    measured, estimated
        base units of each day (n,).
    present, missing
        intervals with and without a value (n,).
    """

    days: tuple[date, ...]
    measured: Int64s
    estimated: Int64s
    present: Int64s
    missing: Int64s


@dataclass(frozen=True, slots=True)
class Holding:
    """A stretch of time in which an account may see a channel: its agreement and the meter's installation overlap.

    Parameters
    ----------
    start_s, end_s
        UTC [s since 1970]; an open end is far in the future.
    """

    channel: EnrolledChannel
    start_s: int
    end_s: int


def over_by(channel: EnrolledChannel, now_s: int) -> int:
    """End of the channel's last interval that is over [s since 1970]: one that still runs is not missing."""
    return now_s // channel.interval_s * channel.interval_s


def readings(tx: Connection, store: IntervalStore, channel: EnrolledChannel, start_s: int, end_s: int) -> Readings:
    """The channel's intervals over [start_s, end_s), widened to whole intervals."""
    interval_s = channel.interval_s
    start_s, end_s = start_s // interval_s * interval_s, -(-end_s // interval_s) * interval_s
    first_day = start_s // DAY_S
    keys = [(day, channel.meter, channel.channel.code) for day in range(first_day, -(-end_s // DAY_S))]
    blocks = store.load(tx, keys, interval_s)
    first = (start_s - first_day * DAY_S) // interval_s
    cut = slice(first, first + (end_s - start_s) // interval_s)
    return Readings(
        channel.meter_name,
        channel.channel,
        interval_s,
        start_s,
        blocks.values.reshape(-1)[cut],
        blocks.quality.reshape(-1)[cut],
        blocks.version.reshape(-1)[cut],
    )


def by_hour(reads: Readings) -> Readings:
    """Shorter intervals summed to hours; an hour is as good as its worst part, and missing where a part is missing."""
    per_hour = HOUR_S // reads.interval_s
    if per_hour <= 1:
        return reads
    lead = reads.start_s % HOUR_S // reads.interval_s
    tail = -(lead + len(reads)) % per_hour
    parts = np.pad(reads.quality, (lead, tail)).reshape(-1, per_hour)
    missing = (parts == Quality.MISSING).any(axis=1)
    quality = np.where(missing, np.uint8(Quality.MISSING), parts.max(axis=1, initial=0))
    values = np.pad(reads.values, (lead, tail)).reshape(-1, per_hour).sum(axis=1)
    version = np.pad(reads.version, (lead, tail)).reshape(-1, per_hour).max(axis=1, initial=0)
    return replace(
        reads,
        interval_s=HOUR_S,
        start_s=reads.start_s // HOUR_S * HOUR_S,
        values=np.where(missing, 0, values),
        quality=quality,
        version=version,
    )


def by_day(reads: Readings, period: Period) -> DailyUse:
    """Reads by the local days of a period; days without reads of theirs stay zero."""
    first = day_number(period.first)
    place = local_seconds(reads.start_s, len(reads), reads.interval_s, period.zone) // DAY_S - first
    inside = (place >= 0) & (place < period.days)
    estimated, missing = IS_ESTIMATED[reads.quality], reads.quality == Quality.MISSING
    ones = np.ones(len(reads), np.int64)

    def summed(what: Int64s, where: NDArray[np.bool_]) -> Int64s:
        total = np.zeros(period.days, np.int64)
        np.add.at(total, place[inside & where], what[inside & where])
        return total

    return DailyUse(
        tuple(day_of(first + number) for number in range(period.days)),
        summed(reads.values, ~estimated & ~missing),
        summed(reads.values, estimated),
        summed(ones, ~missing),
        summed(ones, missing),
    )


def on_the_way(tx: Connection, site: Site, channel: EnrolledChannel, end_s: int) -> Behind | None:
    """How far processing is behind, if the channel's intervals up to `end_s` [s since 1970] may be in what waits."""
    lag = behind(tx, site)
    # What came then told of the interval that had just ended, if of nothing older.
    return lag if lag is not None and end_s >= over_by(channel, seconds(lag.since)) else None


def last_read_s(tx: Connection, store: IntervalStore, channels: Sequence[EnrolledChannel], now_s: int) -> int | None:
    """End of the newest measured interval, up to now, looked for over a year; None where there is none."""
    keys = [(channel.meter, channel.channel.code) for channel in channels]
    newest = store.latest(tx, keys, now_s - _LOOKED_BACK_DAYS * DAY_S, now_s)
    return max((read.end_s for read in newest.values()), default=None)


def holdings(tx: Connection, account: str) -> list[Holding]:
    """What an account may see, by meter and channel; agreements that follow one another are one stretch."""
    stretches: dict[tuple[str, int], list[Holding]] = {}
    i = t.installation.c
    for agreement in agreements(tx, account=account):
        zone = ZoneInfo(agreement.timezone)
        since = seconds(midnight(agreement.valid_from, zone))
        until = seconds(midnight(agreement.valid_to, zone)) if agreement.valid_to else FOREVER_S
        query = (
            select(t.meter.c.name, i.installed_s, i.removed_s)
            .join(t.meter, t.meter.c.id == i.meter_id)
            .where(i.usage_point_id == agreement.usage_point, t.meter.c.commodity == agreement.commodity)
        )
        for name, installed_s, removed_s in tx.execute(query):
            start, end = max(since, installed_s), min(until, removed_s or FOREVER_S)
            if start >= end:
                continue
            for channel in channels_of(tx, name):
                stretches.setdefault((name, channel.channel.code), []).append(Holding(channel, start, end))
    return [joined for held in stretches.values() for joined in _joined(held)]


#: "No end": 9999 in seconds since 1970, which every clock and format here can still write.
FOREVER_S = 253_370_764_800


def _joined(held: list[Holding]) -> list[Holding]:
    held = sorted(held, key=lambda holding: holding.start_s)
    joined = held[:1]
    for holding in held[1:]:
        if holding.start_s <= joined[-1].end_s:
            joined[-1] = replace(joined[-1], end_s=max(joined[-1].end_s, holding.end_s))
        else:
            joined.append(holding)
    return joined
