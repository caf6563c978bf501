"""Many rows at once: what is written is what is read, and looking up keys reads nothing else."""

from __future__ import annotations

from sqlalchemy import event

from headend.store.bulk import rows_at, upsert_rows
from headend.store.database import Database
from headend.store.tables import day_block, interval_history


def version(meter: int, start_s: int, number: int, value: int) -> tuple[object, ...]:
    return meter, 2**40, start_s, number, 1, value, 1, "x’y"


def test_rows_are_found_by_the_beginning_of_their_key(site_database: Database) -> None:
    rows = [version(meter, start, number, 5) for meter in (1, 2) for start in (0, 3600) for number in (1, 2)]
    with site_database.write() as tx:
        upsert_rows(tx, interval_history, rows)
        upsert_rows(tx, interval_history, [])
        found = rows_at(tx, interval_history, [(1, 2**40, 3600), (2, 2**40, 0), (9, 9, 9)])
        assert sorted(tuple(row) for row in found) == rows[2:4] + rows[4:6]
        assert found[0].superseded_by == "x’y"
        assert rows_at(tx, interval_history, []) == []


def test_a_row_that_is_there_takes_the_new_values(site_database: Database) -> None:
    with site_database.write() as tx:
        upsert_rows(tx, interval_history, [version(1, 0, 1, 5), version(1, 3600, 1, 6)])
        upsert_rows(tx, interval_history, [version(1, 0, 1, 7)])
        assert [row.value for row in rows_at(tx, interval_history, [(1, 2**40)])] == [7, 6]


def test_looking_up_keys_scans_no_table(site_database: Database) -> None:
    asked: list[str] = []
    event.listen(site_database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    with site_database.read() as tx:
        rows_at(tx, day_block, [(day, meter, 7) for day in range(30) for meter in range(100)])
        queries = [text for text in asked if text.startswith("WITH")]
        plans = [row.detail for text in queries for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
    assert len(queries) == 2
    assert [plan for plan in plans if "found" in plan] == 2 * [
        "SEARCH found USING PRIMARY KEY (day=? AND meter=? AND channel=?)"
    ]
