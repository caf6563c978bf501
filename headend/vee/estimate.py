"""Estimators: what most likely flowed in intervals nobody read. Functions of arrays, whole units in and out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]


def linear(before: int, after: int, n: int) -> Int64s:
    """E2: along the straight line between the good reads on both sides (n,).

    [California VEE: gaps of at most two hours between good end points]
    """
    steps = np.arange(1, n + 1)
    return before + ((after - before) * steps * 2 + (n + 1)) // (2 * (n + 1))


def like_days(values: Int64s, usable: Bools, slot: Int64s, day_type: Int64s, at: Int64s, count: int) -> Int64s:
    """E3: for each gap interval the mean of the latest intervals at the same local time on days of the same type.

    Days before the gap are preferred; days after it serve where there is none before.

    Parameters
    ----------
    values, usable
        the channel's values, and which of them may serve as reference (n,).
    slot, day_type
        local time of day and type of day of every interval (n,).
    at
        columns of the gap (g,).
    count
        how many days make a mean.

    Returns
    -------
    (g,) whole units, rounded half up; -1 where there is no like day at all.
    """
    answer = np.full(len(at), -1, dtype=np.int64)
    places = np.flatnonzero(usable)
    for i, column in enumerate(at.tolist()):
        like = places[(slot[places] == slot[column]) & (day_type[places] == day_type[column])]
        split = int(np.searchsorted(like, column))
        chosen = like[max(0, split - count) : split] if split else like[:count]
        if len(chosen):
            answer[i] = (2 * int(values[chosen].sum()) + len(chosen)) // (2 * len(chosen))
    return answer


def spread(shape: Int64s, total: int) -> Int64s:
    """E1: the total, spread over intervals in proportion to a shape; whole units that add up to the total exactly.

    Largest remainders get the units that rounding leaves. A shape without any use is taken as flat.
    """
    weights = np.maximum(shape, 0)
    whole = int(weights.sum())
    if whole == 0:
        weights, whole = np.ones_like(weights), len(weights)
    # Python's integers: weight times total can pass 64 bits.
    exact = [weight * total for weight in weights.tolist()]
    parts = np.array([product // whole for product in exact], dtype=np.int64)
    remainder = np.array([product % whole for product in exact], dtype=np.float64)
    left = total - int(parts.sum())
    parts[np.argsort(-remainder, kind="stable")[:left]] += 1
    return parts
