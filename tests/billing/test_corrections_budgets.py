"""Corrections of who pays by instalments, and what a correction of a month means to later ones that go by its peak.

Ada uses 500 Wh an hour at 0.3174 a kWh, 11.90 a month, 19 % on both: 154.85 EUR for October, 150.13 for November and
154.66 for December; with 10 kWh more 158.64 for October and 158.45 for December (382 × 0.3174 = 121.25, + 11.90 =
133.15, VAT 25.30). Her instalment is 100.00.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from headend.billing.books.position import positions
from headend.billing.budgets import Plan
from headend.billing.correcting import make_corrections, propose
from headend.billing.corrections import Way
from headend.billing.statement import Budget, Statement
from headend.billing.verify import verify_statement
from headend.office import office_of
from headend.process.asbilled import SitePast
from headend.process.budgeting import set_plan
from headend.store.books import entries_of, journal, verify
from headend.store.budgets import balances
from headend.store.rebills import rebills, rebills_of
from headend.tariffs import load_book
from tests.billing.test_corrections import FIRST, NOON, WHY, correct, edit
from tests.billing.town import IMPORT, TARIFFS, Town

D = Decimal
OCTOBER, NOVEMBER, DECEMBER, JANUARY = "2026-10", "2026-11", "2026-12", "2027-01"
AFTER = {OCTOBER: (2026, 11), NOVEMBER: (2026, 12), DECEMBER: (2027, 1), JANUARY: (2027, 2)}
DECEMBER_NOON = datetime(2026, 12, 5, 12, tzinfo=UTC)


@pytest.fixture
def town(town: Town) -> Town:
    town.home(last=date(2027, 2, 2))
    return town


def pays(town: Town, instalment: str = "100.00") -> None:
    set_plan(town.site, "Ada", Plan(OCTOBER, D(instalment), "EUR", 12), "ann")


def bill(town: Town, *periods: str, account: str = "Ada", cycle: str = "monthly") -> Statement:
    """Bill periods, each on the third of the month after; the last one's statement."""
    for period in periods:
        town.now = datetime(*AFTER[period], 3, 9, tzinfo=UTC)
        made = town.bill(period, cycle)[account]
    return made


def budget(instalment: str | None, brought: str, carried: str, due: str) -> Budget:
    return Budget(None if instalment is None else D(instalment), D(brought), D(carried), D(due))


def booked(town: Town) -> Counter[str]:
    """What stands on each account of the books, in cents; every entry is as it was booked."""
    sums: Counter[str] = Counter()
    with town.database.read() as tx:
        for _, postings in journal(tx, date.min, date.max):
            for posting in postings:
                sums[posting.code] += posting.amount
        verify(tx)
        carried = sum(balances(tx).values(), D(0))
    assert sums["budget"] == carried * 100
    return sums


def owed(town: Town) -> list[tuple[str, int, date | None]]:
    """What is open: source, cents, and when it is due."""
    with town.database.read() as tx:
        (its,) = positions(entries_of(tx, ["Ada"]), town.now.date())
    return [(item.entry.source, item.open, item.entry.due_on) for item in its.open_items]


def verifies(town: Town, *ids: str) -> None:
    for which in ids:
        assert verify_statement(town.office, lambda tx: SitePast(tx, town.site), which).identical, which


def test_billed_again_the_instalment_stays_and_what_it_costs_more_is_carried(town: Town) -> None:
    pays(town)
    bill(town, OCTOBER)
    town.now = datetime(2026, 11, 10, 9, tzinfo=UTC)
    edit(town, 10_500)
    taken, again = correct(town)
    assert taken.budget == budget("-100.00", "54.85", "0.00", "-100.00")
    assert again.budget == budget("100.00", "0.00", "58.64", "100.00")
    sums = booked(town)
    assert (sums["receivable"], sums["budget"]) == (10_000, 5_864)
    assert (sums["revenue:electricity:energy"], sums["tax:VAT 19 %"]) == (-12_141, -2_533)
    assert owed(town) == [("statement:Ada-2026-10-3", 10_000, date(2026, 11, 24))]
    assert bill(town, NOVEMBER).budget == budget("100.00", "58.64", "108.77", "100.00")
    assert (booked(town)["receivable"], booked(town)["budget"]) == (20_000, 10_877)
    verifies(town, "Ada-2026-10-2", "Ada-2026-10-3", "Ada-2026-11-1")


