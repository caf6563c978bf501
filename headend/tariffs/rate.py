"""What it costs: lines and bills for a batch of customers on one tariff.

Every component of a tariff becomes columns, one for each line of the bill, over all customers: quantity in base units,
exact amount and amount rounded to the minor unit, all whole numbers. Nothing is decided per customer, so a bill is
only read off the columns at the end, as Decimals.

Two amounts stand in each line. `amount` is rounded once and is what is owed; tax is charged on rounded amounts, as
the bill shows them. `exact` is never rounded on the way; tax on it is charged on exact amounts.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from headend.errors import CannotRate
from headend.tariffs.bill import Column, RatedBatch
from headend.tariffs.calendar import BillingWindow
from headend.tariffs.components import (
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
from headend.tariffs.demand import demand
from headend.tariffs.dynamic import dynamic
from headend.tariffs.energy import baseline_credit, energy
from headend.tariffs.fixed import minimum, standing
from headend.tariffs.market import NO_MARKET, Market
from headend.tariffs.netting import bank, left_over, net_use
from headend.tariffs.reactive import power_factor, reactive
from headend.tariffs.schema import Tariff
from headend.tariffs.scope import Scope, clipped
from headend.tariffs.shares import percentage, tax
from headend.tariffs.use import NOTHING_CARRIED, Carried, Use


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
    if not use.imported.shape[1]:
        raise CannotRate(f"there are no reads from {window.first} up to {window.end}")
    netted, net = net_use(tariff, window, use, start_utc, market, carried)
    columns: list[Column] = []
    scope = Scope(tariff, window, window, netted, start_utc, market, carried, net, 0, columns)
    for place, component in enumerate(tariff.components):
        its = window.within(component.valid_from, component.valid_until)
        if its is not None and customer_class not in component.not_for:
            whole = replace(scope, place=place)
            columns += _columns(component, whole if its.days == window.days else clipped(whole, its))
    columns, left = left_over(scope, columns)
    return RatedBatch(tariff.currency, len(use), tuple(columns), left)


def _columns(component: Component, scope: Scope) -> list[Column]:  # noqa: PLR0911 - one for each kind there is
    match component:
        case Energy():
            return energy(component, scope)
        case Dynamic():
            return dynamic(component, scope)
        case BaselineCredit():
            return baseline_credit(component, scope)
        case Demand():
            return demand(component, scope)
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
