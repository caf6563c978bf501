"""A cycle is rated: every account it bills gets a draft, or stands among the exceptions.

Its accounts are rated range by range. Rating a range reads one consistent view and holds up nobody; its result is
written in one short transaction that first looks whether anything it rests on has changed. So a range is committed once
or not at all, a run that dies is taken up where it stopped, and one that is repeated changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, timedelta

from headend.billing.agreements import Agreement, billing_days, in_force, overlapping
from headend.billing.budgets import on_plans
from headend.billing.collecting import collected_note
from headend.billing.cycle import (
    BillCycle,
    BillException,
    ControlTotals,
    CycleScope,
    CycleState,
    ExceptionCode,
    advance,
    check_step,
    control_totals,
    open_cycle,
    tie_out,
)
from headend.billing.digests import ENGINE
from headend.billing.partitions import ACCOUNTS_A_RANGE, Executor, InTurn, Task, cut, together
from headend.billing.ports import AccountRange, Ledger, Office, Records
from headend.billing.review import Ground, findings_of
from headend.billing.scope import accounts_of, agreements_of, check_scope, usual_scope
from headend.billing.segments import Rated, rate_agreements
from headend.billing.statement import BillingDays, Customer, Segment, Statement, Utility, draft_of, totals_of
from headend.errors import BillingConflict
from headend.reads.days import Period, previous_period, zone_named

#: Told how many accounts are done, and of how many.
Progress = Callable[[int, int], None]

# Another cycle that bills the same accounts at the same time has them rated again.
_TRIES = 5


def rate_cycle(
    office: Office,
    period: str,
    name: str,
    clerk: str,
    scope: CycleScope | None = None,
    *,
    executor: Executor | None = None,
    progress: Progress = lambda _done, _of: None,
    accounts_a_range: int = ACCOUNTS_A_RANGE,
    anyway: str = "",
) -> BillCycle:
    """Rate every account that the cycle bills; new drafts take the place of older ones.

    What the bills would rest on is looked at first: an account of which somebody has to decide something is held. A
    run that was killed is taken up where it stopped; one that is under way elsewhere is shared.

    Parameters
    ----------
    period
        billing period `YYYY-MM`; each agreement's days of it count in its usage point's zone.
    clerk
        who says so.
    scope
        whom a new cycle bills. None: the accounts of the group that is called as the cycle, or of the monthly one.
    executor
        who works through the ranges of accounts; None: this process.
    anyway
        why it is rated though too few accounts have their reads; "": it waits for them.

    Raises
    ------
    BillingConflict
        the period is not over, too few accounts have their reads, the cycle is approved or issued already, it bills
        others, or somebody changed it meanwhile.
    NotFound
        there is no such group, or account in it.
    """
    cycle, run = _begun(office, period, name, clerk, scope, accounts_a_range, anyway)
    with office.database.read() as tx:
        ranges = office.ledger(tx).ranges(cycle, run)
    tasks = [Task(cycle, run, accounts) for accounts, totals in ranges if totals is None]
    of = sum(accounts.accounts for accounts, _ in ranges)
    done = of - sum(task.accounts.accounts for task in tasks)
    progress(done, of)
    for accounts in (executor or InTurn(office)).each(rate_range, tasks):
        done += accounts
        progress(done, of)
    return _finished(office, cycle, run, clerk)


def _begun(
    office: Office, period: str, name: str, clerk: str, scope: CycleScope | None, accounts_a_range: int, anyway: str
) -> tuple[BillCycle, int]:
    """The cycle, and the number of its run; a new one, unless one has begun and not come to its end."""
    now = office.clock()
    with office.database.read() as tx:
        ledger, records = office.ledger(tx), office.records(tx)
        before = ledger.cycle(name, period)
        cycle = before or open_cycle(name, period, now, clerk, scope or usual_scope(records, name))
        check_step(cycle, "rate")
        if cycle.scope.correction:
            raise BillingConflict(f"cycle {cycle.id} corrects what is issued: withdraw it and make it anew")
        if scope not in (None, cycle.scope):
            raise BillingConflict(
                f"cycle {cycle.id} bills {cycle.scope}, not {scope}: give the other a name of its own"
            )
        if cycle.state == CycleState.RATING:
            return cycle, ledger.last_run(cycle)
        check_scope(records, cycle, now)
        collected = collected_note(office, records, office.reviews(tx), cycle, anyway)
        ranges = list(cut(accounts_of(records, cycle), accounts_a_range))
    with office.database.write() as tx:
        ledger = office.ledger(tx)
        if ledger.cycle(name, period) != before:
            raise BillingConflict(f"cycle {cycle.id} was changed while it was rated: rate it again")
        if collected:
            cycle = advance(cycle, "collect", now, clerk)
            ledger.keep_cycle(cycle)
            office.reviews(tx).note(cycle, "collect", collected)
        cycle = advance(cycle, "begin", now, clerk)
        ledger.keep_cycle(cycle)
        return cycle, ledger.begin_run(cycle, ranges)


def _finished(office: Office, cycle: BillCycle, run: int, clerk: str) -> BillCycle:
    """The cycle, once all of its ranges are rated: its totals are theirs, and the ledger has as many."""
    with office.database.write() as tx:
        ledger = office.ledger(tx)
        now = ledger.cycle(cycle.name, cycle.period)
        if now is None or ledger.last_run(cycle) != run:
            raise BillingConflict(f"cycle {cycle.id} was changed while it was rated: rate it again")
        if now.state != CycleState.RATING:
            return now  # whoever shared the run was first
        parts = [totals for _, totals in ledger.ranges(cycle, run)]
        totals = together(part for part in parts if part is not None)
        if None in parts:
            raise BillingConflict(f"cycle {cycle.id}: {parts.count(None)} ranges of accounts are not rated yet")
        tie_out(totals)
        check_counts(ledger, cycle, totals)
        rated = advance(now, "rate", office.clock(), clerk, totals)
        ledger.keep_cycle(rated)
        office.reviews(tx).note(rated, "rate")
    return rated


def check_counts(ledger: Ledger, cycle: BillCycle, totals: ControlTotals) -> None:
    """Raise `BillingConflict` unless the ledger has as many statements and exceptions as the totals say."""
    billed, excepted = ledger.counts(cycle)
    if (billed, excepted) != (totals.billed, totals.excepted):
        raise BillingConflict(
            f"cycle {cycle.id} counts {totals.billed} statements and {totals.excepted} exceptions,"
            f" the ledger has {billed} and {excepted}"
        )


def rate_range(office: Office, task: Task) -> int:
    """Rate a range of accounts, and commit what came of it together; how many accounts those are.

    Nothing happens to a range that is committed already.
    """
    cycle, accounts = task.cycle, task.accounts
    office.database.trim_log()
    office.check(cycle.period, accounts)
    for _ in range(_TRIES):
        with office.database.read() as tx:
            ledger, records = office.ledger(tx), office.records(tx)
            if not ledger.is_open(cycle, task.run, accounts):
                return accounts.accounts
            elsewhere = ledger.billed_elsewhere(cycle, accounts)
            left_out = office.reviews(tx).excluded(cycle, accounts)
            revisions = ledger.revisions(cycle.period, accounts)
            rated = rate_accounts(office, records, cycle, accounts, elsewhere, revisions, left_out.keys())
            peers = office.reviews(tx).peers(previous_period(cycle.period), cycle.changed_at)
        ground = Ground(office.review.limits, peers, cycle.changed_at)
        findings = [
            finding
            for statement in rated.statements
            for finding in findings_of(statement, rated.agreements[statement.customer.account], ground)
        ]
        drafts = [draft_of(statement) for statement in rated.statements]
        with office.database.write() as tx:
            ledger = office.ledger(tx)
            if not ledger.is_open(cycle, task.run, accounts):
                return accounts.accounts
            if ledger.billed_elsewhere(cycle, accounts) == elsewhere:
                now = office.clock()
                ledger.keep_range(cycle, task.run, accounts, drafts, rated.exceptions, rated.totals, now)
                office.reviews(tx).keep_findings(cycle, accounts, findings)
                return accounts.accounts
    raise BillingConflict(f"cycle {cycle.id}: other cycles keep billing accounts {accounts.first} to {accounts.last}")


@dataclass(frozen=True, slots=True)
class Run:
    """What rating accounts of a cycle came to.

    Parameters
    ----------
    on_drafts
        whose bills take over from what is not issued yet.
    agreements
        what the cycle bills, by account.
    """

    statements: list[Statement]
    exceptions: list[BillException]
    totals: ControlTotals
    on_drafts: set[str]
    agreements: Mapping[str, Sequence[Agreement]]


def rate_accounts(
    office: Office,
    records: Records,
    cycle: BillCycle,
    accounts: AccountRange,
    elsewhere: set[str],
    revisions: Mapping[str, int],
    left_out: AbstractSet[str],
) -> Run:
    """Rate a range of accounts of a cycle, but those that another has a statement of, and those that are left out.

    Parameters
    ----------
    revisions
        of the last document of accounts whose bill was taken back.
    """
    agreements = agreements_of(records, cycle, accounts, office.clock())
    by_account: dict[str, list[Agreement]] = defaultdict(list)
    for agreement in agreements:
        by_account[agreement.account.id].append(agreement)
    exceptions: dict[str, BillException] = {}
    beside = [agreement for agreement in records.agreements_beside(accounts) if in_force(agreement, cycle.period)]
    for one, other in overlapping(sorted([*agreements, *beside], key=_by_account)):
        for mine, its in ((one, other), (other, one)):
            if mine.account.id in by_account:
                refused = BillException(
                    mine.account.id, ExceptionCode.OVERLAPPING_AGREEMENTS, f"{mine.id} overlaps {its.id}"
                )
                exceptions.setdefault(mine.account.id, refused)
    excluded = (by_account.keys() & left_out) - elsewhere
    not_here = elsewhere | excluded
    due = [
        agreement
        for agreement in agreements
        if agreement.account.id not in not_here and agreement.account.id not in exceptions
    ]
    rated = rate_agreements(records, office.tariffs, due, cycle.period)
    for exception in rated.exceptions:
        exceptions.setdefault(exception.account, exception)
    made = list(_statements(office, cycle, by_account, rated, exceptions, revisions))
    statements = list(on_plans(records, cycle.period, made, exceptions, rated.on_drafts))
    here = [exception for account, exception in sorted(exceptions.items()) if account not in not_here]
    billed_elsewhere = len(elsewhere & by_account.keys())
    totals = control_totals(len(agreements), len(by_account), billed_elsewhere, statements, here, len(excluded))
    return Run(statements, here, totals, rated.on_drafts, by_account)


def _by_account(agreement: Agreement) -> tuple[str, str]:
    return agreement.account.id, agreement.id


def _statements(
    office: Office,
    cycle: BillCycle,
    by_account: dict[str, list[Agreement]],
    rated: Rated,
    exceptions: dict[str, BillException],
    revisions: Mapping[str, int],
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
        statement = _statement(office.utility, cycle, by_account[account][0], its, revisions.get(account, 0) + 1)
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


def _statement(
    utility: Utility, cycle: BillCycle, agreement: Agreement, segments: tuple[Segment, ...], revision: int
) -> Statement:
    account = agreement.account
    first, last = min(each.first for each in segments), max(each.last for each in segments)
    whole = billing_days(agreement, cycle.period)
    last_day = whole.end - timedelta(days=1)
    return Statement(
        id=f"{account.id}-{cycle.period}-{revision}",
        utility=utility,
        customer=Customer(account.id, account.name, segments[0].address, account.customer_class, account.locale),
        cycle=cycle.name,
        period=cycle.period,
        revision=revision,
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
