"""How gateways and their meters are, beside what they count: the gateway's signal and battery, the voltage at meters.

Like what meters count, it is a function of seed, name and hour alone; told at full hours, as the wire has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from firmware_sim.clock import stamps, wall_clock
from firmware_sim.inventory import MeterSpec
from firmware_sim.loads import bump
from firmware_sim.messages import Message
from firmware_sim.noise import Chances, Hours, seed_of

ITEMS_A_MESSAGE = 10_000
"""More than these the wire does not take at once."""

Values = NDArray[np.float64]


class Telemetry:
    """What one gateway has to tell of itself and its meters.

    Parameters
    ----------
    every_h
        how often [h]; 0: never.
    zone
        IANA name; by its clock people draw power, and the voltage goes down.
    """

    def __init__(self, gateway: str, meters: Sequence[MeterSpec], every_h: int, *, seed: int, zone: str) -> None:
        self._every_h = every_h
        self._zone = zone
        self._meters = [spec.meter for spec in meters if spec.commodity == "electricity"]
        self._gateway_chance = Chances([seed_of(seed, gateway)])
        self._meters_chance = Chances([seed_of(seed, meter) for meter in self._meters])

    def items(self, begin: int, end: int) -> list[str]:
        """What is told in begin ≤ h < end [UTC hours since 1970], in order of time, as JSON texts."""
        if not self._every_h:
            return []
        hours = np.arange(-(-begin // self._every_h) * self._every_h, end, self._every_h)
        signal, battery = self._signal(hours).tolist(), self._battery(hours).tolist()
        voltage = self._voltage(hours).T.tolist()
        found = []
        for place, at in enumerate(stamps(hours)):
            found.append(json.dumps({"at": at, "signal_dbm": signal[place], "battery_v": battery[place]}))
            found += [
                json.dumps({"at": at, "meter": meter, "voltage_v": volts})
                for meter, volts in zip(self._meters, voltage[place], strict=True)
            ]
        return found

    def _signal(self, hours: Hours) -> Values:
        """Where the gateway hangs, what the weather makes of it for a day, and what passes by; shape (n,) [dBm]."""
        chance = self._gateway_chance
        weather, passing = chance.uniform("weather", hours // 24), chance.uniform("passing", hours)
        return np.rint(chance.between("signal", -96, -64) + 6 * (weather - 0.5) + 4 * (passing - 0.5))[0]

    def _battery(self, hours: Hours) -> Values:
        """A lithium cell: flat for years, lower where it is cold; shape (n,) [V]."""
        chance, clock = self._gateway_chance, wall_clock(hours, self._zone)
        cold = 0.03 * clock.season + 0.02 * bump(clock.hour, 5.0, 4.0)
        return np.round(chance.between("cell", 3.58, 3.66) - cold + 0.01 * (chance.uniform("cell", hours) - 0.5), 3)[0]

    def _voltage(self, hours: Hours) -> Values:
        """Lower the further from the transformer, and when the street draws most; shape (meters, n) [V]."""
        chance, clock = self._meters_chance, wall_clock(hours, self._zone)
        if not self._meters:
            return np.empty((0, len(hours)))
        far = chance.between("far", 0.3, 1.0)
        drawn = 7.0 * bump(clock.hour, 19.0, 2.5) + 3.0 * bump(clock.hour, 7.5, 1.5)
        return np.round(235.0 - far * (3.0 + drawn) + 2.0 * (chance.uniform("voltage", hours) - 0.5), 1)


def with_telemetry(messages: Iterator[Message], items: list[str]) -> Iterator[Message]:
    """The messages of a stretch, with its telemetry in the first that is sent; if none is, it is lost like them."""
    sent = False
    for message in messages:
        if message.lost or not items:
            yield message
        else:
            yield replace(message, body=_telemetry(items[:ITEMS_A_MESSAGE]) + b", " + message.body)
            items = items[ITEMS_A_MESSAGE:]
        sent |= not message.lost
    while sent and items:
        yield Message(_telemetry(items[:ITEMS_A_MESSAGE]) + b', "blocks": []')
        items = items[ITEMS_A_MESSAGE:]


def _telemetry(items: list[str]) -> bytes:
    return f'"telemetry": [{", ".join(items)}]'.encode()
