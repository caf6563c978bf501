"""Energy fed in against energy taken: by interval, by month, and the banks of energy and money."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headend.errors import CannotRate
from headend.tariffs import BillingWindow, Carried, Use, rate_batch
from headend.tariffs.rating.use import Credit

from .make import BERLIN, energy, period, standing, tariff, tax, tier

DAY = BillingWindow(date(2025, 1, 7), date(2025, 1, 8), BERLIN)
MARCH = BillingWindow(date(2025, 3, 1), date(2025, 4, 1), BERLIN)
APRIL = BillingWindow(date(2025, 4, 1), date(2025, 5, 1), BERLIN)
TWO = [period("night", hours=["00:00-02:00"]), period("day")]
BOTH = [energy(tier("0.30")), energy(tier("0.10"), measures="export", label="Export")]


def first_hours(window: BillingWindow, *wh: int) -> np.ndarray:
    """Reads (1, n) that begin with `wh`."""
    n = window.intervals(3600)
    return np.array([[*wh, *[0] * (n - len(wh))]])


def rate(made, imported, exported, window=DAY, carried: Carried | None = None):
    """One customer's bill, and what it leaves."""
    use = Use(3600, first_hours(window, *imported), None if exported is None else first_hours(window, *exported))
    batch = rate_batch(made, window, use, carried=carried or Carried())
    return batch.bills()[0], batch.carried


def shown(bill) -> list[tuple[str, str, str]]:
    return [(line.label, str(line.quantity), str(line.amount)) for line in bill.lines]


def test_without_netting_both_are_as_metered() -> None:
    bill, left = rate(tariff(*BOTH), [1000, 2000], [3000, 500])
    assert shown(bill) == [("Energy", "3.000", "0.90"), ("Export", "3.500", "-0.35")]
    assert (left.energy, left.credit) == (None, None)


def test_by_interval_only_the_difference_counts() -> None:
    bill, _ = rate(tariff(*BOTH, netting="interval"), [1000, 2000, 700], [3000, 500, 700])
    assert shown(bill) == [("Energy", "1.500", "0.45"), ("Export", "2.000", "-0.20")]


def test_by_interval_of_unsigned_reads() -> None:
    reads = first_hours(DAY, 1000, 2000).astype(np.uint32), first_hours(DAY, 3000, 500).astype(np.uint32)
    (bill,) = rate_batch(tariff(*BOTH, netting="interval"), DAY, Use(3600, *reads)).bills()
    assert shown(bill) == [("Energy", "1.500", "0.45"), ("Export", "2.000", "-0.20")]


def test_by_hour_quarters_are_added_up_first() -> None:
    made = tariff(*BOTH, {"kind": "demand", "label": "Demand", "tiers": [tier("10")]}, netting="hour")
    quarters = np.zeros((2, 96), dtype=np.int64)
    quarters[0, :5], quarters[1, :5] = (400, 0, 0, 0, 900), (0, 0, 0, 100, 1000)  # 300 Wh taken, then 100 Wh fed in
    (bill,) = rate_batch(made, DAY, Use(900, quarters[:1], quarters[1:], estimated=quarters[:1] == 900)).bills()
    wanted = rate_batch(made, DAY, Use(3600, np.array([[300, *[0] * 23]]), np.array([[0, 100, *[0] * 22]]))).bills()
    assert shown(bill) == shown(wanted[0])
    assert [str(line.quantity) for line in bill.lines[:2]] == ["0.300", "0.100"]


def test_by_hour_needs_reads_that_fill_hours() -> None:
    two_hours = np.zeros((1, 12), dtype=np.int64)
    with pytest.raises(CannotRate, match="12 reads of 7200 s do not fill hours"):
        rate_batch(tariff(*BOTH, netting="hour"), DAY, Use(7200, two_hours, two_hours))


@pytest.mark.parametrize("netting", ["interval", "month"])
def test_netting_needs_export_reads(netting: str) -> None:
    with pytest.raises(CannotRate, match="case nets exported energy, but there are no export reads"):
        rate(tariff(energy(tier("1")), netting=netting), [1000], None)


def by_month(**header):
    return tariff(
        energy(tier({"night": "0.10", "day": "0.30"})),
        periods=TWO,
        netting="month",
        valid_from=date(2020, 1, 1),
        **header,
    )


def test_by_month_each_period_has_its_own_net_and_bank() -> None:
    bill, left = rate(by_month(), [1000, 2000, 1000, 500], [500, 0, 4000, 1000])
    assert shown(bill) == [("Energy, night", "2.500", "0.25")]
    assert left.energy is not None
    assert left.energy.tolist() == [[0, 3500]]


