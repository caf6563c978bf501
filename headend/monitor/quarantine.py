"""What arrived and could not be used, with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from headend.store import tables as t


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One message, or one block of it, that is kept aside.

    Parameters
    ----------
    offset
        its place in the journal, where it stands whole.
    block
        which block of the message; None: all of it.
    received_us
        when it came [µs since 1970].
    """

    offset: int
    block: int | None
    received_us: int
    gateway: str
    reason: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How often one reason was given."""

    reason: str
    count: int


_KEPT = t.quarantine.c.released.is_(False)


def quarantined(tx: Connection, *, reason: str | None = None, limit: int = 100, skip: int = 0) -> list[Quarantined]:
    """What is kept aside and not yet released, newest first."""
    q = t.quarantine.c
    query = (
        select(q.offset, q.block, q.received_us, q.gateway, q.reason, q.excerpt)
        .where(_KEPT)
        .order_by(q.offset.desc(), q.block)
        .limit(limit)
        .offset(skip)
    )
    if reason is not None:
        query = query.where(q.reason == reason)
    return [
        Quarantined(
            row.offset, None if row.block < 0 else row.block, row.received_us, row.gateway, row.reason, row.excerpt
        )
        for row in tx.execute(query)
    ]


def quarantined_count(tx: Connection, *, reason: str | None = None) -> int:
    """How many are kept aside."""
    query = select(func.count()).select_from(t.quarantine).where(_KEPT)
    if reason is not None:
        query = query.where(t.quarantine.c.reason == reason)
    return tx.execute(query).scalar_one()


def reasons(tx: Connection, *, limit: int = 50) -> list[ReasonCount]:
    """The commonest reasons, most frequent first."""
    count = func.count().label("count")
    query = (
        select(t.quarantine.c.reason, count)
        .where(_KEPT)
        .group_by(t.quarantine.c.reason)
        .order_by(count.desc(), t.quarantine.c.reason)
        .limit(limit)
    )
    return [ReasonCount(row[0], row[1]) for row in tx.execute(query)]
