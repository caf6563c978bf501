"""Budget plans in the books: the receivable is what is asked for, the rest waits in an account of its own."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from headend.billing.approval import approve, issue
from headend.billing.books.position import positions
from headend.billing.budgets import Plan
from headend.billing.correcting import make_corrections
from headend.billing.corrections import Way
from headend.billing.run import rate_cycle
from headend.errors import BillingConflict, InvalidInput, NotFound
from headend.exports.books import as_beancount, as_csv
from headend.process.bookkeeping import charge_late_fees, overdue, reverse, rules_of, write_off
from headend.process.budgeting import get_no_bill, set_plan, settle
from headend.store.books import entries_of, journal, verify
from headend.store.budgets import balances
from tests.billing.town import Town

D = Decimal


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """Ada uses the same in every hour: 154.85 in October, 150.13 in November, 154.66 in December."""
    made = Town(tmp_path)
    made.home(last=date(2027, 2, 2))
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


def goes(town: Town, end: str) -> None:
    town.account("Ada", {"tariff": "flat", "valid_to": end})


def left(town: Town) -> dict[tuple[str, str], Decimal]:
    with town.database.read() as tx:
        return balances(tx, "Ada")


def waits(town: Town) -> bool:
    with town.database.read() as tx:
        return bool(balances(tx, "Ada")) and get_no_bill(tx, ["Ada"], town.now.date()) == {"Ada"}


def correct(town: Town, way: Way) -> None:
    """October once more, or taken back; issued at once."""
    town.now += timedelta(hours=1)
    (cycle,) = make_corrections(town.office, ["Ada-2026-10-1"], way, "read again", "ann")
    approve(town.office, cycle.period, cycle.cycle, "ann")
    issue(town.office, cycle.period, cycle.cycle, "bob")


def test_who_left_at_the_end_of_what_was_billed_is_asked_for_the_rest(town: Town) -> None:
    """154.85 were billed for October and 100.00 asked for; that Ada had gone by then is told in November."""
    set_plan(town.site, "Ada", Plan("2026-10", D("100.00"), "EUR", 12), "ann")
    bill(town, "2026-10", datetime(2026, 11, 3, 9, tzinfo=UTC))
    goes(town, "2026-11-01")
    town.now = datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert waits(town)
    (entry,) = settle(town.site, "Ada", "bob")
    assert (entry.kind, entry.source, entry.booked_by) == ("settlement", "settlement:Ada-budget-1", "bob")
    assert (entry.change, entry.balance) == (5_485, 15_485)
    assert (entry.booked_on, entry.due_on) == (date(2026, 11, 20), date(2026, 12, 4))
    sums = booked(town)
    assert (sums["receivable"], sums["budget"]) == (15_485, 0)
    assert (left(town), waits(town)) == ({}, False)
    with pytest.raises(BillingConflict, match="of a budget plan to settle: bob settled it on 2026-11-20"):
        settle(town.site, "Ada", "ann")
    with pytest.raises(BillingConflict, match="not reversed in the books"):
        reverse(town.site, entry.number, "a mistake", "ann")


def test_who_paid_ahead_and_left_is_owed_the_rest(town: Town) -> None:
    """350.00 were asked for, 154.85 billed: 195.15 less are open of the instalment."""
    set_plan(town.site, "Ada", Plan("2026-10", D("350.00"), "EUR", 12), "ann")
    bill(town, "2026-10", datetime(2026, 11, 3, 9, tzinfo=UTC))
    goes(town, "2026-11-01")
    (entry,) = settle(town.site, "Ada", "bob")
    assert (entry.change, entry.balance, entry.due_on) == (-19_515, 15_485, None)
    sums = booked(town)
    assert (sums["receivable"], sums["budget"], left(town)) == (15_485, 0, {})
    with town.database.read() as tx:
        (standing,) = positions(entries_of(tx, ["Ada"]), date(2026, 11, 3))
        told = list(journal(tx, date.min, date.max))
    assert [(item.entry.reference, item.open) for item in standing.open_items] == [("Ada-2026-10-1", 15_485)]
    lines = "".join(as_csv(told))
    assert "2,2026-11-03,budget,Ada,195.15,,EUR,settlement:Ada-budget-1,Settlement Ada-budget-1 of" in lines
    # 350.00 + 118.23 + 11.90 + 24.72 on one side make 350.00 and the plan's 195.15 on the other, and those come back.
    assert lines.splitlines()[-1] == "total,,,,545.15,545.15,EUR,,"
    assert "  Assets:Budget  195.15 EUR\n" in "".join(as_beancount(told))


def test_an_instalment_billed_anew_after_the_last_bill_is_settled_in_the_books(town: Town) -> None:
    """October has 1 kWh more: 118.55 + 11.90, 24.79 of tax are 155.24; November settled what the first bill left."""
    set_plan(town.site, "Ada", Plan("2026-10", D("100.00"), "EUR", 12), "ann")
    bill(town, "2026-10", datetime(2026, 11, 3, 9, tzinfo=UTC))
    goes(town, "2026-12-01")
    bill(town, "2026-11", datetime(2026, 12, 3, 9, tzinfo=UTC))
    assert left(town) == {}
    correct(town, Way.CANCEL)
    assert (left(town), waits(town)) == ({("Ada", "EUR"): D("-54.85")}, False)
    with pytest.raises(BillingConflict, match="can still settle the budget plan of account Ada: 2026-10 is not billed"):
        settle(town.site, "Ada", "bob")
    town.set("E-1", datetime(2026, 10, 5, 12, tzinfo=UTC), values=1_500)
    town.bill("2026-10", "late")
    assert (left(town), waits(town)) == ({("Ada", "EUR"): D("0.39")}, True)
    (entry,) = settle(town.site, "Ada", "bob")
    # All that was asked for is all that was billed: 155.24 + 150.13.
    assert (entry.change, entry.balance, booked(town)["budget"]) == (39, 30_537, 0)


def test_what_a_correction_leaves_later_is_settled_again(town: Town) -> None:
    set_plan(town.site, "Ada", Plan("2026-10", D("100.00"), "EUR", 12), "ann")
    bill(town, "2026-10", datetime(2026, 11, 3, 9, tzinfo=UTC))
    goes(town, "2026-11-01")
    settle(town.site, "Ada", "bob")
    town.set("E-1", datetime(2026, 10, 5, 12, tzinfo=UTC), values=1_500)
    correct(town, Way.REBILL)
    (entry,) = settle(town.site, "Ada", "bob")
    assert (entry.reference, entry.change, entry.balance) == ("Ada-budget-2", 39, 15_524)
    assert booked(town)["budget"] == 0


def test_who_comes_back_brings_nothing_that_was_settled(town: Town) -> None:
    set_plan(town.site, "Ada", Plan("2026-10", D("100.00"), "EUR", 9), "ann")
    bill(town, "2026-10", datetime(2026, 11, 3, 9, tzinfo=UTC))
    goes(town, "2026-11-01")
    settle(town.site, "Ada", "bob")
    town.account("Ada", {"tariff": "flat", "valid_from": "2026-12-01"})
    bill(town, "2026-12", datetime(2027, 1, 3, 9, tzinfo=UTC))
    budget = town.statements("2026-12")["Ada"].budget
    assert budget is not None
    assert (budget.brought, budget.carried, budget.due) == (D("0.00"), D("54.66"), D("100.00"))
    assert booked(town)["budget"] == 5_466


def test_a_settlement_is_refused_while_a_bill_may_follow(town: Town) -> None:
    def refused(why: str) -> None:
        with pytest.raises(BillingConflict, match=re.escape(why)):
            settle(town.site, "Ada", "bob")
        assert not waits(town)

    refused("account Ada has nothing left of a budget plan to settle")
    set_plan(town.site, "Ada", Plan("2026-10", D("100.00"), "EUR", 12), "ann")
    bill(town, "2026-10", datetime(2026, 11, 3, 9, tzinfo=UTC))
    refused("its agreement at UP-Ada goes on")
    goes(town, "2026-11-16")
    refused("its agreement at UP-Ada goes until 2026-11-16")
    town.now = datetime(2026, 12, 3, 9, tzinfo=UTC)
    refused("2026-11 is not billed")
    rate_cycle(town.office, "2026-11", "monthly", "ann")
    refused("statement Ada-2026-11-1 is not issued yet")
    with pytest.raises(InvalidInput, match="clerk"):
        settle(town.site, "Ada", " ")
    with pytest.raises(NotFound, match="no account is called 'Zoe'"):
        settle(town.site, "Zoe", "bob")
    assert booked(town)["budget"] == 5_485


def test_what_was_billed_before_there_were_books_is_booked_first(town: Town) -> None:
    set_plan(town.site, "Ada", Plan("2026-10", D("100.00"), "EUR", 12), "ann")
    bill(town, "2026-10", datetime(2026, 11, 3, 9, tzinfo=UTC))
    goes(town, "2026-11-01")
    with town.database.write() as tx:
        for table in ("book_posting", "book_entry"):
            tx.execute(text(f"DROP TRIGGER {table}_delete"))
            tx.execute(text(f"DELETE FROM {table}"))
    with pytest.raises(BillingConflict, match="statement Ada-2026-10-1 is not in the books yet: headend ledger post"):
        settle(town.site, "Ada", "bob")


def test_a_settlement_that_is_not_paid_is_overdue_and_given_up(town: Town) -> None:
    set_plan(town.site, "Ada", Plan("2026-10", D("100.00"), "EUR", 12), "ann")
    bill(town, "2026-10", datetime(2026, 11, 3, 9, tzinfo=UTC))
    goes(town, "2026-11-01")
    settle(town.site, "Ada", "bob")
    town.now = datetime(2026, 12, 20, 9, tzinfo=UTC)
    with town.database.read() as tx:
        (late,) = overdue(tx, rules_of(town.site).stages, date(2026, 12, 20))
    assert [each.item.entry.reference for each in late.reminders] == ["Ada-2026-10-1", "Ada-budget-1"]
    # Stages are of statements.
    assert {each.item.entry.reference for each in late.due} == {"Ada-2026-10-1"}
    assert write_off(town.site, "Ada-budget-1", "moved abroad", "bob").change == -5_485
    assert booked(town)["write-off"] == 5_485
