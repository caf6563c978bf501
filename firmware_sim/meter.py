"""Meters: what they measured in any stretch of hours, and what their registers read then.

A register reads its reading of 1 January 2026 plus the intervals since then (less those before), round its dial. What
is remembered between two stretches only saves adding up the same hours again, so registers agree whichever process
computes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from firmware_sim.clock import hour_of
from firmware_sim.defects import Defect
from firmware_sim.inventory import Channel, MeterSpec
from firmware_sim.loads import Quantity, consumption
from firmware_sim.noise import Chances, seed_of

ORIGIN = hour_of(datetime(2026, 1, 1, tzinfo=UTC))
STRETCH_H = 31 * 24
"""Hours added up at once where only their sum is wanted: bounds the memory."""


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
class Table:
    """One channel of m like meters over the same n hours; attributes as in `Measured`, arrays of shape (m, n)."""

    meters: tuple[MeterSpec, ...]
    channel: Channel
    first_hour: int
    values: NDArray[np.int64]
    registers: NDArray[np.int64]

    @property
    def end(self) -> int:
        """The hour after the last one."""
        return self.first_hour + self.values.shape[1]

    def between(self, begin: int, end: int) -> Table:
        """The hours begin ≤ h < end of it."""
        cut = slice(begin - self.first_hour, end - self.first_hour)
        return replace(self, first_hour=begin, values=self.values[:, cut], registers=self.registers[:, cut])

    def rows(self) -> Iterator[Measured]:
        """Meter by meter."""
        for meter, values, registers in zip(self.meters, self.values, self.registers, strict=True):
            yield Measured(meter, self.channel, self.first_hour, values, registers)


class Bank:
    """Meters of one commodity and kind, measured together.

    Parameters
    ----------
    meters
        the meters, which differ in nothing but their names.
    fleet_seed
        with its name, a meter's chance.
    counted_from
        where their registers read what they came with [UTC hours since 1970].
    defects
        of these meters, and maybe others.
    """

    def __init__(
        self,
        meters: Sequence[MeterSpec],
        fleet_seed: int,
        zone: str,
        counted_from: int = ORIGIN,
        defects: Sequence[Defect] = (),
    ) -> None:
        self.meters = tuple(meters)
        self.channels = meters[0].channels
        self._zone = zone
        self._chances = Chances([seed_of(fleet_seed, spec.meter) for spec in meters])
        rows = {spec.meter: row for row, spec in enumerate(meters)}
        self._defects = [(rows[defect.meter], defect) for defect in defects if defect.meter in rows]
        self._at = counted_from
        self._totals = [self._brought(channel) for channel in self.channels]

    def measure(self, first_hour: int, last_hour: int) -> list[Table]:
        """Every channel over the hours first_hour ≤ h < last_hour [UTC hours since 1970]."""
        self._count_to(first_hour)
        tables = []
        for i, values in enumerate(self._used(first_hour, last_hour)):
            channel = self.channels[i]
            totals = self._totals[i] + np.cumsum(values, axis=1)
            registers = totals % 10**channel.register_digits
            tables.append(Table(self.meters, channel, first_hour, values, registers))
            if last_hour > first_hour:
                self._totals[i] = totals[:, -1:]
        self._at = max(first_hour, last_hour)
        return tables

    def turn_to(self, hour: int, readings: Sequence[NDArray[np.int64]]) -> None:
        """Have the registers read this at an hour, an array of shape (m, 1) a channel; −1 leaves one as it is."""
        self._count_to(hour)
        self._totals = [
            np.where(reading < 0, total, reading) for reading, total in zip(readings, self._totals, strict=True)
        ]

    def _brought(self, channel: Channel) -> Quantity:
        """Meters that came from the factory or from another home: up to 40 % of their dial, shape (m, 1)."""
        drawn = self._chances.one(f"register {channel.channel}")
        return (0.4 * 10**channel.register_digits * drawn).astype(np.int64)

    def _used(self, first_hour: int, last_hour: int) -> list[Quantity]:
        first = self.meters[0]
        used = consumption(first.commodity, first.kind, self._chances, np.arange(first_hour, last_hour), self._zone)
        for row, defect in self._defects:
            for values in used:
                values[row] = defect.counted(values[row], first_hour)
        return used

    def _count_to(self, hour: int) -> None:
        """Bring the totals to the begin of an hour, forwards or backwards."""
        while self._at != hour:
            forward = hour > self._at
            other = min(hour, self._at + STRETCH_H) if forward else max(hour, self._at - STRETCH_H)
            used = self._used(min(self._at, other), max(self._at, other))
            for i, values in enumerate(used):
                total = values.sum(axis=1, keepdims=True)
                self._totals[i] = self._totals[i] + total if forward else self._totals[i] - total
            self._at = other


@dataclass(frozen=True, slots=True)
class Meter:
    """One meter of the shipment, made real by the fleet's seed."""

    spec: MeterSpec
    fleet_seed: int
    zone: str

    def measure(self, first_hour: int, last_hour: int) -> list[Measured]:
        """Every channel over the hours first_hour ≤ h < last_hour [UTC hours since 1970]."""
        bank = Bank([self.spec], self.fleet_seed, self.zone)
        return [row for table in bank.measure(first_hour, last_hour) for row in table.rows()]
