"""Broker → durable and acknowledged, 24 reads a message, side by side with the plain way.

A real Mosquitto on loopback; a field that only pushes ready-made packets; then, in turn, the head-end's collector
(group commit, acknowledgement after it) and a plain subscriber (paho, a pydantic model a read, a row a read in SQLite,
a commit a message). Both keep what they get durably. Field, broker and subscriber share the machine.

The clock runs from the first packet until all are acknowledged: by the plain way to the broker, by the head-end with
its own `ack` to every gateway, back through the broker. Then both are stopped, and the broker is asked under the same
name whether it still keeps anything.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import BaseModel

from benchmarks.field import READS, Field, days
from benchmarks.table import show
from headend.collect.mqtt import MqttCollector
from headend.collect.topics import Topics
from headend.collect.writer import JournalWriter
from headend.config import load_settings
from headend.logs import configure_logs
from headend.store.database import Database
from headend.store.journal import Journal
from tests.servers import Mosquitto


class Plain:
    """What a first script does."""

    class Read(BaseModel):
        """One model a read."""

        meter: str
        channel: str
        start: datetime
        value: int

    client_id = "plain"

    def __init__(self, folder: Path, port: int, expected: int) -> None:
        self._left = expected
        self._all = threading.Event()
        self._path = folder / "plain.db"
        self._port = port

    def start(self) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=self.client_id, clean_session=False)
        self._client.on_connect = lambda client, *_: client.subscribe("headend/v1/+/reads", 1)
        self._client.on_message = self._on_message
        ready = threading.Event()
        self._client.on_subscribe = lambda *_: ready.set()
        self._database = sqlite3.connect(self._path, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute("CREATE TABLE read (meter, channel, start, value, PRIMARY KEY (meter, channel, start))")
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        ready.wait()

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        for block in json.loads(message.payload)["blocks"]:
            start = datetime.fromisoformat(block["start"])
            reads = [
                self.Read(meter=block["meter"], channel=block["channel"], start=start, value=value)
                for value in block["values"]
            ]
            self._database.executemany(
                "INSERT OR REPLACE INTO read VALUES (?, ?, ?, ?)",
                [(r.meter, r.channel, r.start.timestamp() + 3600 * i, r.value) for i, r in enumerate(reads)],
            )
        self._database.commit()
        self._left -= 1
        if not self._left:
            self._all.set()

    def wait(self, field: Field) -> None:
        field.wait_until_sent()
        self._all.wait()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._database.close()


class Ours:
    """The head-end's collector."""

    def __init__(self, folder: Path, port: int, protocol: str) -> None:
        overrides = {
            "mqtt": {"embedded": False, "host": "127.0.0.1", "port": port, "protocol": protocol},
            "log": {"level": "warning"},
        }
        settings = load_settings(None, overrides)
        self.client_id = settings.mqtt.client_id
        configure_logs(settings.log)
        self._database = Database(f"sqlite:///{folder / 'journal.db'}", "journal")
        self._journal = Journal(self._database)
        self._writer = JournalWriter(self._journal, settings.collect, partial(datetime.now, UTC))
        self._collector = MqttCollector(settings.mqtt, settings.collect, Topics(), self._writer)

    def start(self) -> None:
        self._collector.start()
        self._writer.start()

    def wait(self, field: Field) -> None:
        field.wait_until_acknowledged()

    def stop(self) -> None:
        self._writer.stop()
        self._collector.stop()
        self._database.close()


def left_at_broker(port: int, client_id: str) -> bool:
    """Whether the broker still has something for the session of this client."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
    got, answered = threading.Event(), threading.Event()
    client.on_message = lambda *_: got.set()
    client.on_subscribe = lambda *_: answered.set()
    # What is kept comes right after CONNACK, so before the answer to what is asked then.
    client.on_connect = lambda client, *_: client.subscribe("nothing")
    client.connect("127.0.0.1", port)
    client.loop_start()
    answered.wait()
    client.loop_stop()
    return got.is_set()


def rate(make: Callable[[Path, int, int], Plain | Ours], messages: int) -> float:
    """Messages a second from the first packet to the last acknowledgement."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Mosquitto(folder)
        subscriber = make(folder, broker.port, messages)
        try:
            subscriber.start()
            with Field(broker.port, days, messages) as field:
                began = time.perf_counter()
                field.go()
                subscriber.wait(field)
                seconds = time.perf_counter() - began
        finally:
            subscriber.stop()
            unfinished = left_at_broker(broker.port, subscriber.client_id)
            broker.kill()
        assert not unfinished, "the broker was not told of everything that is durable"
    return messages / seconds


def main(quick: bool = False) -> None:
    """Print the table."""
    messages, plain_messages, repeats = (20_000, 2_000, 1) if quick else (100_000, 10_000, 3)
    ways: dict[str, tuple[Callable[[Path, int, int], Plain | Ours], int]] = {
        "head-end, MQTT 5": (lambda folder, port, _: Ours(folder, port, "5"), messages),
        "head-end, MQTT 3.1.1": (lambda folder, port, _: Ours(folder, port, "3.1.1"), messages),
        "plain: model and row a read, commit a message": (Plain, plain_messages),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, (make, count) in ways.items():
            rates[name].append(rate(make, count))
    base = statistics.median(rates["plain: model and row a read, commit a message"])
    show(
        f"Collector: Mosquitto → durable and acknowledged, {READS} reads a message (median of {repeats})",
        ("way", "messages/s", "reads/s", "× plain"),
        [
            (name, f"{median:,.0f}", f"{median * READS:,.0f}", f"{median / base:.1f}")
            for name, found in rates.items()
            for median in [statistics.median(found)]
        ],
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
