"""Prices that are published interval by interval."""

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
from headend.reads.days import seconds
from headend.tariffs import BillingWindow, Market, PriceSeries, Use, rate_batch
from headend.tariffs.format.components import Dynamic
from headend.tariffs.money import half_up
from headend.tariffs.rating.dynamic import interval_prices, weighted

from .make import BERLIN, energy, period, tariff, tax, tier

DAY = BillingWindow(date(2025, 1, 7), date(2025, 1, 8), BERLIN)
NIGHT = [period("night", hours=["00:00-02:00"]), period("day")]


def dynamic(**keys):
    return {"kind": "dynamic", "label": "Spot", "series": "spot", **keys}


def spot(*prices: str, window: BillingWindow = DAY, hours: int = 1, currency: str = "EUR", unit: str = "kWh") -> Market:
    """A market whose prices follow each other from the begin of a window, the last one up to its end."""
    begin, n = seconds(window.start_utc), window.intervals(3600)
    starts = np.arange(len(prices), dtype=np.int64) * hours * 3600 + begin
    ends = np.append(starts[1:], begin + n * 3600)
    scale = 6
    whole = np.array([int(Decimal(price).scaleb(scale)) for price in prices], dtype=np.int64)
    return Market({"spot": PriceSeries("spot", currency, unit, starts, ends, whole, scale)})


def one_day(*wh: int) -> np.ndarray:
    return np.array([[*wh, *[0] * (24 - len(wh))]])


def rate(made, market, reads, window=DAY, **use):
    (bill,) = rate_batch(made, window, Use(3600, reads, **use), market).bills()
    return bill


def shown(bill) -> list[tuple[str, ...]]:
    return [
        (line.label, str(line.quantity), str(line.price), str(line.exact.normalize()), str(line.amount))
        for line in bill.lines
    ]


def test_one_line_whose_price_is_the_mean() -> None:
    bill = rate(tariff(dynamic()), spot("0.10", "0.25", "0.40"), one_day(1000, 500, 1500))
    # 0.10 + 0.125 + 0.60 = 0.825 for 3 kWh
    assert shown(bill) == [("Spot", "3.000", "0.275000", "0.825", "0.83")]
    assert bill.lines[0].kind == "energy"
    assert bill.lines[0].charge.price is None


def test_the_sum_is_rounded_once() -> None:
    bill = rate(tariff(dynamic()), spot("0.004"), one_day(1000, 1000, 1000))
    assert shown(bill) == [("Spot", "3.000", "0.004000", "0.012", "0.01")]


@pytest.mark.parametrize(("add", "wholesale", "factor", "price"), [("5", "15", "1.2", "23"), ("3", "8", "1", "11")])
def test_agile_as_published(add: str, wholesale: str, factor: str, price: str) -> None:
    # Octopus Energy prints these two with its formula, price = D + W × X, in p/kWh.
    pence = {key: Decimal(value).scaleb(-2) for key, value in {"add": add, "cap": "100"}.items()}
    made = tariff(dynamic(factor=Decimal(factor), **pence), currency="GBP")
    bill = rate(made, spot(str(Decimal(wholesale).scaleb(-2)), currency="GBP"), one_day(1000))
    assert bill.lines[0].price == Decimal(price).scaleb(-2)
    assert bill.total == Decimal(price).scaleb(-2)


def test_cap_floor_and_negative_prices() -> None:
    prices = spot("0.90", "-0.30", "-0.01", "0.20")
    reads = one_day(1000, 1000, 1000, 1000)
    free = tariff(dynamic(factor=Decimal("1.5")))
    assert rate(free, prices, reads).total == Decimal("1.19")  # 1.35 - 0.45 - 0.015 + 0.30 = 1.185
    capped = tariff(dynamic(factor=Decimal("1.5"), cap=Decimal("1"), floor=Decimal("-0.1")))
    assert rate(capped, prices, reads).lines[0].exact == Decimal("1.185")  # 1.00 - 0.10 - 0.015 + 0.30
    paid = rate(free, spot("-0.30"), one_day(1000))
    assert shown(paid) == [("Spot", "1.000", "-0.450000", "-0.45", "-0.45")]


def test_each_price_is_rounded_where_the_tariff_says_so() -> None:
    made = tariff(dynamic(factor=Decimal("1.05"), decimals=4))
    # 0.0010 × 1.05 = 0.00105 → 0.0011; -0.00105 → -0.0011; 0.1 × 1.05 = 0.105
    bill = rate(made, spot("0.001", "-0.001", "0.1"), one_day(10_000, 20_000, 1000))
    assert bill.lines[0].exact == Decimal("0.011") - Decimal("0.022") + Decimal("0.105")