def test_differences_are_carried_and_ask_for_nothing(town: Town) -> None:
    pays(town)
    bill(town, OCTOBER)
    edit(town, 10_500)
    (more,) = correct(town, way=Way.DIFFERENCE)
    assert (more.totals.gross, more.budget) == (D("3.79"), budget("0.00", "54.85", "58.64", "0.00"))
    verifies(town, more.id)
    edit(town, 0)
    (less,) = correct(town, way=Way.DIFFERENCE)
    assert (less.totals.gross, less.budget) == (D("-3.98"), budget("0.00", "58.64", "54.66", "0.00"))
    verifies(town, less.id)
    assert (booked(town)["receivable"], booked(town)["budget"]) == (10_000, 5_466)
    assert owed(town) == [(f"statement:{FIRST}", 10_000, date(2026, 11, 17))]

    edit(town, 10_500)
    second, first, whole, again = correct(town)
    assert second.budget == budget("0.00", "54.66", "58.64", "0.00")
    assert first.budget == budget("0.00", "58.64", "54.85", "0.00")
    assert whole.budget == budget("-100.00", "54.85", "0.00", "-100.00")
    assert again.budget == budget("100.00", "0.00", "58.64", "100.00")
    assert (booked(town)["receivable"], booked(town)["budget"]) == (10_000, 5_864)
    verifies(town, second.id, first.id, whole.id, again.id)


def test_taken_back_nothing_is_asked_for_or_carried_and_a_late_cycle_asks_again(town: Town) -> None:
    pays(town)
    bill(town, OCTOBER)
    edit(town, 10_500)
    (taken,) = correct(town, way=Way.CANCEL)
    assert taken.budget == budget("-100.00", "54.85", "0.00", "-100.00")
    assert {amount for code, amount in booked(town).items()} == {0}
    assert owed(town) == []
    late = bill(town, OCTOBER, cycle="late")
    assert late.budget == budget("100.00", "0.00", "58.64", "100.00")
    assert (booked(town)["receivable"], booked(town)["budget"]) == (10_000, 5_864)
    verifies(town, taken.id, late.id)


def test_what_changes_after_the_next_month_is_billed_is_brought_to_the_one_after(town: Town) -> None:
    pays(town)
    bill(town, OCTOBER, NOVEMBER)
    edit(town, 10_500)
    _, again = correct(town)
    assert again.budget == budget("100.00", "0.00", "58.64", "100.00")
    assert booked(town)["budget"] == 10_498 + 379
    # 108.77 + 154.66
    assert bill(town, DECEMBER).budget == budget(None, "108.77", "0.00", "263.43")
    assert (booked(town)["receivable"], booked(town)["budget"]) == (46_343, 0)
    verifies(town, "Ada-2026-11-1", "Ada-2026-12-1")


@pytest.mark.parametrize("way", Way)
def test_where_the_plan_was_settled_the_difference_is_due(town: Town, way: Way) -> None:
    pays(town)
    december = bill(town, OCTOBER, NOVEMBER, DECEMBER)
    assert december.budget == budget(None, "104.98", "0.00", "259.64")
    edit(town, 10_500, DECEMBER_NOON)
    documents = correct(town, december.id, way=way)
    if way == Way.DIFFERENCE:
        (more,) = documents
        assert (more.budget, more.due_on) == (budget(None, "0.00", "0.00", "3.79"), date(2027, 1, 17))
    else:
        assert documents[0].budget == budget(None, "0.00", "104.98", "-259.64")
        if way == Way.CANCEL:
            assert (booked(town)["receivable"], booked(town)["budget"]) == (20_000, 10_498)
            documents.append(bill(town, DECEMBER, cycle="late"))
        assert documents[1].budget == budget(None, "104.98", "0.00", "263.43")
    # 100.00 + 100.00 + 263.43
    assert (booked(town)["receivable"], booked(town)["budget"]) == (46_343, 0)
    verifies(town, *(document.id for document in documents))
    assert bill(town, JANUARY).budget == budget("100.00", "0.00", "54.66", "100.00")


