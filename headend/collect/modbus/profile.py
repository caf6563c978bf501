"""Profiles: what the maker's manual says about a meter's registers, as data.

A register's value in whole base units (Wh, var·h, dm³, litre) is

    (the number in its words, and those of `plus`) × scale × 10 ** (the number in `scale_register`) × unit

worked out exactly and rounded once.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from headend.collect.registers import UNITS, Unit
from headend.config import checked, read_toml
from headend.errors import InvalidConfig, InvalidInput
from headend.reads.channels import Channel

Number = Literal[
    "uint16", "int16", "uint32", "int32", "uint64", "int64", "acc32", "acc64", "float32", "float64"
]  # fmt: skip

#: 16-bit words in a number.
WORDS: Final[dict[str, int]] = {
    "uint16": 1,
    "int16": 1,
    "uint32": 2,
    "int32": 2,
    "acc32": 2,
    "float32": 2,
    "uint64": 4,
    "int64": 4,
    "acc64": 4,
    "float64": 4,
}

#: The Modbus specification's own limit on registers in one answer.
MOST_REGISTERS: Final = 125

# The wire carries no larger register than this.
_LARGEST = 2**53


def _decimal(value: object) -> Decimal:
    # A TOML float is already rounded to binary: 0.1 would not be a tenth.
    try:
        number = Decimal(value if isinstance(value, str) else "NaN")
    except ArithmeticError:
        number = Decimal("NaN")
    if not number.is_finite():
        raise ValueError('a decimal in quotes, such as "0.01"')
    return number


Exact = Annotated[Decimal, BeforeValidator(_decimal)]
Address = Annotated[int, Field(ge=0, le=65_535)]
FunctionCode = Literal[3, 4]
WordOrder = Literal["big", "little"]
Text = Annotated[str, Field(min_length=1, max_length=200)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Manual(_Row):
    """Where the maker says so."""

    title: Text
    revision: Text
    section: Text
    link: Text


class Register(_Row):
    """A cumulative register of one channel.

    `range` is what the meter can show [unit, after scaling]; anything else is refused, which is how a wrong word order
    is found out. `not_available` are the bit patterns by which the meter says that it has no value.
    """

    channel: Annotated[str, AfterValidator(lambda text: Channel.parse(text).obis)]
    address: Address
    plus: Annotated[tuple[Address, ...], Field(strict=False)] = ()
    function: FunctionCode
    type: Number
    word_order: WordOrder
    scale: Annotated[Exact, Field(gt=0)] = Decimal(1)
    scale_register: Address | None = None
    unit: Unit
    range: Annotated[tuple[Exact, Exact], Field(strict=False)]
    not_available: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**64)], ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _range_can_travel(self) -> Self:
        low, high = self.range
        largest = _LARGEST / UNITS[self.unit]
        if not 0 <= low < high <= largest:
            raise InvalidInput("range", f"{low} to {high}", f"from 0 up, the lower first, at most {largest:.0f}")
        return self

    @property
    def addresses(self) -> tuple[int, ...]:
        """Every address at which a number begins."""
        return (self.address, *self.plus)


class SerialNumber(_Row):
    """The register that tells one device from the next: how an exchange is found out."""

    function: FunctionCode
    address: Address
    type: Literal["uint16", "uint32", "uint64", "string"]
    words: Annotated[int, Field(ge=1, le=32)] | None = None
    word_order: WordOrder = "big"
    model: Annotated[int, Field(ge=1, le=65_534)] | None = None

    @model_validator(mode="after")
    def _words_of_a_string(self) -> Self:
        if (self.type == "string") != (self.words is not None):
            raise InvalidInput("words", str(self.words), 'the length of a "string" in registers, and only of that')
        return self

    @property
    def length(self) -> int:
        """Its registers."""
        return self.words or WORDS[self.type]


class SunSpec(_Row):
    """Where a chain of models may begin, and which of them are meters."""

    bases: Annotated[tuple[Address, ...], Field(strict=False, min_length=1)]
    models: Annotated[tuple[Annotated[int, Field(ge=1, le=65_534)], ...], Field(strict=False, min_length=1)]


class Profile(_Row):
    """A kind of meter.

    Parameters
    ----------
    max_block
        most registers the meter gives in one answer.
    max_gap
        registers that nobody wants but that may be read along, so that two requests become one. A request costs a
        serial line about as much as ten registers: 13 bytes, two silences of 3.5 characters and the meter's own delay
        are 25 ms and more at 9600 baud, a register is 2.3 ms. A meter that refuses to read over its holes has 0.
    """

    maker: Text
    model: Text
    manual: Manual
    max_block: Annotated[int, Field(ge=4, le=MOST_REGISTERS)] = MOST_REGISTERS
    max_gap: Annotated[int, Field(ge=0, le=MOST_REGISTERS)] = 10
    registers: Annotated[tuple[Register, ...], Field(strict=False, min_length=1)]
    serial: SerialNumber | None = None
    sunspec: SunSpec | None = None

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        channels = [register.channel for register in self.registers]
        if twice := [channel for channel in channels if channels.count(channel) > 1]:
            raise InvalidInput("registers", f"{twice[0]} twice", "each channel once")
        if self.serial is not None and self.serial.model is not None and self.sunspec is None:
            raise InvalidInput("serial.model", str(self.serial.model), "none, or a [sunspec] chain to find it in")
        if self.serial is not None and self.serial.length > self.max_block:
            raise InvalidInput("serial.words", str(self.serial.length), f"at most max_block, {self.max_block}")
        return self


def read_profile(path: Path) -> Profile:
    """The profile in a file; raises `InvalidConfig` with file and key.

    What stands under `[defaults]` holds for every register that does not say otherwise.
    """
    content = read_toml(path)
    defaults = content.pop("defaults", {})
    rows = content.get("registers")
    if isinstance(defaults, Mapping) and isinstance(rows, list):
        content["registers"] = [_with(defaults, row) for row in rows]
    return checked(str(path), lambda: Profile(**content))


def _with(defaults: Mapping[str, Any], row: Any) -> Any:
    return {**defaults, **row} if isinstance(row, Mapping) else row


def load_profiles(folder: Path) -> dict[str, Profile]:
    """Every profile of a folder, by file name without `.toml`; raises `InvalidConfig`."""
    profiles = {path.stem: read_profile(path) for path in sorted(folder.glob("*.toml"))}
    if not profiles:
        raise InvalidConfig(str(folder), "no file", "Modbus profiles, *.toml")
    return profiles
