"""A gateway's MQTT connection, driven from outside: one selector serves all of a fleet's links.

Whatever cuts a connection, the gateway comes back by itself, later with each failure and never at the same moment as
its neighbours. paho would re-send by itself then; the gateway's own buffer does that already. So each connection gets
a new client with an empty session, and the buffer alone says what is sent.
"""

from __future__ import annotations

import json
import logging
import random
import selectors
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from firmware_sim.errors import InvalidInput
from firmware_sim.gateway import Gateway
from firmware_sim.line import Line, Outgoing
from firmware_sim.noise import seed_of

log = logging.getLogger("firmware_sim")

IN_FLIGHT = 16
"""Messages without PUBACK at once; brokers that speak MQTT 5 commonly allow 20."""

PROTOCOLS = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 8.0
RESTART_S = 1.0
"""How long a gateway is away when it restarts [s]."""
ALL_DUE = 10_000


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, and how to speak to it."""

    host: str
    port: int
    username: str | None
    password: str | None
    protocol: MQTTProtocolVersion


def parse_broker(url: str, protocol: str) -> Broker:
    """`mqtt://[user:password@]host[:port]` and `3.1.1` or `5`.

    Raises
    ------
    InvalidInput
        anything else.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 1883
    except ValueError as error:
        raise InvalidInput("--mqtt", url, "mqtt://HOST:PORT") from error
    if parts.scheme != "mqtt" or not parts.hostname:
        raise InvalidInput("--mqtt", url, "mqtt://HOST:PORT")
    if protocol not in PROTOCOLS:
        raise InvalidInput("--protocol", protocol, "3.1.1 or 5")
    user, password = (unquote(part) if part else None for part in (parts.username, parts.password))
    return Broker(parts.hostname, port, user, password, PROTOCOLS[protocol])


