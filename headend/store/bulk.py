"""Many whole rows at once: SQLAlchemy writes the statement, in the database's dialect, and the driver takes the rows.

What SQLAlchemy does for each row it is given costs more than what the database does; where thousands come they go past
it. Columns get no defaults, and values must be of types the driver knows. Keys are looked up by a join, because SQLite
reads a whole table for `(a, b) IN (…)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Dialect, Table, bindparam, delete
from sqlalchemy.dialects import postgresql, sqlite

_KEYS_A_QUERY = 2_000

#: Values of all of a table's columns, in its order.
Row = tuple[Any, ...]


def insert_rows(tx: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows."""
    _execute(tx, _statement(tx.dialect, table, replace=False), rows)


def upsert_rows(tx: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows; where the primary key is there already, the row takes the new values."""
    _execute(tx, _statement(tx.dialect, table, replace=True), rows)


def rows_at(tx: Connection, table: Table, keys: Iterable[tuple[int, ...]]) -> list[Any]:
    """The rows whose primary key is, or begins with, one of these different tuples of integers; in any order."""
    rows: list[Any] = []
    rest = iter(keys)
    while some := list(islice(rest, _KEYS_A_QUERY)):
        rows += tx.exec_driver_sql(_look_up(table, some)).all()
    return rows


def delete_rows(tx: Connection, table: Table, keys: Iterable[tuple[int, ...]]) -> None:
    """Delete the rows of these primary keys."""
    _execute(tx, _deletion(tx.dialect, table), list(keys))


def _look_up(table: Table, keys: Sequence[tuple[int, ...]]) -> str:
    names = [column.name for column in table.primary_key.columns][: len(keys[0])]
    # Integers and nothing else get in; as parameters they would cost twice the time.
    wanted = ",".join(["(" + ",".join([str(int(part)) for part in key]) + ")" for key in keys])
    columns = ", ".join(f"found.{column.name}" for column in table.columns)
    on = " AND ".join(f"found.{name} = wanted.{name}" for name in names)
    # To SQLite, CROSS JOIN says which side comes first.
    found = f"SELECT {columns} FROM wanted CROSS JOIN {table.name} AS found WHERE {on}"
    return f"WITH wanted ({', '.join(names)}) AS (VALUES {wanted}) {found}"


def _execute(tx: Connection, statement: tuple[str, tuple[str, ...] | None], rows: Sequence[Row]) -> None:
    text, names = statement
    if rows:
        tx.exec_driver_sql(text, list(rows) if names is None else [dict(zip(names, row, strict=True)) for row in rows])


@lru_cache
def _statement(dialect: Dialect, table: Table, *, replace: bool) -> tuple[str, tuple[str, ...] | None]:
    """Its text, and the names of its parameters for a driver that wants them by name."""
    insert = (sqlite if dialect.name == "sqlite" else postgresql).insert(table)
    if replace:
        key = table.primary_key.columns
        rest = {column.name: insert.excluded[column.name] for column in table.columns if column not in key.values()}
        insert = insert.on_conflict_do_update(index_elements=list(key), set_=rest)
    names = tuple(column.name for column in table.columns)
    compiled = insert.compile(dialect=dialect, column_keys=names)
    return str(compiled), None if compiled.positional else names


@lru_cache
def _deletion(dialect: Dialect, table: Table) -> tuple[str, tuple[str, ...] | None]:
    """The same for the deletion of a row by its key."""
    key = list(table.primary_key.columns)
    compiled = delete(table).where(*(column == bindparam(column.name) for column in key)).compile(dialect=dialect)
    return str(compiled), None if compiled.positional else tuple(column.name for column in key)
