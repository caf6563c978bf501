"""The MQTT collector: broker → journal writer → acknowledgement.

paho's network thread only hands messages to the writer; when the writer is full it waits, TCP fills up and the broker
holds back. What is durable is acknowledged twice: by PUBACK to the broker, at once, and by `ack` to the gateway,
gathered over a moment.

PUBACKs belong to a connection: after a reconnect the broker delivers again what was not acknowledged, under numbers
that may be used anew, so those of an older connection are not sent.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from functools import partial
from typing import Any

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from headend.collect.bulk_client import BulkClient
from headend.collect.sparkplug import host_state
from headend.collect.topics import FROM_OURSELVES, SPARKPLUG, Topics, is_numbered
from headend.collect.wire import Topic
from headend.collect.writer import JournalWriter
from headend.config import CollectSettings, MqttSettings
from headend.errors import HeadendError, InvalidConfig
from headend.store.sequence import SequenceWindow

log = structlog.get_logger(__name__)

# A broker that comes back meets all its clients at once; each waits a little differently.
_RECONNECT_S = (1.0, 2.0)
_LONGEST_WAIT_S = 30
_FIRST_CONTACT_S = 3.0
# Of what is too large we want to tell the operator, but nobody may fill our memory with one message (MQTT 5).
_LARGEST_PACKET = 8 * 1024 * 1024


class MqttCollector:
    """Collects from one broker into one journal, from `start` to `stop`.

    Parameters
    ----------
    topics
        what to subscribe to, and whose a message is.
    """

    def __init__(self, mqtt: MqttSettings, collect: CollectSettings, topics: Topics, writer: JournalWriter) -> None:
        self._mqtt, self._topics, self._writer = mqtt, topics, writer
        self._every_s = collect.acknowledge_every_ms / 1_000
        # What one commit made durable, for the broker and for the gateways; the writer's thread gathers it.
        self._to_broker: list[tuple[int, int]] = []
        self._to_gateways: dict[str, SequenceWindow] = {}
        self._owed: dict[str, SequenceWindow] = {}  # gateways to be acknowledged, in the order they came
        self._owing = threading.Condition()
        self._connection = 0
        self._present_ms = 0
        self._same_connection = threading.Lock()
        self._stopping = threading.Event()
        #: Set while the broker sends us what the field says.
        self.subscribed = threading.Event()
        self._client = self._make_client(collect)
        writer.after_commit(self._committed)
        self._acknowledger = threading.Thread(target=self._acknowledge_gateways, name="acknowledger", daemon=True)

    def _make_client(self, collect: CollectSettings) -> BulkClient:
        v5 = self._mqtt.protocol == "5"
        client = BulkClient(
            self._on_message,
            callback_api_version=CallbackAPIVersion.VERSION2,
            client_id=self._mqtt.client_id,
            clean_session=None if v5 else False,
            protocol=paho.MQTTv5 if v5 else paho.MQTTv311,
        )
        if self._mqtt.username:
            client.username_pw_set(self._mqtt.username, self._mqtt.password)
        if self._mqtt.tls:
            try:
                client.tls_set(ca_certs=self._mqtt.ca_file or None)
            except OSError as error:
                found = f"{self._mqtt.ca_file!r} ({error.strerror or error})"
                raise InvalidConfig("mqtt.ca_file", found, "a file of certificates (PEM)") from None
        client.reconnect_delay_set(random.uniform(*_RECONNECT_S), _LONGEST_WAIT_S)  # type: ignore[arg-type]  # noqa: S311
        self._connect: dict[str, Any] = {}
        if v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = self._mqtt.session_expiry_s
            properties.ReceiveMaximum = min(collect.queue, 65_535)
            properties.MaximumPacketSize = max(collect.max_message_bytes, _LARGEST_PACKET)
            self._connect = {"clean_start": False, "properties": properties}
        if self._topics.sparkplug_host:
            client.on_pre_connect = self._on_pre_connect
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        return client

    def start(self) -> None:
        """Begin to collect. A broker that is there is subscribed to by the end; one that is not is tried again."""
        self._acknowledger.start()
        self._client.connect_async(self._mqtt.host, self._mqtt.port, self._mqtt.keepalive_s, **self._connect)
        self._client.loop_start()
        self.subscribed.wait(_FIRST_CONTACT_S)

    def stop(self) -> None:
        """Take no more, acknowledge what is durable, disconnect."""
        self._stopping.set()
        with self._owing:
            self._owing.notify()
        self._acknowledger.join()
        if self._topics.sparkplug_host and self.subscribed.is_set():
            self._client.publish(*self._state(online=False), qos=1, retain=True)
        self._client.hang_up()

    def publish(self, topic: str, payload: bytes) -> None:
        """Send to the field, from any thread; raises `HeadendError` where there is no broker to send it to."""
        if not self.subscribed.is_set():
            raise HeadendError(f"{topic}: not sent, the broker is away")
        # Sparkplug asks for commands at QoS 0.
        self._client.publish(topic, payload, qos=0 if topic.startswith(SPARKPLUG) else 1)

    # -- network thread --

    def _on_pre_connect(self, client: paho.Client, _data: Any) -> None:
        # A host's last will carries the time of the presence it ends.
        self._present_ms = int(time.time() * 1_000)
        client.will_set(*self._state(online=False), qos=1, retain=True)

    def _state(self, *, online: bool) -> tuple[str, bytes]:
        return host_state(self._topics.sparkplug_host, online=online, timestamp_ms=self._present_ms)

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log.warning("broker refused the connection", reason=str(reason))
            return
        group = f"$share/{self._mqtt.share}/" if self._mqtt.share else ""
        client.subscribe([(f"{group}{topic}", 1) for topic in self._topics.subscriptions])

    def _on_connect_fail(self, _client: paho.Client, _data: Any) -> None:
        # paho tells it from where it caught the reason: nobody there, or a certificate that nobody we trust has signed.
        log.warning(
            "no connection to the broker, trying again",
            broker=f"{self._mqtt.host}:{self._mqtt.port}",
            reason=str(sys.exception()),
        )

    def _on_subscribe(self, client: paho.Client, _data: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        if refused := [str(reason) for reason in reasons if reason.is_failure]:
            log.error("broker refused our subscriptions", reasons=refused)
            return
        if self._topics.sparkplug_host:
            client.publish(*self._state(online=True), qos=1, retain=True)
        self.subscribed.set()
        log.info("collecting", broker=f"{self._mqtt.host}:{self._mqtt.port}", protocol=self._mqtt.protocol)

    def _on_disconnect(self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        with self._same_connection:
            self._connection += 1
        self.subscribed.clear()
        if not self._stopping.is_set():
            log.warning("lost the broker, will come back", reason=str(reason))

    def _on_message(self, topic: str, mid: int, qos: int, payload: bytes) -> None:
        if topic.startswith(FROM_OURSELVES):
            topic = f"mqtt/{topic}"  # nobody outside is our poller or our importer, whatever we are subscribed to
        gateway = self._topics.gateway_of(topic)
        then = partial(self._durable, gateway, mid, qos, self._connection)
        # Where it is not taken we are stopping: not acknowledged, so the broker keeps it.
        if not self._stopping.is_set():
            self._writer.put(topic, gateway, payload, then, numbered=is_numbered(topic))

    # -- writer thread --

    def _durable(self, gateway: str, mid: int, qos: int, connection: int, window: SequenceWindow | None) -> None:
        if qos:
            self._to_broker.append((mid, connection))
        if window is not None:
            self._to_gateways[gateway] = window

    def _committed(self) -> None:
        # paho drops what it has not sent of a connection that is gone; after that we must not add to it.
        with self._same_connection:
            if mids := [mid for mid, connection in self._to_broker if connection == self._connection]:
                self._client.acknowledge(mids)
        self._to_broker.clear()
        with self._owing:
            self._owed |= self._to_gateways
            self._owing.notify()
        self._to_gateways.clear()

    # -- acknowledger thread --

    def _acknowledge_gateways(self) -> None:
        while True:
            with self._owing:
                while not self._owed and not self._stopping.is_set():
                    self._owing.wait()
            self._stopping.wait(self._every_s)
            with self._owing:
                owed, self._owed = self._owed, {}
            for gateway, window in owed.items():
                answer = json.dumps(window.acknowledgement(), separators=(",", ":"))
                self._client.publish(Topic(gateway, "ack").text, answer, qos=1)
            if self._stopping.is_set():
                return
