"""Registers as foreign devices tell them: any number in any unit, into whole base units, exactly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError

from headend.errors import InvalidInput, InvalidMessage

Claim = TypeVar("Claim", bound=BaseModel)

#: What one of a unit is in the store's base unit: Wh, var·h, dm³ or litre.
UNITS = {
    unit: Decimal(factor)
    for factor, units in {
        1: ("Wh", "varh", "dm3", "dm³", "litre", "L", "l"),
        1_000: ("kWh", "kvarh", "m3", "m³"),
        1_000_000: ("MWh", "Mvarh"),
    }.items()
    for unit in units
}


def _known(unit: str) -> str:
    if unit not in UNITS:
        raise InvalidInput("", repr(unit), f"one of {', '.join(UNITS)}")
    return unit


#: The name of a unit in a mapping file or profile.
Unit = Annotated[str, AfterValidator(_known)]

#: A message with more faults than this is not read any further.
FAULTS_NAMED = 100

# Sixty digits are more than any register has, so that nothing is rounded but at the end, and a number that needs a
# gigabyte to be written out (1e999999999) is refused before it is.
_EXACT = Context(prec=60, Emin=-60, Emax=60, traps=[Inexact, InvalidOperation, Overflow])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_S = 253_402_300_799  # the last second that has a date


def whole(number: Decimal, factor: Decimal) -> int:
    """`number` × `factor`, rounded once, half to even; raises `InvalidMessage`."""
    try:
        product = _EXACT.multiply(number, factor)
        rounded = int(product.to_integral_value(ROUND_HALF_EVEN))
    except (DecimalException, ValueError, OverflowError):  # the last two: not a number, infinite
        found = str(number)[:40]
        raise InvalidMessage("value", found, "a number that a register can have", fault="not the schema") from None
    return rounded


def moment(since_1970: Decimal, per_second: int = 1) -> datetime:
    """A time counted since 1970 in seconds, or in parts of one, to the microsecond; raises `InvalidMessage`."""
    if not (since_1970.is_finite() and 0 <= since_1970 <= _LAST_S * per_second):
        raise InvalidMessage("time", str(since_1970)[:40], "a time after 1970", fault="not the schema")
    return _EPOCH + timedelta(microseconds=int(since_1970 * 1_000_000 / per_second))


def claim(model: type[Claim], **fields: object) -> Claim:
    """A read as the native wire has it, under its rules; raises `InvalidMessage`."""
    try:
        return model(**fields)
    except ValidationError as error:
        complaint = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in complaint["loc"])
        expected = complaint["msg"].removeprefix("Input should be ")
        raise InvalidMessage(where, repr(complaint["input"])[:60], expected, fault="not the schema") from None
