"""NEM12 and NEM13, Australia's meter data files (AEMO MDFF 2.6), read with `aemo-mdff-reader`.

The library checks and reads the records; this module checks what it lets through (a missing header or end, gaps in the
quality rows, empty values, which it reads as zero) and takes the numbers as they are written, because it reads them as
floats. A file's day is always Australian Eastern Standard Time, UTC+10 all year.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import TypeVar

from aemo_mdff_reader import IntervalReading, NEM12ParseError, parse, parse_accumulations, parse_events

from headend.collect.files.series import LARGEST, FileReads, Register, Series, number, repeats, whole
from headend.collect.files.units import ENERGY, REACTIVE
from headend.errors import InvalidInput
from headend.reads.crosswalk import Condition, from_nem12
from headend.reads.quality import IS_ACTUAL, Quality

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive in AEST, as the library reads it
_AEST_AHEAD_S = 10 * 3600

_UNITS = {**ENERGY, **REACTIVE}

#: By the first letter of a NMI suffix. AEMO's "export" goes from the grid to the customer: our import.
_OBIS_OF_SUFFIX = {
    "E": ("1-0:1.8.0", ENERGY),
    "B": ("1-0:2.8.0", ENERGY),
    "Q": ("1-0:3.8.0", REACTIVE),
    "K": ("1-0:4.8.0", REACTIVE),
}
#: By direction, and whether it is reactive.
_OBIS_OF_DIRECTION = {
    ("E", False): "1-0:1.8.0",
    ("I", False): "1-0:2.8.0",
    ("E", True): "1-0:3.8.0",
    ("I", True): "1-0:4.8.0",
}


def parse_nem(name: str, text: str) -> FileReads:
    """Intervals of a NEM12 file or registers of a NEM13 file; raises `InvalidInput` with the line."""
    rows = _records(name, text)
    line, header = next(rows, (1, ["900"]))
    if header[0] != "100" or header[1:2] not in (["NEM12"], ["NEM13"]):
        found = f"record {','.join(header)[:40]!r}"
        raise InvalidInput(f"{name}: line {line}", found, "the header first: 100,NEM12,… or 100,NEM13,…")
    return _nem12(name, rows) if header[1] == "NEM12" else _nem13(name, rows)


def _records(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """Every record before the end record, with its line; raises `InvalidInput` where the file does not end with it."""
    reader = csv.reader(io.StringIO(text, newline=""))
    ended = False
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if ended:
                raise InvalidInput(f"{name}: line {reader.line_num}", f"record {cells[0][:10]!r}", "nothing after 900")
            ended = cells[0] == "900"
            if not ended:
                yield reader.line_num, cells
    except csv.Error as error:
        raise InvalidInput(f"{name}: line {reader.line_num}", str(error), "comma-separated values") from None
    if not ended:
        raise InvalidInput(
            f"{name}: line {reader.line_num}", "the end of the file", "an end record, 900: it is cut off"
        )


def _nem12(name: str, rows: Iterator[tuple[int, list[str]]]) -> FileReads:
    reader = _Nem12(name)
    for line, row in rows:
        reader.take(line, row)
    reader.close_day()
    for series in reader.series.values():
        if series.values:
            series.tidy(name)
    told = [one for one in reader.series.values() if one.values or one.unusable]
    return FileReads("nem12", told, [], repeats(told))


class _Nem12:
    """A NEM12 file read record by record: a 200 record opens a channel, a 300 a day of it, 400s qualify that day."""

    def __init__(self, name: str) -> None:
        self.series: dict[tuple[str, ...], Series] = {}
        self._name = name
        self._channel: list[str] = []
        self._scale = Decimal(1)
        self._open: Series | None = None
        self._day: list[str] = []
        self._day_line = 0
        self._events: list[list[str]] = []

    def take(self, line: int, row: list[str]) -> None:
        """The next record."""
        if row[0] == "400" and self._day:
            self._events.append(row)
        elif row[0] == "300" and self._channel:
            self.close_day()
            self._day, self._day_line = row, line
        elif row[0] == "200":
            self.close_day()
            self._open_channel(line, row)
        elif row[0] != "500" or not self._day:
            expected = "a record 200, 300, 400 or 500 in its place"
            raise InvalidInput(f"{self._name}: line {line}", f"record {row[0][:10]!r}", expected)

    def _open_channel(self, line: int, row: list[str]) -> None:
        where = f"{self._name}: line {line}"
        _read(where, "200", parse([row]))
        nmi, suffix, serial, unit, minutes = row[1], row[4], row[6], row[7], int(row[8])
        obis, units = _OBIS_OF_SUFFIX.get(suffix[:1].upper(), (None, _UNITS))
        self._channel, scale = row, units.get(unit.lower())
        self._scale = scale or Decimal(1)
        names = (nmi, serial) if serial else (nmi,)
        unusable = "" if scale else f"its unit {unit!r} is none of energy"
        series = Series(names, suffix, obis, minutes * 60, line, unusable)
        self._open = self.series.setdefault((nmi, suffix, serial, row[8], unit), series)

    def close_day(self) -> None:
        """Read the day whose records are complete."""
        row, series, where = self._day, self._open, f"{self._name}: line {self._day_line}"
        self._day, events, self._events = [], self._events, []
        if not row or series is None:
            return
        # One reading tells what the record says of all of them.
        (first,) = _read(where, "300", islice(parse([self._channel, row]), 1))
        n = 86_400 // series.interval_s
        conditions = self._conditions(first, n, [self._channel, row, *events], where)
        if series.unusable:
            return
        if first.interval_date.time() != time():
            raise InvalidInput(where, repr(row[1]), "a date such as 20260105")
        midnight_s = _aest(first.interval_date, where)
        cells = zip(row[2 : 2 + n], conditions, strict=True)
        values = whole(_value(cell, said, where, self._scale) for cell, said in cells)
        for i, (value, said) in enumerate(zip(values, conditions, strict=True)):
            series.add(midnight_s + i * series.interval_s, value, said, self._day_line)

    def _conditions(self, day: IntervalReading, n: int, records: list[list[str]], where: str) -> list[Condition]:
        if day.quality_method != "V":
            if len(records) > 2:
                raise InvalidInput(where, f"quality {day.quality_method!r} and 400 records", "400 records only after V")
            return [_condition(day.quality_method, day.reason_code, day.reason_description, where)] * n
        said: list[Condition] = []
        for event in _read(where, "400", parse_events(records)):
            if event.start_interval != len(said) + 1 or not len(said) < event.end_interval <= n:
                found = f"a 400 record of intervals {event.start_interval}–{event.end_interval}"
                raise InvalidInput(where, found, f"them from {len(said) + 1} on, up to {n}")
            condition = _condition(event.quality_method, event.reason_code, event.reason_description, where)
            said += [condition] * (event.end_interval - len(said))
        if len(said) != n:
            raise InvalidInput(where, f"400 records of {len(said)} intervals", f"of all {n}")
        return said


def _nem13(name: str, rows: Iterator[tuple[int, list[str]]]) -> FileReads:
    registers: list[Register] = []
    estimated = 0
    for line, row in rows:
        where = f"{name}: line {line}"
        if row[0] == "550":
            continue
        if row[0] != "250":
            raise InvalidInput(where, f"record {row[0][:10]!r}", "a record 250 or 550")
        (read,) = _read(where, "250", parse_accumulations([row]))
        unit = row[19].lower()
        scale = _UNITS.get(unit)
        obis = _OBIS_OF_DIRECTION.get((row[7].upper(), unit in REACTIVE))
        for cell, at, method in (
            (row[8], read.previous_register_read_datetime, read.previous_quality_method),
            (row[13], read.current_register_read_datetime, read.current_quality_method),
        ):
            if not cell and at is None:
                continue
            if at is None or scale is None:
                found = f"unit {row[19]!r}" if at is not None else "a register without date and time"
                raise InvalidInput(where, found, "a register with its moment in Wh, kWh, MWh, VArh, kVArh or MVArh")
            if not IS_ACTUAL[_condition(method, None, "", where).quality]:
                estimated += 1
                continue
            (value,) = whole([number(cell, where) * scale])
            if value is None or not 0 <= value <= LARGEST:
                raise InvalidInput(where, f"a register of {cell}", "0 or more")
            names = (row[1], row[6]) if row[6] else (row[1],)
            registers.append(Register(names, row[4], obis, _aest(at, where), value, row[6][:64] or None, line))
    left_out = [f"{estimated} estimated registers"] if estimated else []
    return FileReads("nem12", [], registers, left_out)


def _read(where: str, record: str, readings: Iterator[T]) -> list[T]:
    """What the library makes of a record; its complaints become ours, with the line."""
    try:
        return list(readings)
    except (NEM12ParseError, ValueError, OverflowError) as error:
        found, _, expected = str(error)[:160].partition(", expected ")
        raise InvalidInput(where, found, expected or f"a {record} record") from None


def _aest(at: datetime, where: str) -> int:
    if at.year < 1971:
        raise InvalidInput(where, f"{at:%Y-%m-%d}", "a date from 1971 on")
    return (at - _EPOCH) // timedelta(seconds=1) - _AEST_AHEAD_S


def _condition(method: str, reason: int | None, description: str, where: str) -> Condition:
    try:
        return from_nem12(method, reason, description)
    except InvalidInput as error:
        raise InvalidInput(where, error.found, error.expected) from None


def _value(cell: str, said: Condition, where: str, scale: Decimal) -> Decimal | None:
    return None if said.quality == Quality.MISSING else number(cell, where) * scale
