"""The collector against real brokers: what is acknowledged is durable, what is wrong is kept, and it comes back."""

from __future__ import annotations

import gc
import json
import os
import queue
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from sqlalchemy import event

from headend.app import utc_now
from headend.collect.broker import EmbeddedBroker
from headend.collect.mapping import ForeignFormat, load_mapping
from headend.collect.mqtt import MqttCollector
from headend.collect.topics import Topics
from headend.collect.writer import JournalWriter
from headend.config import Settings, load_settings, shipped
from headend.store.database import Database
from headend.store.journal import Journal
from tests.servers import Mosquitto, free_port

MIB = 2**20


def resident_bytes() -> int:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Gateway:
    """A gateway made of nothing but a client: publishes what it is told, and keeps the acks it hears."""

    def __init__(self, port: int, name: str = "GW-1") -> None:
        self.name = name
        self.acks: queue.Queue[dict] = queue.Queue()
        subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda _client, _data, message: self.acks.put(json.loads(message.payload))
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(f"headend/v1/{name}/ack", 1)
        self._client.loop_start()
        assert subscribed.wait(10)

    def publish(self, payload: bytes, kind: str = "reads") -> None:
        self.publish_to(f"headend/v1/{self.name}/{kind}", payload)

    def publish_to(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(10)

    def send(self, *seqs: int, padding: int = 0, **more: object) -> None:
        for seq in seqs:
            self.publish(json.dumps({"seq": seq, "padding": "x" * padding} | more).encode())

    def heard_through(self, through: int) -> dict:
        """The first ack that reaches so far."""
        while (ack := self.acks.get(timeout=20))["through"] < through:
            pass
        return ack

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Collector:
    """Collector and writer as a head-end runs them: the writer is started last and stopped first."""

    def __init__(self, settings: Settings, journal: Journal, topics: Topics) -> None:
        self._writer = JournalWriter(journal, settings.collect, utc_now)
        self.mqtt = MqttCollector(settings.mqtt, settings.collect, topics, self._writer)
        self.mqtt.start()
        self._writer.start()
        assert self.mqtt.subscribed.wait(10)

    def stop(self) -> None:
        self._writer.stop()
        self.mqtt.stop()


class Bench:
    """A broker's port, and collectors and gateways on it that are put away at the end."""

    def __init__(
        self, folder: Path, port: int, protocol: str, *, broker_keeps: bool, formats: Sequence[ForeignFormat] = ()
    ) -> None:
        self.port, self._protocol, self._topics = port, protocol, Topics(formats)
        self.broker_keeps = broker_keeps  # what a subscriber that is away has not fetched; the embedded one does not
        self.sends = paho.MQTTv5 if broker_keeps else paho.MQTTv311  # what others may speak with it
        self.url = f"sqlite:///{folder / 'journal.db'}"
        self.journal = Journal(Database(self.url, "journal"))
        self._running: list[Collector] = []
        self._gateways: list[Gateway] = []

    def collector(self, journal: Journal | None = None, **collect: int) -> Collector:
        settings = load_settings(
            None,
            {
                "mqtt": {"embedded": False, "host": "127.0.0.1", "port": self.port, "protocol": self._protocol},
                "collect": {"acknowledge_every_ms": 10} | collect,
            },
        )
        made = Collector(settings, journal or self.journal, self._topics)
        self._running.append(made)
        return made

    def stop(self, collector: Collector) -> None:
        self._running.remove(collector)
        collector.stop()

    def gateway(self, name: str = "GW-1") -> Gateway:
        self._gateways.append(Gateway(self.port, name))
        return self._gateways[-1]

    def close(self) -> None:
        for collector in self._running:
            collector.stop()
        for gateway in self._gateways:
            gateway.close()


@pytest.fixture(params=["mosquitto, MQTT 5", "mosquitto, MQTT 3.1.1", "embedded, MQTT 3.1.1"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    kind, _, protocol = request.param.partition(", MQTT ")
    if kind == "embedded":
        port = free_port()
        broker = EmbeddedBroker("127.0.0.1", port)
        broker.start()
    else:
        broker = Mosquitto(tmp_path)
        port = broker.port
    made = Bench(tmp_path, port, protocol, broker_keeps=kind == "mosquitto")
    yield made
    made.close()
    if isinstance(broker, Mosquitto):
        broker.kill()
    else:
        broker.stop()
        # amqtt leaves sockets of clients that left in the middle; they are to be found here and not in another test.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del broker, made
            gc.collect()


def test_acknowledged_once_durable_and_holes_named(bench: Bench):
    bench.collector()
    gateway = bench.gateway()
    gateway.send(1, 2, 5)
    assert gateway.heard_through(5) == {"through": 5, "missing": [3, 4]}
    assert bench.journal.newest_offset() == 3
    gateway.send(3, 4)
    while (ack := gateway.acks.get(timeout=20))["missing"]:
        pass
    assert ack == {"through": 5, "missing": []}


def test_each_gateway_has_its_own_numbers(bench: Bench):
    bench.collector()
    one, other = bench.gateway("GW-1"), bench.gateway("GW-2")
    one.send(1, 2, 3)
    other.send(1, epoch="b")
    assert one.heard_through(3) == {"through": 3, "missing": []}
    assert other.heard_through(1) == {"through": 1, "missing": [], "epoch": "b"}


def test_what_is_no_message_is_journalled_and_does_no_harm(bench: Bench):
    bench.collector(max_message_bytes=2_000)
    gateway = bench.gateway()
    for payload in (b"", b"\xff\xfe", b"{", b"[]", b'{"seq": -1}', b'{"seq": "1"}', b"null"):
        gateway.publish(payload)
    gateway.send(1, padding=5_000)
    gateway.send(2)
    assert gateway.heard_through(2) == {"through": 2, "missing": []}
    entries = bench.journal.after(0, 100)
    assert [entry.payload for entry in entries[:3]] == [b"", b"\xff\xfe", b"{"]
    assert (len(entries[7].payload), entries[7].size) == (4_096, len(json.dumps({"seq": 1, "padding": "x" * 5_000})))
    assert bench.journal.verify() == 9


def test_nobody_outside_is_our_poller_or_our_importer(tmp_path: Path):
    """A mapping's topic filter may match ours: what comes through it is somebody else's all the same."""
    broker = Mosquitto(tmp_path)
    shelly = load_mapping(shipped("mappings/shelly-gen2.toml"))
    bench = Bench(tmp_path, broker.port, "5", broker_keeps=True, formats=[shelly])
    bench.collector()
    gateway = bench.gateway()
    for topic in ("file/events/rpc", "modbus/events/rpc"):
        gateway.publish_to(topic, b"{}")
    gateway.send(1)
    gateway.heard_through(1)
    topics = [entry.topic for entry in bench.journal.after(0, 9)]
    assert topics == ["mqtt/file/events/rpc", "mqtt/modbus/events/rpc", "headend/v1/GW-1/reads"]
    bench.close()
    broker.kill()


def test_numbers_are_remembered_over_a_restart(bench: Bench):
    collector, gateway = bench.collector(), bench.gateway()
    gateway.send(1, 3)
    gateway.heard_through(3)
    bench.stop(collector)
    bench.collector(Journal(Database(bench.url, "journal")))
    gateway.send(4)
    assert gateway.heard_through(4) == {"through": 4, "missing": [2]}


def test_what_came_while_the_collector_was_away_is_delivered(bench: Bench):
    bench.stop(bench.collector())
    gateway = bench.gateway()
    gateway.send(*range(1, 51))
    bench.collector()
    if not bench.broker_keeps:
        gateway.send(*range(1, 51))
    assert gateway.heard_through(50) == {"through": 50, "missing": []}


def test_a_full_disk_acknowledges_nothing_it_has_not_written(bench: Bench):
    database = Database(bench.url, "journal")
    event.listen(database.engine, "connect", lambda raw, _record: raw.execute("PRAGMA max_page_count = 40"))
    database.close()  # connections made from here on meet the full disk
    collector, gateway = bench.collector(Journal(database), acknowledge_every_ms=500), bench.gateway()
    gateway.send(1, 2)
    gateway.heard_through(2)
    gateway.send(3, padding=400_000)
    bench.stop(collector)
    assert bench.journal.newest_offset() == 2
    while not gateway.acks.empty():
        assert gateway.acks.get()["through"] <= 2
    bench.collector(Journal(Database(bench.url, "journal")))
    gateway.send(3, 4)  # what is not acknowledged, gateways send again
    assert gateway.heard_through(4) == {"through": 4, "missing": []}


def test_more_than_the_queue_holds_waits_at_the_broker(bench: Bench):
    bench.collector(queue=5, commit_messages=2)
    gateway = bench.gateway()
    gateway.send(*range(1, 301))
    assert gateway.heard_through(300) == {"through": 300, "missing": []}
    assert bench.journal.newest_offset() == 300


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_firehose_onto_a_full_disk_takes_no_more_memory_than_allowed(tmp_path: Path, protocol: str):
    broker = Mosquitto(tmp_path)
    bench = Bench(tmp_path, broker.port, protocol, broker_keeps=True)
    database = Database(bench.url, "journal")
    event.listen(database.engine, "connect", lambda raw, _record: raw.execute("PRAGMA max_page_count = 40"))
    database.close()
    bench.collector(Journal(database), queue_bytes=4 * MIB, commit_bytes=MIB)
    gateway = bench.gateway()
    gateway.send(1, padding=500_000)  # more than the disk takes: from here on no commit succeeds
    before = resident_bytes()
    gateway.send(*range(2, 202), padding=500_000)
    assert resident_bytes() - before < 16 * MIB
    assert bench.journal.newest_offset() == 0
    assert gateway.acks.empty()
    bench.close()
    broker.kill()


def test_properties_of_a_message_are_no_part_of_it(bench: Bench):
    bench.collector()
    gateway = bench.gateway()
    sender = paho.Client(CallbackAPIVersion.VERSION2, protocol=bench.sends)
    properties = Properties(PacketTypes.PUBLISH) if bench.sends == paho.MQTTv5 else None
    if properties is not None:
        properties.UserProperty = [("why", "x" * 300)]
        properties.MessageExpiryInterval = 60
    payload = json.dumps({"seq": 1, "padding": "y" * 300_000}).encode()
    sender.connect("127.0.0.1", bench.port)
    sender.loop_start()
    sender.publish("headend/v1/GW-1/reads", payload, qos=1, properties=properties).wait_for_publish(10)
    sender.publish("headend/v1/GW-1/events", b'{"seq": 2}', qos=0)
    assert gateway.heard_through(2) == {"through": 2, "missing": []}
    assert [entry.payload for entry in bench.journal.after(0, 10)] == [payload, b'{"seq": 2}']
    sender.disconnect()
    sender.loop_stop()
