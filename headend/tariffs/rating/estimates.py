"""How much of what is billed rests on estimates: base units by tier and TOU period, as in `tiers`.

Few intervals are estimates, so only those are looked at, and only customers who have some.
"""

from __future__ import annotations

import numpy as np

from headend.tariffs.arrays import Bools, Codes, Int64s
from headend.tariffs.rating.tiers import share_of


def by_period(wh: Int64s, estimated: Bools, codes: Codes, n_periods: int) -> Int64s:
    """Estimated energy of each period (n_periods, m).

    Parameters
    ----------
    wh, estimated
        base units per interval, and which are estimates (m, n).
    codes
        index of the TOU period of each interval (n,).
    """
    total = np.zeros((n_periods, len(wh)), dtype=np.int64)
    rows, columns = np.nonzero(estimated)
    np.add.at(total, (codes[columns], rows), wh[rows, columns])
    return total


def in_time_order(wh: Int64s, estimated: Bools, codes: Codes, n_periods: int, limits: Int64s) -> Int64s:
    """Estimated energy of each tier and period (tiers, n_periods, m) where tiers fill in time order."""
    customers = np.flatnonzero(estimated.any(axis=1))
    reads = wh[customers].astype(np.int64)
    rows, columns = np.nonzero(estimated[customers])
    end = np.cumsum(reads, axis=1)[rows, columns]
    begin = end - reads[rows, columns]
    at = codes[columns], customers[rows]
    total = np.zeros((len(limits) + 1, n_periods, len(wh)), dtype=np.int64)
    counted = np.zeros_like(end)
    for tier, limit in enumerate(limits):
        its = np.broadcast_to(limit, total.shape[1:])[at]
        below = np.minimum(end, its) - np.minimum(begin, its)
        np.add.at(total[tier], at, below - counted)
        counted = below
    np.add.at(total[-1], at, end - begin - counted)
    return total


def in_each_period(wh: Int64s, estimated: Bools, codes: Codes, n_periods: int, limits: Int64s) -> Int64s:
    """Estimated energy of each tier and period (tiers, n_periods, m) where each period fills a ladder in time order."""
    total = np.empty((len(limits) + 1, n_periods, len(wh)), dtype=np.int64)
    for period in range(n_periods):
        its = codes == period
        ladder = limits[:, [period]] if limits.shape[1] > 1 else limits
        total[:, [period]] = in_time_order(wh[:, its], estimated[:, its], np.zeros_like(codes[its]), 1, ladder)
    return total


def by_share(taken: Int64s, estimated: Int64s) -> Int64s:
    """Estimated energy of each tier and period, as its energy is of the period's: each rounded half up.

    `taken` is by tier and period (tiers, periods, m), `estimated` by period (periods, m).
    """
    return share_of(estimated, taken, taken.sum(axis=0))
