"""What happens to meters and gateways besides counting, drawn day by day from the plan alone.

Events leave what is measured as it is. So a power outage is a short
one, and the interval around it is flagged rather than emptied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from firmware_sim.defects import Defect
from firmware_sim.inventory import MeterSpec
from firmware_sim.meter import Table
from firmware_sim.noise import Chances, one, seed_of, uniform
from firmware_sim.plan import FaultPlan

DAY_S = 86_400
OUTAGE, TAMPER = 1, 16
"""Bits of `quality`."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One event as it is told: at [s since 1970], and `meter` or "" for the gateway itself."""

    at: int
    kind: str
    meter: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MeterEvent:
    """Something that happened to a meter, begin ≤ t < end [s since 1970], and the bit that its intervals carry."""

    kind: str
    meter: str
    begin: int
    end: int
    bit: int

    def notices(self) -> Iterator[Notice]:
        """How it is told: an outage by a last gasp, and once more when power is back."""
        if self.kind != "outage":
            yield Notice(self.begin, self.kind, self.meter)
            return
        yield Notice(self.begin, "last_gasp", self.meter)
        yield Notice(self.end, "outage", self.meter, f"without power for {self.end - self.begin} s")
        yield Notice(self.end, "restored", self.meter)


class MeterEvents:
    """The events of the meters behind one gateway; who goes round a meter opens it."""

    def __init__(self, plan: FaultPlan, meters: Sequence[MeterSpec], defects: Sequence[Defect] = ()) -> None:
        self._plan = plan
        self._meters = meters
        self._opened = [(defect.meter, defect.begin) for defect in defects if defect.kind == "bypasses"]
        self._drawn: dict[int, list[MeterEvent]] = {}

    def of_day(self, day: int) -> list[MeterEvent]:
        """What happened on a UTC day [since 1970], in no order."""
        if not (self._plan.tamper or self._plan.outages or self._plan.battery_low or self._opened):
            return []
        if day not in self._drawn:
            if len(self._drawn) > 400:
                self._drawn.clear()
            self._drawn[day] = [*self._draw(day)]
        return self._drawn[day]

    def notices(self, begin: int, end: int) -> list[Notice]:
        """What is told in begin ≤ h < end [UTC hours since 1970], in order."""
        days = range(begin // 24, -(-end // 24))
        told = [notice for day in days for event in self.of_day(day) for notice in event.notices()]
        within = [notice for notice in told if begin * 3600 <= notice.at < end * 3600]
        return sorted(within, key=lambda notice: notice.at)

    def quality(self, table: Table) -> NDArray[np.uint8]:
        """The bits of each of a table's intervals, shape (m, n)."""
        bits = np.zeros(table.values.shape, np.uint8)
        days = range(table.first_hour // 24, -(-table.end // 24))
        rows = {spec.meter: row for row, spec in enumerate(table.meters)}
        for event in (event for day in days for event in self.of_day(day) if event.bit and event.meter in rows):
            first = max(event.begin // 3600 - table.first_hour, 0)
            bits[rows[event.meter], first : max(first, -(-event.end // 3600) - table.first_hour)] |= event.bit
        return bits

    @cached_property
    def _chances(self) -> Chances:
        return Chances([seed_of(self._plan.seed, spec.meter) for spec in self._meters])

    def _draw(self, day: int) -> Iterator[MeterEvent]:
        for meter, hour in self._opened:
            if hour // 24 == day:
                yield MeterEvent("tamper", meter, hour * 3600, hour * 3600 + 1, TAMPER)
        kinds = (("tamper", self._plan.tamper, TAMPER), ("outage", self._plan.outages, OUTAGE))
        shortest, longest = self._plan.outage_minutes
        for kind, share, bit in (*kinds, ("battery_low", self._plan.battery_low, 0)):
            struck, at, long = (
                self._chances.uniform(f"{kind}{what}", np.array([day]))[:, 0] for what in ("", " at", " long")
            )
            for row in np.flatnonzero(struck < share).tolist():
                spec = self._meters[row]
                if kind == "outage" and spec.commodity != "electricity":
                    continue
                lasts = 60 * (shortest + int((longest - shortest) * long[row])) if kind == "outage" else 1
                # over before midnight, so that a day knows all of its events
                begin = day * DAY_S + int((DAY_S - 1 - lasts) * at[row])
                yield MeterEvent(kind, spec.meter, begin, begin + lasts, bit)


@dataclass(frozen=True, slots=True)
class Mishap:
    """What befalls a gateway: a clock that jumps by `seconds`, or a reboot; at [s since 1970]."""

    at: int
    kind: str
    seconds: float = 0.0


def mishaps(plan: FaultPlan, gateway: str, begin: int, end: int) -> list[Mishap]:
    """What befalls a gateway in begin ≤ h < end [UTC hours since 1970], in order."""
    seed, found = seed_of(plan.seed, gateway), []
    days = np.arange(begin // 24, -(-end // 24))
    for kind, share in (("clock_jumps", plan.clock_jumps), ("reboots", plan.reboots)):
        for day in days[uniform(seed, kind, days) < share].tolist() if share else ():
            at, sign, far = (float(uniform(seed, f"{kind} {what}", np.array([day]))[0]) for what in ("at", "±", "far"))
            least, most = plan.clock_jump_s
            jump = (least + (most - least) * far) * (1 if sign < 0.5 else -1)
            found.append(Mishap(day * DAY_S + int(at * DAY_S), kind, jump if kind == "clock_jumps" else 0.0))
    return sorted((one for one in found if begin * 3600 <= one.at < end * 3600), key=lambda one: one.at)


def offline(plan: FaultPlan, gateway: str, live_from: int, end: int | None) -> tuple[int, int] | None:
    """When the gateway's link is down in the live phase, [begin, end) in UTC hours since 1970; None: never.

    It begins in the first half of the phase, or in its first two days where its end is not known.
    """
    seed = seed_of(plan.seed, gateway)
    if one(seed, "link down") >= plan.link_down:
        return None
    shortest, longest = plan.link_down_hours
    room = 48 if end is None else (end - live_from) // 2
    begin = live_from + int(room * one(seed, "link down at"))
    return begin, begin + shortest + int((longest - shortest + 1) * one(seed, "link down for"))
