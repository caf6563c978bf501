"""A database, opened the way we need it: every commit durable, one writer at a time, readers never in the way."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError

from headend.errors import InvalidConfig

Schema = Literal["journal", "site"]

_MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """One SQL database with the newest schema.

    Parameters
    ----------
    url
        SQLAlchemy URL; `sqlite:///file.db` makes the file and its folder.
    schema
        which of the two sets of tables lives there.
    """

    def __init__(self, url: str, schema: Schema) -> None:
        self.url, self.schema = url, schema
        self.engine = _open(url)
        # Who lets go of a database need not remember to close it.
        weakref.finalize(self, self.engine.dispose)
        self.upgrade()

    def upgrade(self) -> None:
        """Bring the schema to the newest migration; nothing happens where it is there already."""
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        config.set_main_option("version_locations", str(_MIGRATIONS / self.schema))
        config.set_main_option("path_separator", "os")
        newest = ScriptDirectory.from_config(config).get_current_head()
        with self.read() as tx:
            if MigrationContext.configure(tx).get_current_revision() == newest:
                return  # the usual case waits for nobody who is writing
        with self.write() as tx:
            config.attributes["connection"] = tx
            command.upgrade(config, "head")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed at the end, rolled back on an exception."""
        with self.engine.begin() as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view that holds up no writer."""
        with self.engine.connect() as connection:
            yield connection.execution_options(headend_read=True)

    def close(self) -> None:
        """Give back all connections."""
        self.engine.dispose()


def upsert(tx: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows; where the primary key is there already, the row takes the new values."""
    if not rows:
        return
    insert = (sqlite if tx.dialect.name == "sqlite" else postgresql).insert(table)
    given = [name for name in rows[0] if name not in table.primary_key.columns]
    key = list(table.primary_key.columns)
    statement = (
        insert.on_conflict_do_update(index_elements=key, set_={name: insert.excluded[name] for name in given})
        if given
        else insert.on_conflict_do_nothing(index_elements=key)
    )
    tx.execute(statement, rows)


def _open(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return create_engine(url, hide_parameters=True)
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    except (ArgumentError, ModuleNotFoundError) as error:
        raise InvalidConfig("database URL", repr(url), f"one that SQLAlchemy knows ({error})") from None
    except OSError as error:
        raise InvalidConfig("data folder", f"{error.filename} ({error.strerror})", "one that can be written") from None
    engine = create_engine(url, connect_args={"timeout": 60}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we begin transactions ourselves, below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-65536"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer that begins as a reader can be refused the lock half-way; one that says so first waits its turn.
        reads = connection.get_execution_options().get("headend_read", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine
