"""The ledger on SQL: cycles, their statements and exceptions, in the site database.

A statement is written as a draft and replaced as often as its cycle is rated; once issued, the database itself refuses
any change to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    select,
    update,
)

from headend.billing.corrections import has_bank_left
from headend.billing.cycle import (
    FOR_GOOD,
    BillCycle,
    BillException,
    ControlTotals,
    CycleScope,
    CycleState,
    ExceptionCode,
)
from headend.billing.ports import AccountRange, Kept
from headend.billing.statement import Draft, Statement, draft_of
from headend.errors import NotFound
from headend.reads.days import microseconds, moment_us
from headend.store.books import booked_as_issued
from headend.store.bulk import Row as BulkRow
from headend.store.bulk import insert_rows, portions
from headend.store.corrections import flag_after_late, settle
from headend.store.database import upsert
from headend.store.standing import corrected_revisions, taken_back
from headend.store.tables import bill_cycle, bill_exception, bill_partition, statement
from headend.store.tariffversions import keep_versions
from headend.tariffs import Tariff

_ROWS_A_STATEMENT = 1_000

_P = bill_partition.c

_KEPT = select(
    statement.c.id,
    bill_cycle.c.name,
    statement.c.account_id,
    statement.c.state,
    statement.c.document,
    statement.c.sha256,
).join(bill_cycle, bill_cycle.c.id == statement.c.cycle_id)


class SqlLedger:
    """The ledger within one transaction; see `headend.billing.ports.Ledger`."""

    def __init__(self, tx: Connection) -> None:
        self.tx = tx

    def cycle(self, name: str, period: str) -> BillCycle | None:
        """The cycle, if it was ever opened."""
        query = select(bill_cycle).where(bill_cycle.c.name == name, bill_cycle.c.period == period)
        row = self.tx.execute(query).first()
        return None if row is None else _cycle(row)

    def cycles(self) -> list[BillCycle]:
        """Every cycle, newest period first."""
        query = select(bill_cycle).order_by(bill_cycle.c.period.desc(), bill_cycle.c.name)
        return [_cycle(row) for row in self.tx.execute(query)]

    def keep_cycle(self, cycle: BillCycle) -> None:
        """Add the cycle or put its newer state in place."""
        row = {
            "id": cycle.id,
            "name": cycle.name,
            "period": cycle.period,
            "state": str(cycle.state),
            "opened_us": microseconds(cycle.opened_at),
            "changed_us": microseconds(cycle.changed_at),
            "changed_by": cycle.changed_by,
            "totals": _as_json(cycle.totals),
            "scope": json.dumps(asdict(cycle.scope), sort_keys=True),
        }
        upsert(self.tx, bill_cycle, [row])

    def billed_elsewhere(self, cycle: BillCycle, accounts: AccountRange) -> set[str]:
        """Accounts of a range that another cycle of the same period has a statement for."""
        others = select(bill_cycle.c.id).where(bill_cycle.c.period == cycle.period, bill_cycle.c.id != cycle.id)
        found: set[str] = set()
        for other in self.tx.execute(others).scalars():
            query = select(statement.c.account_id).where(_in_range(statement, other, accounts))
            found |= set(self.tx.execute(query).scalars())
        return found - taken_back(self.tx, cycle.period, found, but_of=cycle.id)

    def billed_for_good(self, period: str, accounts: AccountRange | None = None) -> set[str]:
        """Accounts, all or of a range, whose statement of the period is issued, or approved: that is decided."""
        final = select(bill_cycle.c.id).where(bill_cycle.c.period == period, bill_cycle.c.state.in_(FOR_GOOD))
        query = select(statement.c.account_id).where(statement.c.cycle_id.in_(final))
        if accounts is not None:
            query = query.where(statement.c.account_id.between(accounts.first, accounts.last))
        found = set(self.tx.execute(query).scalars())
        return found - taken_back(self.tx, period, found)

    def begin_run(self, cycle: BillCycle, ranges: Iterable[AccountRange]) -> int:
        """Note what the cycle's next run has to rate; its number."""
        run = self.last_run(cycle) + 1
        rows = (
            {
                "cycle_id": cycle.id,
                "run": run,
                "first_account": each.first,
                "last_account": each.last,
                "accounts": each.accounts,
            }
            for each in ranges
        )
        for batch in portions(rows, _ROWS_A_STATEMENT):
            self.tx.execute(bill_partition.insert(), batch)
        return run

    def last_run(self, cycle: BillCycle) -> int:
        """Number of the cycle's last run; 0: there was none."""
        query = select(func.max(_P.run)).where(_P.cycle_id == cycle.id)
        return self.tx.execute(query).scalar_one() or 0

    def ranges(self, cycle: BillCycle, run: int) -> list[tuple[AccountRange, ControlTotals | None]]:
        """The ranges of a run in order, and their totals; None: not committed yet."""
        query = select(bill_partition).where(_P.cycle_id == cycle.id, _P.run == run).order_by(_P.first_account)
        return [
            (
                AccountRange(row.first_account, row.last_account, row.accounts),
                None if row.totals is None else _totals(row.totals),
            )
            for row in self.tx.execute(query)
        ]

    def is_open(self, cycle: BillCycle, run: int, accounts: AccountRange) -> bool:
        """Whether a run is the cycle's last, and the range not committed in it."""
        query = select(_P.run).where(_one_range(cycle, run, accounts), _P.totals.is_(None))
        return self.tx.execute(query).first() is not None and self.last_run(cycle) == run

    def keep_range(
        self,
        cycle: BillCycle,
        run: int,
        accounts: AccountRange,
        drafts: Iterable[Draft],
        exceptions: Iterable[BillException],
        totals: ControlTotals,
        now: datetime,
    ) -> None:
        """Put a range's new drafts and exceptions in the place of the old ones, and note that it is committed."""
        for table in (statement, bill_exception):
            self.tx.execute(delete(table).where(_in_range(table, cycle.id, accounts)))
        insert_rows(self.tx, statement, [_row(cycle, draft, "draft") for draft in drafts])
        refused = [
            (cycle.id, each.account, str(each.code), each.detail, json.dumps(each.held_by) if each.held_by else None)
            for each in exceptions
        ]
        insert_rows(self.tx, bill_exception, refused)
        done = update(bill_partition).where(_one_range(cycle, run, accounts))
        self.tx.execute(done.values(totals=_as_json(totals), committed_us=microseconds(now)))

    def revisions(self, period: str, accounts: AccountRange) -> dict[str, int]:
        """Those of a range whose bill of the period was corrected, and the revision of their last document."""
        return corrected_revisions(self.tx, period, accounts.first, accounts.last)

    def keep_correction(
        self, cycle: BillCycle, drafts: Iterable[Statement], exceptions: Iterable[BillException]
    ) -> None:
        """Add a cycle of corrections with its drafts and exceptions."""
        self.keep_cycle(cycle)
        insert_rows(self.tx, statement, [_row(cycle, draft_of(draft), "draft") for draft in drafts])
        insert_rows(self.tx, bill_exception, _exceptions(cycle, exceptions))

    def withdraw(self, cycle: BillCycle) -> None:
        """Drop the drafts and exceptions of a correction."""
        for table in (statement, bill_exception):
            self.tx.execute(delete(table).where(table.c.cycle_id == cycle.id))
        self.keep_cycle(cycle)

    def counts(self, cycle: BillCycle) -> tuple[int, int]:
        """Accounts with statements, and exceptions, that the cycle has."""
        billed, excepted = (
            self.tx.execute(
                select(func.count(table.c.account_id.distinct())).where(table.c.cycle_id == cycle.id)
            ).scalar_one()
            for table in (statement, bill_exception)
        )
        return billed, excepted

    def statements(self, cycle: BillCycle, accounts: AccountRange | None = None) -> Iterator[Kept]:
        """The cycle's statements, of all accounts or a range; by account and revision."""
        its = statement.c.cycle_id == cycle.id if accounts is None else _in_range(statement, cycle.id, accounts)
        by_account = statement.c.account_id, statement.c.revision
        query = _KEPT.where(its).order_by(*by_account).execution_options(yield_per=_ROWS_A_STATEMENT)
        for row in self.tx.execute(query):
            yield Kept(*row)

    def exceptions(self, cycle: BillCycle) -> list[BillException]:
        """The cycle's exceptions, by account."""
        e = bill_exception.c
        query = select(e.account_id, e.code, e.detail, e.held_by).where(e.cycle_id == cycle.id).order_by(e.account_id)
        return [
            BillException(row.account_id, ExceptionCode(row.code), row.detail, tuple(json.loads(row.held_by or "[]")))
            for row in self.tx.execute(query)
        ]

    def statement(self, statement_id: str) -> Kept:
        """One statement; raises `NotFound`."""
        row = self.tx.execute(_KEPT.where(statement.c.id == statement_id)).first()
        if row is None:
            raise NotFound(f"no statement is called {statement_id!r}")
        return Kept(*row)

    def statements_of(self, account: str) -> list[Kept]:
        """An account's issued statements, newest period first."""
        query = _KEPT.where(statement.c.account_id == account, statement.c.state == "issued").order_by(
            statement.c.period.desc(), statement.c.revision.desc()
        )
        return [Kept(*row) for row in self.tx.execute(query)]

    def billed(self, cycle: BillCycle) -> Iterator[str]:
        """Accounts that the cycle has statements for, in order."""
        query = select(statement.c.account_id).distinct().where(statement.c.cycle_id == cycle.id)
        in_order = query.order_by(statement.c.account_id).execution_options(yield_per=_ROWS_A_STATEMENT)
        yield from self.tx.execute(in_order).scalars()

    def chain_heads(self, cycle: BillCycle, accounts: AccountRange) -> dict[str, str]:
        """Hash of the last issued statement of each of a range of the cycle's accounts that has one.

        The last is the one that no other names as its predecessor: that holds whatever the clock said.
        """
        later = statement.alias()
        in_cycle = select(statement.c.account_id).where(_in_range(statement, cycle.id, accounts))
        query = select(statement.c.account_id, statement.c.sha256).where(
            statement.c.state == "issued",
            statement.c.account_id.in_(in_cycle),
            ~exists().where(
                later.c.account_id == statement.c.account_id, later.c.previous_sha256 == statement.c.sha256
            ),
        )
        return {row.account_id: row.sha256 for row in self.tx.execute(query)}

    def issue(self, cycle: BillCycle, statements: Iterable[Statement]) -> None:
        """Put issued statements in the place of their drafts, for good, and book them; all of an account together."""
        statements = booked_as_issued(self.tx, statements, cycle.changed_at, cycle.changed_by)
        final = (
            update(statement)
            .where(statement.c.id == bindparam("which"), statement.c.state == "draft")
            .values({name: bindparam(name) for name in _ISSUED})
        )
        corrections: list[Statement] = []
        banked: list[Statement] = []
        rows = (_issued(draft_of(each)) for each in _noting(statements, corrections, banked))
        # The drafts being read are in the same transaction: they are all taken before the first is replaced.
        for batch in portions(list(rows), _ROWS_A_STATEMENT):
            self.tx.execute(final, batch)
        settle(self.tx, corrections, cycle.changed_at)
        flag_after_late(self.tx, banked, cycle.changed_at)

    def keep_tariffs(self, cycle: BillCycle, tariffs: Iterable[Tariff]) -> None:
        """Keep for good the tariff versions that the cycle's statements were made by."""
        keep_versions(self.tx, tariffs, cycle.id, cycle.changed_at)


