"""The journal: everything or nothing, in order, and whatever is altered afterwards is found."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from headend.errors import StoreBroken
from headend.store.database import Database
from headend.store.journal import Arrival, Journal
from headend.store.sequence import Note, SequenceWindow
from headend.store.tables import entry
from tests.servers import Postgres

from .deaf import Deaf


def arrival(n: int) -> Arrival:
    payload = f"message {n}".encode()
    return Arrival(1_000_000 * n, f"headend/v1/GW-{n % 3}/reads", f"GW-{n % 3}", payload, len(payload))


def window(*seqs: int) -> SequenceWindow:
    made = SequenceWindow()
    for seq in seqs:
        made.note(seq)
    return made


@pytest.fixture
def journal(journal_database: Database) -> Journal:
    made = Journal(journal_database)
    made.append([arrival(n) for n in range(1, 6)])
    return made


def alter(database: Database, *statements: str) -> None:
    """With another program, behind the head-end's back."""
    other = create_engine(database.engine.url)
    with other.begin() as tx:
        for statement in statements:
            tx.execute(text(statement))
    other.dispose()


def test_an_empty_journal(journal_database: Database) -> None:
    journal = Journal(journal_database)
    assert (journal.last_offset, journal.newest_offset(), journal.verify()) == (0, 0, 0)
    assert journal.after(0, 10) == []
    assert journal.windows() == {}
    journal.append([])
    assert journal.verify() == 0


def test_what_is_appended_comes_back_in_order(journal: Journal) -> None:
    entries = journal.after(0, 100)
    assert [e.offset for e in entries] == [1, 2, 3, 4, 5]
    assert [Arrival(e.received_us, e.topic, e.gateway, e.payload, e.size) for e in entries] == [
        arrival(n) for n in range(1, 6)
    ]
    assert [e.offset for e in journal.after(2, 2)] == [3, 4]
    assert journal.after(5, 10) == []
    assert [e.offset for e in journal.at([5, 2, 99])] == [2, 5]
    assert journal.verify() == 5


def test_large_entries_are_read_a_few_at_a_time(journal_database: Database) -> None:
    journal = Journal(journal_database)
    journal.append([Arrival(1, "t", "GW", bytes(15 * 2**20), 15 * 2**20)] * 4)
    assert [e.offset for e in journal.after(0, 100)] == [1, 2, 3]
    assert [e.offset for e in journal.after(3, 100)] == [4]


def test_another_journal_continues_the_chain(journal: Journal, journal_database: Database) -> None:
    other = Journal(journal_database)
    assert other.last_offset == 5
    other.append([arrival(6)])
    assert other.verify() == 6
    assert journal.newest_offset() == 6


def test_windows_are_committed_with_the_messages(journal: Journal, journal_database: Database) -> None:
    changed = journal.append([arrival(6)], [Note("GW-0", 1), Note("GW-0", 2), Note("GW-1", 1), Note("GW-0", 6)])
    assert changed == {"GW-0": window(1, 2, 6), "GW-1": window(1)}
    assert journal.append([arrival(7)], [Note("GW-1", 2)]) == {"GW-1": window(1, 2)}
    assert Journal(journal_database).windows() == {"GW-0": window(1, 2, 6), "GW-1": window(1, 2)}


def test_windows_follow_what_another_process_appended(journal: Journal, journal_database: Database) -> None:
    other = Journal(journal_database)
    journal.append([arrival(6)], [Note("GW-0", 1), Note("GW-1", 1)])
    other.append([arrival(7)], [Note("GW-0", 2)])
    journal.append([arrival(8)], [Note("GW-0", 4)])
    other.append([arrival(9)], [Note("GW-0", 3), Note("GW-0", 4)])
    assert journal.append([arrival(10)], [Note("GW-0", 5)]) == {"GW-0": window(1, 2, 3, 4, 5)}
    assert journal.windows() == {"GW-0": window(1, 2, 3, 4, 5), "GW-1": window(1)}


