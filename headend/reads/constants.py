"""Constants: what one unit on the wire stands for, from a moment on (transformers, pulses).

The register is scaled and rounded, and an interval is the difference of two such registers: so rounding never adds up,
and an interval has the same value in whatever message it comes. A dial that rolls over does so in base units too, at
its scaled modulus.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from headend.errors import InvalidMessage
from headend.reads.blocks import NO_REGISTER

#: What is stored is an int64.
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Constant:
    """Base units = wire units × numerator ÷ denominator, rounded half up.

    Parameters
    ----------
    valid_from_s
        for intervals that begin at or after it [s since 1970]; a multiple of the channel's interval.
    numerator, denominator
        positive.
    made_of
        for people: `CT 200/5 × PT 20000/100`.
    """

    valid_from_s: int
    numerator: int
    denominator: int
    made_of: str

    def scaled(self, register: int) -> int:
        """A register, or the modulus of one, in base units."""
        return (2 * register * self.numerator + self.denominator) // (2 * self.denominator)

    def advance(self, register: int, units: int, modulus: int) -> int:
        """What the scaled register advances by when one that shows `register` advances by `units`."""
        rolled, shows = divmod(register + units, modulus)
        return self.scaled(modulus) * rolled + self.scaled(shows) - self.scaled(register)


#: What holds before the first constant of a channel, and for channels without any.
AS_ON_THE_WIRE = Constant(-_LARGEST, 1, 1, "")


def constant_at(constants: Sequence[Constant], moment_s: int) -> Constant:
    """The constant of intervals that begin at a moment [s since 1970]; `constants` rise in time."""
    if not constants:
        return AS_ON_THE_WIRE
    place = bisect_right(constants, moment_s, key=attrgetter("valid_from_s"))
    return constants[place - 1] if place else AS_ON_THE_WIRE


def modulus_at(constants: Sequence[Constant], digits: int, moment_s: int) -> int:
    """Where a register of so many digits on the wire rolls over [base units], for intervals that begin at a moment."""
    return constant_at(constants, moment_s).scaled(10**digits)


def to_base_units(
    constants: Sequence[Constant],
    digits: int,
    first_s: int,
    interval_s: int,
    values: list[int | None],
    register: int,
) -> tuple[list[int | None], int]:
    """A run of reads in base units instead of the wire's.

    Parameters
    ----------
    constants
        of the channel, rising in time; without any the run comes back as it is.
    digits
        the register on the wire rolls over at 10 ** digits.
    first_s, interval_s
        begin of the first interval [s since 1970] and length [s].
    values
        wire units per interval; None where missing.
    register
        at the end of the last interval [wire units], or `NO_REGISTER`.

    Returns
    -------
    values, register
        in base units. Intervals that are joined to the register are differences of scaled registers. What is not (no
        register came, or a missing interval lies between) is rounded along the sum of the run.

    Raises
    ------
    InvalidMessage
        a scaled number that no register holds.
    """
    if not constants:
        return values, register
    modulus = 10**digits
    scaled: list[int | None] = []
    for place, (shows, value) in enumerate(zip(_begins(values, register), values, strict=True)):
        constant = constant_at(constants, first_s + place * interval_s)
        scaled.append(None if value is None else constant.advance(shows % modulus, value, modulus))
    if register != NO_REGISTER:
        register = constant_at(constants, first_s + (len(values) - 1) * interval_s).scaled(register)
    largest = max((abs(number) for number in (*scaled, register) if number is not None), default=0)
    if largest > _LARGEST:
        raise InvalidMessage("values", f"{largest} base units", "what a meter counts", fault="absurdly large")
    return scaled, register


def _begins(values: Sequence[int | None], register: int) -> list[int]:
    """The register at the begin of each interval; counted from the run's begin where the register does not reach."""
    begins, running = [], 0
    for value in values:
        begins.append(running)
        running += value or 0
    if register != NO_REGISTER:
        for place in range(len(values) - 1, -1, -1):
            value = values[place]
            if value is None:
                break
            register -= value
            begins[place] = register
    return begins
