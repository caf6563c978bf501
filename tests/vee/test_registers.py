"""Windows between register reads."""

from __future__ import annotations

import numpy as np
import pytest

from headend.config import shipped
from headend.vee import load_rule_set
from headend.vee.registers import sums_agree, windows

RULE = load_rule_set(shipped("vee.toml")).of("residential").sum_check


def one(
    register: list[int], values: list[int] | None = None, *, digits: int = 4, maximum: int = 50
) -> list[tuple[int, ...]]:
    values = values or [10] * len(register)
    w = windows(
        np.array([values]),
        np.array([register]),
        np.array([10**digits]),
        np.array([maximum]),
        np.zeros((1, len(values)), bool),
    )
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
    w = windows(np.full((2, 3), 10), register, np.array([10**9, 10**9]), np.array([50, 50]), np.zeros((2, 3), bool))
    assert (w.row.tolist(), w.first.tolist(), w.last.tolist(), w.advance.tolist()) == ([1], [1], [2], [30])


def test_no_window_reaches_across_a_change_of_scale() -> None:
    """From the fourth hour on a unit on the wire is five base units: 9,995 + 30 → 25, then 5 × 25 = 125."""
    register = np.array([[9_985, 9_995, 25, 155, 185, -1], [9_995, -1, 25, -1, 185, 215]])
    modulus = np.array([[10_000] * 3 + [50_000] * 3] * 2)
    w = windows(np.full((2, 6), 30), register, modulus, np.array([50, 50]), np.zeros((2, 6), bool))
    assert list(zip(w.row.tolist(), w.first.tolist(), w.last.tolist(), w.advance.tolist(), strict=True)) == [
        (0, 1, 1, 10),
        (0, 2, 2, 30),
        (0, 4, 4, 30),
        (1, 1, 2, 30),
        (1, 5, 5, 30),
    ]


def test_no_window_reaches_across_a_scale_that_came_and_went() -> None:
    modulus = np.array([[10_000, 10_000, 50_000, 10_000, 10_000]])
    register = np.array([[10, 20, -1, 40, 50]])
    w = windows(np.full((1, 5), 10), register, modulus, np.array([50]), np.zeros((1, 5), bool))
    assert (w.first.tolist(), w.last.tolist()) == ([1, 4], [1, 4])


def test_no_window_reaches_across_an_exchange() -> None:
    """Another device from the third hour on: its register happens to fit, and says nothing of the first two hours."""
    register, breaks = np.array([[100, -1, 130, 140]]), np.array([[False, False, True, False]])
    w = windows(np.full((1, 4), 10), register, np.array([10**9]), np.array([50]), breaks)
    assert (w.first.tolist(), w.last.tolist(), w.advance.tolist()) == ([3], [3], [10])


@pytest.mark.parametrize(
    ("total", "advance", "agree"),
    [(100, 100, True), (102, 100, True), (103, 100, False), (98, 100, True), (97, 100, False), (2_010, 2_000, True),
     (2_011, 2_000, False), (2, 0, True), (3, 0, False)],
)  # fmt: skip
def test_tolerance_is_two_units_or_half_a_percent(total: int, advance: int, agree: bool) -> None:
    assert sums_agree(np.array([total]), np.array([advance]), RULE).tolist() == [agree]
