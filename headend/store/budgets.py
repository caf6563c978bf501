"""Budget plans on SQL, and how accounts that have one stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Connection, func, select

from headend.billing.books.entries import major
from headend.billing.books.postings import source_of_statement
from headend.billing.budgets import Plan, Standing, plan_in
from headend.billing.cycle import FOR_GOOD
from headend.reads.days import microseconds, moment_us
from headend.store.bulk import portions
from headend.store.database import storable, upsert
from headend.store.standing import stands
from headend.store.tables import bill_cycle, book_entry, budget_plan, service_agreement, statement

#: Of an agreement that is open.
_OPEN = "9999-12-31"


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """A plan of an account, and who said so."""

    account: str
    plan: Plan
    added_at: datetime
    added_by: str


def keep_plan(tx: Connection, kept: KeptPlan) -> None:
    """Add a plan, or put it in the place of another from the same period on."""
    row = {
        "account_id": kept.account,
        "since": kept.plan.since,
        "instalment": format(kept.plan.instalment, "f"),
        "currency": kept.plan.currency,
        "settles_in": kept.plan.settles_in,
        "added_us": microseconds(kept.added_at),
        "added_by": storable(kept.added_by),
    }
    upsert(tx, budget_plan, [row])


def plans(tx: Connection, account: str | None = None) -> list[KeptPlan]:
    """Plans of one account or all, by account and period."""
    p = budget_plan.c
    query = select(budget_plan).order_by(p.account_id, p.since)
    if account is not None:
        query = query.where(p.account_id == account)
    return [
        KeptPlan(
            row.account_id,
            Plan(row.since, Decimal(row.instalment), row.currency, row.settles_in),
            moment_us(row.added_us),
            row.added_by,
        )
        for row in tx.execute(query)
    ]


def standings(tx: Connection, accounts: Collection[str], period: str) -> dict[str, Standing]:
    """How those of the accounts stand before a period that have, or had, a plan in it."""
    if tx.execute(select(budget_plan.c.account_id).limit(1)).first() is None:
        return {}
    found: dict[str, Standing] = {}
    for some in portions(sorted(accounts)):
        found.update(_standings(tx, some, period))
    return found


def _standings(tx: Connection, accounts: Sequence[str], period: str) -> Iterator[tuple[str, Standing]]:
    p, s, a = budget_plan.c, statement.c, service_agreement.c
    told: dict[str, list[Plan]] = defaultdict(list)
    for row in tx.execute(select(budget_plan).where(p.account_id.in_(accounts), p.since <= period)):
        told[row.account_id].append(Plan(row.since, Decimal(row.instalment), row.currency, row.settles_in))
    if not told:
        return
    carried: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    last: dict[str, str] = {}
    drafts: set[str] = set()
    columns = (s.account_id, s.period, s.state, s.currency, s.total, s.due, stands().label("stands"))
    before = select(*columns).where(s.account_id.in_(told), s.period < period)
    for row in tx.execute(before):
        if row.stands:
            last[row.account_id] = max(row.period, last.get(row.account_id, row.period))
        if row.state != "issued":
            drafts.add(row.account_id)
        if row.due is not None:
            carried[row.account_id][row.currency] += Decimal(row.total) - Decimal(row.due)
    for (account, currency), settled in _settled(tx, sorted(told)).items():
        carried[account][currency] -= settled
    ends = {
        row.account_id: row.ends
        for row in tx.execute(
            select(a.account_id, func.max(func.coalesce(a.valid_to, _OPEN)).label("ends"))
            # Of one that ends as it begins nothing is billed: it never applies.
            .where(a.account_id.in_(told), (a.valid_to.is_(None)) | (a.valid_from < a.valid_to))
            .group_by(a.account_id)
        )
    }
    for account, its in told.items():
        plan, end = plan_in(its, period), ends.get(account, _OPEN)
        if plan is not None:
            yield (
                account,
                Standing(
                    plan,
                    min(each.since for each in its),
                    {currency: sum_ for currency, sum_ in sorted(carried[account].items()) if sum_},
                    last.get(account),
                    account not in drafts,
                    None if end == _OPEN else date.fromisoformat(end),
                ),
            )


def balances(tx: Connection, account: str | None = None) -> dict[tuple[str, str], Decimal]:
    """By account and currency, what was billed, of issued statements, and is not asked for yet; nothing left out."""
    s = statement.c
    query = select(s.account_id, s.currency, s.total, s.due).where(s.state == "issued", s.due.is_not(None))
    if account is not None:
        query = query.where(s.account_id == account)
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in tx.execute(query):
        found[row.account_id, row.currency] += Decimal(row.total) - Decimal(row.due)
    for key, settled in _settled(tx, None if account is None else [account]).items():
        found[key] -= settled
    return {key: balance for key, balance in found.items() if balance}


def _settled(tx: Connection, accounts: Sequence[str] | None) -> dict[tuple[str, str], Decimal]:
    """By account and currency, what was asked for without a bill, of some accounts or all."""
    e = book_entry.c
    query = select(e.account_id, e.currency, func.sum(e.change).label("asked")).where(e.kind == "settlement")
    if accounts is not None:
        query = query.where(e.account_id.in_(accounts))
    rows = tx.execute(query.group_by(e.account_id, e.currency))
    return {(row.account_id, row.currency): major(int(row.asked), row.currency) for row in rows}


def gone(tx: Connection, accounts: Collection[str], day: date) -> set[str]:
    """Those of the accounts that have no agreement in force on a day, or later."""
    a, there = service_agreement.c, set[str]()
    for some in portions(sorted(accounts)):
        ends = func.coalesce(a.valid_to, _OPEN)
        applies = (a.valid_to.is_(None)) | (a.valid_from < a.valid_to)
        query = select(a.account_id).where(a.account_id.in_(some), applies, ends > day.isoformat())
        there.update(tx.execute(query.distinct()).scalars())
    return set(accounts) - there


def periods_billed(tx: Connection, account: str) -> set[str]:
    """Billing periods of which an issued statement of an account stands."""
    s = statement.c
    query = select(s.period).where(s.account_id == account, s.state == "issued", stands())
    return set(tx.execute(query).scalars())


def not_issued(tx: Connection, account: str) -> str | None:
    """A statement of an account that is a draft; None: there is none."""
    s = statement.c
    query = select(s.id).where(s.account_id == account, s.state != "issued").order_by(s.id)
    return tx.execute(query).scalars().first()


def not_booked(tx: Connection, account: str) -> str | None:
    """An issued statement of an account that the books have no entry for; None: there is none."""
    s, source = statement.c, source_of_statement("") + statement.c.id
    query = (
        select(s.id)
        .outerjoin(book_entry, book_entry.c.source == source)
        .where(s.account_id == account, s.state == "issued", book_entry.c.number.is_(None))
        .order_by(s.id)
    )
    return tx.execute(query).scalars().first()


def billed_since(tx: Connection, account: str, period: str) -> str | None:
    """A statement of an account, of a period or later, that nothing changes any more; None: none but taken back."""
    s = statement.c
    query = (
        select(s.id)
        .join(bill_cycle, bill_cycle.c.id == s.cycle_id)
        .where(s.account_id == account, s.period >= period)
        .where((s.state == "issued") | bill_cycle.c.state.in_(FOR_GOOD), stands())
        .order_by(s.period.desc(), s.revision.desc())
    )
    return tx.execute(query).scalars().first()
