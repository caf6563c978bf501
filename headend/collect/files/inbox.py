"""A watched folder: what is put there is imported, and moved to `done/` once it is durable, or to `failed/`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from headend.collect.files.match import Key
from headend.collect.files.prepare import prepare, read_whole
from headend.errors import HeadendError, InvalidInput
from headend.store.journal import Arrival

log = structlog.get_logger(__name__)

#: Size [bytes] and time of the last change [ns].
_State = tuple[int, int]

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
        self._seen: dict[str, _State] = {}
        self._durable: tuple[str, _State] | None = None
        self._told: set[str] = set()
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
            troubles = self._look()
            for trouble, error in troubles.items():
                if trouble not in self._told:
                    foreseen = isinstance(error, OSError | HeadendError | SQLAlchemyError)
                    log.warning("inbox: trying again", trouble=trouble, exc_info=None if foreseen else error)
            self._told = set(troubles)
            self._stopping.wait(self._every_s)

    def _look(self) -> dict[str, Exception]:
        """Take every file that has stood still since the last look; what went wrong, and left its file where it was."""
        before = self._seen
        try:
            self._seen = self._files()
        except OSError as error:
            self._seen = {}
            return {str(error): error}
        troubles: dict[str, Exception] = {}
        for name, state in self._seen.items():
            if before.get(name) == state and not self._stopping.is_set():
                try:
                    self._take(self._folder / name, state)
                except Exception as error:  # one file's trouble is not the next one's
                    troubles[f"{name}: {error}"] = error
        return troubles

    def _files(self) -> dict[str, _State]:
        found = {}
        for path in sorted(self._folder.iterdir()):
            left_alone = path.name.startswith(".") or path.name.endswith(_STILL_WRITTEN) or path.is_symlink()
            if not left_alone and path.is_file():
                status = path.stat()
                found[path.name] = status.st_size, status.st_mtime_ns
        return found

    def _take(self, path: Path, state: _State) -> None:
        now = self._clock()
        try:
            prepared = prepare(path.name, read_whole(path), self._open_meters())
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
