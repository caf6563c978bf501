"""Like days: which intervals lie at the same local time, on the same kind of day."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays
import numpy as np
from numpy.typing import NDArray

from headend.reads.days import DAY_S, day_number, day_of, local_seconds

Int64s = NDArray[np.int64]

_THURSDAY = 3  # 1970-01-01


@dataclass(frozen=True, slots=True, eq=False)
class DayTypes:
    """Local calendar of `n` consecutive intervals.

    Parameters
    ----------
    slot
        local time of day, in intervals since midnight (n,).
    kind
        0 working day, 1 weekend or public holiday (n,).
    """

    slot: Int64s
    kind: Int64s


def day_types(start_s: int, n: int, interval_s: int, zone: ZoneInfo, country: str) -> DayTypes:
    """The local calendar of the intervals from `start_s` [s since 1970] on.

    Parameters
    ----------
    country
        ISO 3166 code, with subdivision after a dash if wanted, whose weekend it is, and whose public holidays count as
        one; "" for Saturday and Sunday alone.
    """
    local = local_seconds(start_s, n, interval_s, zone)
    day = local // DAY_S
    weekday = (day + _THURSDAY) % 7
    if not country or not n:
        return DayTypes(local % DAY_S // interval_s, (weekday >= 5).astype(np.int64))
    years = [_year(country, year) for year in range(day_of(int(day[0])).year, day_of(int(day[-1])).year + 1)]
    free = np.isin(weekday, years[-1].weekend) | np.isin(day, [holiday for year in years for holiday in year.holidays])
    return DayTypes(local % DAY_S // interval_s, free.astype(np.int64))


@dataclass(frozen=True, slots=True)
class _Year:
    """A country's weekend (0 Monday) and its holidays [days since 1970]."""

    weekend: tuple[int, ...]
    holidays: tuple[int, ...]


@lru_cache(maxsize=256)
def _year(country: str, year: int) -> _Year:
    name, _, subdivision = country.partition("-")
    calendar = holidays.country_holidays(name, subdiv=subdivision or None, years=year)
    return _Year(tuple(calendar.weekend), tuple(day_number(day) for day in calendar))
