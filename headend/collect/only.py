"""One collector a client id: a second would take the first one's session away, and the first take it back, for ever."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from headend.errors import HeadendError


class OnlyCollector:
    """Holds a lock file from `start` to `stop`; the system lets go of it when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = -1

    def start(self) -> None:
        """Take the lock; raises `HeadendError` where another process has it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise HeadendError(f"another process collects under this client id already ({self._path})") from None

    def stop(self) -> None:
        """Let go of it."""
        os.close(self._lock)
