"""Local days and months, where they are not 24 hours long."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.errors import InvalidInput
from headend.reads.days import (
    Period,
    day_number,
    day_of,
    local_seconds,
    midnight,
    moment,
    previous_month,
    seconds,
    zone_named,
)

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Europe/Berlin", date(2026, 6, 1), 24),
        ("America/New_York", date(2026, 3, 8), 23),
        ("America/New_York", date(2026, 11, 1), 25),
        ("Australia/Lord_Howe", date(2026, 10, 4), 23.5),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("Australia/Brisbane", date(2026, 10, 4), 24),
        ("Africa/Cairo", date(2026, 4, 24), 23),  # the hour that is left out begins at midnight
        ("America/Havana", date(2026, 11, 1), 25),  # midnight to one comes twice
    ],
)
def test_hours_in_a_day(zone: str, day: date, hours: float) -> None:
    assert Period(day, day + timedelta(days=1), ZoneInfo(zone)).intervals(1800) == hours * 2


def test_midnight_in_berlin_is_22_or_23_utc() -> None:
    assert midnight(date(2026, 1, 1), BERLIN) == datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert midnight(date(2026, 7, 1), BERLIN) == datetime(2026, 6, 30, 22, tzinfo=UTC)


def test_day_numbers() -> None:
    assert day_number(date(1970, 1, 1)) == 0
    assert day_number(date(2000, 3, 1)) == 11_017
    assert day_of(11_017) == date(2000, 3, 1)
    assert seconds(moment(1_767_225_600)) == 1_767_225_600
    assert moment(1_767_225_600) == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "days", "hours"),
    [("2026-03", 31, 743), ("2026-10", 31, 745), ("2026-02", 28, 672), ("2024-02", 29, 696), ("2026-12", 31, 744)],
)
def test_months_in_berlin(text: str, days: int, hours: int) -> None:
    month = Period.month(text, BERLIN)
    assert (month.days, month.intervals(3600), month.intervals(900)) == (days, hours, 4 * hours)
    assert month.first.isoformat() == f"{text}-01"


@pytest.mark.parametrize(
    "text", ["2026-1", "2026-13", "2026-00", "26-01", "2026", "", "2026-01-01",
    "２０２６-01", "9999-12", "0001-01", "2026-01 "]
)  # fmt: skip
def test_a_month_has_one_spelling(text: str) -> None:
    # It is part of the key of a bill cycle: were 2026-1 a month, January could be billed twice.
    with pytest.raises(InvalidInput, match=r"^period: found .*, expected a month such as 2026-10$"):
        Period.month(text, BERLIN)


@given(st.dates(date(1970, 2, 1), date(2998, 12, 31)))
def test_the_previous_month_ends_where_this_one_begins(day: date) -> None:
    before, this = Period.month(previous_month(day), BERLIN), Period.month(day.isoformat()[:7], BERLIN)
    assert before.end == this.first <= day < this.end


def test_part_of_a_period() -> None:
    month = Period.month("2026-10", BERLIN)
    assert month.within(date(2026, 1, 1), None) == month
    assert month.within(date(2026, 10, 5), date(2026, 10, 8)) == Period(date(2026, 10, 5), date(2026, 10, 8), BERLIN)
    assert month.within(date(2026, 10, 31), date(2027, 1, 1)) == Period(date(2026, 10, 31), date(2026, 11, 1), BERLIN)
    assert month.within(date(2026, 11, 1), None) is None
    assert month.within(date(2026, 1, 1), date(2026, 10, 1)) is None


DAYS = st.dates(date(2020, 1, 1), date(2030, 1, 1))


@given(DAYS, DAYS, DAYS, st.none() | DAYS)
def test_within_is_the_intersection_of_days(first: date, end: date, lower: date, upper: date | None) -> None:
    part = Period(first, end, BERLIN).within(lower, upper)
    wanted = {
        day
        for n in range((end - first).days)
        if lower <= (day := first + timedelta(n)) and (upper is None or day < upper)
    }
    found = {part.first + timedelta(n) for n in range(part.days)} if part else set()
    assert found == wanted


@given(
    hour=st.integers(0, 2**31 // 3600 - 200),
    zone=st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Asia/Kolkata", "UTC",
         "America/St_Johns", "Africa/Casablanca", "Pacific/Chatham"]
    ),
    interval_s=st.sampled_from([900, 1800, 3600]),
    n=st.integers(0, 100),
)  # fmt: skip
def test_local_wall_clock_is_the_zones(hour: int, zone: str, interval_s: int, n: int) -> None:
    # Since 2012 every zone shifts on a half hour.
    start_s = 1_325_376_000 + hour % 350_000 * 3600
    found = local_seconds(start_s, n, interval_s, ZoneInfo(zone))
    wall = [datetime.fromtimestamp(start_s + i * interval_s, tz=ZoneInfo(zone)).replace(tzinfo=UTC) for i in range(n)]
    assert found.tolist() == [int(w.timestamp()) for w in wall]


@pytest.mark.parametrize("name", ["", "Berlin", "Europe", "../etc/passwd", "/etc/passwd", "a\0b", "x" * 300])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"^timezone: found "):
        zone_named(name)
