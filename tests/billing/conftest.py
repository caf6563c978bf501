"""A town for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.billing.town import Town


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """An empty town."""
    return Town(tmp_path)


@pytest.fixture
def flat(town: Town) -> Town:
    """A town with one home, Ada's, which uses 500 Wh every hour of October 2026."""
    town.home()
    return town
