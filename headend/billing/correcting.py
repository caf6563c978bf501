"""Correcting: what a correction would change, its drafts in a cycle of their own, and looking at them again.

A cycle of corrections goes the way of any other: its drafts are approved and issued. Making them reads one consistent
view; they are written in one short transaction that first looks whether what they correct still stands as it did. So
of two clerks one wins, and nothing is ever half made. Many statements are corrected portion by portion
(`headend.billing.correctingmany`): each goes into the cycle of those before it, whole or not at all, so that whatever
ends the work leaves a cycle that can be approved, and the other statements as they were.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from headend.billing.agreements import Agreement, in_force
from headend.billing.backbilling import billed_before, within_limit
from headend.billing.corrections import (
    Spans,
    Standing,
    Way,
    cancellation_of,
    checked_standing,
    difference_of,
    may_touch,
    rebill_of,
    says_the_same,
    spans_of,
    tariffs_as_billed,
    touched_by,
)
from headend.billing.cycle import (
    BillCycle,
    BillException,
    ControlTotals,
    CycleScope,
    CycleState,
    ExceptionCode,
    billed_energy,
    open_cycle,
    sum_of_lines,
    tie_out,
)
from headend.billing.digests import tariffs_of, versions_of
from headend.billing.drafting import lacks, on_paper, overlaps, several_currencies, today_of
from headend.billing.partitions import cut, together
from headend.billing.ports import AccountRange, Corrections, Kept, Office, Records, known_cycle
from headend.billing.segments import rate_agreements
from headend.billing.statement import (
    Customer,
    Segment,
    Statement,
    StatementsAlike,
    canonical_json,
    parse_statement,
    sha256,
    totals_of,
)
from headend.errors import BillingConflict, InvalidInput, NotFound, checked_name, few, given
from headend.tariffs import Tariff, TariffBook

_NAME = re.compile(r"correction-([1-9][0-9]{0,8})")
_LONGEST_REASON = 500
#: Of so many statements at once the documents are in memory.
STATEMENTS_AT_ONCE = 500
#: From so many accounts on the registry is read from the first to the last.
_MANY = 50
# Reads that come, or somebody else's correction, have statements looked at again.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Correction:
    """How one account's period is corrected.

    Parameters
    ----------
    statement
        id of the standing bill.
    said, now
        gross: what was said so far, and what is said then; `now` with the write-off taken off.
    written_off
        what is not charged because it is too long ago.
    documents
        in the order in which they are issued.
    touches
        ids of later statements that rest on what changes.
    """

    account: str
    name: str
    statement: str
    currency: str
    said: Decimal
    now: Decimal
    written_off: Decimal
    documents: tuple[Statement, ...]
    touches: tuple[str, ...]

    @property
    def difference(self) -> Decimal:
        """What is charged more."""
        return self.now - self.said


@dataclass(frozen=True, slots=True)
class Proposal:
    """Corrections of one period.

    Parameters
    ----------
    exceptions
        accounts that cannot be billed as they stand.
    same
        standing bills that would come out the same, by account.
    flagged
        accounts of those that are flagged: making the corrections settles that, for there is nothing to correct.
    """

    period: str
    cycle: str
    corrections: tuple[Correction, ...]
    exceptions: tuple[BillException, ...]
    same: Mapping[str, Statement]
    flagged: frozenset[str]
    totals: ControlTotals


def propose(office: Office, ids: Collection[str], way: Way, reason: str) -> list[Proposal]:
    """What correcting these statements would change, by period; nothing is kept of it.

    Parameters
    ----------
    ids
        of any of the documents that stand.
    reason
        as it will stand on the documents.

    Raises
    ------
    NotFound
        there is no such statement.
    BillingConflict
        one is a draft, cancelled already, a cancellation, or in another correction that is open.
    InvalidInput
        the reason is empty or too long.
    """
    reason = checked_reason(reason)
    with office.database.read() as tx:
        return _proposed(office, tx, ids, way, reason)


def make_corrections(office: Office, ids: Collection[str], way: Way, reason: str, clerk: str) -> list[Proposal]:
    """Make the drafts, a cycle of corrections for each period; what was made.

    Flags of what comes out the same are settled, by the clerk and for the reason.

    Raises
    ------
    NotFound, BillingConflict, InvalidInput
        as `propose`; and where nothing would change, or somebody corrected one of them meanwhile.
    """
    reason = checked_reason(reason)
    clerk = checked_name(clerk)
    with office.database.read() as tx:
        proposals = _proposed(office, tx, ids, way, reason)
        seen = {one.period: _seen(office.corrections(tx), one) for one in proposals}
    made = [one for one in proposals if one.corrections or one.flagged]
    if not made:
        exceptions = [each for one in proposals for each in one.exceptions]
        raise nothing_to_correct(exceptions, [each.id for one in proposals for each in one.same.values()])
    now = office.clock()
    with office.database.write() as tx:
        desk = office.corrections(tx)
        for one in made:
            if _seen(desk, one) != seen[one.period] or one.cycle in desk.names(one.period):
                raise BillingConflict(f"{one.period} was corrected or flagged while it was looked at: try again")
            _settle(office, tx, one, reason, clerk, now)
            if one.corrections:
                _draft(office, tx, one, None, reason, clerk, now)
    return made


@dataclass(frozen=True, slots=True)
class Portion:
    """Some of the statements of a period that are to be corrected, and the cycle that takes their corrections.

    Parameters
    ----------
    wanted
        ids of statements by account.
    cycle
        what portions before it have begun, as they left it; None: it is still to be begun.
    refused
        of the portions before it, as long as none is begun.
    """

    period: str
    wanted: Mapping[str, Sequence[str]]
    cycle: BillCycle | None = None
    refused: tuple[BillException, ...] = ()


def propose_portion(office: Office, portion: Portion, way: Way, reason: str) -> Proposal:
    """What correcting these would change; raises as `propose`, of what can be corrected when it is asked."""
    with office.database.read() as tx:
        return _of_portion(office, tx, portion, way, reason)


def make_portion(
    office: Office, portion: Portion, way: Way, reason: str, clerk: str
) -> tuple[Proposal, BillCycle | None]:
    """Make the drafts of these, all or none, in the cycle of those before; what was made, and the cycle as it is now.

    Raises
    ------
    BillingConflict
        as `propose`; or somebody approved or withdrew the cycle, or corrected one of them meanwhile.
    """
    for _ in range(_TRIES):
        with office.database.read() as tx:
            one = _of_portion(office, tx, portion, way, reason)
            seen = _seen(office.corrections(tx), one)
        now = office.clock()
        with office.database.write() as tx:
            desk, ledger = office.corrections(tx), office.ledger(tx)
            if portion.cycle is not None and ledger.cycle(one.cycle, one.period) != portion.cycle:
                raise BillingConflict(f"cycle {portion.cycle.id} was changed while corrections were put into it")
            if _seen(desk, one) != seen or (portion.cycle is None and one.cycle in desk.names(one.period)):
                continue
            _settle(office, tx, one, reason, clerk, now)
            if one.corrections or (portion.cycle is not None and one.exceptions):
                _draft(office, tx, one, portion.cycle, reason, clerk, now)
            return one, ledger.cycle(one.cycle, one.period)
    raise BillingConflict(f"{portion.period} is corrected or flagged again and again while it is looked at: try later")


def _of_portion(office: Office, tx: Any, portion: Portion, way: Way, reason: str) -> Proposal:
    into = None if portion.cycle is None else portion.cycle.name
    one = _of_period(office, tx, portion.period, portion.wanted, way, reason, into=into)
    if not portion.refused:
        return one
    count = len(portion.refused)
    totals = together([one.totals, ControlTotals(accounts=count, excepted=count)])
    return replace(one, exceptions=(*portion.refused, *one.exceptions), totals=totals)


def _draft(
    office: Office, tx: Any, one: Proposal, before: BillCycle | None, reason: str, clerk: str, now: datetime
) -> None:
    """Put drafts into a cycle of corrections; `before`: as it stood, None: it is begun."""
    accounts = _accounts(one).union(before.scope.accounts if before else ())
    scope = CycleScope(accounts=tuple(sorted(accounts)), correction=True)
    if before is None:
        cycle = replace(open_cycle(one.cycle, one.period, now, clerk, scope), totals=one.totals)
    else:
        cycle = replace(before, scope=scope, changed_at=now, totals=together([before.totals, one.totals]))
    cycle = replace(cycle, state=CycleState.RATED)
    documents = [document for each in one.corrections for document in each.documents]
    office.ledger(tx).keep_correction(cycle, documents, one.exceptions)
    if before is None:
        office.reviews(tx).note(cycle, "correct", reason)


def withdraw(office: Office, period: str, name: str, clerk: str) -> BillCycle:
    """Drop the drafts of a correction that is not approved; its statements can be corrected anew."""
    clerk = checked_name(clerk)
    with office.database.write() as tx:
        cycle = known_cycle(office.ledger(tx), period, name)
        if not cycle.scope.correction:
            raise BillingConflict(f"cycle {cycle.id} is no correction: it is not withdrawn")
        if cycle.state not in (CycleState.RATED, CycleState.REVIEWED):
            raise BillingConflict(f"cycle {cycle.id} is {cycle.state}: only what is not approved is withdrawn")
        cycle = replace(
            cycle, state=CycleState.CLOSED, changed_at=office.clock(), changed_by=clerk, totals=ControlTotals()
        )
        office.ledger(tx).withdraw(cycle)
        office.reviews(tx).note(cycle, "withdraw")
    return cycle


def tariffs_if_still_true(office: Office, tx: Any, cycle: BillCycle) -> set[Tariff]:
    """The tariff versions it takes to make a cycle's corrections now.

    Raises
    ------
    BillingConflict
        they come out otherwise than their drafts.
    """
    changed: list[str] = []
    named: set[tuple[str, str]] = set()
    ledger = office.ledger(tx)
    for accounts in cut(ledger.billed(cycle), STATEMENTS_AT_ONCE):
        kept = list(ledger.statements(cycle, accounts))
        if not kept:
            raise BillingConflict(f"cycle {cycle.id} has no correction that could be approved")
        drafts = [parse_statement(each.document) for each in kept]
        changed += _changed(office, tx, cycle, kept, drafts)
        named |= tariffs_of(drafts)
    if changed:
        raise BillingConflict(
            f"reads, prices, agreements or the day's back-billing limit have changed since {cycle.id} was made:"
            f" {few(changed)}. Withdraw it and make it anew"
        )
    return versions_of(office.tariffs, named)


def _changed(office: Office, tx: Any, cycle: BillCycle, kept: Sequence[Kept], drafts: Sequence[Statement]) -> list[str]:
    """Ids of documents that would come out otherwise today, of those of some accounts; in order."""
    corrected: dict[str, str] = {}
    for draft in drafts:
        if draft.corrects is not None:
            corrected[draft.customer.account] = draft.corrects.id
    kinds = {draft.kind for draft in drafts}
    way = Way.REBILL if "rebill" in kinds else Way.DIFFERENCE if "difference" in kinds else Way.CANCEL
    reason = next(draft.corrects.reason for draft in drafts if draft.corrects is not None)
    one = _of_period(office, tx, cycle.period, _by_account(corrected), way, reason, cycle.name)
    now = {document.id: sha256(canonical_json(document)) for each in one.corrections for document in each.documents}
    then = {each.id: each.sha256 for each in kept}
    return sorted(each for each in now.keys() | then.keys() if now.get(each) != then.get(each))


def checked_reason(reason: str) -> str:
    """A reason as it will stand on documents; raises `InvalidInput` where there is none, or it is too long."""
    reason = given("reason", " ".join(reason.split()), "why it is corrected: it stands on the document")
    if len(reason) > _LONGEST_REASON:
        raise InvalidInput("reason", f"{len(reason)} characters", f"up to {_LONGEST_REASON}")
    return reason


def _accounts(one: Proposal) -> set[str]:
    return {each.account for each in one.corrections} | {each.account for each in one.exceptions}


def _seen(desk: Corrections, one: Proposal) -> tuple[Any, Any]:
    """What must not change between the look at the accounts and what is written of them."""
    accounts = _accounts(one) | one.flagged
    return desk.newest(one.period, accounts), desk.open_flags(one.period, one.flagged)


def _settle(office: Office, tx: Any, one: Proposal, reason: str, clerk: str, now: datetime) -> None:
    """Settle the flags of what comes out the same; the cycle that billed it tells of that."""
    desk = office.corrections(tx)
    flags = desk.open_flags(one.period, one.flagged)
    desk.nothing_to_correct([flag for its in flags.values() for flag in its], clerk, reason)
    told: dict[str, list[str]] = defaultdict(list)
    for bill in (one.same[account] for account in flags):
        told[f"{bill.period}/{bill.cycle}"].append(f"{bill.id}: nothing to correct: {reason}")
    for cycle, notes in told.items():
        office.reviews(tx).note_each(cycle, "settle", notes, now, clerk)


def nothing_to_correct(refused: Sequence[BillException], same: Sequence[str]) -> BillingConflict:
    """That none is corrected, and why; `same`: ids of those that would come out the same."""
    whys = [f"{each.account}: {each.detail}" for each in refused]
    whys += [f"{which} would come out the same" for which in same]
    return BillingConflict(f"nothing to correct: {few(whys, between='; ') or 'no statement is named'}")


def _by_account(corrected: Mapping[str, str]) -> dict[str, list[str]]:
    return {account: [which] for account, which in corrected.items()}


def _proposed(office: Office, tx: Any, ids: Collection[str], way: Way, reason: str) -> list[Proposal]:
    wanted = by_period(office.corrections(tx), ids)
    return [_of_period(office, tx, period, wanted[period], way, reason) for period in sorted(wanted)]


def by_period(desk: Corrections, ids: Collection[str]) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Statements by period and account.

    Raises
    ------
    NotFound, BillingConflict
        there is no such statement; or it is a draft.
    """
    found = desk.whereabouts(ids)
    wanted: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for which in dict.fromkeys(ids):
        if which not in found:
            raise NotFound(f"no statement is called {which!r}")
        account, period, state = found[which]
        if state != "issued":
            raise BillingConflict(
                f"statement {which} is a draft: rate its cycle again, only what is issued is corrected"
            )
        wanted[period][account].append(which)
    return wanted


