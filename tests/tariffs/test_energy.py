"""Energy by tier, period and season: numbers worked by hand, and a plain walk from Wh to Wh."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from headend.errors import CannotRate
from headend.tariffs import BillingWindow, Use, codes_of, rate_batch
from headend.tariffs.format.schema import Tariff
from headend.tariffs.market import NO_MARKET
from headend.tariffs.rating.energy import baseline_credit
from headend.tariffs.rating.energy import energy as energy_columns
from headend.tariffs.rating.limits import mean_limit
from headend.tariffs.rating.scope import Scope
from headend.tariffs.rating.tiers import NO_LIMIT, by_share
from headend.tariffs.rating.use import NOTHING_CARRIED

from .make import BERLIN, baseline, energy, period, tariff, tier

TORONTO = ZoneInfo("America/Toronto")
PACIFIC = ZoneInfo("America/Los_Angeles")
DAY = BillingWindow(date(2025, 1, 7), date(2025, 1, 8), BERLIN)
APRIL = BillingWindow(date(2025, 4, 1), date(2025, 5, 1), BERLIN)

# Before two o'clock, and the rest of the day.
EARLY_LATE = [period("early", hours=["00:00-02:00"]), period("late")]
# Every other hour.
ODD_EVEN = [period("odd", hours=[f"{hour:02}:00-{hour + 1:02}:00" for hour in range(1, 23, 2)]), period("even")]
SEASONS = [
    {"name": "summer", "label": "Summer", "begins": ["05-01"]},
    {"name": "winter", "label": "Winter", "begins": ["11-01"]},
]


def one_day(*wh: int) -> np.ndarray:
    """Reads of a day (1, 24) that begins with `wh`."""
    return np.array([[*wh, *[0] * (24 - len(wh))]])


def spread(window: BillingWindow, kwh: str) -> np.ndarray:
    """Hourly reads (1, n) that add up to `kwh`."""
    n, wh = window.intervals(3600), int(Decimal(kwh) * 1000)
    reads = np.full((1, n), wh // n, dtype=np.int64)
    reads[0, : wh % n] += 1
    return reads


def limits(**by_name: str) -> dict[str, Decimal]:
    return {name: Decimal(limit) for name, limit in by_name.items()}


def step(price: str | dict[str, str], **by_name: str) -> dict[str, object]:
    """A tier with limits by season or period."""
    return {**tier(price), "up_to": limits(**by_name)}


def fee(amount: str, up_to: str | None = None) -> dict[str, object]:
    """A tier with a fee."""
    return {"fee": Decimal(amount), **({} if up_to is None else {"up_to": Decimal(up_to)})}


def rate(made: Tariff, reads: np.ndarray, window: BillingWindow = DAY, **use: np.ndarray):
    (bill,) = rate_batch(made, window, Use(3600, reads, **use)).bills()
    return bill


def shown(bill) -> list[tuple[str, str, str]]:
    return [(line.label.removeprefix("Energy, "), str(line.quantity), str(line.amount)) for line in bill.lines]


def scope_of(made: Tariff, use: Use, net: list[list[int]] | None = None, window: BillingWindow = DAY) -> Scope:
    """The scope of a tariff's first component; `net` is what is left of import by period and customer."""
    left = None if net is None else np.array(net, dtype=np.int64).T
    return Scope(made, window, window, use, window.start_utc, NO_MARKET, NOTHING_CARRIED, left, 0, [])


# Limits


