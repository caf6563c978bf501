"""What a bill is made of: charges, lines, and the columns of a batch that bills are read off.

A charge is one price of one tariff version, a line is how much of it one customer took. A batch keeps one column per
charge over all customers, in whole numbers, and makes Decimals only when bills are asked for.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headend.tariffs.format.components import LineKind
from headend.tariffs.money import EXACT, Integers, added_up, minor_digits, plain, total, unit_of_scale
from headend.tariffs.rating.use import NOTHING_CARRIED, Carried

_MEAN = Decimal("0.000001")
_NONE = Decimal(0)


@dataclass(frozen=True, slots=True)
class Charge:
    """What a line charges for: one price of one tariff version.

    Parameters
    ----------
    kind
        as in the tariff, but energy or export for energy of any price.
    label
        for people.
    unit
        of the quantity: kWh, m³, kW, kvarh, day, month; the currency for what is a share of other lines.
    price
        per unit; negative for a credit; 0.19 for a tax of 19 %; None where every interval has its own.
    tariff_id, tariff_version
        which version of which tariff says so.
    period, tier
        TOU period and tier (counted from 1) where the price belongs to one.
    component
        the component's name, if it has one.
    included
        whether the amount is contained in other lines and not added to the total.
    """

    kind: LineKind
    label: str
    unit: str
    price: Decimal | None
    tariff_id: str
    tariff_version: str
    period: str | None = None
    tier: int | None = None
    component: str | None = None
    included: bool = False


class Line(NamedTuple):
    """One line of a bill: quantity × price = exact, rounded once = amount.

    A named tuple, because lines are made by the million and a frozen dataclass takes three times as long to make.

    Parameters
    ----------
    charge
        what is charged for.
    quantity
        exact, in `unit`.
    exact
        amount never rounded on the way.
    amount
        what is owed, in the currency's minor unit.
    estimated
        how much of the quantity rests on estimates.
    """

    charge: Charge
    quantity: Decimal
    exact: Decimal
    amount: Decimal
    estimated: Decimal

    @property
    def kind(self) -> LineKind:
        """Kind of charge."""
        return self.charge.kind

    @property
    def label(self) -> str:
        """What is charged for, for people."""
        return self.charge.label

    @property
    def unit(self) -> str:
        """Unit of the quantity."""
        return self.charge.unit

    @property
    def price(self) -> Decimal:
        """Price per unit, negative for a credit; the mean, to 6 places, where every interval has its own."""
        if self.charge.price is not None:
            return self.charge.price
        return (self.exact / self.quantity).quantize(_MEAN, ROUND_HALF_UP)

    @property
    def tariff_id(self) -> str:
        """The tariff."""
        return self.charge.tariff_id

    @property
    def tariff_version(self) -> str:
        """The tariff version's hash name."""
        return self.charge.tariff_version

    @property
    def period(self) -> str | None:
        """TOU period, where the price belongs to one."""
        return self.charge.period

    @property
    def tier(self) -> int | None:
        """Tier, counted from 1, where the price belongs to one."""
        return self.charge.tier

    def to_json(self) -> dict[str, Any]:
        """The line as JSON data, numbers as decimal strings."""
        return {
            "kind": self.kind,
            "label": self.label,
            "quantity": plain(self.quantity),
            "unit": self.unit,
            "price": plain(self.price),
            "amount": format(self.amount, "f"),
            "exact": plain(self.exact),
            "tariff": self.tariff_id,
            "tariff_version": self.tariff_version,
            "period": self.period,
            "tier": self.tier,
            "estimated": plain(self.estimated),
            "included": self.charge.included,
        }


@dataclass(frozen=True, slots=True)
class RatedBill:
    """One customer's lines, in the order of the tariff, and their sum."""

    lines: tuple[Line, ...]
    total: Decimal
    currency: str

    @property
    def exact_total(self) -> Decimal:
        """Sum of the exact amounts."""
        return total(line.exact for line in self.lines if not line.charge.included)

    def to_json(self) -> dict[str, Any]:
        """The bill as JSON data, amounts as decimal strings."""
        return {
            "currency": self.currency,
            "total": format(self.total, "f"),
            "lines": [line.to_json() for line in self.lines],
        }


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One line over all customers.

    Parameters
    ----------
    quantity
        in 10^-`quantity_scale` units (n,).
    exact
        amount in 10^-`scale` of the currency (n,).
    amount
        rounded amount in minor units (n,).
    estimated
        how much of `quantity` rests on estimates, in the same unit (n,); None: nothing.

    Arrays are (1,) where the line is the same for all.
    """

    charge: Charge
    quantity: Integers
    quantity_scale: int
    exact: Integers
    scale: int
    amount: Integers
    estimated: Integers | None = None

    @property
    def is_there(self) -> NDArray[np.bool_]:
        """Which customers have the line: not those of whom its quantity is zero, and its exact amount too (n,).

        What tops up, or is a share of, less than half a minor unit has no quantity, but the exact total needs it.
        """
        return np.asarray((self.quantity != 0) | (self.exact != 0), dtype=np.bool_)

    def some(self, places: Sequence[int]) -> Column:
        """The line of some customers, by their places."""

        def of(values: Integers) -> Integers:
            return values[places] if len(values) > 1 else np.repeat(values, len(places))

        estimated = None if self.estimated is None else of(self.estimated)
        quantity, exact, amount = of(self.quantity), of(self.exact), of(self.amount)
        return replace(self, quantity=quantity, exact=exact, amount=amount, estimated=estimated)

    def lines(self, n: int, digits: int) -> list[Line | None]:
        """The line of each customer; None where it is not there."""
        decimal, unit = EXACT.multiply, unit_of_scale(self.quantity_scale)
        estimated = repeat(_NONE) if self.estimated is None else map(decimal, self.estimated.tolist(), repeat(unit))
        fields = zip(
            repeat(self.charge),
            map(decimal, self.quantity.tolist(), repeat(unit)),
            map(decimal, self.exact.tolist(), repeat(unit_of_scale(self.scale))),
            map(decimal, self.amount.tolist(), repeat(unit_of_scale(digits))),
            estimated,
        )
        # What `Line(*fields)` does, without a Python call for each line.
        lines: list[Line | None] = list(map(tuple.__new__, repeat(Line), fields))
        for nothing in np.flatnonzero(~self.is_there).tolist():
            lines[nothing] = None
        return lines if len(lines) == n else lines * n


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the cycle collector, which would go through millions of new lines and find nothing: none refers back."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass(frozen=True, slots=True, eq=False)
class RatedBatch:
    """Bills of `n` customers as columns; `bills()` reads them off, in the order of the reads.

    `carried` is what they leave to the next bills.
    """

    currency: str
    n: int
    columns: tuple[Column, ...]
    carried: Carried = NOTHING_CARRIED

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[RatedBill]:
        return iter(self.bills())

    def bills(self) -> list[RatedBill]:
        """One bill per customer."""
        with uncollected():
            return self._bills()

    def _bills(self) -> list[RatedBill]:
        digits = minor_digits(self.currency)
        columns = [column.lines(self.n, digits) for column in self.columns]
        rows: Iterable[tuple[Line | None, ...]] = zip(*columns, strict=True) if columns else repeat((), self.n)
        totals = map(EXACT.multiply, self.totals.tolist(), repeat(unit_of_scale(digits)))
        return [
            RatedBill(tuple(filter(None, row)), owed, self.currency) for row, owed in zip(rows, totals, strict=True)
        ]

    @property
    def totals(self) -> Integers:
        """Total of each bill in minor units (n,)."""
        return added_up([column.amount for column in self.columns if not column.charge.included], self.n)
