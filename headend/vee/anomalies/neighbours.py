"""Use beside the neighbours': weeks of a channel in proportion to its own usual week and to what its neighbours did.

The weather, a holiday or a cold spell moves a whole neighbourhood; what is left when that is taken off is a channel's
own. All of it is in logarithms: half and twice are equally far, and a factor on a meter is a step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headend.vee.anomalies.anomaly import Bools, Int64s

Floats = NDArray[np.float64]

WEEK = 7
_DAYS_OF_A_WEEK = 4  # so many must be known
_LEAST = 0.01  # of the usual: what is lower counts as this, for nothing has no logarithm


def medians(x: Floats) -> Floats:
    """Of each row, without what is not known (k,); NaN where nothing is."""
    ordered = np.sort(x, axis=1)
    count = (~np.isnan(x)).sum(axis=1)
    rows = np.arange(len(x))
    return (ordered[rows, np.maximum(count - 1, 0) // 2] + ordered[rows, count // 2]) / 2


def group_medians(x: Floats, group: Int64s) -> Floats:
    """Of the group that each row is in, in every column, without what is not known (k, c)."""
    count = int(group.max(initial=-1)) + 1
    if not count:
        return x.copy()
    order = np.lexsort((x, np.broadcast_to(group[:, None], x.shape)), axis=0)
    ordered = np.take_along_axis(x, order, axis=0)
    by_group = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[by_group], np.arange(count))[:, None]
    known = np.add.reduceat((~np.isnan(x))[by_group].astype(np.int64), starts[:, 0], axis=0)
    columns = np.arange(x.shape[1])
    # A group of which nothing is known in a column has only NaN there.
    low, high = ordered[starts + np.maximum(known - 1, 0) // 2, columns], ordered[starts + known // 2, columns]
    return ((low + high) / 2)[group]


def weekly_means(days: Int64s, known: Bools) -> Floats:
    """Means of the known days of each week, counted from the end (k, d // 7); NaN where too few are known."""
    weeks = days.shape[1] // WEEK
    shape = (len(days), weeks, WEEK)
    known = known[:, days.shape[1] - weeks * WEEK :].reshape(shape)
    values = np.where(known, days[:, days.shape[1] - weeks * WEEK :].reshape(shape), 0)
    count = known.sum(axis=2)
    return np.where(count >= _DAYS_OF_A_WEEK, values.sum(axis=2) / np.maximum(count, 1), np.nan)


def beside_own(weeks: Floats) -> Floats:
    """Logarithm of each week over the channel's usual week (k, w); NaN where it usually uses nothing."""
    usual = medians(weeks)[:, None]
    usual = np.where(usual > 0, usual, np.nan)
    return np.log(np.maximum(weeks, _LEAST * usual) / usual)


def beside_neighbours(weeks: Floats, group: Int64s) -> tuple[Floats, Floats]:
    """The same less the neighbours' median, and that median (k, w)."""
    own = beside_own(weeks)
    shared = group_medians(own, group)
    return own - shared, shared
