"""The clerk's month: rate a cycle, approve it, issue it; and what a customer's running month costs so far.

Rating reads one consistent view and holds up nobody; its result is written in one short transaction that first looks
whether anything it rests on has changed. So a run that dies leaves nothing behind, and one that is repeated changes
nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from headend.billing.agreements import Agreement, in_force, overlapping
from headend.billing.cycle import (
    BillCycle,
    BillException,
    ControlTotals,
    CycleState,
    ExceptionCode,
    Step,
    advance,
    check_step,
    control_totals,
    open_cycle,
    tie_out,
)
from headend.billing.digests import ENGINE
from headend.billing.ports import Kept, Ledger, Office, Records
from headend.billing.segments import Rated, rate_agreements
from headend.billing.statement import (
    Customer,
    Segment,
    Statement,
    Utility,
    canonical_json,
    parse_statement,
    sha256,
    totals_of,
)
from headend.errors import BillingConflict, NotFound, StoreBroken
from headend.reads.days import Period, zone_named
from headend.tariffs import Tariff


def rate_cycle(office: Office, period: str, name: str, clerk: str) -> BillCycle:
    """Rate every account with an agreement in force in the period; new drafts take the place of older ones.

    What the bills would rest on is looked at first: an account of which somebody has to decide something is held.

    Parameters
    ----------
    period
        month `YYYY-MM`; each agreement's days of it count in its usage point's zone.
    clerk
        who says so.

    Raises
    ------
    BillingConflict
        the period is not over, the cycle is approved or issued already, or somebody changed it meanwhile.
    """
    with office.database.read() as tx:
        if (before := office.ledger(tx).cycle(name, period)) is not None:
            check_step(before, "rate")
    office.check(period)
    with office.database.read() as tx:
        ledger, records = office.ledger(tx), office.records(tx)
        before = ledger.cycle(name, period)
        cycle = before or open_cycle(name, period, office.clock(), clerk)
        check_step(cycle, "rate")
        elsewhere = ledger.billed_elsewhere(cycle)
        agreements = _agreements_of(records, period)
        _check_over(agreements, period, office.clock())
        run = _rate_accounts(office, records, cycle, agreements, elsewhere)
    with office.database.write() as tx:
        ledger = office.ledger(tx)
        if ledger.cycle(name, period) != before or ledger.billed_elsewhere(cycle) != elsewhere:
            raise BillingConflict(f"cycle {cycle.id} was changed while it was rated: rate it again")
        cycle = advance(cycle, "rate", office.clock(), clerk, run.totals)
        ledger.keep_cycle(cycle)
        ledger.replace_drafts(cycle, run.statements, run.exceptions)
    return cycle


def _agreements_of(records: Records, period: str) -> list[Agreement]:
    """Agreements in force on at least one day of the period."""
    return [agreement for agreement in records.agreements() if in_force(agreement, period)]


def _check_over(agreements: Sequence[Agreement], period: str, now: datetime) -> None:
    """Raise `BillingConflict` while the period still runs somewhere: what is rated now could be issued for good."""
    zones = {agreement.timezone for agreement in agreements} or {"UTC"}
    end = max(Period.month(period, zone_named(zone)).end_utc for zone in zones)
    if now < end:
        raise BillingConflict(f"{period} is not over before {end:%Y-%m-%d %H:%M} UTC: rate it then")


def approve(office: Office, period: str, name: str, clerk: str) -> BillCycle:
    """Close the cycle for changes, after looking whether it would be rated the same today.

    From now on the tariff versions that it was rated by do not change either.

    Raises
    ------
    BillingConflict
        the cycle is not rated, its totals do not tie, or reads, agreements or tariffs have changed since, or a bill is
        held now.
    """
    tariffs: set[Tariff] = set()
    with office.database.read() as tx:
        ledger, records = office.ledger(tx), office.records(tx)
        rated = ledger.cycle(name, period)
        if rated is not None and rated.state == CycleState.RATED:
            tariffs = _check_still_true(office, records, ledger, rated)
    with office.database.write() as tx:
        ledger = office.ledger(tx)
        cycle = _next(office, ledger, period, name, "approve", clerk)
        if ledger.cycle(name, period) != rated:
            raise BillingConflict(f"cycle {cycle.id} was changed while it was looked at: approve it again")
        _check_counts(ledger, cycle)
        ledger.keep_cycle(cycle)
        ledger.keep_tariffs(cycle, tariffs)
    return cycle


def _check_still_true(office: Office, records: Records, ledger: Ledger, cycle: BillCycle) -> set[Tariff]:
    """The tariff versions it takes to rate the cycle now.

    Raises
    ------
    BillingConflict
        that gives another statement than its draft, or one takes over from a statement that may still change.
    """
    agreements = _agreements_of(records, cycle.period)
    run = _rate_accounts(office, records, cycle, agreements, ledger.billed_elsewhere(cycle))
    now = {statement.customer.account: sha256(canonical_json(statement)) for statement in run.statements}
    drafts = {kept.account: kept.sha256 for kept in ledger.statements(cycle)}
    changed = sorted(account for account in now.keys() | drafts.keys() if now.get(account) != drafts.get(account))
    if changed:
        raise BillingConflict(
            f"reads, prices, decisions or agreements have changed since {cycle.id} was rated: {_few(changed)}."
            " Rate it again"
        )
    if early := sorted(run.on_drafts & now.keys()):
        raise BillingConflict(
            f"{_few(early)}: the bank comes from a statement that is not issued yet. Issue that first"
        )
    named = {(segment.tariff.id, segment.tariff.sha256) for each in run.statements for segment in each.segments}
    return {its for name, digest in named for its in office.tariffs.versions(name) if its.digest == digest}


def _few(accounts: Sequence[str]) -> str:
    return ", ".join(accounts[:5]) + (f" and {len(accounts) - 5} more" if len(accounts) > 5 else "")


def issue(office: Office, period: str, name: str, clerk: str) -> BillCycle:
    """Make the drafts statements: dated, due, chained to each account's statement before, and final.

    Raises
    ------
    BillingConflict
        the cycle is not approved, or is issued already.
    """
    with office.database.write() as tx:
        ledger = office.ledger(tx)
        cycle = _next(office, ledger, period, name, "issue", clerk)
        _check_counts(ledger, cycle)
        heads = ledger.chain_heads(cycle)
        drafts = ledger.statements(cycle)
        ledger.issue(cycle, _issued(drafts, heads, cycle.changed_at, office.due_days))
        ledger.keep_cycle(cycle)
    return cycle


def _next(office: Office, ledger: Ledger, period: str, name: str, step: Step, clerk: str) -> BillCycle:
    cycle = ledger.cycle(name, period)
    if cycle is None:
        raise NotFound(f"no cycle {name!r} was ever rated for {period}")
    return advance(cycle, step, office.clock(), clerk)


def _check_counts(ledger: Ledger, cycle: BillCycle) -> None:
    tie_out(cycle.totals)
    billed, excepted = ledger.counts(cycle)
    if (billed, excepted) != (cycle.totals.billed, cycle.totals.excepted):
        raise BillingConflict(
            f"cycle {cycle.id} counts {cycle.totals.billed} statements and {cycle.totals.excepted} exceptions,"
            f" the ledger has {billed} and {excepted}"
        )


@dataclass(frozen=True, slots=True)
class _Run:
    statements: list[Statement]
    exceptions: list[BillException]
    totals: ControlTotals
    on_drafts: set[str]


def _rate_accounts(
    office: Office, records: Records, cycle: BillCycle, agreements: Sequence[Agreement], elsewhere: set[str]
) -> _Run:
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
    return _Run(statements, here, totals, rated.on_drafts)


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
        if missing := office.rules.missing(_dated(statement, today, office.due_days), agreements):
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
    )


_FIRST_REVISION = 1


def _issued(drafts: Iterator[Kept], heads: dict[str, str], now: datetime, due_days: int) -> Iterator[Statement]:
    for kept in drafts:
        if sha256(kept.document) != kept.sha256:
            raise StoreBroken(f"statement {kept.id}: its bytes are not those that were rated")
        draft = parse_statement(kept.document)
        today = now.astimezone(zone_named(draft.timezone)).date()
        dated = _dated(draft, today, due_days)
        yield replace(dated, issued_at=now, previous_sha256=heads.get(kept.account))


def _dated(draft: Statement, today: date, due_days: int) -> Statement:
    return replace(draft, issued_on=today, due_on=today + timedelta(days=due_days))


@dataclass(frozen=True, slots=True)
class CostSoFar:
    """The running month of one account, rated as if it ended now with no further use.

    Parameters
    ----------
    reads_end
        up to where each agreement has reads, at least [UTC]; None where nothing can be rated.
    segments
        provisional: validation has not seen all reads, and missing ones count as zero. Limits of tiers and standing
        charges are those of the whole month, so that the last day's figure is the statement's. `daily` ends with the
        day of the last read.
    problems
        agreements that cannot be rated, and why.
    """

    period: str
    reads_end: datetime | None
    segments: tuple[Segment, ...]
    problems: tuple[BillException, ...]


def cost_so_far(office: Office, account: str, now: datetime) -> CostSoFar:
    """What the local month `now` lies in costs an account so far, by the engine that makes its statement."""
    with office.database.read() as tx:
        records = office.records(tx)
        agreements = records.agreements(account)
        if not agreements:
            raise NotFound(f"account {account!r} has no service agreement")
        period = f"{now.astimezone(zone_named(agreements[0].timezone)):%Y-%m}"
        rated = rate_agreements(records, office.tariffs, agreements, period, provisional=True)
    ends = [each.reads_end for each in rated.segments]
    segments = tuple(_until(each.segment, each.reads_end) for each in rated.segments)
    return CostSoFar(period, min(ends, default=None), segments, tuple(rated.exceptions))


def _until(segment: Segment, reads_end: datetime) -> Segment:
    last = (reads_end - timedelta(seconds=1)).astimezone(zone_named(segment.timezone)).date()
    return replace(segment, daily=tuple(use for use in segment.daily if use.day <= last))
