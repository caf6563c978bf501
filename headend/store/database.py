"""A database, opened the way we need it: every commit durable, one writer at a time, readers never in the way.

SQLite has one writer at a time by its nature. On PostgreSQL a writer takes a lock that it holds until it has committed,
so that there, too, nothing changes between what a transaction reads and what it writes. A reader sees one moment on
both.
"""

from __future__ import annotations

import re
import sqlite3
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, OperationalError

from headend.errors import InvalidConfig, StoreAway

Schema = Literal["journal", "site"]

_MIGRATIONS = Path(__file__).parent / "migrations"

#: A writer that has waited this long for the others gives up, and is tried again by whoever wanted it.
_PATIENCE_S = 60

#: So long SQLite's log of changes may become before it is trimmed: waiting for readers costs, and disk is cheap.
LOG_BYTES = 256 * 2**20
_TRIM_PATIENCE_S = 10

# Both schemas may live in one PostgreSQL database, so there each has a version and a lock of its own.
_VERSION_TABLE: Mapping[str, Mapping[Schema, str]] = {
    "sqlite": {"journal": "alembic_version", "site": "alembic_version"},
    "postgresql": {"journal": "alembic_version_journal", "site": "alembic_version_site"},
}
_WRITER_LOCK: Mapping[Schema, int] = {"journal": 0x68656164_00000001, "site": 0x68656164_00000002}

