"""`firmware-sim modbus`: meters of a fleet that are read over Modbus."""

from __future__ import annotations

import asyncio
import ipaddress
import resource
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from firmware_sim.errors import InvalidInput
from firmware_sim.inventory import MeterSpec, make_shipment
from firmware_sim.meter import Meter
from firmware_sim.modbus.counter import Counter
from firmware_sim.modbus.faults import read_faults
from firmware_sim.modbus.profile import Profile, load_profile
from firmware_sim.modbus.serve import Line, Place, Tcp, serve
from firmware_sim.modbus.unit import MeterUnit
from firmware_sim.options import check_zone, moment, writable
from firmware_sim.truth import TruthFile

HIGHEST_UNIT = 247


def modbus(
    profile: Annotated[str, typer.Option(help="What the meters are: a profile's name.")],
    tcp: Annotated[str | None, typer.Option(help="Answer here: HOST:PORT; port 0: any free one.")] = None,
    serial: Annotated[str | None, typer.Option(help="Answer on this serial device (RTU).")] = None,
    model: Annotated[int | None, typer.Option(help="SunSpec: the meter's model, 201 to 204.")] = None,
    unit: Annotated[int, typer.Option(help="Unit number of the first meter; the others count up.")] = 1,
    meter: Annotated[list[str] | None, typer.Option(help="A meter of the fleet; may be repeated.")] = None,
    devices: Annotated[int | None, typer.Option(help="That many devices, one at each IP address from HOST on.")] = None,
    gateways: Annotated[int, typer.Option(help="Gateways of the fleet whose meters these are.")] = 1,
    meters: Annotated[int, typer.Option(help="Meters of that fleet.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of that fleet.")] = 1,
    timezone: Annotated[str, typer.Option(help="Where the homes stand (IANA name).")] = "Europe/Berlin",
    live_from: Annotated[
        str | None, typer.Option(help="A simulated clock that started here; else the real one.")
    ] = None,
    speed: Annotated[float, typer.Option(help="Simulated seconds in a second.")] = 1.0,
    since: Annotated[str | None, typer.Option(help="The real time at which it started; else now.")] = None,
    tick: Annotated[int, typer.Option(help="Registers change this often [simulated s].")] = 60,
    register: Annotated[
        int | None, typer.Option(help="What registers read on 1 January 2026 [Wh]; else as in the fleet.")
    ] = None,
    fault: Annotated[list[str] | None, typer.Option(help="[UNIT:]NAME[=VALUE]; may be repeated.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Write every interval completed here (CSV).")] = None,
    baud: Annotated[int, typer.Option(help="Speed of the serial line.")] = 9600,
    parity: Annotated[str, typer.Option(help="Parity of the serial line: N, E or O.")] = "N",
) -> None:
    """Play meters that are read over Modbus TCP or RTU, until stopped."""
    if (tcp is None) == (serial is None):
        raise InvalidInput("firmware-sim modbus", "both" if tcp else "neither", "one of --tcp and --serial")
    if devices is not None and (serial or meter or devices < 1):
        raise InvalidInput("--devices", str(devices), "a number from 1, with --tcp and without --meter")
    if tick < 1:
        raise InvalidInput("--tick", str(tick), "a whole number from 1")
    check_zone(timezone)
    clock = _clock(live_from, speed, since)
    kind = load_profile(profile, model)
    specs = _chosen(make_shipment(gateways, meters, seed).meters, meter or [], devices or 1, kind)
    numbers = [unit] * len(specs) if devices else list(range(unit, unit + len(specs)))
    if unit < 1 or numbers[-1] > HIGHEST_UNIT:
        raise InvalidInput("--unit", str(unit), f"unit numbers from 1 to {HIGHEST_UNIT}")
    if tcp is None:
        hosts, port = [str(serial)] * len(specs), 0
    else:
        hosts, port = _hosts(tcp, devices, len(specs))
    faults = read_faults(fault or [], numbers)
    units: dict[str, dict[int, MeterUnit]] = {}
    places = []
    for spec, host, number in zip(specs, hosts, numbers, strict=True):
        counter = Counter(Meter(spec, seed, timezone), tick)
        units.setdefault(host, {})[number] = made = MeterUnit(kind, counter, clock, faults[number], register)
        made.refresh()  # a year of a fleet's hours is not for the first master to wait for
        places.append(Place(counter, host, number))
    where = Tcp(units, port) if tcp else Line(str(serial), baud, parity, units[str(serial)])
    if devices:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with ExitStack() as files:
        file = TruthFile(files.enter_context(writable(truth)) if truth else None)
        asyncio.run(serve(where, places, profile, file, clock))


def _clock(live_from: str | None, speed: float, since: str | None) -> Callable[[], float]:
    """The meters' time [s since 1970]."""
    if live_from is None:
        return time.time
    if speed <= 0:
        raise InvalidInput("--speed", f"{speed:g}", "a number above 0")
    shown = moment("--live-from", live_from).timestamp()
    began = (moment("--since", since) if since else datetime.now(UTC)).timestamp()
    return lambda: shown + (time.time() - began) * speed


def _chosen(fleet: Iterable[MeterSpec], names: list[str], devices: int, profile: Profile) -> list[MeterSpec]:
    """The named meters of a fleet, or else as many as there are devices; all of the profile's kind."""
    fitting = {spec.meter: spec for spec in fleet if {channel.channel for channel in spec.channels} <= profile.channels}
    for name in names:
        if name not in fitting:
            raise InvalidInput(
                "--meter", name, f"a meter of the fleet that counts {', '.join(sorted(profile.channels))}"
            )
    if len(fitting) < devices:
        raise InvalidInput("--devices", str(devices), f"at most {len(fitting)}, the fleet's meters of this kind")
    return [fitting[name] for name in names or list(fitting)[:devices]]


def _hosts(tcp: str, devices: int | None, count: int) -> tuple[list[str], int]:
    """The host of each meter, and the port of all."""
    host, _, port = tcp.rpartition(":")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise InvalidInput("--tcp", tcp, "HOST:PORT")
    host = host.strip("[]")
    if devices is None:
        return [host] * count, int(port)
    try:
        first = ipaddress.ip_address(host)
    except ValueError as error:
        raise InvalidInput("--tcp", tcp, "an IP address, from which --devices counts up") from error
    return [str(first + number) for number in range(count)], int(port)
