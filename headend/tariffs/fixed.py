"""What does not depend on use: standing charges, and the minimum that a bill comes to."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np

from headend.tariffs.bill import Column
from headend.tariffs.components import Minimum, Standing
from headend.tariffs.money import rescaled, scaled
from headend.tariffs.price import added, charge_of, priced, prorated
from headend.tariffs.scope import Scope

_ONE = np.array([1], dtype=np.int64)
# Standing charges over parts of months are kept to this many decimals.
_KEPT = 12


def standing(component: Standing, scope: Scope) -> list[Column]:
    """Days, months or years × price."""
    price = -component.price if component.credit else component.price
    charge = charge_of(scope, component, component.per, price)
    return [priced(charge, _ONE, scope.digits, scale=0, worth=_worth(component.per, scope))]


def _worth(per: str, scope: Scope) -> Fraction:
    if per == "day":
        return Fraction(scope.days)
    return scope.months / 12 if per == "year" else scope.months


def minimum(component: Minimum, scope: Scope) -> list[Column]:
    """What chosen lines lack of an amount: no line, where they lack nothing."""
    amount, exact, scale = added(scope.on(component.on, taxes=False), scope.digits)
    least, least_scale = scaled(component.amount)
    at_least = np.array([least], dtype=object)
    worth = _worth(component.per, scope)
    kept = max(scale, least_scale, _KEPT)
    lacking = np.maximum(prorated(at_least, least_scale, worth, scope.digits) - amount, 0)
    exactly = np.maximum(prorated(at_least, least_scale, worth, kept) - rescaled(exact, scale, kept), 0)
    charge = charge_of(scope, component, scope.tariff.currency, Decimal(1))
    return [Column(charge, lacking, scope.digits, exactly, kept, lacking)]
