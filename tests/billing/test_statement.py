"""The canonical document: stable bytes, exact numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.billing.cycle import BillException, ControlTotals, ExceptionCode, control_totals, tie_out
from headend.billing.statement import StatementsAlike, canonical_json, parse_statement, sha256, totals_of
from headend.errors import BillingConflict
from tests.billing.made import made_statement

FIELDS = {
    "customer", "cycle", "days", "due_on", "first", "format", "id", "issued_at", "issued_on", "last", "period",
    "previous_sha256", "revision", "segments", "timezone", "totals", "utility",
}  # fmt: skip


def numbers(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [number for each in value.values() for number in numbers(each)]
    if isinstance(value, list):
        return [number for each in value for number in numbers(each)]
    return [value] if isinstance(value, float) else []


def test_bytes_are_stable() -> None:
    # Changes only together with the document's `format`: issued statements must stay readable and checkable.
    assert (
        sha256(canonical_json(made_statement())) == "4a1a7bbe72613f9f338eccd9156f0ec88511700a4c62b98616f09eec6659205e"
    )


def test_document_says_everything_and_no_float() -> None:
    plain = json.loads(canonical_json(made_statement()))
    assert set(plain) == FIELDS
    assert numbers(plain) == []
    assert plain["segments"][0]["lines"][0]["price"] == "0.000000001"
    assert plain["customer"]["name"] == "Jürgen & Søn"


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12))
def test_numbers_come_back_as_they_were(amount: Decimal) -> None:
    statement = made_statement()
    line = replace(statement.segments[0].lines[0], amount=amount, price=amount)
    changed = replace(statement, segments=(replace(statement.segments[0], lines=(line,)),))
    document = canonical_json(changed)
    assert "e" not in json.loads(document)["segments"][0]["lines"][0]["amount"].lower()
    assert parse_statement(document).segments[0].lines[0].amount == amount
    assert canonical_json(parse_statement(document)) == document


def test_totals_are_the_segments_sum() -> None:
    (segment,) = made_statement().segments
    totals = totals_of((segment, segment))
    assert (totals.net, totals.tax, totals.gross) == (Decimal("200.00"), Decimal("38.00"), Decimal("238.00"))
    with pytest.raises(ValueError, match="unpack"):
        totals_of((segment, replace(segment, currency="USD")))


def test_total_that_is_not_the_sum_of_its_lines_is_refused() -> None:
    statement = made_statement()
    wrong = replace(statement, totals=replace(statement.totals, gross=Decimal("118.99")))
    assert control_totals(1, 1, 0, [StatementsAlike(statement, 1)], []).money == {"EUR": Decimal("119.00")}
    with pytest.raises(BillingConflict, match=r"lines sum to 119\.00, total says 118\.99"):
        control_totals(1, 1, 0, [StatementsAlike(wrong, 1)], [])


def test_account_that_is_nowhere_is_noticed() -> None:
    refused = BillException("B", ExceptionCode.NO_METER, "none")
    control_totals(2, 2, 0, [StatementsAlike(made_statement(), 1)], [refused])
    with pytest.raises(BillingConflict, match="3 accounts, but 1 billed"):
        control_totals(3, 3, 0, [StatementsAlike(made_statement(), 1)], [refused])
    tie_out(ControlTotals(accounts=3, billed=1, excepted=1, billed_elsewhere=1))
