"""The journal: every message as it came, durable before anybody is told so, chained so that nothing can be altered.

One `append` is one transaction for many messages (group commit) and also commits which sequence numbers each gateway
may forget: the two can never disagree. Everything else in the head-end is made from the journal and can be made again.

Any number of processes may append. Each reads the end of the chain inside its own transaction, and so notices when
somebody else has been there: then what it remembers of sequence windows is old, and is read anew.

A server can die between its commit and its answer. Who appends is told of an error then, as of any other, and appends
again; what is there already is recognised by its place in the chain.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from json.encoder import encode_basestring_ascii as _quoted

from sqlalchemy import Connection, func, select

from headend.errors import StoreBroken
from headend.store.bulk import Row, insert_rows, portions, upsert_rows
from headend.store.database import Database, storable
from headend.store.sequence import Note, SequenceWindow
from headend.store.tables import entry, gateway_sequence

#: The chain before the first entry.
GENESIS = bytes(32)

_BYTES_AT_ONCE = 32 * 2**20
# Few, as an entry may be large: a server sends no more than this before it is asked to go on.
_ENTRIES_AT_ONCE = 100

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
    """Append-only; any number of processes append and read.

    Parameters
    ----------
    database
        with the `journal` schema.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last_offset = self.newest_offset()
        self._one_at_a_time = threading.Lock()
        # What we left behind at our last append, and the windows as they were then.
        self._left: tuple[int, bytes] = (0, GENESIS)
        self._windows: dict[str, SequenceWindow] = {}
        # Messages of which no answer said that they are durable, and the last one's place if they are.
        self._in_doubt: tuple[Sequence[Arrival], int, bytes] = ((), 0, GENESIS)

    @property
    def last_offset(self) -> int:
        """Offset of the newest entry this process appended or found when it opened the journal; 0 when empty."""
        return self._last_offset

    def newest_offset(self) -> int:
        """Offset of the newest entry, whoever appended it; 0 when empty."""
        with self._database.read() as tx:
            return tx.execute(select(func.max(entry.c.offset))).scalar() or 0

    def first_since(self, received_us: int) -> int:
        """Offset of the first entry that came at a moment [µs since 1970] or later; past the newest if none did."""
        query = select(entry.c.offset).where(entry.c.received_us >= received_us).order_by(entry.c.offset).limit(1)
        with self._database.read() as tx:
            found = tx.execute(query).scalar()
        return self.newest_offset() + 1 if found is None else found

    def windows(self, gateway: str | None = None) -> dict[str, SequenceWindow]:
        """What each gateway, or one of them, may forget, as last committed."""
        query = select(gateway_sequence)
        if gateway is not None:
            query = query.where(gateway_sequence.c.gateway == gateway)
        with self._database.read() as tx:
            return {row.gateway: SequenceWindow.from_json(row.window) for row in tx.execute(query)}

    def append(self, arrivals: Sequence[Arrival], notes: Sequence[Note] = ()) -> dict[str, SequenceWindow]:
        """Make messages durable, and with them what their senders may forget: all of it, or an exception and nothing.

        After an exception the same messages may be appended again, whatever became of them.

        Returns
        -------
        dict
            the windows that the notes changed, by gateway. They are not to be changed.
        """
        with self._one_at_a_time:
            with self._database.write() as tx:
                # Asked inside the transaction: whoever appended last, this goes on from there.
                newest = tx.execute(_NEWEST).first()
                offset, chain = (newest.offset, newest.chain) if newest else (0, GENESIS)
                known = self._windows if (offset, chain) == self._left else {}
                changed = _noted(tx, known, notes)
                rows = [] if self._is_there(tx, arrivals) else _chained(arrivals, offset, chain)
                insert_rows(tx, entry, rows)
                upsert_rows(tx, gateway_sequence, [(name, window.to_json()) for name, window in changed.items()])
                if rows:
                    offset, chain = rows[-1][0], rows[-1][-1]
                    self._in_doubt = arrivals, offset, chain
            self._in_doubt = (), 0, GENESIS
            if arrivals:
                self._last_offset = offset
                self._left = offset, chain
            self._windows = known | changed
            return changed

    def _is_there(self, tx: Connection, arrivals: Sequence[Arrival]) -> bool:
        tried, offset, chain = self._in_doubt
        if not arrivals or tried != arrivals:
            return False
        return tx.execute(select(entry.c.chain).where(entry.c.offset == offset)).scalar() == chain

    def after(self, offset: int, limit: int) -> list[Entry]:
        """The next `limit` entries after `offset`, oldest first; fewer, but one, where they are large."""
        query = select(entry).where(entry.c.offset > offset).order_by(entry.c.offset).limit(limit)
        found: list[Entry] = []
        size = 0
        with self._database.read() as tx, tx.execute(query.execution_options(yield_per=_ENTRIES_AT_ONCE)) as rows:
            for row in rows:
                found.append(Entry(*row))
                size += len(row.payload)
                if size >= _BYTES_AT_ONCE:
                    break
        return found

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


def _noted(tx: Connection, known: dict[str, SequenceWindow], notes: Sequence[Note]) -> dict[str, SequenceWindow]:
    """The windows after these notes; those in `known` stay as they are, for the transaction may yet fail."""
    names = {note.gateway for note in notes}
    g = gateway_sequence.c
    unknown = sorted(names - known.keys())
    before = {name: known[name].copy() for name in names & known.keys()}
    for some in portions(unknown):
        query = select(g.gateway, g.window).where(g.gateway.in_(some))
        before |= {row.gateway: SequenceWindow.from_json(row.window) for row in tx.execute(query)}
    for note in notes:
        window = before.get(note.gateway)
        if window is None:
            window = before[note.gateway] = SequenceWindow()
        window.note(note.seq, note.epoch, note.oldest)
    return before


def _chained(arrivals: Sequence[Arrival], last: int, chain: bytes) -> list[Row]:
    """Rows that go on from the entry with this offset and chain."""
    rows = []
    for offset, a in enumerate(map(_storable, arrivals), last + 1):
        chain = _link(chain, offset, a)
        rows.append((offset, a.received_us, a.topic, a.gateway, a.payload, a.size, chain))
    return rows


def _storable(arrival: Arrival) -> Arrival:
    topic, gateway = storable(arrival.topic), storable(arrival.gateway)
    as_it_came = (topic, gateway) == (arrival.topic, arrival.gateway)
    return arrival if as_it_came else replace(arrival, topic=topic, gateway=gateway)


def _link(chain: bytes, offset: int, message: Arrival | Entry) -> bytes:
    # JSON says where each part ends, so that nothing can move from one to the next unseen.
    names = f"{_quoted(message.topic)}, {_quoted(message.gateway)}"
    head = f"[{offset}, {message.received_us}, {message.size}, {names}]"
    return hashlib.sha256(chain + head.encode() + message.payload).digest()
