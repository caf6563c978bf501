"""Gateways: which there are, the secret each one shows, and those nothing is taken from any more.

A token is random and long, so its SHA-256 is kept as it is: there is nothing to guess that a slow hash would protect.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, update

from headend.errors import InvalidInput, NotFound
from headend.reads.days import seconds
from headend.store import tables as t
from headend.store.commands import cancel_all
from headend.store.database import upsert

#: What a gateway may be called: a level of a topic, and no wildcard.
GATEWAY_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TOKEN_BYTES = 32
_NOBODYS = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway as the registry knows it.

    Parameters
    ----------
    online
        what it said last; None: nothing.
    last_seen_s
        when it was heard last [s since 1970]; None: never.
    firmware
        the version it says it runs.
    enrolled
        it has a token.
    revoked_s
        since when nothing is taken from it [s since 1970].
    """

    name: str
    online: bool | None
    last_seen_s: int | None
    firmware: str | None
    enrolled: bool
    revoked_s: int | None


def enrol_gateway(tx: Connection, name: str) -> str:
    """Let a gateway in, or in again; its new token, which is nowhere to be had afterwards. Raises `InvalidInput`."""
    if not GATEWAY_NAME.fullmatch(name):
        raise InvalidInput("gateway", repr(name[:80]), "1 to 64 letters, digits or . _ -")
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    upsert(tx, t.gateway, [{"name": name, "token_sha256": _digest(token), "revoked_s": None}])
    return token


def revoke_gateway(tx: Connection, name: str, now: datetime, *, by: str) -> None:
    """Take nothing from a gateway any more, and ask it for nothing; raises `NotFound`."""
    mine = update(t.gateway).where(t.gateway.c.name == name)
    if not tx.execute(mine.values(token_sha256=None, revoked_s=seconds(now))).rowcount:
        raise NotFound(f"no gateway is called {name!r}")
    cancel_all(tx, name, by=by, now=now)


def gateway_of_token(tx: Connection, name: str, token: str) -> bool:
    """Whether this is the gateway's token; the time it takes says nothing of what would be right."""
    query = select(t.gateway.c.token_sha256).where(t.gateway.c.name == name, t.gateway.c.revoked_s.is_(None))
    kept = tx.execute(query).scalar()
    return hmac.compare_digest(_digest(token), kept or _NOBODYS) and kept is not None


def enrolled_gateways(tx: Connection) -> list[Gateway]:
    """Every gateway that was enrolled or heard, by name."""
    g = t.gateway.c
    query = select(g.name, g.online, g.last_seen_s, g.firmware, g.token_sha256.is_not(None), g.revoked_s)
    return [Gateway(*row) for row in tx.execute(query.order_by(g.name))]


def revoked_gateways(tx: Connection) -> set[str]:
    """Gateways from which nothing is taken any more."""
    g = t.gateway.c
    return set(tx.execute(select(g.name).where(g.revoked_s.is_not(None))).scalars())


def gateways_with_commands(tx: Connection) -> set[str]:
    """Gateways that hear our commands: heard at least once, in our own words, not revoked, and no Sparkplug nodes."""
    g = t.gateway.c
    nodes = select(func.replace(t.sparkplug_birth.c.node, "/", "."))
    query = select(g.name).where(g.first_seen_s.is_not(None), g.revoked_s.is_(None), g.native, g.name.not_in(nodes))
    return set(tx.execute(query).scalars())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
