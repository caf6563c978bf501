"""`headend store init`: what is made, what was there, and what is wrong with a server or a token."""

from __future__ import annotations

from pathlib import Path

import pytest

from headend.store.database import Database
from tests.servers import Influxd, free_port

from .sites import Commands


@pytest.fixture
def settings(influxd: Influxd) -> dict[str, object]:
    """Of buckets that are not there."""
    existing = influxd.settings()
    return existing | {key: f"new-{existing[key]}" for key in ("reads_bucket", "telemetry_bucket")}


def test_what_is_missing_is_made_and_what_is_there_is_left(tmp_path: Path, settings):
    commands = Commands(tmp_path, settings, "influx")
    made, again = commands.run("init"), commands.run("init")
    reads, telemetry = settings["reads_bucket"], settings["telemetry_bucket"]
    things = [
        f"InfluxDB: bucket {reads}, kept for ever",
        f"InfluxDB: database {reads} for InfluxQL",
        f"InfluxDB: bucket {telemetry}, kept for 90 days",
        f"InfluxDB: database {telemetry} for InfluxQL",
    ]
    databases = (
        f"site database and journal: newest schema (sqlite:///{tmp_path}/site.db, sqlite:///{tmp_path}/journal.db)"
    )
    allowed = "InfluxDB: the token may read and write both buckets"
    assert made == [databases, *(f"{thing}: made" for thing in things), allowed]
    assert again == [databases, *(f"{thing}: was there" for thing in things), allowed]


def test_another_retention_is_changed(tmp_path: Path, settings):
    Commands(tmp_path, settings, "influx").run("init")
    longer = Commands(tmp_path, settings, "influx")
    longer.config.write_text(longer.config.read_text().replace("[store]\n", "[store]\nkeep_telemetry_days = 400\n"))
    assert f"InfluxDB: bucket {settings['telemetry_bucket']}, kept for 400 days: changed" in longer.run("init")


def test_without_influxdb_the_databases_are_all_there_is(tmp_path: Path, settings):
    (line,) = Commands(tmp_path, settings).run("init")
    assert line.startswith("site database and journal: newest schema")
    Database(f"sqlite:///{tmp_path}/site.db", "site").close()


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        ({"token": "guessed"}, 1, "401 Unauthorized: unauthorized access"),
        ({"org": "elsewhere"}, 2, "influx.org: found 'elsewhere', expected an organization that the token may see"),
    ],
)
def test_a_server_that_does_not_know_us_says_why_in_one_line(tmp_path: Path, settings, wrong, code, said):
    *_, line = Commands(tmp_path, settings | wrong, "influx").run("init", code=code)
    assert line.startswith("headend: ")
    assert line.endswith(said)


def test_a_server_that_is_not_there_is_named(tmp_path: Path, settings):
    url = f"http://127.0.0.1:{free_port()}"
    *_, line = Commands(tmp_path, settings | {"url": url}, "influx").run("init", code=1)
    assert line.startswith(f"headend: InfluxDB at {url} does not answer: ")


def test_a_token_that_may_only_read_is_found_out(tmp_path: Path, influxd: Influxd, settings):
    Commands(tmp_path, settings, "influx").run("init")
    ours = {"orgID": influxd.organization}
    may_read = [{"type": "buckets", **ours}, {"type": "dbrp", **ours}, {"type": "orgs", "id": influxd.organization}]
    rights = [{"action": "read", "resource": resource} for resource in may_read]
    token = influxd.ask("/api/v2/authorizations", {"orgID": influxd.organization, "permissions": rights})["token"]
    *_, line = Commands(tmp_path, settings | {"token": token}, "influx").run("init", code=1)
    assert line.startswith(f"headend: influx.token cannot be used for bucket {settings['reads_bucket']}: ")
    assert "insufficient permissions for write" in line
