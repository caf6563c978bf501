"""One statement as page, PDF, JSON and bundle: for the clerk any, for a customer their own once it is issued."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from headend.billing.ports import Kept
from headend.billing.statement import Statement, parse_statement
from headend.documents.html import statement_html
from headend.documents.pdf import statement_pdf
from headend.errors import NotFound
from headend.process.asbilled import bundle_of
from headend.registry.users import User
from headend.site import Site
from headend.store.ledger import SqlLedger
from headend.web.access import SITE, known_user


def kept_for(site: Site, user: User, statement_id: str) -> Kept:
    """A statement this user may see; raises `NotFound` for every other, so that nobody learns it exists."""
    with site.database.read() as tx:
        kept = SqlLedger(tx).statement(statement_id)
    if user.role == "customer" and (kept.account != user.account or kept.state != "issued"):
        raise NotFound(f"no statement is called {statement_id!r}")
    return kept


async def as_json(request: web.Request) -> web.Response:
    """The record itself: the canonical bytes, with their hash as ETag."""
    kept = await asyncio.to_thread(_kept, request)
    headers = {**_named(kept, "json"), "ETag": f'"{kept.sha256}"'}
    return web.Response(body=kept.document, content_type="application/json", headers=headers)


async def as_html(request: web.Request) -> web.Response:
    """The statement to read; it brings its own style, which its own policy allows."""
    text = await asyncio.to_thread(_made, request, statement_html)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'"
    return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": policy})


async def as_pdf(request: web.Request) -> web.Response:
    """The statement to print."""
    kept = await asyncio.to_thread(_kept, request)
    body = await asyncio.to_thread(statement_pdf, parse_statement(kept.document))
    return web.Response(body=body, content_type="application/pdf", headers=_named(kept, "pdf"))


async def as_bundle(request: web.Request) -> web.Response:
    """The statement and all it was made of, as a file to keep; 409 where it is not issued yet."""
    kept, body = await asyncio.to_thread(_bundled, request)
    headers = {"Content-Disposition": _named(kept, "zip")["Content-Disposition"].replace("inline", "attachment")}
    return web.Response(body=body, content_type="application/zip", headers=headers)


def _bundled(request: web.Request) -> tuple[Kept, bytes]:
    site = request.app[SITE]
    kept = _kept(request)
    with site.database.read() as tx:
        return bundle_of(tx, site, kept.id)


def _kept(request: web.Request) -> Kept:
    return kept_for(request.app[SITE], known_user(request), request.match_info["id"])


def _made(request: web.Request, draw: Callable[[Statement], str]) -> str:
    return draw(parse_statement(_kept(request).document))


def _named(kept: Kept, ending: str) -> dict[str, str]:
    name = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "_" for letter in kept.id)
    return {"Content-Disposition": f'inline; filename="statement-{name}.{ending}"'}
