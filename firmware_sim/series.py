"""Two real load series, replayed on any date.

A series is a ring of its last 52 weeks, shifted by whole weeks: the weekday of every hour is kept, the season to within
a few days, and any 52 weeks add up to what the file's last 52 weeks add up to.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from firmware_sim.clock import hour_of
from firmware_sim.noise import Hours

WEEK = 168
RING = 52 * WEEK
YEAR = 365.2425 * 24
REPLAYED_FROM = hour_of(datetime(2026, 1, 1, tzinfo=UTC))
"""Where the season of a replay fits best; it drifts by 1.24 days a year from there."""


def replay(name: str, hours: Hours) -> NDArray[np.int64]:
    """Energy [Wh] of the real series `name` (`london_home`, `cambridge_building`) at these hours, shape (n,)."""
    begin, ring = _ring(name)
    years = round((REPLAYED_FROM - begin) / YEAR)
    shift = round(years * YEAR / WEEK) * WEEK
    return ring[(hours - shift - begin) % RING]


@lru_cache
def _ring(name: str) -> tuple[int, NDArray[np.int64]]:
    """First hour and values [Wh] of the last 52 weeks; a missing hour is the one a week before it."""
    found = read_series(name)
    end = max(found) + 1
    hours = range(end - RING, end)
    for hour in hours:
        if hour not in found:
            found[hour] = found[hour - WEEK]
    return end - RING, np.array([found[hour] for hour in hours], np.int64)


def read_series(name: str) -> dict[int, int]:
    """The whole packaged series: UTC hour since 1970 → energy [Wh]."""
    with resources.files("firmware_sim.data").joinpath(f"{name}.csv").open(encoding="utf-8") as file:
        return {hour_of(datetime.fromisoformat(row["start"])): int(row["wh"]) for row in csv.DictReader(file)}