def _of_period(
    office: Office,
    tx: Any,
    period: str,
    wanted: Mapping[str, Sequence[str]],
    way: Way,
    reason: str,
    cycle: str | None = None,
    *,
    into: str | None = None,
) -> Proposal:
    """Corrections of one period; `cycle`: the one whose drafts they are already, `into`: the one they go into."""
    desk = office.corrections(tx)
    issued = desk.issued(period, wanted)
    standing: dict[str, Standing] = {}
    for account, ids in wanted.items():
        for which in ids:
            standing[account] = checked_standing(which, issued.get(account, ()))
    check_free(desk, period, wanted, cycle)
    name = cycle or into or _next_name(desk.names(period))
    rated = _Today({}, {}) if way == Way.CANCEL else _rated(office, office.records(tx), period, standing)
    made, same = [], dict[str, Statement]()
    for account in sorted(standing.keys() - rated.exceptions.keys()):
        its, now = standing[account], rated.statements.get(account)
        if now is not None and says_the_same(now[0], its.statements):
            same[account] = its.bill
            continue
        made.append(_correction(its, now, way, reason, name))
    made = _with_touched(desk, period, standing, rated.statements, made)
    exceptions = tuple(rated.exceptions[account] for account in sorted(rated.exceptions))
    totals = _totals(made, exceptions, standing, rated.statements)
    flagged = frozenset(desk.open_flags(period, same))
    return Proposal(period, name, tuple(made), exceptions, same, flagged, totals)


