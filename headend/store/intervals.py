"""The interval store's contract: whole day blocks in, day blocks and load profiles out.

Who writes has merged before: a store keeps what it is given and decides nothing. Writing the same blocks twice leaves
the same store. `tx` is the site database's transaction, so that reads, their history and the place in the journal they
came from become true together; what a store keeps elsewhere it sends there afterwards, from what that transaction left.

Whoever reads may meet `StoreAway`: the server that has the reads does not answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from headend.reads.blocks import Blocks
from headend.reads.profiles import LoadProfiles

#: (day, meter, channel)
BlockKey = tuple[int, int, int]
#: (meter, channel)
ChannelKey = tuple[int, int]

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ChannelDay:
    """How complete one channel-day is.

    Parameters
    ----------
    present, estimated
        intervals with a value, and how many of those are estimates.
    settled
        True once validation has closed the day.
    """

    day: int
    meter: int
    channel: int
    interval_s: int
    present: int
    estimated: int
    settled: bool


@dataclass(frozen=True, slots=True)
class Latest:
    """A channel's newest measured read: its interval [s since 1970, s] and its value."""

    start_s: int
    interval_s: int
    value: int

    @property
    def end_s(self) -> int:
        """End of the interval [s since 1970]."""
        return self.start_s + self.interval_s


class IntervalStore(Protocol):
    """What every interval store does."""

    def load(self, tx: Connection, keys: Sequence[BlockKey], interval_s: int) -> Blocks:
        """The blocks of these keys, in this order; all missing where there is none."""

    def save(self, tx: Connection, blocks: Blocks, changed: Bools, *, settled: bool) -> None:
        """Keep blocks as they are now.

        Parameters
        ----------
        changed
            intervals that are not what `load` said of them (k, n); of the others nothing need be written.
        settled
            True when validation closed these days, False when reads arrived for them.
        """

    def profiles(
        self, tx: Connection, channels: Sequence[ChannelKey], start_s: int, end_s: int, interval_s: int
    ) -> LoadProfiles:
        """Channels side by side over [start_s, end_s), in the order asked for."""

    def latest(
        self, tx: Connection, channels: Sequence[ChannelKey], since_s: int, before_s: int
    ) -> Mapping[ChannelKey, Latest]:
        """Each channel's newest measured read that begins in [since_s, before_s); channels without one are left out."""

    def channel_days(self, tx: Connection, first_day: int, end_day: int) -> Iterable[ChannelDay]:
        """Completeness of every channel-day there is in [first_day, end_day)."""

    def open_days(self, tx: Connection, before_day: int) -> list[BlockKey]:
        """Keys of blocks before `before_day` that validation has not closed."""

    def forget(self, tx: Connection, before_day: int) -> int:
        """Delete the blocks of all days before `before_day`, for their time is over; how many there were."""
