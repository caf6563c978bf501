"""A cycle is rated: every account it bills gets a draft, or stands among the exceptions.

Its accounts are rated range by range. Rating a range reads one consistent view and holds up nobody; its result is
written in one short transaction that first looks whether anything it rests on has changed. So a range is committed once
or not at all, a run that dies is taken up where it stopped, and one that is repeated changes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter

from headend.billing.agreements import Account, Agreement, billing_days, in_force
from headend.billing.alike import RatedSegment, SegmentsAlike
from headend.billing.budgets import on_plans
from headend.billing.collecting import collected_note
from headend.billing.columns import column
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
from headend.billing.drafting import lacks, not_shown, on_paper, overlaps, several_currencies
from headend.billing.partitions import ACCOUNTS_A_RANGE, Executor, InTurn, Task, cut, together
from headend.billing.ports import AccountRange, Ledger, Office, Records
from headend.billing.profiles import is_older
from headend.billing.review import Ground
from headend.billing.scope import accounts_of, agreements_of, check_scope, usual_scope
from headend.billing.segments import rate_agreements
from headend.billing.statement import (
    BillingDays,
    Customer,
    Draft,
    Segment,
    Statement,
    StatementsAlike,
    Totals,
    totals_of,
)
from headend.billing.suspects import findings_among
from headend.errors import BillingConflict
from headend.reads.days import Period, previous_period
from headend.tariffs.rating.bill import uncollected

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
    cycle, run, joined = _begun(office, period, name, clerk, scope, accounts_a_range, anyway)
    with office.database.read() as tx:
        ranges = office.ledger(tx).ranges(cycle, run)
    tasks = [Task(cycle, run, accounts) for accounts, totals in ranges if totals is None]
    of = sum(accounts.accounts for accounts, _ in ranges)
    done = of - sum(task.accounts.accounts for task in tasks)
    if joined:
        # Who began it goes on from the front: from the back, no range is rated twice until both meet.
        tasks.reverse()
    progress(done, of)
    for accounts in (executor or InTurn(office)).each(rate_range, tasks):
        done += accounts
        progress(done, of)
    return _finished(office, cycle, run, clerk)


def _begun(
    office: Office, period: str, name: str, clerk: str, scope: CycleScope | None, accounts_a_range: int, anyway: str
) -> tuple[BillCycle, int, bool]:
    """The cycle, the number of its run, and whether that has begun already and not come to its end; else it is new."""
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
            return cycle, ledger.last_run(cycle), True
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
        return cycle, ledger.begin_run(cycle, ranges), False


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


@uncollected()
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
        findings = list(findings_among(rated.bills, rated.agreements, ground))
        drafts = rated.drafts()
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
    bills
        those that are alike together.
    on_drafts
        whose bills take over from what is not issued yet.
    agreements
        what the cycle bills, by account.
    """

    bills: list[StatementsAlike]
    exceptions: list[BillException]
    totals: ControlTotals
    on_drafts: set[str]
    agreements: Mapping[str, Sequence[Agreement]]

    def drafts(self) -> list[Draft]:
        """The statements as they are kept, by account."""
        return sorted((draft for alike in self.bills for draft in alike.drafts()), key=attrgetter("account"))


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
    for refused in overlaps(sorted([*agreements, *beside], key=_by_account)):
        if refused.account in by_account:
            exceptions.setdefault(refused.account, refused)
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
    plans = records.budgets(sorted({agreement.account.id for agreement in due}), cycle.period)
    ground = _Ground(office, cycle, by_account, revisions, exceptions)
    one_by_one, alike = _apart(rated.alike, exceptions.keys() | plans.keys())
    bills: list[StatementsAlike] = []
    for segments in alike:
        bills += ground.billed(segments)
    made = list(ground.statements(segment for segments in one_by_one for segment in segments.each()))
    bills += [StatementsAlike(each, 1) for each in on_plans(records, plans, made, exceptions, rated.on_drafts)]
    here = [exception for account, exception in sorted(exceptions.items()) if account not in not_here]
    billed_elsewhere = len(elsewhere & by_account.keys())
    totals = control_totals(len(agreements), len(by_account), billed_elsewhere, bills, here, len(excluded))
    return Run(bills, here, totals, rated.on_drafts, by_account)


def _by_account(agreement: Agreement) -> tuple[str, str]:
    return agreement.account.id, agreement.id


def _apart(rated: Sequence[SegmentsAlike], apart: AbstractSet[str]) -> tuple[list[SegmentsAlike], list[SegmentsAlike]]:
    """Segments of accounts of which more has to be known than one segment, or that are named; and the others."""
    times = Counter(agreement.account.id for segments in rated for agreement in segments.agreements)
    sorted_out: tuple[list[SegmentsAlike], list[SegmentsAlike]] = ([], [])
    for segments in rated:
        accounts = [agreement.account.id for agreement in segments.agreements]
        alone = [times[account] == 1 and account not in apart for account in accounts]
        for side, is_alone in zip(sorted_out, (False, True), strict=True):
            if places := [place for place, its in enumerate(alone) if its == is_alone]:
                side.append(segments if len(places) == len(accounts) else segments.some(places))
    return sorted_out


