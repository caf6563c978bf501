"""Energy by tier and TOU period, and the baseline credit."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np

from headend.errors import CannotRate
from headend.tariffs.bill import Column
from headend.tariffs.components import BaselineCredit, Energy
from headend.tariffs.money import half_up
from headend.tariffs.price import charge_of, priced
from headend.tariffs.schema import BASE_UNITS
from headend.tariffs.scope import Scope
from headend.tariffs.tiers import energy_by_tier


def tier_limit(up_to: Decimal, worth: Decimal | Fraction | int) -> int:
    """A limit × days or months, in base units: rounded half up to a whole one, once, after everything else."""
    return half_up(Fraction(up_to) * Fraction(worth) * BASE_UNITS)


def energy(component: Energy, scope: Scope) -> list[Column]:
    """A line for each tier and period."""
    reads = scope.use.imported if component.measures == "import" else scope.use.exported
    if reads is None:
        raise CannotRate(f"{scope.tariff.id} credits exported energy, but there are no export reads")
    worth = Fraction(scope.days) if component.tiers_per == "day" else scope.months
    limits = [tier_limit(tier.up_to, worth) for tier in component.tiers if isinstance(tier.up_to, Decimal)]
    periods = scope.tariff.schedule(component.schedule)
    taken = energy_by_tier(reads, scope.codes(component.schedule), len(periods), limits)
    columns = []
    for index, (tier, by_period) in enumerate(zip(component.tiers, taken, strict=True)):
        number = index + 1 if len(component.tiers) > 1 else None
        step = "" if number is None else f", tier {number}"
        if isinstance(tier.price, Decimal):
            price = component.sign * tier.price
            charge = charge_of(scope, component, scope.tariff.unit, price, label=component.label + step, tier=number)
            columns.append(priced(charge, np.add.reduce(by_period), scope.digits))
            continue
        for period, quantity in zip(periods, by_period, strict=True):
            label = f"{component.label}, {period.label}{step}"
            price = component.sign * (tier.price or {})[period.name]
            charge = charge_of(scope, component, scope.tariff.unit, price, label=label, period=period.name, tier=number)
            columns.append(priced(charge, quantity, scope.digits))
    return columns


def baseline_credit(component: BaselineCredit, scope: Scope) -> list[Column]:
    """Credit on total use, up to the allowance."""
    assert isinstance(component.allowance_per_day, Decimal)
    allowance = tier_limit(component.allowance_per_day, scope.days)
    charge = charge_of(scope, component, scope.tariff.unit, -component.credit)
    used = scope.use.imported.sum(axis=1, dtype=np.int64)
    return [priced(charge, np.minimum(used, allowance), scope.digits)]
