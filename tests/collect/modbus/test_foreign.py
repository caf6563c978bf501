"""Other people's slaves: pymodbus's simulator over TCP and over a serial line, modbus-serial of npm."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.collect.modbus.polling import Polling, device
from tests.collect.modbus.recorded import PROFILES, recorded
from tests.servers import free_port, needs

ROOT = Path(__file__).parents[3]
MODULES = ROOT / ".foreign" / "node_modules"
NODE = shutil.which("node")


def simulated(name: str, unit: int) -> SimDevice:
    """A shipped meter as pymodbus simulates it: holding and input registers apart."""
    blocks: dict[int, list[SimData]] = {3: [], 4: []}
    for (function, address), word in sorted(recorded(name).memory.items()):
        blocks[function].append(SimData(address, values=word, datatype=DataType.REGISTERS))
    none = [SimData(0, values=0, datatype=DataType.REGISTERS)]
    bits = [SimData(0, values=False, datatype=DataType.BITS)]
    return SimDevice(id=unit, simdata=(bits, bits, blocks[3] or none, blocks[4] or none))


@contextmanager
def serving(*, tcp: int | None = None, serial: str = "") -> Iterator[None]:
    """Every shipped meter behind one address, in pymodbus's own server."""
    ready, end = threading.Event(), threading.Event()

    async def serve() -> None:
        devices = [simulated(name, unit) for unit, name in enumerate(PROFILES, start=1)]
        server: ModbusTcpServer | ModbusSerialServer
        if tcp is not None:
            server = ModbusTcpServer(devices, address=("127.0.0.1", tcp))
        else:
            server = ModbusSerialServer(devices, port=serial, baudrate=19200)
        await server.serve_forever(background=True)
        ready.set()
        await asyncio.to_thread(end.wait)
        await server.shutdown()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        end.set()
        thread.join()


def every_meter_is_read_from(address: str) -> None:
    devices = [
        device(name, address, unit, profile=name, channels=tuple(row.channel for row in PROFILES[name].registers))
        for unit, name in enumerate(PROFILES, start=1)
    ]
    expected = {
        (name, channel, value, recorded(name).serial)
        for name in PROFILES
        for channel, value in recorded(name).values.items()
    }
    with Polling(devices) as polling:
        polling.until(lambda: len(polling.registers) >= len(expected))
    assert {(row["meter"], row["channel"], row["value"], row["serial"]) for row in polling.registers} == expected


def test_every_shipped_meter_is_read_from_pymodbus_over_tcp() -> None:
    port = free_port()
    with serving(tcp=port):
        every_meter_is_read_from(f"tcp://127.0.0.1:{port}")


@contextmanager
def pty_pair() -> Iterator[tuple[str, str]]:
    """Two ends of a serial line."""
    masters, slaves = zip(*(os.openpty() for _ in range(2)), strict=True)
    for end in slaves:
        tty.setraw(end)

    def carry(source: int, target: int) -> None:
        try:
            while data := os.read(source, 256):
                os.write(target, data)
        except OSError:
            pass  # the other end has hung up

    threads = [threading.Thread(target=carry, args=ends, daemon=True) for ends in (masters, masters[::-1])]
    for thread in threads:
        thread.start()
    try:
        yield os.ttyname(slaves[0]), os.ttyname(slaves[1])
    finally:
        for end in slaves:
            os.close(end)
        for thread in threads:
            thread.join(5)
        for end in masters:
            os.close(end)


def test_every_shipped_meter_is_read_from_pymodbus_over_a_serial_line() -> None:
    with pty_pair() as (ours, theirs), serving(serial=theirs):
        every_meter_is_read_from(f"rtu://{ours}?baud=19200")


@pytest.fixture
def modbus_serial() -> Iterator[str]:
    """The address of a slave made with modbus-serial that has every shipped meter."""
    needs("npm modbus-serial", NODE and (MODULES / "modbus-serial").is_dir())
    registers = {
        unit: {f"{function},{address}": word for (function, address), word in recorded(name).memory.items()}
        for unit, name in enumerate(PROFILES, start=1)
    }
    command = [str(NODE), str(ROOT / "tests" / "foreign" / "modbus_slave.js"), str(MODULES), json.dumps(registers)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as slave:
        assert slave.stdout is not None
        yield f"tcp://127.0.0.1:{int(slave.stdout.readline())}"


def test_every_shipped_meter_is_read_from_modbus_serial(modbus_serial: str) -> None:
    every_meter_is_read_from(modbus_serial)
