"""From drafts to statements: a cycle is approved, and its statements are issued.

Approval looks once more whether the cycle would be rated the same today; from then on it is what was approved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from headend.billing.correcting import tariffs_if_still_true
from headend.billing.cycle import BillCycle, CycleState, Step, advance, tie_out
from headend.billing.partitions import Executor, InTurn, Task, cut
from headend.billing.ports import Kept, Ledger, Office
from headend.billing.run import accounts_of, check_counts, check_scope, dated, rate_accounts
from headend.billing.statement import Statement, draft_of, parse_statement, sha256
from headend.errors import BillingConflict, NotFound, StoreBroken
from headend.reads.days import zone_named
from headend.tariffs import Tariff


def approve(office: Office, period: str, name: str, clerk: str, *, executor: Executor | None = None) -> BillCycle:
    """Close the cycle for changes, after looking whether it would be rated the same today.

    From now on the tariff versions that it was rated by do not change either.

    Parameters
    ----------
    executor
        who looks, range by range; None: this process.

    Raises
    ------
    BillingConflict
        the cycle is not rated, its totals do not tie, or reads, agreements or tariffs have changed since, or a bill is
        held now.
    """
    tariffs: set[Tariff] = set()
    with office.database.read() as tx:
        rated = office.ledger(tx).cycle(name, period)
    if rated is not None and rated.state == CycleState.RATED:
        if rated.scope.correction:
            with office.database.read() as tx:
                tariffs = tariffs_if_still_true(office, tx, rated)
        else:
            tariffs = _check_still_true(office, rated, executor or InTurn(office))
    with office.database.write() as tx:
        ledger = office.ledger(tx)
        cycle = _next(office, ledger, period, name, "approve", clerk)
        if ledger.cycle(name, period) != rated:
            raise BillingConflict(f"cycle {cycle.id} was changed while it was looked at: approve it again")
        _check_totals(ledger, cycle)
        ledger.keep_cycle(cycle)
        ledger.keep_tariffs(cycle, tariffs)
    return cycle


def _check_still_true(office: Office, cycle: BillCycle, executor: Executor) -> set[Tariff]:
    """The tariff versions it takes to rate the cycle now.

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
    for its in executor.each(look_again, tasks):
        changed += its.changed
        early += its.early
        named |= its.tariffs
    if changed:
        raise BillingConflict(
            f"reads, prices, decisions or agreements have changed since {cycle.id} was rated: {_few(sorted(changed))}."
            " Rate it again"
        )
    if early:
        raise BillingConflict(
            f"{_few(sorted(early))}: the bank comes from a statement that is not issued yet. Issue that first"
        )
    return {its for name, digest in named for its in office.tariffs.versions(name) if its.digest == digest}


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
    """

    changed: list[str]
    early: list[str]
    tariffs: set[tuple[str, str]]


def look_again(office: Office, task: Task) -> LookedAgain:
    """Rate a range as it would be rated today, and compare that with its drafts."""
    with office.database.read() as tx:
        ledger, records = office.ledger(tx), office.records(tx)
        elsewhere = ledger.billed_elsewhere(task.cycle, task.accounts)
        revisions = ledger.revisions(task.cycle.period, task.accounts)
        run = rate_accounts(office, records, task.cycle, task.accounts, elsewhere, revisions)
        drafts = {kept.account: kept.sha256 for kept in ledger.statements(task.cycle, task.accounts)}
    now = {statement.customer.account: draft_of(statement).sha256 for statement in run.statements}
    changed = [account for account in now.keys() | drafts.keys() if now.get(account) != drafts.get(account)]
    tariffs = {(segment.tariff.id, segment.tariff.sha256) for each in run.statements for segment in each.segments}
    return LookedAgain(changed, list(run.on_drafts & now.keys()), tariffs)


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
        _check_totals(ledger, cycle)
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
        if draft.corrects is not None and draft.due <= 0:
            its = replace(its, due_on=None)  # a credit is there at once
        its = replace(its, issued_at=now, previous_sha256=heads.get(kept.account))
        if draft.corrects is not None:
            # A cancellation is followed by what takes its place.
            heads[kept.account] = draft_of(its).sha256
        yield its
