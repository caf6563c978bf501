"""What came of a demo: counted, compared with the truth, shown and written down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

from headend.billing.cycle import BillCycle
from headend.demo.reconcile import Reconciliation, reconcile
from headend.demo.times import Times
from headend.site import Site
from headend.store.checkpoints import IntakeCounts, totals
from headend.store.tables import quarantine


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `summary.json` says."""

    reads_sent: int
    counts: IntakeCounts
    quarantined: int
    reconciliation: Reconciliation
    cycle: BillCycle
    seconds: float

    @property
    def reconciled(self) -> bool:
        """True if truth and store are the same to the Wh, with nothing missing."""
        return self.reconciliation.difference == 0 and self.reconciliation.missing == 0

    def as_json(self) -> dict[str, Any]:
        """The figures, under the names that outsiders rely on."""
        return {
            "reads_sent": self.reads_sent,
            "reads_stored": self.counts.stored,
            "intervals_measured": self.reconciliation.measured,
            "intervals_estimated": self.reconciliation.estimated,
            "intervals_missing": self.reconciliation.missing,
            "quarantined": self.quarantined,
            "duplicates_dropped": self.counts.duplicates,
            "difference_wh": self.reconciliation.difference,
            "period": self.cycle.period,
            "accounts": self.cycle.totals.accounts,
            "statements": self.cycle.totals.billed,
            "exceptions": self.cycle.totals.excepted,
            "money_billed": {
                currency: str(amount) for currency, amount in sorted((self.cycle.totals.money or {}).items())
            },
            "seconds": round(self.seconds, 1),
        }


def outcome(
    site: Site,
    folder: Path,
    reads_sent: int,
    played: Times,
    cycle: BillCycle,
    imported: Sequence[Path],
    seconds: float,
) -> Outcome:
    """Count and compare, and write `summary.json`.

    Parameters
    ----------
    folder
        the demo's, with the field's `truth.csv`.
    reads_sent
        by gateways.
    imported
        files of reads that came otherwise; they are added to the truth.
    seconds
        how long the demo took.
    """
    truth = folder / "truth.csv"
    rows = [row for path in imported for row in path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]]
    with truth.open("a", encoding="utf-8") as file:
        file.writelines(rows)
    with site.database.read() as tx:
        counts = totals(tx)
        quarantined = tx.execute(select(func.count()).select_from(quarantine)).scalar_one()
    result = Outcome(
        reads_sent=reads_sent + len(rows),
        counts=counts,
        quarantined=quarantined,
        reconciliation=reconcile(site, truth, played.start, played.end),
        cycle=cycle,
        seconds=seconds,
    )
    text = json.dumps(result.as_json(), indent=2) + "\n"
    (folder / "summary.json").write_text(text, encoding="utf-8")
    return result


def show(result: Outcome, console: Console) -> None:
    """The figures as a table, and in red what must not be."""
    table = Table("figure", "value", title="What came of it", title_justify="left")
    for name, value in result.as_json().items():
        table.add_row(name.replace("_", " "), json.dumps(value, ensure_ascii=False))
    console.print(table)
    if not result.reconciled:
        console.print("[bold red]Truth and store differ.[/]")
