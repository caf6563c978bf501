"""Intervals made of register reads, worked by hand and against a meter that counts without end."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headend.reads.accumulation import Dial, Made, RegisterReads, intervals_of

HOUR = 3600
DIAL = Dial(HOUR, 6, 10_000)
TEN = 10 * HOUR  # ten o'clock of some day


def reads(*found: tuple[int, int] | tuple[int, int, int]) -> RegisterReads:
    """(moment, register[, serial number])."""
    columns = [(row[0], row[1], row[2] if len(row) > 2 else -1) for row in found]
    at_s, register, serial = (np.array([row[i] for row in columns], np.int64) for i in range(3))
    return RegisterReads(at_s, register, serial)


def as_rows(made: Made) -> list[tuple[int, int | None, int]]:
    """(hour, value, register) of each interval."""
    return [
        (start // HOUR, None if value < 0 else value, register)
        for start, value, register in zip(
            made.start_s.tolist(), made.value.tolist(), made.register.tolist(), strict=True
        )
    ]


def made_of(*found: tuple[int, int] | tuple[int, int, int], tolerance_s: int = 60) -> Made:
    return intervals_of(reads(*found), DIAL, tolerance_s)


def test_a_poll_just_after_the_hour_stands_for_the_hour() -> None:
    made = made_of((TEN + 2, 1_000), (TEN + HOUR + 2, 1_500), (TEN + 2 * HOUR + 3, 1_700))
    assert as_rows(made) == [(9, None, 1_000), (10, 500, 1_500), (11, 200, 1_700)]
    assert made.cut == {}


def test_the_nearest_read_stands_for_the_hour() -> None:
    made = made_of((TEN - 5, 1_000), (TEN + 20, 1_010), (TEN + HOUR - 30, 1_490), (TEN + HOUR + 10, 1_500))
    assert as_rows(made) == [(9, None, 1_000), (10, 500, 1_500)]


def test_between_reads_a_quarter_of_the_interval_apart_the_line_is_taken() -> None:
    # Ten o'clock lies 300 s after the one and 600 s before the other: a third of the way from 1,000 to 1,090.
    made = made_of((TEN - 300, 1_000), (TEN + 600, 1_090), (TEN + HOUR, 1_500))
    assert as_rows(made) == [(9, None, 1_030), (10, 470, 1_500)]


def test_reads_further_apart_say_nothing_of_the_hour_between_them() -> None:
    made = made_of((TEN - 301, 1_000), (TEN + 600, 1_090), (TEN + HOUR, 1_500))
    assert as_rows(made) == [(10, None, 1_500)]


def test_an_hour_that_nobody_read_is_missing_and_the_register_goes_on() -> None:
    made = made_of((TEN, 1_000), (TEN + HOUR, 1_100), (TEN + 3 * HOUR, 1_900), (TEN + 4 * HOUR, 2_000))
    assert as_rows(made) == [(9, None, 1_000), (10, 100, 1_100), (12, None, 1_900), (13, 100, 2_000)]


def test_an_hours_end_is_not_known_before_something_is_read_after_it() -> None:
    assert as_rows(made_of((TEN, 1_000), (TEN + HOUR - 5, 1_500))) == [(9, None, 1_000)]


def test_a_dial_that_rolls_over() -> None:
    made = made_of((TEN, 999_800), (TEN + HOUR, 300), (TEN + 2 * HOUR, 400))
    assert as_rows(made) == [(9, None, 999_800), (10, 500, 300), (11, 100, 400)]
    assert made.cut == {}


def test_a_register_that_fell_further_than_it_can_roll_was_reset() -> None:
    made = made_of((TEN, 500_000), (TEN + HOUR, 500_100), (TEN + 2 * HOUR, 40), (TEN + 3 * HOUR, 90))
    assert as_rows(made) == [(9, None, 500_000), (10, 100, 500_100), (11, None, 40), (12, 50, 90)]
    assert made.cut == {2: "reset"}


def test_a_register_that_leapt_further_than_the_connection_carries() -> None:
    made = made_of((TEN, 1_000), (TEN + HOUR, 21_001))
    assert as_rows(made) == [(9, None, 1_000), (10, None, 21_001)]
    assert made.cut == {1: "jump"}


def test_another_serial_number_is_another_device_however_its_register_stands() -> None:
    made = made_of((TEN, 1_000, 7), (TEN + HOUR, 1_100, -1), (TEN + 2 * HOUR, 1_150, 8), (TEN + 3 * HOUR, 1_200, 8))
    assert as_rows(made) == [(9, None, 1_000), (10, 100, 1_100), (11, None, 1_150), (12, 50, 1_200)]
    assert made.cut == {2: "exchange"}


def test_an_hours_end_is_the_old_devices_though_the_new_one_counts_from_there() -> None:
    made = made_of((TEN, 1_000, 7), (TEN + HOUR, 1_100, 7), (TEN + HOUR + 30, 5, 8), (TEN + 2 * HOUR, 65, 8))
    assert as_rows(made) == [(9, None, 1_000), (10, 100, 1_100), (11, 60, 65)]
    assert made.cut == {2: "exchange"}


READS = st.lists(
    st.tuples(st.integers(1, 3 * HOUR), st.integers(0, 3)), min_size=2, max_size=40
)  # (seconds since the one before, register units a second)


@settings(max_examples=200)
@given(READS, st.integers(0, 10**6 - 1))
def test_what_is_made_adds_up_to_what_was_counted(steps: list[tuple[int, int]], initial: int) -> None:
    at_s, counted = np.cumsum([[0, 0]] + [[step, step * rate] for step, rate in steps], axis=0).T
    at_s = at_s + TEN
    made = intervals_of(RegisterReads(at_s, (initial + counted) % 10**6, np.full(len(at_s), -1)), DIAL, 0)
    assert made.cut == {}
    ends = made.start_s + HOUR
    # Straight lines between the reads: what the meter showed at each end, give or take the rounding.
    true = np.interp(ends, at_s, counted)
    shown = (made.register - initial) % 10**6
    assert (np.abs((shown - true + 5e5) % 10**6 - 5e5) <= 0.5).all()
    for before, after in pairwise(range(len(ends))):
        adjacent = ends[after] - ends[before] == HOUR
        assert (made.value[after] >= 0) == adjacent
        if adjacent:
            assert made.value[after] == (made.register[after] - made.register[before]) % 10**6


@settings(max_examples=200)
@given(READS, st.sets(st.integers(0, 39)))
def test_what_is_not_kept_is_not_missed(steps: list[tuple[int, int]], resets: set[int]) -> None:
    at_s, counted = np.cumsum([[0, 0]] + [[step, step * rate] for step, rate in steps], axis=0).T
    for place in resets:
        counted[place:] -= counted[place] if place < len(counted) else 0
    every = RegisterReads(at_s + TEN, counted % 10**6, np.full(len(at_s), -1))
    made = intervals_of(every, DIAL, 60)
    kept = made.kept
    again = intervals_of(RegisterReads(every.at_s[kept], every.register[kept], every.serial[kept]), DIAL, 60)
    assert as_rows(again) == as_rows(made)
    assert again.cut == made.cut


@pytest.mark.parametrize("only", [(TEN, 5), (TEN + 30, 5)])
def test_one_read_is_a_beginning(only: tuple[int, int]) -> None:
    assert as_rows(made_of(only)) == [(9, None, 5)]
