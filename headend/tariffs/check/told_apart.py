"""Components that a statement could not tell apart: refused in a new version, and loaded where bills were made by one.

A statement knows a component by its name, or its label where it has none, and what a ratchet goes by, by its label.
What was billed can be rated again whatever its labels, so this is no fault of a tariff that is in use: it keeps a
version from being used for the first time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from headend.tariffs.check.finding import Finding
from headend.tariffs.check.order import hold_at_once
from headend.tariffs.format.components import Component, Demand, Energy
from headend.tariffs.format.schema import Tariff


def told_apart_faults(tariff: Tariff) -> Iterator[Finding]:
    """What a statement of a new version would mix up; `where` is the key alone."""
    placed = [(f"components[{index}].label", each) for index, each in enumerate(tariff.components)]
    for (first, one), (where, other) in combinations(placed, 2):
        if not _are_on_one_bill(tariff, one, other):
            continue
        found = f"{other.label!r}, and {first} is {one.label!r}"
        if isinstance(one, Energy) and isinstance(other, Energy) and _mix_tiers(one, other):
            yield Finding(
                where,
                found,
                "a name for one of them, or another label: the use by tier on a statement would be that of both",
            )
        elif isinstance(one, Demand) and isinstance(other, Demand) and _mix_peaks(one, other):
            yield Finding(
                where,
                found,
                "another label: the peaks of earlier months on a statement would not say whose ratchet they are for",
            )


def _are_on_one_bill(tariff: Tariff, one: Component, other: Component) -> bool:
    return any(name not in (*one.not_for, *other.not_for) for name in tariff.customer_classes) and (
        # A ratchet looks back at bills of the days before, too.
        isinstance(one, Demand) or hold_at_once(one, other)
    )


def _mix_tiers(one: Energy, other: Energy) -> bool:
    """Whether lines of one, by the label they begin with, are lines of the other too."""
    if any(each.name is not None or each.measures == "export" or len(each.tiers) == 1 for each in (one, other)):
        return False
    shorter, longer = sorted((f"{one.label}, ", f"{other.label}, "), key=len)
    return longer.startswith(shorter)


def _mix_peaks(one: Demand, other: Demand) -> bool:
    """Whether peaks of a month come under one label, and of one TOU period."""
    if one.ratchet is None or other.ratchet is None or one.label != other.label:
        return False
    return not _periods(one).isdisjoint(_periods(other))


def _periods(component: Demand) -> set[str | None]:
    price = component.tiers[0].price
    return set(price) if isinstance(price, dict) else {None}
