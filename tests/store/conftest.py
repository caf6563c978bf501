"""Databases of the test's own, of either kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headend.store.database import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database that nobody else uses, with nothing in it."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path / 'x.db'}"


@pytest.fixture
def site_database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, "site")
    yield database
    database.close()


@pytest.fixture
def journal_database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, "journal")
    yield database
    database.close()
