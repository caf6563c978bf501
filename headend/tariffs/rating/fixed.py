"""What does not depend on use: standing charges, and the minimum that a bill comes to."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import lcm

import numpy as np

from headend.tariffs.format.components import Minimum, Standing
from headend.tariffs.money import Integers, rescaled, scaled, times
from headend.tariffs.rating.bill import Column
from headend.tariffs.rating.price import added, charge_of, priced, prorated, scale_kept
from headend.tariffs.rating.scope import Scope
from headend.tariffs.rating.shares import days_share

_ONE = np.array([1], dtype=np.int64)


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
    least_scale = scaled(component.amount)[1]
    kept = scale_kept(max(scale, least_scale), Fraction(1, _common(component, scope)))
    lacking = _lacking(component, scope, amount, scope.digits, scope.digits)
    charge = charge_of(scope, component, scope.tariff.currency, Decimal(1))
    return [Column(charge, lacking, scope.digits, _lacking(component, scope, exact, scale, kept), kept, lacking)]


def _common(component: Minimum, scope: Scope) -> int:
    """Denominator of what the amount is worth and of the share of the lines."""
    return lcm(_worth(component.per, scope).denominator, days_share(scope).denominator)


def _lacking(component: Minimum, scope: Scope, lines: Integers, scale: int, to_scale: int) -> Integers:
    """Amount × worth − lines [10^-scale] × their share, nothing or more [10^-to_scale], rounded once."""
    least, least_scale = scaled(component.amount)
    worth, share = _worth(component.per, scope), days_share(scope)
    finest, common = max(scale, least_scale), _common(component, scope)
    at_least = np.array([least * 10 ** (finest - least_scale) * int(worth * common)], dtype=object)
    lacking = at_least - times(rescaled(lines, scale, finest), int(share * common))
    return prorated(np.maximum(lacking, 0), finest, Fraction(1, common), to_scale)
