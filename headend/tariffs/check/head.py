"""The head of a tariff: its unit, and whose holidays count."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import MAXYEAR
from functools import lru_cache

import holidays

from headend.tariffs.calendar import public_holidays
from headend.tariffs.check.finding import Finding, one_of
from headend.tariffs.format.schema import UNIT_OF, Tariff
from headend.tariffs.format.times import Holidays

# Some holidays come every fourth year only.
_YEARS = 6
# A tariff can be older than the library's holidays, or than a holiday, and still be valid.
_LATELY = 2020


def head_faults(tariff: Tariff) -> Iterator[Finding]:
    """What is wrong with a tariff's head."""
    units = ["m³", "kWh"] if tariff.commodity == "gas" else [UNIT_OF[tariff.commodity]]
    if tariff.unit not in units:
        yield Finding("unit", repr(tariff.unit), f"{' or '.join(units)} for {tariff.commodity}")
    if tariff.holidays is not None:
        yield from _holiday_faults(tariff.holidays, tariff.valid_from.year)


def _holiday_faults(rule: Holidays, year: int) -> Iterator[Finding]:
    if rule.country is None:
        if not rule.dates:
            yield Finding("holidays", "neither country nor dates", "a country code such as DE, or dates, or both")
        for key in ("subdivision", "only", "observed"):
            if getattr(rule, key):
                yield Finding(f"holidays.{key}", "no country beside it", "a country code such as DE")
        return
    countries = holidays.list_supported_countries()
    if rule.country not in countries:
        yield Finding("holidays.country", repr(rule.country), "a country code such as DE")
    elif rule.subdivision is not None and rule.subdivision not in countries[rule.country]:
        known = ", ".join(countries[rule.country]) or "none"
        yield Finding("holidays.subdivision", repr(rule.subdivision), f"one of {rule.country}: {known}")
    elif rule.only is not None:
        names = _names(rule.model_copy(update={"only": None, "dates": ()}), year)
        for index, name in enumerate(rule.only):
            if name not in names:
                yield Finding(f"holidays.only[{index}]", repr(name), one_of(names))


@lru_cache(maxsize=64)
def _names(rule: Holidays, year: int) -> tuple[str, ...]:
    """Names of a country's holidays in the years from `year` on and lately, in the order of the calendar."""
    names: dict[str, None] = {}
    for each in (*range(year, min(year + _YEARS, MAXYEAR + 1)), *range(_LATELY, _LATELY + _YEARS)):
        for _, its in sorted(public_holidays(rule, each).items()):
            names |= dict.fromkeys(sorted(its))
    return tuple(names)
