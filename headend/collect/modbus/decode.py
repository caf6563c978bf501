"""From 16-bit words to whole Wh and var·h: a pure function that rather refuses a channel than invent a number."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Literal

from headend.collect.modbus.profile import WORDS, Profile, Register, SerialNumber
from headend.collect.registers import UNITS

#: What was read: (function code, address) → the word there.
Words = Mapping[tuple[int, int], int]

# Enough digits for any number of 64 bits, scaled, to be exact.
_EXACT = Context(prec=120, rounding=ROUND_HALF_EVEN)

# No meter has counted so little, but the halves of a float exchanged are often a number as small.
_LEAST = Decimal("1E-9")

# SunSpec's scale factors: a power of ten from -10 to 10, or "not available".
_SCALE_LIMIT = 10


@dataclass(frozen=True, slots=True)
class Refusal:
    """A channel without a value, and why."""

    channel: str
    fault: Literal["no register", "not read", "not available", "not a number", "out of range"]
    detail: str

    def __str__(self) -> str:
        return f"{self.channel}: {self.fault}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a meter said.

    Parameters
    ----------
    values
        register by channel [Wh, var·h, dm³, litre].
    refused
        the channels that have none.
    """

    values: dict[str, int]
    refused: tuple[Refusal, ...]


def decode(profile: Profile, words: Words, channels: Collection[str]) -> Decoded:
    """The values of the wanted channels.

    Parameters
    ----------
    words
        as they came; with SunSpec, addressed from the head of the model.
    channels
        OBIS codes; one the profile has no register for is refused.
    """
    registers = {register.channel: register for register in profile.registers}
    values: dict[str, int] = {}
    refused: list[Refusal] = []
    for channel in channels:
        if channel not in registers:
            refused.append(Refusal(channel, "no register", "the profile has none for it"))
            continue
        result = _value(registers[channel], words)
        if isinstance(result, Refusal):
            refused.append(result)
        else:
            values[channel] = result
    return Decoded(values, tuple(refused))


def _value(register: Register, words: Words) -> int | Refusal:
    total = Decimal(0)
    for address in register.addresses:
        number = _number(register, address, words)
        if isinstance(number, Refusal):
            return number
        total = _EXACT.add(total, number)
    scaled = _EXACT.multiply(total, register.scale)
    if register.scale_register is not None:
        power = _scale_factor(register, register.scale_register, words)
        if isinstance(power, Refusal):
            return power
        scaled = _EXACT.scaleb(scaled, power)
    low, high = register.range
    if not low <= scaled <= high or 0 < scaled < _LEAST:
        detail = f"{scaled:.6g} {register.unit}, the meter shows {low} to {high}"
        return Refusal(register.channel, "out of range", detail)
    return int(_EXACT.multiply(scaled, UNITS[register.unit]).to_integral_value(ROUND_HALF_EVEN))


def _number(register: Register, address: int, words: Words) -> Decimal | Refusal:
    raw = _bits(words, register.function, address, WORDS[register.type], register.word_order)
    if raw is None:
        return Refusal(register.channel, "not read", f"register {address}")
    bits = int.from_bytes(raw, "big")
    if bits in register.not_available:
        return Refusal(register.channel, "not available", f"register {address} is 0x{raw.hex().upper()}")
    if register.type.startswith("float"):
        (number,) = struct.unpack(">f" if register.type == "float32" else ">d", raw)
        exact = Decimal(number)
        if not exact.is_finite():
            return Refusal(register.channel, "not a number", f"register {address} is 0x{raw.hex().upper()}")
        return exact
    return Decimal(int.from_bytes(raw, "big", signed=register.type.startswith("int")))


def _scale_factor(register: Register, address: int, words: Words) -> int | Refusal:
    raw = _bits(words, register.function, address, 1, "big")
    if raw is None:
        return Refusal(register.channel, "not read", f"scale register {address}")
    power = int.from_bytes(raw, "big", signed=True)
    if abs(power) > _SCALE_LIMIT:
        return Refusal(register.channel, "not available", f"its scale factor is 0x{raw.hex().upper()}")
    return power


def decode_serial(serial: SerialNumber, words: Words) -> str | None:
    """The device's serial number as text; None where the meter has none to tell."""
    raw = _bits(words, serial.function, serial.address, serial.length, serial.word_order)
    if raw is None or set(raw) in ({0}, {255}):
        return None
    if serial.type != "string":
        return str(int.from_bytes(raw, "big"))
    text = raw.partition(b"\0")[0].decode("ascii", "replace")
    return "".join(sign for sign in text if sign.isprintable()).strip()[:64] or None


def _bits(words: Words, function: int, address: int, count: int, word_order: str) -> bytes | None:
    found = [words.get((function, address + place)) for place in range(count)]
    if word_order == "little":
        found.reverse()
    read = [word for word in found if word is not None]
    return struct.pack(f">{count}H", *read) if len(read) == count else None
