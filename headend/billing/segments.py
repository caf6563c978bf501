"""Rating service agreements: what each used and costs, or why it cannot be billed.

Agreements that share tariff version, days and interval length are rated together, as rows of one array. What cannot be
billed comes back as an exception with its agreement's name, so that whoever is not among the segments is among those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from headend.billing.agreements import Agreement, local_month
from headend.billing.comparison import month_before
from headend.billing.cycle import BillException, ExceptionCode
from headend.billing.gas import by_energy, is_by_energy
from headend.billing.metered import Metered, at_usage_points, meter_reads, reads_digest, units
from headend.billing.parts import Part, by_usage_point, parts_of
from headend.billing.ports import GasQualities, Hold, MeterChannel, Records
from headend.billing.statement import Comparison, GasEnergy, Segment, TariffVersion
from headend.billing.usage import UseTables, statement_line, use_by_tier
from headend.errors import CannotRate
from headend.reads import LoadProfiles, Quality
from headend.reads.days import Period, moment, seconds, zone_named
from headend.reads.quality import IS_BILLABLE
from headend.tariffs import BillingWindow, RatedBill, TariffBook, Use, rate_batch


class RatedSegment(NamedTuple):
    """A segment, whose it is, and the moment [UTC] its last read ends: the window's end, but in a running month."""

    agreement: Agreement
    segment: Segment
    reads_end: datetime


