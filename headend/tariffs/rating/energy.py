"""Energy by tier and TOU period, and the baseline credit."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import numpy as np

from headend.errors import CannotRate, PriceMissing
from headend.tariffs.arrays import Codes, Int64s
from headend.tariffs.format.components import BaselineCredit, Energy
from headend.tariffs.format.times import Period
from headend.tariffs.money import scaled, times
from headend.tariffs.rating import estimates, tiers
from headend.tariffs.rating.bill import Charge, Column
from headend.tariffs.rating.limits import ladder, mean_limit, tier_limit
from headend.tariffs.rating.price import BASE_SCALE, charge_of, priced
from headend.tariffs.rating.scope import Scope


def energy(component: Energy, scope: Scope) -> list[Column]:
    """A line for each tier, or for each tier and period where prices are by period.

    Raises
    ------
    CannotRate
        there are no export reads to credit; a price or a limit is missing; net use, which has no order in time, meets
        tiers that need one.
    """
    if scope.net is not None:
        _check_net(component, scope)
    periods = scope.tariff.schedule(component.schedule)
    limits = ladder(component, scope, periods)
    if limits.shape[1] > 1 and (component.method == "block" or component.order == "share"):
        raise CannotRate(
            f"{scope.tariff.id} has limits by period for {component.label!r}, whose tiers are all periods'"
        )
    if component.method == "block":
        return list(_fees(component, scope, limits))
    codes, n_periods = _hours(component, scope, limits)
    taken = _taken(component, scope, limits, codes, n_periods)
    estimated = _estimated(component, scope, limits, codes, n_periods, taken)
    return list(_priced(component, scope, periods, taken, estimated))


def baseline_credit(component: BaselineCredit, scope: Scope) -> list[Column]:
    """Credit on total use, up to the allowance; the first units taken are those that have it."""
    if scope.net is not None:
        _check_whole_bill(scope)
    allowance = tier_limit(mean_limit(component.allowance_per_day, scope.tariff, scope.window), scope.days)
    charge = charge_of(scope, component, scope.tariff.unit, -component.credit)
    used = scope.use.imported.sum(axis=1, dtype=np.int64) if scope.net is None else scope.net.sum(axis=1)
    credited = np.minimum(used, allowance)
    return [priced(charge, credited, scope.digits, estimated=_estimated_below(allowance, scope, credited))]


def _estimated_below(allowance: int, scope: Scope, credited: Int64s) -> Int64s | None:
    reads, marks = scope.use.imported, scope.use.estimated
    if marks is None or not marks.any():
        return None
    always = np.zeros(reads.shape[1], dtype=np.uint8)
    if scope.net is not None:
        return np.minimum(credited, estimates.by_period(reads, marks, always, 1)[0])
    return estimates.in_time_order(reads, marks, always, 1, np.array([[[allowance]]], dtype=np.int64))[0, 0]


def _check_net(component: Energy, scope: Scope) -> None:
    name, label = scope.tariff.id, component.label
    _check_whole_bill(scope)
    if component.measures == "export" or component.schedule is not None:
        raise CannotRate(f"{name} nets by month: {label!r} can price what is left of import by its own periods alone")
    if _fills_in_time(component) and len(scope.tariff.periods) > 1:
        raise CannotRate(f"{name} nets by month: tiers of {label!r} cannot fill in time order over several periods")


def _check_whole_bill(scope: Scope) -> None:
    if scope.window != scope.bill:
        raise CannotRate(f"{scope.tariff.id} nets by month: no price can begin or end inside a bill")


def _fills_in_time(component: Energy) -> bool:
    graduated = component.method == "graduated" and len(component.tiers) > 1
    return graduated and component.scope == "bill" and component.order == "time"


def _hours(component: Energy, scope: Scope, limits: Int64s) -> tuple[Codes, int]:
    """Index of the period of each interval (n,), and how many there are: one, where it does not matter which."""
    codes = scope.codes(component.schedule)
    one_ladder = limits.shape[1] == 1 and (len(component.tiers) == 1 or _fills_in_time(component))
    if one_ladder and all(isinstance(tier.price, Decimal) for tier in component.tiers):
        return np.zeros_like(codes), 1
    return codes, len(scope.tariff.schedule(component.schedule))


def _used(component: Energy, scope: Scope, codes: Codes, n_periods: int) -> Int64s:
    """What is priced, by period (periods, m)."""
    return scope.net.T if scope.net is not None else tiers.by_period(scope.reads(component.measures), codes, n_periods)


def _taken(component: Energy, scope: Scope, limits: Int64s, codes: Codes, n_periods: int) -> Int64s:
    """Energy by tier and period (tiers, periods, m)."""
    if _fills_in_time(component) and n_periods > 1 and scope.net is None:
        return tiers.in_time_order(scope.reads(component.measures), codes, n_periods, limits)
    used = _used(component, scope, codes, n_periods)
    if component.method == "volume":
        return tiers.at_reached(used, tiers.reached(_counted(component, used), limits), len(component.tiers))
    if component.scope == "period" or len(component.tiers) == 1 or len(used) == 1:
        return tiers.in_each_period(used, limits)
    return tiers.by_share(used, limits)


def _counted(component: Energy, used: Int64s) -> Int64s:
    """What limits are compared with: use by period (periods, m), or the bill's (1, m)."""
    return used if component.scope == "period" else used.sum(axis=0, keepdims=True)


