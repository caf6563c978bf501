"""A schedule at a glance: which period each hour of each month is in, as one grid for the days that are alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np

from headend.tariffs.arrays import Codes
from headend.tariffs.calendar import PeriodTable, period_table
from headend.tariffs.check.year import MONTHS, weekdays
from headend.tariffs.format.components import Dynamic, Energy
from headend.tariffs.format.schema import MAIN, Tariff
from headend.tariffs.format.times import DAYS_OF_MONTHS, HOLIDAY, MINUTES

#: In a grid: the period changes within the hour.
MIXED = 254
# The 29th of February is there, or its season would not be.
_WORKDAYS, _WEEKEND = range(5), range(5, 7)
_AS_WEEKDAYS = "as the weekday they fall on"


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Days that are alike.

    Parameters
    ----------
    days
        which, for people.
    cells
        index of the period, `MIXED` or `GAP`, by row and hour (rows, 24).
    """

    days: str
    cells: Codes


@dataclass(frozen=True, slots=True, eq=False)
class Heatmap:
    """All hours of a year, while no event is on.

    Parameters
    ----------
    rows
        the months, or their parts where a season begins within.
    grids
        weekdays first, then the weekend, then holidays where they are like none of those.
    holidays
        which days they are like, otherwise; None: the tariff knows none.
    changes
        times within an hour at which the period changes on some day [minutes after midnight].
    """

    rows: tuple[str, ...]
    grids: tuple[Grid, ...]
    holidays: str | None
    changes: tuple[int, ...]


def heatmap(tariff: Tariff, schedule: str | None = MAIN) -> Heatmap:
    """The grids of a schedule."""
    rows: list[str] = []
    minutes: list[Codes] = []
    table = period_table(tariff, schedule)
    for month in range(1, 13):
        if tariff.seasons_by == "cycle":
            # It is drawn for bills over calendar months.
            table = period_table(tariff, schedule, cycle=date(2001, month, 1))
        for label, part in _parts(table, month):
            rows.append(label)
            minutes.append(table.periods[part])
    by_kind = np.stack(minutes, axis=1)
    grids = [*_grids(by_kind, _WORKDAYS), *_grids(by_kind, _WEEKEND)]
    told = None
    if tariff.holidays is not None:
        told, more = _holidays(by_kind, grids)
        grids += more
    kinds = by_kind if tariff.holidays is not None else by_kind[:HOLIDAY]
    differs = (kinds[..., 1:] != kinds[..., :-1]).any(axis=(0, 1))
    changes = [minute for minute in range(1, MINUTES) if minute % 60 and differs[minute - 1]]
    return Heatmap(tuple(rows), tuple(Grid(days, _hours(its)) for days, its in grids), told, tuple(changes))


def _parts(table: PeriodTable, month: int) -> list[tuple[str, int]]:
    """Parts of a month, in the order of its days."""
    days = table.parts[month - 1, : DAYS_OF_MONTHS[month - 1]].tolist()
    begins = [day for day, part in enumerate(days) if day == 0 or part != days[day - 1]]
    if len(begins) == 1:
        return [(MONTHS[month - 1], days[0])]
    ends = [*begins[1:], len(days)]
    return [(f"{MONTHS[month - 1]} {begin + 1}-{end}", days[begin]) for begin, end in zip(begins, ends, strict=True)]


def _grids(by_kind: Codes, kinds: Iterable[int]) -> list[tuple[str, Codes]]:
    """Days of the week that are alike, minute by minute."""
    alike: dict[bytes, list[int]] = {}
    for kind in kinds:
        alike.setdefault(by_kind[kind].tobytes(), []).append(kind)
    return [(weekdays(kind % HOLIDAY for kind in its), by_kind[its[0]]) for its in alike.values()]


def _holidays(by_kind: Codes, grids: list[tuple[str, Codes]]) -> tuple[str | None, list[tuple[str, Codes]]]:
    if (by_kind[HOLIDAY:] == by_kind[:HOLIDAY]).all():
        return _AS_WEEKDAYS, []
    own = _grids(by_kind, range(HOLIDAY, len(by_kind)))
    if len(own) == 1:
        like = next((days for days, its in grids if (its == own[0][1]).all()), None)
        return (f"as {like}", []) if like else (None, [("Holidays", own[0][1])])
    return None, [(f"Holidays on {days}", its) for days, its in own]


def _hours(minutes: Codes) -> Codes:
    hours = minutes.reshape(-1, 24, 60)
    return np.where((hours == hours[..., :1]).all(axis=-1), hours[..., 0], np.uint8(MIXED))


def first_prices(tariff: Tariff, schedule: str | None = MAIN) -> list[Decimal]:
    """What the first unit costs in each period: all components that charge import by this schedule, on the first day.

    Where there are none, what those pay that credit export. Published prices count as what is added to them.
    """
    using = [
        each
        for each in tariff.components
        if isinstance(each, Energy | Dynamic)
        and each.schedule == schedule
        and (each.valid_from is None or each.valid_from <= tariff.valid_from)
        and (each.valid_until is None or each.valid_until > tariff.valid_from)
    ]
    imports = [each for each in using if each.measures == "import"]
    return [
        sum((_first(each, period.name) for each in imports or using), Decimal(0))
        for period in tariff.schedule(schedule)
    ]


def _first(component: Energy | Dynamic, period: str) -> Decimal:
    if isinstance(component, Dynamic):
        return _of_period(component.add, period)
    sign = -1 if component.measures == "import" and component.credit else 1
    return sign * component.factor * _of_period(component.tiers[0].price, period)


def _of_period(price: Decimal | dict[str, Decimal] | None, name: str) -> Decimal:
    return price.get(name, Decimal(0)) if isinstance(price, dict) else price or Decimal(0)
