"""Pages out of templates: one environment, one way to render."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from yarl import URL

from headend.site import Site
from headend.store import exceptions
from headend.web import words
from headend.web.access import SITE, csrf_token, session_of, user_of
from headend.web.assets import asset_url

# What has more is no key of a database: these have 64 bits.
_KEY_DIGITS = 19

_environment = Environment(
    loader=PackageLoader("headend.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(
    percent=words.percent,
    count=words.count,
    quantity=words.quantity,
    plain_quantity=words.plain_quantity,
    signed_quantity=words.signed_quantity,
    telemetry=words.telemetry,
    money=words.money,
    signed_money=words.signed_money,
    signed_percent=words.signed_percent,
    bar=words.bar,
    month=words.month,
    quality_tag=words.quality_tag,
    rule_name=words.rule_name,
    rule_code=words.rule_code,
    outcome_tag=words.outcome_tag,
    sentence=words.sentence,
    event_kind=words.event_kind,
    event_tag=words.event_tag,
    clock_offset=words.clock_offset,
    command_args=words.command_args,
    command_tag=words.command_tag,
)
_environment.globals.update(
    asset=asset_url,
    actions=words.ACTIONS,
    methods=words.METHODS,
    commands=words.COMMANDS,
    quantities=words.QUANTITIES,
    unit_of=words.unit_of,
)


async def render(request: web.Request, template: str, *, status: int = 200, **context: Any) -> web.Response:
    """A page; every template knows the site, who is asking, the CSRF token, and the notice left by the step before."""
    session = await session_of(request)
    site = request.app[SITE]
    now, zone = site.clock(), site.settings.site.zone
    user = user_of(request)
    # A page that tells of an error asks nothing more of the database: it may be what does not answer.
    asks = user is not None and user.role != "customer" and status < 400
    text = _environment.get_template(template).render(
        site_name=site.settings.site.name,
        user=user,
        undecided=await asyncio.to_thread(_undecided, site) if asks else 0,
        path=request.path,
        csrf=csrf_token(session),
        notice=session.pop("notice", None) if "notice" in session else None,
        now=now,
        zone=zone,
        local=lambda epoch_s: words.local_time(epoch_s, zone),
        ago=lambda epoch_s: words.ago(epoch_s, now),
        link=link_to(request.path),
        **context,
    )
    return web.Response(text=text, status=status, content_type="text/html")


def _undecided(site: Site) -> int:
    with site.database.read() as tx:
        return exceptions.count(tx, exceptions.Choice())


def page_number(request: web.Request) -> int:
    """The page of a long table that is asked for, counted from 1."""
    text = request.query.get("page", "1")
    return max(1, int(text)) if text.isdecimal() and len(text) < 7 else 1


def number_in(text: str) -> int:
    """A number of something, as it stands in a path or a form; -1, which nothing has, where it is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _KEY_DIGITS else -1


def link_to(path: str) -> Callable[..., str]:
    """A function that makes links to a page with another query."""

    def link(query: dict[str, object] | None = None, /, **more: object) -> str:
        given = {**(query or {}), **more}
        return str(URL(path).with_query({name: str(value) for name, value in given.items() if value is not None}))

    return link


async def see_other(request: web.Request, location: str, notice: str, *, good: bool = True) -> web.HTTPSeeOther:
    """A redirect after a POST, with a notice for the page that follows."""
    session = await session_of(request)
    session["notice"] = {"text": notice, "good": good}
    return web.HTTPSeeOther(location)
