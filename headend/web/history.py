"""Every version of one interval, for operators and machines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import Connection
from yarl import URL

from headend.process.versions import Found, IntervalVersions, Version, interval_at, moment_of, versions_of
from headend.reads.crosswalk import Condition, Reason, to_cim, to_espi, to_nem12
from headend.reads.days import DAY_S, moment
from headend.reads.quality import Flag
from headend.registry.registry import EnrolledChannel, channels_of
from headend.site import Site
from headend.store.edits import Edit, edits_over
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


@dataclass(frozen=True, slots=True)
class Codes:
    """How good one version is, in the codes of three standards, as people write them."""

    version: Version
    espi: str
    cim: str
    nem12: str


@dataclass(frozen=True, slots=True)
class IntervalPage:
    """One interval: its versions, the same in standards' codes, and what people did to it, oldest first."""

    seen: IntervalVersions
    codes: list[Codes]
    edits: list[Edit]


async def interval_page(request: web.Request) -> web.Response:
    """One interval: its versions, and what validation found."""
    name, at = request.match_info["name"], moment_of(request.query.get("at", ""), "at")
    site, obis = request.app[SITE], request.query.get("channel")

    def look() -> IntervalPage:
        with site.database.read() as tx:
            channel, start_s = interval_at(channels_of(tx, name), obis, at, site.clock())
            seen = versions_of(tx, site.store, channel, start_s)
            made = edits_over(tx, (channel.meter, channel.channel.code), start_s, seen.end_s)
            return IntervalPage(seen, _codes(site, seen, made, _flags(tx, site, channel, start_s)), made)

    page = await asyncio.to_thread(look)
    seen = page.seen
    return await render(
        request,
        "operator/interval.html",
        name=name,
        view=seen,
        codes=page.codes,
        edits=page.edits,
        unit=unit_of(seen.channel.channel),
        at=f"{moment(seen.start_s):%Y-%m-%dT%H:%M:%SZ}",
        meter_page=str(URL("/operator/meters") / name),
    )


def _look(site: Site, meter: str, obis: str | None, at: datetime) -> IntervalVersions:
    with site.database.read() as tx:
        channel, start_s = interval_at(channels_of(tx, meter), obis, at, site.clock())
        return versions_of(tx, site.store, channel, start_s)


def _flags(tx: Connection, site: Site, channel: EnrolledChannel, start_s: int) -> Flag:
    """What the device says of the interval as it stands."""
    block = site.store.load(tx, [(start_s // DAY_S, channel.meter, channel.channel.code)], channel.interval_s)
    return Flag(int(block.flags[0, start_s % DAY_S // channel.interval_s]))


def _codes(site: Site, seen: IntervalVersions, edits: Sequence[Edit], flags: Flag) -> list[Codes]:
    """Each version in standards' codes; flags are those of the interval, whatever its value."""
    return [_codes_of(one, Condition(one.quality, flags, _reason(site, one, edits))) for one in seen.versions]


def _codes_of(version: Version, condition: Condition) -> Codes:
    nem12 = to_nem12(condition)
    return Codes(
        version,
        ", ".join(map(str, to_espi(condition))) or "–",
        ", ".join(to_cim(condition)),
        " ".join(str(part) for part in nem12 if part not in {None, ""}),
    )


def _reason(site: Site, version: Version, edits: Sequence[Edit]) -> Reason | None:
    """Why a person decided on a version, if one did."""
    for edit in reversed(edits):
        decided = edit.second or edit.made
        if (version.since is None or decided >= version.since) and (version.until is None or decided < version.until):
            return site.rules.editing.reasons.get(edit.reason)
    return None


PAGES = (
    Page("GET", "/api/v1/meters/{id}/intervals/{start}/history", interval_history, OPERATOR | CLERK),
    Page("GET", "/operator/meters/{name}/interval", interval_page, OPERATOR),
)
