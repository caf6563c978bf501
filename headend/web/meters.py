"""The operator's page of one meter: its load, its intervals, what was found, what happened to it, how it is read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date, timedelta

from aiohttp import web
from sqlalchemy import Connection, func, select
from yarl import URL

from headend.errors import InvalidInput, StoreAway
from headend.monitor.events import REACHABILITY, Choice, Event, events
from headend.monitor.lag import Behind
from headend.reads.channels import Channel
from headend.reads.days import midnight, moment, seconds
from headend.reads.quality import Quality
from headend.registry.registry import EnrolledChannel, channels_of
from headend.site import Site
from headend.store import tables as t
from headend.store.exceptions import Choice as Undecided
from headend.store.exceptions import ReadException, exceptions
from headend.store.telemetry import Series, series_named, telemetry_of
from headend.web.access import OPERATOR, SITE, Page
from headend.web.charts import load_chart, telemetry_chart
from headend.web.readings import Readings, last_read_s, on_the_way, over_by, readings
from headend.web.render import render
from headend.web.words import Unit, unit_of

_DEFAULT_DAYS = 7
_MAX_DAYS = 62
_FINDING_ROWS = 200
_EVENT_ROWS = 20
_EXCEPTION_ROWS = 20


@dataclass(frozen=True, slots=True)
class Span:
    """Local days, both included, in the site's zone."""

    first: date
    last: date

    def seconds(self, site: Site) -> tuple[int, int]:
        """Begin and end, UTC [s since 1970]."""
        zone = site.settings.site.zone
        return seconds(midnight(self.first, zone)), seconds(midnight(self.last + timedelta(days=1), zone))


@dataclass(frozen=True, slots=True)
class Interval:
    """One row of the table of intervals."""

    start_s: int
    value: int | None
    quality: Quality
    version: int


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One row of the table of findings: a rule's word on a stretch of intervals; `end_s` None: on one."""

    start_s: int
    end_s: int | None
    channel: Channel
    rule: str
    severity: str
    detail: str


@dataclass(frozen=True, slots=True)
class Device:
    """Where a Modbus meter answers; `told` is the last change of how it was found, None: there was none."""

    profile: str
    address: str
    unit: int
    told: Event | None


@dataclass(frozen=True, slots=True)
class MeterPage:
    """Everything on the page of one meter; intervals and events newest first.

    Parameters
    ----------
    last_s
        end of its newest read [s since 1970]; None: there is none, or it is not known, as the store does not answer.
    behind
        how far processing is behind, if it may lack reads of what is shown.
    """

    channels: list[EnrolledChannel]
    shown: EnrolledChannel
    unit: Unit
    span: Span
    last_s: int | None
    last_known: bool
    behind: Behind | None
    intervals: list[Interval]
    findings: list[FindingRow]
    telemetry: list[Series]
    events: list[Event]
    device: Device | None
    exceptions: list[ReadException]


async def meter(request: web.Request) -> web.Response:
    """One meter: its load, its intervals, what validation found."""
    site, name = request.app[SITE], request.match_info["name"]

    def look() -> MeterPage:
        with site.database.read() as tx:
            channels = channels_of(tx, name)
            shown = _chosen(channels, request.query.get("channel"))
            now_s = seconds(site.clock())
            try:
                last_s, last_known = last_read_s(tx, site.store, channels, now_s), True
            except StoreAway:
                last_s, last_known = None, False
            span = _span(request, site, last_s or now_s)
            start_s, end_s = span.seconds(site)
            reads = readings(tx, site.store, shown, start_s, min(end_s, max(start_s, over_by(shown, now_s))))
            return MeterPage(
                channels,
                shown,
                unit_of(shown.channel),
                span,
                last_s,
                last_known,
                on_the_way(tx, site, shown, reads.end_s),
                intervals_of(reads)[::-1],
                findings_between(tx, shown.meter, start_s, end_s),
                telemetry_of(tx, start_s, end_s, meter=name),
                events(tx, Choice(meter=name), limit=_EVENT_ROWS),
                _device(tx, shown.meter, name),
                exceptions(tx, Undecided(meter=name), limit=_EXCEPTION_ROWS),
            )

    view = await asyncio.to_thread(look)
    interval = str(URL(f"/operator/meters/{name}/interval").with_query(channel=view.shown.channel.obis, at=""))
    days = {"from": view.span.first.isoformat(), "to": view.span.last.isoformat()}
    return await render(
        request,
        "operator/meter.html",
        name=name,
        days=days,
        view=view,
        interval_at=lambda start_s: f"{interval}{moment(start_s):%Y-%m-%dT%H:%M:%SZ}",
        chart_of=lambda obis: str(URL(f"/operator/meters/{name}/chart").with_query({**days, "channel": obis})),
        telemetry_of=lambda what: str(URL(f"/operator/meters/{name}/telemetry").with_query({**days, "quantity": what})),
    )