def test_the_bank_is_used_before_anything_is_charged() -> None:
    before = Carried(energy=np.array([[2000, 1500]]))
    bill, left = rate(by_month(), [1000, 500, 4000], [0, 0, 500], carried=before)
    assert shown(bill) == [("Energy, day", "2.000", "0.60")]  # 4.0 - 0.5 - 1.5
    assert left.energy is not None
    assert left.energy.tolist() == [[500, 0]]


def test_the_bill_with_the_last_day_of_the_month_pays_for_the_bank() -> None:
    made = tariff(
        standing("10", "month"),
        energy(tier({"night": "0.10", "day": "0.30"})),
        energy(tier("0.05"), label="Levy"),
        {"kind": "percentage", "label": "Rider", "percent": Decimal("10"), "on": ["export"]},
        tax("20"),
        periods=TWO,
        netting="month",
        net_metering={"true_up": 3, "price": Decimal("0.04")},
    )
    before = Carried(energy=np.array([[0, 9000]]))
    bill, left = rate(made, [3000, 0, 1000], [0, 0, 6000], MARCH, before)
    assert shown(bill) == [
        ("Standing", "1", "10.00"),
        ("Energy, night", "3.000", "0.30"),
        ("Levy", "3.000", "0.15"),
        ("Surplus", "14.000", "-0.56"),  # 9 + 6 - 1 kWh of the day
        ("Rider", "-0.56", "-0.06"),
        ("Tax", "9.83", "1.97"),
    ]
    surplus = bill.lines[3]
    assert (surplus.kind, surplus.unit, surplus.price, surplus.exact) == (
        "export",
        "kWh",
        Decimal("-0.04"),
        Decimal("-0.56"),
    )
    assert left.energy is not None
    assert left.energy.tolist() == [[0, 0]]
    bill, left = rate(made, [3000, 0, 1000], [0, 0, 6000], APRIL, before)
    assert "Surplus" not in [line.label for line in bill.lines]
    assert left.energy is not None
    assert left.energy.tolist() == [[0, 14000]]


def test_where_energy_comes_last_so_does_the_surplus() -> None:
    made = by_month(net_metering={"true_up": 1, "price": Decimal("0.04")})
    january = BillingWindow(date(2025, 1, 31), date(2025, 2, 1), BERLIN)
    bill, _ = rate(made, [1000], [0, 0, 2000], january)
    assert shown(bill) == [("Energy, night", "1.000", "0.10"), ("Surplus", "2.000", "-0.08")]


def test_a_true_up_without_a_price_loses_what_is_left() -> None:
    bill, left = rate(by_month(net_metering={"true_up": 3}), [], [0, 0, 2000], MARCH)
    assert bill.lines == ()
    assert left.energy is not None
    assert left.energy.tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("first", "end", "trues_up"),
    [
        (date(2024, 2, 1), date(2024, 2, 29), False),
        (date(2024, 2, 1), date(2024, 3, 1), True),
        (date(2023, 12, 15), date(2024, 3, 15), True),
        (date(2024, 2, 29), date(2024, 3, 1), True),
        (date(2024, 3, 1), date(2025, 2, 28), False),
    ],
)
def test_which_bill_has_the_last_day_of_february(first: date, end: date, *, trues_up: bool) -> None:
    _, left = rate(by_month(net_metering={"true_up": 2}), [], [0, 0, 2000], BillingWindow(first, end, BERLIN))
    assert left.energy is not None
    assert left.energy.tolist() == [[0, 0 if trues_up else 2000]]


def test_the_last_day_of_december() -> None:
    made = by_month(net_metering={"true_up": 12})
    for last, bank in ((30, 2000), (31, 0)):
        window = BillingWindow(date(2024, 12, 1), date.fromordinal(date(2024, 12, last).toordinal() + 1), BERLIN)
        _, left = rate(made, [], [0, 0, 2000], window)
        assert left.energy is not None
        assert left.energy.tolist() == [[0, bank]]


@pytest.mark.parametrize(
    ("bank", "message"),
    [
        (np.array([[1000]]), "the bank of energy is (1, 1), expected (1, 2): customers and periods"),
        (np.array([[0, 0], [0, 0]]), "the bank of energy is (2, 2), expected (1, 2)"),
        (np.array([[0, -1]]), "the bank of energy holds less than nothing"),
        (np.array([[0, 1.0]]), "or no whole Wh"),
    ],
)
def test_a_bank_that_is_none(bank: np.ndarray, message: str) -> None:
    with pytest.raises(CannotRate, match=re.escape(message)):
        rate(by_month(), [1000], [0], carried=Carried(energy=bank))


