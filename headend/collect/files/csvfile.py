"""CSV: one interval or one register a line, the header names the columns.

What such a file often does not say of itself (whose it is, its unit, its time zone, whether a stamp begins or ends its
interval) is told beside it, by a `Layout`; what is still unclear then is refused with its line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from headend.collect.files.localtime import moment_s, told_apart
from headend.collect.files.series import (
    LARGEST,
    FileReads,
    Register,
    Series,
    check_moment,
    number,
    repeats,
    whole,
)
from headend.collect.files.units import is_unit, scale_of
from headend.errors import InvalidInput
from headend.reads.channels import Channel
from headend.reads.crosswalk import Condition, from_cim
from headend.reads.days import DAY_S, seconds
from headend.reads.quality import Flag, Quality

_INTERVALS, _INTERVALS_MORE = {"meter", "channel", "start", "value"}, {"interval_s", "quality", "flags"}
_REGISTERS, _REGISTERS_MORE = {"meter", "channel", "at", "register"}, {"serial"}
_WHOSE = {"meter", "channel"}
_HEADERS = (
    "meter,channel,start,value[,interval_s][,quality][,flags] or meter,channel,at,register[,serial];"
    " --channel METER/OBIS stands for the first two"
)
_UNIT_OF_HEADER = re.compile(r"(.*?)\s*[\[(]([^\])]*)[\])]")

_RAW = Condition(Quality.RAW)
#: A quality by its code, as the API has it, or by its name.
_QUALITIES = {text: Condition(code) for code in Quality for text in (str(code.value), code.name.lower())} | {
    "": _RAW,
    "actual": _RAW,
}


@dataclass(frozen=True, slots=True)
class Layout:
    """What a CSV file does not say of itself.

    Parameters
    ----------
    interval_s
        length of an interval where no column says it [s].
    channel
        (meter, OBIS code) of a file without these columns.
    unit
        of its values, which may then have decimals; None: that in the header's brackets, or else whole base units.
    zone
        of stamps without an offset; None: such are refused.
    stamps
        what a stamp is of its interval. An interval ends at 00:00 of the next day, and in the hour in which clocks
        change by the clock it began with: 01:00 and its length later.
    """

    interval_s: int = 3600
    channel: tuple[str, str] | None = None
    unit: str | None = None
    zone: ZoneInfo | None = None
    stamps: Literal["begin", "end"] = "begin"

    @property
    def beside_the_file(self) -> list[str]:
        """The options that said any of it but the length."""
        said = {
            "--channel": self.channel,
            "--unit": self.unit,
            "--timezone": self.zone,
            "--stamps": self.stamps != "begin",
        }
        return [option for option, given in said.items() if given]


def whose(option: str) -> tuple[str, str]:
    """Meter and OBIS code of `METER/OBIS`; raises `InvalidInput`."""
    meter, _, obis = option.rpartition("/")
    if not meter or _obis(obis) is None:
        raise InvalidInput("--channel", repr(option), "METER/OBIS, such as E-1/1-0:1.8.0")
    return meter, obis


def parse_csv(name: str, text: str, layout: Layout) -> FileReads:
    """Intervals or registers of a CSV file; raises `InvalidInput` with the line."""
    rows = _rows(name, text)
    line, header = next(rows, (1, []))
    columns, unit = _columns(name, line, header, layout)
    complete = _complete(name, rows, len(header))
    if "at" in columns:
        registers = [_register(row, columns, unit, layout, f"{name}: line {line}", line) for line, row in complete]
        return FileReads("csv", [], registers)
    reader = _Intervals(name, columns, unit, layout)
    for line, row in complete:
        reader.take(line, row)
    series = reader.finish()
    return FileReads("csv", series, [], repeats(series))


def _rows(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """Lines that are not empty, with their numbers."""
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise InvalidInput(f"{name}: line {reader.line_num}", str(error), "comma-separated values") from None


def _columns(name: str, line: int, header: Sequence[str], layout: Layout) -> tuple[dict[str, int], str | None]:
    """Where each column stands, and the unit of the values."""
    where, found = f"{name}: line {line}", repr(",".join(header))[:80]
    cells = [cell.strip().lower() for cell in header]
    unit = layout.unit
    for place, cell in enumerate(cells):
        match = _UNIT_OF_HEADER.fullmatch(cell)
        if match is None or not is_unit(match[2]):
            continue
        cells[place] = match[1]
        if unit is not None and unit.lower() != match[2].strip():
            raise InvalidInput(where, f"the unit {match[2]}", f"{unit}, as --unit says")
        unit = match[2].strip()
    if layout.channel is not None and len(cells) == 2 and not set(cells) & {"start", "value", "at", "register"}:
        if any(_begins_like_a_value(cell) for cell in cells):
            raise InvalidInput(where, found, "the names of the columns, such as start,value")
        other = _UNIT_OF_HEADER.fullmatch(cells[1])
        if unit is None and other is not None:  # kW is no energy, and counting it as Wh loses three digits unseen
            raise InvalidInput(where, f"{other[2]!r} in brackets", "a unit such as kWh, or --unit")
        cells = ["start", "value"]  # two columns can be nothing else, whatever they are called
    columns = {column: place for place, column in enumerate(cells)}
    names = set(columns)
    if layout.channel is not None:
        if names & _WHOSE:
            raise InvalidInput(where, found, "no columns meter and channel where --channel is given")
        names |= _WHOSE
    fits = names - _INTERVALS_MORE == _INTERVALS or names - _REGISTERS_MORE == _REGISTERS
    if not fits or len(columns) != len(cells):
        raise InvalidInput(where, found, f"the columns {_HEADERS}")
    return columns, unit


def _begins_like_a_value(cell: str) -> bool:
    return bool(re.match(r"[-+.]?\d", cell, re.ASCII))


def _complete(name: str, rows: Iterator[tuple[int, list[str]]], width: int) -> Iterator[tuple[int, list[str]]]:
    for line, row in rows:
        if len(row) != width:
            raise InvalidInput(f"{name}: line {line}", f"{len(row)} columns", f"{width}, as in the header")
        yield line, [cell.strip() for cell in row]


class _Intervals:
    """The intervals of a file, line by line; what needs the whole file to be understood is done at its end."""

    def __init__(self, name: str, columns: Mapping[str, int], unit: str | None, layout: Layout) -> None:
        self._name, self._columns, self._unit, self._layout = name, columns, unit, layout
        self._series: dict[tuple[str, str, int], Series] = {}
        self._scales: dict[str, Decimal] = {}  # by channel
        #: Beside each series: its values before they are whole, and the places of stamps that come twice.
        self._exact: dict[int, list[Decimal | None]] = {}
        self._twice: dict[int, list[tuple[int, datetime]]] = {}

    def take(self, line: int, row: Sequence[str]) -> None:
        """The next line."""
        where, columns = f"{self._name}: line {line}", self._columns
        one = self._series_of(row, where, line)
        said = _RAW
        if "quality" in columns:
            said = _condition(row[columns["quality"]], f"{where}, quality")
        if "flags" in columns:
            said = said._replace(flags=_flags(row[columns["flags"]], f"{where}, flags"))
        text = row[columns["value"]]
        value = None
        if text and said.quality != Quality.MISSING:
            value = self._value(one, text, f"{where}, value")
        elif self._unit is not None:
            self._exact[id(one)].append(None)
        start_s = self._start_s(one, row[columns["start"]], f"{where}, start")
        one.add(start_s, value, said, line)

    def finish(self) -> list[Series]:
        """All series, in the order of time, with whole values."""
        found = list(self._series.values())
        for one in found:
            self._tell_hours_apart(one)
            _refuse_swapped_days(one, self._name)
            if self._unit is not None:
                one.values = _made_whole(one, self._exact[id(one)])
            one.tidy(self._name)
        return found

    def _series_of(self, row: Sequence[str], where: str, line: int) -> Series:
        columns, layout = self._columns, self._layout
        meter, channel = layout.channel or (row[columns["meter"]], row[columns["channel"]])
        length = layout.interval_s
        if "interval_s" in columns:
            length = _whole(row[columns["interval_s"]], f"{where}, interval_s")
        one = self._series.get((meter, channel, length))
        if one is None:
            one = self._series[meter, channel, length] = Series((meter,), channel, _obis(channel), length, line)
            self._exact[id(one)], self._twice[id(one)] = [], []
        return one

    def _value(self, one: Series, text: str, where: str) -> int:
        if self._unit is None:
            return _whole(text, where, lowest=-LARGEST)
        scale = self._scales.get(one.channel)
        if scale is None:
            scale = self._scales[one.channel] = scale_of(self._unit, one.obis, where)
        self._exact[id(one)].append(number(text, where) * scale)
        return 0  # until the day around it is known

    def _start_s(self, one: Series, text: str, where: str) -> int:
        at, layout = _iso(text), self._layout
        if at is None or (at.tzinfo is None and layout.zone is None):
            expected = "an ISO 8601 moment with Z or an offset, such as 2026-01-05T12:00:00Z"
            raise InvalidInput(where, repr(text[:40]), expected + ("" if at is None else ", or --timezone ZONE"))
        try:
            begin = at if layout.stamps == "begin" else at - timedelta(seconds=one.interval_s)
        except OverflowError:
            raise InvalidInput(where, repr(text[:40]), "a moment from 1970 to 2199") from None
        if begin.tzinfo is None and layout.zone is not None:
            start_s = moment_s(begin, layout.zone, where)
            if start_s is None:
                self._twice[id(one)].append((len(one.values), begin))
            return start_s or 0
        return _checked(begin, text, where)

    def _tell_hours_apart(self, one: Series) -> None:
        twice = self._twice[id(one)]
        if twice and self._layout.zone is not None:
            stamps = [(begin, one.lines[place]) for place, begin in twice]
            for (place, _), start_s in zip(twice, told_apart(stamps, self._layout.zone, self._name), strict=True):
                one.start_s[place] = start_s


def _made_whole(series: Series, exact: Sequence[Decimal | None]) -> list[int | None]:
    """Whole base units; the running total begins at zero with every UTC day, so that no file's begin matters."""
    values: list[int | None] = [None] * len(exact)
    order = np.argsort(series.starts, kind="stable").tolist()
    for _, day in groupby(order, key=lambda place: series.start_s[place] // DAY_S):
        # What stands there again with the same value counts once.
        once: dict[tuple[int, Decimal | None], list[int]] = {}
        for place in day:
            once.setdefault((series.start_s[place], exact[place]), []).append(place)
        for places, value in zip(once.values(), whole(value for _, value in once), strict=True):
            for place in places:
                values[place] = value
    return values


def _condition(text: str, where: str) -> Condition:
    word = text.lower()
    if word in _QUALITIES:
        return _QUALITIES[word]
    if "." not in word:
        expected = f"a code 0 to {max(Quality)}, a name such as estimated_linear, or codes of IEC 61968-9 such as 3.8.0"
        raise InvalidInput(where, repr(text[:40]), expected)
    try:
        return from_cim(word.split())
    except InvalidInput as error:
        raise InvalidInput(where, error.found, error.expected) from None


def _flags(text: str, where: str) -> Flag:
    found = _whole(text or "0", where)
    if found > 255:
        raise InvalidInput(
            where, repr(text[:40]), "0 to 255: bits, 1 outage, 2 clock set, 4 partial, 8 test, 16 tamper"
        )
    return Flag(found)


def _register(
    row: Sequence[str], columns: Mapping[str, int], unit: str | None, layout: Layout, where: str, line: int
) -> Register:
    meter, channel = layout.channel or (row[columns["meter"]], row[columns["channel"]])
    at, text = _iso(row[columns["at"]]), row[columns["register"]]
    at_s: int | None = None
    if at is not None and at.tzinfo is None and layout.zone is not None:
        at_s = moment_s(at, layout.zone, f"{where}, at")
    if at_s is None:
        at_s = _checked(at, row[columns["at"]], f"{where}, at")
    if unit is None:
        value = _whole(text, f"{where}, register")
    else:
        (exact,) = whole([number(text, f"{where}, register") * scale_of(unit, _obis(channel), where)])
        value = exact or 0
        if not 0 <= value <= LARGEST:
            raise InvalidInput(f"{where}, register", repr(text[:40]), "0 or more")
    serial = row[columns["serial"]][:64] or None if "serial" in columns else None
    return Register((meter,), channel, _obis(channel), at_s, value, serial, line)


def _obis(text: str) -> str | None:
    try:
        return Channel.parse(text).obis
    except InvalidInput:
        return None


def _whole(text: str, where: str, lowest: int = 0) -> int:
    digits = text.removeprefix("-")
    found = int(text) if len(digits) <= 16 and digits.isascii() and digits.isdigit() else None
    if found is None or not lowest <= found <= LARGEST:
        expected = "a whole number" + ("" if lowest else ", 0 or more")
        decimals = lowest and re.fullmatch(r"-?\d*\.\d+", text, re.ASCII)
        raise InvalidInput(where, repr(text[:40]), expected + (", or --unit, such as kWh" if decimals else ""))
    return found


def _iso(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if at.microsecond else at


def _checked(at: datetime | None, text: str, where: str) -> int:
    try:
        at_s = seconds(at) if at is not None and at.tzinfo is not None else None
    except (ValueError, OverflowError):
        at_s = None
    if at_s is None:
        raise InvalidInput(
            where, repr(text[:40]), "an ISO 8601 moment with Z or an offset, such as 2026-01-05T12:00:00Z"
        )
    check_moment(at_s, where)
    return at_s


def _refuse_swapped_days(series: Series, name: str) -> None:
    """Refuse a file in which somebody exchanged day and month: in time it hops, and exchanged back it does not."""
    starts = series.starts
    steps = _hops(starts, series.interval_s)
    # Twelve days of each month are exchanged, so a swapped file hops at least twice.
    if len(steps) < 2:
        return
    days, place = np.unique(starts // DAY_S, return_inverse=True)
    back = np.array([_exchanged(int(day)) for day in days])[place.reshape(-1)] * DAY_S + starts % DAY_S
    still = _hops(back, series.interval_s)
    if 10 * len(still) <= len(steps):
        hop = int(np.setdiff1d(steps, still)[0])  # not one that is there anyway, for want of an interval
        line, found = series.lines[hop + 1], f"{_day(starts[hop + 1])} after {_day(starts[hop])}"
        raise InvalidInput(f"{name}: line {line}, start", found, "days in order: day and month seem to be exchanged")


def _hops(starts: NDArray[np.int64], interval_s: int) -> NDArray[np.intp]:
    """Places after which another interval follows than the next; one that stands there again is no hop."""
    steps = np.diff(starts)
    return np.flatnonzero((steps != interval_s) & (steps != 0))


def _exchanged(day: int) -> int:
    at = datetime.fromtimestamp(day * DAY_S, UTC)
    return seconds(at.replace(month=at.day, day=at.month)) // DAY_S if at.day <= 12 else day


def _day(at_s: int) -> str:
    return f"{datetime.fromtimestamp(int(at_s), UTC):%Y-%m-%d}"
