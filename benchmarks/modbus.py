"""Simulated Modbus TCP meters read once by the head-end's poller, side by side with the plain way.

The meters are one process (`firmware-sim modbus --devices`), the poller another; both share the machine. The plain way
is a loop over synchronous clients; it is given fewer meters, because its time is the sum of theirs. Each meter is asked
for its registers and its serial number, in three fields: answers come at once, as only a loopback gives them; answers
take as long as over a mobile network; one meter in a hundred never answers.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

from benchmarks.table import show
from headend.app import utc_now
from headend.collect.modbus import ModbusPoller, load_profiles
from headend.config import load_settings, shipped
from headend.logs import configure_logs
from headend.registry.devices import ModbusDevice, parse_address
from tests.servers import free_port

PROFILE = "schneider-iem3155"
CHANNEL = "1-0:1.8.0"
IMPORT, SERIAL = 3203, 129
FIELDS = (
    ("answers at once", (), 0.0),
    ("answers take 50 ms", ("--fault", "slow=0.05"), 0.0),
    ("1 in 100 is silent", (), 0.01),
)
"""Its name, how its meters misbehave, and the share of them that never answers."""


@contextmanager
def simulated(count: int, first: str, *faults: str) -> Iterator[list[ModbusDevice]]:
    """That many meters, each at an address of its own from `first` on."""
    # the fleet's first days, because what a register reads is the sum of all hours since then
    options = ["--live-from", "2026-01-05T00:00:00Z", "--meters", str(2 * count + 10), *faults]
    where = ["--profile", PROFILE, "--tcp", f"{first}:{free_port()}", "--devices", str(count)]
    command = [sys.executable, "-m", "firmware_sim", "modbus", *where, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        rows = json.loads(process.stdout.readline())["meters"]
        try:
            yield [
                ModbusDevice(f"{first}/{i}", PROFILE, row["address"], 1, 3600, (CHANNEL,)) for i, row in enumerate(rows)
            ]
        finally:
            process.terminate()


def poller(devices: Sequence[ModbusDevice], answering: int) -> float:
    """Seconds until the registers of all that answer are delivered."""
    settings = load_settings(None, {"log": {"level": "error"}})
    configure_logs(settings.log)
    read: set[str] = set()
    done = threading.Event()

    def deliver(_topic: str, payload: bytes) -> None:
        read.update(row["meter"] for row in json.loads(payload).get("registers", ()))
        if len(read) == answering:
            done.set()

    profiles = load_profiles(shipped(settings.modbus.profiles))
    asked = ModbusPoller(lambda: devices, profiles, settings.modbus, deliver, utc_now)
    began = time.perf_counter()
    asked.start()
    assert done.wait(300), f"{len(read)} of {answering} read"
    seconds = time.perf_counter() - began
    asked.stop()
    return seconds


def plain(devices: Sequence[ModbusDevice], answering: int) -> float:
    """Seconds of a loop that asks one after the other."""
    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
    registers = {}
    began = time.perf_counter()
    for device in devices:
        address = parse_address(device.address)
        client = ModbusTcpClient(address.host, port=address.port, timeout=3, retries=0)
        try:
            client.connect()
            words = client.read_holding_registers(IMPORT, count=4, device_id=1).registers
            serial = client.read_holding_registers(SERIAL, count=2, device_id=1).registers
            registers[device.meter] = (
                client.convert_from_registers(words, client.DATATYPE.INT64),
                client.convert_from_registers(serial, client.DATATYPE.UINT32),
            )
        except ModbusException:
            pass
        finally:
            client.close()
    assert len(registers) == answering
    return time.perf_counter() - began


def main(quick: bool = False) -> None:
    """Print the table."""
    count, plain_count, repeats = (200, 100, 1) if quick else (5_000, 100, 3)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    rows = []
    for field, faults, share in FIELDS:
        silent = ("--fault", "silent")
        with simulated(count, "127.20.0.1", *faults) as good, simulated(count // 100, "127.30.0.1", *silent) as bad:
            for name, way, size in (("head-end", poller, count), ("plain loop", plain, plain_count)):
                lost = int(share * size)
                asked = bad[:lost] + good[: size - lost]
                median = statistics.median(way(asked, size - lost) for _ in range(repeats))
                rate = size / median
                rows.append((f"{field}: {name}", f"{size:,}", f"{median:.2f}", f"{rate:,.0f}", f"{count / rate:,.1f}"))
    show(
        f"Modbus TCP: meters read once (median of {repeats})",
        ("way", "meters", "seconds", "meters/s", f"seconds for {count:,} at this rate"),
        rows,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
