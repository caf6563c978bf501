"""What it costs: lines and bills for a batch of customers on one tariff.

Every component of a tariff becomes columns, one for each line of the bill, over all customers: quantity in base units,
exact amount and amount rounded to the minor unit, all whole numbers. Nothing is decided per customer, so a bill is
only read off the columns at the end, as Decimals.

Two amounts stand in each line. `amount` is rounded once and is what is owed; tax is charged on rounded amounts, as
the bill shows them. `exact` is never rounded on the way; tax on it is charged on exact amounts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from headend.errors import CannotRate
from headend.tariffs.calendar import BillingWindow
from headend.tariffs.format.components import (
    Bank,
    BaselineCredit,
    Component,
    Demand,
    Dynamic,
    Energy,
    Minimum,
    Percentage,
    PowerFactor,
    Reactive,
    Standing,
)
from headend.tariffs.format.schema import Tariff
from headend.tariffs.market import NO_MARKET, Market
from headend.tariffs.rating.bill import Column, RatedBatch
from headend.tariffs.rating.demand import Highest, demand, highest_demand
from headend.tariffs.rating.dynamic import dynamic
from headend.tariffs.rating.energy import baseline_credit, energy
from headend.tariffs.rating.fixed import minimum, standing
from headend.tariffs.rating.netting import bank, left_over, net_use, settlement
from headend.tariffs.rating.reactive import power_factor, reactive
from headend.tariffs.rating.scope import Scope, clipped
from headend.tariffs.rating.shares import percentage, tax
from headend.tariffs.rating.use import NOTHING_CARRIED, Carried, Peaks, Use


def rate_batch(
    tariff: Tariff,
    window: BillingWindow,
    use: Use,
    market: Market = NO_MARKET,
    carried: Carried = NOTHING_CARRIED,
    customer_class: str | None = None,
) -> RatedBatch:
    """Rate many customers on one tariff version over the same window.

    Batches of some hundred customers are fastest: their reads stay in the processor's cache.

    Parameters
    ----------
    use
        the first interval begins with the window, the last ends with it.
    market
        prices and events the tariff refers to.
    carried
        what earlier bills left over.
    customer_class
        whose components marked `not_for` it are left out; None: of none.

    Raises
    ------
    CannotRate
        the reads do not cover the window, are negative, absurdly large or no whole numbers; the tariff needs reads or
        prices that there are not.
    """
    use.check(window.intervals(use.interval_s))
    return rate_from(window.start_utc, tariff, window, use, market, carried, customer_class)


def rate_from(
    start_utc: datetime,
    tariff: Tariff,
    window: BillingWindow,
    use: Use,
    market: Market = NO_MARKET,
    carried: Carried = NOTHING_CARRIED,
    customer_class: str | None = None,
) -> RatedBatch:
    """As `rate_batch`, for possible reads that need not fill the window: the first interval begins at `start_utc`."""
    scope, columns = _bill(start_utc, tariff, window, use, market, carried)
    parts = _in_force(scope, customer_class)
    highest = {its.place: highest_demand(component, its) for component, its in parts if isinstance(component, Demand)}
    for component, its in parts:
        columns += settlement(scope, component)
        columns += _columns(component, its, highest)
    peaks = {place: (Peaks(window.month.month, highest[place].watts),) for place in _ratcheted(parts)}
    columns, left = left_over(scope, columns)
    return RatedBatch(tariff.currency, len(use), tuple(columns), replace(left, peaks=peaks))


def past_peaks(
    tariff: Tariff,
    window: BillingWindow,
    use: Use,
    market: Market = NO_MARKET,
    customer_class: str | None = None,
) -> Mapping[int, tuple[Peaks, ...]]:
    """What an earlier bill leaves to later ones' ratchets, where it is looked at for nothing else: `Carried.peaks`.

    Parameters and errors are those of `rate_batch`.
    """
    use.check(window.intervals(use.interval_s))
    scope, _ = _bill(window.start_utc, tariff, window, use, market, NOTHING_CARRIED)
    ratcheted = _ratcheted(_in_force(scope, customer_class))
    return {
        place: (Peaks(window.month.month, highest_demand(component, its).watts),)
        for place, (component, its) in ratcheted.items()
    }


def _bill(
    start_utc: datetime, tariff: Tariff, window: BillingWindow, use: Use, market: Market, carried: Carried
) -> tuple[Scope, list[Column]]:
    """A bill, and its columns, of which there are none yet."""
    if not use.imported.shape[1]:
        raise CannotRate(f"there are no reads from {window.first} up to {window.end}")
    netted, balance = net_use(tariff, window, use, start_utc, market, carried)
    columns: list[Column] = []
    return Scope(tariff, window, window, netted, start_utc, market, carried, balance, 0, columns), columns


def _in_force(scope: Scope, customer_class: str | None) -> list[tuple[Component, Scope]]:
    """The components that hold on some days of a bill, each with those days."""
    parts: list[tuple[Component, Scope]] = []
    for place, component in enumerate(scope.tariff.components):
        days = scope.bill.within(component.valid_from, component.valid_until)
        if days is None or customer_class in component.not_for:
            continue
        its = replace(scope, place=place)
        if days.days < scope.bill.days:
            its = clipped(its, days)
            if not its.use.imported.shape[1]:
                raise CannotRate(f"there are no reads from {days.first} up to {days.end}")
        parts.append((component, its))
    return parts


def _ratcheted(parts: list[tuple[Component, Scope]]) -> dict[int, tuple[Demand, Scope]]:
    """Demand that asks for the peaks of bills before, by place in the tariff."""
    return {
        its.place: (component, its)
        for component, its in parts
        if isinstance(component, Demand) and component.ratchet is not None
    }


def _columns(  # noqa: PLR0911 - one for each kind there is
    component: Component, scope: Scope, highest: Mapping[int, Highest]
) -> list[Column]:
    match component:
        case Energy():
            return energy(component, scope)
        case Dynamic():
            return dynamic(component, scope)
        case BaselineCredit():
            return baseline_credit(component, scope)
        case Demand():
            return demand(component, scope, highest[scope.place])
        case Reactive():
            return reactive(component, scope)
        case PowerFactor():
            return power_factor(component, scope)
        case Standing():
            return standing(component, scope)
        case Percentage():
            return percentage(component, scope)
        case Minimum():
            return minimum(component, scope)
        case Bank():
            return bank(component, scope)
        case _:
            return tax(component, scope)
