"""Each meter's health: when it was last heard, and how much of what it owed has come.

The day blocks' counts are added up over the whole window; only the window's first day, which a local midnight cuts, and
each channel's last day are opened. If the interval store does not answer, these are done without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from headend.errors import StoreAway, StoreBroken
from headend.reads.blocks import Blocks
from headend.reads.days import DAY_S
from headend.reads.quality import IS_ESTIMATED, IS_MEASURED
from headend.registry.registry import EnrolledChannel, enrolled_channels
from headend.store import tables as t
from headend.store.completeness import channel_totals
from headend.store.intervals import BlockKey, IntervalStore

log = structlog.get_logger(__name__)

#: What was not heard for longer is silent [s].
SILENT_S = DAY_S

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Completeness:
    """What came of what was due.

    Parameters
    ----------
    expected
        intervals that have ended while the channel was in service.
    present, estimated
        how many of those have a value, and how many of these values are estimates.
    """

    expected: int
    present: int
    estimated: int

    @property
    def share(self) -> float | None:
        """Present ÷ expected; None where nothing was due."""
        return self.present / self.expected if self.expected else None

    @property
    def estimated_share(self) -> float | None:
        """Estimated ÷ present; None where nothing is present."""
        return self.estimated / self.present if self.present else None

    @property
    def read_success(self) -> float | None:
        """Reads that came from the meter ÷ reads due."""
        return (self.present - self.estimated) / self.expected if self.expected else None

    def __add__(self, other: Completeness) -> Completeness:
        return Completeness(
            self.expected + other.expected, self.present + other.present, self.estimated + other.estimated
        )


@dataclass(frozen=True, slots=True)
class MeterHealth:
    """One meter, all its channels together.

    Parameters
    ----------
    last_seen_s
        end of its newest measured interval in the window [s since 1970]; None: nothing came.
    findings
        how many warnings and failures validation found in the window.
    """

    meter: str
    commodity: str
    gateway: str | None
    usage_point: str
    last_seen_s: int | None
    completeness: Completeness
    findings: int
    silent: bool


@dataclass(frozen=True, slots=True)
class MeterHealths:
    """All meters' health, by name.

    Parameters
    ----------
    store_away
        the interval store does not answer, or lacks reads that it had: the window begins with its first whole UTC day,
        and of a channel that was heard last on a day that cannot be opened, that day's end stands for its last read's.
    """

    meters: tuple[MeterHealth, ...]
    store_away: bool


def meter_healths(tx: Connection, store: IntervalStore, window_s: tuple[int, int]) -> MeterHealths:
    """Every enrolled meter over [begin, now) [s since 1970]."""
    channels = enrolled_channels(tx)
    counted = _counted(tx, store, channels, *window_s)
    return MeterHealths(_meters(channels, counted, _findings(tx, window_s[0]), window_s[1]), counted.store_away)


def completeness(meters: Iterable[MeterHealth]) -> Completeness:
    """Of several meters together."""
    return sum((meter.completeness for meter in meters), start=Completeness(0, 0, 0))


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """Per enrolled channel (k,)."""

    expected: Int64s
    present: Int64s
    estimated: Int64s
    last_end_s: Int64s  # 0: nothing measured
    store_away: bool


def _counted(
    tx: Connection, store: IntervalStore, channels: Sequence[EnrolledChannel], start_s: int, now_s: int
) -> _Counted:
    k = len(channels)
    first_day, end_day = -(-start_s // DAY_S), now_s // DAY_S + 1
    row_of = {(c.meter, c.channel.code): row for row, c in enumerate(channels)}
    present, estimated, last_day = np.zeros(k, np.int64), np.zeros(k, np.int64), np.full(k, -1)
    for found in channel_totals(tx, first_day, end_day):
        row = row_of.get((found.meter, found.channel))
        if row is not None:
            present[row], estimated[row] = found.present, found.estimated
            last_day[row] = -1 if found.last_day is None else found.last_day
    last_end, starts, away = np.zeros(k, np.int64), np.full(k, start_s), False
    for interval_s in {channel.interval_s for channel in channels}:
        rows = np.array([row for row, channel in enumerate(channels) if channel.interval_s == interval_s])
        heard = rows[last_day[rows] >= 0]
        last_end[heard], closed = _last_ends(tx, store, _keys(channels, heard, last_day[heard]), interval_s)
        edge = (
            None if closed else _edge(tx, store, _keys(channels, rows, np.full(len(rows), first_day - 1)), interval_s)
        )
        if edge is None:
            starts[rows], away = first_day * DAY_S, True
            continue
        inside = edge.start_s >= start_s
        present[rows] += (edge.present & inside).sum(axis=1)
        estimated[rows] += (IS_ESTIMATED[edge.quality] & inside).sum(axis=1)
        last_end[rows] = np.maximum(last_end[rows], _last_end(edge, inside))
    return _Counted(_expected(channels, starts, now_s), present, estimated, last_end, away)


def _edge(tx: Connection, store: IntervalStore, keys: Sequence[BlockKey], interval_s: int) -> Blocks | None:
    """The day that the window's begin cuts; None where the store does not answer, or lacks some of it."""
    try:
        return store.load(tx, keys, interval_s)
    except StoreAway:
        return None
    except StoreBroken as broken:
        log.warning("older days cannot be looked at", reason=str(broken))
        return None


