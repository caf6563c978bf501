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


def test_no_intervals_have_no_days() -> None:
    assert day_types(0, 0, 3600, BERLIN, "DE").kind.tolist() == []