@dataclass(frozen=True, slots=True)
class _Ground:
    """What statements of a cycle are made of, beside their segments; `exceptions` takes accounts that get none."""

    office: Office
    cycle: BillCycle
    by_account: Mapping[str, Sequence[Agreement]]
    revisions: Mapping[str, int]
    exceptions: dict[str, BillException]

    def billed(self, segments: SegmentsAlike) -> Iterator[StatementsAlike]:
        """Statements of accounts that have one of these segments and no other."""
        alike: dict[tuple[str, bool, bool], list[int]] = defaultdict(list)
        for place, agreement in enumerate(segments.agreements):
            older, ends = is_older(agreement, segments.form), agreement.valid_to is not None
            alike[agreement.account.customer_class, older, ends].append(place)
        for (_, older, _), places in alike.items():
            its = segments if len(places) == len(segments.agreements) else segments.some(places)
            form, rules = self._form(its), self.office.rules
            form = rules.shown(form, [rules.contract(*its.agreements)])
            if not_shown(self.office, form, [older]):
                # Of one or all of them: that is told one by one.
                yield from (StatementsAlike(statement, 1) for statement in self.statements(its.each()))
            else:
                yield StatementsAlike(form, len(its.agreements))

    def _form(self, segments: SegmentsAlike) -> Statement:
        accounts, one = [agreement.account for agreement in segments.agreements], segments.form
        revisions = [self.revisions.get(account.id, 0) + 1 for account in accounts]
        ids = [self._id(account, revision) for account, revision in zip(accounts, revisions, strict=True)]
        customer = Customer(
            column([account.id for account in accounts]),
            column([account.name for account in accounts]),
            one.address,
            accounts[0].customer_class,
            column([account.locale for account in accounts]),
        )
        totals = Totals(one.currency, one.net, one.tax, one.gross)
        return self._statement(column(ids), column(revisions), customer, segments.agreements[0], (one,), totals)

    def statements(self, rated: Iterable[RatedSegment]) -> Iterator[Statement]:
        """A statement for each account without exception.

        An account in two currencies becomes one, and one whose statement lacks what its profile requires.
        """
        rules = self.office.rules
        segments: dict[str, list[Segment]] = defaultdict(list)
        for agreement, segment in rated:
            segments[agreement.account.id].append(segment)
        for account in sorted(segments.keys() - self.exceptions.keys()):
            its = on_paper(segments[account])
            currencies = {segment.currency for segment in its}
            if len(currencies) > 1:
                self._refuse(account, ExceptionCode.CURRENCIES, several_currencies(currencies))
                continue
            by_id = {agreement.id: agreement for agreement in self.by_account[account]}
            agreements = [by_id[segment.agreement] for segment in its]
            whose, revision = self.by_account[account][0], self.revisions.get(account, 0) + 1
            who = whose.account
            customer = Customer(account, who.name, its[0].address, who.customer_class, who.locale)
            statement = self._statement(self._id(who, revision), revision, customer, whose, its, totals_of(its))
            statement = rules.shown(statement, [rules.contract(agreement) for agreement in agreements])
            if (missing := lacks(self.office, statement, agreements)) is not None:
                self._refuse(account, ExceptionCode.REQUIRED_ITEM, missing)
            else:
                yield statement

    def _refuse(self, account: str, code: ExceptionCode, detail: str) -> None:
        self.exceptions[account] = BillException(account, code, detail)

    def _id(self, account: Account, revision: int) -> str:
        return f"{account.id}-{self.cycle.period}-{revision}"

    def _statement(
        self,
        statement_id: str,
        revision: int,
        customer: Customer,
        agreement: Agreement,
        segments: tuple[Segment, ...],
        totals: Totals,
    ) -> Statement:
        period, one = self.cycle.period, segments[0]
        first, last = min(each.first for each in segments), max(each.last for each in segments)
        whole = billing_days(agreement, period)
        billed = BillingDays(whole.first, whole.end - timedelta(days=1))
        return Statement(
            id=statement_id,
            utility=self.office.utility,
            customer=customer,
            cycle=self.cycle.name,
            period=period,
            revision=revision,
            timezone=one.timezone,
            first=first,
            last=last,
            days=(last - first).days + 1,
            segments=segments,
            totals=totals,
            engine=ENGINE,
            kind="final" if self.cycle.scope.final else None,
            billing_days=None if whole == Period.month(period, whole.zone) else billed,
        )


_FIRST_REVISION = 1
