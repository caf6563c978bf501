"""LocalTimeParameters: the rules published feeds have, and what each rule says against the zone itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from headend.exports.localtime import NO_RULE, LocalTime, local_time

NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        # As the Green Button Alliance's sample has it.
        ("America/New_York", LocalTime(-18_000, 3_600, "360E2000", "B40E2000")),
        ("Europe/Berlin", LocalTime(3_600, 3_600, "3E0E2000", "AE0E3000")),
        ("Europe/London", LocalTime(0, 3_600, "3E0E1000", "AE0E2000")),
        ("Australia/Brisbane", LocalTime(36_000, 0, NO_RULE, NO_RULE)),
        ("Australia/Sydney", LocalTime(36_000, 3_600, "A40E2000", "440E3000")),
        ("Australia/Lord_Howe", LocalTime(37_800, 1_800, "A40E2000", "440E2000")),
        ("UTC", LocalTime(0, 0, NO_RULE, NO_RULE)),
        # The Sunday from the 2nd on, and Ramadan: no n-th of a month.
        ("America/Santiago", LocalTime(-14_400, 0, NO_RULE, NO_RULE)),
        ("Africa/Casablanca", LocalTime(3_600, 0, NO_RULE, NO_RULE)),
    ],
)
def test_rules_of_zones(zone: str, expected: LocalTime):
    assert local_time(ZoneInfo(zone), NOW) == expected


def clock_at(rule: str, year: int) -> datetime:
    """What the clocks show when a rule of the n-th or last weekday takes effect."""
    bits = int(rule, 16)
    month, operator, weekday = bits >> 28, bits >> 25 & 7, bits >> 17 & 7
    days = [datetime.fromisoformat(f"{year}-{month:02}-01") + timedelta(days=day) for day in range(31)]
    days = [day for day in days if day.month == month and day.isoweekday() == weekday]
    return (days[-1] if operator == 7 else days[operator - 2]) + timedelta(hours=bits >> 12 & 31, seconds=bits & 4095)


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Australia/Sydney"])
@pytest.mark.parametrize("year", range(2026, 2034))
def test_clocks_change_when_the_rules_say(zone: str, year: int):
    local = local_time(ZoneInfo(zone), NOW)
    for rule, before in ((local.start_rule, 0), (local.end_rule, local.dst_offset)):
        utc = clock_at(rule, year).replace(tzinfo=UTC) - timedelta(seconds=local.tz_offset + before)
        after = (local.dst_offset - before) + local.tz_offset
        assert (utc - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).utcoffset() == timedelta(
            seconds=local.tz_offset + before
        )
        assert utc.astimezone(ZoneInfo(zone)).utcoffset() == timedelta(seconds=after)
