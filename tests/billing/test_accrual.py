"""What running periods cost so far: fed in any order, it ends as the statement."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from headend.billing.accruals.accounts import cost_so_far
from headend.billing.accruals.accrual import AccrualsAlike, shares
from headend.billing.accruals.document import documents_of, parse_document
from tests.billing.kinds import KINDS
from tests.billing.town import IMPORT, Town

OCTOBER = "2026-10"
OVER = datetime(2026, 10, 31, 22, 59, tzinfo=UTC)


@pytest.mark.parametrize("kind", KINDS)
def test_accrual_of_a_read_period_is_its_statement(kind: str, town: Town) -> None:
    KINDS[kind](town)
    accrual = cost_so_far(town.office, "Ada", OVER)
    statement = town.bill()["Ada"]
    assert (accrual.amount, accrual.currency) == (statement.totals.gross, statement.totals.currency)
    assert accrual.problems == ()
    for mine, its in zip(
        sorted(accrual.segments, key=lambda each: (each.agreement, each.first)),
        sorted(statement.segments, key=lambda each: (each.agreement, each.first)),
        strict=True,
    ):
        assert (mine.gross, mine.usage, mine.export) == (its.gross, its.usage, its.export)
        lines = [(each.label, each.quantity, each.amount) for each in mine.lines]
        assert lines == [(each.label, each.quantity, each.amount) for each in its.lines]
        assert [Decimal(each).scaleb(-3) for each in mine.daily] == [each.quantity for each in its.daily]
    assert accrual.forecast is not None
    assert accrual.forecast.low == accrual.forecast.expected == accrual.forecast.high == statement.totals.gross


def test_document_says_all_of_it(town: Town) -> None:
    KINDS["moved_in"](town)
    accrual = cost_so_far(town.office, "Ada", OVER)
    through = None if accrual.through is None else int(accrual.through.timestamp())
    row = (accrual.account, accrual.period, accrual.currency, str(accrual.amount), through)
    (document,) = documents_of(AccrualsAlike(accrual, 1))
    assert parse_document(document, *row) == accrual


def test_shares_add_up_by_period_and_tier(town: Town) -> None:
    """2 TOU periods, and a tier that ends at 100 kWh: 745 h × 0.5 kWh, of which 31 × 16 h are day."""
    town.account("Ada", {"tariff": "tiered"})
    town.meter("E-1", "Ada", IMPORT)
    town.reads("E-1")
    (segment,) = cost_so_far(town.office, "Ada", OVER).segments
    told = shares(segment)
    assert sum(each.quantity for each in told) == segment.usage == Decimal("372.5")
    assert sum(each.quantity for each in told if each.tier == 1) == 100
    assert sum(each.amount for each in told) == segment.gross