@pytest.mark.parametrize(
    "change",
    [
        'UPDATE entry SET payload = chain WHERE "offset" = 3',
        'UPDATE entry SET received_us = received_us + 1 WHERE "offset" = 3',
        "UPDATE entry SET topic = 'headend/v1/GW-9/reads' WHERE \"offset\" = 3",
        "UPDATE entry SET gateway = 'GW-9' WHERE \"offset\" = 3",
        'UPDATE entry SET size = size + 1 WHERE "offset" = 3',
        'UPDATE entry SET chain = payload WHERE "offset" = 3',
    ],
)
def test_an_altered_entry_is_found(journal: Journal, journal_database: Database, change: str) -> None:
    alter(journal_database, change)
    with pytest.raises(StoreBroken, match=r"^journal: entry 3 is not what was written$"):
        journal.verify()


def test_bytes_that_move_from_topic_to_payload_are_found(journal_database: Database) -> None:
    journal = Journal(journal_database)
    journal.append([Arrival(1, "headend/v1/GW/reads", "GW", b"x|y", 3)])
    for separator in ("|", '"', ", "):
        with journal_database.write() as tx:
            tx.execute(entry.update().values(topic=f"headend/v1/GW/reads{separator}x", payload=b"y"))
        with pytest.raises(StoreBroken):
            journal.verify()


@pytest.mark.parametrize("lost", [1, 3])
def test_a_deleted_entry_is_found(journal: Journal, journal_database: Database, lost: int) -> None:
    alter(journal_database, f'DELETE FROM entry WHERE "offset" = {lost}')
    with pytest.raises(StoreBroken, match=rf"^journal: entry {lost} is missing, found {lost + 1} instead$"):
        journal.verify()


def test_a_deleted_entry_is_found_when_the_others_move_up(journal: Journal, journal_database: Database) -> None:
    alter(
        journal_database,
        'DELETE FROM entry WHERE "offset" = 3',
        'UPDATE entry SET "offset" = 3 WHERE "offset" = 4',
        'UPDATE entry SET "offset" = 4 WHERE "offset" = 5',
    )
    with pytest.raises(StoreBroken, match=r"^journal: entry 3 is not what was written$"):
        journal.verify()


def test_swapped_entries_are_found(journal: Journal, journal_database: Database) -> None:
    alter(
        journal_database,
        'UPDATE entry SET "offset" = 99 WHERE "offset" = 2',
        'UPDATE entry SET "offset" = 2 WHERE "offset" = 4',
        'UPDATE entry SET "offset" = 4 WHERE "offset" = 99',
    )
    with pytest.raises(StoreBroken, match=r"^journal: entry 2 is not what was written$"):
        journal.verify()


FULL = {
    "sqlite": ["CREATE TRIGGER no_room BEFORE INSERT ON gateway_sequence BEGIN SELECT RAISE(ABORT, 'disk full'); END"],
    "postgresql": [
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'disk full'; END $$",
        "CREATE TRIGGER no_room BEFORE INSERT ON gateway_sequence FOR EACH ROW EXECUTE FUNCTION no_room()",
    ],
}
NO_LONGER_FULL = {
    "sqlite": ["DROP TRIGGER no_room"],
    "postgresql": ["DROP TRIGGER no_room ON gateway_sequence"],
}


def test_an_append_that_fails_half_way_leaves_nothing(journal: Journal, journal_database: Database) -> None:
    # The messages are in, the windows are not: as when the disk is full just then.
    alter(journal_database, *FULL[journal_database.engine.dialect.name])
    with pytest.raises(SQLAlchemyError, match="disk full"):
        journal.append([arrival(6), arrival(7)], [Note("GW-0", 6)])
    assert (journal.last_offset, journal.newest_offset(), journal.windows()) == (5, 5, {})
    alter(journal_database, *NO_LONGER_FULL[journal_database.engine.dialect.name])
    journal.append([arrival(6), arrival(7)], [Note("GW-0", 6)])
    assert journal.verify() == 7


def test_a_read_only_database_takes_nothing(journal: Journal, journal_database: Database) -> None:
    @event.listens_for(journal_database.engine, "begin")
    def _read_only(connection: Connection) -> None:
        sqlite = connection.dialect.name == "sqlite"
        connection.exec_driver_sql("PRAGMA query_only = ON" if sqlite else "SET TRANSACTION READ ONLY")

    with pytest.raises(SQLAlchemyError, match=r"readonly|read-only"):
        journal.append([arrival(6)])
    assert (journal.last_offset, journal.newest_offset()) == (5, 5)


