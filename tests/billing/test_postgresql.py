"""A bill on PostgreSQL: rated, approved, issued, and the same to the cent and the byte as on SQLite."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from headend.billing.approval import approve, issue
from headend.billing.run import rate_cycle
from headend.store.database import Database
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


def test_a_month_is_billed_as_on_sqlite(tmp_path: Path, postgres_url: str) -> None:
    here, there = billed(Town(tmp_path / "sqlite")), billed(Town(tmp_path / "postgresql", postgres_url))
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
