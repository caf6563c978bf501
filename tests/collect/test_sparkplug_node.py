"""Sparkplug B as another's software speaks it: pysparkplug through a real broker, and its own list of the fields."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from headend.collect.claims import Claims
from headend.collect.sparkplug import (
    SUBSCRIPTIONS,
    follow_sequence,
    gateway_of,
    host_state,
    read_sparkplug,
    rebirth_command,
)
from headend.collect.sparkplug_payload import Payload
from tests.servers import Mosquitto, needs

PYTHON = Path(__file__).parents[2] / ".foreign/venv/bin/python"
NODE = Path(__file__).parents[1] / "foreign/sparkplug_node.py"


class Host:
    """A subscriber that hands what it gets to the decoder, and keeps births and sequence as the head-end does."""

    def __init__(self, port: int) -> None:
        self._messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.births: dict[tuple[str, str], str] = {}
        self.lost = False
        self._seq: int | None = None
        subscribed = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda _client, _data, message: self._messages.put((message.topic, message.payload))
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.connect("127.0.0.1", port)
        self.client.subscribe([(topic, 1) for topic in SUBSCRIPTIONS])
        self.client.loop_start()
        assert subscribed.wait(10)

    def hear(self, kind: str) -> Claims:
        """The claims of the next message, which is of this kind."""
        topic, payload = self._messages.get(timeout=20)
        assert topic.split("/")[2] == kind
        assert gateway_of(topic) == "plant.press"
        self._seq, self.lost = follow_sequence(topic, payload, self._seq)
        claims = read_sparkplug(topic, payload, self.births)
        self.births |= {(birth.node, birth.device): birth.metrics for birth in claims.births}
        return claims

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    yield broker
    broker.kill()


@pytest.fixture
def host(broker: Mosquitto) -> Iterator[Host]:
    host = Host(broker.port)
    yield host
    host.close()


@pytest.fixture
def node(broker: Mosquitto, host: Host) -> Iterator[subprocess.Popen[str]]:
    needs("pysparkplug", PYTHON.exists())
    process = subprocess.Popen([PYTHON, NODE, str(broker.port)], stdin=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def registers(claims: Claims) -> list[tuple[str, str, int, str | None]]:
    assert claims.faults == []
    return [(read.meter, read.channel, read.value, read.serial) for _, read in claims.registers]


def test_a_foreign_node_is_born_read_by_alias_reborn_and_dies(host: Host, node: subprocess.Popen[str]) -> None:
    born = host.hear("NBIRTH")
    assert (born.online, born.rebirth) == (True, False)
    assert abs((born.sent_at - datetime.now(UTC)).total_seconds()) < 60
    assert registers(born) == [("E-2", "1-0:1.8.0", 900, None)]
    at_birth = [("E-1", "1-0:1.8.0", 48_211_370, "SN-1"), ("E-1", "1-0:2.8.0", 18, "SN-1")]
    assert registers(host.hear("DBIRTH")) == at_birth

    node.stdin.write("48211384\n")
    node.stdin.flush()
    assert registers(host.hear("DDATA")) == [("E-1", "1-0:1.8.0", 48_211_384, "SN-1")]

    host.births.clear()  # a head-end that has only just come
    node.stdin.write("48211385\n")
    node.stdin.flush()
    nameless = host.hear("DDATA")
    assert (nameless.rebirth, [fault.fault for _, fault in nameless.faults]) == (True, ["no birth"])
    assert not host.lost
    host.client.publish(*rebirth_command("plant/press", datetime.now(UTC)))
    assert host.hear("NBIRTH").online is True
    assert registers(host.hear("DBIRTH")) == at_birth
    node.stdin.write("48211386\n")
    node.stdin.flush()
    assert registers(host.hear("DDATA")) == [("E-1", "1-0:1.8.0", 48_211_386, "SN-1")]

    node.stdin.close()
    assert host.hear("NDEATH").online is False


def test_our_fields_are_the_ones_that_others_use() -> None:
    needs("pysparkplug", PYTHON.exists())
    script = (
        "import json; from pysparkplug._protobuf.sparkplug_b_pb2 import Payload as P; D = P.DESCRIPTOR;"
        "print(json.dumps({d.name: {f.name: [f.number, f.type, f.containing_oneof and f.containing_oneof.name]"
        " for f in d.fields} for d in (D, *D.nested_types)}))"
    )
    theirs = json.loads(subprocess.check_output([PYTHON, "-c", script], text=True, env=os.environ))
    ours = {
        message.name: {
            field.name: [field.number, field.type, field.containing_oneof and field.containing_oneof.name]
            for field in message.fields
        }
        for message in Payload.DESCRIPTOR.file.message_types_by_name.values()
    }
    assert set(ours) == {"Payload", "Metric", "PropertySet", "PropertyValue"}
    for name, fields in ours.items():
        assert fields == {field: theirs[name][field] for field in fields}


def test_the_state_of_the_host_is_what_version_3_says() -> None:
    topic, payload = host_state("headend", True, 1_767_618_007_000)
    assert topic == "spBv1.0/STATE/headend"
    assert json.loads(payload) == {"online": True, "timestamp": 1_767_618_007_000}
