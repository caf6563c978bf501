"""How many customer-months a second are rated, on one core: `python -m benchmarks.rating [--quick]`.

Every figure takes hourly reads of months to finished bills with Decimal lines, in batches whose reads stay in the
processor's cache; a batch is dropped before the next, as a bill run does once it has written it.

Beside the engine run, in the same process and on the same reads and rate: NREL's PySAM, which is the other independent
rating engine; the least that numpy can do for such bills, without limits by customer, lines or exactness; and what one
would write first, customer after customer, hour after hour, in Decimal.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

import numpy as np

from benchmarks.table import show
from headend.config import shipped
from headend.tariffs import (
    BillingWindow,
    Market,
    PriceSeries,
    RatedBill,
    Tariff,
    Use,
    codes_of,
    load_tariff,
    rate_batch,
)
from headend.tariffs.format.components import Dynamic

BERLIN = ZoneInfo("Europe/Berlin")
MONTH = BillingWindow(date(2025, 9, 1), date(2025, 10, 1), BERLIN)
TARIFFS = (
    "home-flat",
    "home-tiered",
    "home-tou",
    "home-tou-baseline",
    "home-solar",
    "business-tou",
    "home-seasonal-tiers",
    "home-net-metering",
    "home-capacity",
    "business-demand",
    "home-dynamic",
)
COMPARED = "home-tou-baseline"
BATCH = 500

#: Time of use × two tiers, for all who rate: 16 to 21 o'clock on weekdays is peak, the first tier has 360 kWh a month.
TOU_TIERS = Tariff.model_validate(
    {
        "id": "tou-tiers",
        "name": "Time of use × tiers",
        "valid_from": date(2018, 1, 1),
        "customer_classes": ["residential"],
        "commodity": "electricity",
        "unit": "kWh",
        "currency": "USD",
        "clock": "UTC",
        "periods": [
            {"name": "peak", "label": "Peak", "days": ["weekday"], "hours": ["16:00-21:00"]},
            {"name": "off", "label": "Off-peak"},
        ],
        "components": [
            {
                "kind": "energy",
                "label": "Energy",
                "tiers_per": "month",
                "tiers": [
                    {"up_to": 360, "price": {"peak": Decimal("0.398"), "off": Decimal("0.276")}},
                    {"price": {"peak": Decimal("0.464"), "off": Decimal("0.342")}},
                ],
            }
        ],
    }
)
YEAR = [BillingWindow(date(2018, month, 1), date(2018 + month // 12, month % 12 + 1, 1), UTC) for month in range(1, 13)]


def hour_by_hour(tariff: Tariff, reads: np.ndarray) -> list[Decimal]:
    """Totals by the naive way, for TOU × tier with a baseline credit, a daily standing charge and VAT."""
    energy, baseline, standing, tax = tariff.components
    names = [period.name for period in tariff.periods]
    codes = [int(code) for code in codes_of(tariff, MONTH, 3600)]
    limit = energy.tiers[0].up_to * MONTH.days
    cent = Decimal("0.01")
    totals = []
    for row in reads.tolist():
        used = Decimal(0)
        taken = {(tier, name): Decimal(0) for tier in (0, 1) for name in names}
        for code, wh in zip(codes, row, strict=True):
            kwh = Decimal(wh) / 1000
            low = max(Decimal(0), min(kwh, limit - used))
            taken[0, names[code]] += low
            taken[1, names[code]] += kwh - low
            used += kwh
        amounts = [
            (kwh * energy.tiers[tier].price[name]).quantize(cent, ROUND_HALF_UP) for (tier, name), kwh in taken.items()
        ]
        credit = min(used, baseline.allowance_per_day * MONTH.days) * baseline.credit
        amounts.append(-credit.quantize(cent, ROUND_HALF_UP))
        amounts.append((standing.price * MONTH.days).quantize(cent, ROUND_HALF_UP))
        amounts.append((sum(amounts) * tax.percent / 100).quantize(cent, ROUND_HALF_UP))
        totals.append(sum(amounts))
    return totals


def rate_all(tariff: Tariff, reads: tuple[np.ndarray, ...], market: Market, *, bills: bool = True) -> list[Decimal]:
    """Rate a month in batches; the totals if `bills` are made."""
    totals: list[Decimal] = []
    for part in batches(len(reads[0])):
        batch = rate_batch(tariff, MONTH, Use(3600, *(each[part] for each in reads)), market)
        if bills:
            totals += [bill.total for bill in batch.bills()]
    return totals


def batches(customers: int) -> Iterator[slice]:
    """Rows that are rated together."""
    return (slice(begin, begin + BATCH) for begin in range(0, customers, BATCH))


def prices(tariff: Tariff, rng: np.random.Generator) -> Market:
    """A price for every hour of the month, for each series a tariff asks for."""
    n = MONTH.intervals(3600)
    start = int(MONTH.start_utc.timestamp()) + 3600 * np.arange(n)
    names = {component.series for component in tariff.components if isinstance(component, Dynamic)}
    return Market(
        {
            name: PriceSeries(name, tariff.currency, "kWh", start, start + 3600, rng.integers(-5000, 30000, n), 5)
            for name in names
        }
    )


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median duration [s]."""
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def shipped_tariffs(customers: int, repeats: int) -> None:
    """A table of tariffs as they come with the head-end."""
    rng = np.random.default_rng(2025)
    shape = customers, MONTH.intervals(3600)
    size = rng.uniform(0.4, 2, (customers, 1))  # so that some stay in the first tier and most do not
    imported = (size * rng.gamma(1.2, 400, shape)).astype(np.int64)
    reads = imported, rng.integers(0, 400, shape), imported // 3
    rows = []
    speed = {}
    for name in TARIFFS:
        tariff = load_tariff(shipped(f"tariffs/{name}.toml"))
        market = prices(tariff, rng)
        bills = rate_batch(tariff, MONTH, Use(3600, *(each[:BATCH] for each in reads)), market)
        lines = statistics.fmean(len(bill.lines) for bill in bills)
        speed[name] = customers / seconds(lambda of=tariff, at=market: rate_all(of, reads, at), repeats)
        rows.append((name, f"{lines:.1f}", f"{speed[name]:,.0f}"))
    compared = load_tariff(shipped(f"tariffs/{COMPARED}.toml"))
    few = tuple(each[: customers // 50] for each in reads)
    nothing = Market()
    if hour_by_hour(compared, few[0]) != rate_all(compared, few, nothing):
        sys.exit("the two ways do not agree")
    naive = len(few[0]) / seconds(lambda: hour_by_hour(compared, few[0]), 3)
    rows.append((COMPARED + ", plain: hour by hour in Decimal", "", f"{naive:,.0f}"))
    show(
        f"Rating, one core: {customers} customers × {shape[1]} hours (median of {repeats})",
        ("tariff", "lines a bill", "customer-months/s"),
        rows,
    )
    print(f"\nThe plain way gives the same totals, {speed[COMPARED] / naive:,.0f} times slower.")


def year_of_bills(reads: np.ndarray) -> Iterator[list[RatedBill]]:
    """Finished bills, batch after batch, month after month."""
    begin = 0
    for window in YEAR:
        n = window.intervals(3600)
        for part in batches(len(reads)):
            yield rate_batch(TOU_TIERS, window, Use(3600, reads[part, begin : begin + n])).bills()
        begin += n


def rate_year(reads: np.ndarray) -> None:
    """Make a year's bills, each batch dropped before the next."""
    for _ in year_of_bills(reads):
        pass


def pysam_year(loads_kw: list[list[float]]) -> list[list[float]]:
    """Monthly charges of each customer by PySAM's `Utilityrate5`, for the same rate."""
    from PySAM import Utilityrate5  # noqa: PLC0415 - not on every platform

    model = Utilityrate5.new()
    rates = model.ElectricityRates
    (energy,) = TOU_TIERS.components
    rates.en_electricity_rates, rates.ur_metering_option, rates.ur_dc_enable = 1, 2, 0
    rates.ur_monthly_fixed_charge = rates.ur_monthly_min_charge = rates.ur_annual_min_charge = 0
    rates.ur_nm_yearend_sell_rate = rates.ur_nm_credit_rollover = rates.ur_sell_eq_buy = 0
    rates.ur_en_ts_sell_rate = rates.ur_en_ts_buy_rate = rates.ur_nb_credit_expire = 0
    rates.ur_nb_apply_credit_current_month, rates.ur_nm_credit_month, rates.rate_escalation = 0, 11, [0]
    rates.ur_ec_sched_weekday = [[2] * 16 + [1] * 5 + [2] * 3] * 12
    rates.ur_ec_sched_weekend = [[2] * 24] * 12
    rates.ur_ec_tou_mat = [
        [period + 1, tier + 1, float(its.up_to or 1e38), 0, float(its.price[name]), 0]
        for period, name in enumerate(("peak", "off"))
        for tier, its in enumerate(energy.tiers)
    ]
    model.Lifetime.analysis_period, model.Lifetime.inflation_rate = 1, 0
    model.Lifetime.system_use_lifetime_output = 0
    model.SystemOutput.degradation, model.SystemOutput.gen = [0], [0.0] * 8760
    charges = []
    for load in loads_kw:
        model.Load.load = load
        model.execute(0)
        charges.append(list(model.Outputs.charge_w_sys_ec_ym[1]))
    return charges


def tou_sums(reads: np.ndarray, codes: list[np.ndarray]) -> list[np.ndarray]:
    """Energy by TOU period alone: one matrix product a month."""
    begin, sums = 0, []
    for each in codes:
        pick = (each[:, None] == np.arange(2)).astype(np.float64)
        sums.append(reads[:, begin : begin + len(each)] @ pick)
        begin += len(each)
    return sums


def tier_sums(reads: np.ndarray, codes: list[np.ndarray]) -> list[np.ndarray]:
    """Energy by TOU period and tier in time order: running sum, clip, two products."""
    begin, sums = 0, []
    for each in codes:
        month = reads[:, begin : begin + len(each)]
        pick = (each[:, None] == np.arange(2)).astype(np.float64)
        below = np.diff(np.minimum(np.cumsum(month, axis=1), 360_000), axis=1, prepend=0)
        sums.append(np.concatenate((below @ pick, (month - below) @ pick), axis=1))
        begin += len(each)
    return sums


def side_by_side(customers: int, repeats: int) -> None:
    """One rate, one year of months, by several engines."""
    rng = np.random.default_rng(2018)
    reads = (rng.uniform(0.4, 2, (customers, 1)) * rng.gamma(1.2, 400, (customers, 8760))).astype(np.int64)
    few = (reads[: max(10, customers // 25)] / 1000).tolist()
    ours = [[bill.exact_total for bill in month] for month in year_of_bills(reads[: len(few)])]
    theirs = pysam_year(few)
    apart = max(
        abs(float(ours[month][row]) - theirs[row][month]) for row in range(len(few)) for month in range(len(YEAR))
    )
    if apart > 1e-6:
        sys.exit(f"PySAM and the engine are {apart} apart")
    codes = [codes_of(TOU_TIERS, window, 3600) for window in YEAR]
    floats = reads.astype(np.float64)
    ways = {
        "the engine, bills with Decimal lines": (lambda: rate_year(reads), customers),
        "PySAM Utilityrate5": (lambda: pysam_year(few), len(few)),
        "numpy, sums by TOU period only": (
            lambda: [tou_sums(floats[part], codes) for part in batches(customers)],
            customers,
        ),
        "numpy, sums by tier and TOU period only": (
            lambda: [tier_sums(floats[part], codes) for part in batches(customers)],
            customers,
        ),
    }
    # Turn by turn, so that a slow minute of the machine is everybody's.
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, (work, n) in ways.items():
            taken[name].append(seconds(work, 1) / n / 12)
    speed = {name: 1 / statistics.median(its) for name, its in taken.items()}
    first = next(iter(speed.values()))
    show(
        f"Time of use × two tiers, one core: {customers} customers × 12 months of hours (median of {repeats})",
        ("way", "customer-months/s", "ratio"),
        [(name, f"{each:,.0f}", f"{each / first:.2f}") for name, each in speed.items()],
    )
    print(f"\nPySAM and the engine agree in every month, to {apart:.0e}.")


def compiling(repeats: int) -> None:
    """What it takes to compile a tariff for a month, from nothing."""
    for name in ("home-tou", "business-demand"):
        shown = load_tariff(shipped(f"tariffs/{name}.toml"))
        # Nothing is known of a tariff that was never there before.
        new = iter([Tariff.model_validate({**shown.model_dump(), "id": f"case-{at}"}) for at in range(repeats)])
        taken = seconds(lambda of=new: codes_of(next(of), MONTH, 3600), repeats)
        print(f"Compile a month of {name}: {taken * 1000:.2f} ms")


def main(quick: bool = False) -> None:
    """Print the tables."""
    shipped_tariffs(*((500, 3) if quick else (5000, 7)))
    side_by_side(*((250, 3) if quick else (1000, 7)))
    compiling(5 if quick else 21)


if __name__ == "__main__":
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the customers, three repeats")
    main(parser.parse_args().quick)
