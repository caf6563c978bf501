"""Commands to gateways: the states they go through, and where each one stands.

A command is known by its number, and a gateway does it once however often it is sent. So sending again is always safe,
and whatever is unsure (was it published before the crash, is the answer lost) is settled by sending again. Results come
in any order and any number: `state_after` lets each of them move a command forward, never back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, cast

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select, update

from headend.errors import InvalidInput, NotFound
from headend.reads.days import microseconds, moment_us
from headend.store import tables as t
from headend.store.commandkinds import checked_args

State = Literal["queued", "sent", "acknowledged", "done", "failed", "expired", "cancelled"]

#: States of a command that may still be answered.
OPEN: tuple[State, ...] = ("queued", "sent", "acknowledged")

#: What may follow what. A command that was sent and never marked as sent is answered all the same; one that was given
#: up may have been done: then that is what became of it.
_FOLLOWS: Mapping[State, frozenset[State]] = {
    "queued": frozenset({"sent", "acknowledged", "done", "failed", "expired", "cancelled"}),
    "sent": frozenset({"acknowledged", "done", "failed", "expired", "cancelled"}),
    "acknowledged": frozenset({"done", "failed", "expired", "cancelled"}),
    "expired": frozenset({"done", "failed"}),
    "cancelled": frozenset({"done", "failed"}),
    "done": frozenset(),
    "failed": frozenset(),
}

#: What is acknowledged and not finished, or was not answered this often, is sent again this much more rarely.
_PATIENCE = 10
_REBIRTH_EXPIRES = timedelta(hours=1)


class Result(Protocol):
    """What a gateway says became of a command."""

    @property
    def id(self) -> int: ...

    @property
    def state(self) -> Literal["acknowledged", "progress", "done", "failed"]: ...

    @property
    def detail(self) -> str: ...

    @property
    def wanted(self) -> tuple[int, int] | None: ...


@dataclass(frozen=True, slots=True)
class Command:
    """A command and where it stands.

    Parameters
    ----------
    args
        as they are sent.
    detail
        what the gateway said last.
    attempts
        how often it was sent.
    sent
        when it was sent last; None: never, or it is to be sent again at once.
    wanted
        the firmware chunks the gateway asks for, [first, end).
    """

    id: int
    gateway: str
    kind: str
    args: dict[str, Any]
    state: State
    detail: str
    attempts: int
    created: datetime
    created_by: str
    changed: datetime
    sent: datetime | None
    expires: datetime
    wanted: tuple[int, int] | None


def state_after(state: State, said: State) -> State:
    """The state after another one was reported; the same where that comes late or again."""
    return said if said in _FOLLOWS[state] else state


_C = t.command.c
_IS_OPEN = _C.state.in_(OPEN)


def queue_command(
    tx: Connection, gateway: str, kind: str, args: Mapping[str, Any], *, by: str, now: datetime, expires: datetime
) -> int:
    """Ask a gateway to do something; the command's number.

    Parameters
    ----------
    by
        who asks: a login, or the job.
    expires
        when it is given up.

    Raises
    ------
    NotFound
        no such gateway.
    InvalidInput
        an unknown kind, wrong args, a gateway that is revoked, or one that does not know such commands.
    """
    checked = checked_args(kind, args)
    row = tx.execute(select(t.gateway.c.revoked_s).where(t.gateway.c.name == gateway)).first()
    if row is None:
        raise NotFound(f"no gateway is called {gateway!r}")
    if row.revoked_s is not None:
        raise InvalidInput("gateway", f"{gateway!r}, which is revoked", "one that is not")
    is_node = func.replace(t.sparkplug_birth.c.node, "/", ".") == gateway
    if (tx.execute(select(t.sparkplug_birth.c.node).where(is_node)).first() is None) == (kind == "rebirth"):
        expected = (
            "one of the others: this is no Sparkplug node" if kind == "rebirth" else "rebirth, of a Sparkplug node"
        )
        raise InvalidInput("command", repr(kind), expected)
    return _insert(tx, gateway, kind, checked, by, now, expires)


def _insert(tx: Connection, gateway: str, kind: str, args: str, by: str, now: datetime, expires: datetime) -> int:
    row = {
        "gateway": gateway,
        "kind": kind,
        "args": args,
        "state": "queued",
        "detail": "",
        "attempts": 0,
        "created_us": microseconds(now),
        "created_by": by,
        "changed_us": microseconds(now),
        "expires_us": microseconds(expires),
    }
    key = tx.execute(t.command.insert().values(row)).inserted_primary_key
    return cast("int", key[0]) if key else 0


def take_result(tx: Connection, gateway: str, result: Result, now: datetime) -> None:
    """Note what a gateway says became of a command.

    Numbers nobody gave out, commands of another gateway, and what comes late or again change nothing.
    """
    row = tx.execute(select(t.command).where(_C.id == result.id, _C.gateway == gateway)).first()
    if row is None:
        return
    said: State = "acknowledged" if result.state == "progress" else result.state
    state = state_after(row.state, said)
    told_before = said == row.state and said not in OPEN
    if state != said or told_before:
        return
    wanted = result.wanted if state == "acknowledged" and row.kind == "firmware" else None
    changed = {"state": state, "detail": result.detail, "changed_us": microseconds(now)}
    asks = {"wanted": json.dumps(wanted)} if wanted else {} if state in OPEN else {"wanted": None}
    tx.execute(update(t.command).where(_C.id == row.id).values(changed | asks))


def has_work(tx: Connection, now: datetime, retry_after_s: int) -> bool:
    """Whether anything is to be sent or given up."""
    given_up = and_(_IS_OPEN, _C.expires_us <= microseconds(now))
    wants = and_(_IS_OPEN, _C.wanted.is_not(None))
    anything = select(_C.id).where(or_(_is_due(now, retry_after_s), given_up, wants)).limit(1)
    return tx.execute(anything).first() is not None


def due(tx: Connection, now: datetime, retry_after_s: int, limit: int = 100) -> list[Command]:
    """Commands to be sent now, oldest first; in a writing transaction nobody else gets the same ones.

    Nothing is sent to a gateway that is known to be offline: it is sent when it says online. What is acknowledged and
    not finished is sent again as well, more rarely: the answer to it is lost, or still to come.
    """
    return _locked(tx, select(t.command).where(_is_due(now, retry_after_s)), limit)


def _is_due(now: datetime, retry_after_s: int) -> ColumnElement[bool]:
    g = t.gateway.c
    # One that was heard since is not offline, whatever order its words came in.
    heard_s = int(now.timestamp()) - retry_after_s
    offline = select(g.name).where(g.online.is_(False), func.coalesce(g.last_seen_s, 0) < heard_s)
    unanswered = microseconds(now - timedelta(seconds=retry_after_s))
    unfinished = microseconds(now - timedelta(seconds=_PATIENCE * retry_after_s))
    again = or_(
        _C.sent_us.is_(None),
        and_(_C.state == "sent", _C.attempts < _PATIENCE, _C.sent_us <= unanswered),
        and_(_C.sent_us <= unfinished, _C.changed_us <= unfinished),
    )
    return and_(_IS_OPEN, _C.expires_us > microseconds(now), again, _C.gateway.not_in(offline))


def wanting(tx: Connection, limit: int = 100) -> list[Command]:
    """Firmware commands whose gateways ask for chunks; in a writing transaction nobody else gets the same ones."""
    return _locked(tx, select(t.command).where(_IS_OPEN, _C.wanted.is_not(None)), limit)


def mark_sent(tx: Connection, command: int, now: datetime) -> None:
    """A command is on its way."""
    row = tx.execute(select(_C.state).where(_C.id == command)).one()
    changed = {"state": state_after(row.state, "sent"), "sent_us": microseconds(now), "attempts": _C.attempts + 1}
    tx.execute(update(t.command).where(_C.id == command).values(changed))


def mark_served(tx: Connection, command: int) -> None:
    """The chunks a gateway asked for are on their way."""
    tx.execute(update(t.command).where(_C.id == command).values(wanted=None))


def gateway_online(tx: Connection, gateway: str, now: datetime) -> None:
    """A gateway came online at `now`: what was sent before and is not finished is due at once."""
    mine = and_(_C.gateway == gateway, _IS_OPEN, _C.sent_us < microseconds(now))
    tx.execute(update(t.command).where(mine).values(sent_us=None))


def expire(tx: Connection, now: datetime) -> int:
    """Give up what is out of time; how many."""
    return _close(tx, _C.expires_us <= microseconds(now), "expired", None, now)


def cancel(tx: Connection, command: int, *, by: str, now: datetime) -> None:
    """Ask for something no longer; raises `NotFound` where no such command is open."""
    if not _close(tx, _C.id == command, "cancelled", f"cancelled by {by}", now):
        raise NotFound(f"no open command has the number {command}")


def cancel_all(tx: Connection, gateway: str, *, by: str, now: datetime) -> None:
    """Ask a gateway for nothing any more."""
    _close(tx, _C.gateway == gateway, "cancelled", f"cancelled by {by}", now)


def ask_for_rebirth(tx: Connection, gateway: str, now: datetime) -> None:
    """Ask a Sparkplug node for its names, unless it is being asked already."""
    asked = select(_C.id).where(
        _IS_OPEN, _C.gateway == gateway, _C.kind == "rebirth", _C.expires_us > microseconds(now)
    )
    if tx.execute(asked.limit(1)).first() is None:
        _insert(tx, gateway, "rebirth", "{}", "intake", now, now + _REBIRTH_EXPIRES)


def reborn(tx: Connection, gateway: str, now: datetime) -> None:
    """A Sparkplug node told its names: whoever asked has the answer."""
    _close(tx, and_(_C.gateway == gateway, _C.kind == "rebirth"), "done", None, now)


def commands_of(tx: Connection, gateway: str | None = None, limit: int = 50) -> list[Command]:
    """The newest commands to one gateway, or to all of them; newest first."""
    query = select(t.command).order_by(_C.id.desc()).limit(limit)
    return [_command(row) for row in tx.execute(query if gateway is None else query.where(_C.gateway == gateway))]


def _close(tx: Connection, which: ColumnElement[bool], state: State, detail: str | None, now: datetime) -> int:
    changed: dict[str, Any] = {"state": state, "changed_us": microseconds(now), "wanted": None}
    if detail is not None:
        changed["detail"] = detail
    return tx.execute(update(t.command).where(_IS_OPEN, which).values(changed)).rowcount


def _locked(tx: Connection, query: Select[Any], limit: int) -> list[Command]:
    # SQLite has one writer at a time; PostgreSQL locks the rows, and others pass over them.
    rows = tx.execute(query.order_by(_C.id).limit(limit).with_for_update(skip_locked=True, of=t.command))
    return [_command(row) for row in rows]


def _command(row: Any) -> Command:
    return Command(
        row.id,
        row.gateway,
        row.kind,
        json.loads(row.args),
        row.state,
        row.detail,
        row.attempts,
        moment_us(row.created_us),
        row.created_by,
        moment_us(row.changed_us),
        None if row.sent_us is None else moment_us(row.sent_us),
        moment_us(row.expires_us),
        None if row.wanted is None else tuple(json.loads(row.wanted)),
    )
