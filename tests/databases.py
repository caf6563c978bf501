"""Databases with the newest schema, which the migrations made once: every test gets a copy."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from headend.store.database import Database, Schema


def file_database(file: Path, schema: Schema) -> Database:
    """The database in a file; where there is none yet, an empty one."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_as_migrated(schema))
    return Database(f"sqlite:///{file}", schema)


@cache
def _as_migrated(schema: Schema) -> bytes:
    """What a database's file holds that was closed as soon as it was made."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "made.db"
        Database(f"sqlite:///{file}", schema).close()
        return file.read_bytes()