def test_oakville_hydro_losses_at_the_price_of_the_tier_reached() -> None:
    """Oakville Hydro, "Understanding your bill", May to October 2022, 700 kWh; printed."""
    prices = tier("0.098", "600"), tier("0.115")
    oakville = tariff(
        energy(*prices, tiers_per="month", label="Electricity"),
        energy(tier("0.0160"), factor=Decimal("1.0376"), label="Transmission"),
        energy(*prices, tiers_per="month", method="volume", factor=Decimal("0.0376"), label="Losses"),
        energy(tier("0.0039"), factor=Decimal("1.0376"), label="Wholesale"),
        currency="CAD",
    )
    june = BillingWindow(date(2022, 6, 1), date(2022, 7, 1), TORONTO)
    assert [
        (line.label, f"{line.quantity.normalize():f}", str(line.amount))
        for line in rate(oakville, spread(june, "700"), june).lines
    ] == [
        ("Electricity, tier 1", "600", "58.80"),
        ("Electricity, tier 2", "100", "11.50"),
        ("Transmission", "726.32", "11.62"),
        ("Losses, tier 2", "26.32", "3.03"),
        ("Wholesale", "726.32", "2.83"),
    ]


def ontario(**header: object) -> Tariff:
    return tariff(
        energy(step("0.098", summer="600", winter="1000"), tier("0.115"), tiers_per="month"),
        seasons=SEASONS,
        currency="CAD",
        **header,
    )


@pytest.mark.parametrize(
    ("window", "limit"),
    [
        (BillingWindow(date(2024, 10, 1), date(2024, 11, 1), TORONTO), "600.000"),
        (BillingWindow(date(2024, 11, 1), date(2024, 12, 1), TORONTO), "1000.000"),
        # A cycle of 15 days of October and 15 of November: 600 × 15/30 + 1000 × 15/30.
        (BillingWindow(date(2024, 10, 17), date(2024, 11, 16), TORONTO, Fraction(1)), "800.000"),
        # The same days by the calendar are worth 15/31 + 15/30 months: 800 × 61/62 = 787.0967…
        (BillingWindow(date(2024, 10, 17), date(2024, 11, 16), TORONTO), "787.097"),
    ],
)
def test_ontario_thresholds_by_season_in_a_bill_that_crosses_the_first_of_november(
    window: BillingWindow, limit: str
) -> None:
    """Ontario Energy Board, tiered prices: 600 kWh a month from May to October, 1000 from November to April."""
    first, second = rate(ontario(), spread(window, "1200"), window).lines
    assert str(first.quantity) == limit
    assert second.quantity == 1200 - Decimal(limit)


@pytest.mark.parametrize(("cycle", "limit"), [(None, "1000.000"), (date(2024, 10, 1), "600.000")])
def test_seasons_by_cycle_are_those_of_the_month_the_bill_is_for(cycle: date | None, limit: str) -> None:
    window = BillingWindow(date(2024, 10, 17), date(2024, 11, 16), TORONTO, Fraction(1), cycle)
    assert str(rate(ontario(seasons_by="cycle"), spread(window, "1200"), window).lines[0].quantity) == limit


def test_pge_e1_baseline_by_season_and_day() -> None:
    """PG&E, schedule E-1, region P, March 2026: 13.5 kWh a day from June to September, 11 in the rest of the year."""
    e1 = tariff(
        energy(step("0.32561", summer="13.5", winter="11"), tier("0.40702"), tiers_per="day"),
        seasons=[{**SEASONS[0], "begins": ["06-01"]}, {**SEASONS[1], "begins": ["10-01"]}],
        currency="USD",
    )
    june = BillingWindow(date(2026, 6, 1), date(2026, 7, 1), PACIFIC)
    assert shown(rate(e1, spread(june, "600"), june)) == [
        ("tier 1", "405.000", "131.87"),
        ("tier 2", "195.000", "79.37"),
    ]
    # 12 days of May × 11 + 18 of June × 13.5 = 132 + 243
    crossing = BillingWindow(date(2026, 5, 20), date(2026, 6, 19), PACIFIC)
    assert shown(rate(e1, spread(crossing, "600"), crossing)) == [
        ("tier 1", "375.000", "122.10"),
        ("tier 2", "225.000", "91.58"),
    ]


