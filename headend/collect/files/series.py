"""What a file says, before anybody asks whose meters they are: series of intervals, and registers.

Every format ends here, so that order, repetition and gaps are looked at in one place.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from headend.collect.files.message import Format
from headend.errors import InvalidInput
from headend.reads.crosswalk import Condition
from headend.reads.days import DAY_S, moment
from headend.reads.quality import IS_ACTUAL, Flag, Quality

#: Far above any meter, and exact in every number type on the way.
LARGEST = 2**53
#: 2200-01-01: no meter has read later than this.
_LATEST_S = 7_258_118_400

#: What a device may say of an interval; the other flags are for us to set.
_DEVICE = int(Flag.POWER_OUTAGE | Flag.CLOCK_SET | Flag.PARTIAL | Flag.TEST | Flag.TAMPER)
_LINES_NAMED = 20

_NUMBER = re.compile(r"[+-]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})", re.ASCII)


@dataclass(slots=True, eq=False)
class Series:
    """The intervals of one channel of one meter, as a file names them.

    Parameters
    ----------
    names
        what the file calls the meter; the first that the registry knows counts.
    channel
        what the file calls the channel.
    obis
        the channel that means; None: the file's format does not say.
    interval_s
        length of an interval [s].
    line
        where the file first speaks of it.
    unusable
        why its values cannot be reads at all, whatever the registry knows; "" when they can.
    start_s, values, codes, flags, lines
        one each for every interval: begin [s since 1970], whole base units or None, `Quality` code, device `Flag`s,
        line of the file.
    repeated
        lines that told of an interval again and said the same; after `tidy`.
    """

    names: tuple[str, ...]
    channel: str
    obis: str | None
    interval_s: int
    line: int
    unusable: str = ""
    start_s: array[int] = field(default_factory=lambda: array("q"))
    values: list[int | None] = field(default_factory=list)
    codes: bytearray = field(default_factory=bytearray)
    flags: bytearray = field(default_factory=bytearray)
    lines: array[int] = field(default_factory=lambda: array("q"))
    repeated: list[int] = field(default_factory=list)

    def add(self, start_s: int, value: int | None, said: Condition, line: int) -> None:
        """One more interval; what others have validated is raw here, and is validated again."""
        code = Quality.RAW if IS_ACTUAL[said.quality] else said.quality
        self.start_s.append(start_s)
        self.values.append(value)
        self.codes.append(Quality.MISSING if value is None else code)
        self.flags.append(int(said.flags) & _DEVICE)
        self.lines.append(line)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Begin of every interval [s since 1970] (n,)."""
        return np.array(self.start_s, dtype=np.int64)

    def tidy(self, where: str) -> None:
        """Intervals in the order of time, each once; raises `InvalidInput` where one stands twice with other values."""
        self._check(where)
        order = np.argsort(self.starts, kind="stable").tolist()
        kept: list[int] = []
        for i in order:
            if kept and self.start_s[kept[-1]] == self.start_s[i]:
                self._refuse_contradiction(where, kept[-1], i)
                self.repeated.append(self.lines[i])
            else:
                kept.append(i)
        self.start_s = array("q", [self.start_s[i] for i in kept])
        self.values = [self.values[i] for i in kept]
        self.codes = bytearray(self.codes[i] for i in kept)
        self.flags = bytearray(self.flags[i] for i in kept)
        self.lines = array("q", [self.lines[i] for i in kept])

    def _check(self, where: str) -> None:
        if self.interval_s <= 0 or DAY_S % self.interval_s:
            found = f"intervals of {self.interval_s} s"
            raise InvalidInput(f"{where}: line {self.line}", found, "a length that divides a day")
        for start_s, value, line in zip(self.start_s, self.values, self.lines, strict=True):
            check_moment(start_s, f"{where}: line {line}")
            if start_s % self.interval_s:
                expected = f"a multiple of {self.interval_s} s in UTC"
                raise InvalidInput(f"{where}: line {line}", f"an interval that begins {_utc(start_s)}", expected)
            if value is not None and abs(value) > LARGEST:
                raise InvalidInput(f"{where}: line {line}", f"a value of {value}", f"at most {LARGEST}")

    def _refuse_contradiction(self, where: str, first: int, again: int) -> None:
        if self.values[first] != self.values[again]:
            other = "value"
        elif (self.codes[first], self.flags[first]) != (self.codes[again], self.flags[again]):
            other = "quality"
        else:
            return
        found = f"{self.names[0]!r} {self.channel!r} at {_utc(self.start_s[again])} again, with another {other}"
        raise InvalidInput(
            f"{where}: line {self.lines[again]}", found, f"it once (it stands on line {self.lines[first]})"
        )

    def runs(self, longest: int) -> Iterator[slice]:
        """Where consecutive intervals lie together, at most `longest` of them; after `tidy`."""
        breaks = np.flatnonzero(np.diff(self.starts) != self.interval_s) + 1
        edges = [0, *breaks.tolist(), len(self.values)]
        for begin, end in pairwise(edges):
            for first in range(begin, end, longest):
                yield slice(first, min(first + longest, end))


@dataclass(frozen=True, slots=True)
class Register:
    """A cumulative register at a moment, as a file names it; see `Series`."""

    names: tuple[str, ...]
    channel: str
    obis: str | None
    at_s: int
    value: int
    serial: str | None
    line: int


@dataclass(frozen=True, slots=True)
class FileReads:
    """All a file says.

    Parameters
    ----------
    left_out
        what it says beside that and is no read, for people.
    """

    format: Format
    series: list[Series]
    registers: list[Register]
    left_out: list[str] = field(default_factory=list)


def repeats(series: Iterable[Series]) -> list[str]:
    """What a file says twice, in a line for people: how often, and where."""
    lines = [line for one in series for line in one.repeated]
    if not lines:
        return []
    places = sorted(set(lines))
    named = ", ".join(map(str, places[:_LINES_NAMED])) + (", …" if len(places) > _LINES_NAMED else "")
    times = "1 interval that stands" if len(lines) == 1 else f"{len(lines)} intervals that stand"
    return [f"{times} there again with the same value: line{'s' * (len(places) > 1)} {named}"]


def number(text: str, where: str) -> Decimal:
    """A decimal number as meters write them; raises `InvalidInput`."""
    if not _NUMBER.fullmatch(text):
        raise InvalidInput(where, repr(text[:40]), "a number such as 1.234")
    return Decimal(text)


def whole(values: Iterable[Decimal | None]) -> list[int | None]:
    """Whole units, so that the running total is never more than half a unit off.

    Every value is the difference of the rounded running total: what one value is rounded up by, a later one is rounded
    down by. The total begins at zero with the record (a day of NEM12, an interval block of Green Button), so that the
    same record gives the same values in whatever file it stands.
    """
    total, told = Decimal(0), 0
    result: list[int | None] = []
    for value in values:
        if value is None:
            result.append(None)
            continue
        total += value
        now = int(total.to_integral_value(ROUND_HALF_UP))
        result.append(now - told)
        told = now
    return result


def check_moment(at_s: int, where: str) -> None:
    """Refuse what lies before 1970 or after 2199; raises `InvalidInput`."""
    if not 0 <= at_s < _LATEST_S:
        raise InvalidInput(where, f"{at_s} s since 1970", "a moment from 1970 to 2199")


def _utc(at_s: int) -> str:
    return f"{moment(at_s):%Y-%m-%dT%H:%M:%SZ}"