def test_a_line_for_each_period_where_the_formula_tells_them_apart() -> None:
    made = tariff(dynamic(add={"night": Decimal("0.01"), "day": Decimal("0.12")}), tax("10"), periods=NIGHT)
    bill = rate(made, spot("0.10", "0.20", "0.30"), one_day(1000, 1000, 2000))
    assert shown(bill)[:2] == [
        ("Spot, night", "2.000", "0.160000", "0.32", "0.32"),
        ("Spot, day", "2.000", "0.420000", "0.84", "0.84"),
    ]
    assert [line.period for line in bill.lines] == ["night", "day", None]
    assert bill.total == Decimal("1.28")  # 1.16 + 0.116 → 0.12
    factors = tariff(dynamic(factor={"night": Decimal("1"), "day": Decimal("2")}), periods=NIGHT)
    assert rate(factors, spot("0.10", "0.20", "0.30"), one_day(1000, 1000, 2000)).total == Decimal("1.50")


def test_periods_of_another_schedule() -> None:
    made = tariff(
        dynamic(schedule="grid", add={"low": Decimal("0"), "high": Decimal("1")}),
        schedules={"grid": [period("high", hours=["01:00-02:00"]), period("low")]},
    )
    assert rate(made, spot("0.10"), one_day(1000, 1000, 1000)).total == Decimal("1.30")


def test_a_monthly_index() -> None:
    quarter = BillingWindow(date(2025, 1, 1), date(2025, 3, 1), BERLIN)
    prices = spot("0.08", "0.07", window=quarter, hours=744)
    reads = np.full((1, 1416), 100)
    bill = rate(tariff(dynamic(add=Decimal("0.02"))), prices, reads, quarter)
    assert bill.total == Decimal("13.49")  # 74.4 × 0.10 + 67.2 × 0.09 = 7.44 + 6.048


def test_days_of_the_clock_change_have_a_price_for_each_real_hour() -> None:
    autumn = BillingWindow(date(2025, 10, 26), date(2025, 10, 27), BERLIN)
    prices = spot(*[f"{hour / 100}" for hour in range(25)], window=autumn)
    bill = rate(tariff(dynamic()), prices, np.full((1, 25), 1000), autumn)
    assert bill.total == Decimal("3.00")


def test_export_at_a_published_price_is_a_credit() -> None:
    made = tariff(energy(tier("0.3")), dynamic(measures="export", factor=Decimal("0.9")))
    bill = rate(made, spot("0.10", "-0.20"), one_day(0, 0, 500), exported=one_day(3000, 1000))
    assert shown(bill)[1] == ("Spot", "4.000", "-0.022500", "-0.09", "-0.09")  # -(0.27 - 0.18)
    assert bill.lines[1].kind == "export"
    with pytest.raises(CannotRate, match="case credits exported energy, but there are no export reads"):
        rate(made, spot("0.10"), one_day(1))


def test_a_rebate_on_import() -> None:
    bill = rate(tariff(dynamic(credit=True)), spot("0.10"), one_day(2000))
    assert shown(bill) == [("Spot", "2.000", "-0.100000", "-0.2", "-0.20")]


def test_prices_are_asked_for_the_components_own_days_alone() -> None:
    three = BillingWindow(date(2025, 1, 6), date(2025, 1, 9), BERLIN)
    made = tariff(dynamic(valid_from=date(2025, 1, 7), valid_until=date(2025, 1, 8)))
    reads = np.concatenate([one_day(9000), one_day(1000, 3000), one_day(9000)], axis=1)
    bill = rate(made, spot("0.10", "0.20"), reads, three)
    assert shown(bill) == [("Spot", "4.000", "0.175000", "0.7", "0.70")]


def test_how_much_rests_on_estimates() -> None:
    marks = np.zeros((2, 24), dtype=bool)
    marks[0, [0, 2, 3]] = True
    reads = np.concatenate([one_day(1000, 500, 200), one_day(1000, 500, 200)])
    made = tariff(dynamic(add={"night": Decimal("0"), "day": Decimal("1")}), periods=NIGHT)
    first, second = rate_batch(made, DAY, Use(3600, reads, estimated=marks), spot("0.1")).bills()
    assert [line.estimated for line in first.lines] == [Decimal("1.000"), Decimal("0.200")]
    assert [line.estimated for line in second.lines] == [0, 0]


