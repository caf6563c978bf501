"""How much: whole base units by tier and TOU period, for many customers at once.

A ladder is an array of limits: the ends of all tiers but the last, rising [base units]
(tiers - 1, periods or 1, customers or 1), where 1 means the same for all. What it makes of use is an array
(tiers, periods, customers) whose sum over the tiers is the use of each period: every unit is in one tier.

Where tiers fill in time order on total use, an interval that crosses a limit is split. Between two changes of TOU
period nothing about a price can change but the tier, and the energy below a limit is a clipped running total: so the
intervals are first added up to runs of one period, and only the runs (a few dozen a month) are clipped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headend.tariffs.arrays import Codes, Int64s
from headend.tariffs.money import Integers

#: Stands for no limit; more than any use.
NO_LIMIT = 2**62
# Below it, twice a product and what is added to it fit into int64.
_SAFE = 2**61


def by_period(wh: Int64s, codes: Codes, n_periods: int) -> Int64s:
    """Energy of each TOU period.

    Parameters
    ----------
    wh
        base units per interval (m, n).
    codes
        index of the TOU period of each interval (n,).

    Returns
    -------
    Int64s
        (n_periods, m).
    """
    if n_periods == 1:
        return np.asarray(wh.sum(axis=1, dtype=np.int64))[None]
    runs, of_period, _ = _runs(wh, codes, n_periods)
    return _added(runs, of_period)


def in_time_order(wh: Int64s, codes: Codes, n_periods: int, limits: Int64s) -> Int64s:
    """Energy of each tier and period, where tiers fill in time order on the total of all periods.

    Parameters
    ----------
    wh, codes
        as in `by_period`.
    limits
        the ladder. Where periods have their own, each is on the same running total.

    Returns
    -------
    Int64s
        (tiers, n_periods, m).
    """
    runs, of_period, codes_of_runs = _runs(wh, codes, n_periods)
    running = np.cumsum(runs, axis=1)
    below = np.empty((len(limits) + 1, n_periods, len(wh)), dtype=np.int64)
    for tier, limit in enumerate(limits):
        if len(limit) == 1:
            clipped = np.minimum(running, limit.T)
            clipped[:, 1:] -= clipped[:, :-1].copy()
        else:
            its = limit[codes_of_runs].T
            clipped = np.minimum(running, its) - np.minimum(running - runs, its)
        below[tier] = _added(clipped, of_period)
    below[-1] = _added(runs, of_period)
    return _steps(below)


def in_each_period(use: Int64s, limits: Int64s) -> Int64s:
    """Energy of each tier and period (tiers, periods, m), where each period fills a ladder for itself.

    `use` is by period (periods, m).
    """
    below = np.empty((len(limits) + 1, *use.shape), dtype=np.int64)
    np.minimum(use, limits, out=below[:-1])
    below[-1] = use
    return _steps(below)


def by_share(use: Int64s, limits: Int64s) -> Int64s:
    """Energy of each tier and period (tiers, periods, m), where each period has the same share of each tier.

    Tier by tier, its energy is shared over the periods as what they have left is of all that is left, along the
    running sum of the periods, each rounded half up: so shares add up both ways, and none is negative. The
    ladder is one for all periods.
    """
    of_tiers = in_each_period(use.sum(axis=0, keepdims=True), limits)[:, 0]
    left = use
    taken = np.empty((len(of_tiers), *use.shape), dtype=np.int64)
    for tier, energy in enumerate(of_tiers):
        running = np.cumsum(left, axis=0)
        taken[tier] = np.diff(share_of(energy, running, running[-1]), axis=0, prepend=0)
        left = left - taken[tier]
    return taken


def reached(counted: Int64s, limits: Int64s) -> Int64s:
    """Index of the tier that is reached, by the unit that exceeds the limit below it.

    `counted` is total use (1, m), or use by period (periods, m).
    """
    return np.asarray((counted > limits).sum(axis=0))


def at_reached(use: Int64s, tier: Int64s, n_tiers: int) -> Int64s:
    """All use of a period (periods, m) in the tier that is reached: (tiers, periods, m)."""
    return np.where(tier == np.arange(n_tiers)[:, None, None], use, 0)


def share_of(values: Int64s, part: Int64s, whole: Int64s) -> Int64s:
    """Values × part ÷ whole, rounded half up; nothing of nothing. None is negative, and no part above its whole."""
    first, second, divisor = (
        each.astype(object) if _may_overflow(values, part) else each for each in (values, part, whole)
    )
    divisor = np.maximum(divisor, 1)
    return np.asarray((2 * first * second + divisor) // (2 * divisor)).astype(np.int64)


def _may_overflow(values: Integers, part: Integers) -> bool:
    return bool(values.size and part.size) and int(values.max()) * int(part.max()) >= _SAFE


def _steps(below: Int64s) -> Int64s:
    """What each tier holds, from what is below each tier's end; in place."""
    below[1:] -= below[:-1].copy()
    return below


def _runs(wh: Int64s, codes: Codes, n_periods: int) -> tuple[Int64s, list[NDArray[np.intp]], Codes]:
    """Energy of each run of one period (m, runs), the runs of each period, and the period of each run."""
    begins = np.flatnonzero(np.diff(codes, prepend=codes[0] ^ 1))
    runs = np.add.reduceat(wh, begins, axis=1, dtype=np.int64)
    codes_of_runs = codes[begins]
    return runs, [np.flatnonzero(codes_of_runs == period) for period in range(n_periods)], codes_of_runs


def _added(runs: Int64s, of_period: list[NDArray[np.intp]]) -> Int64s:
    """Sums of runs by period (periods, m)."""
    added = np.empty((len(of_period), len(runs)), dtype=np.int64)
    for period, columns in enumerate(of_period):
        np.add.reduce(runs[:, columns], axis=1, out=added[period])
    return added