NET = by_month()
reads = st.lists(st.integers(0, 5000), min_size=4, max_size=4)


@settings(deadline=None, max_examples=40)
@given(months=st.lists(st.tuples(reads, reads), min_size=1, max_size=4))
def test_a_bank_loses_no_watt_hour(months) -> None:
    carried, billed, net = Carried(), 0, 0
    for imported, exported in months:
        use = Use(3600, first_hours(DAY, *imported), first_hours(DAY, *exported))
        batch = rate_batch(NET, DAY, use, carried=carried)
        carried = carried.then(batch.carried)
        billed += sum(int(column.quantity[0]) for column in batch.columns)
        net += sum(imported) - sum(exported)
    assert carried.energy is not None
    assert billed - int(carried.energy.sum()) == net


def banked(**keys):
    return tariff(
        *BOTH, {"kind": "bank", "label": "Bank", **keys}, standing("5", "month"), tax("10"), netting="interval"
    )


def credit(amount: int, exact: int, scale: int) -> Carried:
    return Carried(credit=Credit(np.array([amount]), np.array([exact]), scale))


def held(left: Carried) -> tuple[int, Decimal]:
    """What is in the bank: minor units, exact."""
    assert left.credit is not None
    return int(left.credit.amount[0]), Decimal(int(left.credit.exact[0])).scaleb(-left.credit.scale)


def test_money_is_lifted_to_zero_and_kept() -> None:
    bill, left = rate(banked(), [1000], [0, 50_000], APRIL)  # 0.30 - 5.00
    assert shown(bill) == [
        ("Energy", "1.000", "0.30"),
        ("Export", "50.000", "-5.00"),
        ("Bank", "4.70", "4.70"),
        ("Standing", "1", "5.00"),
        ("Tax", "5.00", "0.50"),
    ]
    assert (bill.lines[2].unit, bill.lines[2].price) == ("EUR", 1)
    assert bill.total == Decimal("5.50")
    assert held(left) == (470, Decimal("4.7"))


def test_credit_from_before_is_used_up_first() -> None:
    bill, left = rate(banked(), [10_000], [], APRIL, credit(470, 470, 2))
    assert shown(bill)[:2] == [("Energy", "10.000", "3.00"), ("Bank", "-3.00", "-3.00")]
    assert held(left) == (170, Decimal("1.7"))
    bill, left = rate(banked(), [10_000], [], APRIL, left)
    assert shown(bill)[:2] == [("Energy", "10.000", "3.00"), ("Bank", "-1.70", "-1.70")]
    assert held(left) == (0, 0)
    bill, left = rate(banked(), [10_000], [], APRIL, left)
    assert [line.label for line in bill.lines] == ["Energy", "Standing", "Tax"]
    assert held(left) == (0, 0)


def test_billed_and_exact_credit_are_two_chains() -> None:
    bill, left = rate(banked(), [], [4], APRIL)  # 0.0004 of credit: no cent, and so no quantity
    assert shown(bill)[:2] == [("Export", "0.004", "0.00"), ("Bank", "0.00", "0.00")]
    assert bill.exact_total == Decimal("5.5")
    assert held(left) == (0, Decimal("0.0004"))
    _, left = rate(banked(), [], [46], APRIL, left)  # 0.0046: still none
    assert held(left) == (0, Decimal("0.005"))
    bill, left = rate(banked(), [1000], [], APRIL, left)
    assert bill.lines[0].amount + bill.lines[1].amount == Decimal("0.30")
    assert bill.lines[0].exact + bill.lines[1].exact == Decimal("0.295")
    assert held(left) == (0, 0)


def test_finer_credit_than_the_bills_own_prices() -> None:
    _, left = rate(banked(), [1000], [], APRIL, credit(100, 1_000_000_000_000_001, 15))
    assert held(left) == (70, Decimal("0.700000000000001"))


