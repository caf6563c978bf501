"""What a tariff is: one version of one tariff, as data.

A tariff sorts time into periods (which hour is peak?) and has components that price what was used, in the order in
which they stand on the bill. Everything a reader of a bill may want to check is in here and nothing else is, so the
hash of this data names the version: two files that say the same have the same name, whatever their layout.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StringConstraints,
    Tag,
)
from pydantic_core import PydanticCustomError

from headend.tariffs.money import CURRENCIES, plain

#: Base units (Wh, dm³, litre) in one unit of a price.
BASE_UNITS = 1000
#: What is metered; gas may be priced by its energy too.
UNIT_OF = {"electricity": "kWh", "gas": "m³", "water": "m³", "heat": "kWh"}

MINUTES = 1440
#: Kinds of day: Monday … Sunday, and a holiday, which is no weekday whatever day it falls on.
HOLIDAY = 7
DAYS: dict[str, tuple[int, ...]] = {
    "weekday": (0, 1, 2, 3, 4),
    "saturday": (5,),
    "sunday": (6,),
    "holiday": (HOLIDAY,),
    **{name: (index,) for index, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))},
}
_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
_HOURS = re.compile(r"(\d\d):([0-5]\d)-(\d\d):([0-5]\d)")


def _wrong(expected: str) -> PydanticCustomError:
    # The message of every error raised here is what would have been right.
    return PydanticCustomError("tariff", expected)


def _number(value: object) -> object:
    # Text is taken too: JSON has no exact number of its own, and many programs write decimals as text.
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite():
        raise _wrong("a number")
    return Decimal(value)


def _date(value: object) -> object:
    if not isinstance(value, date | str):
        raise _wrong("a date such as 2025-01-01")
    return value


def _currency(value: str) -> str:
    if value not in CURRENCIES:
        raise _wrong("an ISO 4217 currency such as EUR")
    return value


def _clock(value: str) -> str:
    if value != "local":
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise _wrong("local, UTC or an IANA time zone such as Europe/Berlin") from None
    return value


def _day(value: str) -> str:
    if value not in DAYS:
        raise _wrong(" or ".join([", ".join(list(DAYS)[:-1]), list(DAYS)[-1]]))
    return value


def minutes_of(hours: str) -> tuple[int, int]:
    """Begin and end [minutes after midnight] of `HH:MM-HH:MM`; an end before the begin wraps over midnight."""
    match = _HOURS.fullmatch(hours)
    if match:
        begin, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
        if begin < MINUTES and end <= MINUTES and begin != end:
            return begin, end
    raise _wrong("hours such as 07:00-20:00, from 00:00 to 24:00")


def _hours(value: str) -> str:
    minutes_of(value)
    return value


_Number = Annotated[
    Decimal,
    BeforeValidator(_number),
    PlainSerializer(plain, return_type=str, when_used="json"),
]
Price = Annotated[_Number, Field(ge=0, lt=10**9, decimal_places=10)]
Quantity = Annotated[_Number, Field(gt=0, lt=10**12, decimal_places=10)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
#: One price for all hours, or one for each TOU period.
PeriodPrices = Annotated[
    Annotated[Price, Tag("<one>")] | Annotated[dict[str, Price], Tag("<each>")],
    Discriminator(lambda value: "<each>" if isinstance(value, dict) else "<one>"),
]
LineKind = Literal["energy", "export", "baseline_credit", "standing", "tax"]


class _Part(BaseModel):
    """Frozen, and no key that the format does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Holidays(_Part):
    """Whose public holidays count as `holiday` (library `holidays`)."""

    country: Text
    subdivision: Text | None = None
    observed: StrictBool = False


class Period(_Part):
    """A TOU period: when it holds. What is not said does not restrict."""

    name: Name
    label: Text
    months: tuple[Annotated[StrictInt, Field(ge=1, le=12)], ...] | None = Field(None, min_length=1)
    days: tuple[Annotated[str, AfterValidator(_day)], ...] | None = Field(None, min_length=1)
    hours: tuple[Annotated[str, AfterValidator(_hours)], ...] | None = Field(None, min_length=1)

    @property
    def is_catch_all(self) -> bool:
        """Whether it holds always."""
        return self.months is None and self.days is None and self.hours is None


class Tier(_Part):
    """One step of graduated prices, up to a limit on total use (none: without end)."""

    up_to: Quantity | None = None
    price: PeriodPrices


class Energy(_Part):
    """Energy taken from the grid (import) is charged, energy fed in (export) is credited, per unit."""

    kind: Literal["energy"]
    label: Text
    measures: Literal["import", "export"] = "import"
    tiers_per: Literal["month", "day"] | None = None
    tiers: tuple[Tier, ...] = Field(min_length=1)


class BaselineCredit(_Part):
    """A credit per unit on total import, up to an allowance per billing day, whatever the TOU period."""

    kind: Literal["baseline_credit"]
    label: Text
    credit: Price
    allowance_per_day: Quantity


class Standing(_Part):
    """A fixed charge per day or per month."""

    kind: Literal["standing"]
    label: Text
    per: Literal["day", "month"]
    price: Price


class Tax(_Part):
    """A percentage on the lines above it: on all, or on the named kinds."""

    kind: Literal["tax"]
    label: Text
    percent: Annotated[_Number, Field(ge=0, le=100, decimal_places=6)]
    on: tuple[LineKind, ...] | None = Field(None, min_length=1)


Component = Annotated[Energy | BaselineCredit | Standing | Tax, Discriminator("kind")]


class Tariff(_Part):
    """One version of a tariff. Equal data, equal `version`."""

    id: Name
    name: Text
    valid_from: Annotated[date, BeforeValidator(_date)]
    customer_classes: tuple[Name, ...] = Field(min_length=1)
    commodity: Literal["electricity", "gas", "water", "heat"]
    unit: Literal["kWh", "m³"]
    currency: Annotated[str, AfterValidator(_currency)]
    clock: Annotated[str, AfterValidator(_clock)] = "local"
    holidays: Holidays | None = None
    periods: tuple[Period, ...] = Field((Period(name="all", label="All hours"),), min_length=1, max_length=100)
    components: tuple[Component, ...] = Field(min_length=1)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of what is not a default, so that a wider format renames no old version."""
        return hashlib.sha256(canonical_json(self).encode()).hexdigest()

    @property
    def version(self) -> str:
        """The version's name: the first 12 hex digits of its digest."""
        return self.digest[:12]

    def __hash__(self) -> int:
        return hash(self.digest)


def canonical_json(tariff: Tariff) -> str:
    """The tariff as JSON with sorted keys, no blanks, and decimals as shortest text."""
    data: dict[str, Any] = tariff.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def line_kind(component: Energy | BaselineCredit | Standing | Tax) -> LineKind:
    """Kind of the lines a component makes: its own, but `export` for credited energy."""
    if isinstance(component, Energy) and component.measures == "export":
        return "export"
    return component.kind
