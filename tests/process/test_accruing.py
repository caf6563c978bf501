"""Accruals follow the reads, whoever dies on the way, and end as the statements."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import delete, func, select
from structlog.testing import capture_logs

from headend.billing.accruals.accounts import cost_so_far
from headend.billing.accruals.accrual import AccrualsAlike
from headend.process import accruing
from headend.process.accruing import update_accruals
from headend.reads import Blocks, Quality
from headend.reads.days import day_number
from headend.store import accruals
from headend.store import tables as t
from headend.store.accruals import KeptAccrual, accrual_of, note_changed
from tests.billing.kinds import KINDS
from tests.billing.town import IMPORT, Town

OCTOBER, NOVEMBER = "2026-10", "2026-11"
FIRST, LAST = day_number(date(2026, 9, 30)), day_number(date(2026, 11, 1))


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """An empty town, in the middle of October."""
    made = Town(tmp_path)
    made.now = datetime(2026, 10, 20, 9, tzinfo=UTC)
    return made


@pytest.fixture
def home(town: Town) -> Town:
    """Ada, with nothing read."""
    town.account("Ada", {"tariff": "flat"})
    town.meter("E-1", "Ada", IMPORT)
    return town


def taken_away(town: Town) -> Blocks:
    """All reads of the period's days, and none of them in the store any more; mixed up, but always in the same way."""
    with town.database.write() as tx:
        rows = tx.execute(select(t.day_block.c.day, t.day_block.c.meter, t.day_block.c.channel)).all()
        keys = [tuple(row) for row in rows if FIRST <= row.day <= LAST]
        blocks = town.store.load(tx, keys, 3600)
        tx.execute(delete(t.day_block).where(t.day_block.c.day.between(FIRST, LAST)))
    return blocks


def publish(town: Town, blocks: Blocks) -> None:
    """Store blocks, and note it, as whoever stores reads does."""
    with town.database.write() as tx:
        town.store.save(tx, blocks, blocks.present, settled=False)
        note_changed(tx, blocks, np.ones_like(blocks.present))


def day(town: Town, number: int, value: int = 500, meter: str = "E-1") -> None:
    """One UTC day of October."""
    town.reads(meter, value, first=date(2026, 10, number), last=date(2026, 10, number))
    with town.database.write() as tx:
        key = (day_number(date(2026, 10, number)), *town.key(meter, IMPORT))
        blocks = town.store.load(tx, [key], 3600)
        note_changed(tx, blocks, blocks.present)


def kept(town: Town, account: str = "Ada", period: str = OCTOBER) -> KeptAccrual | None:
    with town.database.read() as tx:
        return accrual_of(tx, account, period)


