"""The poller against slaves that answer, that misbehave, and that are not there."""

from __future__ import annotations

import asyncio
import os
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from headend.errors import HeadendError
from tests.collect.modbus.polling import START, Polling, device, sdm120
from tests.collect.modbus.slaves import Answer, Request, Slave, remembering
from tests.servers import free_port

GOOD = remembering({1: sdm120()})


def test_device_is_read_at_once_and_delivered_as_native_reads() -> None:
    with Slave(GOOD) as slave, Polling([device("M", slave.address)]) as polling:
        polling.until(lambda: polling.registers)
    (message,) = polling.messages
    at = START.isoformat()
    row = {"meter": "M", "channel": "1-0:1.8.0", "at": at, "value": 12_288_000, "serial": "77"}
    assert message == {"seq": int(START.timestamp()), "sent_at": at, "blocks": [], "registers": [row]}
    assert polling.events == []


def test_device_is_read_again_after_every_boundary_and_not_before() -> None:
    with Slave(GOOD) as slave, Polling([device("M", slave.address, interval_s=900)]) as polling:
        polling.until(lambda: len(polling.registers) == 1)
        polling.now = datetime(2026, 1, 5, 13, 15, 1, tzinfo=UTC)  # the boundary, but not the delay after it
        polling.until_looked_again()
        polling.devices.append(device("N", slave.address))
        polling.pass_time(1)
        polling.until(lambda: len(polling.registers) == 3)
        polling.pass_time(900)
        polling.until(lambda: len(polling.registers) == 4)
    assert [row["at"][11:19] for row in polling.registers if row["meter"] == "M"] == [
        "13:00:07",
        "13:15:02",
        "13:30:02",
    ]


def test_clock_that_jumps_over_many_boundaries_reads_once() -> None:
    with Slave(GOOD) as slave, Polling([device("M", slave.address, interval_s=60)]) as polling:
        polling.until(lambda: len(polling.registers) == 1)
        polling.pass_time(86_400)
        polling.until(lambda: len(polling.registers) == 2)
        polling.pass_time(60)
        polling.until(lambda: len(polling.registers) == 3)
    assert len(polling.registers) == 3


def test_removed_device_is_read_no_more() -> None:
    with Slave(GOOD, ports=2) as slave:
        first, second = (device(f"M{port}", f"tcp://127.0.0.1:{port}") for port in slave.ports)
        with Polling([first, second]) as polling:
            polling.until(lambda: len(polling.registers) == 2)
            polling.devices.remove(first)
            polling.pass_time(3600)
            polling.until(lambda: len(polling.values(second.meter)) == 2)
    assert len(polling.values(first.meter)) == 1


def test_units_behind_one_address_share_a_connection_and_are_asked_in_turn() -> None:
    memory = {unit: sdm120(0x4640 + unit) for unit in range(1, 6)}
    with Slave(remembering(memory)) as slave:
        with Polling([device(f"M{unit}", slave.address, unit) for unit in memory]) as polling:
            polling.until(lambda: len(polling.registers) == 5)
        assert slave.connections == 1
    assert len(set(polling.values("M1") + polling.values("M5"))) == 2


async def never(request: Request, writer: asyncio.StreamWriter) -> None:
    pass


