"""Columns from quantities: quantity × price, exact, and rounded once."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from headend.tariffs.format.components import Component, line_kind
from headend.tariffs.format.times import Period
from headend.tariffs.money import Integers, added_up, divided, rescaled, scaled, times
from headend.tariffs.rating.bill import Charge, Column

if TYPE_CHECKING:
    from headend.tariffs.rating.scope import Scope

#: Reads are in 10^-3 of the unit of a price.
BASE_SCALE = 3
# A part of a month, or of the bill's days, may have no end: quantity and exact amount are kept to this many decimals.
_KEPT = 12
_WHOLE = Fraction(1)


def charge_of(
    scope: Scope,
    component: Component,
    unit: str,
    price: Decimal | None,
    *,
    period: Period | None = None,
    tier: int | None = None,
    included: bool = False,
) -> Charge:
    """A charge of a component of the scope's tariff; its label names the TOU period and tier it is for."""
    tariff = scope.tariff
    words = [component.label]
    if period is not None:
        words.append(period.label)
    if tier is not None:
        words.append(f"tier {tier}")
    return Charge(
        line_kind(component),
        ", ".join(words),
        unit,
        price,
        tariff.id,
        tariff.version,
        None if period is None else period.name,
        tier,
        component.name,
        included,
    )


def priced(
    charge: Charge,
    quantity: Integers,
    digits: int,
    *,
    scale: int = BASE_SCALE,
    worth: Fraction = _WHOLE,
    estimated: Integers | None = None,
) -> Column:
    """Quantity × worth × price.

    Parameters
    ----------
    quantity, estimated
        in 10^-`scale` units, and how much of it rests on estimates (n,).
    digits
        decimals of the currency.
    worth
        what is billed of each unit, such as the months of a bill for kW.
    """
    price, price_scale = scaled(charge.price or Decimal(0))
    exact = times(quantity, price)
    if worth == _WHOLE:
        amount = rescaled(exact, price_scale + scale, digits)
        return Column(charge, quantity, scale, exact, price_scale + scale, amount, estimated)
    amount = prorated(exact, price_scale + scale, worth, digits)
    exact, exact_scale = _kept(exact, price_scale + scale, worth)
    quantity_scale = scale_kept(scale, worth)
    return Column(
        charge,
        prorated(quantity, scale, worth, quantity_scale),
        quantity_scale,
        exact,
        exact_scale,
        amount,
        None if estimated is None else prorated(estimated, scale, worth, quantity_scale),
    )


def summed(
    charge: Charge, quantity: Integers, exact: Integers, scale: int, digits: int, estimated: Integers | None = None
) -> Column:
    """A column whose exact amounts [10^-`scale`] are known already; `quantity` in base units."""
    return Column(charge, quantity, BASE_SCALE, exact, scale, rescaled(exact, scale, digits), estimated)


def prorated(values: Integers, scale: int, worth: Fraction, to_scale: int) -> Integers:
    """Values [10^-scale] × worth [10^-to_scale], rounded once, half away from zero."""
    numerator, denominator = worth.numerator, worth.denominator
    if to_scale >= scale:
        return divided(times(values, int(numerator * 10 ** (to_scale - scale))), denominator)
    return divided(times(values, numerator), int(denominator * 10 ** (scale - to_scale)))


def _kept(values: Integers, scale: int, worth: Fraction) -> tuple[Integers, int]:
    kept = scale_kept(scale, worth)
    return prorated(values, scale, worth, kept), kept


def scale_kept(scale: int, worth: Fraction) -> int:
    """Enough decimals for all of values [10^-scale] × worth; 12, whatever the scale, where the worth has no end."""
    more = next((more for more in range(_KEPT + 1) if 10**more % worth.denominator == 0), None)
    return _KEPT if more is None else scale + more


def added(columns: Sequence[Column], digits: int) -> tuple[Integers, Integers, int]:
    """Sums of columns: amounts in minor units, exact amounts, and the scale of those; (1,) or (n,)."""
    scale = max((column.scale for column in columns), default=digits)
    exact = [rescaled(column.exact, column.scale, scale) for column in columns]
    return added_up([column.amount for column in columns]), added_up(exact), scale