_ISSUED = ("state", "document", "sha256", "previous_sha256", "issued_us")


def _noting(
    statements: Iterable[Statement], corrections: list[Statement], banked: list[Statement]
) -> Iterator[Statement]:
    """The same statements; those that correct others, or leave a bank, are noted as they go by."""
    for each in statements:
        if each.corrects is not None:
            corrections.append(each)
        elif has_bank_left(each):
            banked.append(each)
        yield each


def _issued(draft: Draft) -> dict[str, Any]:
    return {
        "which": draft.id,
        "state": "issued",
        "document": draft.document,
        "sha256": draft.sha256,
        "previous_sha256": draft.previous_sha256,
        "issued_us": None if draft.issued_at is None else microseconds(draft.issued_at),
    }


def _row(cycle: BillCycle, draft: Draft, state: str) -> BulkRow:
    """In the order of the table's columns."""
    return (
        draft.id,
        cycle.id,
        draft.account,
        draft.revision,
        state,
        draft.period,
        draft.kind,
        draft.corrects,
        draft.currency,
        format(draft.total, "f"),
        None if draft.due is None else format(draft.due, "f"),
        draft.document,
        draft.sha256,
        draft.previous_sha256,
        None if draft.issued_at is None else microseconds(draft.issued_at),
    )


