"""The API, version 1: gateways, what they are asked for, what happened. OpenAPI is written from the signatures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200, r201
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import Connection, select
from yarl import URL

from headend.errors import InvalidInput, NotFound
from headend.monitor.asking import ask
from headend.monitor.events import Choice, Event, events, events_count
from headend.monitor.gateways import GatewayHealth
from headend.reads.days import moment, seconds
from headend.registry.registry import channels_of
from headend.store import tables as t
from headend.store.commands import Command, State, commands_of
from headend.store.telemetry import Series, telemetry_of
from headend.web.access import OPERATOR, SITE, Page, known_user
from headend.web.api import From, UntilNow, as_json, endpoint
from headend.web.fleetview import CAMERA

_MAX_VALUES = 100_000
_DEFAULT_HOURS = 24


class GatewayOut(BaseModel):
    """One gateway."""

    id: str
    online: bool | None = Field(description="what it said last; null: nothing")
    last_seen: datetime | None
    clock_offset_s: int | None = Field(description="its clock minus ours")
    firmware: str | None
    revoked: datetime | None = Field(description="since when nothing is taken from it")
    messages: int
    messages_missing: int = Field(description="sequence numbers that never came, though higher ones did")
    open_commands: int
    meters: int
    meters_silent: int = Field(description="not heard for 24 hours")


class GatewaysOut(BaseModel):
    """A part of the list of gateways, by name."""

    total: int
    offset: int
    gateways: list[GatewayOut]


class SeriesOut(BaseModel):
    """One quantity, oldest first: the i-th value was so at the i-th moment."""

    quantity: str = Field(description="with its unit: voltage_v, signal_dbm, battery_v, temperature_c, clock_offset_s")
    at: list[datetime]
    values: list[float]


class TelemetryOut(BaseModel):
    """What was told over [start, end) of one gateway itself, or of one meter."""

    gateway: str | None = Field(description="null where it is of a meter")
    meter: str | None = Field(description="null where it is of a gateway itself")
    start: datetime
    end: datetime
    series: list[SeriesOut]


class CommandOut(BaseModel):
    """A command, and where it stands."""

    id: int
    kind: str
    args: dict[str, Any]
    state: State
    detail: str = Field(description="what the gateway said last")
    attempts: int = Field(description="how often it was sent")
    created: datetime
    created_by: str
    changed: datetime
    sent: datetime | None = Field(description="when it was sent last")
    expires: datetime


class CommandsOut(BaseModel):
    """The newest commands to one gateway, newest first."""

    gateway: str
    commands: list[CommandOut]


class CommandIn(BaseModel):
    """What a gateway is to do."""

    kind: str = Field(description="read, backfill, set_clock, set_interval, restart, firmware, rebirth")
    args: dict[str, Any] = Field(
        default={},
        description="as on the wire; but `backfill` may do without, and `firmware` takes the `version` alone",
    )


class QueuedOut(BaseModel):
    """The command that was queued."""

    id: int


class EventOut(BaseModel):
    """Something that happened."""

    at: datetime = Field(description="as its gateway's clock had it")
    kind: str
    gateway: str | None = Field(description="null: told by the head-end's own poller")
    meter: str | None = Field(description="null: it happened to the gateway itself")
    detail: str


class EventsOut(BaseModel):
    """A part of the events, newest first."""

    total: int
    offset: int
    events: list[EventOut]


@endpoint
async def gateways(
    request: web.Request,
    q: Annotated[str, Field(max_length=64, description="part of a gateway's name")] = "",
    limit: Annotated[int, Field(ge=1, le=1000)] = 100,
    offset: Annotated[int, Field(ge=0)] = 0,
) -> r200[GatewaysOut]:
    """Gateways, as they were at most a minute ago."""
    seen = await request.app[CAMERA].picture()
    found = [one for one in seen.gateways if q.casefold() in one.gateway.casefold()]
    page = [_gateway_out(one) for one in found[offset : offset + limit]]
    return as_json(GatewaysOut(total=len(found), offset=offset, gateways=page))


@endpoint
async def commands(
    request: web.Request, id: str, /, limit: Annotated[int, Field(ge=1, le=1000)] = 50
) -> r200[CommandsOut]:
    """The newest commands to a gateway, and where they stand."""

    def look() -> list[Command]:
        with request.app[SITE].database.read() as tx:
            _check_gateway(tx, id)
            return commands_of(tx, id, limit)

    found = await asyncio.to_thread(look)
    return as_json(
        CommandsOut(gateway=id, commands=[CommandOut.model_validate(one, from_attributes=True) for one in found])
    )


@endpoint
async def ask_gateway(request: web.Request, id: str, /, body: CommandIn) -> r201[QueuedOut]:
    """Queue a command. It is sent when the gateway can be reached; where it stands is among its commands."""
    by = known_user(request).login
    asked = await asyncio.to_thread(ask, request.app[SITE], id, body.kind, body.args, by=by)
    if asked.command is None:
        raise web.HTTPConflict(text=asked.why)
    where = str(URL("/api/v1/gateways") / id / "commands")
    return as_json(QueuedOut(id=asked.command), status=201, headers={"Location": where})


@endpoint
async def gateway_telemetry(
    request: web.Request,
    id: str,
    /,
    from_: From = None,
    to: UntilNow = None,
) -> r200[TelemetryOut]:
    """What a gateway told of itself over [from, to), 24 hours by default: signal, battery, and how its clock was."""

    def look(tx: Connection, start_s: int, end_s: int) -> list[Series]:
        _check_gateway(tx, id)
        return telemetry_of(tx, start_s, end_s, gateway=id, limit=_MAX_VALUES + 1)

    return await _telemetry(request, look, from_, to, gateway=id)


@endpoint
async def meter_telemetry(
    request: web.Request,
    id: str,
    /,
    from_: From = None,
    to: UntilNow = None,
) -> r200[TelemetryOut]:
    """What was told of a meter beside its reads over [from, to), 24 hours by default: its voltage."""

    def look(tx: Connection, start_s: int, end_s: int) -> list[Series]:
        channels_of(tx, id)
        return telemetry_of(tx, start_s, end_s, meter=id, limit=_MAX_VALUES + 1)

    return await _telemetry(request, look, from_, to, meter=id)


async def _telemetry(
    request: web.Request,
    look: Callable[[Connection, int, int], list[Series]],
    from_: datetime | None,
    to: datetime | None,
    *,
    gateway: str | None = None,
    meter: str | None = None,
) -> web.Response:
    site = request.app[SITE]
    end = to or site.clock()
    start = from_ or end - timedelta(hours=_DEFAULT_HOURS)
    if start >= end:
        raise InvalidInput("from", start.isoformat(), "a moment before `to`")

    def read() -> list[Series]:
        with site.database.read() as tx:
            return look(tx, seconds(start), seconds(end))

    found = await asyncio.to_thread(read)
    if sum(len(one.values) for one in found) > _MAX_VALUES:
        raise InvalidInput("from", start.isoformat(), f"at most {_MAX_VALUES} values up to `to`")
    series = [
        SeriesOut(quantity=one.quantity, at=[moment(at_s) for at_s in one.at_s], values=one.values) for one in found
    ]
    return as_json(
        TelemetryOut(
            gateway=gateway, meter=meter, start=moment(seconds(start)), end=moment(seconds(end)), series=series
        )
    )


@endpoint
async def event_list(
    request: web.Request,
    kind: Annotated[str, Field(max_length=400, description="one kind, or several with commas between")] = "",
    gateway: Annotated[str | None, Field(description="its name")] = None,
    meter: Annotated[str | None, Field(description="its name")] = None,
    from_: From = None,
    to: Annotated[AwareDatetime | None, Field(description="ISO 8601 with Z or offset")] = None,
    limit: Annotated[int, Field(ge=1, le=1000)] = 100,
    offset: Annotated[int, Field(ge=0, lt=2**63)] = 0,
) -> r200[EventsOut]:
    """What happened over [from, to), newest first; all there is where neither is given."""
    choice = Choice(
        kinds=tuple(word for word in kind.split(",") if word),
        gateway=gateway,
        meter=meter,
        start_s=seconds(from_) if from_ else None,
        end_s=seconds(to) if to else None,
    )

    def look() -> EventsOut:
        with request.app[SITE].database.read() as tx:
            found = [_event_out(one) for one in events(tx, choice, limit=limit, skip=offset)]
            return EventsOut(total=events_count(tx, choice), offset=offset, events=found)

    return as_json(await asyncio.to_thread(look))


def _check_gateway(tx: Connection, name: str) -> None:
    if tx.execute(select(t.gateway.c.name).where(t.gateway.c.name == name)).first() is None:
        raise NotFound(f"no gateway is called {name!r}")


def _gateway_out(one: GatewayHealth) -> GatewayOut:
    return GatewayOut(
        id=one.gateway,
        online=one.online,
        last_seen=None if one.last_seen_s is None else moment(one.last_seen_s),
        clock_offset_s=one.clock_offset_s,
        firmware=one.firmware,
        revoked=None if one.revoked_s is None else moment(one.revoked_s),
        messages=one.messages,
        messages_missing=one.missing,
        open_commands=one.open_commands,
        meters=one.meters,
        meters_silent=one.silent,
    )


def _event_out(one: Event) -> EventOut:
    return EventOut(at=moment(one.at_s), kind=one.kind, gateway=one.gateway or None, meter=one.meter, detail=one.detail)


PAGES = (
    Page("GET", "/api/v1/gateways", gateways, OPERATOR),
    Page("GET", "/api/v1/gateways/{id}/telemetry", gateway_telemetry, OPERATOR),
    Page("GET", "/api/v1/meters/{id}/telemetry", meter_telemetry, OPERATOR),
    Page("GET", "/api/v1/gateways/{id}/commands", commands, OPERATOR),
    Page("POST", "/api/v1/gateways/{id}/commands", ask_gateway, OPERATOR),
    Page("GET", "/api/v1/events", event_list, OPERATOR),
)
