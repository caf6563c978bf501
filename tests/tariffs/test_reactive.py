"""Reactive energy and the power factor, with numbers worked by hand."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headend.errors import CannotRate
from headend.tariffs import BillingWindow, Tariff, Use, rate_batch
from headend.tariffs.rating.reactive import power_factor_of

from .make import BERLIN, energy, period, standing, tariff, tax, tier

DAY = BillingWindow(date(2025, 1, 7), date(2025, 1, 8), BERLIN, Fraction(1))
DAY_AND_NIGHT = [period("day", hours=["06:00-22:00"]), period("night")]


def reactive(price: str | dict[str, str], free: str = "0.5", **keys: Any) -> dict[str, Any]:
    return {"kind": "reactive", "label": "Reactive", "free": Decimal(free), **tier(price), **keys}


def power_factor(below: str, percent: str, *on: str, **keys: Any) -> dict[str, Any]:
    numbers = {"below": Decimal(below), "percent": Decimal(percent)}
    return {"kind": "power_factor", "label": "Power factor", **numbers, "on": list(on), **keys}


def hours(*wh: int) -> list[int]:
    return [*wh, *[0] * (24 - len(wh))]


def rate(made: Tariff, imported: list[int], varh: list[int], window: BillingWindow = DAY):
    (bill,) = rate_batch(made, window, Use(3600, np.array([imported]), reactive=np.array([varh])))
    return bill


def shown(bill) -> list[tuple[str, str, str, str]]:
    return [(line.label, str(line.quantity), line.unit, str(line.amount)) for line in bill.lines]


def test_what_exceeds_the_free_share_over_the_bill_is_charged() -> None:
    made = tariff(reactive("0.02"))
    # 40 kWh leave 20 kvarh free, whenever they are taken.
    assert shown(rate(made, hours(30_000, 10_000), hours(0, 0, 27_500))) == [("Reactive", "7.500", "kvarh", "0.15")]
    assert shown(rate(made, hours(40_000), hours(19_000))) == []
    assert shown(rate(made, hours(0), hours(1000))) == [("Reactive", "1.000", "kvarh", "0.02")]


def test_prices_by_period_ask_each_period() -> None:
    made = tariff(reactive({"day": "0.03", "night": "0.01"}), periods=DAY_AND_NIGHT)
    bill = rate(made, hours(*[1000] * 24), hours(*[400] * 6, *[600] * 16, 900, 600))
    # Night: 8 kWh, 4 free, 2.4 + 1.5 taken; by day 16 kWh, 8 free, 9.6 taken.
    assert shown(bill) == [("Reactive, day", "1.600", "kvarh", "0.05")]
    assert bill.lines[0].period == "day"


@pytest.mark.parametrize(("imported", "taken"), [(4, "0.998"), (5, "0.997"), (6, "0.997"), (7, "0.996")])
def test_free_energy_is_rounded_half_up_to_a_whole_varh(imported: int, taken: str) -> None:
    assert shown(rate(tariff(reactive("1")), hours(imported), hours(1000)))[0][1] == taken


def test_reactive_reads_are_needed() -> None:
    for component in (reactive("1"), power_factor("0.9", "1", "energy")):
        made = tariff(energy(tier("1")), component)
        with pytest.raises(CannotRate, match="case charges reactive energy, but there are no reactive reads"):
            rate_batch(made, DAY, Use(3600, np.array([hours(1)])))


@pytest.mark.parametrize(
    ("wh", "varh", "hundredths"),
    [(0, 0, 100), (0, 1, 0), (5, 0, 100), (4, 3, 80), (3, 4, 60), (24, 7, 96), (1, 1, 71), (10**15, 1, 100)],
)
def test_power_factor(wh: int, varh: int, hundredths: int) -> None:
    assert power_factor_of(wh, varh) == hundredths


@given(st.integers(1, 10**16), st.integers(0, 10**16))
@example(9_000_000_000_000_000, 4_230_612_252_876_289)  # on either side of 0.905
@example(9_000_000_000_000_000, 4_230_612_252_876_290)
def test_power_factor_is_the_nearest_hundredth(wh: int, varh: int) -> None:
    found, square = power_factor_of(wh, varh), Fraction(wh**2, wh**2 + varh**2)
    assert found == 0 or Fraction(2 * found - 1, 200) ** 2 <= square
    assert square < Fraction(2 * found + 1, 200) ** 2


def test_each_hundredth_that_is_lacking_costs_a_percentage() -> None:
    made = tariff(
        energy(tier("0.10")),
        standing("50", "month"),
        power_factor("0.9", "1.5", "energy"),
        tax("10"),
    )
    bill = rate(made, hours(400_000), hours(300_000))  # 0.80: 10 × 1.5 % of 40.00
    assert shown(bill) == [
        ("Energy", "400.000", "kWh", "40.00"),
        ("Standing", "1", "month", "50.00"),
        ("Power factor", "40.00", "EUR", "6.00"),
        ("Tax", "96.00", "EUR", "9.60"),
    ]
    line = bill.lines[2]
    assert (line.kind, line.price, line.exact) == ("power_factor", Decimal("0.15"), Decimal(6))
    assert [line.kind for line in rate(made, hours(400_000), hours(150_000)).lines] == ["energy", "standing", "tax"]


def test_each_customer_has_a_power_factor() -> None:
    made = tariff(energy(tier("1")), power_factor("0.95", "1", "energy"))
    imported = np.array([hours(4000), hours(3000), hours(0), hours(9000), hours(800)])
    varh = np.array([hours(3000), hours(4000), hours(500), hours(0), hours(600)])
    bills = rate_batch(made, DAY, Use(3600, imported, reactive=varh)).bills()
    assert [[str(line.amount) for line in bill.lines] for bill in bills] == [
        ["4.00", "0.60"],
        ["3.00", "1.05"],
        [],
        ["9.00"],
        ["0.80", "0.12"],
    ]
    assert [bill.total for bill in bills] == [sum(line.amount for line in bill.lines) for bill in bills]
    assert rate_batch(made, DAY, Use(3600, imported[:0], reactive=varh[:0])).bills() == []


def test_a_surcharge_that_begins_inside_the_bill_is_on_its_share_of_the_lines() -> None:
    made = tariff(energy(tier("0.1")), power_factor("0.9", "2", "energy", valid_from=date(2025, 1, 8)))
    three_days = BillingWindow(date(2025, 1, 7), date(2025, 1, 10), BERLIN, Fraction(1))
    imported = [*hours(100_000), *hours(0), *hours(60_000)]
    bill = rate(made, imported, [*hours(900_000), *hours(0), *hours(45_000)], three_days)
    # 0.80 over the last two days: 20 % of 16.00 × 2/3
    assert [str(line.amount) for line in bill.lines] == ["16.00", "2.13"]
