"""Store and forward: what a gateway keeps in its flash until the head-end says that it is durable.

The flash is a ring: when it is full, the oldest message makes room for the newest. Pure bookkeeping, without MQTT and
without a clock of its own. The central idea: only the oldest `window` messages are ever on their way. That bounds what
is in flight, sends oldest first, and makes a re-send nothing special: a message is sent when it has not been, or when
its last sending is too long ago.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")

NAMED_AGAIN_S = 1.0
"""A message named as missing is not sent twice within this time: the answer may have crossed it on the way [s]."""


@dataclass(slots=True)
class _Kept(Generic[T]):
    item: T
    last_sent: float | None = None
    ever_sent: bool = False


@dataclass(frozen=True, slots=True)
class Due(Generic[T]):
    """A message to send now; `again` when it has been sent before."""

    seq: int
    item: T
    again: bool


class SendBuffer(Generic[T]):
    """Messages by sequence number, kept until acknowledged.

    Parameters
    ----------
    window
        how many of the oldest messages may be on their way at once.
    resend_after
        silence after which a message is sent again [s].
    capacity
        how many messages the flash holds.
    """

    def __init__(self, window: int, resend_after: float, capacity: int) -> None:
        self._window = window
        self._capacity = capacity
        self._resend_after = resend_after
        self._kept: dict[int, _Kept[T]] = {}
        self._next = 1
        self.fresh = 0
        """How many messages wait for their first sending."""

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def oldest(self) -> int:
        """The lowest sequence number still kept; with nothing kept, the next one to be given."""
        return next(iter(self._kept), self._next)

    def overwrite(self) -> tuple[T, bool] | None:
        """Make room for one more: the oldest message, and whether it was ever sent; None while there is room."""
        if len(self._kept) < self._capacity:
            return None
        gone = self._kept.pop(next(iter(self._kept)))
        self.fresh -= not gone.ever_sent
        return gone.item, gone.ever_sent

    def put(self, item: T) -> int:
        """Keep a new message, for which there must be room; its sequence number."""
        seq = self.skip()
        self._kept[seq] = _Kept(item)
        self.fresh += 1
        return seq

    def skip(self) -> int:
        """Give out a sequence number whose message is lost before it was ever sent."""
        seq = self._next
        self._next += 1
        return seq

    def due(self, now: float, most: int) -> list[Due[T]]:
        """At most so many to send at `now` [s, any steady clock], oldest first. They count as sent from here on."""
        due: list[Due[T]] = []
        for seq, kept in islice(self._kept.items(), self._window):
            if len(due) == most:
                break
            if kept.last_sent is None or now - kept.last_sent >= self._resend_after:
                due.append(Due(seq, kept.item, kept.ever_sent))
                self.fresh -= not kept.ever_sent
                kept.last_sent, kept.ever_sent = now, True
        return due

    def acknowledge(self, through: int, missing: Collection[int], now: float) -> list[T]:
        """Take the head-end's word: drop everything sent up to `through` but `missing`, which becomes due again.

        Returns
        -------
        list
            what was dropped. A message never sent is not dropped, whatever the answer says.
        """
        named = set(missing)
        covered = [seq for seq, kept in self._up_to(through) if kept.ever_sent and seq not in named]
        soon = min(NAMED_AGAIN_S, self._resend_after)
        for seq in named & self._kept.keys():
            sent = self._kept[seq].last_sent
            if sent is not None and now - sent >= soon:
                self._kept[seq].last_sent = None
        return [self._kept.pop(seq).item for seq in covered]

    def unsent(self, seq: int) -> bool:
        """Whether this message still waits for its first sending."""
        return seq in self._kept and not self._kept[seq].ever_sent

    def reconnected(self) -> None:
        """A new connection: what the old one carried may be lost, so everything kept is due."""
        for kept in self._kept.values():
            kept.last_sent = None

    def _up_to(self, through: int) -> list[tuple[int, _Kept[T]]]:
        found = []
        for seq, kept in self._kept.items():
            if seq > through:
                break
            found.append((seq, kept))
        return found
