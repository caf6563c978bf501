"""The values a tariff file is made of: numbers, dates, names and clocks, and what is said of wrong ones."""

from __future__ import annotations

import re
from datetime import date, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    StrictInt,
    StringConstraints,
    Tag,
)
from pydantic_core import PydanticCustomError

from headend.tariffs.money import CURRENCIES, plain

_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
_OFFSET = re.compile(r"([+-])(0\d|1[0-4]):([0-5]\d)")


class Part(BaseModel):
    """Frozen, and no key that the format does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def wrong(expected: str) -> PydanticCustomError:
    """An error whose message is what would have been right."""
    return PydanticCustomError("tariff", expected)


def _number(value: object) -> object:
    # Text is taken too: JSON has no exact number of its own, and many programs write decimals as text.
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value) or Decimal(0)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite():
        raise wrong("a number")
    # A zero has no sign: 0 and -0 are one version.
    return Decimal(value) or Decimal(0)


def _date(value: object) -> object:
    if not isinstance(value, date | str):
        raise wrong("a date such as 2025-01-01")
    return value


def _currency(value: str) -> str:
    if value not in CURRENCIES:
        raise wrong("an ISO 4217 currency such as EUR")
    return value


def zone_of_clock(clock: str) -> tzinfo:
    """The zone of a clock that is not `local`: an IANA name, or a fixed offset such as +05:30; raises `ValueError`."""
    if match := _OFFSET.fullmatch(clock):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-offset if match[1] == "-" else offset)
    try:
        return ZoneInfo(clock)
    except (KeyError, OSError) as error:
        raise ValueError(clock) from error


def _clock(value: str) -> str:
    if value != "local":
        try:
            zone_of_clock(value)
        except ValueError:
            raise wrong("local, UTC or an IANA time zone such as Europe/Berlin") from None
    return value


Number = Annotated[
    Decimal,
    BeforeValidator(_number),
    PlainSerializer(plain, return_type=str, when_used="json"),
]
Price = Annotated[Number, Field(ge=0, lt=10**9, decimal_places=10)]
#: A price or factor that may be negative.
Signed = Annotated[Number, Field(gt=-(10**9), lt=10**9, decimal_places=10)]
Quantity = Annotated[Number, Field(gt=0, lt=10**12, decimal_places=10)]
Percent = Annotated[Number, Field(ge=0, le=100, decimal_places=6)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
Month = Annotated[StrictInt, Field(ge=1, le=12)]
Day = Annotated[date, BeforeValidator(_date)]
Currency = Annotated[str, AfterValidator(_currency)]
Clock = Annotated[str, AfterValidator(_clock)]

_WHICH = Discriminator(lambda value: "<each>" if isinstance(value, dict) else "<one>")
#: One price for all hours, or one for each TOU period.
PeriodPrices = Annotated[Annotated[Price, Tag("<one>")] | Annotated[dict[str, Price], Tag("<each>")], _WHICH]
#: The same for what may be negative.
PeriodSigned = Annotated[Annotated[Signed, Tag("<one>")] | Annotated[dict[str, Signed], Tag("<each>")], _WHICH]
#: One limit, or one for each season or TOU period.
Limits = Annotated[Annotated[Quantity, Tag("<one>")] | Annotated[dict[str, Quantity], Tag("<each>")], _WHICH]
