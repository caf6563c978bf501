"""What tests everywhere may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headend.store.database import Database
from tests.servers import Influxd, Mosquitto, Postgres


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A real broker on a port of its own."""
    broker = Mosquitto(tmp_path)
    yield broker
    broker.kill()


@pytest.fixture(scope="session")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    """A real InfluxDB for all tests: none of them may stop it. See `influx_settings`."""
    server = Influxd(tmp_path_factory.mktemp("influxd"))
    yield server
    server.kill()


@pytest.fixture
def influx_settings(influxd: Influxd) -> dict[str, object]:
    """Section `influx` of a head-end whose buckets are its own, and empty."""
    return influxd.settings()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL for all tests: none of them may stop it. See `postgres_url`."""
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def migrated_once(postgres: Postgres) -> str:
    """The name of a database with both schemas, which each test finds empty."""
    name = postgres.fresh_database()
    Database(postgres.url(name), "site").close()
    Database(postgres.url(name), "journal").close()
    return name


@pytest.fixture
def migrated_postgres_url(postgres: Postgres, migrated_once: str) -> Iterator[str]:
    """A database with both schemas and nothing in them, for SQLAlchemy."""
    yield postgres.url(migrated_once)
    postgres.empty_tables(migrated_once)


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """An empty database, for SQLAlchemy."""
    name = postgres.fresh_database()
    yield postgres.url(name)
    postgres.drop_database(name)
