"""A document written field by field, alone or among others, has the bytes of the same document by way of plain data."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from headend.billing.columns import column, each_of
from headend.billing.statement import (
    Budget,
    Corrected,
    Customer,
    Segment,
    Statement,
    StatementsAlike,
    Totals,
    canonical_json,
    sha256,
)

LATER = {
    "": ("engine", "kind", "corrects", "billing_days", "budget"),
    "utility": ("contacts", "mix"),
    "segments": (
        *("gas", "reactive", "brought", "carried", "prices", "events"),
        *("peaks", "calendar_sha256", "last_year", "contract", "typical"),
    ),
    "lines": ("estimated", "included", "mean", "heading"),
    "meters": ("constant",),
    "peaks": ("period",),
}

NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15)
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - of the range
PLAIN = TypeAdapter(Statement)

st.register_type_strategy(Decimal, NUMBERS | st.just(Decimal(0)))
st.register_type_strategy(datetime, MOMENTS)


def by_way_of_plain_data(statement: Statement) -> bytes:
    plain = PLAIN.dump_python(statement, mode="json")
    _leave_out(plain, LATER[""])
    utility = plain["utility"]
    _leave_out(utility, LATER["utility"])
    for part in ("contacts", "mix"):
        if part in utility:
            _leave_out(utility[part], tuple(utility[part]))
    for segment in plain["segments"]:
        _leave_out(segment, LATER["segments"])
        for name in ("lines", "meters", "peaks"):
            for part in segment.get(name, ()):
                _leave_out(part, LATER[name])
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _leave_out(part: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if not part[name]:
            del part[name]


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.from_type(Statement))
def test_same_bytes(statement: Statement) -> None:
    assert canonical_json(statement) == by_way_of_plain_data(statement)


#: What is looked up of a statement is not in a column.
_FORMS = (Statement, Customer, Segment, Totals, Corrected, Budget)


def _columns_everywhere(parts: list[Any], dice: Any) -> Any:
    """A form of documents of one structure, with columns in any depth, of leaves and of whole parts."""
    one = parts[0]
    if is_dataclass(one) and (isinstance(one, _FORMS) or dice.random() < 0.9):
        its = {field.name: [getattr(part, field.name) for part in parts] for field in fields(one)}
        return type(one)(**{name: _columns_everywhere(values, dice) for name, values in its.items()})
    if isinstance(one, tuple) and (any(isinstance(each, Segment) for each in one) or dice.random() < 0.9):
        return tuple(_columns_everywhere(list(each), dice) for each in zip(*parts, strict=True))
    return column(parts)


def _otherwise(part: Any, dice: Any) -> Any:
    """A document of the same structure that says something else."""
    if is_dataclass(part) and not isinstance(part, type):
        return replace(part, **{each.name: _otherwise(getattr(part, each.name), dice) for each in fields(part)})
    if isinstance(part, tuple):
        return tuple(_otherwise(each, dice) for each in part)
    if isinstance(part, Decimal):
        return Decimal(dice.randrange(-(10**6), 10**9)).scaleb(-dice.randrange(9))
    if isinstance(part, str) and part:
        return part + dice.choice(["", ' "%s"', " 100 %", "\n", " Straße", " %(name)s"])
    if type(part) is int:
        return dice.randrange(10_000)
    return part


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(st.from_type(Statement), st.integers(1, 4), st.randoms(use_true_random=False))
def test_documents_of_a_form_have_the_bytes_of_each_alone(statement: Statement, n: int, dice: Any) -> None:
    ours = [_otherwise(statement, dice) for _ in range(n)]
    alike = StatementsAlike(_columns_everywhere(ours, dice), n)
    drafts = alike.drafts()
    assert [draft.document for draft in drafts] == list(map(canonical_json, ours))
    assert [draft.sha256 for draft in drafts] == [sha256(canonical_json(each)) for each in ours]
    assert each_of(alike.form, n) == ours
    assert alike.without_days().each() == [
        replace(each, segments=tuple(replace(segment, daily=()) for segment in each.segments)) for each in ours
    ]
