"""What one gateway reads from its meters: the history day by day, live hours as they end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from firmware_sim.defects import defects
from firmware_sim.faults import Planter, Reported, near_the_end, strikes
from firmware_sim.happenings import MeterEvents, Mishap, Notice, mishaps
from firmware_sim.inventory import MeterSpec
from firmware_sim.memory import MeterMemory
from firmware_sim.messages import History, Message, by_meter, events_message, gathered, never_sent
from firmware_sim.meter import ORIGIN, Bank, Table
from firmware_sim.plan import FaultPlan
from firmware_sim.tally import Tally
from firmware_sim.telemetry import Telemetry, with_telemetry
from firmware_sim.truth import TruthFile


@dataclass(frozen=True, slots=True)
class Span:
    """When a fleet's meters count, and how they are looked at; hours are UTC hours since 1970.

    Attributes
    ----------
    begin, live_from
        the history is begin ≤ h < live_from.
    counted_from
        where registers read what the meters came with.
    stretch_days
        days measured at once: many are faster, few take less memory.
    memory_days
        how long a meter keeps an interval.
    telemetry_h
        how often gateways and meters tell how they are [h]; 0: never.
    """

    begin: int
    live_from: int
    counted_from: int = ORIGIN
    stretch_days: int = 31
    memory_days: int = 45
    telemetry_h: int = 0


class Readout:
    """The meters behind one gateway.

    Parameters
    ----------
    gateway
        its name.
    """

    def __init__(
        self,
        gateway: str,
        meters: Sequence[MeterSpec],
        plan: FaultPlan,
        span: Span,
        tally: Tally,
        truth: TruthFile,
        *,
        seed: int,
        zone: str,
    ) -> None:
        self._gateway = gateway
        self._plan = plan
        self._span = span
        self._tally = tally
        self._truth = truth
        like = sorted(meters, key=_kind)
        broken = defects(plan, meters, span.live_from)
        for defect in broken:
            tally.plant(defect.kind, {"gateway": gateway} | defect.facts())
        self._banks = [Bank([*alike], seed, zone, span.counted_from, broken) for _, alike in groupby(like, _kind)]
        self._events = MeterEvents(plan, meters, broken)
        self._telemetry = Telemetry(gateway, meters, span.telemetry_h, seed=seed, zone=zone)
        self._planter = Planter(plan, self._events, span.begin, span.live_from)
        self._today: list[list[Table]] = []
        self._today_is = range(0)
        self.memory = MeterMemory(self._banks, self._planter, span.begin, span.live_from, span.memory_days)
        for bank in self._banks:
            near_the_end(plan, bank, span.begin, span.live_from)

    def history(self) -> Iterator[Message | Mishap]:
        """The whole history: of each UTC day the reads, then the events, then what befell the gateway."""
        history = History(self._plan, self._gateway, self._planter)
        first = self._span.begin
        while first < self._span.live_from:
            end = min((first // 24 + self._span.stretch_days) * 24, self._span.live_from)
            banks = [bank.measure(first, end) for bank in self._banks]
            self._count(table for bank in banks for table in bank)
            reported = [[self._planter.report(table) for table in bank] for bank in banks]
            while first < end:
                midnight = min((first // 24 + 1) * 24, end)
                messages = history.day(reported, first, midnight)
                yield from with_telemetry(messages, self._telemetry.items(first, midnight))
                if notices := self._events.notices(first, midnight):
                    yield events_message(notices)
                yield from mishaps(self._plan, self._gateway, first, midnight)
                first = midnight

    def coming(self, begin: int, end: int) -> list[Notice | Mishap]:
        """What is going to happen in begin ≤ h < end [UTC hours since 1970], in order."""
        found: list[Notice | Mishap] = [
            *self._events.notices(begin, end),
            *mishaps(self._plan, self._gateway, begin, end),
        ]
        return sorted(found, key=lambda one: one.at)

    def measure_hour(self, hour: int) -> None:
        """One hour of the live phase has ended."""
        self._count(table.between(hour, hour + 1) for bank in self._day_of(hour) for table in bank)

    def live_messages(self, begin: int, end: int) -> Iterator[Message]:
        """Live hours begin ≤ h < end [UTC hours since 1970], which have ended; blocks are cut at UTC midnights."""
        while begin < end:
            midnight = min((begin // 24 + 1) * 24, end)
            tables = [[table.between(begin, midnight) for table in bank] for bank in self._day_of(begin)]
            reported: list[list[Reported]] = [[self._planter.report(table) for table in bank] for bank in tables]
            lost = strikes(self._plan, self._plan.live_lost, self._gateway, "live lost", begin)
            messages = gathered(block for meter in by_meter(reported, begin, midnight) for block in meter)
            if lost:
                yield from (never_sent(message, begin, midnight) for message in messages)
            else:
                yield from with_telemetry(messages, self._telemetry.items(begin, midnight))
            begin = midnight

    def _day_of(self, hour: int) -> list[list[Table]]:
        """The UTC day of a live hour, measured once; it begins where the live phase does, if that is on this day."""
        if hour not in self._today_is:
            day = hour // 24 * 24
            self._today_is = range(max(day, self._span.live_from), day + 24)
            self._today = [bank.measure(self._today_is.start, self._today_is.stop) for bank in self._banks]
        return self._today

    def _count(self, tables: Iterable[Table]) -> None:
        for table in tables:
            self._tally.reads_measured += table.values.size
            self._truth.write(table.rows())


def _kind(spec: MeterSpec) -> tuple[str, str]:
    return spec.commodity, spec.kind
