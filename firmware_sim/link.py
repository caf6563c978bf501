"""A gateway's MQTT connection, driven from outside: one selector serves all of a fleet's links.

paho would re-send by itself after a reconnect; the gateway's own buffer does that already. So each connection gets a
new client with an empty session, and the buffer alone says what is sent.
"""

from __future__ import annotations

import json
import logging
import selectors
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from firmware_sim.errors import InvalidInput
from firmware_sim.gateway import Gateway

log = logging.getLogger("firmware_sim")

IN_FLIGHT = 16
"""Messages without PUBACK at once; brokers that speak MQTT 5 commonly allow 20."""

PROTOCOLS = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}
LONGEST_WAIT_S = 8.0


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
    """One gateway on the wire."""

    def __init__(self, broker: Broker, gateway: Gateway, selector: selectors.BaseSelector) -> None:
        self.gateway = gateway
        self.covered = False
        self.trouble = ""
        self._broker = broker
        self._selector = selector
        self._client: mqtt.Client | None = None
        self._up = False
        self._wait = 0.25
        self._try_at = 0.0
        self._now = 0.0

    def tend(self, now: float) -> None:
        """Keep the connection alive, or try a new one when it is time; then send what is due."""
        self._now = now
        if self._client is not None:
            self._client.loop_misc()
        elif now >= self._try_at:
            self._connect()
        self.send_due(now)

    def send_due(self, now: float) -> None:
        """Hand everything due to the client."""
        self._now = now
        if self._client is None or not self._up:
            return
        for payload in self.gateway.due(now):
            self._client.publish(self._topic("reads"), payload, qos=1)

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

    def _connect(self) -> None:
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
        if why:
            self.trouble = why
            log.debug("%s: %s", self.gateway.name, why)
        if self._try_at != float("inf"):
            self._try_at = self._now + self._wait
            self._wait = min(2 * self._wait, LONGEST_WAIT_S)

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self.trouble = str(reason)
            return
        self._up, self._wait, self.trouble = True, 0.25, ""
        client.subscribe(self._topic("ack"), qos=1)
        client.publish(self._topic("status"), json.dumps({"online": True}), qos=1, retain=True)
        self.gateway.reconnected()

    def _on_disconnect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if client is self._client:
            self._lost(str(reason) if reason.is_failure and not self.trouble else self.trouble)

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if self.gateway.acknowledge(bytes(message.payload), self._now):
            self.covered = True

    def _on_socket_open(self, _client: mqtt.Client, _data: Any, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(sock, selectors.EVENT_READ, self)

    def _on_socket_close(self, _client: mqtt.Client, _data: Any, sock: Any) -> None:
        self._selector.unregister(sock)

    def _on_wants_write(self, _client: mqtt.Client, _data: Any, sock: Any) -> None:
        self._selector.modify(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    def _on_wants_no_write(self, _client: mqtt.Client, _data: Any, sock: Any) -> None:
        self._selector.modify(sock, selectors.EVENT_READ, self)