def _estimated(
    component: Energy, scope: Scope, limits: Int64s, codes: Codes, n_periods: int, taken: Int64s
) -> Int64s | None:
    """How much of what was taken rests on estimates, by tier and period; None: nothing, or not known."""
    reads, marks = scope.use.imported, scope.use.estimated
    if component.measures == "export" or marks is None or not marks.any():
        return None
    if scope.net is not None:
        codes, n_periods = scope.codes(), len(scope.tariff.periods)
        of_period = np.minimum(taken.sum(axis=0), estimates.by_period(reads, marks, codes, n_periods))
        return estimates.by_share(taken, of_period)
    if component.method == "volume" or len(component.tiers) == 1:
        return np.where(taken > 0, estimates.by_period(reads, marks, codes, n_periods), 0)
    if component.order == "share":
        return estimates.by_share(taken, estimates.by_period(reads, marks, codes, n_periods))
    if component.scope == "period":
        return estimates.in_each_period(reads, marks, codes, n_periods, limits)
    return estimates.in_time_order(reads, marks, codes, n_periods, limits)


def _priced(
    component: Energy, scope: Scope, periods: tuple[Period, ...], taken: Int64s, estimated: Int64s | None
) -> Iterator[Column]:
    for index, tier in enumerate(component.tiers):
        energy_of, marked = taken[index], None if estimated is None else estimated[index]
        number = _number(component, index)
        if isinstance(tier.price, Decimal):
            total = None if marked is None else marked.sum(axis=0)
            yield _line(
                component, scope, _charge(component, scope, tier.price, number), np.add.reduce(energy_of), total
            )
            continue
        prices = tier.price or {}
        for place, period in enumerate(periods):
            if period.name in prices:
                charge = _charge(component, scope, prices[period.name], number, period)
                yield _line(component, scope, charge, energy_of[place], None if marked is None else marked[place])
            elif energy_of[place].any():
                label = f"{component.label}, {period.label}"
                raise PriceMissing(f"{scope.tariff.id} has no price for {label!r} in tier {index + 1}")


def _fees(component: Energy, scope: Scope, limits: Int64s) -> Iterator[Column]:
    """One fee for the tier that is reached, whatever the period."""
    used = _used(component, scope, scope.codes(component.schedule), 1).sum(axis=0, keepdims=True)
    (reached,) = tiers.reached(used, limits)
    for index, tier in enumerate(component.tiers):
        number = _number(component, index)
        if tier.fee is None:
            raise CannotRate(f"{scope.tariff.id} has no fee for {component.label!r}, tier {number}")
        charge = charge_of(scope, component, "month", component.sign * tier.fee, tier=number)
        yield priced(charge, (reached == index).astype(np.int64), scope.digits, scale=0, worth=scope.months)


def _number(component: Energy, index: int) -> int | None:
    """A tier's number, where there are several."""
    return index + 1 if len(component.tiers) > 1 else None


def _charge(component: Energy, scope: Scope, price: Decimal, tier: int | None, period: Period | None = None) -> Charge:
    return charge_of(scope, component, scope.tariff.unit, component.sign * price, period=period, tier=tier)


def _line(component: Energy, scope: Scope, charge: Charge, metered: Int64s, estimated: Int64s | None) -> Column:
    """Metered energy × factor × price."""
    if component.factor == 1:
        return priced(charge, metered, scope.digits, estimated=estimated)
    factor, scale = scaled(component.factor)
    marked = None if estimated is None else times(estimated, factor)
    return priced(charge, times(metered, factor), scope.digits, scale=BASE_SCALE + scale, estimated=marked)
