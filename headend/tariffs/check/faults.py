"""All rules between the keys of a tariff."""

from __future__ import annotations

from headend.tariffs.check.components import component_faults
from headend.tariffs.check.finding import Finding
from headend.tariffs.check.head import head_faults
from headend.tariffs.check.netting import netting_faults
from headend.tariffs.check.order import order_faults
from headend.tariffs.check.periods import coverage_faults, period_faults
from headend.tariffs.format.schema import Tariff


def faults(tariff: Tariff) -> list[Finding]:
    """What is wrong between the keys of a tariff that is well-formed; `where` is the key alone."""
    in_time = period_faults(tariff)
    return [
        *head_faults(tariff),
        *in_time,
        # Conditions that are wrong make gaps of their own.
        *([] if in_time else coverage_faults(tariff)),
        *component_faults(tariff),
        *netting_faults(tariff),
        *order_faults(tariff),
    ]