@dataclass(slots=True)
class Rated:
    """Segments and exceptions of agreements."""

    segments: list[RatedSegment] = field(default_factory=list)
    exceptions: list[BillException] = field(default_factory=list)

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
        month `YYYY-MM`, in each usage point's own zone.
    provisional
        rate whatever reads there are, decided or not, and count those there are not as zero: for a look at the running
        month.
    """
    rated = Rated()
    meters = by_usage_point(records.channels())
    parts = [part for agreement in agreements for part in parts_of(agreement, tariffs, meters, period, rated.refuse)]
    if not provisional:
        parts = _released(records, parts, rated)
    gas = records.gas_qualities() if any(is_by_energy(part.tariff) for part in parts) else {}
    places: dict[tuple[str, int], list[Part]] = defaultdict(list)
    for part in parts:
        places[part.agreement.timezone, part.interval_s].append(part)
    for (timezone, _), together in places.items():
        _rate_place(records, together, local_month(period, timezone), gas, rated, provisional)
    return rated


def _released(records: Records, parts: list[Part], rated: Rated) -> list[Part]:
    """Parts of accounts whose reads nobody has to decide about first; the other accounts become exceptions."""
    if not parts:
        return parts
    begins, ends = zip(*(part.time_s for part in parts), strict=True)
    holds: dict[tuple[int, int], list[Hold]] = defaultdict(list)
    for hold in records.holds(min(begins), max(ends)):
        holds[hold.meter, hold.channel].append(hold)
    held: dict[str, dict[int, Hold]] = defaultdict(dict)
    for part in parts:
        for meter in (*part.used, *(part.fed_in or ())):
            begin_s, end_s = part.measured_by(meter)
            for hold in holds.get((meter.meter, meter.channel.code), ()):
                if hold.start_s < end_s and hold.end_s > begin_s:
                    held[part.agreement.account.id][hold.exception] = hold
    for account, its in held.items():
        why = "; ".join(f"exception {number}: {hold.why}" for number, hold in sorted(its.items()))
        rated.exceptions.append(BillException(account, ExceptionCode.HELD, why, tuple(sorted(its))))
    return [part for part in parts if part.agreement.account.id not in held]


def _rate_place(
    records: Records, parts: list[Part], month: Period, gas: GasQualities, rated: Rated, provisional: bool
) -> None:
    """Rate parts in one time zone with one interval length: their reads are fetched at once."""
    interval_s = parts[0].interval_s
    keys: dict[tuple[int, int], int] = {}
    for part in parts:
        for meter in (*part.used, *(part.fed_in or ())):
            keys.setdefault((meter.meter, meter.channel.code), len(keys))
    previous = month_before(records, parts, keys, gas, month)
    # One interval more in front, for the register at its end.
    begin_s = seconds(month.start_utc) - interval_s
    profiles = records.profiles(list(keys), begin_s, seconds(month.end_utc), interval_s)
    groups: dict[tuple[str, date, date, str, int], list[Part]] = defaultdict(list)
    for part in parts:
        groups[part.kind].append(part)
    for group in groups.values():
        _Group(group, keys, profiles, gas, previous, rated).rate(provisional)


@dataclass(slots=True)
class _Group:
    """Parts of one kind, row by row."""

    parts: list[Part]
    keys: dict[tuple[int, int], int]
    profiles: LoadProfiles
    gas: GasQualities
    previous: dict[str, Comparison]
    rated: Rated
    window: BillingWindow = field(init=False)
    columns: slice = field(init=False)

    def __post_init__(self) -> None:
        part, interval_s = self.parts[0], self.profiles.interval_s
        self.window = BillingWindow(part.first, part.end, zone_named(part.agreement.timezone))
        first = (seconds(self.window.start_utc) - self.profiles.start_s) // interval_s
        self.columns = slice(first, first + self.window.intervals(interval_s))

    def rows(self, meters: Sequence[MeterChannel]) -> list[tuple[int, MeterChannel]]:
        return [(self.keys[meter.meter, meter.channel.code], meter) for meter in meters]

    def rate(self, provisional: bool) -> None:
        """Every part becomes a segment or an exception."""
        used = at_usage_points(self.profiles, [self.rows(part.used) for part in self.parts], self.columns)
        fed_in = None
        if self.parts[0].fed_in is not None:
            meters = [self.rows(part.fed_in or ()) for part in self.parts]
            fed_in = at_usage_points(self.profiles, meters, self.columns)
        rows = list(range(len(self.parts)))
        if not provisional:
            rows = self._complete(used, fed_in)
        self._bill(rows, used, fed_in)

    def _complete(self, used: Metered, fed_in: Metered | None) -> list[int]:
        """Rows that may be billed; the others become exceptions."""
        unfit = ~IS_BILLABLE[used.quality]
        if fed_in is not None:
            unfit |= ~IS_BILLABLE[fed_in.quality]
        for row in np.flatnonzero(unfit.any(axis=1)).tolist():
            first = int(np.argmax(unfit[row]))
            begins = moment(seconds(self.window.start_utc) + first * self.profiles.interval_s)
            both = [metered.quality[row, first] for metered in (used, fed_in) if metered is not None]
            worst = next(Quality(int(quality)) for quality in both if not IS_BILLABLE[quality])
            self.rated.refuse(
                self.parts[row].agreement,
                ExceptionCode.INCOMPLETE_READS,
                f"{int(unfit[row].sum())} of {unfit.shape[1]} intervals cannot be billed,"
                f" first {begins:%Y-%m-%dT%H:%MZ} ({worst.label})",
            )
        return np.flatnonzero(~unfit.any(axis=1)).tolist()

    def _bill(self, rows: list[int], used: Metered, fed_in: Metered | None) -> None:
        """Rate rows at once; where the engine refuses, halve until the one it means is alone."""
        if not rows:
            return
        interval_s, tariff = self.profiles.interval_s, self.parts[0].tariff
        its_use = used.take(rows)
        its_export = None if fed_in is None else fed_in.take(rows)
        shown: list[tuple[GasEnergy, ...]] = [()] * len(rows)
        try:
            if is_by_energy(tariff):
                areas = [self.parts[row].agreement.gas_area for row in rows]
                its_use, shown = by_energy(its_use, areas, self.gas, self.window, interval_s)
            exported = None if its_export is None else its_export.values
            batch = rate_batch(tariff, self.window, Use(interval_s, its_use.values, exported))
        except CannotRate as error:
            if len(rows) == 1:
                self.rated.refuse(self.parts[rows[0]].agreement, ExceptionCode.CANNOT_RATE, str(error))
                return
            half = len(rows) // 2
            self._bill(rows[:half], used, fed_in)
            self._bill(rows[half:], used, fed_in)
            return
        tables = UseTables.of(tariff, self.window, interval_s, its_use, its_export)
        for place, bill in enumerate(batch.bills()):
            part = self.parts[rows[place]]
            export = None if exported is None else units(exported[place].sum())
            segment = self._segment(part, bill, place, tables, export, shown[place])
            reads_end = moment(seconds(self.window.start_utc) + int(tables.reached[place]) * interval_s)
            self.rated.segments.append(RatedSegment(part.agreement, segment, reads_end))

    def _segment(
        self,
        part: Part,
        bill: RatedBill,
        place: int,
        tables: UseTables,
        export: Decimal | None,
        gas: tuple[GasEnergy, ...],
    ) -> Segment:
        agreement, tariff = part.agreement, part.tariff
        meters = self.rows((*part.used, *(part.fed_in or ())))
        tax = sum((line.amount for line in bill.lines if line.kind == "tax"), Decimal(0))
        return Segment(
            agreement=agreement.id,
            usage_point=agreement.usage_point,
            address=agreement.address,
            commodity=agreement.commodity,
            unit=tariff.unit,
            timezone=agreement.timezone,
            first=part.first,
            last=part.end - timedelta(days=1),
            days=(part.end - part.first).days,
            tariff=TariffVersion(tariff.id, tariff.name, tariff.digest),
            meters=tuple(
                [each for row, meter in meters for each in meter_reads(self.profiles, row, meter, self.columns)]
            ),
            usage=units(tables.total[place]),
            export=export,
            usage_by_period=tables.by_period(tariff, place),
            usage_by_tier=use_by_tier(tariff, bill),
            lines=tuple([statement_line(line) for line in bill.lines]),
            intervals=int(tables.present[place]),
            estimated_intervals=int(tables.estimated[place]),
            daily=tables.by_day(place),
            reads_sha256=reads_digest(self.profiles, meters, self.columns),
            previous=self.previous.get(agreement.id),
            currency=bill.currency,
            net=bill.total - tax,
            tax=tax,
            gross=bill.total,
            gas=gas,
        )
