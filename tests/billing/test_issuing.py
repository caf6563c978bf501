"""Statements are issued range by range: all of a cycle or none, whoever is killed or comes second, however many."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headend.billing.approval import approve, issue
from headend.billing.cycle import CycleState
from headend.billing.run import rate_cycle
from headend.billing.statement import Statement, draft_of
from headend.errors import BillingConflict
from headend.store import books
from headend.store.ledger import SqlLedger
from tests.billing.streets import OCTOBER, all_of, build, tables
from tests.billing.town import Town

BILLED = ["A-0", "A-1", "A-4", "A-6", "A-8"]  # three ranges of two


def approved(folder: Path, period: str = OCTOBER) -> Town:
    """The street, its bills approved."""
    street = build(folder)
    rate_cycle(street.office, period, "monthly", "ann")
    approve(street.office, period, "monthly", "ann")
    return street


def left_by(town: Town) -> tuple[Any, ...]:
    """All that issuing writes."""
    return (all_of(town), *tables(town, "statement", "book_entry", "book_posting", "peer_use", "bill_step"))


def states(town: Town) -> list[str]:
    (statements,) = tables(town, "statement")
    return [row.state for row in statements]


@pytest.mark.parametrize("size", [1, 2])
def test_ranges_change_nothing(tmp_path: Path, size: int) -> None:
    whole, ranged = approved(tmp_path / "whole"), approved(tmp_path / "ranged")
    issue(whole.office, OCTOBER, "monthly", "bob")
    issue(ranged.office, OCTOBER, "monthly", "bob", accounts_a_range=size)
    assert list(ranged.documents()) == BILLED
    assert left_by(ranged) == left_by(whole)
    with ranged.database.read() as tx:
        assert books.verify(tx) == len(BILLED)


def test_nothing_is_issued_by_a_clerk_who_is_killed_in_the_middle(tmp_path: Path) -> None:
    whole, street = approved(tmp_path / "whole"), approved(tmp_path / "town")
    before = left_by(street)
    program = f"import pathlib, tests.billing.streets as s; s.issue_and_die(pathlib.Path({str(street.folder)!r}))"
    killed = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert left_by(street) == before
    assert states(street) == ["draft"] * len(BILLED)

    issue(street.office, OCTOBER, "monthly", "bob", accounts_a_range=2)
    issue(whole.office, OCTOBER, "monthly", "bob")
    assert left_by(street) == left_by(whole)
    with street.database.read() as tx:
        assert books.verify(tx) == len(BILLED)


class _Noticed(SqlLedger):
    """A ledger in the middle of whose issuing another clerk issues the same cycle."""

    other: threading.Thread

    def issue(self, cycle: Any, statements: Any) -> None:
        super().issue(cycle, statements)
        if not self.other.ident:
            self.other.start()


def test_of_two_clerks_who_issue_at_once_the_second_is_refused(tmp_path: Path) -> None:
    street = approved(tmp_path / "town")
    refused: list[str] = []

    def second() -> None:
        try:
            issue(street.office, OCTOBER, "monthly", "bob", accounts_a_range=2)
        except BillingConflict as error:
            refused.append(str(error))

    _Noticed.other = threading.Thread(target=second)
    first = issue(replace(street.office, ledger=_Noticed), OCTOBER, "monthly", "ann", accounts_a_range=2)
    _Noticed.other.join()
    assert (first.state, first.changed_by) == ("issued", "ann")
    assert refused == ["cycle 2026-10/monthly is issued: cannot issue it, only what is approved"]
    with street.database.read() as tx:
        assert books.verify(tx) == len(BILLED)


def test_each_range_goes_on_in_the_chains_of_its_own_accounts(tmp_path: Path) -> None:
    street = approved(tmp_path / "town", "2026-09")
    issue(street.office, "2026-09", "monthly", "bob", accounts_a_range=2)
    rate_cycle(street.office, OCTOBER, "monthly", "ann")
    approve(street.office, OCTOBER, "monthly", "ann")
    issue(street.office, OCTOBER, "monthly", "bob", accounts_a_range=2)
    (statements,) = tables(street, "statement")
    september = {row.account_id: row.sha256 for row in statements if row.period == "2026-09"}
    named = {row.account_id: json.loads(row.document)["previous_sha256"] for row in statements if row.period == OCTOBER}
    assert sorted(named) == BILLED
    assert named == {account: september.get(account) for account in BILLED}
    assert None not in named.values()


def _copies(statement: Statement, count: int) -> Iterator[Statement]:
    for number in range(count):
        name = f"N-{number:06}"
        customer = replace(statement.customer, account=name)
        yield replace(statement, id=f"{name}-{OCTOBER}-1", customer=customer)


def _many(town: Town, count: int) -> None:
    """Approved in place of the only statement: so many like it."""
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    approve(town.office, OCTOBER, "monthly", "ann")
    like = town.statements()["Ada"]
    with town.database.write() as tx:
        tx.exec_driver_sql("DELETE FROM statement")
        ledger = SqlLedger(tx)
        cycle = ledger.cycle("monthly", OCTOBER)
        assert cycle is not None
        assert cycle.state == CycleState.APPROVED
        for each in _copies(like, count):
            row = each.customer.account, "Ada", "residential", "de_DE"
            tx.exec_driver_sql("INSERT INTO account (id, name, customer_class, locale) VALUES (?, ?, ?, ?)", row)
        totals = replace(cycle.totals, accounts=count, billed=count, agreements=count)
        cycle = replace(cycle, totals=totals)
        assert len(draft_of(like).document) > _DOCUMENT
        ledger.keep_correction(cycle, _copies(like, count), [])


#: Length of one of these statements, at least [bytes].
_DOCUMENT = 2_000


def _peak(folder: Path, count: int, at_once: int) -> int:
    """Most memory that Python has had while so many statements were issued [bytes]."""
    town = Town(folder)
    town.account("Ada", {"tariff": "flat"})
    town.meter("E-1", "Ada", "1-0:1.8.0")
    town.reads("E-1")
    _many(town, count)
    tracemalloc.start()
    try:
        issue(town.office, OCTOBER, "monthly", "bob", accounts_a_range=at_once)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert states(town) == ["issued"] * count
    return peak


@pytest.mark.slow
def test_memory_does_not_grow_with_the_cycle(tmp_path: Path) -> None:
    """Of a statement more nothing is kept but names, in caches that have an end: far less than its document."""
    few, many, at_once = 1_000, 8_000, 250
    _peak(tmp_path / "warm", few, at_once)  # what is kept from the first time on
    more = _peak(tmp_path / "many", many, at_once) - _peak(tmp_path / "few", few, at_once)
    assert more / (many - few) < _DOCUMENT / 2
