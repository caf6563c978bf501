"""Demand: the highest power of a bill, by period, and what it costs.

Reads are added up to windows, and the highest window of a period, or of each of its days, is looked for in two steps:
first in each run of windows that belong to one period (and day), then over the few runs of it. Power is whole watts, so
that a kW is 10^3 of them as a kWh is of Wh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from headend.errors import CannotRate
from headend.reads.days import DAY_S, HOUR_S, local_seconds, seconds
from headend.tariffs.arrays import Bools, Int64s
from headend.tariffs.calendar import clock_zone
from headend.tariffs.format.components import Demand, Ratchet, Tier
from headend.tariffs.format.schema import BASE_UNITS
from headend.tariffs.format.times import Period
from headend.tariffs.money import half_up
from headend.tariffs.rating.bill import Charge, Column
from headend.tariffs.rating.limits import is_by_period, mean_limit
from headend.tariffs.rating.price import BASE_SCALE, charge_of, priced, prorated
from headend.tariffs.rating.scope import Scope
from headend.tariffs.rating.tiers import NO_LIMIT, at_reached, in_each_period, reached


@dataclass(frozen=True, slots=True, eq=False)
class Highest:
    """What was measured, for each line of a demand component.

    Parameters
    ----------
    periods
        of each line; None: all hours.
    occurs
        whether the bill has any window in the line's period (lines,).
    watts
        highest power, or mean of the highest days (m, lines).
    estimated
        whether that rests on an estimate (m, lines); None: not known.
    """

    periods: tuple[Period | None, ...]
    occurs: Bools
    watts: Int64s
    estimated: Bools | None


def demand(component: Demand, scope: Scope, highest: Highest) -> list[Column]:
    """A line for each tier and period: what was measured, or more where a ratchet or the minimum asks for it."""
    watts = highest.watts
    if component.ratchet is not None:
        watts = np.maximum(watts, _ratcheted(component.ratchet, scope, watts.shape))
    if component.minimum is not None:
        watts = np.maximum(watts, _watts(component.minimum))
    by_tier = _by_tier(component, _ladder(component, scope, highest.periods), watts.T)
    is_step = component.method == "block"
    worth = scope.months if is_step or component.per == "month" else Fraction(scope.days)
    columns = []
    for index, tier in enumerate(component.tiers):
        for line in np.flatnonzero(highest.occurs).tolist():
            quantity, period = by_tier[index, line], highest.periods[line]
            price = _price(tier, period, is_step=is_step)
            if price is None and not quantity.any():
                continue
            charge = _charge(component, scope, index, price, period)
            if price is None:
                raise CannotRate(f"{scope.tariff.id} has no {'fee' if is_step else 'price'} for {charge.label!r}")
            estimated = None if highest.estimated is None else np.where(highest.estimated[:, line], quantity, 0)
            scale = 0 if is_step else BASE_SCALE
            columns.append(priced(charge, quantity, scope.digits, scale=scale, worth=worth, estimated=estimated))
    return columns


def _price(tier: Tier, period: Period | None, *, is_step: bool) -> Decimal | None:
    price = tier.fee if is_step else tier.price
    if isinstance(price, dict):
        return None if period is None else price.get(period.name)
    return price


def _charge(component: Demand, scope: Scope, index: int, price: Decimal | None, period: Period | None) -> Charge:
    unit = "month" if component.method == "block" else "kW"
    return charge_of(scope, component, unit, price, period=period, tier=index + 1 if len(component.tiers) > 1 else None)


def highest_demand(component: Demand, scope: Scope) -> Highest:
    """The peaks of a component's windows, before any ratchet.

    Raises
    ------
    CannotRate
        the reads are longer than the windows, or do not fill them.
    """
    window_s = scope.use.interval_s if component.window_min is None else 60 * component.window_min
    parts = _parts(scope, window_s)
    energy = _windows(scope.use.imported, parts)
    if scope.use.estimated is not None:
        # In the last bit stands whether it was measured, so that of equal windows a measured one is the highest.
        energy = 2 * energy + (_windows(scope.use.estimated, parts) == 0)
    n = energy.shape[1]
    periods = _periods(component, scope)
    codes = scope.codes(component.schedule)[::parts] if None not in periods else np.zeros(n, dtype=np.uint8)
    days = _days(scope, window_s, n) if component.peaks > 1 else np.zeros(n, dtype=np.int64)
    span = int(days.max()) + 1
    of_days, keys = _highest_by(energy, codes * np.int64(span) + days)

    watts = np.zeros((len(energy), len(periods)), dtype=np.int64)
    estimated = None if scope.use.estimated is None else np.zeros(watts.shape, dtype=np.bool_)
    occurs = np.zeros(len(periods), dtype=np.bool_)
    for line, code in enumerate(periods.values()):
        its = of_days[:, keys // span == code]
        counted = min(component.peaks, its.shape[1])
        if not counted:
            continue
        occurs[line] = True
        top = np.partition(its, -counted, axis=1)[:, -counted:]
        if estimated is not None:
            estimated[:, line] = (top & 1 == 0).any(axis=1)
            top = top >> 1
        # The mean is rounded once, as power.
        watts[:, line] = prorated(top.sum(axis=1), 0, Fraction(HOUR_S, window_s * counted), 0)
    return Highest(tuple(periods), occurs, watts, estimated)


def _periods(component: Demand, scope: Scope) -> dict[Period | None, int]:
    """The period of each line and its code: those that have a price of their own, or all hours."""
    prices, periods = component.tiers[0].price, scope.tariff.schedule(component.schedule)
    if not isinstance(prices, dict):
        return {None: 0}
    return {period: code for code, period in enumerate(periods) if period.name in prices}


def _parts(scope: Scope, window_s: int) -> int:
    """Reads in a window."""
    interval_s, n = scope.use.interval_s, scope.use.imported.shape[1]
    told = f"demand over {window_s / 60:g} min needs reads"
    if interval_s > window_s:
        raise CannotRate(f"{told} of at most {window_s / 60:g} min, these are of {interval_s / 60:g} min")
    if window_s % interval_s:
        raise CannotRate(f"{told} that fill it, these are of {interval_s / 60:g} min")
    parts = window_s // interval_s
    if n % parts:
        begin = scope.start_utc + timedelta(seconds=(n - n % parts) * interval_s)
        raise CannotRate(f"{told} of whole windows, the one at {begin:%Y-%m-%dT%H:%MZ} has {n % parts} of {parts}")
    return parts


def _windows(reads: Int64s | Bools, parts: int) -> Int64s:
    """Sums of `parts` reads that follow each other (m, n ÷ parts)."""
    total = reads[:, ::parts].astype(np.int64, copy=parts > 1)
    for part in range(1, parts):
        total += reads[:, part::parts]
    return total


def _days(scope: Scope, window_s: int, n: int) -> Int64s:
    """Local day of the tariff's clock in which each window begins, counted from the first (n,)."""
    clock = clock_zone(scope.tariff, scope.window.zone)
    days = local_seconds(seconds(scope.start_utc), n, window_s, clock) // DAY_S
    return days - days.min()


