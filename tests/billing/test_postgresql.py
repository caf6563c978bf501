"""A bill on PostgreSQL: rated, approved, issued, and the same to the cent and the byte as on SQLite."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from headend.billing.approval import approve, issue
from headend.billing.corrections import Way
from headend.billing.run import rate_cycle
from headend.store.database import Database
from headend.store.ledger import SqlLedger
from headend.store.rebills import rebills_of
from tests.billing.test_corrections import correct, edit
from tests.billing.town import IMPORT, Town

OCTOBER = "2026-10"


def billed(town: Town) -> Town:
    for name in ("Ada", "ada", "Zoe"):
        town.account(name, {"tariff": "flat"})
        town.meter(f"E-{name}", name, IMPORT)
        town.reads(f"E-{name}")
    town.account("Bob", {"tariff": "flat"})  # without a meter: excepted by name
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    approve(town.office, OCTOBER, "monthly", "ann")
    issue(town.office, OCTOBER, "monthly", "bob")
    return town


def test_a_month_is_billed_as_on_sqlite(tmp_path: Path, migrated_postgres_url: str) -> None:
    here, there = billed(Town(tmp_path / "sqlite")), billed(Town(tmp_path / "postgresql", migrated_postgres_url))
    assert there.documents() == here.documents()
    statements = there.statements()
    assert sorted(statements) == ["Ada", "Zoe", "ada"]
    # 745 hours, for October has 25 of them on its last Sunday, of 500 Wh: kWh.
    assert [line.quantity for line in statements["Ada"].segments[0].lines if line.kind == "energy"] == [
        Decimal("372.5")
    ]
    database: Database = there.database
    for change in ("UPDATE statement SET total = '0.00'", "DELETE FROM statement"):
        with pytest.raises(IntegrityError, match="an issued statement does not change"), database.write() as tx:
            tx.execute(text(change))
    here.database.close()
    database.close()


def corrected(town: Town) -> Town:
    """Ada is cancelled and billed again, Zoe has a difference; what changed of ada changed back."""
    billed(town)
    for name in ("Ada", "ada", "Zoe"):
        edit(town, 10_500, meter=f"E-{name}")
    edit(town, 500, meter="E-ada")
    for ids, way in ((["Ada-2026-10-1", "ada-2026-10-1"], Way.REBILL), (["Zoe-2026-10-1"], Way.DIFFERENCE)):
        correct(town, *ids, way=way)
    return town


def test_corrections_are_as_on_sqlite(tmp_path: Path, migrated_postgres_url: str) -> None:
    here, there = corrected(Town(tmp_path / "sqlite")), corrected(Town(tmp_path / "postgresql", migrated_postgres_url))
    for town in (here, there):
        with town.database.read() as tx:
            said = {
                kept.id: (kept.sha256, kept.state)
                for account in ("Ada", "ada", "Zoe")
                for kept in SqlLedger(tx).statements_of(account)
            }
            settled = {name: rebills_of(tx, f"{name}-2026-10-1")[0].settled_by for name in ("Ada", "ada", "Zoe")}
        town.database.close()
        if town is here:
            expected = said
        assert said == expected
        assert len(said) == 6
        assert settled == {"Ada": "Ada-2026-10-3", "ada": "ann", "Zoe": "Zoe-2026-10-2"}