def test_no_use_no_line() -> None:
    assert rate(tariff(dynamic()), spot("0.1"), one_day()).lines == ()


@pytest.mark.parametrize(
    ("market", "message"),
    [
        (Market(), "no price series 'spot'"),
        (spot("0.1", currency="SEK"), "price series spot is in SEK per kWh, case is in EUR per kWh"),
        (spot("0.1", unit="m³"), "price series spot is in EUR per m³, case is in EUR per kWh"),
        (spot("0.1", window=BillingWindow(date(2025, 1, 6), date(2025, 1, 7), BERLIN)), "no price for 24 of 24 inter"),
    ],
)
def test_no_guess(market: Market, message: str) -> None:
    with pytest.raises(CannotRate, match=re.escape(message)):
        rate(tariff(dynamic()), market, one_day(1000))


def test_reads_longer_than_the_prices_are_refused() -> None:
    quarters = spot(*["0.1"] * 96)
    starts = seconds(DAY.start_utc) + 900 * np.arange(96, dtype=np.int64)
    finer = PriceSeries("spot", "EUR", "kWh", starts, starts + 900, quarters.series("spot").prices, 6)
    with pytest.raises(CannotRate, match=r"ends within the interval of 3600 s at 2025-01-06T23:00Z"):
        rate(tariff(dynamic()), Market({"spot": finer}), one_day(1000))


signed = st.decimals(-20, 20, places=6)
formulas = st.fixed_dictionaries(
    {},
    optional={
        "factor": st.decimals(-3, 3, places=4),
        "add": st.decimals(-2, 2, places=10),
        "cap": st.decimals(0, 2, places=3),
        "floor": st.decimals(-2, 0, places=2),
        "decimals": st.integers(0, 8),
    },
)


@settings(deadline=None)
@given(
    formula=formulas,
    published=st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=12),
    scale=st.integers(0, 20),
    data=st.data(),
)
def test_every_sum_is_exact(formula, published, scale, data) -> None:
    component = Dynamic(**dynamic(**formula))
    one = st.integers(0, data.draw(st.sampled_from([9, 10**6, 10**12])))
    rows = data.draw(st.lists(st.lists(one, min_size=len(published), max_size=len(published)), min_size=1, max_size=3))
    reads = np.array(rows, dtype=np.int64)
    prices, to_scale = interval_prices(component, "", np.array(published, dtype=np.int64), scale)
    expected = []
    for price in published:
        worked = Fraction(price, 10**scale) * Fraction(component.factor) + Fraction(component.add)
        worked = min(worked, Fraction(component.cap)) if component.cap is not None else worked
        worked = max(worked, Fraction(component.floor)) if component.floor is not None else worked
        if component.decimals is not None:
            worked = Fraction(half_up(worked * 10**component.decimals), 10**component.decimals)
        expected.append(worked)
    assert [Fraction(price, 10**to_scale) for price in prices.tolist()] == expected
    totals = weighted(reads, reads.sum(axis=1), prices).tolist()
    assert [Fraction(total, 10**to_scale) for total in totals] == [
        sum((wh * price for wh, price in zip(row, expected, strict=True)), Fraction(0)) for row in rows
    ]


def test_the_largest_reads_and_prices_there_are() -> None:
    window = BillingWindow(date(2025, 1, 1), date(2025, 2, 1), BERLIN)
    begin, n = seconds(window.start_utc), 744
    price = -(10**29) + 1  # nearly 10^9 EUR, to 20 decimals
    starts = begin + 3600 * np.arange(n, dtype=np.int64)
    prices = PriceSeries("spot", "EUR", "kWh", starts, starts + 3600, np.array([price] * n, dtype=object), 20)
    made = tariff(dynamic(factor=Decimal("999999999.9999999999")))
    batch = rate_batch(made, window, Use(3600, np.full((2, n), 10**12)), Market({"spot": prices}))
    worked = 744 * 10**12 * price * 9999999999999999999
    assert batch.columns[0].exact.tolist() == [worked] * 2
    assert batch.columns[0].scale == 33
    assert batch.totals.tolist() == [half_up(Fraction(worked, 10**31))] * 2
    assert batch.bills()[0].lines[0].price == Decimal(price * 9999999999999999999).scaleb(-30).quantize(Decimal("1e-6"))
