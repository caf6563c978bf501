"""Which TOU period an interval belongs to, and what a window is worth."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from headend.errors import CannotRate
from headend.reads.days import seconds
from headend.tariffs import BillingWindow, Events, Market, Use, codes_of, compile_calendar, rate_batch
from headend.tariffs.calendar import calendar_months, season_of
from headend.tariffs.format.times import Season

from .make import BERLIN, codes, energy, period, standing, tariff, tier


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


def season(name: str, *begins: str) -> dict[str, object]:
    return {"name": name, "label": name, "begins": list(begins)}


def hours_of(made, window: BillingWindow, interval_s: int = 3600, **keys) -> dict[str, list[int]]:
    """Intervals of a window by name of their period."""
    found = codes_of(made, window, interval_s, **keys)
    periods = made.schedule(keys.get("schedule"))
    return {each.name: np.flatnonzero(found == index).tolist() for index, each in enumerate(periods)}


@pytest.mark.parametrize(
    ("month", "day", "name"),
    [
        (1, 1, "winter"),
        (3, 14, "winter"),
        (3, 15, "shoulder"),
        (5, 31, "shoulder"),
        (6, 1, "summer"),
        (9, 30, "summer"),
        (10, 1, "shoulder"),
        (11, 9, "shoulder"),
        (11, 10, "winter"),
        (12, 31, "winter"),
    ],
)
def test_a_season_lasts_until_the_next_begins(month: int, day: int, name: str) -> None:
    year = season("winter", "11-10"), season("shoulder", "03-15", "10-01"), season("summer", "06-01")
    assert season_of(tuple(map(Season.model_validate, year)), month, day) == name


def test_without_seasons_there_is_none() -> None:
    assert season_of((), 7, 1) is None


def test_the_season_that_is_on_at_new_year_began_the_year_before() -> None:
    made = tariff(
        energy(tier({"cold": "1", "warm": "2"})),
        seasons=[season("winter", "12-15"), season("summer", "03-02")],
        periods=[period("cold", seasons=["winter"]), period("warm", seasons=["summer"])],
    )
    assert set(codes(made, BillingWindow(date(2025, 12, 13), date(2025, 12, 15), BERLIN))) == {1}
    assert set(codes(made, BillingWindow(date(2025, 12, 15), date(2026, 3, 2), BERLIN))) == {0}
    assert codes(made, BillingWindow(date(2024, 2, 28), date(2024, 3, 3), BERLIN)).tolist() == [0] * 72 + [1] * 24
    assert set(codes(made, day_of(date(2026, 3, 2)))) == {1}


def srp():
    """Salt River Project E-26: the price is the billing cycle's, the hours of the peak are the day's."""
    afternoon, winter_day = {"months": [5, 6, 7, 8, 9, 10]}, {"months": [11, 12, 1, 2, 3, 4]}
    peak = [
        {**afternoon, "days": ["weekday"], "hours": ["14:00-20:00"]},
        {**winter_day, "days": ["weekday"], "hours": ["05:00-09:00", "17:00-21:00"]},
    ]
    summer = [{**each, "seasons": ["summer_peak"]} for each in peak]
    return tariff(
        energy(tier({"july": "0.2566", "july_off": "0.0888", "on": "0.12", "off": "0.09"})),
        standing("20", "month"),
        currency="USD",
        clock="America/Phoenix",
        holidays={
            "country": "US",
            "observed": True,
            "only": [
                "New Year's Day",
                "Memorial Day",
                "Independence Day",
                "Labor Day",
                "Thanksgiving Day",
                "Christmas Day",
            ],
        },
        seasons=[season("summer", "05-01", "09-01"), season("summer_peak", "07-01"), season("winter", "11-01")],
        seasons_by="cycle",
        periods=[
            period("july", when=summer),
            period("july_off", seasons=["summer_peak"]),
            period("on", when=peak),
            period("off"),
        ],
    )


PHOENIX = ZoneInfo("America/Phoenix")


@pytest.mark.parametrize(
    ("day", "peak", "energy_lines"),
    [
        (date(2026, 7, 15), [14, 15, 16, 17, 18, 19], "3.14"),  # 6 × 0.2566 + 18 × 0.0888, as printed
        (date(2026, 7, 3), [], "2.13"),  # 4 July observed: 24 × 0.0888, as printed
        (date(2026, 7, 4), [], "2.13"),  # a Saturday
    ],
)
def test_srp_in_july(day: date, peak: list[int], energy_lines: str) -> None:
    window = day_of(day, PHOENIX)
    assert hours_of(srp(), window)["july"] == peak
    (bill,) = rate_batch(srp(), window, Use(3600, np.full((1, 24), 1000))).bills()
    assert str(sum(line.amount for line in bill.lines if line.kind == "energy")) == energy_lines


def test_srp_in_winter_has_two_windows() -> None:
    assert hours_of(srp(), day_of(date(2026, 1, 7), PHOENIX))["on"] == [5, 6, 7, 8, 17, 18, 19, 20]


def test_a_cycle_is_in_one_season_all_through() -> None:
    first, end = date(2026, 6, 29), date(2026, 7, 2)
    july = BillingWindow(first, end, PHOENIX)  # for the month of its last day
    assert hours_of(srp(), july)["july"] == [24 * day + hour for day in range(3) for hour in range(14, 20)]
    june = BillingWindow(first, end, PHOENIX, cycle=date(2026, 6, 1))
    found = hours_of(srp(), june)
    assert found["july"] == found["july_off"] == []
    assert found["on"] == hours_of(srp(), july)["july"]
    tail = june.within(date(2026, 7, 1), None)
    assert tail is not None
    assert hours_of(srp(), tail)["on"] == [14, 15, 16, 17, 18, 19]
    # The hours go by the date even where the price does not: April's cycle still runs on 1 May.
    april = BillingWindow(date(2026, 4, 30), date(2026, 5, 2), PHOENIX, cycle=date(2026, 4, 1))
    assert hours_of(srp(), april)["on"] == [5, 6, 7, 8, 17, 18, 19, 20, *range(24 + 14, 24 + 20)]


def test_a_period_holds_when_one_of_its_alternatives_does() -> None:
    made = tariff(
        energy(tier({"low": "1", "rest": "2"})),
        periods=[
            period(
                "low",
                when=[{"hours": ["01:00-04:00"]}, {"days": ["sunday"]}, {"months": [7], "hours": ["12:00-13:00"]}],
            ),
            period("rest"),
        ],
    )
    assert hours_of(made, day_of(date(2025, 1, 7)))["low"] == [1, 2, 3]
    assert hours_of(made, day_of(date(2025, 1, 5)))["rest"] == []
    assert hours_of(made, day_of(date(2025, 7, 8)))["low"] == [1, 2, 3, 12]


def test_holidays_that_a_period_takes_no_notice_of() -> None:
    def made(**keys):
        conditions = {"days": ["weekday"], "hours": ["07:00-09:00"], **keys}
        periods = [period("peak", **conditions), period("rest")]
        return tariff(energy(tier({"peak": "1", "rest": "2"})), periods=periods, holidays={"country": "DE"})

    thursday, sunday = day_of(date(2025, 5, 1)), day_of(date(2025, 5, 4))
    assert hours_of(made(), thursday)["peak"] == []
    assert hours_of(made(on_holidays="as_weekday"), thursday)["peak"] == [7, 8]
    assert hours_of(made(on_holidays="as_weekday"), sunday)["peak"] == []
    both = made(days=["sunday", "holiday"], on_holidays="as_weekday")
    assert hours_of(both, thursday)["peak"] == hours_of(both, sunday)["peak"] == [7, 8]
    assert hours_of(both, day_of(date(2025, 5, 2)))["peak"] == []


@pytest.mark.parametrize(
    ("rule", "free"),
    [
        ({"country": "DE"}, ["05-01", "05-29", "06-09"]),
        ({"country": "DE", "subdivision": "BW"}, ["05-01", "05-29", "06-09", "06-19"]),
        ({"country": "DE", "subdivision": "BW", "only": ["Corpus Christi", "Labor Day"]}, ["05-01", "06-19"]),
        ({"country": "DE", "only": ["Labor Day"], "dates": ["2025-05-02", "2026-05-04"]}, ["05-01", "05-02"]),
        ({"dates": ["2025-05-02", "2026-05-04"]}, ["05-02"]),
    ],
)
def test_which_days_are_holidays(rule: dict[str, object], free: list[str]) -> None:
    periods = [period("free", days=["holiday"]), period("rest")]
    made = tariff(energy(tier({"free": "1", "rest": "2"})), periods=periods, holidays=rule)
    window = BillingWindow(date(2025, 5, 1), date(2025, 7, 1), BERLIN)
    days = np.unique(np.array(hours_of(made, window)["free"]) // 24).tolist()
    assert [f"{date.fromordinal(window.first.toordinal() + day):%m-%d}" for day in days] == free


def test_an_estimated_holiday_is_known_by_its_name() -> None:
    # The library adds "(estimated)" to days that go by the moon and are not announced yet.
    made = tou(holidays={"country": "AE", "only": ["Eid al-Fitr"]})
    assert set(codes(made, day_of(date(2027, 3, 9), ZoneInfo("Asia/Dubai")))) == {FREE}
    assert set(codes(made, day_of(date(2027, 3, 10), ZoneInfo("Asia/Dubai")))) == {PEAK, REST}


def critical(**conditions):
    return tariff(
        energy(tier({"critical": "1", "peak": "0.3", "rest": "0.1"})),
        periods=[
            period("critical", event="cpp", **conditions),
            period("peak", days=["weekday"], hours=["17:00-21:00"]),
            period("rest"),
        ],
    )


def called(*spans: tuple[datetime, datetime]) -> Market:
    return Market(events={"cpp": Events("cpp", tuple((seconds(begin), seconds(end)) for begin, end in spans))})


def at(day: int, hour: int, minute: int = 0, month: int = 1) -> datetime:
    return datetime(2025, month, day, hour, minute, tzinfo=UTC)


def test_a_period_that_holds_while_an_event_lasts() -> None:
    tuesday = day_of(date(2025, 1, 7))  # one hour ahead of UTC
    found = hours_of(critical(), tuesday, market=called((at(7, 15), at(7, 18))))
    assert (found["critical"], found["peak"]) == ([16, 17, 18], [19, 20])
    assert hours_of(critical(), tuesday)["peak"] == [17, 18, 19, 20]
    other_day = called((at(8, 15), at(8, 18)), (at(9, 15), at(9, 18)))
    assert hours_of(critical(), tuesday, market=other_day)["critical"] == []


def test_an_event_and_a_condition_must_both_hold() -> None:
    made = critical(hours=["17:00-19:00"], days=["weekday"])
    week = BillingWindow(date(2025, 1, 10), date(2025, 1, 12), BERLIN)
    found = hours_of(made, week, market=called((at(10, 12), at(11, 20))))
    assert found["critical"] == [17, 18]


def test_an_interval_in_which_an_event_begins_is_not_in_it() -> None:
    tuesday, market = day_of(date(2025, 1, 7)), called((at(7, 11, 20), at(7, 12, 40)))
    assert hours_of(critical(), tuesday, market=market)["critical"] == [13]
    assert hours_of(critical(), tuesday, 1800, market=market)["critical"] == [25, 26, 27]


def test_an_event_through_the_night_of_a_clock_change() -> None:
    spring, market = day_of(date(2025, 3, 30)), called((at(30, 0, month=3), at(30, 2, month=3)))
    assert hours_of(critical(), spring, market=market)["critical"] == [1, 2]  # 01:00 and 03:00 by the clock
    autumn, market = day_of(date(2025, 10, 26)), called((at(26, 0, month=10), at(26, 2, month=10)))
    assert hours_of(critical(), autumn, market=market)["critical"] == [2, 3]  # twice 02:00


def test_two_lists_of_events() -> None:
    made = tariff(
        energy(tier({"critical": "1", "plus": "0", "rest": "0.1"})),
        periods=[period("critical", event="cpp"), period("plus", event="plus"), period("rest")],
    )
    spans = {"cpp": ((at(7, 10), at(7, 12)),), "plus": ((at(7, 11), at(7, 14)),)}
    events = {
        name: Events(name, tuple((seconds(begin), seconds(end)) for begin, end in its)) for name, its in spans.items()
    }
    found = hours_of(made, day_of(date(2025, 1, 7)), market=Market(events=events))
    assert (found["critical"], found["plus"]) == ([11, 12], [13, 14])


def test_a_schedule_beside_the_tariffs_own() -> None:
    made = tariff(
        energy(tier({"low": "1", "high": "2"}), schedule="grid"),
        schedules={"grid": [period("high", hours=["08:00-10:00"]), period("low")]},
    )
    assert hours_of(made, day_of(date(2025, 1, 7)), schedule="grid")["high"] == [8, 9]
    assert hours_of(made, day_of(date(2025, 1, 7)))["all"] == list(range(24))


def test_a_clock_of_a_fixed_offset_knows_no_summer() -> None:
    made = tariff(
        energy(tier({"noon": "1", "rest": "2"})),
        clock="+05:30",
        periods=[period("noon", hours=["12:00-13:00"]), period("rest")],
    )
    for day, half_hours in ((date(2025, 1, 7), [15, 16]), (date(2025, 7, 8), [17, 18])):  # 06:30 UTC
        assert hours_of(made, day_of(day), 1800)["noon"] == half_hours
    west = tariff(
        energy(tier({"noon": "1", "rest": "2"})),
        clock="-03:00",
        periods=[period("noon", hours=["12:00-13:00"]), period("rest")],
    )
    assert hours_of(west, day_of(date(2025, 1, 7)))["noon"] == [16]


def test_days_and_holidays_are_those_of_the_clock() -> None:
    # 1 May begins in Berlin at 22:00 UTC; by UTC the first two hours are still 30 April.
    found = hours_of(tou(clock="UTC"), day_of(date(2025, 5, 1)))
    assert (found["rest"], found["free"]) == ([0, 1], list(range(2, 24)))


def test_an_hour_in_no_period_is_named() -> None:
    made = tariff(energy(tier("1")), periods=[period("all")])
    night = made.periods[0].model_copy(update={"hours": ("00:00-06:00",)})
    with pytest.raises(CannotRate, match=r"^case has no period for the interval at 2025-01-07T05:00Z$"):
        codes_of(made.model_copy(update={"periods": (night,)}), day_of(date(2025, 1, 7)), 3600)


def test_a_calendar_is_shared_and_cannot_be_changed() -> None:
    first, again = codes(tou(), day_of(date(2025, 1, 7))), codes(tou(), day_of(date(2025, 1, 7)))
    assert first is again
    one, other = (codes_of(tou(), day_of(date(2025, 1, 7)), 3600) for _ in range(2))
    assert one is other
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


def test_a_year_can_have_a_part_for_every_day() -> None:
    seasons: dict[int, list[str]] = {}
    for day in range(365):
        seasons.setdefault(day % 100, []).append(f"{date(2025, 1, 1) + timedelta(days=day):%m-%d}")
    made = tariff(
        energy(tier({"early": "0.1", "late": "0.2"})),
        seasons=[{"name": f"s{each}", "label": "Season", "begins": begins} for each, begins in seasons.items()],
        periods=[period("early", seasons=[f"s{each}" for each in range(50)]), period("late")],
    )
    daily = codes(made, BillingWindow(date(2025, 1, 1), date(2026, 1, 1), UTC), 86_400)
    assert daily.tolist() == [day % 100 >= 50 for day in range(365)]
