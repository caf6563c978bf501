"""The watched folder, with real files, a real journal, and a process that is killed at the worst moment."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog

from headend.app import open_site
from headend.collect.files.inbox import Inbox
from headend.collect.files.message import read_file_message
from headend.process import Intake
from headend.store.checkpoints import totals
from headend.store.database import Database
from headend.store.journal import Arrival, Journal
from tests.collect.files.sites import csv_of, write_site

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
KNOWN = {("E-1", "1-0:1.8.0")}


class Watched:
    """An inbox that looks every few milliseconds, and what came of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "inbox"
        self.folder.mkdir()
        self.journal = Journal(Database(f"sqlite:///{folder / 'journal.db'}", "journal"))
        self.refuse: Exception | None = None
        self.tried = threading.Event()
        self.inbox = Inbox(self.folder, 0.01, lambda: KNOWN, self.append, lambda: NOW)

    def append(self, arrivals: Sequence[Arrival]) -> None:
        self.tried.set()
        if self.refuse is not None:
            raise self.refuse
        self.journal.append(arrivals)

    def put(self, name: str, text: str) -> None:
        """As a careful sender does."""
        part = self.folder / f"{name}.part"
        part.write_text(text)
        part.rename(self.folder / name)

    def names(self, folder: str) -> list[str]:
        return sorted(path.name for path in (self.folder / folder).glob("*") if path.is_file())


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.005)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    made.inbox.start()
    yield made
    made.inbox.stop()


def test_a_file_is_journalled_and_then_moved_to_done_under_its_date(watched: Watched):
    watched.put("reads.csv", csv_of(1, 2, 3))
    until(lambda: watched.names("done"))
    assert watched.names("done") == ["2026-11-21-reads.csv"]
    assert watched.names(".") == []
    (entry,) = watched.journal.after(0, 10)
    assert (entry.topic, entry.gateway) == ("file/reads.csv", "")
    assert read_file_message(entry.payload).blocks[0].values == [1, 2, 3]


def test_nothing_in_done_is_overwritten(watched: Watched):
    for count in (1, 2, 3):
        watched.put("reads.csv", csv_of(count))
        until(lambda: len(watched.names("done")) == count)  # noqa: B023
    assert watched.names("done") == ["2026-11-21-2-reads.csv", "2026-11-21-3-reads.csv", "2026-11-21-reads.csv"]


def test_a_bad_file_is_put_aside_with_the_reason_and_does_not_hold_up_others(watched: Watched):
    watched.put("a.csv", csv_of(1, meter="E-9"))
    watched.put("b.csv", csv_of(1))
    until(lambda: watched.names("done"))
    assert watched.names("failed") == ["2026-11-21-a.csv", "2026-11-21-a.csv.error.txt"]
    reason = (watched.folder / "failed" / "2026-11-21-a.csv.error.txt").read_text()
    assert reason.startswith("a.csv: line 2: found unknown meter 'E-9'")
    assert reason.count("\n") == 1
    assert watched.journal.newest_offset() == 1


def test_what_is_still_being_written_is_left_alone(watched: Watched):
    for name in ("x.csv.part", "x.csv.tmp", ".x.csv"):
        (watched.folder / name).write_text(csv_of(1))
    (watched.folder / "folder.csv").mkdir()
    (watched.folder / "link.csv").symlink_to(watched.folder / ".x.csv")
    watched.put("last.csv", csv_of(1))
    until(lambda: watched.names("done"))
    assert watched.names("done") == ["2026-11-21-last.csv"]
    assert watched.names(".") == [".x.csv", "link.csv", "x.csv.part", "x.csv.tmp"]


