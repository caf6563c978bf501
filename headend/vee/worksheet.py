"""The worksheet of one settlement: the arrays that rules and estimators work on, one after the other.

A rule says what it found, and what no longer counts as good; estimators fill what is not good. Who comes later sees
what those before left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
from headend.vee.findings import Finding, Severity
from headend.vee.registers import Windows, windows
from headend.vee.ruleset import Rules

Int64s = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]

#: The bit of each rule that a person can pass an interval for.
PASSED_BIT: Final = MappingProxyType({"V7": 1, "V8": 2, "V9": 4, "V10": 8})

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


class Worksheet:
    """What is worked on: `k` channels over `n` intervals.

    Parameters
    ----------
    values, quality
        as they stand by now (k, n); what is not good counts as zero.
    good
        may stand and be added up (k, n).
    decided
        a person decided (k, n).
    doubtful
        told by a clock that is off: the sum check can clear them, for the energy is right though its hour may not be.
    is_open
        is to be settled (k, n).
    windows, touched
        between register reads, and which of them hold an open interval (w,).
    """

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
        self.doubtful: Bools = (
            (self.quality == Quality.QUESTIONABLE)
            & ((profiles.flags & Flag.CLOCK_OFF) != 0)
            & (self.values >= 0)
            & (self.values <= due.maximum[:, None])
        )
        self.good: Bools = IS_ACTUAL[self.quality] | self.decided | self.doubtful
        self.values[~self.good] = 0
        column = np.arange(self.values.shape[1])
        self.is_open: Bools = (column >= due.open_from[:, None]) & (column < due.open_to[:, None])
        breaks = (profiles.flags & Flag.NEW_REGISTER) != 0
        w = self.windows = windows(self.values, profiles.register, due.modulus, due.maximum, breaks)
        self.touched: Bools = (w.last >= due.open_from[w.row]) & (w.first < due.open_to[w.row])
        self.findings: list[Finding] = []
        self.basis: list[Basis] = []

    def passed_by_hand(self, rule: str) -> Bools | None:
        """Intervals that a person has passed for a rule (k, n); None: there are none."""
        if self.due.passed is None:
            return None
        by_hand = (self.due.passed & PASSED_BIT[rule]) != 0
        return by_hand if by_hand.any() else None

    def any_in(self, w: Windows, where: Bools) -> Bools:
        """Which windows hold an interval that is so (w,)."""
        if not where.any():
            return np.zeros(len(w), dtype=np.bool_)
        running = np.concatenate([np.zeros((len(where), 1), np.int64), where.cumsum(axis=1)], axis=1)
        return np.asarray(running[w.row, w.last + 1] > running[w.row, w.first])

    def windows_to_fill(self) -> Int64s:
        """Windows that hold an open interval, and one that is not good, and whose advance says what it comes to."""
        w = self.windows
        return np.flatnonzero(self.touched & (w.advance >= 0) & self.any_in(w, ~self.good))

    def covered_by(self, w: Windows, chosen: Bools) -> Bools:
        """Intervals of the chosen windows (k, n)."""
        edges = np.zeros((len(self.good), self.good.shape[1] + 1), np.int64)
        np.add.at(edges, (w.row[chosen], w.first[chosen]), 1)
        np.add.at(edges, (w.row[chosen], w.last[chosen] + 1), -1)
        return np.asarray(edges[:, :-1].cumsum(axis=1) > 0)

    def fail(self, row: int, at: Int64s) -> None:
        """What a rule refuses is questionable, and is filled."""
        self.good[row, at] = False
        self.quality[row, at] = Quality.QUESTIONABLE
        self.values[row, at] = 0

    def looked_at(self, channels: tuple[str, ...]) -> Bools:
        """Rows of the channels a rule is for (k,); of all where it names none."""
        if not channels:
            return np.ones(len(self.values), dtype=np.bool_)
        return np.isin(self.profiles.channel, [Channel.parse(obis).code for obis in channels])

    def guess(self, row: int, at: Int64s) -> estimate.Guess:
        """Like days, bent to what the good ends of the gap say."""
        how, interval_s = self.rules.estimation.habit, self.profiles.interval_s
        usable, whole = self._references(row, at)
        found = estimate.bent(self.values[row], self.good[row], usable, self.calendar, at, how, interval_s)
        if whole:
            return found
        # The first day within reach that becomes whole will be the only one that counts.
        reach = self.reach(at)
        return replace(found, first=min(found.first, reach.start), last=max(found.last, reach.stop - 1))

    def habit(self, row: int, at: Int64s) -> estimate.Guess:
        """What like days say, whatever stands in the intervals themselves."""
        how, interval_s = self.rules.estimation.habit, self.profiles.interval_s
        usable, _ = self._references(row, at)
        return estimate.expected(self.values[row], usable, self.calendar, at, how, interval_s)

    def usable(self, row: int) -> Bools:
        """Reference intervals (n,): of whole days of actual reads; only where there is none, of days with holes.

        Days with an outage or a clock that was set are none.
        """
        return self._references(row, np.array([0, len(self.values[row]) - 1]))[0]

    def reach(self, at: Int64s) -> slice:
        """The columns around a gap in which its like days may lie; they may be outside the row."""
        columns = self.rules.estimation.look_back_days * self.per_day
        return slice(int(at[0]) - columns, int(at[-1]) + 1 + columns)

    def _references(self, row: int, at: Int64s) -> tuple[Bools, bool]:
        """Reference intervals (n,) of a gap, and whether they are of whole days: days out of reach decide nothing."""
        reach = self.reach(at)
        near = np.zeros(len(self.values[row]), dtype=np.bool_)
        near[max(0, reach.start) : reach.stop] = True
        read = self.good[row] & (self.quality[row] != Quality.ESTIMATED_BY_HAND)
        days = read.reshape(-1, self.per_day)
        usual = ~(self.profiles.flags[row] & _UNUSUAL).reshape(-1, self.per_day).any(axis=1)
        whole = days.all(axis=1) & usual
        some = bool((whole & near.reshape(-1, self.per_day).any(axis=1)).any())
        return (days & (whole if some else usual)[:, None]).reshape(-1), some

    def find(
        self, row: int, begin: int, stop: int, rule: str, severity: Severity, detail: str, review: bool = False
    ) -> None:
        """Note what a rule says of the columns [begin, stop) of a row."""
        p = self.profiles
        start_s, end_s = (p.start_s + int(column) * p.interval_s for column in (begin, stop))
        key = int(p.meter[row]), int(p.channel[row])
        self.findings.append(Finding(*key, start_s, end_s, rule, severity, detail, review))


def runs_of(columns: Int64s) -> list[tuple[int, int]]:
    """Columns cut into runs without a gap: (first, after the last) of each."""
    if not len(columns):
        return []
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)]
