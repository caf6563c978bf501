"""Rating service agreements: what each used and costs, or why it cannot be billed.

Agreements that share tariff version, days and interval length are rated together, as rows of one array. What cannot be
billed comes back as an exception with its agreement's name, so that whoever is not among the segments is among those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from headend.billing.agreements import Agreement
from headend.billing.cycle import BillException, ExceptionCode
from headend.billing.metered import Metered, at_usage_points, meter_reads, reads_digest, units
from headend.billing.ports import MeterChannel, Records
from headend.billing.statement import Comparison, Segment, TariffVersion
from headend.billing.usage import UseTables, day_begins, statement_line, use_by_tier
from headend.errors import CannotRate, NotFound
from headend.reads import LoadProfiles, Quality
from headend.reads.channels import EXPORT, GAS, IMPORT, WATER
from headend.reads.days import Period, moment, previous_month, seconds, zone_named
from headend.reads.quality import IS_BILLABLE
from headend.tariffs import BillingWindow, RatedBill, Tariff, TariffBook, rate_batch
from headend.tariffs.schema import Energy

_USE_CHANNEL = {"electricity": IMPORT, "gas": GAS, "water": WATER}


@dataclass(frozen=True, slots=True)
class Part:
    """Days of one agreement under one tariff version, and the meters that measured them."""

    agreement: Agreement
    tariff: Tariff
    first: date
    end: date
    used: tuple[MeterChannel, ...]
    fed_in: tuple[MeterChannel, ...] | None

    @property
    def interval_s(self) -> int:
        """Length of an interval [s], the same for all meters of the part."""
        return self.used[0].interval_s

    @property
    def kind(self) -> tuple[str, date, date, str, int]:
        """Parts of one kind are rated together."""
        return self.tariff.version, self.first, self.end, self.agreement.timezone, self.interval_s


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
        rate whatever reads there are, and count those there are not as zero: for a look at the running month.
    """
    rated = Rated()
    channels = _by_usage_point(records.channels())
    parts = [part for agreement in agreements for part in _parts(agreement, tariffs, channels, period, rated)]
    places: dict[tuple[str, int], list[Part]] = defaultdict(list)
    for part in parts:
        places[part.agreement.timezone, part.interval_s].append(part)
    for (timezone, interval_s), together in places.items():
        _rate_place(records, together, local_month(period, timezone), interval_s, rated, provisional)
    return rated


def in_force(agreement: Agreement, period: str) -> Period | None:
    """The local days of month `period` on which the agreement applies; None where there are none."""
    return local_month(period, agreement.timezone).within(agreement.valid_from, agreement.valid_to)


@lru_cache(maxsize=1024)
def local_month(period: str, timezone: str) -> Period:
    """The month `YYYY-MM` as it is in a time zone."""
    return Period.month(period, zone_named(timezone))


def overlapping(agreements: Iterable[Agreement]) -> list[tuple[Agreement, Agreement]]:
    """Pairs of agreements that would bill the same usage point and commodity for the same day."""
    places: dict[tuple[str, str], list[Agreement]] = defaultdict(list)
    for agreement in agreements:
        places[agreement.usage_point, agreement.commodity].append(agreement)
    pairs = []
    for together in places.values():
        together.sort(key=lambda each: each.valid_from)
        furthest = together[0]
        for agreement in together[1:]:
            if agreement.valid_from < (furthest.valid_to or date.max):
                pairs.append((furthest, agreement))
            furthest = max(furthest, agreement, key=lambda each: each.valid_to or date.max)
    return pairs


def _by_usage_point(channels: Iterable[MeterChannel]) -> dict[tuple[str, int], list[MeterChannel]]:
    found: dict[tuple[str, int], list[MeterChannel]] = defaultdict(list)
    for channel in channels:
        found[channel.usage_point, channel.channel.code].append(channel)
    return found


def _parts(
    agreement: Agreement,
    tariffs: TariffBook,
    channels: dict[tuple[str, int], list[MeterChannel]],
    period: str,
    rated: Rated,
) -> Iterator[Part]:
    days = in_force(agreement, period)
    if days is None:
        return
    try:
        versions = tariffs.versions_between(agreement.tariff_id, days.first, days.end)
    except NotFound as error:
        rated.refuse(agreement, ExceptionCode.NO_TARIFF, str(error))
        return
    use = _USE_CHANNEL.get(agreement.commodity)
    used = channels.get((agreement.usage_point, use.code), []) if use else []
    used = [meter for meter in used if _hangs_in(meter, days)]
    if not used:
        rated.refuse(agreement, ExceptionCode.NO_METER, f"no {agreement.commodity} meter at {agreement.usage_point}")
        return
    for first, end, tariff in versions:
        problem = _mismatch(agreement, tariff)
        fed_in = None
        if _credits_export(tariff):
            meters = channels.get((agreement.usage_point, EXPORT.code), [])
            fed_in = tuple(meter for meter in meters if _hangs_in(meter, days))
            problem = problem or (None if fed_in else f"{tariff.id} credits export, but no meter measures it")
        if problem is None and len({meter.interval_s for meter in (*used, *(fed_in or ()))}) > 1:
            problem = "its meters have intervals of different lengths"
        if problem is None and seconds(days.start_utc) % used[0].interval_s:
            problem = f"its local day begins within an interval of {used[0].interval_s} s"
        if problem is not None:
            rated.refuse(agreement, ExceptionCode.CANNOT_RATE, problem)
            return
        yield Part(agreement, tariff, first, end, tuple(used), fed_in)


