"""How fast accruals follow the reads, and how often a statement falls in its forecast's range.

`python -m benchmarks.accruals [--quick]`. Homes on a TOU tariff with tiers, hourly reads in SQLite, the 24th of a
month: a day's 24 reads of all of them are published, and every account is rated again, with its forecast, and kept.
Counted are the reads that were published, from when they are in the store to when the last accrual is: by the clock,
and by the processor's time of the one process that does it, which is what a core that does nothing else would take,
but for waiting for the disk. Beside it stand the same accounts rated one after the other.

For the range, use and bills of a year are foreseen some days before the end of each month, from the reads up to then:
of simulated homes of several kinds, and of a real home and a real building that the simulator replays.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from benchmarks.table import show
from firmware_sim.loads import consumption
from firmware_sim.noise import Chances, seed_of
from headend.billing.accruals.accounts import accrue
from headend.billing.accruals.forecast import HISTORY_DAYS, Days, expected_rest, pattern_of, scaled_rest, share_off
from headend.billing.accruals.rating import Basis
from headend.billing.ports import Office
from headend.collect.topics import Topics
from headend.config import load_settings, shipped
from headend.office import office_of
from headend.process.accruing import update_accruals
from headend.reads import Blocks, Channel, Quality, empty_blocks
from headend.reads.channels import IMPORT
from headend.reads.days import day_number
from headend.registry.registry import enrol
from headend.registry.site_file import SiteFile
from headend.site import Site
from headend.store.accruals import note_changed
from headend.store.database import Database
from headend.store.journal import Journal
from headend.store.sql import SqlIntervalStore
from headend.tariffs import BillingWindow, Tariff, Use, load_book, load_tariff, rate_batch
from headend.vee import load_rule_set

_ZONE = "Europe/Berlin"
_TODAY = date(2026, 10, 24)
_NOW = datetime(2026, 10, 25, 3, tzinfo=UTC)
_HISTORY_DAYS = 56
_CHANNEL = Channel.parse("1-0:1.8.0").code
_TARIFF = """
id = "home"
name = "Home"
valid_from = 2025-01-01
customer_classes = ["residential"]
commodity = "electricity"
unit = "kWh"
currency = "EUR"
[[periods]]
name = "day"
label = "Day"
hours = ["06:00-22:00"]
[[periods]]
name = "night"
label = "Night"
[[components]]
kind = "energy"
label = "Energy"
tiers_per = "month"
tiers = [{ up_to = 250, price = { day = 0.30, night = 0.20 } }, { price = 0.50 }]
[[components]]
kind = "standing"
label = "Standing charge"
per = "month"
price = 11.90
[[components]]
kind = "tax"
label = "VAT 19 %"
percent = 19
"""


def homes(count: int, folder: Path) -> Site:
    """A site of homes, read up to yesterday's end."""
    (folder / "tariffs").mkdir()
    (folder / "tariffs" / "home.toml").write_text(_TARIFF, encoding="utf-8")
    settings = load_settings(overrides={"data": {"directory": str(folder)}})
    site = Site(
        settings,
        lambda: _NOW,
        Database(settings.site_url, "site"),
        Journal(Database(settings.journal_url, "journal")),
        Topics(),
        {},
        SqlIntervalStore(),
        load_book(folder / "tariffs"),
        load_rule_set(shipped("vee.toml")),
    )
    numbers = range(1, count + 1)
    with site.database.write() as tx:
        enrol(
            tx,
            SiteFile.model_validate(
                {
                    "usage_points": [{"id": f"UP-{n:07}", "address": "Lindenweg", "timezone": _ZONE} for n in numbers],
                    "meters": [
                        {
                            "meter": f"E-{n:07}",
                            "commodity": "electricity",
                            "usage_point": f"UP-{n:07}",
                            "channels": [{"channel": IMPORT.obis, "max_per_interval": 20_000}],
                        }
                        for n in numbers
                    ],
                    "accounts": [
                        {
                            "id": f"A-{n:07}",
                            "name": f"Home {n}",
                            "agreements": [
                                {
                                    "usage_point": f"UP-{n:07}",
                                    "commodity": "electricity",
                                    "tariff": "home",
                                    "valid_from": "2025-01-01",
                                }
                            ],
                        }
                        for n in numbers
                    ],
                }
            ),
        )
    for day in range(day_number(_TODAY) - _HISTORY_DAYS, day_number(_TODAY)):
        publish(site, count, day)
    return site


