"""The database as it is opened: the schema it has, and what happens when several write."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine, func, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError, InternalError

from headend.errors import InvalidConfig, StoreAway
from headend.store import tables
from headend.store.database import Database, Schema, upsert
from tests.servers import Postgres, free_port


@pytest.mark.parametrize(("schema", "metadata"), [("site", tables.site), ("journal", tables.journal)])
def test_migrations_make_the_tables_on_the_page(database_url: str, schema: Schema, metadata: MetaData) -> None:
    database = Database(database_url, schema)
    with database.read() as tx:
        version = "alembic_version" if database_url.startswith("sqlite") else f"alembic_version_{schema}"
        context = MigrationContext.configure(tx, opts={"compare_type": True, "version_table": version})
        assert compare_metadata(context, metadata) == []
        there = set(inspect(tx).get_table_names()) - {version}
    assert there == set(metadata.tables)
    database.upgrade()
    database.close()


def test_a_file_is_made_with_its_folder(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path / 'deep' / 'er' / 'x.db'}", "journal").close()
    assert (tmp_path / "deep" / "er" / "x.db").is_file()


def test_one_postgresql_database_has_room_for_both(postgres_url: str) -> None:
    plain = postgres_url.replace("postgresql+psycopg:", "postgresql:")
    site, journal = Database(postgres_url, "site"), Database(plain, "journal")
    with site.read() as tx:
        versions = {"alembic_version_site", "alembic_version_journal"}
        assert set(inspect(tx).get_table_names()) == {*tables.site.tables, *tables.journal.tables} | versions
    # Nor does a writer of one wait for a writer of the other.
    with site.write() as one, journal.write() as other:
        one.execute(insert(tables.gateway).values(name="GW", messages=0))
        other.execute(insert(tables.gateway_sequence).values(gateway="GW", window="{}"))
    for database in (site, journal):
        database.upgrade()
        database.close()


def test_a_commit_is_on_disk_whatever_the_server_is_used_to(postgres_url: str, postgres: Postgres) -> None:
    database = Database(postgres_url, "site")
    with database.write() as tx:
        assert tx.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
    database.close()


def test_a_reader_writes_nothing(postgres_url: str) -> None:
    database = Database(postgres_url, "site")
    with pytest.raises(InternalError, match="read-only transaction"), database.read() as tx:
        tx.execute(insert(tables.gateway).values(name="GW", messages=0))
    with database.write() as tx:
        tx.execute(insert(tables.gateway).values(name="GW", messages=0))
    database.close()


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("oracle://db/x", "'oracle://db/x'"),
        ("postgresql+psycopg2://me:secret@db/x", "'postgresql+psycopg2://me:***@db/x'"),
        ("site.db", "'site.db'"),
        ("postgresql:/me:secret@db/x", "'postgresql:***@db/x'"),
        ("postgresql://me:se@cret@db:port/x", "'postgresql:***@db:port/x'"),
    ],
)
def test_a_url_of_another_kind_is_refused(url: str, found: str) -> None:
    expected = "expected sqlite:///file.db or postgresql://user:password@host/database"
    with pytest.raises(InvalidConfig) as refused:
        Database(url, "site")
    assert str(refused.value) == f"database URL: found {found}, {expected}"


def test_a_server_that_is_not_there_is_one_line_without_the_password() -> None:
    with pytest.raises(StoreAway) as away:
        Database(f"postgresql://me:secret@127.0.0.1:{free_port()}/x", "site")
    said = str(away.value)
    assert said.startswith("site database postgresql+psycopg://me:***@127.0.0.1:")
    assert "Connection refused" in said
    assert "secret" not in said
    assert "\n" not in said


def test_a_database_that_cannot_hold_every_text_is_refused(postgres: Postgres) -> None:
    url = postgres.url("postgres")
    other = create_engine(url, isolation_level="AUTOCOMMIT")
    with other.connect() as connection:
        connection.execute(text("CREATE DATABASE narrow ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"))
        with pytest.raises(InvalidConfig, match="found encoding LATIN1, expected UTF8"):
            Database(postgres.url("narrow"), "site")
        connection.execute(text("DROP DATABASE narrow WITH (FORCE)"))
    other.dispose()


def test_a_writer_that_is_killed_holds_up_nobody(database_url: str) -> None:
    database = Database(database_url, "site")
    writer = subprocess.Popen([sys.executable, "-c", WRITE_AND_WAIT, database_url], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "written\n"
    writer.kill()
    writer.communicate()
    with database.write() as tx:
        assert tx.execute(select(func.count()).select_from(tables.gateway)).scalar_one() == 0
    database.close()


WRITE_AND_WAIT = """
import sys, time
from sqlalchemy import insert
from headend.store import tables as t
from headend.store.database import Database
with Database(sys.argv[1], "site").write() as tx:
    tx.execute(insert(t.gateway).values(name="GW", messages=0))
    print("written", flush=True)
    time.sleep(60)
