"""A watched folder: what is put there is imported, and moved to `done/` once it is durable, or to `failed/`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from headend.collect.files.match import Key
from headend.collect.files.prepare import prepare
from headend.errors import HeadendError, InvalidInput
from headend.store.journal import Arrival

log = structlog.get_logger(__name__)

_STILL_WRITTEN = (".part", ".tmp")


class Inbox:
    """Looks into a folder from `start` to `stop`, in a thread of its own.

    A file is taken once its size and time have stood still from one look to the next. Names that begin with a dot or
    end in .part or .tmp are left alone: write under such a name, then rename. If the process dies between the journal
    and the move, the file is read again, and its reads are duplicates.

    Parameters
    ----------
    every_s
        time between two looks [s].
    open_meters
        every (meter, OBIS code) of the registry, asked for each file.
    append
        makes messages durable in the journal, or raises.
    clock
        tells the time, aware UTC.
    """

    def __init__(
        self,
        folder: Path,
        every_s: float,
        open_meters: Callable[[], Collection[Key]],
        append: Callable[[Sequence[Arrival]], object],
        clock: Callable[[], datetime],
    ) -> None:
        self._folder, self._every_s = folder, every_s
        self._open_meters, self._append, self._clock = open_meters, append, clock
        self._seen: dict[str, tuple[int, int]] = {}
        self._durable: tuple[str, tuple[int, int]] | None = None
        self._trouble = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inbox", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the file at hand."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
                self._trouble = ""
            except (OSError, HeadendError, SQLAlchemyError) as error:
                # The file is where it was; the same trouble is told once.
                if str(error) != self._trouble:
                    log.warning("inbox: trying again", folder=str(self._folder), error=str(error))
                self._trouble = str(error)
            except Exception as error:
                log.exception("inbox failed, trying again", folder=str(self._folder), error=str(error))
            self._stopping.wait(self._every_s)

    def _look(self) -> None:
        """Take every file that has not changed since the last look."""
        before, self._seen = self._seen, {}
        for path in sorted(self._folder.iterdir()):
            if path.name.startswith(".") or path.name.endswith(_STILL_WRITTEN) or path.is_symlink():
                continue
            if path.is_file():
                status = path.stat()
                self._seen[path.name] = status.st_size, status.st_mtime_ns
        for name, state in self._seen.items():
            if self._stopping.is_set():
                return
            if before.get(name) == state:
                self._take(self._folder / name, state)

    def _take(self, path: Path, state: tuple[int, int]) -> None:
        payload, now = path.read_bytes(), self._clock()
        try:
            prepared = prepare(path.name, payload, self._open_meters())
        except InvalidInput as error:
            target = _free(self._folder / "failed", now, path.name)
            target.with_name(f"{target.name}.error.txt").write_text(f"{error}\n", encoding="utf-8")
            path.rename(target)
            log.warning("inbox: a file cannot be used", file=path.name, error=str(error))
            return
        target = _free(self._folder / "done", now, path.name)
        if self._durable != (path.name, state):  # else it only could not be moved
            self._append(prepared.arrivals(now))
            self._durable = path.name, state
        path.rename(target)
        log.info("inbox: file imported", file=path.name, left_out=len(prepared.left_out))


def _free(folder: Path, now: datetime, name: str) -> Path:
    """A name with the date in front, in a folder that has none such; the folder is made."""
    folder.mkdir(exist_ok=True)
    target, again = folder / f"{now:%Y-%m-%d}-{name}", 1
    while target.exists():
        again += 1
        target = folder / f"{now:%Y-%m-%d}-{again}-{name}"
    return target
