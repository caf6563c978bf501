"""What lags: messages that are durable and not yet processed, and day blocks that InfluxDB has not got yet.

A moment's traffic is no lag, however many messages it has: what counts is how long the oldest has waited. Up to
`process.behind_after_s` nobody is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from headend.reads.days import moment_us
from headend.site import Site
from headend.store.checkpoints import checkpoint
from headend.store.journal import Journal
from headend.store.unsent import backlog

#: InfluxDB that lacks something for so many times `process.behind_after_s` does not answer, or does not keep up.
_AWAY_TIMES = 10


@dataclass(frozen=True, slots=True)
class JournalLag:
    """Messages that are durable and not yet processed, and when the oldest of them came; None: there are none."""

    messages: int
    since: datetime | None


def journal_lag(tx: Connection, journal: Journal) -> JournalLag:
    """How far processing is behind the journal."""
    processed = checkpoint(tx)
    oldest = journal.after(processed, 1)
    if not oldest:
        return JournalLag(0, None)
    return JournalLag(journal.newest_offset() - processed, moment_us(oldest[0].received_us))


def behind(tx: Connection, site: Site) -> JournalLag | None:
    """How far processing is behind, if it is for longer than a moment's traffic; else None."""
    lag = journal_lag(tx, site.journal)
    return lag if _has_waited(lag.since, site, times=1) else None


StoreState = Literal["up to date", "catching up", "away"]


@dataclass(frozen=True, slots=True)
class StoreLag:
    """What InfluxDB has not got yet.

    Parameters
    ----------
    blocks
        day blocks of which it lacks something.
    since
        when the oldest of them was stored here; None: it lacks nothing.
    seconds
        since then [s].
    state
        by that age alone: "away" is one that has not answered, or not kept up, for long.
    """

    blocks: int
    since: datetime | None
    seconds: int
    state: StoreState


def store_lag(tx: Connection, site: Site) -> StoreLag | None:
    """How far InfluxDB is behind; None where reads are kept in the site database alone."""
    if site.settings.store.kind != "influx":
        return None
    lacking = backlog(tx)
    state: StoreState = "up to date"
    if _has_waited(lacking.since, site, times=1):
        state = "away" if _has_waited(lacking.since, site, times=_AWAY_TIMES) else "catching up"
    waited = site.clock() - lacking.since if lacking.since else timedelta()
    return StoreLag(lacking.blocks, lacking.since, max(0, int(waited.total_seconds())), state)


def _has_waited(since: datetime | None, site: Site, *, times: int) -> bool:
    patience = timedelta(seconds=times * site.settings.process.behind_after_s)
    return since is not None and site.clock() - since > patience
