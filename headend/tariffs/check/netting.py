"""What fed-in energy is set against, and which components can follow."""

from __future__ import annotations

from collections.abc import Iterator

from headend.tariffs.check.finding import Finding
from headend.tariffs.format.components import Bank, Dynamic, Energy
from headend.tariffs.format.schema import Tariff

_BY_MONTH = "with netting by month"


def netting_faults(tariff: Tariff) -> Iterator[Finding]:
    """What does not go with the tariff's netting."""
    if tariff.netting != "none" and tariff.commodity != "electricity":
        yield Finding("netting", repr(tariff.netting), f"none, for {tariff.commodity}")
    rule = tariff.net_metering
    if rule is not None and tariff.netting != "month":
        yield Finding("net_metering", f"netting = {tariff.netting!r}", "netting = 'month', whose bank it empties")
    if rule is not None and rule.price is not None and rule.true_up is None:
        yield Finding("net_metering.true_up", "nothing", "the month in which what is left is paid")
    if tariff.netting != "month":
        return
    for index, component in enumerate(tariff.components):
        where = f"components[{index}]"
        if isinstance(component, Energy):
            yield from _energy_faults(tariff, component, where)
        elif isinstance(component, Dynamic):
            yield Finding(f"{where}.kind", "'dynamic'", f"energy, {_BY_MONTH}: what is left has no time")
        elif isinstance(component, Bank):
            yield Finding(f"{where}.kind", "'bank'", f"no bank of money, {_BY_MONTH}: [net_metering] keeps energy")


def _energy_faults(tariff: Tariff, component: Energy, where: str) -> Iterator[Finding]:
    if component.measures == "export":
        yield Finding(f"{where}.measures", "'export'", f"import, {_BY_MONTH}")
    if component.schedule is not None:
        yield Finding(f"{where}.schedule", repr(component.schedule), f"no other periods than [[periods]], {_BY_MONTH}")
    in_time = component.method == "graduated" and component.scope == "bill" and component.order == "time"
    if in_time and len(component.tiers) > 1 and len(tariff.periods) > 1:
        yield Finding(
            f"{where}.order", "'time'", f"order = 'share' or scope = 'period', {_BY_MONTH}: what is left has no time"
        )
