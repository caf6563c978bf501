"""The slave's side of Modbus: requests in, answers out, over TCP and over a serial line.

It speaks from the specification rather than through a library: thousands of slaves fit into one process, and each can
answer wrongly on purpose.

References
----------
MODBUS Application Protocol Specification V1.1b3; MODBUS Messaging on TCP/IP Implementation Guide V1.0b; MODBUS over
Serial Line V1.02 (modbus.org).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping
from typing import cast

import serial
from pymodbus.framer import FramerRTU

from firmware_sim.errors import InvalidInput
from firmware_sim.modbus.unit import MeterUnit

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, NO_TARGET = 1, 2, 3, 0x0B
READ_FUNCTIONS = (3, 4)
HEADER = struct.Struct(">HHHB")
SILENCE_S = 0.05
"""A pause on the line after which a begun frame is given up: far more than the 3.5 characters of the standard, because
the pauses of an operating system are longer than those of a wire."""

Units = Mapping[int, MeterUnit]


def answer(unit: MeterUnit, request: bytes) -> bytes:
    """The answer to a request, both from the function code on."""
    function = request[0]
    if unit.faults.exception:
        return refusal(function, unit.faults.exception)
    if function not in READ_FUNCTIONS:
        return refusal(function, ILLEGAL_FUNCTION)
    if len(request) != 5:
        return refusal(function, ILLEGAL_VALUE)
    address, count = struct.unpack_from(">HH", request, 1)
    if not 1 <= count <= 125:
        return refusal(function, ILLEGAL_VALUE)
    registers = unit.read(function, address, count)
    if registers is None:
        return refusal(function, ILLEGAL_ADDRESS)
    return bytes((function, len(registers))) + registers


def refusal(function: int, code: int) -> bytes:
    """An exception response."""
    return bytes((function | 0x80, code))


def send(
    unit: MeterUnit, number: int, request: bytes, frame: Callable[[int, bytes], bytes], write: Callable[[bytes], None]
) -> None:
    """Answer a request, as well or badly as the unit does.

    Parameters
    ----------
    frame
        makes what goes over the wire of a unit number and an answer.
    """
    faults = unit.faults
    if faults.silent:
        return
    wire = frame(number + 1 & 0xFF if faults.other_unit else number, answer(unit, request))
    if faults.short_frame:
        wire = wire[: len(wire) // 2]
    if faults.slow:
        asyncio.get_running_loop().call_later(faults.slow, write, wire)
    else:
        write(wire)


class TcpLink(asyncio.Protocol):
    """One connection of a master.

    Parameters
    ----------
    units_at
        the units that answer at an IP address of this machine.
    """

    def __init__(self, units_at: Callable[[str], Units]) -> None:
        self._units_at = units_at
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._units = self._units_at(transport.get_extra_info("sockname")[0])

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= HEADER.size + 1:
            transaction, protocol, length, number = HEADER.unpack_from(self._received)
            if protocol or not 2 <= length <= 254:
                self._transport.close()  # not Modbus: there is no telling where the next frame begins
                return
            end = HEADER.size - 1 + length
            if len(self._received) < end:
                return
            request = bytes(self._received[HEADER.size : end])
            del self._received[:end]
            self._serve(transaction, number, request)

    def _serve(self, transaction: int, number: int, request: bytes) -> None:
        def frame(number: int, pdu: bytes) -> bytes:
            return HEADER.pack(transaction, 0, len(pdu) + 1, number) + pdu

        unit = self._units.get(number)
        if unit is None:
            self._transport.write(frame(number, refusal(request[0], NO_TARGET)))
        else:
            send(unit, number, request, frame, self._transport.write)


class SerialLine:
    """A line (RTU) with meters on it; it answers from when it is made until it is closed.

    Parameters
    ----------
    hung_up
        called once when the device is gone.

    Raises
    ------
    InvalidInput
        when the device cannot be opened.
    """

    def __init__(self, device: str, baud: int, parity: str, units: Units, hung_up: Callable[[], None]) -> None:
        try:
            self._port = serial.Serial(device, baud, parity=parity, timeout=0)
        except (serial.SerialException, ValueError) as error:
            raise InvalidInput("--serial", str(error), "a serial device, its speed and its parity") from error
        self._units, self._hung_up = units, hung_up
        self._received = bytearray()
        self._loop = asyncio.get_running_loop()
        self._silence: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._port.fileno(), self._read)

    def close(self) -> None:
        """Leave the line."""
        if self._port.is_open:
            self._loop.remove_reader(self._port.fileno())
            self._port.close()

    def _read(self) -> None:
        try:
            self._received += self._port.read(256)
        except serial.SerialException:
            self.close()
            self._hung_up()
            return
        if self._silence:
            self._silence.cancel()
        self._silence = self._loop.call_later(SILENCE_S, self._received.clear)
        frame = bytes(self._received)
        if len(frame) >= 4 and check_sum(frame[:-2]) == frame[-2:]:
            self._received.clear()
            unit = self._units.get(frame[0])
            if unit:
                send(unit, frame[0], frame[1:-2], rtu_frame, self._write)

    def _write(self, wire: bytes) -> None:
        if self._port.is_open:
            self._port.write(wire)


def rtu_frame(number: int, pdu: bytes) -> bytes:
    """A frame on a serial line."""
    body = bytes((number,)) + pdu
    return body + check_sum(body)


def check_sum(body: bytes) -> bytes:
    """CRC-16 of a serial frame, as it stands at its end."""
    return FramerRTU.compute_CRC(body).to_bytes(2, "big")
