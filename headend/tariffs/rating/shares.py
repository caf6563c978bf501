"""Shares of other lines: percentages and taxes.

A share is taken of the rounded amounts, as the bill shows them, and beside it of the exact ones. A component whose
dates cut the bill has days ÷ days of the bill of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from headend.tariffs.arrays import Bools
from headend.tariffs.format.components import On, Percentage, Tax
from headend.tariffs.money import EXACT, Integers
from headend.tariffs.rating.bill import Charge, Column
from headend.tariffs.rating.price import added, charge_of, priced, prorated, scale_kept
from headend.tariffs.rating.scope import Scope


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """Sums of lines, (1,) or (n,): in minor units, and exact [10^-`scale`]."""

    amount: Integers
    exact: Integers
    scale: int

    def where(self, chosen: Bools) -> Base:
        """The same for some customers, and nothing for the others."""
        return Base(np.where(chosen, self.amount, 0), np.where(chosen, self.exact, 0), self.scale)


def base_of(on: On | None, scope: Scope) -> Base:
    """What the lines that `on` names add up to."""
    return Base(*added(scope.on(on), scope.digits))


def percentage(component: Percentage, scope: Scope) -> list[Column]:
    """A percentage on lines above."""
    charge = charge_of(scope, component, scope.tariff.currency, component.percent.scaleb(-2, EXACT))
    return [share_of_lines(charge, base_of(component.on, scope), scope)]


def tax(component: Tax, scope: Scope) -> list[Column]:
    """A percentage on lines above, or the part of them that is tax."""
    rate, base = component.percent.scaleb(-2, EXACT), base_of(component.on, scope)
    charge = charge_of(scope, component, scope.tariff.currency, rate, included=component.included)
    column = share_of_lines(charge, base, scope)
    if not component.included:
        return [column]
    inside = days_share(scope) * Fraction(rate) / (1 + Fraction(rate))
    kept = scale_kept(base.scale, inside)
    amount = prorated(base.amount, scope.digits, inside, scope.digits)
    return [replace(column, amount=amount, exact=prorated(base.exact, base.scale, inside, kept), scale=kept)]


def share_of_lines(charge: Charge, base: Base, scope: Scope) -> Column:
    """Base × the charge's price; the base is the quantity."""
    share = days_share(scope)
    column = priced(charge, base.amount, scope.digits, scale=scope.digits, worth=share)
    exact = priced(charge, base.exact, scope.digits, scale=base.scale, worth=share)
    return replace(column, exact=exact.exact, scale=exact.scale)


def days_share(scope: Scope) -> Fraction:
    """What of the bill's lines counts for a component: its days ÷ days of the bill."""
    return Fraction(scope.days, scope.bill.days)
