"""What a clerk does about budget plans: begin, change or end one, settle what is left, work out an instalment."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal

from sqlalchemy import Connection

from headend.billing.agreements import in_force, period_at
from headend.billing.books.entries import Entry, major, minor
from headend.billing.books.postings import settlement_draft
from headend.billing.budgets import Plan, plan_in
from headend.billing.statement import Statement, parse_statement
from headend.errors import BillingConflict, InvalidInput, checked_name
from headend.process.bookkeeping import today
from headend.reads.days import Period, next_period, previous_period, zone_named
from headend.registry.registry import account_named, agreements
from headend.site import Site
from headend.store import books, budgets
from headend.store.budgets import KeptPlan
from headend.store.ledger import SqlLedger
from headend.tariffs import TariffBook
from headend.tariffs.money import minor_digits

#: Days of a year, and instalments: bills have days, a plan has months.
YEAR, _INSTALMENTS = 365, 12


def set_plan(site: Site, account: str, plan: Plan, by: str) -> KeptPlan:
    """An account pays instalments from a billing period on, or others than before.

    Raises
    ------
    NotFound
        there is no such account.
    InvalidInput
        an instalment that is none, a currency the account is not billed in, a month there is not.
    BillingConflict
        the period is billed already.
    """
    if plan.instalment <= 0:
        raise InvalidInput("instalment", f"{plan.instalment:f}", "more than 0; headend budget end ends a plan")
    exact = major(minor(plan.instalment, plan.currency, "instalment"), plan.currency)
    if not 1 <= plan.settles_in <= _INSTALMENTS:
        raise InvalidInput("settles-in", str(plan.settles_in), "a month of the year, 1 to 12")
    with site.database.write() as tx:
        billed_in = _currencies(tx, site.tariffs, account, plan.since)
        if plan.currency not in billed_in:
            raise InvalidInput("currency", plan.currency, f"{' or '.join(billed_in)}, as account {account} is billed")
        return _keep(tx, site, account, replace(plan, instalment=exact), by)


def end_plan(site: Site, account: str, since: str, by: str) -> KeptPlan:
    """A plan ends: the bill of period `since` settles it, and later ones are paid as they come.

    Raises
    ------
    NotFound
        there is no such account.
    BillingConflict
        it has no plan then, or the period is billed already.
    """
    with site.database.write() as tx:
        account_named(tx, account)
        its = [kept.plan for kept in budgets.plans(tx, account)]
        plan = plan_in(its, _month(since))
        if plan is None or plan.has_ended:
            told = [f"account {account} has no budget plan in {since}"]
            told += [] if plan is None else [f"one was settled with {plan.since}"]
            told += [f"one begins with {later.since}"] if (later := _first_after(its, since)) else []
            raise BillingConflict("; ".join(told))
        return _keep(tx, site, account, replace(plan, since=since, instalment=Decimal(0)), by)


def begins_with(site: Site, account: str, period: str) -> bool:
    """Whether a plan of an account begins with a period that has none before: ended then, it never applies."""
    with site.database.read() as tx:
        its = [kept.plan for kept in budgets.plans(tx, account)]
    before, now = plan_in(its, previous_period(_month(period))), plan_in(its, period)
    return now is not None and not now.has_ended and (before is None or before.has_ended)


def plan_after(site: Site, account: str, period: str) -> Plan | None:
    """The plan that an account begins after a period; None: it has none then."""
    with site.database.read() as tx:
        return _first_after([kept.plan for kept in budgets.plans(tx, account)], period)


def _first_after(plans: Iterable[Plan], period: str) -> Plan | None:
    later = (plan for plan in plans if plan.since > period and not plan.has_ended)
    return min(later, key=lambda plan: plan.since, default=None)


def settle(site: Site, account: str, by: str) -> list[Entry]:
    """Ask for what is left of the budget plan of an account that gets no bill any more, or owe it to the customer.

    Returns
    -------
    list
        an entry a currency.

    Raises
    ------
    NotFound
        there is no such account.
    BillingConflict
        nothing is left, a bill still follows, or a statement is not in the books.
    """
    checked_name(by)
    with site.database.write() as tx:
        account_named(tx, account)
        left = budgets.balances(tx, account)
        entries = books.entries_of(tx, [account])
        settled = [entry for entry in entries if entry.kind == "settlement"]
        if not left:
            before = f": {settled[-1].booked_by} settled it on {settled[-1].booked_on}" if settled else ""
            raise BillingConflict(f"account {account} has nothing left of a budget plan to settle{before}")
        if follows := _bill_to_follow(tx, account, today(site)):
            raise BillingConflict(f"a bill can still settle the budget plan of account {account}: {follows}")
        if unbooked := budgets.not_booked(tx, account):
            raise BillingConflict(f"statement {unbooked} is not in the books yet: headend ledger post")
        day = max(today(site), *(entry.booked_on for entry in entries))
        due_on = day + timedelta(days=site.settings.billing.due_after_days)
        drafts = [
            settlement_draft(account, minor(balance, currency, "balance"), currency, number, day, due_on)
            for number, ((_, currency), balance) in enumerate(sorted(left.items()), len(settled) + 1)
        ]
        return books.book(tx, drafts, site.clock(), by)


def get_no_bill(tx: Connection, accounts: Collection[str], day: date) -> set[str]:
    """Those of accounts with a plan that get no bill any more: what is left of it is to be settled in the books."""
    return {account for account in budgets.gone(tx, accounts, day) if _bill_to_follow(tx, account, day) is None}


def _bill_to_follow(tx: Connection, account: str, day: date) -> str | None:
    """Why an account gets another bill that its plan comes to; None: it does not."""
    held = agreements(tx, account=account)
    for agreement in held:
        if agreement.valid_to is None or agreement.valid_to > day:
            until = f"until {agreement.valid_to}" if agreement.valid_to else "on"
            return f"its agreement at {agreement.usage_point} goes {until}"
    if draft := budgets.not_issued(tx, account):
        return f"statement {draft} is not issued yet"
    billed = budgets.periods_billed(tx, account)
    last = max(
        (period_at(each.account, each.valid_to - timedelta(days=1)) for each in held if each.valid_to), default=""
    )
    month = min(kept.plan.since for kept in budgets.plans(tx, account))
    while month <= last:
        if month not in billed and any(in_force(agreement, month) is not None for agreement in held):
            return f"{month} is not billed"
        month = next_period(month)
    return None


def _keep(tx: Connection, site: Site, account: str, plan: Plan, by: str) -> KeptPlan:
    checked_name(by)
    if statement := budgets.billed_since(tx, account, plan.since):
        raise BillingConflict(f"account {account} is billed for {plan.since} or later already, in {statement}")
    kept = KeptPlan(account, plan, site.clock(), by)
    budgets.keep_plan(tx, kept)
    return kept


def _month(period: str) -> str:
    Period.month(period, zone_named("UTC"))
    return period


def _currencies(tx: Connection, tariffs: TariffBook, account: str, since: str) -> list[str]:
    """What an account is billed in from a billing period on.

    Raises
    ------
    NotFound
        there is no such account.
    InvalidInput
        nothing is billed from then on.
    """
    account_named(tx, account)
    first = Period.month(since, zone_named("UTC")).first
    found: set[str] = set()
    for agreement in agreements(tx, account=account):
        if in_force(agreement, since) or agreement.valid_from >= first:
            found |= {version.currency for version in tariffs.versions(agreement.tariff_id)}
    if not found:
        raise InvalidInput("since", since, f"a period with a service agreement of account {account}")
    return sorted(found)


@dataclass(frozen=True, slots=True)
class Suggested:
    """An instalment, and what it rests on.

    Parameters
    ----------
    billed, days
        sum of the bills of the last twelve periods, corrections included, and the days they bill.
    a_year
        the same for 365 days.
    first, last
        the periods of the first and last of them.
    """

    instalment: Decimal
    currency: str
    billed: Decimal
    days: int
    a_year: Decimal
    first: str
    last: str


def suggest(site: Site, account: str) -> Suggested:
    """A twelfth of what the last twelve periods were billed, made 365 days of, rounded up to the smallest coin.

    Raises
    ------
    NotFound
        there is no such account.
    BillingConflict
        nothing was billed yet, or in several currencies, or it comes to no money.
    """
    with site.database.read() as tx:
        account_named(tx, account)
        its = [parse_statement(kept.document) for kept in SqlLedger(tx).statements_of(account)]
    if not its:
        raise BillingConflict(f"account {account} was not billed yet: there is nothing to work an instalment out of")
    last = max(statement.period for statement in its)
    year = [statement for statement in its if statement.period > f"{int(last[:4]) - 1}{last[4:]}"]
    currencies = {statement.totals.currency for statement in year}
    if len(currencies) > 1:
        raise BillingConflict(f"account {account} was billed in {' and '.join(sorted(currencies))}")
    days, billed = _days_billed(year), sum((statement.totals.gross for statement in year), Decimal(0))
    if billed <= 0 or not days:
        raise BillingConflict(f"account {account} was billed {billed} in all: there is nothing to pay in instalments")
    (currency,) = currencies
    coin = Decimal(1).scaleb(-minor_digits(currency))
    a_year = billed * YEAR / days
    return Suggested(
        (a_year / _INSTALMENTS).quantize(coin, ROUND_CEILING),
        currency,
        billed,
        days,
        a_year.quantize(coin),
        min(statement.period for statement in year),
        last,
    )


def _days_billed(statements: Iterable[Statement]) -> int:
    """Local days that statements bill; those that corrections bill again count once."""
    return len({use.day for each in statements for segment in each.segments for use in segment.daily})
