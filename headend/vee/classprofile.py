"""Class profile: what the channels of a class use at a local time on a kind of day; for a channel that has no past."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headend.reads.profiles import LoadProfiles
from headend.reads.quality import IS_ACTUAL
from headend.vee.daytypes import DayTypes

Int64s = NDArray[np.int64]
Floats = NDArray[np.float64]

_KINDS = 2


@dataclass(frozen=True, slots=True, eq=False)
class ClassProfile:
    """Mean use of a class.

    Parameters
    ----------
    channels
        of how many channels it is the mean.
    mean
        base units per interval by kind of day and local slot (2, slots).
    """

    channels: int
    mean: Floats

    def at(self, calendar: DayTypes, columns: Int64s) -> Floats:
        """Mean use in these columns (c,)."""
        return np.asarray(self.mean[calendar.kind[columns], calendar.slot[columns]])

    def level(self, calendar: DayTypes, values: Int64s, own: Int64s) -> float | None:
        """How much a channel uses beside its class, by its `values` (n,) in the columns `own`; None: not known."""
        usual = float(self.at(calendar, own).mean()) if len(own) else 0.0
        return float(values[own].mean()) / usual if usual > 0 else None


def class_profile_of(profiles: LoadProfiles, calendar: DayTypes) -> ClassProfile | None:
    """The mean of actual reads; slots that one kind of day lacks are taken from the other. None: there are no reads."""
    actual = IS_ACTUAL[profiles.quality]
    if not actual.any():
        return None
    slots = int(calendar.slot.max()) + 1
    place = calendar.kind * slots + calendar.slot
    total = np.bincount(place, np.where(actual, profiles.values, 0).sum(axis=0), _KINDS * slots).reshape(_KINDS, slots)
    count = np.bincount(place, actual.sum(axis=0), _KINDS * slots).reshape(_KINDS, slots)
    with np.errstate(invalid="ignore"):
        mean = np.where(count > 0, total / count, np.nan)
        either = np.where(count.sum(axis=0) > 0, total.sum(axis=0) / count.sum(axis=0), total.sum() / count.sum())
    return ClassProfile(int(actual.any(axis=1).sum()), np.where(np.isnan(mean), either, mean))
