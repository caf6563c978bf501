"""Counts and amounts as commands print them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from headend.cli.printed import amount, counted


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 accounts"), (1, "1 account"), (2, "2 accounts"), (1_000, "1,000 accounts")]
)
def test_one_is_told_as_one(number: int, said: str) -> None:
    assert counted(number, "account") == said


@pytest.mark.parametrize(
    ("money", "currency", "said", "signed"),
    [
        ("0", "EUR", "0.00", "+0.00"),
        ("-1154.8", "EUR", "-1,154.80", "-1,154.80"),
        ("12", "KWD", "12.000", "+12.000"),
        ("1500", "JPY", "1,500", "+1,500"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(money: str, currency: str, said: str, signed: str) -> None:
    assert amount(Decimal(money), currency) == said
    assert amount(Decimal(money), currency, "+") == signed
