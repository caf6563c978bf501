"""How a simulated Modbus meter misbehaves, by name, as it stands on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from firmware_sim.errors import InvalidInput
from firmware_sim.options import moment

FORM = re.compile(r"(?:(?P<unit>\d+):)?(?P<name>[a-z_]+)(?:=(?P<value>.+))?")


@dataclass(frozen=True, slots=True)
class Faults:
    """What one unit does wrong; nothing by default.

    Attributes
    ----------
    exception
        every request is refused with this Modbus exception code.
    short_frame
        the second half of every answer is never sent.
    other_unit
        answers bear the next unit's number.
    nan
        energy registers tell that they have no value.
    silent
        no request is answered.
    swapped_words
        the registers of a value come in the opposite order.
    slow
        every answer comes this late [s].
    reset_at
        the registers start again from 0 here [s since 1970].
    exchange_at
        another meter is put in its place here: the next serial number, registers from 0 [s since 1970].
    """

    exception: int = 0
    short_frame: bool = False
    other_unit: bool = False
    nan: bool = False
    silent: bool = False
    swapped_words: bool = False
    slow: float = 0.0
    reset_at: float | None = None
    exchange_at: float | None = None


NONE = Faults()


def read_faults(options: Iterable[str], units: Iterable[int]) -> dict[int, Faults]:
    """Faults by unit, of options `[UNIT:]NAME[=VALUE]`; without UNIT they hold for all.

    Raises
    ------
    InvalidInput
        for an unknown name or unit, or a value that does not fit.
    """
    found = dict.fromkeys(units, NONE)
    for option in options:
        form = FORM.fullmatch(option)
        if form is None or form["name"] not in {field.name for field in fields(Faults)}:
            names = ", ".join(field.name for field in fields(Faults))
            raise InvalidInput("--fault", repr(option), f"[UNIT:]NAME[=VALUE] with one of {names}")
        chosen = [int(form["unit"])] if form["unit"] else list(found)
        for unit in chosen:
            if unit not in found:
                raise InvalidInput("--fault", repr(option), f"one of the units {', '.join(map(str, found))}")
            found[unit] = _with(found[unit], option, form["name"], form["value"])
    return found


def _with(faults: Faults, option: str, name: str, value: str | None) -> Faults:
    """One fault more."""
    try:
        match name, value:
            case "exception", _ if 1 <= (code := int(value or 4)) <= 255:
                return replace(faults, exception=code)
            case "slow", _ if 0 <= (seconds := float(value or 5)) <= 3600:
                return replace(faults, slow=seconds)
            case "reset_at", str():
                return replace(faults, reset_at=moment("--fault", value).timestamp())
            case "exchange_at", str():
                return replace(faults, exchange_at=moment("--fault", value).timestamp())
            case (("short_frame" | "other_unit" | "nan" | "silent" | "swapped_words"), None):
                return replace(faults, **{name: True})
    except ValueError:
        pass  # no number: as wrong as one out of range
    expected = "a code from 1 to 255 behind exception, seconds behind slow, a time behind reset_at and exchange_at"
    raise InvalidInput("--fault", repr(option), f"{expected}, nothing behind the others")