def test_pge_e_tou_c_credits_the_baseline_of_its_season_on_total_use() -> None:
    """PG&E, schedule E-TOU-C, region P, June 2026: 150 peak and 450 off-peak kWh in 30 summer days; derived."""
    made = tariff(
        energy(tier({"peak": "0.5224", "off": "0.3994"})),
        {**baseline("0.0814", "1"), "allowance_per_day": limits(summer="13.5", winter="11")},
        periods=[period("peak", hours=["16:00-21:00"]), period("off")],
        seasons=[{**SEASONS[0], "begins": ["06-01"]}, {**SEASONS[1], "begins": ["10-01"]}],
        currency="USD",
    )
    june = BillingWindow(date(2026, 6, 1), date(2026, 7, 1), PACIFIC)
    by_hour = np.array([1000 if 16 <= hour < 21 else 0 for hour in range(24)])
    by_hour[:9] += 1666
    by_hour[0] += 6  # 9 × 1,666 + 6 = 15,000
    bill = rate(made, np.tile(by_hour, 30)[None], june)
    assert [(str(line.quantity), str(line.amount)) for line in bill.lines] == [
        ("150.000", "78.36"),
        ("450.000", "179.73"),
        ("405.000", "-32.97"),
    ]
    assert str(bill.total) == "225.12"


def test_limits_of_seasons_are_added_before_they_are_rounded() -> None:
    made = tariff(energy(step("0", summer="0.0003", winter="0.0002"), tier("1"), tiers_per="day"), seasons=SEASONS)
    two_days = BillingWindow(date(2025, 4, 30), date(2025, 5, 2), BERLIN)  # 0.2 + 0.3 = 0.5 Wh
    assert shown(rate(made, np.full((1, 48), 1), two_days)) == [
        ("tier 1", "0.001", "0.00"),
        ("tier 2", "0.047", "0.05"),
    ]


@pytest.mark.parametrize(
    ("per", "of_months", "firsts"),
    [
        # The highest quarter hours are 1.5 and 0.25 kWh: 6 kW and 1 kW; the first customer uses 3 kWh, the other 1.
        ("kW_month", Fraction(1), ["0.600", "0.100"]),
        ("kW_month", Fraction(1, 2), ["0.300", "0.050"]),
        ("kW_day", None, ["0.600", "0.100"]),
    ],
)
def test_limits_per_kw_are_each_customers_own(per: str, of_months: Fraction | None, firsts: list[str]) -> None:
    made = tariff(energy(tier("1", "0.1"), tier("2"), tiers_per=per))
    reads = np.zeros((2, 96), dtype=np.int64)
    reads[0, [3, 50]] = 1500
    reads[1, [0, 1, 40, 95]] = 250
    bills = rate_batch(made, replace(DAY, months=of_months), Use(900, reads)).bills()
    assert [str(bill.lines[0].quantity) for bill in bills] == firsts
    assert [sum(line.quantity for line in bill.lines) for bill in bills] == [3, 1]


def test_a_limit_per_kw_is_rounded_half_up_once() -> None:
    made = tariff(energy(tier("0", "0.0005"), tier("1"), tiers_per="kW_day"))
    assert shown(rate(made, one_day(3000, 3000)))[0] == ("tier 1", "0.002", "0.00")  # 0.5 Wh × 3 = 1.5 Wh


def test_export_has_limits_per_kw_of_import() -> None:
    made = tariff(
        energy(tier("0.1")),
        energy(tier("0.2", "1"), tier("0.1"), tiers_per="kW_day", measures="export", label="Fed in"),
    )
    assert shown(rate(made, one_day(2000), exported=one_day(5000)))[1:] == [
        ("Fed in, tier 1", "2.000", "-0.40"),
        ("Fed in, tier 2", "3.000", "-0.30"),
    ]