def check_free(desk: Corrections, period: str, wanted: Mapping[str, Sequence[str]], but: str | None = None) -> None:
    """Raise `BillingConflict` where one of these is in an open correction, but in the one that is called so."""
    drafted = desk.drafted(period, wanted)
    for account, ids in wanted.items():
        if (other := drafted.get(account)) not in (None, but):
            raise BillingConflict(
                f"statement {ids[0]} is in the open correction {period}/{other}: issue that, or withdraw it"
            )


def _next_name(names: Iterable[str]) -> str:
    numbers = [int(match.group(1)) for name in names if (match := _NAME.fullmatch(name))]
    return f"correction-{max(numbers, default=0) + 1}"


#: A statement as it is rated today, and what is written off of it.
_Rated = tuple[Statement, Decimal]


@dataclass(frozen=True, slots=True)
class _Today:
    """What accounts' periods come to today, or why they cannot be billed."""

    statements: dict[str, _Rated]
    exceptions: dict[str, BillException]


def _correction(its: Standing, now: _Rated | None, way: Way, reason: str, cycle: str) -> Correction:
    revision = its.next_revision
    documents: list[Statement] = []
    if way == Way.DIFFERENCE and now is not None:
        documents.append(difference_of(now[0], its.statements, its.corrected(0, reason), revision, cycle))
    else:
        for number in reversed(range(len(its.said))):
            taken = its.statements[number]
            documents.append(cancellation_of(taken, its.corrected(number, reason), revision, cycle))
            revision += 1
        if now is not None:
            documents.append(rebill_of(now[0], its.corrected(0, reason), revision, cycle))
    customer = (documents[-1] if now is None else now[0]).customer
    gross, written_off = (Decimal(0), Decimal(0)) if now is None else (now[0].totals.gross, now[1])
    return Correction(
        customer.account,
        customer.name,
        its.bill.id,
        its.bill.totals.currency,
        its.gross,
        gross,
        written_off,
        tuple(documents),
        (),
    )


