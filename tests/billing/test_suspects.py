"""Of many drafts alike, those that a rule finds something about are among those that are looked at one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headend.billing.columns import Values, numbers
from headend.billing.review import Ground, Limits, PeerGroup, Peers, findings_of
from headend.billing.statement import Comparison, Statement, StatementsAlike
from headend.billing.suspects import findings_among, suspected
from tests.billing.made import USUAL_LIMITS, made_statement

AT = datetime(2026, 11, 3, 9, tzinfo=UTC)
PEERS = {PeerGroup("electricity", "kWh", "home", "residential"): Peers("2026-09", 50, 10_000)}


def street(usage: list[int], gross: list[int]) -> Statement:
    """Homes of October 2026 that used and pay so much [Wh, cents]; of their meters the registers went on as much."""
    one = made_statement()
    (segment,) = one.segments
    used = np.array(usage)
    (meter,) = segment.meters
    closing = replace(meter.closing, value=numbers(1_000_000 + used, 3)) if meter.closing else None
    meter = replace(meter, closing=closing, quantity=numbers(used, 3))
    its = replace(segment, usage=numbers(used, 3), meters=(meter,), estimated_intervals=0)
    names = Values([f"A-{each}" for each in range(len(usage))])
    customer, totals = replace(one.customer, account=names), replace(one.totals, gross=numbers(np.array(gross), 2))
    return replace(one, customer=customer, segments=(its,), totals=totals)


def ground(peers: dict[PeerGroup, Peers] | None = None, **limits: Any) -> Ground:
    return Ground(Limits(**limits), peers or {}, AT)


USUAL = Ground(USUAL_LIMITS, PEERS, AT)


def test_of_healthy_bills_none_is_looked_at() -> None:
    assert suspected(street([310_000, 290_000, 400_000], [9_000, 8_000, 12_000]), 3, USUAL) == []


@pytest.mark.parametrize(
    ("form", "limits", "places"),
    [
        (street([310_000, 0], [9_000, 0]), {"zero_use": ("electricity",)}, [1]),
        (street([310_000, -1], [9_000, 9_000]), {"negative": True}, [1]),
        (street([310_000, 1], [9_000, -1]), {"negative": True}, [1]),
        (street([310_000, -1], [9_000, 9_000]), {"register_difference": Decimal(1)}, [1]),
        (
            street([1, 2], [200_000, 200_001]),
            {"over_limit": {"residential": {"EUR": Decimal(2000)}}},
            # What is just at a limit is looked at as well.
            [0, 1],
        ),
        (street([1, 2], [200_000, 199_999]), {"over_limit": {"residential": {"EUR": Decimal(2000)}}}, [0]),
        (street([1, 2], [1, 1]), {"days": (25, 30)}, [0, 1]),
        (street([1, 2], [1, 1]), {"back_billed_months": 1}, []),
        (street([31_000, 310_000], [1, 1]), {"peers": PEERS, "unlike_peers": Decimal(4)}, [0]),
        (street([310_000, 620_000], [1, 1]), {"peers": PEERS, "unlike_peers": Decimal(4)}, []),
    ],
)
def test_who_is_looked_at(form: Statement, limits: dict[str, Any], places: list[int]) -> None:
    assert suspected(form, 2, ground(**limits)) == places


# A share of digits as they come in exact comparisons: at the limit, a hair above it and a hair below.
NUMBERS = st.integers(-5, 5).map(lambda hair: 310_000 + hair) | st.integers(-10, 5_000_000)
MONEY = st.integers(-2, 2).map(lambda hair: 200_000 + hair) | st.integers(-300_000, 300_000)
LIMIT = st.sampled_from([Decimal(0), Decimal("0.5"), Decimal(1), Decimal(3), Decimal("3.1")])


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_nothing_that_a_rule_finds_is_passed_over(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 6))
    many = lambda its: data.draw(st.lists(its, min_size=n, max_size=n))  # noqa: E731
    form = street(many(NUMBERS), many(MONEY))
    (segment,) = form.segments
    if data.draw(st.booleans()):
        then = numbers(np.array(many(st.integers(0, 2_000_000) | st.just(310_000))), 3)
        last_year = Comparison(date(2025, 10, 1), date(2025, 10, 31), data.draw(st.sampled_from([31, 28])), then)
        segment = replace(segment, last_year=last_year)
    if data.draw(st.booleans()):
        (meter,) = segment.meters
        quantity = numbers(np.array(many(NUMBERS)), 3)
        segment = replace(segment, meters=(replace(meter, quantity=quantity),) * data.draw(st.integers(1, 2)))
    if data.draw(st.booleans()):
        segment = replace(segment, estimated_intervals=Values(many(st.integers(0, 745))))
    form = replace(form, segments=(segment,))
    limits = Limits(
        estimated_share=data.draw(st.sampled_from([Decimal(0), Decimal("0.25")])),
        zero_use=data.draw(st.sampled_from([(), ("electricity",)])),
        high_use=data.draw(LIMIT),
        low_use=data.draw(LIMIT),
        unlike_peers=data.draw(LIMIT),
        floor={"electricity": data.draw(LIMIT)},
        register_difference=data.draw(LIMIT),
        meter_change=data.draw(st.booleans()),
        days=data.draw(st.sampled_from([None, (25, 35), (1, 30)])),
        negative=data.draw(st.booleans()),
        over_limit={"residential": {"EUR": Decimal(2000)}},
        back_billed_months=data.draw(st.sampled_from([0, 1, 12])),
    )
    its = Ground(limits, PEERS if data.draw(st.booleans()) else {}, AT)
    statements = StatementsAlike(form, n).each()
    found = [finding for statement in statements for finding in findings_of(statement, (), its)]
    agreements = {statement.customer.account: () for statement in statements}
    assert list(findings_among([StatementsAlike(form, n)], agreements, its)) == found