def test_each_period_has_its_own_limits_on_the_same_running_total() -> None:
    made = tariff(
        energy(
            step({"odd": "0.10", "even": "0.20"}, odd="2", even="3"),
            tier({"odd": "1", "even": "2"}),
            tiers_per="day",
        ),
        periods=ODD_EVEN,
    )
    # Running totals 0.9, 1.8, 2.7, 3.6, 4.5. Even hours below 3: 0.9 + 0.9 + 0. Odd hours below 2: 0.9 + 0.
    assert shown(rate(made, one_day(900, 900, 900, 900, 900))) == [
        ("odd, tier 1", "0.900", "0.09"),
        ("even, tier 1", "1.800", "0.36"),
        ("odd, tier 2", "0.900", "0.90"),
        ("even, tier 2", "0.900", "1.80"),
    ]


def test_a_period_that_is_not_named_has_no_limit_and_no_price_in_later_tiers() -> None:
    made = tariff(
        energy(step({"early": "0.10", "late": "0.20"}, early="1"), tier({"early": "1"}), tiers_per="day"),
        periods=EARLY_LATE,
    )
    assert shown(rate(made, one_day(700, 700, 9000))) == [
        ("early, tier 1", "1.000", "0.10"),
        ("late, tier 1", "9.000", "1.80"),
        ("early, tier 2", "0.400", "0.40"),
    ]


def test_no_limit_in_a_tier_is_none_in_later_ones() -> None:
    made = tariff(energy(step("0.10", early="1"), tier("1", "3"), tier("2"), tiers_per="day"), periods=EARLY_LATE)
    assert shown(rate(made, one_day(2000, 1500, 6000))) == [
        ("tier 1", "7.000", "0.70"),
        ("tier 2", "2.000", "2.00"),
        ("tier 3", "0.500", "1.00"),
    ]


def test_limits_by_period_where_each_has_a_ladder_for_itself() -> None:
    made = tariff(
        energy(step("0.10", early="1", late="2"), tier("1"), tiers_per="day", scope="period"), periods=EARLY_LATE
    )
    assert shown(rate(made, one_day(1500, 0, 2500))) == [("tier 1", "3.000", "0.30"), ("tier 2", "1.000", "1.00")]


# How tiers are counted


def test_volume_is_all_at_the_price_of_the_tier_reached() -> None:
    made = tariff(
        energy(
            tier({"early": "0.1", "late": "0.2"}, "600"), tier({"early": "1", "late": "2"}), tiers_per="month",
            method="volume",
        ),
        periods=EARLY_LATE,
    )  # fmt: skip
    reads = np.zeros((2, 720), dtype=np.int64)
    reads[:, [0, 2]] = 100_000, 500_000
    reads[1, 5] = 1
    at_limit, beyond = rate_batch(made, APRIL, Use(3600, reads)).bills()
    assert shown(at_limit) == [("early, tier 1", "100.000", "10.00"), ("late, tier 1", "500.000", "100.00")]
    assert shown(beyond) == [("early, tier 2", "100.000", "100.00"), ("late, tier 2", "500.001", "1000.00")]


def test_volume_of_each_period_for_itself() -> None:
    made = tariff(
        energy(tier("0.1", "1"), tier("1"), tiers_per="day", method="volume", scope="period"), periods=EARLY_LATE
    )
    assert shown(rate(made, one_day(900, 100, 1500))) == [("tier 1", "1.000", "0.10"), ("tier 2", "1.500", "1.50")]


@pytest.mark.parametrize(
    ("kwh", "label", "amount"),
    [("0", "tier 1", "5.00"), ("100", "tier 1", "5.00"), ("100.001", "tier 2", "8.50"), ("900", "tier 3", "20.00")],
)
def test_a_block_is_one_fee_for_the_tier_reached(kwh: str, label: str, amount: str) -> None:
    made = tariff(
        energy(fee("5", "100"), fee("8.50", "200"), fee("20"), tiers_per="month", method="block"), periods=EARLY_LATE
    )
    (line,) = rate(made, spread(APRIL, kwh), APRIL).lines
    assert (line.label, line.unit, str(line.quantity), str(line.amount)) == (f"Energy, {label}", "month", "1", amount)
    assert (line.period, line.estimated) == (None, 0)


