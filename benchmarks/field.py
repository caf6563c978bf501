"""The field as benchmarks play it: packets made before, pushed through a socket, and the acknowledgements that come."""

from __future__ import annotations

import json
import multiprocessing
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

GATEWAYS = 50
METERS = 10_000
BEGIN = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=101)
READS = 24
"""A message, in two of the three kinds of traffic."""
_VARIES = 500
_UNTIL = [0, *accumulate(place % _VARIES for place in range(2 * _VARIES))]

#: Gateway and payload of each message, so many of them.
Traffic = Callable[[int], Iterator[tuple[str, bytes]]]

_TOGETHER_S = 600


def days(count: int) -> Iterator[tuple[str, bytes]]:
    """Messages of one meter's 24 hours each, as after an outage; a day of all meters, then the next."""
    seq: Counter[str] = Counter()
    for number in range(count):
        day, meter = divmod(number, METERS)
        start = BEGIN + timedelta(days=day)
        yield _message(seq, meter, start + timedelta(days=1), [_block(meter, start, READS)])


def hours(count: int) -> Iterator[tuple[str, bytes]]:
    """Messages of 24 meters' last hour each, as usual; an hour of all meters, then the next."""
    seq: Counter[str] = Counter()
    behind = METERS // GATEWAYS
    parts = -(-behind // READS)
    for number in range(count):
        hour, place = divmod(number, GATEWAYS * parts)
        gateway, part = divmod(place, parts)
        start = BEGIN + timedelta(hours=hour)
        meters = range(gateway, METERS, GATEWAYS)[part * READS : (part + 1) * READS]
        yield _message(seq, gateway, start + timedelta(hours=1), [_block(meter, start, 1) for meter in meters])


def four_days(count: int) -> Iterator[tuple[str, bytes]]:
    """Messages of four meters' 24 hours each; a day of all meters, then the next."""
    seq: Counter[str] = Counter()
    together = METERS // 4
    for number in range(count):
        day, place = divmod(number, together)
        gateway, part = place % GATEWAYS, place // GATEWAYS
        start = BEGIN + timedelta(days=day)
        meters = range(gateway, METERS, GATEWAYS)[part * 4 : part * 4 + 4]
        yield _message(seq, gateway, start + timedelta(days=1), [_block(meter, start, READS) for meter in meters])


def reads_in(traffic: Traffic, count: int) -> int:
    """How many reads so many messages carry."""
    return sum(len(block["values"]) for _, payload in traffic(count) for block in json.loads(payload)["blocks"])


def _block(meter: int, start: datetime, count: int) -> dict[str, Any]:
    first = int((start - BEGIN).total_seconds()) // 3600
    cycles, rest = divmod(first + count, _VARIES)
    begin = meter * 7 % _VARIES
    varied = cycles * _UNTIL[_VARIES] + _UNTIL[begin + rest] - _UNTIL[begin]
    return {
        "meter": f"E-{meter:05}",
        "channel": "1-0:1.8.0",
        "start": _zulu(start),
        "interval_s": 3600,
        "values": [1_000 + (meter * 7 + first + i) % _VARIES for i in range(count)],
        "register": 1_000_000 + 1_000 * (first + count) + varied,
    }


def _message(seq: Counter[str], meter: int, end: datetime, blocks: list[dict[str, Any]]) -> tuple[str, bytes]:
    gateway = f"GW-{meter % GATEWAYS:03}"
    seq[gateway] += 1
    message = {"seq": seq[gateway], "sent_at": _zulu(end + timedelta(seconds=5)), "blocks": blocks}
    return gateway, json.dumps(message).encode()


def _zulu(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


class Field:
    """A process that has its messages ready, sends them when told, and knows when they are acknowledged.

    Use it as a context.

    Parameters
    ----------
    port
        of the broker on this machine.
    """

    def __init__(self, port: int, traffic: Traffic, messages: int) -> None:
        start = multiprocessing.get_context("spawn")
        self._ready, self._go, self._sent, self._acknowledged = (start.Event() for _ in range(4))
        events = (self._ready, self._go, self._sent, self._acknowledged)
        self._process = start.Process(target=_play, args=(port, traffic, messages, *events), daemon=True)

    def __enter__(self) -> Field:
        self._process.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    def go(self) -> None:
        """Send as fast as the broker takes it."""
        self._go.set()

    def wait_until_sent(self) -> None:
        """Return once the broker has acknowledged all (by PUBACK)."""
        assert self._sent.wait(_TOGETHER_S)

    def wait_until_acknowledged(self) -> None:
        """Return once the head-end has acknowledged all (by `ack`) to every gateway."""
        assert self._acknowledged.wait(_TOGETHER_S)


def _play(port: int, traffic: Traffic, messages: int, ready: Any, go: Any, sent: Any, acknowledged: Any) -> None:
    packets, last = bytearray(), Counter[str]()
    for number, (gateway, payload) in enumerate(traffic(messages)):
        packets += _packet(f"headend/v1/{gateway}/reads".encode(), number % 65_535 + 1, payload)
        last[gateway] += 1
    listener = _listen(port, last, acknowledged)
    with socket.create_connection(("127.0.0.1", port)) as wire:
        name = b"field"
        connect = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack("!H", len(name)) + name
        wire.sendall(bytes([0x10, len(connect)]) + connect)
        wire.recv(4)
        ready.set()
        go.wait()
        pusher = threading.Thread(target=wire.sendall, args=(packets,))
        pusher.start()
        left = 4 * messages  # bytes of PUBACKs
        while left:
            left -= len(wire.recv(65_536))
        pusher.join()
    sent.set()
    acknowledged.wait()
    listener.disconnect()


def _listen(port: int, last: Counter[str], acknowledged: Any) -> paho.Client:
    owed = dict(last)

    def on_message(_client: object, _data: object, message: paho.MQTTMessage) -> None:
        gateway, ack = message.topic.split("/")[2], json.loads(message.payload)
        if owed.get(gateway) == ack["through"] and not ack["missing"]:
            del owed[gateway]
        if not owed:
            acknowledged.set()

    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = on_message
    subscribed = threading.Event()
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", port)
    client.subscribe("headend/v1/+/ack", 1)
    client.loop_start()
    subscribed.wait()
    return client


def _packet(topic: bytes, mid: int, payload: bytes) -> bytes:
    """An MQTT 3.1.1 PUBLISH at QoS 1."""
    body = struct.pack("!H", len(topic)) + topic + struct.pack("!H", mid) + payload
    length, encoded = len(body), bytearray()
    while True:
        length, digit = divmod(length, 128)
        encoded.append(digit | (0x80 if length else 0))
        if not length:
            return bytes([0x32]) + encoded + body
