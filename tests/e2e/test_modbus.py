"""Simulated Modbus meters read by a whole head-end: what is stored is what they counted, whatever befalls them."""

from __future__ import annotations

import asyncio
import csv
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from firmware_sim.inventory import MeterSpec, make_shipment
from firmware_sim.meter import Meter
from firmware_sim.modbus.counter import Counter
from headend.app import HeadEnd, open_site
from headend.process import settle_due_days
from tests.e2e.sites import HOUR, IMPORT, Site, becomes_true, events, findings, meter, quarantine, values
from tests.firmware_sim.modbus import line
from tests.servers import free_port

SPEED = 1_500
#: Clock and meters begin here; the head-end is up long before anything happens.
START = datetime(2026, 11, 10, 22, tzinfo=UTC)
UP_BY = START + 6 * HOUR
MINUTE = timedelta(minutes=1)

FLEET = 24
SIMPLE = [
    spec for spec in make_shipment(1, FLEET, 1).meters if [channel.channel for channel in spec.channels] == [IMPORT]
]


class Simulator:
    """Meters in a process, which can be killed and started again."""

    def __init__(self, profile: str, where: Sequence[str], specs: Sequence[MeterSpec], *more: str) -> None:
        names = [option for spec in specs for option in ("--meter", spec.meter)]
        fleet = ["--meters", str(FLEET), *names, *more]
        self._command = [sys.executable, "-m", "firmware_sim", "modbus", "--profile", profile, *where, *fleet]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)

    def listening(self) -> list[dict]:
        """The meters, once they answer."""
        return json.loads(self._process.stdout.readline())["meters"]

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def stop(self) -> None:
        """Return once its truth file is whole."""
        self._process.terminate()
        self._process.communicate(timeout=20)


def enrolled(told: dict, address: str = "", interval_s: int = 3600) -> str:
    where = {"profile": told["profile"], "address": address or told["address"], "unit": told["unit"]}
    return meter(told["meter"], interval_s=interval_s, modbus=where)


def hourly(spec: MeterSpec, start: datetime, count: int) -> list[int]:
    """What a meter of the fleet counts."""
    first = int(start.timestamp()) // 3600
    return Meter(spec, 1, "Europe/Berlin").measure(first, first + count)[0].values.tolist()


async def soon(claim: Callable[[], object]) -> None:
    """Return once it is true, while the head-end runs on in this loop."""
    assert await asyncio.to_thread(becomes_true, claim)


def told_by(truth: Path) -> dict[tuple[str, datetime], int]:
    with truth.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["channel"] == IMPORT]
    return {(row["meter"], datetime.fromisoformat(row["start"])): int(row["value"]) for row in rows}


@pytest.mark.slow
async def test_meters_of_many_makes_are_stored_as_they_counted(tmp_path: Path):
    since = datetime.now(UTC)

    def clock() -> datetime:
        return START + (datetime.now(UTC) - since) * SPEED

    # Registers change at the ends of hours only, so that a late read is as good.
    same_clock = [
        "--live-from",
        START.isoformat(),
        "--since",
        since.isoformat(),
        "--speed",
        str(SPEED),
        "--tick",
        "3600",
    ]
    truth = [tmp_path / f"truth{number}.csv" for number in range(3)]
    tcp, dying = ("--tcp", "127.0.0.1:0"), ("--tcp", f"127.0.0.1:{free_port()}")
    exchange, reset = UP_BY + 1.5 * HOUR, UP_BY + 2.5 * HOUR
    two, sunspec, changed, mortal = SIMPLE[:2], SIMPLE[2:3], SIMPLE[5:7], SIMPLE[7]
    rtu = [SIMPLE[3], SIMPLE[9]]  # homes: below 16,384 kWh since January a float32 is exact to the Wh
    with ExitStack() as stack:
        here, there = stack.enter_context(line())
        faults = (f"--fault=1:exchange_at={exchange.isoformat()}", f"--fault=2:reset_at={reset.isoformat()}")
        simulators = [
            Simulator("schneider-iem3155", tcp, two, *same_clock, "--truth", str(truth[0])),
            Simulator("sunspec-meter", tcp, sunspec, *same_clock, "--model", "203", "--truth", str(truth[1])),
            Simulator(
                "eastron-sdm120", ("--serial", there), rtu, *same_clock, "--register", "0", "--truth", str(truth[2])
            ),
            Simulator("schneider-iem3155", tcp, changed, *same_clock, *faults),
            Simulator("schneider-iem3155", dying, [mortal], *same_clock),
        ]
        for simulator in simulators:
            stack.callback(simulator.kill)
        told = [simulator.listening() for simulator in simulators]
        addresses = ["", "", f"rtu://{here}", "", ""]
        folder = tmp_path / "site"
        folder.mkdir()
        rows = [enrolled(one, address) for group, address in zip(told, addresses, strict=True) for one in group]
        (folder / "meters.toml").write_text("\n".join(rows))
        site = open_site(
            None,
            {
                "data": {"directory": str(folder)},
                "site": {"registry": str(folder / "meters.toml")},
                "mqtt": {"port": free_port()},
                "process": {"register_tolerance_s": 900, "poll_ms": 20},
                "modbus": {"timeout_s": 1, "back_off_s": 1},
                "log": {"level": "error"},
            },
            clock,
        )
        async with HeadEnd(site, ("collect", "process")):
            assert clock() < UP_BY, "the machine is too slow for this clock"

            def store_reaches(end: datetime, spec: MeterSpec) -> Callable[[], bool]:
                return lambda: values(site.database, spec.meter, end - HOUR, 1) != [None]

            await soon(store_reaches(UP_BY, mortal))
            simulators[-1].kill()
            await soon(lambda: events(site.database, mortal.meter) == ["unreachable"])
            await soon(lambda: clock() > UP_BY + 4 * HOUR)
            simulators[-1].start()
            simulators[-1].listening()
            await soon(lambda: events(site.database, mortal.meter) == ["unreachable", "reachable"])
            end = UP_BY + 8 * HOUR
            await soon(lambda: all(store_reaches(end, spec)() for spec in [*two, *sunspec, *rtu, *changed, mortal]))
            for simulator in simulators:
                simulator.stop()

        begin, count = UP_BY - HOUR, 9
        for path, specs in zip(truth, (two, sunspec, rtu), strict=True):
            true = told_by(path)
            for spec in specs:
                measured = [true[spec.meter, begin + hour * HOUR] for hour in range(count)]
                assert values(site.database, spec.meter, begin, count) == measured, spec.meter
                assert events(site.database, spec.meter) == []
        for spec, at, what in zip(changed, (exchange, reset), ("serial number changed", "it was reset"), strict=True):
            stored, measured = values(site.database, spec.meter, begin, count), hourly(spec, begin, count)
            measured[int((at - begin) / HOUR)] = None
            assert stored == measured
            (found,) = findings(site.database, spec.meter)
            assert what in found
        stored, measured = values(site.database, mortal.meter, begin, count), hourly(mortal, begin, count)
        lost = [place for place, value in enumerate(stored) if value is None]
        assert lost == list(range(lost[0], lost[-1] + 1))
        assert 2 <= len(lost) <= 6
        assert stored == [None if place in lost else value for place, value in enumerate(measured)]
        assert quarantine(site.database) == []

    later = open_site(None, {"data": {"directory": str(folder)}, "log": {"level": "error"}}, lambda: end + 72 * HOUR)
    settle_due_days(later)
    filled = values(site.database, mortal.meter, begin, count)
    assert sum(filled[lost[0] : lost[-1] + 1]) == sum(measured[lost[0] : lost[-1] + 1])


