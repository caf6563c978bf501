"""Like days: which intervals lie at the same local time, on the same kind of day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays
import numpy as np
from numpy.typing import NDArray

from headend.reads.days import DAY_S, local_seconds

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
        0 working day, 1 Saturday, Sunday or public holiday (n,).
    """

    slot: Int64s
    kind: Int64s


def day_types(start_s: int, n: int, interval_s: int, zone: ZoneInfo, country: str) -> DayTypes:
    """The local calendar of the intervals from `start_s` [s since 1970] on.

    Parameters
    ----------
    country
        ISO 3166 code, with subdivision after a dash if wanted, whose public holidays count as Sundays; "" for none.
    """
    local = local_seconds(start_s, n, interval_s, zone)
    day = local // DAY_S
    weekend = (day + _THURSDAY) % 7 >= 5
    free = np.isin(day, list(_holidays(country, int(day[0]), int(day[-1])))) if n else weekend
    return DayTypes(local % DAY_S // interval_s, (weekend | free).astype(np.int64))


@lru_cache(maxsize=64)
def _holidays(country: str, first_day: int, last_day: int) -> frozenset[int]:
    if not country:
        return frozenset()
    name, _, subdivision = country.partition("-")
    years = {datetime.fromtimestamp(day * DAY_S, tz=UTC).year for day in (first_day, last_day)}
    calendar = holidays.country_holidays(name, subdiv=subdivision or None, years=range(min(years), max(years) + 1))
    return frozenset((day - datetime(1970, 1, 1, tzinfo=UTC).date()).days for day in calendar)
