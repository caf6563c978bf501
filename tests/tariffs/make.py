"""Tariffs and reads for tests, from what a test wants to say and nothing else."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from headend.tariffs import BillingWindow, Tariff, compile_calendar
from headend.tariffs.check import faults

BERLIN = ZoneInfo("Europe/Berlin")


def tariff(*components: dict[str, Any], periods: list[dict[str, Any]] | None = None, **header: Any) -> Tariff:
    """A sound electricity tariff in EUR."""
    data = {
        "id": "case",
        "name": "Case",
        "valid_from": date(2020, 1, 1),
        "customer_classes": ["residential"],
        "commodity": "electricity",
        "unit": "kWh",
        "currency": "EUR",
        "components": list(components),
        **({"periods": periods} if periods else {}),
        **header,
    }
    made = Tariff.model_validate(data)
    assert faults(made) == []
    return made


def period(name: str, **conditions: Any) -> dict[str, Any]:
    """A TOU period whose label is its name."""
    return {"name": name, "label": name, **conditions}


def tier(price: str | dict[str, str], up_to: str | None = None) -> dict[str, Any]:
    """A tier with prices given as text."""
    prices = Decimal(price) if isinstance(price, str) else {name: Decimal(each) for name, each in price.items()}
    return {"price": prices, **({} if up_to is None else {"up_to": Decimal(up_to)})}


def energy(*tiers: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """Import by tiers."""
    return {"kind": "energy", "label": "Energy", "tiers": list(tiers), **keys}


def standing(price: str, per: str, **keys: Any) -> dict[str, Any]:
    """A fixed charge."""
    return {"kind": "standing", "label": "Standing", "per": per, "price": Decimal(price), **keys}


def tax(percent: str, **keys: Any) -> dict[str, Any]:
    """A tax."""
    return {"kind": "tax", "label": "Tax", "percent": Decimal(percent), **keys}


def baseline(credit: str, allowance: str) -> dict[str, Any]:
    """A baseline credit."""
    return {
        "kind": "baseline_credit",
        "label": "Baseline",
        "credit": Decimal(credit),
        "allowance_per_day": Decimal(allowance),
    }


def codes(made: Tariff, window: BillingWindow, interval_s: int = 3600) -> np.ndarray:
    """TOU period of each interval of a window."""
    n = window.intervals(interval_s)
    return compile_calendar(made, window.zone, window.start_utc, n, interval_s)


def reads_by_period(made: Tariff, window: BillingWindow, kwh: dict[str, int]) -> np.ndarray:
    """Hourly reads (1, n) that put so many kWh into each period, spread over its hours."""
    code = codes(made, window)
    reads = np.zeros((1, len(code)), dtype=np.int64)
    for index, each in enumerate(made.periods):
        hours = np.flatnonzero(code == index)
        total = kwh.get(each.name, 0) * 1000
        if total:
            share, rest = divmod(total, len(hours))
            reads[0, hours] = share
            reads[0, hours[:rest]] += 1
    assert reads.sum() == sum(kwh.values()) * 1000
    return reads