def _hangs_in(meter: MeterChannel, days: Period) -> bool:
    return meter.installed_s < seconds(days.end_utc) and (
        meter.removed_s is None or meter.removed_s > seconds(days.start_utc)
    )


def _mismatch(agreement: Agreement, tariff: Tariff) -> str | None:
    if tariff.commodity != agreement.commodity:
        return f"tariff {tariff.id} is for {tariff.commodity}, the agreement for {agreement.commodity}"
    if agreement.account.customer_class not in tariff.customer_classes:
        classes = ", ".join(tariff.customer_classes)
        return f"tariff {tariff.id} is for {classes}, the account is {agreement.account.customer_class}"
    return None


def _credits_export(tariff: Tariff) -> bool:
    return any(isinstance(part, Energy) and part.measures == "export" for part in tariff.components)


def _rate_place(
    records: Records, parts: list[Part], month: Period, interval_s: int, rated: Rated, provisional: bool
) -> None:
    """Rate parts in one time zone with one interval length: their reads are fetched at once."""
    keys: dict[tuple[int, int], int] = {}
    for part in parts:
        for meter in (*part.used, *(part.fed_in or ())):
            keys.setdefault((meter.meter, meter.channel.code), len(keys))
    previous = _previous_use(records, parts, keys, previous_month(month.first), interval_s)
    # One interval more in front, for the register at its end.
    begin_s = seconds(month.start_utc) - interval_s
    profiles = records.profiles(list(keys), begin_s, seconds(month.end_utc), interval_s)
    groups: dict[tuple[str, date, date, str, int], list[Part]] = defaultdict(list)
    for part in parts:
        groups[part.kind].append(part)
    for group in groups.values():
        _Group(group, keys, profiles, previous, rated).rate(provisional)


def _previous_use(
    records: Records, parts: list[Part], keys: dict[tuple[int, int], int], period: str, interval_s: int
) -> dict[str, Comparison]:
    """Use in the month before of every agreement, over its last days of which all reads are there."""
    month = local_month(period, parts[0].agreement.timezone)
    start_s = seconds(month.start_utc)
    profiles = records.profiles(list(keys), start_s, seconds(month.end_utc), interval_s)
    begins = day_begins(month.first, month.end, month.zone, interval_s)
    use = np.add.reduceat(profiles.values, begins, axis=1)
    missing = np.add.reduceat((profiles.quality == Quality.MISSING).astype(np.int64), begins, axis=1)
    found = {}
    for part in parts:
        days = in_force(part.agreement, period)
        if days is None or days.end != month.end:
            continue
        rows = [keys[meter.meter, meter.channel.code] for meter in part.used]
        holes = np.flatnonzero(missing[rows].any(axis=0))
        first = max((days.first - month.first).days, int(holes[-1]) + 1 if len(holes) else 0)
        if month.days - first >= _DAYS_TO_COMPARE:
            found[part.agreement.id] = Comparison(
                first=month.first + timedelta(days=first),
                last=month.end - timedelta(days=1),
                days=month.days - first,
                quantity=units(use[rows, first:].sum()),
            )
    return found


#: With fewer days than a week, weekdays would be compared with weekends.
_DAYS_TO_COMPARE = 7


@dataclass(slots=True)
class _Group:
    """Parts of one kind, row by row."""

    parts: list[Part]
    keys: dict[tuple[int, int], int]
    profiles: LoadProfiles
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
        interval_s = self.profiles.interval_s
        exported = None if fed_in is None else fed_in.values[rows]
        try:
            batch = rate_batch(self.parts[0].tariff, self.window, interval_s, used.values[rows], exported)
        except CannotRate as error:
            if len(rows) == 1:
                self.rated.refuse(self.parts[rows[0]].agreement, ExceptionCode.CANNOT_RATE, str(error))
                return
            half = len(rows) // 2
            self._bill(rows[:half], used, fed_in)
            self._bill(rows[half:], used, fed_in)
            return
        tables = UseTables.of(
            self.parts[0].tariff,
            self.window,
            interval_s,
            used.take(rows),
            None if fed_in is None else fed_in.take(rows),
        )
        for place, bill in enumerate(batch.bills()):
            part = self.parts[rows[place]]
            export = None if exported is None else units(exported[place].sum())
            segment = self._segment(part, bill, place, tables, export)
            reads_end = moment(seconds(self.window.start_utc) + int(tables.reached[place]) * interval_s)
            self.rated.segments.append(RatedSegment(part.agreement, segment, reads_end))

    def _segment(self, part: Part, bill: RatedBill, place: int, tables: UseTables, export: Decimal | None) -> Segment:
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
            meters=tuple([meter_reads(self.profiles, row, meter, self.columns) for row, meter in meters]),
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
        )
