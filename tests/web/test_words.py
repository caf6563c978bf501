"""Numbers as pages write them: one minus sign, whatever they are of."""

from __future__ import annotations

from decimal import Decimal

from headend.web.words import count, money, quantity, signed_money, signed_percent, signed_quantity


def test_pages_have_one_minus_sign() -> None:
    assert [money("-1234.5", "EUR"), money(Decimal("0.00"), "EUR")] == ["−€1,234.50", "€0.00"]
    assert [quantity(-350), count(-1234)] == ["−0.350", "−1,234"]
    assert [signed_quantity(its) for its in (1_200, -350, 0)] == ["+1.200", "−0.350", "0.000"]
    assert [signed_money(Decimal(its), "EUR") for its in ("1.2", "-0.35", "0")] == ["+€1.20", "−€0.35", "€0.00"]
    assert [signed_percent(Decimal(its)) for its in ("1.5", "-0.3", "0.0")] == ["+1.5 %", "−0.3 %", "0.0 %"]
