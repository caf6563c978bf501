"""Registers settle it: what a cumulative register says about the intervals between two of its reads.

A *window* is the stretch between two register reads of a channel: the intervals after the first, up to and with the
second. The register's advance over a window is known to the unit whatever happened to its intervals, so it tells a
wrong interval from a right one, and gives an estimate its true total.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headend.reads.blocks import NO_REGISTER
from headend.vee.ruleset import SumRule

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """`w` windows of many channels.

    Parameters
    ----------
    row
        which channel (w,).
    first, last
        columns of the window's first and last interval, both included (w,).
    advance
        the register's advance [base units] (w,); -1 where the registers contradict each other (reset, exchange).
    total
        sum of the interval values as they stand (w,).
    """

    row: Int64s
    first: Int64s
    last: Int64s
    advance: Int64s
    total: Int64s

    def __len__(self) -> int:
        return len(self.row)


def windows(values: Int64s, register: Int64s, modulus: Int64s, maximum: Int64s, breaks: Bools) -> Windows:
    """Windows between consecutive register reads of each row; none reaches across a break.

    Parameters
    ----------
    values, register
        interval values, and registers at their ends (k, n).
    modulus
        where the register rolls over [base units]: of each row (k,), or of each register (k, n). Where a row's changes,
        its registers are on another scale from there on, which is a break.
    maximum
        highest possible value of one interval (k,): how far a register can have advanced.
    breaks
        where the register at an interval's end does not go on from before: exchange, reset (k, n).
    """
    row, column = np.nonzero(register != NO_REGISTER)
    joined = row[1:] == row[:-1]
    if modulus.ndim == 2:
        breaks = breaks | (np.diff(modulus, axis=1, prepend=modulus[:, :1]) != 0)
    if breaks.any():
        dial = breaks.cumsum(axis=1)[row, column]
        joined &= dial[1:] == dial[:-1]
    same = np.flatnonzero(joined)
    row, first, last = row[same], column[same] + 1, column[same + 1]
    running = np.concatenate([np.zeros((len(values), 1), np.int64), values.cumsum(axis=1)], axis=1)
    total = running[row, last + 1] - running[row, first]
    advance = register[row, last] - register[row, first - 1]
    possible = maximum[row] * (last - first + 1)
    rolled = advance + (modulus[row, last] if modulus.ndim == 2 else modulus[row])
    advance = np.where((advance < 0) & (rolled <= possible), rolled, advance)
    return Windows(row, first, last, np.where((advance < 0) | (advance > possible), -1, advance), total)


def sums_agree(total: Int64s, advance: Int64s, rule: SumRule) -> Bools:
    """V8, the sum check: |Σ intervals − advance| within the larger of both tolerances (w,)."""
    tolerance = np.maximum(rule.resolution, advance * (rule.percent / 100))
    return np.less_equal(np.abs(total - advance), tolerance)
