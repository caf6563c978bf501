"""The journal: every message as it came, durable before anybody is told so, chained so that nothing can be altered.

One `append` is one transaction for many messages (group commit) and also commits which sequence numbers each gateway
may forget: the two can never disagree. Everything else in the head-end is made from the journal and can be made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from headend.errors import StoreBroken
from headend.store.database import Database, upsert
from headend.store.sequence import SequenceWindow
from headend.store.tables import entry, gateway_sequence

#: The chain before the first entry.
GENESIS = bytes(32)

_NEWEST = select(entry.c.offset, entry.c.chain).order_by(entry.c.offset.desc()).limit(1)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message from the field, not yet durable.

    Parameters
    ----------
    received_us
        when it came [µs since 1970].
    size
        bytes of the message; more than `payload` has where it was too large to keep whole.
    """

    received_us: int
    topic: str
    gateway: str
    payload: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One message in the journal, at its place."""

    offset: int
    received_us: int
    topic: str
    gateway: str
    payload: bytes
    size: int
    chain: bytes


class Journal:
    """Append-only; one process appends, any number read.

    Parameters
    ----------
    database
        with the `journal` schema.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last_offset = self.newest_offset()

    @property
    def last_offset(self) -> int:
        """Offset of the newest entry this process appended or found when it opened the journal; 0 when empty."""
        return self._last_offset

    def newest_offset(self) -> int:
        """Offset of the newest entry, whoever appended it; 0 when empty."""
        with self._database.read() as tx:
            return tx.execute(select(func.max(entry.c.offset))).scalar() or 0

    def windows(self) -> dict[str, SequenceWindow]:
        """What each gateway may forget, as last committed."""
        with self._database.read() as tx:
            return {row.gateway: SequenceWindow.from_json(row.window) for row in tx.execute(select(gateway_sequence))}

    def append(self, arrivals: Sequence[Arrival], windows: dict[str, SequenceWindow]) -> None:
        """Make messages durable, with the sequence windows they changed: all of it, or an exception and nothing."""
        with self._database.write() as tx:
            # Asked inside the transaction: whoever appended last, this goes on from there.
            newest = tx.execute(_NEWEST).first()
            rows = _chained(arrivals, *(newest or (0, GENESIS)))
            if rows:
                tx.execute(entry.insert(), rows)
            upsert(tx, gateway_sequence, [{"gateway": name, "window": w.to_json()} for name, w in windows.items()])
        if rows:
            self._last_offset = rows[-1]["offset"]

    def after(self, offset: int, limit: int) -> list[Entry]:
        """The next `limit` entries after `offset`, oldest first."""
        query = select(entry).where(entry.c.offset > offset).order_by(entry.c.offset).limit(limit)
        with self._database.read() as tx:
            return [Entry(*row) for row in tx.execute(query)]

    def at(self, offsets: Iterable[int]) -> list[Entry]:
        """The entries at these offsets, oldest first."""
        query = select(entry).where(entry.c.offset.in_(list(offsets))).order_by(entry.c.offset)
        with self._database.read() as tx:
            return [Entry(*row) for row in tx.execute(query)]

    def verify(self) -> int:
        """Walk the whole chain; number of entries, or `StoreBroken` at the first that was altered, lost or moved."""
        offset, chain = 0, GENESIS
        while entries := self.after(offset, 10_000):
            for found in entries:
                if found.offset != offset + 1:
                    raise StoreBroken(f"journal: entry {offset + 1} is missing, found {found.offset} instead")
                offset = found.offset
                chain = _link(chain, offset, found)
                if chain != found.chain:
                    raise StoreBroken(f"journal: entry {offset} is not what was written")
        return offset


def _chained(arrivals: Sequence[Arrival], offset: int, chain: bytes) -> list[dict[str, Any]]:
    """Rows that go on from the entry with this offset and chain."""
    rows = []
    for arrival in arrivals:
        offset += 1
        chain = _link(chain, offset, arrival)
        rows.append(
            {
                "offset": offset,
                "received_us": arrival.received_us,
                "topic": arrival.topic,
                "gateway": arrival.gateway,
                "payload": arrival.payload,
                "size": arrival.size,
                "chain": chain,
            }
        )
    return rows


def _link(chain: bytes, offset: int, message: Arrival | Entry) -> bytes:
    # JSON says where each part ends, so that nothing can move from one to the next unseen.
    head = json.dumps([offset, message.received_us, message.size, message.topic, message.gateway]).encode()
    return hashlib.sha256(chain + head + message.payload).digest()
