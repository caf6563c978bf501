"""A street of accounts on disk that any process can open, and workers there that die in the middle of a range."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from headend.billing.approval import issue
from headend.billing.ports import AccountRange, Office
from headend.billing.run import rate_cycle
from headend.store.ledger import SqlLedger
from tests.billing.town import IMPORT, Town

OCTOBER = "2026-10"
HOUSES = 9
#: Houses 4 and 5 are rated together with nobody else: ranges are of two.
MORTAL = "A-4"


def build(folder: Path) -> Town:
    """Nine accounts: one without a meter, one with a hole in its reads, two that say they have the same usage point."""
    town = Town(folder)
    for house in range(HOUSES):
        tariff = ("flat", "tiered", "home-tou-baseline")[house % 3] if house != 7 else "flat"
        at = "A-2" if house == 7 else ""
        if house == 2:
            tariff = "flat"
        town.account(f"A-{house}", {"tariff": tariff if house % 3 != 2 else "flat"}, at=at)
        if house not in (3, 7):
            town.meter(f"M-{house}", f"A-{house}", IMPORT)
            town.reads(f"M-{house}", [100 * house + hour for hour in range(24)], first=date(2026, 8, 31))
    town.set("M-5", datetime(2026, 10, 9, 12, tzinfo=UTC), quality=0)
    return town


@dataclass(frozen=True, slots=True)
class TownAt:
    """Opens the office of a town in whatever process; `dies`: the first that rates a certain range is killed there."""

    folder: Path
    dies: bool = False

    def __call__(self) -> Office:
        """Open it."""
        office = Town(self.folder).office
        return replace(office, ledger=partial(_Mortal, folder=self.folder)) if self.dies else office


class _Mortal(SqlLedger):
    def __init__(self, tx: Connection, folder: Path) -> None:
        super().__init__(tx)
        self.folder = folder

    def keep_range(self, cycle: Any, run: int, accounts: AccountRange, *rest: Any) -> None:
        """All is written but not committed when the process is killed, once."""
        super().keep_range(cycle, run, accounts, *rest)
        if accounts.first <= MORTAL <= accounts.last:
            try:
                (self.folder / "died").touch(exist_ok=False)
            except FileExistsError:
                return
            os.kill(os.getpid(), signal.SIGKILL)


class _MortalClerk(SqlLedger):
    """Is killed over the second range of statements, when they are written and not committed."""

    ranges = 0

    def issue(self, cycle: Any, statements: Any) -> None:
        super().issue(cycle, statements)
        self.ranges += 1
        if self.ranges == 2:
            os.kill(os.getpid(), signal.SIGKILL)


def all_of(town: Town) -> tuple[Any, ...]:
    """What a run left: documents, exceptions and totals."""
    with town.database.read() as tx:
        cycle = SqlLedger(tx).cycle("monthly", OCTOBER)
    assert cycle is not None
    return cycle.state, town.documents(), town.exceptions(), cycle.totals


def tables(town: Town, *names: str) -> list[Sequence[Any]]:
    """Rows of tables."""
    with town.database.read() as tx:
        return [tx.exec_driver_sql(f"SELECT * FROM {name} ORDER BY 1, 2, 3").all() for name in names]


def forget_run(town: Town) -> None:
    """As if nothing had been rated."""
    with town.database.write() as tx:
        for table in ("statement", "bill_exception", "bill_partition", "bill_step", "bill_finding", "bill_cycle"):
            tx.exec_driver_sql(f"DELETE FROM {table}")


def rate_and_die(folder: Path) -> None:
    """Rate in this process, which does not live to see the end."""
    rate_cycle(TownAt(folder, dies=True)(), OCTOBER, "monthly", "ann", accounts_a_range=2)


def issue_and_die(folder: Path) -> None:
    """Issue in this process, which is killed in the middle of it."""
    office = replace(Town(folder).office, ledger=_MortalClerk)
    issue(office, OCTOBER, "monthly", "ann", accounts_a_range=2)
