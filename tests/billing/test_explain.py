"""Why a bill differs from another: parts worked by hand, and parts that always add up."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest

from headend.billing.explain import Cause, Explanation, explain
from headend.billing.statement import (
    PeriodUse,
    Segment,
    Statement,
    StatementLine,
    TariffVersion,
    TierUse,
    parse_statement,
    totals_of,
)
from headend.billing.usage import statement_line
from headend.config import shipped
from headend.errors import InvalidInput
from headend.reads.days import zone_named
from headend.store.ledger import SqlLedger
from headend.tariffs import BillingWindow, Market, PriceSeries, Tariff, Use, codes_of, load_tariff, rate_batch
from tests.billing.made import made_statement
from tests.billing.town import IMPORT, Town

D = Decimal
BERLIN = zone_named("Europe/Berlin")
MADE = made_statement()


def line(
    kind: str, label: str, quantity: str, unit: str, price: str, period: str | None = None, tier: int | None = None
):
    exact = D(quantity) * D(price)
    return StatementLine(
        kind, label, D(quantity), unit, D(price), exact.quantize(D("0.01"), "ROUND_HALF_UP"), period, tier
    )


def bill(
    *lines: StatementLine,
    days: int = 30,
    use: str = "300",
    tariff: str = "home",
    periods: tuple[PeriodUse, ...] = (),
    tiers: tuple[TierUse, ...] = (),
    **other: object,
) -> Segment:
    tax = sum((each.amount for each in lines if each.kind == "tax"), D(0))
    gross = sum((each.amount for each in lines if not each.included), D(0))
    return replace(
        MADE.segments[0],
        days=days,
        usage=D(use),
        tariff=TariffVersion(tariff, tariff, tariff.ljust(64, "0")),
        usage_by_period=periods,
        usage_by_tier=tiers,
        lines=lines,
        net=gross - tax,
        tax=tax,
        gross=gross,
        **other,
    )


def statement(name: str, *segments: Segment) -> Statement:
    return replace(MADE, id=name, segments=segments, totals=totals_of(segments))


def split(before: Segment, now: Segment) -> dict[str, str]:
    return told(explain(statement("now", now), statement("before", before)))


def told(found: Explanation) -> dict[str, str]:
    assert sum(part.amount for part in found.parts) == found.difference
    for service in found.services:
        gross = [D(0) if side is None else side.gross for side in (service.before, service.now)]
        assert sum(part.amount for part in service.parts) == gross[1] - gross[0]
    return {str(part.cause): str(part.amount) for part in found.parts}


def two_rates(peak: str, rest: str, peak_price: str = "0.40", rest_price: str = "0.20") -> tuple[StatementLine, ...]:
    return (
        line("energy", "Energy, Peak", peak, "kWh", peak_price, "peak"),
        line("energy", "Energy, Other hours", rest, "kWh", rest_price, "rest"),
    )


def by_period(peak: str, rest: str) -> tuple[PeriodUse, ...]:
    return PeriodUse("peak", "Peak", D(peak)), PeriodUse("rest", "Other hours", D(rest))


def test_the_example_of_the_documentation() -> None:
    """September: 30 days, 300 kWh, a third at peak; October: 31 days, 372 kWh, a quarter; dearer, and taxed higher."""
    before = bill(
        *two_rates("100", "200"),
        line("standing", "Standing charge", "30", "day", "0.30"),
        line("tax", "VAT 19 %", "89.00", "EUR", "0.19"),
        periods=by_period("100", "200"),
    )
    now = bill(
        *two_rates("93", "279", "0.42"),
        line("standing", "Standing charge", "31", "day", "0.32"),
        line("tax", "VAT 20 %", "104.78", "EUR", "0.20"),
        days=31,
        use="372",
        tariff="home-2",
        periods=by_period("93", "279"),
    )
    assert (before.gross, now.gross) == (D("105.91"), D("125.74"))
    # days: 80 × 1/30 + 0.30; use: 80 × (372/300 − 31/30); when: 93 × 0.40 + 279 × 0.20 − 80 × 372/300;
    # price: 93 × 0.02; fixed: 31 × 0.02; tax: 0.19 × 15.78 and 104.78 × 0.01. 14.916… rounded parts leave 0.00.
    assert split(before, now) == {
        "days": "2.97",
        "use": "16.53",
        "when": "-6.20",
        "price": "1.86",
        "fixed": "0.62",
        "tax_base": "3.00",
        "tax_rate": "1.05",
    }


def test_more_in_a_dearer_tier() -> None:
    """100 kWh of 150 in the first tier before, 100 of 300 now: the 100 more would have had 66.67 at the old shares."""

    def tiered(first: str, second: str) -> Segment:
        return bill(
            line("energy", "Energy, tier 1", first, "kWh", "0.10", tier=1),
            line("energy", "Energy, tier 2", second, "kWh", "0.40", tier=2),
            use=str(D(first) + D(second)),
        )

    # 30 × (300/150 − 1) = 30; 100 × 0.10 + 200 × 0.40 − 60 = 30.
    assert split(tiered("100", "50"), tiered("100", "200")) == {"use": "30.00", "tier": "30.00"}


def test_periods_that_take_the_place_of_others_are_another_season() -> None:
    summer = bill(line("energy", "Energy, Summer", "300", "kWh", "0.20", "summer"))
    winter = bill(line("energy", "Energy, Winter", "300", "kWh", "0.25", "winter"))
    assert split(summer, winter) == {"season": "15.00"}


def test_a_period_that_only_one_bill_has_is_another_time_of_use() -> None:
    calm = bill(line("energy", "Energy, Off-peak", "300", "kWh", "0.20", "off_peak"))
    called = bill(
        line("energy", "Energy, Off-peak", "290", "kWh", "0.20", "off_peak"),
        line("energy", "Energy, Critical peak", "10", "kWh", "1.20", "critical"),
    )
    assert split(calm, called) == {"when": "10.00"}
    assert split(called, calm) == {"when": "-10.00"}


def test_another_tariff_is_another_price() -> None:
    flat = bill(line("energy", "Energy", "300", "kWh", "0.30"), tariff="flat")
    tou = bill(*two_rates("90", "270"), use="360", tariff="tou", periods=by_period("90", "270"))
    # 90 × 60/300 = 18 for more use at 0.30, then 360 kWh at 0.25 instead of 0.30.
    assert split(flat, tou) == {"use": "18.00", "price": "-18.00"}


def test_components_of_other_names_are_compared_by_their_mean_price() -> None:
    before = bill(line("energy", "Energy", "300", "kWh", "0.30"), tariff="a")
    now = bill(
        line("energy", "Work", "330", "kWh", "0.20"),
        line("energy", "Network", "330", "kWh", "0.12"),
        use="330",
        tariff="b",
    )
    assert split(before, now) == {"use": "9.00", "price": "6.60"}


def test_a_service_that_only_one_bill_has() -> None:
    power, gas = bill(line("energy", "Energy", "300", "kWh", "0.30")), bill(line("energy", "Gas", "10", "m³", "2.00"))
    gas = replace(gas, commodity="gas", usage_point="UP-9")
    found = explain(statement("now", power, gas), statement("before", power))
    assert told(found) == {"services": "20.00"}
    assert [service.commodity for service in found.services if service.before is None] == ["gas"]


def test_who_has_moved_keeps_the_service() -> None:
    before = bill(line("energy", "Energy", "300", "kWh", "0.30"))
    now = replace(bill(line("energy", "Energy", "200", "kWh", "0.30"), use="200"), usage_point="UP-2")
    assert split(before, now) == {"use": "-30.00"}


def test_demand_credits_surcharges_and_contained_taxes() -> None:
    before = bill(
        line("demand", "Demand", "5", "kW", "10"),
        line("export", "Feed-in", "100", "kWh", "-0.10"),
        line("percentage", "Discount", "50.00", "EUR", "-0.05"),
        replace(line("tax", "VAT in it", "119", "EUR", "0.19"), included=True),
    )
    now = bill(
        line("demand", "Demand", "6", "kW", "11"),
        line("export", "Feed-in", "150", "kWh", "-0.10"),
        line("percentage", "Discount", "66.00", "EUR", "-0.05"),
        replace(line("tax", "VAT in it", "238", "EUR", "0.19"), included=True),
    )
    assert split(before, now) == {"demand": "16.00", "surcharges": "-0.80", "credits": "-5.00"}


def test_cents_that_rounding_leaves() -> None:
    # 3 lines of 0.005 each are 0.01 each on the bill: 0.03 instead of 0.015.
    none = bill(line("energy", "Energy", "300", "kWh", "0"))
    three = bill(
        line("energy", "Energy", "300", "kWh", "0"),
        *(line("standing", f"Fee {n}", "1", "month", "0.005") for n in range(3)),
    )
    assert split(none, three) == {"fixed": "0.02", "rounding": "0.01"}


def test_no_use_before() -> None:
    standing = line("standing", "Standing charge", "1", "month", "10")
    now = bill(line("energy", "Energy", "300", "kWh", "0.30"), standing)
    assert split(bill(standing, use="0"), now) == {"use": "90.00"}
    assert split(now, bill(standing, use="0")) == {"use": "-90.00"}


def test_what_cannot_be_compared() -> None:
    one = statement("one", bill(line("energy", "Energy", "300", "kWh", "0.30")))
    with pytest.raises(InvalidInput, match="another statement"):
        explain(one, one)
    with pytest.raises(InvalidInput, match="of account B"):
        explain(one, replace(one, id="two", customer=replace(one.customer, account="B")))
    dollars = replace(one.segments[0], currency="USD")
    with pytest.raises(InvalidInput, match="in USD"):
        explain(one, statement("two", dollars))


TARIFFS = [
    load_tariff(shipped(f"tariffs/{name}.toml"))
    for name in (
        "home-flat",
        "home-tou",
        "home-tiered",
        "home-solar",
        "home-capacity",
        "home-tou-baseline",
        "home-net-metering",
        "home-critical-peak",
        "home-dynamic",
        "business-tou",
        "home-seasonal-tiers",
    )
]


def rated(tariff: Tariff, month: date, days: int, level: int, seed: int) -> Segment:
    """A segment by the engine: random hourly use around `level` Wh."""
    rng = np.random.default_rng(seed)
    window = BillingWindow(month, month + timedelta(days=days), BERLIN, cycle=month)
    n = window.intervals(3600)
    reads = rng.integers(0, 2 * level + 1, (1, n))
    begins = int(window.start_utc.timestamp()) + 3600 * np.arange(n)
    prices = rng.integers(-500, 4000, n)
    market = Market(
        {"day-ahead": PriceSeries("day-ahead", tariff.currency, "kWh", begins, begins + 3600, prices, 4)}, {}
    )
    use = Use(3600, reads, rng.integers(0, level + 1, (1, n)), rng.integers(0, level + 1, (1, n)), None)
    batch = rate_batch(tariff, window, use, market)
    lines = tuple(statement_line(each) for each in batch.bills()[0].lines)
    codes = codes_of(tariff, window, 3600, market=market)
    shares = tuple(
        PeriodUse(period.name, period.label, D(int(reads[0, codes == i].sum())) / 1000)
        for i, period in enumerate(tariff.periods)
    )
    segment = bill(*lines, days=days, use=str(D(int(reads.sum())) / 1000), tariff=tariff.id)
    return replace(segment, usage_by_period=shares if len(shares) > 1 else (), currency="EUR")


@pytest.mark.parametrize("seed", range(40))
def test_parts_add_up_for_any_two_bills(seed: int) -> None:
    """Of one tariff or two, of whole months and parts; rounding takes no more than half a cent a line and part."""
    draw = random.Random(seed)
    tariffs = draw.choices(TARIFFS, k=2) if seed % 2 else [draw.choice(TARIFFS)] * 2
    sides = []
    for name, tariff in zip(("before", "now"), tariffs, strict=True):
        month = date(2026, draw.randint(1, 12), 1)
        level = draw.choice((0, 1, 300, 900))
        sides.append(statement(name, rated(tariff, month, draw.choice((1, 9, 28)), level, draw.randrange(10**6))))
    found = explain(sides[1], sides[0])
    told(found)
    lines = sum(len(side.segments[0].lines) for side in sides)
    rounding = {part.cause: part.amount for part in found.parts}.get(Cause.ROUNDING, D(0))
    assert abs(rounding) <= D("0.005") * (lines + len(Cause))
    back = explain(replace(sides[0], id="later"), sides[1])
    assert back.difference == -found.difference


def test_statements_of_a_real_town(town: Town) -> None:
    """September and October of a home that used twice as much in October."""
    town.account("Ada", {"tariff": "tiered"})
    town.meter("E-1", "Ada", IMPORT)
    town.reads("E-1", 200, first=date(2026, 8, 30), last=date(2026, 9, 30))
    town.reads("E-1", 400, first=date(2026, 10, 1))
    for period in ("2026-09", "2026-10"):
        town.bill(period)
    with town.database.read() as tx:
        now, before = (parse_statement(each.document) for each in SqlLedger(tx).statements_of("Ada"))
    found = explain(now, before)
    parts = told(found)
    assert set(parts) - {"rounding"} <= {"days", "use", "when", "tier"}
    assert D(parts["tier"]) > 0
    (service,) = found.services
    assert (service.before.days, service.now.days) == (30, 31)
