"""Estimators: what most likely flowed in intervals nobody read. Functions of arrays, whole units in and out.

The central idea: an estimate is habit, bent to what is known around the gap. Habit is the mean of like days. What the
good intervals at both ends of the gap say beyond habit (more, less) reaches into the gap and fades with distance, as a
process between two known points does that always returns to its mean. A short gap so follows its ends, a long one
follows habit, and no length has to be named at which one method gives way to another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from headend.reads.days import DAY_S
from headend.vee.daytypes import DayTypes

Int64s = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Habit:
    """How like days are chosen, and how far what a gap's ends say reaches into it.

    Parameters
    ----------
    like_days
        how many days of the same type make a mean: the nearest so many before the gap and as many after it, as far as
        there are. A gap of yesterday rests on the days before alone.
    look_back_days
        how far from an interval its like days may lie, before and after.
    half_life_h
        distance from an end at which half of what it says beyond habit has faded [h]. A home forgets within an hour or
        two, a large building within half a day.
    """

    like_days: int
    look_back_days: int
    half_life_h: float


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """What most likely flowed.

    Parameters
    ----------
    values
        whole units, never negative; 0 where not `known` (g,). Rounding is carried on from interval to interval, so
        that a trickle of a third of a unit an hour makes one unit in three hours, not none.
    known
        False where there is neither a like day nor an end to go by (g,).
    first, last
        earliest and latest column that was consulted, or would have been had it held a usable value. They may lie
        outside the row. The guess must be made again if, and only if, something in them changes.
    """

    values: Int64s
    known: Bools
    first: int
    last: int


def expected(values: Int64s, usable: Bools, calendar: DayTypes, at: Int64s, habit: Habit, interval_s: int) -> Guess:
    """E3: habit alone. For each interval the mean of its like days.

    Like are intervals at the same local time on days of the same type: working days, or weekends and holidays.

    Parameters
    ----------
    values, usable
        a channel's values, and which of them may serve as reference (n,). Intervals of the gap never do.
    calendar
        local time and type of day of the row's intervals (n,).
    at
        columns to estimate, ascending, at least one (g,).
    """
    like = _like(values, _without(usable, at), calendar, at, habit, interval_s)
    known = like.days > 0
    return Guess(whole_units(np.where(known, like.mean, 0.0)), known, int(like.first.min()), int(like.last.max()))


def bent(
    values: Int64s, good: Bools, usable: Bools, calendar: DayTypes, at: Int64s, habit: Habit, interval_s: int
) -> Guess:
    """E2 and E3: habit, bent to the good intervals right before and after each run of missing ones.

    With a and b the distances to the two ends, r and s what the ends hold beyond their own like days, and k the rate
    of fading, each interval gets ``mean + r·sinh(k·b)/sinh(k·(a+b)) + s·sinh(k·a)/sinh(k·(a+b))``: the expectation of
    an Ornstein-Uhlenbeck process between two known points. With one end only it is ``mean + r·exp(-k·a)``. Where there
    is no like day the line between the ends takes the place of all that, or what the only end holds.

    Where every like day says zero the estimate is zero, whatever the ends say: there is no sun at night.

    Parameters
    ----------
    values, usable, calendar, at
        as of `expected`.
    good
        which values may serve as ends (n,). An interval of a day with an outage may, though it is no reference.
    """
    n = len(values)
    usable = _without(usable, at)
    # Distance to the ends of the run that an interval is in [intervals].
    breaks = np.flatnonzero(at[1:] - at[:-1] > 1) + 1
    run = np.searchsorted(breaks, np.arange(len(at)), side="right")
    before, after = at[np.append(0, breaks)] - 1, at[np.append(breaks, 0) - 1] + 1
    ends = np.concatenate([before, after])
    inside = ends.clip(0, n - 1)
    there = (ends >= 0) & (ends < n) & good[inside]
    held = np.where(there, values[inside], 0).astype(np.float64)

    like = _like(values, usable, calendar, np.concatenate([at, inside]), habit, interval_s)
    mean, days = like.mean[: len(at)], like.days[: len(at)]
    tells = there & (like.days[len(at) :] > 0)
    beyond = np.where(tells, held - like.mean[len(at) :], 0.0)
    a, b = (at - before[run]).astype(np.float64), (after[run] - at).astype(np.float64)
    r, s = _per_interval(beyond, run)
    tells_a, tells_b = _per_interval(tells, run)
    rate = np.log(2) * interval_s / 3600 / habit.half_life_h
    near_a, near_b = _bridge(np.where(tells_a, a, np.inf), np.where(tells_b, b, np.inf), rate)
    by_habit = np.where(mean > 0, mean + near_a * r + near_b * s, 0.0)

    there_a, there_b = _per_interval(there, run)
    held_a, held_b = _per_interval(held, run)
    line = np.where(there_a & there_b, (held_a * b + held_b * a) / (a + b), held_a + held_b)

    known = (days > 0) | there_a | there_b
    found = np.where(days > 0, by_habit, line)
    asked = np.concatenate([np.ones(len(at), dtype=np.bool_), there])
    first, last = int(like.first[asked].min()), int(like.last[asked].max())
    return Guess(whole_units(np.maximum(found, 0.0)), known, first, last)


def linear(before: int, after: int, n: int) -> Int64s:
    """E2: along the straight line between the good reads on both sides (n,).

    [California VEE: gaps of at most two hours between good end points]
    """
    steps = np.arange(1, n + 1)
    return before + ((after - before) * steps * 2 + (n + 1)) // (2 * (n + 1))


def spread(shape: Int64s, total: int) -> Int64s:
    """E1: the total, spread over intervals in proportion to a shape; whole units that add up to the total exactly.

    Largest remainders get the units that rounding leaves. A shape without any use is taken as flat.
    """
    weights = np.maximum(shape, 0)
    whole = int(weights.sum())
    if whole == 0:
        weights, whole = np.ones_like(weights), len(weights)
    if int(weights.max()) * total >= 2**63:
        weights = weights.astype(object)  # Python's integers: exact at any size
    exact = weights * total
    parts, remainder = (exact // whole).astype(np.int64), exact % whole
    parts[np.argsort(-remainder, kind="stable")[: total - int(parts.sum())]] += 1
    return parts


@dataclass(frozen=True, slots=True, eq=False)
class _Like:
    """Like days of some intervals: their mean, how many they are, and the columns that decide it (g,)."""

    mean: Floats
    days: Int64s
    first: Int64s
    last: Int64s


def _like(values: Int64s, usable: Bools, calendar: DayTypes, at: Int64s, habit: Habit, interval_s: int) -> _Like:
    n, reach = np.int64(len(values)), habit.look_back_days * DAY_S // interval_s
    group = (calendar.kind * (DAY_S // interval_s) + calendar.slot) * n
    # Sorted so, like intervals lie side by side in order of time: those of an interval are a slice around its place.
    places = np.flatnonzero(usable)
    line = np.sort(group[places] + places)
    places = line % n
    own = group[at]
    here, past = line.searchsorted(own + at), line.searchsorted(own + at, side="right")
    before = here - line.searchsorted(own + np.maximum(at - reach, 0))
    after = line.searchsorted(own + np.minimum(at + reach, n - 1), side="right") - past
    more_before, more_after = before < habit.like_days, after < habit.like_days
    before, after = np.minimum(before, habit.like_days), np.minimum(after, habit.like_days)
    days = before + after
    sums = np.append(0, values[places].cumsum())
    total = sums[past + after] - sums[past] + sums[here] - sums[here - before]
    # A side that has fewer days than wanted would have taken any within reach.
    places = np.append(places, 0)  # so that one past the end can be asked for; never taken
    first = np.where(more_before, at - reach, places[here - before])
    last = np.where(more_after, at + reach, places[past + after - 1])
    return _Like(total / np.maximum(days, 1), days, first, last)


def _bridge(a: Floats, b: Floats, rate: float) -> tuple[Floats, Floats]:
    """How much of what is known at distances `a` and `b` on either side holds here; infinite where nothing is."""
    # sinh(rate·b) / sinh(rate·(a+b)), written so that it neither overflows nor loses digits.
    both = np.expm1(-2 * rate * (a + b))
    return np.exp(-rate * a) * np.expm1(-2 * rate * b) / both, np.exp(-rate * b) * np.expm1(-2 * rate * a) / both


def _per_interval(of_ends: NDArray[_T], run: Int64s) -> tuple[NDArray[_T], NDArray[_T]]:
    """What is told of each run's ends before and after, told of each interval instead (g,)."""
    return of_ends[run], of_ends[run + len(of_ends) // 2]


def _without(usable: Bools, at: Int64s) -> Bools:
    left = usable.copy()
    left[at] = False
    return left


def whole_units(amounts: Floats) -> Int64s:
    """Whole units whose running total is that of `amounts`, to the nearest."""
    running = np.floor(amounts.cumsum() + 0.5).astype(np.int64)
    running[1:] -= running[:-1].copy()
    return running
