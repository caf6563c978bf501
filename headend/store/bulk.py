"""Many whole rows at once: SQLAlchemy writes the statement, in the database's dialect, and the driver takes the rows.

What SQLAlchemy does for each row it is given costs more than what the database does; where thousands come they go past
it. Columns get no defaults, and values must be of types the driver knows. Keys are looked up by a join, because SQLite
reads a whole table for `(a, b) IN (…)`.

SQLite is in this process and takes row by row. To PostgreSQL rows go as columns: one statement with an array a column,
in binary, which is two to three times as fast as rows one after the other, and nearly as fast as COPY into a table
beside.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    String,
    Table,
    bindparam,
    delete,
    func,
    select,
)
from sqlalchemy.dialects import sqlite

_Key = TypeVar("_Key")

_KEYS_A_JOIN = 2_000
KEYS_A_QUERY = 500
# As arrays: PostgreSQL takes no value of more than a gigabyte.
_ROWS_A_STATEMENT = 2_000

#: With more channels than this, reading from the first meter to the last and leaving out the rest beats looking up
#: single keys …
SCAN_FROM = 64
# … as long as one meter in so many is wanted at least.
_SPARSE = 4

#: On a query: its rows come in binary where the driver can, for rows with bytes in them. Only plain columns come so.
BINARY = {"headend_binary": True}

#: Values of all of a table's columns, in its order.
Row = tuple[Any, ...]


def portions(keys: Iterable[_Key], at_once: int = KEYS_A_QUERY) -> Iterator[list[_Key]]:
    """Keys in the order they come in, as many at a time as a query should ask for by `IN`; none: no portion."""
    rest = iter(keys)
    while some := list(islice(rest, at_once)):
        yield some


def insert_rows(tx: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows."""
    _put(tx, table, rows, replace=False)


