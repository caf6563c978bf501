"""The API, version 1: the fleet in figures, and what lags. OpenAPI is written from the signature."""

from __future__ import annotations

import asyncio
from datetime import datetime

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200
from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from headend.monitor.health import Totals
from headend.monitor.lag import StoreLag, StoreState, store_lag
from headend.web.access import OPERATOR, SITE, Page
from headend.web.api import as_json, endpoint
from headend.web.fleetview import CAMERA


class UnsentOut(BaseModel):
    """What InfluxDB has not got yet; it is kept in the site database and sent by itself."""

    blocks: int = Field(description="day blocks of which it lacks something")
    since: datetime | SkipJsonSchema[None] = Field(description="when the oldest was stored; only where it lacks some")
    seconds: int = Field(description="since then")
    state: StoreState = Field(description="by that age; away: it has not answered, or not kept up, for long")


class FleetOut(BaseModel):
    """The fleet in figures, at most a minute old; intervals are of the last 30 local days and today."""

    meters: int
    meters_silent: int = Field(description="not heard for 24 hours")
    gateways: int = Field(description="that are not revoked")
    gateways_online: int
    gateways_clock_off: int
    messages_missing: int = Field(description="sequence numbers that never came, though higher ones did")
    reads_expected: int
    reads_present: int
    reads_estimated: int
    journal_lag: int = Field(description="messages that are durable and not yet processed")
    quarantined: int
    store_away: bool = Field(description="older days could not be looked at: the window begins a day later")
    store_unsent: UnsentOut | SkipJsonSchema[None] = Field(description="only where reads are kept in InfluxDB")


@endpoint
async def fleet(request: web.Request) -> r200[FleetOut]:
    """The fleet in figures, and what InfluxDB lacks."""
    site = request.app[SITE]
    seen = await request.app[CAMERA].picture()

    def look() -> StoreLag | None:
        with site.database.read() as tx:
            return store_lag(tx, site)

    return as_json(
        _fleet_out(seen.totals, await asyncio.to_thread(look), store_away=seen.store_away), leave_out_none=True
    )


def _fleet_out(totals: Totals, unsent: StoreLag | None, *, store_away: bool) -> FleetOut:
    return FleetOut(
        meters=totals.meters,
        meters_silent=totals.silent,
        gateways=totals.gateways,
        gateways_online=totals.gateways_online,
        gateways_clock_off=totals.clocks_off,
        messages_missing=totals.sequence_missing,
        reads_expected=totals.completeness.expected,
        reads_present=totals.completeness.present,
        reads_estimated=totals.completeness.estimated,
        journal_lag=totals.journal_lag,
        quarantined=totals.quarantined,
        store_away=store_away,
        store_unsent=unsent
        and UnsentOut(blocks=unsent.blocks, since=unsent.since, seconds=unsent.seconds, state=unsent.state),
    )


PAGES = (Page("GET", "/api/v1/fleet", fleet, OPERATOR),)
