"""Each gateway's health: is it heard, is its clock right, is what it sent complete, what is it still to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from headend.monitor.meters import SILENT_S, Completeness, MeterHealth, completeness
from headend.store import tables as t
from headend.store.commands import OPEN
from headend.store.journal import Journal
from headend.store.sequence import SequenceWindow
from headend.vee.ruleset import ClockRule


@dataclass(frozen=True, slots=True)
class GatewayHealth:
    """One gateway, and the meters that are bound to it.

    Parameters
    ----------
    online
        what it said last; None: nothing.
    last_seen_s
        when it was heard last [s since 1970]; None: never.
    clock_offset_s
        its clock minus ours [s].
    clock
        how far off it may be.
    native
        it speaks our own wire; None: it has said nothing.
    firmware
        the version it says it runs.
    revoked_s
        since when nothing is taken from it [s since 1970].
    missing
        numbers of its sequence that never came, though higher ones did.
    open_commands
        those it has not finished.
    meters, silent
        how many are bound to it, and how many of them are silent.
    quiet
        it was heard once, and for long no more.
    """

    gateway: str
    online: bool | None
    last_seen_s: int | None
    clock_offset_s: int | None
    messages: int
    native: bool | None
    firmware: str | None
    revoked_s: int | None
    missing: int
    open_commands: int
    meters: int
    silent: int
    completeness: Completeness
    quiet: bool
    clock: ClockRule

    @property
    def clock_off(self) -> bool:
        """Its clock is off by so much that it is worth a look."""
        return abs(self.clock_offset_s or 0) > self.clock.warn_s

    @property
    def clock_wrong(self) -> bool:
        """Its clock is off by so much that its reads are wrong."""
        return abs(self.clock_offset_s or 0) > self.clock.fail_s


def gateway_healths(
    tx: Connection,
    journal: Journal,
    meters: Sequence[MeterHealth],
    now_s: int,
    clock: ClockRule,
    *,
    gateway: str | None = None,
) -> tuple[GatewayHealth, ...]:
    """Every gateway that was named or heard, or one of them, by name.

    Parameters
    ----------
    meters
        those of all gateways.
    now_s
        [s since 1970]
    clock
        how far off a gateway's clock may be.
    """
    bound: dict[str | None, list[MeterHealth]] = defaultdict(list)
    for meter in meters:
        bound[meter.gateway].append(meter)
    windows = journal.windows(gateway)
    c, g = t.command.c, t.gateway.c
    unfinished = select(c.gateway, func.count()).where(c.state.in_(OPEN)).group_by(c.gateway)
    query = select(
        g.name, g.online, g.last_seen_s, g.clock_offset_s, g.messages, g.native, g.firmware, g.revoked_s
    ).order_by(g.name)
    if gateway is not None:
        unfinished, query = unfinished.where(c.gateway == gateway), query.where(g.name == gateway)
    open_commands: dict[str, int] = {row[0]: row[1] for row in tx.execute(unfinished)}
    healths = []
    for row in tx.execute(query):
        mine, window = bound[row.name], windows.get(row.name)
        healths.append(
            GatewayHealth(
                *row,
                missing=missing_numbers(window) if window else 0,
                open_commands=open_commands.get(row.name, 0),
                meters=len(mine),
                silent=sum(meter.silent for meter in mine),
                completeness=completeness(mine),
                quiet=row.last_seen_s is not None and now_s - row.last_seen_s > SILENT_S,
                clock=clock,
            )
        )
    return tuple(healths)


def missing_numbers(window: SequenceWindow) -> int:
    """How many sequence numbers are in a window's holes."""
    return sum(last - first + 1 for first, last in window.missing)


def understands(tx: Connection, gateway: str, native: bool | None) -> bool | None:
    """Whether a gateway hears our commands; None: it is a Sparkplug node, and hears `rebirth` alone."""
    is_node = func.replace(t.sparkplug_birth.c.node, "/", ".") == gateway
    if tx.execute(select(t.sparkplug_birth.c.node).where(is_node).limit(1)).first() is not None:
        return None
    return native is not False
