"""How many customer-months a second are rated, on one core: `python -m benchmarks.rating [--quick]`.

Every figure takes hourly reads of a 30 day month to finished bills with Decimal lines, in batches whose reads stay in
the processor's cache; a batch is dropped before the next, as a bill run does once it has written it. Beside them runs,
in the same process and on the same reads, what one would write first: customer after customer, hour after hour, in
Decimal.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

import numpy as np

from benchmarks.table import show
from headend.config import shipped
from headend.tariffs import BillingWindow, Tariff, compile_calendar, load_tariff, rate_batch

BERLIN = ZoneInfo("Europe/Berlin")
MONTH = BillingWindow(date(2025, 9, 1), date(2025, 10, 1), BERLIN)
TARIFFS = ("home-flat", "home-tiered", "home-tou", "home-tou-baseline", "home-solar", "business-tou")
COMPARED = "home-tou-baseline"
BATCH = 500


def hour_by_hour(tariff: Tariff, reads: np.ndarray) -> list[Decimal]:
    """Totals by the naive way, for TOU × tier with a baseline credit, a daily standing charge and VAT."""
    energy, baseline, standing, tax = tariff.components
    names = [period.name for period in tariff.periods]
    codes = [int(code) for code in calendar(tariff)]
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


def rate_all(tariff: Tariff, imported: np.ndarray, exported: np.ndarray, *, bills: bool = True) -> list[Decimal]:
    """Rate in batches; the totals if `bills` are made."""
    totals: list[Decimal] = []
    for begin in range(0, len(imported), BATCH):
        part = slice(begin, begin + BATCH)
        batch = rate_batch(tariff, MONTH, 3600, imported[part], exported[part])
        if bills:
            totals += [bill.total for bill in batch.bills()]
    return totals


def calendar(tariff: Tariff) -> np.ndarray:
    """TOU period of each hour of the month."""
    return compile_calendar(tariff, BERLIN, MONTH.start_utc, MONTH.intervals(3600), 3600)


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median duration [s]."""
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def main(quick: bool = False) -> None:
    """Print the tables."""
    customers, repeats = (500, 3) if quick else (5000, 7)
    rng = np.random.default_rng(2025)
    size = rng.uniform(0.4, 2, (customers, 1))  # so that some stay in the first tier and most do not
    imported = (size * rng.gamma(1.2, 400, (customers, MONTH.intervals(3600)))).astype(np.int64)
    exported = rng.integers(0, 400, imported.shape)
    tariffs = {name: load_tariff(shipped(f"tariffs/{name}.toml")) for name in TARIFFS}

    rows = []
    speed = {}
    for name, tariff in tariffs.items():
        lines = statistics.fmean(len(bill.lines) for bill in rate_batch(tariff, MONTH, 3600, imported, exported))
        taken = seconds(lambda of=tariff: rate_all(of, imported, exported), repeats)
        speed[name] = customers / taken
        rows.append((name, f"{lines:.1f}", f"{speed[name]:,.0f}"))
    compared = tariffs[COMPARED]
    taken = seconds(lambda: rate_all(compared, imported, exported, bills=False), repeats)
    rows.append((COMPARED + ", amounts only", "", f"{customers / taken:,.0f}"))

    few = slice(0, customers // 50)
    if hour_by_hour(compared, imported[few]) != rate_all(compared, imported[few], exported[few]):
        sys.exit("the two ways do not agree")
    naive = customers // 50 / seconds(lambda: hour_by_hour(compared, imported[few]), 3)
    rows.append((COMPARED + ", plain: hour by hour in Decimal", "", f"{naive:,.0f}"))
    show(
        f"Rating, one core: {customers} customers × {imported.shape[1]} hours (median of {repeats})",
        ("tariff", "lines a bill", "customer-months/s"),
        rows,
    )

    def compile_anew() -> None:
        compile_calendar.cache_clear()
        calendar(tariffs["home-tou"])

    print(f"\nThe plain way gives the same totals, {speed[COMPARED] / naive:,.0f} times slower.")
    print(f"Compile a month of home-tou: {seconds(compile_anew, 3 * repeats) * 1000:.2f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the customers, three repeats")
    main(parser.parse_args().quick)
