"""Bills and prices that utilities and regulators have printed, to the cent.

"Printed" figures are the source's; "derived" ones are worked from its printed prices, half up to the cent.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from headend.tariffs import BillingWindow, Market, PriceSeries, Use, codes_of, rate_batch
from headend.tariffs.rating.energy import tier_limit

from .make import BERLIN, baseline, codes, energy, period, reads_by_period, standing, tariff, tax, tier

TORONTO = ZoneInfo("America/Toronto")
ONTARIO = {"currency": "CAD", "holidays": {"country": "CA", "subdivision": "ON"}}
ONTARIO_PERIODS = [
    period("winter_on", months=[11, 12, 1, 2, 3, 4], days=["weekday"], hours=["07:00-11:00", "17:00-19:00"]),
    period("winter_mid", months=[11, 12, 1, 2, 3, 4], days=["weekday"], hours=["11:00-17:00"]),
    period("summer_on", days=["weekday"], hours=["11:00-17:00"]),
    period("summer_mid", days=["weekday"], hours=["07:00-11:00", "17:00-19:00"]),
    period("off"),
]


def amounts(bill) -> list[str]:
    return [str(line.amount) for line in bill.lines]


def flat_reads(window: BillingWindow, kwh: int) -> np.ndarray:
    n = window.intervals(3600)
    reads = np.full((1, n), kwh * 1000 // n, dtype=np.int64)
    reads[0, : kwh * 1000 % n] += 1
    return reads


def test_oakville_hydro_tiered_700_kwh() -> None:
    """Oakville Hydro, "Understanding your bill", May to October 2022: lines printed, tax, rebate and total derived."""
    oakville = tariff(
        energy(tier("0.098", "600"), tier("0.115"), tiers_per="month", name="electricity"),
        standing("31.62", "month", label="Monthly service"),
        energy(tier("0.0010"), label="Distribution volume"),
        energy(tier("0.0160"), label="Transmission", factor=Decimal("1.0376")),
        energy(
            tier("0.098", "600"),
            tier("0.115"),
            tiers_per="month",
            method="volume",
            label="Losses",
            factor=Decimal("0.0376"),
        ),
        energy(tier("0.0039"), label="Wholesale", factor=Decimal("1.0376")),
        standing("0.25", "month", label="Administration"),
        tax("13", label="HST"),
        {"kind": "percentage", "label": "Rebate", "percent": Decimal(-17), "on": ["energy", "standing"]},
        currency="CAD",
    )
    window = BillingWindow(date(2022, 6, 1), date(2022, 7, 1), TORONTO)
    (bill,) = rate_batch(oakville, window, Use(3600, flat_reads(window, 700)))
    assert amounts(bill) == [
        *("58.80", "11.50", "31.62", "0.70", "11.62", "3.03", "2.83", "0.25"),
        "15.65",
        "-20.46",
    ]
    assert str(bill.lines[5].quantity) == "26.3200000"
    assert str(sum(line.amount for line in bill.lines[:8])) == "120.35"
    assert str(bill.total) == "115.54"


@pytest.mark.parametrize(
    ("first", "off", "mid", "on", "total"),
    [
        (date(2024, 11, 1), "0.076", "0.122", "0.158", "69.33"),
        (date(2025, 11, 1), "0.098", "0.157", "0.203", "89.26"),
    ],
)
def test_ontario_time_of_use(first: date, off: str, mid: str, on: str, total: str) -> None:
    """Ontario Energy Board, regulated price plan; 448 off, 126 mid and 126 on-peak kWh; derived."""
    prices = {"winter_on": on, "winter_mid": mid, "summer_on": on, "summer_mid": mid, "off": off}
    ontario = tariff(energy(tier(prices)), periods=ONTARIO_PERIODS, **ONTARIO)
    window = BillingWindow(first, date(first.year, 12, 1), TORONTO)
    reads = reads_by_period(ontario, window, {"winter_on": 126, "winter_mid": 126, "off": 448})
    (bill,) = rate_batch(ontario, window, Use(3600, reads))
    assert str(bill.total) == total


def test_ontario_hours_of_a_weekday_a_weekend_day_and_a_holiday() -> None:
    prices = dict.fromkeys((each["name"] for each in ONTARIO_PERIODS), "0.1")
    ontario = tariff(energy(tier(prices)), periods=ONTARIO_PERIODS, **ONTARIO)
    friday = codes(ontario, BillingWindow(date(2024, 11, 1), date(2024, 11, 2), TORONTO))
    assert friday.tolist() == [4] * 7 + [0] * 4 + [1] * 6 + [0] * 2 + [4] * 5
    july = codes(ontario, BillingWindow(date(2025, 7, 2), date(2025, 7, 3), TORONTO))
    assert july.tolist() == [4] * 7 + [3] * 4 + [2] * 6 + [3] * 2 + [4] * 5
    for off_day in (date(2024, 11, 2), date(2025, 7, 1), date(2025, 12, 25)):
        assert set(codes(ontario, BillingWindow(off_day, date.fromordinal(off_day.toordinal() + 1), TORONTO))) == {4}


@pytest.mark.parametrize(("lower", "upper", "total"), [("0.093", "0.110", "115.00"), ("0.120", "0.142", "148.40")])
def test_ontario_tiered_1200_kwh_in_winter(lower: str, upper: str, total: str) -> None:
    """Ontario Energy Board; derived."""
    tiered = tariff(energy(tier(lower, "1000"), tier(upper), tiers_per="month"), currency="CAD")
    window = BillingWindow(date(2024, 12, 1), date(2025, 1, 1), TORONTO)
    (bill,) = rate_batch(tiered, window, Use(3600, flat_reads(window, 1200)))
    assert str(bill.total) == total


def test_pge_e1_baseline_is_a_daily_allowance_times_billing_days() -> None:
    """PG&E schedule E-1, region P, 2026-03-01: 600 kWh in 30 summer days; derived."""
    e1 = tariff(
        energy(tier("0.32561", "13.5"), tier("0.40702"), tiers_per="day"),
        standing("0.79343", "day"),
        currency="USD",
    )
    window = BillingWindow(date(2026, 6, 1), date(2026, 7, 1), ZoneInfo("America/Los_Angeles"))
    (bill,) = rate_batch(e1, window, Use(3600, flat_reads(window, 600)))
    assert [str(line.quantity) for line in bill.lines] == ["405.000", "195.000", "30"]
    assert amounts(bill) == ["131.87", "79.37", "23.80"]
    assert str(bill.total) == "235.04"


def test_pge_e_tou_c_baseline_belongs_to_total_use() -> None:
    """PG&E schedule E-TOU-C, region P, 2026-06-01: 150 peak and 450 off-peak kWh in 30 summer days; derived."""
    e_tou_c = tariff(
        energy(tier({"peak": "0.5224", "off_peak": "0.3994"})),
        baseline("0.0814", "13.5"),
        standing("0.79343", "day"),
        periods=[period("peak", hours=["16:00-21:00"]), period("off_peak")],
        currency="USD",
    )
    window = BillingWindow(date(2026, 6, 1), date(2026, 7, 1), ZoneInfo("America/Los_Angeles"))
    reads = reads_by_period(e_tou_c, window, {"peak": 150, "off_peak": 450})
    (bill,) = rate_batch(e_tou_c, window, Use(3600, reads))
    assert amounts(bill) == ["78.36", "179.73", "-32.97", "23.80"]
    assert str(bill.total) == "248.92"
    assert round(bill.exact_total, 2) == Decimal("248.93")


SRP_SEASONS = [
    {"name": "summer", "label": "Summer", "begins": ["05-01", "09-01"]},
    {"name": "summer_peak", "label": "Summer peak", "begins": ["07-01"]},
    {"name": "winter", "label": "Winter", "begins": ["11-01"]},
]


@pytest.mark.parametrize(
    ("day", "winter", "energy_total", "total"),
    [
        (date(2026, 7, 15), None, "3.14", "23.14"),
        (date(2026, 7, 3), None, "2.13", "22.13"),
        (date(2026, 1, 7), {"peak": "0.1215", "off_peak": "0.0891"}, "2.40", "22.40"),
    ],
)
def test_srp_e26_one_kwh_in_every_hour(day: date, winter: dict[str, str] | None, energy_total: str, total: str) -> None:
    """SRP, filed ratebook, E-26: seasons by cycle, peaks by date, 4 July 2026 (a Saturday) observed on Friday; no DST.

    Totals are printed. Of the prices in winter only what they come to is: 8 × peak + 16 × off-peak = 2.40.
    """
    july = {"peak": "0.2566", "off_peak": "0.0888"}
    e26 = tariff(
        energy(tier(winter or july)),
        standing("20.00", "month"),
        periods=[
            period(
                "peak",
                when=[
                    {"seasons": ["summer", "summer_peak"], "days": ["weekday"], "hours": ["14:00-20:00"]},
                    {"seasons": ["winter"], "days": ["weekday"], "hours": ["05:00-09:00", "17:00-21:00"]},
                ],
            ),
            period("off_peak"),
        ],
        currency="USD",
        clock="America/Phoenix",
        seasons=SRP_SEASONS,
        seasons_by="cycle",
        holidays={"country": "US", "observed": True},
    )
    next_day = date.fromordinal(day.toordinal() + 1)
    cycle = day.replace(day=1)
    window = BillingWindow(day, next_day, ZoneInfo("America/Phoenix"), Fraction(1), cycle)
    (bill,) = rate_batch(e26, window, Use(3600, np.full((1, 24), 1000)))
    assert str(sum(line.amount for line in bill.lines if line.kind == "energy")) == energy_total
    assert str(bill.total) == total
    # A bill for another month has another season, whatever its days: in December the summer's hours are none.
    other = BillingWindow(day, next_day, ZoneInfo("America/Phoenix"), Fraction(1), date(2026, 12, 1))
    assert np.flatnonzero(codes_of(e26, other, 3600) == 0).tolist() == (
        [] if day == date(2026, 7, 3) else [5, 6, 7, 8, 17, 18, 19, 20]
    )


def test_uk_price_cap_250_kwh_in_31_days() -> None:
    """Ofgem, October to December 2025, prices with VAT inside; derived."""
    cap = tariff(
        energy(tier("0.2635")), standing("0.5368", "day"), tax("5", label="VAT", included=True), currency="GBP"
    )
    window = BillingWindow(date(2025, 10, 1), date(2025, 11, 1), ZoneInfo("Europe/London"))
    (bill,) = rate_batch(cap, window, Use(3600, flat_reads(window, 250)))
    assert amounts(bill) == ["65.88", "16.64", "3.93"]
    assert str(bill.total) == "82.52"


def test_eww_time_of_use_in_some_quarters_only() -> None:
    """EWW Anfried, network charge by §14a EnWG module 3, 2025; derived."""
    quarters = [1, 2, 3, 10, 11, 12]
    eww = tariff(
        energy(tier({"low": "0.0345", "high": "0.1084", "standard": "0.0862"})),
        periods=[
            period("low", months=quarters, hours=["01:00-04:00"]),
            period("high", months=quarters, hours=["17:00-19:00"]),
            period("standard"),
        ],
    )
    january = BillingWindow(date(2025, 1, 1), date(2025, 2, 1), BERLIN)
    (bill,) = rate_batch(
        eww, january, Use(3600, reads_by_period(eww, january, {"low": 100, "standard": 200, "high": 50}))
    )
    assert sorted(amounts(bill)) == ["17.24", "3.45", "5.42"]
    assert str(bill.total) == "26.11"
    for quarter, periods in (((4, 1), {2}), ((7, 1), {2}), ((10, 1), {0, 1, 2})):
        first = date(2025, *quarter)
        assert set(codes(eww, BillingWindow(first, date.fromordinal(first.toordinal() + 1), BERLIN))) == periods


def test_oracle_proration_of_blocks_in_a_long_cycle() -> None:
    """Oracle Utilities documentation: 45 days for a month of 30, steps 100 and 300 kWh become 150 and 450; printed."""
    assert tier_limit(Decimal(100), Fraction(45, 30)) == 150_000
    assert tier_limit(Decimal(300), Fraction(45, 30)) == 450_000
    steps = tariff(energy(tier("0.1", "100"), tier("0.2", "300"), tier("0.3"), tiers_per="month"))
    newer = tariff(energy(tier("1", "100"), tier("2", "300"), tier("3"), tiers_per="month"))
    april = BillingWindow(date(2025, 4, 1), date(2025, 4, 16), BERLIN, Fraction(15, 30))
    may = BillingWindow(date(2025, 4, 16), date(2025, 5, 16), BERLIN, Fraction(30, 30))
    reads = np.full((1, 45 * 24), 1000, dtype=np.int64)  # 360 kWh, then 720 kWh
    (first,) = rate_batch(steps, april, Use(3600, reads[:, : 15 * 24]))
    (second,) = rate_batch(newer, may, Use(3600, reads[:, 15 * 24 :]))
    assert [(str(line.price), str(line.quantity)) for line in first.lines + second.lines] == [
        ("0.1", "50.000"),
        ("0.2", "100.000"),
        ("0.3", "210.000"),
        ("1", "100.000"),
        ("2", "200.000"),
        ("3", "420.000"),
    ]


def test_octopus_agile_prices_half_hours_up_to_a_cap() -> None:
    """Octopus Agile: price = D + W × X, at most 100 p/kWh: 5 + 15 × 1.2 = 23 p and 3 + 8 × 1 = 11 p; printed."""
    london = ZoneInfo("Europe/London")
    window = BillingWindow(date(2026, 1, 7), date(2026, 1, 8), london)
    start = int(window.start_utc.timestamp()) + 1800 * np.arange(48)
    wholesale = np.zeros(48, dtype=np.int64)
    wholesale[[0, 1, 2, 3]] = 15, 90, -20, 8  # pence
    market = Market({"wholesale": PriceSeries("wholesale", "GBP", "kWh", start, start + 1800, wholesale, 2)})
    reads = np.zeros((4, 48), dtype=np.int64)
    reads[np.arange(4), np.arange(4)] = 1000  # each customer takes 1 kWh, in another half hour

    def agile(factor: str, add: str) -> list[str]:
        made = tariff(
            {
                "kind": "dynamic",
                "label": "Agile",
                "series": "wholesale",
                "factor": Decimal(factor),
                "add": Decimal(add),
                "cap": Decimal(1),
            },
            currency="GBP",
        )
        return [str(bill.total) for bill in rate_batch(made, window, Use(1800, reads), market)]

    assert agile("1.2", "0.05") == ["0.23", "1.00", "-0.19", "0.15"]
    assert agile("1", "0.03") == ["0.18", "0.93", "-0.17", "0.11"]


def test_ontario_rebate_and_ultra_low_overnight() -> None:
    """Ontario Energy Board, ULO from 2024-11-01: overnight 2.8, weekend 7.6, mid 12.2, on 28.4 ¢; prices printed."""
    ulo = tariff(
        energy(tier({"night": "0.028", "weekend": "0.076", "on": "0.284", "mid": "0.122"})),
        {"kind": "percentage", "label": "Rebate", "percent": Decimal("-13.1"), "on": ["energy"]},
        periods=[
            period("night", hours=["23:00-07:00"]),
            period("weekend", days=["saturday", "sunday", "holiday"]),
            period("on", hours=["16:00-21:00"]),
            period("mid"),
        ],
        **ONTARIO,
    )
    week = BillingWindow(date(2025, 1, 6), date(2025, 1, 13), TORONTO)
    (bill,) = rate_batch(ulo, week, Use(3600, np.full((1, 168), 1000)))
    # 7 nights × 8, 2 days × 16, 5 × 5 and 5 × 11 hours of 1 kWh.
    assert [(line.period, str(line.amount)) for line in bill.lines] == [
        ("night", "1.57"),
        ("weekend", "2.43"),
        ("on", "7.10"),
        ("mid", "6.71"),
        (None, "-2.33"),
    ]


def test_pge_e1_allowance_by_season() -> None:
    """PG&E schedule E-1, region P: 13.5 kWh a day in summer (June to September), 11 in winter; prices printed."""
    e1 = tariff(
        energy(
            {"up_to": {"summer": Decimal("13.5"), "winter": Decimal(11)}, "price": Decimal("0.32561")},
            tier("0.40702"),
            tiers_per="day",
        ),
        seasons=[
            {"name": "summer", "label": "Summer", "begins": ["06-01"]},
            {"name": "winter", "label": "Winter", "begins": ["10-01"]},
        ],
        currency="USD",
    )
    across = BillingWindow(date(2026, 5, 17), date(2026, 6, 16), ZoneInfo("America/Los_Angeles"))
    (bill,) = rate_batch(e1, across, Use(3600, flat_reads(across, 600)))
    # 15 days × 11 and 15 × 13.5 kWh: 367.5 in the first tier.
    assert [(str(line.quantity), str(line.amount)) for line in bill.lines] == [
        ("367.500", "119.66"),
        ("232.500", "94.63"),
    ]
