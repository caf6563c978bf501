"""What looks wrong about a draft: findings with a name and figures, for a clerk to decide before anybody approves.

A rule asks one statement, and says what it found or nothing. What it knows beside the statement is the same for all
statements of a run, so that it makes no difference in which parts, and in which order, they are looked at.
"""

from __future__ import annotations

import hashlib
from array import array
from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from headend.billing.agreements import Agreement
from headend.billing.statement import MeterReads, Segment, Statement
from headend.reads.days import zone_named


class FindingCode(StrEnum):
    """What looks wrong about a draft."""

    ESTIMATED_SHARE = "estimated_share"
    ZERO_USE = "zero_use"
    HIGH_USE = "high_use"
    LOW_USE = "low_use"
    UNLIKE_PEERS = "unlike_peers"
    REGISTER_DIFFERENCE = "register_difference"
    METER_CHANGE = "meter_change"
    DAYS = "days"
    NEGATIVE = "negative"
    OVER_LIMIT = "over_limit"
    BACK_BILLED = "back_billed"


class FindingState(StrEnum):
    """What became of a finding: billed all the same, or not billed, or not decided yet."""

    OPEN = "open"
    WAITING = "waiting"  # for a second person
    RELEASED = "released"
    HELD = "held"


#: A cycle with one of these is not approved.
UNDECIDED = (FindingState.OPEN, FindingState.WAITING)


