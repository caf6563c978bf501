"""What only one process of a site may do at a time, held by a lock file.

The system lets go of the lock when a process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import structlog

from headend.errors import HeadendError

log = structlog.get_logger(__name__)

_TRY_AGAIN_S = 1.0


class Part(Protocol):
    """A long-running part: one owner, one way to start, one way to stop."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class OnlyCollector:
    """Refuses a second collector under one client id: the two would take each other's session away, for ever."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = -1

    def start(self) -> None:
        """Take the lock; raises `HeadendError` where another process has it."""
        lock = _locked(self._path)
        if lock is None:
            raise HeadendError(f"another process collects under this client id already ({self._path})")
        self._lock = lock

    def stop(self) -> None:
        """Let go of it."""
        os.close(self._lock)


class InTurn:
    """Parts that one process of a site runs, and another takes over when it ends: two would ask one meter at once."""

    def __init__(self, path: Path, parts: Sequence[Part]) -> None:
        self._path, self._parts = path, tuple(parts)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=path.stem, daemon=True)

    def start(self) -> None:
        """Start the parts, now or when it is our turn."""
        self._thread.start()

    def stop(self) -> None:
        """Stop them, if they run, the other way round."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while (lock := _locked(self._path)) is None:
            if self._stopping.wait(_TRY_AGAIN_S):
                return
        running: list[Part] = []
        try:
            for part in self._parts:
                part.start()
                running.append(part)
            self._stopping.wait()
        except Exception:
            log.exception("a part did not start", lock=str(self._path))
        finally:
            for part in reversed(running):
                part.stop()
            os.close(lock)


@contextmanager
def only_one(path: Path, otherwise: str) -> Iterator[None]:
    """Hold the lock meanwhile; raises `HeadendError`, saying `otherwise`, where another process has it."""
    lock = _locked(path)
    if lock is None:
        raise HeadendError(f"{otherwise} ({path})")
    try:
        yield
    finally:
        os.close(lock)


def _locked(path: Path) -> int | None:
    """The lock, or None where another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
