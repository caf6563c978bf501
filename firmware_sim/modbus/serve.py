"""Modbus meters while they run: where they answer, and the truth of every hour they complete."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

from firmware_sim.errors import InvalidInput
from firmware_sim.modbus.counter import HOUR_S, Counter
from firmware_sim.modbus.slave import SerialLine, TcpLink, Units
from firmware_sim.truth import TruthFile

LOOK_S = 0.2
"""How often the clock is looked at for completed hours."""


@dataclass(frozen=True, slots=True)
class Tcp:
    """Meters behind one port, by the host that is called; a host's units are told apart by their numbers."""

    hosts: Mapping[str, Units]
    port: int

    @contextlib.asynccontextmanager
    async def open(self, _hung_up: Callable[[], None]) -> AsyncIterator[dict[str, str]]:
        """Answer; gives the address of each host."""
        first, *others = self.hosts
        # a lone host may be a name or 0.0.0.0, which a connection does not show
        units_at = self.hosts.__getitem__ if others else lambda _called: self.hosts[first]
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(lambda: TcpLink(units_at), first, self.port)
            port = server.sockets[0].getsockname()[1]
            servers = [server]
            if others:
                servers.append(await loop.create_server(lambda: TcpLink(units_at), others, port))
        except OSError as error:
            raise InvalidInput("--tcp", str(error), "an address of this machine and a free port") from error
        try:
            yield {host: f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}" for host in self.hosts}
        finally:
            for server in servers:
                server.close()


@dataclass(frozen=True, slots=True)
class Line:
    """Meters on one serial line."""

    device: str
    baud: int
    parity: str
    units: Units

    @contextlib.asynccontextmanager
    async def open(self, hung_up: Callable[[], None]) -> AsyncIterator[dict[str, str]]:
        """Answer; gives the address of the line."""
        line = SerialLine(self.device, self.baud, self.parity, self.units, hung_up)
        try:
            yield {self.device: f"rtu://{self.device}?baud={self.baud}&parity={self.parity}"}
        finally:
            line.close()


@dataclass(frozen=True, slots=True)
class Place:
    """A meter, and the host or device and the unit number it answers at."""

    counter: Counter
    host: str
    number: int


async def serve(
    where: Tcp | Line, places: Sequence[Place], profile: str, truth: TruthFile, clock: Callable[[], float]
) -> None:
    """Answer until SIGTERM or SIGINT, or until the serial device is gone.

    Prints one JSON line with the meters and their addresses once they answer.

    Parameters
    ----------
    clock
        the meters' time [s since 1970].
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    hour = int(clock() // HOUR_S)
    async with where.open(stop.set) as addresses:
        meters = [
            {
                "meter": place.counter.meter.spec.meter,
                "profile": profile,
                "address": addresses[place.host],
                "unit": place.number,
            }
            for place in places
        ]
        print(json.dumps({"event": "listening", "meters": meters}), flush=True)
        while True:
            stopped, now = stop.is_set(), int(clock() // HOUR_S)
            for completed in range(hour, now):
                truth.write(channel for place in places for channel in place.counter.hour(completed))
            if stopped:
                return
            hour = max(hour, now)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_S)
