"""Planted faults of reads: where they fall, as a function of the plan alone.

Every fault can be settled from what is sent: the register at the end of each sent block is true. So that one register
advance settles one fault, a meter-channel-day holds one bad value, bad values all through or missing ones, never two of
these; the day after a lost one is clean; and nothing is planted in a meter's first day or in the last three days of the
history.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firmware_sim.happenings import MeterEvents
from firmware_sim.inventory import MeterSpec
from firmware_sim.meter import Bank, Table
from firmware_sim.noise import Chances, seed_of, uniform
from firmware_sim.plan import FaultPlan

FIRST_CLEAN_HOURS = 24
LAST_CLEAN_HOURS = 72
ROLLOVER_HOURS = 20 * 24
"""A register that is to roll over does so within this time of the history's begin [h]."""
STEADY_KINDS = ("london_home", "cambridge_building", "household", "commercial")
"""Where electricity is used at every hour. Of what flows in few hours of a day (behind a roof, into a car) a single
interval could account for pulses that were lost all day."""
LEAST_HEARD, MOST_HEARD = 0.1, 0.5
"""The share of a day that is told where pulses are lost on their way to the load profile."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Reported:
    """One channel as its meters tell it, arrays of shape (m, n).

    Attributes
    ----------
    values
        with what is bad in them.
    missing
        where null is told.
    bad
        where a value is not what was measured.
    quality
        bits as on the wire, 0 for good.
    """

    measured: Table
    values: NDArray[np.int64]
    missing: Mask
    bad: Mask
    quality: NDArray[np.uint8]

    def remembered(self) -> Reported:
        """As the meters keep it: what went wrong when it was told is right there, what they missed is missing."""
        return replace(self, values=self.measured.values, bad=np.zeros_like(self.bad))

    def between(self, begin: int, end: int) -> Reported:
        """The hours begin ≤ h < end of it [UTC hours since 1970]."""
        first = self.measured.first_hour
        cut = (slice(None), slice(begin - first, end - first))
        return Reported(
            self.measured.between(begin, end), self.values[cut], self.missing[cut], self.bad[cut], self.quality[cut]
        )


class _OfChannel(NamedTuple):
    """The chances of a channel's meters, and of the meters themselves."""

    channel: Chances
    meter: Chances


