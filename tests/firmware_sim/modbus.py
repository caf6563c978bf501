"""Simulated Modbus meters as processes, a foreign master, and a line of two ptys."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers import needs

MBPOLL = shutil.which("mbpoll")


@contextmanager
def simulator(profile: str, *options: str, where: tuple[str, str] = ("--tcp", "127.0.0.1:0")) -> Iterator[list[dict]]:
    """Meters in a process, as they say of themselves; standing still after 2026's first hour unless told else."""
    still = ["--live-from", "2026-01-01T01:00:00Z", "--tick", "3600"] if "--live-from" not in options else []
    command = [sys.executable, "-m", "firmware_sim", "modbus", "--profile", profile, *where, *still, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline())["meters"]
        finally:
            process.terminate()
        assert process.wait(10) == 0


def mbpoll(where: dict | str, function: int, address: int, count: int, unit: int = 1) -> list[str]:
    """Registers as a foreign master reads them (hexadecimal), over TCP or on a serial device."""
    needs("mbpoll", MBPOLL)
    tcp = ["-m", "tcp", "-p", where["address"].rpartition(":")[2], "127.0.0.1"] if isinstance(where, dict) else []
    rtu = ["-m", "rtu", "-b", "9600", "-P", "none", str(where)] if isinstance(where, str) else []
    table = {3: "4:hex", 4: "3:hex"}[function]
    what = ["-0", "-1", "-o", "5", "-a", str(unit), "-r", str(address), "-c", str(count), "-t", table]
    output = subprocess.run([MBPOLL, *what, *tcp, *rtu], check=False, capture_output=True, text=True, timeout=20)
    assert output.returncode == 0, output.stderr
    return re.findall(r"^\[\d+\]:\s+0x([0-9A-F]{4})", output.stdout, re.MULTILINE)


@contextmanager
def line() -> Iterator[tuple[str, str]]:
    """Two serial devices with a cable between them, which is cut in the end."""
    (one, device), (other, there) = os.openpty(), os.openpty()
    for end in (device, there):
        tty.setraw(end)
    stop, stopper = os.pipe()
    cable = threading.Thread(target=_carry, args=(one, other, stop))
    cable.start()
    try:
        yield os.ttyname(device), os.ttyname(there)
    finally:
        os.close(stopper)
        cable.join()
        for end in (one, other, device, there, stop):
            os.close(end)


def _carry(one: int, other: int, stop: int) -> None:
    while True:
        ready, _, _ = select.select([one, other, stop], [], [])
        if stop in ready:
            return
        for end in ready:
            os.write(other if end == one else one, os.read(end, 256))
