"""Energy fed in against energy taken, and what one bill leaves to the next: docs/tariff-format.md, "Energy fed in".

There are two banks. One holds energy by TOU period: what was fed in beyond all that was taken. The other holds money:
what a bill came to less than nothing. A bank is never below zero, so that what a bill takes from it and puts into it is
one minimum and one maximum over all customers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np

from headend.errors import CannotRate
from headend.tariffs.arrays import Int64s
from headend.tariffs.calendar import BillingWindow, codes_of
from headend.tariffs.format.components import Bank, Component, Energy
from headend.tariffs.format.schema import Tariff
from headend.tariffs.market import Market
from headend.tariffs.money import rescaled
from headend.tariffs.rating.bill import Charge, Column
from headend.tariffs.rating.price import added, charge_of, priced
from headend.tariffs.rating.scope import Scope
from headend.tariffs.rating.tiers import by_period
from headend.tariffs.rating.use import Carried, Credit, Use


def net_use(
    tariff: Tariff, window: BillingWindow, use: Use, start_utc: datetime, market: Market, carried: Carried
) -> tuple[Use, Int64s | None]:
    """Use as it is priced; with netting by month, also import - export - bank by period [Wh] (m, periods).

    Raises
    ------
    CannotRate
        nothing measures what is fed in; the bank is of other periods or customers; reads do not fill hours that are
        netted.
    """
    if tariff.netting == "none":
        return use, None
    if tariff.netting == "month":
        return use, _balance(tariff, window, use, start_utc, market, carried)
    if tariff.netting == "hour":
        use = use.by_hour()
    taken = use.imported.astype(np.int64, copy=False) - _fed_in(tariff, use)
    imported = np.maximum(taken, 0)
    return replace(use, imported=imported, exported=imported - taken), None


def _balance(
    tariff: Tariff, window: BillingWindow, use: Use, start_utc: datetime, market: Market, carried: Carried
) -> Int64s:
    """Import - export - bank by period [Wh] (m, periods); what is below zero is surplus."""
    fed_in = _fed_in(tariff, use)
    codes = codes_of(tariff, window, use.interval_s, market=market, start_utc=start_utc, n=fed_in.shape[1])
    taken = use.imported.astype(np.int64, copy=False) - fed_in
    balance = np.ascontiguousarray(by_period(taken, codes, len(tariff.periods)).T)
    return balance if carried.energy is None else balance - _banked(carried.energy, balance.shape)


def _fed_in(tariff: Tariff, use: Use) -> Int64s:
    if use.exported is None:
        raise CannotRate(f"{tariff.id} nets exported energy, but there are no export reads")
    return use.exported.astype(np.int64, copy=False)


def _banked(energy: Int64s, shape: tuple[int, ...]) -> Int64s:
    if energy.shape != shape:
        raise CannotRate(f"the bank of energy is {energy.shape}, expected {shape}: customers and periods")
    if not np.issubdtype(energy.dtype, np.integer) or (energy.size and int(energy.min()) < 0):
        raise CannotRate("the bank of energy holds less than nothing, or no whole Wh")
    return energy


def settlement(scope: Scope, following: Component | None) -> list[Column]:
    """What is paid for the energy in the bank when it is emptied.

    The line stands below the first energy lines, and so above percentages, minimums and taxes on it.

    Parameters
    ----------
    scope
        the bill's.
    following
        the component whose lines would come next; None: there is none.
    """
    rule = scope.tariff.net_metering
    if scope.surplus is None or rule is None or not rule.price or not _trues_up(scope, rule.true_up):
        return []
    above = {column.charge.kind for column in scope.above}
    is_here = following is None or ("energy" in above and not isinstance(following, Energy))
    if not is_here or "export" in above:
        return []
    charge = Charge("export", "Surplus", scope.tariff.unit, -rule.price, scope.tariff.id, scope.tariff.version)
    return [priced(charge, scope.surplus.sum(axis=1), scope.digits)]


@dataclass(frozen=True, slots=True, eq=False)
class _BankColumn(Column):
    """A bank's line, and the credit it leaves."""

    left: Credit = field(kw_only=True)


def bank(component: Bank, scope: Scope) -> list[Column]:
    """The money that moves: above zero it lifts other lines to nothing, below it uses up credit, or pays it out."""
    if any(isinstance(column, _BankColumn) for column in scope.above):
        raise CannotRate(f"{scope.tariff.id} has two banks at once, at {component.label!r}")
    amount, exact, scale = added(scope.on(component.on), scope.digits)
    before = _credit(scope)
    kept = max(scale, before.scale)
    exact, exact_before = rescaled(exact, scale, kept), rescaled(before.exact, before.scale, kept)
    ends = _trues_up(scope, component.true_up)
    if ends and component.pays:
        moved, exactly = -before.amount, -exact_before
    else:
        moved, exactly = -np.minimum(amount, before.amount), -np.minimum(exact, exact_before)
    left = (before.amount * 0, exact_before * 0) if ends else (before.amount + moved, exact_before + exactly)
    charge = charge_of(scope, component, scope.tariff.currency, Decimal(1))
    return [_BankColumn(charge, moved, scope.digits, exactly, kept, moved, left=Credit(*left, kept))]


def _credit(scope: Scope) -> Credit:
    """What is in the bank of money: (m,), none below zero."""
    credit, n = scope.carried.credit, len(scope.use)
    if credit is None:
        nothing = np.zeros(n, dtype=np.int64)
        return Credit(nothing, nothing, scope.digits)
    for each in (credit.amount, credit.exact):
        if each.shape != (n,):
            raise CannotRate(f"the bank of money is {each.shape}, expected {(n,)}: customers")
        if n and int(each.min()) < 0:
            raise CannotRate("the bank of money holds less than nothing")
    return credit


def left_over(scope: Scope, columns: list[Column]) -> tuple[list[Column], Carried]:
    """All columns of a bill, and what it leaves to the next. What is in a bank that the bill does not ask for stays."""
    credit = next((column.left for column in columns if isinstance(column, _BankColumn)), scope.carried.credit)
    columns = [*columns, *settlement(scope, None)]
    surplus, rule = scope.surplus, scope.tariff.net_metering
    if surplus is None:
        return columns, Carried(energy=scope.carried.energy, credit=credit)
    ends = rule is not None and _trues_up(scope, rule.true_up)
    return columns, Carried(energy=surplus * 0 if ends else surplus, credit=credit)


def _trues_up(scope: Scope, month: int | None) -> bool:
    """Whether the bill has the last day of the month."""
    if month is None:
        return False
    after = [
        date(year + (month == 12), month % 12 + 1, 1) for year in range(scope.bill.first.year, scope.bill.end.year + 1)
    ]
    return any(scope.bill.first <= day - timedelta(days=1) < scope.bill.end for day in after)
