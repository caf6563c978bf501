"""Time as the simulator counts it: whole UTC hours since 1970, and what a clock on the wall says then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from firmware_sim.noise import Hours

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def hour_of(moment: datetime) -> int:
    """Whole UTC hours from 1970 to `moment` (aware; begun hours do not count)."""
    return (moment - EPOCH) // timedelta(hours=1)


def hour_from(moment: datetime) -> int:
    """The first UTC hour [since 1970] that begins at `moment` (aware) or later."""
    return -((EPOCH - moment) // timedelta(hours=1))


def stamp(hour: int) -> str:
    """The begin of a UTC hour as it stands on the wire."""
    return f"{EPOCH + timedelta(hours=int(hour)):%Y-%m-%dT%H:%M:%SZ}"


def stamps(hours: Hours) -> list[str]:
    """The begins of many UTC hours as they stand on the wire."""
    seconds = np.datetime_as_string(hours.astype("datetime64[h]").astype("datetime64[s]"))
    return [f"{text}Z" for text in seconds.tolist()]


@dataclass(frozen=True, slots=True)
class WallClock:
    """Local time of many hours, arrays of shape (n,).

    Attributes
    ----------
    hour
        local time of day at the begin of the interval [h], 0 ≤ hour < 24; fractional in zones off the full hour.
    day
        local days since 1970-01-01.
    weekend
        Saturday or Sunday.
    season
        +1 in mid-January, −1 in mid-July.
    """

    hour: NDArray[np.float64]
    day: NDArray[np.int64]
    weekend: NDArray[np.bool_]
    season: NDArray[np.float64]


def wall_clock(hours: Hours, zone: str) -> WallClock:
    """What clocks in `zone` (IANA name) show at the begin of each UTC hour."""
    changes, offsets = _offsets(zone)
    local = hours * 3600 + offsets[np.searchsorted(changes, hours, side="right") - 1]
    day = local // 86400
    return WallClock(
        hour=(local - day * 86400) / 3600,
        day=day,
        weekend=(day + 3) % 7 >= 5,  # 1970-01-01 was a Thursday; Monday is 0
        season=np.cos(2 * np.pi * (day - 15) / 365.2425),
    )


def standard_offset(zone: str) -> float:
    """Hours that `zone` is ahead of UTC in January 2026."""
    offset = datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)).utcoffset()
    return offset.total_seconds() / 3600 if offset else 0.0


@lru_cache
def _offsets(zone: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hours at which the UTC offset changes, and the offset [s] from each on; found by halving each month."""
    rule = ZoneInfo(zone)

    def offset(hour: int) -> int:
        there = (EPOCH + timedelta(hours=hour)).astimezone(rule).utcoffset()
        return int(there.total_seconds()) if there else 0

    months = [hour_of(datetime(year, month, 1, tzinfo=UTC)) for year in range(1990, 2061) for month in range(1, 13)]
    changes, offsets = [-(10**9)], [offset(months[0])]
    for begin, end in pairwise(months):
        if offset(end) == offsets[-1]:
            continue
        low, high = begin, end
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offsets[-1] else (low, middle)
        changes.append(high)
        offsets.append(offset(high))
    return np.array(changes, np.int64), np.array(offsets, np.int64)
