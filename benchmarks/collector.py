"""Broker → durable journal, 24 reads a message, side by side with the plain way.

A real Mosquitto on loopback; a publisher that only pushes ready-made packets; then, in turn, the head-end's collector
(group commit, acknowledgement after it) and a plain subscriber (paho, a pydantic model a read, a row a read in SQLite,
a commit a message). Both keep what they get durably. Publisher, broker and subscriber share the machine.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import sqlite3
import statistics
import struct
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import BaseModel

from benchmarks.table import show
from headend.app import utc_now
from headend.collect.mqtt import MqttCollector
from headend.collect.topics import Topics
from headend.collect.writer import JournalWriter
from headend.config import load_settings
from headend.logs import configure_logs
from headend.store.database import Database
from headend.store.journal import Journal
from tests.servers import Mosquitto

READS = 24
GATEWAYS = 50


def packets(messages: int) -> bytes:
    """MQTT 3.1.1 PUBLISH packets at QoS 1, ready to be written to a socket."""
    out = bytearray()
    for number in range(messages):
        gateway, seq = f"GW-{number % GATEWAYS:03}", number // GATEWAYS + 1
        block = {
            "meter": f"E-{number % 10_000:05}",
            "channel": "1-0:1.8.0",
            "start": "2026-10-01T00:00:00Z",
            "interval_s": 3600,
            "values": [1000 + (number * 7 + i) % 500 for i in range(READS)],
            "register": 1_000_000 + number,
        }
        payload = json.dumps({"seq": seq, "sent_at": "2026-10-02T00:00:05Z", "blocks": [block]}).encode()
        topic = f"headend/v1/{gateway}/reads".encode()
        body = struct.pack("!H", len(topic)) + topic + struct.pack("!H", number % 65_535 + 1) + payload
        length, encoded = len(body), bytearray()
        while True:
            length, digit = divmod(length, 128)
            encoded.append(digit | (0x80 if length else 0))
            if not length:
                break
        out += bytes([0x32]) + encoded + body
    return bytes(out)


def publish(port: int, messages: int) -> None:
    """Push all packets, and take the broker's PUBACKs without looking at them."""
    data = packets(messages)
    with socket.create_connection(("127.0.0.1", port)) as wire:
        name = b"publisher"
        connect = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack("!H", len(name)) + name
        wire.sendall(bytes([0x10, len(connect)]) + connect)
        wire.recv(4)

        def drain() -> None:
            left = messages * 4
            while left > 0 and (got := wire.recv(65_536)):
                left -= len(got)

        reader = threading.Thread(target=drain)
        reader.start()
        wire.sendall(data)
        reader.join()


class Plain:
    """What a first script does."""

    class Read(BaseModel):
        """One model a read."""

        meter: str
        channel: str
        start: datetime
        value: int

    def __init__(self, folder: Path, port: int) -> None:
        self.rows = 0
        self._path = folder / "plain.db"
        self._port = port

    def start(self) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="plain", clean_session=False)
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
        self.rows += 1

    def count(self) -> int:
        return self.rows

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
        configure_logs(settings.log)
        self._database = Database(f"sqlite:///{folder / 'journal.db'}", "journal")
        self._journal = Journal(self._database)
        self._writer = JournalWriter(self._journal, settings.collect, utc_now)
        self._collector = MqttCollector(settings.mqtt, settings.collect, Topics(), self._writer)

    def start(self) -> None:
        self._collector.start()
        self._writer.start()

    def count(self) -> int:
        return self._journal.last_offset

    def stop(self) -> None:
        self._writer.stop()
        self._collector.stop()
        self._database.close()


def rate(make: object, messages: int) -> float:
    """Messages a second from the first packet to the last durable one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Mosquitto(folder)
        subscriber = make(folder, broker.port)  # type: ignore[operator]
        try:
            subscriber.start()
            publisher = multiprocessing.get_context("spawn").Process(target=publish, args=(broker.port, messages))
            publisher.start()
            while not (before := subscriber.count()):
                time.sleep(0.001)
            began = time.perf_counter()
            while subscriber.count() < messages:
                time.sleep(0.005)
            seconds = time.perf_counter() - began
            publisher.join()
        finally:
            subscriber.stop()
            broker.kill()
    return (messages - before) / seconds


def main(quick: bool = False) -> None:
    """Print the table."""
    messages, plain_messages, repeats = (10_000, 2_000, 1) if quick else (100_000, 10_000, 3)
    ways = {
        "head-end, MQTT 5": (lambda folder, port: Ours(folder, port, "5"), messages),
        "head-end, MQTT 3.1.1": (lambda folder, port: Ours(folder, port, "3.1.1"), messages),
        "plain: model and row a read, commit a message": (Plain, plain_messages),
    }
    rates = {name: [] for name in ways}
    for _ in range(repeats):
        for name, (make, count) in ways.items():
            rates[name].append(rate(make, count))
    base = statistics.median(rates["plain: model and row a read, commit a message"])
    show(
        f"Collector: Mosquitto → durable, {READS} reads a message (median of {repeats})",
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
