"""A small head-end that keeps what it gets and acknowledges it, as docs/wire-format.md says."""

from __future__ import annotations

import hashlib
import json
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion


class TinyHeadEnd:
    """Keeps the first value of each interval and acknowledges; may lose messages first, or be deaf for a while."""

    def __init__(self, port: int, loses: float = 0.0) -> None:
        self.values: dict[tuple[str, str, str], int | None] = {}
        self.registers: dict[tuple[str, str], dict[str, int]] = {}
        self.starts: list[str] = []
        self.status: dict[str, bool] = {}
        self.firmware: dict[str, str] = {}
        self.unreadable: list[str] = []
        self.events: list[tuple[str, int, dict]] = []
        self.order: list[tuple[str, int]] = []
        self.registers_read: list[dict] = []
        self.results: queue.Queue[tuple[str, dict]] = queue.Queue()
        self.offline_at: list[str] = []
        self.messages = self.duplicates = self.garbage = self.lost = self.foreign = 0
        self.deaf = False
        self.heard = threading.Event()
        self._loses = loses
        self._chance = random.Random(7)
        self._dropped: set[tuple[str, int]] = set()
        self._got: dict[str, set[int]] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        self._ready = threading.Event()
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def command(self, gateway: str, number: int, kind: str, args: dict, lasts_s: float = 86_400.0) -> None:
        """Give a gateway a command that expires so long after 1 November 2026."""
        expires = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=lasts_s)
        told = {"id": number, "kind": kind, "sent_at": "2026-09-01T00:00:00Z", "expires_at": expires.isoformat()}
        self._client.publish(f"headend/v1/{gateway}/command", json.dumps(told | {"args": args}), qos=1)

    def await_online(self, gateway: str) -> None:
        """Return once the gateway has said that it is there."""
        until = time.monotonic() + 20
        while not self.status.get(gateway):
            assert time.monotonic() < until, f"{gateway} is not there"
            time.sleep(0.01)

    def result(self, number: int, *states: str) -> dict:
        """Wait for a result of a command that has one of these states."""
        while True:
            _, told = self.results.get(timeout=20)
            if told["id"] == number and told["state"] in states:
                return told

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe([(f"headend/v1/+/{leaf}", 1) for leaf in ("reads", "events", "status", "result")])

    def _on_message(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        gateway, leaf = message.topic.split("/")[2:]
        if leaf == "status":
            told = json.loads(message.payload)
            self.status[gateway] = told["online"]
            if told["online"]:
                self.firmware[gateway] = told["firmware"]
            else:
                self.offline_at.append(gateway)
            return
        if leaf == "result":
            self.results.put((gateway, json.loads(message.payload)))
            return
        self.heard.set()
        if self.deaf:
            return
        try:
            reads = json.loads(message.payload)
        except ValueError:
            self.garbage += 1
            self.unreadable.append(hashlib.sha256(message.payload).hexdigest())
            return
        if (gateway, reads["seq"]) not in self._dropped and self._chance.random() < self._loses:
            self._dropped.add((gateway, reads["seq"]))
            self.lost += 1
            return
        self.order.append((gateway, reads["seq"]))
        self._keep(gateway, reads)
        got = self._got[gateway]
        missing = [seq for seq in range(reads["oldest"], max(got)) if seq not in got]
        client.publish(f"headend/v1/{gateway}/ack", json.dumps({"through": max(got), "missing": missing}), qos=1)

    def _keep(self, gateway: str, reads: dict) -> None:
        got = self._got.setdefault(gateway, set())
        if reads["seq"] in got:
            self.duplicates += 1
            return
        got.add(reads["seq"])
        self.messages += 1
        self.events += [(gateway, reads["seq"], event) for event in reads.get("events", ())]
        self.registers_read += reads.get("registers", ())
        for block in reads.get("blocks", ()):
            if "register" not in block:
                self.foreign += 1
                continue
            begin = int(block["start"][11:13])
            day, meter, channel = block["start"][:11], block["meter"], block["channel"]
            assert block["interval_s"] == 3600
            assert begin + len(block["values"]) <= 24, "blocks are cut at UTC midnights"
            for i, value in enumerate(block["values"]):
                assert self.values.setdefault((meter, channel, f"{day}{begin + i:02d}:00:00Z"), value) == value
            end = f"{day}{begin + len(block['values']) - 1:02d}:00:00Z"
            self.registers.setdefault((meter, channel), {})[end] = block["register"]


@pytest.fixture
def head_end() -> Iterator[Callable[..., TinyHeadEnd]]:
    running: list[TinyHeadEnd] = []

    def start(port: int, **options: float) -> TinyHeadEnd:
        running.append(TinyHeadEnd(port, **options))
        return running[-1]

    yield start
    for one in running:
        one.close()
