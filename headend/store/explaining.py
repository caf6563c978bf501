"""A statement explained by another of its account: which one that is, and what the difference is made of."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection

from headend.billing.explain import Explanation, explain
from headend.billing.ports import Kept
from headend.billing.statement import Statement, parse_statement
from headend.errors import NotFound
from headend.store.ledger import SqlLedger

#: The statement before, that of the same month of last year, or the number of a statement.
ComparedWith = Literal["before", "last-year"] | str


def explained(tx: Connection, kept: Kept, compared_with: ComparedWith = "before") -> Explanation:
    """Why a statement differs from another, which is issued.

    Raises
    ------
    NotFound
        the account has no such statement.
    InvalidInput
        the two cannot be compared.
    """
    now = parse_statement(kept.document)
    issued = SqlLedger(tx).statements_of(kept.account)
    if compared_with in ("before", "last-year"):
        issued = _bills(issued)
    return explain(now, _other(now, issued, compared_with))


def _bills(issued: list[Kept]) -> list[Kept]:
    """Without what is cancelled, and without documents that are no bill of a period by themselves."""
    documents = {kept.id: parse_statement(kept.document) for kept in issued}
    gone = {each.corrects.id for each in documents.values() if each.kind == "cancellation" and each.corrects}
    return [
        kept for kept in issued if kept.id not in gone and documents[kept.id].kind not in ("cancellation", "difference")
    ]


def _other(now: Statement, issued: list[Kept], compared_with: ComparedWith) -> Statement:
    """The one to compare with, of an account's issued statements, newest first."""
    others = [each for each in map(_parsed, issued) if each.id != now.id]
    if compared_with == "before":
        found = [each for each in others if each.period < now.period]
        missing = f"no statement of account {now.customer.account} was issued for a month before {now.period}"
    elif compared_with == "last-year":
        period = f"{int(now.period[:4]) - 1:04}{now.period[4:]}"
        found = [each for each in others if each.period == period]
        missing = f"no statement of account {now.customer.account} was issued for {period}"
    else:
        found = [each for each in map(_parsed, issued) if each.id == compared_with]
        missing = f"account {now.customer.account} has no issued statement {compared_with!r}"
    if not found:
        raise NotFound(missing)
    return found[0]


def _parsed(kept: Kept) -> Statement:
    return parse_statement(kept.document)
