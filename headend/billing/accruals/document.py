"""An accrual as the JSON document that is kept of it: written for many at once, and read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import repeat
from json.encoder import encode_basestring
from typing import Any

from headend.billing.accruals.accrual import Accrual, AccrualsAlike, Forecast, LineSoFar, SegmentSoFar
from headend.billing.columns import Numbers
from headend.billing.written import Holes
from headend.reads.days import moment, seconds
from headend.tariffs.money import plain


def documents_of(alike: AccrualsAlike) -> list[bytes]:
    """Accruals as JSON: of each what it differs in is put into the pattern that they have in common.

    What stands beside the document in its row is not repeated.
    """
    form, holes = alike.form, Holes()
    pattern = _object(
        first=holes.put(form.first, _day),
        last=holes.put(form.last, _day),
        segments=_list(_segment(each, holes) for each in form.segments),
        forecast="null" if form.forecast is None else _range(form.forecast, holes),
        no_forecast=holes.put(form.no_forecast, encode_basestring),
        problems=holes.put(form.problems, _texts),
    )
    return list(map(str.encode, holes.filled(pattern, alike.n)))


def amounts_of(alike: AccrualsAlike) -> list[str | None]:
    """Amounts as they stand beside the documents."""
    if alike.form.amount is None:
        return [None] * alike.n
    holes = Holes()
    return [*holes.filled(_number(alike.form.amount, holes).strip('"'), alike.n)]


def _range(forecast: Forecast, holes: Holes) -> str:
    return _list(_number(each, holes) for each in (forecast.low, forecast.expected, forecast.high))


def _segment(segment: SegmentSoFar, holes: Holes) -> str:
    return _object(
        agreement=holes.put(segment.agreement, encode_basestring),
        commodity=holes.put(segment.commodity, encode_basestring),
        unit=holes.put(segment.unit, encode_basestring),
        tariff=holes.put(segment.tariff, encode_basestring),
        currency=holes.put(segment.currency, encode_basestring),
        first=holes.put(segment.first, _day),
        last=holes.put(segment.last, _day),
        usage=_number(segment.usage, holes),
        export="null" if segment.export is None else _number(segment.export, holes),
        gross=_number(segment.gross, holes),
        reads_end=holes.put(segment.reads_end, _second),
        daily=holes.put(segment.daily, _whole_numbers),
        expected=holes.put(segment.expected, _whole_numbers),
        lines=_list(_line(each, holes) for each in segment.lines),
    )


def _line(line: LineSoFar, holes: Holes) -> str:
    charged = (
        holes.put(line.kind, encode_basestring),
        holes.put(line.label, encode_basestring),
        holes.put(line.unit, encode_basestring),
        holes.put(line.period, _text_or_null),
        holes.put(line.tier, _int_or_null),
    )
    return _list((*charged, _number(line.quantity, holes, plain), _number(line.amount, holes)))


def _number(part: Any, holes: Holes, write: Callable[[Any], str] = "{:f}".format) -> str:
    """The pattern of a number, which stands as text."""
    return holes.numbers(part) if isinstance(part, Numbers) else holes.put(part, write, '"%s"')


def _object(**places: str) -> str:
    return "{" + ",".join([f'"{name}":{text}' for name, text in places.items()]) + "}"


def _list(texts: Iterable[str]) -> str:
    return "[" + ",".join(texts) + "]"


def _texts(texts: Iterable[str]) -> str:
    return _list(map(encode_basestring, texts))


def _whole_numbers(numbers: tuple[int, ...]) -> str:
    # Half the time of a text for each, joined.
    return _pattern_of_whole_numbers(len(numbers)) % numbers


@lru_cache(maxsize=256)
def _pattern_of_whole_numbers(n: int) -> str:
    return _list(repeat("%d", n))


def _text_or_null(text: str | None) -> str:
    return "null" if text is None else encode_basestring(text)


def _int_or_null(number: int | None) -> str:
    return "null" if number is None else str(number)


@lru_cache(maxsize=4096)
def _day(day: date) -> str:
    return f'"{day.isoformat()}"'


# Reads of thousands end at the same moment.
@lru_cache(maxsize=4096)
def _second(at: datetime) -> str:
    return str(seconds(at))


def parse_document(
    document: bytes, account: str, period: str, currency: str | None, amount: str | None, through_s: int | None
) -> Accrual:
    """The accrual that a document and its row say."""
    read = json.loads(document)
    return Accrual(
        account,
        period,
        date.fromisoformat(read["first"]),
        date.fromisoformat(read["last"]),
        currency,
        None if amount is None else Decimal(amount),
        None if through_s is None else moment(through_s),
        tuple(_segment_of(each) for each in read["segments"]),
        None if read["forecast"] is None else Forecast(*map(Decimal, read["forecast"])),
        read["no_forecast"],
        tuple(read["problems"]),
    )


def _segment_of(read: dict[str, Any]) -> SegmentSoFar:
    export = read["export"]
    return SegmentSoFar(
        read["agreement"],
        read["commodity"],
        read["unit"],
        read["tariff"],
        read["currency"],
        date.fromisoformat(read["first"]),
        date.fromisoformat(read["last"]),
        Decimal(read["usage"]),
        None if export is None else Decimal(export),
        Decimal(read["gross"]),
        moment(read["reads_end"]),
        tuple(read["daily"]),
        tuple(read["expected"]),
        tuple(_line_of(*line) for line in read["lines"]),
    )


def _line_of(kind: str, label: str, unit: str, period: str | None, tier: int | None, *numbers: str) -> LineSoFar:
    quantity, amount = map(Decimal, numbers)
    return LineSoFar(kind, label, unit, period, tier, quantity, amount)
