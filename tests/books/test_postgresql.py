"""The books on PostgreSQL: the same entries as on SQLite, and as final."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from headend.billing.books.bankfile import Payment
from headend.process.bookkeeping import charge_late_fees, pay, remind, reverse
from headend.store.books import journal, verify
from tests.billing.town import IMPORT, Town


def kept(town: Town) -> list[object]:
    for name in ("Ada", "ada"):
        town.account(name, {"tariff": "flat"})
        town.meter(f"E-{name}", name, IMPORT)
        town.reads(f"E-{name}")
    town.bill()
    pay(town.site, [Payment("x", "Ada", None, 200_00, "EUR", "R1", None)], "ann")
    reverse(town.site, 3, "bounced", "ann")
    town.now = town.now.replace(year=2027, month=1)
    assert [len(charge_late_fees(town.site, "2026-12", "ann")), len(remind(town.site, "ann"))] == [0, 2]
    assert not any(one.due for one in remind(town.site, "ann"))
    with town.database.read() as tx:
        assert verify(tx) == 4
        return list(journal(tx, date.min, date.max))


def test_the_books_are_kept_as_on_sqlite(tmp_path: Path, migrated_postgres_url: str) -> None:
    here, there = Town(tmp_path / "sqlite"), Town(tmp_path / "postgresql", migrated_postgres_url)
    assert kept(here) == kept(there)
    for change in ("UPDATE book_entry SET text = ''", "DELETE FROM book_posting"):
        with pytest.raises(IntegrityError, match="what is booked does not change"), there.database.write() as tx:
            tx.execute(text(change))
    here.database.close()
    there.database.close()