class Planter:
    """Plants a plan's faults in what one gateway's meters measured; the registers stay true.

    Parameters
    ----------
    begin, live_from
        the history is begin ≤ h < live_from [UTC hours since 1970]; later hours are live.
    """

    def __init__(self, plan: FaultPlan, events: MeterEvents, begin: int, live_from: int) -> None:
        self._plan = plan
        self._events = events
        self._live_from = live_from
        self.days = range(-(-(begin + FIRST_CLEAN_HOURS) // 24), (live_from - LAST_CLEAN_HOURS) // 24)
        """UTC days [since 1970] in which the history may have faults."""
        self._chances: dict[tuple[str, str], _OfChannel] = {}
        self._spoils = any((plan.missing, plan.missing_runs, plan.negative, plan.spikes, plan.lost_pulses))

    def report(self, table: Table) -> Reported:
        """What the meters tell of it: hours of the history in whole UTC days (but for its ends), or live hours."""
        shape = table.values.shape
        reported = Reported(
            table, table.values, np.zeros(shape, np.bool_), np.zeros(shape, np.bool_), self._events.quality(table)
        )
        if table.first_hour >= self._live_from:
            if self._plan.live_missing:
                hours = np.arange(table.first_hour, table.end)
                missing = self._of(table).channel.uniform("live", hours) < self._plan.live_missing
                reported = replace(reported, missing=missing)
        elif self._spoils:
            first, last = max(self.days.start, -(-table.first_hour // 24)), min(self.days.stop, table.end // 24)
            if first < last:
                reported = self._spoilt(reported, np.arange(first, last))
        return reported

    def lost(self, meters: tuple[MeterSpec, ...], days: NDArray[np.int64]) -> Mask:
        """Which meters' messages of which days get lost, shape (m, days); never two days of a meter running."""
        if not self._plan.lost:
            return np.zeros((len(meters), len(days)), np.bool_)
        chances = self._of_meters(meters, "").meter
        return self._draws_lost(chances, days) & ~self._draws_lost(chances, days - 1)

    def _draws_lost(self, chances: Chances, days: NDArray[np.int64]) -> Mask:
        may = (days >= self.days.start) & (days < self.days.stop)
        return (chances.uniform("lost", days) < self._plan.lost) & may

    def _spoilt(self, reported: Reported, days: NDArray[np.int64]) -> Reported:
        """Its whole `days` with what is planted there."""
        table = reported.measured
        begin = int(days[0]) * 24 - table.first_hour
        cut = (slice(None), slice(begin, begin + 24 * len(days)))
        lost = self.lost(table.meters, days) | self.lost(table.meters, days - 1)
        chances = self._of(table).channel
        spoilt = self._missing_and_bad(chances, days, lost, self._loses_pulses(table.meters[0]))
        absent, negative, spike, partly = (mask.reshape(len(table.meters), -1) for mask in spoilt)
        true, limit = table.values[cut], table.channel.max_per_interval
        above = limit + 1 + (self._of(table).meter.uniform("above", days) * limit).astype(np.int64)
        tenfold = np.maximum(10 * true, np.repeat(above, 24, axis=1))
        heard = np.repeat(LEAST_HEARD + (MOST_HEARD - LEAST_HEARD) * chances.uniform("heard", days), 24, axis=1)
        values, missing, bad = table.values.copy(), reported.missing, reported.bad
        told = [-true - 1, tenfold, (true * heard).astype(np.int64)]
        values[cut] = np.select([negative, spike, partly], told, true)
        missing[cut], bad[cut] = absent, values[cut] != true
        return replace(reported, values=values)

    def _loses_pulses(self, spec: MeterSpec) -> float:
        steady = spec.commodity == "electricity" and spec.kind in STEADY_KINDS
        return self._plan.lost_pulses if steady else 0.0

    def _missing_and_bad(
        self, chances: Chances, days: NDArray[np.int64], clean: Mask, lost_pulses: float
    ) -> tuple[Mask, Mask, Mask, Mask]:
        """Masks of shape (m, days, 24): missing, negative, spike, counted in part."""
        plan, hour = self._plan, np.arange(24)
        kind = np.where(clean, 1.0, chances.uniform("kind", days))
        at = (24 * chances.uniform("at", days)).astype(np.int64)[..., None] == hour
        bounds = np.cumsum([plan.negative, plan.spikes, plan.missing_runs, lost_pulses])
        negative = (kind < bounds[0])[..., None] & at
        spike = ((kind >= bounds[0]) & (kind < bounds[1]))[..., None] & at
        shortest, longest = plan.missing_run_hours
        length = shortest + ((longest - shortest + 1) * chances.uniform("length", days)).astype(np.int64)
        begin = ((25 - length) * chances.uniform("begin", days)).astype(np.int64)
        in_run = (hour >= begin[..., None]) & (hour < (begin + length)[..., None])
        run = ((kind >= bounds[1]) & (kind < bounds[2]))[..., None] & in_run
        hours = (days[:, None] * 24 + hour).ravel()
        single = (chances.uniform("single", hours) < plan.missing).reshape(*kind.shape, 24)
        partly = (kind >= bounds[2]) & (kind < bounds[3])
        may_miss = ((kind >= bounds[1]) & ~partly & ~clean)[..., None]
        return (run | single) & may_miss, negative, spike, np.repeat(partly[..., None], 24, axis=2)

    def _of(self, table: Table) -> _OfChannel:
        return self._of_meters(table.meters, table.channel.channel)

    def _of_meters(self, meters: tuple[MeterSpec, ...], channel: str) -> _OfChannel:
        key = (meters[0].meter, channel)  # a meter is in one bank
        if key not in self._chances:
            seed = self._plan.seed
            self._chances[key] = _OfChannel(
                Chances([seed_of(seed, spec.meter, channel) for spec in meters]),
                Chances([seed_of(seed, spec.meter) for spec in meters]),
            )
        return self._chances[key]


def near_the_end(plan: FaultPlan, bank: Bank, begin: int, end: int) -> None:
    """Turn the registers that the plan names so far that they roll over in begin ≤ h < end [UTC hours since 1970]."""
    if not plan.rollovers or end <= begin:
        return
    used = bank.measure(begin, min(end, begin + ROLLOVER_HOURS))
    readings = []
    for table in used:
        chances = Chances([seed_of(plan.seed, spec.meter, table.channel.channel) for spec in bank.meters])
        hour = (chances.one("rolls at") * table.values.shape[1]).astype(np.int64)
        before = np.take_along_axis(np.cumsum(table.values, axis=1), hour, axis=1)
        # full by the end of that hour; where nothing was used until then, with the first unit after it
        reading = 10**table.channel.register_digits - np.maximum(before, 1)
        readings.append(np.where(chances.one("rolls") < plan.rollovers, reading, -1))
    bank.turn_to(begin, readings)


def strikes(plan: FaultPlan, share: float, gateway: str, what: str, number: int) -> bool:
    """Whether the fault `what` falls on a gateway's message `number`."""
    return share > 0 and bool(uniform(seed_of(plan.seed, gateway), what, np.array([number]))[0] < share)
