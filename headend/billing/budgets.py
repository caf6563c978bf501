"""Budget bills: an account pays the same instalment each billing period, and once a year what it is off by.

What is billed stays what it is. A plan only says how much of it is asked for now; the rest is carried from bill to
bill: brought + gross = due + carried. A bill that settles the plan asks for everything and carries nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Protocol

from headend.billing.agreements import Agreement, in_force
from headend.billing.books.entries import major
from headend.billing.cycle import BillException, ExceptionCode
from headend.billing.statement import Budget, Statement
from headend.reads.days import Period, next_period, previous_period, zone_named


@dataclass(frozen=True, slots=True)
class Plan:
    """What an account pays from a billing period on.

    Parameters
    ----------
    since
        billing period `YYYY-MM`.
    instalment
        each period [currency]; 0: the plan has ended, and the bill of `since` settles it.
    settles_in
        month of the year, 1 to 12, whose bill settles what was carried.
    """

    since: str
    instalment: Decimal
    currency: str
    settles_in: int

    @property
    def has_ended(self) -> bool:
        """Whether nothing is paid by it any more."""
        return not self.instalment


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account that had a plan stands before a billing period.

    Parameters
    ----------
    plan
        the one in force in the period.
    first
        billing period in which the account's first plan began.
    carried
        by currency, what it was billed less what was asked for, before the period; none is 0.
    last
        the last period before with a statement that is not taken back; None: there is none.
    issued
        all its statements before are issued.
    ends
        first local day on which no agreement of the account is in force any more; None: there is no such day yet.
    """

    plan: Plan
    first: str
    carried: Mapping[str, Decimal]
    last: str | None
    issued: bool
    ends: date | None


def budget_of(plan: Plan, gross: Decimal, brought: Decimal, period: str, *, last_bill: bool) -> Budget | None:
    """What a bill asks for; None where the plan has ended and is settled."""
    if plan.has_ended and not brought:
        return None
    if plan.has_ended or last_bill or int(period[5:]) == plan.settles_in:
        due = brought + gross
        return Budget(None, brought, brought + gross - due, due)
    return Budget(plan.instalment, brought, brought + gross - plan.instalment, plan.instalment)


def taken_back(budget: Budget) -> Budget:
    """The budget of a cancellation: what the statement changed is as it was before."""
    instalment = None if budget.instalment is None else -budget.instalment
    return Budget(instalment, budget.carried, budget.brought, -budget.due)


def billed_again(budget: Budget, gross: Decimal) -> Budget:
    """The budget of a bill in the place of another that had `budget`: the instalment stays as it was asked for."""
    due = budget.brought + gross if budget.instalment is None else budget.instalment
    return Budget(budget.instalment, budget.brought, budget.brought + gross - due, due)


def off_by(budget: Budget, gross: Decimal) -> Budget:
    """The budget of a difference to a statement that had `budget`: with a plan that was not settled it is carried."""
    zero = gross - gross
    if budget.instalment is None:
        return Budget(None, zero, zero, gross)
    return Budget(zero, budget.carried, budget.carried + gross, zero)


def plan_in(plans: Collection[Plan], period: str) -> Plan | None:
    """The plan of one account that is in force in a period, or ended by it; None: it had none yet."""
    return max((plan for plan in plans if plan.since <= period), key=lambda plan: plan.since, default=None)


class BudgetRecords(Protocol):
    """What is asked of the records."""

    def agreements(self, account: str | None = None) -> Sequence[Agreement]:
        """Every service agreement, or those of one account."""


def on_plans(
    records: BudgetRecords,
    standings: Mapping[str, Standing],
    statements: Sequence[Statement],
    exceptions: MutableMapping[str, BillException],
    on_drafts: set[str],
) -> Iterator[Statement]:
    """Bills of a period, those of accounts with a plan with what it asks for.

    Parameters
    ----------
    standings
        of those that have, or had, a plan, before the period.
    exceptions
        by account; takes those whose bill cannot be made, and is left out.
    on_drafts
        takes the accounts whose bills take over from what is not issued yet.
    """
    for statement in statements:
        account, period = statement.customer.account, statement.period
        standing = standings.get(account)
        if standing is None:
            yield statement
            continue
        plan, currency = standing.plan, statement.totals.currency
        if not plan.has_ended and plan.currency != currency:
            detail = f"its budget plan is in {plan.currency}, its bill in {currency}"
            exceptions[account] = BillException(account, ExceptionCode.CURRENCIES, detail)
            continue
        if others := [f"{carried} {other}" for other, carried in standing.carried.items() if other != currency]:
            detail = f"its budget plan carries {' and '.join(others)}, its bill is in {currency}"
            exceptions[account] = BillException(account, ExceptionCode.CURRENCIES, detail)
            continue
        if missing := _to_bill_first(records, account, standing, period):
            detail = f"what {missing} leaves to its budget plan is not known: bill {missing} first"
            exceptions[account] = BillException(account, ExceptionCode.MONTH_BEFORE, detail)
            continue
        last_bill = statement.kind == "final" or (standing.ends is not None and standing.ends <= _end(statement))
        brought = standing.carried.get(currency, Decimal(0)) + major(0, currency)
        budget = budget_of(plan, statement.totals.gross, brought, period, last_bill=last_bill)
        if budget is not None and not standing.issued:
            on_drafts.add(account)
        yield replace(statement, budget=budget)


def _end(statement: Statement) -> date:
    """The first day after a statement's billing period."""
    if statement.billing_days is not None:
        return statement.billing_days.last + timedelta(days=1)
    return Period.month(statement.period, zone_named(statement.timezone)).end


def _to_bill_first(records: BudgetRecords, account: str, standing: Standing, period: str) -> str | None:
    """The first period on the plan that has no statement and days to bill; None where there is none."""
    if standing.plan.has_ended and not standing.carried:
        return None
    if standing.last == previous_period(period):
        return None
    agreements = records.agreements(account)
    month = standing.first if standing.last is None else max(standing.first, next_period(standing.last))
    while month < period:
        if any(in_force(agreement, month) is not None for agreement in agreements):
            return month
        month = next_period(month)
    return None
