"""Bill runs by many processes make what one process makes, byte for byte, also where a worker dies."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from distributed import Client
from distributed.utils import json_load_robust

from headend.billing.approval import approve
from headend.billing.partitions import Task, Work
from headend.billing.ports import Office
from headend.billing.run import rate_cycle
from headend.errors import BillingConflict, InvalidInput, WorkersDied
from headend.executors import Dask, Processes
from tests.billing.streets import OCTOBER, TownAt, all_of, build, forget_run, tables
from tests.billing.town import Town

T = TypeVar("T")

ROOT = Path(__file__).parents[2]


@pytest.fixture
def street(tmp_path: Path) -> Town:
    return build(tmp_path / "town")


def rated_alone(street: Town) -> tuple[object, ...]:
    """What this process makes of it; then it is forgotten."""
    rate_cycle(street.office, OCTOBER, "monthly", "ann", accounts_a_range=2)
    whole = all_of(street)
    forget_run(street)
    return whole


# Each process begins with two seconds of imports: as usual there is one, and one after it has died.
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_process_leaves_its_range_to_another(street: Town, workers: int) -> None:
    whole = rated_alone(street)
    seen: list[tuple[int, int]] = []
    processes = Processes(TownAt(street.folder, dies=True), workers)
    rate_cycle(
        street.office,
        OCTOBER,
        "monthly",
        "ann",
        executor=processes,
        progress=lambda done, of: seen.append((done, of)),
        accounts_a_range=2,
    )
    assert (street.folder / "died").exists()
    assert all_of(street) == whole
    assert (seen[0], seen[-1]) == ((0, 9), (9, 9))
    (partitions,) = tables(street, "bill_partition")
    assert len(partitions) == 5


@pytest.mark.slow
def test_cycle_is_approved_by_processes(street: Town) -> None:
    rate_cycle(street.office, OCTOBER, "monthly", "ann", accounts_a_range=2)
    processes = Processes(TownAt(street.folder), 2)
    assert approve(street.office, OCTOBER, "monthly", "bob", executor=processes).state == "approved"


class _Shared:
    """One range after the other; before the second somebody else joins the run and rates what is left of it."""

    def __init__(self, street: Town) -> None:
        self.street, self.by_me, self.by_other = street, list[str](), list[str]()

    def each(self, work: Work[T], tasks: Sequence[Task]) -> Iterator[T]:
        for number, task in enumerate(tasks):
            if number == 1:
                other = _Noting(self.street.office, self.by_other)
                rate_cycle(self.street.office, OCTOBER, "monthly", "bob", executor=other)
            self.by_me.append(task.accounts.first)
            yield work(self.street.office, task)


@dataclass(frozen=True)
class _Noting:
    office: Office
    seen: list[str]

    def each(self, work: Work[T], tasks: Sequence[Task]) -> Iterator[T]:
        for task in tasks:
            self.seen.append(task.accounts.first)
            yield work(self.office, task)


def test_who_joins_a_run_begins_with_its_last_range(street: Town) -> None:
    whole = rated_alone(street)
    shared = _Shared(street)
    assert rate_cycle(street.office, OCTOBER, "monthly", "ann", executor=shared, accounts_a_range=2).state == "rated"
    assert shared.by_me == ["A-0", "A-2", "A-4", "A-6", "A-8"]
    assert shared.by_other == ["A-8", "A-6", "A-4", "A-2"]
    assert all_of(street)[1:] == whole[1:]


_RATE = """
import sys
from pathlib import Path
from headend.billing.run import rate_cycle
from headend.executors import Processes
from tests.billing.streets import OCTOBER, TownAt
if __name__ == "__main__":
    at = TownAt(Path(sys.argv[1]))
    rate_cycle(at(), OCTOBER, "monthly", "ann", executor=Processes(at, 2), accounts_a_range=2)
"""


@pytest.mark.slow
def test_two_runs_at_once_each_of_two_processes_share_the_ranges_and_end(street: Town, tmp_path: Path) -> None:
    whole = rated_alone(street)
    program = tmp_path / "rate.py"
    program.write_text(_RATE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    runs: list[subprocess.Popen[bytes]] = []
    for _ in range(2):
        if runs:
            # One that comes while the other begins is refused: it is a run that has begun which is shared.
            _wait_until(lambda: bool(tables(street, "bill_cycle")[0]))
        command = [sys.executable, str(program), str(street.folder)]
        runs.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE))
    for run in runs:
        # Each begins three processes, of two seconds of imports each, beside whatever else the machine does.
        _, told = run.communicate(timeout=300)
        assert run.returncode == 0, told
    assert all_of(street)[1:] == whole[1:]
    assert len(tables(street, "bill_partition")[0]) == 5


def _wait_until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)


# In any process, without the imports of a test.
_dies = partial(os._exit, 1)


def _refuses() -> Office:
    raise InvalidInput("headend.toml: site.tariffs", "nothing", "a folder")


@pytest.mark.slow
def test_processes_that_only_die_are_not_started_for_ever(street: Town) -> None:
    with pytest.raises(WorkersDied, match="3 times all of 2 workers ended"):
        rate_cycle(street.office, OCTOBER, "monthly", "ann", executor=Processes(_dies, 2))
    assert all_of(street)[0] == "rating"


@pytest.mark.slow
def test_what_a_worker_refuses_is_told_as_it_is(street: Town) -> None:
    with pytest.raises(InvalidInput, match=r"headend.toml: site.tariffs: found nothing, expected a folder"):
        rate_cycle(street.office, OCTOBER, "monthly", "ann", executor=Processes(_refuses, 2))


@contextmanager
def _program(*arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=log.parent, env=environment, stdout=out, stderr=out
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def test_killed_dask_worker_leaves_its_range_to_the_other(street: Town, tmp_path: Path) -> None:
    whole = rated_alone(street)
    at = tmp_path / "scheduler.json"
    local = ("--host", "127.0.0.1", "--no-dashboard")
    with ExitStack() as stack:
        scheduler = ("distributed.cli.dask_scheduler", *local, "--port", "0", "--scheduler-file", str(at))
        stack.enter_context(_program(*scheduler, log=tmp_path / "scheduler.log"))
        worker = ("distributed.cli.dask_worker", *local, "--scheduler-file", str(at), "--nthreads", "1", "--no-nanny")
        workers = [stack.enter_context(_program(*worker, log=tmp_path / f"worker-{n}.log")) for n in range(2)]
        # The workers wait for it as well.
        address = json_load_robust(at, timeout=60)["address"]
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        dask = Dask(TownAt(street.folder, dies=True), address)
        rate_cycle(street.office, OCTOBER, "monthly", "ann", executor=dask, accounts_a_range=2)
        assert (street.folder / "died").exists()
        assert sorted(worker.poll() is None for worker in workers) == [False, True]
    assert all_of(street) == whole


def test_scheduler_that_does_not_answer_is_named(street: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headend.executors._PATIENCE_S", 1)
    with pytest.raises(InvalidInput, match=r"--dask: found tcp://127.0.0.1:9"):
        rate_cycle(street.office, OCTOBER, "monthly", "ann", executor=Dask(TownAt(street.folder), "tcp://127.0.0.1:9"))


def test_a_run_that_is_over_is_not_joined(street: Town) -> None:
    rate_cycle(street.office, OCTOBER, "monthly", "ann")
    approve(street.office, OCTOBER, "monthly", "bob")
    with pytest.raises(BillingConflict, match="is approved"):
        rate_cycle(street.office, OCTOBER, "monthly", "ann", executor=Processes(_dies, 2))