def publish(site: Site, count: int, day: int, *, note: bool = False) -> None:
    """A day's reads of all homes, into the store."""
    meters = np.arange(1, count + 1)
    blocks: Blocks = empty_blocks(3600, meters, np.full(count, _CHANNEL), np.full(count, day))
    chance = np.random.default_rng(day)
    curve = 300 + 500 * np.exp(-((np.arange(24) - 19) ** 2) / 8)
    blocks.values[:] = (curve * chance.uniform(0.5, 1.5, (count, 24))).astype(np.int64)
    blocks.quality[:] = Quality.RAW
    blocks.version[:] = 1
    with site.database.write() as tx:
        site.store.save(tx, blocks, blocks.present, settled=False)
        if note:
            note_changed(tx, blocks, blocks.present)


def main(quick: bool = False) -> None:
    """Print the tables."""
    count = 2_000 if quick else 20_000
    with TemporaryDirectory() as folder:
        site = homes(count, Path(folder))
        office = office_of(site)
        rounds = []
        for later in range(3):
            publish(site, count, day_number(_TODAY) + later, note=True)
            started, worked = time.perf_counter(), time.process_time()
            updated = update_accruals(office)
            rounds.append((time.perf_counter() - started, time.process_time() - worked))
            assert updated.accruals == count
        taken, worked = map(min, zip(*rounds, strict=True))
        alone, alone_worked = _one_by_one(office, 50 if quick else 200)
        site.database.close()
    show(
        f"24 reads of each of {count:,} accounts are published, the accruals follow",
        ("rated", "ms an account", "of it processor", "reads a second", "reads a second of a core"),
        [
            ("together, and kept", *_figures(taken / count, worked / count)),
            ("one after the other, not kept", *_figures(alone, alone_worked)),
        ],
    )
    lefts = (26, 21, 10, 3)
    found = [tried(homes=20 if quick else 100, left=left) for left in lefts]
    for what, of in (
        ("Share of months whose bill was in the range (meant: 0.8)", attrgetter("bills")),
        ("Share of months whose use was in the range (meant: 0.8)", attrgetter("use")),
        ("How far the expected bill was off: median [% of the bill]", attrgetter("off")),
    ):
        rows = [(kind, *(f"{of(each[kind]):.2f}" for each in found)) for kind in found[0]]
        show(f"{what}, by days before the end", ("use", *map(str, lefts)), rows)


def _figures(taken_s: float, worked_s: float) -> tuple[str, ...]:
    return f"{taken_s * 1_000:.3f}", f"{worked_s * 1_000:.3f}", f"{24 / taken_s:,.0f}", f"{24 / worked_s:,.0f}"


def _one_by_one(office: Office, count: int) -> tuple[float, float]:
    """Seconds, and processor seconds, an account, rated alone; the registry looked up once."""
    with office.database.read() as tx:
        records = office.records(tx)
        basis = Basis.of(records, office.tariffs, records.channels())
        agreements = records.agreements()[:count]
        started, worked = time.perf_counter(), time.process_time()
        for agreement in agreements:
            accrue(basis, [agreement], "2026-10", _NOW)
        return (time.perf_counter() - started) / count, (time.process_time() - worked) / count


