"""The store's commands on whole sites: one with every kind of source, one that runs, one on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sqlalchemy import Connection, select

from headend.collect.only import only_one
from headend.reads.channels import Channel
from headend.reads.days import moment
from headend.store import tables as t
from headend.store.blockcodec import blocks_of, rows_of
from headend.store.bulk import insert_rows, upsert_rows
from headend.store.database import Database
from tests.store.influx.sites import DAYS, METERS, Commands, field_with_days


def change_one_read(tx: Connection) -> str:
    """Somebody adds 1 kWh to a read that a meter told, past the head-end; what `verify` has to say of it."""
    b = t.day_block.c
    whole = select(t.day_block).where(b.estimated == 0, b.present * b.interval_s == 86_400)
    row = tx.execute(whole.order_by(b.day, b.meter).limit(1).offset(7)).one()
    blocks = blocks_of([row], row.interval_s)
    told = int(blocks.values[0, 5])
    blocks.values[0, 5] += 1_000
    upsert_rows(tx, t.day_block, rows_of(blocks, settled=row.settled))
    name = tx.execute(select(t.meter.c.name).where(t.meter.c.id == row.meter)).scalar_one()
    at = f"{moment(int(blocks.start_s[0, 5])):%Y-%m-%dT%H:%M:%SZ}"
    return f"{name} {Channel(row.channel).obis} {at}: value {told + 1_000} in the store, {told} in the journal"


def test_a_site_with_gateways_modbus_and_files_is_as_its_journal_tells_until_somebody_changes_it(tmp_path: Path):
    demo = [sys.executable, "-m", "headend", "demo", "--once", "--meters", "40", "--days", "5", "--dir", str(tmp_path)]
    subprocess.run(demo, check=True, capture_output=True, timeout=200)
    commands = Commands(tmp_path, {})
    assert commands.run("verify")[-1] == "no difference"
    database = Database(f"sqlite:///{tmp_path / 'site.db'}", "site")
    with database.write() as tx:
        difference = change_one_read(tx)
    database.close()
    assert commands.run("verify", code=1)[-2:] == [difference, "1 difference"]


def test_a_copy_does_not_get_in_the_way_of_a_forwarder(tmp_path: Path):
    commands = Commands(tmp_path, {})
    with only_one(tmp_path / "forwarder.lock", "nobody"):
        (line,) = commands.run("copy", "--from", "sqlite", "--to", "influx", code=1)
    assert line.startswith("headend: a head-end with store.kind = influx runs, and sends InfluxDB everything by itself")


def test_reads_go_from_postgresql_to_influxdb(tmp_path: Path, migrated_postgres_url: str, influx_settings):
    field = field_with_days(tmp_path)
    database = Database(migrated_postgres_url, "site")
    with field.site.database.read() as tx, database.write() as there:
        for table in (t.meter, t.day_block):
            insert_rows(there, table, [tuple(row) for row in tx.execute(select(table))])
    field.close()
    database.close()
    sqlite = Commands(tmp_path, influx_settings)
    postgres = Commands(tmp_path / "pg", influx_settings, site_url=migrated_postgres_url)
    there = postgres.run("copy", "--from", "postgresql", "--to", "influx")
    blocks = DAYS * len(METERS)
    assert f"{blocks} blocks sent" in there[-2]
    again = sqlite.run("copy", "--from", "sqlite", "--to", "influx")
    assert again[-2] == there[-2].replace(f"{blocks} blocks sent", "0 blocks sent")
