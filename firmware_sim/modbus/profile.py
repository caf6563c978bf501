"""A shipped profile as a meter lives it: which registers it has, and what stands in them for a count.

The same files tell a head-end where to read; this is the other side of them.
"""

from __future__ import annotations

import struct
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from firmware_sim.errors import InvalidInput
from firmware_sim.modbus import sunspec
from firmware_sim.modbus.image import Image

FORMATS = {
    "uint16": ">H",
    "int16": ">h",
    "uint32": ">I",
    "int32": ">i",
    "acc32": ">I",
    "float32": ">f",
    "uint64": ">Q",
    "int64": ">q",
    "acc64": ">Q",
    "float64": ">d",
}
BASE_UNITS = {"kWh": 1_000, "MWh": 1_000_000, "kvarh": 1_000, "Mvarh": 1_000_000, "m³": 1_000}
"""Base units in one, where it is not one."""


@dataclass(frozen=True, slots=True)
class Register:
    """The cumulative register of one channel.

    Attributes
    ----------
    addresses
        where its numbers begin; their sum is the register.
    step
        what one stands for [the channel's base unit].
    dial
        the register starts over here [the channel's base unit].
    absent
        bit pattern of a number the meter has not.
    scale_address
        where the meter tells its power of ten; None: nowhere.
    """

    channel: str
    function: int
    addresses: tuple[int, ...]
    type: str
    little: bool
    step: Fraction
    dial: int
    absent: int
    scale_address: int | None

    @property
    def size(self) -> int:
        """Length of a number [bytes]."""
        return struct.calcsize(FORMATS[self.type])

    def numbers(self, count: int) -> list[bytes]:
        """A count [base unit] as it stands at each address, its last digits cut off where a number is coarser."""
        steps, parts = count / self.step, len(self.addresses)
        if self.type.startswith("float"):
            shares = [float(steps / parts)] * parts
        else:
            shares = [(int(steps) + part) // parts for part in range(parts)]
        return [self._words(struct.pack(FORMATS[self.type], share)) for share in shares]

    def no_numbers(self, *, fault: bool = False) -> list[bytes]:
        """What stands there for a quantity that the meter has not, or at fault cannot tell."""
        pattern = self.absent.to_bytes(self.size, "big")
        if fault and self.type.startswith("float"):
            pattern = struct.pack(FORMATS[self.type], float("nan"))
        return [self._words(pattern)] * len(self.addresses)

    def _words(self, number: bytes) -> bytes:
        return swapped(number) if self.little else number


@dataclass(frozen=True, slots=True)
class Serial:
    """Where a meter tells its serial number."""

    function: int
    address: int
    size: int
    little: bool
    text: bool

    def words(self, number: int) -> bytes:
        """The number as it stands there."""
        if self.text:
            return str(number).encode().ljust(self.size, b"\0")
        plain = (number % (1 << 8 * self.size)).to_bytes(self.size, "big")
        return swapped(plain) if self.little else plain


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of meter.

    Attributes
    ----------
    blank
        its registers before anything was counted.
    """

    name: str
    registers: tuple[Register, ...]
    serial: Serial | None
    blank: Image

    @property
    def channels(self) -> frozenset[str]:
        """OBIS codes of what it can count."""
        return frozenset(register.channel for register in self.registers)


def swapped(number: bytes) -> bytes:
    """The same words in the opposite order."""
    return b"".join(number[at : at + 2] for at in range(len(number) - 2, -2, -2))


def load_profile(name: str, model: int | None = None) -> Profile:
    """A shipped profile.

    Parameters
    ----------
    model
        which of a SunSpec profile's models the meter is; None: the first.

    Raises
    ------
    InvalidInput
        when there is no profile of that name, or it has no such model.
    """
    names = sorted(path.stem for path in _folder().glob("*.toml"))
    if name not in names:
        raise InvalidInput("--profile", name, f"one of {', '.join(names)}")
    content = tomllib.loads((_folder() / f"{name}.toml").read_text(encoding="utf-8"))
    models = content.get("sunspec", {}).get("models", [])
    if model is not None and model not in models:
        raise InvalidInput("--model", str(model), ", ".join(map(str, models)) or f"none: {name} has no SunSpec models")
    heads = sunspec.HEADS if models else {}
    head = heads.get("meter", 0)
    registers = tuple(_register(content.get("defaults", {}) | row, head) for row in content["registers"])
    serial = _serial(content["serial"], heads) if "serial" in content else None
    if models:
        blank = sunspec.chain(model or models[0], content["maker"])
    else:
        spans = [(register.function, at, register.size) for register in registers for at in register.addresses]
        blank = Image.of([*spans, (serial.function, serial.address, serial.size)] if serial else spans)
    return Profile(name, registers, serial, blank)


def _folder() -> Path:
    """Where the profiles are: packed with the program, or beside it in a working copy."""
    package = Path(__file__).parents[1]
    packed = package / "_profiles"
    return packed if packed.is_dir() else package.parent / "config" / "modbus"


def _register(row: dict[str, Any], head: int) -> Register:
    number = row["type"]
    step = Fraction(row.get("scale", "1")) * BASE_UNITS.get(row["unit"], 1)
    scale = row.get("scale_register")
    return Register(
        channel=row["channel"],
        function=row["function"],
        addresses=tuple(head + at for at in (row["address"], *row.get("plus", ()))),
        type=number,
        little=row["word_order"] == "little",
        step=step,
        dial=_dial(row, step),
        absent=row.get("not_available", [0])[0],
        scale_address=None if scale is None else head + scale,
    )


def _dial(row: dict[str, Any], step: Fraction) -> int:
    """An accumulator uses all its bits; others start over behind the highest number that the meter can show."""
    if row["type"].startswith("acc"):
        return int(step) << int(row["type"][3:])
    highest = Decimal(row["range"][1])
    last_digit = Decimal(1).scaleb(highest.as_tuple().exponent)  # type: ignore[arg-type]
    return int((highest + last_digit) * BASE_UNITS.get(row["unit"], 1))


def _serial(row: dict[str, Any], heads: dict[str, int]) -> Serial:
    text = row["type"] == "string"
    return Serial(
        function=row["function"],
        address=row["address"] + (heads.get("common", 0) if "model" in row else 0),
        size=2 * row["words"] if text else struct.calcsize(FORMATS[row["type"]]),
        little=row.get("word_order") == "little",
        text=text,
    )
