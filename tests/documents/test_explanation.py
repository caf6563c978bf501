"""Why a bill differs from another, in the number format of the customer's language."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from headend.billing.explain import Cause, Explanation, Part
from headend.documents.explanation import explanation_view

D = Decimal
SEPTEMBER, OCTOBER = (date(2026, 9, 1), date(2026, 9, 30)), (date(2026, 10, 1), date(2026, 10, 31))


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("en_GB", ["€120.00", "+€4.00", "-€25.50", "€98.50"]),
        ("de_DE", ["120,00\u00a0€", "+4,00\u00a0€", "-25,50\u00a0€", "98,50\u00a0€"]),
        ("nl_NL", ["€\u00a0120,00", "+€\u00a04,00", "€\u00a0-25,50", "€\u00a098,50"]),
    ],
)
def test_less_has_the_minus_sign_of_the_statement(locale: str, said: list[str]) -> None:
    """The same sign in the same place as on the statement, which is where the locale has it."""
    parts = (Part(Cause.DAYS, D("4.00")), Part(Cause.USE, D("-25.50")))
    its = Explanation(
        "A-2026-10-1", "A-2026-09-1", "A", "EUR", (*SEPTEMBER, D(120)), (*OCTOBER, D("98.50")), D("-21.50"), parts, ()
    )
    assert [bar.amount for bar in explanation_view(its, locale).bars] == said