"""


def test_a_failed_write_leaves_nothing(site_database: Database) -> None:
    def fail() -> None:
        with site_database.write() as tx:
            tx.execute(insert(tables.gateway).values(name="GW", messages=0))
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        fail()
    with site_database.read() as tx:
        assert tx.execute(select(func.count()).select_from(tables.gateway)).scalar_one() == 0


def test_a_reader_sees_one_moment_and_holds_up_no_writer(site_database: Database) -> None:
    count = select(func.count()).select_from(tables.gateway)
    with site_database.read() as before:
        assert before.execute(count).scalar_one() == 0
        with site_database.write() as tx:
            tx.execute(insert(tables.gateway).values(name="GW", messages=0))
        assert before.execute(count).scalar_one() == 0
        with site_database.read() as after:
            assert after.execute(count).scalar_one() == 1


def test_foreign_keys_are_held(site_database: Database) -> None:
    with pytest.raises(IntegrityError), site_database.write() as tx:
        tx.execute(
            insert(tables.installation).values(meter_id=99, installed_s=0, usage_point_id="nowhere", removed_s=None)
        )


def test_upsert_adds_and_changes(site_database: Database) -> None:
    with site_database.write() as tx:
        upsert(tx, tables.usage_point, [])
        upsert(tx, tables.usage_point, [{"id": "A", "timezone": "UTC", "address": "x"}])
        upsert(
            tx,
            tables.usage_point,
            [{"id": "A", "timezone": "UTC", "address": "y"}, {"id": "B", "timezone": "UTC", "address": "z"}],
        )
        u = tables.usage_point.c
        rows = tx.execute(select(u.id, u.timezone, u.address).order_by(u.id)).all()
    assert [tuple(row) for row in rows] == [("A", "UTC", "y"), ("B", "UTC", "z")]


def test_an_issued_statement_does_not_change(site_database: Database) -> None:
    with site_database.write() as tx:
        tx.execute(insert(tables.account).values(id="A", name="A", customer_class="residential", locale="de_DE"))
        tx.execute(
            insert(tables.bill_cycle).values(
                id="C",
                name="main",
                period="2026-01",
                state="rated",
                opened_us=0,
                changed_us=0,
                changed_by="x",
                totals="",
            )
        )
        tx.execute(
            insert(tables.statement).values(
                id="S",
                cycle_id="C",
                account_id="A",
                revision=1,
                state="issued",
                period="2026-01",
                currency="EUR",
                total="1.00",
                document=b"{}",
                sha256="0",
                previous_sha256=None,
                issued_us=1,
            )
        )
    for change in ("UPDATE statement SET total = '0.00'", "DELETE FROM statement"):
        with pytest.raises(IntegrityError, match="an issued statement does not change"), site_database.write() as tx:
            tx.execute(text(change))


ADD_FIFTY = """
import sys
from sqlalchemy import select, update
from headend.store import tables as t
from headend.store.database import Database, upsert
database = Database(sys.argv[1], "site")
for _ in range(50):
    with database.write() as tx:
        seen = tx.execute(select(t.gateway.c.messages).where(t.gateway.c.name == "GW")).scalar() or 0
        upsert(tx, t.gateway, [{"name": "GW", "messages": seen + 1}])
database.close()
"""


def test_processes_that_open_and_write_at_once_wait_for_each_other(database_url: str) -> None:
    # They all find nothing there: so the first migration, too, is made by one of them alone.
    writers = [
        subprocess.Popen([sys.executable, "-c", ADD_FIFTY, database_url], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    complaints = [writer.communicate(timeout=60)[1] for writer in writers]
    assert complaints == ["", "", ""]
    database = Database(database_url, "site")
    with database.read() as tx:
        assert tx.execute(select(tables.gateway.c.messages)).scalar_one() == 150
    database.close()


def test_threads_that_write_at_once_wait_for_each_other(site_database: Database) -> None:
    errors: list[BaseException] = []

    def add(name: str) -> None:
        try:
            for _ in range(25):
                with site_database.write() as tx:
                    seen = tx.execute(select(func.sum(tables.gateway.c.messages))).scalar() or 0
                    upsert(tx, tables.gateway, [{"name": name, "messages": 0}])
                    upsert(tx, tables.gateway, [{"name": "sum", "messages": seen + 1}])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=add, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with site_database.read() as tx:
        assert tx.execute(select(tables.gateway.c.messages).where(tables.gateway.c.name == "sum")).scalar_one() == 100


def test_long_log_is_emptied_as_soon_as_nobody_reads_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headend.store.database._TRIM_PATIENCE_S", 0)
    file = tmp_path / "site.db"
    log = tmp_path / "site.db-wal"
    database, reader = Database(f"sqlite:///{file}", "site"), Database(f"sqlite:///{file}", "site")
    long = log.stat().st_size
    assert long > 0
    database.trim_log()  # it is not long yet
    assert log.stat().st_size == long

    monkeypatch.setattr("headend.store.database.LOG_BYTES", long)
    there = select(func.count()).select_from(tables.price_series)
    with reader.read() as view:
        assert view.execute(there).scalar_one() == 0
        with database.write() as tx:
            tx.execute(insert(tables.price_series), {"name": "day-ahead", "currency": "EUR", "unit": "kWh"})
        database.trim_log()
        assert log.stat().st_size >= long
        assert view.execute(there).scalar_one() == 0
    database.trim_log()
    assert log.stat().st_size == 0
    with reader.read() as view, database.read() as tx:
        assert view.execute(there).scalar_one() == 1
        assert tx.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 60_000
    Database("sqlite://", "site").trim_log()  # has no log
