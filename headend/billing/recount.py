"""A segment rated anew from what it was rated on, and held against what the statement says.

It takes the reads of the segment's days, the tariff version and the prices; everything else that a bill rests on (bank,
peaks of earlier months, events, what gas is worth) stands on the statement itself. So whoever has these can do it, with
no access to whoever made the statement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from decimal import Decimal
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headend.billing.agreements import Account, Agreement, billing_window
from headend.billing.backbilling import has_write_off, is_write_off, with_lines
from headend.billing.banks import left, taken_over
from headend.billing.columns import each_of
from headend.billing.digests import calendar_digest
from headend.billing.gas import by_energy, is_by_energy
from headend.billing.metered import Metered, at_usage_points, reads_digest, units
from headend.billing.parts import USE_CHANNEL, Part
from headend.billing.peaks import periods_of
from headend.billing.ports import GasQuality, MeterChannel
from headend.billing.published import events_used, prices_used
from headend.billing.statement import PastPeak, Segment, Statement, StatementLine
from headend.billing.usage import UseTables, rated_use, statement_line, tiered_energy, use_by_tier
from headend.errors import CannotRate
from headend.reads import Channel, LoadProfiles
from headend.reads.channels import EXPORT, REACTIVE
from headend.reads.days import Period, previous_period, seconds, zone_named
from headend.tariffs import Events, Market, Peaks, PriceSeries, Tariff, rate_batch
from headend.tariffs.format.components import Demand
from headend.tariffs.format.schema import BASE_UNITS

#: A name for the area whose gas is what the statement says it is.
_AREA = "statement"


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the days of a segment were rated on, beside what its statement says.

    Parameters
    ----------
    meters, profiles
        the meter channels in the order of the statement, and a row of reads for each; they cover exactly the days.
    prices
        the series that the tariff asks for.
    """

    tariff: Tariff
    meters: Sequence[MeterChannel]
    profiles: LoadProfiles
    prices: Sequence[PriceSeries] = ()

    @property
    def reads_sha256(self) -> str:
        """Digest of the reads, as the statement has it."""
        return reads_digest(self.profiles, list(enumerate(self.meters)), slice(0, self.profiles.values.shape[1]))


def days_of(segment: Segment) -> Period:
    """The local days of a segment; raises `InvalidInput` where its time zone is none."""
    return Period(segment.first, segment.last + timedelta(days=1), zone_named(segment.timezone))


def billing_days_of(statement: Statement, segment: Segment) -> Period:
    """All local days of the billing period that a segment is of."""
    zone = zone_named(segment.timezone)
    if statement.billing_days is None:
        return Period.month(statement.period, zone)
    return Period(statement.billing_days.first, statement.billing_days.last + timedelta(days=1), zone)


def channels_of(segment: Segment) -> list[tuple[str, str]]:
    """Meter and OBIS code of what was billed, in order, each once."""
    return list(dict.fromkeys((each.meter, each.channel) for each in segment.meters))


def counted(its: Evidence, row: int) -> NDArray[np.bool_]:
    """In which intervals (n,) a meter hung where it is billed."""
    profiles, meter = its.profiles, its.meters[row]
    starts = profiles.start_s + profiles.interval_s * np.arange(profiles.values.shape[1], dtype=np.int64)
    end_s = np.iinfo(np.int64).max if meter.removed_s is None else meter.removed_s
    return np.asarray((starts >= meter.installed_s) & (starts < end_s))