def test_a_file_that_grows_is_taken_when_it_has_stopped_growing(tmp_path: Path):
    watched = Watched(tmp_path)
    path = watched.folder / "slow.csv"
    path.write_text(csv_of(1))
    watched.inbox._look()
    path.write_text(csv_of(1, 2))
    watched.inbox._look()
    assert watched.journal.newest_offset() == 0
    watched.inbox._look()
    (entry,) = watched.journal.after(0, 10)
    assert read_file_message(entry.payload).blocks[0].values == [1, 2]


def test_a_file_that_cannot_be_read_does_not_hold_up_others(watched: Watched, monkeypatch: pytest.MonkeyPatch):
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "a.csv":
            raise OSError(5, "Input/output error")
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr("headend.collect.files.prepare.Path.read_bytes", refuse)
        for name in ("a.csv", "b.csv"):
            watched.put(name, csv_of(1))
        until(lambda: watched.names("done"))
        assert watched.names(".") == ["a.csv"]
    until(lambda: len(watched.names("done")) == 2)


def test_a_journal_that_refuses_leaves_the_file_where_it_is_until_it_takes_it(watched: Watched):
    watched.refuse = OSError(28, "No space left on device")
    watched.put("reads.csv", csv_of(1))
    assert watched.tried.wait(20)
    watched.tried.clear()
    assert watched.tried.wait(20), "it tries again"
    assert watched.names(".") == ["reads.csv"]
    watched.refuse = None
    until(lambda: watched.names("done"))
    assert watched.journal.newest_offset() == 1


def test_a_folder_that_goes_and_comes_again_is_watched_again_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told = structlog.testing.LogCapture()
    every = structlog.make_filtering_bound_logger(0)
    capturing = structlog.wrap_logger(None, processors=[told], wrapper_class=every)
    monkeypatch.setattr("headend.collect.files.inbox.log", capturing)
    watched = Watched(tmp_path)
    shutil.rmtree(watched.folder)
    watched.inbox.start()
    until(lambda: told.entries)
    watched.folder.mkdir()
    watched.put("reads.csv", csv_of(1))
    until(lambda: watched.names("done"))
    watched.inbox.stop()
    assert [line["event"] for line in told.entries] == ["inbox: trying again", "inbox: file imported"]


def test_a_file_that_cannot_be_moved_is_journalled_only_once(watched: Watched, monkeypatch: pytest.MonkeyPatch):
    refused = threading.Event()

    def refuse(path: Path, target: Path) -> Path:
        refused.set()
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("headend.collect.files.inbox.Path.rename", refuse)
        (watched.folder / "reads.csv").write_text(csv_of(1))
        for _ in range(2):
            assert refused.wait(20)
            refused.clear()
    until(lambda: watched.names("done"))
    assert watched.journal.newest_offset() == 1


DIES = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from headend.app import open_site
from headend.collect.files.inbox import Inbox

site = open_site(Path(sys.argv[1]))

def append(arrivals):
    site.journal.append(arrivals)
    os.kill(os.getpid(), 9)

inbox = Inbox(Path(sys.argv[2]), 0.01, lambda: {("E-1", "1-0:1.8.0")}, append, lambda: datetime.now(UTC))
inbox.start()
inbox._thread.join(30)
"""


def test_killed_between_journal_and_move_it_reads_the_file_again_and_nothing_counts_twice(tmp_path: Path):
    config = write_site(tmp_path, ("E-1", "1-0:1.8.0", 3600))
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "reads.csv").write_text(csv_of(1, 2, 3))
    assert subprocess.run([sys.executable, "-c", DIES, str(config), str(folder)], check=False).returncode == -9
    assert (folder / "reads.csv").exists()
    site = open_site(config)
    inbox = Inbox(folder, 0.01, lambda: KNOWN, site.journal.append, lambda: NOW)
    inbox.start()
    until(lambda: not (folder / "reads.csv").exists())
    inbox.stop()
    intake = Intake(site)
    while intake.step():
        pass
    with site.database.read() as tx:
        counts = totals(tx)
    assert (counts.stored, counts.duplicates, counts.replaced) == (3, 3, 0)
