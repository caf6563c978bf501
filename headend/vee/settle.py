"""Settlement: a day that is due is validated as a whole, and what is missing or wrong in it is estimated.

The central idea is the window between two register reads (`registers`). A window whose intervals add up to the
register's advance is right; one that does not holds a wrong interval, which is looked for; one with holes tells what
they hold together. Only a gap that no window closes yet has to be guessed without its total, and is estimated again
when the next register comes.

Rules speak in the order register, spike, runs, estimate; none hides another. What a person has passed for one rule is
passed for that rule alone, and what a person decided is neither judged nor estimated again.

Clean channels are settled with array operations alone. The loop is over what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headend.reads.channels import Channel
from headend.reads.days import DAY_S
from headend.reads.profiles import LoadProfiles
from headend.reads.quality import IS_ACTUAL, IS_DECIDED, Flag, Quality
from headend.vee import estimate
from headend.vee.classprofile import ClassProfile
from headend.vee.daytypes import DayTypes
from headend.vee.findings import Finding, Findings, Severity
from headend.vee.patterns import long_runs, spikes
from headend.vee.registers import Windows, sums_agree, windows
from headend.vee.ruleset import Rules

Int64s = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]

#: The bit of each rule that a person can pass an interval for.
PASSED_BIT: Final = MappingProxyType({"V7": 1, "V8": 2, "V9": 4, "V10": 8})

# Where several intervals could each explain a wrong sum: those whose case is at least so strong as the strongest's.
_AS_SUSPECT = 0.5

# An interval of such a day is no reference for others: it did not go its usual way.
_UNUSUAL = np.uint8(Flag.POWER_OUTAGE | Flag.CLOCK_SET | Flag.PARTIAL | Flag.CLOCK_OFF)


@dataclass(frozen=True, slots=True, eq=False)
class Due:
    """What of `k` channels is due, and what is known of them beside their reads.

    Parameters
    ----------
    open_from, open_to
        the columns of each row that are due: from the first, up to and without the second (k,). What was settled
        before is looked at again only where it shares a window with them.
    modulus
        where the registers roll over, and are on another scale (k,) or (k, n); see `windows`.
    maximum
        highest possible value of one interval of each row (k,).
    used_before
        which channels had any use before the profiles begin (k,).
    passed
        the rules a person has passed each interval for, as `PASSED_BIT`s (k, n); None: none.
    """

    open_from: Int64s
    open_to: Int64s
    modulus: Int64s
    maximum: Int64s
    used_before: Bools
    passed: Bytes | None = None


@dataclass(frozen=True, slots=True)
class Basis:
    """What an estimate rests on: should any interval in [first, end) change, [begin, stop) is estimated again.

    All are columns of row `row`.
    """

    row: int
    begin: int
    stop: int
    first: int
    end: int


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
    basis
        what the estimates rest on.
    """

    values: Int64s
    quality: Bytes
    clean: Bools
    findings: Findings
    basis: list[Basis]


def settle(
    profiles: LoadProfiles,
    due: Due,
    rules: Rules,
    calendar: DayTypes,
    class_profile: Callable[[int], ClassProfile | None] = lambda channel: None,  # noqa: ARG005
) -> Settled:
    """Validate and estimate the open days of channels that share rules and time zone.

    Parameters
    ----------
    profiles
        the channels, whole UTC days, with the days before the open ones as far as they may be looked at.
    class_profile
        what the class uses on a channel (its OBIS code as a number), asked for only where a channel itself has no like
        day; None: nothing is known.
    """
    return _Settlement(profiles, due, rules, calendar, class_profile).run()


