"""Parts of documents made from columns are those that their own types make."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import repeat

import pytest

from headend.billing.columns import made_of
from headend.billing.statement import DayUse


def test_columns_make_what_the_type_itself_makes() -> None:
    days = [date(2026, 10, day) for day in (1, 2)]
    made = made_of(DayUse, 2, days, [Decimal("1.5"), Decimal(0)], repeat(object=False))
    assert made == [DayUse(days[0], Decimal("1.5"), False), DayUse(days[1], Decimal(0), False)]
    assert hash(made[0]) == hash(DayUse(days[0], Decimal("1.5"), False))
    assert made_of(DayUse, 0, [], [], []) == []


def test_a_column_is_there_for_every_field() -> None:
    with pytest.raises(ValueError, match="shorter"):
        made_of(DayUse, 1, [date(2026, 10, 1)], [Decimal(1)])