def minutely(spec: MeterSpec, start: datetime, count: int) -> list[int]:
    """What a meter of the fleet counts in each minute."""
    counter, first = Counter(Meter(spec, 1, "Europe/Berlin"), 60), int(start.timestamp())
    at = [counter.totals(counter.tick(first + 60 * minute))[IMPORT] for minute in range(count + 1)]
    return [after - before for before, after in pairwise(at)]


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_minutes_of_meters_on_the_real_clock_are_stored_as_they_counted(tmp_path: Path):
    """Two over TCP, of which one dies for longer than a minute, and one on a serial line."""
    steady, mortal, serial = SIMPLE[1], SIMPLE[0], SIMPLE[3]
    with ExitStack() as stack:
        here, there = stack.enter_context(line())
        simulators = [
            Simulator("schneider-iem3155", ("--tcp", "127.0.0.1:0"), [steady]),
            Simulator("schneider-iem3155", ("--tcp", f"127.0.0.1:{free_port()}"), [mortal]),
            Simulator("eastron-sdm120", ("--serial", there), [serial], "--register", "0"),
        ]
        for simulator in simulators:
            stack.callback(simulator.kill)
        [[one], [two], [three]] = [simulator.listening() for simulator in simulators]
        # All are read at the start, and of the reads around an interval's end the nearest stands for it. These
        # registers go on at the full minute, so the start must not be the read nearest to one.
        assert becomes_true(lambda: datetime.now(UTC).second < 40, 25)
        rows = [enrolled(one, "", 60), enrolled(two, "", 60), enrolled(three, f"rtu://{here}", 60)]
        settings: dict[str, dict[str, object]] = {"mqtt": {"port": free_port()}, "modbus": {"back_off_s": 1}}
        site = stack.enter_context(Site(tmp_path / "site", settings, *rows))
        begin = datetime.now(UTC).replace(second=0, microsecond=0) + MINUTE

        def known(spec: MeterSpec, minute: int) -> bool:
            return site.values(spec.meter, begin + minute * MINUTE, 1, interval_s=60) != [None]

        assert becomes_true(lambda: known(mortal, 0), 130)
        simulators[1].kill()
        died = datetime.now(UTC)
        assert becomes_true(lambda: events(site.database, mortal.meter) == ["unreachable"], 70)
        assert becomes_true(lambda: datetime.now(UTC) > died + timedelta(seconds=75), 80)
        simulators[1].start()
        simulators[1].listening()
        assert becomes_true(lambda: events(site.database, mortal.meter) == ["unreachable", "reachable"], 40)
        back = int((datetime.now(UTC) - begin) / MINUTE) + 1
        assert becomes_true(lambda: all(known(spec, back) for spec in (steady, mortal, serial)), 130)

        for spec in (steady, serial):
            stored = site.values(spec.meter, begin, back + 1, interval_s=60)
            assert stored == minutely(spec, begin, back + 1), spec.meter
            assert events(site.database, spec.meter) == []
        stored, measured = site.values(mortal.meter, begin, back + 1, interval_s=60), minutely(mortal, begin, back + 1)
        lost = [place for place, value in enumerate(stored) if value is None]
        assert lost == list(range(lost[0], lost[-1] + 1))
        assert 1 <= len(lost) <= 3
        assert stored == [None if place in lost else value for place, value in enumerate(measured)]
        assert quarantine(site.database) == []
