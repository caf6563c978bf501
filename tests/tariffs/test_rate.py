"""Rules of rating, with numbers worked by hand."""

from __future__ import annotations

import pickle
from datetime import date
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from headend.errors import CannotRate
from headend.tariffs import BillingWindow, Use, rate_batch

from .make import BERLIN, baseline, energy, period, standing, tariff, tax, tier

DAY = BillingWindow(date(2025, 1, 7), date(2025, 1, 8), BERLIN)
JANUARY = BillingWindow(date(2025, 1, 1), date(2025, 2, 1), BERLIN)


def one_day(*wh: int) -> np.ndarray:
    """Reads of a day (1, 24) that begins with `wh`."""
    return np.array([[*wh, *[0] * (24 - len(wh))]])


def rate(made, reads, window=DAY, exported=None):
    (bill,) = rate_batch(made, window, Use(3600, reads, exported)).bills()
    return bill


def shown(bill) -> list[tuple[str, str, str]]:
    return [(line.label, str(line.quantity), str(line.amount)) for line in bill.lines]


def test_hour_that_crosses_a_tier_is_split() -> None:
    tiered = tariff(energy(tier("0.20", "1.5"), tier("0.30"), tiers_per="day"))
    bill = rate(tiered, one_day(1000, 1200, 300))
    assert shown(bill) == [("Energy, tier 1", "1.500", "0.30"), ("Energy, tier 2", "1.000", "0.30")]
    assert bill.total == Decimal("0.60")


def test_tiers_fill_in_time_order_over_all_periods() -> None:
    made = tariff(
        energy(tier({"early": "0.10", "late": "0.20"}, "2"), tier({"early": "1", "late": "2"}), tiers_per="day"),
        periods=[period("early", hours=["00:00-02:00"]), period("late")],
    )
    bill = rate(made, one_day(700, 700, 700, 700))
    assert [(line.period, line.tier, str(line.quantity)) for line in bill.lines] == [
        ("early", 1, "1.400"),
        ("late", 1, "0.600"),
        ("late", 2, "0.800"),
    ]
    assert str(bill.total) == "1.86"  # 0.14 + 0.12 + 1.60


def test_one_price_for_all_periods_is_one_line() -> None:
    made = tariff(
        energy(tier({"early": "0.1", "late": "0.2"})),
        energy(tier("0.02"), label="Levy"),
        periods=[period("early", hours=["00:00-02:00"]), period("late")],
    )
    assert shown(rate(made, one_day(1000, 0, 3000))) == [
        ("Energy, early", "1.000", "0.10"),
        ("Energy, late", "3.000", "0.60"),
        ("Levy", "4.000", "0.08"),
    ]


@pytest.mark.parametrize(("wh", "amount"), [(4, "0.00"), (5, "0.01"), (14, "0.01"), (15, "0.02")])
def test_half_a_cent_is_rounded_up_once(wh: int, amount: str) -> None:
    (line,) = rate(tariff(energy(tier("1"))), one_day(wh)).lines
    assert str(line.amount) == amount
    assert line.exact == Decimal(wh) / 1000


def test_half_a_cent_of_credit_is_rounded_away_from_zero() -> None:
    made = tariff(energy(tier("1")), energy(tier("1"), measures="export", label="Export"))
    bill = rate(made, one_day(1000), exported=one_day(15))
    assert [(line.kind, str(line.price), str(line.amount)) for line in bill.lines] == [
        ("energy", "1", "1.00"),
        ("export", "-1", "-0.02"),
    ]


@pytest.mark.parametrize(("currency", "amount"), [("JPY", "31"), ("EUR", "30.88"), ("KWD", "30.875")])
def test_minor_unit_of_the_currency(currency: str, amount: str) -> None:
    bill = rate(tariff(energy(tier("24.7")), currency=currency), one_day(1250))
    assert str(bill.total) == amount
    assert bill.currency == currency


def test_baseline_credit_is_on_total_use_up_to_the_allowance() -> None:
    made = tariff(energy(tier("0.5")), baseline("0.1", "2.5"))
    assert [str(line.amount) for line in rate(made, one_day(1000, 1000)).lines] == ["1.00", "-0.20"]
    assert [str(line.amount) for line in rate(made, one_day(2000, 2000)).lines] == ["2.00", "-0.25"]


def test_limit_that_is_no_whole_wh_is_rounded_half_up_after_days() -> None:
    made = tariff(energy(tier("0", "0.0005"), tier("1"), tiers_per="day"))
    week = BillingWindow(date(2025, 1, 6), date(2025, 1, 13), BERLIN)  # 7 × 0.5 Wh = 3.5 Wh → 4 Wh
    reads = np.full((1, 7 * 24), 1)
    assert [str(line.quantity) for line in rate(made, reads, week).lines] == ["0.004", "0.164"]


