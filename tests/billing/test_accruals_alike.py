"""Accruals of many accounts at once: they say what each of them alone says, with columns or without."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select

from headend.billing.accruals.accounts import accrue, cost_so_far
from headend.billing.accruals.accrual import AccrualsAlike
from headend.billing.accruals.document import amounts_of, documents_of
from headend.billing.accruals.rating import Basis
from headend.process.accruing import update_accruals
from headend.store.accruals import keep_accruals
from headend.store.tables import accrual as table
from tests.billing.kinds import KINDS
from tests.billing.town import IMPORT, Town

OCTOBER = "2026-10"
NOW = datetime(2026, 10, 20, 9, tzinfo=UTC)
HOMES = ("Ada", "Bob", "Cyd")


def accruals(town: Town) -> list[AccrualsAlike]:
    """All accounts' at once."""
    with town.database.read() as tx:
        records = town.office.records(tx)
        basis = Basis.of(records, town.office.tariffs, records.channels())
        return accrue(basis, records.agreements(), OCTOBER, NOW)


@pytest.fixture
def homes(town: Town) -> Town:
    """Three homes with tiers and two TOU periods: 200 Wh, 1 kWh and 2 kWh every hour of 17 days and 2 hours."""
    for number, name in enumerate(HOMES):
        town.account(name, {"tariff": "tiered"})
        town.meter(f"E-{number}", name, IMPORT)
        town.reads(f"E-{number}", (200, 1_000, 2_000)[number], first=date(2026, 9, 1), last=date(2026, 10, 17))
    return town


@pytest.mark.parametrize("kind", KINDS)
def test_texts_of_many_are_the_texts_of_each(kind: str, town: Town) -> None:
    KINDS[kind](town)
    for alike in accruals(town):
        each = alike.each()
        assert documents_of(alike) == [text for accrual in each for text in documents_of(AccrualsAlike(accrual, 1))]
        assert amounts_of(alike) == [None if its.amount is None else str(its.amount) for its in each]


def test_accounts_of_the_same_lines_are_alike_and_others_are_not(homes: Town) -> None:
    """200 Wh stay within the first tier, which ends at 100 kWh: (17 × 24 + 2 h) × 0.2 kWh = 82 kWh."""
    made = accruals(homes)
    assert sorted(alike.n for alike in made) == [1, 2]
    found = {accrual.account: accrual for alike in made for accrual in alike.each()}
    assert found == {name: cost_so_far(homes.office, name, NOW) for name in HOMES}
    use = {name: [its.usage for its in accrual.segments] for name, accrual in found.items()}
    assert use == {"Ada": [Decimal(82)], "Bob": [Decimal(410)], "Cyd": [Decimal(820)]}


def test_document_is_written_as_ever(homes: Town) -> None:
    """The names in their order, use as whole numbers, money and moments as they always stood."""
    (alike,) = (alike for alike in accruals(homes) if alike.n == 1)
    (text,) = documents_of(alike)
    read = json.loads(text)
    assert text == json.dumps(read, separators=(",", ":"), ensure_ascii=False).encode()
    assert list(read) == ["first", "last", "segments", "forecast", "no_forecast", "problems"]
    (segment,) = read["segments"]
    assert (read["first"], segment["usage"], segment["export"]) == ("2026-10-01", "82.000", None)
    assert segment["daily"] == [*[4_800] * 17, 400]
    assert segment["reads_end"] == int(datetime(2026, 10, 18, tzinfo=UTC).timestamp())
    assert [line[0] for line in segment["lines"]].count("energy") == 2


def test_accruals_are_kept_on_postgresql_as_on_sqlite(tmp_path: Path, migrated_postgres_url: str) -> None:
    """And there, too, an older look does not undo a newer one."""
    kept = []
    for town in (Town(tmp_path / "sqlite"), Town(tmp_path / "postgresql", migrated_postgres_url)):
        town.now = NOW
        for number, name in enumerate(("Ada", "ada", "Zoe")):
            town.account(name, {"tariff": "tiered"})
            town.meter(f"E-{number}", name, IMPORT)
            town.reads(f"E-{number}", 1_000, first=date(2026, 9, 1), last=date(2026, 10, 17))
        town.account("Bob", {"tariff": "tiered"})  # without a meter: a problem
        assert update_accruals(town.office, everybody=True).accruals == 4
        with town.database.write() as tx:
            older = [
                AccrualsAlike(replace(each, amount=Decimal(0)), 1) for alike in accruals(town) for each in alike.each()
            ]
            keep_accruals(tx, older, NOW - timedelta(seconds=1))
        with town.database.read() as tx:
            query = select(table.c.account_id, table.c.amount, table.c.through_s, table.c.document)
            kept.append(sorted((*row[:3], bytes(row.document)) for row in tx.execute(query)))
        town.database.close()
    here, there = kept
    assert there == here
    assert [row[0] for row in here] == ["Ada", "Bob", "Zoe", "ada"]
    assert here[0][1] != "0"


def test_home_that_cannot_be_rated_is_alone_in_it(homes: Town) -> None:
    """A read of -10 Wh of Bob's: rated together the engine refuses all three, so they are halved until it is his."""
    homes.set("E-1", datetime(2026, 10, 3, 3, tzinfo=UTC), values=-10)
    found = {accrual.account: accrual for alike in accruals(homes) for accrual in alike.each()}
    (problem,) = found["Bob"].problems
    assert problem.endswith("is -10, which no meter counts")
    assert found["Ada"].problems == found["Cyd"].problems == ()
    assert (found["Bob"].amount, found["Bob"].segments) == (None, ())
    assert [its.usage for name in ("Ada", "Cyd") for its in found[name].segments] == [Decimal(82), Decimal(820)]
    assert all(found[name].forecast for name in ("Ada", "Cyd"))
