"""What arrived and could not be used, with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from headend.store import tables as t


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One message, or one piece of it, that is kept aside.

    Parameters
    ----------
    offset
        its place in the journal, where it stands whole.
    path
        to the piece, such as `blocks.3`; "": all of it.
    received_us
        when it came [µs since 1970].
    """

    offset: int
    path: str
    received_us: int
    gateway: str
    fault: str
    reason: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class FaultCount:
    """How often one kind of fault was found."""

    fault: str
    count: int


def quarantined(tx: Connection, *, fault: str | None = None, limit: int = 100, skip: int = 0) -> list[Quarantined]:
    """What is kept aside, newest first."""
    q = t.quarantine.c
    query = (
        select(q.offset, q.path, q.received_us, q.gateway, q.fault, q.reason, q.excerpt)
        .order_by(q.offset.desc(), q.path)
        .limit(limit)
        .offset(skip)
    )
    if fault is not None:
        query = query.where(q.fault == fault)
    return [Quarantined(*row) for row in tx.execute(query)]


def quarantined_count(tx: Connection, *, fault: str | None = None) -> int:
    """How many are kept aside."""
    query = select(func.count()).select_from(t.quarantine)
    if fault is not None:
        query = query.where(t.quarantine.c.fault == fault)
    return tx.execute(query).scalar_one()


def faults(tx: Connection, *, limit: int = 50) -> list[FaultCount]:
    """The commonest kinds of fault, most frequent first."""
    count = func.count().label("count")
    query = (
        select(t.quarantine.c.fault, count)
        .group_by(t.quarantine.c.fault)
        .order_by(count.desc(), t.quarantine.c.fault)
        .limit(limit)
    )
    return [FaultCount(row[0], row[1]) for row in tx.execute(query)]