def test_standing_charges_by_day_and_by_part_of_a_month() -> None:
    made = tariff(energy(tier("1")), standing("0.40", "day"), standing("10.00", "month"))
    part = BillingWindow(date(2025, 1, 18), date(2025, 2, 1), BERLIN)
    _, daily, monthly = rate(made, np.full((1, 14 * 24), 10), part).lines
    assert (str(daily.quantity), daily.unit, str(daily.amount)) == ("14", "day", "5.60")
    assert (str(monthly.quantity), monthly.unit) == ("0.451612903226", "month")
    assert (str(monthly.exact), str(monthly.amount)) == ("4.516129032258", "4.52")
    whole = rate(made, np.full((1, 744), 10), JANUARY).lines[2]
    assert (str(whole.quantity), str(whole.amount)) == ("1", "10.00")


def test_a_regular_cycle_off_the_calendar_is_one_month() -> None:
    cycle = BillingWindow(date(2025, 1, 12), date(2025, 2, 11), BERLIN, Fraction(1))
    made = tariff(energy(tier("0", "100"), tier("1"), tiers_per="month"), standing("9.50", "month"))
    bill = rate(made, np.full((1, 720), 200), cycle)
    assert shown(bill) == [
        ("Energy, tier 1", "100.000", "0.00"),
        ("Energy, tier 2", "44.000", "44.00"),
        ("Standing", "1", "9.50"),
    ]


def test_tax_is_on_rounded_lines_above_it_and_exact_beside() -> None:
    made = tariff(energy(tier("0.333")), standing("0.105", "day"), tax("19"))
    energy_line, standing_line, tax_line = rate(made, one_day(1000)).lines
    assert [str(line.amount) for line in (energy_line, standing_line)] == ["0.33", "0.11"]
    assert (str(tax_line.quantity), tax_line.unit, str(tax_line.price)) == ("0.44", "EUR", "0.19")
    assert str(tax_line.amount) == "0.08"
    assert tax_line.exact == Decimal("0.438") * Decimal("0.19")


def test_tax_on_chosen_kinds_and_on_tax() -> None:
    made = tariff(
        energy(tier("1")),
        standing("2", "day"),
        tax("10", on=["energy"], label="Levy"),
        tax("20", label="VAT"),
    )
    assert shown(rate(made, one_day(1000)))[2:] == [("Levy", "1.00", "0.10"), ("VAT", "3.10", "0.62")]


def test_tax_on_a_net_credit_is_a_credit() -> None:
    made = tariff(energy(tier("1")), energy(tier("1"), measures="export", label="Export"), tax("19"))
    assert shown(rate(made, one_day(0), exported=one_day(3000))) == [
        ("Export", "3.000", "-3.00"),
        ("Tax", "-3.00", "-0.57"),
    ]


def test_no_use_is_no_line() -> None:
    bill = rate(tariff(energy(tier("1")), standing("0.50", "day")), one_day(0))
    assert shown(bill) == [("Standing", "1", "0.50")]


def test_amounts_beyond_64_bits_are_exact() -> None:
    made = tariff(energy(tier("123456789.0123456789")), tax("19.123456"))
    energy_line, tax_line = rate(made, np.full((1, 24), 10**12)).lines
    assert energy_line.exact == Decimal("2962962936296296293.6")  # 24,000,000,000 kWh
    assert str(energy_line.amount) == "2962962936296296293.60"
    assert tax_line.exact == Decimal("566620913418930251.3362268160")
    assert str(tax_line.amount) == "566620913418930251.34"


def test_sums_do_not_overflow_narrow_integers() -> None:
    made = tariff(energy(tier("0.01", "1000000"), tier("0.02"), tiers_per="day"), baseline("0.01", "2000000"))
    narrow = np.full((1, 24), 2**31 - 1, dtype=np.int32)
    assert rate(made, narrow).lines == rate(made, narrow.astype(np.int64)).lines
    assert sum(line.quantity for line in rate(made, narrow).lines[:2]) == Decimal(24 * (2**31 - 1)) / 1000


def test_tariffs_windows_and_bills_travel_between_processes() -> None:
    made = tariff(energy(tier("0.3")), tax("19"))
    sent, window = pickle.loads(pickle.dumps((made, JANUARY)))
    assert (sent, sent.version, window) == (made, made.version, JANUARY)
    bill = rate(made, one_day(1500))
    assert pickle.loads(pickle.dumps(bill)) == bill


def test_every_line_names_its_tariff_version() -> None:
    made = tariff(energy(tier("1")), standing("1", "day"), tax("19"))
    assert {(line.tariff_id, line.tariff_version) for line in rate(made, one_day(1)).lines} == {("case", made.version)}


