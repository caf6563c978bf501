"""Many rows at once: what is written is what is read, and looking up keys reads nothing else."""

from __future__ import annotations

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import DataError

from headend.store.bulk import among, delete_rows, insert_rows, portions, rows_at, upsert_rows
from headend.store.database import Database
from headend.store.tables import day_block, finding, gateway, interval_history, unsent


def version(meter: int, start_s: int, number: int, value: int) -> tuple[object, ...]:
    return meter, 2**40, start_s, number, 1, value, 1, "x’y"


def test_portions_keep_the_order_and_none_is_empty() -> None:
    assert list(portions((9, 1, 5, 5, 2), 2)) == [[9, 1], [5, 5], [2]]
    assert list(portions(iter("abcd"), 2)) == [["a", "b"], ["c", "d"]]
    assert list(portions(())) == []


def test_rows_are_found_by_the_beginning_of_their_key(site_database: Database) -> None:
    rows = [version(meter, start, number, 5) for meter in (1, 2) for start in (0, 3600) for number in (1, 2)]
    with site_database.write() as tx:
        upsert_rows(tx, interval_history, rows)
        upsert_rows(tx, interval_history, [])
        found = rows_at(tx, interval_history, [(1, 2**40, 3600), (2, 2**40, 0), (9, 9, 9)])
        assert sorted(tuple(row) for row in found) == rows[2:4] + rows[4:6]
        assert found[0].superseded_by == "x’y"
        assert rows_at(tx, interval_history, []) == []


def test_texts_are_looked_up_as_one_parameter(site_database: Database) -> None:
    names = ["GW-1", "Straße 1, 'x'", 'a"b\\c', "50 %", "GW-2"]
    with site_database.write() as tx:
        tx.execute(gateway.insert(), [{"name": name, "messages": 0} for name in names])
        asked = [*names[:4], "GW-1", "no such", *(f"none-{n}" for n in range(70_000))]
        query = select(gateway.c.name).where(among(tx, gateway.c.name, asked))
        assert sorted(tx.execute(query).scalars()) == sorted(names[:4])
        assert tx.execute(select(gateway.c.name).where(among(tx, gateway.c.name, []))).all() == []


def test_a_row_that_is_there_takes_the_new_values(site_database: Database) -> None:
    with site_database.write() as tx:
        upsert_rows(tx, interval_history, [version(1, 0, 1, 5), version(1, 3600, 1, 6)])
        upsert_rows(tx, interval_history, [version(1, 0, 1, 7)])
        assert [row.value for row in rows_at(tx, interval_history, [(1, 2**40)])] == [7, 6]


def test_rows_that_are_deleted_are_gone(site_database: Database) -> None:
    rows = [(day, meter, 2**40, 5, 1, b"\x80\0") for day in (1, 2) for meter in range(3)]
    with site_database.write() as tx:
        insert_rows(tx, unsent, rows)
        delete_rows(tx, unsent, [])
        delete_rows(tx, unsent, ((1, meter, 2**40) for meter in (0, 2, 9)))
        assert sorted(tuple(row) for row in rows_at(tx, unsent, [(1,), (2,)])) == rows[1:2] + rows[3:]


def test_every_kind_of_value_comes_back(site_database: Database) -> None:
    quiet = (1, 2, 2**40 - 1, 3600, True, 0, 0, b"", b"", None, None, None)
    loud = (1, 3, 1, 3600, False, 24, 3, bytes(range(256)), b"'\\%s\0", b"\xff", b"", b"x")
    with site_database.write() as tx:
        upsert_rows(tx, day_block, [quiet, loud])
        assert sorted(tuple(row) for row in rows_at(tx, day_block, [(1,)])) == [quiet, loud]


def test_more_rows_than_fit_one_statement(site_database: Database) -> None:
    rows = [(1, meter, 7, 0, 1, b"") for meter in range(4_500)]
    with site_database.write() as tx:
        upsert_rows(tx, unsent, rows)
        assert sorted(tuple(row) for row in rows_at(tx, unsent, [key[:3] for key in rows])) == rows


@pytest.mark.parametrize("wrong", [(2**31, 0, "V4"), (1, 2**63, "V4"), (1, 0, "longer than eight")])
def test_a_value_that_does_not_fit_is_refused_and_not_cut(
    migrated_postgres_url: str, wrong: tuple[int, int, str]
) -> None:
    database = Database(migrated_postgres_url, "site")
    meter, start_s, rule = wrong
    with pytest.raises(DataError), database.write() as tx:
        upsert_rows(tx, finding, [(meter, 7, start_s, rule, "info", "", "1", 0, None)])
    database.close()


def test_looking_up_keys_scans_no_table(site_database: Database) -> None:
    asked: list[str] = []
    event.listen(site_database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    sqlite = site_database.engine.dialect.name == "sqlite"
    with site_database.read() as tx:
        rows_at(tx, day_block, [(day, meter, 7) for day in range(30) for meter in range(100)])
        queries = [text for text in asked if text.startswith("WITH")]
        explain = "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN"
        plans = [row[-1] for text in queries for row in tx.exec_driver_sql(f"{explain} {text}")]
    assert len(queries) == 2
    assert [plan.strip(" ->").partition("  (cost")[0] for plan in plans if "found" in plan] == 2 * [
        "SEARCH found USING PRIMARY KEY (day=? AND meter=? AND channel=?)"
        if sqlite
        else "Index Scan using pk_day_block on day_block found"
    ]
