"""What time it is in a tariff: holidays, seasons and TOU periods, as data."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool

from headend.tariffs.format.fields import Day, Month, Name, Part, Text, wrong

MINUTES = 1440
#: Kinds of day: Monday … Sunday, then holidays that fall on Monday … Sunday.
DAY_KINDS = 14
HOLIDAY = 7
_HOLIDAYS = tuple(range(HOLIDAY, DAY_KINDS))
DAYS: dict[str, tuple[int, ...]] = {
    "weekday": (0, 1, 2, 3, 4),
    "saturday": (5,),
    "sunday": (6,),
    "holiday": _HOLIDAYS,
    **{name: (index,) for index, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))},
}
_HOURS = re.compile(r"(\d\d):([0-5]\d)-(\d\d):([0-5]\d)")
#: Days of each month in a leap year.
DAYS_OF_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _day(value: str) -> str:
    if value not in DAYS:
        raise wrong(" or ".join([", ".join(list(DAYS)[:-1]), list(DAYS)[-1]]))
    return value


def minutes_of(hours: str) -> tuple[int, int]:
    """Begin and end [minutes after midnight] of `HH:MM-HH:MM`; an end before the begin wraps over midnight."""
    match = _HOURS.fullmatch(hours)
    if match:
        begin, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
        if begin < MINUTES and end <= MINUTES and begin != end:
            return begin, end
    raise wrong("hours such as 07:00-20:00, from 00:00 to 24:00")


def _hours(value: str) -> str:
    minutes_of(value)
    return value


def month_day(text: str) -> tuple[int, int]:
    """Month and day of `MM-DD`; the 29th of February is none, because it does not come every year."""
    match = re.fullmatch(r"(\d\d)-(\d\d)", text)
    if match:
        month, day = int(match[1]), int(match[2])
        if 1 <= month <= 12 and 1 <= day <= DAYS_OF_MONTHS[month - 1] and (month, day) != (2, 29):
            return month, day
    raise wrong("a day such as 06-01")


def _begin(value: str) -> str:
    month_day(value)
    return value


class Holidays(Part):
    """Which days count as `holiday`: public ones (library `holidays`), and the utility's own."""

    country: Text | None = None
    subdivision: Text | None = None
    observed: StrictBool = False
    only: tuple[Text, ...] | None = Field(None, min_length=1)
    dates: tuple[Day, ...] = ()


class Season(Part):
    """Lasts from each of its begins until the next season's begin."""

    name: Name
    label: Text
    begins: tuple[Annotated[str, AfterValidator(_begin)], ...] = Field(min_length=1)


class When(Part):
    """Conditions on time. What is not said does not restrict."""

    months: tuple[Month, ...] | None = Field(None, min_length=1)
    seasons: tuple[Name, ...] | None = Field(None, min_length=1)
    days: tuple[Annotated[str, AfterValidator(_day)], ...] | None = Field(None, min_length=1)
    hours: tuple[Annotated[str, AfterValidator(_hours)], ...] | None = Field(None, min_length=1)
    on_holidays: Literal["as_holiday", "as_weekday"] = "as_holiday"
    event: Name | None = None

    @property
    def is_always(self) -> bool:
        """Whether it restricts nothing."""
        said = (self.months, self.seasons, self.days, self.hours, self.event)
        return all(each is None for each in said)

    @property
    def day_kinds(self) -> tuple[int, ...]:
        """Kinds of day on which it holds."""
        if self.days is None:
            return tuple(range(DAY_KINDS))
        kinds = {kind for name in self.days for kind in DAYS[name]}
        if self.on_holidays == "as_weekday":
            kinds |= {kind + HOLIDAY for kind in kinds if kind < HOLIDAY}
        return tuple(sorted(kinds))


class Period(When):
    """A TOU period: when it holds. Its own conditions, or one of those in `when`."""

    name: Name
    label: Text
    when: tuple[When, ...] | None = Field(None, min_length=1)

    @property
    def alternatives(self) -> tuple[When, ...]:
        """It holds when one of these does."""
        return self.when or (self,)
