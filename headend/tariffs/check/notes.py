"""What may be meant or not: periods that overlap, prices that stand out, parts that nothing uses."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from statistics import median

import numpy as np

from headend.tariffs.check.finding import Finding, Note
from headend.tariffs.check.periods import schedules_of
from headend.tariffs.check.year import holding, in_words, year_of
from headend.tariffs.format.components import Component, Demand, Dynamic, Energy, Percentage, Reactive, Tax
from headend.tariffs.format.schema import Tariff
from headend.tariffs.money import plain

# A decimal point that slipped by one is 10 times; two prices of one component are seldom that far apart.
_FAR = 20


def notes(tariff: Tariff) -> list[Note]:
    """What is worth a second look in a tariff that can be used."""
    return [*_overlaps(tariff), *_unused(tariff), *_outliers(tariff), *_fractions(tariff)]


def _overlaps(tariff: Tariff) -> Iterator[Note]:
    for key, periods in schedules_of(tariff).items():
        year = year_of(tariff, periods)
        conditioned = [not any(when.is_always for when in period.alternatives) for period in periods]
        for later, period in enumerate(periods):
            its = holding(tariff, period)
            first = np.unique(year.periods[its]).tolist() if conditioned[later] else []
            for earlier in first:
                if earlier != later and conditioned[earlier]:
                    where = in_words(year, its & (year.periods == earlier))
                    yield Note(
                        f"{key}[{later}]", f"{period.name!r} gives way to {periods[earlier].name!r} above it: {where}"
                    )


def _unused(tariff: Tariff) -> Iterator[Note]:
    asked = {each.schedule for each in tariff.components if isinstance(each, Energy | Dynamic | Demand | Reactive)}
    for name in tariff.schedules:
        if name not in asked:
            yield Note(f"schedules.{name}", "no component asks for it")
    for index, component in enumerate(tariff.components):
        until = component.valid_until
        if until is not None and until <= tariff.valid_from:
            yield Note(f"components[{index}].valid_until", f"{until}, so that it never holds in this version")


def _outliers(tariff: Tariff) -> Iterator[Note]:
    for index, component in enumerate(tariff.components):
        prices = _prices(component, f"components[{index}]")
        middle = median(prices.values()) if prices else Decimal(0)
        for key, price in prices.items():
            if price > _FAR * middle or 0 < price * _FAR < middle:
                yield Note(key, f"{plain(price)} is far from {plain(middle)}, the middle of its component's prices")


def _fractions(tariff: Tariff) -> Iterator[Note]:
    for index, component in enumerate(tariff.components):
        if isinstance(component, Tax | Percentage) and 0 < abs(component.percent) < 1:
            percent = plain(component.percent)
            yield Note(f"components[{index}].percent", f"{percent} is {percent} %; 19 % is written 19, not 0.19")


def prices_beyond(tariff: Tariff, lowest: Decimal | None, highest: Decimal | None) -> list[Finding]:
    """Prices of imported energy that are below the lowest or above the highest that is thought possible."""
    findings = []
    for index, component in enumerate(tariff.components):
        if isinstance(component, Energy) and component.sign > 0:
            for key, price in _prices(component, f"components[{index}]").items():
                if lowest is not None and price < lowest:
                    findings.append(Finding(key, plain(price), f"{plain(lowest)} or more"))
                if highest is not None and price > highest:
                    findings.append(Finding(key, plain(price), f"{plain(highest)} or less"))
    return findings


def _prices(component: Component, where: str) -> dict[str, Decimal]:
    """Prices per unit by the key they stand under."""
    tables: dict[str, Decimal | dict[str, Decimal] | None] = {}
    if isinstance(component, Energy | Demand):
        tables = {f"{where}.tiers[{index}].price": tier.price for index, tier in enumerate(component.tiers)}
    elif isinstance(component, Reactive):
        tables = {f"{where}.price": component.price}
    prices: dict[str, Decimal] = {}
    for key, price in tables.items():
        if isinstance(price, dict):
            prices |= {f"{key}.{name}": each for name, each in price.items()}
        elif price is not None:
            prices[key] = price
    return prices
