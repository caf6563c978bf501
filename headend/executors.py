"""Who works through the ranges of a bill run: processes on this machine, or a Dask cluster.

A worker opens the site itself, by its configuration, and commits what it rated itself: nothing but names goes back and
forth. One that dies leaves its range to another.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from headend.billing.partitions import Task, Work
from headend.billing.ports import Office
from headend.errors import InvalidInput, WorkersDied

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")

#: Opens an office in whatever process it is called in. It is sent there, and asked once by those who are equal.
Opener = Callable[[], Office]

# So often in a row workers may die before any of them has finished a range.
_DEATHS = 3
_PATIENCE_S = 10

# Names of `mallopt` in malloc.h; what comes from the heap is what can be kept, and glibc takes no more than this there.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_MOST_FROM_HEAP, _KEPT = 32 * 2**20, 512 * 2**20


@dataclass(frozen=True, slots=True)
class OfficeAt:
    """The office of a configured site, by the real time."""

    config: Path | None

    def __call__(self) -> Office:
        """Open it."""
        # What opens a site is the whole of the head-end.
        from headend.app import open_site  # noqa: PLC0415
        from headend.office import office_of  # noqa: PLC0415

        return office_of(open_site(self.config))


@dataclass(frozen=True, slots=True)
class Processes:
    """Processes of this machine, each with the site open."""

    opener: Opener
    workers: int

    def each(self, work: Work[T], tasks: Sequence[Task]) -> Iterator[T]:
        """What comes of each task, as they are done.

        Raises
        ------
        WorkersDied
            processes that end before they have done anything.
        """
        left, deaths = list(tasks), 0
        while left:
            begun = len(left)
            try:
                yield from self._each(work, left)
            except BrokenProcessPool:
                deaths = 0 if len(left) < begun else deaths + 1
                if deaths == _DEATHS:
                    raise WorkersDied(f"{deaths} times all of {self.workers} workers ended with nothing done") from None

    def _each(self, work: Work[T], left: list[Task]) -> Iterator[T]:
        """The same with one pool, until a process of it dies; what is done is taken from those that are left."""
        # A process that is forked would share open databases with this one.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(min(self.workers, len(left)), context, _begin)
        futures: dict[Future[T], Task] = {pool.submit(_work, self.opener, work, task): task for task in left}
        try:
            for future in as_completed(futures):
                done = future.result()
                left.remove(futures[future])
                yield done
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Dask:
    """A Dask cluster, whose workers reach the site's databases and have its configuration where it is here."""

    opener: Opener
    address: str

    def each(self, work: Work[T], tasks: Sequence[Task]) -> Iterator[T]:
        """What comes of each task, as they are done; the scheduler gives those of a dead worker to another.

        Raises
        ------
        InvalidInput
            Dask is not installed, or no scheduler answers.
        WorkersDied
            one worker after the other died over the same range.
        """
        with closing(self._client()) as client:
            # Imported by now.
            from distributed import as_completed as as_done  # noqa: PLC0415
            from distributed.scheduler import KilledWorker  # noqa: PLC0415

            futures = [client.submit(_work, self.opener, work, task, pure=False) for task in tasks]
            try:
                for future in as_done(futures, loop=client.loop):
                    yield future.result()
            except KilledWorker as error:
                raise WorkersDied(" ".join(str(error).split())) from None

    def _client(self) -> Client:
        try:
            from distributed import Client  # noqa: PLC0415
        except ModuleNotFoundError:
            raise InvalidInput("--dask", "no Dask here", "headend[dask] installed, here and on the workers") from None
        try:
            return Client(self.address, timeout=_PATIENCE_S, set_as_default=False)
        except (OSError, ValueError) as error:
            expected = "the address of a Dask scheduler that answers, such as tcp://host:8786"
            raise InvalidInput("--dask", f"{self.address} ({error or 'no answer'})", expected) from None


def _work(opener: Opener, work: Work[T], task: Task) -> T:
    return work(_opened(opener), task)


@lru_cache(maxsize=1)
def _opened(opener: Opener) -> Office:
    return opener()


def _begin() -> None:
    _keep_memory()
    _end_with_parent()


def _keep_memory() -> None:
    """A range takes the memory of the one before: to give it back in between costs a twentieth of the time."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # which glibc has, and others need not
        mallopt(_MMAP_THRESHOLD, _MOST_FROM_HEAP)
        mallopt(_TRIM_THRESHOLD, _KEPT)


def _end_with_parent() -> None:
    """A pool that is killed does not tell its processes, which would wait for more for ever."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
