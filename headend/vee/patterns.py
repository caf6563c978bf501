"""Patterns that no single value gives away: V9, a spike in its day, and V10, a value that stays the same for long."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headend.reads.quality import IS_ACTUAL, Flag, Quality
from headend.vee.findings import Severity
from headend.vee.ruleset import RunRule, SpikeRule
from headend.vee.worksheet import Worksheet

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


def check_refused(sheet: Worksheet) -> None:
    """V6: single reads that arrival refused are estimated; where they are many, the limit may be what is wrong."""
    refused = (sheet.quality == Quality.QUESTIONABLE) & sheet.is_open & ~sheet.doubtful
    if not refused.any():
        return
    opened = sheet.is_open.sum(axis=1)
    for row in np.flatnonzero(refused.sum(axis=1) * 100 > opened * sheet.rules.maximum.review_percent).tolist():
        columns = np.flatnonzero(refused[row])
        largest = int(sheet.profiles.values[row, columns].max())
        detail = (
            f"{len(columns)} of {opened[row]} intervals were refused when they came, the largest {largest},"
            f" where at most {sheet.due.maximum[row]} can flow: a wrong limit, multiplier or meter?"
        )
        sheet.find(row, int(columns[0]), int(columns[-1]) + 1, "V6", "warning", detail, review=True)


def check_spikes(sheet: Worksheet, vouched: Bools) -> None:
    """V9. The register's word, or a person's, makes a spike verified; without it a strict class fails it."""
    rule = sheet.rules.spike
    if rule.then == "pass":
        return
    found = spikes(sheet.values, sheet.good, sheet.per_day, rule)
    row, column, third = found.row, found.column, found.third
    new = (
        sheet.looked_at(rule.channels)[row]
        & sheet.is_open[row, column]
        & IS_ACTUAL[sheet.quality[row, column]]
        & (sheet.quality[row, column] != Quality.VERIFIED)
        & ((sheet.profiles.flags[row, column] & Flag.CLOCK_SET) == 0)
    )
    row, column, third = row[new], column[new], third[new]
    cleared = vouched[row, column]
    if (by_hand := sheet.passed_by_hand("V9")) is not None:
        cleared |= by_hand[row, column]
    sheet.quality[row[cleared], column[cleared]] = Quality.VERIFIED
    for r, c, usual in zip(*(each[~cleared].tolist() for each in (row, column, third)), strict=True):
        detail = f"{sheet.values[r, c]} stands out: the third-highest of the day is {usual}; no register vouches"
        severity: Severity = "failed" if rule.then == "fail" else "warning"
        sheet.find(r, c, c + 1, "V9", severity, detail, rule.review)
        if rule.then == "fail":
            sheet.fail(r, np.array([c]))


def check_runs(sheet: Worksheet, vouched: Bools) -> None:
    """V10. What the register says too is noted; the rest may be a meter that stands, or zero for missing."""
    rule = sheet.rules.runs
    if rule.then == "pass":
        return
    rows = np.flatnonzero(sheet.looked_at(rule.channels))
    found = long_runs(sheet.values[rows], sheet.good[rows] & ~sheet.decided[rows], sheet.profiles.interval_s, rule)
    by_hand = sheet.passed_by_hand("V10")
    hours = sheet.profiles.interval_s / 3600
    for place, first, end, value in zip(
        found.row.tolist(), found.first.tolist(), found.end.tolist(), found.value.tolist(), strict=True
    ):
        row = int(rows[place])
        span = slice(first, end)
        used = sheet.due.used_before[row] or bool((sheet.values[row, :first] > 0).any())
        if not sheet.is_open[row, span].any() or (value == 0 and not used):
            continue
        if by_hand is not None and by_hand[row, span].all():
            continue
        known = bool(vouched[row, span].all())
        what = f"{value} for {(end - first) * hours:g} hours"
        if known:
            sheet.find(row, first, end, "V10", "info", f"{what}, and the register says the same", review=False)
            continue
        why = "missing, or a meter that stands?" if value == 0 else "a meter that stands?"
        severity: Severity = "failed" if rule.then == "fail" else "warning"
        sheet.find(row, first, end, "V10", severity, f"{what} where there was other use: {why}", rule.review)
        if rule.then == "fail":
            sheet.fail(row, np.flatnonzero(sheet.is_open[row, span]) + first)
