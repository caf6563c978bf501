"""Which TOU period an interval belongs to, and what a window is worth."""

from __future__ import annotations

from datetime import UTC, date, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from headend.errors import CannotRate
from headend.tariffs import BillingWindow, compile_calendar
from headend.tariffs.calendar import calendar_months

from .make import BERLIN, codes, energy, period, tariff, tier


def tou(**header):
    names = {"peak": "0.3", "free": "0.1", "rest": "0.2"}
    periods = [
        period("free", days=["holiday", "sunday"]),
        period("peak", days=["weekday"], hours=["07:00-09:30"]),
        period("rest"),
    ]
    return tariff(energy(tier(names)), periods=periods, **{"holidays": {"country": "DE"}, **header})


FREE, PEAK, REST = 0, 1, 2


def day_of(day: date, zone: ZoneInfo = BERLIN) -> BillingWindow:
    return BillingWindow(day, date.fromordinal(day.toordinal() + 1), zone)


def test_a_working_day_in_quarter_hours() -> None:
    found = codes(tou(), day_of(date(2025, 1, 7)), 900).tolist()
    assert found == [REST] * 28 + [PEAK] * 10 + [REST] * 58


def test_a_holiday_is_not_its_weekday() -> None:
    assert set(codes(tou(), day_of(date(2025, 5, 1)))) == {FREE}  # a Thursday
    assert set(codes(tou(), day_of(date(2025, 10, 3)))) == {FREE}


def test_days_of_the_clock_change_have_23_and_25_hours() -> None:
    spring, autumn = date(2025, 3, 30), date(2025, 10, 26)  # Sundays
    assert len(codes(tou(), day_of(spring))) == 23
    assert len(codes(tou(), day_of(autumn))) == 25
    monday = BillingWindow(spring, date(2025, 4, 1), BERLIN)
    assert codes(tou(), monday).tolist() == [FREE] * 23 + [REST] * 7 + [PEAK] * 3 + [REST] * 14
    monday = BillingWindow(autumn, date(2025, 10, 28), BERLIN)
    assert codes(tou(), monday).tolist() == [FREE] * 25 + [REST] * 7 + [PEAK] * 3 + [REST] * 14


def test_the_hour_before_and_after_a_clock_change() -> None:
    nights = tariff(
        energy(tier({"two": "1", "rest": "0"})),
        periods=[period("two", hours=["02:00-03:00"]), period("rest")],
    )
    spring = codes(nights, day_of(date(2025, 3, 30))).tolist()  # there is no hour from two to three
    assert spring == [1] * 23
    autumn = codes(nights, day_of(date(2025, 10, 26))).tolist()  # there are two
    assert autumn == [1, 1, 0, 0] + [1] * 21


def test_half_hour_zone_and_half_hour_clock_change() -> None:
    kolkata = day_of(date(2025, 1, 7), ZoneInfo("Asia/Kolkata"))
    assert kolkata.start_utc == datetime(2025, 1, 6, 18, 30, tzinfo=UTC)
    assert codes(tou(), kolkata, 1800).tolist() == [REST] * 14 + [PEAK] * 5 + [REST] * 29
    lord_howe = ZoneInfo("Australia/Lord_Howe")
    assert len(codes(tou(), day_of(date(2025, 4, 6), lord_howe), 1800)) == 49
    assert len(codes(tou(), day_of(date(2025, 10, 5), lord_howe), 1800)) == 47
    with pytest.raises(CannotRate, match="intervals of 3600 s do not fill 2025-04-06 up to 2025-04-07"):
        codes(tou(), day_of(date(2025, 4, 6), lord_howe), 3600)


def test_the_tariffs_clock_goes_before_the_usage_points() -> None:
    winter = day_of(date(2025, 1, 7))  # begins at 23:00 UTC
    assert codes(tou(clock="UTC"), winter, 1800).tolist() == [REST] * 16 + [PEAK] * 5 + [REST] * 27
    assert codes(tou(clock="Europe/London"), winter, 1800).tolist() == [REST] * 16 + [PEAK] * 5 + [REST] * 27


def test_hours_wrap_over_midnight_and_count_for_the_day_they_are_in() -> None:
    nights = tariff(
        energy(tier({"night": "1", "rest": "0"})),
        periods=[period("night", days=["saturday"], hours=["22:00-06:00"]), period("rest")],
    )
    weekend = BillingWindow(date(2025, 1, 4), date(2025, 1, 6), BERLIN)
    assert codes(nights, weekend).tolist() == [0] * 6 + [1] * 16 + [0] * 2 + [1] * 24


def test_months_across_new_year_and_holidays_of_both_years() -> None:
    window = BillingWindow(date(2025, 12, 31), date(2026, 1, 2), BERLIN)
    assert codes(tou(), window).tolist() == [REST] * 7 + [PEAK] * 3 + [REST] * 14 + [FREE] * 24


def test_observed_holiday_in_the_year_before() -> None:
    observed = tou(holidays={"country": "US", "observed": True})
    actual = tou(holidays={"country": "US", "observed": False})
    friday = day_of(date(2021, 12, 31), ZoneInfo("America/New_York"))  # 1 January 2022 is a Saturday
    assert set(codes(observed, friday)) == {FREE}
    assert set(codes(actual, friday)) == {REST, PEAK}


def test_an_interval_belongs_to_the_period_in_which_it_begins() -> None:
    found = compile_calendar(tou(), BERLIN, datetime(2025, 1, 7, 5, tzinfo=UTC), 6, 3600)
    assert found.tolist() == [REST, PEAK, PEAK, PEAK, REST, REST]  # 09:00 to 10:00 begins before 09:30


def test_a_calendar_is_shared_and_cannot_be_changed() -> None:
    first, again = codes(tou(), day_of(date(2025, 1, 7))), codes(tou(), day_of(date(2025, 1, 7)))
    assert first is again
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1


@pytest.mark.parametrize(
    ("first", "end", "months"),
    [
        (date(2025, 2, 1), date(2025, 3, 1), Fraction(1)),
        (date(2025, 1, 1), date(2026, 1, 1), Fraction(12)),
        (date(2025, 1, 18), date(2025, 2, 1), Fraction(14, 31)),
        (date(2025, 1, 30), date(2025, 2, 4), Fraction(2, 31) + Fraction(3, 28)),
    ],
)
def test_months_by_the_calendar(first: date, end: date, months: Fraction) -> None:
    assert calendar_months(first, end) == months
    assert BillingWindow(first, end, BERLIN).months_worth == months


def test_a_window_without_days() -> None:
    with pytest.raises(CannotRate, match="2025-02-01 up to 2025-02-01 has no days"):
        BillingWindow(date(2025, 2, 1), date(2025, 2, 1), BERLIN)
