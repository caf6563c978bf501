"""The journal writer where the journal does not take what comes: nobody waits for ever, and nothing is told."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import event

from headend.app import utc_now
from headend.collect import writer as module
from headend.collect.writer import JournalWriter
from headend.config import load_settings
from headend.errors import HeadendError
from headend.store.database import Database
from headend.store.journal import Journal


def made(folder: Path, *, full: bool = False) -> tuple[JournalWriter, Journal]:
    database = Database(f"sqlite:///{folder / 'journal.db'}", "journal")
    journal = Journal(database)
    if full:
        event.listen(database.engine, "begin", lambda tx: tx.exec_driver_sql("PRAGMA query_only = ON"))
    return JournalWriter(journal, load_settings().collect, utc_now), journal


def test_our_own_messages_are_durable_when_written(tmp_path: Path) -> None:
    writer, journal = made(tmp_path)
    writer.start()
    writer.write("modbus/poller", b"{}")
    assert [(entry.topic, entry.gateway) for entry in journal.after(0, 9)] == [("modbus/poller", "")]
    writer.stop()


def test_our_own_messages_are_given_back_where_the_journal_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_OWN_PATIENCE_S", 0.2)
    writer, _ = made(tmp_path, full=True)
    writer.start()
    with pytest.raises(HeadendError, match="the journal takes nothing"):
        writer.write("modbus/poller", b"{}")
    writer.stop()
    with pytest.raises(HeadendError, match="the journal takes nothing"):
        writer.write("modbus/poller", b"{}")


def test_a_source_that_fails_to_be_told_holds_up_nobody(tmp_path: Path) -> None:
    writer, journal = made(tmp_path)

    def fails(_window: object) -> None:
        raise RuntimeError("its connection is gone")

    told = threading.Event()
    writer.start()
    assert writer.put("headend/v1/GW/reads", "GW", b"{}", fails, numbered=False)
    while not journal.last_offset:
        pass
    assert writer.put("headend/v1/GW/reads", "GW", b"{}", lambda _: told.set(), numbered=False)
    assert told.wait(10)
    writer.stop()
