"""A cycle's history, its queue of findings and what clerks decided, who is left out, and what alike bills use.

Findings are written in the transaction that writes the drafts they are about, decisions in one that has looked whether
somebody else decided first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)

from headend.billing.books.postings import source_of_statement
from headend.billing.cycle import BillCycle, BillException, ExceptionCode, StepTaken
from headend.billing.groups import MONTHLY
from headend.billing.ports import AccountRange, Kept
from headend.billing.review import UNDECIDED, Exclusion, Finding, FindingCode, FindingState, PeerGroup, Peers, Queued
from headend.reads.days import Period, microseconds, moment_us
from headend.store.bulk import insert_rows, portions
from headend.store.completeness import whole_days_of
from headend.store.database import upsert
from headend.store.tables import (
    account_group,
    bill_cycle,
    bill_exception,
    bill_exclusion,
    bill_finding,
    bill_step,
    book_entry,
    peer_use,
    service_agreement,
    statement,
)

_ROWS_A_STATEMENT = 1_000

_F = bill_finding.c
_DECISION = ("state", "reason", "decided_us", "decided_by", "confirmed_us", "confirmed_by")


class SqlReviews:
    """Reviews within one transaction; see `headend.billing.ports.Reviews`."""

    def __init__(self, tx: Connection) -> None:
        self.tx = tx

    # -- history --

    def note(self, cycle: BillCycle, step: str, note: str = "") -> None:
        """Add a line to the cycle's history: what its last change was."""
        self.note_of(cycle.id, step, note, cycle.changed_at, cycle.changed_by)

    def note_of(self, cycle_id: str, step: str, note: str, at: datetime, by: str) -> None:
        """Add a line about one of the cycle's accounts."""
        self.note_each(cycle_id, step, [note], at, by)

    def note_each(self, cycle_id: str, step: str, notes: Iterable[str], at: datetime, by: str) -> None:
        """Add a line about each of several of the cycle's accounts."""
        query = select(func.max(bill_step.c.number)).where(bill_step.c.cycle_id == cycle_id)
        last = self.tx.execute(query).scalar_one() or 0
        numbered = enumerate(notes, last + 1)
        insert_rows(
            self.tx, bill_step, [(cycle_id, number, step, note, microseconds(at), by) for number, note in numbered]
        )

    def steps(self, cycle: BillCycle) -> list[StepTaken]:
        """The cycle's history, oldest first."""
        s = bill_step.c
        query = select(s.step, s.note, s.done_us, s.done_by).where(s.cycle_id == cycle.id).order_by(s.number)
        return [StepTaken(row.step, row.note, moment_us(row.done_us), row.done_by) for row in self.tx.execute(query)]

    # -- who is left out --

    def excluded(self, cycle: BillCycle, accounts: AccountRange | None = None) -> dict[str, Exclusion]:
        """Accounts that are left out of a cycle, by it or, where it does not name its own, by another of its period."""
        x = bill_exclusion.c
        its = x.cycle_id == cycle.id
        if not cycle.scope.accounts:
            its = x.cycle_id.in_(select(bill_cycle.c.id).where(bill_cycle.c.period == cycle.period))
        query = select(bill_exclusion).where(its).order_by(x.account_id, x.excluded_us.desc())
        if accounts is not None:
            query = query.where(x.account_id.between(accounts.first, accounts.last))
        return {
            row.account_id: Exclusion(
                row.cycle_id, row.account_id, row.reason, moment_us(row.excluded_us), row.excluded_by
            )
            for row in self.tx.execute(query)
        }

    def exclude(self, cycle: BillCycle, account: str, reason: str, at: datetime, by: str) -> None:
        """Leave an account out."""
        insert_rows(self.tx, bill_exclusion, [(cycle.id, account, reason, microseconds(at), by)])

    def include(self, cycle: BillCycle, account: str) -> None:
        """Take an account in again."""
        x = bill_exclusion.c
        self.tx.execute(delete(bill_exclusion).where(x.cycle_id == cycle.id, x.account_id == account))

    # -- drafts --

    def drafts_of(self, cycle: BillCycle, accounts: Collection[str]) -> Iterator[Kept]:
        """The cycle's drafts for some accounts."""
        s = statement.c
        for some in portions(sorted(accounts)):
            query = select(s.id, s.account_id, s.state, s.document, s.sha256)
            for row in self.tx.execute(query.where(s.cycle_id == cycle.id, s.account_id.in_(some))):
                yield Kept(row.id, cycle.name, row.account_id, row.state, row.document, row.sha256)

    def amounts(self, cycle: BillCycle, accounts: Collection[str]) -> dict[str, tuple[Decimal, str]]:
        """What the cycle's drafts for some accounts come to, and in which currency."""
        s, found = statement.c, dict[str, tuple[Decimal, str]]()
        for some in portions(sorted(accounts)):
            query = select(s.account_id, s.total, s.currency)
            for row in self.tx.execute(query.where(s.cycle_id == cycle.id, s.account_id.in_(some))):
                found[row.account_id] = Decimal(row.total), row.currency
        return found

    def is_excepted(self, cycle: BillCycle, account: str) -> bool:
        """Whether the account is among the cycle's exceptions."""
        e = bill_exception.c
        query = select(e.account_id).where(e.cycle_id == cycle.id, e.account_id == account)
        return self.tx.execute(query).first() is not None

    def withdraw(self, cycle: BillCycle, accounts: Collection[str]) -> int:
        """Delete drafts, exceptions and findings of accounts; how many exceptions there were."""
        exceptions = 0
        for some in portions(sorted(accounts)):
            for table in (statement, bill_exception, bill_finding):
                gone = self.tx.execute(
                    delete(table).where(table.c.cycle_id == cycle.id, table.c.account_id.in_(some))
                ).rowcount
                exceptions += gone if table is bill_exception else 0
        return exceptions

    def put_off(self, cycle: BillCycle, exceptions: Iterable[BillException]) -> None:
        """Put exceptions in the place of drafts."""
        for some in portions(exceptions, _ROWS_A_STATEMENT):
            gone = statement.c.account_id.in_([each.account for each in some])
            self.tx.execute(delete(statement).where(statement.c.cycle_id == cycle.id, gone))
            insert_rows(
                self.tx, bill_exception, [(cycle.id, each.account, str(each.code), each.detail, None) for each in some]
            )

    def unsettled(self, cycle: BillCycle) -> list[BillException]:
        """The cycle's exceptions that are neither billed for the period nor left out with a reason, by account."""
        e, s, x = bill_exception.c, statement.c, bill_exclusion.c
        billed = exists().where(s.account_id == e.account_id, s.period == cycle.period, s.state == "issued")
        of_period = select(bill_cycle.c.id).where(bill_cycle.c.period == cycle.period)
        left_out = exists().where(x.account_id == e.account_id, x.cycle_id.in_(of_period))
        query = select(e.account_id, e.code, e.detail).where(e.cycle_id == cycle.id, ~billed, ~left_out)
        return [
            BillException(row.account_id, ExceptionCode(row.code), row.detail)
            for row in self.tx.execute(query.order_by(e.account_id))
        ]

    def unbooked(self, cycle: BillCycle) -> list[str]:
        """Ids of the cycle's issued statements that the books have no entry for."""
        s = statement.c
        booked = exists().where(book_entry.c.source == source_of_statement("") + s.id)
        query = select(s.id).where(s.cycle_id == cycle.id, s.state == "issued", ~booked)
        return list(self.tx.execute(query.order_by(s.id)).scalars())

    # -- findings --

    def keep_findings(self, cycle: BillCycle, accounts: AccountRange, findings: Iterable[Finding]) -> None:
        """Put a range's findings in the place of the old ones; what has the same figures keeps its decision."""
        its = and_(_F.cycle_id == cycle.id, _F.account_id.between(accounts.first, accounts.last))
        known = {
            (row.account_id, row.code, row.figures): row for row in self.tx.execute(select(bill_finding).where(its))
        }
        self.tx.execute(delete(bill_finding).where(its))
        rows = []
        for found in findings:
            before = known.get((found.account, found.code, found.figures))
            key = (cycle.id, found.account, str(found.code), found.detail, found.figures)
            rows.append((*key, FindingState.OPEN.value, *(None,) * 5) if before is None else tuple(before))
        insert_rows(self.tx, bill_finding, rows)

    def findings(
        self,
        cycle: BillCycle,
        *,
        code: FindingCode | None = None,
        states: Sequence[FindingState] = (),
        account: str | None = None,
        after: tuple[str, str] | None = None,
        limit: int | None = None,
    ) -> list[Queued]:
        """The cycle's findings, by account and code.

        Parameters
        ----------
        states
            empty: all.
        after
            account and code of the last one of the page before.
        limit
            length of a page.
        """
        query = select(bill_finding).where(_F.cycle_id == cycle.id).order_by(_F.account_id, _F.code)
        if code is not None:
            query = query.where(_F.code == str(code))
        if states:
            query = query.where(_F.state.in_([str(state) for state in states]))
        if account is not None:
            query = query.where(_F.account_id == account)
        if after is not None:
            query = query.where(tuple_(_F.account_id, _F.code) > after)
        return [_queued(row) for row in self.tx.execute(query if limit is None else query.limit(limit))]

    def count_findings(self, cycle: BillCycle) -> dict[tuple[FindingCode, FindingState], int]:
        """How many findings of each code and state the cycle has."""
        query = select(_F.code, _F.state, func.count()).where(_F.cycle_id == cycle.id).group_by(_F.code, _F.state)
        return {(FindingCode(code), FindingState(state)): count for code, state, count in self.tx.execute(query)}

    def undecided(self, cycle: BillCycle) -> tuple[int, Queued | None]:
        """How many findings somebody has to decide, and the first; of accounts that are not left out."""
        query = _undecided(cycle)
        count = self.tx.execute(select(func.count()).select_from(query.subquery())).scalar_one()
        first = self.tx.execute(query.order_by(_F.account_id, _F.code).limit(1)).first()
        return count, None if first is None else _queued(first)

    def held(self, cycle: BillCycle, accounts: AccountRange | None = None) -> dict[str, str]:
        """Accounts, all or of a range, that a clerk holds, and what for."""
        query = select(bill_finding).where(_F.cycle_id == cycle.id, _F.state == str(FindingState.HELD))
        if accounts is not None:
            query = query.where(_F.account_id.between(accounts.first, accounts.last))
        held: dict[str, str] = {}
        for row in self.tx.execute(query.order_by(_F.account_id, _F.code)):
            why = f"{row.code} held by {row.decided_by}: {row.reason}"
            held[row.account_id] = f"{held[row.account_id]}; {why}" if row.account_id in held else why
        return held

    def decide(self, cycle: BillCycle, decided: Iterable[Queued]) -> None:
        """Keep decisions."""
        rows = [
            {
                "which_account": one.account,
                "which_code": str(one.code),
                "state": str(one.state),
                "reason": one.reason,
                "decided_us": _us(one.decided_at),
                "decided_by": one.decided_by,
                "confirmed_us": _us(one.confirmed_at),
                "confirmed_by": one.confirmed_by,
            }
            for one in decided
        ]
        which = and_(
            _F.cycle_id == cycle.id, _F.account_id == bindparam("which_account"), _F.code == bindparam("which_code")
        )
        changed: dict[str, Any] = {name: bindparam(name) for name in _DECISION}
        if rows:
            self.tx.execute(update(bill_finding).where(which).values(changed), rows)

    # -- reads and peers --

    def whole_days(
        self, channels: Sequence[tuple[int, int]], first_day: int, end_day: int
    ) -> dict[tuple[int, int], set[int]]:
        """By (meter, channel), the UTC days of [first_day, end_day) that are settled and all there."""
        return whole_days_of(self.tx, channels, first_day, end_day)

    def moved_out(self, group: str, period: str, first: date, last: date) -> list[str]:
        """Accounts of a group whose last agreement ended after `first` and not after `last`, and which no cycle knows.

        Parameters
        ----------
        period
            which no cycle has a statement or an exception of theirs for, and none leaves them out.
        """
        g, a = account_group.c, service_agreement.c
        of_period = select(bill_cycle.c.id).where(bill_cycle.c.period == period)
        ended = func.max(func.coalesce(a.valid_to, "9999-12-31"))
        left = (
            select(a.account_id)
            .group_by(a.account_id)
            .having(ended > first.isoformat(), ended <= last.isoformat())
            .subquery()
        )
        known = [
            exists().where(table.c.account_id == left.c.account_id, table.c.cycle_id.in_(of_period))
            for table in (statement, bill_exception, bill_exclusion)
        ]
        member = (
            select(g.group_name)
            .where(g.account_id == left.c.account_id)
            .order_by(g.valid_from.desc())
            .limit(1)
            .scalar_subquery()
        )
        query = select(left.c.account_id).where(~or_(*known), func.coalesce(member, MONTHLY) == group)
        return sorted(self.tx.execute(query).scalars())

    def has_accounts(self, group: str, days: Period) -> bool:
        """Whether an account is in a group, and has an agreement in force, on any of these local days."""
        g, a, earlier, later = account_group.c, service_agreement.c, account_group.alias(), account_group.alias()
        first, end = days.first.isoformat(), days.end.isoformat()
        # Three spans of which every two have a day in common have one in common all together.
        in_force = (a.valid_from < end) & (a.valid_to.is_(None) | (a.valid_to > first))
        is_first = ~exists().where(earlier.c.account_id == g.account_id, earlier.c.valid_from < g.valid_from)
        joined = is_first | ((g.valid_from < end) & (a.valid_to.is_(None) | (g.valid_from < a.valid_to)))
        left = exists().where(
            later.c.account_id == g.account_id,
            later.c.valid_from > g.valid_from,
            (later.c.valid_from <= first) | (later.c.valid_from <= a.valid_from),
        )
        member = exists().where(g.account_id == a.account_id, g.group_name == group, joined, ~left)
        nowhere = ~exists().where(g.account_id == a.account_id)
        its = member | nowhere if group == MONTHLY else member
        return self.tx.execute(select(a.account_id).where(in_force, its).limit(1)).first() is not None

    def peers(self, period: str, until: datetime) -> Mapping[PeerGroup, Peers]:
        """What alike bills of a period used, of the largest cycle that was issued by then."""
        p = peer_use.c
        query = (
            select(p.commodity, p.unit, p.tariff_id, p.customer_class, p.bills, p.median)
            .join(bill_cycle, bill_cycle.c.id == p.cycle_id)
            .where(bill_cycle.c.period == period, p.made_us <= microseconds(until))
            .order_by(p.bills, p.cycle_id.desc())
        )
        return {PeerGroup(*row[:4]): Peers(period, row.bills, row.median) for row in self.tx.execute(query)}

    def keep_peers(self, cycle: BillCycle, peers: Mapping[PeerGroup, Peers]) -> None:
        """Keep what the bills of a cycle used, for those of the next period."""
        made_us = microseconds(cycle.changed_at)
        columns = ("commodity", "unit", "tariff_id", "customer_class")
        rows = [
            {
                "cycle_id": cycle.id,
                **dict(zip(columns, group, strict=True)),
                "bills": its.bills,
                "median": its.median,
                "made_us": made_us,
            }
            for group, its in peers.items()
        ]
        upsert(self.tx, peer_use, rows)


def _undecided(cycle: BillCycle) -> Select[tuple[object, ...]]:
    x = bill_exclusion.c
    its: ColumnElement[bool] = x.cycle_id == cycle.id
    if not cycle.scope.accounts:
        its = or_(its, x.cycle_id.in_(select(bill_cycle.c.id).where(bill_cycle.c.period == cycle.period)))
    left_out = exists().where(x.account_id == _F.account_id, its)
    return select(bill_finding).where(
        _F.cycle_id == cycle.id, _F.state.in_([str(state) for state in UNDECIDED]), ~left_out
    )


def _queued(row: Row[tuple[object, ...]]) -> Queued:
    return Queued(
        row.account_id,
        FindingCode(row.code),
        row.detail,
        row.figures,
        FindingState(row.state),
        row.reason,
        None if row.decided_us is None else moment_us(row.decided_us),
        row.decided_by,
        None if row.confirmed_us is None else moment_us(row.confirmed_us),
        row.confirmed_by,
    )


def _us(at: datetime | None) -> int | None:
    return None if at is None else microseconds(at)
