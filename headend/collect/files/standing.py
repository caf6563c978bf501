"""What already stands for the intervals of a file: tells an import what it would change, and what it has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from headend.collect.files.match import Key, Matched
from headend.collect.files.series import Series
from headend.reads.quality import Quality
from headend.registry.registry import EnrolledChannel
from headend.store.intervals import IntervalStore


@dataclass(frozen=True, slots=True)
class Standing:
    """How a file's values stand in the store; each array has one element a value of the file (n,).

    Parameters
    ----------
    same, other
        where the same value stands, and where another one.
    """

    same: NDArray[np.bool_]
    other: NDArray[np.bool_]

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where nothing stands."""
        return ~(self.same | self.other)


def standing(
    tx: Connection, store: IntervalStore, enrolled: Mapping[Key, EnrolledChannel], matched: Matched
) -> Standing:
    """Compare every value of a file with what is stored.

    Parameters
    ----------
    enrolled
        the registry's channels by (meter name, OBIS code).
    """
    found = [_of_series(tx, store, enrolled[key], series) for key, series in matched.series]
    if not found:
        return Standing(np.zeros(0, np.bool_), np.zeros(0, np.bool_))
    same, other = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Standing(same, other)


def _of_series(
    tx: Connection, store: IntervalStore, channel: EnrolledChannel, series: Series
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    told = np.array([value is not None for value in series.values], dtype=np.bool_)
    values = np.array([value or 0 for value in series.values], dtype=np.int64)[told]
    starts = series.starts[told]
    if not len(starts):
        return np.zeros(0, np.bool_), np.zeros(0, np.bool_)
    first, end, length = int(starts[0]), int(starts[-1]) + series.interval_s, series.interval_s
    profiles = store.profiles(tx, [(channel.meter, channel.channel.code)], first, end, length)
    at = (starts - first) // length
    present = profiles.quality[0][at] != Quality.MISSING
    same = present & (profiles.values[0][at] == values)
    return same, present & ~same
