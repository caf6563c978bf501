"""The operator's first pages: the fleet, and what is in quarantine."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web

from headend.monitor.events import ALARMS
from headend.monitor.lag import Behind, StoreLag, behind, store_lag
from headend.monitor.quarantine import FaultCount, Quarantined, faults, quarantined, quarantined_count
from headend.web.access import OPERATOR, SITE, Page
from headend.web.fleetview import CAMERA, METERS, FleetCamera
from headend.web.render import page_number, render

_QUARANTINE_ROWS = 50


def prepare(app: web.Application) -> None:
    """What the pages share while the application runs."""
    app[CAMERA] = FleetCamera(app[SITE])


async def overview(request: web.Request) -> web.Response:
    """Totals, what lags, alarms of the last 24 hours, and the table of meters."""
    site = request.app[SITE]
    seen = await request.app[CAMERA].picture()

    def lags() -> tuple[Behind | None, StoreLag | None]:
        with site.database.read() as tx:
            return behind(tx, site), store_lag(tx, site)

    journal, store = await asyncio.to_thread(lags)
    chosen = METERS.selection(request)
    return await render(
        request,
        "operator/fleet.html",
        fleet=seen,
        behind=journal,
        store=store,
        alarms=[(kind, seen.events[kind]) for kind in ALARMS if seen.events[kind]],
        all_alarms=",".join(ALARMS),
        chosen=chosen,
        rows=METERS.rows(seen.meters, chosen),
    )


@dataclass(frozen=True, slots=True)
class QuarantinePage:
    """One page of what is kept aside, with all kinds of fault to choose from."""

    kept: list[Quarantined]
    faults: list[FaultCount]
    found: int
    page: int
    pages: int


async def quarantine(request: web.Request) -> web.Response:
    """What could not be used, by kind of fault."""
    fault = request.query.get("fault") or None
    wanted = page_number(request)

    def look() -> QuarantinePage:
        with request.app[SITE].database.read() as tx:
            found = quarantined_count(tx, fault=fault)
            pages = max(1, -(-found // _QUARANTINE_ROWS))
            page = min(wanted, pages)
            kept = quarantined(tx, fault=fault, limit=_QUARANTINE_ROWS, skip=(page - 1) * _QUARANTINE_ROWS)
            return QuarantinePage(kept, faults(tx), found, page, pages)

    return await render(request, "operator/quarantine.html", fault=fault, view=await asyncio.to_thread(look))


PAGES = (
    Page("GET", "/operator", overview, OPERATOR),
    Page("GET", "/operator/quarantine", quarantine, OPERATOR),
)
