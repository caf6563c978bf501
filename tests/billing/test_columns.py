"""Documents made from columns are those that their own types make, and are written with the same bytes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import repeat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.billing.columns import each_of, form_of, made_of, numbers, some_of
from headend.billing.statement import (
    Comparison,
    DayUse,
    StatementsAlike,
    canonical_json,
    parse_statement,
)
from tests.billing.made import made_statement


def test_columns_make_what_the_type_itself_makes() -> None:
    days = [date(2026, 10, day) for day in (1, 2)]
    made = made_of(DayUse, 2, days, [Decimal("1.5"), Decimal(0)], repeat(object=False))
    assert made == [DayUse(days[0], Decimal("1.5"), False), DayUse(days[1], Decimal(0), False)]
    assert hash(made[0]) == hash(DayUse(days[0], Decimal("1.5"), False))
    assert made_of(DayUse, 0, [], [], []) == []


def test_a_column_is_there_for_every_field() -> None:
    with pytest.raises(ValueError, match="shorter"):
        made_of(DayUse, 1, [date(2026, 10, 1)], [Decimal(1)])


def test_form_of_comparisons_has_columns_where_they_differ() -> None:
    ours = [Comparison(date(2025, 10, 1), date(2025, 10, 31), 31, Decimal(each)) for each in ("7.50", "7.5", "0.000")]
    form = form_of(ours)
    assert (form.first, form.days) == (date(2025, 10, 1), 31)
    made = each_of(form, 3)
    assert made == ours
    # Equal numbers that are written otherwise stay two.
    assert [str(each.quantity) for each in made] == ["7.50", "7.5", "0.000"]
    assert each_of(some_of(form, [2, 0]), 2) == [ours[2], ours[0]]


WHOLE = st.integers(-(10**19), 10**19) | st.integers(0, 99_999) | st.just(0)


@given(st.lists(WHOLE, min_size=1, max_size=5), st.integers(0, 9), st.booleans())
def test_numbers_are_written_as_the_decimals_they_stand_for(whole: list[int], scale: int, is_plain: bool) -> None:
    small = all(abs(each) < 2**63 for each in whole)
    stands_for = numbers(np.array(whole, dtype=np.int64 if small else object), scale, is_plain=is_plain)
    statement = made_statement()
    form = replace(statement, totals=replace(statement.totals, gross=stands_for))
    decimals = [Decimal(each).scaleb(-scale) for each in whole]
    if is_plain:
        decimals = [each.normalize() if each else Decimal(0) for each in decimals]
    ones = [replace(statement, totals=replace(statement.totals, gross=each)) for each in decimals]
    assert [each.document for each in StatementsAlike(form, len(whole)).drafts()] == list(map(canonical_json, ones))
    assert [each.totals.gross for each in StatementsAlike(form, len(whole)).without_days().each()] == decimals


def test_the_form_of_a_single_document_is_that_document() -> None:
    statement = made_statement()
    (draft,) = StatementsAlike(statement, 1).drafts()
    assert parse_statement(draft.document) == statement
