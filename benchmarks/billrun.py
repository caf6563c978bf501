"""A bill run from the database to drafts in it: `python -m benchmarks.billrun [--accounts 2000 20000] [--workers 2]`.

A site of so many accounts is made, each with a meter, a month of hourly reads with a register a day, and the daily use
that validation keeps; its tariff is time of use × tiers. Then the month is rated: reads scanned, bills checked, rated,
their statements written out, hashed and committed. SQLite on disk; the same site in this process alone and by workers.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from benchmarks.table import show
from headend.billing.partitions import ACCOUNTS_A_RANGE, Executor, InTurn
from headend.billing.ports import Office
from headend.billing.run import rate_cycle
from headend.collect.topics import Topics
from headend.config import load_settings, shipped
from headend.executors import Processes
from headend.office import office_of
from headend.reads.channels import IMPORT
from headend.reads.days import DAY_S, day_number
from headend.reads.quality import Quality
from headend.site import Site
from headend.store.database import Database
from headend.store.journal import Journal
from headend.store.sql import SqlIntervalStore
from headend.tariffs import TariffBook, load_tariff
from headend.vee import load_rule_set
from headend.vee.dailyuse import DAYS

PERIOD = "2026-12"  # 744 hours
FIRST, END = day_number(date(2026, 11, 30)), day_number(date(2027, 1, 1))
NOW = datetime(2027, 1, 4, 9, tzinfo=UTC)
TARIFF = "home-tou-baseline"
SHAPES = 4_096  # different months of reads
_FEW = 50


@dataclass(frozen=True, slots=True)
class SiteIn:
    """Opens the office of a site that was made in a folder."""

    folder: Path

    def __call__(self) -> Office:
        """Open it."""
        gc.set_threshold(200_000, *gc.get_threshold()[1:])
        return office_of(
            Site(
                load_settings(overrides={"site": {"name": "Benchmark Utilities"}}),
                lambda: NOW,
                Database(f"sqlite:///{self.folder / 'site.db'}", "site"),
                Journal(Database(f"sqlite:///{self.folder / 'journal.db'}", "journal")),
                Topics(),
                {},
                SqlIntervalStore(),
                TariffBook([load_tariff(shipped(f"tariffs/{TARIFF}.toml"))]),
                load_rule_set(shipped("vee.toml")),
            )
        )


def make(folder: Path, accounts: int) -> None:
    """Registry, reads and daily use of so many accounts, past all that checks them."""
    database = SiteIn(folder)().database
    numbers = range(1, accounts + 1)
    with database.write() as tx:
        rows: dict[str, Iterator[tuple[object, ...]]] = {
            "account (id, name, customer_class, locale)": (
                (f"A-{n:07}", f"Customer {n}", "residential", "de_DE") for n in numbers
            ),
            "usage_point (id, timezone, address)": (
                (f"UP-{n:07}", "Europe/Berlin", f"Lindenweg {n}, 12345 Musterstadt") for n in numbers
            ),
            "meter (id, name, commodity)": ((n, f"E-{n:07}", "electricity") for n in numbers),
            "meter_channel (meter_id, channel, interval_s, max_per_interval, register_digits)": (
                (n, IMPORT.code, 3600, 20_000, 9) for n in numbers
            ),
            "installation (meter_id, installed_s, usage_point_id)": (
                (n, FIRST * DAY_S - 86_400_000, f"UP-{n:07}") for n in numbers
            ),
            "service_agreement (id, account_id, usage_point_id, commodity, tariff_id, valid_from)": (
                (f"A-{n:07}/e", f"A-{n:07}", f"UP-{n:07}", "electricity", TARIFF, "2026-05-01") for n in numbers
            ),
        }
        for table, of in rows.items():
            _insert(tx, table, of)
    _reads(database, accounts)


def _insert(tx: object, table: str, rows: Iterator[tuple[object, ...]]) -> None:
    marks = ", ".join("?" * (table.count(",") + 1))
    raw = tx.connection.driver_connection  # type: ignore[attr-defined]
    raw.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


def _reads(database: Database, accounts: int) -> None:
    rng = np.random.default_rng(2026)
    days = END - FIRST
    size = rng.uniform(0.4, 2, (SHAPES, 1, 1))
    use = (size * rng.gamma(1.2, 400, (SHAPES, days, 24))).astype("<i4")
    registers = (1_000_000 + np.cumsum(use.sum(axis=2, dtype=np.int64), axis=1)).astype("<i8")
    quality = bytes([Quality.VALIDATED]) * 24
    place = np.array([23], dtype="<u2").tobytes()
    blocks = "day_block (day, meter, channel, interval_s, settled, present, estimated, reads, quality, register)"
    for day in range(days):
        reads = [use[shape, day].tobytes() for shape in range(SHAPES)]
        register = [place + registers[shape, day].tobytes() for shape in range(SHAPES)]
        with database.write() as tx:
            rows = (
                (FIRST + day, n, IMPORT.code, 3600, True, 24, 0, reads[n % SHAPES], quality, register[n % SHAPES])
                for n in range(1, accounts + 1)
            )
            _insert(tx, blocks, rows)
    known = np.zeros((SHAPES, 5, DAYS), dtype="<i8")
    its = use.sum(axis=2, dtype=np.int64)
    known[:, 0] = its[:, np.arange(DAYS) % days]
    known[:, 1] = 1_000
    staged = [each.tobytes() for each in known]
    with database.write() as tx:
        rows = ((n, IMPORT.code, END + 3, staged[n % SHAPES]) for n in range(1, accounts + 1))
        _insert(tx, "daily_use (meter, channel, end_day, days)", rows)
    pooled = database.engine.raw_connection()
    pooled.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    pooled.close()


class Peak:
    """While it is looked at: highest resident memory of this process and those it started, added up, and the longest
    log of the database [MiB].
    """

    def __init__(self, log: Path) -> None:
        self.mib, self.log_mib, self._log, self._over = 0.0, 0.0, log, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.2):
            children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
            self.mib = max(self.mib, sum(map(_resident, [str(os.getpid()), *children])))
            if self._log.exists():
                self.log_mib = max(self.log_mib, self._log.stat().st_size / 2**20)


def _resident(process: str) -> float:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    except (OSError, IndexError):
        return 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Time that a run takes, on the clock and of processors [s], the most memory it has, the longest log [MiB]."""

    took: float
    cpu: float
    mib: float
    log_mib: float


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure(folder: Path, accounts: int, executor: Executor, *, at_once: int = ACCOUNTS_A_RANGE) -> Measured:
    """One run, of which nothing is left."""
    office = SiteIn(folder)()
    with Peak(folder / "site.db-wal") as peak:
        begun, cpu = time.perf_counter(), _cpu()
        cycle = rate_cycle(office, PERIOD, "monthly", "benchmark", executor=executor, accounts_a_range=at_once)
        took, cpu = time.perf_counter() - begun, _cpu() - cpu
    if cycle.totals.billed != accounts:
        sys.exit(f"{cycle.totals.billed} of {accounts} accounts are billed")
    with office.database.write() as tx:
        for table in ("statement", "bill_exception", "bill_partition", "bill_finding", "bill_step", "peer_use"):
            tx.exec_driver_sql(f"DELETE FROM {table}")
        tx.exec_driver_sql("DELETE FROM bill_cycle")
    return Measured(took, cpu, peak.mib, peak.log_mib)


