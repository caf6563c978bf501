"""paho's client, for many messages a second: it reads ahead, takes messages apart itself, and acknowledges in bulk.

As it comes, paho waits for its socket before each message, reads it in four pieces, and writes each PUBACK by itself:
each is a call of the system that lets other threads go first. Here that is done once for many messages. And MQTT 5's
properties of a message, of which we use none, cost paho more than all the rest: here they are skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

_READ_AHEAD_BYTES = 65_536

#: Topic, packet number, QoS and payload of a message.
Arrived = Callable[[str, int, int, bytes], None]


class BulkClient(paho.Client):
    """A client whose messages are acknowledged by hand, many at a time; it takes what comes at QoS 0 and 1.

    Parameters
    ----------
    arrived
        called from the network thread for each message, in the place of `on_message`.
    settings
        of paho's client.
    """

    def __init__(self, arrived: Arrived, **settings: Any) -> None:
        super().__init__(manual_ack=True, **settings)
        self._arrived = arrived

    def hang_up(self) -> None:
        """Disconnect, end the network thread, and close what woke it: paho leaves that to the garbage collector."""
        self.disconnect()
        self.loop_stop()
        self._reset_sockets()

    def acknowledge(self, mids: Sequence[int]) -> None:
        """PUBACK these messages; from any thread."""
        pubacks = b"".join([struct.pack("!BBH", paho.PUBACK, 2, mid) for mid in mids])
        self._packet_queue(paho.PUBACK, pubacks, mids[-1], qos=1)

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Handle all that has been read."""
        done = super().loop_read(max_packets)
        while done == paho.MQTT_ERR_SUCCESS and isinstance(self._sock, _ReadAhead) and self._sock.holds_something:
            done = super().loop_read(max_packets)
        return done

    def _create_socket(self) -> Any:
        return _ReadAhead(super()._create_socket())

    def _handle_publish(self) -> MQTTErrorCode:
        qos = self._in_packet["command"] >> 1 & 3
        packet = bytes(self._in_packet["packet"])
        try:
            begin = 2 + int.from_bytes(packet[:2])
            topic = packet[2:begin].decode("utf-8", "replace")
            mid = int.from_bytes(packet[begin : begin + 2]) if qos else 0
            begin += 2 if qos else 0
            if self._protocol == paho.MQTTv5:
                begin = _after_properties(packet, begin)
        except IndexError:
            return paho.MQTT_ERR_PROTOCOL
        self._arrived(topic, mid, qos, packet[begin:])
        return paho.MQTT_ERR_SUCCESS


def _after_properties(packet: bytes, begin: int) -> int:
    """Where the payload begins, `begin` being where the length of the properties does."""
    length, shift = packet[begin] & 127, 7
    while packet[begin] & 128:
        begin += 1
        length |= (packet[begin] & 127) << shift
        shift += 7
    return begin + 1 + length


class _ReadAhead:
    """A socket that reads more than it is asked for, and keeps it."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._kept, self._at = b"", 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    @property
    def holds_something(self) -> bool:
        return self._at < len(self._kept)

    def recv(self, size: int) -> bytes:
        if not self.holds_something:
            self._kept, self._at = self._socket.recv(_READ_AHEAD_BYTES), 0
        piece = self._kept[self._at : self._at + size]
        self._at += len(piece)
        return piece
