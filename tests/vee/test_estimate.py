"""Estimators: whole units in and out, nothing lost; and how near they come on real reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import estimation
from benchmarks.estimation import Accuracy, Meter
from headend.reads.days import seconds
from headend.vee.daytypes import DayTypes, day_types
from headend.vee.estimate import Guess, Habit, bent, expected, linear, spread

HABIT = Habit(like_days=2, look_back_days=28, half_life_h=1)


def days_of(*days: list[int]) -> tuple[np.ndarray, DayTypes]:
    """Days of a few intervals each, all of one type; as if a day had no more of them."""
    slot = np.concatenate([np.arange(len(day)) for day in days])
    return np.concatenate([np.array(day) for day in days]), DayTypes(slot, np.zeros(len(slot), dtype=np.int64))


def hours(start: datetime, count: int, zone: str, country: str = "") -> DayTypes:
    return day_types(seconds(start), count, 3600, ZoneInfo(zone), country)


def every(values: np.ndarray, *but: int) -> np.ndarray:
    chosen = np.ones(len(values), dtype=np.bool_)
    chosen[list(but)] = False
    return chosen


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


# -- like days --


def test_two_days_before_and_two_after_make_the_mean() -> None:
    values, calendar = days_of([9000], [10], [20], [0], [30], [44], [9000])
    guess = expected(values, every(values), calendar, np.array([3]), HABIT, 3600)
    assert guess.values.tolist() == [26]
    assert (guess.first, guess.last) == (1, 5)


def test_what_is_not_usable_is_passed_over_and_further_days_are_taken() -> None:
    values, calendar = days_of([40], [10], [9000], [0], [30], [9000], [44])
    guess = expected(values, every(values, 2, 5), calendar, np.array([3]), HABIT, 3600)
    assert guess.values.tolist() == [31]  # of 40, 10, 30 and 44
    assert (guess.first, guess.last) == (0, 6)


def test_a_gap_of_yesterday_rests_on_the_days_before_and_waits_for_those_after() -> None:
    values, calendar = days_of([10], [20], [0])
    guess = expected(values, every(values, 2), calendar, np.array([2]), HABIT, 86_400)
    assert guess.values.tolist() == [15]
    assert (guess.first, guess.last) == (0, 2 + 28)


def test_days_further_off_than_one_may_look_are_none() -> None:
    near = Habit(like_days=2, look_back_days=1, half_life_h=1)
    values, calendar = days_of([10], [20], [0], [30], [40])
    guess = expected(values, every(values), calendar, np.array([2]), near, 86_400)
    assert guess.values.tolist() == [25]
    guess = expected(values, every(values, 1, 3), calendar, np.array([2]), near, 86_400)
    assert (guess.values.tolist(), guess.known.tolist()) == ([0], [False])
    assert (guess.first, guess.last) == (1, 3)


def test_a_trickle_is_not_rounded_away() -> None:
    values, calendar = days_of([1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0])
    third = Habit(like_days=3, look_back_days=28, half_life_h=1)
    at = np.arange(12, 18)
    # Means of a half, a half, nothing, a half, a half, nothing.
    assert expected(values, every(values), calendar, at, third, 86_400).values.tolist() == [1, 0, 0, 1, 0, 0]


def test_holidays_are_estimated_from_weekends() -> None:
    # Use is 500 on working days and 100 on free days. Good Friday 2026 is 3 April.
    start = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
    calendar = hours(start, 28 * 24, "UTC", "DE")
    weekday = np.arange(28 * 24) // 24 % 7
    values = np.where(weekday >= 5, 100, 500)
    friday = np.arange(24) + (datetime(2026, 3, 27, tzinfo=UTC) - start).days * 24
    assert expected(values, every(values), calendar, friday, HABIT, 3600).values.tolist() == [500] * 24
    start = datetime(2026, 3, 9, tzinfo=UTC)
    calendar = hours(start, 28 * 24, "UTC", "DE")
    friday = np.arange(24) + (datetime(2026, 4, 3, tzinfo=UTC) - start).days * 24
    assert expected(values, every(values), calendar, friday, HABIT, 3600).values.tolist() == [100] * 24


@pytest.mark.parametrize(
    ("zone", "day", "hours_of_day"),
    [
        ("Europe/Berlin", datetime(2026, 3, 29, tzinfo=UTC), 23),
        ("Europe/Berlin", datetime(2026, 10, 25, tzinfo=UTC), 25),
        ("Asia/Kolkata", datetime(2026, 10, 25, tzinfo=UTC), 24),
        ("Australia/Lord_Howe", datetime(2026, 4, 5, tzinfo=UTC), 25),
        ("Australia/Lord_Howe", datetime(2026, 10, 4, tzinfo=UTC), 23),
    ],
)
def test_habit_is_of_local_time_across_a_change_of_clocks(zone: str, day: datetime, hours_of_day: int) -> None:
    """Who cooks at seven cooks at seven after the change, too."""
    local = day.replace(tzinfo=ZoneInfo(zone))
    first, last = (moment.astimezone(UTC) for moment in (local - timedelta(days=14), local + timedelta(days=14)))
    start = first.replace(minute=0)
    count = round((last - start) / timedelta(hours=1))
    stamps = [(start + k * timedelta(hours=1)).astimezone(ZoneInfo(zone)) for k in range(count)]
    values = np.array([100 + 10 * stamp.hour for stamp in stamps])
    at = np.array([k for k, stamp in enumerate(stamps) if stamp.date() == local.date()])
    assert abs(len(at) - hours_of_day) <= (zone == "Australia/Lord_Howe")  # half an hour more, or less
    calendar = hours(start, count, zone)
    for guess in (
        expected(values, every(values), calendar, at, HABIT, 3600),
        bent(values, every(values), every(values), calendar, at, HABIT, 3600),
    ):
        assert guess.values.tolist() == values[at].tolist()
        assert guess.known.all()


# -- bent to the ends --


def test_where_habit_is_flat_and_nothing_fades_the_estimate_is_the_line_between_the_ends() -> None:
    values, calendar = days_of([50] * 8, [10, 0, 0, 0, 0, 60, 50, 50], [50] * 8)
    patient = Habit(like_days=1, look_back_days=28, half_life_h=1e6)
    guess = bent(values, every(values), every(values), calendar, np.array([9, 10, 11, 12]), patient, 3600)
    assert guess.values.tolist() == linear(10, 60, 4).tolist() == [20, 30, 40, 50]


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 24))
def test_a_flat_habit_and_the_line_between_ends_agree_at_any_height(usual: int, a: int, b: int, length: int) -> None:
    values = np.array([usual] * 72)
    at = np.arange(24, 24 + length)
    values[at[0] - 1], values[at[-1] + 1] = a, b
    good = every(values, *at.tolist())
    # The ends' own like days must be of the usual kind, too.
    usable = good & (values == usual)
    guess = bent(
        values, good, usable, DayTypes(np.arange(72) % 24, np.zeros(72, np.int64)), at, Habit(1, 28, 1e9), 3600
    )
    if usual == 0:
        assert guess.values.tolist() == [0] * length
    else:
        exact = [a + Fraction((b - a) * (k + 1), length + 1) for k in range(length)]
        totals = [sum(exact[: k + 1]) for k in range(length)]
        for found, total in zip(guess.values.cumsum().tolist(), totals, strict=True):
            assert abs(found - total) <= Fraction(1, 2) + Fraction(1, 100)


def test_what_an_end_says_halves_with_each_half_life() -> None:
    # After the gap nothing has come yet: 800 more than habit at its end fade to 400, 200, 100.
    values, calendar = days_of([100] * 4, [100] * 4, [900, 0, 0, 0])
    at = np.array([9, 10, 11])
    guess = bent(values, every(values), every(values), calendar, at, Habit(2, 28, 1), 3600)
    assert guess.values.tolist() == [500, 300, 200]
    # In half hours the same, with twice as many intervals to a half-life: 800/√2, 400, 400/√2.
    guess = bent(values, every(values), every(values), calendar, at, Habit(2, 28, 1), 1800)
    assert guess.values.tolist() == [666, 500, 383]  # 665.7, 500, 382.8, rounding carried on


def test_between_two_ends_both_speak() -> None:
    # Half-life of an hour, a gap of one: sinh(ln 2) / sinh(2 ln 2) = 0.75 / 1.875 = 0.4 of each.
    values, calendar = days_of([100, 100, 100, 100], [600, 0, 200, 100])
    guess = bent(values, every(values), every(values), calendar, np.array([5]), HABIT, 3600)
    assert guess.values.tolist() == [100 + 200 + 40]


def test_deep_in_a_long_gap_there_is_only_habit() -> None:
    day = list(range(100, 124))
    values, calendar = days_of(day, day, [9000] * 24, [0] * 24, [0] * 24, [0] * 24, [9000] * 24, day, day)
    at = np.arange(72, 144)
    guess = bent(values, every(values), every(values, *range(48, 168)), calendar, at, HABIT, 3600)
    assert guess.values[24:48].tolist() == day
    assert guess.values[0] > 4000
    assert guess.values[-1] > 4000


def test_an_end_without_like_days_of_its_own_bends_nothing() -> None:
    values, calendar = days_of([100, 100, 100], [100, 0, 900], [100, 100, 100])
    good = every(values)
    guess = bent(values, good, every(values, 2, 8), calendar, np.array([4]), HABIT, 3600)
    assert guess.values.tolist() == [100]


def test_a_guess_rests_on_the_like_days_of_the_ends_too() -> None:
    # The gap needs no more than the days next to it; of its ends one day on each side is not usable.
    values, calendar = days_of(*[[100, 100, 100]] * 7)
    at, one = np.array([10]), Habit(1, 28, 1)
    good, usable = every(values, 10), every(values, 6, 14)
    assert expected(values, usable, calendar, at, one, 28_800).first == 7
    guess = bent(values, good, usable, calendar, at, one, 28_800)
    assert (guess.first, guess.last) == (3, 17)
    # With nothing at the ends their like days are not asked.
    guess = bent(values, every(values, 9, 10, 11), usable, calendar, at, one, 28_800)
    assert (guess.first, guess.last) == (7, 13)


def test_intervals_of_the_gap_are_no_reference_for_each_other() -> None:
    values, calendar = days_of([100], [9000], [9000], [200])
    at, good = np.array([1, 2]), every(values)
    assert expected(values, good, calendar, at, HABIT, 86_400).values.tolist() == [150, 150]
    held = bent(values, good, good, calendar, at, Habit(2, 28, 1), 86_400)
    assert held.values.tolist() == [150, 150]


def test_two_runs_have_their_own_ends() -> None:
    values, calendar = days_of([100] * 8, [100, 500, 0, 100, 100, 0, 900, 100])
    guess = bent(values, every(values), every(values), calendar, np.array([10, 13]), HABIT, 3600)
    assert guess.values.tolist() == [100 + 160, 100 + 320]


def test_no_end_and_no_like_day_is_said() -> None:
    values, calendar = days_of([7, 0, 0])
    good = every(values, 0)
    guess = bent(values, good, good, calendar, np.array([1, 2]), HABIT, 3600)
    assert (guess.values.tolist(), guess.known.tolist()) == ([0, 0], [False, False])


def test_without_like_days_the_ends_are_all_there_is() -> None:
    values, calendar = days_of([10, 0, 0, 40, 0, 0])
    good = every(values)
    guess = bent(values, good, good, calendar, np.array([1, 2, 4, 5]), HABIT, 3600)
    assert (guess.values.tolist(), guess.known.all()) == ([20, 30, 40, 40], True)


def test_there_is_no_sun_at_night_whatever_the_ends_say() -> None:
    night = [0, 0, 0, 0, 0, 0, 800, 2000, 3000, 2000, 900, 0]
    values, calendar = days_of(night, night, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7], night, night)
    values[24], values[35] = 3000, 500  # a bright end on both sides where no day has ever had one
    at = np.arange(25, 35)
    guess = bent(values, every(values), every(values, 24, 35), calendar, at, Habit(2, 28, 24), 3600)
    assert guess.values[:5].tolist() == [0] * 5
    assert guess.values[5:].min() > 800


def test_an_end_may_be_of_a_day_with_an_outage_though_its_day_is_no_reference() -> None:
    values, calendar = days_of([100] * 3, [100] * 3, [100, 0, 600])
    good = every(values, 7)
    usable = good & (np.arange(9) < 6)
    guess = bent(values, good, usable, calendar, np.array([7]), HABIT, 3600)
    assert guess.values.tolist() == [300]


ROWS = st.lists(st.tuples(st.integers(0, 10**6) | st.just(0), st.booleans(), st.booleans()), min_size=12, max_size=60)


def row_of(row: list[tuple[int, bool, bool]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, DayTypes]:
    values = np.array([value for value, _, _ in row])
    good = np.array([good for _, good, _ in row])
    usable = good & np.array([usable for _, _, usable in row])
    column = np.arange(len(row))
    return values, good, usable, DayTypes(column % 4, column // 4 % 3 // 2)


@given(ROWS, st.sets(st.integers(0, 11), min_size=1), st.integers(1, 4), st.floats(0.01, 1e4))
def test_never_negative_and_zero_only_for_a_reason(
    row: list[tuple[int, bool, bool]], gap: set[int], days: int, half_life_h: float
) -> None:
    values, good, usable, calendar = row_of(row)
    at = np.array(sorted(gap))
    guess = bent(values, good, usable, calendar, at, Habit(days, 28, half_life_h), 21_600)
    assert (guess.values >= 0).all()
    assert not guess.values[~guess.known].any()
    highest = values[good].max(initial=0)
    # Between its ends and habit, twice over at most: habit as high as any, and an end as far above its own.
    assert guess.values.max() <= 2 * highest + 1


@given(ROWS, st.sets(st.integers(0, 11), min_size=1), st.integers(1, 3), st.data())
def test_nothing_outside_what_was_consulted_matters(
    row: list[tuple[int, bool, bool]], gap: set[int], days: int, data: st.DataObject
) -> None:
    values, good, usable, calendar = row_of(row)
    at = np.array(sorted(gap))
    habit = Habit(days, 5, 6)

    def guess_and_bounds() -> list[Guess]:
        return [
            expected(values, usable, calendar, at, habit, 21_600),
            bent(values, good, usable, calendar, at, habit, 21_600),
        ]

    for number, was in enumerate(guess_and_bounds()):
        outside = [column for column in range(len(values)) if not was.first <= column <= was.last]
        stood = values.copy(), good.copy(), usable.copy()
        for column in outside:
            values[column] = data.draw(st.integers(0, 10**6))
            good[column] = data.draw(st.booleans())
            usable[column] = good[column] and data.draw(st.booleans())
        found = guess_and_bounds()[number]
        assert found.values.tolist() == was.values.tolist()
        assert found.known.tolist() == was.known.tolist()
        assert (found.first, found.last) == (was.first, was.last)
        values[:], good[:], usable[:] = stood


# -- on real reads: 400 gaps of each length, planted with a seed in the half that no parameter was chosen on --


@cache
def meter(name: str) -> Meter:
    if name == "home":
        return estimation.london_home()
    return estimation.building(name, 2016 if name == "b0" else 2019)


@cache
def accuracy(name: str, length: int, method: str) -> Accuracy:
    return estimation.measure(meter(name), length, 400, estimation.METHODS[method])


def test_a_day_of_a_home_with_its_register() -> None:
    found = accuracy("home", 24, "ours, register")
    assert found.wape <= 38
    assert found.bill_mean <= 0.25
    assert found.bill_p95 <= 0.75
    assert found.total == 0


@pytest.mark.parametrize("length", estimation.GAPS)
@pytest.mark.parametrize(
    ("method", "name"),
    [
        *(("ours, later", name) for name in ("home", "b0", "b13", "b101")),
        # With the past alone it is a draw of line and ours where two hours of b101 are missing: 2.1 % either way.
        *(("ours, next morning", name) for name in ("home", "b0", "b13")),
    ],
)
def test_without_a_register_better_than_a_line_and_than_three_like_days(method: str, name: str, length: int) -> None:
    found = accuracy(name, length, method).wape
    assert found < accuracy(name, length, "line between the ends").wape
    assert found < accuracy(name, length, "3 like days").wape


@pytest.mark.parametrize(("length", "line", "three"), [(1, 33, 45), (3, 39, 41), (24, 66, 44), (168, 70, 47)])
def test_what_is_compared_with_is_as_good_as_it_should_be(length: int, line: float, three: float) -> None:
    assert accuracy("home", length, "line between the ends").wape == pytest.approx(line, abs=1)
    assert accuracy("home", length, "3 like days").wape == pytest.approx(three, abs=1)


def test_the_total_of_a_long_gap_is_not_pulled_one_way() -> None:
    # A week of a home, guessed a hundred times: what is too much and what is too little about cancel out.
    home = meter("home")
    real = guessed = 0
    for begin in home.planted(168, 100):
        gap = estimation.Gap.of(home, begin, 168)
        guessed += int(estimation.ours(gap, 0).sum())
        real += int(home.values[begin : begin + 168].sum())
    assert guessed == pytest.approx(real, rel=0.05)
