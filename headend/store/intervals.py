"""The interval store's contract: whole day blocks in, day blocks and load profiles out.

Who writes has merged before: a store keeps what it is given and decides nothing. Writing the same blocks twice leaves
the same store. `tx` is the site database's transaction, so that reads, their history and the place in the journal they
came from become true together; a store that lives elsewhere writes first and relies on being idempotent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from headend.reads.blocks import Blocks
from headend.reads.profiles import LoadProfiles

#: (day, meter, channel)
BlockKey = tuple[int, int, int]
#: (meter, channel)
ChannelKey = tuple[int, int]


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


class IntervalStore(Protocol):
    """What every interval store does."""

    def load(self, tx: Connection, keys: Sequence[BlockKey], interval_s: int) -> Blocks:
        """The blocks of these keys, in this order; all missing where there is none."""

    def save(self, tx: Connection, blocks: Blocks, *, settled: bool) -> None:
        """Keep blocks as they are now.

        Parameters
        ----------
        settled
            True when validation closed these days, False when reads arrived for them.
        """

    def profiles(
        self, tx: Connection, channels: Sequence[ChannelKey], start_s: int, end_s: int, interval_s: int
    ) -> LoadProfiles:
        """Channels side by side over [start_s, end_s), in the order asked for."""

    def channel_days(self, tx: Connection, first_day: int, end_day: int) -> Iterable[ChannelDay]:
        """Completeness of every channel-day there is in [first_day, end_day)."""

    def open_days(self, tx: Connection, before_day: int) -> list[BlockKey]:
        """Keys of blocks before `before_day` that validation has not closed."""
