"""Intervals made of a cumulative register that was read at any moments.

The register is first made continuous: round its dial where it rolled over, cut where it was exchanged or reset. Then
it is asked what it showed at each interval's end, and an interval is the difference of two such answers. So whatever is
not known makes an interval missing, and never makes energy that was not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]

Cut = Literal["exchange", "reset", "jump"]


@dataclass(frozen=True, slots=True, eq=False)
class RegisterReads:
    """Reads of one channel's register, rising in time.

    Parameters
    ----------
    at_s
        when each was read [s since 1970] (m,).
    register
        what it showed (m,).
    serial
        of the device, as any number that is the same for the same device; -1 where it did not say (m,).
    """

    at_s: Int64s
    register: Int64s
    serial: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Dial:
    """How a channel counts.

    Parameters
    ----------
    interval_s
        length of an interval [s].
    digits
        the register rolls over at 10 ** digits.
    maximum
        highest possible advance in one interval.
    """

    interval_s: int
    digits: int
    maximum: int


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """What was made of register reads.

    Parameters
    ----------
    start_s
        begin of each interval at whose end the register is known (w,) [s since 1970].
    value
        what it counted in the interval (w,); -1 where the register at its begin is not known.
    register
        what it showed at the interval's end (w,).
    cut
        what happened to the register since the end before, where it does not go on from there: by place in these
        arrays.
    kept
        which reads an interval's end can depend on (m,): the last before each end, the first after it, those beside
        a cut.
    """

    start_s: Int64s
    value: Int64s
    register: Int64s
    cut: dict[int, Cut]
    kept: Bools


def intervals_of(reads: RegisterReads, dial: Dial, tolerance_s: int) -> Made:
    """Intervals of register reads.

    The register at an interval's end is the read nearest to it if that is within `tolerance_s`; else the straight line
    between the reads on both sides, if they are no further apart than a quarter of the interval. It is known only once
    something was read at or after that end: what comes later may be nearer.
    """
    advance, cuts = _advances(reads, dial)
    parts: list[tuple[Int64s, Int64s, Int64s]] = []
    made_cuts: dict[int, Cut] = {}
    begin = made = 0
    for end in [*cuts, len(reads.at_s) - 1]:
        part = _of_one_device(reads, advance, slice(begin, end + 1), dial, tolerance_s)
        if begin:
            # What the one before showed at an end, it showed; this one counts from there.
            after = part[0] + dial.interval_s > reads.at_s[begin - 1]
            part = part[0][after], part[1][after], part[2][after]
            if len(part[0]):
                made_cuts[made] = cuts[begin - 1]
        parts.append(part)
        made += len(part[0])
        begin = end + 1
    start_s, value, register = (np.concatenate([part[i] for part in parts]) for i in range(3))
    return Made(start_s, value, register, made_cuts, _kept(reads.at_s, cuts, dial.interval_s))


def _kept(at_s: Int64s, cuts: dict[int, Cut], interval_s: int) -> Bools:
    slot = (at_s - 1) // interval_s  # a read on the very end belongs to the interval it ends
    changes = np.diff(slot) != 0
    kept = np.append(True, changes) | np.append(changes, True) | (at_s % interval_s == 0)
    for place in cuts:
        kept[place : place + 2] = True
    return kept


def _advances(reads: RegisterReads, dial: Dial) -> tuple[Int64s, dict[int, Cut]]:
    """From each read to the next: how far it advanced (m − 1,), and after which reads that cannot be said."""
    modulus = 10**dial.digits
    advance = np.diff(reads.register)
    elapsed = -(-np.diff(reads.at_s) // dial.interval_s)  # begun intervals: a read may come a little late
    possible = np.minimum(elapsed + 1, 2**62 // max(dial.maximum, 1)) * dial.maximum
    rolled = (advance < 0) & (advance + modulus <= possible)
    advance = np.where(rolled, advance + modulus, advance)
    known = _carried(reads.serial)
    exchanged = (known[1:] != known[:-1]) & (known[:-1] >= 0)
    fell = advance < 0
    cuts: dict[int, Cut] = {}
    for place in np.flatnonzero(exchanged | fell | (advance > possible)).tolist():
        cuts[place] = "exchange" if exchanged[place] else "reset" if fell[place] else "jump"
    return advance, cuts


def _carried(serial: Int64s) -> Int64s:
    """Serial numbers, each read without one taking the last that was said."""
    last = np.maximum.accumulate(np.where(serial >= 0, np.arange(len(serial)), 0))
    return serial[last]


def _of_one_device(
    reads: RegisterReads, advance: Int64s, part: slice, dial: Dial, tolerance_s: int
) -> tuple[Int64s, Int64s, Int64s]:
    at_s = reads.at_s[part]
    steps = advance[part.start : part.stop - 1]
    counted = np.concatenate([np.zeros(1, np.int64), steps.cumsum()])
    interval_s = dial.interval_s
    # Every end between the reads, and the one just before the first of them that it may still stand for.
    first = -(-(int(at_s[0]) - tolerance_s) // interval_s)
    end_s = np.arange(first, int(at_s[-1]) // interval_s + 1, dtype=np.int64) * interval_s
    after = np.searchsorted(at_s, end_s, side="left")
    before = np.maximum(after - 1, 0)
    late, early = at_s[after] - end_s, np.where(after > 0, end_s - at_s[before], np.iinfo(np.int64).max)
    nearest = np.where(early <= late, before, after)
    near = np.minimum(early, late) <= tolerance_s
    gap = at_s[after] - at_s[before]
    beside = (after > 0) & (gap * 4 <= interval_s)
    # Whole numbers, rounded half up: what is told twice must be the same twice.
    rise = counted[after] - counted[before]
    line = counted[before] + (2 * rise * np.where(after > 0, early, 0) + gap) // np.maximum(2 * gap, 1)
    known = near | beside
    at_end = np.where(near, counted[nearest], line)[known]
    end_s = end_s[known]
    value = np.full(len(end_s), -1, np.int64)
    follows = np.diff(end_s) == interval_s
    value[1:][follows] = np.diff(at_end)[follows]
    modulus = 10**dial.digits
    return end_s - interval_s, value, (int(reads.register[part.start]) + at_end) % modulus
