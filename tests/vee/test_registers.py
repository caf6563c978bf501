"""Windows between register reads."""

from __future__ import annotations

import numpy as np
import pytest

from headend.config import shipped
from headend.vee import load_rule_set
from headend.vee.registers import sums_agree, windows

LIMITS = load_rule_set(shipped("vee.toml")).of("residential")


def one(
    register: list[int], values: list[int] | None = None, *, digits: int = 4, maximum: int = 50
) -> list[tuple[int, ...]]:
    values = values or [10] * len(register)
    w = windows(np.array([values]), np.array([register]), np.array([digits]), np.array([maximum]))
    return list(zip(w.first.tolist(), w.last.tolist(), w.advance.tolist(), w.total.tolist(), strict=True))


@pytest.mark.parametrize(
    ("register", "found"),
    [
        ([-1, -1, -1], []),
        ([-1, 100, -1], []),
        ([100, 110, 120], [(1, 1, 10, 10), (2, 2, 10, 10)]),
        ([100, -1, 125], [(1, 2, 25, 20)]),
        ([9_995, -1, 20], [(1, 2, 25, 20)]),  # 9,999 and then 0
        ([500, 20, 30], [(1, 1, -1, 10), (2, 2, 10, 10)]),  # a reset: 9,520 cannot have flowed in an hour
        ([100, 151, 201], [(1, 1, -1, 10), (2, 2, 50, 10)]),  # nor can 51
        ([0, 0, 0], [(1, 1, 0, 10), (2, 2, 0, 10)]),
    ],
)
def test_windows_by_hand(register: list[int], found: list[tuple[int, ...]]) -> None:
    assert one(register) == found


def test_windows_do_not_span_channels() -> None:
    register = np.array([[-1, -1, 100], [200, -1, 230]])
    w = windows(np.full((2, 3), 10), register, np.array([9, 9]), np.array([50, 50]))
    assert (w.row.tolist(), w.first.tolist(), w.last.tolist(), w.advance.tolist()) == ([1], [1], [2], [30])


@pytest.mark.parametrize(
    ("total", "advance", "agree"),
    [(100, 100, True), (102, 100, True), (103, 100, False), (98, 100, True), (97, 100, False), (2_010, 2_000, True),
     (2_011, 2_000, False), (2, 0, True), (3, 0, False)],
)  # fmt: skip
def test_tolerance_is_two_units_or_half_a_percent(total: int, advance: int, agree: bool) -> None:
    assert sums_agree(np.array([total]), np.array([advance]), LIMITS).tolist() == [agree]
