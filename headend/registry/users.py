"""Who may log in, as what: logins with a role and an Argon2id hash of their password.

Argon2 is slow on purpose (tens of milliseconds): callers on an event loop hash and verify in a thread.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, select, update

from headend.errors import InvalidInput, NotFound
from headend.store import tables as t

Role = Literal["operator", "clerk", "customer", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

MIN_PASSWORD = 10
MAX_PASSWORD = 256

_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
# No letters that are taken for one another (l, o), and no vowel that could be misread as a digit.
_CONSONANTS = "bcdfghjkmnpqrstvwz"
_VOWELS = "aeu"
_SYLLABLES = 4

_hasher = PasswordHasher()


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may log in.

    Parameters
    ----------
    account
        whose usage and statements a customer sees; None for staff.
    fingerprint
        changes whenever the password does: a session made under another one is over.
    """

    login: str
    role: Role
    account: str | None
    fingerprint: str


def add_user(tx: Connection, login: str, role: str, password: str, account: str | None = None) -> User:
    """Add a login.

    Raises
    ------
    InvalidInput
        for a login that is taken or badly formed, an unknown role, a bad password, or an account that does not fit
        the role.
    """
    if not _LOGIN.fullmatch(login):
        raise InvalidInput("login", repr(login[:80]), "1 to 64 letters, digits or . _ @ + -")
    if role not in ROLES:
        raise InvalidInput("role", repr(role), "one of " + ", ".join(ROLES))
    if (role == "customer") != (account is not None):
        expected = "an account" if role == "customer" else "none: only a customer has one"
        raise InvalidInput("account", repr(account), expected)
    if account is not None and tx.execute(select(t.account.c.id).where(t.account.c.id == account)).first() is None:
        raise InvalidInput("account", repr(account), "the id of an enrolled account")
    if _row(tx, login) is not None:
        raise InvalidInput("login", repr(login), "one that is not taken")
    password_hash = _hasher.hash(_fit(password))
    tx.execute(t.user.insert().values(login=login, role=role, account_id=account, password_hash=password_hash))
    return user_named(tx, login)


def change_password(tx: Connection, login: str, password: str) -> User:
    """Give a login another password; every session under the old one ends. Raises `NotFound`, `InvalidInput`."""
    password_hash = _hasher.hash(_fit(password))
    changed = tx.execute(update(t.user).where(t.user.c.login == login).values(password_hash=password_hash))
    if not changed.rowcount:
        raise NotFound(f"no user is called {login!r}")
    return user_named(tx, login)


def verify(tx: Connection, login: str, password: str) -> User | None:
    """The user, if login and password belong together; an unknown login takes as long as a wrong password."""
    row = _row(tx, login)
    try:
        _hasher.verify(row.password_hash if row else _nobodys_hash(), password[:MAX_PASSWORD])
    except (VerificationError, InvalidHashError):
        return None
    return _user(row) if row else None


def user_named(tx: Connection, login: str) -> User:
    """One user; raises `NotFound`."""
    row = _row(tx, login)
    if row is None:
        raise NotFound(f"no user is called {login!r}")
    return _user(row)


def readable_password() -> str:
    """A random password that can be read over the telephone: `kabed-zuvat-…`, 60 bits."""
    words = ("".join(_letters()) for _ in range(_SYLLABLES))
    return "-".join(words)


def _letters() -> list[str]:
    return [secrets.choice(_VOWELS if place % 2 else _CONSONANTS) for place in range(5)]


def _fit(password: str) -> str:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise InvalidInput("password", f"{len(password)} characters", f"{MIN_PASSWORD} to {MAX_PASSWORD}")
    return password


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_hex())


def _row(tx: Connection, login: str) -> Any:
    return tx.execute(
        select(t.user.c.login, t.user.c.role, t.user.c.account_id, t.user.c.password_hash).where(
            t.user.c.login == login
        )
    ).first()


def _user(row: Any) -> User:
    fingerprint = hashlib.sha256(row.password_hash.encode()).hexdigest()[:24]
    return User(row.login, cast("Role", row.role), row.account_id, fingerprint)
