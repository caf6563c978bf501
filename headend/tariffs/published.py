"""Prices and events as others publish them: rows of time and price become a series, or are refused by line and key.

A price holds from its begin to its end. Where no end is told it holds until the next one begins, and the last as long
as the two before it; nothing else is made up, so a hole in what was published stays a hole.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import zip_longest
from typing import Any, NoReturn

import numpy as np

from headend.errors import InvalidInput
from headend.reads.days import moment, seconds
from headend.tariffs.format.schema import MAIN, Tariff
from headend.tariffs.market import Events, PriceSeries
from headend.tariffs.money import CURRENCIES, EXACT, Integers, minor_digits, scaled

#: What a price may be for: the unit that is metered, and how many decimals its price loses on the way there.
PER: dict[str, dict[str, int]] = {"kWh": {"kWh": 0, "MWh": 3}, "m³": {"m³": 0}}

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")
_LARGEST_PRICE = 10**9
_MOST_DECIMALS = 20


@dataclass(frozen=True, slots=True)
class Row:
    """One published price, or event (which has none).

    Parameters
    ----------
    where
        file and line, for messages.
    start_s, end_s
        UTC [s since 1970]; no end: until the next row begins.
    price
        None: nothing is published from here on.
    """

    where: str
    start_s: int
    end_s: int | None
    price: Decimal | None = None


def read_prices(
    lines: Iterable[str],
    source: str,
    *,
    name: str,
    currency: str,
    unit: str = "kWh",
    per: str | None = None,
    minor: bool = False,
) -> PriceSeries:
    """A price series from CSV with the header `start,price` or `start,end,price`, or a JSON list of such objects.

    Parameters
    ----------
    lines
        moments are ISO 8601 with Z or an offset, in order; prices are decimals and may be negative.
    source
        the file's name, for messages.
    unit
        what the series is priced by: kWh or m³.
    per
        what the prices of the file are for, where that is another unit, such as MWh.
    minor
        the prices of the file are in hundredths (the minor unit) of the currency, such as pence.

    Raises
    ------
    InvalidInput
        names line and key: a moment or price that is none, an overlap, two prices for one moment, a row out of order.
    """
    rows = [
        Row(
            where,
            stamp(values["start"], f"{where}, start"),
            stamp(values["end"], f"{where}, end") if "end" in values else None,
            decimal(values["price"], f"{where}, price"),
        )
        for where, values in _records(lines, source, (("start", "price"), ("start", "end", "price")))
    ]
    return series_of(rows, source, name=name, currency=currency, unit=unit, per=per, minor=minor)


def read_events(lines: Iterable[str], source: str, *, name: str) -> Events:
    """Events from CSV with the header `start,end`, or a JSON list of such objects; see `read_prices`.

    Raises
    ------
    InvalidInput
        names line and key.
    """
    checked_name(name)
    rows = [
        Row(where, stamp(values["start"], f"{where}, start"), stamp(values["end"], f"{where}, end"))
        for where, values in _records(lines, source, (("start", "end"),))
    ]
    return Events(name, tuple((row.start_s, row.end_s or 0) for row in _apart(_in_order(rows))))


def series_of(
    rows: Sequence[Row],
    source: str,
    *,
    name: str,
    currency: str,
    unit: str = "kWh",
    per: str | None = None,
    minor: bool = False,
) -> PriceSeries:
    """A price series of rows in order; see `read_prices`."""
    checked_name(name)
    if currency not in CURRENCIES:
        raise InvalidInput(f"{source}, currency", repr(currency), "an ISO 4217 currency such as EUR")
    if unit not in PER:
        raise InvalidInput(f"{source}, unit", repr(unit), " or ".join(PER))
    if (per := per or unit) not in PER[unit]:
        raise InvalidInput(f"{source}, per", repr(per), f"{' or '.join(PER[unit])}, for a series in {unit}")
    shift = PER[unit][per] + (minor_digits(currency) if minor else 0)
    priced = [row for row in _apart(_ended(_in_order(rows))) if row.price is not None]
    if not priced:
        raise InvalidInput(source, "no price", "at least one")
    numbers = [scaled((row.price or Decimal(0)).scaleb(-shift, EXACT)) for row in priced]
    scale = max((its for _, its in numbers), default=0)
    return PriceSeries(
        name,
        currency,
        unit,
        np.array([row.start_s for row in priced], dtype=np.int64),
        np.array([row.end_s for row in priced], dtype=np.int64),
        whole_numbers([number * 10 ** (scale - its) for number, its in numbers]),
        scale,
    )


def events_named(tariff: Tariff) -> set[str]:
    """The lists of events that a tariff's periods refer to."""
    schedules = (tariff.schedule(name) for name in (MAIN, *tariff.schedules))
    whens = (when for periods in schedules for period in periods for when in period.alternatives)
    return {when.event for when in whens if when.event is not None}


def whole_numbers(numbers: Sequence[int]) -> Integers:
    """Whole numbers as int64, or as Python's own where one is larger (n,)."""
    fits = all(-(2**63) <= number < 2**63 for number in numbers)
    return np.array(numbers, dtype=np.int64 if fits else object)


def checked_name(name: str) -> str:
    """A name of a series or list of events, by which a tariff refers to it; raises `InvalidInput`."""
    if not _NAME.fullmatch(name):
        raise InvalidInput("name", repr(name)[:80], "small letters, digits, - and _, such as day-ahead")
    return name


