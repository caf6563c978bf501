"""The one way in: whatever arrives is put here, made durable in groups, and its source is told.

One thread commits. While it waits for the disk, more arrives; that is the next commit. A full writer makes its
sources wait, by messages and by bytes: so memory is bounded, and nothing is thrown away.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from headend.collect.wire import read_envelope
from headend.config import CollectSettings
from headend.errors import HeadendError
from headend.reads.days import microseconds
from headend.store.journal import Arrival, Journal
from headend.store.sequence import Note, SequenceWindow

log = structlog.get_logger(__name__)

#: Of a message that is too large the journal keeps this much: enough to see who sent what.
_EXCERPT_BYTES = 4_096
_JOURNAL_RETRY_S = 1.0
_FULL_RETRY_S = 0.1
_OWN_PATIENCE_S = 5.0

#: Told of each message once: its sender's window if it is durable and numbered, None if it is durable and not.
#: Not told at all of what is given up: that was never acknowledged, and its source has it still.
Durable = Callable[[SequenceWindow | None], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    arrival: Arrival
    note: Note | None
    then: Durable


class JournalWriter:
    """Writes to one journal, from `start` to `stop`, for any number of sources.

    Parameters
    ----------
    clock
        tells when a message came.
    """

    def __init__(self, journal: Journal, settings: CollectSettings, clock: Callable[[], datetime]) -> None:
        self._journal, self._settings, self._clock = journal, settings, clock
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._stopping = threading.Event()
        self._after_commit: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)

    def after_commit(self, tell: Callable[[], None]) -> None:
        """Call this from the writer's thread after each commit, when all its messages' sources have been told."""
        self._after_commit.append(tell)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more, and commit what is waiting if the journal takes it at once."""
        self._stopping.set()
        with self._lock:
            self._arrived.notify()
            self._room.notify_all()
        self._thread.join()

    def put(
        self, topic: str, gateway: str, payload: bytes, then: Durable, *, numbered: bool, wait: bool = True
    ) -> bool:
        """A message of a gateway; False if it was not taken.

        Parameters
        ----------
        then
            called from the writer's thread once the message is durable; it must not block.
        numbered
            the message counts in its gateway's sequence.
        wait
            wait for room; otherwise a full writer does not take it. One that stops takes nothing.
        """
        size = len(payload)
        envelope = read_envelope(payload) if numbered else None
        if size > self._settings.max_message_bytes:
            payload = payload[:_EXCERPT_BYTES]
        received_us = microseconds(self._clock())
        note = Note(gateway, envelope.seq, envelope.epoch, envelope.oldest) if envelope else None
        item = _Waiting(Arrival(received_us, topic, gateway, payload, size), note, then)
        with self._lock:
            while self._full() and wait and not self._stopping.is_set():
                self._room.wait()
            if self._full() or self._stopping.is_set():
                return False
            self._waiting.append(item)
            self._bytes += len(payload)
            self._arrived.notify()
        return True

    def write(self, topic: str, payload: bytes) -> None:
        """A message of our own (a poller's), durable when this returns.

        Raises `HeadendError` where that takes too long: it may become durable yet, and is to be written again.
        """
        durable = threading.Event()
        until = time.monotonic() + _OWN_PATIENCE_S
        while not self.put(topic, "", payload, lambda _: durable.set(), numbered=False, wait=False):
            if time.monotonic() > until or self._stopping.wait(_FULL_RETRY_S):
                raise HeadendError(f"{topic}: not written, the journal takes nothing")
        if not durable.wait(until - time.monotonic()):
            raise HeadendError(f"{topic}: not written yet, the journal takes nothing")

    def _full(self) -> bool:
        return len(self._waiting) >= self._settings.queue or self._bytes >= self._settings.queue_bytes

    def _run(self) -> None:
        while batch := self._take():
            self._commit(batch)

    def _take(self) -> list[_Waiting]:
        """All that waits, up to one commit's worth; nothing once there will be no more."""
        batch: list[_Waiting] = []
        size = 0
        with self._lock:
            while not self._waiting and not self._stopping.is_set():
                self._arrived.wait()
            while self._waiting and len(batch) < self._settings.commit_messages and size < self._settings.commit_bytes:
                batch.append(self._waiting.popleft())
                size += len(batch[-1].arrival.payload)
            self._bytes -= size
            self._room.notify_all()
        return batch

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        arrivals = [item.arrival for item in batch]
        notes = [item.note for item in batch if item.note is not None]
        while True:
            try:
                windows = self._journal.append(arrivals, notes)
                break
            except Exception as error:
                # Disk full, the database away, memory short: nobody is told, so everybody keeps what they sent.
                log.warning("journal refused a commit, trying again", messages=len(batch), error=str(error))
                if self._stopping.wait(_JOURNAL_RETRY_S):
                    return
        try:
            for item in batch:
                item.then(windows[item.note.gateway] if item.note is not None else None)
            for tell in self._after_commit:
                tell()
        except Exception:
            # Whoever was not told sends again; who comes next must not wait for it.
            log.exception("a source could not be told what is durable", messages=len(batch))
