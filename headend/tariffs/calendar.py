"""When: which TOU period an interval belongs to, and what a bill covers.

A tariff's periods are one table, (month, kind of day, minute of day) → period; it is made once per tariff. Compiling a
stretch of time is then a lookup by local wall clock, and no rule about seasons, weekends or wrapping hours is left to
go wrong. An interval belongs to the period in which it begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays
import numpy as np
from numpy.typing import NDArray

from headend.errors import CannotRate
from headend.reads.days import DAY_S, day_number, local_seconds, midnight, seconds
from headend.tariffs.schema import DAYS, HOLIDAY, MINUTES, Holidays, Period, Tariff, minutes_of

_ALL_MONTHS = tuple(range(1, 13))
_ALL_DAYS = tuple(range(8))

Codes = NDArray[np.uint8]
Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BillingWindow:
    """Local days `first` up to and without `end`: what is rated at once.

    Parameters
    ----------
    first, end
        local dates in `zone`.
    zone
        the usage point's time zone.
    months
        how many months of allowance and standing charge the window is worth. None: by the calendar, each day is
        worth 1 ÷ days of its month. Give 1 for a regular cycle that does not follow calendar months, or days ÷ days of
        the cycle for a part of one.
    """

    first: date
    end: date
    zone: ZoneInfo
    months: Fraction | None = None

    def __post_init__(self) -> None:
        if self.first >= self.end:
            raise CannotRate(f"the billing window {self.first} up to {self.end} has no days")

    @property
    def days(self) -> int:
        """Number of local days."""
        return (self.end - self.first).days

    @property
    def months_worth(self) -> Fraction:
        """`months`, or the calendar's answer."""
        return calendar_months(self.first, self.end) if self.months is None else self.months

    @property
    def start_utc(self) -> datetime:
        """Moment the first day begins."""
        return midnight(self.first, self.zone)

    def intervals(self, interval_s: int) -> int:
        """How many intervals of `interval_s` seconds the window has; 23 and 25 hour days included."""
        length = int((midnight(self.end, self.zone) - self.start_utc).total_seconds())
        if length % interval_s:
            raise CannotRate(f"intervals of {interval_s} s do not fill {self.first} up to {self.end}")
        return length // interval_s


def calendar_months(first: date, end: date) -> Fraction:
    """Months in the days `first` up to and without `end`, each day worth 1 ÷ days of its calendar month."""
    months = Fraction(0)
    while first < end:
        month_begin = first.replace(day=1)
        month_end = (month_begin + timedelta(days=31)).replace(day=1)
        until = min(month_end, end)
        months += Fraction((until - first).days, (month_end - month_begin).days)
        first = until
    return months


def period_table(tariff: Tariff) -> Codes:
    """Index of the TOU period for each month, kind of day and minute of the day (12, 8, 1440).

    Kinds of day are Monday … Sunday and holiday. The first period that matches wins.
    """
    table = np.zeros((12, 8, MINUTES), dtype=np.uint8)
    for index in reversed(range(len(tariff.periods))):
        months, days, minutes = _cells(tariff.periods[index])
        table[np.ix_(months, days, minutes)] = index
    return table


def _cells(period: Period) -> tuple[Int64s, Int64s, Int64s]:
    months = np.array(period.months or _ALL_MONTHS, dtype=np.int64) - 1
    names = period.days
    days = _ALL_DAYS if names is None else tuple(day for name in names for day in DAYS[name])
    minute = np.arange(MINUTES)
    holds = np.full(MINUTES, period.hours is None)
    for hours in period.hours or ():
        begin, end = minutes_of(hours)
        inside = minute >= begin, minute < end
        holds |= inside[0] & inside[1] if begin < end else inside[0] | inside[1]
    return months, np.array(days, dtype=np.int64), np.flatnonzero(holds)


_period_table = lru_cache(maxsize=256)(period_table)


@lru_cache(maxsize=4096)
def compile_calendar(
    tariff: Tariff, timezone: ZoneInfo, first_utc: datetime, n_intervals: int, interval_s: int
) -> Codes:
    """Index of the TOU period of each interval (n_intervals,), read-only, cached.

    Parameters
    ----------
    timezone
        the usage point's, which counts where the tariff's clock is `local`.
    first_utc
        begin of the first interval.
    interval_s
        length of an interval [s].
    """
    local = local_seconds(seconds(first_utc), n_intervals, interval_s, clock_zone(tariff, timezone))
    day = local // DAY_S
    kind = (day + 3) % 7  # 1970-01-01 was a Thursday
    if tariff.holidays is not None:
        years = day[[0, -1]].astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
        dates = [_holidays(tariff.holidays, year) for year in range(int(years[0]), int(years[1]) + 1)]
        kind[np.isin(day, np.concatenate(dates))] = HOLIDAY
    month = day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    codes = _period_table(tariff)[month, kind, local % DAY_S // 60]
    codes.setflags(write=False)
    return codes


def clock_zone(tariff: Tariff, local: ZoneInfo) -> ZoneInfo:
    """The zone by which the tariff tells the time, for a usage point in zone `local`."""
    return local if tariff.clock == "local" else ZoneInfo(tariff.clock)


@lru_cache(maxsize=1024)
def _holidays(rule: Holidays, year: int) -> Int64s:
    found = holidays.country_holidays(rule.country, subdiv=rule.subdivision, years=year, observed=rule.observed)
    # An observed holiday can fall into the year before (31 December for New Year), so both sides are asked.
    near = holidays.country_holidays(rule.country, subdiv=rule.subdivision, years=year + 1, observed=rule.observed)
    return np.array(sorted({day_number(day) for day in [*found, *near] if day.year == year}), dtype=np.int64)
