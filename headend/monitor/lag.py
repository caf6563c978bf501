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
class Behind:
    """Messages that have waited for long to be processed: how many there are, and when the oldest came."""

    messages: int
    since: datetime


def journal_lag(tx: Connection, journal: Journal) -> int:
    """Messages that are durable and not yet processed."""
    return max(0, journal.newest_offset() - checkpoint(tx))


def behind(tx: Connection, site: Site) -> Behind | None:
    """How far processing is behind, if it is by more than a moment's traffic; else None."""
    oldest = site.journal.after(checkpoint(tx), 1)
    if not oldest:
        return None
    since = moment_us(oldest[0].received_us)
    return Behind(journal_lag(tx, site.journal), since) if _has_waited(since, site, times=1) else None


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