@pytest.mark.parametrize("way", Way)
def test_who_was_given_something_back_is_given_less(town: Town, way: Way) -> None:
    """Of 250.00 a month 40.36 came back in December: 459.64 for three months; with 3.79 more they are 463.43."""
    pays(town, "250.00")
    december = bill(town, OCTOBER, NOVEMBER, DECEMBER)
    assert december.budget == budget(None, "-195.02", "0.00", "-40.36")
    edit(town, 10_500, DECEMBER_NOON)
    documents = correct(town, december.id, way=way)
    if way == Way.DIFFERENCE:
        assert documents[0].budget == budget(None, "0.00", "0.00", "3.79")
    else:
        assert documents[0].budget == budget(None, "0.00", "-195.02", "40.36")
        if way == Way.CANCEL:
            assert (booked(town)["receivable"], booked(town)["budget"]) == (50_000, -19_502)
            documents.append(bill(town, DECEMBER, cycle="late"))
        assert documents[1].budget == budget(None, "-195.02", "0.00", "-36.57")
    assert (booked(town)["receivable"], booked(town)["budget"]) == (46_343, 0)
    verifies(town, *(document.id for document in documents))


# -- later bills that go by a peak of the month: 12 EUR a kW, at least half the peak of the two months before --

PEAK = datetime(2026, 10, 20, 12, tzinfo=UTC)
DEMAND = TARIFFS["demand-next"]
METERING = """
[[components]]
kind = "standing"
label = "Metering"
per = "month"
price = 3
"""


def charged_for_demand(folder: Path, later: str) -> Town:
    """Eve and her meter; her tariff has `later` in the place of its second version, and no demand before that."""
    town = Town(folder)
    (folder / "tariffs" / "demand-first.toml").write_text(TARIFFS["flat"].replace('"flat"', '"demand"'))
    (folder / "tariffs" / "demand-next.toml").write_text(later)
    town.site = replace(town.site, tariffs=load_book(folder / "tariffs"))
    town.office = office_of(town.site)
    town.account("Eve", {"tariff": "demand"})
    town.meter("E-3", "Eve", IMPORT)
    return town


@pytest.fixture
def eve(tmp_path: Path) -> Town:
    """Eve takes 1 kW, but 8 kW in one hour of October; billed up to January: 4 kW in November and December."""
    made = Town(tmp_path)
    made.account("Eve", {"tariff": "demand"})
    made.meter("E-3", "Eve", IMPORT)
    made.reads("E-3", 1_000, first=date(2026, 7, 31), last=date(2027, 2, 2))
    made.set("E-3", PEAK, values=8_000)
    totals = [bill(made, period, account="Eve").totals.gross for period in (OCTOBER, NOVEMBER, DECEMBER, JANUARY)][1:]
    assert totals == [D("48.00"), D("48.00"), D("12.00")]
    made.now = datetime(2027, 2, 10, 9, tzinfo=UTC)
    return made


def flagged(town: Town) -> list[tuple[str, str]]:
    with town.database.read() as tx:
        return [(flag.statement, flag.cause) for flag in rebills(tx)]


