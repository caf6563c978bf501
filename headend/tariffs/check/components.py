"""Single components: what they say of dates, schedules, prices and limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from headend.tariffs.check.finding import Finding, one_of
from headend.tariffs.check.tiers import Steps, has_table, is_said, limit_table_faults, table_faults, tier_faults
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
    Tax,
)
from headend.tariffs.format.schema import MAIN, Tariff

_PER_KW = ("kW_month", "kW_day")


def component_faults(tariff: Tariff) -> Iterator[Finding]:
    """What is wrong within single components."""
    for index, component in enumerate(tariff.components):
        where = f"components[{index}]"
        yield from _general_faults(tariff, component, where)
        schedule = component.schedule if isinstance(component, Energy | Dynamic | Demand | Reactive) else MAIN
        if schedule is not MAIN and schedule not in tariff.schedules:
            known = one_of([*tariff.schedules]) if tariff.schedules else f"[[schedules.{schedule}]]"
            yield Finding(f"{where}.schedule", repr(schedule), known)
        else:
            periods = tuple(period.name for period in tariff.schedule(schedule))
            yield from _own_faults(tariff, component, periods, where)


def _general_faults(tariff: Tariff, component: Component, where: str) -> Iterator[Finding]:
    first, until = component.valid_from, component.valid_until
    if first is not None and until is not None and first >= until:
        yield Finding(f"{where}.valid_until", str(until), f"a day after its valid_from, {first}")
    for index, name in enumerate(component.not_for):
        if name not in tariff.customer_classes:
            yield Finding(f"{where}.not_for[{index}]", repr(name), one_of(tariff.customer_classes))
    if tariff.commodity == "electricity":
        return
    if isinstance(component, Energy | Dynamic) and component.measures == "export":
        yield Finding(f"{where}.measures", f"export of {tariff.commodity}", "import")
    elif isinstance(component, Demand | Reactive | PowerFactor):
        yield Finding(f"{where}.kind", f"{component.kind!r} of {tariff.commodity}", "it with electricity only")
    elif isinstance(component, Energy) and component.tiers_per in _PER_KW:
        yield Finding(f"{where}.tiers_per", f"{component.tiers_per!r} of {tariff.commodity}", "month or day")


def _own_faults(tariff: Tariff, component: Component, periods: tuple[str, ...], where: str) -> Iterator[Finding]:
    seasons = tuple(season.name for season in tariff.seasons)
    match component:
        case Energy():
            yield from _energy_faults(component, Steps(where, seasons, periods, periods))
        case Dynamic():
            yield from _dynamic_faults(component, periods, where)
        case BaselineCredit():
            if isinstance(component.allowance_per_day, dict):
                yield from limit_table_faults(component.allowance_per_day, f"{where}.allowance_per_day", seasons, ())
        case Demand():
            limited = periods if isinstance(component.tiers[0].price, dict) else ()
            yield from _demand_faults(component, Steps(where, seasons, periods, limited))
        case Reactive():
            if isinstance(component.price, dict):
                yield from table_faults(component.price, f"{where}.price", periods, periods)
            elif component.schedule is not MAIN:
                yield _no_schedule(component, where)
        case Bank():
            if component.pays and component.true_up is None:
                yield Finding(f"{where}.true_up", "nothing", "the month in which it pays")
        case PowerFactor() | Standing() | Percentage() | Minimum() | Tax():
            return
        case _:
            assert_never(component)


def _energy_faults(component: Energy, steps: Steps) -> Iterator[Finding]:
    where, one = steps.where, len(component.tiers) == 1
    last_is_missing = (
        one and component.tiers[0].up_to is not None
    )  # which is what to say, and not that there is one tier
    if one == (component.tiers_per is not None) and not last_is_missing:
        found = repr(component.tiers_per) if one else "nothing"
        expected = "no key, for one tier" if one else "month or day, what the limits are for (or kW_month, kW_day)"
        yield Finding(f"{where}.tiers_per", found, expected)
    for key in ("scope", "order"):
        if one and is_said(component, key):
            yield Finding(f"{where}.{key}", repr(getattr(component, key)), "no key, for one tier")
    if not one and component.order == "share":
        if component.scope == "period":
            yield Finding(f"{where}.order", "'share'", "no key: with scope = 'period' nothing is shared")
        elif component.method != "graduated":
            yield Finding(f"{where}.order", "'share'", f"no key: with method = {component.method!r} nothing is shared")
    if component.method == "block" and component.scope == "period":
        yield Finding(f"{where}.scope", "'period'", "bill, for the one fee of method = 'block'")
    if component.method == "block" or component.order == "share":
        # One step is reached, or shared, by all periods.
        steps = Steps(where, steps.seasons, steps.periods, ())
    yield from tier_faults(component, steps)


def _dynamic_faults(component: Dynamic, periods: tuple[str, ...], where: str) -> Iterator[Finding]:
    for key in ("factor", "add"):
        table = getattr(component, key)
        if isinstance(table, dict):
            yield from table_faults(table, f"{where}.{key}", periods, periods)
    if component.schedule is not MAIN and not has_table(component.factor, component.add):
        yield _no_schedule(component, where)
    if component.cap is not None and component.floor is not None and component.cap < component.floor:
        yield Finding(f"{where}.cap", str(component.cap), f"at least the floor, {component.floor}")


def _demand_faults(component: Demand, steps: Steps) -> Iterator[Finding]:
    where = steps.where
    if component.method == "block" and component.per == "day":
        yield Finding(f"{where}.per", "'day'", "no key: with method = 'block' a fee is for a month")
    if component.schedule is not MAIN and not has_table(*(tier.price for tier in component.tiers)):
        yield _no_schedule(component, where)
    yield from tier_faults(component, steps)


def _no_schedule(component: Dynamic | Demand | Reactive, where: str) -> Finding:
    return Finding(f"{where}.schedule", repr(component.schedule), "no key, without prices by period")
