"""The ledger on SQL: cycles, their statements and exceptions, in the site database.

A statement is written as a draft and replaced as often as its cycle is rated; once issued, the database itself refuses
any change to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from decimal import Decimal
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, exists, func, select, update

from headend.billing.cycle import (
    FOR_GOOD,
    BillCycle,
    BillException,
    ControlTotals,
    CycleScope,
    CycleState,
    ExceptionCode,
)
from headend.billing.ports import Kept
from headend.billing.statement import Statement, canonical_json, sha256
from headend.errors import NotFound
from headend.reads.days import microseconds, moment_us
from headend.store.books import booked_as_issued
from headend.store.database import upsert
from headend.store.tables import bill_cycle, bill_exception, statement
from headend.store.tariffversions import keep_versions
from headend.tariffs import Tariff

_ROWS_A_STATEMENT = 1_000

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
            "totals": json.dumps(asdict(cycle.totals), default=str, sort_keys=True),
            "scope": json.dumps(asdict(cycle.scope), sort_keys=True),
        }
        upsert(self.tx, bill_cycle, [row])

    def billed_elsewhere(self, cycle: BillCycle) -> set[str]:
        """Accounts that another cycle of the same period has a statement for."""
        others = select(bill_cycle.c.id).where(bill_cycle.c.period == cycle.period, bill_cycle.c.id != cycle.id)
        query = select(statement.c.account_id).where(statement.c.cycle_id.in_(others))
        return set(self.tx.execute(query).scalars())

    def billed_for_good(self, period: str) -> set[str]:
        """Accounts whose statement of the period is issued, or approved: no more will be decided about it."""
        final = select(bill_cycle.c.id).where(bill_cycle.c.period == period, bill_cycle.c.state.in_(FOR_GOOD))
        query = select(statement.c.account_id).where(statement.c.cycle_id.in_(final))
        return set(self.tx.execute(query).scalars())

    def replace_drafts(
        self, cycle: BillCycle, drafts: Iterable[Statement], exceptions: Iterable[BillException]
    ) -> None:
        """Put new drafts and exceptions in the place of the cycle's old ones."""
        self.tx.execute(delete(statement).where(statement.c.cycle_id == cycle.id))
        self.tx.execute(delete(bill_exception).where(bill_exception.c.cycle_id == cycle.id))
        for rows in _batches(_row(cycle, draft, "draft") for draft in drafts):
            self.tx.execute(statement.insert(), rows)
        refused = (
            {
                "cycle_id": cycle.id,
                "account_id": each.account,
                "code": str(each.code),
                "detail": each.detail,
                "held_by": json.dumps(each.held_by) if each.held_by else None,
            }
            for each in exceptions
        )
        for rows in _batches(refused):
            self.tx.execute(bill_exception.insert(), rows)

    def counts(self, cycle: BillCycle) -> tuple[int, int]:
        """Statements and exceptions the cycle has."""
        billed, excepted = (
            self.tx.execute(select(func.count()).select_from(table).where(table.c.cycle_id == cycle.id)).scalar_one()
            for table in (statement, bill_exception)
        )
        return billed, excepted

    def statements(self, cycle: BillCycle) -> Iterator[Kept]:
        """The cycle's statements, by account."""
        query = (
            _KEPT.where(statement.c.cycle_id == cycle.id)
            .order_by(statement.c.account_id)
            .execution_options(yield_per=_ROWS_A_STATEMENT)
        )
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

    def chain_heads(self, cycle: BillCycle) -> dict[str, str]:
        """Hash of the last issued statement of each of the cycle's accounts that has one.

        The last is the one that no other names as its predecessor: that holds whatever the clock said.
        """
        later = statement.alias()
        in_cycle = select(statement.c.account_id).where(statement.c.cycle_id == cycle.id)
        query = select(statement.c.account_id, statement.c.sha256).where(
            statement.c.state == "issued",
            statement.c.account_id.in_(in_cycle),
            ~exists().where(
                later.c.account_id == statement.c.account_id, later.c.previous_sha256 == statement.c.sha256
            ),
        )
        return {row.account_id: row.sha256 for row in self.tx.execute(query)}

    def issue(self, cycle: BillCycle, statements: Iterable[Statement]) -> None:
        """Put issued statements in the place of their drafts, for good, and book them."""
        statements = booked_as_issued(self.tx, statements, cycle.changed_at, cycle.changed_by)
        final = (
            update(statement)
            .where(statement.c.id == bindparam("which"), statement.c.state == "draft")
            .values({name: bindparam(name) for name in _ISSUED})
        )
        rows = ({"which": each.id, **_issued(_row(cycle, each, "issued"))} for each in statements)
        # The drafts being read are in the same transaction: they are all taken before the first is replaced.
        for batch in _batches(iter(list(rows))):
            self.tx.execute(final, batch)

    def keep_tariffs(self, cycle: BillCycle, tariffs: Iterable[Tariff]) -> None:
        """Keep for good the tariff versions that the cycle's statements were made by."""
        keep_versions(self.tx, tariffs, cycle.id, cycle.changed_at)


_ISSUED = ("state", "document", "sha256", "previous_sha256", "issued_us")


def _issued(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in _ISSUED}


def _row(cycle: BillCycle, made: Statement, state: str) -> dict[str, Any]:
    document = canonical_json(made)
    return {
        "id": made.id,
        "cycle_id": cycle.id,
        "account_id": made.customer.account,
        "revision": made.revision,
        "state": state,
        "period": made.period,
        "kind": made.kind,
        "corrects": None if made.corrects is None else made.corrects.id,
        "currency": made.totals.currency,
        "total": format(made.totals.gross, "f"),
        "document": document,
        "sha256": sha256(document),
        "previous_sha256": made.previous_sha256,
        "issued_us": None if made.issued_at is None else microseconds(made.issued_at),
    }


def _cycle(row: Row[Any]) -> BillCycle:
    totals = json.loads(row.totals)
    scope = json.loads(row.scope)
    totals["money"] = {currency: Decimal(amount) for currency, amount in totals["money"].items()}
    return BillCycle(
        row.name,
        row.period,
        CycleState(row.state),
        moment_us(row.opened_us),
        moment_us(row.changed_us),
        row.changed_by,
        ControlTotals(**totals),
        CycleScope(scope["group"], tuple(scope["accounts"]), scope["final"]),
    )


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(rows, _ROWS_A_STATEMENT)):
        yield batch
