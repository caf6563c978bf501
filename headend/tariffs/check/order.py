"""Names of components, and what is charged on the lines above."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from headend.tariffs.check.finding import Finding
from headend.tariffs.format.components import (
    Bank,
    BaselineCredit,
    Component,
    LineKind,
    Minimum,
    Percentage,
    PowerFactor,
    Tax,
    line_kind,
)
from headend.tariffs.format.schema import Tariff


def order_faults(tariff: Tariff) -> Iterator[Finding]:
    """References to what does not stand above."""
    kinds: set[str] = set()
    names: set[str] = set()
    taken: set[str] = set()
    banks: list[Bank] = []
    for index, component in enumerate(tariff.components):
        where = f"components[{index}]"
        yield from _name_faults(component, taken, where)
        if isinstance(component, Tax | Minimum) and component.on is None and not kinds:
            found = "a tax on nothing" if isinstance(component, Tax) else "a minimum of nothing"
            yield Finding(where, found, "components above it")
        elif isinstance(component, PowerFactor | Percentage | Minimum | Bank | Tax):
            yield from _on_faults(component, kinds, names, where)
        elif isinstance(component, BaselineCredit) and "energy" not in kinds:
            yield Finding(where, "a credit before any energy", "a charge for import above it")
        if isinstance(component, Bank):
            if any(hold_at_once(component, bank) for bank in banks):
                yield Finding(where, "a second bank", "one bank at a time")
            banks.append(component)
        taken |= {component.name} if component.name else set()
        if not (isinstance(component, Tax) and component.included):
            kinds.add(line_kind(component))
            if "energy" in kinds and tariff.net_metering is not None and tariff.net_metering.price:
                kinds.add("export")  # what is paid for the energy in the bank
            names |= {component.name} if component.name else set()


def hold_at_once(one: Component, other: Component) -> bool:
    """Whether there is a day on which both hold."""
    return not any(
        first.valid_until is not None and then.valid_from is not None and first.valid_until <= then.valid_from
        for first, then in ((one, other), (other, one))
    )


def _name_faults(component: Component, taken: set[str], where: str) -> Iterator[Finding]:
    if component.name in taken:
        yield Finding(f"{where}.name", repr(component.name), "a name that no other component has")
    if component.name in (*get_args(LineKind), "dynamic"):
        yield Finding(f"{where}.name", repr(component.name), "a name that is not a kind of component or line")


def _on_faults(
    component: PowerFactor | Percentage | Minimum | Bank | Tax, kinds: set[str], names: set[str], where: str
) -> Iterator[Finding]:
    above = kinds | names
    if isinstance(component, Bank) and component.on == Bank.model_fields["on"].default:
        if not above & set(component.on):
            yield Finding(where, "a bank of nothing", f"one of {', '.join(component.on)} above it")
        return
    what = "a kind or name" if names else "a kind"
    for each in component.on or ():
        if each not in above:
            yield Finding(f"{where}.on", repr(each), f"{what} above it: {', '.join(sorted(above)) or 'there is none'}")
