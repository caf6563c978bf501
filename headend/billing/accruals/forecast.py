"""How much will still be used: the rest of a billing period, from what the same usage points used in the weeks before.

A day to come is expected to be like the same weekdays of the last four weeks: their mean says how much, and of these
days the one that was nearest to it says when, so that peaks stay as sharp as they are. Where the weeks became more or
less, beyond what chance makes of them, half of that is expected to go on. How far it all may be off is told by how much
days of the same weekday differed from each other, and by that change.

There is no chance in it: the same reads give the same forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from headend.tariffs.arrays import Bools, Int64s

Floats = NDArray[np.float64]

WEEK = 7
#: How many days are looked back on, and how many of them must have been read all through.
HISTORY_DAYS = 4 * WEEK
ENOUGH_DAYS = 2 * WEEK

# Half widths of the range, in which eight of ten periods are meant to end, in standard deviations of chance, and in
# changes: found by trying them on simulated and real meters, as `python -m benchmarks.accruals` does. Chance alone,
# were it normal and well known, would have 1.28.
_OF_CHANCE = 1.6
_OF_CHANGE = 1.6
_GOES_ON = 0.5
# However the weeks changed, a day to come is no less, and no more, than so much of what the weekday used.
_LEAST, _MOST = 0.2, 3.0


@dataclass(frozen=True, eq=False)
class Days:
    """Local days side by side, as columns of intervals.

    Parameters
    ----------
    first
        the first of them.
    begins
        number of the interval with which each begins (d,), rising from 0; `n` intervals in all.
    """

    first: date
    begins: Int64s
    n: int

    @cached_property
    def lengths(self) -> Int64s:
        """Intervals of each day (d,)."""
        return np.diff(self._edges)

    @cached_property
    def _edges(self) -> list[int]:
        return [*self.begins.tolist(), self.n]

    def columns(self, begin: int, end: int) -> slice:
        """The intervals of the days from `begin` up to and without `end`."""
        return slice(self._edges[begin], self._edges[end])

    def up_to(self, end: int, n: int) -> Days:
        """The days before `end`, of `n` intervals."""
        return Days(self.first, self.begins[:end], n)

    def weekday(self, day: int) -> int:
        """0 for a Monday."""
        return (self.first.weekday() + day) % WEEK


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """What `m` usage points use on a day of each weekday.

    Parameters
    ----------
    known
        which of them have enough history (m,); of the others nothing else here means anything.
    target
        expected use of a day [base units] (m, 7).
    like, used
        the day whose intervals it is spread by, and what was used on it [base units] (m, 7).
    week_spread
        how far the mean day of a week is from the expected one by chance: standard deviation [base units] (m,).
    change
        by how much a day became more with each week [base units] (m,).
    middle
        the day in the middle of what was looked back on, from which on it changes.
    """

    known: Bools
    target: Floats
    like: Int64s
    used: Floats
    week_spread: Floats
    change: Floats
    middle: float

    @classmethod
    def unknown(cls, m: int) -> Pattern:
        """Of usage points without any history."""
        a_week = np.zeros((m, WEEK))
        return cls(np.zeros(m, dtype=np.bool_), a_week, a_week.astype(np.int64), a_week, np.zeros(m), np.zeros(m), 0.0)


def pattern_of(values: Int64s, present: Bools, days: Days, until: int, since: Int64s) -> Pattern:
    """The pattern of the last weeks before day `until`.

    Parameters
    ----------
    values, present
        use [base units], and whether there is a read (m, n).
    since
        the first day that counts for each usage point, say because somebody else lived there before (m,).
    """
    at, m = np.arange(max(until - HISTORY_DAYS, 0), until), len(values)
    if not len(at):
        return Pattern.unknown(m)
    columns = days.columns(int(at[0]), until)
    begins = days.begins[at] - columns.start
    totals = np.add.reduceat(values[:, columns], begins, axis=1).astype(np.float64)
    there = np.add.reduceat(present[:, columns], begins, axis=1, dtype=np.int64)
    counts = (there == days.lengths[at]) & (at >= since[:, None])
    known = counts.sum(axis=1) >= ENOUGH_DAYS
    weekdays = np.array([days.weekday(day) for day in at.tolist()])
    target = np.empty((m, WEEK))
    like = np.empty((m, WEEK), dtype=np.int64)
    for weekday in range(WEEK):
        same = counts & (weekdays == weekday)
        # Of a weekday that was never read, any day tells more than nothing.
        same = np.where(same.any(axis=1)[:, None], same, counts)
        mean = (totals * same).sum(axis=1) / np.maximum(same.sum(axis=1), 1)
        target[:, weekday] = mean
        like[:, weekday] = at[np.argmin(np.where(same, np.abs(totals - mean[:, None]), np.inf), axis=1)]
    used = totals[np.arange(m)[:, None], like - at[0]]
    return Pattern(known, target, like, used, *_course(totals - target[:, weekdays], counts), float(at.mean()))


def _course(off: Floats, counts: Bools) -> tuple[Floats, Floats]:
    """How far a week's mean day is from what the weekdays say: by chance, and more with each week (both m,).

    The change is the slope of a line through the weeks, less what chance alone would make of it.
    """
    week = np.arange(off.shape[1]) // WEEK
    # Means of four days were taken off them: a quarter of their freedom is gone.
    freedom = np.maximum(counts.sum(axis=1) * 3 / 4, 1)
    days = counts.sum(axis=1)
    middle = (week * counts).sum(axis=1) / np.maximum(days, 1)
    along = (week - middle[:, None]) * counts
    width = np.maximum((along**2).sum(axis=1), 1e-9)
    slope = (off * along).sum(axis=1) / width
    left = (off - slope[:, None] * along) * counts
    of_day = np.sqrt((left**2).sum(axis=1) / freedom)
    surely = np.maximum(slope**2 - of_day**2 / width, 0)
    return of_day / np.sqrt(WEEK), np.sign(slope) * np.sqrt(surely)


def expected_rest(values: Int64s, present: Bools, days: Days, window: range, pattern: Pattern) -> Int64s:
    """The window's intervals, with what is expected in the place of those without a read (m, columns of the window)."""
    whole = days.columns(window.start, window.stop)
    filled, missing = values[:, whole].copy(), ~present[:, whole]
    lengths = days.lengths
    likely: dict[tuple[int, int], Floats] = {}
    growth = _GOES_ON * pattern.change / np.maximum(pattern.target.mean(axis=1), 1)
    for day in window:
        its = days.columns(day, day + 1)
        columns = slice(its.start - whole.start, its.stop - whole.start)
        if not missing[:, columns].any():
            continue
        kind = days.weekday(day), int(lengths[day])
        if kind not in likely:
            likely[kind] = _likely_day(values, days, pattern, *kind)
        grown = np.rint(likely[kind] * (1 + growth * (day - pattern.middle) / WEEK).clip(_LEAST, _MOST)[:, None])
        filled[:, columns] = np.where(missing[:, columns], grown.astype(np.int64), filled[:, columns])
    return filled


