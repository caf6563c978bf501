"""Runs of days, and days that many neighbours share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """`r` runs of days, in the order of their rows and days.

    Parameters
    ----------
    row, first, last
        which channel, and the columns of its first and last day, both included (r,).
    days
        on how many of them it was seen; on the others nobody could see (r,).
    """

    row: Int64s
    first: Int64s
    last: Int64s
    days: Int64s

    def take(self, chosen: Bools) -> Runs:
        """Some of them."""
        return Runs(self.row[chosen], self.first[chosen], self.last[chosen], self.days[chosen])

    def __iter__(self) -> Iterator[tuple[int, int, int, int]]:
        """Row, first, last and days of each."""
        return zip(*(column.tolist() for column in (self.row, self.first, self.last, self.days)), strict=True)


def runs(seen: Bools, ended: Bools) -> Runs:
    """Runs from the first to the last day on which something was seen, without a day between that ended it.

    A day on which it was neither seen nor ended neither counts nor interrupts (k, d).
    """
    row, column = np.nonzero(seen)
    stretch = np.cumsum(ended, axis=1)[row, column]
    begins = np.ones(len(row), dtype=np.bool_)
    begins[1:] = (row[1:] != row[:-1]) | (stretch[1:] != stretch[:-1])
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(row))[: len(first)] - 1
    return Runs(row[first], column[first], column[last], last - first + 1)


def before(days: Bools, found: Runs) -> Int64s:
    """How many of a row's days lie before each run (r,)."""
    counted = np.cumsum(days, axis=1)
    return np.where(found.first > 0, counted[found.row, found.first - 1], 0)


def common(seen: Bools, known: Bools, group: Int64s, percent: float, members: int) -> Bools:
    """Days on which more than so many percent of at least so many neighbours saw the same: weather, outage (k, d)."""
    count = int(group.max(initial=-1)) + 1
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(count))
    if not count:
        return seen.copy()
    saw, could = (np.add.reduceat(days[order].astype(np.int64), starts, axis=0) for days in (seen & known, known))
    shared = (could >= members) & (saw * 100 > could * percent)
    return shared[group]