async def meter_chart(request: web.Request) -> web.Response:
    """The specification of one channel's load chart."""
    site, name = request.app[SITE], request.match_info["name"]

    def look() -> Readings:
        with site.database.read() as tx:
            channels = channels_of(tx, name)
            now_s = seconds(site.clock())
            start_s, end_s = _span(request, site, now_s).seconds(site)
            shown = _chosen(channels, request.query.get("channel"))
            return readings(tx, site.store, shown, start_s, min(end_s, max(start_s, over_by(shown, now_s))))

    reads = await asyncio.to_thread(look)
    return web.json_response(load_chart(reads, site.settings.site.zone))


async def telemetry(request: web.Request) -> web.Response:
    """The specification of the chart of one quantity that was told of a meter."""
    site, name = request.app[SITE], request.match_info["name"]
    now_s = seconds(site.clock())
    start_s, end_s = _span(request, site, now_s).seconds(site)
    end_s = min(end_s, max(start_s, now_s) + 1)

    def look() -> list[Series]:
        with site.database.read() as tx:
            return telemetry_of(tx, start_s, end_s, meter=name)

    series = series_named(request.query.get("quantity", ""), await asyncio.to_thread(look))
    return web.json_response(telemetry_chart(series, start_s, end_s, site.settings.site.zone))


def _span(request: web.Request, site: Site, last_s: int) -> Span:
    """The asked-for days; without any, the last ones up to the newest read."""
    last_day = moment(max(0, last_s - 1)).astimezone(site.settings.site.zone).date()
    last = _day(request, "to") or last_day
    first = _day(request, "from") or last - timedelta(days=_DEFAULT_DAYS - 1)
    if first > last:
        raise InvalidInput("from", first.isoformat(), f"a day not after {last}")
    if (last - first).days >= _MAX_DAYS:
        raise InvalidInput("from", first.isoformat(), f"at most {_MAX_DAYS} days up to {last}")
    return Span(first, last)


def _day(request: web.Request, name: str) -> date | None:
    text = request.query.get(name)
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InvalidInput(name, repr(text[:40]), "a day such as 2026-10-31") from None
    if not 1970 < day.year < 9000:
        raise InvalidInput(name, repr(text[:40]), "a day from 1971 on")
    return day


def _chosen(channels: list[EnrolledChannel], obis: str | None) -> EnrolledChannel:
    if obis is None:
        return channels[0]
    for channel in channels:
        if channel.channel.obis == obis:
            return channel
    there = ", ".join(channel.channel.obis for channel in channels)
    raise InvalidInput("channel", repr(obis[:40]), f"one of {there}")


def intervals_of(reads: Readings) -> list[Interval]:
    """Reads as rows of a table, oldest first."""
    missing = reads.quality == Quality.MISSING
    rows_ = zip(
        reads.starts_s.tolist(),
        reads.values.tolist(),
        missing.tolist(),
        reads.quality.tolist(),
        reads.version.tolist(),
        strict=True,
    )
    return [
        Interval(start, None if gone else value, Quality(code), version) for start, value, gone, code, version in rows_
    ]


def findings_between(
    tx: Connection, meter_id: int, start_s: int, end_s: int, channel: Channel | None = None
) -> list[FindingRow]:
    """What was found in [start_s, end_s), newest first, and no more than a page can bear."""
    f = t.finding.c
    query = (
        select(f.start_s, f.end_s, f.channel, f.rule, f.severity, f.detail)
        .where(f.meter == meter_id, f.start_s < end_s, func.coalesce(f.end_s, f.start_s + 1) > start_s)
        .order_by(f.start_s.desc(), f.rule)
        .limit(_FINDING_ROWS)
    )
    if channel is not None:
        query = query.where(f.channel == channel.code)
    return [
        FindingRow(row.start_s, row.end_s, Channel(row.channel), row.rule, row.severity, row.detail)
        for row in tx.execute(query)
    ]


def _device(tx: Connection, meter_id: int, name: str) -> Device | None:
    d = t.modbus_device.c
    row = tx.execute(select(d.profile, d.address, d.unit).where(d.meter_id == meter_id)).first()
    if row is None:
        return None
    # How it is, only our own poller knows; gateways may use the same words of what they see.
    told = events(tx, Choice(kinds=REACHABILITY, gateway="", meter=name), limit=1)
    return Device(*row, told[0] if told else None)


PAGES = (
    Page("GET", "/operator/meters/{name}", meter, OPERATOR),
    Page("GET", "/operator/meters/{name}/chart", meter_chart, OPERATOR),
    Page("GET", "/operator/meters/{name}/telemetry", telemetry, OPERATOR),
)