def test_two_that_append_do_not_write_over_each_other(journal: Journal, journal_database: Database) -> None:
    other = Journal(journal_database)
    journal.append([arrival(6)])
    other.append([arrival(7)])
    journal.append([arrival(8)])
    assert (journal.verify(), other.last_offset, journal.last_offset) == (8, 7, 8)


APPEND_FORTY = """
import sys
from headend.store.database import Database
from headend.store.journal import Arrival, Journal
from headend.store.sequence import Note
url, name, place = sys.argv[1:]
journal = Journal(Database(url, "journal"))
for seq in range(1, 41):
    arrivals = [Arrival(seq, "headend/v1/GW/reads", "GW", f"{name} {seq} {part}".encode(), 9) for part in "ab"]
    journal.append(arrivals, [Note(name, seq), Note("all", 3 * seq + int(place))])
"""


def test_processes_that_append_at_once_make_one_chain(database_url: str) -> None:
    database = Database(database_url, "journal")
    journal = Journal(database)
    journal.append([], [Note("all", 2)])  # a window begins with the first number it is told
    names = ["one", "two", "three"]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND_FORTY, database_url, name, str(place)], stderr=subprocess.PIPE, text=True
        )
        for place, name in enumerate(names)
    ]
    assert [writer.communicate(timeout=60)[1] for writer in writers] == ["", "", ""]
    assert journal.verify() == 3 * 40 * 2
    payloads = [found.payload.decode().split() for found in journal.after(0, 1_000)]
    assert all(first[:2] == second[:2] for first, second in zip(payloads[::2], payloads[1::2], strict=True))
    for name in names:
        told = [(int(seq), part) for who, seq, part in payloads if who == name]
        assert told == [(seq, part) for seq in range(1, 41) for part in "ab"]
    assert journal.windows() == {
        **{name: window(*range(1, 41)) for name in names},
        "all": window(*range(2, 123)),
    }
    database.close()


def test_text_that_no_database_keeps_is_kept_without_it(journal_database: Database) -> None:
    # No gateway is called so. But who may publish at all may publish this, and it must hold up nobody.
    journal = Journal(journal_database)
    journal.append([Arrival(1, "headend/v1/G\0W/reads\0", "G\ud800", b"\0x", 2), arrival(2)])
    first, second = journal.after(0, 10)
    assert (first.topic, first.gateway, first.payload) == ("headend/v1/G�W/reads", "G?", b"\0x")
    assert second.topic == "headend/v1/GW-2/reads"
    assert journal.verify() == 2


def test_an_append_whose_answer_is_lost_is_not_there_twice(postgres_url: str) -> None:
    with Deaf(make_url(postgres_url).port) as between:
        database = Database(postgres_url.replace(str(make_url(postgres_url).port), str(between.port)), "journal")
        journal = Journal(database)
        journal.append([arrival(1)], [Note("GW-1", 1)])
        messages = [arrival(2), arrival(3)], [Note("GW-1", 2)]
        between.loses_answers_to_commits = True
        with pytest.raises(OperationalError):
            journal.append(*messages)
        between.loses_answers_to_commits = False
        # It was committed, and nobody was told.
        assert [found.offset for found in journal.after(0, 10)] == [1, 2, 3]
        assert journal.append(*messages) == {"GW-1": window(1, 2)}
        assert (journal.verify(), journal.last_offset) == (3, 3)
        # The same messages once more are new ones.
        journal.append(messages[0])
        assert (journal.verify(), journal.last_offset) == (5, 5)
        database.close()


def test_a_journal_outlives_its_server() -> None:
    server = Postgres(durable=True)
    try:
        database = Database(server.url(server.fresh_database()), "journal")
        journal = Journal(database)
        journal.append([arrival(1)], [Note("GW-1", 1)])
        server.kill()
        with pytest.raises(OperationalError):
            journal.append([arrival(2)], [Note("GW-1", 2)])
        server.start()
        assert journal.append([arrival(2)], [Note("GW-1", 2)]) == {"GW-1": window(1, 2)}
        assert (journal.verify(), journal.last_offset) == (2, 2)
        database.close()
    finally:
        server.stop()


def test_a_thousand_entries_survive_being_closed(database_url: str) -> None:
    database = Database(database_url, "journal")
    Journal(database).append([arrival(n) for n in range(1_000)])
    database.close()
    again = Database(database_url, "journal")
    assert Journal(again).verify() == 1_000
    again.close()
