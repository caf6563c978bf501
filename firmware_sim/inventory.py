"""The manufacturer's shipment file: which meters were delivered, and which gateway each one reports through.

It is a pure function of (gateways, meters, seed), so the head-end that imports it and the fleet that plays it agree.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from firmware_sim.errors import InvalidInput
from firmware_sim.noise import seed_of, uniform

HOME_LIMIT = 27_600
"""What one phase can carry in an hour [Wh]: 100 A at 230 V and 20 % over it."""

KINDS = ("household", "household_solar", "household_ev", "commercial", "household", "household_solar")
"""Electricity kinds in the order they are dealt out, so that a small fleet has each of them."""

LIMITS = {
    "london_home": HOME_LIMIT,
    "cambridge_building": 5 * HOME_LIMIT,
    "household": HOME_LIMIT,
    "household_ev": 3 * HOME_LIMIT,
    "household_solar": HOME_LIMIT,
    "commercial": 6 * HOME_LIMIT,
}
GAS_LIMIT = 6_000  # dm³ in an hour: a G4 meter's maximum flow
HEAT_LIMIT = 60_000  # Wh in an hour: the exchanger of a large house
WATER_LIMIT = 3_125  # litres in an hour: overload flow Q4 of a Q3 = 2.5 m³/h meter


@dataclass(frozen=True, slots=True)
class Channel:
    """One counted quantity of a meter.

    Attributes
    ----------
    channel
        OBIS code.
    unit
        `Wh`, `dm3` or `l`.
    interval_s
        length of an interval [s].
    register_digits
        the register counts whole units and starts over at 10 ** digits.
    max_per_interval
        what the connection can carry in one interval, in the channel's unit.
    """

    channel: str
    unit: str
    interval_s: int
    register_digits: int
    max_per_interval: int


@dataclass(frozen=True, slots=True)
class MeterSpec:
    """One delivered meter."""

    meter: str
    gateway: str
    commodity: str
    premise: str
    kind: str
    channels: tuple[Channel, ...]


@dataclass(frozen=True, slots=True)
class Shipment:
    """A delivery: gateways by name, and the meters behind them."""

    gateways: tuple[str, ...]
    meters: tuple[MeterSpec, ...]

    def as_json(self) -> dict[str, Any]:
        """The shipment file's content."""
        return {"gateways": list(self.gateways), "meters": [asdict(meter) for meter in self.meters]}


def make_shipment(gateways: int, meters: int, seed: int, heat: int = 0) -> Shipment:
    """Deal out a fleet.

    The first meter replays the London home, the second the Cambridge building; about 70 % of the rest count
    electricity; gas and water meters stand in homes that have an electricity meter, and share its gateway. So do `heat`
    meters, which come on top of the others.

    Raises
    ------
    InvalidInput
        when there is not at least one of each, or not a home for each heat meter.
    """
    for name, count in (("--gateways", gateways), ("--meters", meters)):
        if count < 1:
            raise InvalidInput(name, str(count), "a whole number from 1")
    names = tuple(f"GW-{number:03d}" for number in range(1, gateways + 1))
    electricity = meters if meters <= 2 else 2 + round(0.7 * (meters - 2))
    kinds = ["london_home", "cambridge_building", *(KINDS[i % len(KINDS)] for i in range(electricity))][:electricity]
    specs = [_electricity(number, kind, names) for number, kind in enumerate(kinds)]
    homes = [spec for spec in specs if spec.kind not in {"cambridge_building", "commercial"}]
    others = meters - electricity
    gas = (others + 1) // 2
    specs += [_gas(number, home) for number, home in enumerate(_chosen(homes, gas, seed, "gas"))]
    specs += [_water(number, home) for number, home in enumerate(_chosen(homes, others - gas, seed, "water"))]
    if not 0 <= heat <= len(homes):
        raise InvalidInput("--heat-meters", str(heat), f"0 to {len(homes)}, one a home")
    specs += [_heat(number, home) for number, home in enumerate(_chosen(homes, heat, seed, "heat"))]
    return Shipment(names, tuple(specs))


def _chosen(homes: list[MeterSpec], count: int, seed: int, what: str) -> list[MeterSpec]:
    """`count` different homes, by chance of the seed, in the order of their premises."""
    draws = uniform(seed_of(seed, "shipment"), what, np.arange(len(homes)))
    return [homes[i] for i in sorted(np.argsort(draws, kind="stable")[:count].tolist())]


def _electricity(number: int, kind: str, gateways: tuple[str, ...]) -> MeterSpec:
    codes = ("1-0:1.8.0", "1-0:2.8.0") if kind == "household_solar" else ("1-0:1.8.0",)
    return MeterSpec(
        meter=f"E-{20001 + number}",
        gateway=gateways[number % len(gateways)],
        commodity="electricity",
        premise=f"P-{number + 1:04d}",
        kind=kind,
        channels=tuple(Channel(code, "Wh", 3600, 9, LIMITS[kind]) for code in codes),
    )


def _gas(number: int, home: MeterSpec) -> MeterSpec:
    channel = Channel("7-0:3.0.0", "dm3", 3600, 8, GAS_LIMIT)
    return MeterSpec(f"G-{20001 + number}", home.gateway, "gas", home.premise, "household", (channel,))


def _water(number: int, home: MeterSpec) -> MeterSpec:
    channel = Channel("8-0:1.0.0", "l", 3600, 8, WATER_LIMIT)
    return MeterSpec(f"W-{20001 + number}", home.gateway, "water", home.premise, "household", (channel,))


def _heat(number: int, home: MeterSpec) -> MeterSpec:
    channel = Channel("6-0:1.0.0", "Wh", 3600, 9, HEAT_LIMIT)
    return MeterSpec(f"H-{20001 + number}", home.gateway, "heat", home.premise, "household", (channel,))
