"""The database as it is opened: the schema it has, and what happens when several write."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, func, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from headend.store import tables
from headend.store.database import Database, Schema, upsert


@pytest.mark.parametrize(("schema", "metadata"), [("site", tables.site), ("journal", tables.journal)])
def test_migrations_make_the_tables_on_the_page(tmp_path: Path, schema: Schema, metadata: MetaData) -> None:
    database = Database(f"sqlite:///{tmp_path / 'deep' / 'er' / 'x.db'}", schema)
    with database.read() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        there = set(inspect(tx).get_table_names()) - {"alembic_version"}
    assert there == set(metadata.tables)
    database.upgrade()
    database.close()


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


def test_processes_that_open_and_write_at_once_wait_for_each_other(tmp_path: Path) -> None:
    # They all find no file: so the first migration, too, is made by one of them alone.
    url = f"sqlite:///{tmp_path / 'site.db'}"
    writers = [
        subprocess.Popen([sys.executable, "-c", ADD_FIFTY, url], stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    complaints = [writer.communicate(timeout=60)[1] for writer in writers]
    assert complaints == ["", "", ""]
    database = Database(url, "site")
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
