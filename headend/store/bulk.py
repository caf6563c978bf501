"""Many whole rows at once: SQLAlchemy writes the statement, in the database's dialect, and the driver takes the rows.

What SQLAlchemy does for each row it is given costs more than what the database does; where thousands come they go past
it. Columns get no defaults, and values must be of types the driver knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite

#: Values of all of a table's columns, in its order.
Row = tuple[Any, ...]


def insert_rows(tx: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows."""
    _execute(tx, _statement(tx.dialect, table, replace=False), rows)


def upsert_rows(tx: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows; where the primary key is there already, the row takes the new values."""
    _execute(tx, _statement(tx.dialect, table, replace=True), rows)


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
