"""How near estimates come to what was used, on real reads: `python -m benchmarks.estimation [--quick]`.

Gaps are planted at random, always the same ones, where nothing is missing: in one London home and in buildings of the
University of Cambridge. The parameters of `HOME` and `BUILDING` were chosen on the first half of the time of the home
and of building b0; everything shown is the second half, or a building that was not looked at for that.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from benchmarks import realmeters
from benchmarks.table import show
from headend.vee.daytypes import DayTypes, day_types
from headend.vee.estimate import Bools, Habit, Int64s, bent, expected, spread

LONDON = ZoneInfo("Europe/London")
HOUR_S = 3600
MONTH = 30 * 24
GAPS = (1, 2, 3, 6, 12, 24, 48, 72, 168)
HOME = Habit(like_days=8, look_back_days=56, half_life_h=1)
BUILDING = Habit(like_days=4, look_back_days=56, half_life_h=6)
MORNING = 6  # hours after a gap's end at which it is first filled
PEAK_PRICE, PRICE = 0.45, 0.15  # from 16 to 20 o'clock, and at other times


@dataclass(frozen=True, slots=True, eq=False)
class Meter:
    """Hourly reads [Wh] of a real meter; where one is missing in the file it is not `there` (n,)."""

    name: str
    values: Int64s
    there: Bools
    calendar: DayTypes
    habit: Habit

    def planted(self, length: int, count: int) -> list[int]:
        """First columns of gaps in the second half of the time, with an hour on either side that is there."""
        rng = np.random.default_rng([2026, length])
        lost = np.concatenate([np.zeros(1, np.int64), (~self.there).cumsum()])
        begins = np.arange(len(self.values) // 2, len(self.values) - length - 1)
        whole = begins[lost[begins + length + 1] == lost[begins - 1]]
        return rng.choice(whole, count).tolist()


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """A gap planted into a meter's reads, and what may be known when it is filled: the weeks around it."""

    values: Int64s
    good: Bools
    calendar: DayTypes
    at: Int64s
    habit: Habit

    @classmethod
    def of(cls, meter: Meter, begin: int, length: int) -> Gap:
        """The gap from column `begin` on."""
        reach = meter.habit.look_back_days * 24 + 1
        shown = slice(max(0, begin - reach), begin + length + reach)
        at = np.arange(begin, begin + length) - shown.start
        good = meter.there[shown].copy()
        good[at] = False
        calendar = DayTypes(meter.calendar.slot[shown], meter.calendar.kind[shown])
        return cls(np.where(good, meter.values[shown], 0), good, calendar, at, meter.habit)

    def known_until(self, column: int) -> Bools:
        """What was good when nothing from `column` on had come yet (n,)."""
        return self.good & (np.arange(len(self.good)) < column)


Method = Callable[[Gap, int], Int64s]
"""What fills a gap, of which the register tells the total."""


def line(gap: Gap, _total: int) -> Int64s:
    """Straight from the good read before to the good read after."""
    ends = [gap.at[0] - 1, gap.at[-1] + 1]
    return np.rint(np.interp(gap.at, ends, gap.values[ends])).astype(np.int64)


def three_days(gap: Gap, _total: int) -> Int64s:
    """The common rule: the mean of the three latest days of the same type before the gap."""
    three = Habit(3, gap.habit.look_back_days, gap.habit.half_life_h)
    return expected(gap.values, gap.known_until(int(gap.at[0])), gap.calendar, gap.at, three, HOUR_S).values


def ours(gap: Gap, _total: int) -> Int64s:
    """Like days before and after the gap, bent to its ends."""
    return bent(gap.values, gap.good, gap.good, gap.calendar, gap.at, gap.habit, HOUR_S).values


def ours_next_morning(gap: Gap, _total: int) -> Int64s:
    """The same, when the gap is filled for the first time."""
    good = gap.known_until(int(gap.at[-1]) + 1 + MORNING)
    return bent(gap.values, good, good, gap.calendar, gap.at, gap.habit, HOUR_S).values


