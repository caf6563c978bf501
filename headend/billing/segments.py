"""Rating service agreements: what each used and costs, or why it cannot be billed.

Agreements that share tariff version, days and interval length are rated together, as rows of one array. What cannot be
billed comes back as an exception with its agreement's name, so that whoever is not among the segments is among those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from headend.billing.agreements import Agreement, billing_days, billing_window
from headend.billing.banks import Balance, Balances, has_bank, left, opening_of, taken_over
from headend.billing.columns import column, each_of, form_of, numbers, some_of
from headend.billing.comparison import period_before, same_days_last_year
from headend.billing.cycle import BillException, ExceptionCode
from headend.billing.digests import calendar_digest
from headend.billing.gas import by_energy, is_by_energy
from headend.billing.metered import (
    UNIT_SCALE,
    Metered,
    PlainMeterReads,
    at_usage_points,
    meter_reads,
    reads_digest,
)
from headend.billing.parts import Hung, Part, by_usage_point, parts_of
from headend.billing.peaks import peaks_before, peaks_shown, ratchet_months
from headend.billing.ports import GasQualities, Hold, MeterChannel, Records
from headend.billing.published import events_used, market_of, prices_used, with_prices_up_to
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
from headend.billing.usage import UseTables, rated_use, statement_lines, tiered_energy, uses_by_tier
from headend.errors import CannotRate, PriceMissing
from headend.reads import LoadProfiles, Quality
from headend.reads.days import Period, moment, seconds
from headend.reads.quality import IS_BILLABLE
from headend.tariffs import BillingWindow, Carried, Market, Peaks, RatedBatch, TariffBook, rate_batch
from headend.tariffs.format.components import Energy
from headend.tariffs.money import Integers, added_up, minor_digits
from headend.tariffs.rating.bill import Column


class RatedSegment(NamedTuple):
    """A segment, whose it is, and the moment [UTC] its last read ends: the window's end, but in a running month."""

    agreement: Agreement
    segment: Segment
    reads_end: datetime


@dataclass(frozen=True, slots=True, eq=False)
class SegmentsAlike:
    """Segments of one form, whose they are, and the moments their last reads end."""

    form: Segment
    agreements: Sequence[Agreement]
    reads_end: Sequence[datetime]

    def each(self) -> Iterator[RatedSegment]:
        """One by one."""
        made = each_of(self.form, len(self.agreements))
        return map(RatedSegment, self.agreements, made, self.reads_end)

    def some(self, places: Sequence[int]) -> SegmentsAlike:
        """Some of them."""
        agreements = [self.agreements[place] for place in places]
        ends = [self.reads_end[place] for place in places]
        return SegmentsAlike(some_of(self.form, places), agreements, ends)


@dataclass(slots=True)
class Rated:
    """Segments and exceptions of agreements.

    Parameters
    ----------
    on_drafts
        accounts whose bills take over what a statement leaves that is not issued yet.
    """

    alike: list[SegmentsAlike] = field(default_factory=list)
    exceptions: list[BillException] = field(default_factory=list)
    on_drafts: set[str] = field(default_factory=set)

    @property
    def segments(self) -> list[RatedSegment]:
        """All segments, one by one."""
        return [segment for alike in self.alike for segment in alike.each()]

    def refuse(self, agreement: Agreement, code: ExceptionCode, detail: str) -> None:
        """An agreement that cannot be billed."""
        self.exceptions.append(BillException(agreement.account.id, code, f"{agreement.id}: {detail}"))


def rate_agreements(
    records: Records,
    tariffs: TariffBook,
    agreements: Sequence[Agreement],
    period: str,
    *,
    provisional: bool = False,
) -> Rated:
    """Rate the local days of `period` on which each agreement is in force.

    Parameters
    ----------
    period
        billing period `YYYY-MM`, in each usage point's own zone.
    provisional
        rate whatever reads there are, decided or not, and count those there are not as zero: for a look at the running
        month.
    """
    rated = Rated()
    hung = by_usage_point(records.channels({agreement.usage_point for agreement in agreements}))
    parts = [part for agreement in agreements for part in parts_of(agreement, tariffs, hung, period, rated.refuse)]
    if not provisional:
        parts = _released(records, parts, rated)
    gas = records.gas_qualities() if any(is_by_energy(part.tariff) for part in parts) else {}
    opening = opening_of(records, parts, period, provisional=provisional)
    rated.on_drafts |= opening.drafts
    for agreement, month in opening.to_bill_first.items():
        its = next(part.agreement for part in parts if part.agreement.id == agreement)
        rated.refuse(
            its, ExceptionCode.MONTH_BEFORE, f"what {month} leaves in its bank is not known: bill {month} first"
        )
    ground = _Ground(records, period, hung, gas, opening.balances, rated, provisional)
    places: dict[tuple[Period, int], list[Part]] = defaultdict(list)
    for part in parts:
        if part.agreement.id not in opening.to_bill_first:
            places[billing_days(part.agreement, period), part.interval_s].append(part)
    for (whole, _), together in places.items():
        _rate_place(ground, together, whole)
    return rated


