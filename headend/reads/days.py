"""Days and months as people have them, cut from UTC.

Inside, time is UTC seconds since 1970 and a day is a UTC day. Only bills, reports and pages need local days; those have
23, 24 or 25 hours, and the zone is asked, never assumed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from headend.errors import InvalidInput

DAY_S = 86_400
HOUR_S = 3_600
EPOCH = date(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)

Int64s = NDArray[np.int64]

_MONTH = re.compile(r"(19[7-9]|2[0-9]{2})[0-9]-(0[1-9]|1[0-2])")


def zone_named(name: str) -> ZoneInfo:
    """The IANA time zone of that name; raises `InvalidInput`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput("timezone", repr(name), "an IANA time zone such as Europe/Berlin") from None


def seconds(moment: datetime) -> int:
    """Whole seconds since 1970 of an aware moment."""
    return int(moment.timestamp())


def moment(epoch_s: int) -> datetime:
    """The aware UTC moment of `epoch_s` seconds since 1970."""
    return datetime.fromtimestamp(int(epoch_s), tz=UTC)


def microseconds(at: datetime) -> int:
    """Microseconds since 1970 of an aware moment, exactly."""
    return (at - _EPOCH_UTC) // timedelta(microseconds=1)


def moment_us(epoch_us: int) -> datetime:
    """The aware UTC moment of `epoch_us` microseconds since 1970, exactly."""
    return _EPOCH_UTC + timedelta(microseconds=epoch_us)


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - EPOCH).days


def day_of(number: int) -> date:
    """The date `number` days after 1970-01-01."""
    return EPOCH + timedelta(days=int(number))


# Bills ask for the same few midnights by the million.
@lru_cache(maxsize=16_384)
def midnight(day: date, zone: tzinfo) -> datetime:
    """UTC moment at which the local day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


@lru_cache(maxsize=16_384)
def _midnight_s(day: date, zone: tzinfo) -> int:
    return seconds(midnight(day, zone))


@dataclass(frozen=True, slots=True)
class Period:
    """Local days `first` up to and without `end`, in one zone: what a bill covers."""

    first: date
    end: date
    zone: ZoneInfo

    @classmethod
    def month(cls, text: str, zone: ZoneInfo) -> Period:
        """The calendar month `YYYY-MM`; raises `InvalidInput`."""
        # One spelling only: a month is part of the key under which it is billed.
        first = date(int(text[:4]), int(text[5:]), 1) if _MONTH.fullmatch(text) else None
        if first is None:
            raise InvalidInput("period", repr(text), "a month such as 2026-10")
        return cls(first, (first.replace(day=28) + timedelta(days=4)).replace(day=1), zone)

    @property
    def days(self) -> int:
        """Number of local days."""
        return (self.end - self.first).days

    @property
    def start_utc(self) -> datetime:
        """Moment the first day begins."""
        return midnight(self.first, self.zone)

    @property
    def start_s(self) -> int:
        """The same, UTC [s since 1970]."""
        return _midnight_s(self.first, self.zone)

    @property
    def end_utc(self) -> datetime:
        """Moment the last day ends."""
        return midnight(self.end, self.zone)

    @property
    def end_s(self) -> int:
        """Moment the last day ends, UTC [s since 1970]."""
        return _midnight_s(self.end, self.zone)

    def intervals(self, interval_s: int) -> int:
        """How many intervals the period must have."""
        return (self.end_s - self.start_s) // interval_s

    def within(self, first: date, end: date | None) -> Period | None:
        """The part of this period from `first` up to and without `end` (None: open); None where there is none."""
        if first <= self.first and (end is None or end >= self.end):
            return self
        a, b = max(self.first, first), min(self.end, end or self.end)
        return Period(a, b, self.zone) if a < b else None


@lru_cache(maxsize=4096)
def a_year_before(day: date) -> date:
    """The same day of the year before; 28 February for the 29th."""
    return day.replace(year=day.year - 1, day=28 if (day.month, day.day) == (2, 29) else day.day)


def previous_month(day: date) -> str:
    """`YYYY-MM` of the month before that of `day`."""
    return (day.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")


@lru_cache(maxsize=4096)
def previous_period(period: str) -> str:
    """`YYYY-MM` of the month before the month `YYYY-MM`."""
    return previous_month(date(int(period[:4]), int(period[5:]), 1))


def next_period(period: str) -> str:
    """`YYYY-MM` of the month after the month `YYYY-MM`."""
    return f"{date(int(period[:4]), int(period[5:]), 28) + timedelta(days=4):%Y-%m}"


def local_seconds(start_s: int, n: int, interval_s: int, zone: tzinfo) -> Int64s:
    """Local wall clock at the begin of `n` intervals, as seconds since 1970-01-01 00:00 local (n,).

    The zone is asked once a day; only in a day whose offset differs at its end is every interval asked.

    Parameters
    ----------
    start_s
        begin of the first interval, UTC [s since 1970].
    """
    starts = start_s + interval_s * np.arange(n, dtype=np.int64)
    local = np.empty(n, dtype=np.int64)
    per_day = max(1, DAY_S // interval_s)
    for begin in range(0, n, per_day):
        part = slice(begin, min(begin + per_day, n))
        first, last = _offset(zone, int(starts[part][0])), _offset(zone, int(starts[part][-1]))
        local[part] = starts[part] + (
            first if first == last else np.array([_offset(zone, moment) for moment in starts[part].tolist()])
        )
    return local


def _offset(zone: tzinfo, epoch_s: int) -> int:
    offset = datetime.fromtimestamp(epoch_s, tz=zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())