def test_a_block_over_part_of_a_month() -> None:
    made = tariff(energy(fee("5", "100"), fee("8.50"), tiers_per="month", method="block"))
    ten_days = BillingWindow(date(2025, 4, 1), date(2025, 4, 11), BERLIN)  # a third: up to 33,333 Wh
    below, beyond = (rate(made, spread(ten_days, kwh), ten_days).lines[0] for kwh in ("33.333", "33.334"))
    assert (str(below.quantity), str(below.amount)) == ("0.333333333333", "1.67")
    assert (str(beyond.exact), str(beyond.amount)) == ("2.833333333333", "2.83")


def test_each_period_fills_a_ladder_for_itself() -> None:
    made = tariff(
        energy(
            tier({"early": "0.1", "late": "0.2"}, "1"), tier({"early": "1", "late": "2"}), tiers_per="day",
            scope="period",
        ),
        periods=EARLY_LATE,
    )  # fmt: skip
    assert shown(rate(made, one_day(700, 700, 700, 700))) == [
        ("early, tier 1", "1.000", "0.10"),
        ("late, tier 1", "1.000", "0.20"),
        ("early, tier 2", "0.400", "0.40"),
        ("late, tier 2", "0.400", "0.80"),
    ]


def test_periods_share_each_tier_as_they_share_total_use() -> None:
    made = tariff(
        energy(
            tier({"early": "0.1", "late": "0.2"}, "6"), tier({"early": "1", "late": "2"}), tiers_per="day",
            order="share",
        ),
        periods=EARLY_LATE,
    )  # fmt: skip
    # 3 of 10 kWh are early: 1.8 of the first 6.
    assert shown(rate(made, one_day(3000, 0, 7000))) == [
        ("early, tier 1", "1.800", "0.18"),
        ("late, tier 1", "4.200", "0.84"),
        ("early, tier 2", "1.200", "1.20"),
        ("late, tier 2", "2.800", "5.60"),
    ]


def test_shares_are_rounded_along_the_running_sum_and_none_is_negative() -> None:
    # 2 of 10: bounds 0.4, 0.6, 2 → 0, 1, 1. Left 2, 0, 6. 1 of 8: bounds 0.25, 0.25, 1 → 0, 0, 1. Left 2, 0, 5.
    taken = by_share(np.array([[2], [1], [7]]), np.array([[[2]], [[3]]]))
    assert taken[..., 0].tolist() == [[0, 1, 1], [0, 0, 1], [2, 0, 5]]


def test_shares_add_up_over_periods_and_over_tiers() -> None:
    rng = np.random.default_rng(7)
    use = rng.integers(0, 40, (4, 3000)) * rng.integers(0, 2, (4, 3000))
    ends = np.sort(rng.integers(1, 120, (3, 1, 3000)), axis=0)
    taken = by_share(use, ends)
    assert taken.min() == 0
    assert (taken.sum(axis=0) == use).all()
    assert (taken[0].sum(axis=0) == np.minimum(use.sum(axis=0), ends[0, 0])).all()
    assert (taken.sum(axis=1).cumsum(axis=0)[:3] == np.minimum(use.sum(axis=0), ends[:, 0])).all()
    fair = use * taken.sum(axis=1, keepdims=True) / np.maximum(use.sum(axis=0), 1)
    assert np.abs(taken - fair).max() < 3