class Link:
    """One gateway on the wire.

    Parameters
    ----------
    line
        what happens to messages on their way.
    bytes_per_s
        what the link carries; None: as much as there is.
    """

    def __init__(
        self,
        broker: Broker,
        gateway: Gateway,
        line: Line,
        selector: selectors.BaseSelector,
        bytes_per_s: int | None = None,
    ) -> None:
        self.gateway = gateway
        self.covered = False
        self.trouble = ""
        self.offline = False
        """Whether it is cut off for as long as this says so."""
        self._broker = broker
        self._line = line
        self._selector = selector
        self._bytes_per_s = bytes_per_s
        self._chance = random.Random(seed_of(gateway.name))
        self._client: mqtt.Client | None = None
        self._up = False
        self._wait = FIRST_WAIT_S
        self._try_at = 0.0
        self._misc_at = 0.0
        self._now = 0.0
        self._spent_at = 0.0
        self._budget = 0.0
        self._on_record: dict[int, dict[str, Any]] = {}

    def wants_to_connect(self, now: float) -> bool:
        """Whether it is time for a new connection."""
        return self._client is None and now >= self._try_at and not self.offline

    def tend(self, now: float) -> None:
        """Keep the connection alive and send what is due; restart if the gateway is to."""
        self._now = now
        if self.gateway.restart_wanted:
            self.drop()
            self.gateway.boot()
            self._try_at = max(self._try_at, now + RESTART_S)
        elif self.offline and self._up:
            self.drop()
        if self._client is not None and now >= self._misc_at:
            self._misc_at = now + 1.0
            self._client.loop_misc()
        self.gateway.desk.tend(now)
        self.send_due(now)

    def drop(self) -> None:
        """Cut the connection as a failing network does: no goodbye, so the broker tells the last will."""
        self._line.cut()
        self._up = False
        if self._client is not None and isinstance(sock := self._client.socket(), socket.socket):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def send_due(self, now: float) -> None:
        """Hand everything due to the client, as far as the link carries it."""
        self._now = now
        if self._client is None or not self._up:
            return
        self._send_results()
        for item in self._line.released(now):
            self._publish(item)
        if self._bytes_per_s is None:
            self._send(now, ALL_DUE)
            return
        self._budget = min(self._budget + (now - self._spent_at) * self._bytes_per_s, self._bytes_per_s)
        self._spent_at = now
        while self._budget > 0 and (sent := self._send(now, 1)):
            self._budget -= sent

    def _send_results(self) -> None:
        while self.gateway.desk.outbox:
            self._publish(Outgoing("result", self.gateway.desk.outbox.popleft()))

    def _send(self, now: float, most: int) -> int:
        """Hand over at most so many messages; their bytes."""
        total = 0
        for due in self.gateway.due(now, most):
            total += len(due.payload)
            for item in self._line.carry(due, now):
                self._publish(item)
        return total

    def _publish(self, item: Outgoing) -> None:
        if self._client is None:
            return
        sent = self._client.publish(self._topic(item.leaf), item.payload, qos=1)
        if item.record is not None:
            self._on_record[sent.mid] = item.record

    def serve(self, events: int, now: float) -> None:
        """Read and write what the socket is ready for."""
        self._now = now
        if events & selectors.EVENT_READ and self._client is not None:
            self._client.loop_read()
        if events & selectors.EVENT_WRITE and self._client is not None:
            self._client.loop_write()

    def close(self) -> None:
        """Say goodbye; `gone` tells when it is out."""
        self._try_at = float("inf")
        if self._client is None:
            return
        if self._up:
            # QoS 0: it must not queue behind reads that still wait for their PUBACK
            self._client.publish(self._topic("status"), json.dumps({"online": False}), qos=0, retain=True)
        self._client.disconnect()

    @property
    def gone(self) -> bool:
        """Whether there is no connection left."""
        return self._client is None

    def _topic(self, leaf: str) -> str:
        return f"headend/v1/{self.gateway.name}/{leaf}"

    def connect(self, now: float) -> None:
        """Begin a new connection."""
        self._now = now
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.gateway.name,
            protocol=self._broker.protocol,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages = IN_FLIGHT
        client.connect_timeout = 5.0
        if self._broker.username:
            client.username_pw_set(self._broker.username, self._broker.password)
        client.will_set(self._topic("status"), json.dumps({"online": False}), qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_socket_open = self._on_socket_open
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_wants_write
        client.on_socket_unregister_write = self._on_wants_no_write
        self._client = client
        try:
            client.connect(self._broker.host, self._broker.port, keepalive=60)
        except OSError as error:
            self._lost(str(error))

    def _lost(self, why: str) -> None:
        self._client, self._up = None, False
        self._line.cut()
        self._on_record.clear()
        if why:
            self.trouble = why
            log.debug("%s: %s", self.gateway.name, why)
        if self._try_at != float("inf"):
            # half of the wait is chance, so that a fleet that lost its broker does not come back as one
            self._try_at = max(self._try_at, self._now + self._wait * (0.5 + self._chance.random()))
            self._wait = min(2 * self._wait, LONGEST_WAIT_S)

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self.trouble = str(reason)
            return
        self._up, self._wait, self.trouble = True, FIRST_WAIT_S, ""
        client.subscribe([(self._topic("ack"), 1), (self._topic("command"), 1)])
        status = {"online": True, "firmware": self.gateway.firmware}
        client.publish(self._topic("status"), json.dumps(status), qos=1, retain=True)
        self.gateway.reconnected()

    def _on_disconnect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if client is self._client:
            self._lost(str(reason) if reason.is_failure and not self.trouble else self.trouble)

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("/command"):
            self.gateway.desk.take(bytes(message.payload), self._now)
            self._send_results()  # that it is acknowledged is known before it restarts
        elif message.topic.endswith("/ack") and self.gateway.acknowledge(bytes(message.payload), self._now):
            self.covered = True

    def _on_publish(self, _client: mqtt.Client, _data: Any, mid: int, _reason: Any, _properties: Any) -> None:
        if (record := self._on_record.pop(mid, None)) is not None:
            record["delivered"] = True

    def _on_socket_open(self, _client: mqtt.Client, _data: Any, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(sock, selectors.EVENT_READ, self)

    def _on_socket_close(self, _client: mqtt.Client, _data: Any, sock: Any) -> None:
        self._selector.unregister(sock)

    def _on_wants_write(self, _client: mqtt.Client, _data: Any, sock: Any) -> None:
        self._selector.modify(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    def _on_wants_no_write(self, _client: mqtt.Client, _data: Any, sock: Any) -> None:
        self._selector.modify(sock, selectors.EVENT_READ, self)
