"""CSV: one interval or one register a line, the header names the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np

from headend.collect.files.series import LARGEST, FileReads, Register, Series, check_moment
from headend.errors import InvalidInput
from headend.reads.channels import Channel
from headend.reads.days import DAY_S, seconds
from headend.reads.quality import IS_ACTUAL, Quality

_INTERVALS = {"meter", "channel", "start", "value"}
_REGISTERS = {"meter", "channel", "at", "register"}
_HEADERS = "meter,channel,start,value[,interval_s][,quality] or meter,channel,at,register[,serial]"

#: A quality by its code, as the API has it, or by its name. What others have validated is validated again.
_QUALITY = {
    text: Quality.RAW if IS_ACTUAL[code] else code for code in Quality for text in (str(code.value), code.name.lower())
} | {"": Quality.RAW, "actual": Quality.RAW}


def parse_csv(name: str, text: str, interval_s: int) -> FileReads:
    """Intervals or registers of a CSV file; raises `InvalidInput` with the line.

    Parameters
    ----------
    interval_s
        length of an interval where no column says it [s].
    """
    rows = _rows(name, text)
    line, header = next(rows, (1, []))
    columns = {column.strip().lower(): place for place, column in enumerate(header)}
    names = set(columns)
    fits = names - {"interval_s", "quality"} == _INTERVALS or names - {"serial"} == _REGISTERS
    if not fits or len(columns) != len(header):
        raise InvalidInput(f"{name}: line {line}", repr(",".join(header))[:80], f"the columns {_HEADERS}")
    complete = _complete(name, rows, len(header))
    if "at" in columns:
        return FileReads("csv", [], [_register(row, columns, f"{name}: line {line}", line) for line, row in complete])
    series: dict[tuple[str, str, int], Series] = {}
    for line, row in complete:
        _add(series, row, columns, interval_s, f"{name}: line {line}", line)
    for one in series.values():
        _refuse_swapped_days(one, name)
        one.tidy(name)
    return FileReads("csv", list(series.values()), [])


def _rows(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """Lines that are not empty, with their numbers."""
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise InvalidInput(f"{name}: line {reader.line_num}", str(error), "comma-separated values") from None


def _complete(name: str, rows: Iterator[tuple[int, list[str]]], width: int) -> Iterator[tuple[int, list[str]]]:
    for line, row in rows:
        if len(row) != width:
            raise InvalidInput(f"{name}: line {line}", f"{len(row)} columns", f"{width}, as in the header")
        yield line, [cell.strip() for cell in row]


def _add(
    series: dict[tuple[str, str, int], Series],
    row: Sequence[str],
    columns: dict[str, int],
    interval_s: int,
    where: str,
    line: int,
) -> None:
    meter, channel = row[columns["meter"]], row[columns["channel"]]
    length = _whole(row[columns["interval_s"]], f"{where}, interval_s") if "interval_s" in columns else interval_s
    one = series.get((meter, channel, length))
    if one is None:
        one = series[meter, channel, length] = Series((meter,), channel, _obis(channel), length, line)
    code = Quality.RAW
    if "quality" in columns:
        word = row[columns["quality"]].lower()
        if word not in _QUALITY:
            raise InvalidInput(
                f"{where}, quality", repr(word[:40]), "a code 0 to 9, or a name such as estimated_linear"
            )
        code = _QUALITY[word]
    text = row[columns["value"]]
    missing = not text or code == Quality.MISSING
    value = None if missing else _whole(text, f"{where}, value", lowest=-LARGEST)
    one.add(_moment(row[columns["start"]], f"{where}, start"), value, code, line)


def _register(row: Sequence[str], columns: dict[str, int], where: str, line: int) -> Register:
    channel = row[columns["channel"]]
    return Register(
        (row[columns["meter"]],),
        channel,
        _obis(channel),
        _moment(row[columns["at"]], f"{where}, at"),
        _whole(row[columns["register"]], f"{where}, register"),
        row[columns["serial"]][:64] or None if "serial" in columns else None,
        line,
    )


def _obis(text: str) -> str | None:
    try:
        return Channel.parse(text).obis
    except InvalidInput:
        return None


def _whole(text: str, where: str, lowest: int = 0) -> int:
    digits = text.removeprefix("-")
    found = int(text) if len(digits) <= 16 and digits.isascii() and digits.isdigit() else None
    if found is None or not lowest <= found <= LARGEST:
        raise InvalidInput(where, repr(text[:40]), "a whole number" + ("" if lowest else ", 0 or more"))
    return found


def _moment(text: str, where: str) -> int:
    try:
        at = datetime.fromisoformat(text)
        at_s = seconds(at) if at.tzinfo is not None and not at.microsecond else None
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
    steps = np.flatnonzero(np.diff(starts) != series.interval_s)
    # Twelve days of each month are exchanged, so a swapped file hops at least twice.
    if len(steps) < 2:
        return
    days, place = np.unique(starts // DAY_S, return_inverse=True)
    back = np.array([_exchanged(int(day)) for day in days])[place.reshape(-1)] * DAY_S + starts % DAY_S
    if 10 * np.count_nonzero(np.diff(back) != series.interval_s) <= len(steps):
        line, found = series.lines[int(steps[0]) + 1], f"{_day(starts[steps[0] + 1])} after {_day(starts[steps[0]])}"
        raise InvalidInput(f"{name}: line {line}, start", found, "days in order: day and month seem to be exchanged")


def _exchanged(day: int) -> int:
    at = datetime.fromtimestamp(day * DAY_S, UTC)
    return seconds(at.replace(month=at.day, day=at.month)) // DAY_S if at.day <= 12 else day


def _day(at_s: int) -> str:
    return f"{datetime.fromtimestamp(int(at_s), UTC):%Y-%m-%d}"
