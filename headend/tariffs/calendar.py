"""When: which TOU period an interval belongs to, and what a bill covers.

A schedule's periods are one table, (part of the year, kind of day, minute of day) → period; it is made once. Compiling
a stretch of time is then a lookup by local wall clock, and no rule about seasons, weekends or wrapping hours is left to
go wrong. An interval belongs to the period in which it begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from fractions import Fraction
from functools import lru_cache

import holidays
import numpy as np
from numpy.typing import NDArray

from headend.errors import CannotRate
from headend.reads.days import DAY_S, day_number, local_seconds, midnight, seconds
from headend.tariffs.arrays import Codes, Int64s
from headend.tariffs.format.fields import zone_of_clock
from headend.tariffs.format.schema import MAIN, Tariff
from headend.tariffs.format.times import DAY_KINDS, HOLIDAY, MINUTES, Holidays, Season, When, minutes_of, month_day
from headend.tariffs.market import NO_MARKET, Events, Market

#: In a period table: no period holds.
GAP = 255

# What the library adds to a holiday's name where its day is not the holiday's own, or not certain.
_REMARK = re.compile(r" \((observed|estimated|observed, estimated|substitute day)\)$")


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
    cycle
        first day of the month the bill is for. None: the month of the last day.
    """

    first: date
    end: date
    zone: tzinfo
    months: Fraction | None = None
    cycle: date | None = None

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
    def month(self) -> date:
        """First day of the month the bill is for."""
        return self.cycle or (self.end - timedelta(days=1)).replace(day=1)

    def within(self, first: date | None, until: date | None) -> BillingWindow | None:
        """Its days from `first` up to and without `until`, with their share of its months; None if there are none."""
        begin, end = max(self.first, first or self.first), min(self.end, until or self.end)
        if begin >= end:
            return None
        months = None if self.months is None else self.months * Fraction((end - begin).days, self.days)
        return BillingWindow(begin, end, self.zone, months, self.month)

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


@dataclass(frozen=True, slots=True, eq=False)
class PeriodTable:
    """Which period of a schedule holds.

    Parameters
    ----------
    parts
        part of the year by month and day of the month, both from 0 (12, 31).
    months, seasons
        month (1 to 12) of each part of the year, and its season.
    periods
        index of the period, or `GAP`, by part of the year, kind of day (Monday … Sunday, then holidays on Monday …
        Sunday) and minute of the day (parts, 14, 1440).
    """

    parts: Int64s
    months: tuple[int, ...]
    seasons: tuple[str | None, ...]
    periods: Codes


def season_of(seasons: tuple[Season, ...], month: int, day: int) -> str | None:
    """The season on a day of the year; None where a tariff has none."""
    return _begun(_begins(seasons), month, day)


def _begins(seasons: tuple[Season, ...]) -> list[tuple[tuple[int, int], str]]:
    return sorted((month_day(begin), season.name) for season in seasons for begin in season.begins)


def _begun(begins: list[tuple[tuple[int, int], str]], month: int, day: int) -> str | None:
    # Before the year's first begin it is the season that began last in the year before.
    return next((name for begin, name in reversed(begins) if begin <= (month, day)), begins[-1][1]) if begins else None


def period_table(
    tariff: Tariff, schedule: str | None = MAIN, cycle: date | None = None, during: frozenset[str] = frozenset()
) -> PeriodTable:
    """The table of a schedule.

    Parameters
    ----------
    cycle
        a day of the month the bill is for, where the tariff's seasons follow that.
    during
        events that are on.
    """
    begins, fixed = _begins(tariff.seasons), None
    if tariff.seasons_by == "cycle" and cycle is not None:
        fixed = _begun(begins, cycle.month, 1)
    numbers: dict[tuple[int, str | None], int] = {}
    parts = np.zeros((12, 31), dtype=np.int64)
    for month in range(1, 13):
        for day in range(1, 32):
            key = month, fixed or _begun(begins, month, day)
            parts[month - 1, day - 1] = numbers.setdefault(key, len(numbers))
    months, seasons = (tuple(column) for column in zip(*numbers, strict=True))
    periods = np.full((len(numbers), DAY_KINDS, MINUTES), GAP, dtype=np.uint8)
    for index, period in reversed(list(enumerate(tariff.schedule(schedule)))):
        for when in period.alternatives:
            if when.event is None or when.event in during:
                np.copyto(periods, np.uint8(index), where=_cells(when, months, seasons))
    return PeriodTable(parts, months, seasons, periods)


def _cells(when: When, months: tuple[int, ...], seasons: tuple[str | None, ...]) -> NDArray[np.bool_]:
    """Where conditions hold (parts, 14, 1440)."""
    parts = [
        (when.months is None or month in when.months) and (when.seasons is None or season in when.seasons)
        for month, season in zip(months, seasons, strict=True)
    ]
    minute = np.arange(MINUTES)
    holds = np.full(MINUTES, when.hours is None)
    for hours in when.hours or ():
        begin, end = minutes_of(hours)
        inside = minute >= begin, minute < end
        holds |= inside[0] & inside[1] if begin < end else inside[0] | inside[1]
    kinds = np.isin(np.arange(DAY_KINDS), when.day_kinds)
    return np.array(parts)[:, None, None] & kinds[:, None] & holds


