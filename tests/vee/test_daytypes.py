"""Which day is like which."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from headend.reads.days import seconds
from headend.vee.daytypes import day_types

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("noon", "country", "kind"),
    [
        (datetime(2026, 2, 6, 11, tzinfo=UTC), "DE", 0),
        (datetime(2026, 2, 7, 11, tzinfo=UTC), "DE", 1),
        (datetime(2026, 2, 8, 11, tzinfo=UTC), "DE", 1),
        (datetime(2026, 2, 9, 11, tzinfo=UTC), "DE", 0),
        (datetime(2026, 4, 3, 11, tzinfo=UTC), "DE", 1),  # Good Friday
        (datetime(2026, 4, 3, 11, tzinfo=UTC), "", 0),
        (datetime(2026, 1, 6, 11, tzinfo=UTC), "DE", 0),  # Epiphany is Bavarian
        (datetime(2026, 1, 6, 11, tzinfo=UTC), "DE-BY", 1),
        (datetime(2026, 2, 6, 23, 30, tzinfo=UTC), "DE", 1),  # past midnight in Berlin: Saturday
        (datetime(2026, 2, 6, 11, tzinfo=UTC), "SA", 1),  # a weekend of Friday and Saturday
        (datetime(2026, 2, 8, 11, tzinfo=UTC), "SA", 0),
    ],
)
def test_kinds_of_day(noon: datetime, country: str, kind: int) -> None:
    assert day_types(seconds(noon), 1, 1800, BERLIN, country).kind.tolist() == [kind]


def test_a_holiday_at_new_year_is_found_from_either_year() -> None:
    start = datetime(2025, 12, 30, 23, tzinfo=UTC)
    found = day_types(seconds(start), 72, 3600, BERLIN, "DE")
    # Wednesday, New Year's Day, Friday.
    assert found.kind.tolist() == [0] * 24 + [1] * 24 + [0] * 24


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)])
def test_slots_on_the_days_the_clock_changes(day: tuple[int, int, int], hours: int) -> None:
    start = datetime(*day, tzinfo=BERLIN).astimezone(UTC)
    slots = day_types(seconds(start), hours, 3600, BERLIN, "DE").slot.tolist()
    local = [(start + n * timedelta(hours=1)).astimezone(BERLIN).hour for n in range(hours)]
    assert slots == local
    assert (2 in slots, slots.count(2)) == ((False, 0) if hours == 23 else (True, 2))


def test_the_weekday_is_that_of_the_place() -> None:
    # 2026-02-06 is a Friday; Kolkata is five and a half hours ahead, so its Saturday begins at 18:30 UTC.
    found = day_types(seconds(datetime(2026, 2, 6, 17, 30, tzinfo=UTC)), 4, 1800, ZoneInfo("Asia/Kolkata"), "")
    assert found.kind.tolist() == [0, 0, 1, 1]
    assert found.slot.tolist() == [46, 47, 0, 1]


def test_an_hour_that_begins_at_half_past_has_the_slot_of_the_hour_it_begins_in() -> None:
    # In Kolkata 00:00 UTC is 05:30.
    found = day_types(seconds(datetime(2026, 2, 5, tzinfo=UTC)), 24, 3600, ZoneInfo("Asia/Kolkata"), "")
    assert found.slot.tolist() == [*range(5, 24), *range(5)]


def test_clocks_of_lord_howe_move_by_half_an_hour() -> None:
    # 2026-10-04, 15:30 UTC the day before: 02:00 becomes 02:30, and no half hour begins at 02:00.
    change = seconds(datetime(2026, 10, 3, 15, 30, tzinfo=UTC))
    island = ZoneInfo("Australia/Lord_Howe")
    assert day_types(change - 3600, 4, 1800, island, "").slot.tolist() == [2, 3, 5, 6]
    # Hours of UTC begin at half past before it, and at the full hour after.
    assert day_types(change - 5400, 3, 3600, island, "").slot.tolist() == [0, 1, 3]
    # And back on 2026-04-05 at 15:00 UTC the day before: 01:30 comes twice.
    change = seconds(datetime(2026, 4, 4, 15, tzinfo=UTC))
    assert day_types(change - 3600, 4, 1800, island, "").slot.tolist() == [2, 3, 3, 4]


def test_no_intervals_have_no_days() -> None:
    assert day_types(0, 0, 3600, BERLIN, "DE").kind.tolist() == []
