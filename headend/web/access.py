"""Who is asking, and may they: sessions, HTTP Basic for the API, roles, CSRF tokens, brakes on guessing.

Every route is declared as a `Page` with the roles that may open it; what is not declared is closed. So no handler asks
for the role again, only for what belongs to whom.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from aiohttp import web
from aiohttp_session import AbstractStorage, Session
from yarl import URL

from headend.errors import NotFound
from headend.registry import users
from headend.registry.gateways import gateway_of_token
from headend.registry.users import Role, User
from headend.site import Site

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SITE: Final = web.AppKey("site", Site)
_USER: Final = web.RequestKey("user", User)
_GATEWAY: Final = web.RequestKey("gateway", str)

#: Open without a login.
ANYBODY: Final[frozenset[Role]] = frozenset()
OPERATOR: Final[frozenset[Role]] = frozenset({"operator"})
CLERK: Final[frozenset[Role]] = frozenset({"clerk"})
CUSTOMER: Final[frozenset[Role]] = frozenset({"customer"})
#: For gateways alone, each with its own token.
GATEWAY: Final[frozenset[Literal["gateway"]]] = frozenset({"gateway"})

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="headend", charset="UTF-8"'}


@dataclass(frozen=True, slots=True)
class Page:
    """One route and who may open it; `admin` always may."""

    method: str
    path: str
    handler: Handler
    roles: frozenset[Role] | frozenset[Literal["gateway"]]


_ROLES_OF: Final = web.AppKey("roles_of", dict[web.AbstractRoute, frozenset[Any]])


class Brake:
    """Slows down guessing: after so many failures under one key, none for a while.

    Parameters
    ----------
    failures
        how many are let through in `window_s` seconds.
    """

    _KEYS = 10_000

    def __init__(self, failures: int, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures, self._window_s, self._clock = failures, window_s, clock
        self._failed: OrderedDict[tuple[str, ...], list[float]] = OrderedDict()

    def wait_s(self, key: tuple[str, ...]) -> float:
        """Seconds until the key may try again; 0 where it may now."""
        now = self._clock()
        recent = [at for at in self._failed.get(key, ()) if now - at < self._window_s]
        return recent[-self._failures] + self._window_s - now if len(recent) >= self._failures else 0.0

    def failed(self, key: tuple[str, ...]) -> None:
        """Count a try. It counts before its password is looked at, so that many at once do not slip through."""
        now = self._clock()
        recent = [at for at in self._failed.pop(key, ()) if now - at < self._window_s]
        self._failed[key] = [*recent, now]
        if len(self._failed) > self._KEYS:
            self._failed.popitem(last=False)

    def passed(self, key: tuple[str, ...]) -> None:
        """The right password clears the count."""
        self._failed.pop(key, None)


class Gate:
    """Checks passwords for one application: in a thread, behind the brake, and for the API with a memory."""

    _REMEMBERED = 1_000

    def __init__(self, site: Site) -> None:
        self._site = site
        self._brake = Brake(failures=5, window_s=900)
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, None] = OrderedDict()

    async def log_in(self, login: str, password: str, address: str) -> User | None:
        """The user, or None; raises `HTTPTooManyRequests` while the brake is on for this login from this address."""
        key = login.lower()[:64], address
        self._hold(key)
        self._brake.failed(key)
        user = await asyncio.to_thread(self._verify, login, password)
        if user:
            self._brake.passed(key)
        return user

    def _hold(self, key: tuple[str, ...]) -> None:
        if wait := self._brake.wait_s(key):
            raise web.HTTPTooManyRequests(
                headers={"Retry-After": str(int(wait) + 1)}, text="Too many wrong passwords. Try again later."
            )

    async def basic(self, header: str, address: str) -> User | None:
        """The user an `Authorization` header names.

        A machine sends it with every request, so a password that was right is remembered, keyed by a secret of this
        process and the password hash it was checked against.
        """
        login, password = _basic_credentials(header)
        user = await asyncio.to_thread(self.named, login)
        if user is None:
            return await self.log_in(login, password, address)
        message = "\0".join((user.fingerprint, login, password)).encode()
        ticket = hmac.digest(self._key, message, hashlib.sha256)
        if ticket in self._known:
            self._known.move_to_end(ticket)
            return user
        verified = await self.log_in(login, password, address)
        if verified:
            self._known[ticket] = None
            if len(self._known) > self._REMEMBERED:
                self._known.popitem(last=False)
        return verified

    async def is_gateway(self, name: str, token: str, address: str) -> bool:
        """Whether a token is the gateway's; raises `HTTPTooManyRequests` while the brake is on."""
        key = "gateway", name[:64], address
        self._hold(key)

        def look() -> bool:
            with self._site.database.read() as tx:
                return gateway_of_token(tx, name, token)

        right = await asyncio.to_thread(look)
        if not right:
            self._brake.failed(key)
        return right

    def named(self, login: str) -> User | None:
        """The user as the registry has it now."""
        with self._site.database.read() as tx:
            try:
                return users.user_named(tx, login)
            except NotFound:
                return None

    def _verify(self, login: str, password: str) -> User | None:
        with self._site.database.read() as tx:
            return users.verify(tx, login, password)