def rated_anew(statement: Statement, segment: Segment, evidence: Evidence) -> Segment:
    """The segment as it comes out of its evidence: all figures but registers and use in the month before.

    What a correction writes off is taken as it says: that rests on what was billed before.

    Raises
    ------
    CannotRate
        it cannot be rated from that; says why.
    """
    its, meters, profiles = _part(statement, segment, evidence), evidence.meters, evidence.profiles
    tariff, interval_s, columns = evidence.tariff, profiles.interval_s, slice(0, profiles.values.shape[1])
    days = days_of(segment)
    window = billing_window(days, statement.period, billing_days_of(statement, segment))

    def metered(channels: Sequence[MeterChannel] | None) -> Metered | None:
        if channels is None:
            return None
        rows = [(row, meter) for row, meter in enumerate(meters) if meter in channels]
        return at_usage_points(profiles, [rows], columns)

    used, fed_in, reactive = metered(its.used), metered(its.fed_in), metered(its.reactive)
    if used is None or not its.used:
        raise CannotRate(f"it names no {segment.commodity} meter")
    market = Market({series.name: series for series in evidence.prices}, _events(segment))
    gas = segment.gas
    if is_by_energy(tariff):
        qualities = [GasQuality(each.first, each.calorific_value, each.conversion) for each in segment.gas]
        used, (gas,) = by_energy(used, [_AREA], {_AREA: qualities}, window, interval_s)
    use = rated_use(interval_s, used, fed_in, reactive)
    carried = replace(taken_over(tariff, [segment.brought]), peaks=_past(tariff, segment.peaks, statement.period))
    batch = rate_batch(tariff, window, use, market, carried, statement.customer.customer_class)
    (bill,) = batch.bills()
    others = [each for each in (fed_in, reactive) if each is not None]
    tables = UseTables.of(tariff, window, interval_s, market, used, others)
    tax = sum((line.amount for line in bill.lines if line.kind == "tax"), Decimal(0))
    calendar = None if segment.calendar_sha256 is None else calendar_digest(its, window, interval_s, market)
    anew = replace(
        segment,
        unit=tariff.unit,
        days=days.days,
        tariff=replace(segment.tariff, id=tariff.id, name=tariff.name, sha256=tariff.digest),
        usage=units(tables.total[0]),
        export=None if fed_in is None else units(fed_in.values[0].sum()),
        reactive=None if reactive is None else units(reactive.values[0].sum()),
        usage_by_period=each_of(tables.by_period(tariff, [0]), 1)[0],
        usage_by_tier=use_by_tier(tiered_energy(its), bill),
        lines=tuple([statement_line(line) for line in bill.lines]),
        intervals=int(tables.present[0]),
        estimated_intervals=int(tables.estimated[0]),
        daily=each_of(tables.by_day([0]), 1)[0],
        reads_sha256=evidence.reads_sha256,
        currency=bill.currency,
        net=bill.total - tax,
        tax=tax,
        gross=bill.total,
        gas=gas,
        carried=left(tariff, batch.carried, 0),
        prices=prices_used(its, market),
        events=events_used(its, market),
        calendar_sha256=calendar,
    )
    written_off = _written_off(statement, segment)
    return with_lines(anew, (*anew.lines, *written_off)) if written_off else anew


def _written_off(statement: Statement, segment: Segment) -> tuple[StatementLine, ...]:
    if statement.kind != "rebill" or not has_write_off(segment):
        return ()
    lines = tuple(line for line in segment.lines if is_write_off(line))
    return lines if sum(line.amount for line in lines if not line.included) < 0 else ()


def _part(statement: Statement, segment: Segment, evidence: Evidence) -> Part:
    customer, days = statement.customer, days_of(segment)
    if segment.commodity not in USE_CHANNEL:
        raise CannotRate(f"nothing is known of {segment.commodity!r}")
    agreement = Agreement(
        segment.agreement,
        Account(customer.account, customer.name, customer.customer_class, customer.locale),
        segment.usage_point,
        segment.address,
        segment.timezone,
        segment.commodity,
        segment.tariff.id,
        days.first,
        days.end,
        _AREA if segment.gas else None,
    )

    def its(channel: Channel) -> tuple[MeterChannel, ...]:
        return tuple(meter for meter in evidence.meters if meter.channel == channel)

    used = its(USE_CHANNEL[segment.commodity])
    fed_in = None if segment.export is None else its(EXPORT)
    reactive = None if segment.reactive is None else its(REACTIVE)
    if fed_in == () or reactive == ():
        raise CannotRate("it tells of energy that no meter it names measures")
    return Part(agreement, evidence.tariff, days.first, days.end, used, fed_in, reactive)


def _events(segment: Segment) -> dict[str, Events]:
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for event in segment.events:
        spans[event.name].append((seconds(event.begin), seconds(event.end)))
    return {name: Events(name, tuple(sorted(its))) for name, its in spans.items()}


