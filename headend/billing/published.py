"""Published prices and events that bills depend on: what to fetch for a month, and what of it was used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from headend.billing.parts import Part
from headend.billing.ports import Records
from headend.billing.statement import EventUsed, SeriesUsed
from headend.reads.days import DAY_S, Period, moment
from headend.tariffs import NO_MARKET, Market, PriceSeries, Tariff
from headend.tariffs.format.components import Dynamic
from headend.tariffs.published import events_named


def market_of(records: Records, tariffs: Iterable[Tariff], days: Period, *, prices: bool = True) -> Market:
    """What tariffs refer to, over some days; nothing is asked for where they refer to nothing."""
    series = {name for tariff in tariffs for name in _series(tariff)} if prices else set()
    events = {name for tariff in tariffs for name in events_named(tariff)}
    if not series and not events:
        return NO_MARKET
    return records.market(sorted(series), sorted(events), days.start_s, days.end_s)


def _series(tariff: Tariff) -> set[str]:
    return {component.series for component in tariff.components if isinstance(component, Dynamic)}


def prices_used(part: Part, market: Market) -> tuple[SeriesUsed, ...]:
    """The series that priced a part, with the digest of their prices over its days."""
    begin_s, end_s = part.time_s
    names = sorted({each.series for each in part.components.values() if isinstance(each, Dynamic)})
    return tuple(SeriesUsed(name, market.series(name).digest(begin_s, end_s)) for name in names)


def events_used(part: Part, market: Market) -> tuple[EventUsed, ...]:
    """The events during a part."""
    begin_s, end_s = part.time_s
    return tuple(
        EventUsed(name, moment(first_s), moment(last_s))
        for name in sorted(events_named(part.tariff))
        if name in market.events
        for first_s, last_s in market.events[name].spans
        if first_s < end_s and last_s > begin_s
    )


def with_prices_up_to(market: Market, after_s: int, end_s: int) -> Market:
    """The same, with a price of 0 for what is not published yet of the time [after_s, end_s), in which nothing is used.

    For a look at a running month, whose last days have no prices yet.
    """
    return replace(market, prices={name: _longer(series, after_s, end_s) for name, series in market.prices.items()})


def _longer(series: PriceSeries, after_s: int, end_s: int) -> PriceSeries:
    begin_s = max(after_s, int(series.end_s[-1])) if len(series.end_s) else after_s
    if begin_s >= end_s:
        return series
    return replace(
        series,
        start_s=np.append(series.start_s, begin_s),
        end_s=np.append(series.end_s, end_s),
        prices=np.append(series.prices, 0),
    )


def with_prices_as_a_week_before(market: Market, end_s: int) -> Market:
    """The same, with the prices of the same hours a week before for the time up to `end_s` that has none yet.

    For a forecast. Where less than a week is published, nothing is made up.
    """
    return replace(market, prices={name: _as_before(series, end_s) for name, series in market.prices.items()})


def _as_before(series: PriceSeries, end_s: int) -> PriceSeries:
    if not len(series.end_s):
        return series
    start, end, prices = series.start_s, series.end_s, series.prices
    while int(end[-1]) < end_s and int(end[-1]) - int(start[0]) >= _WEEK_S:
        last = int(end[-1])
        its = start >= last - _WEEK_S
        start, end = np.append(start, start[its] + _WEEK_S), np.append(end, end[its] + _WEEK_S)
        prices = np.append(prices, prices[its])
    return replace(series, start_s=start, end_s=end, prices=prices)


_WEEK_S = 7 * DAY_S
