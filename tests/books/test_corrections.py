"""Corrections in the books: taken back on the same accounts, paid by what was paid, and no fee on what is cancelled."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from headend.billing.books.bankfile import Payment
from headend.billing.books.position import Position, positions
from headend.billing.books.reminding import Reminder, reminders
from headend.billing.corrections import Way
from headend.process.bookkeeping import charge_late_fees, pay, rules_of
from headend.store.books import entries_of, entry_for, journal, verify
from tests.billing.test_corrections import correct, edit, limited
from tests.billing.town import Town

FIRST, TAKEN, AGAIN = (f"statement:Ada-2026-10-{revision}" for revision in (1, 2, 3))


@pytest.fixture
def billed(tmp_path: Path) -> Town:
    """Ada's October is issued on 3 November, 154.85 EUR, and it is a week later."""
    town = Town(tmp_path)
    town.home()
    town.bill()
    town.now = datetime(2026, 11, 10, 9, tzinfo=UTC)
    return town


def sums(town: Town) -> dict[str, int]:
    """What is on each account of the chart [cents]; accounts with nothing left out."""
    found: dict[str, int] = defaultdict(int)
    with town.database.read() as tx:
        verify(tx)
        for _, postings in journal(tx, date.min, date.max):
            for posting in postings:
                found[posting.code] += posting.amount
    assert sum(found.values()) == 0
    return {code: amount for code, amount in found.items() if amount}


def standing(town: Town, day: date) -> Position:
    with town.database.read() as tx:
        (its,) = positions(entries_of(tx, ["Ada"]), day)
    return its


@pytest.mark.parametrize("way", [Way.REBILL, Way.DIFFERENCE])
def test_either_way_the_books_say_what_the_period_costs_now(billed: Town, way: Way) -> None:
    edit(billed, 10_500)
    correct(billed, way=way)
    assert sums(billed) == {
        "receivable": 15_864,
        "revenue:electricity:energy": -12_141,
        "revenue:electricity:standing": -1_190,
        "tax:VAT 19 %": -2_533,
    }


def test_what_is_cancelled_is_nothing_on_any_account(billed: Town) -> None:
    correct(billed, way=Way.CANCEL)
    assert sums(billed) == {}
    assert standing(billed, date(2026, 12, 31)).open_items == ()


def test_a_cancellation_pays_what_it_takes_back_and_what_was_paid_goes_to_the_rebill(billed: Town) -> None:
    pay(billed.site, [Payment("test", "Ada", None, 15_485, "EUR", "R1", date(2026, 11, 9))], "ann")
    edit(billed, 10_500)
    correct(billed)
    with billed.database.read() as tx:
        taken = entry_for(tx, TAKEN)
    assert taken is not None
    assert (taken.target, taken.due_on, taken.change) == (FIRST, None, -15_485)
    its = standing(billed, date(2026, 11, 10))
    assert [(item.entry.source, item.open) for item in its.open_items] == [(AGAIN, 379)]
    assert its.prepaid == 0


def test_what_was_paid_too_much_is_a_credit_balance(billed: Town) -> None:
    payment = Payment("test", "Ada", "Ada-2026-10-1", 15_485, "EUR", "R1", date(2026, 11, 9))
    pay(billed.site, [payment], "ann")
    edit(billed, 0)
    correct(billed, way=Way.DIFFERENCE)
    its = standing(billed, date(2026, 11, 10))
    assert (its.open_items, its.prepaid, its.balance) == ((), 19, -19)


def test_nobody_is_reminded_of_what_is_cancelled(billed: Town) -> None:
    billed.now = datetime(2027, 1, 10, 9, tzinfo=UTC)
    assert [one.item.entry.source for one in _overdue(billed)] == [FIRST]
    correct(billed, way=Way.CANCEL)
    assert _overdue(billed) == []
    assert charge_late_fees(billed.site, "2026-12", "ann") == []
    assert standing(billed, date(2027, 1, 10)).overdue == 0


def _overdue(town: Town) -> list[Reminder]:
    return reminders(rules_of(town.site).stages, standing(town, town.now.date()))


def test_a_write_off_is_booked_against_revenue(billed: Town) -> None:
    limited(billed, 12, datetime(2027, 11, 1, 12, tzinfo=UTC))
    edit(billed, 10_500)
    correct(billed, way=Way.DIFFERENCE)
    assert sums(billed) == {
        "receivable": 15_485,
        "revenue:electricity:energy": -12_141,
        "revenue:electricity:standing": -1_190,
        "tax:VAT 19 %": -2_472,
        "write-off:back-billing": 318,
    }