def _last_ends(tx: Connection, store: IntervalStore, keys: Sequence[BlockKey], interval_s: int) -> tuple[Int64s, bool]:
    """Ends of the last measured intervals of these days [s since 1970] (k,); whether some could not be opened."""
    try:
        return _last_end(store.load(tx, keys, interval_s)), False
    except (StoreAway, StoreBroken):
        days = np.array([day for day, _, _ in keys], np.int64)
    ends = (days + 1) * DAY_S
    # Newer days are here; from the first that is not, the older ones are not either.
    with suppress(StoreAway, StoreBroken):
        for day in sorted(set(days.tolist()), reverse=True):
            at = np.flatnonzero(days == day)
            ends[at] = _last_end(store.load(tx, [keys[place] for place in at.tolist()], interval_s))
    return ends, True


def _keys(channels: Sequence[EnrolledChannel], rows: NDArray[np.intp], days: Int64s) -> list[BlockKey]:
    chosen = (channels[row] for row in rows.tolist())
    return [(day, c.meter, c.channel.code) for day, c in zip(days.tolist(), chosen, strict=True)]


def _last_end(blocks: Blocks, inside: Bools | None = None) -> Int64s:
    """End of each block's last measured interval, or of the last inside [s since 1970] (k,); 0: there is none."""
    chosen = IS_MEASURED[blocks.quality] if inside is None else IS_MEASURED[blocks.quality] & inside
    return np.where(chosen, blocks.start_s + blocks.interval_s, 0).max(axis=1, initial=0)


def _expected(channels: Sequence[EnrolledChannel], starts_s: Int64s, now_s: int) -> Int64s:
    """Intervals wholly inside the window and the channel's service (k,)."""
    interval = np.array([c.interval_s for c in channels], np.int64)
    begins = np.maximum(starts_s, np.array([c.installed_s for c in channels], np.int64))
    ends = np.minimum(now_s, np.array([now_s if c.removed_s is None else c.removed_s for c in channels], np.int64))
    # The first interval that begins in service, and the end of the last that is over.
    return np.maximum(0, ends // interval - -(-begins // interval))


def _meters(
    channels: Sequence[EnrolledChannel], counted: _Counted, findings: Counter[int], now_s: int
) -> tuple[MeterHealth, ...]:
    rows_of: dict[int, list[int]] = {}
    for row, channel in enumerate(channels):
        rows_of.setdefault(channel.meter, []).append(row)
    healths = []
    for meter, rows in rows_of.items():
        first = channels[rows[0]]
        last = max(int(counted.last_end_s[row]) for row in rows)
        in_service = any((channels[row].removed_s or now_s) >= now_s for row in rows)
        healths.append(
            MeterHealth(
                first.meter_name,
                first.channel.commodity,
                first.gateway,
                first.usage_point,
                last or None,
                Completeness(
                    sum(int(counted.expected[row]) for row in rows),
                    sum(int(counted.present[row]) for row in rows),
                    sum(int(counted.estimated[row]) for row in rows),
                ),
                findings[meter],
                in_service and now_s - last > SILENT_S,
            )
        )
    return tuple(sorted(healths, key=lambda health: health.meter))


def _findings(tx: Connection, start_s: int) -> Counter[int]:
    f = t.finding.c
    query = (
        select(f.meter, func.count().label("found")).where(f.start_s >= start_s, f.severity != "info").group_by(f.meter)
    )
    return Counter({row.meter: row.found for row in tx.execute(query)})