def _past(tariff: Tariff, shown: Iterable[PastPeak], period: str) -> dict[int, tuple[Peaks, ...]]:
    """What ratchets go by, out of what the statement tells: what it does not tell was nothing."""
    found: dict[tuple[str, str], dict[str | None, Decimal]] = defaultdict(dict)
    for peak in shown:
        its = found[peak.label, peak.month]
        if peak.period in its:
            raise CannotRate(f"it tells two peaks of {peak.label!r} in {peak.month}")
        its[peak.period] = peak.quantity
    if not found:
        return {}
    months = _months_before(period, min(month for _, month in found))
    past: dict[int, tuple[Peaks, ...]] = {}
    for place, component in enumerate(tariff.components):
        if isinstance(component, Demand) and component.ratchet:
            periods = periods_of(component, tariff)
            past[place] = tuple(
                Peaks(
                    int(month[5:]),
                    np.array(
                        [[_watts(found.get((component.label, month), {}).get(name)) for name in periods]],
                        dtype=np.int64,
                    ),
                )
                for month in months
            )
    return past


def _watts(kilowatts: Decimal | None) -> int:
    return int((kilowatts or Decimal(0)) * BASE_UNITS)


def _months_before(period: str, earliest: str) -> list[str]:
    """Months `YYYY-MM` before a period, latest first, up to the earliest; five years at most, as ratchets go."""
    months: list[str] = []
    month = period
    while month > earliest and len(months) < 60:
        month = previous_period(month)
        months.append(month)
    return months


@dataclass(frozen=True, slots=True)
class LineCompared:
    """A line as the statement has it and as it comes out anew; None where one side has no such line."""

    stated: StatementLine | None
    computed: StatementLine | None

    @property
    def same(self) -> bool:
        """Whether both say the same; what a line stands under on paper is no part of it."""
        if self.stated is None or self.computed is None:
            return False
        return replace(self.stated, heading=None) == replace(self.computed, heading=None)


def lines_compared(stated: Sequence[StatementLine], computed: Sequence[StatementLine]) -> list[LineCompared]:
    """Line by line: the same label, period and tier belong together."""
    if [_key(line) for line in stated] == [_key(line) for line in computed]:
        return [LineCompared(*pair) for pair in zip(stated, computed, strict=True)]
    waiting: dict[Any, list[StatementLine]] = defaultdict(list)
    for line in computed:
        waiting[_key(line)].append(line)
    pairs = [LineCompared(line, its.pop(0) if (its := waiting[_key(line)]) else None) for line in stated]
    return pairs + [LineCompared(None, line) for its in waiting.values() for line in its]


def _key(line: StatementLine) -> tuple[str, str, str | None, int | None]:
    return line.kind, line.label, line.period, line.tier


@dataclass(frozen=True, slots=True)
class FigureDiffers:
    """A figure that comes out otherwise: which, what the statement says, what comes out."""

    what: str
    stated: str
    computed: str


#: Beside lines, what can differ: by the names of the statement's format.
_FIGURES = (
    "unit", "days", "usage", "export", "reactive", "usage_by_period", "usage_by_tier", "daily", "intervals",
    "estimated_intervals", "gas", "carried", "currency", "net", "tax", "gross", "prices", "events", "calendar_sha256",
)  # fmt: skip


def figures_that_differ(stated: Segment, computed: Segment) -> Iterator[FigureDiffers]:
    """Everything but lines and the digest of the reads that comes out otherwise; lists item by item."""
    for name in _FIGURES:
        one, other = getattr(stated, name), getattr(computed, name)
        if one == other:
            continue
        if isinstance(one, tuple) and isinstance(other, tuple):
            for mine, its in zip_longest(one, other):
                if mine != its:
                    yield FigureDiffers(name, _told(mine), _told(its))
        else:
            yield FigureDiffers(name, _told(one), _told(other))


def _told(value: object) -> str:
    """A value in one line."""
    if value is None:
        return "nothing"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, tuple):
        return ", ".join(_told(each) for each in value) or "nothing"
    if hasattr(value, "__dataclass_fields__"):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]
        return " ".join(_told(each) for each in parts.values() if each is not None and each is not False)
    return str(value)