def amount(town: Town, account: str = "Ada") -> Decimal | None:
    found = kept(town, account)
    assert found is not None
    return found.accrual.amount


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", KINDS)
def test_accrual_of_reads_in_any_order_ends_as_the_statement(kind: str, seed: int, town: Town) -> None:
    town.now = datetime(2026, 11, 3, 9, tzinfo=UTC)
    KINDS[kind](town)
    blocks, chance = taken_away(town), np.random.default_rng(seed)
    town.now = datetime(2026, 10, 20, 9, tzinfo=UTC)
    estimated = blocks.take(chance.random(len(blocks)) < 0.5)
    quality = np.where(estimated.present, np.uint8(Quality.ESTIMATED_LINEAR), np.uint8(Quality.MISSING))
    fed = [replace(estimated, values=estimated.values // 2, quality=quality)]
    fed += [blocks.take(some) for some in np.array_split(chance.permutation(len(blocks)), 4)]
    chance.shuffle(fed)
    for some in fed:
        publish(town, some)
        update_accruals(town.office)
    # An estimate that came after its read: it is read once more.
    publish(town, blocks)
    update_accruals(town.office)
    town.now = datetime(2026, 11, 3, 9, tzinfo=UTC)
    accrual = kept(town)
    assert accrual is not None
    assert accrual.accrual.problems == ()
    assert accrual.accrual.amount == town.bill()["Ada"].totals.gross


def test_amount_never_falls_while_reads_come(home: Town) -> None:
    amounts = []
    for number in (9, 3, 14, 1, 18):
        day(home, number)
        update_accruals(home.office)
        amounts.append(amount(home))
    # 5 days × 12 kWh × 0.3174 = 19.044; + 11.90 = 30.94; VAT 5.8786.
    assert amounts == sorted(amounts)
    assert amounts[-1] == Decimal("36.82")


def test_what_was_noted_is_forgotten_once_it_is_kept(home: Town) -> None:
    day(home, 3)
    day(home, 4)
    updated = update_accruals(home.office)
    assert (updated.accruals, updated.reads_of, updated.failed) == (1, 2, [])
    assert update_accruals(home.office).accruals == 0
    with home.database.read() as tx:
        assert tx.execute(select(func.count()).select_from(t.changed_reads)).scalar_one() == 0


def test_nothing_is_lost_when_the_process_dies_between(home: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    day(home, 3)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(accruing.kept, "worked_through", dies)
        with pytest.raises(KeyboardInterrupt):
            update_accruals(home.office)
    day(home, 4)
    updated = update_accruals(home.office)
    assert updated.reads_of == 2
    assert amount(home) == cost_so_far(home.office, "Ada", home.now).amount


def test_reads_of_a_transaction_that_fails_are_not_noted(home: Town) -> None:
    day(home, 3)
    key = (day_number(date(2026, 10, 3)), *home.key("E-1", IMPORT))
    with home.database.read() as tx:
        blocks = home.store.load(tx, [key], 3600)
    update_accruals(home.office)

    def fails() -> None:
        with home.database.write() as tx:
            note_changed(tx, blocks, blocks.present)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert update_accruals(home.office).accruals == 0


def test_other_accounts_are_left_alone(home: Town) -> None:
    home.account("Bob", {"tariff": "flat"})
    home.meter("E-2", "Bob", IMPORT)
    day(home, 3, meter="E-2")
    assert update_accruals(home.office).accruals == 1
    assert kept(home) is None
    assert amount(home, "Bob") == cost_so_far(home.office, "Bob", home.now).amount


def test_a_late_read_of_a_month_that_is_not_billed_changes_that_month_too(home: Town) -> None:
    home.reads("E-1")
    home.now = datetime(2026, 11, 3, 9, tzinfo=UTC)
    day(home, 7, value=900)
    assert update_accruals(home.office).accruals == 2
    assert kept(home, period=NOVEMBER) is not None
    # 721 h × 0.5 + 24 × 0.9 = 382.1 kWh × 0.3174 = 121.28; + 11.90 = 133.18; VAT 25.30.
    assert amount(home) == Decimal("158.48")


def test_what_is_issued_has_no_accrual_and_is_not_touched(home: Town) -> None:
    home.reads("E-1")
    home.now = datetime(2026, 11, 3, 9, tzinfo=UTC)
    day(home, 7)
    update_accruals(home.office)
    home.bill()
    before = home.documents()
    day(home, 7, value=900)
    update_accruals(home.office)
    assert kept(home) is None
    assert kept(home, period=NOVEMBER) is not None
    assert home.documents() == before


def test_every_account_is_looked_at_once_a_day(home: Town) -> None:
    assert update_accruals(home.office, everybody=True).accruals == 1
    # Nothing was read: 11.90 + VAT 2.261.
    assert amount(home) == Decimal("14.16")
    assert update_accruals(home.office, everybody=True).accruals == 0
    home.now += timedelta(days=1)
    assert update_accruals(home.office, everybody=True).accruals == 1


def test_account_that_cannot_be_rated_stops_no_other(home: Town) -> None:
    home.account("Bob", {"tariff": "nothing-of-that-name"})
    home.meter("E-2", "Bob", IMPORT)
    assert update_accruals(home.office, everybody=True).accruals == 2
    bob = kept(home, "Bob")
    assert bob is not None
    assert bob.accrual.amount is None
    assert "nothing-of-that-name" in bob.accrual.problems[0]
    assert amount(home) == Decimal("14.16")


def test_account_with_a_fault_stops_no_other(home: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    home.account("Bob", {"tariff": "flat"})
    home.meter("E-2", "Bob", IMPORT)
    as_always = accruing.accrue

    def trips(basis, agreements, period, now):
        if any(each.account.id == "Bob" for each in agreements):
            raise ArithmeticError("out of luck")
        return as_always(basis, agreements, period, now)

    monkeypatch.setattr(accruing, "accrue", trips)
    with capture_logs() as logged:
        updated = update_accruals(home.office, everybody=True)
    assert [(entry["event"], entry["account"]) for entry in logged] == [("an account cannot be rated", "Bob")]
    assert (updated.accruals, updated.failed) == (2, ["Bob"])
    bob = kept(home, "Bob")
    assert bob is not None
    assert "out of luck" in bob.accrual.problems[0]
    assert amount(home) == Decimal("14.16")


def test_an_older_look_does_not_undo_a_newer_one(home: Town) -> None:
    day(home, 3)
    older = cost_so_far(home.office, "Ada", home.now)
    day(home, 4)
    update_accruals(home.office)
    newer = amount(home)
    with home.database.write() as tx:
        accruals.keep_accruals(tx, [AccrualsAlike(older, 1)], home.now - timedelta(seconds=1))
    assert amount(home) == newer


def test_what_is_not_billed_adds_up(home: Town) -> None:
    home.account("Bob", {"tariff": "flat"})
    home.meter("E-2", "Bob", IMPORT)
    day(home, 3)
    day(home, 3, meter="E-2")
    update_accruals(home.office)
    with home.database.read() as tx:
        (one,) = accruals.unbilled(tx)
    # Each 12 kWh × 0.3174 = 3.81; + 11.90 = 15.71; VAT 2.98.
    assert (one.period, one.currency, one.accounts, one.amount) == (OCTOBER, "EUR", 2, Decimal("37.38"))


def test_ranges_are_looked_at_in_turn_and_only_those_of_changed_reads(
    home: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accruing, "ACCOUNTS_A_RANGE", 1)
    for name, meter in (("Bob", "E-2"), ("Cyd", "E-3"), ("Dan", "E-4")):
        home.account(name, {"tariff": "flat"})
        home.meter(meter, name, IMPORT)
    day(home, 3, meter="E-2")
    day(home, 5, meter="E-4")
    day(home, 4, meter="E-4")
    assert update_accruals(home.office).accruals == 2
    for name in ("Bob", "Dan"):
        assert amount(home, name) == cost_so_far(home.office, name, home.now).amount
    assert update_accruals(home.office, everybody=True).accruals == 2
    assert amount(home, "Cyd") == amount(home) == Decimal("14.16")
