"""Statements as clerks see them: the documents, and what has changed under one since it was made."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200
from pydantic import BaseModel, Field

from headend.billing.again import Again, rated_again
from headend.billing.statement import Statement, parse_statement
from headend.office import office_of
from headend.reads.days import moment
from headend.store.ledger import SqlLedger
from headend.store.rebills import RebillFlag, rebills, rebills_of
from headend.web import words
from headend.web.access import CLERK, SITE, Page
from headend.web.api import as_json as json_of
from headend.web.api import endpoint
from headend.web.render import render
from headend.web.statements import as_bundle, as_html, as_json, as_pdf


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """What has changed under one statement, and what it would come to today."""

    statement: Statement
    state: str
    flags: list[RebillFlag]
    again: Again


async def changes(request: web.Request) -> web.Response:
    """One statement whose reads have changed since it was made."""
    site = request.app[SITE]

    def look() -> ChangesPage:
        with site.database.read() as tx:
            kept = SqlLedger(tx).statement(request.match_info["id"])
            flags = rebills_of(tx, kept.id)
        made = parse_statement(kept.document)
        return ChangesPage(made, kept.state, flags, rated_again(office_of(site), made))

    return await render(request, "clerk/changes.html", view=await asyncio.to_thread(look))


class RebillOut(BaseModel):
    """A channel whose reads have changed since a statement billed them."""

    statement: str
    account: str
    period: str
    meter: str
    channel: str
    start: datetime = Field(description="begin of the first interval that changed")
    end: datetime = Field(description="end of the last")
    change: int = Field(description="energy now − energy when it was billed, base units; 0 where it changed back")
    unit: str
    cause: str = Field(description="what changed it last: journal entries, a rule set, a user")
    flagged: datetime
    changed: datetime


class RebillsOut(BaseModel):
    """Every statement whose reads have changed since."""

    rebills: list[RebillOut]


@endpoint
async def rebill_flags(request: web.Request) -> r200[RebillsOut]:
    """Statements whose reads have changed since they were made; the statements themselves never change."""

    def look() -> list[RebillFlag]:
        with request.app[SITE].database.read() as tx:
            return rebills(tx)

    return json_of(RebillsOut(rebills=[_rebill_out(one) for one in await asyncio.to_thread(look)]))


def _rebill_out(one: RebillFlag) -> RebillOut:
    return RebillOut(
        statement=one.statement,
        account=one.account,
        period=one.period,
        meter=one.meter_name,
        channel=one.channel.obis,
        start=moment(one.first_s),
        end=moment(one.end_s),
        change=one.change,
        unit=words.unit_of(one.channel).base,
        cause=one.cause,
        flagged=one.flagged_at,
        changed=one.changed_at,
    )


PAGES = (
    Page("GET", "/clerk/statements/{id}/changes", changes, CLERK),
    Page("GET", "/api/v1/rebills", rebill_flags, CLERK),
    Page("GET", "/clerk/statements/{id}.pdf", as_pdf, CLERK),
    Page("GET", "/clerk/statements/{id}.json", as_json, CLERK),
    Page("GET", "/clerk/statements/{id}.zip", as_bundle, CLERK),
    Page("GET", "/clerk/statements/{id}", as_html, CLERK),
)
