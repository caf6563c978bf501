"""What one component of a tariff is priced over: some days of a bill, and all that counts in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Literal

import numpy as np

from headend.errors import CannotRate
from headend.reads.days import midnight, seconds
from headend.tariffs.arrays import Codes, Int64s
from headend.tariffs.calendar import BillingWindow, codes_of
from headend.tariffs.format.components import On
from headend.tariffs.format.schema import MAIN, Tariff
from headend.tariffs.market import Market
from headend.tariffs.money import minor_digits
from headend.tariffs.rating.bill import Column
from headend.tariffs.rating.use import Carried, Use


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """Where a component is priced.

    Parameters
    ----------
    bill
        the bill's days.
    window, use, start_utc
        the component's own: the bill's, or where it has dates only part of it; and the begin of its first interval.
    balance
        with netting by month, import - export - bank of the bill by period of the tariff's own schedule [Wh]
        (m, periods).
    place
        of the component in the tariff.
    above
        columns of the components above it.
    """

    tariff: Tariff
    bill: BillingWindow
    window: BillingWindow
    use: Use
    start_utc: datetime
    market: Market
    carried: Carried
    balance: Int64s | None
    place: int
    above: Sequence[Column]

    @property
    def days(self) -> int:
        """Local days."""
        return self.window.days

    @property
    def months(self) -> Fraction:
        """What it is worth in months."""
        return self.window.months_worth

    @property
    def net(self) -> Int64s | None:
        """With netting by month, what is left of import by period [Wh] (m, periods)."""
        return None if self.balance is None else np.maximum(self.balance, 0)

    @property
    def surplus(self) -> Int64s | None:
        """With netting by month, what was fed in beyond that by period [Wh] (m, periods)."""
        return None if self.balance is None else np.maximum(-self.balance, 0)

    @property
    def digits(self) -> int:
        """Decimals of the currency."""
        return minor_digits(self.tariff.currency)

    def codes(self, schedule: str | None = MAIN) -> Codes:
        """Index of the period of a schedule for each interval (n,)."""
        n, interval_s = self.use.imported.shape[1], self.use.interval_s
        return codes_of(self.tariff, self.window, interval_s, schedule, self.market, self.start_utc, n)

    def reads(self, measures: Literal["import", "export"]) -> Int64s:
        """Import, or what is fed in [base units] (m, n); raises `CannotRate` where nothing measures that."""
        if measures == "import":
            return self.use.imported
        if self.use.exported is None:
            raise CannotRate(f"{self.tariff.id} credits exported energy, but there are no export reads")
        return self.use.exported

    def on(self, on: On | None, *, taxes: bool = True) -> list[Column]:
        """Columns above that `on` names by kind or component; all, if it is None. Included taxes are never there."""
        return [
            column
            for column in self.above
            if not column.charge.included
            and (column.charge.kind in on or column.charge.component in on if on is not None else True)
            and (taxes or on is not None or column.charge.kind != "tax")
        ]


def clipped(scope: Scope, window: BillingWindow) -> Scope:
    """The same over fewer days: the intervals that begin on them."""
    begin_s, interval_s = seconds(scope.start_utc), scope.use.interval_s
    n = scope.use.imported.shape[1]
    edges = (-((begin_s - seconds(midnight(day, window.zone))) // interval_s) for day in (window.first, window.end))
    first, end = (min(max(edge, 0), n) for edge in edges)
    start_utc = scope.start_utc + timedelta(seconds=first * interval_s)
    return replace(scope, window=window, use=scope.use.part(slice(first, end)), start_utc=start_utc)