def _exceptions(cycle: BillCycle, exceptions: Iterable[BillException]) -> list[BulkRow]:
    return [
        (cycle.id, each.account, str(each.code), each.detail, json.dumps(each.held_by) if each.held_by else None)
        for each in exceptions
    ]


def _in_range(table: Table, cycle: str, accounts: AccountRange) -> ColumnElement[bool]:
    return and_(table.c.cycle_id == cycle, table.c.account_id.between(accounts.first, accounts.last))


def _one_range(cycle: BillCycle, run: int, accounts: AccountRange) -> ColumnElement[bool]:
    return and_(_P.cycle_id == cycle.id, _P.run == run, _P.first_account == accounts.first)


def _as_json(totals: ControlTotals) -> str:
    return json.dumps(asdict(totals), default=str, sort_keys=True)


def _totals(text: str) -> ControlTotals:
    totals = json.loads(text)
    totals["money"] = {currency: Decimal(amount) for currency, amount in totals["money"].items()}
    return ControlTotals(**totals)


def _cycle(row: Row[Any]) -> BillCycle:
    scope = json.loads(row.scope)
    return BillCycle(
        row.name,
        row.period,
        CycleState(row.state),
        moment_us(row.opened_us),
        moment_us(row.changed_us),
        row.changed_by,
        _totals(row.totals),
        CycleScope(scope["group"], tuple(scope["accounts"]), scope["final"], scope.get("correction", False)),
    )
