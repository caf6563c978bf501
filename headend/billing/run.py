"""A cycle is rated: every account it bills gets a draft, or stands among the exceptions.

Rating reads one consistent view and holds up nobody; its result is written in one short transaction that first looks
whether anything it rests on has changed. So a run that dies leaves nothing behind, and one that is repeated changes
nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from headend.billing.agreements import Agreement, billing_days, group_in, in_force, overlapping
from headend.billing.cycle import (
    BillCycle,
    BillException,
    ControlTotals,
    CycleScope,
    ExceptionCode,
    advance,
    check_step,
    control_totals,
    open_cycle,
)
from headend.billing.digests import ENGINE
from headend.billing.groups import MONTHLY
from headend.billing.ports import Office, Records
from headend.billing.segments import Rated, rate_agreements
from headend.billing.statement import BillingDays, Customer, Segment, Statement, Utility, totals_of
from headend.errors import BillingConflict, NotFound
from headend.reads.days import Period, midnight, zone_named


def rate_cycle(office: Office, period: str, name: str, clerk: str, scope: CycleScope | None = None) -> BillCycle:
    """Rate every account that the cycle bills; new drafts take the place of older ones.

    What the bills would rest on is looked at first: an account of which somebody has to decide something is held.

    Parameters
    ----------
    period
        billing period `YYYY-MM`; each agreement's days of it count in its usage point's zone.
    clerk
        who says so.
    scope
        whom a new cycle bills. None: the accounts of the group that is called as the cycle, or of the monthly one.

    Raises
    ------
    BillingConflict
        the period is not over, the cycle is approved or issued already, it bills others, or somebody changed it
        meanwhile.
    NotFound
        there is no such group, or account in it.
    """
    with office.database.read() as tx:
        if (before := office.ledger(tx).cycle(name, period)) is not None:
            check_step(before, "rate")
    office.check(period)
    with office.database.read() as tx:
        ledger, records = office.ledger(tx), office.records(tx)
        before = ledger.cycle(name, period)
        cycle = before or open_cycle(name, period, office.clock(), clerk, scope or _usual_scope(records, name))
        check_step(cycle, "rate")
        if scope not in (None, cycle.scope):
            raise BillingConflict(
                f"cycle {cycle.id} bills {cycle.scope}, not {scope}: give the other a name of its own"
            )
        elsewhere = ledger.billed_elsewhere(cycle)
        agreements = agreements_of(records, cycle, office.clock())
        _check_over(agreements, period, office.clock())
        run = rate_accounts(office, records, cycle, agreements, elsewhere)
    with office.database.write() as tx:
        ledger = office.ledger(tx)
        if ledger.cycle(name, period) != before or ledger.billed_elsewhere(cycle) != elsewhere:
            raise BillingConflict(f"cycle {cycle.id} was changed while it was rated: rate it again")
        cycle = advance(cycle, "rate", office.clock(), clerk, run.totals)
        ledger.keep_cycle(cycle)
        ledger.replace_drafts(cycle, run.statements, run.exceptions)
    return cycle


def _usual_scope(records: Records, name: str) -> CycleScope:
    return CycleScope(name if name in records.groups() else MONTHLY)


def agreements_of(records: Records, cycle: BillCycle, now: datetime) -> list[Agreement]:
    """Agreements that a cycle bills: in force on at least one day of its period, of accounts in its scope.

    Raises
    ------
    NotFound
        there is no such group, or an account that is named is not in it.
    """
    scope, period = cycle.scope, cycle.period
    if scope.group != MONTHLY and scope.group not in records.groups():
        raise NotFound(f"no billing group is called {scope.group!r}")
    found = [
        agreement
        for agreement in records.agreements()
        if in_force(agreement, period) and group_in(agreement.account, period).name == scope.group
    ]
    if scope.accounts:
        if missing := sorted(set(scope.accounts) - {agreement.account.id for agreement in found}):
            raise NotFound(f"no account {missing[0]!r} has an agreement in {period} in group {scope.group}")
        found = [agreement for agreement in found if agreement.account.id in scope.accounts]
    if scope.final:
        found = _moved_out(records, found, period, now)
    return found


def _moved_out(records: Records, agreements: Sequence[Agreement], period: str, now: datetime) -> list[Agreement]:
    """Those of accounts whose last agreement ended within the period and is over."""
    ends: dict[str, date] = {}
    for agreement in records.agreements():
        end = agreement.valid_to or date.max
        ends[agreement.account.id] = max(end, ends.get(agreement.account.id, end))

    def is_over(agreement: Agreement) -> bool:
        last, days = ends[agreement.account.id], billing_days(agreement, period)
        return days.first < last <= days.end and midnight(last, days.zone) <= now

    return [agreement for agreement in agreements if is_over(agreement)]


def _check_over(agreements: Sequence[Agreement], period: str, now: datetime) -> None:
    """Raise `BillingConflict` while days of the period that are billed still run: they could be issued for good."""
    days = [its for agreement in agreements if (its := in_force(agreement, period)) is not None]
    # Where nobody is billed, the calendar says whether the month is over.
    end = max((each.end_utc for each in days), default=Period.month(period, zone_named("UTC")).end_utc)
    if now < end:
        raise BillingConflict(f"{period} is not over before {end:%Y-%m-%d %H:%M} UTC: rate it then")


@dataclass(frozen=True, slots=True)
class Run:
    """What rating the accounts of a cycle came to; `on_drafts`: whose bills take over from what is not issued yet."""

    statements: list[Statement]
    exceptions: list[BillException]
    totals: ControlTotals
    on_drafts: set[str]


def rate_accounts(
    office: Office, records: Records, cycle: BillCycle, agreements: Sequence[Agreement], elsewhere: set[str]
) -> Run:
    """Rate agreements of a cycle; accounts of which another cycle has a statement are left to that."""
    by_account: dict[str, list[Agreement]] = defaultdict(list)
    for agreement in agreements:
        by_account[agreement.account.id].append(agreement)
    exceptions: dict[str, BillException] = {}
    for one, other in overlapping(agreements):
        for mine, its in ((one, other), (other, one)):
            refused = BillException(
                mine.account.id, ExceptionCode.OVERLAPPING_AGREEMENTS, f"{mine.id} overlaps {its.id}"
            )
            exceptions.setdefault(mine.account.id, refused)
    due = [
        agreement
        for agreement in agreements
        if agreement.account.id not in elsewhere and agreement.account.id not in exceptions
    ]
    rated = rate_agreements(records, office.tariffs, due, cycle.period)
    for exception in rated.exceptions:
        exceptions.setdefault(exception.account, exception)
    statements = list(_statements(office, cycle, by_account, rated, exceptions))
    here = [exception for account, exception in sorted(exceptions.items()) if account not in elsewhere]
    billed_elsewhere = len(elsewhere & by_account.keys())
    totals = control_totals(len(agreements), len(by_account), billed_elsewhere, statements, here)
    return Run(statements, here, totals, rated.on_drafts)


def _statements(
    office: Office,
    cycle: BillCycle,
    by_account: dict[str, list[Agreement]],
    rated: Rated,
    exceptions: dict[str, BillException],
) -> Iterator[Statement]:
    """A statement for each account without exception.

    An account in two currencies becomes one, and one whose statement lacks what its profile requires.
    """
    segments: dict[str, list[Segment]] = defaultdict(list)
    for agreement, segment, _ in rated.segments:
        segments[agreement.account.id].append(segment)
    for account in sorted(segments.keys() - exceptions.keys()):
        its = tuple(sorted(segments[account], key=_as_on_paper))
        currencies = sorted({segment.currency for segment in its})
        if len(currencies) > 1:
            detail = f"one statement cannot be in {' and '.join(currencies)}"
            exceptions[account] = BillException(account, ExceptionCode.CURRENCIES, detail)
            continue
        agreements = {agreement.id: agreement for agreement in by_account[account]}
        statement = _statement(office.utility, cycle, by_account[account][0], its)
        statement = office.rules.shown(statement, agreements)
        # A draft is looked at as it would be issued today.
        today = office.clock().astimezone(zone_named(statement.timezone)).date()
        if missing := office.rules.missing(dated(statement, today, office.due_days), agreements):
            profile = office.rules.profile_of(statement.customer.customer_class)
            detail = "; ".join(f"{item.what} ({item.key}: {item.source})" for item in missing)
            exceptions[account] = BillException(
                account, ExceptionCode.REQUIRED_ITEM, f"{profile.name} requires: {detail}"
            )
            continue
        yield statement


_COMMODITIES = ("electricity", "gas", "heat", "water")


def _as_on_paper(segment: Segment) -> tuple[int, str, str]:
    return _COMMODITIES.index(segment.commodity), segment.agreement, segment.first.isoformat()


def _statement(utility: Utility, cycle: BillCycle, agreement: Agreement, segments: tuple[Segment, ...]) -> Statement:
    account = agreement.account
    first, last = min(each.first for each in segments), max(each.last for each in segments)
    whole = billing_days(agreement, cycle.period)
    last_day = whole.end - timedelta(days=1)
    return Statement(
        id=f"{account.id}-{cycle.period}-{_FIRST_REVISION}",
        utility=utility,
        customer=Customer(account.id, account.name, segments[0].address, account.customer_class, account.locale),
        cycle=cycle.name,
        period=cycle.period,
        revision=_FIRST_REVISION,
        timezone=segments[0].timezone,
        first=first,
        last=last,
        days=(last - first).days + 1,
        segments=segments,
        totals=totals_of(segments),
        engine=ENGINE,
        kind="final" if cycle.scope.final else None,
        billing_days=None if whole == Period.month(cycle.period, whole.zone) else BillingDays(whole.first, last_day),
    )


_FIRST_REVISION = 1


def dated(draft: Statement, today: date, due_days: int) -> Statement:
    """A draft as it is issued on a day."""
    return replace(draft, issued_on=today, due_on=today + timedelta(days=due_days))
