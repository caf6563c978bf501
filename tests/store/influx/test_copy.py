"""Reads to InfluxDB and back by command, broken off wherever one likes, and the store compared with its journal."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from headend.config import load_settings
from headend.process import Intake
from headend.reads.days import day_of
from headend.store import tables as t
from headend.store.influx.parts import forwarder, interval_store
from tests.process.field import DAY, HOUR, MONDAY, Field
from tests.servers import Influxd

from .sites import DAYS, FIRST, METERS, Commands, field_with_days

Section = dict[str, object]


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    made = field_with_days(tmp_path)
    yield made
    made.close()


@pytest.fixture
def own_influxd(tmp_path: Path) -> Iterator[Influxd]:
    """One that a test may kill."""
    server = Influxd(tmp_path)
    yield server
    server.kill()


def rows(field: Field) -> list[tuple[Any, ...]]:
    """Every day block, byte for byte."""
    with field.site.database.read() as tx:
        return [tuple(row) for row in tx.execute(select(t.day_block).order_by(*t.day_block.primary_key.columns))]


def points(server: Influxd, settings: Section) -> int:
    """How many intervals InfluxDB has a value for, by its own count."""
    found = server.rows(
        f'from(bucket: "{settings["reads_bucket"]}") |> range(start: 0, stop: 2100-01-01T00:00:00Z)'
        ' |> filter(fn: (r) => r._field == "version" and r._value > 0) |> group() |> count()'
    )
    return int(found[0]["_value"]) if found else 0


def let_go(field: Field, settings: Section) -> None:
    """All days but the last seven into InfluxDB alone, as a running head-end does in time."""
    everything = load_settings(None, {"influx": settings, "store": {"kind": "influx"}})
    field.clock.now = MONDAY + (DAYS + 1) * DAY
    forwards = forwarder(everything, field.site.database, field.clock)
    forwards.compare()
    while forwards.forward():
        pass
    assert forwards.let_go() > 0


def on_influx(field: Field, settings: Section) -> None:
    """From now on what comes in goes to InfluxDB, when a forwarder runs."""
    influx = load_settings(None, {"influx": settings}).influx
    field.site = replace(field.site, store=interval_store(influx, field.clock))
    field.intake = Intake(field.site)


def gone(field: Field) -> int:
    """Rows whose reads InfluxDB alone has."""
    with field.site.database.read() as tx:
        empty = select(func.count()).where(func.length(t.day_block.c.quality) == 0)
        return tx.execute(empty.select_from(t.day_block)).scalar_one()


def test_a_copy_says_what_it_sent_and_a_second_one_sends_nothing(field, influxd, influx_settings):
    before, commands = rows(field), Commands(field.folder, influx_settings)
    commands.run("init")
    first = commands.run("copy", "--from", "sqlite", "--to", "influx")
    second = commands.run("copy", "--from", "sqlite", "--to", "influx")
    blocks = DAYS * len(METERS)
    assert first[0].startswith(f"{day_of(FIRST)}: 3 day blocks, 72 reads, 3 sent, SHA-256 ")
    assert first[-2].startswith(f"{DAYS} days, {blocks} day blocks, {24 * blocks} reads; {blocks} blocks sent;")
    assert second[-2] == first[-2].replace(f"{blocks} blocks sent", "0 blocks sent")
    assert first[-1] == 'now set store.kind = "influx"'
    assert points(influxd, influx_settings) == 24 * blocks
    assert rows(field) == before


def test_only_what_differs_is_sent(field, influx_settings):
    commands = Commands(field.folder, influx_settings)
    commands.run("copy", "--from", "sqlite", "--to", "influx")
    field.send(MONDAY + 3 * DAY, [999])
    lines = commands.run("copy", "--from", "sqlite", "--to", "influx")
    assert [line.split(", ")[2] for line in lines[:DAYS] if "same already" not in line] == ["1 sent"]
    assert lines[3].startswith("2026-02-05: 3 day blocks, 72 reads, 1 sent, SHA-256 ")


def test_a_copy_that_was_killed_goes_on_where_it_was(field, influxd, influx_settings):
    commands = Commands(field.folder, influx_settings)
    code, _ = commands.after_lines(3, subprocess.Popen.kill, "copy", "--from", "sqlite", "--to", "influx")
    assert code == -9
    there = points(influxd, influx_settings)
    assert 3 * 72 <= there < DAYS * 72  # it was in the middle
    lines = commands.run("copy", "--from", "sqlite", "--to", "influx")
    assert all("the same already" in line for line in lines[:3])
    assert lines[DAYS - 1].startswith(f"{day_of(FIRST + DAYS - 1)}: 3 day blocks, 72 reads, 3 sent")
    assert points(influxd, influx_settings) == DAYS * 72


def test_a_copy_into_an_influxdb_that_is_killed_says_so_and_goes_on_later(field, own_influxd):
    settings = own_influxd.settings()
    commands = Commands(field.folder, settings)

    def kill(_: object) -> None:
        own_influxd.kill()

    code, error = commands.after_lines(3, kill, "copy", "--from", "sqlite", "--to", "influx")
    assert code == 1
    assert (error.count("\n"), error.startswith("headend: InfluxDB")) == (1, True)
    own_influxd.start()
    commands.run("copy", "--from", "sqlite", "--to", "influx")
    assert points(own_influxd, settings) == DAYS * 72


def test_what_influxdb_alone_had_comes_back_byte_for_byte(field, influx_settings):
    before = rows(field)
    let_go(field, influx_settings)
    assert gone(field) == (DAYS - 7 + 1) * len(METERS)
    commands = Commands(field.folder, influx_settings)
    refused = commands.run("verify", code=2)
    assert refused == [
        f"headend: store.kind: found sql, but {DAYS - 7 + 1} days are in InfluxDB alone, expected influx,"
        " or `headend store copy --from influx --to sqlite` first"
    ]
    lines = commands.run("copy", "--from", "influx", "--to", "sqlite")
    assert lines[0].startswith(f"{day_of(FIRST)}: 3 day blocks, 72 reads, 3 brought back, SHA-256 ")
    assert lines[-1] == 'store.kind is "sql" already'
    assert rows(field) == before
    assert commands.run("verify")[-1] == "no difference"
    assert commands.run("copy", "--from", "influx", "--to", "sqlite")[0] == "no day was brought back"


def test_bringing_back_that_was_killed_goes_on_where_it_was(field, influx_settings):
    before = rows(field)
    let_go(field, influx_settings)
    commands = Commands(field.folder, influx_settings, "influx")
    all_of_them = gone(field)
    code, _ = commands.after_lines(3, subprocess.Popen.kill, "copy", "--from", "influx", "--to", "sqlite")
    assert code == -9
    assert 0 < gone(field) <= all_of_them - 9
    commands.run("copy", "--from", "influx", "--to", "sqlite")
    assert rows(field) == before


def test_late_reads_of_a_day_that_was_let_go_of_come_back_with_it(field, influx_settings):
    let_go(field, influx_settings)
    on_influx(field, influx_settings)
    field.send(MONDAY + 30 * HOUR, [555])
    field.send(MONDAY + 31 * HOUR, [556], meter="E-2")
    assert field.values(MONDAY + 30 * HOUR, 1) == [555]
    commands = Commands(field.folder, influx_settings, "influx")
    assert commands.run("verify")[-1] == "no difference"
    commands.run("copy", "--from", "influx", "--to", "sqlite")
    assert gone(field) == 0
    assert Commands(field.folder, influx_settings).run("verify")[-1] == "no difference"


def test_what_somebody_changed_in_influxdb_is_found_and_does_not_come_back(field, influxd, influx_settings):
    let_go(field, influx_settings)
    hour = MONDAY + 5 * DAY + 3 * HOUR
    tags = "reads,channel=1-0:1.8.0,meter=E-2"
    influxd.write(str(influx_settings["reads_bucket"]), f"{tags} value=1i {int(hour.timestamp())}")
    commands = Commands(field.folder, influx_settings, "influx")
    found = commands.run("verify", code=1)
    assert "E-2 1-0:1.8.0 2026-02-07T03:00:00Z: value 1 in the store, 210 in the journal" in found
    assert any(line.startswith("2026-02-07: InfluxDB says otherwise than when it was let go of") for line in found)
    assert found[-1] == "1 difference"
    lines = commands.run("copy", "--from", "influx", "--to", "sqlite", code=1)
    assert lines[-1] == "headend: InfluxDB has not what was moved there: days that stay there alone: 1"
    assert gone(field) == len(METERS)


def test_what_somebody_changed_of_what_is_here_too_is_found_and_sent_again(field, influxd, influx_settings):
    let_go(field, influx_settings)
    hour = MONDAY + (DAYS - 1) * DAY + 3 * HOUR
    tags = "reads,channel=1-0:1.8.0,meter=E-1"
    influxd.write(str(influx_settings["reads_bucket"]), f"{tags} value=1i {int(hour.timestamp())}")
    commands = Commands(field.folder, influx_settings, "influx")
    at = f"{hour:%Y-%m-%dT%H:%M:%SZ}"
    assert f"E-1 1-0:1.8.0 {at}: value 203 in the store, 1 in InfluxDB" in commands.run("verify", code=1)
    influxd.write(str(influx_settings["reads_bucket"]), f"{tags} value=0i,status=0i {int(hour.timestamp())}")
    assert f"E-1 1-0:1.8.0 {at}: value 203 in the store, nothing in InfluxDB" in commands.run("verify", code=1)
    assert any(", 1 sent, " in line for line in commands.run("copy", "--from", "sqlite", "--to", "influx"))
    assert commands.run("verify")[-1] == "no difference"


def test_what_waits_to_be_sent_is_no_difference(field, influx_settings):
    let_go(field, influx_settings)
    on_influx(field, influx_settings)
    field.send(MONDAY + DAYS * DAY, [321])
    lines = Commands(field.folder, influx_settings, "influx").run("verify")
    assert lines[1].endswith("1 wait to be sent")
    assert lines[-1] == "no difference"


def test_a_database_that_is_not_there_is_refused_by_name(field, influx_settings):
    commands = Commands(field.folder, influx_settings)
    (line,) = commands.run("copy", "--from", "postgresql", "--to", "influx", code=2)
    assert line.startswith("headend: --from: found postgresql, expected sqlite: data.site_url is sqlite:///")
    (line,) = commands.run("copy", "--from", "sqlite", "--to", "sqlite", code=2)
    assert line == "headend: --from and --to: found sqlite and sqlite, expected influx as one of them, and only one"
