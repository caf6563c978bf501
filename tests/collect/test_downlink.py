"""The downlink over a real broker: what is due arrives, once, as documented, whatever comes between."""

from __future__ import annotations

import hashlib
import json
import queue
import threading
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from paho.mqtt.enums import CallbackAPIVersion

from headend.collect.downlink import Downlink
from headend.collect.sparkplug_payload import Payload
from headend.collect.wire import ResultMessage
from headend.config import load_settings
from headend.errors import HeadendError
from headend.registry.firmware import add_image, make_keys, roll_out, sign
from headend.store import tables as t
from headend.store.commands import Command, ask_for_rebirth, commands_of, queue_command, take_result
from tests.databases import file_database
from tests.servers import Mosquitto

NOW = datetime(2026, 1, 5, 13, 0, 7, tzinfo=UTC)
DAY = timedelta(days=1)
SETTINGS = load_settings().commands.model_copy(update={"look_every_ms": 10})


class Peer:
    """Something at the broker that hears what is sent to it."""

    def __init__(self, port: int, *topics: str) -> None:
        self.heard: queue.Queue[paho.MQTTMessage] = queue.Queue()
        subscribed = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda _client, _data, message: self.heard.put(message)
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        if topics:
            self.client.subscribe([(topic, 1) for topic in topics])
            assert subscribed.wait(10)

    def next(self) -> dict[str, Any]:
        return json.loads(self.heard.get(timeout=10).payload)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Office:
    """A head-end's database, its clock, and a connection to the broker."""

    def __init__(self, folder: Path, broker: Mosquitto) -> None:
        self.database = file_database(folder / "site.db", "site")
        self.now = NOW
        self.broker_is_away = False
        self._client = Peer(broker.port)
        with self.database.write() as tx:
            tx.execute(t.gateway.insert().values(name="GW-1", messages=1))

    def publish(self, topic: str, payload: bytes) -> None:
        if self.broker_is_away:
            raise HeadendError("the broker is away")
        self._client.client.publish(topic, payload, qos=1)

    def downlink(self) -> Downlink:
        return Downlink(self.database, self.publish, SETTINGS, lambda: self.now)

    def queue(self, kind: str = "restart", **args: Any) -> int:
        with self.database.write() as tx:
            return queue_command(tx, "GW-1", kind, args, by="olga", now=self.now, expires=self.now + DAY)

    def answer(self, number: int, state: str, wanted: tuple[int, int] | None = None) -> None:
        said = ResultMessage(id=number, state=state, sent_at=self.now, wanted=wanted)
        with self.database.write() as tx:
            take_result(tx, "GW-1", said, self.now)

    def newest(self) -> Command:
        with self.database.read() as tx:
            return commands_of(tx, limit=1)[0]

    def close(self) -> None:
        self._client.close()
        self.database.close()


@pytest.fixture
def office(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Office]:
    made = Office(tmp_path, mosquitto)
    yield made
    made.close()


@pytest.fixture
def gateway(mosquitto: Mosquitto) -> Iterator[Peer]:
    made = Peer(mosquitto.port, "headend/v1/GW-1/command")
    yield made
    made.close()


def nothing_more(office: Office, gateway: Peer) -> bool:
    """Whether the next thing that comes is what is sent now."""
    office.publish("headend/v1/GW-1/command", b'"now"')
    return gateway.next() == "now"


def test_command_arrives_as_documented(office, gateway):
    gap = {
        "meter": "E-10023",
        "channel": "1-0:1.8.0",
        "from": "2026-01-05T02:00:00Z",
        "to": "2026-01-05T05:00:00Z",
    }
    number = office.queue("backfill", gaps=[gap])
    downlink = office.downlink()
    downlink.start()
    try:
        assert gateway.next() == {
            "id": number,
            "kind": "backfill",
            "sent_at": "2026-01-05T13:00:07Z",
            "expires_at": "2026-01-06T13:00:07Z",
            "args": {"gaps": [gap]},
        }
    finally:
        downlink.stop()
    command = office.newest()
    assert (command.state, command.attempts, command.sent) == ("sent", 1, NOW)


def test_unanswered_command_is_sent_again_until_it_expires(office, gateway):
    number, downlink = office.queue(), office.downlink()
    for minute in range(3):
        office.now = NOW + timedelta(minutes=minute)
        downlink.look()
        downlink.look()
        message = gateway.next()
        assert (message["id"], message["sent_at"]) == (number, f"2026-01-05T13:0{minute}:07Z")
    office.now = NOW + DAY
    downlink.look()
    assert (office.newest().state, office.newest().attempts) == ("expired", 3)
    assert nothing_more(office, gateway)


