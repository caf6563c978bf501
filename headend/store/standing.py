"""Which statements count: not cancellations, and not what one that is issued has taken back."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from headend.store.bulk import portions
from headend.store.tables import statement


def stands() -> ColumnElement[bool]:
    """Whether a row of `statement` is a document that bills something, issued or draft, and still counts."""
    taken = statement.alias()
    cancelled = select(taken.c.corrects).where(
        taken.c.corrects.is_not(None), taken.c.kind == "cancellation", taken.c.state == "issued"
    )
    kind = statement.c.kind
    return and_(or_(kind.is_(None), kind != "cancellation"), statement.c.id.not_in(cancelled))


def taken_back(tx: Connection, period: str, accounts: Collection[str], *, but_of: str = "") -> set[str]:
    """Those of the accounts whose period was cancelled, and of which nothing stands but drafts of cycle `but_of`."""
    s = statement.c
    cancelled = select(s.account_id).where(
        s.corrects.is_not(None), s.kind == "cancellation", s.state == "issued", s.period == period
    )
    corrected = set(tx.execute(cancelled).scalars()) & set(accounts)
    standing = select(s.account_id).where(s.period == period, s.cycle_id != but_of, stands())
    left: set[str] = set()
    for some in portions(sorted(corrected)):
        left |= set(tx.execute(standing.where(s.account_id.in_(some))).scalars())
    return corrected - left


def corrected_revisions(tx: Connection, period: str, first: str, last: str) -> dict[str, int]:
    """Accounts from `first` to `last` whose statement of a period was corrected, and their last revision issued."""
    s = statement.c
    query = (
        select(s.account_id, func.max(s.revision).label("last"))
        .where(s.corrects.is_not(None), s.period == period, s.state == "issued", s.account_id.between(first, last))
        .group_by(s.account_id)
    )
    return {row.account_id: row.last for row in tx.execute(query)}
