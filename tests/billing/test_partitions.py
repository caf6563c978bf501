"""A run in ranges: each is committed once or not at all, whoever is killed and whoever else is at it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.billing.cycle import ControlTotals
from headend.billing.partitions import InTurn, Task, cut, together
from headend.billing.ports import AccountRange
from headend.billing.run import rate_cycle
from tests.billing.streets import OCTOBER, all_of, build, forget_run, tables
from tests.billing.town import Town


@pytest.fixture
def street(tmp_path: Path) -> Town:
    return build(tmp_path / "town")


@given(st.lists(st.text(min_size=1), unique=True).map(sorted), st.integers(1, 5))
def test_every_account_is_in_one_range(accounts: list[str], size: int) -> None:
    ranges = list(cut(accounts, size))
    assert [[each for each in accounts if its.first <= each <= its.last] for its in ranges] == [
        accounts[begin : begin + size] for begin in range(0, max(len(accounts), 1), size)
    ]
    assert sum(its.accounts for its in ranges) == len(accounts)


def test_totals_of_ranges_add_up() -> None:
    one = ControlTotals(3, 2, 1, 1, 0, {"gas": 5}, {"EUR": Decimal("1.10")})
    other = ControlTotals(2, 2, 1, 0, 1, {"gas": 1, "heat": 7}, {"EUR": Decimal("0.90"), "USD": Decimal(1)})
    money = {"EUR": Decimal("2.00"), "USD": Decimal(1)}
    assert together([one, other]) == ControlTotals(5, 4, 2, 1, 1, {"gas": 6, "heat": 7}, money)
    assert together([]) == ControlTotals()


@pytest.mark.parametrize("size", [1, 2, 4])
def test_ranges_change_nothing(street: Town, size: int) -> None:
    rate_cycle(street.office, OCTOBER, "monthly", "ann")
    whole = all_of(street)
    assert {each: its.code for each, its in street.exceptions().items()} == {
        "A-2": "overlapping_agreements",
        "A-7": "overlapping_agreements",
        "A-3": "no_meter",
        "A-5": "incomplete_reads",
    }
    forget_run(street)
    rate_cycle(street.office, OCTOBER, "monthly", "ann", accounts_a_range=size)
    assert all_of(street) == whole


def test_killed_run_goes_on_where_it_stopped(street: Town, tmp_path: Path) -> None:
    rate_cycle(street.office, OCTOBER, "monthly", "ann", accounts_a_range=2)
    whole = all_of(street)
    forget_run(street)
    program = f"import pathlib, tests.billing.streets as s; s.rate_and_die(pathlib.Path({str(street.folder)!r}))"
    killed = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -signal.SIGKILL

    (partitions,) = tables(street, "bill_partition")
    committed = [row for row in partitions if row.totals is not None]
    assert [row.first_account for row in committed] == ["A-0", "A-2"]
    assert list(street.documents()) == ["A-0", "A-1"]
    assert all_of(street)[0] == "rating"

    street.now = datetime(2026, 11, 4, tzinfo=UTC)
    rate_cycle(street.office, OCTOBER, "monthly", "bob")
    assert all_of(street) == whole
    (after,) = tables(street, "bill_partition")
    assert after[:2] == committed
    assert len(after) == 5


def test_two_who_share_a_run_commit_every_range_once(street: Town) -> None:
    rate_cycle(street.office, OCTOBER, "monthly", "ann", accounts_a_range=2)
    whole = all_of(street)
    rate_cycle(street.office, OCTOBER, "monthly", "ann", executor=_Joined(street), accounts_a_range=2)
    assert all_of(street) == whole
    (partitions,) = tables(street, "bill_partition")
    assert [row.run for row in partitions] == [1] * 5 + [2] * 5


class _Joined:
    """An executor in whose midst another clerk begins the same run and ends it."""

    def __init__(self, town: Town) -> None:
        self.town = town

    def each(self, work: Any, tasks: Sequence[Task]) -> Iterator[Any]:
        for done, result in enumerate(InTurn(self.town.office).each(work, tasks)):
            if done == 1:
                rate_cycle(self.town.office, OCTOBER, "monthly", "bob")
            yield result


def test_drafts_of_who_is_billed_no_more_go(street: Town) -> None:
    rate_cycle(street.office, OCTOBER, "monthly", "ann", accounts_a_range=2)
    assert "A-0" in street.documents()
    with street.database.write() as tx:
        tx.exec_driver_sql("UPDATE service_agreement SET valid_to = '2026-02-01' WHERE account_id = 'A-0'")
    rate_cycle(street.office, OCTOBER, "monthly", "ann", accounts_a_range=2)
    assert "A-0" not in street.documents()


def test_lookups_of_a_range_load_its_own(street: Town) -> None:
    with street.database.read() as tx:
        records = street.office.records(tx)
        few = AccountRange("A-1", "A-2", 2)
        assert [each.account.id for each in records.agreements_between(few)] == ["A-1", "A-2"]
        assert [each.account.id for each in records.agreements_beside(few)] == ["A-7"]
        assert [each.meter_name for each in records.channels({"UP-A-1", "UP-A-3"})] == ["M-1"]
        assert list(records.accounts()) == [f"A-{house}" for house in range(9)]
