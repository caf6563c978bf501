"""Estimators: whole units in and out, nothing lost."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.vee.estimate import like_days, linear, spread

SHAPES = st.lists(st.integers(-5, 50_000) | st.just(0) | st.just(2**40), min_size=1, max_size=60)


@given(SHAPES, st.integers(0, 2**53))
def test_what_is_spread_adds_up_and_is_proportional(shape: list[int], total: int) -> None:
    parts = spread(np.array(shape), total).tolist()
    assert sum(parts) == total
    assert min(parts) >= 0
    weights = [max(0, weight) for weight in shape]
    if not any(weights):
        weights = [1] * len(shape)
    for part, weight in zip(parts, weights, strict=True):
        exact = Fraction(total * weight, sum(weights))
        assert abs(part - exact) < 1
        assert weight or part == 0


@pytest.mark.parametrize(
    ("shape", "total", "parts"),
    [
        ([1, 2, 3], 600, [100, 200, 300]),
        ([1, 1, 1], 100, [34, 33, 33]),
        ([1, 1, 2], 5, [1, 1, 3]),  # 1¼, 1¼, 2½: the largest remainder gets the unit
        ([0, 0], 7, [4, 3]),
        ([-4, 4], 10, [0, 10]),
        ([5], 0, [0]),
    ],
)
def test_spread_by_hand(shape: list[int], total: int, parts: list[int]) -> None:
    assert spread(np.array(shape), total).tolist() == parts


@pytest.mark.parametrize(
    ("before", "after", "n", "line"),
    [
        (100, 400, 2, [200, 300]),
        (0, 10, 1, [5]),
        (0, 1, 1, [1]),  # a half goes up
        (7, 7, 3, [7, 7, 7]),
        (10, 0, 4, [8, 6, 4, 2]),
        (0, 10, 2, [3, 7]),  # 3⅓, 6⅔
    ],
)
def test_linear_by_hand(before: int, after: int, n: int, line: list[int]) -> None:
    assert linear(before, after, n).tolist() == line


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.integers(1, 24))
def test_a_line_stays_within_half_a_unit(before: int, after: int, n: int) -> None:
    for step, value in enumerate(linear(before, after, n).tolist(), 1):
        exact = before + Fraction((after - before) * step, n + 1)
        assert -Fraction(1, 2) < value - exact <= Fraction(1, 2)


@given(
    st.lists(st.tuples(st.integers(0, 500), st.booleans(), st.integers(0, 1)), min_size=1, max_size=14),
    st.integers(0, 13),
    st.integers(1, 4),
)
def test_like_days_are_the_latest_of_their_kind(days: list[tuple[int, bool, int]], gap: int, count: int) -> None:
    # Two intervals a day; the first half of each day is what is looked at.
    gap %= len(days)
    values = np.array([[value, 9_999] for value, _, _ in days]).reshape(-1)
    usable = np.array([[use and d != gap, True] for d, (_, use, _) in enumerate(days)]).reshape(-1)
    kind = np.repeat([k for _, _, k in days], 2)
    slot = np.tile([0, 1], len(days))
    found = like_days(values, usable, slot, kind, np.array([2 * gap]), count)
    alike = [d for d, (_, use, k) in enumerate(days) if use and d != gap and k == days[gap][2]]
    before, later = [d for d in alike if d < gap], [d for d in alike if d > gap]
    chosen = before[-count:] or later[:count]
    expected = (sum(days[d][0] for d in chosen) / len(chosen) + 0.5) // 1 if chosen else -1
    assert found.tolist() == [expected]
