"""The MQTT collector: broker → journal → acknowledgement.

Two threads and a bounded queue. paho's network thread only puts messages into the queue; when the queue is full it
waits, TCP fills up and the broker holds back: memory stays bounded and nothing is thrown away. The writer thread takes
what is there, commits it to the journal in one transaction and only then sends PUBACK to the broker and, gathered over
a moment, `ack` to each gateway.

PUBACKs belong to a connection: after a reconnect the broker delivers again what was not acknowledged, under numbers
that may be used anew, so those of an older connection are not sent.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from headend.collect.wire import Envelope, Topic, read_envelope
from headend.config import CollectSettings, MqttSettings
from headend.errors import InvalidMessage
from headend.store.journal import Arrival, Journal
from headend.store.sequence import SequenceWindow

log = structlog.get_logger(__name__)

#: What the field says, at QoS 1.
TOPICS = ("headend/v1/+/reads", "headend/v1/+/events", "headend/v1/+/status")

#: Of a message that is too large the journal keeps this much: enough to see who sent what.
_EXCERPT_BYTES = 4_096

_RECONNECT_S = (1, 30)
_JOURNAL_RETRY_S = 1.0
_FIRST_CONTACT_S = 3.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A message between the network and the journal."""

    arrival: Arrival
    envelope: Envelope | None
    mid: int
    qos: int
    connection: int


class MqttCollector:
    """Collects from one broker into one journal, from `start` to `stop`.

    Parameters
    ----------
    journal
        this collector is the only one to append to it.
    clock
        tells when a message came.
    """

    def __init__(
        self, mqtt: MqttSettings, collect: CollectSettings, journal: Journal, clock: Callable[[], datetime]
    ) -> None:
        self._mqtt, self._collect, self._journal, self._clock = mqtt, collect, journal, clock
        self._windows: dict[str, SequenceWindow] = journal.windows()
        self._waiting: queue.Queue[_Waiting | None] = queue.Queue(collect.queue)
        self._owed: dict[str, None] = {}  # gateways to be acknowledged, in the order they came
        self._connection = 0
        self._stopping = threading.Event()
        #: Set while the broker sends us what the field says.
        self.subscribed = threading.Event()
        self._client = self._make_client()
        self._writer = threading.Thread(target=self._write, name="journal-writer", daemon=True)

    def _make_client(self) -> paho.Client:
        v5 = self._mqtt.protocol == "5"
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._mqtt.client_id,
            clean_session=None if v5 else False,
            protocol=paho.MQTTv5 if v5 else paho.MQTTv311,
            manual_ack=True,
        )
        if self._mqtt.username:
            client.username_pw_set(self._mqtt.username, self._mqtt.password)
        client.reconnect_delay_set(*_RECONNECT_S)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    def start(self) -> None:
        """Begin to collect. A broker that is there is subscribed to by the end; one that is not is tried again."""
        self._writer.start()
        properties: dict[str, Any] = {}
        if self._mqtt.protocol == "5":
            connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            connect.SessionExpiryInterval = self._mqtt.session_expiry_s
            connect.ReceiveMaximum = min(self._collect.queue, 65_535)
            properties = {"clean_start": False, "properties": connect}
        self._client.connect_async(self._mqtt.host, self._mqtt.port, self._mqtt.keepalive_s, **properties)
        self._client.loop_start()
        self.subscribed.wait(_FIRST_CONTACT_S)

    def stop(self) -> None:
        """Take no more, commit what is waiting, acknowledge it, disconnect."""
        self._stopping.set()
        self._waiting.put(None)
        self._writer.join()
        self._client.disconnect()
        self._client.loop_stop()

    # -- network thread --

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log.warning("broker refused the connection", reason=str(reason))
            return
        self._connection += 1
        client.subscribe([(topic, 1) for topic in TOPICS])

    def _on_connect_fail(self, _client: paho.Client, _data: Any) -> None:
        log.warning("no broker there, trying again", broker=f"{self._mqtt.host}:{self._mqtt.port}")

    def _on_subscribe(self, _client: paho.Client, _data: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        if refused := [str(reason) for reason in reasons if reason.is_failure]:
            log.error("broker refused our subscriptions", reasons=refused)
            return
        self.subscribed.set()
        log.info("collecting", broker=f"{self._mqtt.host}:{self._mqtt.port}", protocol=self._mqtt.protocol)

    def _on_disconnect(self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.subscribed.clear()
        if not self._stopping.is_set():
            log.warning("lost the broker, will come back", reason=str(reason))

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        if self._stopping.is_set():
            return  # not acknowledged: the broker keeps it
        try:
            gateway = Topic.parse(message.topic).gateway
        except InvalidMessage:
            gateway = ""
        payload = bytes(message.payload)
        size = len(payload)
        envelope = read_envelope(payload)
        if size > self._collect.max_message_bytes:
            payload = payload[:_EXCERPT_BYTES]
        received_us = int(self._clock().timestamp() * 1_000_000)
        arrival = Arrival(received_us, message.topic, gateway, payload, size)
        self._waiting.put(_Waiting(arrival, envelope, message.mid, message.qos, self._connection))

    # -- writer thread --

    def _write(self) -> None:
        every_s = self._collect.acknowledge_every_ms / 1_000
        due = time.monotonic()
        running = True
        while running:
            batch, running = self._take(max(0.0, due - time.monotonic()) if self._owed else None)
            if batch:
                self._commit(batch)
            if self._owed and (time.monotonic() >= due or not running):
                self._acknowledge_gateways()
                due = time.monotonic() + every_s

    def _take(self, timeout: float | None) -> tuple[list[_Waiting], bool]:
        """All that waits, up to one commit's worth; False once there will be no more."""
        batch: list[_Waiting] = []
        try:
            item = self._waiting.get(timeout=timeout)
            while item is not None:
                batch.append(item)
                if len(batch) == self._collect.commit_messages:
                    return batch, True
                item = self._waiting.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _commit(self, batch: list[_Waiting]) -> None:
        # Windows are noted on copies: what the journal has not taken must never be acknowledged.
        changed: dict[str, SequenceWindow] = {}
        for item in batch:
            if item.envelope is not None and item.arrival.gateway:
                gateway = item.arrival.gateway
                window = changed.get(gateway)
                if window is None:
                    window = changed[gateway] = self._windows.get(gateway, SequenceWindow()).copy()
                window.note(item.envelope.seq, item.envelope.epoch, item.envelope.oldest)
        while True:
            try:
                self._journal.append([item.arrival for item in batch], changed)
                break
            except Exception as error:
                # Disk full, the database away, memory short: nothing is acknowledged, the broker waits.
                log.warning("journal refused a commit, trying again", messages=len(batch), error=str(error))
                if self._stopping.wait(_JOURNAL_RETRY_S):
                    return
        self._windows.update(changed)
        for item in batch:
            if item.qos and item.connection == self._connection:
                self._client.ack(item.mid, item.qos)
        self._owed.update(dict.fromkeys(changed))

    def _acknowledge_gateways(self) -> None:
        for gateway in self._owed:
            answer = json.dumps(self._windows[gateway].acknowledgement(), separators=(",", ":"))
            self._client.publish(f"headend/v1/{gateway}/ack", answer, qos=1)
        self._owed.clear()
