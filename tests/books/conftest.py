"""A town whose statements are made by hand, so that what is booked can be worked out by hand too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from headend.billing.cycle import BillCycle, ControlTotals, CycleState
from headend.billing.statement import Statement, StatementLine, canonical_json, parse_statement, sha256, totals_of
from headend.store.books import booked_as_issued
from headend.store.ledger import SqlLedger
from headend.store.tables import statement as statement_table
from tests.billing.made import made_statement
from tests.billing.town import Town

D = Decimal
Issue = Callable[..., Statement]


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """Accounts Ada and Bea, nothing billed."""
    made = Town(tmp_path)
    for name in ("Ada", "Bea"):
        made.account(name, {"tariff": "flat"})
    return made


@pytest.fixture
def issue(town: Town) -> Issue:
    """Issue a statement of so much for an account and month, due on a day; unbooked as before there were books."""

    def issue(
        account: str, amount: str, due: date, *, period: str = "2026-10", currency: str = "EUR", booked: bool = True
    ) -> Statement:
        made = bill_of(account, amount, due, period=period, currency=currency)
        at = datetime(made.issued_on.year, made.issued_on.month, made.issued_on.day, 9, tzinfo=UTC)  # type: ignore[union-attr]
        cycle = BillCycle(f"by-hand-{made.id}", period, CycleState.ISSUED, at, at, "ann", ControlTotals())
        document = canonical_json(made)
        row = {
            "id": made.id,
            "cycle_id": cycle.id,
            "account_id": account,
            "revision": 1,
            "state": "issued",
            "period": period,
            "currency": currency,
            "total": format(made.totals.gross, "f"),
            "document": document,
            "sha256": sha256(document),
            "previous_sha256": None,
            "issued_us": int(at.timestamp() * 10**6),
        }
        with town.database.write() as tx:
            SqlLedger(tx).keep_cycle(cycle)
            tx.execute(statement_table.insert(), [row])
            if booked:
                list(booked_as_issued(tx, [parse_statement(document)], at, "ann"))
        return made

    return issue


def bill_of(account: str, amount: str, due: date, *, period: str = "2026-10", currency: str = "EUR") -> Statement:
    """A statement with one line of energy."""
    usual = made_statement()
    line = StatementLine("energy", "Energy", D(1), "kWh", D(amount), D(amount), None, None)
    segment = replace(usual.segments[0], lines=(line,), currency=currency, net=D(amount), tax=D(0), gross=D(amount))
    return replace(
        usual,
        id=f"{account}-{period}-1",
        customer=replace(usual.customer, account=account),
        period=period,
        segments=(segment,),
        totals=totals_of((segment,)),
        issued_on=due - timedelta(days=14),
        due_on=due,
        previous_sha256=None,
    )
