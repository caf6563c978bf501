"""The fleet's health: totals, meters, gateways, and what happened lately, as one picture of one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select

from headend.monitor.events import last_day
from headend.monitor.gateways import GatewayHealth, gateway_healths
from headend.monitor.lag import journal_lag
from headend.monitor.meters import Completeness, MeterHealth, completeness, meter_healths
from headend.reads.days import midnight, seconds
from headend.store import tables as t
from headend.store.checkpoints import totals
from headend.store.commands import State
from headend.store.intervals import IntervalStore
from headend.store.journal import Journal
from headend.vee.ruleset import ClockRule

#: Local days, before today, over which completeness is counted.
WINDOW_DAYS = 30


@dataclass(frozen=True, slots=True)
class Totals:
    """The fleet in one line.

    Parameters
    ----------
    gateways, gateways_online, clocks_off
        of those that are not revoked.
    sequence_missing
        messages of those gateways that never came, though later ones did.
    journal_lag
        messages that are durable but not yet processed.
    """

    meters: int
    silent: int
    gateways: int
    gateways_online: int
    clocks_off: int
    sequence_missing: int
    completeness: Completeness
    journal_lag: int
    quarantined: int
    reads_stored: int
    duplicates: int
    replaced: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """Everything at one moment; meters and gateways by name.

    Parameters
    ----------
    events
        of the last 24 hours, by kind.
    commands
        all there ever were, by state.
    store_away
        the interval store does not answer; see `MeterHealths`.
    """

    totals: Totals
    meters: tuple[MeterHealth, ...]
    gateways: tuple[GatewayHealth, ...]
    events: Mapping[str, int]
    commands: Mapping[str, int]
    store_away: bool


def fleet(
    tx: Connection, store: IntervalStore, journal: Journal, now: datetime, zone: ZoneInfo, clock: ClockRule
) -> Fleet:
    """The fleet over the last `WINDOW_DAYS` local days and today so far.

    Parameters
    ----------
    now
        aware UTC.
    zone
        whose midnights bound the window.
    clock
        how far off a gateway's clock may be.
    """
    begin = midnight(now.astimezone(zone).date() - timedelta(days=WINDOW_DAYS), zone)
    seen = meter_healths(tx, store, (seconds(begin), seconds(now)))
    meters = seen.meters
    gateways = gateway_healths(tx, journal, meters, seconds(now), clock)
    trusted = [gateway for gateway in gateways if gateway.revoked_s is None]
    taken = totals(tx)
    figures = Totals(
        meters=len(meters),
        silent=sum(meter.silent for meter in meters),
        gateways=len(trusted),
        gateways_online=sum(bool(gateway.online) for gateway in trusted),
        clocks_off=sum(gateway.clock_off for gateway in trusted),
        sequence_missing=sum(gateway.missing for gateway in trusted),
        completeness=completeness(meters),
        journal_lag=journal_lag(tx, journal),
        quarantined=tx.execute(select(func.count()).select_from(t.quarantine)).scalar_one(),
        reads_stored=taken.stored,
        duplicates=taken.duplicates,
        replaced=taken.replaced,
    )
    return Fleet(figures, meters, gateways, last_day(tx, now), _commands(tx), seen.store_away)


def _commands(tx: Connection) -> Mapping[str, int]:
    state = t.command.c.state
    found = {row.state: row.found for row in tx.execute(select(state, func.count().label("found")).group_by(state))}
    return dict.fromkeys(get_args(State), 0) | found
