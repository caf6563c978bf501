"""Databases of the test's own, of either kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headend.store.database import Database, Schema
from tests.databases import file_database


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def database_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database that nobody else uses, with nothing in it."""
    return request.getfixturevalue("postgres_url") if kind == "postgresql" else f"sqlite:///{tmp_path / 'x.db'}"


@pytest.fixture
def site_database(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """… which has its tables."""
    yield from opened(kind, "site", request, tmp_path)


@pytest.fixture
def journal_database(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """… which has its tables."""
    yield from opened(kind, "journal", request, tmp_path)


def opened(kind: str, schema: Schema, request: pytest.FixtureRequest, folder: Path) -> Iterator[Database]:
    if kind == "postgresql":
        database = Database(request.getfixturevalue("migrated_postgres_url"), schema)
    else:
        database = file_database(folder / "x.db", schema)
    yield database
    database.close()
