"""Which of one gateway's messages are durable, as ranges of its sequence numbers.

The window remembers the holes, not the messages: everything from `first` up to `through` is durable but `missing`. So
its size is the number of holes, whatever a gateway (or a corrupted counter) sends. Of too many holes it forgets the
highest, and with them everything above, as if that had not come. No acknowledgement spoke of it: each ends long before
so many holes. So the gateway still keeps it, and sends it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

#: An acknowledgement names at most this many missing numbers.
MISSING_NAMED = 1_000

#: More than can be named by far: what is forgotten has to come again.
HOLES_REMEMBERED = 10_000

_EPOCHS_REMEMBERED = 3


class Note(NamedTuple):
    """What a message says of its place among its gateway's messages; see `SequenceWindow.note`."""

    gateway: str
    seq: int
    epoch: str | None = None
    oldest: int | None = None


@dataclass(slots=True)
class SequenceWindow:
    """The sequence numbers of one gateway.

    Parameters
    ----------
    epoch
        the gateway's word for "since I last lost my counter"; None if it never says.
    first, through
        lowest and highest number seen, but for those forgotten; -1 before the first message.
    missing
        holes between them: ascending, disjoint, both ends included.
    earlier
        epoch, first, through and missing of the epochs before, the latest first: a message of theirs may still come,
        out of some broker's queue.
    """

    epoch: str | None = None
    first: int = -1
    through: int = -1
    missing: list[tuple[int, int]] = field(default_factory=list)
    earlier: list[tuple[str | None, int, int, list[tuple[int, int]]]] = field(default_factory=list)

    def note(self, seq: int, epoch: str | None = None, oldest: int | None = None) -> None:
        """One message is durable.

        Parameters
        ----------
        seq
            its number.
        epoch
            another one than before means that the gateway counts anew.
        oldest
            lowest number the gateway still keeps: holes below it can never be filled.
        """
        if self.first < 0:
            self._begin(seq, epoch, oldest)
        elif epoch != self.epoch:
            self._turn_to(epoch, seq, oldest)
        if seq > self.through:
            if seq > self.through + 1:
                self.missing.append((self.through + 1, seq - 1))
            self.through = seq
        else:
            self._fill(seq)
        if oldest is not None:
            self.missing = [(max(a, oldest), b) for a, b in self.missing if b >= oldest]
        if len(self.missing) > HOLES_REMEMBERED:
            self.through = self.missing[HOLES_REMEMBERED][0] - 1
            del self.missing[HOLES_REMEMBERED:]

    def _begin(self, seq: int, epoch: str | None, oldest: int | None) -> None:
        # Counting begins at 1. A gateway that comes with a high number and does not say what it keeps was
        # somebody else's before: we cannot know what it sent there, and it could not be named anyway.
        first = oldest if oldest is not None and oldest <= seq else 1 if 0 < seq <= MISSING_NAMED else seq
        self.epoch, self.first, self.through, self.missing = epoch, first, first - 1, []

    def _turn_to(self, epoch: str | None, seq: int, oldest: int | None) -> None:
        before = (self.epoch, self.first, self.through, self.missing)
        known = next((past for past in self.earlier if past[0] == epoch), None)
        self.earlier = [before, *(past for past in self.earlier if past is not known)][:_EPOCHS_REMEMBERED]
        if known is None:
            self._begin(seq, epoch, oldest)
        else:
            self.epoch, self.first, self.through, self.missing = known

    def _fill(self, seq: int) -> None:
        for place, (a, b) in enumerate(self.missing):
            if a <= seq <= b:
                self.missing[place : place + 1] = [
                    (low, high) for low, high in ((a, seq - 1), (seq + 1, b)) if low <= high
                ]
                return

    def copy(self) -> SequenceWindow:
        """The same window, to be noted on without touching this one."""
        return SequenceWindow(self.epoch, self.first, self.through, self.missing.copy(), self.earlier.copy())

    def acknowledgement(self) -> dict[str, object]:
        """The wire's `ack`: everything up to `through` is durable but `missing`.

        With more holes than can be named, `through` ends before the first that is not.
        """
        through = self.through
        named: list[int] = []
        for number in self._missing_numbers():
            if len(named) == MISSING_NAMED:
                through = number - 1
                break
            named.append(number)
        answer: dict[str, object] = {"through": through, "missing": named}
        if self.epoch is not None:
            answer["epoch"] = self.epoch
        return answer

    def _missing_numbers(self) -> Iterator[int]:
        for a, b in self.missing:
            yield from range(a, b + 1)

    def to_json(self) -> str:
        """For the journal."""
        return json.dumps([self.epoch, self.first, self.through, self.missing, self.earlier])

    @classmethod
    def from_json(cls, text: str) -> SequenceWindow:
        """From the journal."""
        epoch, first, through, missing, *earlier = json.loads(text)
        past = [(e, f, t, [(a, b) for a, b in m]) for e, f, t, m in (earlier[0] if earlier else ())]
        return cls(epoch, first, through, [(a, b) for a, b in missing], past)
