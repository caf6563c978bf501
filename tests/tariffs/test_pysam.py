"""Random rates and years beside NREL's PySAM: each month's charges within a millionth of a dollar.

A rate is written as the Utility Rate Database would have it; NREL's import and rating take it on one side, ours on the
other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headend.tariffs import Load, Tariff, rate_months
from headend.tariffs.urdb import tariff_from_urdb
from tests.tariffs.pysam_rates import HOURS, NET_BILLING_CARRIED_OVER, Rate, model_of, rated

SEEDS = st.integers(0, 2**32 - 1)
SMALL = st.integers(1, 6000).map(lambda number: number / 10_000)
LARGE = st.integers(1, 2500).map(lambda number: number / 100)
LIMITS = {
    "kWh": st.integers(20, 1500),
    "kWh daily": st.integers(1, 45),
    "kWh/kW": st.integers(5, 300),
    "kWh/kW daily": st.integers(1, 9),
    "kW": st.integers(1, 8),
}
DAYS_BEFORE = np.cumsum([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30])

few = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def structures(
    draw: st.DrawFn, seasons: int, periods: int, unit: str, *, tiers: Sequence[int] = (1,), sell: str = "none"
) -> list[list[dict[str, Any]]]:
    """Prices of the periods of each season, one after the other; a season has its own limits."""
    price = LARGE if unit == "kW" else SMALL
    made = []
    for _ in range(seasons):
        n = draw(st.sampled_from(tiers))
        limits = sorted(draw(st.sets(LIMITS[unit], min_size=n - 1, max_size=n - 1)))
        for _ in range(periods):
            ladder = [{"rate": draw(price), "unit": unit, **({"max": up})} for up in limits]
            ladder.append({"rate": draw(price), "unit": unit})
            if draw(st.booleans()):
                ladder[0]["adj"] = draw(SMALL)
            one = draw(SMALL)
            for step in ladder if sell != "none" else ():
                step["sell"] = draw(SMALL) if sell == "by tier" else one
            made.append(ladder)
    return made


@st.composite
def schedules(draw: st.DrawFn, seasons: int, periods: int) -> tuple[list[list[int]], list[list[int]]]:
    """Periods of the hours of weekdays and weekends, in months that each are in a season."""
    days = []
    of_month = draw(st.lists(st.integers(0, seasons - 1), min_size=12, max_size=12))
    for _ in range(2):
        hours = st.lists(st.integers(0, periods - 1), min_size=24, max_size=24)
        rows = [draw(hours) for _ in range(2 * seasons)]
        days.append([[period + periods * of for period in rows[2 * of + draw(st.integers(0, 1))]] for of in of_month])
    return days[0], days[1]


@st.composite
def energy_rates(draw: st.DrawFn, seasons: int = 1, periods: int = 1, unit: str = "kWh", **more: Any) -> Rate:
    """A rate for energy."""
    weekday, weekend = draw(schedules(seasons, periods))
    return {
        "name": "Random rate",
        "energyratestructure": draw(structures(seasons, periods, unit, **more)),
        "energyweekdayschedule": weekday,
        "energyweekendschedule": weekend,
    }


@st.composite
def demand_rates(draw: st.DrawFn, seasons: int = 1, periods: int = 1, tiers: Sequence[int] = (1,)) -> Rate:
    """A rate for energy and for demand by hours."""
    weekday, weekend = draw(schedules(seasons, periods))
    return {
        **draw(energy_rates()),
        "demandratestructure": draw(structures(seasons, periods, "kW", tiers=tiers)),
        "demandweekdayschedule": weekday,
        "demandweekendschedule": weekend,
    }


@st.composite
def flat_demand_rates(draw: st.DrawFn, seasons: int = 1, tiers: Sequence[int] = (1,)) -> Rate:
    """A rate for energy and for demand by months."""
    return {
        **draw(energy_rates()),
        "flatdemandstructure": draw(structures(seasons, 1, "kW", tiers=tiers)),
        "flatdemandmonths": draw(st.lists(st.integers(0, seasons - 1), min_size=12, max_size=12)),
        "flatdemandunit": "kW",
    }


def year_of_use(seed: int, step: int = 1, parts: int = 1) -> np.ndarray:
    """Use of a house in parts of hours [Wh], multiples of `step`, more in some months than others (8760 × parts,)."""
    random = np.random.default_rng(seed)
    month = np.searchsorted(DAYS_BEFORE, np.arange(HOURS * parts) // (24 * parts), side="right") - 1
    use = random.gamma(1.2, 600 / parts, HOURS * parts) * random.uniform(0.2, 2, 12)[month]
    return use.astype(np.int64) // step * step


def year_of_sun(seed: int) -> np.ndarray:
    """Hourly production of a roof [Wh] (8760,)."""
    random = np.random.default_rng(seed + 1)
    hour = np.arange(HOURS)
    height = np.sin((hour % 24 - 6) / 12 * np.pi) * (1 - 0.6 * np.cos(hour / HOURS * 2 * np.pi))
    return (np.maximum(height, 0) * random.uniform(0, random.uniform(500, 4000), HOURS)).astype(np.int64)


def load_of(used: np.ndarray, made: np.ndarray | None = None, *, two_meters: bool = False) -> Load:
    """What the meter counts: the difference of each hour; or use and production apart."""
    start = datetime(2018, 1, 1, tzinfo=UTC)
    if made is None:
        return Load(start, 3600 * HOURS // len(used), used, None)
    if two_meters:
        return Load(start, 3600, used, made)
    return Load(start, 3600, np.maximum(used - made, 0), np.maximum(made - used, 0))


def months_of(tariff: Tariff, load: Load) -> list[dict[str, Decimal]]:
    months = rate_months(tariff, load, ZoneInfo("UTC"))["months"]
    return [{name: Decimal(amount) for name, amount in month.items() if name != "month"} for month in months]


def differ(ours: list[dict[str, Decimal]], theirs: list[dict[str, float]]) -> Decimal:
    """The largest difference in any charge of any month."""
    assert len(ours) == len(theirs) == 12
    return max(abs(mine[key] - Decimal(its[key])) for mine, its in zip(ours, theirs, strict=True) for key in its)


def check(rate: Rate, used: np.ndarray) -> list[dict[str, Decimal]]:
    ours = months_of(tariff_from_urdb(json.dumps(rate), "rate.json"), load_of(used))
    assert differ(ours, rated(model_of(rate), used)) < Decimal("1e-6")
    return ours


@few
@given(energy_rates(), SEEDS)
def test_one_price(rate: Rate, seed: int) -> None:
    check(rate, year_of_use(seed))


@few
@given(energy_rates(periods=3), SEEDS)
def test_time_of_use(rate: Rate, seed: int) -> None:
    check(rate, year_of_use(seed))


@few
@given(energy_rates(seasons=3, periods=2), SEEDS)
def test_time_of_use_with_seasons(rate: Rate, seed: int) -> None:
    check(rate, year_of_use(seed))


@few
@given(energy_rates(tiers=(2, 3)), SEEDS)
def test_tiers(rate: Rate, seed: int) -> None:
    check(rate, year_of_use(seed))


@few
@given(energy_rates(periods=3, tiers=(2, 3)), SEEDS)
def test_time_of_use_and_tiers(rate: Rate, seed: int) -> None:
    check(rate, year_of_use(seed))


@few
@given(energy_rates(seasons=2, periods=2, tiers=(1, 2, 3)), SEEDS)
def test_limits_and_numbers_of_tiers_that_differ_by_period(rate: Rate, seed: int) -> None:
    check(rate, year_of_use(seed))


@pytest.mark.parametrize("unit", ["kWh daily", "kWh/kW", "kWh/kW daily"])
@few
@given(st.data(), SEEDS)
def test_limits_by_day_and_by_kw(unit: str, data: st.DataObject, seed: int) -> None:
    check(data.draw(energy_rates(seasons=2, periods=2, unit=unit, tiers=(2, 3))), year_of_use(seed))


@few
@given(flat_demand_rates(seasons=3, tiers=(1, 2, 3)), SEEDS)
def test_demand_by_months(rate: Rate, seed: int) -> None:
    assert all(month["demand"] for month in check(rate, year_of_use(seed)))


@few
@given(demand_rates(seasons=2, periods=3), SEEDS)
def test_demand_by_hours(rate: Rate, seed: int) -> None:
    check(rate, year_of_use(seed))


@few
@given(demand_rates(seasons=2, periods=2, tiers=(2, 3)), flat_demand_rates(), SEEDS)
def test_tiers_of_demand_by_hours_and_a_flat_one(rate: Rate, flat: Rate, seed: int) -> None:
    check({**flat, **rate}, year_of_use(seed))


@settings(few, max_examples=2)
@given(demand_rates(seasons=2, periods=2), flat_demand_rates(), energy_rates(periods=2, tiers=(2,)), SEEDS)
def test_quarter_hours(rate: Rate, flat: Rate, energy: Rate, seed: int) -> None:
    check({**flat, **rate, **energy, "demandwindow": 15}, year_of_use(seed, parts=4))


@settings(few, max_examples=2)
@given(
    flat_demand_rates(tiers=(1, 2)),
    st.sampled_from([0.25, 0.5, 0.8, 0.9, 1]),
    st.integers(1, 11),
    st.lists(st.booleans(), min_size=12, max_size=12).filter(any),
    SEEDS,
)
def test_demand_that_looks_back(rate: Rate, percent: float, span: int, months: list[bool], seed: int) -> None:
    used = year_of_use(seed, step=20)  # of which every percentage is a whole watt
    plain = check(rate, used)
    for looks_at in ({"lookbackrange": span}, {"lookbackmonths": months}):
        ours = check({**rate, "lookbackpercent": percent, **looks_at}, used)
        assert all(month["demand"] >= its["demand"] for month, its in zip(ours, plain, strict=True))


@few
@given(
    energy_rates(periods=2),
    st.integers(0, 4000),
    st.sampled_from(["$/month", "$/year"]),
    st.integers(1, 300),
    SEEDS,
)
def test_fixed_charge_and_minimum(rate: Rate, fixed: int, per: str, least: int, seed: int) -> None:
    charges = {"fixedchargefirstmeter": fixed / 8, "fixedchargeunits": per}
    ours = check({**rate, **charges, "mincharge": least, "minchargeunits": "$/month"}, year_of_use(seed))
    assert all(month["total"] >= least for month in ours)


@pytest.mark.parametrize("rule", ["Net Billing Instantaneous", "Net Billing Hourly", "Buy All Sell All"])
@few
@given(energy_rates(seasons=2, periods=2, tiers=(1, 2, 3), sell="by tier"), SEEDS)
def test_energy_that_is_sold(rule: str, rate: Rate, seed: int) -> None:
    used, made = year_of_use(seed), year_of_sun(seed)
    two_meters = rule == "Buy All Sell All"
    # NREL's import takes "hourly" for credit that is carried over; the database's rule is about hours alone.
    model = model_of(
        {**rate, "dgrules": "Net Billing Instantaneous"} if "Hourly" in rule else {**rate, "dgrules": rule}
    )
    load = load_of(used, made, two_meters=two_meters or "Hourly" in rule)
    ours = months_of(tariff_from_urdb(json.dumps({**rate, "dgrules": rule}), "rate.json"), load)
    assert differ(ours, rated(model, used, made)) < Decimal("1e-6")


@pytest.mark.parametrize("paid", [False, True])
@few
@given(energy_rates(periods=2, tiers=(1, 2), sell="by period"), SEEDS)
def test_credit_in_money_that_is_carried_over(paid: bool, rate: Rate, seed: int) -> None:
    used, made = year_of_use(seed) // 2, year_of_sun(seed)
    net_billing = tariff_from_urdb(json.dumps({**rate, "dgrules": "Net Billing Instantaneous"}), "rate.json")
    bank = {"kind": "bank", "label": "Bank", **({"true_up": 12, "pays": True} if paid else {})}
    data = net_billing.model_dump(exclude_defaults=True)
    carried = Tariff.model_validate({**data, "components": [*data["components"], bank]})
    ours = months_of(carried, load_of(used, made))
    model = model_of(rate, NET_BILLING_CARRIED_OVER)
    model.ElectricityRates.ur_nb_credit_expire = int(not paid)
    theirs = rated(model, used, made)
    totals = [{"total": month["total"]} for month in theirs]
    assert differ(ours, totals) < Decimal("1e-6")
    energy = [{"energy": month["energy"]} for month in theirs[:11]]
    for mine, its in zip(ours, energy, strict=False):
        assert abs(mine["energy"] + mine["other"] - Decimal(its["energy"])) < Decimal("1e-6")


def same_every_month(rate: Rate) -> Rate:
    """The rate with each period at midnight, at 5, 11 or 17 of weekdays: where PySAM looks for what may roll over."""
    n = len(rate["energyratestructure"])
    row = list(rate["energyweekdayschedule"][0])
    for at, hour in enumerate((0, 5, 11, 17)):
        row[hour] = at % n
    return {
        **rate,
        "dgrules": "Net Metering",
        "energyweekdayschedule": [row] * 12,
        "energyweekendschedule": [rate["energyweekendschedule"][0]] * 12,
    }


@pytest.mark.parametrize(("periods", "tiers"), [(1, (1, 2, 3)), (3, (1,))])
@few
@given(st.data(), SEEDS)
def test_net_metering(periods: int, tiers: Sequence[int], data: st.DataObject, seed: int) -> None:
    rate = same_every_month(data.draw(energy_rates(periods=periods, tiers=tiers)))
    used, made = year_of_use(seed), year_of_sun(seed)
    ours = months_of(tariff_from_urdb(json.dumps(rate), "rate.json"), load_of(used, made))
    assert differ(ours, rated(model_of(rate), used, made)) < Decimal("1e-6")


@few
@given(energy_rates(periods=3, tiers=(2, 3)), SEEDS)
def test_net_metering_with_time_of_use_and_tiers(rate: Rate, seed: int) -> None:
    rate = same_every_month(rate)
    used, made = year_of_use(seed), year_of_sun(seed)
    ours = months_of(tariff_from_urdb(json.dumps(rate), "rate.json"), load_of(used, made))
    # A period's share of a tier is a whole Wh here, and any part of one there: above what floats differ by anyhow.
    within = 1e-6 + sum(step["rate"] for period in rate["energyratestructure"] for step in period) / 1000
    assert differ(ours, rated(model_of(rate), used, made)) < Decimal(within)


def test_the_first_hour_that_differs_is_found() -> None:
    """The comparison itself fails on one Wh too much."""
    rate = {
        "name": "One price",
        "energyratestructure": [[{"rate": 0.2}]],
        "energyweekdayschedule": [[0] * 24] * 12,
        "energyweekendschedule": [[0] * 24] * 12,
    }
    used = year_of_use(1)
    load = load_of(used)
    more = replace(load, imported=load.imported + (np.arange(HOURS) == 5000))
    found = differ(months_of(tariff_from_urdb(json.dumps(rate), "rate.json"), more), rated(model_of(rate), used))
    assert Decimal("0.000199") < found < Decimal("0.000201")
