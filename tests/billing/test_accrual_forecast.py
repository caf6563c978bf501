"""What running periods will have cost: what is expected of the rest, and the range around it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from benchmarks.accruals import tried
from headend.billing.accruals.accounts import cost_so_far
from headend.billing.accruals.accrual import Forecast
from headend.billing.accruals.forecast import Days, expected_rest, pattern_of, scaled_rest, share_off
from headend.billing.accruals.quantity import SO_FAR, TO_COME, Quantity
from headend.billing.metered import Metered
from headend.reads import Quality
from headend.reads.days import day_number, day_of
from tests.billing.town import IMPORT, Town

MONDAY = date(2026, 9, 28)
FOUR_WEEKS = 28
FROM_THE_BEGIN = np.zeros(1, dtype=np.int64)


def read_four_weeks(values: list[int], begins: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_], Days]:
    """One usage point, read for four weeks from a Monday on; days begin with these intervals."""
    use = np.array([values])
    present = np.ones(use.shape, dtype=np.bool_)
    present[:, begins[FOUR_WEEKS] :] = False
    return use, present, Days(MONDAY, begins, len(values))


def test_half_of_what_weeks_became_more_goes_on() -> None:
    """Days of 1000, 1100, 1200 and 1300 Wh in four weeks: 1150, and 100 more each week, in the middle of day 13.5.

    The Monday after is 14.5 days from there: 1150 + 50 × 14.5 ÷ 7 = 1253.57; so much more the later, to the Sunday's
    1150 + 50 × 20.5 ÷ 7 = 1296.43.
    """
    weeks = [1_000] * 7 + [1_100] * 7 + [1_200] * 7 + [1_300] * 7
    use, present, days = read_four_weeks([*weeks, *[0] * 7], np.arange(35))
    pattern = pattern_of(use, present, days, FOUR_WEEKS, FROM_THE_BEGIN)
    expected = expected_rest(use, present, days, range(FOUR_WEEKS, 35), pattern)
    assert expected.tolist() == [[1_254, 1_261, 1_268, 1_275, 1_282, 1_289, 1_296]]
    # Nothing was chance. The change over half of four weeks and half of one: 1.6 × 100 × 2.5 Wh on each of seven days.
    share = share_off(expected.sum(axis=1), np.array([7.0]), pattern)
    assert np.isclose(share[0], 2_800 / 8_925)
    low, high = (scaled_rest(expected, ~present[:, FOUR_WEEKS:], sign * share) for sign in (-1, 1))
    assert (low.sum(), high.sum()) == (8_925 - 2_800, 8_925 + 2_800)


def test_what_was_read_of_the_window_stays() -> None:
    """One day of the window is read already: it is neither expected nor scaled."""
    use, present, days = read_four_weeks([100] * 28 + [7, 0], np.arange(30))
    present[0, 28] = True
    pattern = pattern_of(use, present, days, FOUR_WEEKS, FROM_THE_BEGIN)
    expected = expected_rest(use, present, days, range(28, 30), pattern)
    assert expected.tolist() == [[7, 100]]
    assert scaled_rest(expected, ~present[:, 28:], np.array([0.5])).tolist() == [[7, 150]]


def test_day_of_25_hours_has_its_last_hour_twice() -> None:
    """And one of 23 hours lacks it: hours are 1 to 24 on every day."""
    hours = list(range(1, 25))
    lengths = np.array([24] * 28 + [25, 23])
    use, present, days = read_four_weeks([*hours * 28, *[0] * 48], np.cumsum(lengths) - lengths)
    pattern = pattern_of(use, present, days, FOUR_WEEKS, FROM_THE_BEGIN)
    expected = expected_rest(use, present, days, range(28, 30), pattern)
    assert expected.tolist() == [[*hours, 24, *hours[:23]]]


def test_weekday_that_was_never_read_is_like_any_day() -> None:
    """Three weeks of workdays, of 10 to 50 Wh: a Saturday is expected to be their mean, 30."""
    use, present, days = read_four_weeks([10, 20, 30, 40, 50, 0, 0] * 4 + [0] * 6, np.arange(34))
    present[0, [day for day in range(28) if day % 7 > 4 or day < 7]] = False
    pattern = pattern_of(use, present, days, FOUR_WEEKS, FROM_THE_BEGIN)
    assert pattern.known.tolist() == [True]
    assert expected_rest(use, present, days, range(28, 34), pattern).tolist() == [[10, 20, 30, 40, 50, 30]]


def test_high_is_much_used_and_little_fed_in() -> None:
    """Of two intervals of 8 Wh the second is not read: off by a quarter, it is 6 to 10."""
    missing = np.array([[False, True]])
    metered = Metered(np.array([[8, 0]]), np.where(missing, Quality.MISSING, Quality.RAW).astype(np.uint8))
    is_open = known = np.ones(1, dtype=np.bool_)
    quantity = Quantity(metered, missing, is_open, 1, np.array([[8, 8]]), known, np.array([0.25]))
    row = np.zeros(1, dtype=np.int64)
    assert quantity.values(row, SO_FAR).tolist() == [[8, 0]]
    assert quantity.values(row, TO_COME).tolist() == [[8, 6], [8, 8], [8, 10]]
    assert quantity.values(row, TO_COME, falls=True).tolist() == [[8, 10], [8, 8], [8, 6]]


def test_forecast_of_a_home_that_never_changes_is_its_statement(flat: Town) -> None:
    """500 Wh every hour, four weeks long; read up to the 21st."""
    flat.reads("E-1", first=date(2026, 9, 1))
    nothing = {"value": 0, "quality": Quality.MISSING, "last": date(2026, 11, 1)}
    flat.reads("E-1", first=date(2026, 10, 21), **nothing)
    accrual = cost_so_far(flat.office, "Ada", datetime(2026, 10, 21, 9, tzinfo=UTC))
    assert accrual.forecast == Forecast(Decimal("154.85"), Decimal("154.85"), Decimal("154.85"))
    (segment,) = accrual.segments
    assert (len(segment.daily), len(segment.expected)) == (21, 31)
    # The clock goes back on the 25th.
    assert segment.expected[24] == 12_500
    assert sum(segment.expected) == 372_500


def test_forecast_knows_weekdays_and_keeps_peaks(town: Town) -> None:
    """12 kWh on workdays, all of it at noon, and nothing on weekends: demand of the days to come is 12 kW again."""
    town.account("Ada", {"tariff": "demand"})
    town.meter("E-1", "Ada", IMPORT)
    noon = [12_000 if hour == 12 else 0 for hour in range(24)]
    for day in range(day_number(date(2026, 9, 1)), day_number(date(2026, 9, 30)) + 1):
        works = day_of(day).weekday() < 5
        town.reads("E-1", noon if works else 0, first=day_of(day), last=day_of(day))
    town.reads("E-1", 0, first=date(2026, 10, 1), last=date(2026, 10, 1))
    accrual = cost_so_far(town.office, "Ada", datetime(2026, 10, 1, 1, tzinfo=UTC))
    assert accrual.segments[0].expected[2:5] == (0, 0, 12_000)
    assert accrual.forecast is not None
    # Two tariff versions: 10 of 31 days at 10, and 21 at 12, of 12 kW.
    assert accrual.forecast.expected == (Decimal(10 * 10 * 12) / 31 + Decimal(21 * 12 * 12) / 31).quantize(
        Decimal("0.01")
    )


def test_no_forecast_from_less_than_two_weeks_or_from_who_lived_there_before(town: Town) -> None:
    town.account("Ada", {"tariff": "flat", "valid_from": "2026-10-12"})
    town.meter("E-1", "Ada", IMPORT)
    town.reads("E-1", first=date(2026, 9, 1), last=date(2026, 10, 20))
    accrual = cost_so_far(town.office, "Ada", datetime(2026, 10, 21, 9, tzinfo=UTC))
    assert accrual.forecast is None
    assert "fewer than 14 of the last 28 days" in accrual.no_forecast
    assert accrual.amount is not None


def test_range_holds_most_statements_of_simulated_homes() -> None:
    """Ten days before the end of each month of a year, 40 homes of each kind: near eight of ten, as is said."""
    told = tried(homes=40, left=10)
    for inside in ({kind: its.use for kind, its in told.items()}, {kind: its.bills for kind, its in told.items()}):
        assert all(0.7 <= share <= 0.95 for share in inside.values()), inside
        assert 0.75 <= sum(inside.values()) / len(inside) <= 0.9, inside