def _highest_by(values: Int64s, keys: Int64s) -> tuple[Int64s, Int64s]:
    """Highest value of the columns of each key (m, k), and the keys, rising (k,)."""
    begins = _changes(keys)
    runs = np.maximum.reduceat(values, begins, axis=1)
    order = np.argsort(keys[begins], kind="stable")
    its_keys = keys[begins][order]
    firsts = _changes(its_keys)
    return np.maximum.reduceat(runs[:, order], firsts, axis=1), its_keys[firsts]


def _changes(keys: Int64s) -> NDArray[np.intp]:
    return np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))


def _ratcheted(ratchet: Ratchet, scope: Scope, shape: tuple[int, ...]) -> Int64s:
    """The least that peaks of the bills before ask for [W] (m, lines)."""
    before = scope.carried.peaks.get(scope.place, ())[: ratchet.months]
    counted = [peaks for peaks in before if ratchet.of_months is None or peaks.month in ratchet.of_months]
    for peaks in counted:
        if peaks.watts.shape != shape:
            raise CannotRate(f"peaks of a bill before are {peaks.watts.shape}, customers and lines are {shape}")
    highest = np.maximum.reduce([np.zeros(shape, dtype=np.int64), *(peaks.watts for peaks in counted)])
    return prorated(highest, 0, Fraction(ratchet.percent) / 100, 0).astype(np.int64)


def _watts(kilowatts: Decimal | Fraction) -> int:
    return half_up(Fraction(kilowatts) * BASE_UNITS)


def _by_tier(component: Demand, limits: Int64s, watts: Int64s) -> Int64s:
    """What each tier of each line charges for [W], or for steps whether it is reached (tiers, lines, m)."""
    if component.method == "graduated":
        return in_each_period(watts, limits)
    counted = watts if component.method == "volume" else np.ones_like(watts)
    return at_reached(counted, reached(watts, limits), len(component.tiers))


def _ladder(component: Demand, scope: Scope, periods: Sequence[Period | None]) -> Int64s:
    """The limits of all tiers but the last [W] (tiers - 1, lines, 1), `NO_LIMIT` for a period that has none."""
    limits = np.full((len(component.tiers) - 1, len(periods), 1), NO_LIMIT, dtype=np.int64)
    for index, tier in enumerate(component.tiers[:-1]):
        for line, period in enumerate(periods):
            if tier.up_to is None:
                raise CannotRate(f"{scope.tariff.id} has no limit for tier {index + 1} of {component.label!r}")
            if not is_by_period(tier.up_to, scope.tariff):
                limits[index, line] = _watts(mean_limit(tier.up_to, scope.tariff, scope.window))
            elif period is not None and period.name in tier.up_to:
                limits[index, line] = _watts(tier.up_to[period.name])
    return np.maximum.accumulate(limits, axis=0)
