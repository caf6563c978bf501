"""Patterns that no single value gives away: a spike in its day, and a value that stays the same for long."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headend.vee.ruleset import RunRule, SpikeRule

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Spikes:
    """Intervals that stand out of their day: where (s,), and the day's third-highest value [base units] (s,)."""

    row: Int64s
    column: Int64s
    third: Int64s


def spikes(values: Int64s, good: Bools, per_day: int, rule: SpikeRule) -> Spikes:
    """V9: the highest interval of a day above its third-highest by more than `percent` of it.

    [the shape of Oracle's D2-IntervalSpikeCheck, with the 180 % of California's VEE]

    Parameters
    ----------
    values, good
        whole days (k, n); what is not good counts as zero.
    """
    days = np.where(good, values, 0).reshape(len(values), -1, per_day)
    ordered = np.partition(days, per_day - 3, axis=2)
    third, peak = ordered[:, :, per_day - 3], ordered[:, :, per_day - 2 :].max(axis=2)
    row, day = np.nonzero(((peak - third) * 100 > rule.percent * third) & (third > rule.floor))
    return Spikes(row, day * per_day + days[row, day].argmax(axis=1), third[row, day])


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Stretches of one value: row and first column (r,), the column after the last (r,), the value (r,)."""

    row: Int64s
    first: Int64s
    end: Int64s
    value: Int64s


def long_runs(values: Int64s, good: Bools, interval_s: int, rule: RunRule) -> Runs:
    """V10: zero for longer than `zero_hours`, or another value for longer than `constant_hours`; good reads only."""
    k, n = values.shape
    shortest = min(rule.zero_hours, rule.constant_hours) * 3600 / interval_s
    # A run starts where the value changes or what was read ends; most last a column.
    starts = np.ones((k, n), dtype=np.bool_)
    starts[:, 1:] = (values[:, 1:] != values[:, :-1]) | (good[:, 1:] != good[:, :-1])
    begin = np.flatnonzero(starts)
    end = np.append(begin[1:], k * n)
    longish = np.flatnonzero(end - begin > shortest)
    begin, end = begin[longish], end[longish]
    row, first = begin // n, begin % n
    value = values[row, first]
    limit = np.where(value == 0, rule.zero_hours, rule.constant_hours) * 3600 / interval_s
    found = good[row, first] & (end - begin > limit)
    return Runs(row[found], first[found], (first + end - begin)[found], value[found])