def _released(records: Records, parts: list[Part], rated: Rated) -> list[Part]:
    """Parts of accounts whose reads nobody has to decide about first; the other accounts become exceptions."""
    if not parts:
        return parts
    begins, ends = zip(*(part.time_s for part in parts), strict=True)
    holds: dict[tuple[int, int], list[Hold]] = defaultdict(list)
    meters = {meter.meter for part in parts for meter in part.meters}
    for hold in records.holds(min(begins), max(ends), meters):
        holds[hold.meter, hold.channel].append(hold)
    held: dict[str, dict[int, Hold]] = defaultdict(dict)
    for part in parts:
        for meter in part.meters:
            begin_s, end_s = part.measured_by(meter)
            for hold in holds.get((meter.meter, meter.channel.code), ()):
                if hold.start_s < end_s and hold.end_s > begin_s:
                    held[part.agreement.account.id][hold.exception] = hold
    for account, its in held.items():
        why = "; ".join(f"exception {number}: {hold.why}" for number, hold in sorted(its.items()))
        rated.exceptions.append(BillException(account, ExceptionCode.HELD, why, tuple(sorted(its))))
    return [part for part in parts if part.agreement.account.id not in held]


@dataclass(frozen=True, slots=True)
class _Ground:
    """What all parts are rated on; `balances` and `rated` grow on the way."""

    records: Records
    period: str
    hung: Hung
    gas: GasQualities
    balances: Balances
    rated: Rated
    provisional: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """What parts of the same billing days and interval length have in common; `keys` are rows of `profiles`."""

    whole: Period
    keys: dict[tuple[int, int], int]
    profiles: LoadProfiles
    market: Market
    previous: dict[str, Comparison]
    last_year: dict[tuple[str, date], Comparison]


def _rate_place(ground: _Ground, parts: list[Part], whole: Period) -> None:
    """Rate parts of the same billing days and interval length: their reads are fetched at once."""
    records, interval_s = ground.records, parts[0].interval_s
    keys: dict[tuple[int, int], int] = {}
    for part in parts:
        for meter in part.meters:
            keys.setdefault((meter.meter, meter.channel.code), len(keys))
    previous = period_before(records, parts, ground.gas, ground.period)
    last_year = {} if ground.provisional else same_days_last_year(records, parts, ground.hung, ground.gas, whole)
    # One interval more in front, for the register at its end.
    begin_s = seconds(whole.start_utc) - interval_s
    profiles = records.profiles(list(keys), begin_s, seconds(whole.end_utc), interval_s)
    market = market_of(records, {part.tariff.version: part.tariff for part in parts}.values(), whole)
    place = _Place(whole, keys, profiles, market, previous, last_year)
    groups: dict[tuple[object, ...], list[Part]] = defaultdict(list)
    for part in parts:
        groups[part.kind].append(part)
    # Earlier days first: they leave their bank to the later ones.
    for group in sorted(groups.values(), key=lambda its: its[0].first):
        _Group(group, ground, place).rate()


