"""Energy at prices that are published interval by interval.

What a customer owes is the sum of use × price over all intervals, exact to the last digit: one product of the reads
(m, n) with the prices (n,), both whole numbers. The sum over a customer's use times the highest price bounds every sum
on the way, so it is known beforehand whether 64 bits are enough; where they are not, the prices are cut into digits
for which they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from headend.errors import CannotRate
from headend.reads.days import seconds
from headend.tariffs.arrays import Int64s
from headend.tariffs.format.components import Dynamic
from headend.tariffs.format.times import Period
from headend.tariffs.market import PriceSeries
from headend.tariffs.money import Integers, exactly, largest, rescaled, scaled
from headend.tariffs.rating.bill import Column
from headend.tariffs.rating.price import BASE_SCALE, charge_of, summed
from headend.tariffs.rating.scope import Scope

_INT64 = 2**62


def dynamic(component: Dynamic, scope: Scope) -> list[Column]:
    """A line for each period that the formula tells apart, or one line.

    Raises
    ------
    CannotRate
        a price is missing or changes within an interval; the series is in another currency or per another unit than
        the tariff; there are no reads of what is measured; energy is netted over a month, so that no interval has any.
    """
    tariff, use, reads = scope.tariff, scope.use, scope.reads(component.measures)
    if scope.net is not None:
        raise CannotRate(f"{tariff.id} nets energy by month, so that {component.label!r} has no intervals to price")
    series = scope.market.series(component.series)
    _check_unit(series, scope)
    published = series.at(seconds(scope.start_utc), reads.shape[1], use.interval_s)
    # Nothing says which intervals of export are estimates.
    estimated = use.estimated if component.measures == "import" else None
    if estimated is not None and not estimated.any():
        estimated = None
    columns = []
    for period, intervals in _parts(component, scope):
        name = "" if period is None else period.name
        prices, scale = interval_prices(component, name, published[intervals], series.scale)
        its = reads[:, intervals].astype(np.int64, copy=False)
        taken = its.sum(axis=1)
        columns.append(
            summed(
                charge_of(scope, component, tariff.unit, None, period=period),
                taken,
                component.sign * weighted(its, taken, prices),
                scale + BASE_SCALE,
                scope.digits,
                None if estimated is None else np.where(estimated[:, intervals], its, 0).sum(axis=1),
            )
        )
    return columns


def _check_unit(series: PriceSeries, scope: Scope) -> None:
    found, wanted = (f"{each.currency} per {each.unit}" for each in (series, scope.tariff))
    if found != wanted:
        raise CannotRate(f"price series {series.name} is in {found}, {scope.tariff.id} is in {wanted}")


def _parts(component: Dynamic, scope: Scope) -> Sequence[tuple[Period | None, slice | NDArray[np.intp]]]:
    if not isinstance(component.factor, dict) and not isinstance(component.add, dict):
        return [(None, slice(None))]
    codes = scope.codes(component.schedule)
    periods = scope.tariff.schedule(component.schedule)
    return [(period, np.flatnonzero(codes == index)) for index, period in enumerate(periods)]


def interval_prices(component: Dynamic, period: str, published: Integers, scale: int) -> tuple[Integers, int]:
    """What a unit costs in each interval: whole numbers (n,), and the scale they are in.

    Parameters
    ----------
    period
        name of the one that all the intervals are in; it matters where the formula tells periods apart.
    published
        prices of the series, in 10^-`scale` (n,).
    """
    factor, factor_scale = scaled(_of(component.factor, period))
    terms = [_of(component.add, period), component.cap, component.floor]
    of_terms = [scaled(term)[1] for term in terms if term is not None]
    to_scale = max(scale + factor_scale, *of_terms)
    factor *= 10 ** (to_scale - scale - factor_scale)
    add, cap, floor = (None if term is None else int(term.scaleb(to_scale)) for term in terms)
    bound = largest(published) * max(abs(factor), 1) + sum(abs(term or 0) for term in (add, cap, floor))
    prices = exactly(published, bound) * factor + add
    if cap is not None:
        prices = np.minimum(prices, cap)
    if floor is not None:
        prices = np.maximum(prices, floor)
    if component.decimals is None:
        return prices, to_scale
    return rescaled(prices, to_scale, component.decimals), component.decimals


def _of(number: Decimal | dict[str, Decimal], period: str) -> Decimal:
    return number[period] if isinstance(number, dict) else number


def weighted(reads: Int64s, total: Int64s, prices: Integers) -> Integers:
    """Sum of reads × prices over all intervals, exact (m,).

    Parameters
    ----------
    reads
        none negative (m, n).
    total
        of each row (m,).
    prices
        whole numbers (n,).
    """
    most = max(int(total.max(initial=0)), 1)
    bound = most * largest(prices)
    base = _INT64 // most
    digits = []
    while most * largest(prices) >= _INT64:
        prices, digit = prices // base, prices % base
        digits.append(digit)
    result = exactly(reads @ prices.astype(np.int64), bound)
    for digit in reversed(digits):
        result = result * base + reads @ digit.astype(np.int64)
    return result