def main(quick: bool = False) -> None:
    """Print the table of a few sizes."""
    compared([2_000, 10_000] if quick else [2_000, 10_000, 100_000], workers=2, repeats=1 if quick else 3)


def compared(sizes: list[int], workers: int, repeats: int, folder: Path | None = None, *, alone: bool = True) -> None:
    """Print the table.

    Parameters
    ----------
    folder
        where the sites are made; None: the temporary folder.
    alone
        whether this process rates them too, and the smallest site a few accounts at a time.
    """
    rows = []
    for accounts in sizes:
        with tempfile.TemporaryDirectory(dir=folder) as made:
            site = Path(made)
            make(site, accounts)
            ways: dict[str, tuple[Executor, int]] = {}
            if alone:
                ways["in this process"] = InTurn(SiteIn(site)()), ACCOUNTS_A_RANGE
            ways[f"{workers} processes"] = Processes(SiteIn(site), workers), ACCOUNTS_A_RANGE
            if alone and accounts == min(sizes) <= ACCOUNTS_A_RANGE:
                ways[f"{_FEW} at a time"] = InTurn(SiteIn(site)()), _FEW
            for way, (executor, at_once) in ways.items():
                runs = [measure(site, accounts, executor, at_once=at_once) for _ in range(repeats)]
                took, cpu = (statistics.median(getattr(run, name) for run in runs) for name in ("took", "cpu"))
                each = (f"{accounts / took:,.0f}", f"{took / accounts * 1e6:,.0f}", f"{cpu / accounts * 1e6:,.0f}")
                most = (f"{max(getattr(run, name) for run in runs):,.0f}" for name in ("mib", "log_mib"))
                rows.append((f"{accounts:,}", way, f"{took:.1f}", *each, *most))
    show(
        f"Bill runs of {PERIOD}, {TARIFF}, 744 hours (median of {repeats}; load {os.getloadavg()[0]:.1f})",
        ("accounts", "by", "s", "accounts/s", "µs each", "of processors", "MiB", "log MiB"),
        rows,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, nargs="+", default=[2_000, 10_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the sites are made; default: the temporary folder")
    parser.add_argument("--workers-only", action="store_true", help="leave out the runs in this process")
    its = parser.parse_args()
    compared(its.accounts, its.workers, its.repeats, its.folder, alone=not its.workers_only)
