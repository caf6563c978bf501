"""Real meters, as the tests keep them: hourly Wh of a London home and of buildings in Cambridge."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headend.reads.days import DAY_S

_FOLDER = Path(__file__).parent.parent / "tests" / "data" / "meters"
_HOUR_S = 3_600


@dataclass(frozen=True, slots=True, eq=False)
class RealMeter:
    """Whole days of a channel: Wh an hour (n,), 0 where the file has none, and which hours it has (n,)."""

    name: str
    start_s: int
    values: NDArray[np.int64]
    there: NDArray[np.bool_]


def london_home() -> RealMeter:
    """A home of the Low Carbon London trial, October 2012 to January 2014: two half hours make an hour."""
    # Rows that repeat a stamp repeat its value: files were joined there.
    halves = dict(_rows("mac000002_halfhourly.csv"))
    hours = {
        at_s: halves[at_s] + halves[at_s + 1_800] for at_s in halves if at_s % _HOUR_S == 0 and at_s + 1_800 in halves
    }
    return _whole_days("London home", hours)


def building(name: str, year: int) -> RealMeter:
    """A building of the Cambridge archive, such as b0 of 2016; it has zero where its publisher had nothing."""
    return _whole_days(f"building {name}", dict(_rows(f"{name}_electricity_{year}.csv")))


def _rows(file: str) -> list[tuple[int, int]]:
    with (_FOLDER / file).open(newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    return [
        (int(datetime.fromisoformat(f"{stamp}+00:00").timestamp()), round(float(kwh) * 1000)) for stamp, kwh in rows
    ]


def _whole_days(name: str, hours: dict[int, int]) -> RealMeter:
    first, end = min(hours) // DAY_S * DAY_S, (max(hours) // DAY_S + 1) * DAY_S
    starts = range(first, end, _HOUR_S)
    there = np.array([at_s in hours for at_s in starts])
    return RealMeter(name, first, np.array([hours.get(at_s, 0) for at_s in starts]), there)