@pytest.mark.parametrize(
    ("imported", "exported", "before", "pays", "moved", "total"),
    [
        (1000, 50_000, 100, True, "-1.00", "-0.77"),  # 0.30 - 5.00 - 1.00 + 5.00 = -0.70, with tax of 10 %
        (1000, 50_000, 100, False, "4.70", "5.50"),  # lifted to zero, and lost
        (10_000, 0, 100, True, "-1.00", "7.70"),  # 3.00 - 1.00 + 5.00 = 7.00
        (10_000, 0, 900, True, "-9.00", "-1.10"),  # 3.00 - 9.00 + 5.00 = -1.00
        (10_000, 0, 900, False, "-3.00", "5.50"),  # used for 3.00, the rest is lost
    ],
)
def test_true_up_of_money(imported, exported, before, pays, moved, total) -> None:
    made = banked(true_up=3, pays=pays)
    bill, left = rate(made, [imported], [0, exported], MARCH, credit(before, before, 2))
    (line,) = (line for line in bill.lines if line.kind == "bank")
    assert str(line.amount) == str(line.quantity) == moved
    assert held(left) == (0, 0)
    assert str(bill.total) == total


def test_a_bank_of_chosen_lines() -> None:
    made = tariff(
        *BOTH,
        standing("5", "month"),
        {"kind": "bank", "label": "Bank", "on": ["export", "standing"]},
    )
    bill, left = rate(made, [1000], [70_000], APRIL)
    assert shown(bill)[-1] == ("Bank", "2.00", "2.00")  # 5.00 - 7.00; import is still charged
    assert bill.total == Decimal("0.30")
    assert held(left) == (200, 2)


def test_a_bank_whose_dates_cut_the_bill_sees_all_of_it() -> None:
    bill, left = rate(banked(valid_from=date(2025, 4, 16)), [1000], [0, 50_000], APRIL)
    assert shown(bill)[2] == ("Bank", "4.70", "4.70")
    assert held(left) == (470, Decimal("4.7"))


def test_lines_that_are_the_same_for_all_customers() -> None:
    made = tariff(
        {"kind": "standing", "label": "Rebate", "per": "month", "price": Decimal(2), "credit": True},
        {"kind": "bank", "label": "Bank", "on": ["standing"]},
    )
    nothing = np.zeros((3, APRIL.intervals(3600)), dtype=np.int64)
    before = Carried(credit=Credit(np.array([0, 10, 20]), np.array([0, 10, 20]), 2))
    batch = rate_batch(made, APRIL, Use(3600, nothing), carried=before)
    assert batch.totals.tolist() == [0, 0, 0]
    assert batch.carried.credit is not None
    assert batch.carried.credit.amount.tolist() == [200, 210, 220]


def test_what_no_bank_asks_for_stays() -> None:
    before = Carried(energy=np.array([[1, 2]]), credit=Credit(np.array([3]), np.array([3]), 2))
    _, left = rate(tariff(energy(tier("1"))), [1000], None, carried=before)
    assert (left.energy, left.credit) == (before.energy, before.credit)
    ended = tariff(energy(tier("1")), {"kind": "bank", "label": "Bank", "valid_until": date(2024, 1, 1)})
    _, left = rate(ended, [1000], None, carried=before)
    assert left.credit is before.credit


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (Credit(np.array([1, 2]), np.array([1, 2]), 2), "the bank of money is (2,), expected (1,): customers"),
        (Credit(np.array([-1]), np.array([1]), 2), "the bank of money holds less than nothing"),
    ],
)
def test_credit_that_is_none(before: Credit, message: str) -> None:
    with pytest.raises(CannotRate, match=re.escape(message)):
        rate(banked(), [1000], [], APRIL, Carried(credit=before))


def test_two_banks_at_once_would_use_the_same_credit_twice() -> None:
    once = tariff(*BOTH, {"kind": "bank", "label": "Bank"})
    twice = once.model_copy(update={"components": (*once.components, once.components[-1])})
    with pytest.raises(CannotRate, match="case has two banks at once, at 'Bank'"):
        rate(twice, [1000], [0])


BANKED = tariff(*BOTH, {"kind": "bank", "label": "Bank"})
amounts = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 9000)), min_size=1, max_size=6)


@settings(deadline=None, max_examples=40)
@given(months=amounts)
def test_a_bank_of_money_neither_makes_nor_loses_any(months) -> None:
    carried, paid, paid_exact, owed, owed_exact = Carried(), Decimal(0), Decimal(0), Decimal(0), Fraction(0)
    for imported, exported in months:
        bill, left = rate(BANKED, [imported], [exported], carried=carried)
        carried = carried.then(left)
        assert bill.total >= 0
        paid, paid_exact = paid + bill.total, paid_exact + bill.exact_total
        owed += sum((line.amount for line in bill.lines if line.kind != "bank"), Decimal(0))
        owed_exact += Fraction(imported * 3 - exported, 10_000)
        amount, exact = held(carried)
        assert paid - Decimal(amount).scaleb(-2) == owed
        assert Fraction(paid_exact - exact) == owed_exact
