"""InfluxDB as the tests of this folder see it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headend.store.influx.connection import Influx
from headend.store.influx.reads import InfluxReads

from .servers import influx_section


@pytest.fixture
def influx(influx_settings: dict[str, object]) -> Iterator[Influx]:
    connection = Influx(influx_section(influx_settings))
    yield connection
    connection.close()


@pytest.fixture
def reads(influx: Influx) -> InfluxReads:
    return InfluxReads(influx, influx.settings.reads_bucket)
