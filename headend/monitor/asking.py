"""What people ask of a gateway: a command, or an answer why there is none to be sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, select

from headend.errors import InvalidInput, NotFound
from headend.monitor.gaps import gaps_of
from headend.registry.firmware import roll_out
from headend.site import Site
from headend.store import tables as t
from headend.store.commandkinds import MAX_GAPS
from headend.store.commands import OPEN, commands_of, queue_command


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of a question.

    Parameters
    ----------
    command
        its number; None: there was nothing to ask for.
    why
        there was not.
    """

    command: int | None
    why: str = ""


def ask(site: Site, gateway: str, kind: str, args: Mapping[str, Any], *, by: str) -> Asked:
    """Queue a command for one gateway.

    Two kinds need less than the wire does: `backfill` without args asks for all that its meters owe now, `firmware`
    takes the `version` of an image that was added.

    Raises
    ------
    NotFound
        no such gateway, no such image.
    InvalidInput
        an unknown kind, wrong args, a gateway that is revoked or hears no such command.
    """
    if kind == "backfill" and not args:
        return _ask_for_gaps(site, gateway, by)
    now = site.clock()
    expires = now + timedelta(seconds=site.settings.commands.expire_after_s)
    with site.database.write() as tx:
        if kind != "firmware":
            return Asked(queue_command(tx, gateway, kind, args, by=by, now=now, expires=expires))
        if not isinstance(version := args.get("version"), str) or len(args) > 1:
            raise InvalidInput("command firmware: args", repr(dict(args))[:80], "the `version` of an image, alone")
        if not roll_out(tx, version, [gateway], by=by, now=now, expires=expires):
            return Asked(None, f"{gateway} runs {version} already, or is at another update.")
        return Asked(commands_of(tx, gateway, limit=1)[0].id)


def _ask_for_gaps(site: Site, gateway: str, by: str) -> Asked:
    with site.database.read() as tx:
        if tx.execute(select(t.gateway.c.name).where(t.gateway.c.name == gateway)).first() is None:
            raise NotFound(f"no gateway is called {gateway!r}")
        if (number := _open_backfill(tx, gateway)) is not None:
            return Asked(None, f"{gateway} has not finished its backfill yet: command {number}.")
        gaps = gaps_of(tx, site, gateway)
    now = site.clock()
    expires = now + timedelta(seconds=site.settings.commands.expire_after_s)
    if not gaps:
        days = site.settings.commands.backfill_days
        return Asked(None, f"The meters of {gateway} owe nothing of the last {days} days.")
    args = {"gaps": [gap.wire for gap in gaps[:MAX_GAPS]]}
    with site.database.write() as tx:
        return Asked(queue_command(tx, gateway, "backfill", args, by=by, now=now, expires=expires))


def _open_backfill(tx: Connection, gateway: str) -> int | None:
    c = t.command.c
    query = select(c.id).where(c.gateway == gateway, c.kind == "backfill", c.state.in_(OPEN))
    return tx.execute(query.limit(1)).scalar()