def _likely_day(values: Int64s, days: Days, pattern: Pattern, weekday: int, n: int) -> Floats:
    """A weekday of `n` intervals as it is in the middle of what was looked back on (m, n)."""
    like, used = pattern.like[:, weekday], pattern.used[:, weekday]
    # A day of 23 or 25 hours takes the hours of one of 24 from its begin on; the last one again.
    place = np.minimum(np.arange(n), days.lengths[like][:, None] - 1)
    counted = values[np.arange(len(values))[:, None], days.begins[like][:, None] + place]
    scale = np.where(used > 0, pattern.target[:, weekday] / np.maximum(used, 1), 1.0)
    return np.asarray(counted * scale[:, None], dtype=np.float64)


def share_off(rest: Int64s, days_left: Floats, pattern: Pattern) -> Floats:
    """How far from what is expected the rest may be, as a share of it (m,): half of the range.

    Days that differ by chance even out over the rest, but for what the expected day itself is off by; a change that
    went on in the weeks before may go on, or stop.

    Parameters
    ----------
    rest
        expected use of the rest [base units] (m,).
    days_left
        how many days that is (m,).
    """
    left = np.maximum(days_left, 1e-9)
    weeks = HISTORY_DAYS / WEEK
    chance = _OF_CHANCE * pattern.week_spread * np.sqrt(WEEK / left + 1 / weeks)
    change = _OF_CHANGE * pattern.change * (weeks / 2 + left / WEEK / 2)
    off = np.hypot(chance, change) * left
    return np.minimum(off / np.maximum(rest, 1), 1.0) * (rest > 0)


def scaled_rest(filled: Int64s, missing: Bools, share: Floats) -> Int64s:
    """What is expected, less or more by a share of each row's; what was read stays (m, n)."""
    return np.where(missing, np.rint(filled * (1 + share)[:, None]).astype(np.int64), filled)