def _basic_credentials(header: str) -> tuple[str, str]:
    """Login and password of an `Authorization` header; empty where it is none of ours."""
    scheme, _, sealed = header.partition(" ")
    try:
        login, _, password = b64decode(sealed, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return (login, password) if scheme.lower() == "basic" else ("", "")


GATE: Final = web.AppKey("gate", Gate)
STORAGE: Final = web.AppKey("session_storage", AbstractStorage)
_SESSION: Final = web.RequestKey("session", Session)


async def session_of(request: web.Request) -> Session:
    """The browser's session; an empty one where it brought none that is ours and fresh."""
    if _SESSION not in request:
        request[_SESSION] = await request.app[STORAGE].load_session(request)
    return request[_SESSION]


@web.middleware
async def keep_session(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Send the session back sealed, with answers and redirects alike, if anything in it changed."""
    before = dict(await session_of(request))
    try:
        response = await handler(request)
    except web.HTTPRedirection as redirect:
        await _send_session(request, redirect, before)
        raise
    await _send_session(request, response, before)
    return response


async def _send_session(request: web.Request, response: web.StreamResponse, before: dict[str, object]) -> None:
    session = await session_of(request)
    if dict(session) != before:
        await request.app[STORAGE].save_session(request, response, session)


def declare(app: web.Application, pages: Iterable[Page]) -> None:
    """Add routes; a GET route also answers HEAD."""
    roles_of = app.setdefault(_ROLES_OF, {})
    for page in pages:
        for method in (page.method, "HEAD") if page.method == "GET" else (page.method,):
            roles_of[app.router.add_route(method, page.path, page.handler)] = page.roles


def is_api(request: web.BaseRequest) -> bool:
    """Whether a machine is asking: answers are JSON then."""
    return request.path == "/api" or request.path.startswith("/api/")


def user_of(request: web.Request) -> User | None:
    """Who is asking; None where nobody is logged in, or it was not yet looked at."""
    return request.get(_USER)


def known_user(request: web.Request) -> User:
    """Who is asking, on a route that is not open to anybody."""
    return request[_USER]


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let through who may: role first, then the CSRF token of everything that changes something."""
    roles = request.app[_ROLES_OF].get(request.match_info.route)
    if roles is GATEWAY:
        await _check_gateway(request)
        return await handler(request)
    by_session = not request.path.startswith("/static/") and await _identify(request)
    if request.match_info.http_exception is not None or (roles == ANYBODY and request.method in _SAFE_METHODS):
        return await handler(request)
    if roles != ANYBODY:
        _check_role(request, roles or frozenset({"admin"}))
    if request.method not in _SAFE_METHODS and by_session:
        await _check_token(request)
    return await handler(request)


async def _identify(request: web.Request) -> bool:
    """Find out who is asking; whether a browser's session (and not a password in the request) says so."""
    gate = request.app[GATE]
    if is_api(request) and (header := request.headers.get("Authorization")):
        user = await gate.basic(header, request.remote or "")
        if user is None:
            raise web.HTTPUnauthorized(headers=_CHALLENGE, text="Login and password do not belong together.")
        request[_USER] = user
        return False
    session = await session_of(request)
    if login := session.get("login"):
        user = await asyncio.to_thread(gate.named, login)
        if user and hmac.compare_digest(user.fingerprint, str(session.get("fingerprint"))):
            request[_USER] = user
    return True


async def _check_gateway(request: web.Request) -> None:
    name = request.headers.get("X-Gateway", "")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not await request.app[GATE].is_gateway(name, token, request.remote or ""):
        headers = {"WWW-Authenticate": 'Bearer realm="headend"'}
        raise web.HTTPUnauthorized(headers=headers, text="X-Gateway and Authorization: Bearer do not belong together.")
    request[_GATEWAY] = name


def gateway_of(request: web.Request) -> str:
    """Which gateway is asking, on a route for gateways."""
    return request[_GATEWAY]


def _check_role(request: web.Request, roles: frozenset[Role]) -> None:
    user = user_of(request)
    if user is None:
        if is_api(request):
            raise web.HTTPUnauthorized(headers=_CHALLENGE, text="Log in with HTTP Basic or a session.")
        wanted = request.path_qs if request.method in _SAFE_METHODS else "/"
        raise web.HTTPSeeOther(URL("/login").with_query(next=wanted))
    if user.role not in roles and user.role != "admin":
        raise web.HTTPForbidden(text=f"This is not for the role “{user.role}”.")


async def _check_token(request: web.Request) -> None:
    session = await session_of(request)
    sent = request.headers.get("X-CSRF-Token") or (await request.post()).get("csrf")
    if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), csrf_token(session).encode()):
        raise web.HTTPForbidden(text="The form is out of date or did not come from this site. Go back and reload it.")


def csrf_token(session: Session) -> str:
    """The session's token; made when first asked for."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return str(session["csrf"])


async def begin_session(request: web.Request, user: User) -> None:
    """Log the user in, in a session of their own: nothing of the one before goes along."""
    session = request[_SESSION] = await request.app[STORAGE].new_session()
    session["login"], session["fingerprint"] = user.login, user.fingerprint
    request[_USER] = user


def safe_target(text: str) -> str:
    """Where to go after a login: a path on this site, else the start page."""
    plain = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if plain else "/"