def test_clock_is_set_to_the_moment_of_sending_unless_somebody_says_otherwise(office, gateway):
    office.queue("set_clock")
    office.queue("set_clock", time="2026-02-01T00:00:00Z")
    office.now = NOW + timedelta(minutes=5)
    office.downlink().look()
    assert gateway.next()["args"] == {"time": "2026-01-05T13:05:07Z"}
    assert gateway.next()["args"] == {"time": "2026-02-01T00:00:00Z"}


def test_what_the_broker_does_not_take_is_not_marked_as_sent(office, gateway):
    number, downlink = office.queue(), office.downlink()
    office.broker_is_away = True
    downlink.look()
    assert (office.newest().state, office.newest().attempts) == ("queued", 0)
    office.broker_is_away = False
    downlink.look()
    assert gateway.next()["id"] == number
    assert office.newest().attempts == 1


def test_several_collectors_send_each_command_once(office, gateway):
    numbers = [office.queue() for _ in range(20)]
    downlinks = [office.downlink() for _ in range(3)]
    for downlink in downlinks:
        downlink.start()
    try:
        assert [gateway.next()["id"] for _ in numbers] == numbers
        last = office.queue()
        assert gateway.next()["id"] == last
    finally:
        for downlink in downlinks:
            downlink.stop()


def test_a_database_that_is_away_for_a_moment_stops_nothing(office, gateway):
    broken, mended = threading.Event(), threading.Event()

    def clock() -> datetime:
        if not mended.is_set():
            broken.set()
            raise OSError("disk I/O error")
        return NOW

    downlink = Downlink(office.database, office.publish, SETTINGS, clock)
    downlink.start()
    try:
        assert broken.wait(10)
        number = office.queue()
        mended.set()
        assert gateway.next()["id"] == number
    finally:
        downlink.stop()


def test_a_node_is_asked_for_its_names_in_sparkplugs_own_words(office, mosquitto):
    node = Peer(mosquitto.port, "spBv1.0/plant/NCMD/press.2")
    with office.database.write() as tx:
        ask_for_rebirth(tx, "plant.press.2", NOW)
    office.downlink().look()
    payload = Payload.FromString(node.heard.get(timeout=10).payload)
    (metric,) = payload.metrics
    assert (metric.name, metric.boolean_value) == ("Node Control/Rebirth", True)
    node.close()


def test_gateway_fetches_firmware_through_a_lost_link_and_verifies_it(office, mosquitto, tmp_path: Path):
    image = hashlib.shake_128(b"firmware").digest(200_000)  # 13 chunks of 16,384, the last of 3,392
    public = load_pem_public_key(make_keys(tmp_path / "key.pem").read_bytes())
    with office.database.write() as tx:
        add_image(tx, "2.0", image, sign(image, tmp_path / "key.pem"), by="olga", now=NOW)
        roll_out(tx, "2.0", ["GW-1"], by="olga", now=NOW, expires=NOW + DAY)
    downlink, kept = office.downlink(), dict[int, bytes]()

    def fetch(gateway: Peer, number: int, wanted: tuple[int, int]) -> list[int]:
        office.answer(number, "progress", wanted)
        downlink.look()
        downlink.look()
        came = []
        for _ in range(min(8, wanted[1] - wanted[0])):
            message = gateway.next()
            assert (message["id"], message["kind"]) == (number, "firmware_chunk")
            came.append(message["args"]["index"])
            kept[came[-1]] = b64decode(message["args"]["data"])
        return came

    gateway = Peer(mosquitto.port, "headend/v1/GW-1/command")
    downlink.look()
    command = gateway.next()
    args = command["args"]
    assert (command["kind"], args["chunks"]) == ("firmware", 13)
    assert fetch(gateway, command["id"], (0, 13)) == list(range(8))  # no more than eight at a time
    gateway.close()
    gateway = Peer(mosquitto.port, "headend/v1/GW-1/command")
    assert fetch(gateway, command["id"], (8, 13)) == list(range(8, 13))
    whole = b"".join(kept[index] for index in range(13))
    assert (len(whole), hashlib.sha256(whole).hexdigest()) == (args["size"], args["sha256"])
    public.verify(b64decode(args["signature"]), whole)
    office.answer(command["id"], "progress", (13, 2**62))  # behind the end there is nothing
    downlink.look()
    assert nothing_more(office, gateway)
    office.answer(command["id"], "progress", (0, 8))
    office.answer(command["id"], "done")
    downlink.look()
    assert nothing_more(office, gateway)
    gateway.close()
    assert (office.newest().state, office.newest().wanted) == ("done", None)
