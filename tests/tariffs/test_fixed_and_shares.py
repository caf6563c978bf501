"""What is fixed, what is a share of other lines, and on which days and for whom components hold; worked by hand."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headend.tariffs import BillingWindow, RatedBill, Tariff, Use, rate_batch

from .make import BERLIN, baseline, energy, standing, tariff, tax, tier

JANUARY = BillingWindow(date(2025, 1, 1), date(2025, 2, 1), BERLIN)
TEN_DAYS = BillingWindow(date(2025, 1, 1), date(2025, 1, 11), BERLIN)
DAY = BillingWindow(date(2025, 1, 7), date(2025, 1, 8), BERLIN, Fraction(1))


def percentage(percent: str, *on: str, **keys: Any) -> dict[str, Any]:
    return {"kind": "percentage", "label": "Rider", "percent": Decimal(percent), "on": list(on), **keys}


def minimum(amount: str, **keys: Any) -> dict[str, Any]:
    return {"kind": "minimum", "label": "Minimum", "amount": Decimal(amount), **keys}


def rate(made: Tariff, kwh: float = 0, window: BillingWindow = DAY, customer_class: str | None = None) -> RatedBill:
    """The bill for energy taken all at once, as the window begins."""
    reads = np.zeros((1, window.intervals(3600)), dtype=np.int64)
    reads[0, 0] = round(kwh * 1000)
    (bill,) = rate_batch(made, window, Use(3600, reads), customer_class=customer_class).bills()
    assert bill.total == sum(line.amount for line in bill.lines if not line.charge.included)
    return bill


def shown(bill: RatedBill) -> list[tuple[str, str, str]]:
    return [(line.label, str(line.quantity), str(line.amount)) for line in bill.lines]


@pytest.mark.parametrize(
    ("per", "window", "quantity", "amount"),
    [
        ("day", JANUARY, "31", "3720.00"),
        ("month", JANUARY, "1", "120.00"),
        ("year", JANUARY, "0.083333333333", "10.00"),
        ("day", TEN_DAYS, "10", "1200.00"),
        ("month", TEN_DAYS, "0.322580645161", "38.71"),
        ("year", TEN_DAYS, "0.026881720430", "3.23"),
    ],
)
def test_standing_charges(per: str, window: BillingWindow, quantity: str, amount: str) -> None:
    (line,) = rate(tariff(standing("120", per)), window=window).lines
    assert (line.kind, line.unit, str(line.quantity), str(line.amount)) == ("standing", per, quantity, amount)


def test_twelve_bills_of_a_yearly_charge_are_the_year() -> None:
    made, total = tariff(standing("100", "year")), Decimal(0)
    for month in range(1, 13):
        window = BillingWindow(date(2025, month, 1), date(2025 + month // 12, month % 12 + 1, 1), BERLIN)
        total += rate(made, window=window).lines[0].exact
    assert abs(total - 100) < Decimal("1e-10")


def test_a_standing_discount() -> None:
    bill = rate(tariff(standing("9.90", "month"), {**standing("2.50", "month"), "credit": True, "label": "Online"}))
    assert shown(bill) == [("Standing", "1", "9.90"), ("Online", "1", "-2.50")]
    assert str(bill.lines[1].price) == "-2.50"


def test_a_minimum_tops_up_all_above_it_but_taxes() -> None:
    made = tariff(energy(tier("0.30")), standing("4", "month"), tax("50", on=["energy"]), minimum("10"), tax("10"))
    assert shown(rate(made, 10)) == [
        ("Energy", "10.000", "3.00"),
        ("Standing", "1", "4.00"),
        ("Tax", "3.00", "1.50"),
        ("Minimum", "3.00", "3.00"),
        ("Tax", "11.50", "1.15"),
    ]
    assert [line.label for line in rate(made, 20).lines] == ["Energy", "Standing", "Tax", "Tax"]
    assert rate(made, 0).lines[1].amount == 6


def test_a_minimum_on_chosen_lines_and_on_credit() -> None:
    made = tariff(energy(tier("0.10")), baseline("0.30", "10"), standing("5", "month"), minimum("2", on=["energy"]))
    assert shown(rate(made, 8))[-1] == ("Minimum", "1.20", "1.20")
    credit = tariff(energy(tier("0.10")), baseline("0.30", "10"), minimum("2"))
    assert shown(rate(credit, 10)) == [
        ("Energy", "10.000", "1.00"),
        ("Baseline", "10.000", "-3.00"),
        ("Minimum", "4.00", "4.00"),
    ]


@pytest.mark.parametrize(
    ("per", "window", "lacking"),
    [
        ("day", TEN_DAYS, "309.00"),
        ("month", TEN_DAYS, "9.00"),
        ("year", JANUARY, "1.58"),
        ("month", JANUARY, "30.00"),
    ],
)
def test_a_minimum_per_day_month_and_year(per: str, window: BillingWindow, lacking: str) -> None:
    amount = "31"
    made = tariff(energy(tier("1")), minimum(amount, per=per))
    assert str(rate(made, 1, window).lines[-1].amount) == lacking


def test_a_minimum_is_exact_beside_what_is_billed() -> None:
    made = tariff(energy(tier("0.3333")), standing("0.004", "day"), minimum("1"))
    bill = rate(made, 2)  # 0.6666 + 0.004, billed as 0.67 + 0.00
    assert (str(bill.lines[2].amount), bill.lines[2].exact) == ("0.33", Decimal("0.3294"))
    assert (bill.total, bill.exact_total) == (1, 1)
    tiny = rate(tariff(energy(tier("0.9996")), minimum("1")), 1)
    assert (str(tiny.total), tiny.exact_total) == ("1.00", 1)


def test_a_minimum_with_dates_is_for_its_days_and_their_share_of_the_lines() -> None:
    made = tariff(energy(tier("1")), minimum("62", valid_from=date(2025, 1, 16)))
    # 62 × 16/31 = 32 against 31 × 16/31 = 16
    assert shown(rate(made, 31, JANUARY))[1:] == [("Minimum", "16.00", "16.00")]
    # 32 - 10.01 × 16/31 = 26.8335…, rounded once
    assert shown(rate(made, 10.01, JANUARY))[1:] == [("Minimum", "26.83", "26.83")]


def test_percentages_on_kinds_and_names_in_order() -> None:
    made = tariff(
        {**energy(tier("0.20")), "name": "supply", "label": "Supply"},
        {**energy(tier("0.10")), "name": "grid", "label": "Grid"},
        standing("10", "month"),
        percentage("2.5", "grid", label="Losses", name="losses"),
        percentage("-10", "energy", "losses", label="Rebate"),
        percentage("100", "percentage", label="Both"),
    )
    assert shown(rate(made, 100))[3:] == [
        ("Losses", "10.00", "0.25"),
        ("Rebate", "30.25", "-3.03"),  # -3.025, away from zero
        ("Both", "-2.78", "-2.78"),
    ]
    assert [line.price for line in rate(made, 100).lines[3:]] == [Decimal("0.025"), Decimal("-0.10"), 1]


def test_a_share_of_rounded_lines_with_the_exact_one_beside() -> None:
    made = tariff(energy(tier("0.125")), percentage("50", "energy"))
    line = rate(made, 1).lines[1]
    assert (str(line.quantity), str(line.amount), line.exact) == ("0.13", "0.07", Decimal("0.0625"))


def test_a_rider_with_dates_is_on_its_share_of_the_lines_and_rounded_once() -> None:
    rider = percentage("10", "energy", valid_from=date(2025, 1, 11), valid_until=date(2025, 1, 21))
    line = rate(tariff(energy(tier("1")), rider), 0.45 * 31, JANUARY).lines[1]
    assert (str(line.quantity), str(line.amount)) == ("4.500000000000", "0.45")
    # 0.46 × 10/31 = 0.14838…, of which 30 % are 0.04451…; of 0.15 they would be 0.045, and so 0.05
    thirty = tariff(energy(tier("1")), {**rider, "percent": Decimal(30)})
    line = rate(thirty, 0.46, JANUARY).lines[1]
    assert (str(line.quantity), str(line.amount)) == ("0.148387096774", "0.04")
    outside = tariff(energy(tier("1")), {**rider, "valid_until": date(2025, 1, 12)})
    assert len(rate(outside, 1, TEN_DAYS).lines) == 1


def test_a_tax_that_changes_inside_the_bill() -> None:
    made = tariff(
        energy(tier("1")),
        tax("19", valid_until=date(2025, 1, 11), label="VAT 19 %"),
        tax("16", valid_from=date(2025, 1, 11), label="VAT 16 %", on=["energy"]),
    )
    assert shown(rate(made, 310, JANUARY))[1:] == [
        ("VAT 19 %", "100.000000000000", "19.00"),
        ("VAT 16 %", "210.000000000000", "33.60"),
    ]


def test_uk_price_cap_has_vat_inside() -> None:
    """Ofgem, October to December 2025: 250 kWh in 31 days, 5 % VAT in the prices; derived."""
    cap = tariff(
        energy(tier("0.2635")),
        standing("0.5368", "day"),
        tax("5", included=True, label="VAT"),
        percentage("10", "energy", "standing", label="Discount"),
        tax("20", label="On top"),
        currency="GBP",
    )
    window = BillingWindow(date(2025, 10, 1), date(2025, 11, 1), ZoneInfo("Europe/London"))
    bill = rate(cap, 250, window)
    vat = bill.lines[2]
    assert (str(vat.quantity), str(vat.price), str(vat.amount), vat.charge.included) == ("82.52", "0.05", "3.93", True)
    assert abs(vat.exact - Decimal("82.5158") * 5 / 105) < Decimal("1e-12")
    # What is included is in no base and not in the total: 82.52 + 8.25, and 20 % of 90.77.
    assert shown(bill)[3:] == [("Discount", "82.52", "8.25"), ("On top", "90.77", "18.15")]
    assert (str(bill.total), round(bill.exact_total, 4)) == ("108.92", Decimal("108.9209"))


def test_several_rates_of_included_tax_by_name() -> None:
    made = tariff(
        {**energy(tier("1.19")), "name": "power"},
        {**standing("1.07", "day"), "name": "water"},
        tax("19", included=True, on=["power"], label="19 %"),
        tax("7", included=True, on=["water"], label="7 %"),
    )
    bill = rate(made, 100)
    assert shown(bill)[2:] == [("19 %", "119.00", "19.00"), ("7 %", "1.07", "0.07")]
    assert str(bill.total) == "120.07"


def test_included_tax_with_dates_has_its_share() -> None:
    made = tariff(energy(tier("1")), tax("25", included=True, valid_from=date(2025, 1, 22)))
    # 20 % of 31 × 10/31
    assert shown(rate(made, 31, JANUARY))[1:] == [("Tax", "10.000000000000", "2.00")]


def test_exempt_classes() -> None:
    made = tariff(
        energy(tier("1")),
        tax("19", not_for=["diplomatic", "farm"]),
        standing("3", "month"),
        customer_classes=["residential", "diplomatic", "farm"],
    )
    of = {name: [line.kind for line in rate(made, 1, customer_class=name).lines] for name in ("farm", "residential")}
    assert of == {"farm": ["energy", "standing"], "residential": ["energy", "tax", "standing"]}
    assert [line.kind for line in rate(made, 1).lines] == ["energy", "tax", "standing"]


def test_components_with_dates_have_limits_and_charges_of_their_days() -> None:
    made = tariff(
        energy(tier("1", "31"), tier("2"), tiers_per="month", valid_until=date(2025, 1, 11)),
        energy(tier("3"), valid_from=date(2025, 1, 11), label="New"),
        standing("31", "month") | {"valid_from": date(2025, 1, 11)},
    )
    reads = np.full((1, 744), 100)
    (bill,) = rate_batch(made, JANUARY, Use(3600, reads)).bills()
    assert shown(bill) == [
        ("Energy, tier 1", "10.000", "10.00"),
        ("Energy, tier 2", "14.000", "28.00"),
        ("New", "50.400", "151.20"),
        ("Standing", "0.677419354839", "21.00"),
    ]
    (cycle,) = rate_batch(
        made, BillingWindow(JANUARY.first, JANUARY.end, BERLIN, Fraction(2)), Use(3600, reads)
    ).bills()
    assert [str(line.amount) for line in cycle.lines] == ["20.00", "8.00", "151.20", "42.00"]


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 40_000),
    st.integers(0, 99_999),
    st.integers(1, 31),
    st.sampled_from(["day", "month", "year"]),
)
def test_a_minimum_is_the_plain_difference(wh: int, least: int, first: int, per: str) -> None:
    amount = Decimal(least).scaleb(-3)
    made = tariff(energy(tier("0.777")), minimum(str(amount), per=per, valid_from=date(2025, 1, first)))
    bill = rate(made, wh / 1000, JANUARY)
    days = 32 - first
    worth = {"day": Fraction(days), "month": Fraction(days, 31), "year": Fraction(days, 372)}[per]
    billed = bill.lines[0].amount if wh else Decimal(0)
    cents = max(Fraction(amount) * worth - Fraction(billed) * Fraction(days, 31), Fraction(0)) * 100
    exact = max(Fraction(amount) * worth - Fraction(wh * 777, 10**6) * Fraction(days, 31), Fraction(0))
    found = [line for line in bill.lines if line.kind == "minimum"]
    assert sum(line.amount for line in found) == Decimal(int(cents + Fraction(1, 2))).scaleb(-2)
    assert abs(Fraction(sum(line.exact for line in found)) - exact) < Fraction(1, 10**11)
