"""Bill runs by many processes make what one process makes, byte for byte, also where a worker dies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from distributed import Client
from distributed.utils import json_load_robust

from headend.billing.approval import approve
from headend.billing.ports import Office
from headend.billing.run import rate_cycle
from headend.errors import BillingConflict, InvalidInput, WorkersDied
from headend.executors import Dask, Processes
from tests.billing.streets import OCTOBER, TownAt, all_of, build, forget_run, tables
from tests.billing.town import Town

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
