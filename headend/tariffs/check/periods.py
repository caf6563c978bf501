"""Seasons, and the periods of every schedule: conditions that mean something, and every hour in a period."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from headend.tariffs.calendar import GAP
from headend.tariffs.check.finding import Finding, one_of
from headend.tariffs.check.year import in_words, year_of
from headend.tariffs.format.schema import Tariff
from headend.tariffs.format.times import Period, When

# A period table has a byte for each minute.
_MOST_PERIODS = 100


def schedules_of(tariff: Tariff) -> dict[str, tuple[Period, ...]]:
    """The periods of every schedule, by the key they stand under."""
    return {"periods": tariff.periods, **{f"schedules.{name}": its for name, its in tariff.schedules.items()}}


def period_faults(tariff: Tariff) -> list[Finding]:
    """What is wrong with single seasons and periods."""
    found = list(_season_faults(tariff))
    for key, periods in schedules_of(tariff).items():
        if len(periods) > _MOST_PERIODS:
            found.append(Finding(key, f"{len(periods)} periods", f"{_MOST_PERIODS} at most"))
        names: set[str] = set()
        for index, period in enumerate(periods):
            where = f"{key}[{index}]"
            if period.name in names:
                found.append(Finding(f"{where}.name", repr(period.name), "a name that no other period has"))
            names.add(period.name)
            found += _condition_faults(tariff, period, where)
            for each, when in enumerate(period.when or ()):
                found += _condition_faults(tariff, when, f"{where}.when[{each}]")
            beside = sorted(period.model_fields_set & set(When.model_fields))
            if period.when is not None and beside:
                found.append(Finding(f"{where}.when", f"{', '.join(beside)} beside it", "conditions inside it alone"))
    return found


def _season_faults(tariff: Tariff) -> Iterator[Finding]:
    if tariff.seasons_by == "cycle" and not tariff.seasons:
        yield Finding("seasons_by", "'cycle'", "[[seasons]] that a bill can be in")
    names: set[str] = set()
    begins: set[str] = set()
    for index, season in enumerate(tariff.seasons):
        if season.name in names:
            yield Finding(f"seasons[{index}].name", repr(season.name), "a name that no other season has")
        names.add(season.name)
        for each, begin in enumerate(season.begins):
            if begin in begins:
                yield Finding(f"seasons[{index}].begins[{each}]", repr(begin), "a day on which no other season begins")
            begins.add(begin)


def _condition_faults(tariff: Tariff, when: When, where: str) -> Iterator[Finding]:
    names = [season.name for season in tariff.seasons]
    for index, name in enumerate(when.seasons or ()):
        if name not in names:
            expected = one_of(names) if names else "[[seasons]] that says when that is"
            yield Finding(f"{where}.seasons[{index}]", repr(name), expected)
    if tariff.holidays is None and "holiday" in (when.days or ()):
        yield Finding(f"{where}.days", "'holiday'", "[holidays] that says which days those are")


def coverage_faults(tariff: Tariff) -> Iterator[Finding]:
    """Hours of the year that are in no period, and periods that no hour is in."""
    for key, periods in schedules_of(tariff).items():
        year = year_of(tariff, periods)
        gaps = year.periods == GAP
        if gaps.any():
            yield Finding(key, f"no period for {in_words(year, gaps)}", "every hour of the year in a period")
        named = {when.event for period in periods for when in period.alternatives if when.event is not None}
        # What one event hides from another is for the day to say; each must be reached when it is on alone.
        tables = [year, *(year_of(tariff, periods, frozenset((event,))) for event in sorted(named))]
        reached = set(np.unique(np.concatenate([table.periods.ravel() for table in tables])).tolist())
        for index, period in enumerate(periods):
            if index not in reached:
                yield Finding(f"{key}[{index}]", f"{period.name!r} never reached", "hours that no earlier period takes")