def stamp(value: object, where: str) -> int:
    """Seconds since 1970 of an ISO 8601 moment with Z or an offset; raises `InvalidInput`."""
    try:
        at = datetime.fromisoformat(value.strip() if isinstance(value, str) else "")
        utc = at.astimezone(UTC)
        # A bill asks for the day after it, and what comes after the year 9999 has no date.
        if at.tzinfo is not None and not utc.microsecond and 1970 <= utc.year < 9999:
            return seconds(utc)
    except (ValueError, OverflowError):
        pass
    raise InvalidInput(where, repr(value)[:60], "an ISO 8601 moment with Z or an offset, in whole seconds from 1970 on")


def decimal(value: object, where: str) -> Decimal:
    """A price as it is written, exactly; raises `InvalidInput`."""
    number: Decimal | None = None
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        number = Decimal(value.strip())
    elif isinstance(value, Decimal | int) and not isinstance(value, bool):
        number = Decimal(value)
    if number is None or not number.is_finite():
        raise InvalidInput(where, repr(value)[:60], "a decimal number such as 0.2831")
    if abs(number) >= _LARGEST_PRICE or int(number.as_tuple().exponent) < -_MOST_DECIMALS:
        expected = f"a price below {_LARGEST_PRICE:,} with at most {_MOST_DECIMALS} decimals"
        raise InvalidInput(where, str(value)[:60], expected)
    return number


def _records(
    lines: Iterable[str], source: str, layouts: Sequence[tuple[str, ...]]
) -> Iterable[tuple[str, dict[str, Any]]]:
    """Every record of a CSV or JSON file, and where it stands."""
    text = list(lines)
    first = next((line.strip() for line in text if line.strip()), "")
    return _of_json(text, source, layouts) if first[:1] in {"[", "{"} else _of_csv(text, source, layouts)


def _of_csv(lines: list[str], source: str, layouts: Sequence[tuple[str, ...]]) -> Iterable[tuple[str, dict[str, Any]]]:
    rows = csv.reader(lines)
    try:
        header = next(rows, [])
        names = tuple(name.removeprefix("\ufeff").strip() for name in header)
        if sorted(names) not in [sorted(layout) for layout in layouts]:
            found = ",".join(names)[:60] or "nothing"
            raise InvalidInput(f"{source}, line 1", found, _header(layouts))
        for row in rows:
            if not any(row):
                continue
            where = f"{source}, line {rows.line_num}"
            if len(row) != len(names):
                raise InvalidInput(where, f"{len(row)} values", f"{len(names)}: {','.join(names)}")
            yield where, dict(zip(names, row, strict=True))
    except csv.Error as error:
        raise InvalidInput(f"{source}, line {rows.line_num}", str(error), "CSV") from None


def _of_json(lines: list[str], source: str, layouts: Sequence[tuple[str, ...]]) -> Iterable[tuple[str, dict[str, Any]]]:
    try:
        data = json.loads("\n".join(lines), parse_float=Decimal, parse_constant=_no_number)
    except InvalidOperation:
        raise InvalidInput(source, "a number with an exponent without end", "numbers of a size") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(source, str(error)[:80], "JSON") from None
    if not isinstance(data, list):
        raise InvalidInput(source, "an object", "a list of objects")
    for place, item in enumerate(data):
        where = f"{source}, item {place}"
        if not isinstance(item, dict) or sorted(item) not in [sorted(layout) for layout in layouts]:
            found = ",".join(map(str, item))[:60] if isinstance(item, dict) else repr(item)[:60]
            raise InvalidInput(where, found or "nothing", f"an object with {_header(layouts)}")
        yield where, item


def _header(layouts: Sequence[tuple[str, ...]]) -> str:
    return " or ".join(",".join(layout) for layout in layouts)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _in_order(rows: Sequence[Row]) -> list[Row]:
    """Rows of different begins; what is said twice is said once."""
    kept: list[Row] = []
    for row in rows:
        before = kept[-1] if kept else None
        if before is None or row.start_s > before.start_s:
            kept.append(row)
        elif row.start_s < before.start_s:
            raise InvalidInput(row.where, f"{_utc(row.start_s)} after {_utc(before.start_s)}", "rows in order of time")
        elif (row.end_s, row.price) != (before.end_s, before.price):
            raise InvalidInput(row.where, f"{_utc(row.start_s)} again, and not as at {before.where}", "each begin once")
    return kept


def _ended(rows: Sequence[Row]) -> list[Row]:
    """Every row with its end: where none is told, the next one's begin."""
    ended: list[Row] = []
    for place, row in enumerate(rows):
        end_s = row.end_s
        if end_s is None:
            end_s = rows[place + 1].start_s if place + 1 < len(rows) else row.start_s + _length_before(row, ended)
        ended.append(replace(row, end_s=end_s))
    return ended


def _length_before(last: Row, ended: Sequence[Row]) -> int:
    """How long the last row holds: as long as those before it, if they agree."""
    lengths = {(row.end_s or 0) - row.start_s for row in ended[-2:]}
    if len(lengths) != 1:
        found = "a last price without end" + (", and those before it of different lengths" if ended else "")
        raise InvalidInput(last.where, found, "a column end")
    return lengths.pop()


def _apart(rows: Sequence[Row]) -> list[Row]:
    """Rows that all have an end, and do not overlap."""
    for row, after in zip_longest(rows, rows[1:]):
        end_s = row.end_s or 0
        if end_s <= row.start_s:
            raise InvalidInput(f"{row.where}, end", _utc(end_s), f"an end after {_utc(row.start_s)}")
        if after is not None and after.start_s < end_s:
            found = f"a begin at {_utc(after.start_s)}, before the end of {row.where} at {_utc(end_s)}"
            raise InvalidInput(after.where, found, "no overlap")
    return list(rows)


def _utc(at_s: int) -> str:
    return f"{moment(at_s):%Y-%m-%dT%H:%M:%SZ}"