def test_a_bill_as_json() -> None:
    made = tariff(energy(tier("0.3000", "0.1"), tier("0.4"), tiers_per="day"))
    assert rate(made, one_day(1500)).to_json() == {
        "currency": "EUR",
        "total": "0.59",
        "lines": [
            {
                "kind": "energy",
                "label": f"Energy, tier {number}",
                "quantity": quantity,
                "unit": "kWh",
                "price": price,
                "amount": amount,
                "exact": amount,
                "tariff": "case",
                "tariff_version": made.version,
                "period": None,
                "tier": number,
                "estimated": "0",
                "included": False,
            }
            for number, quantity, price, amount in ((1, "0.1", "0.3", "0.03"), (2, "1.4", "0.4", "0.56"))
        ],
    }


def test_a_version_that_changes_inside_the_cycle() -> None:
    old = tariff(energy(tier("0.20")), standing("31.00", "month"), tax("19"))
    new = tariff(energy(tier("0.30")), standing("62.00", "month"), tax("16"), valid_from=date(2025, 1, 11))
    first = BillingWindow(date(2025, 1, 1), date(2025, 1, 11), BERLIN)
    second = BillingWindow(date(2025, 1, 11), date(2025, 2, 1), BERLIN)
    before, after = rate(old, np.full((1, 240), 1000), first), rate(new, np.full((1, 504), 1000), second)
    assert shown(before) + shown(after) == [
        ("Energy", "240.000", "48.00"),
        ("Standing", "0.322580645161", "10.00"),
        ("Tax", "58.00", "11.02"),
        ("Energy", "504.000", "151.20"),
        ("Standing", "0.677419354839", "42.00"),
        ("Tax", "193.20", "30.91"),
    ]
    assert {line.tariff_version for line in before.lines} == {old.version}
    assert {line.tariff_version for line in after.lines} == {new.version}


FLAT = tariff(energy(tier("1")))
SOLAR = tariff(energy(tier("1")), energy(tier("1"), measures="export"))


@pytest.mark.parametrize(
    ("made", "imported", "exported", "reason"),
    [
        (FLAT, np.zeros((2, 23), np.int64), None, "import reads have 23 intervals for 2 customers, the window has 24"),
        (FLAT, np.zeros((1, 24)), None, "import reads are float64, not whole numbers"),
        (FLAT, one_day(1, 2, -3), None, "import read 2 of customer 0 is -3, which no meter counts"),
        (FLAT, one_day(1, 10**12 + 1), None, "import read 1 of customer 0 is 1000000000001, which no meter counts"),
        (SOLAR, one_day(1), None, "case credits exported energy, but there are no export reads"),
        (SOLAR, one_day(1), one_day(1)[:, :23], "export reads have 23 intervals for 1 customers, the window has 24"),
        (SOLAR, one_day(1), one_day(-1), "export read 0 of customer 0 is -1, which no meter counts"),
    ],
)
def test_no_bill_rather_than_a_wrong_one(made, imported, exported, reason: str) -> None:
    with pytest.raises(CannotRate, match=reason):
        rate_batch(made, DAY, Use(3600, imported, exported))


def test_a_batch_without_customers_has_no_bills() -> None:
    made = tariff(energy(tier("1", "1"), tier("2"), tiers_per="day"), standing("1", "day"), tax("19"))
    assert rate_batch(made, DAY, Use(3600, np.zeros((0, 24), np.int64))).bills() == []


def test_a_bill_of_which_everything_is_exempt_has_no_lines() -> None:
    made = tariff(energy(tier("1"), not_for=["charity"]), customer_classes=["residential", "charity"])
    for customer_class, lines, total in (("charity", 0, "0.00"), ("residential", 1, "1.00")):
        (bill,) = rate_batch(made, DAY, Use(3600, one_day(1000)), customer_class=customer_class).bills()
        assert (len(bill.lines), str(bill.total)) == (lines, total)


def test_exact_amounts_keep_all_their_digits() -> None:
    surcharges = [{**tax("7.123457"), "label": f"Tax {number}"} for number in range(6)]
    bill = rate(tariff(energy(tier("0.1234567891"), factor=Decimal("1.0376123457")), *surcharges), one_day(1))
    exact = Fraction("0.001") * Fraction("1.0376123457") * Fraction("0.1234567891")
    assert Fraction(bill.exact_total) == exact * (1 + Fraction("0.07123457")) ** 6


def test_hundreds_of_huge_lines_add_up() -> None:
    many = [{**energy(tier("97")), "label": f"Energy {number}"} for number in range(300)]
    bill = rate(tariff(*many, tax("10")), np.full((1, 744), 10**12), JANUARY)
    assert bill.total == bill.exact_total == 300 * 97 * 744 * 10**9 * Decimal("1.1")
