"""A small head-end that keeps what it gets and acknowledges it, as docs/wire-format.md says."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator

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

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe([("headend/v1/+/reads", 1), ("headend/v1/+/status", 1)])

    def _on_message(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        gateway, leaf = message.topic.split("/")[2:]
        if leaf == "status":
            self.status[gateway] = json.loads(message.payload)["online"]
            return
        self.heard.set()
        if self.deaf:
            return
        try:
            reads = json.loads(message.payload)
        except ValueError:
            self.garbage += 1
            return
        if (gateway, reads["seq"]) not in self._dropped and self._chance.random() < self._loses:
            self._dropped.add((gateway, reads["seq"]))
            self.lost += 1
            return
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
        for block in reads["blocks"]:
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