@dataclass(frozen=True, slots=True)
class Finding:
    """One account's draft, what looks wrong about it, and the SHA-256 digest of the figures that says so."""

    account: str
    code: FindingCode
    detail: str
    figures: str


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on something looks wrong; a limit of 0, or nothing, asks nothing.

    Parameters
    ----------
    estimated_share
        of all intervals billed.
    zero_use
        commodities of which nobody who lives there uses nothing for a week.
    high_use, low_use
        times the use of the same days last year.
    unlike_peers
        times the median of bills of the same tariff and class in the period before, or that part of it.
    peers
        with fewer such bills nobody is compared.
    floor
        by commodity [kWh or m³ a day]: where both sides are below, no verdict on high, low or unlike use.
    register_difference
        between the advance of a meter's register and the sum of its intervals [kWh or m³].
    meter_change
        whether a bill over more than one meter is looked at.
    days
        the least and the most a bill has.
    negative
        whether a credit is looked at that no feed-in explains.
    over_limit
        the most a bill comes to, by class and currency.
    back_billed_months
        so long ago may the last day billed be.
    """

    estimated_share: Decimal = Decimal(0)
    zero_use: tuple[str, ...] = ()
    high_use: Decimal = Decimal(0)
    low_use: Decimal = Decimal(0)
    unlike_peers: Decimal = Decimal(0)
    peers: int = 20
    floor: Mapping[str, Decimal] = field(default_factory=dict)
    register_difference: Decimal = Decimal(0)
    meter_change: bool = False
    days: tuple[int, int] | None = None
    negative: bool = False
    over_limit: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)
    back_billed_months: int = 0


class PeerGroup(NamedTuple):
    """Bills that are alike: what they are for, by which tariff and for whom."""

    commodity: str
    unit: str
    tariff: str
    customer_class: str


@dataclass(frozen=True, slots=True)
class Peers:
    """What alike bills of a period used: how many there were, and their median [thousandths of the unit a day]."""

    period: str
    bills: int
    median: int


@dataclass(frozen=True, slots=True)
class Ground:
    """What all drafts of a run are held against.

    Parameters
    ----------
    peers
        of the period before.
    at
        when the run began.
    """

    limits: Limits
    peers: Mapping[PeerGroup, Peers]
    at: datetime


def findings_of(statement: Statement, agreements: Sequence[Agreement], ground: Ground) -> list[Finding]:
    """What looks wrong about a draft, at most one finding of a code.

    Parameters
    ----------
    agreements
        the account's that it bills.
    """
    together: dict[str, list[Segment]] = defaultdict(list)
    for segment in statement.segments:
        together[segment.agreement].append(segment)
    asked = _Asked(statement, agreements, ground, list(together.values()))
    found = []
    for code, rule in _RULES.items():
        if detail := "; ".join(rule(asked)):
            found.append(Finding(statement.customer.account, code, detail, _figures(statement, code, detail)))
    return found


def _figures(statement: Statement, code: FindingCode, detail: str) -> str:
    """What a decision rests on: what was found, and what the bill comes to."""
    totals = statement.totals
    return hashlib.sha256(f"{code}|{detail}|{totals.gross:f}|{totals.currency}".encode()).hexdigest()


class _Asked(NamedTuple):
    """What a rule is asked about; `by_agreement`: segments that follow one another under one agreement."""

    statement: Statement
    agreements: Sequence[Agreement]
    ground: Ground
    by_agreement: Sequence[Sequence[Segment]]

    @property
    def limits(self) -> Limits:
        return self.ground.limits

    def is_little(self, commodity: str, *a_day: Decimal) -> bool:
        return max(a_day) < self.limits.floor.get(commodity, 0)


def _estimated_share(asked: _Asked) -> Iterator[str]:
    segments, limit = asked.statement.segments, asked.limits.estimated_share
    estimated = sum(segment.estimated_intervals for segment in segments)
    billed = sum(segment.intervals for segment in segments)
    if limit and estimated > limit * billed:
        yield f"{estimated:,} of {billed:,} intervals are estimates: {_percent(Decimal(estimated), Decimal(billed))}"


#: With fewer days somebody may just be away.
_DAYS_OF_NOTHING = 7


def _zero_use(asked: _Asked) -> Iterator[str]:
    for segments in asked.by_agreement:
        one, days = segments[0], _days(segments)
        if one.commodity in asked.limits.zero_use and days >= _DAYS_OF_NOTHING and not _use(segments):
            yield f"no {one.commodity} used at {one.usage_point} on {days} days"


def _high_use(asked: _Asked) -> Iterator[str]:
    if limit := asked.limits.high_use:
        for a_day, last_year, told in _against_last_year(asked):
            if a_day > limit * last_year:
                yield told


def _low_use(asked: _Asked) -> Iterator[str]:
    if limit := asked.limits.low_use:
        for a_day, last_year, told in _against_last_year(asked):
            # Nothing at all is a finding of its own.
            if 0 < a_day < limit * last_year:
                yield told


def _against_last_year(asked: _Asked) -> Iterator[tuple[Decimal, Decimal, str]]:
    for segments in asked.by_agreement:
        before = [segment.last_year for segment in segments if segment.last_year is not None]
        if len(before) < len(segments):
            continue
        a_day = _use(segments) / _days(segments)
        last_year = sum((each.quantity for each in before), Decimal(0)) / sum(each.days for each in before)
        if asked.is_little(segments[0].commodity, a_day, last_year):
            continue
        told = f"{a_day:,.1f} {segments[0].unit} a day against {last_year:,.1f} on the same days last year"
        yield a_day, last_year, told + (f": {_percent(a_day, last_year)}" if last_year else "")


def _unlike_peers(asked: _Asked) -> Iterator[str]:
    limit = asked.limits.unlike_peers
    for segments in asked.by_agreement if limit else ():
        one = segments[-1]
        peers = asked.ground.peers.get(peer_group(asked.statement, one))
        if peers is None or peers.bills < asked.limits.peers:
            continue
        a_day, median = _use(segments) / _days(segments), Decimal(peers.median).scaleb(-3)
        if asked.is_little(one.commodity, a_day, median):
            continue
        if a_day > median * limit or 0 < a_day * limit < median:
            yield (
                f"{a_day:,.1f} {one.unit} a day; the median of {peers.bills:,} bills by {one.tariff.id} for"
                f" {asked.statement.customer.customer_class} was {median:,.1f} in {peers.period}"
            )


def _register_difference(asked: _Asked) -> Iterator[str]:
    tolerance = asked.limits.register_difference
    for segment in asked.statement.segments if tolerance else ():
        for meter in segment.meters:
            opening, closing = meter.opening, meter.closing
            if opening is None or closing is None or "estimated" in (opening.obtained, closing.obtained):
                continue
            advance = _advance(meter, opening.value, closing.value)
            if abs(advance - meter.quantity) > tolerance:
                yield (
                    f"{meter.meter} {meter.channel}: the register went from {opening.value:,f} to {closing.value:,f},"
                    f" the intervals sum to {meter.quantity:,f}: {meter.quantity - advance:+,f}"
                )


def _advance(meter: MeterReads, opening: Decimal, closing: Decimal) -> Decimal:
    """How far a register went; where it began anew at a power of ten, the one that fits the intervals best."""
    if closing >= opening or meter.constant is not None:
        return closing - opening
    ends = (Decimal(10) ** places for places in range(len(str(int(opening))), 13))
    return min((closing + end - opening for end in ends), key=lambda advance: abs(advance - meter.quantity))


def _meter_change(asked: _Asked) -> Iterator[str]:
    if not asked.limits.meter_change:
        return
    hung: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for segment in asked.statement.segments:
        for meter in segment.meters:
            hung[segment.usage_point, meter.channel][meter.meter] = None
    for (usage_point, channel), meters in hung.items():
        if len(meters) > 1:
            yield f"{channel} at {usage_point} was measured by {', then '.join(meters)}"


def _usual_days(asked: _Asked) -> Iterator[str]:
    statement, usual = asked.statement, asked.limits.days
    if usual is None or usual[0] <= statement.days <= usual[1]:
        return
    begins = min((agreement.valid_from for agreement in asked.agreements), default=date.min)
    ends = max((agreement.valid_to or date.max for agreement in asked.agreements), default=date.max)
    moved = statement.first <= begins or statement.last + timedelta(days=1) >= ends
    # A bill that begins or ends with the agreement is as long as it has to be.
    if statement.days > usual[1] or not moved:
        yield f"{statement.days} days from {statement.first} to {statement.last}, {usual[0]} to {usual[1]} are usual"


def _negative(asked: _Asked) -> Iterator[str]:
    statement = asked.statement
    if not asked.limits.negative:
        return
    for segment in statement.segments:
        if segment.usage < 0:
            yield f"{segment.usage:,f} {segment.unit} used at {segment.usage_point}"
    fed_in = any(segment.export for segment in statement.segments)
    banked = any(segment.brought is not None for segment in statement.segments)
    if statement.totals.gross < 0 and not fed_in and not banked:
        yield f"a credit of {-statement.totals.gross:,f} {statement.totals.currency}"


def _over_limit(asked: _Asked) -> Iterator[str]:
    totals, customer_class = asked.statement.totals, asked.statement.customer.customer_class
    limit = asked.limits.over_limit.get(customer_class, {}).get(totals.currency)
    if limit and abs(totals.gross) > limit:
        yield f"{totals.gross:,f} {totals.currency}, above {limit:,f} for {customer_class}"


def _back_billed(asked: _Asked) -> Iterator[str]:
    if is_back_billed(asked.statement, asked.ground):
        months, last = asked.limits.back_billed_months, asked.statement.last
        yield f"its last day, {last}, is more than {months} months ago"


def is_back_billed(statement: Statement, ground: Ground) -> bool:
    """Whether the last day billed is longer ago than bills go back."""
    months = ground.limits.back_billed_months
    today = ground.at.astimezone(zone_named(statement.timezone)).date()
    return months > 0 and today > _months_after(statement.last, months)


def _months_after(day: date, months: int) -> date:
    """The same day some months later, or the last of a shorter month."""
    year, month = divmod(12 * day.year + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


_Rule = Callable[[_Asked], Iterator[str]]
_RULES: Mapping[FindingCode, _Rule] = {
    FindingCode.ESTIMATED_SHARE: _estimated_share,
    FindingCode.ZERO_USE: _zero_use,
    FindingCode.HIGH_USE: _high_use,
    FindingCode.LOW_USE: _low_use,
    FindingCode.UNLIKE_PEERS: _unlike_peers,
    FindingCode.REGISTER_DIFFERENCE: _register_difference,
    FindingCode.METER_CHANGE: _meter_change,
    FindingCode.DAYS: _usual_days,
    FindingCode.NEGATIVE: _negative,
    FindingCode.OVER_LIMIT: _over_limit,
    FindingCode.BACK_BILLED: _back_billed,
}


# -- peers --


def peer_group(statement: Statement, segment: Segment) -> PeerGroup:
    """Which bills a segment is compared with."""
    return PeerGroup(segment.commodity, segment.unit, segment.tariff.id, statement.customer.customer_class)


@dataclass(slots=True)
class PeerUse:
    """What bills use a day, as they go by: later, others are compared with them."""

    # Of a million bills as well: eight bytes each.
    by_group: dict[PeerGroup, array[int]] = field(default_factory=lambda: defaultdict(lambda: array("q")))

    def seen(self, statements: Iterable[Statement]) -> Iterator[Statement]:
        """The same statements, each noted as it goes by: bills as usual, of a week at least."""
        for statement in statements:
            if statement.kind in (None, "final"):
                for segment in statement.segments:
                    if segment.days >= _DAYS_OF_NOTHING:
                        a_day = int(segment.usage.scaleb(3)) // segment.days
                        self.by_group[peer_group(statement, segment)].append(a_day)
            yield statement

    def peers(self, period: str) -> dict[PeerGroup, Peers]:
        """Of each group how many there were and their median, the lower of two."""
        return {
            group: Peers(period, len(its), sorted(its)[(len(its) - 1) // 2]) for group, its in self.by_group.items()
        }


def _use(segments: Iterable[Segment]) -> Decimal:
    return sum((segment.usage for segment in segments), Decimal(0))


def _days(segments: Iterable[Segment]) -> int:
    return sum(segment.days for segment in segments)


def _percent(part: Decimal, whole: Decimal) -> str:
    return f"{100 * part / whole:,.0f} %"


# -- the queue --


@dataclass(frozen=True, slots=True)
class Queued:
    """A finding in a cycle's queue, and what was decided about it.

    Parameters
    ----------
    decided_at, decided_by, reason
        None while it is open.
    confirmed_at, confirmed_by
        by a second person, where one was asked for.
    """

    account: str
    code: FindingCode
    detail: str
    figures: str
    state: FindingState
    reason: str | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    confirmed_at: datetime | None = None
    confirmed_by: str | None = None

    @property
    def told(self) -> str:
        """The account and what was found, in one line."""
        return f"{self.account}: {self.code}, {self.detail}"


@dataclass(frozen=True, slots=True)
class Exclusion:
    """An account that a clerk leaves out of a cycle, and why."""

    cycle: str
    account: str
    reason: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class ReviewRules:
    """What is looked at, and from which amount on (by currency, without sign) a second person has to agree."""

    limits: Limits = Limits()
    second_above: Mapping[str, Decimal] = field(default_factory=dict)

    def needs_second(self, amount: Decimal, currency: str) -> bool:
        """Whether one person is not enough to release a bill."""
        limit = self.second_above.get(currency, Decimal(0))
        return limit > 0 and abs(amount) >= limit