def _with_touched(
    desk: Corrections,
    period: str,
    standing: Mapping[str, Standing],
    now: Mapping[str, _Rated],
    corrections: Sequence[Correction],
) -> list[Correction]:
    """Corrections, and which later statements rest on what they change."""
    today = {each.account: now[each.account][0] if each.account in now else None for each in corrections}
    ratcheted = desk.ratcheted()
    looked = [account for account, its in today.items() if may_touch(standing[account], its, ratcheted)]
    later = desk.resting_on(period, looked) if looked else {}
    made = []
    for each in corrections:
        if each.account in later:
            statements = [parse_statement(kept.document) for kept in later[each.account]]
            found = touched_by(standing[each.account], today[each.account], statements, ratcheted)
            each = replace(each, touches=tuple(dict.fromkeys(one.statement.id for one in found)))  # noqa: PLW2901
        made.append(each)
    return made


def _rated(office: Office, records: Records, period: str, standing: Mapping[str, Standing]) -> _Today:
    """Today's statements; those that went by the same versions are rated together."""
    agreements = [each for each in _agreements_of(records, standing) if in_force(each, period)]
    by_account: dict[str, list[Agreement]] = defaultdict(list)
    for agreement in agreements:
        by_account[agreement.account.id].append(agreement)
    today = _Today({}, {})
    for refused in overlaps(agreements):
        today.exceptions.setdefault(refused.account, refused)
    for book, accounts in _books(office, standing, today):
        due = [agreement for account in accounts for agreement in by_account[account]]
        rated = rate_agreements(records, book, due, period)
        segments: dict[str, list[Segment]] = defaultdict(list)
        for each in rated.segments:
            segments[each.agreement.account.id].append(each.segment)
        for exception in rated.exceptions:
            today.exceptions.setdefault(exception.account, exception)
        for account in sorted(rated.on_drafts - today.exceptions.keys()):
            why = "its bank comes from a statement that is not issued yet: issue that first"
            _refuse(today, account, ExceptionCode.MONTH_BEFORE, why)
        for account in accounts:
            if account not in today.exceptions:
                _state(office, standing[account], by_account[account], segments[account], today)
    return today


