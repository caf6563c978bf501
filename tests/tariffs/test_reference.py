"""The fast rater equals the reference rater bit for bit, over random tariffs, loads, zones and clock changes."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headend.tariffs import BillingWindow, RatedBill, Tariff, Use, rate_batch

from .reference import PlainLine, rate_plainly

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
]
CLOCK_CHANGES = [
    date(2025, 3, 30),
    date(2025, 10, 26),
    date(2025, 3, 9),
    date(2025, 11, 2),
    date(2025, 4, 6),
    date(2025, 10, 5),
    date(2025, 2, 23),
    date(2025, 12, 31),
    date(2024, 2, 29),
    date(2025, 5, 1),
]
NAMES = ["one", "two", "three"]


def decimals(low: int, high: int, places: int) -> st.SearchStrategy[Decimal]:
    return st.builds(
        lambda number, scale: Decimal(number).scaleb(-scale), st.integers(low, high), st.integers(0, places)
    )


PRICES = decimals(0, 10**6, 6).filter(lambda price: price < 10**4)
CLOCK = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
HOURS = st.builds("{}-{}".format, CLOCK, st.one_of(CLOCK, st.just("24:00"))).filter(
    lambda hours: hours[:5] != hours[6:]
)
DAY_NAMES = ["weekday", "saturday", "sunday", "holiday", "mon", "wed", "fri", "sat", "sun"]


def some(elements: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any] | None]:
    return st.none() | st.lists(elements, min_size=1, max_size=3)


@st.composite
def periods(draw: st.DrawFn) -> list[dict[str, Any]]:
    made = []
    for name in NAMES[: draw(st.integers(0, 3))]:
        conditions = {
            "months": draw(some(st.integers(1, 12))),
            "days": draw(some(st.sampled_from(DAY_NAMES))),
            "hours": draw(some(HOURS)),
        }
        made.append({"name": name, "label": name, **{key: each for key, each in conditions.items() if each}})
    return [*made, {"name": "rest", "label": "Rest"}]


@st.composite
def energies(draw: st.DrawFn, names: list[str], measures: str) -> dict[str, Any]:
    limits = sorted(draw(st.sets(decimals(1, 10**5, 4), max_size=3)))
    prices = PRICES | st.fixed_dictionaries(dict.fromkeys(names, PRICES))
    tiers = [{"up_to": limit, "price": draw(prices)} for limit in limits] + [{"price": draw(prices)}]
    per = {"tiers_per": draw(st.sampled_from(["month", "day"]))} if limits else {}
    return {"kind": "energy", "label": "Energy", "measures": measures, "tiers": tiers, **per}


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    times = draw(periods())
    names = [each["name"] for each in times]
    components = [draw(energies(names, "import"))]
    if draw(st.booleans()):
        components.append(draw(energies(names, "export")))
    if draw(st.booleans()):
        components.append(
            {
                "kind": "baseline_credit",
                "label": "Baseline",
                "credit": draw(PRICES),
                "allowance_per_day": draw(decimals(1, 10**5, 4)),
            }
        )
    components.extend(
        {"kind": "standing", "label": "Standing", "per": per, "price": draw(PRICES)}
        for per in draw(st.lists(st.sampled_from(["day", "month"]), max_size=2))
    )
    if draw(st.booleans()):
        components.append({"kind": "tax", "label": "Tax", "percent": draw(decimals(0, 100, 2)), "on": ["energy"]})
    if draw(st.booleans()):
        components.append({"kind": "tax", "label": "VAT", "percent": draw(decimals(0, 100, 3))})
    country = draw(st.sampled_from([None, "DE", "US", "IN"]))
    return Tariff.model_validate(
        {
            "id": "random",
            "name": "Random",
            "valid_from": date(2020, 1, 1),
            "customer_classes": ["residential"],
            "commodity": "electricity",
            "unit": "kWh",
            "currency": draw(st.sampled_from(["EUR", "JPY", "KWD"])),
            "clock": draw(st.sampled_from(["local", "local", "UTC", "Europe/Berlin"])),
            "holidays": country and {"country": country, "observed": draw(st.booleans())},
            "periods": times,
            "components": components,
        }
    )


@st.composite
def windows(draw: st.DrawFn) -> BillingWindow:
    first = draw(st.sampled_from(CLOCK_CHANGES)) - timedelta(days=draw(st.integers(0, 2)))
    months = draw(st.sampled_from([None, Fraction(1), Fraction(1, 3), Fraction(45, 30)]))
    return BillingWindow(
        first, first + timedelta(days=draw(st.integers(1, 4))), ZoneInfo(draw(st.sampled_from(ZONES))), months
    )


LARGEST = st.sampled_from([0, 1, 900, 20_000, 10**12])


def random_reads(seed: int, shape: tuple[int, int], largest: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, largest, shape, endpoint=True)


def plain_of(bill: RatedBill) -> list[tuple[Any, ...]]:
    return [
        (line.kind, line.period, line.tier, line.price, Fraction(line.quantity), Fraction(line.exact), line.amount)
        for line in bill.lines
    ]


def expected_of(lines: list[PlainLine]) -> list[tuple[Any, ...]]:
    return [(each.kind, each.period, each.tier, each.price, each.quantity, each.exact, each.amount) for each in lines]


def agrees_with_the_reference(tariff: Tariff, window: BillingWindow, interval_s: int, seed: int, largest: int) -> None:
    shape = (3, window.intervals(interval_s))
    imported, exported = random_reads(seed, shape, largest), random_reads(seed + 1, shape, largest)
    batch = rate_batch(tariff, window, Use(interval_s, imported, exported))
    bills = batch.bills()
    assert len(bills) == 3
    for row, bill in enumerate(bills):
        truth = rate_plainly(tariff, window, interval_s, imported[row].tolist(), exported[row].tolist())
        assert plain_of(bill) == expected_of(truth)
        assert bill.total == sum(line.amount for line in bill.lines)
        assert bill.total == Decimal(int(batch.totals[row])).scaleb(-{"EUR": 2, "JPY": 0, "KWD": 3}[bill.currency])


CASES = st.tuples(tariffs(), windows(), st.sampled_from([900, 1800]), st.integers(0, 2**32), LARGEST)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CASES)
def test_fast_rater_equals_reference_bit_for_bit(case: Any) -> None:
    agrees_with_the_reference(*case)


@pytest.mark.slow
@settings(max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CASES)
def test_fast_rater_equals_reference_on_thousands_of_cases(case: Any) -> None:
    agrees_with_the_reference(*case)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tariffs(), windows(), st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_energy_is_conserved_and_the_order_of_customers_does_not_matter(
    tariff: Tariff, window: BillingWindow, seed: int, shuffled: Any
) -> None:
    imported = random_reads(seed, (6, window.intervals(1800)), 3000)
    bills = rate_batch(tariff, window, Use(1800, imported, imported // 3)).bills()
    for reads, bill in zip(imported, bills, strict=True):
        taken = sum(line.quantity for line in bill.lines if line.kind == "energy")
        assert taken * 1000 == int(reads.sum())
    order = list(range(6))
    shuffled.shuffle(order)
    assert rate_batch(tariff, window, Use(1800, imported[order], imported[order] // 3)).bills() == [
        bills[row] for row in order
    ]
