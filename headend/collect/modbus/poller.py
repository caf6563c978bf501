"""The Modbus poller: every meter at the end of its interval, a silent one again and again, none in another's way.

A *line* is what can be asked only one question at a time: a serial line, or a connection to a host and port with any
number of units behind it. Lines work side by side; on one line the meters that answered last go first. Time on the
meters' side (boundaries, `at`) is the given clock's, time-outs and back-off are real seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from headend.collect.modbus.link import Link
from headend.collect.modbus.meter import read_meter
from headend.collect.modbus.outbox import Outbox
from headend.collect.modbus.profile import Profile
from headend.collect.modbus.sunspec import Place
from headend.config import ModbusSettings
from headend.errors import InvalidInput, InvalidMessage
from headend.registry.devices import ModbusDevice, SerialLine, TcpAddress, parse_address

log = structlog.get_logger(__name__)

# The clock may run two thousand times faster than real time, so it is looked at often, and more often when a boundary
# is near [real s; s of the clock].
_LOOK_S = 0.05
_LOOK_CLOSELY_S = 0.01
_NEAR_S = 100

# With no device enrolled the list is looked at this often [s of the clock].
_IDLE_S = 300

_RETRY_S = 1.0

# Files the rest of the process may need.
_OTHER_FILES = 256

# Names are looked up in threads, and a resolver may be slow.
_THREADS = 32


@dataclass(slots=True, eq=False)
class _Station:
    """A device and what became of asking it."""

    device: ModbusDevice
    profile: Profile
    line: _Line
    boundary: int | None = None
    failures: int = 0
    state: str = "reachable"
    asking: bool = False
    again: asyncio.TimerHandle | None = None
    place: Place | None = None


@dataclass(slots=True, eq=False)
class _Line:
    address: TcpAddress | SerialLine
    waiting: dict[_Station, None] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


class ModbusPoller:
    """Reads Modbus meters, from `start` to `stop`, in a thread of its own.

    Parameters
    ----------
    devices
        tells which there are; asked again at every boundary.
    profiles
        by name.
    deliver
        takes topic and payload; returns when they are durable, raises `HeadendError` when they cannot be.
    clock
        the site's clock.
    """

    def __init__(
        self,
        devices: Callable[[], Sequence[ModbusDevice]],
        profiles: Mapping[str, Profile],
        settings: ModbusSettings,
        deliver: Callable[[str, bytes], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._devices, self._profiles, self._settings = devices, profiles, settings
        self._deliver, self._clock = deliver, clock
        self._stations: dict[str, _Station] = {}
        self._misfits: dict[str, ModbusDevice] = {}
        self._lines: dict[TcpAddress | SerialLine, _Line] = {}
        self._boundaries: dict[int, int] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="modbus-poller", daemon=True)

    def start(self) -> None:
        """Begin: every device is read at once, and then at every boundary."""
        # Every failure is told as an event; pymodbus would log each of them as well.
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more, deliver what has come."""
        self._stopping.set()
        self._thread.join()

    # -- the poller's thread --

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(_THREADS, "modbus"))
        # A broken frame makes pymodbus raise in the transport, which closes; the question then says what came.
        loop.set_exception_handler(lambda _loop, told: log.debug("modbus transport", reason=str(told.get("exception"))))
        self._outbox = Outbox(self._deliver, self._clock)
        self._slots = asyncio.Semaphore(_connections(self._settings.at_once))
        sender = asyncio.create_task(self._outbox.run())
        while not self._stopping.is_set():
            try:
                await self._look()
            except Exception:
                log.exception("Modbus devices could not be looked up, trying again")
                await asyncio.sleep(_RETRY_S)
            await asyncio.sleep(_LOOK_CLOSELY_S if self._rest_s() < _NEAR_S else _LOOK_S)
        tasks = [sender, *(line.task for line in self._lines.values() if line.task is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._outbox.finish()

    async def _look(self) -> None:
        """At a boundary: who is there, and ask all whose interval has ended."""
        intervals = self._boundaries or {_IDLE_S: -1}
        if all(self._boundary(interval_s) == last for interval_s, last in intervals.items()):
            return
        self._enrol(await asyncio.to_thread(self._devices))
        lengths = {station.device.interval_s for station in self._stations.values()} or {_IDLE_S}
        self._boundaries = {interval_s: self._boundary(interval_s) for interval_s in lengths}
        due = []
        for station in self._stations.values():
            boundary = self._boundaries[station.device.interval_s]
            if station.boundary != boundary:
                station.boundary = boundary
                due.append(station)
        self._ask(due)

    def _boundary(self, interval_s: int) -> int:
        """The last end of an interval, as a count, after which meters may be read."""
        return int((self._clock().timestamp() - self._settings.delay_s) // interval_s)

    def _rest_s(self) -> float:
        """Until meters may be read again [s of the clock]."""
        since = self._clock().timestamp() - self._settings.delay_s
        return min((interval_s - since % interval_s for interval_s in self._boundaries), default=0.0)

    def _enrol(self, devices: Sequence[ModbusDevice]) -> None:
        for gone in self._stations.keys() - {device.meter for device in devices}:
            self._forget(self._stations.pop(gone))
        misfits = {}
        for device in devices:
            known = self._stations.get(device.meter)
            if known is not None and known.device == device:
                continue
            if known is not None:
                self._forget(self._stations.pop(device.meter))
            try:
                address = parse_address(device.address)
                profile = self._profile(device)
            except InvalidInput as error:
                misfits[device.meter] = device
                if self._misfits.get(device.meter) != device:
                    self._outbox.tell(device.meter, "unreachable", str(error))
                continue
            line = self._lines.setdefault(address, _Line(address))
            self._stations[device.meter] = _Station(device, profile, line)
        self._misfits = misfits
        used = {station.line.address for station in self._stations.values()}
        for address in [address for address, line in self._lines.items() if address not in used and line.task is None]:
            del self._lines[address]

    def _profile(self, device: ModbusDevice) -> Profile:
        if device.profile not in self._profiles:
            raise InvalidInput(f"meter {device.meter}: profile", repr(device.profile), " or ".join(self._profiles))
        return self._profiles[device.profile]

    @staticmethod
    def _forget(station: _Station) -> None:
        station.line.waiting.pop(station, None)
        if station.again is not None:
            station.again.cancel()

    def _ask(self, stations: Iterable[_Station]) -> None:
        for station in sorted(stations, key=lambda station: station.failures):
            if station.asking and station.failures:
                continue  # it is being waited for already
            if station.again is not None:
                station.again.cancel()
            line = station.line
            line.waiting[station] = None
            if line.task is None:
                line.task = asyncio.create_task(self._serve(line))

    async def _serve(self, line: _Line) -> None:
        slot = self._slots if isinstance(line.address, TcpAddress) else contextlib.nullcontext()
        try:
            async with slot:
                await self._ask_one_after_another(line)
        finally:
            line.task = None

    async def _ask_one_after_another(self, line: _Line) -> None:
        link = None
        try:
            while line.waiting:
                if link is None or not link.sound:
                    if link is not None:
                        link.close()
                    link = Link(line.address, self._settings.timeout_s)
                    await link.open()
                station = next(iter(line.waiting))
                del line.waiting[station]
                await self._ask_one(link, station)
        except ConnectionError as error:
            silent = list(line.waiting)
            line.waiting.clear()
            for station in silent:
                self._failed(station, "unreachable", str(error))
        finally:
            if link is not None:
                link.close()

    async def _ask_one(self, link: Link, station: _Station) -> None:
        device = station.device
        station.asking = True
        try:
            reading = await read_meter(link, device, station.profile, self._clock, station.place)
        except OSError as error:
            self._failed(station, "unreachable", str(error))
        except InvalidMessage as error:
            station.place = None
            self._failed(station, "bad_answer", str(error))
        except Exception as error:
            log.exception("reading a Modbus meter failed", meter=device.meter)
            link.sound = False
            self._failed(station, "bad_answer", repr(error))
        else:
            station.place = reading.place
            self._outbox.add(device.meter, reading)
            if reading.decoded.refused:
                self._failed(station, "bad_answer", "; ".join(map(str, reading.decoded.refused)))
            else:
                station.failures = 0
                self._note(station, "reachable", "")
        finally:
            station.asking = False

    def _failed(self, station: _Station, state: str, detail: str) -> None:
        self._note(station, state, detail)
        if self._stations.get(station.device.meter) is station:
            wait_s = min(2 ** min(station.failures, 30), self._settings.back_off_s)
            station.again = asyncio.get_running_loop().call_later(wait_s, self._ask, [station])
        station.failures += 1

    def _note(self, station: _Station, state: str, detail: str) -> None:
        if state != station.state:
            station.state = state
            self._outbox.tell(station.device.meter, state, detail)


def _connections(wanted: int) -> int:
    """How many connections may be open at once, as the limit on open files leaves room for."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if limit == resource.RLIM_INFINITY else max(1, min(wanted, limit - _OTHER_FILES))
    if allowed < wanted:
        log.warning("too few open files allowed for modbus.at_once", at_once=wanted, allowed=allowed)
    return allowed