_KINDS = (
    ("household", "electricity", 0),
    ("household with a car", "electricity", 0),
    ("household with a roof", "electricity", 0),
    ("fed in by a roof", "electricity", 1),
    ("shop", "electricity", 0),
    ("gas", "gas", 0),
    ("water", "water", 0),
    ("a real home, London", "electricity", 0),
    ("a real building, Cambridge", "electricity", 0),
)
_AS_SIMULATED = {
    "household": "household",
    "household with a car": "household_ev",
    "household with a roof": "household_solar",
    "fed in by a roof": "household_solar",
    "shop": "commercial",
    "a real home, London": "london_home",
    "a real building, Cambridge": "cambridge_building",
}
_YEAR = date(2025, 1, 1)


@dataclass(frozen=True, slots=True)
class Tried:
    """How months of a year ended, for what was told of them before.

    Parameters
    ----------
    use, bills
        share of them that ended within the range.
    off
        median of how far the expected bill was off [% of the bill].
    """

    use: float
    bills: float
    off: float


def tried(homes: int, left: int) -> dict[str, Tried]:
    """What was told `left` days before months of a year ended, by kind; bills are those of a TOU tariff with tiers."""
    hours = np.arange(365 * 24) + day_number(_YEAR) * 24
    with TemporaryDirectory() as folder:
        file = Path(folder) / "home.toml"
        file.write_text(_TARIFF, encoding="utf-8")
        tariff = load_tariff(file)
    found = {}
    for kind, commodity, channel in _KINDS:
        simulated = _AS_SIMULATED.get(kind, commodity)
        real = kind.startswith("a real")
        chances = Chances([seed_of(kind, home) for home in range(1 if real else homes)])
        use = consumption(commodity, simulated, chances, hours, "UTC")[channel]
        # Of a real one there is one: so a month may begin on any day.
        ends = range(60, 366, 3) if real else [(date(2025, month, 1) - _YEAR).days for month in range(3, 13)]
        told = [_told(use[:, : end * 24], left, tariff) for end in ends]
        in_use, in_bills, off = (np.concatenate(each) for each in zip(*told, strict=True))
        found[kind] = Tried(float(in_use.mean()), float(in_bills.mean()), float(np.median(off)))
    return found


def _told(
    use: NDArray[np.int64], left: int, tariff: Tariff
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64]]:
    """Whether the last 30 days' use, and their bill, are in the range told `left` days before their end (each m,).

    And how far the expected bill is off [% of the bill].
    """
    first = max(0, use.shape[1] // 24 - 30 - HISTORY_DAYS)
    read = use[:, first * 24 :].copy()
    n = read.shape[1] // 24
    present = np.ones(read.shape, dtype=np.bool_)
    present[:, (n - left) * 24 :] = False
    month = slice((n - 30) * 24, None)
    actual = read[:, month].copy()
    read[~present] = 0
    days = Days(_YEAR + timedelta(days=first), np.arange(n) * 24, n * 24)
    pattern = pattern_of(read, present, days, n - left, np.zeros(len(use), dtype=np.int64))
    expected, missing = expected_rest(read, present, days, range(n - 30, n), pattern), ~present[:, month]
    share = share_off(np.where(missing, expected, 0).sum(axis=1), np.full(len(use), float(left)), pattern)
    low, high = (scaled_rest(expected, missing, sign * share) for sign in (-1, 1))
    begin = days.first + timedelta(days=n - 30)
    window = BillingWindow(begin, begin + timedelta(days=30), ZoneInfo("UTC"), Fraction(1), begin.replace(day=1))
    bills = [rate_batch(tariff, window, Use(3600, its)).totals for its in (low, expected, high, actual)]
    sums = [its.sum(axis=1) for its in (low, high, actual)]
    off = np.abs(bills[1] - bills[3]) / np.maximum(bills[3], 1) * 100
    in_use, in_bills = (sums[0] <= sums[2]) & (sums[2] <= sums[1]), (bills[0] <= bills[3]) & (bills[3] <= bills[2])
    return np.asarray(in_use), np.asarray(in_bills, dtype=np.bool_), np.asarray(off, dtype=np.float64)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer homes")
    main(parser.parse_args().quick)
