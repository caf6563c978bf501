"""Budget plans in the books: the receivable is what is asked for, the rest waits in an account of its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from headend.billing.books.position import positions
from headend.billing.budgets import Plan
from headend.process.bookkeeping import charge_late_fees, overdue, rules_of
from headend.process.budgeting import set_plan
from headend.store.books import entries_of, journal, verify
from tests.billing.town import IMPORT, Town

D = Decimal


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """Ada uses the same in every hour: 154.85 in October, 150.13 in November, 154.66 in December."""
    made = Town(tmp_path)
    made.account("Ada", {"tariff": "flat"})
    made.meter("E-1", "Ada", IMPORT)
    made.reads("E-1", last=date(2027, 2, 2))
    return made


def booked(town: Town) -> Counter[str]:
    sums: Counter[str] = Counter()
    with town.database.read() as tx:
        for entry, postings in journal(tx, date.min, date.max):
            assert sum(posting.amount for posting in postings) == 0
            for posting in postings:
                sums[posting.code] += posting.amount
            assert entry.change == sum(each.amount for each in postings if each.code in ("receivable", "prepaid"))
        verify(tx)
    return sums


def bill(town: Town, period: str, now: datetime) -> None:
    town.now = now
    town.bill(period)


def test_what_is_not_asked_for_yet_waits_in_the_budget_and_comes_back(town: Town) -> None:
    set_plan(town.site, "Ada", Plan("2026-10", D("100.00"), "EUR", 12), "ann")
    bill(town, "2026-10", datetime(2026, 11, 3, 9, tzinfo=UTC))
    sums = booked(town)
    assert (sums["receivable"], sums["budget"]) == (10_000, 5_485)
    assert sums["revenue:electricity:energy"] == -11_823
    assert sums["tax:VAT 19 %"] == -2_472
    bill(town, "2026-11", datetime(2026, 12, 3, 9, tzinfo=UTC))
    assert (booked(town)["receivable"], booked(town)["budget"]) == (20_000, 10_498)
    bill(town, "2026-12", datetime(2027, 1, 3, 9, tzinfo=UTC))
    sums = booked(town)
    assert (sums["receivable"], sums["budget"], sums["rounding"]) == (45_964, 0, 0)


def test_what_was_paid_ahead_is_credited(town: Town) -> None:
    set_plan(town.site, "Ada", Plan("2026-10", D("350.00"), "EUR", 11), "ann")
    bill(town, "2026-10", datetime(2026, 11, 3, 9, tzinfo=UTC))
    assert booked(town)["budget"] == -19_515
    bill(town, "2026-11", datetime(2026, 12, 3, 9, tzinfo=UTC))
    assert (booked(town)["receivable"], booked(town)["budget"]) == (30_498, 0)
    with town.database.read() as tx:
        (first, second) = entries_of(tx, ["Ada"])
    assert (first.change, first.due_on) == (35_000, date(2026, 11, 17))
    assert (second.change, second.due_on) == (-4_502, None)


def test_reminders_and_late_fees_are_about_the_instalment(town: Town) -> None:
    set_plan(town.site, "Ada", Plan("2026-10", D("100.00"), "EUR", 12), "ann")
    bill(town, "2026-10", datetime(2026, 11, 3, 9, tzinfo=UTC))
    town.now = datetime(2026, 12, 20, 9, tzinfo=UTC)
    with town.database.read() as tx:
        (late,) = overdue(tx, rules_of(town.site).stages, date(2026, 12, 20))
        (standing,) = positions(entries_of(tx, ["Ada"]), date(2026, 12, 20))
    assert late.standing.overdue == standing.balance == 10_000
    fees = town.site.settings.late_fees.model_copy(update={"percent_per_month": D(1)})
    settings = town.site.settings.model_copy(update={"late_fees": fees})
    town.site, town.now = replace(town.site, settings=settings), datetime(2027, 1, 10, 9, tzinfo=UTC)
    assert [draft.change for draft in charge_late_fees(town.site, "2026-12", "ann")] == [100]
