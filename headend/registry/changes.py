"""What was done to the registry, and by whom: a row for each change, written in the transaction that makes it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from headend.errors import checked_name
from headend.reads.days import microseconds, moment_us
from headend.store.tables import registry_change

MOVE_IN, MOVE_OUT, TARIFF, EXCHANGE, IMPORT = "move-in", "move-out", "tariff", "exchange", "import"
GROUP, MEMBER = "group", "member"


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Parameters
    ----------
    what
        move-in, move-out, tariff, exchange, import, group (a billing group) or member (an account's group).
    subject
        the account, usage point, meter or group.
    """

    number: int
    what: str
    subject: str
    text: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Clerk:
    """Who changes the registry, and when; raises `InvalidInput` where nobody says."""

    name: str
    now: datetime

    def __post_init__(self) -> None:
        checked_name(self.name)


def note(tx: Connection, what: str, clerk: Clerk, told: Iterable[tuple[str, str]]) -> None:
    """Keep that something was done: (subject, in words) each."""
    rows = [
        {
            "what": what,
            "subject": subject,
            "text": text,
            "changed_us": microseconds(clerk.now),
            "changed_by": clerk.name,
        }
        for subject, text in told
    ]
    if rows:
        tx.execute(registry_change.insert(), rows)


def changes(tx: Connection, subjects: Collection[str] | None = None, limit: int | None = None) -> list[Change]:
    """Changes, newest first: all, or those of some subjects."""
    c = registry_change.c
    query = select(registry_change).order_by(c.number.desc()).limit(limit)
    if subjects is not None:
        query = query.where(c.subject.in_(subjects))
    return [
        Change(row.number, row.what, row.subject, row.text, moment_us(row.changed_us), row.changed_by)
        for row in tx.execute(query)
    ]


def changed_by_hand(tx: Connection, what: str) -> set[str]:
    """Subjects of changes of a kind: the site file leaves them alone."""
    c = registry_change.c
    return set(tx.execute(select(c.subject).where(c.what == what).distinct()).scalars())
