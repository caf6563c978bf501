"""Shares of other lines: percentages and taxes."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from headend.tariffs.bill import Column
from headend.tariffs.components import Percentage, Tax
from headend.tariffs.money import EXACT, rescaled, scaled, times
from headend.tariffs.price import added, charge_of, prorated
from headend.tariffs.scope import Scope

# An included tax is a fraction without end, and is kept to this many decimals.
_KEPT = 12


def percentage(component: Percentage, scope: Scope) -> list[Column]:
    """A percentage on lines above; where the component holds on some days of the bill only, on that share of them."""
    rate = component.percent.scaleb(-2, EXACT)
    return [_share(component, scope, rate, Fraction(scope.days, scope.bill.days))]


def tax(component: Tax, scope: Scope) -> list[Column]:
    """A percentage on lines above, or the part of them that is tax."""
    rate = component.percent.scaleb(-2, EXACT)
    share = Fraction(scope.days, scope.bill.days)
    if not component.included:
        return [_share(component, scope, rate, share)]
    base, exact, scale = added(scope.on(component.on), scope.digits)
    kept = max(scale, _KEPT)
    inside = share * Fraction(rate) / (1 + Fraction(rate))
    charge = charge_of(scope, component, scope.tariff.currency, rate, included=True)
    return [
        Column(
            charge,
            base,
            scope.digits,
            prorated(exact, scale, inside, kept),
            kept,
            prorated(base, scope.digits, inside, scope.digits),
        )
    ]


def _share(component: Percentage | Tax, scope: Scope, rate: Decimal, share: Fraction) -> Column:
    base, exact, scale = added(scope.on(component.on), scope.digits)
    if share != 1:
        kept = max(scale, _KEPT)
        base, exact, scale = (
            prorated(base, scope.digits, share, scope.digits),
            prorated(exact, scale, share, kept),
            kept,
        )
    percent, percent_scale = scaled(rate)
    return Column(
        charge_of(scope, component, scope.tariff.currency, rate),
        base,
        scope.digits,
        times(exact, percent),
        scale + percent_scale,
        rescaled(times(base, percent), scope.digits + percent_scale, scope.digits),
    )