def test_shares_beyond_64_bits_are_exact() -> None:
    wide = 10**15
    taken = by_share(np.array([[3 * wide], [7 * wide]]), np.array([[[wide]]]))
    assert taken[..., 0].tolist() == [[3 * wide // 10, 7 * wide // 10], [27 * wide // 10, 63 * wide // 10]]


def test_a_limit_beyond_64_bits_is_none() -> None:
    made = tariff(energy(tier("0.1", "999999999999"), tier("1"), tiers_per="kW_day"))
    assert shown(rate(made, one_day(10**12, 10**12))) == [("tier 1", "2000000000.000", "200000000.00")]
    assert NO_LIMIT > 366 * 1440 * 10**12


def test_a_schedule_of_its_own_and_a_credit() -> None:
    made = tariff(
        energy(tier("0.30")),
        energy(tier({"night": "0.05", "day": "0"}), label="Night", schedule="heat", credit=True),
        periods=EARLY_LATE,
        schedules={"heat": [period("night", hours=["22:00-06:00"]), period("day")]},
    )
    bill = rate(made, one_day(0, 0, 1000, 0, 0, 0, 0, 2000))
    assert shown(bill) == [
        ("Energy", "3.000", "0.90"),
        ("Night, night", "1.000", "-0.05"),
        ("Night, day", "2.000", "0.00"),
    ]
    assert [(line.kind, str(line.price)) for line in bill.lines][1] == ("energy", "-0.05")


def test_a_component_with_dates_has_the_limits_of_its_days() -> None:
    made = tariff(energy(tier("0.1", "10"), tier("1"), tiers_per="day", valid_from=date(2025, 4, 28)))
    assert shown(rate(made, np.full((1, 720), 1000), APRIL)) == [
        ("tier 1", "30.000", "3.00"),
        ("tier 2", "42.000", "42.00"),
    ]


# Net use


NET = tariff(
    energy(
        tier({"early": "0.1", "late": "0.2"}, "6"), tier({"early": "1", "late": "2"}), tiers_per="day", order="share"
    ),
    baseline("0.1", "4"),
    periods=EARLY_LATE,
)


def quantities(columns) -> list[list[int]]:
    return [column.quantity.tolist() for column in columns]


def test_tiers_and_the_baseline_count_net_use() -> None:
    scope = scope_of(NET, Use(3600, np.full((2, 24), 9999)), net=[[3000, 0], [7000, 500]])
    assert quantities(energy_columns(NET.components[0], scope)) == [[1800, 0], [4200, 500], [1200, 0], [2800, 0]]
    assert quantities(baseline_credit(NET.components[1], scope)) == [[4000, 500]]


def test_net_use_of_each_period_for_itself_and_of_a_single_period() -> None:
    for made, net, expected in (
        (tariff(energy(tier("1", "4"), tier("2"), tiers_per="day")), [[3000, 7000]], [[3000, 4000], [0, 3000]]),
        (
            tariff(energy(tier("1", "4"), tier("2"), tiers_per="day", scope="period"), periods=EARLY_LATE),
            [[3000, 7000], [5000, 0]],
            [[7000, 4000], [1000, 3000]],
        ),
        (
            tariff(energy(tier("1", "4"), tier("2"), tiers_per="day", method="volume"), periods=EARLY_LATE),
            [[3000, 3000], [5000, 1000]],
            [[0, 4000], [8000, 0]],
        ),
    ):
        scope = scope_of(made, Use(3600, np.zeros((2, 24), np.int64)), net)
        assert quantities(energy_columns(made.components[0], scope)) == expected


@pytest.mark.parametrize(
    ("component", "reason"),
    [
        (
            energy(tier("1", "4"), tier("2"), tiers_per="day"),
            "tiers of 'Energy' cannot fill in time order over several",
        ),
        (energy(tier("1"), measures="export"), "'Energy' can price what is left of import by its own periods alone"),
        (energy(tier("1"), schedule="other"), "'Energy' can price what is left of import by its own periods alone"),
    ],
)
def test_net_use_that_cannot_be_priced(component: dict[str, object], reason: str) -> None:
    made = tariff(component, periods=EARLY_LATE, schedules={"other": EARLY_LATE})
    scope = scope_of(made, Use(3600, one_day(1), one_day(1)), net=[[1], [1]])
    with pytest.raises(CannotRate, match=reason):
        energy_columns(made.components[0], scope)


def test_net_use_has_no_days_of_its_own() -> None:
    scope = scope_of(NET, Use(3600, one_day(1)), net=[[1], [1]])
    part = replace(scope, window=BillingWindow(date(2025, 1, 6), date(2025, 1, 8), BERLIN))
    for columns, component in zip((energy_columns, baseline_credit), NET.components, strict=True):
        with pytest.raises(CannotRate, match="no price can begin or end inside a bill"):
            columns(component, part)


# Estimates


def marked(*hours: int) -> np.ndarray:
    """Estimated hours of a day (1, 24)."""
    return np.isin(np.arange(24), hours)[None]


def estimates(bill) -> dict[str, str]:
    return {line.label.removeprefix("Energy, "): str(line.estimated) for line in bill.lines}


@pytest.mark.parametrize(
    ("keys", "hours", "expected"),
    [
        # Of the second hour, 0.7 to 1.4 kWh, 0.3 are below the limit; hours 2 and 3 are late.
        ({}, (1, 3), {"early, tier 1": "0.300", "early, tier 2": "0.400", "late, tier 2": "0.700"}),
        ({"scope": "period"}, (1, 3), {"early, tier 1": "0.300", "late, tier 1": "0.300",
                                       "early, tier 2": "0.400", "late, tier 2": "0.400"}),
        # Shares: half of 1 kWh each in tier 1, 0.9 in tier 2. 0.7 × 0.5 ÷ 1.4 and 0.7 × 0.9 ÷ 1.4.
        ({"order": "share"}, (1,), {"early, tier 1": "0.250", "early, tier 2": "0.450"}),
        ({"method": "volume"}, (1, 2, 3), {"early, tier 2": "0.700", "late, tier 2": "1.400"}),
        ({"factor": Decimal("1.05")}, (1,), {"early, tier 1": "0.31500", "early, tier 2": "0.42000"}),
        ({}, (23,), {}),
        ({}, (), {}),
    ],
)  # fmt: skip
def test_how_much_of_a_line_is_estimated(keys: dict, hours: tuple[int, ...], expected: dict[str, str]) -> None:
    prices = [{"early": "0.1", "late": "0.2"}, {"early": "1", "late": "2"}]
    made = tariff(energy(tier(prices[0], "1"), tier(prices[1]), tiers_per="day", **keys), periods=EARLY_LATE)
    bill = rate(made, one_day(700, 700, 700, 700), estimated=marked(*hours))
    assert {label: its for label, its in estimates(bill).items() if Decimal(its)} == expected


def test_estimates_of_one_price_and_of_the_baseline_and_none_of_export() -> None:
    made = tariff(
        energy(tier("0.1", "1"), tier("1"), tiers_per="day"),
        energy(tier("0.01"), label="Levy"),
        energy(tier("0.1"), measures="export", label="Fed in"),
        baseline("0.1", "2.5"),
        periods=ODD_EVEN,
    )
    bill = rate(made, one_day(700, 700, 700, 700), estimated=marked(1, 3), exported=one_day(0, 50))
    assert estimates(bill) == {
        "tier 1": "0.300",
        "tier 2": "1.100",
        "Levy": "1.400",
        "Fed in": "0",
        "Baseline": "1.100",  # of hour 3 it has 2.1 to 2.5 kWh
    }


def test_estimates_of_net_use_are_shared_over_the_tiers() -> None:
    use = Use(3600, one_day(1500, 0, 5000), estimated=marked(0, 2))
    scope = scope_of(NET, use, net=[[3000], [7000]])
    assert [column.estimated.tolist() for column in energy_columns(NET.components[0], scope)] == [
        [900],  # half of 1,800, as of the period
        [3000],
        [600],
        [2000],
    ]
    assert baseline_credit(NET.components[1], scope)[0].estimated.tolist() == [4000]


def hour_by_hour(
    made: Tariff, reads: list[int], marks: list[bool], ends: dict[tuple[int, str], int], *, each: bool
) -> dict[tuple[str, int], tuple[int, int]]:
    """Use and estimated use by period and tier of one customer, Wh by Wh hour."""
    names = [made.periods[code].name for code in codes_of(made, DAY, 3600)]
    used: dict[str, int] = {}
    found: dict[tuple[str, int], tuple[int, int]] = {}
    for name, wh, mark in zip(names, reads, marks, strict=True):
        ladder = name if each else "all"
        for _ in range(wh):
            used[ladder] = used.get(ladder, 0) + 1
            number = 1 + sum(used[ladder] > ends.get((tier, name), NO_LIMIT) for tier in (1, 2))
            total, estimated = found.get((name, number), (0, 0))
            found[name, number] = total + 1, estimated + mark
    return found


@pytest.mark.parametrize("scope", ["bill", "period"])
@pytest.mark.parametrize("by_period", [False, True])
def test_every_wh_falls_into_the_tier_it_reaches(scope: str, by_period: bool) -> None:
    prices = [{"odd": "0.1", "even": "0.2"}, {"odd": "1", "even": "2"}, {"odd": "3", "even": "4"}]
    first = step(prices[0], odd="0.02", even="0.05") if by_period else tier(prices[0], "0.03")
    second = step(prices[1], odd="0.08") if by_period else tier(prices[1], "0.09")
    last = tier({"odd": "3"}) if by_period else tier(prices[2])
    made = tariff(energy(first, second, last, tiers_per="day", scope=scope), periods=ODD_EVEN)
    ends = {(1, "odd"): 20, (1, "even"): 50, (2, "odd"): 80} if by_period else {}
    ends = ends or {(number, name): end for number, end in ((1, 30), (2, 90)) for name in ("odd", "even")}
    rng = np.random.default_rng(11)
    reads = rng.integers(0, 16, (40, 24)) * rng.integers(0, 2, (40, 24))
    marks = rng.random((40, 24)) < rng.choice([0, 0.2, 1], (40, 1))
    bills = rate_batch(made, DAY, Use(3600, reads, estimated=marks)).bills()
    for bill, its, at in zip(bills, reads.tolist(), marks.tolist(), strict=True):
        assert {
            (line.period, line.tier): (int(line.quantity * 1000), int(line.estimated * 1000)) for line in bill.lines
        } == hour_by_hour(made, its, at, ends, each=scope == "period")


# No guess


def unchecked(component: dict[str, object], **header: object) -> Tariff:
    """A tariff that a check would refuse."""
    return Tariff.model_validate({**tariff(energy(tier("1"))).model_dump(), "components": [component], **header})


@pytest.mark.parametrize(
    ("component", "reason"),
    [
        (
            energy(step("1", summer="1"), tier("2"), tiers_per="day"),
            "no limit for 'winter', the season of 1 of the bill",
        ),
        (energy(tier("1"), tier("2"), tiers_per="day"), "no limit for tier 1 of 'Energy'"),
        (energy(tier({"early": "1"})), "no price for 'Energy, late'"),
        (energy(tier("1"), method="block"), "no fee for 'Energy'"),
        (energy(step("1", early="1"), tier("2"), tiers_per="day", order="share"), "limits by period for 'Energy'"),
        ({**baseline("1", "1"), "allowance_per_day": limits(summer="1")}, "no limit for 'winter'"),
    ],
)
def test_no_line_rather_than_a_wrong_one(component: dict[str, object], reason: str) -> None:
    made = unchecked(component, seasons=SEASONS, periods=EARLY_LATE)
    with pytest.raises(CannotRate, match=f"case has {reason}"):
        rate(made, one_day(0, 0, 1000))


def test_the_mean_limit_of_a_bill_is_exact() -> None:
    window = BillingWindow(date(2024, 10, 30), date(2024, 11, 6), TORONTO)
    assert mean_limit(limits(summer="600", winter="1000"), ontario(), window) == Fraction(2 * 600 + 5 * 1000, 7)
