"""Segments of parts that were rated together: those that tell of the same things have one form.

Parts of one kind have tariff version and days in common. Their segments differ in what else they tell: which lines they
have, whether these rest on estimates, at which ends registers are known, what they are compared with. Where none of
that differs either, they differ in values alone, and are made as one `Segment` with columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from headend.billing.agreements import Agreement
from headend.billing.columns import column, each_of, form_of, numbers, some_of
from headend.billing.metered import UNIT_SCALE, Int64s, PlainMeterReads, meter_reads, reads_digest
from headend.billing.parts import Part
from headend.billing.ports import MeterChannel
from headend.billing.statement import (
    Comparison,
    EventUsed,
    GasEnergy,
    InBank,
    MeterReads,
    PastPeak,
    Segment,
    SeriesUsed,
    TariffVersion,
)
from headend.billing.usage import UseTables, statement_lines, tiered_energy, uses_by_tier
from headend.reads import LoadProfiles
from headend.tariffs import BillingWindow, RatedBatch
from headend.tariffs.money import added_up, minor_digits
from headend.tariffs.rating.bill import Column


class RatedSegment(NamedTuple):
    """A segment, and whose it is."""

    agreement: Agreement
    segment: Segment


@dataclass(frozen=True, slots=True, eq=False)
class SegmentsAlike:
    """Segments of one form, and whose they are."""

    form: Segment
    agreements: Sequence[Agreement]

    def each(self) -> Iterator[RatedSegment]:
        """One by one."""
        made = each_of(self.form, len(self.agreements))
        return map(RatedSegment, self.agreements, made)

    def some(self, places: Sequence[int]) -> SegmentsAlike:
        """Some of them."""
        return SegmentsAlike(some_of(self.form, places), [self.agreements[place] for place in places])


@dataclass(frozen=True, slots=True, eq=False)
class RatedParts:
    """Parts of one kind that were rated together, and what their segments tell; by part, where it is a sequence.

    Parameters
    ----------
    meters
        (row of `profiles`, channel) pairs.
    columns
        the intervals of `profiles` that were billed.
    export, reactive
        fed in [Wh] and reactive energy taken [varh] (m,); None: not billed.
    brought, carried
        in the bank before and after.
    """

    parts: Sequence[Part]
    window: BillingWindow
    batch: RatedBatch
    use: UseTables
    profiles: LoadProfiles
    meters: Sequence[Sequence[tuple[int, MeterChannel]]]
    columns: slice
    export: Int64s | None
    reactive: Int64s | None
    gas: Sequence[tuple[GasEnergy, ...]]
    brought: Sequence[InBank | None]
    carried: Sequence[InBank | None]
    peaks: Sequence[tuple[PastPeak, ...]]
    previous: Sequence[Comparison | None]
    last_year: Sequence[Comparison | None]
    prices: tuple[SeriesUsed, ...]
    events: tuple[EventUsed, ...]
    calendar_sha256: str

    def segments(self) -> Iterator[SegmentsAlike]:
        """A segment of each part, those together that are alike."""
        plain = PlainMeterReads.of(self.profiles, [each for pairs in self.meters for each in pairs], self.columns)
        firsts = np.cumsum([0, *map(len, self.meters)]).tolist()
        # What is known of registers, a byte a meter.
        known = np.where(plain.is_plain, 1 + 2 * plain.opened + 4 * plain.closed, 0).astype(np.uint8).tobytes()
        beside = zip(self.gas, self.brought, self.carried, self.peaks, self.previous, self.last_year, strict=True)
        alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for place, told in enumerate(zip(self._lines_told(), (tuple(map(bool, its)) for its in beside), strict=True)):
            alike[told, known[firsts[place] : firsts[place + 1]]].append(place)
        for places in alike.values():
            first, end = firsts[places[0]], firsts[places[0] + 1]
            if plain.is_plain[first:end].all():
                reads = tuple(plain.form([firsts[place] + at for place in places]) for at in range(end - first))
            else:
                reads = column([self._meter_reads(place) for place in places])
            yield self._alike(places, reads)

    def _lines_told(self) -> list[bytes]:
        """Which lines each bill has, and which of them rest on estimates: equal where it is the same."""
        marks = np.zeros((self.batch.n, 2 * len(self.batch.columns)), dtype=np.uint8)
        for at, line in enumerate(self.batch.columns):
            marks[:, 2 * at] = is_there = line.is_there
            if line.estimated is not None:
                marks[:, 2 * at + 1] = is_there & (line.estimated != 0)
        return [its.tobytes() for its in marks]

    def _meter_reads(self, place: int) -> tuple[MeterReads, ...]:
        meters = self.meters[place]
        return tuple(each for row, meter in meters for each in meter_reads(self.profiles, row, meter, self.columns))

    def _lines(self, place: int) -> list[Column]:
        """The lines a bill has."""
        return [line for line in self.batch.columns if line.is_there[place if len(line.is_there) > 1 else 0]]

    def _alike(self, places: list[int], reads: tuple[MeterReads, ...]) -> SegmentsAlike:
        one, use, lines = self.parts[0], self.use, self._lines(places[0])
        agreements = [self.parts[place].agreement for place in places]
        tariff, currency = one.tariff, self.batch.currency
        taxes, digits = [line for line in lines if line.charge.kind == "tax"], minor_digits(currency)
        gross = self.batch.totals[places]
        tax = added_up([line.amount for line in taxes], self.batch.n)[places]
        digests = [reads_digest(self.profiles, self.meters[place], self.columns) for place in places]
        form = Segment(
            agreement=column([each.id for each in agreements]),
            usage_point=column([each.usage_point for each in agreements]),
            address=column([each.address for each in agreements]),
            commodity=one.agreement.commodity,
            unit=tariff.unit,
            timezone=one.agreement.timezone,
            first=one.first,
            last=one.end - timedelta(days=1),
            days=(one.end - one.first).days,
            tariff=TariffVersion(tariff.id, tariff.name, tariff.digest),
            meters=reads,
            usage=numbers(use.total[places], UNIT_SCALE),
            export=None if self.export is None else numbers(self.export[places], UNIT_SCALE),
            usage_by_period=use.by_period(tariff, places),
            usage_by_tier=uses_by_tier(tiered_energy(one), lines, places),
            lines=statement_lines(self.batch, lines, places),
            intervals=column(use.present[places].tolist()),
            estimated_intervals=column(use.estimated[places].tolist()),
            daily=use.by_day(places),
            reads_sha256=column(digests),
            previous=_compared([self.previous[place] for place in places]),
            currency=currency,
            net=numbers(gross - tax, digits),
            tax=numbers(tax, digits) if taxes else Decimal(0),
            gross=numbers(gross, digits),
            gas=column([self.gas[place] for place in places]),
            reactive=None if self.reactive is None else numbers(self.reactive[places], UNIT_SCALE),
            brought=column([self.brought[place] for place in places]),
            carried=column([self.carried[place] for place in places]),
            prices=self.prices,
            events=self.events,
            peaks=column([self.peaks[place] for place in places]),
            calendar_sha256=self.calendar_sha256,
            last_year=_compared([self.last_year[place] for place in places]),
        )
        return SegmentsAlike(form, agreements)


def _compared(parts: Sequence[Comparison | None]) -> Comparison | None:
    """The form of comparisons, where all have one; else none has."""
    there = [part for part in parts if part is not None]
    return form_of(there) if there else None
