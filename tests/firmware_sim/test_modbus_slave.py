"""The slave's side of Modbus TCP: what it answers, what it refuses, and how it misbehaves when told to."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from firmware_sim.inventory import make_shipment
from firmware_sim.meter import ORIGIN, Meter
from firmware_sim.modbus.counter import HOUR_S, Counter
from firmware_sim.modbus.faults import Faults
from firmware_sim.modbus.profile import load_profile
from firmware_sim.modbus.slave import TcpLink, check_sum
from firmware_sim.modbus.unit import MeterUnit

READ = struct.pack(">BHH", 3, 3203, 4)
RIGHT = bytes((3, 8)) + (357_436_552).to_bytes(8, "big")  # what the London home read at the begin of 2026 [Wh]


def frame(unit: int, pdu: bytes, transaction: int = 1) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


@asynccontextmanager
async def connection(**faults) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """To an iEM3155 at unit 1."""
    counter = Counter(Meter(make_shipment(1, 1, 1).meters[0], 1, "Europe/Berlin"), 60)
    unit = MeterUnit(load_profile("schneider-iem3155"), counter, lambda: ORIGIN * HOUR_S, Faults(**faults))
    server = await asyncio.get_running_loop().create_server(lambda: TcpLink(lambda _host: {1: unit}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()
        server.close()


async def answer(request: bytes, **faults) -> bytes:
    async with connection(**faults) as (reader, writer):
        writer.write(request)
        head = await asyncio.wait_for(reader.readexactly(6), 5)
        return head + await reader.readexactly(struct.unpack(">4xH", head)[0])


async def test_a_read_is_answered_with_its_registers():
    assert await answer(frame(1, READ)) == frame(1, RIGHT)


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (frame(1, struct.pack(">BHH", 3, 9000, 1)), frame(1, b"\x83\x02")),  # no such register
        (frame(1, struct.pack(">BHH", 4, 3203, 4)), frame(1, b"\x84\x02")),  # it has no input registers
        (frame(1, struct.pack(">BHH", 3, 3203, 0)), frame(1, b"\x83\x03")),
        (frame(1, struct.pack(">BHH", 3, 3203, 126)), frame(1, b"\x83\x03")),
        (frame(1, b"\x03\x0c"), frame(1, b"\x83\x03")),
        (frame(1, struct.pack(">BHH", 6, 3203, 1)), frame(1, b"\x86\x01")),  # nothing can be written
        (frame(9, READ), frame(9, b"\x83\x0b")),  # nobody there
    ],
)
async def test_what_a_meter_has_not_is_refused_with_its_exception_code(request_, refusal):
    assert await answer(request_) == refusal


async def test_requests_may_come_in_pieces_and_together():
    async with connection() as (reader, writer):
        both = frame(1, READ, 7) + frame(1, READ, 8)
        for piece in (both[:3], both[3:15], both[15:]):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        assert await asyncio.wait_for(reader.readexactly(34), 5) == frame(1, RIGHT, 7) + frame(1, RIGHT, 8)


async def test_what_is_no_modbus_ends_the_connection():
    async with connection() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_exception_refuses_everything():
    assert await answer(frame(1, READ), exception=6) == frame(1, b"\x83\x06")


async def test_other_unit_answers_for_the_next_one():
    assert await answer(frame(1, READ), other_unit=True) == frame(2, RIGHT)


async def test_short_frame_keeps_the_second_half():
    async with connection(short_frame=True) as (reader, writer):
        writer.write(frame(1, READ))
        assert await asyncio.wait_for(reader.readexactly(8), 5) == frame(1, RIGHT)[:8]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)


async def test_silent_says_nothing():
    async with connection(silent=True) as (reader, writer):
        writer.write(frame(1, READ))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)


async def test_slow_answers_late():
    began = time.monotonic()
    assert await answer(frame(1, READ), slow=0.2) == frame(1, RIGHT)
    assert time.monotonic() - began >= 0.2


def test_check_sum_of_a_serial_frame():
    # the example in Eastron's manuals: a request for the voltage
    assert check_sum(bytes.fromhex("010400000002")) == bytes.fromhex("71CB")