@dataclass(slots=True)
class _Group:
    """Parts of one kind, row by row."""

    parts: list[Part]
    ground: _Ground
    place: _Place
    window: BillingWindow = field(init=False)
    columns: slice = field(init=False)
    used: Metered = field(init=False)
    fed_in: Metered | None = field(init=False)
    reactive: Metered | None = field(init=False)
    past: Carried = field(init=False)
    tiered: Energy | None = field(init=False)
    prices: tuple[SeriesUsed, ...] = field(init=False)
    events: tuple[EventUsed, ...] = field(init=False)
    calendar: str | None = None

    def __post_init__(self) -> None:
        part, profiles = self.parts[0], self.place.profiles
        days = replace(self.place.whole, first=part.first, end=part.end)
        self.window = billing_window(days, self.ground.period, self.place.whole)
        first = (seconds(self.window.start_utc) - profiles.start_s) // profiles.interval_s
        self.columns = slice(first, first + self.window.intervals(profiles.interval_s))
        self.used = self._metered([part.used for part in self.parts])
        self.fed_in = self.reactive = None
        if part.fed_in is not None:
            self.fed_in = self._metered([part.fed_in or () for part in self.parts])
        if part.reactive is not None:
            self.reactive = self._metered([part.reactive or () for part in self.parts])
        self.past, self.prices = Carried(), ()
        self.tiered, self.events = tiered_energy(part), events_used(part, self.place.market)

    def _metered(self, meters: Sequence[Sequence[MeterChannel]]) -> Metered:
        return at_usage_points(self.place.profiles, [self.rows(its) for its in meters], self.columns)

    @property
    def others(self) -> list[Metered]:
        """Reads that are billed, beside those of what was used."""
        return [metered for metered in (self.fed_in, self.reactive) if metered is not None]

    def rows(self, meters: Sequence[MeterChannel]) -> list[tuple[int, MeterChannel]]:
        return [(self.place.keys[meter.meter, meter.channel.code], meter) for meter in meters]

    def rate(self) -> None:
        """Every part becomes a segment or an exception."""
        rows = list(range(len(self.parts)))
        if not self.ground.provisional:
            rows = self._complete()
        if has_bank(self.parts[0].tariff):
            rows = self._with_balance(rows)
        if ratchet_months(self.parts[0].tariff) and rows:
            rows = self._with_past(rows)
        self._bill(rows)

    def _refuse(self, row: int, code: ExceptionCode, detail: str) -> None:
        self.ground.rated.refuse(self.parts[row].agreement, code, detail)

    def _complete(self) -> list[int]:
        """Rows that may be billed; the others become exceptions."""
        billed = [self.used, *self.others]
        unfit = np.logical_or.reduce([~IS_BILLABLE[metered.quality] for metered in billed])
        for row in np.flatnonzero(unfit.any(axis=1)).tolist():
            first = int(np.argmax(unfit[row]))
            begins = moment(seconds(self.window.start_utc) + first * self.place.profiles.interval_s)
            there = [metered.quality[row, first] for metered in billed]
            worst = next(Quality(int(quality)) for quality in there if not IS_BILLABLE[quality])
            self._refuse(
                row,
                ExceptionCode.INCOMPLETE_READS,
                f"{int(unfit[row].sum())} of {unfit.shape[1]} intervals cannot be billed,"
                f" first {begins:%Y-%m-%dT%H:%MZ} ({worst.label})",
            )
        return np.flatnonzero(~unfit.any(axis=1)).tolist()

    def _with_balance(self, rows: list[int]) -> list[int]:
        """Rows of which it is known what is in their bank; the others become exceptions."""
        known = []
        for row in rows:
            balance = self.ground.balances[self.parts[row].agreement.id]
            if balance.since == self.window.first:
                known.append(row)
            else:
                its = f"the days from {balance.since} on cannot be billed, so what they leave in its bank is not known"
                self._refuse(row, ExceptionCode.CANNOT_RATE, its)
        return known

    def _with_past(self, rows: list[int]) -> list[int]:
        """All rows, once it is known what demand they had before; none, where it cannot be told."""
        ground = self.ground
        try:
            self.past = peaks_before(ground.records, ground.hung, self.parts, ground.gas, ground.period)
        except CannotRate as error:
            for row in rows:
                self._refuse(row, ExceptionCode.CANNOT_RATE, f"demand of the months before: {error}")
            return []
        return rows

    def _carried(self, rows: list[int]) -> Carried:
        """What bills take over."""
        peaks = {
            place: tuple(Peaks(each.month, each.watts[rows]) for each in several)
            for place, several in self.past.peaks.items()
        }
        tariff = self.parts[0].tariff
        return replace(taken_over(tariff, [self._bank(row) for row in rows]), peaks=peaks)

    def _bank(self, row: int) -> InBank | None:
        part = self.parts[row]
        return self.ground.balances[part.agreement.id].bank if has_bank(part.tariff) else None

    def _market(self, rows: list[int]) -> Market:
        """What is published; while the month runs, made longer over the time that nothing was used in yet."""
        market = self.place.market
        if not self.ground.provisional or not market.prices:
            return market
        there = [(each.quality[rows] != Quality.MISSING).any(axis=0) for each in (self.used, *self.others)]
        present = np.flatnonzero(np.logical_or.reduce(there))
        reached = int(present[-1]) + 1 if len(present) else 0
        begin_s = seconds(self.window.start_utc)
        return with_prices_up_to(
            market, begin_s + reached * self.place.profiles.interval_s, seconds(self.place.whole.end_utc)
        )

    def _bill(self, rows: list[int]) -> None:
        """Rate rows at once; where the engine refuses, halve until the one it means is alone."""
        if not rows:
            return
        interval_s, part = self.place.profiles.interval_s, self.parts[0]
        tariff, market = part.tariff, self._market(rows)
        used = self.used.take(rows)
        fed_in, reactive = (None if each is None else each.take(rows) for each in (self.fed_in, self.reactive))
        shown: list[tuple[GasEnergy, ...]] = [()] * len(rows)
        try:
            if is_by_energy(tariff):
                areas = [self.parts[row].agreement.gas_area for row in rows]
                used, shown = by_energy(used, areas, self.ground.gas, self.window, interval_s)
            use = rated_use(interval_s, used, fed_in, reactive)
            customer_class = part.agreement.account.customer_class
            batch = rate_batch(tariff, self.window, use, market, self._carried(rows), customer_class)
        except CannotRate as error:
            if len(rows) == 1:
                is_price = isinstance(error, PriceMissing)
                code = ExceptionCode.PRICE_MISSING if is_price else ExceptionCode.CANNOT_RATE
                self._refuse(rows[0], code, str(error))
                return
            half = len(rows) // 2
            self._bill(rows[:half])
            self._bill(rows[half:])
            return
        others = [each for each in (fed_in, reactive) if each is not None]
        tables = UseTables.of(tariff, self.window, interval_s, market, used, others)
        self.prices = prices_used(part, self.place.market)
        self.calendar = calendar_digest(part, self.window, interval_s, market)
        brought: list[InBank | None] = [None] * len(rows)
        carried = list(brought)
        if has_bank(tariff):
            brought = [self._bank(row) for row in rows]
            carried = [left(tariff, batch.carried, place) for place in range(len(rows))]
            for row, bank in zip(rows, carried, strict=True):
                self.ground.balances[self.parts[row].agreement.id] = Balance(self.window.end, bank)
        self._put(_Batch(rows, batch, tables, fed_in, reactive, shown, brought, carried))

    def _put(self, its: _Batch) -> None:
        """Segments of a batch, those together that are alike: that tell of the same things."""
        meters = [self.rows(self.parts[row].meters) for row in its.rows]
        plain = PlainMeterReads.of(self.place.profiles, [each for pairs in meters for each in pairs], self.columns)
        firsts = np.cumsum([0, *map(len, meters)]).tolist()
        # What is known of registers, a byte a meter.
        known = np.where(plain.is_plain, 1 + 2 * plain.opened + 4 * plain.closed, 0).astype(np.uint8).tobytes()
        alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for place, told in enumerate(zip(its.lines_of_each(), self._beside(its), strict=True)):
            alike[told, known[firsts[place] : firsts[place + 1]]].append(place)
        for places in alike.values():
            first, end = firsts[places[0]], firsts[places[0] + 1]
            if plain.is_plain[first:end].all():
                reads = tuple(plain.form([firsts[place] + at for place in places]) for at in range(end - first))
            else:
                reads = column([self._meter_reads(meters[place]) for place in places])
            self._put_alike(its, places, [meters[place] for place in places], reads)

    def _beside(self, its: _Batch) -> Iterator[tuple[bool, ...]]:
        """Of each bill what it tells of beside lines and meters, of what not all bills do."""
        previous, last_year, peaks = self.place.previous, self.place.last_year, bool(self.past.peaks)
        for row, *banks_and_gas in zip(its.rows, its.brought, its.carried, its.shown, strict=True):
            part = self.parts[row]
            compared = part.agreement.id in previous, (part.agreement.id, part.first) in last_year
            yield *compared, *map(bool, banks_and_gas), peaks and bool(self._peaks_shown(row))

    def _meter_reads(self, meters: Sequence[tuple[int, MeterChannel]]) -> tuple[MeterReads, ...]:
        return tuple(each for at, meter in meters for each in meter_reads(self.place.profiles, at, meter, self.columns))

    def _peaks_shown(self, row: int) -> tuple[PastPeak, ...]:
        return peaks_shown(self.parts[row].tariff, self.past, self.ground.period, row) if self.past.peaks else ()

    def _put_alike(
        self,
        its: _Batch,
        places: list[int],
        meters: Sequence[Sequence[tuple[int, MeterChannel]]],
        reads: tuple[MeterReads, ...],
    ) -> None:
        rows = [its.rows[place] for place in places]
        parts, one, tables = [self.parts[row] for row in rows], self.parts[rows[0]], its.tables
        agreements = [part.agreement for part in parts]
        tariff, commodity = one.tariff, one.agreement.commodity
        lines = its.lines_at(places[0])
        gross, tax = its.sums(lines, places)
        form = Segment(
            agreement=column([each.id for each in agreements]),
            usage_point=column([each.usage_point for each in agreements]),
            address=column([each.address for each in agreements]),
            commodity=commodity,
            unit=tariff.unit,
            timezone=one.agreement.timezone,
            first=one.first,
            last=one.end - timedelta(days=1),
            days=(one.end - one.first).days,
            tariff=TariffVersion(tariff.id, tariff.name, tariff.digest),
            meters=reads,
            usage=numbers(tables.total[places], UNIT_SCALE),
            export=_sums(its.fed_in, places),
            usage_by_period=tables.by_period(tariff, places),
            usage_by_tier=uses_by_tier(self.tiered, lines, places),
            lines=statement_lines(its.batch, lines, places),
            intervals=column(tables.present[places].tolist()),
            estimated_intervals=column(tables.estimated[places].tolist()),
            daily=tables.by_day(places),
            reads_sha256=column([reads_digest(self.place.profiles, pairs, self.columns) for pairs in meters]),
            previous=_form_or_none([self.place.previous.get(each.id) for each in agreements]),
            currency=its.batch.currency,
            net=numbers(gross - tax, its.digits),
            tax=numbers(tax, its.digits) if any(line.charge.kind == "tax" for line in lines) else Decimal(0),
            gross=numbers(gross, its.digits),
            gas=column([its.shown[place] for place in places]),
            reactive=_sums(its.reactive, places),
            brought=column([its.brought[place] for place in places]),
            carried=column([its.carried[place] for place in places]),
            prices=self.prices,
            events=self.events,
            peaks=column([self._peaks_shown(row) for row in rows]),
            calendar_sha256=self.calendar,
            last_year=_form_or_none([self.place.last_year.get((part.agreement.id, part.first)) for part in parts]),
        )
        begin_s, interval_s = seconds(self.window.start_utc), self.place.profiles.interval_s
        ends = [moment(begin_s + reached * interval_s) for reached in tables.reached[places].tolist()]
        self.ground.rated.alike.append(SegmentsAlike(form, agreements, ends))


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Rows rated at once, and what they are told of."""

    rows: list[int]
    batch: RatedBatch
    tables: UseTables
    fed_in: Metered | None
    reactive: Metered | None
    shown: Sequence[tuple[GasEnergy, ...]]
    brought: Sequence[InBank | None]
    carried: Sequence[InBank | None]

    @property
    def digits(self) -> int:
        """Decimal places of the currency's minor unit."""
        return minor_digits(self.batch.currency)

    def lines_of_each(self) -> list[bytes]:
        """By bill which lines it has, and which of them rest on estimates: equal where it is the same."""
        n = len(self.rows)
        marks = np.zeros((n, 2 * len(self.batch.columns)), dtype=np.uint8)
        for at, line in enumerate(self.batch.columns):
            marks[:, 2 * at] = is_there = line.is_there
            if line.estimated is not None:
                marks[:, 2 * at + 1] = is_there & (line.estimated != 0)
        return [marks[place].tobytes() for place in range(n)]

    def lines_at(self, place: int) -> list[Column]:
        """The lines a bill has."""
        return [line for line in self.batch.columns if line.is_there[place if len(line.is_there) > 1 else 0]]

    def sums(self, lines: Sequence[Column], places: list[int]) -> tuple[Integers, Integers]:
        """Total of some bills, and tax in it [minor units] (k,)."""
        tax = added_up([line.amount for line in lines if line.charge.kind == "tax"], len(self.rows))
        return self.batch.totals[places], tax[places]


def _sums(metered: Metered | None, places: list[int]) -> Decimal | None:
    return None if metered is None else numbers(metered.values[places].sum(axis=1), UNIT_SCALE)


def _form_or_none(parts: Sequence[Comparison | None]) -> Comparison | None:
    """All of them have one, or none."""
    there = [part for part in parts if part is not None]
    return form_of(there) if there else None
