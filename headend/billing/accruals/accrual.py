"""An accrual: what one account's running billing period costs so far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from headend.billing.columns import each_of


@dataclass(frozen=True, slots=True)
class LineSoFar:
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


@dataclass(frozen=True, slots=True, eq=False)
class AccrualsAlike:
    """Accruals of `n` accounts of one form, with columns where they differ; one accrual is a form without any."""

    form: Accrual
    n: int

    def each(self) -> list[Accrual]:
        """One by one."""
        return each_of(self.form, self.n)


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