def upsert_rows(tx: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows of different keys; where the primary key is there already, the row takes the new values."""
    _put(tx, table, rows, replace=True)


def among(tx: Connection, column: ColumnElement[Any], keys: Iterable[str | int]) -> ColumnElement[bool]:
    """The condition that a column has one of these values: as one parameter, however many they are.

    As a parameter each, to look at them takes SQLAlchemy as long as the query takes the database.
    """
    if tx.dialect.name == "sqlite":
        values = func.json_each(json.dumps(list(keys), ensure_ascii=False)).table_valued("value")
        return column.in_(select(values.c.value))
    return column == func.any(bindparam(None, list(keys), type_=ARRAY(column.type)))


def meters_between(channels: Sequence[tuple[int, int]]) -> str | None:
    """The condition that all meters from the first to the last are wanted; None: single keys are quicker."""
    if len(channels) < SCAN_FROM:
        return None
    meters = [int(meter) for meter, _ in channels]
    if max(meters) - min(meters) >= _SPARSE * len(channels):
        return None
    return f"meter BETWEEN {min(meters)} AND {max(meters)}"


def rows_at(tx: Connection, table: Table, keys: Iterable[tuple[int, ...]]) -> list[Any]:
    """The rows whose primary key is, or begins with, one of these different tuples of integers; in any order."""
    rows: list[Any] = []
    for some in portions(keys, _KEYS_A_JOIN):
        rows += tx.exec_driver_sql(_look_up(tx.dialect, table, some), execution_options=BINARY).all()
    return rows


def delete_rows(tx: Connection, table: Table, keys: Iterable[tuple[int, ...]]) -> None:
    """Delete the rows of these primary keys."""
    gone = list(keys)
    if tx.dialect.name == "sqlite":
        _row_by_row(tx, _deletion(tx.dialect, table), gone)
    else:
        _in_columns(tx, _deletion_in_columns(tx.dialect, table), gone)


def _put(tx: Connection, table: Table, rows: Sequence[Row], *, replace: bool) -> None:
    if tx.dialect.name == "sqlite":
        _row_by_row(tx, _insertion(tx.dialect, table, replace=replace), rows)
    else:
        _in_columns(tx, _insertion_in_columns(tx.dialect, table, replace=replace), rows)


def _look_up(dialect: Dialect, table: Table, keys: Sequence[tuple[int, ...]]) -> str:
    names = [column.name for column in table.primary_key.columns][: len(keys[0])]
    # Integers and nothing else get in; as parameters they would cost twice the time.
    values = ",".join(["(" + ",".join([str(int(part)) for part in key]) + ")" for key in keys])
    wanted = f"WITH wanted ({', '.join(names)}) AS (VALUES {values})"
    columns = ", ".join(f"found.{column.name}" for column in table.columns)
    on = " AND ".join(f"found.{name} = wanted.{name}" for name in names)
    # Each key is to be looked up by itself, whatever the database believes of the size of the table. CROSS JOIN tells
    # SQLite which side comes first; OFFSET keeps PostgreSQL from joining all with all.
    if dialect.name == "sqlite":
        return f"{wanted} SELECT {columns} FROM wanted CROSS JOIN {table.name} AS found WHERE {on}"
    one = f"SELECT {columns} FROM {table.name} AS found WHERE {on} OFFSET 0"
    return f"{wanted} SELECT {columns} FROM wanted CROSS JOIN LATERAL ({one}) AS found"


def _row_by_row(tx: Connection, statement: str, rows: Sequence[Row]) -> None:
    if rows:
        tx.exec_driver_sql(statement, list(rows))


@lru_cache
def _insertion(dialect: Dialect, table: Table, *, replace: bool) -> str:
    insert = sqlite.insert(table)
    if replace:
        key = table.primary_key.columns
        rest = {column.name: insert.excluded[column.name] for column in table.columns if column not in key.values()}
        insert = insert.on_conflict_do_update(index_elements=list(key), set_=rest)
    return str(insert.compile(dialect=dialect, column_keys=[column.name for column in table.columns]))


@lru_cache
def _deletion(dialect: Dialect, table: Table) -> str:
    """The same for the deletion of a row by its key."""
    key = list(table.primary_key.columns)
    return str(delete(table).where(*(column == bindparam(column.name) for column in key)).compile(dialect=dialect))


def _in_columns(tx: Connection, statement: str, rows: Sequence[Row]) -> None:
    for some in portions(rows, _ROWS_A_STATEMENT):
        columns = zip(*some, strict=True)
        tx.exec_driver_sql(statement, tuple(map(list, columns)))


@lru_cache
def _insertion_in_columns(dialect: Dialect, table: Table, *, replace: bool) -> str:
    name = dialect.identifier_preparer.quote
    columns = ", ".join(name(column.name) for column in table.columns)
    statement = f"INSERT INTO {name(table.name)} ({columns}) SELECT * FROM {_rows_of(dialect, table.columns)}"
    if replace:
        key = ", ".join(name(column.name) for column in table.primary_key.columns)
        rest = [name(column.name) for column in table.columns if not column.primary_key]
        statement += f" ON CONFLICT ({key}) DO UPDATE SET " + ", ".join(f"{one} = excluded.{one}" for one in rest)
    return statement


@lru_cache
def _deletion_in_columns(dialect: Dialect, table: Table) -> str:
    name, key = dialect.identifier_preparer.quote, list(table.primary_key.columns)
    gone = f"{_rows_of(dialect, key)} AS gone ({', '.join(name(column.name) for column in key)})"
    on = " AND ".join(f"found.{name(column.name)} = gone.{name(column.name)}" for column in key)
    return f"DELETE FROM {name(table.name)} AS found USING {gone} WHERE {on}"


def _rows_of(dialect: Dialect, columns: Iterable[Column[Any]]) -> str:
    """PostgreSQL: a table made of a parameter a column; `%b` asks the driver for its binary form."""
    # A cast to VARCHAR(n) would cut a text that is too long; without it the column refuses it.
    types = ["TEXT" if isinstance(column.type, String) else column.type.compile(dialect) for column in columns]
    return f"unnest({', '.join(f'%b::{type_}[]' for type_ in types)})"
