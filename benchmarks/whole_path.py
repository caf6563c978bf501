"""Broker → day blocks: everything between a gateway's message and the interval store, side by side with the plain way.

A real Mosquitto; 10,000 meters behind 50 gateways; `headend serve` in processes as in production, once all of it in one
and once collecting and processing apart; the plain way is a script: paho, a pydantic model a read, a row a read in
SQLite, a commit a message. The clock runs from the first packet until the last read is in the store, committed. Field,
broker and head-end share the machine.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import Connection, select

from benchmarks.collector import Plain
from benchmarks.field import BEGIN, GATEWAYS, METERS, READS, Field, Traffic, days, four_days, hours, reads_in
from benchmarks.table import show
from headend.registry.registry import enrol
from headend.registry.site_file import SiteFile
from headend.store.checkpoints import totals
from headend.store.database import Database
from headend.store.tables import day_block
from tests.servers import Headend, Mosquitto

_LOOK_EVERY_S = 0.05
# What a well-known meter data management needed a rack of database machines for.
_A_BILLION_AN_HOUR = 1_000_000_000 / 3_600


def site_file(removed: datetime | None = None) -> SiteFile:
    """10,000 meters, each bound to its gateway; of days after they were removed nothing is missing."""
    channel = {"channel": "1-0:1.8.0", "max_per_interval": 20_000, "register_digits": 9}
    meters = [
        {
            "meter": f"E-{number:05}",
            "commodity": "electricity",
            "usage_point": f"UP-{number}",
            "gateway": f"GW-{number % GATEWAYS:03}",
            "installed": BEGIN,
            "removed": removed,
            "channels": [channel],
        }
        for number in range(METERS)
    ]
    points = [{"id": f"UP-{n}", "timezone": "Europe/Berlin", "address": f"Lindenweg {n}"} for n in range(METERS)]
    return SiteFile.model_validate(
        {"gateways": [f"GW-{n:03}" for n in range(GATEWAYS)], "usage_points": points, "meters": meters}
    )


def head_end(
    roles: Sequence[str], traffic: Traffic, messages: int, protocol: str = "5", *, settled_days: int = 0
) -> float:
    """Seconds until the reads of so many messages are in the store of a head-end of one process a role.

    Parameters
    ----------
    settled_days
        of so many days they are, and the time runs until validation has closed the last of them; else they are stored.
    """
    expected = reads_in(traffic, messages)
    removed = BEGIN + timedelta(days=settled_days) if settled_days else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = Database(f"sqlite:///{folder / 'site.db'}", "site")
        with database.write() as tx:
            enrol(tx, site_file(removed))
        broker = Mosquitto(folder)
        settings = {
            "site": {"registry": ""},
            "mqtt": {"embedded": False, "port": broker.port, "protocol": protocol},
            "web": {"port": 0},
            "jobs": {"settle_every_s": 5},
        }
        processes = [Headend(folder, settings, role) for role in roles]
        try:
            for process in processes:
                process.start()
            with Field(broker.port, traffic, messages) as field:
                wait_until_up(broker.port)
                began = time.perf_counter()
                field.go()
                field.wait_until_acknowledged()
                while True:
                    with database.read() as tx:
                        if totals(tx).stored == expected and not (settled_days and _are_open(tx)):
                            return time.perf_counter() - began
                    time.sleep(_LOOK_EVERY_S)
        finally:
            for process in processes:
                process.stop()
            broker.kill()


def _are_open(tx: Connection) -> bool:
    b = day_block.c
    return tx.execute(select(b.day).where(b.settled.is_(False)).limit(1)).first() is not None


def wait_until_up(port: int) -> None:
    """Return once a head-end has acknowledged a message, which is for its quarantine."""
    acknowledged = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda *_: acknowledged.set()
    client.connect("127.0.0.1", port)
    client.subscribe("headend/v1/nobody/ack", 1)
    client.loop_start()
    while not acknowledged.wait(_LOOK_EVERY_S):
        client.publish("headend/v1/nobody/reads", b'{"seq": 1}', qos=1)
    client.disconnect()
    client.loop_stop()


def plain(traffic: Traffic, messages: int) -> float:
    """Seconds until the reads of so many messages are in the rows of a script."""
    with tempfile.TemporaryDirectory() as name:
        broker = Mosquitto(Path(name))
        script = Plain(Path(name), broker.port, messages)
        try:
            script.start()
            with Field(broker.port, traffic, messages) as field:
                began = time.perf_counter()
                field.go()
                script.wait(field)
                return time.perf_counter() - began
        finally:
            script.stop()
            broker.kill()


def main(quick: bool = False) -> None:
    """Print the table."""
    messages, plain_messages, repeats = (20_000, 1_000, 1) if quick else (100_000, 10_000, 3)
    apart = ("process", "collect")
    ways: dict[str, tuple[Callable[[Traffic, int], float], int]] = {
        "head-end, two processes, MQTT 5": (lambda traffic, count: head_end(apart, traffic, count), messages),
        "head-end, two processes, MQTT 3.1.1": (
            lambda traffic, count: head_end(apart, traffic, count, "3.1.1"),
            messages,
        ),
        "head-end, one process, MQTT 5": (lambda traffic, count: head_end(("all",), traffic, count), messages),
        "plain: model and row a read, commit a message": (plain, plain_messages),
    }
    for what, traffic in (("a meter's day a message", days), ("24 meters' hour a message", hours)):
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, (way, count) in ways.items():
                rates[name].append(reads_in(traffic, count) / way(traffic, count))
        base = statistics.median(rates["plain: model and row a read, commit a message"])
        show(
            f"Whole path: Mosquitto → interval store, {what} (median of {repeats})",
            ("way", "reads/s", "× plain"),
            [
                (name, f"{median:,.0f}", f"{median / base:.1f}")
                for name, found in rates.items()
                for median in [statistics.median(found)]
            ],
        )
    validated(quick)


def validated(quick: bool) -> None:
    """The same, 96 reads a message, and on until validation has closed every day."""
    all_days = 4 if quick else 12
    messages = all_days * METERS // (96 // READS)
    rows = []
    for name, roles, until in (
        ("stored, two processes", ("process", "collect"), 0),
        ("stored and settled, three processes", ("process", "collect", "jobs"), all_days),
        ("stored and settled, one process", ("all",), all_days),
    ):
        rate = messages * 96 / head_end(roles, four_days, messages, settled_days=until)
        rows.append((name, f"{rate:,.0f}", f"{rate / _A_BILLION_AN_HOUR:.0%}"))
    show("Whole path, 96 reads a message: Mosquitto → journal → VEE → SQLite", ("until", "reads/s", "of 278 k"), rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
