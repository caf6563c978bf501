"""The web application of one site: routes, session, and the headers every answer carries."""

from __future__ import annotations

import os
from pathlib import Path

from aiohttp import web
from aiohttp_session.cookie_storage import EncryptedCookieStorage
from cryptography.fernet import Fernet

from headend.collect.writer import JournalWriter
from headend.site import Site
from headend.web import (
    accrual,
    api,
    assets,
    billruns,
    books,
    clerk,
    correcting,
    customer,
    cycles,
    cycles_api,
    deciding,
    events,
    excepted,
    exceptions,
    exceptions_api,
    explaining,
    field_api,
    findings,
    flagged,
    fleet_api,
    gateways,
    history,
    login,
    machines,
    meters,
    operator,
    push,
    whatif,
)
from headend.web.access import GATE, SITE, STORAGE, Gate, declare, guard, keep_session
from headend.web.problems import present_errors

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def make_app(site: Site, writer: JournalWriter) -> web.Application:
    """Pages, API and probes for an open site; what gateways push goes to the journal through `writer`."""
    app = web.Application(client_max_size=site.settings.collect.max_message_bytes)
    app[SITE], app[GATE], app[push.WRITER] = site, Gate(site), writer
    app.on_response_prepare.append(_add_headers)
    app[STORAGE] = EncryptedCookieStorage(
        Fernet(_session_key(site.settings.data.directory)),
        cookie_name="headend_session",
        max_age=site.settings.web.session_hours * 3600,
        httponly=True,
        samesite="Lax",
    )
    app.middlewares.extend((keep_session, present_errors, guard))
    for part in (
        login,
        assets,
        machines,
        operator,
        meters,
        history,
        exceptions,
        deciding,
        gateways,
        events,
        findings,
        excepted,
        cycles,
        clerk,
        correcting,
        flagged,
        books,
        customer,
        accrual,
        explaining,
        whatif,
    ):
        declare(app, part.PAGES)
    for part in (api, field_api, fleet_api, exceptions_api, cycles_api, push):
        declare(app, part.PAGES)
    operator.prepare(app)
    billruns.prepare(app)
    flagged.prepare(app)
    whatif.prepare(app)
    return app


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    # What is behind a login is nobody else's: not for caches, not for the back button after logging out.
    response.headers.setdefault("Cache-Control", "no-store")


def _session_key(directory: Path) -> bytes:
    """The key sessions are sealed with; made at the first start, readable by its owner only."""
    path = directory / "session.key"
    directory.mkdir(parents=True, exist_ok=True)
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(made, "wb") as file:
        file.write(Fernet.generate_key())
    return path.read_bytes()