# A reader asks several times and must see one moment; a writer sees what was committed before it had the lock.
_READING: Mapping[str, Mapping[str, Any]] = {
    "sqlite": {"headend_read": True},
    "postgresql": {"headend_read": True, "isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


class Database:
    """One SQL database with the newest schema.

    Parameters
    ----------
    url
        `sqlite:///file.db`, which makes the file and its folder, or `postgresql://user:password@host/database`.
    schema
        which of the two sets of tables lives there.

    Raises
    ------
    InvalidConfig
        a URL that cannot be used, or a database that cannot hold every text.
    StoreAway
        the server does not answer, or refuses.
    """

    def __init__(self, url: str, schema: Schema) -> None:
        self.url, self.schema = url, schema
        self.engine = _open(url, schema)
        self._reading = _READING[self.engine.dialect.name]
        file = self.engine.url.database if self.engine.dialect.name == "sqlite" else None
        self._log = Path(f"{file}-wal") if file else None
        # Who lets go of a database need not remember to close it.
        weakref.finalize(self, self.engine.dispose)
        self.upgrade()

    def upgrade(self) -> None:
        """Bring the schema to the newest migration; nothing happens where it is there already."""
        try:
            self._upgrade()
        except OperationalError as error:
            if self.engine.dialect.name == "sqlite":
                raise
            reason = " ".join(str(error.orig).split())
            raise StoreAway(f"{self.schema} database {self.engine.url}: {reason}") from None

    def _upgrade(self) -> None:
        version_table = _VERSION_TABLE[self.engine.dialect.name][self.schema]
        with self.read() as tx:
            revision = MigrationContext.configure(tx, opts={"version_table": version_table}).get_current_revision()
            if revision == _newest_revision(self.schema):
                return  # the usual case waits for nobody who is writing
            _refuse_narrow_text(tx)
        config = _migrations(self.schema)
        config.attributes["version_table"] = version_table
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
            yield connection.execution_options(**self._reading)

    def trim_log(self) -> None:
        """Write SQLite's log of changes back to the file and empty it, once it is long; PostgreSQL trims its own.

        SQLite does so itself in a moment in which nobody reads. Where processes always read by turns there is none:
        then writers wait until those who read now are done, but no longer than `_TRIM_PATIENCE_S`; where that is not
        enough the log stays, and whoever asks next tries again. Who asks must not be reading.
        """
        if self._log is None or not self._log.exists() or self._log.stat().st_size < LOG_BYTES:
            return
        pooled = self.engine.raw_connection()
        try:
            cursor = pooled.cursor()
            cursor.execute(f"PRAGMA busy_timeout={_TRIM_PATIENCE_S * 1000}")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            cursor.execute(f"PRAGMA busy_timeout={_PATIENCE_S * 1000}")
        finally:
            pooled.close()

    def close(self) -> None:
        """Give back all connections."""
        self.engine.dispose()


def _migrations(schema: Schema) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("version_locations", str(_MIGRATIONS / schema))
    config.set_main_option("path_separator", "os")
    return config


@cache
def _newest_revision(schema: Schema) -> str | None:
    return ScriptDirectory.from_config(_migrations(schema)).get_current_head()


def storable(text: str) -> str:
    """Text from outside as every database takes it: PostgreSQL has no NUL, and none has half of a surrogate pair."""
    # NULs at the end are no text, only what a device's buffer is filled up with.
    return text.rstrip("\0").replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


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


def _refuse_narrow_text(tx: Connection) -> None:
    """What people and devices are called must fit: a database in Latin-1 would refuse it message by message."""
    if tx.dialect.name == "postgresql":
        encoding = tx.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            where = f"database {tx.engine.url}"
            raise InvalidConfig(
                where, f"encoding {encoding}", "UTF8 (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0)"
            )


def _open(url: str, schema: Schema) -> Engine:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Where the password is in it, nobody knows: somewhere before the host.
        raise _unknown(re.sub(":.*@", ":***@", url)) from None
    if parsed.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return _open_postgresql(parsed.set(drivername="postgresql+psycopg"), schema)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed)
    raise _unknown(parsed.render_as_string())


def _unknown(url: str) -> InvalidConfig:
    return InvalidConfig("database URL", repr(url), "sqlite:///file.db or postgresql://user:password@host/database")


# Of these the driver looks anew at every value for somebody who would make something else of it; told that they stay
# what they are, it takes a day block in three quarters of the time.
sqlite3.register_adapter(bytes, bytes)
sqlite3.register_adapter(bool, int)
sqlite3.register_adapter(type(None), {None: None}.__getitem__)


def _open_sqlite(url: URL) -> Engine:
    try:
        if url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, connect_args={"timeout": _PATIENCE_S}, hide_parameters=True)
    except (ArgumentError, ModuleNotFoundError):
        raise _unknown(url.render_as_string()) from None
    except OSError as error:
        raise InvalidConfig("data folder", f"{error.filename} ({error.strerror})", "one that can be written") from None

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we begin transactions ourselves, below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-65536"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer that begins as a reader can be refused the lock half-way; one that says so first waits its turn.
        connection.exec_driver_sql("BEGIN" if _only_reads(connection) else "BEGIN IMMEDIATE")

    return engine


# What the URL says of these goes before. A server that vanished without a word is noticed within a minute.
_CONNECT = {
    "connect_timeout": 10,
    "client_encoding": "utf8",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}

# The same for the server: a writer that vanished gives back its lock. And whatever the server's habit, a commit of ours
# is on disk before it is told; a server that waits for more than that (a standby) may go on to.
_SESSION = f"""
SET lock_timeout = '{_PATIENCE_S}s';
SET tcp_keepalives_idle = 30;
SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 3;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
"""


def _open_postgresql(url: URL, schema: Schema) -> Engine:
    connect = {"application_name": f"headend {schema}", **_CONNECT}
    connect = {name: value for name, value in connect.items() if name not in url.query}
    # Connections that a restarted server has forgotten are found out before they are used.
    engine = create_engine(url, connect_args=connect, pool_pre_ping=True, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.execute(_SESSION)
        connection.commit()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not _only_reads(connection):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK[schema]})")

    @event.listens_for(engine, "before_cursor_execute")
    def _in_binary(
        _connection: Connection, cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool
    ) -> None:
        # Thousands of rows with bytes in them come at half the cost; not everything PostgreSQL has comes so.
        if context is not None and context.execution_options.get("headend_binary", False):
            cursor.format = 1

    return engine


def _only_reads(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("headend_read", False))