def _agreements_of(records: Records, accounts: Collection[str]) -> list[Agreement]:
    found: list[Agreement] = []
    if len(accounts) >= _MANY:
        between = AccountRange(min(accounts), max(accounts), len(accounts))
        found = [each for each in records.agreements_between(between) if each.account.id in accounts]
    # A database may order accounts otherwise than we do: those that its range left out are asked for by name.
    left_out = sorted(set(accounts) - {each.account.id for each in found})
    return [*found, *(each for account in left_out for each in records.agreements(account))]


def _books(office: Office, standing: Mapping[str, Standing], today: _Today) -> list[tuple[TariffBook, list[str]]]:
    """Accounts by the tariff book they are rated by."""
    known: dict[Spans, TariffBook] = {}
    books: dict[int, tuple[TariffBook, list[str]]] = {}
    for account, its in standing.items():
        if account in today.exceptions:
            continue
        spans = spans_of(its.bill)
        try:
            if spans not in known:
                known[spans] = tariffs_as_billed(office.tariffs, spans)
        except NotFound as error:
            _refuse(today, account, ExceptionCode.NO_TARIFF, str(error))
            continue
        books.setdefault(id(known[spans]), (known[spans], []))[1].append(account)
    return list(books.values())


def _refuse(today: _Today, account: str, code: ExceptionCode, detail: str) -> None:
    today.exceptions.setdefault(account, BillException(account, code, detail))


