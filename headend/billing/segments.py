"""Rating service agreements: what each used and costs, or why it cannot be billed.

Agreements that share tariff version, days and interval length are rated together, as rows of one array. What cannot be
billed comes back as an exception with its agreement's name, so that whoever is not among the segments is among those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np

from headend.billing.agreements import Agreement, billing_days, billing_window
from headend.billing.alike import RatedParts, RatedSegment, SegmentsAlike
from headend.billing.banks import Balance, Balances, has_bank, left, opening_of, taken_over
from headend.billing.comparison import period_before, same_days_last_year
from headend.billing.cycle import BillException, ExceptionCode
from headend.billing.digests import calendar_digest
from headend.billing.gas import by_energy, is_by_energy
from headend.billing.metered import (
    Metered,
    at_usage_points,
)
from headend.billing.parts import Hung, Part, by_usage_point, parts_of
from headend.billing.peaks import peaks_before, peaks_shown, ratchet_months
from headend.billing.ports import GasQualities, Hold, MeterChannel, Records
from headend.billing.published import events_used, market_of, prices_used
from headend.billing.statement import (
    Comparison,
    GasEnergy,
    InBank,
)
from headend.billing.usage import UseTables, rated_use
from headend.errors import CannotRate, PriceMissing
from headend.reads import LoadProfiles, Quality
from headend.reads.days import Period, moment, seconds
from headend.reads.quality import IS_BILLABLE
from headend.tariffs import BillingWindow, Carried, Market, Peaks, TariffBook, rate_batch


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
) -> Rated:
    """Rate the local days of `period` on which each agreement is in force.

    Parameters
    ----------
    period
        billing period `YYYY-MM`, in each usage point's own zone.
    """
    rated = Rated()
    hung = by_usage_point(records.channels({agreement.usage_point for agreement in agreements}))
    parts = [part for agreement in agreements for part in parts_of(agreement, tariffs, hung, period, rated.refuse)]
    parts = _released(records, parts, rated)
    gas = records.gas_qualities() if any(is_by_energy(part.tariff) for part in parts) else {}
    opening = opening_of(records, parts, period, provisional=False)
    rated.on_drafts |= opening.drafts
    for agreement, month in opening.to_bill_first.items():
        its = next(part.agreement for part in parts if part.agreement.id == agreement)
        rated.refuse(
            its, ExceptionCode.MONTH_BEFORE, f"what {month} leaves in its bank is not known: bill {month} first"
        )
    ground = _Ground(records, period, hung, gas, opening.balances, rated)
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
    # Of thousands of parts few have days of their own.
    stretches = {(part.first, part.end, part.agreement.timezone): part for part in parts}
    begins, ends = zip(*(part.time_s for part in stretches.values()), strict=True)
    meters = {meter.meter for part in parts for meter in part.meters}
    holds: dict[tuple[int, int], list[Hold]] = defaultdict(list)
    for hold in records.holds(min(begins), max(ends), meters):
        holds[hold.meter, hold.channel].append(hold)
    if not holds:
        return parts
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
    last_year = same_days_last_year(records, parts, ground.hung, ground.gas, whole)
    # One interval more in front, for the register at its end.
    begin_s = whole.start_s - interval_s
    profiles = records.profiles(list(keys), begin_s, whole.end_s, interval_s)
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
    past: Carried = field(default_factory=Carried)

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
        return replace(taken_over(self.parts[0].tariff, self._banks(rows)), peaks=peaks)

    def _banks(self, rows: list[int]) -> list[InBank | None]:
        if not has_bank(self.parts[0].tariff):
            return [None] * len(rows)
        return [self.ground.balances[self.parts[row].agreement.id].bank for row in rows]

    def _bill(self, rows: list[int]) -> None:
        """Rate rows at once; where the engine refuses, halve until the one it means is alone."""
        if not rows:
            return
        interval_s, part = self.place.profiles.interval_s, self.parts[0]
        tariff, market = part.tariff, self.place.market
        used = self.used.take(rows)
        fed_in, reactive = (None if each is None else each.take(rows) for each in (self.fed_in, self.reactive))
        gas: Sequence[tuple[GasEnergy, ...]] = [()] * len(rows)
        try:
            if is_by_energy(tariff):
                areas = [self.parts[row].agreement.gas_area for row in rows]
                used, gas = by_energy(used, areas, self.ground.gas, self.window, interval_s)
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
        parts = [self.parts[row] for row in rows]
        brought = carried = self._banks(rows)
        if has_bank(tariff):
            carried = [left(tariff, batch.carried, place) for place in range(len(rows))]
            for each, bank in zip(parts, carried, strict=True):
                self.ground.balances[each.agreement.id] = Balance(self.window.end, bank)
        peaks = [peaks_shown(tariff, self.past, self.ground.period, row) if self.past.peaks else () for row in rows]
        rated = RatedParts(
            parts=parts,
            window=self.window,
            batch=batch,
            use=UseTables.of(tariff, self.window, interval_s, market, used, others),
            profiles=self.place.profiles,
            meters=[self.rows(each.meters) for each in parts],
            columns=self.columns,
            export=None if fed_in is None else fed_in.values.sum(axis=1),
            reactive=None if reactive is None else reactive.values.sum(axis=1),
            gas=gas,
            brought=brought,
            carried=carried,
            peaks=peaks,
            previous=[self.place.previous.get(each.agreement.id) for each in parts],
            last_year=[self.place.last_year.get((each.agreement.id, each.first)) for each in parts],
            prices=prices_used(part, self.place.market),
            events=events_used(part, self.place.market),
            calendar_sha256=calendar_digest(part, self.window, interval_s, market),
        )
        self.ground.rated.alike.extend(rated.segments())