@pytest.mark.parametrize("way", [Way.REBILL, Way.DIFFERENCE])
def test_bills_that_go_by_the_peak_are_shown_before_and_flagged_after(eve: Town, way: Way) -> None:
    edit(eve, 6_000, PEAK, "E-3")
    (one,) = propose(eve.office, ["Eve-2026-10-1"], way, WHY)
    assert one.corrections[0].touches == ("Eve-2026-11-1", "Eve-2026-12-1")
    assert flagged(eve) == [("Eve-2026-10-1", "ann")]
    last = correct(eve, "Eve-2026-10-1", way=way)[-1]
    why = f"the peak of 2026-10, by {last.id}"
    assert flagged(eve) == [("Eve-2026-11-1", why), ("Eve-2026-12-1", why)]
    # Half of 6 kW.
    documents = correct(eve, "Eve-2026-11-1", "Eve-2026-12-1")
    assert [each.totals.gross for each in documents] == [D("-48.00"), D("36.00")] * 2
    assert flagged(eve) == []


def test_who_looked_and_found_nothing_is_told_again_by_the_next_correction(eve: Town) -> None:
    # 3 kW on 5 October make that month dearer; its highest hour stays the one of the 20th.
    edit(eve, 3_000, NOON, "E-3")
    correct(eve, "Eve-2026-10-1")
    (one, other) = make_corrections(eve.office, ["Eve-2026-11-1", "Eve-2026-12-1"], Way.REBILL, "Looked at", "ann")
    assert (one.corrections, other.corrections) == ((), ())
    assert flagged(eve) == []

    edit(eve, 6_000, PEAK, "E-3")
    (_, again) = correct(eve, "Eve-2026-10-3")
    why = f"the peak of 2026-10, by {again.id}"
    assert flagged(eve) == [("Eve-2026-11-1", why), ("Eve-2026-12-1", why)]
    correct(eve, "Eve-2026-11-1")
    with eve.database.read() as tx:
        assert [flag.settled_by for flag in rebills_of(tx, "Eve-2026-11-1")] == ["Eve-2026-11-3"]


@pytest.mark.parametrize("way", [Way.REBILL, Way.DIFFERENCE])
def test_bills_that_went_by_a_peak_of_nothing_are_flagged_where_there_is_one_now(tmp_path: Path, way: Way) -> None:
    """Nothing is used at all, but 8 kW in one hour of October, as is found later: half of it for two months."""
    town = charged_for_demand(tmp_path, DEMAND.replace("2026-10-11", "2026-10-01") + METERING)
    town.reads("E-3", 0, first=date(2026, 7, 31), last=date(2027, 2, 2))
    assert bill(town, OCTOBER, NOVEMBER, DECEMBER, JANUARY, account="Eve").totals.gross == D("3.00")
    town.now = datetime(2027, 2, 10, 9, tzinfo=UTC)
    edit(town, 8_000, PEAK, "E-3")
    (one,) = propose(town.office, ["Eve-2026-10-1"], way, WHY)
    assert one.corrections[0].touches == ("Eve-2026-11-1", "Eve-2026-12-1")
    last = correct(town, "Eve-2026-10-1", way=way)[-1]
    why = f"the peak of 2026-10, by {last.id}"
    assert flagged(town) == [("Eve-2026-11-1", why), ("Eve-2026-12-1", why)]
    documents = correct(town, "Eve-2026-11-1", "Eve-2026-12-1", way=Way.DIFFERENCE)
    assert [each.totals.gross for each in documents] == [D("48.00")] * 2
    assert flagged(town) == []


def test_a_bill_of_before_the_ratchet_was_agreed_touches_those_that_have_it(tmp_path: Path) -> None:
    """Demand is charged from November on, at least half the peak of the two months before: of October as well."""
    town = charged_for_demand(tmp_path, DEMAND.replace("2026-10-11", "2026-11-01"))
    town.reads("E-3", 1_000, first=date(2026, 7, 31), last=date(2027, 2, 2))
    assert bill(town, OCTOBER, NOVEMBER, account="Eve").totals.gross == D("12.00")
    town.now = datetime(2027, 2, 10, 9, tzinfo=UTC)
    edit(town, 8_000, PEAK, "E-3")
    correct(town, "Eve-2026-10-1")
    assert [statement for statement, _ in flagged(town)] == ["Eve-2026-11-1"]
