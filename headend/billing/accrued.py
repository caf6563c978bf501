"""An accrual: what one account's running billing period costs so far, and as the document that is kept of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from headend.reads.days import moment, seconds
from headend.tariffs.money import plain


class LineSoFar(NamedTuple):
    """One line, as it would stand on the statement; `amount` in the currency."""

    kind: str
    label: str
    unit: str
    period: str | None
    tier: int | None
    quantity: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class SegmentSoFar:
    """One agreement under one tariff version.

    Parameters
    ----------
    tariff
        its name, for people.
    usage, export
        in `unit`.
    gross
        sum of the lines, taxes included.
    reads_end
        the moment up to which there are reads.
    daily
        use of each local day from `first` on, up to that of the last read [base units].
    expected
        use of each local day of the segment as the forecast has it [base units]; none without forecast.
    """

    agreement: str
    commodity: str
    unit: str
    tariff: str
    currency: str
    first: date
    last: date
    usage: Decimal
    export: Decimal | None
    gross: Decimal
    reads_end: datetime
    daily: tuple[int, ...]
    expected: tuple[int, ...]
    lines: tuple[LineSoFar, ...]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the statement will come to: as is to be expected, and the ends of a range meant to hold eight of ten."""

    low: Decimal
    expected: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class Accrual:
    """One account's billing period so far, rated as if it ended now with no further use.

    Parameters
    ----------
    first, last
        local days of the period, both included.
    currency, amount
        what there is to bill so far, taxes included; None where nothing can be rated, or it is in two currencies.
    through
        up to where each agreement has reads, at least [UTC]; None where nothing can be rated.
    segments
        provisional: validation has not seen all reads, and missing ones count as zero. Limits of tiers and standing
        charges are those of the whole period, so that the last read's figure is the statement's.
    forecast, no_forecast
        a forecast, or why there is none.
    problems
        agreements that cannot be rated, and why.
    """

    account: str
    period: str
    first: date
    last: date
    currency: str | None
    amount: Decimal | None
    through: datetime | None
    segments: tuple[SegmentSoFar, ...]
    forecast: Forecast | None
    no_forecast: str
    problems: tuple[str, ...]

    @property
    def days(self) -> int:
        """Local days of the period."""
        return (self.last - self.first).days + 1


def document_of(accrual: Accrual) -> bytes:
    """The accrual as JSON; what stands beside it in its row is not repeated."""
    forecast = accrual.forecast
    return _AS_JSON.encode(
        {
            "first": accrual.first.isoformat(),
            "last": accrual.last.isoformat(),
            "segments": [_segment_json(each) for each in accrual.segments],
            "forecast": forecast and [format(each, "f") for each in (forecast.low, forecast.expected, forecast.high)],
            "no_forecast": accrual.no_forecast,
            "problems": accrual.problems,
        }
    ).encode()


_AS_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False)


def _segment_json(segment: SegmentSoFar) -> dict[str, Any]:
    return {
        "agreement": segment.agreement,
        "commodity": segment.commodity,
        "unit": segment.unit,
        "tariff": segment.tariff,
        "currency": segment.currency,
        "first": segment.first.isoformat(),
        "last": segment.last.isoformat(),
        "usage": format(segment.usage, "f"),
        "export": None if segment.export is None else format(segment.export, "f"),
        "gross": format(segment.gross, "f"),
        "reads_end": seconds(segment.reads_end),
        "daily": segment.daily,
        "expected": segment.expected,
        "lines": [
            [
                line.kind,
                line.label,
                line.unit,
                line.period,
                line.tier,
                plain(line.quantity),
                format(line.amount, "f"),
            ]
            for line in segment.lines
        ],
    }


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


class Share(NamedTuple):
    """What of a segment is in one TOU period and tier; None: all of them."""

    period: str | None
    tier: int | None
    quantity: Decimal
    amount: Decimal


def shares(segment: SegmentSoFar) -> list[Share]:
    """Use and its price by TOU period and tier, as the tariff prices it: several prices of one share are added up."""
    found: dict[tuple[str | None, int | None], Share] = {}
    for line in segment.lines:
        if line.kind == "energy" and line.unit == segment.unit:
            at = line.period, line.tier
            before = found.get(at)
            # A second price on the same energy does not make it more.
            quantity = line.quantity if before is None else max(before.quantity, line.quantity)
            found[at] = Share(*at, quantity, line.amount + (before.amount if before else 0))
    return list(found.values())
