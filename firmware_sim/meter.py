"""A meter: what it measured in any stretch of hours, and what its registers read then.

A register reads its reading of 1 January 2026 plus the intervals since then (less those before), round its dial.
Nothing is carried from one stretch to the next, so registers agree whichever process computes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from firmware_sim.clock import hour_of
from firmware_sim.inventory import Channel, MeterSpec
from firmware_sim.loads import consumption
from firmware_sim.noise import one, seed_of

ORIGIN = hour_of(datetime(2026, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Measured:
    """One channel of one meter over consecutive hours.

    Attributes
    ----------
    first_hour
        begin of the first interval [UTC hours since 1970].
    values
        what was used in each hour, shape (n,) [the channel's unit].
    registers
        the register at the end of each hour, shape (n,).
    """

    meter: MeterSpec
    channel: Channel
    first_hour: int
    values: NDArray[np.int64]
    registers: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Meter:
    """One meter of the shipment, made real by the fleet's seed."""

    spec: MeterSpec
    fleet_seed: int
    zone: str

    def measure(self, first_hour: int, last_hour: int) -> list[Measured]:
        """Every channel over the hours first_hour ≤ h < last_hour [UTC hours since 1970]."""
        begin, end = min(first_hour, ORIGIN), max(last_hour, ORIGIN)
        seed = seed_of(self.fleet_seed, self.spec.meter)
        hours = np.arange(begin, end)
        channels = zip(
            self.spec.channels,
            consumption(self.spec.commodity, self.spec.kind, seed, hours, self.zone),
            strict=True,
        )
        asked = slice(first_hour - begin, last_hour - begin)
        measured = []
        for channel, values in channels:
            total = np.cumsum(values)
            at_origin = total[ORIGIN - begin - 1] if begin < ORIGIN else 0
            dial = 10**channel.register_digits
            # a meter that came from the factory or from another home: up to 40 % of its dial
            initial = int(0.4 * dial * one(seed, f"register {channel.channel}"))
            registers = (initial + total - at_origin) % dial
            measured.append(Measured(self.spec, channel, first_hour, values[asked], registers[asked]))
        return measured
