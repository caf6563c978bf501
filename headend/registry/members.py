"""In which billing groups accounts are, and were."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from sqlalchemy import Connection, select

from headend.billing.groups import CALENDAR_MONTHS, BillingGroup, Membership
from headend.store import tables as t


def billing_groups(tx: Connection) -> dict[str, BillingGroup]:
    """Every billing group but the monthly one, by name."""
    dates: dict[str, list[tuple[str, date]]] = {}
    r = t.reading_date.c
    for row in tx.execute(select(t.reading_date).order_by(r.group_name, r.period)):
        dates.setdefault(row.group_name, []).append((row.period, date.fromisoformat(row.read_on)))
    groups = tx.execute(select(t.billing_group).order_by(t.billing_group.c.name))
    return {row.name: BillingGroup(row.name, row.first_day, tuple(dates.get(row.name, ()))) for row in groups}


def memberships(
    tx: Connection, *, account: str | None = None, between: tuple[str, str] | None = None
) -> dict[str, tuple[Membership, ...]]:
    """In which groups accounts are, in order, by account; one that is not there is always in the monthly group."""
    m = t.account_group.c
    query = select(t.account_group).order_by(m.account_id, m.valid_from)
    if account is not None:
        query = query.where(m.account_id == account)
    if between is not None:
        query = query.where(m.account_id.between(*between))
    rows = tx.execute(query).all()
    if not rows:
        return {}
    groups = billing_groups(tx)
    found: dict[str, tuple[Membership, ...]] = {}
    for row in rows:
        before = found.get(row.account_id, ())
        # Of the first no day is asked: what was before is in it too.
        since = date.fromisoformat(row.valid_from) if before else None
        its = Membership(groups.get(row.group_name, CALENDAR_MONTHS), since)
        found[row.account_id] = (*before[:-1], replace(before[-1], until=since), its) if before else (its,)
    return found