def _state(
    office: Office, its: Standing, agreements: Sequence[Agreement], segments: Sequence[Segment], today: _Today
) -> None:
    """Put an account's statement as of today among those of others, or why there is none among the exceptions."""
    account = its.bill.customer.account
    if not segments:
        why = "no agreement applies in the period any more: cancel it alone"
        return _refuse(today, account, ExceptionCode.CANNOT_RATE, why)
    currencies = {segment.currency for segment in segments} | {its.bill.totals.currency}
    if len(currencies) > 1:
        return _refuse(today, account, ExceptionCode.CURRENCIES, several_currencies(currencies))
    ordered = on_paper(segments)
    whose = agreements[0].account
    now = replace(
        its.bill,
        utility=office.utility,
        customer=Customer(whose.id, whose.name, ordered[0].address, whose.customer_class, whose.locale),
        timezone=ordered[0].timezone,
        first=(first := min(each.first for each in ordered)),
        last=(last := max(each.last for each in ordered)),
        days=(last - first).days + 1,
        segments=ordered,
        totals=totals_of(ordered),
        kind=None,
        corrects=None,
        issued_at=None,
        issued_on=None,
        due_on=None,
        previous_sha256=None,
    )
    by_id = {agreement.id: agreement for agreement in agreements}
    supplied_by = [by_id[segment.agreement] for segment in ordered]
    now = office.rules.shown(now, [office.rules.contract(each) for each in supplied_by])
    if (missing := lacks(office, now, supplied_by)) is not None:
        return _refuse(today, account, ExceptionCode.REQUIRED_ITEM, missing)
    day = today_of(office, now)
    limit, written_off = office.back_billing.limit(whose.customer_class, day), Decimal(0)
    if limit is not None:
        limited = within_limit(now.segments, billed_before(its.documents), limit)
        totals = totals_of(limited)
        written_off = now.totals.gross - totals.gross
        now = replace(now, segments=limited, totals=totals)
    today.statements[account] = now, written_off
    return None


def _totals(
    corrections: Sequence[Correction],
    exceptions: Sequence[BillException],
    standing: Mapping[str, Standing],
    now: Mapping[str, _Rated],
) -> ControlTotals:
    """What the corrections change in all: use, and the sum of all lines."""
    energy: dict[str, int] = defaultdict(int)
    money: dict[str, Decimal] = defaultdict(Decimal)
    agreements: set[str] = set()
    for each in corrections:
        _count(energy, standing[each.account].statements[-1], -1)
        if each.account in now:
            _count(energy, now[each.account][0], 1)
        for document in each.documents:
            agreements.update(segment.agreement for segment in document.segments)
            money[each.currency] += sum_of_lines(StatementsAlike(document, 1))
    totals = ControlTotals(
        agreements=len(agreements),
        accounts=len(corrections) + len(exceptions),
        billed=len(corrections),
        excepted=len(exceptions),
        energy=dict(energy),
        money=dict(money),
    )
    tie_out(totals)
    return totals


def _count(energy: dict[str, int], statement: Statement, sign: int) -> None:
    for commodity, used in billed_energy(statement).items():
        energy[commodity] += sign * used
