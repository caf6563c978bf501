"""Spikes and runs by array operations, against the same said slowly."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from headend.vee.patterns import long_runs, spikes
from headend.vee.ruleset import RunRule, SpikeRule

SPIKE = SpikeRule(then="warn", channels=(), percent=180, floor=200)
RUNS = RunRule(then="warn", review=True, channels=(), zero_hours=5, constant_hours=3)


@st.composite
def rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    k, days = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    values = random.choice(draw(st.sampled_from([[0, 1], [0, 250, 300, 900], [0, 5, 5, 5, 2_000]])), (k, days * 24))
    return values, random.random(values.shape) < draw(st.sampled_from([0.6, 0.95, 1.0]))


@settings(max_examples=100, deadline=None)
@given(rows())
def test_runs_are_those_a_loop_finds(given_rows: tuple[np.ndarray, np.ndarray]) -> None:
    values, good = given_rows
    slowly = []
    for row in range(len(values)):
        column = 0
        for (value, is_good), same in groupby(zip(values[row].tolist(), good[row].tolist(), strict=True)):
            n = len(list(same))
            if is_good and n > (5 if value == 0 else 3):
                slowly.append((row, column, column + n, value))
            column += n
    found = long_runs(values, good, 3600, RUNS)
    assert (
        list(zip(*(each.tolist() for each in (found.row, found.first, found.end, found.value)), strict=True)) == slowly
    )


@settings(max_examples=100, deadline=None)
@given(rows())
def test_spikes_are_those_a_loop_finds(given_rows: tuple[np.ndarray, np.ndarray]) -> None:
    values, good = given_rows
    slowly = []
    for row in range(len(values)):
        for begin in range(0, values.shape[1], 24):
            day = [v if is_good else 0 for v, is_good in zip(values[row], good[row], strict=True)][begin : begin + 24]
            third = sorted(day)[-3]
            if third > 200 and (max(day) - third) * 100 > 180 * third:
                slowly.append((row, begin + day.index(max(day)), third))
    found = spikes(values, good, 24, SPIKE)
    assert list(zip(*(each.tolist() for each in (found.row, found.column, found.third)), strict=True)) == slowly
