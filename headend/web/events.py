"""The operator's page of events: what happened in the field, newest first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web

from headend.monitor.events import ALARMS, KINDS, Choice, Event, events, events_count
from headend.monitor.lag import Behind, behind
from headend.reads.days import DAY_S, seconds
from headend.site import Site
from headend.web.access import OPERATOR, SITE, Page
from headend.web.render import page_number, render

_ROWS = 100
#: What "the last … days" may be asked for.
_DAYS = (1, 7, 30)


@dataclass(frozen=True, slots=True)
class EventPage:
    """One page of events.

    Parameters
    ----------
    behind
        messages that wait to be processed, if they wait for long.
    """

    shown: list[Event]
    found: int
    page: int
    pages: int
    behind: Behind | None


async def event_list(request: web.Request) -> web.Response:
    """Events by kind, gateway, meter and time."""
    site, wanted = request.app[SITE], page_number(request)
    asked = {name: request.query.get(name, "").strip()[:200] for name in ("kind", "gateway", "meter", "days")}
    choice = _choice(site, asked)

    def look() -> EventPage:
        with site.database.read() as tx:
            found = events_count(tx, choice)
            pages = max(1, -(-found // _ROWS))
            page = min(wanted, pages)
            shown = events(tx, choice, limit=_ROWS, skip=(page - 1) * _ROWS)
            return EventPage(shown, found, page, pages, behind(tx, site))

    return await render(
        request,
        "operator/events.html",
        view=await asyncio.to_thread(look),
        asked=asked,
        given={name: text for name, text in asked.items() if text},
        kinds=KINDS,
        all_alarms=",".join(ALARMS),
        days=_DAYS,
    )


def _choice(site: Site, asked: dict[str, str]) -> Choice:
    """What is not understood is left out."""
    days = next((days for days in _DAYS if str(days) == asked["days"]), None)
    return Choice(
        kinds=tuple(kind for kind in asked["kind"].split(",") if kind),
        gateway=asked["gateway"] or None,
        meter=asked["meter"] or None,
        start_s=None if days is None else seconds(site.clock()) - days * DAY_S,
    )


PAGES = (Page("GET", "/operator/events", event_list, OPERATOR),)
