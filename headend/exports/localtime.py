"""ESPI LocalTimeParameters: how a zone's clocks differ from UTC, as offsets and rules.

A rule is 32 bits: month (4), operator (3), day of the month (5), day of the week (3), hour (5), second of that hour
(12). Operators 2 to 6 are the first to fifth of that day of the week in the month, 7 is the last. [NAESB ESPI,
DstRuleType]
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import pairwise
from zoneinfo import ZoneInfo

#: "Rule processing is disabled": a zone without summer time, or one whose rule these bits cannot say.
NO_RULE = "FFFFFFFF"

_LAST = 7
#: Over so many years the fourth Sunday of a month and its last one are told apart.
_YEARS = 8


@dataclass(frozen=True, slots=True)
class LocalTime:
    """Offset of standard time and what summer time adds [s], and the rules by which it begins and ends."""

    tz_offset: int
    dst_offset: int
    start_rule: str
    end_rule: str


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of clocks: what they showed when it came, and the offsets before and after [s]."""

    clock: datetime
    before: int
    after: int


def local_time(zone: ZoneInfo, at: datetime) -> LocalTime:
    """The zone's parameters as they are at a moment."""
    changes = [_changes(zone, year) for year in range(at.year, at.year + _YEARS)]
    now = _offset(zone, at)
    if any(len(year) != 2 for year in changes):
        return LocalTime(now, 0, NO_RULE, NO_RULE)
    forward = [max(year, key=lambda change: change.after - change.before) for year in changes]
    back = [min(year, key=lambda change: change.after - change.before) for year in changes]
    start, end = _rule(forward), _rule(back)
    if start is None or end is None:
        return LocalTime(now, 0, NO_RULE, NO_RULE)
    return LocalTime(forward[0].before, forward[0].after - forward[0].before, start, end)


def _changes(zone: ZoneInfo, year: int) -> list[_Change]:
    first, end_of_year = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    days = (first + timedelta(days=day) for day in range((end_of_year - first).days + 1))
    found = []
    for begin, end in pairwise(days):
        before, after = _offset(zone, begin), _offset(zone, end)
        if before != after:
            minutes = _first_minute(zone, begin, before)
            clock = begin + timedelta(minutes=minutes, seconds=before)
            found.append(_Change(clock.replace(tzinfo=None), before, after))
    return found


def _first_minute(zone: ZoneInfo, begin: datetime, before: int) -> int:
    """The minute of the day from `begin` on in which the offset is no longer what it was."""
    low, high = 0, 24 * 60
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, begin + timedelta(minutes=middle)) == before:
            low = middle
        else:
            high = middle
    return high


def _rule(changes: list[_Change]) -> str | None:
    """The rule that gives all of these, one a year; None where there is none."""
    clocks = [change.clock for change in changes]
    same = {(clock.month, clock.isoweekday(), clock.hour, clock.minute) for clock in clocks}
    operators = reduce(set.__and__, (_operators(clock) for clock in clocks))
    if len(same) != 1 or not operators:
        return None
    month, weekday, hour, minute = same.pop()
    return f"{month << 28 | max(operators) << 25 | weekday << 17 | hour << 12 | minute * 60:08X}"


def _operators(clock: datetime) -> set[int]:
    """Which of its weekday in the month it is."""
    found = {2 + (clock.day - 1) // 7}
    return found | {_LAST} if (clock + timedelta(days=7)).month != clock.month else found


def _offset(zone: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())