def from_register(shape: Method) -> Method:
    """The same shape, made to add up to what the register says."""
    return lambda gap, total: spread(shape(gap, total), total)


METHODS: dict[str, Method] = {
    "line between the ends": line,
    "3 like days": three_days,
    "ours, next morning": ours_next_morning,
    "ours, later": ours,
    "3 like days, register": from_register(three_days),
    "ours, register": from_register(ours),
}


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of many gaps of one length.

    Parameters
    ----------
    wape
        sum of absolute errors of the missing hours, of what was used in them [%].
    total
        the same of whole gaps: sum of absolute errors of the gaps' totals [%].
    bill_mean, bill_p95
        error of a bill of 30 days with one such gap, of the bill: mean and 95th percentile [%].
    """

    wape: float
    total: float
    bill_mean: float
    bill_p95: float


def measure(meter: Meter, length: int, count: int, method: Method) -> Accuracy:
    """Fill planted gaps and compare with what was used."""
    hours = total = used = 0
    bills = []
    rng = np.random.default_rng([2026, length])
    for begin in meter.planted(length, count):
        span = slice(begin, begin + length)
        real = meter.values[span]
        error = method(Gap.of(meter, begin, length), int(real.sum())) - real
        hours += int(np.abs(error).sum())
        total += abs(int(error.sum()))
        used += int(real.sum())
        first = min(max(0, begin - int(rng.integers(MONTH - length))), len(meter.values) - MONTH)
        month = slice(first, first + MONTH)
        bill = _charge(meter, month, np.where(meter.there[month], meter.values[month], 0))
        bills.append(100 * abs(_charge(meter, span, error)) / bill)
    return Accuracy(
        100 * hours / used, 100 * total / used, float(np.mean(bills)), float(np.percentile(bills, 95, method="linear"))
    )


def _charge(meter: Meter, span: slice, amounts: Int64s) -> float:
    at_peak = (meter.calendar.slot[span] >= 16) & (meter.calendar.slot[span] < 20)
    return float(amounts @ np.where(at_peak, PEAK_PRICE, PRICE)) / 1000


def london_home() -> Meter:
    """From the first use on."""
    home = realmeters.london_home()
    used = np.arange(len(home.values)) >= int(np.flatnonzero(home.values)[0])
    return _meter(home, home.there & used, HOME)


def building(name: str, year: int) -> Meter:
    """A Cambridge building; its zeros are what the publisher wrote for missing."""
    its = realmeters.building(name, year)
    return _meter(its, its.there & (its.values > 0), BUILDING)


def _meter(real: realmeters.RealMeter, there: Bools, habit: Habit) -> Meter:
    calendar = day_types(real.start_s, len(real.values), HOUR_S, LONDON, "GB-ENG")
    return Meter(real.name, np.where(there, real.values, 0), there, calendar, habit)


def figures(meter: Meter, count: int) -> Iterator[tuple[str, list[Accuracy]]]:
    """Each method with its accuracy by length of the gap."""
    for name, method in METHODS.items():
        yield name, [measure(meter, length, count, method) for length in GAPS]


def main(quick: bool = False) -> None:
    """Print the tables."""
    count = 60 if quick else 400
    head = ("gap [h]", *(str(length) for length in GAPS))
    for meter in (london_home(), *(building(*each) for each in (("b0", 2016), ("b13", 2019), ("b101", 2019)))):
        found = list(figures(meter, count))
        by_hour = [(name, *(f"{a.wape:.1f}" for a in row)) for name, row in found]
        show(f"{meter.name}: error of the missing hours, WAPE [%], {count} gaps of each length", head, by_hour)
        by_gap = [(name, *(f"{a.total:.1f}" for a in row)) for name, row in found if "register" not in name]
        show(f"{meter.name}: error of the gap's total [%]", head, by_gap)
        bills = [(name, *(f"{a.bill_mean:.2f} / {a.bill_p95:.2f}" for a in row)) for name, row in found]
        show(f"{meter.name}: error of a bill of 30 days, mean / 95 of 100 bills within [%]", head, bills)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="60 gaps of each length instead of 400; rougher figures")
    main(parser.parse_args().quick)