_period_table = lru_cache(maxsize=64)(period_table)


def codes_of(
    tariff: Tariff,
    window: BillingWindow,
    interval_s: int,
    schedule: str | None = MAIN,
    market: Market = NO_MARKET,
    start_utc: datetime | None = None,
    n: int | None = None,
) -> Codes:
    """Index of the period of a schedule for each interval of a bill (n,), read-only, cached.

    Parameters
    ----------
    start_utc, n
        begin of the first interval, and how many there are. None: those of the window.
    """
    named = sorted({when.event for period in tariff.schedule(schedule) for when in period.alternatives if when.event})
    events = tuple(market.events.get(name, Events(name)) for name in named)
    cycle = window.month if tariff.seasons_by == "cycle" else None
    n = window.intervals(interval_s) if n is None else n
    return compile_calendar(tariff, window.zone, start_utc or window.start_utc, n, interval_s, schedule, cycle, events)


@lru_cache(maxsize=4096)
def compile_calendar(
    tariff: Tariff,
    timezone: tzinfo,
    first_utc: datetime,
    n_intervals: int,
    interval_s: int,
    schedule: str | None = MAIN,
    cycle: date | None = None,
    events: tuple[Events, ...] = (),
) -> Codes:
    """Index of the period of a schedule for each interval (n_intervals,), read-only, cached.

    Parameters
    ----------
    timezone
        the usage point's, which counts where the tariff's clock is `local`.
    first_utc
        begin of the first interval.
    interval_s
        length of an interval [s].
    cycle
        a day of the month the bill is for, where the tariff's seasons follow that.
    events
        those its periods refer to.

    Raises
    ------
    CannotRate
        an interval is in no period.
    """
    begin_s = seconds(first_utc)
    local = local_seconds(begin_s, n_intervals, interval_s, clock_zone(tariff, timezone))
    day = local // DAY_S
    kind = (day + 3) % 7  # 1970-01-01 was a Thursday
    if tariff.holidays is not None:
        years = day[[0, -1]].astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
        dates = [_holidays(tariff.holidays, year) for year in range(int(years[0]), int(years[1]) + 1)]
        kind = kind + HOLIDAY * np.isin(day, np.concatenate(dates))
    months = day.astype("datetime64[D]").astype("datetime64[M]")
    month, day_of_month = months.astype(np.int64) % 12, day - months.astype("datetime64[D]").astype(np.int64)
    minute = local % DAY_S // 60
    codes = np.empty(n_intervals, dtype=np.uint8)
    on = [each.during(begin_s, n_intervals, interval_s) for each in events]
    which = sum((its.astype(np.int64) << bit for bit, its in enumerate(on)), np.zeros(n_intervals, dtype=np.int64))
    for combination in np.unique(which).tolist():
        during = frozenset(each.name for bit, each in enumerate(events) if combination >> bit & 1)
        table, at = _period_table(tariff, schedule, cycle, during), which == combination
        codes[at] = table.periods[table.parts[month[at], day_of_month[at]], kind[at], minute[at]]
    if (codes == GAP).any():
        first = first_utc + timedelta(seconds=interval_s * int(np.argmax(codes == GAP)))
        raise CannotRate(f"{tariff.id} has no period for the interval at {first:%Y-%m-%dT%H:%MZ}")
    codes.setflags(write=False)
    return codes


def clock_zone(tariff: Tariff, local: tzinfo) -> tzinfo:
    """The zone by which the tariff tells the time, for a usage point in zone `local`."""
    return local if tariff.clock == "local" else zone_of_clock(tariff.clock)


@lru_cache(maxsize=1024)
def _holidays(rule: Holidays, year: int) -> Int64s:
    found = {day for day in rule.dates if day.year == year}
    if rule.country is not None:
        # An observed holiday can fall into the year before (31 December for New Year), so both sides are asked.
        for each in (year, year + 1):
            found |= {day for day in public_holidays(rule, each) if day.year == year}
    return np.array(sorted(day_number(day) for day in found), dtype=np.int64)


def public_holidays(rule: Holidays, year: int) -> dict[date, set[str]]:
    """The library's holidays that count, with their English names; `only` those the rule names."""
    languages = dict(holidays.list_localized_countries()).get(rule.country or "", ())
    names = holidays.country_holidays(
        rule.country or "",
        subdiv=rule.subdivision,
        years=year,
        observed=rule.observed,
        language="en_US" if "en_US" in languages else None,
    )
    known = {day: {_REMARK.sub("", name) for name in names.get_list(day)} for day in names}
    return {day: its for day, its in known.items() if rule.only is None or its & set(rule.only)}
