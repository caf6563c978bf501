"""Daily use: what the last weeks of a channel were like, staged so that nothing of them need be read again.

Rules that compare with the past (high and low, prolonged estimation, anomalies) ask for a day's total, not for its
hours. Those few numbers a day are kept beside the reads, a row a channel, and put in place when the day is settled. A
day that is settled again is put in its place again: nothing is added up that could be added twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headend.reads.blocks import Blocks
from headend.reads.quality import IS_ACTUAL, IS_DECIDED

Int64s = NDArray[np.int64]

#: Days that are kept: two months and the month's comparison before them.
DAYS = 70
UNKNOWN = -1
#: What stands of a day of which nothing is known: total, peak, low, unread, flags.
NOTHING: Final = (UNKNOWN, UNKNOWN, UNKNOWN, 0, 0)


@dataclass(frozen=True, slots=True, eq=False)
class DailyUse:
    """What `k` channels used on each of the `d` UTC days before `end_day`, oldest first.

    Parameters
    ----------
    end_day
        the day after the last column [days since 1970].
    total, peak, low
        base units: of the whole day, of its highest and of its lowest interval (k, d); -1 where the day is not known.
    unread
        how many intervals of the day are no actual reads (k, d).
    flags
        device `Flag`s of the day, or'ed together (k, d).
    """

    end_day: int
    total: Int64s
    peak: Int64s
    low: Int64s
    unread: Int64s
    flags: Int64s

    def __len__(self) -> int:
        return len(self.total)

    @property
    def days(self) -> Int64s:
        """The day of each column [days since 1970] (d,)."""
        d = self.total.shape[1]
        return np.arange(self.end_day - d, self.end_day, dtype=np.int64)


def nothing_known(k: int, end_day: int, d: int = DAYS) -> DailyUse:
    """Channels of which no day is known."""
    unknown, none = np.full((k, d), UNKNOWN, np.int64), np.zeros((k, d), np.int64)
    return DailyUse(end_day, unknown, unknown.copy(), unknown.copy(), none, none.copy())


def use_of_days(blocks: Blocks) -> tuple[Int64s, Int64s, Int64s, Int64s, Int64s]:
    """Total, peak, low, unread and flags of each block (k,)."""
    read = IS_ACTUAL[blocks.quality] | IS_DECIDED[blocks.quality]
    return (
        blocks.values.sum(axis=1),
        blocks.values.max(axis=1),
        blocks.values.min(axis=1),
        (~read).sum(axis=1),
        np.bitwise_or.reduce(blocks.flags, axis=1).astype(np.int64),
    )


def moved(numbers: Int64s, end_day: Int64s, to_day: Int64s) -> Int64s:
    """Days laid out before other ends: what falls off either side is forgotten, what comes in is not known.

    Parameters
    ----------
    numbers
        the five numbers of each day before `end_day`, in the order of `DailyUse` (k, 5, d).
    end_day, to_day
        the day after each row's last one, as it is and as it is to be [days since 1970] (k,).
    """
    d = numbers.shape[2]
    by = to_day - end_day
    if len(by) and (by == by[0]).all():  # as almost always
        first, end = max(0, -int(by[0])), min(d, d - int(by[0]))
        laid = np.empty_like(numbers)
        laid[:] = np.array(NOTHING)[:, None]
        if first < end:
            laid[:, :, first:end] = numbers[:, :, first + int(by[0]) : end + int(by[0])]
        return laid
    from_ = np.arange(d) + by[:, None]
    there = (from_ >= 0) & (from_ < d)
    taken = np.take_along_axis(numbers, from_.clip(0, d - 1)[:, None, :], axis=2)
    return np.where(there[:, None, :], taken, np.array(NOTHING)[:, None])


def last_read(use: DailyUse, per_day: int) -> Int64s:
    """The newest day of each row of which at least one interval was read [days since 1970] (k,); -1: none is known."""
    read = (use.total != UNKNOWN) & (use.unread < per_day)
    return np.where(read, use.days, -1).max(axis=1, initial=-1)
