"""What is written out: a channel's intervals over one stretch of time, with all we know of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from headend.reads.crosswalk import Condition
from headend.reads.profiles import Bytes, Int64s
from headend.reads.quality import Flag, Quality
from headend.registry.registry import EnrolledChannel
from headend.store.intervals import IntervalStore


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """One channel's intervals, from `start_s` on without a hole.

    Parameters
    ----------
    start_s
        begin of the first, UTC [s since 1970].
    values
        base units (n,); 0 where missing.
    quality, flags
        `Quality` and device `Flag`s (n,).
    """

    channel: EnrolledChannel
    start_s: int
    values: Int64s
    quality: Bytes
    flags: Bytes

    @property
    def interval_s(self) -> int:
        """Length of an interval [s]."""
        return self.channel.interval_s

    @property
    def starts_s(self) -> Int64s:
        """Begin of every interval, UTC [s since 1970] (n,)."""
        return self.start_s + self.interval_s * np.arange(len(self.values), dtype=np.int64)

    @property
    def end_s(self) -> int:
        """End of the last interval, UTC [s since 1970]."""
        return self.start_s + self.interval_s * len(self.values)

    @property
    def present(self) -> NDArray[np.bool_]:
        """Where there is a value (n,)."""
        return self.quality != Quality.MISSING

    def conditions(self) -> Iterator[Condition]:
        """Of every interval; the reasons of edits are not among what is kept of an interval."""
        made: dict[tuple[int, int], Condition] = {}
        for key in zip(self.quality.tolist(), self.flags.tolist(), strict=True):
            if key not in made:
                made[key] = Condition(Quality(key[0]), Flag(key[1]))
            yield made[key]


def stretch(
    tx: Connection, store: IntervalStore, channel: EnrolledChannel, start_s: int, end_s: int, now_s: int
) -> Stretch:
    """The intervals that begin in [start_s, end_s) while the meter was in service, up to now."""
    length = channel.interval_s
    start_s = max(start_s, channel.installed_s)
    end_s = min(end_s, now_s if channel.removed_s is None else min(now_s, channel.removed_s))
    start_s, end_s = -(-start_s // length) * length, -(-end_s // length) * length
    key = channel.meter, channel.channel.code
    profiles = store.profiles(tx, [key], start_s, max(start_s, end_s), length)
    return Stretch(channel, start_s, profiles.values[0], profiles.quality[0], profiles.flags[0])
