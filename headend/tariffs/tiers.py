"""How much: whole base units by tier and TOU period, for many customers at once.

Tiers fill in time order on total use, so an interval that crosses a limit is split. Between two changes of TOU period
nothing about a price can change but the tier, and the energy below a limit is a clipped running total: so the
intervals are first added up to runs of one period, and only the runs (a few dozen a month) are clipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]


def energy_by_tier(wh: Int64s, codes: NDArray[np.uint8], n_periods: int, limits: Sequence[int]) -> list[list[Int64s]]:
    """Energy of each tier and TOU period.

    Parameters
    ----------
    wh
        base units per interval (n_customers, n_intervals).
    codes
        index of the TOU period of each interval (n_intervals,).
    limits
        ends of all tiers but the last, rising [base units].

    Returns
    -------
    list
        `[tier][period]`, each (n_customers,); sums over all of it give the sum of `wh`.
    """
    begins = np.flatnonzero(np.diff(codes, prepend=codes[0] ^ 1))
    runs = np.add.reduceat(wh, begins, axis=1, dtype=np.int64)
    of_period = [np.flatnonzero(codes[begins] == period) for period in range(n_periods)]
    if not limits:
        return [_by_period(runs, of_period)]
    running = np.cumsum(runs, axis=1)
    below = [_by_period(np.diff(np.minimum(running, limit), axis=1, prepend=0), of_period) for limit in limits]
    below.append(_by_period(runs, of_period))
    above = [[np.zeros(len(wh), dtype=np.int64)] * n_periods, *below]
    return [
        [upper - lower for upper, lower in zip(tier, previous, strict=True)]
        for tier, previous in zip(below, above, strict=False)
    ]


def _by_period(runs: Int64s, of_period: list[NDArray[np.intp]]) -> list[Int64s]:
    if len(of_period) == 1:
        return [runs.sum(axis=1)]
    return [runs[:, columns].sum(axis=1) for columns in of_period]
