"""Every kind of hour that a tariff's year has, and how to say some of them in few words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from headend.tariffs.arrays import Codes
from headend.tariffs.calendar import GAP, period_table
from headend.tariffs.format.schema import Tariff
from headend.tariffs.format.times import DAY_KINDS, HOLIDAY, MINUTES, Period

Cells = NDArray[np.bool_]

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MOST_PHRASES = 3


@dataclass(frozen=True, slots=True, eq=False)
class Year:
    """Which of some periods holds.

    Parameters
    ----------
    parts
        month and season of each part of the year.
    periods
        index of the period, or `GAP`, by part, kind of day and minute (parts, 7 or with holidays 14, 1440).
    """

    parts: tuple[tuple[int, str | None], ...]
    periods: Codes


def year_of(tariff: Tariff, periods: tuple[Period, ...], during: frozenset[str] = frozenset()) -> Year:
    """The year as some periods sort it, while the events in `during` are on."""
    sorted_by = tariff.model_copy(update={"periods": periods})
    kinds = HOLIDAY if tariff.holidays is None else DAY_KINDS
    cells: dict[tuple[int, str | None], Codes] = {}
    for cycle, months in _bills(tariff):
        table = period_table(sorted_by, cycle=cycle, during=during)
        for part, (month, season) in enumerate(zip(table.months, table.seasons, strict=True)):
            if month in months:
                cells[month, season] = table.periods[part, :kinds]
    parts = tuple(sorted(cells, key=lambda part: part[0]))
    return Year(parts, np.stack([cells[part] for part in parts]))


def _bills(tariff: Tariff) -> Iterator[tuple[date | None, tuple[int, ...]]]:
    if tariff.seasons_by == "date" or not tariff.seasons:
        yield None, tuple(range(1, 13))
        return
    for month in range(1, 13):
        # A bill that does not follow calendar months has days of those beside its own.
        yield date(2001, month, 1), ((month - 2) % 12 + 1, month, month % 12 + 1)


def holding(tariff: Tariff, period: Period) -> Cells:
    """Where a period's own conditions hold without any event, whatever stands before it (parts, kinds, 1440)."""
    return year_of(tariff, (period,)).periods != GAP


def in_words(year: Year, cells: Cells) -> str:
    """Some of a year's cells: `Nov-Mar, Mon-Fri, 17:00-21:00`."""
    alike: dict[tuple[tuple[int, ...], bytes], list[int]] = {}
    for part in range(len(year.parts)):
        by_hours: dict[bytes, list[int]] = {}
        for kind in np.flatnonzero(cells[part].any(axis=1)).tolist():
            by_hours.setdefault(cells[part, kind].tobytes(), []).append(kind)
        for hours, kinds in by_hours.items():
            alike.setdefault((tuple(kinds), hours), []).append(part)
    phrases = [
        ", ".join(
            words
            for words in (
                _months([year.parts[part] for part in parts], year.parts),
                _days(kinds, cells.shape[1]),
                _hours(np.frombuffer(hours, dtype=np.bool_)),
            )
            if words
        )
        or "all year"
        for (kinds, hours), parts in alike.items()
    ]
    more = len(phrases) - _MOST_PHRASES
    return "; ".join(phrases[:_MOST_PHRASES]) + (f"; and {more} more" if more > 0 else "")


def _months(parts: Sequence[tuple[int, str | None]], every: Sequence[tuple[int, str | None]]) -> str:
    if len(parts) == len(every):
        return ""
    whole = [m for m in range(1, 13) if {part for part in every if part[0] == m} <= set(parts)]
    words = {
        run[0] + 1: MONTHS[run[0]] if len(run) == 1 else f"{MONTHS[run[0]]}-{MONTHS[run[-1]]}"
        for run in _runs([month - 1 for month in whole], 12)
    }
    words |= {month: f"{MONTHS[month - 1]} ({season})" for month, season in parts if month not in whole}
    return ", ".join(words[month] for month in sorted(words))


def _days(kinds: Sequence[int], n_kinds: int) -> str:
    if len(kinds) == n_kinds:
        return ""
    days, on_holidays = (
        [kind for kind in kinds if kind < HOLIDAY],
        [kind - HOLIDAY for kind in kinds if kind >= HOLIDAY],
    )
    words = [weekdays(days)] if days else []
    if on_holidays:
        words.append("holidays" if len(on_holidays) == HOLIDAY else f"holidays on {weekdays(on_holidays)}")
    return " and ".join(words)


def weekdays(days: Iterable[int]) -> str:
    """Days of the week, 0 for Monday: `Mon-Thu, Sat`."""
    return ", ".join(
        WEEKDAYS[run[0]] if len(run) == 1 else f"{WEEKDAYS[run[0]]}-{WEEKDAYS[run[-1]]}" for run in _runs(list(days), 0)
    )


def _hours(minutes: Cells) -> str:
    if minutes.all():
        return ""
    runs = _runs(np.flatnonzero(minutes).tolist(), MINUTES)
    return " and ".join(f"{clock(run[0])}-{clock(run[-1] % MINUTES + 1)}" for run in runs)


def clock(minute: int) -> str:
    """`HH:MM` of a minute of the day, up to 24:00."""
    return f"{minute // 60:02}:{minute % 60:02}"


def _runs(numbers: list[int], around: int) -> list[list[int]]:
    """Runs of following numbers; after `around` - 1 comes 0 again, if it is not 0."""
    runs = [[number for _, number in group] for _, group in groupby(enumerate(numbers), lambda at: at[1] - at[0])]
    if around and len(runs) > 1 and runs[0][0] == 0 and runs[-1][-1] == around - 1:
        runs = [*runs[1:-1], runs[-1] + runs[0]]
    return runs