async def other_unit(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(request.frame(request.words([0] * request.count), unit=9))


async def half_a_frame(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(request.frame(request.words([0] * request.count))[:11])


async def half_a_frame_and_gone(request: Request, writer: asyncio.StreamWriter) -> None:
    await half_a_frame(request, writer)
    writer.close()


async def gone(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def too_few_registers(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(request.frame(request.words([0x4640])))


async def length_that_lies(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(request.frame(bytes([request.function, 200, 0, 0])))


async def other_function(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(request.frame(bytes([3]) + request.words([0] * request.count)[1:]))


async def noise(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\xff" * 200)


async def not_a_number(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(request.frame(request.words([0x7FC0, 0])))


async def a_refusal(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(request.frame(request.exception(4)))


MISBEHAVIOUR: list[tuple[Answer, str, str]] = [
    (never, "unreachable", "timeout, no answer within 0.3 s"),
    (gone, "unreachable", "closed the connection without an answer"),
    (a_refusal, "bad_answer", "exception code 4, device failure"),
    (other_unit, "bad_answer", "an answer of unit 9, expected one of unit 1"),
    (half_a_frame, "bad_answer", "a short or broken frame, 00 01 00 00 00 07 01 04 04 00 00,"),
    (half_a_frame_and_gone, "bad_answer", "a short or broken frame, 00 01 00 00 00 07 01 04 04 00 00,"),
    (too_few_registers, "bad_answer", "found 1 registers of function 4, expected 2 registers from 72"),
    (length_that_lies, "bad_answer", "a short or broken frame"),
    (other_function, "bad_answer", "found 2 registers of function 3, expected 2 registers from 72 by function 4"),
    (noise, "unreachable", "timeout, no answer within 0.3 s"),
    (not_a_number, "bad_answer", "1-0:1.8.0: not a number: register 72 is 0x7FC00000"),
    (remembering({1: sdm120(0xC640)}), "bad_answer", "1-0:1.8.0: out of range: -12288 kWh"),
    (remembering({1: {}}), "bad_answer", "exception code 2, illegal data address"),
    (remembering({}), "bad_answer", "exception code 11, the device behind the gateway does not answer"),
]


@pytest.mark.parametrize(("answer", "kind", "reason"), MISBEHAVIOUR, ids=lambda value: getattr(value, "__name__", None))
def test_misbehaviour_is_told_once_by_name_and_recovery_too(answer: Answer, kind: str, reason: str) -> None:
    with Slave(answer) as slave, Polling([device("M", slave.address)]) as polling:
        polling.until(lambda: polling.events)
        assert polling.events[0]["kind"] == kind
        assert reason in polling.events[0]["detail"]
        assert polling.registers == []
        slave.answer = GOOD  # no boundary comes: it is tried again between them
        polling.until(lambda: polling.registers)
        polling.until(lambda: len(polling.events) == 2)
    assert polling.kinds("M") == [kind, "reachable"]


def test_device_that_is_not_there_is_unreachable_and_tried_again() -> None:
    port = free_port()
    with Polling([device("M", f"tcp://127.0.0.1:{port}")]) as polling:
        polling.until(lambda: polling.events)
    assert f"no connection to tcp://127.0.0.1:{port}" in polling.events[0]["detail"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"address": "udp://x"}, "address: found 'udp://x', expected tcp://host:port"),
        ({"address": "tcp://no..such..name:502"}, "no connection to tcp://no..such..name:502"),
        ({"address": "rtu:///dev/no-such-line"}, "no connection to rtu:///dev/no-such-line"),
        ({"address": "rtu:///dev/null"}, "no connection to rtu:///dev/null"),
        ({"profile": "acme"}, "profile: found 'acme', expected abb-b23-b24 or"),
    ],
)
def test_device_that_is_enrolled_wrongly_is_told_and_stops_nobody(wrong: dict[str, str], reason: str) -> None:
    with Slave(GOOD) as slave, Polling([device("BAD", **{"address": slave.address} | wrong)]) as polling:  # type: ignore[arg-type]
        polling.devices.append(device("M", slave.address))
        polling.until(lambda: polling.events)
        polling.pass_time(3600)
        polling.until(lambda: polling.registers)
        # Looked at before it stops: what is on its way then may be delivered twice.
        assert reason in polling.events[0]["detail"]
        assert polling.kinds("BAD") == ["unreachable"]


def test_silent_devices_do_not_hold_up_the_others() -> None:
    with Slave(never, ports=50) as silent, Slave(GOOD) as slave:
        devices = [device(f"S{port}", f"tcp://127.0.0.1:{port}") for port in silent.ports]
        with Polling([*devices, device("M", slave.address)]) as polling:
            polling.until(lambda: polling.registers)
            assert polling.events == []
            polling.until(lambda: len(polling.events) == 50)


async def silent_unit_one(request: Request, writer: asyncio.StreamWriter) -> None:
    if request.unit != 1:
        await remembering({2: sdm120()})(request, writer)


def test_silent_unit_costs_those_behind_the_same_address_one_timeout_and_no_connection() -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.unit == 1:
            await asyncio.sleep(0.35)  # too late: the answer comes when the next unit has been asked
        await remembering({1: sdm120(0x4640), 2: sdm120(0x3F80), 3: sdm120(0x4000)})(request, writer)

    with Slave(answer) as slave, Polling([device(f"M{unit}", slave.address, unit) for unit in (1, 2, 3)]) as polling:
        polling.until(lambda: len(polling.registers) == 2 and polling.events)
        assert slave.connections == 1
    assert (polling.values("M2"), polling.values("M3")) == ([1_000], [2_000])
    assert polling.kinds("M1") == ["unreachable"]


def test_silent_unit_goes_last_on_its_line_the_next_time() -> None:
    with Slave(silent_unit_one) as slave:
        with Polling([device("A", slave.address, 1), device("B", slave.address, 2)]) as polling:
            polling.until(lambda: polling.registers)
            polling.until(lambda: polling.events)
            before = len(slave.requests)
            polling.pass_time(3600)
            polling.until(lambda: len(polling.registers) == 2)
        units = [request.unit for request in slave.requests[before:]]
    assert units.index(2) < (units.index(1) if 1 in units else 99)


def test_what_the_journal_does_not_take_is_delivered_later() -> None:
    refused = threading.Event()

    def full() -> None:
        refused.set()
        raise HeadendError("disk full")

    with Slave(GOOD) as slave, Polling([device("M", slave.address)], refuse=full) as polling:
        assert refused.wait(10)
        polling.refuse = lambda: None
        polling.until(lambda: polling.registers)
    assert polling.values("M") == [12_288_000]


def test_many_registers_travel_in_messages_of_at_most_500() -> None:
    channels = ("1-0:1.8.0", "1-0:2.8.0", "1-0:3.8.0", "1-0:4.8.0")
    units = range(1, 201)
    with Slave(remembering(dict.fromkeys(units, sdm120()))) as slave:
        devices = [device(f"M{unit}", slave.address, unit, channels=channels) for unit in units]
        with Polling(devices) as polling:
            polling.until(lambda: len(polling.registers) == 800)
    assert max(len(message["registers"]) for message in polling.messages) <= 500
    assert len({(row["meter"], row["channel"]) for row in polling.registers}) == 800


def test_exchanged_device_tells_another_serial_number() -> None:
    with Slave(GOOD) as slave, Polling([device("M", slave.address)]) as polling:
        polling.until(lambda: polling.registers)
        slave.answer = remembering({1: sdm120(0x3F80) | {(3, 0xFC01): 78}})
        polling.pass_time(3600)
        polling.until(lambda: len(polling.registers) == 2)
    assert [(row["value"], row["serial"]) for row in polling.registers] == [(12_288_000, "77"), (1_000, "78")]


@contextmanager
def serial_slave(answer: Callable[[bytes], bytes]) -> Iterator[str]:
    """A line with one that answers each request of eight bytes by `answer`."""
    master, slave = os.openpty()
    tty.setraw(slave)

    def serve() -> None:
        try:
            while request := os.read(master, 8):
                os.write(master, answer(request))
        except OSError:
            pass  # the line is closed

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"rtu://{os.ttyname(slave)}"
    finally:
        os.close(slave)
        thread.join(5)
        os.close(master)


def rtu(unit: int, payload: str) -> bytes:
    """A frame with its checksum: CRC-16 of polynomial 0xA001, from 0xFFFF, low byte first."""
    frame = bytes([unit]) + bytes.fromhex(payload)
    crc = 0xFFFF
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return frame + crc.to_bytes(2, "little")


@pytest.mark.parametrize(
    ("wrong", "kind", "reason"),
    [
        (b"", "unreachable", "timeout"),
        (rtu(1, "04 04 46 40 00 00")[:-1] + b"\0", "bad_answer", "a short or broken frame, 01 04 04 46 40 00 00"),
        (rtu(1, "04 04 46 40 00 00")[:5], "bad_answer", "a short or broken frame, 01 04 04 46 40"),
        (rtu(7, "04 04 46 40 00 00"), "bad_answer", "an answer of unit 7, expected one of unit 1"),
        (rtu(1, "84 06"), "bad_answer", "exception code 6, device busy"),
    ],
)
def test_misbehaviour_on_a_serial_line_is_told_and_the_next_unit_is_read(wrong: bytes, kind: str, reason: str) -> None:
    def answer(request: bytes) -> bytes:
        good = rtu(2, "04 04 46 40 00 00") if request[1] == 4 else rtu(2, "83 02")
        return wrong if request[0] == 1 else good

    with serial_slave(answer) as address, Polling([device("A", address, 1), device("B", address, 2)]) as polling:
        polling.until(lambda: polling.registers and polling.events)
    assert [(event["meter"], event["kind"]) for event in polling.events] == [("A", kind)]
    assert reason in polling.events[0]["detail"]
    assert polling.values("B") == [12_288_000]
