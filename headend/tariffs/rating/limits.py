"""Limits of tiers and allowances in base units: for the days or months of a bill, its seasons, or its peak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import TypeGuard

import numpy as np

from headend.errors import CannotRate
from headend.reads.days import HOUR_S
from headend.tariffs.arrays import Int64s
from headend.tariffs.calendar import BillingWindow, season_of
from headend.tariffs.format.components import Energy
from headend.tariffs.format.schema import BASE_UNITS, Tariff
from headend.tariffs.format.times import Period
from headend.tariffs.money import half_up
from headend.tariffs.rating.price import prorated
from headend.tariffs.rating.scope import Scope
from headend.tariffs.rating.tiers import NO_LIMIT

UpTo = Decimal | Mapping[str, Decimal]

_ENDLESS = np.array([NO_LIMIT], dtype=np.int64)


def tier_limit(up_to: Decimal | Fraction, worth: Decimal | Fraction | int) -> int:
    """A limit × days or months, in base units: rounded half up to a whole one, once, after everything else."""
    return half_up(Fraction(up_to) * Fraction(worth) * BASE_UNITS)


def ladder(component: Energy, scope: Scope, periods: tuple[Period, ...]) -> Int64s:
    """The limits of all tiers but the last [base units] (tiers - 1, periods or 1, customers or 1).

    Periods have their own where one of the limits is a table by period, and customers where limits are per kW. A
    period without a limit in a tier has none in later ones either.

    Raises
    ------
    CannotRate
        a tier has no limit, or a season of the bill has none.
    """
    tiers = []
    for number, tier in enumerate(component.tiers[:-1], 1):
        if tier.up_to is None:
            raise CannotRate(f"{scope.tariff.id} has no limit for tier {number} of {component.label!r}")
        if is_by_period(tier.up_to, scope.tariff):
            of_period = [
                _limit(component, tier.up_to[period.name], scope) if period.name in tier.up_to else _ENDLESS
                for period in periods
            ]
            tiers.append(np.stack(np.broadcast_arrays(*of_period)))
        else:
            tiers.append(_limit(component, tier.up_to, scope)[None])
    if not tiers:
        return np.empty((0, 1, 1), dtype=np.int64)
    return np.maximum.accumulate(np.stack(np.broadcast_arrays(*tiers)), axis=0)


def is_by_period(up_to: UpTo, tariff: Tariff) -> TypeGuard[Mapping[str, Decimal]]:
    """Whether a limit is a table by TOU period: one that has keys which are no season's."""
    return isinstance(up_to, Mapping) and not up_to.keys() <= {season.name for season in tariff.seasons}


def mean_limit(up_to: UpTo, tariff: Tariff, window: BillingWindow) -> Fraction:
    """A limit per day or month of a bill: the mean over its days where each season has its own.

    Raises
    ------
    CannotRate
        a season of the bill has no limit.
    """
    if isinstance(up_to, Decimal):
        return Fraction(up_to)
    limit = Fraction(0)
    for season, days in season_days(tariff, window).items():
        if season is None or season not in up_to:
            raise CannotRate(f"{tariff.id} has no limit for {season!r}, the season of {days} of the bill's days")
        limit += Fraction(up_to[season]) * days
    return limit / window.days


@lru_cache(maxsize=1024)
def season_days(tariff: Tariff, window: BillingWindow) -> Mapping[str | None, int]:
    """How many days of a bill are in each season; all in one, where the tariff's seasons follow the bill's month."""
    if tariff.seasons_by == "cycle":
        return {season_of(tariff.seasons, window.month.month, 1): window.days}
    days = (window.first + timedelta(days=day) for day in range(window.days))
    return Counter(season_of(tariff.seasons, day.month, day.day) for day in days)


def _limit(component: Energy, up_to: UpTo, scope: Scope) -> Int64s:
    """One limit [base units] (customers or 1,)."""
    per = component.tiers_per
    worth = Fraction(scope.days) if per in ("day", "kW_day") else scope.months
    limit = mean_limit(up_to, scope.tariff, scope.window)
    if per not in ("kW_month", "kW_day"):
        return np.array([min(tier_limit(limit, worth), NO_LIMIT)], dtype=np.int64)
    # kWh for each kW are Wh for each W, and a W is 3600 / interval_s Wh of the highest interval.
    highest = scope.use.imported.max(axis=1).astype(np.int64)
    per_wh = limit * worth * Fraction(HOUR_S, scope.use.interval_s)
    return np.minimum(prorated(highest, 0, per_wh, 0), NO_LIMIT).astype(np.int64)
