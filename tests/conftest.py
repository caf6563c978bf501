"""What tests everywhere may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Mosquitto


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A real broker on a port of its own."""
    broker = Mosquitto(tmp_path)
    yield broker
    broker.kill()
