"""From drafts to statements: a cycle is reviewed and approved, its statements are issued, and it is closed.

Review takes out what clerks hold or leave out. Approval looks once more whether the cycle would be rated the same
today; from then on it is what was approved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from headend.billing.correcting import tariffs_if_still_true
from headend.billing.cycle import (
    BillCycle,
    BillException,
    ControlTotals,
    CycleState,
    ExceptionCode,
    advance,
    billed_energy,
    check_step,
    tie_out,
)
from headend.billing.digests import tariffs_of, versions_of
from headend.billing.drafting import dated
from headend.billing.partitions import Executor, InTurn, Task, cut
from headend.billing.ports import Kept, Ledger, Office, Reviews, known_cycle
from headend.billing.review import PeerUse
from headend.billing.run import check_counts, rate_accounts
from headend.billing.scope import accounts_of, check_scope
from headend.billing.statement import Statement, draft_of, parse_statement, sha256
from headend.errors import BillingConflict, StoreBroken, few
from headend.reads.days import zone_named
from headend.tariffs import Tariff
from headend.tariffs.rating.bill import uncollected

#: Statements of so many accounts are in memory at once while they are issued.
ACCOUNTS_AT_ONCE = 500


def review_cycle(office: Office, period: str, name: str, clerk: str) -> BillCycle:
    """Take out of the cycle what clerks hold or leave out; what stays in it is what is approved.

    Raises
    ------
    BillingConflict
        a finding is not decided yet, or the cycle is not rated.
    """
    with office.database.write() as tx:
        ledger = office.ledger(tx)
        return _reviewed(office, ledger, office.reviews(tx), known_cycle(ledger, period, name), clerk)


def _reviewed(office: Office, ledger: Ledger, reviews: Reviews, rated: BillCycle, clerk: str) -> BillCycle:
    check_step(rated, "review")
    _check_decided(reviews, rated)
    # Corrections are withdrawn as a whole, and none is made for who is left out.
    excluded = {} if rated.scope.correction else reviews.excluded(rated)
    held = reviews.held(rated)
    held = {account: why for account, why in held.items() if account not in excluded}
    totals = _without(rated.totals, reviews.drafts_of(rated, [*excluded, *held]))
    drafts = rated.totals.billed - totals.billed
    exceptions = reviews.withdraw(rated, excluded.keys())
    reviews.put_off(
        rated, (BillException(account, ExceptionCode.HELD_BY_CLERK, why) for account, why in sorted(held.items()))
    )
    totals = replace(
        totals,
        excepted=totals.excepted - exceptions + len(held),
        excluded=totals.excluded + exceptions + drafts - len(held),
    )
    cycle = advance(rated, "review", office.clock(), clerk, totals)
    _check_totals(ledger, cycle)
    ledger.keep_cycle(cycle)
    reviews.note(cycle, "review", f"{len(held):,} held" if held else "")
    return cycle


def _check_decided(reviews: Reviews, cycle: BillCycle) -> None:
    """Raise `BillingConflict` while a finding is open or waits for a second person."""
    count, first = reviews.undecided(cycle)
    if first is not None:
        some = "a finding is" if count == 1 else f"{count:,} findings are"
        raise BillingConflict(
            f"cycle {cycle.id}: {some} not decided yet, first {first.told}."
            f" See headend bill findings --period {cycle.period} --cycle {cycle.name}"
        )


def _without(totals: ControlTotals, drafts: Iterable[Kept]) -> ControlTotals:
    """Totals less those of some drafts."""
    billed, energy, money = totals.billed, dict(totals.energy), dict(totals.money)
    for kept in drafts:
        draft = parse_statement(kept.document)
        billed -= 1
        for commodity, used in billed_energy(draft).items():
            energy[commodity] -= used
        money[draft.totals.currency] -= draft.totals.gross
    return replace(totals, billed=billed, energy=energy, money=money)


def approve(office: Office, period: str, name: str, clerk: str, *, executor: Executor | None = None) -> BillCycle:
    """Close the cycle for changes, after looking whether it would be rated the same today.

    From now on the tariff versions that it was rated by do not change either. A cycle in which every finding is decided
    is reviewed on the way.

    Parameters
    ----------
    executor
        who looks, range by range; None: this process.

    Raises
    ------
    BillingConflict
        the cycle is not rated, its totals do not tie, or reads, agreements or tariffs have changed since, a bill is
        held now, or a finding is not decided yet.
    """
    with office.database.read() as tx:
        before = known_cycle(office.ledger(tx), period, name)
        check_step(before, "approve")
        if before.state == CycleState.RATED:
            _check_decided(office.reviews(tx), before)
    if before.scope.correction:
        with office.database.read() as tx:
            tariffs = tariffs_if_still_true(office, tx, before)
        counted = before.totals.accounts, before.totals.excluded
    else:
        tariffs, counted = _check_still_true(office, before, executor or InTurn(office))
    with office.database.write() as tx:
        ledger, reviews = office.ledger(tx), office.reviews(tx)
        cycle = known_cycle(ledger, period, name)
        check_step(cycle, "approve")
        if cycle != before:
            raise BillingConflict(f"cycle {cycle.id} was changed while it was looked at: approve it again")
        if cycle.state == CycleState.RATED:
            cycle = _reviewed(office, ledger, reviews, cycle, clerk)
        if counted != (cycle.totals.accounts, cycle.totals.excluded):
            raise BillingConflict(
                f"cycle {cycle.id} has {cycle.totals.accounts} accounts and leaves out {cycle.totals.excluded}, rated"
                f" again it would be {counted[0]} and {counted[1]}. Rate it again"
            )
        cycle = advance(cycle, "approve", office.clock(), clerk)
        _check_totals(ledger, cycle)
        ledger.keep_cycle(cycle)
        ledger.keep_tariffs(cycle, tariffs)
        reviews.note(cycle, "approve")
    return cycle


def _check_still_true(office: Office, cycle: BillCycle, executor: Executor) -> tuple[set[Tariff], tuple[int, int]]:
    """The tariff versions it takes to rate the cycle now; how many accounts that looks at, and how many it leaves out.

    Raises
    ------
    BillingConflict
        that gives another statement than its draft, or one takes over from a statement that may still change.
    """
    with office.database.read() as tx:
        records, run = office.records(tx), office.ledger(tx).last_run(cycle)
        check_scope(records, cycle, office.clock())
        tasks = [Task(cycle, run, accounts) for accounts in cut(accounts_of(records, cycle))]
    changed: list[str] = []
    early: list[str] = []
    named: set[tuple[str, str]] = set()
    accounts = excluded = 0
    for its in executor.each(look_again, tasks):
        changed += its.changed
        early += its.early
        named |= its.tariffs
        accounts, excluded = accounts + its.accounts, excluded + its.excluded
    if changed:
        raise BillingConflict(
            f"reads, prices, decisions or agreements have changed since {cycle.id} was rated: {few(sorted(changed))}."
            " Rate it again"
        )
    if early:
        raise BillingConflict(
            f"{few(sorted(early))}: the bank comes from a statement that is not issued yet. Issue that first"
        )
    return versions_of(office.tariffs, named), (accounts, excluded)


@dataclass(frozen=True, slots=True)
class LookedAgain:
    """What rating a range once more found.

    Parameters
    ----------
    changed
        accounts whose statement would be another than their draft.
    early
        accounts whose statement takes over from one that may still change.
    tariffs
        name and digest of the versions that statements are made by.
    accounts, excluded
        how many it looked at, and how many of them are left out.
    """

    changed: list[str]
    early: list[str]
    tariffs: set[tuple[str, str]]
    accounts: int
    excluded: int


@uncollected()
def look_again(office: Office, task: Task) -> LookedAgain:
    """Rate a range as it would be rated today, and compare that with its drafts."""
    with office.database.read() as tx:
        ledger, records = office.ledger(tx), office.records(tx)
        elsewhere = ledger.billed_elsewhere(task.cycle, task.accounts)
        left_out = office.reviews(tx).excluded(task.cycle, task.accounts)
        revisions = ledger.revisions(task.cycle.period, task.accounts)
        run = rate_accounts(office, records, task.cycle, task.accounts, elsewhere, revisions, left_out.keys())
        held = office.reviews(tx).held(task.cycle, task.accounts)
        drafts = {kept.account: kept.sha256 for kept in ledger.statements(task.cycle, task.accounts)}
    now = {draft.account: draft.sha256 for draft in run.drafts()}
    changed = [
        account
        for account in (now.keys() | drafts.keys()) - held.keys() - left_out.keys()
        if now.get(account) != drafts.get(account)
    ]
    tariffs = tariffs_of(alike.form for alike in run.bills)
    return LookedAgain(
        changed, list(run.on_drafts & now.keys() - held.keys()), tariffs, run.totals.accounts, run.totals.excluded
    )


def issue(office: Office, period: str, name: str, clerk: str, *, accounts_a_range: int = ACCOUNTS_AT_ONCE) -> BillCycle:
    """Make the drafts statements: dated, due, chained to each account's statement before, and final.

    Range by range, so that no more than one is in memory, but in one transaction: all are issued or none is.

    Raises
    ------
    BillingConflict
        the cycle is not approved, or is issued already.
    """
    with office.database.write() as tx:
        ledger, reviews = office.ledger(tx), office.reviews(tx)
        cycle = advance(known_cycle(ledger, period, name), "issue", office.clock(), clerk)
        _check_totals(ledger, cycle)
        used = PeerUse()
        for accounts in list(cut(ledger.billed(cycle), accounts_a_range)):
            heads = ledger.chain_heads(cycle, accounts)
            issued = _issued(ledger.statements(cycle, accounts), heads, cycle.changed_at, office.due_days)
            ledger.issue(cycle, used.seen(issued))
        ledger.keep_cycle(cycle)
        reviews.keep_peers(cycle, used.peers(period))
        reviews.note(cycle, "issue")
    return cycle


def close(office: Office, period: str, name: str, clerk: str) -> BillCycle:
    """Nothing more is done in the cycle: each of its exceptions is billed in another cycle, or left out with a reason.

    Raises
    ------
    BillingConflict
        an exception is neither, the books lack a statement, or the cycle is not issued.
    """
    with office.database.write() as tx:
        ledger, reviews = office.ledger(tx), office.reviews(tx)
        cycle = advance(known_cycle(ledger, period, name), "close", office.clock(), clerk)
        if unsettled := reviews.unsettled(cycle):
            first = unsettled[0]
            raise BillingConflict(
                f"cycle {cycle.id}: {len(unsettled):,} exceptions are neither billed in another cycle nor excluded with"
                f" a reason, first {first.account}: {first.code}, {first.detail}"
            )
        if unbooked := reviews.unbooked(cycle):
            raise BillingConflict(f"cycle {cycle.id}: {few(unbooked)}: not in the books yet. Book them first")
        _check_totals(ledger, cycle)
        ledger.keep_cycle(cycle)
        reviews.note(cycle, "close")
    return cycle


def _check_totals(ledger: Ledger, cycle: BillCycle) -> None:
    """Raise `BillingConflict` where the totals do not tie out, or the ledger has other counts."""
    tie_out(cycle.totals)
    check_counts(ledger, cycle, cycle.totals)


def _issued(drafts: Iterator[Kept], heads: dict[str, str], now: datetime, due_days: int) -> Iterator[Statement]:
    for kept in drafts:
        if sha256(kept.document) != kept.sha256:
            raise StoreBroken(f"statement {kept.id}: its bytes are not those that were rated")
        draft = parse_statement(kept.document)
        today = now.astimezone(zone_named(draft.timezone)).date()
        its = dated(draft, today, due_days)
        if draft.due <= 0:
            its = replace(its, due_on=None)  # nothing is to be paid, and a credit is there at once
        its = replace(its, issued_at=now, previous_sha256=heads.get(kept.account))
        if draft.corrects is not None:
            # A cancellation is followed by what takes its place.
            heads[kept.account] = draft_of(its).sha256
        yield its
