"""A backlog at the broker and in the journal: how fast it is worked off, and how much memory that takes.

A million messages wait at a real Mosquitto for the collector's session, as after a day without it. Then the collecting
process comes, and after it, on the journal that it wrote, the processing one; each as `headend serve --role …` runs it.
Memory is the most that was resident (VmHWM).
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.field import READS, Field, days
from benchmarks.table import show
from benchmarks.whole_path import site_file
from headend.config import load_settings
from headend.registry.registry import enrol
from headend.store.checkpoints import checkpoint, totals
from headend.store.database import Database
from headend.store.journal import Journal
from tests.servers import Headend, Mosquitto

_LOOK_EVERY_S = 0.1


def peak_mib(pid: int) -> float:
    """The most memory that was resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def await_session(port: int, client_id: str) -> None:
    """Make the session that the collector will find, and leave."""
    subscribed = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", port)
    client.subscribe("headend/v1/+/reads", 1)
    client.loop_start()
    subscribed.wait()
    client.disconnect()
    client.loop_stop()


def main(quick: bool = False) -> None:
    """Print the table."""
    messages = 50_000 if quick else 1_000_000
    settings = load_settings()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Mosquitto(folder)
        database = Database(f"sqlite:///{folder / 'site.db'}", "site")
        with database.write() as tx:
            enrol(tx, site_file())
        journal = Journal(Database(f"sqlite:///{folder / 'journal.db'}", "journal"))
        await_session(broker.port, settings.mqtt.client_id)
        with Field(broker.port, days, messages) as field:
            field.go()
            field.wait_until_sent()
        broker_pid = broker._process.pid
        waiting_mib = peak_mib(broker_pid)

        mqtt = {"embedded": False, "port": broker.port, "protocol": "5"}
        collector, processor = (
            Headend(folder, {"site": {"registry": ""}, "mqtt": mqtt}, role) for role in ("collect", "process")
        )
        collector.start()
        collect_s, first = _seconds(journal.newest_offset, messages)
        collector_mib, broker_mib = peak_mib(collector.process.pid), peak_mib(broker_pid)
        collector.stop()
        broker.kill()

        processor.start()
        process_s, before = _seconds(lambda: _processed(database), messages)
        processor_mib = peak_mib(processor.process.pid)
        processor.stop()
        with database.read() as tx:
            assert totals(tx).stored == messages * READS
    show(
        f"Backlog: {messages:,} messages of {READS} reads",
        ("process", "messages/s", "peak MiB"),
        [
            ("collecting, from the broker", f"{(messages - first) / collect_s:,.0f}", f"{collector_mib:,.0f}"),
            ("processing, from the journal", f"{(messages - before) / process_s:,.0f}", f"{processor_mib:,.0f}"),
            ("Mosquitto, all of it waiting", "", f"{waiting_mib:,.0f}"),
            ("Mosquitto, all of it delivered", "", f"{broker_mib:,.0f}"),
        ],
    )


def _processed(database: Database) -> int:
    with database.read() as tx:
        return checkpoint(tx)


def _seconds(count: Callable[[], int], to: int) -> tuple[float, int]:
    """How long it counts, from the first on, until it is there; and what the first count was."""
    while not (first := count()):
        time.sleep(_LOOK_EVERY_S)
    began = time.perf_counter()
    while count() < to:
        time.sleep(_LOOK_EVERY_S)
    return time.perf_counter() - began, first


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
