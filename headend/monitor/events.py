"""What gateways and pollers told beside reads, looked up and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select

from headend.reads.days import DAY_S, seconds
from headend.store import tables as t

#: The kinds that have a name, in the order in which people are shown them.
KINDS = (
    "tamper",
    "outage",
    "last_gasp",
    "restored",
    "battery_low",
    "unreachable",
    "bad_answer",
    "reachable",
    "restart",
    "clock_set",
)
#: Those somebody should look at.
ALARMS = ("tamper", "outage", "last_gasp", "battery_low", "unreachable", "bad_answer")
#: What a poller says of a device; the newest one is how it is.
REACHABILITY = ("unreachable", "bad_answer", "reachable")
#: All kinds that have no name, where they are counted together.
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Parameters
    ----------
    at_s
        when, as its gateway's clock had it [s since 1970].
    gateway
        who told it; "" for our own poller.
    meter
        None: it happened to the gateway itself.
    """

    at_s: int
    gateway: str
    meter: str | None
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Which events.

    Parameters
    ----------
    kinds
        none: all kinds.
    gateway, meter
        names; None: all of them.
    start_s, end_s
        when they happened, [start_s, end_s) [s since 1970]; None: no bound.
    """

    kinds: tuple[str, ...] = ()
    gateway: str | None = None
    meter: str | None = None
    start_s: int | None = None
    end_s: int | None = None

    def of(self, query: Select[Any]) -> Select[Any]:
        """A query of the table of events, narrowed to these."""
        e = t.event.c
        if self.kinds:
            query = query.where(e.kind.in_(self.kinds))
        if self.gateway is not None:
            query = query.where(e.gateway == self.gateway)
        if self.meter is not None:
            query = query.where(e.meter == self.meter)
        if self.start_s is not None:
            query = query.where(e.at_s >= self.start_s)
        if self.end_s is not None:
            query = query.where(e.at_s < self.end_s)
        return query


def events(tx: Connection, choice: Choice, *, limit: int = 100, skip: int = 0) -> list[Event]:
    """The chosen events, newest first."""
    e = t.event.c
    query = choice.of(select(e.at_s, e.gateway, e.meter, e.kind, e.detail))
    newest = query.order_by(e.at_s.desc(), e.offset.desc(), e.place.desc())
    return [Event(*row) for row in tx.execute(newest.limit(limit).offset(skip))]


def events_count(tx: Connection, choice: Choice) -> int:
    """How many events are chosen."""
    return tx.execute(choice.of(select(func.count()).select_from(t.event))).scalar_one()


def last_day(tx: Connection, now: datetime) -> Mapping[str, int]:
    """Events since 24 hours ago by kind: every kind that has a name, and `OTHER`."""
    e = t.event.c
    query = select(e.kind, func.count().label("found")).group_by(e.kind)
    counts = Counter(dict.fromkeys((*KINDS, OTHER), 0))
    # A clock that is fast by hours is no reason to miss an alarm; one that is fast by years would keep it for years.
    lately = Choice(start_s=seconds(now) - DAY_S, end_s=seconds(now) + DAY_S)
    # Gateways choose their words freely: what has no name must not make a metric of its own.
    for kind, found in tx.execute(lately.of(query)):
        counts[kind if kind in KINDS else OTHER] += found
    return counts
