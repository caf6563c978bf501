"""What changed between two tariffs."""

from __future__ import annotations

from decimal import Decimal

from headend.tariffs import Tariff
from headend.tariffs.format.diff import Change, diff

from .make import energy, period, standing, tariff, tax, tier

DAY_AND_NIGHT = [period("day", hours=["08:00-20:00"]), period("night")]


def two_prices(day: str, night: str) -> Tariff:
    return tariff(energy(tier({"day": day, "night": night})), periods=DAY_AND_NIGHT)


def test_equal_tariffs_have_no_changes_however_they_are_written() -> None:
    assert diff(two_prices("0.3", "0.2"), two_prices("0.30", "0.200")) == []


def test_each_price_has_its_percent_rounded_half_away_from_zero() -> None:
    assert diff(two_prices("0.3", "0.2"), two_prices("0.4", "0.19975")) == [
        Change("components[Energy].tiers[0].price.day", "0.3", "0.4", Decimal("33.33")),
        Change("components[Energy].tiers[0].price.night", "0.2", "0.19975", Decimal("-0.13")),
    ]


def test_from_nothing_there_is_no_percent() -> None:
    assert diff(two_prices("0", "0.2"), two_prices("0.1", "0.2")) == [
        Change("components[Energy].tiers[0].price.day", "0", "0.1", None)
    ]


def test_one_price_against_a_table_is_that_of_each_period() -> None:
    one = tariff(energy(tier("0.25")), periods=DAY_AND_NIGHT)
    assert diff(one, two_prices("0.3", "0.25")) == [
        Change("components[Energy].tiers[0].price.day", "0.25", "0.3", Decimal("20.00"))
    ]


def test_head_periods_and_schedules() -> None:
    before = tariff(energy(tier("0.3")), holidays={"country": "DE"}, periods=DAY_AND_NIGHT)
    after = tariff(
        energy(tier("0.3")),
        id="other",
        netting="interval",
        periods=[period("night", hours=["20:00-08:00"]), period("day")],
        schedules={"power": [period("all")]},
    )
    assert diff(before, after) == [
        Change("id", "case", "other"),
        Change("netting", "none", "interval"),
        Change("holidays.country", "DE", None),
        Change("periods[day].hours", "08:00-20:00", None),
        Change("periods[night].hours", None, "20:00-08:00"),
        Change("periods (order)", "day, night", "night, day"),
        Change("schedules.power[all].label", None, "all"),
    ]


def test_components_are_found_again_by_name_then_label_then_kind() -> None:
    before = tariff(
        energy(tier("0.3"), name="supply"),
        energy(tier("0.1"), label="Network"),
        standing("5", "month"),
        tax("19"),
    )
    after = tariff(
        energy(tier("0.1"), label="Network"),
        energy(tier("0.33"), name="supply", label="Supply"),
        tax("7") | {"label": "VAT 7 %"},
        {"kind": "percentage", "label": "Rebate", "percent": -3, "on": ["supply"]},
    )
    assert diff(before, after) == [
        Change("components[supply].label", "Energy", "Supply"),
        Change("components[supply].tiers[0].price", "0.3", "0.33", Decimal("10.00")),
        Change("components[Standing].label", "Standing", None),
        Change("components[Standing].kind", "standing", None),
        Change("components[Standing].per", "month", None),
        Change("components[Standing].price", "5", None),
        Change("components[Tax].label", "Tax", "VAT 7 %"),
        Change("components[Tax].percent", "19", "7", Decimal("-63.16")),
        Change("components[Rebate].label", None, "Rebate"),
        Change("components[Rebate].kind", None, "percentage"),
        Change("components[Rebate].percent", None, "-3"),
        Change("components[Rebate].on", None, "supply"),
        Change("components (order)", "supply, Network, Tax", "Network, supply, Tax"),
    ]


def test_a_tier_more_is_told_by_what_it_says() -> None:
    before = tariff(energy(tier("0.3")))
    after = tariff(energy(tier("0.3", "100"), tier("0.4"), tiers_per="month"))
    assert diff(before, after) == [
        Change("components[Energy].tiers_per", None, "month"),
        Change("components[Energy].tiers[0].up_to", None, "100"),
        Change("components[Energy].tiers[1].price", None, "0.4"),
    ]
