"""Reactive energy and the power factor."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

import numpy as np

from headend.errors import CannotRate
from headend.tariffs.arrays import Int64s
from headend.tariffs.format.components import PowerFactor, Reactive
from headend.tariffs.money import EXACT
from headend.tariffs.rating.bill import Column
from headend.tariffs.rating.price import charge_of, priced, prorated
from headend.tariffs.rating.scope import Scope
from headend.tariffs.rating.shares import base_of, share_of_lines
from headend.tariffs.rating.tiers import by_period


def reactive(component: Reactive, scope: Scope) -> list[Column]:
    """What exceeds the free share of import: a line for each period that has a price, or one for all hours."""
    varh = _reactive_reads(scope)
    if not isinstance(component.price, dict):
        excess = _excess(component, varh.sum(axis=1, dtype=np.int64), scope.use.imported.sum(axis=1, dtype=np.int64))
        return [priced(charge_of(scope, component, "kvarh", component.price), excess, scope.digits)]
    periods, codes = scope.tariff.schedule(component.schedule), scope.codes(component.schedule)
    taken, imported = by_period(varh, codes, len(periods)), by_period(scope.use.imported, codes, len(periods))
    columns = []
    for period, its_taken, its_imported in zip(periods, taken, imported, strict=True):
        if period.name in component.price:
            charge = charge_of(scope, component, "kvarh", component.price[period.name], period=period)
            columns.append(priced(charge, _excess(component, its_taken, its_imported), scope.digits))
    return columns


def power_factor(component: PowerFactor, scope: Scope) -> list[Column]:
    """A share of lines above, which is another for each number of 0.01 that a power factor lacks."""
    taken, imported = _reactive_reads(scope).sum(axis=1).tolist(), scope.use.imported.sum(axis=1).tolist()
    hundredths = [power_factor_of(wh, varh) for wh, varh in zip(imported, taken, strict=True)]
    lacking = np.maximum(int(component.below * 100) - np.array(hundredths, dtype=np.int64), 0)
    base = base_of(component.on, scope)
    return [
        share_of_lines(
            charge_of(scope, component, scope.tariff.currency, (component.percent * points).scaleb(-2, EXACT)),
            base.where(lacking == points),
            scope,
        )
        for points in np.unique(lacking[lacking > 0]).tolist()
    ]


def power_factor_of(wh: int, varh: int) -> int:
    """Wh ÷ √(Wh² + varh²) in hundredths, exactly rounded half up; 100 without any use."""
    if not wh and not varh:
        return 100
    # Of x = √r, ⌊x + ½⌋ = ⌊(√(4r) + 1) ÷ 2⌋, and a whole number is above √(4r) when it is above that of ⌊4r⌋.
    return (isqrt(4 * 100**2 * wh**2 // (wh**2 + varh**2)) + 1) // 2


def _reactive_reads(scope: Scope) -> Int64s:
    if scope.use.reactive is None:
        raise CannotRate(f"{scope.tariff.id} charges reactive energy, but there are no reactive reads")
    return scope.use.reactive


def _excess(component: Reactive, varh: Int64s, imported: Int64s) -> Int64s:
    free = prorated(imported, 0, Fraction(component.free), 0)
    return np.maximum(varh - free, 0).astype(np.int64)
