"""Databases in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headend.store.database import Database


@pytest.fixture
def site_database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'site.db'}", "site")
    yield database
    database.close()


@pytest.fixture
def journal_database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'journal.db'}", "journal")
    yield database
    database.close()
