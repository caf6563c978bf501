"""Budget plans: the same instalment each period, and what it is off by settled once a year; worked by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from headend.billing.approval import approve, issue
from headend.billing.budgets import Plan, billed_again, budget_of, off_by, taken_back
from headend.billing.correcting import make_corrections
from headend.billing.corrections import Way
from headend.billing.cycle import CycleScope
from headend.billing.run import rate_cycle
from headend.billing.statement import Budget, canonical_json, parse_statement
from headend.billing.verify import verify_statement
from headend.documents.html import statement_html
from headend.documents.pdf import statement_pdf
from headend.documents.texts import LANGUAGES
from headend.documents.view import statement_view
from headend.errors import BillingConflict, InvalidInput, NotFound
from headend.process.asbilled import SitePast
from headend.process.budgeting import end_plan, set_plan, suggest
from headend.store.budgets import balances, plans
from tests.billing.kinds import GAS
from tests.billing.made import made_statement
from tests.billing.test_commands import Run, run
from tests.billing.town import Town

__all__ = ["run"]

D = Decimal
#: 500 Wh an hour at 0.3174 a kWh, 11.90 a month, 19 % on both. October has 745 hours, November 720, December 744.
OCTOBER, NOVEMBER, DECEMBER = D("154.85"), D("150.13"), D("154.66")
AFTER = {"2026-10": (2026, 11), "2026-11": (2026, 12), "2026-12": (2027, 1), "2027-01": (2027, 2)}


@pytest.fixture
def town(town: Town) -> Town:
    """Ada uses the same in every hour."""
    town.home(last=date(2027, 2, 2))
    return town


def bill(town: Town, period: str, account: str = "Ada", cycle: str = "monthly") -> Budget | None:
    year, month = AFTER[period]
    town.now = datetime(year, month, 3, 9, tzinfo=UTC)
    return town.bill(period, cycle)[account].budget


def plan(instalment: str, since: str = "2026-10", settles_in: int = 12) -> Plan:
    return Plan(since, D(instalment), "EUR", settles_in)


def test_a_year_of_instalments_is_settled_by_the_last_bill() -> None:
    """Twelve bills of 1,260.00 in all; 11 × 100.00 are paid before the last, which asks for the other 160.00."""
    bills = [D(each) for each in (180, 160, 140, 100, 70, 60, 50, 50, 60, 90, 130, 170)]
    brought, asked = D("0.00"), []
    for month, gross in enumerate(bills, 1):
        budget = budget_of(plan("100.00", "2026-01"), gross, brought, f"2026-{month:02}", last_bill=False)
        assert budget is not None
        assert budget.brought + gross == budget.due + budget.carried
        asked.append(budget.due)
        brought = budget.carried
    assert asked == [D(100)] * 11 + [D(160)]
    assert brought == 0


def test_bills_ask_for_the_instalment_until_december_settles(town: Town) -> None:
    set_plan(town.site, "Ada", plan("100"), "ann")
    assert bill(town, "2026-10") == Budget(D("100.00"), D("0.00"), D("54.85"), D("100.00"))
    assert bill(town, "2026-11") == Budget(D("100.00"), D("54.85"), D("104.98"), D("100.00"))
    assert bill(town, "2026-12") == Budget(None, D("104.98"), D("0.00"), D("259.64"))
    assert bill(town, "2027-01") == Budget(D("100.00"), D("0.00"), D("54.66"), D("100.00"))
    with town.database.read() as tx:
        assert balances(tx) == {("Ada", "EUR"): D("54.66")}
    assert [town.statements(period)["Ada"].totals.gross for period in ("2026-10", "2026-11", "2026-12")] == [
        OCTOBER,
        NOVEMBER,
        DECEMBER,
    ]


def test_who_paid_too_much_gets_it_back_when_it_is_settled(town: Town) -> None:
    set_plan(town.site, "Ada", plan("250.00"), "ann")
    bill(town, "2026-10")
    assert bill(town, "2026-11") == Budget(D("250.00"), D("-95.15"), D("-195.02"), D("250.00"))
    assert bill(town, "2026-12") == Budget(None, D("-195.02"), D("0.00"), D("-40.36"))


def test_an_instalment_changes_from_a_period_on(town: Town) -> None:
    set_plan(town.site, "Ada", plan("100.00"), "ann")
    set_plan(town.site, "Ada", plan("140.00", "2026-11"), "ann")
    bill(town, "2026-10")
    assert bill(town, "2026-11") == Budget(D("140.00"), D("54.85"), D("64.98"), D("140.00"))


def test_the_bill_of_the_period_a_plan_ends_settles_it_and_later_ones_know_none(town: Town) -> None:
    set_plan(town.site, "Ada", plan("100.00"), "ann")
    bill(town, "2026-10")
    end_plan(town.site, "Ada", "2026-11", "bob")
    assert bill(town, "2026-11") == Budget(None, D("54.85"), D("0.00"), D("204.98"))
    assert bill(town, "2026-12") is None
    assert b"budget" not in town.documents("2026-12")["Ada"]


def test_a_final_bill_in_the_middle_settles(town: Town) -> None:
    """To 10 November: 240 h, so 120 kWh and a third of the month: 38.09 + 3.97, 7.99 of tax."""
    set_plan(town.site, "Ada", plan("100.00"), "ann")
    bill(town, "2026-10")
    town.account("Ada", {"tariff": "flat", "valid_to": "2026-11-11"})
    town.now = datetime(2026, 11, 12, 9, tzinfo=UTC)
    rate_cycle(town.office, "2026-11", "final", "ann", CycleScope(final=True))
    made = town.statements("2026-11", "final")["Ada"]
    assert (made.kind, made.totals.gross) == ("final", D("50.05"))
    assert made.budget == Budget(None, D("54.85"), D("0.00"), D("104.90"))


def test_the_last_bill_settles_also_in_the_regular_cycle(town: Town) -> None:
    set_plan(town.site, "Ada", plan("100.00"), "ann")
    bill(town, "2026-10")
    town.account("Ada", {"tariff": "flat", "valid_to": "2026-12-01"})
    assert bill(town, "2026-11") == Budget(None, D("54.85"), D("0.00"), D("204.98"))


def take_back(town: Town, number: str) -> None:
    """Cancel a statement alone."""
    (made,) = make_corrections(town.office, [number], Way.CANCEL, "billed otherwise", "ann")
    approve(town.office, made.period, made.cycle, "ann")
    issue(town.office, made.period, made.cycle, "bob")


def test_who_moved_out_before_anybody_said_so_is_settled_by_billing_the_last_month_again(town: Town) -> None:
    set_plan(town.site, "Ada", plan("100.00"), "ann")
    bill(town, "2026-10")
    town.account("Ada", {"tariff": "flat", "valid_to": "2026-11-01"})
    take_back(town, "Ada-2026-10-1")
    assert bill(town, "2026-10", cycle="late") == Budget(None, D("0.00"), D("0.00"), D("154.85"))
    with town.database.read() as tx:
        assert balances(tx) == {}


def test_a_month_that_was_taken_back_is_billed_again_first(town: Town) -> None:
    set_plan(town.site, "Ada", plan("100.00"), "ann")
    bill(town, "2026-10")
    take_back(town, "Ada-2026-10-1")
    town.now = datetime(2026, 12, 3, 9, tzinfo=UTC)
    rate_cycle(town.office, "2026-11", "monthly", "ann")
    assert "bill 2026-10 first" in town.exceptions("2026-11")["Ada"].detail
    bill(town, "2026-10", cycle="late")
    assert bill(town, "2026-11") == Budget(D("100.00"), D("54.85"), D("104.98"), D("100.00"))


def test_what_is_carried_in_one_currency_is_not_asked_for_in_another(town: Town) -> None:
    """From November on Ada has gas alone, in dollars; her plan of October left 54.85 EUR."""
    gas = {"commodity": "gas", "tariff": "dollars", "valid_from": "2026-11-01"}
    town.account("Ada", {"tariff": "flat", "valid_to": "2026-11-01"}, gas)
    town.meter("G-1", "Ada", GAS, commodity="gas")
    town.reads("G-1", channel=GAS, last=date(2026, 12, 2))
    set_plan(town.site, "Ada", plan("100.00"), "ann")
    bill(town, "2026-10")
    set_plan(town.site, "Ada", Plan("2026-11", D(90), "USD", 12), "ann")
    town.now = datetime(2026, 12, 3, 9, tzinfo=UTC)
    rate_cycle(town.office, "2026-11", "monthly", "ann")
    refused = town.exceptions("2026-11")["Ada"]
    assert (refused.code, "carries 54.85 EUR, its bill is in USD" in refused.detail) == ("currencies", True)
    take_back(town, "Ada-2026-10-1")
    end_plan(town.site, "Ada", "2026-10", "ann")
    assert bill(town, "2026-10", cycle="late") is None  # nothing was brought: it is a bill as usual
    dollars = bill(town, "2026-11")
    assert dollars is not None
    assert (dollars.brought, dollars.due) == (D("0.00"), D("90.00"))


def test_who_moves_within_the_town_goes_on_paying(town: Town) -> None:
    set_plan(town.site, "Ada", plan("100.00"), "ann")
    bill(town, "2026-10")
    town.account("Ada", {"tariff": "flat", "valid_to": "2026-12-01"})
    town.account("Ada", {"tariff": "flat", "valid_from": "2026-12-01"}, at="New")
    assert bill(town, "2026-11") == Budget(D("100.00"), D("54.85"), D("104.98"), D("100.00"))


def test_the_month_before_is_billed_first(town: Town) -> None:
    set_plan(town.site, "Ada", plan("100.00"), "ann")
    town.now = datetime(2027, 1, 3, 9, tzinfo=UTC)
    rate_cycle(town.office, "2026-12", "monthly", "ann")
    assert town.exceptions("2026-12")["Ada"].code == "month_before"
    assert "bill 2026-10 first" in town.exceptions("2026-12")["Ada"].detail
    for period in ("2026-10", "2026-11", "2026-12"):
        rate_cycle(town.office, period, "monthly", "ann")
    assert town.statements("2026-12")["Ada"].budget == Budget(None, D("104.98"), D("0.00"), D("259.64"))
    with pytest.raises(BillingConflict, match="Ada"):
        approve(town.office, "2026-12", "monthly", "ann")


def test_a_plan_that_is_set_meanwhile_has_the_draft_rated_again(town: Town) -> None:
    rate_cycle(town.office, "2026-10", "monthly", "ann")
    set_plan(town.site, "Ada", plan("100.00"), "ann")
    with pytest.raises(BillingConflict, match="Rate it again"):
        approve(town.office, "2026-10", "monthly", "ann")
    assert bill(town, "2026-10") is not None


@pytest.mark.parametrize(
    ("its", "found"),
    [
        (replace(plan("100"), currency="USD"), "found USD, expected EUR, as account Ada is billed"),
        (plan("-5"), "found -5, expected more than 0"),
        (plan("0"), "found 0, expected more than 0"),
        (plan("100.001"), "at most 2 decimal places"),
        (plan("100", "2026-13"), "expected a month such as 2026-10"),
        (plan("100", settles_in=13), "found 13, expected a month of the year"),
    ],
)
def test_plans_that_make_no_sense_are_refused(town: Town, its: Plan, found: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(found)):
        set_plan(town.site, "Ada", its, "ann")
    with town.database.read() as tx:
        assert plans(tx) == []


def test_what_is_billed_does_not_get_a_plan(town: Town) -> None:
    bill(town, "2026-10")
    with pytest.raises(BillingConflict, match="billed for 2026-10 or later already, in Ada-2026-10-1"):
        set_plan(town.site, "Ada", plan("100"), "ann")
    with pytest.raises(NotFound, match="no account is called 'Zoe'"):
        set_plan(town.site, "Zoe", plan("100"), "ann")
    with pytest.raises(BillingConflict, match="Ada has no budget plan in 2026-11"):
        end_plan(town.site, "Ada", "2026-11", "ann")
    town.account("Bea", {"tariff": "flat", "valid_to": "2025-02-01"})
    with pytest.raises(InvalidInput, match="expected a period with a service agreement of account Bea"):
        set_plan(town.site, "Bea", plan("100"), "ann")
    with pytest.raises(InvalidInput, match="clerk"):
        set_plan(town.site, "Ada", plan("100", "2026-11"), " ")


def test_an_instalment_is_suggested_from_the_bills(town: Town) -> None:
    """304.98 for 61 days are 1,824.88 for 365, and 152.08 a month, rounded up."""
    with pytest.raises(BillingConflict, match="not billed yet"):
        suggest(town.site, "Ada")
    bill(town, "2026-10")
    bill(town, "2026-11")
    its = suggest(town.site, "Ada")
    assert (its.billed, its.days, its.first, its.last) == (D("304.98"), 61, "2026-10", "2026-11")
    assert (its.a_year, its.instalment) == (D("1824.88"), D("152.08"))


def test_corrections_leave_the_instalment_and_change_what_is_carried() -> None:
    """A bill of 154.85 is billed again as 140.00: 14.85 less are carried, and nothing is asked for."""
    its = Budget(D("100.00"), D("10.00"), D("64.85"), D("100.00"))
    back, again = taken_back(its), billed_again(its, D("140.00"))
    assert back == Budget(D("-100.00"), D("64.85"), D("10.00"), D("-100.00"))
    assert again == Budget(D("100.00"), D("10.00"), D("50.00"), D("100.00"))
    assert off_by(its, D("-14.85")) == Budget(D("0.00"), D("64.85"), D("50.00"), D("0.00"))
    settled = Budget(None, D("10.00"), D("0.00"), D("164.85"))
    assert billed_again(settled, D("140.00")).due == D("150.00")
    assert off_by(settled, D("-14.85")).due == D("-14.85")


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_the_paper_asks_for_the_instalment_and_shows_the_whole_bill(language: str) -> None:
    usual = made_statement()
    gross = usual.totals.gross
    budget = Budget(D("85.00"), D("-12.00"), gross - D("97.00"), D("85.00"))
    made = replace(usual, customer=replace(usual.customer, locale=f"{language}_{language.upper()}"[:5]), budget=budget)
    view, texts = statement_view(made), LANGUAGES[language]
    assert view["due"]["label"] == texts["instalment_due"]
    assert view["budget"]["rows"][0][0] == texts["budget_ahead"]
    assert "85" in view["due"]["amount"]
    assert view["budget"]["note"] == texts["budget_note"]
    page = statement_html(made)
    assert texts["budget"] in page
    assert view["summary"]["total"][-1] in page
    assert statement_pdf(made).startswith(b"%PDF")
    settled = replace(made, budget=Budget(None, D("-900.00"), D("0.00"), gross - D("900.00")))
    assert statement_view(settled)["due"]["label"] == texts["credit"]
    assert statement_view(settled)["budget"]["note"] == texts["budget_settled"]
    assert statement_view(usual)["budget"] is None


def test_the_budget_stands_in_the_document_only_where_there_is_one() -> None:
    usual = made_statement()
    made = replace(usual, budget=Budget(D("85.00"), D("0.00"), usual.totals.gross - 85, D("85.00")))
    assert b'"budget"' not in canonical_json(usual)
    assert b'"budget":{"brought":"0.00",' in canonical_json(made)
    assert parse_statement(canonical_json(made)) == made


def test_bills_on_a_plan_verify_as_identical_and_one_that_does_not_add_up_is_found(town: Town) -> None:
    set_plan(town.site, "Ada", plan("100.00"), "ann")
    for period in ("2026-10", "2026-11", "2026-12"):
        bill(town, period)
        verified = verify_statement(town.office, lambda tx: SitePast(tx, town.site), f"Ada-{period}-1")
        assert verified.identical
    its = town.statements("2026-11")["Ada"]
    assert its.budget is not None
    assert its.budget.does_not_add_up(NOVEMBER) is None
    assert its.budget.does_not_add_up(OCTOBER) == (
        "100.00 due + 104.98 carried",
        "54.85 brought + 154.85 billed",
    )


def test_plans_as_a_clerk_types_them(town: Town, run: Run) -> None:
    bill(town, "2026-10")
    assert run("budget", "show")[:2] == (0, "No account has a budget plan.\n")
    code, out, _ = run("budget", "suggest", "Ada")
    assert (code, out) == (
        0,
        "151.94 EUR: a twelfth of 1,823.23 for 365 days, rounded up; billed were 154.85 for 31 days of 2026-10 to"
        " 2026-10\n",
    )
    its = ("--instalment", "100", "--currency", "EUR", "--by", "ann")
    assert run("budget", "set", "Ada", "--since", "2026-11", *its)[:2] == (
        0,
        "account Ada pays 100.00 EUR each period from 2026-11 on, settled with the bill of month 12\n",
    )
    for problem, told in (
        (("set", "Ada", "--since", "2026-10", *its), "billed for 2026-10 or later already, in Ada-2026-10-1"),
        (("set", "Zoe", "--since", "2026-11", *its), "no account is called 'Zoe'"),
        (("set", "Ada", "--since", "2026-11", *its[:-2], "--by", ""), "clerk"),
        (("set", "Ada", "--since", "11/2026", *its), "expected a month such as 2026-10"),
        (("set", "Ada", "--since", "2026-11", "--instalment", "ten", *its[2:]), "an amount such as 12.34"),
        (("end", "Ada", "--since", "2026-10", "--by", "ann"), "Ada has no budget plan in 2026-10"),
        (("show", "Zoe"), "no account is called 'Zoe'"),
    ):
        code, _, err = run("budget", *problem)
        assert code in (1, 2)
        assert told in err
    bill(town, "2026-11")
    code, out, _ = run("budget", "show", "Ada")
    assert "100.00 EUR" in out
    assert "Ada: 50.13 EUR billed and not asked for yet" in out
    assert run("budget", "end", "Ada", "--since", "2026-12", "--by", "bob")[:2] == (
        0,
        "account Ada: the bill of 2026-12 settles its plan, which has ended\n",
    )


def test_who_ends_a_plan_is_told_of_one_that_begins_later(town: Town, run: Run) -> None:
    set_plan(town.site, "Ada", plan("100.00"), "ann")
    set_plan(town.site, "Ada", plan("90.00", "2027-01"), "ann")
    assert run("budget", "end", "Ada", "--since", "2026-11", "--by", "bob")[:2] == (
        0,
        "account Ada: the bill of 2026-11 settles its plan; another one was set before and stays:"
        " 90.00 EUR each period from 2027-01 on\n",
    )
    for since, told in (
        ("2026-09", "account Ada has no budget plan in 2026-09; one begins with 2026-10"),
        ("2026-12", "account Ada has no budget plan in 2026-12; one was settled with 2026-11; one begins with 2027-01"),
    ):
        code, _, err = run("budget", "end", "Ada", "--since", since, "--by", "bob")
        assert (code, told in err) == (1, True), err
    assert run("budget", "end", "Ada", "--since", "2027-02", "--by", "bob")[1].endswith("its plan, which has ended\n")


def test_who_ends_a_plan_with_the_period_it_begins_in_is_told_that_it_does_not_begin(town: Town, run: Run) -> None:
    def end(since: str) -> str:
        return run("budget", "end", "Ada", "--since", since, "--by", "bob")[1]

    set_plan(town.site, "Ada", plan("100.00", "2026-12"), "ann")
    assert end("2026-12") == "account Ada: its plan, which was to begin with 2026-12, does not begin\n"
    bill(town, "2026-10")
    bill(town, "2026-11")
    assert bill(town, "2026-12") is None
    # Ended once, and begun again.
    set_plan(town.site, "Ada", plan("90.00", "2027-02"), "ann")
    assert end("2027-03") == "account Ada: the bill of 2027-03 settles its plan, which has ended\n"
    assert "no budget plan in 2027-04" in run("budget", "end", "Ada", "--since", "2027-04", "--by", "bob")[2]


def test_what_no_bill_settles_is_shown_and_settled_once(town: Town, run: Run) -> None:
    """154.85 were billed and 100.00 asked for; that Ada had gone by the end of October is told afterwards."""
    set_plan(town.site, "Ada", plan("100.00"), "ann")
    bill(town, "2026-10")
    code, out, _ = run("budget", "show")
    assert (code, out.splitlines()[-1]) == (0, "Ada: 54.85 EUR billed and not asked for yet")
    code, _, err = run("budget", "settle", "Ada", "--by", "bob")
    assert code in (1, 2)
    assert "its agreement at UP-Ada goes on" in err
    town.account("Ada", {"tariff": "flat", "valid_to": "2026-11-01"})
    said = "Ada: 54.85 EUR billed and not asked for yet; no bill follows: headend budget settle Ada"
    assert run("budget", "show")[1].splitlines()[-1] == said
    code, out, _ = run("budget", "settle", "Ada", "--by", "bob")
    assert code == 0
    assert re.fullmatch(r"account Ada owes 54\.85 EUR, due \S+: booked as entry 2, Ada-budget-1\n", out)
    assert "54.85" not in run("budget", "show")[1]
    code, _, err = run("budget", "settle", "Ada", "--by", "ann")
    assert code in (1, 2)
    assert "has nothing left of a budget plan to settle: bob settled it on" in err
    assert run("ledger", "verify")[0] == 0
