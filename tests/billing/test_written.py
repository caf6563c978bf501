"""A document written field by field has the bytes of the same document by way of plain data."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from headend.billing.statement import Statement, canonical_json

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


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.from_type(Statement))
def test_same_bytes(statement: Statement) -> None:
    assert canonical_json(statement) == by_way_of_plain_data(statement)
