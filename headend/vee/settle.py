"""Settlement: a day that is due is validated as a whole, and what is missing or wrong in it is estimated.

The central idea is the window between two register reads (`registers`). A window whose intervals add up to the
register's advance is right; one that does not holds a wrong interval, which is looked for; one with holes tells what
they hold together. Only a gap that no window closes yet has to be guessed without its total, and is estimated again
when the next register comes: so an estimate depends only on its window and the like days before it.

Clean channels are settled with array operations alone. The loop is over what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headend.reads.days import DAY_S
from headend.reads.profiles import LoadProfiles
from headend.reads.quality import IS_ACTUAL, Flag, Quality
from headend.vee import estimate
from headend.vee.daytypes import DayTypes
from headend.vee.findings import Findings, Severity
from headend.vee.registers import Windows, sums_agree, windows
from headend.vee.ruleset import Limits

Int64s = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """What should stand after settlement.

    Parameters
    ----------
    values, quality
        of every interval, open or not (k, n).
    clean
        rows in which nothing was missing and nothing failed (k,). Rows that are not want the long view: their
        estimates are only as good as the like days that were shown.
    findings
        what was found and done.
    """

    values: Int64s
    quality: Bytes
    clean: Bools
    findings: Findings


def settle(
    profiles: LoadProfiles,
    open_from: Int64s,
    open_to: Int64s,
    modulus: Int64s,
    maximum: Int64s,
    limits: Limits,
    calendar: DayTypes,
) -> Settled:
    """Validate and estimate the open days of channels that share limits and time zone.

    Parameters
    ----------
    profiles
        the channels, whole UTC days, with the days before the open ones as far as they may be looked at.
    open_from, open_to
        the columns of each row that are due: from the first, up to and without the second (k,). What was settled
        before is looked at again only where it shares a window with them.
    modulus
        where the registers roll over, and are on another scale; see `windows`.
    maximum
        highest possible value of one interval of each row (k,).
    """
    return _Settlement(profiles, open_from, open_to, modulus, maximum, limits, calendar).run()


class _Settlement:
    """One call of `settle`: the arrays it works on, changed in place as rules speak."""

    def __init__(
        self,
        profiles: LoadProfiles,
        open_from: Int64s,
        open_to: Int64s,
        modulus: Int64s,
        maximum: Int64s,
        limits: Limits,
        calendar: DayTypes,
    ) -> None:
        self.profiles, self.limits, self.calendar = profiles, limits, calendar
        self.open_from, self.open_to, self.maximum = open_from, open_to, maximum
        self.values, self.quality = profiles.values.copy(), profiles.quality.copy()
        self.good: Bools = IS_ACTUAL[self.quality] | (self.quality == Quality.EDITED)
        self.values[~self.good] = 0
        self.estimated = np.zeros_like(self.good)
        column = np.arange(self.values.shape[1])
        self.is_open: Bools = (column >= open_from[:, None]) & (column < open_to[:, None])
        breaks = (profiles.flags & Flag.NEW_REGISTER) != 0
        self.windows = windows(self.values, profiles.register, modulus, maximum, breaks)
        self.findings = Findings()

    def run(self) -> Settled:
        passed, troubled = self._check_sums()
        self._check_spikes(passed)
        self.quality[self.is_open & (self.quality == Quality.RAW)] = Quality.VALIDATED
        clean = np.logical_and.reduce(self.good | ~self.is_open, axis=1)
        clean[self.windows.row[troubled]] = False
        clean &= ~self._looks_too_short()
        closed = self._estimate_from_registers(troubled)
        self._estimate_gaps(self.is_open & ~self.good & ~closed)
        untouched = ~self.good & ~self.estimated
        self.values[untouched] = self.profiles.values[untouched]
        return Settled(self.values, self.quality, clean, self.findings)

    # -- validation --

    def _check_sums(self) -> tuple[Bools, Int64s]:
        """V7 and V8. Where a window vouches for its intervals (k, n); which windows need estimates."""
        w = self.windows
        holes = np.concatenate([np.zeros((len(self.good), 1), np.int64), (~self.good).cumsum(axis=1)], axis=1)
        complete = holes[w.row, w.last + 1] == holes[w.row, w.first]
        touched = (w.last >= self.open_from[w.row]) & (w.first < self.open_to[w.row])
        known = w.advance >= 0
        agree = complete & known & sums_agree(w.total, w.advance, self.limits)
        for i in np.flatnonzero(touched & ~known).tolist():
            self._find(w.row[i], w.last[i], "V7", "warning", "the register went back or too far: reset or exchange?")
        for i in np.flatnonzero(touched & known & complete & ~agree).tolist():
            self._look_for_the_wrong_one(w, i)
        edges = np.zeros((len(self.good), self.good.shape[1] + 1), np.int64)
        np.add.at(edges, (w.row[agree], w.first[agree]), 1)
        np.add.at(edges, (w.row[agree], w.last[agree] + 1), -1)
        return edges[:, :-1].cumsum(axis=1) > 0, np.flatnonzero(touched & known & ~agree)

    def _look_for_the_wrong_one(self, w: Windows, i: int) -> None:
        """A window's sum is wrong. One interval that explains it alone is to blame; else all of them are."""
        row, at = int(w.row[i]), np.arange(w.first[i], w.last[i] + 1)
        excess = int(w.total[i] - w.advance[i])
        expected = self._like_days(row, at, without=at)
        corrected = self.values[row, at] - excess
        gain = np.abs(self.values[row, at] - expected) - np.abs(corrected - expected)
        gain[(corrected < 0) | (corrected > self.maximum[row]) | (expected < 0)] = -1
        detail = f"intervals add up to {w.total[i]}, the register advanced by {w.advance[i]}"
        if gain.max() > abs(excess) // 2:
            at = at[[int(gain.argmax())]]
        for column in at.tolist():
            self._find(row, column, "V8", "failed", f"{self.values[row, column]} fails the sum check: {detail}")
        self.good[row, at] = False
        self.quality[row, at] = Quality.QUESTIONABLE
        self.values[row, at] = 0

    def _check_spikes(self, passed: Bools) -> None:
        """V9: highest against third-highest interval of a day. The register's word makes a spike verified."""
        per_day = DAY_S // self.profiles.interval_s
        days = np.where(self.good, self.values, 0).reshape(len(self.values), -1, per_day)
        third = np.partition(days, per_day - 3, axis=2)[:, :, per_day - 3]
        highest = days.argmax(axis=2)
        peak = days.max(axis=2)
        spikes = ((peak - third) * 100 > self.limits.spike_percent * third) & (third > self.limits.spike_floor)
        row, day = np.nonzero(spikes)
        column = day * per_day + highest[row, day]
        new = self.is_open[row, column] & (self.quality[row, column] == Quality.RAW)
        row, column, third = row[new], column[new], third[row, day][new]
        self.quality[row, column] = np.where(passed[row, column], Quality.VERIFIED, Quality.VALIDATED)
        for r, c, usual in zip(row.tolist(), column.tolist(), third.tolist(), strict=True):
            if not passed[r, c]:
                detail = f"{self.values[r, c]} stands out: the third-highest of the day is {usual}; no register yet"
                self._find(r, c, "V9", "warning", detail)

    def _looks_too_short(self) -> Bools:
        """Rows with a register in the open days but none before, to check them against (k,)."""
        has = self.profiles.register >= 0
        return np.logical_and((has & self.is_open).any(axis=1), ~(has & ~self.is_open).any(axis=1))

    # -- estimation --

    def _estimate_from_registers(self, troubled: Int64s) -> Bools:
        """E1: holes take what their window's register advance leaves for them. Which intervals it closed (k, n)."""
        closed = np.zeros_like(self.good)
        w = self.windows
        for i in troubled.tolist():
            row, span = int(w.row[i]), slice(int(w.first[i]), int(w.last[i]) + 1)
            at = np.flatnonzero(~self.good[row, span]) + span.start
            left = int(w.advance[i] - self.values[row, span][self.good[row, span]].sum())
            if not 0 <= left <= self.maximum[row] * len(at):
                detail = f"the register's advance of {w.advance[i]} leaves {left} for {len(at)} other intervals"
                at, left = np.arange(span.start, span.stop), int(w.advance[i])
                for column in at[self.good[row, at]].tolist():
                    self._find(row, column, "V8", "failed", f"{self.values[row, column]}: {detail}")
                self.good[row, at] = False
            shape = self._like_days(row, at, without=at)
            shape[shape < 0] = shape[shape >= 0].mean() if (shape >= 0).any() else 1
            detail = f"register advance {w.advance[i]} leaves {left} for {len(at)} intervals"
            self._estimate(row, at, estimate.spread(shape, left), Quality.ESTIMATED_FROM_REGISTER, "E1", detail)
            closed[row, at] = True
        return closed

    def _estimate_gaps(self, gaps: Bools) -> None:
        """E2, E3, E4: gaps that no register closes yet."""
        longest_line = self.limits.linear_hours * 3600 / self.profiles.interval_s
        for row in np.flatnonzero(gaps.any(axis=1)).tolist():
            columns = np.flatnonzero(gaps[row])
            for at in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1):
                before, after = int(at[0]) - 1, int(at[-1]) + 1
                ends = before >= 0 and after < self.good.shape[1] and self.good[row, before] and self.good[row, after]
                if ends and len(at) <= longest_line:
                    line = estimate.linear(int(self.values[row, before]), int(self.values[row, after]), len(at))
                    self._estimate(row, at, line, Quality.ESTIMATED_LINEAR, "E2", "straight line between its ends")
                else:
                    self._estimate_by_habit(row, at)

    def _estimate_by_habit(self, row: int, at: Int64s) -> None:
        expected = self._like_days(row, at, without=at)
        known = expected >= 0
        detail = f"mean of up to {self.limits.like_days} like days"
        self._estimate(row, at[known], expected[known], Quality.ESTIMATED_LIKE_DAY, "E3", detail)
        usable = self._usable(row)
        if known.all():
            return
        if not usable.any():
            for column in at[~known].tolist():
                self._find(row, column, "E4", "failed", "missing, and nothing is known to estimate it from")
            return
        average = np.full((~known).sum(), round(float(self.values[row, usable].mean())), dtype=np.int64)
        self._estimate(row, at[~known], average, Quality.ESTIMATED_AVERAGE, "E4", "average use: there is no like day")

    def _like_days(self, row: int, at: Int64s, *, without: Int64s) -> Int64s:
        usable = self._usable(row)
        usable[without] = False
        calendar = self.calendar
        return estimate.like_days(self.values[row], usable, calendar.slot, calendar.kind, at, self.limits.like_days)

    def _usable(self, row: int) -> Bools:
        """Reference intervals: good, and not of a day with an outage (n,)."""
        per_day = DAY_S // self.profiles.interval_s
        outage = (self.profiles.flags[row] & Flag.POWER_OUTAGE).reshape(-1, per_day).any(axis=1)
        return np.logical_and(self.good[row], ~np.repeat(outage, per_day))

    def _estimate(self, row: int, at: Int64s, values: Int64s, quality: Quality, rule: str, detail: str) -> None:
        stood, how = self.profiles.values[row], self.profiles.quality[row]
        self.values[row, at], self.quality[row, at], self.estimated[row, at] = values, quality, True
        for column, value in zip(at.tolist(), values.tolist(), strict=True):
            was = "missing" if how[column] == Quality.MISSING else str(stood[column])
            if how[column] == Quality.MISSING:
                self._find(row, column, "V4", "warning", "no read came for this interval")
            if stood[column] != value or how[column] != quality:
                self._find(row, column, rule, "info", f"was {was}, estimated {value}: {detail}")

    def _find(self, row: int, column: int, rule: str, severity: Severity, detail: str) -> None:
        p = self.profiles
        start_s = p.start_s + int(column) * p.interval_s
        self.findings.add(int(p.meter[row]), int(p.channel[row]), start_s, rule, severity, detail)