class _Settlement:
    """One call of `settle`: the arrays it works on, changed in place as rules speak."""

    def __init__(
        self,
        profiles: LoadProfiles,
        due: Due,
        rules: Rules,
        calendar: DayTypes,
        class_profile: Callable[[int], ClassProfile | None],
    ) -> None:
        self.profiles, self.due, self.rules, self.calendar = profiles, due, rules, calendar
        self.class_profile = class_profile
        self.per_day = DAY_S // profiles.interval_s
        self.values, self.quality = profiles.values.copy(), profiles.quality.copy()
        self.decided: Bools = IS_DECIDED[self.quality]
        # Told by a clock that is off: the sum check can clear them, for the energy is right though its hour may not be.
        self.doubtful: Bools = (
            (self.quality == Quality.QUESTIONABLE)
            & ((profiles.flags & Flag.CLOCK_OFF) != 0)
            & (self.values >= 0)
            & (self.values <= due.maximum[:, None])
        )
        self.good: Bools = IS_ACTUAL[self.quality] | self.decided | self.doubtful
        self.values[~self.good] = 0
        self.estimated = np.zeros_like(self.good)
        column = np.arange(self.values.shape[1])
        self.is_open: Bools = (column >= due.open_from[:, None]) & (column < due.open_to[:, None])
        breaks = (profiles.flags & Flag.NEW_REGISTER) != 0
        self.windows = windows(self.values, profiles.register, due.modulus, due.maximum, breaks)
        self.findings = Findings()
        self.basis: list[Basis] = []

    def run(self) -> Settled:
        vouched, troubled = self._check_sums()
        self._check_spikes(vouched)
        self._check_runs(vouched)
        self.quality[self.is_open & (self.quality == Quality.RAW)] = Quality.VALIDATED
        clean = np.logical_and.reduce(self.good | ~self.is_open, axis=1)
        clean[self.windows.row[troubled]] = False
        clean &= ~self._looks_too_short()
        closed = self._estimate_from_registers(troubled)
        self._estimate_gaps(self.is_open & ~self.good & ~closed)
        untouched = ~self.good & ~self.estimated
        self.values[untouched] = self.profiles.values[untouched]
        return Settled(self.values, self.quality, clean, self.findings, self.basis)

    # -- validation --

    def _passed_by_hand(self, rule: str) -> Bools | None:
        """Intervals that a person has passed for a rule (k, n); None: there are none."""
        if self.due.passed is None:
            return None
        by_hand = (self.due.passed & PASSED_BIT[rule]) != 0
        return by_hand if by_hand.any() else None

    def _check_sums(self) -> tuple[Bools, Int64s]:
        """V7 and V8. Where a window vouches for its intervals (k, n); which windows need estimates."""
        w = self.windows
        touched = (w.last >= self.due.open_from[w.row]) & (w.first < self.due.open_to[w.row])
        known = w.advance >= 0
        holds_doubtful = self._any_in(w, self.doubtful)
        complete = ~self._any_in(w, ~self.good)
        agree = complete & known & sums_agree(w.total, w.advance, self.rules.sum_check)
        off = touched & known & complete & ~agree
        if (by_hand := self._passed_by_hand("V8")) is not None:
            off &= ~self._any_in(w, by_hand)
        if self.rules.sum_check.then == "fail":
            for i in np.flatnonzero(off & ~holds_doubtful).tolist():
                self._look_for_the_wrong_one(w, i)
        elif self.rules.sum_check.then == "warn":
            for i in np.flatnonzero(off).tolist():
                detail = f"intervals add up to {w.total[i]}, the register advanced by {w.advance[i]}"
                self._find(w.row[i], w.first[i], w.last[i] + 1, "V8", "warning", detail, self.rules.sum_check.review)
        self._check_registers(np.flatnonzero(touched & ~known))
        vouched = self._covered_by(w, agree)
        self._clear_the_doubtful(vouched)
        broken = self._any_in(w, ~self.good)
        return vouched, np.flatnonzero(touched & known & broken)

    def _any_in(self, w: Windows, where: Bools) -> Bools:
        """Which windows hold an interval that is so (w,)."""
        if not where.any():
            return np.zeros(len(w), dtype=np.bool_)
        running = np.concatenate([np.zeros((len(where), 1), np.int64), where.cumsum(axis=1)], axis=1)
        return np.asarray(running[w.row, w.last + 1] > running[w.row, w.first])

    def _covered_by(self, w: Windows, chosen: Bools) -> Bools:
        """Intervals of the chosen windows (k, n)."""
        edges = np.zeros((len(self.good), self.good.shape[1] + 1), np.int64)
        np.add.at(edges, (w.row[chosen], w.first[chosen]), 1)
        np.add.at(edges, (w.row[chosen], w.last[chosen] + 1), -1)
        return np.asarray(edges[:, :-1].cumsum(axis=1) > 0)

    def _check_registers(self, at: Int64s) -> None:
        """V7: registers that contradict each other."""
        rule, w = self.rules.register_, self.windows
        if rule.then == "pass":
            return
        by_hand = self._passed_by_hand("V7")
        for i in at.tolist():
            row, column = int(w.row[i]), int(w.last[i])
            if by_hand is None or not by_hand[row, column]:
                before = int(self.profiles.register[row, w.first[i] - 1])
                now = int(self.profiles.register[row, column])
                fell = "fell" if now < before else "rose further than can have flowed,"
                detail = f"the register {fell} from {before} to {now}: reset, exchange or fault?"
                self._find(row, column, column + 1, "V7", "warning", detail, rule.review)

    def _clear_the_doubtful(self, vouched: Bools) -> None:
        if not self.doubtful.any():
            return
        cleared = self.doubtful & vouched
        self.quality[cleared & self.is_open] = Quality.VERIFIED
        refused = self.doubtful & ~vouched
        self.good[refused] = False
        self.values[refused] = 0

    def _look_for_the_wrong_one(self, w: Windows, i: int) -> None:
        """A window's sum is wrong. An interval that explains it alone is to blame, or the few that could; else all."""
        row, at = int(w.row[i]), np.arange(w.first[i], w.last[i] + 1)
        at = at[~self.decided[row, at]]
        detail = f"intervals add up to {w.total[i]}, the register advanced by {w.advance[i]}"
        if not len(at):
            self._find(row, w.first[i], w.last[i] + 1, "V8", "failed", f"decided by hand, but {detail}", review=True)
            return
        excess = int(w.total[i] - w.advance[i])
        habit = self._habit(row, at)
        expected, known = habit.values, habit.known
        corrected = self.values[row, at] - excess
        gain = np.abs(self.values[row, at] - expected) - np.abs(corrected - expected)
        gain[(corrected < 0) | (corrected > self.due.maximum[row]) | ~known] = -1
        likely = gain > abs(excess) // 2
        if likely.any():
            # Loads vary by factors, not by amounts: suspect are those that are off by the largest factors.
            little = 1 + expected[known].mean() / 10
            usual, is_, would_be = (
                np.log(each.clip(0) + little) for each in (expected, self.values[row, at], corrected)
            )
            by_factor = np.where(likely, np.abs(is_ - usual) - np.abs(would_be - usual), -np.inf)
            at = at[by_factor >= by_factor.max() * _AS_SUSPECT if by_factor.max() > 0 else likely]
        review = self.rules.sum_check.review and len(at) > 1
        for begin, stop in _runs_of(at):
            was = ", ".join(str(value) for value in self.values[row, begin : min(stop, begin + 3)].tolist())
            more = " …" if stop - begin > 3 else ""
            self._find(row, begin, stop, "V8", "failed", f"{was}{more}: {detail}", review)
        self._fail(row, at)

    def _fail(self, row: int, at: Int64s) -> None:
        self.good[row, at] = False
        self.quality[row, at] = Quality.QUESTIONABLE
        self.values[row, at] = 0

    def _looked_at(self, channels: tuple[str, ...]) -> Bools:
        """Rows of the channels a rule is for (k,); of all where it names none."""
        if not channels:
            return np.ones(len(self.values), dtype=np.bool_)
        return np.isin(self.profiles.channel, [Channel.parse(obis).code for obis in channels])

    def _check_spikes(self, vouched: Bools) -> None:
        """V9. The register's word, or a person's, makes a spike verified; without it a strict class fails it."""
        rule = self.rules.spike
        if rule.then == "pass":
            return
        found = spikes(self.values, self.good, self.per_day, rule)
        row, column, third = found.row, found.column, found.third
        new = (
            self._looked_at(rule.channels)[row]
            & self.is_open[row, column]
            & (self.quality[row, column] == Quality.RAW)
            & ((self.profiles.flags[row, column] & Flag.CLOCK_SET) == 0)
        )
        row, column, third = row[new], column[new], third[new]
        cleared = vouched[row, column]
        if (by_hand := self._passed_by_hand("V9")) is not None:
            cleared |= by_hand[row, column]
        self.quality[row[cleared], column[cleared]] = Quality.VERIFIED
        for r, c, usual in zip(*(each[~cleared].tolist() for each in (row, column, third)), strict=True):
            detail = f"{self.values[r, c]} stands out: the third-highest of the day is {usual}; no register vouches"
            severity: Severity = "failed" if rule.then == "fail" else "warning"
            self._find(r, c, c + 1, "V9", severity, detail, rule.review)
            if rule.then == "fail":
                self._fail(r, np.array([c]))

    def _check_runs(self, vouched: Bools) -> None:
        """V10. What the register says too is noted; the rest may be a meter that stands, or zero for missing."""
        rule = self.rules.runs
        if rule.then == "pass":
            return
        rows = np.flatnonzero(self._looked_at(rule.channels))
        found = long_runs(self.values[rows], self.good[rows] & ~self.decided[rows], self.profiles.interval_s, rule)
        by_hand = self._passed_by_hand("V10")
        hours = self.profiles.interval_s / 3600
        for place, first, end, value in zip(
            found.row.tolist(), found.first.tolist(), found.end.tolist(), found.value.tolist(), strict=True
        ):
            row = int(rows[place])
            span = slice(first, end)
            used = self.due.used_before[row] or bool((self.values[row, :first] > 0).any())
            if not self.is_open[row, span].any() or (value == 0 and not used):
                continue
            if by_hand is not None and by_hand[row, span].all():
                continue
            known = bool(vouched[row, span].all())
            what = f"{value} for {(end - first) * hours:g} hours"
            if known:
                self._find(row, first, end, "V10", "info", f"{what}, and the register says the same", review=False)
                continue
            why = "missing, or a meter that stands?" if value == 0 else "a meter that stands?"
            severity: Severity = "failed" if rule.then == "fail" else "warning"
            self._find(row, first, end, "V10", severity, f"{what} where there was other use: {why}", rule.review)
            if rule.then == "fail":
                self._fail(row, np.flatnonzero(self.is_open[row, span]) + first)

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
            if not 0 <= left <= self.due.maximum[row] * len(at):
                detail = f"the register's advance of {w.advance[i]} leaves {left} for {len(at)} other intervals"
                if self.decided[row, span].any():
                    self._find(
                        row, span.start, span.stop, "V8", "failed", f"decided by hand, but {detail}", review=True
                    )
                    continue
                at, left = np.arange(span.start, span.stop), int(w.advance[i])
                for begin, stop in _runs_of(at[self.good[row, at]]):
                    self._find(row, begin, stop, "V8", "failed", detail, self.rules.sum_check.review)
                self.good[row, at] = False
            guess = self._guess(row, at)
            shape = guess.values.copy()
            shape[~guess.known] = shape[guess.known].mean() if guess.known.any() else 1
            parts = estimate.spread(shape, left)
            if parts.max() > self.due.maximum[row]:
                # Checked again: what follows the shape may pass what can flow; evenly spread it cannot.
                parts = estimate.spread(np.ones_like(parts), left)
            detail = f"register advance {w.advance[i]} leaves {left} for {len(at)} intervals"
            self._estimate(row, at, parts, Quality.ESTIMATED_FROM_REGISTER, "E1", detail)
            self._rests_on(row, at, min(guess.first, span.start - 1), max(guess.last, span.stop - 1))
            closed[row, at] = True
        return closed

    def _estimate_gaps(self, gaps: Bools) -> None:
        """E2, E3, E4: gaps that no register closes yet."""
        longest_line = self.rules.estimation.linear_hours * 3600 / self.profiles.interval_s
        for row in np.flatnonzero(gaps.any(axis=1)).tolist():
            for begin, stop in _runs_of(np.flatnonzero(gaps[row])):
                at = np.arange(begin, stop)
                between = begin > 0 and stop < self.good.shape[1] and self.good[row, begin - 1] and self.good[row, stop]
                if between and stop - begin <= longest_line:
                    self._estimate_between(row, at)
                else:
                    self._estimate_by_habit(row, at)

    def _estimate_between(self, row: int, at: Int64s) -> None:
        """E2: from one good end to the other, as like days go from one to the other."""
        guess = self._guess(row, at)
        values = np.minimum(guess.values, self.due.maximum[row])
        self._estimate(row, at, values, Quality.ESTIMATED_LINEAR, "E2", "between its two good ends, as like days go")
        self._rests_on(row, at, guess.first, guess.last)

    def _estimate_by_habit(self, row: int, at: Int64s) -> None:
        """E3, where there are like days."""
        guess, known = self._guess(row, at), self._habit(row, at).known
        values = np.minimum(guess.values, self.due.maximum[row])
        detail = f"mean of up to {self.rules.estimation.like_days} like days, bent to its ends"
        self._estimate(row, at[known], values[known], Quality.ESTIMATED_LIKE_DAY, "E3", detail)
        self._estimate_from_others(row, at[~known])
        self._rests_on(row, at, guess.first, guess.last)

    def _estimate_from_others(self, row: int, at: Int64s) -> None:
        """E4: no like day. The profile of its class, at the level of the channel itself where that is known."""
        if not len(at):
            return
        own = self._usable(row) if self._usable(row).any() else self.good[row]
        profile = self.class_profile(int(self.profiles.channel[row]))
        if profile is not None:
            level = None
            if own.any():
                level = (
                    float(self.values[row, own].mean()),
                    float(profile.at(self.calendar, np.flatnonzero(own)).mean()),
                )
            values = profile.at(self.calendar, at)
            detail = f"profile of {profile.channels} channels of its class"
            if level is not None and level[1] > 0:
                values, detail = values * (level[0] / level[1]), f"{detail}, at its own level"
            whole = np.minimum(np.rint(values).astype(np.int64), self.due.maximum[row])
            self._estimate(row, at, whole, Quality.ESTIMATED_CLASS_PROFILE, "E4", detail)
        elif own.any():
            average = np.full(len(at), round(float(self.values[row, own].mean())), dtype=np.int64)
            self._estimate(row, at, average, Quality.ESTIMATED_AVERAGE, "E4", "average use: there is no like day")
        else:
            for begin, stop in _runs_of(at):
                detail = "missing, and nothing is known to estimate it from"
                self._find(row, begin, stop, "V4", "failed", detail, review=True)

    def _guess(self, row: int, at: Int64s) -> estimate.Guess:
        """Like days, bent to what the good ends of the gap say; days as they came where none is whole."""
        good, usable = self.good[row], self._usable(row)
        return self._bent(row, good, usable if usable.any() else good & ~self._unusual(row), at)

    def _bent(self, row: int, good: Bools, usable: Bools, at: Int64s) -> estimate.Guess:
        how = self.rules.estimation.habit
        return estimate.bent(self.values[row], good, usable, self.calendar, at, how, self.profiles.interval_s)

    def _habit(self, row: int, at: Int64s) -> estimate.Guess:
        """What like days say, whatever stands in the intervals themselves."""
        usable = self._usable(row)
        if not usable.any():
            usable = self.good[row] & ~self._unusual(row)
        how = self.rules.estimation.habit
        return estimate.expected(self.values[row], usable, self.calendar, at, how, self.profiles.interval_s)

    def _usable(self, row: int) -> Bools:
        """Reference intervals: of whole days of actual reads, in which nothing unusual happened (n,)."""
        read = self.good[row] & (self.quality[row] != Quality.ESTIMATED_BY_HAND)
        whole = read.reshape(-1, self.per_day).all(axis=1)
        return np.logical_and(np.repeat(whole, self.per_day), ~self._unusual(row))

    def _unusual(self, row: int) -> Bools:
        """Intervals of days with an outage or a clock that was set (n,)."""
        days = (self.profiles.flags[row] & _UNUSUAL).reshape(-1, self.per_day).any(axis=1)
        return np.repeat(days, self.per_day)

    def _estimate(self, row: int, at: Int64s, values: Int64s, quality: Quality, rule: str, detail: str) -> None:
        stood, how = self.profiles.values[row], self.profiles.quality[row]
        self.values[row, at], self.quality[row, at], self.estimated[row, at] = values, quality, True
        for column, value in zip(at.tolist(), values.tolist(), strict=True):
            was = "missing" if how[column] == Quality.MISSING else str(stood[column])
            if how[column] == Quality.MISSING:
                self._find(row, column, column + 1, "V4", "warning", "no read came for this interval")
            if stood[column] != value or how[column] != quality:
                self._find(row, column, column + 1, rule, "info", f"was {was}, estimated {value}: {detail}")

    def _rests_on(self, row: int, at: Int64s, first: int, last: int) -> None:
        self.basis.append(Basis(row, int(at[0]), int(at[-1]) + 1, first, last + 1))

    def _find(
        self, row: int, begin: int, stop: int, rule: str, severity: Severity, detail: str, review: bool = False
    ) -> None:
        p = self.profiles
        start_s, end_s = (p.start_s + int(column) * p.interval_s for column in (begin, stop))
        key = int(p.meter[row]), int(p.channel[row])
        self.findings.rows.append(Finding(*key, start_s, end_s, rule, severity, detail, review))


def _runs_of(columns: Int64s) -> list[tuple[int, int]]:
    """Columns cut into runs without a gap: (first, after the last) of each."""
    if not len(columns):
        return []
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)]
