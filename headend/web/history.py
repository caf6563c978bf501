"""Every version of one interval, for operators and machines."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200
from pydantic import AwareDatetime, BaseModel, Field
from yarl import URL

from headend.process.versions import Found, IntervalVersions, Version, interval_at, moment_of, versions_of
from headend.reads.days import moment
from headend.registry.registry import channels_of
from headend.site import Site
from headend.web.access import CLERK, OPERATOR, SITE, Page
from headend.web.api import as_json, endpoint
from headend.web.render import render
from headend.web.words import unit_of


class VersionOut(BaseModel):
    """One version of an interval."""

    version: int = Field(description="counted from 1; the 255th and all after it have the same")
    value: int | None = Field(description="whole units; null: validation took the value away")
    quality: int = Field(description="code")
    quality_label: str = Field(description="the code in words")
    since: datetime | None = Field(description="when it came; null: only the journal knows")
    by: str | None = Field(description="journal entries, a rule set or a user; null: only the journal knows")
    until: datetime | None = Field(description="when it was replaced; null: it stands")
    rule: str | None = Field(description="of an estimate, the rule that made it")
    detail: str | None = Field(description="of an estimate, the rule's own words")


class FindingOut(BaseModel):
    """The newest word of one validation rule on the interval."""

    rule: str
    severity: str
    detail: str
    rule_set: str
    found: datetime


class HistoryOut(BaseModel):
    """Every version of one interval, oldest first."""

    meter: str
    channel: str
    unit: str
    interval_s: int
    start: datetime
    end: datetime
    versions: list[VersionOut]
    findings: list[FindingOut]


def history_out(seen: IntervalVersions) -> HistoryOut:
    """As machines have it."""
    return HistoryOut(
        meter=seen.channel.meter_name,
        channel=seen.channel.channel.obis,
        unit=unit_of(seen.channel.channel).base,
        interval_s=seen.channel.interval_s,
        start=moment(seen.start_s),
        end=moment(seen.end_s),
        versions=[_version_out(one) for one in seen.versions],
        findings=[_finding_out(one) for one in seen.findings],
    )


def _version_out(one: Version) -> VersionOut:
    return VersionOut(
        version=one.number,
        value=one.value,
        quality=int(one.quality),
        quality_label=one.quality.label,
        since=one.since,
        by=one.by,
        until=one.until,
        rule=one.rule,
        detail=one.detail,
    )


def _finding_out(one: Found) -> FindingOut:
    return FindingOut(rule=one.rule, severity=one.severity, detail=one.detail, rule_set=one.rule_set, found=one.found)


@endpoint
async def interval_history(
    request: web.Request,
    id: str,
    start: AwareDatetime,
    /,
    channel: Annotated[str | None, Field(description="OBIS code; may be left out where there is only one")] = None,
) -> r200[HistoryOut]:
    """Every version of the interval around a moment, from the tables; the journal's messages are not searched.

    `headend reads history` names those as well.
    """
    seen = await asyncio.to_thread(_look, request.app[SITE], id, channel, start)
    return as_json(history_out(seen))


async def interval_page(request: web.Request) -> web.Response:
    """One interval: its versions, and what validation found."""
    name, at = request.match_info["name"], moment_of(request.query.get("at", ""), "at")
    seen = await asyncio.to_thread(_look, request.app[SITE], name, request.query.get("channel"), at)
    return await render(
        request,
        "operator/interval.html",
        name=name,
        view=seen,
        unit=unit_of(seen.channel.channel),
        at=f"{moment(seen.start_s):%Y-%m-%dT%H:%M:%SZ}",
        meter_page=str(URL("/operator/meters") / name),
    )


def _look(site: Site, meter: str, obis: str | None, at: datetime) -> IntervalVersions:
    with site.database.read() as tx:
        channel, start_s = interval_at(channels_of(tx, meter), obis, at, site.clock())
        return versions_of(tx, site.store, channel, start_s)


PAGES = (
    Page("GET", "/api/v1/meters/{id}/intervals/{start}/history", interval_history, OPERATOR | CLERK),
    Page("GET", "/operator/meters/{name}/interval", interval_page, OPERATOR),
)
