"""The statement each account had last, which says what it left to the next; and who had none."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, func, select

from headend.store.bulk import portions
from headend.store.standing import stands
from headend.store.tables import bill_cycle, bill_exception, statement


def last_statements(tx: Connection, accounts: Collection[str], period: str) -> dict[str, bytes]:
    """By account, the document of its last statement, issued or draft, of the months before `period` (`YYYY-MM`).

    Cancellations, and what they took back, count as if they had never been.
    """
    s, found = statement.c, dict[str, bytes]()
    counts = stands()
    for asked in portions(sorted(accounts)):
        some = s.account_id.in_(asked)
        last = (
            select(s.account_id, func.max(s.period).label("period"))
            .where(some, s.period < period, counts)
            .group_by(s.account_id)
            .subquery()
        )
        query = (
            select(s.account_id, s.document)
            .join(last, (last.c.account_id == s.account_id) & (last.c.period == s.period))
            .where(counts)
            .order_by(s.revision)
        )
        found.update({account: bytes(document) for account, document in tx.execute(query)})
    return found


def refused(tx: Connection, accounts: Collection[str], period: str) -> set[str]:
    """Those of the accounts that are among the exceptions of month `period` and have no statement for it."""
    e, s, found = bill_exception.c, statement.c, set[str]()
    for some in portions(sorted(accounts)):
        excepted = select(e.account_id).join(bill_cycle).where(bill_cycle.c.period == period, e.account_id.in_(some))
        billed = select(s.account_id).where(s.period == period, s.account_id.in_(some), stands())
        found |= set(tx.execute(excepted).scalars()) - set(tx.execute(billed).scalars())
    return found
