"""The API, version 1: meters, their intervals, statements. OpenAPI is written from these functions' signatures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Annotated, Any, TypeAlias, cast

import numpy as np
from aiohttp import web
from aiohttp_pydantic.decorator import inject_params
from aiohttp_pydantic.oas.typing import r200
from aiohttp_pydantic.oas.view import generate_oas
from pydantic import AwareDatetime, BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from headend.billing.ports import Kept
from headend.errors import InvalidInput, NotFound
from headend.monitor.lag import Behind
from headend.reads.channels import Channel
from headend.reads.days import moment, seconds
from headend.reads.quality import Quality
from headend.registry.registry import EnrolledChannel, account_named, channels_of, enrolled_channels
from headend.store.ledger import SqlLedger
from headend.web.access import ANYBODY, CLERK, CUSTOMER, OPERATOR, SITE, Handler, Page, known_user
from headend.web.problems import invalid_request
from headend.web.readings import FOREVER_S, Holding, Readings, holdings, on_the_way, readings
from headend.web.statements import as_bundle, kept_for
from headend.web.words import unit_of

_MAX_INTERVALS = 100_000
_DEFAULT_HOURS = 24

endpoint = cast(
    "Callable[[Callable[..., Any]], Handler]", inject_params(on_validation_error=invalid_request).and_request
)


#: Bounds of a stretch of time in a query, [from, to).
From: TypeAlias = Annotated[AwareDatetime | None, Field(alias="from", description="ISO 8601 with Z or offset")]
UntilNow: TypeAlias = Annotated[AwareDatetime | None, Field(description="ISO 8601 with Z or offset; default: now")]


def as_json(
    answer: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None, leave_out_none: bool = False
) -> web.Response:
    """An answer of the API; members that are None are `null`, or not there."""
    text = answer.model_dump_json(exclude_none=leave_out_none)
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


class ChannelOut(BaseModel):
    """One measured quantity of a meter."""

    channel: str = Field(description="OBIS code")
    meaning: str
    unit: str = Field(description="of the whole numbers in `values`")
    interval_s: int


class MeterOut(BaseModel):
    """One meter."""

    id: str
    commodity: str
    gateway: str | None
    usage_point: str
    timezone: str
    channels: list[ChannelOut]


class MetersOut(BaseModel):
    """A part of the list of meters, by name."""

    total: int
    offset: int
    meters: list[MeterOut]


class BehindOut(BaseModel):
    """Messages that have come and are not processed yet: the newest reads may be among them."""

    messages: int
    since: datetime = Field(description="when the oldest of them came")


class IntervalsOut(BaseModel):
    """One channel's intervals without a hole: the i-th begins at `start` + i × `interval_s`."""

    meter: str
    channel: str
    unit: str
    interval_s: int
    start: datetime = Field(description="begin of the first interval, UTC")
    end: datetime = Field(description="end of the last interval, UTC")
    values: list[int | None] = Field(description="whole units; null where missing")
    quality: list[int] = Field(description="code of each interval")
    quality_labels: dict[str, str] = Field(description="what the codes in `quality` mean")
    version: list[int] = Field(description="how many values were ever stored for the interval; 0: none")
    behind: BehindOut | SkipJsonSchema[None] = Field(
        description="only where reads of these intervals may be among messages that have waited for more than a moment"
    )


class StatementOut(BaseModel):
    """One statement, in short; `document` of the statement itself has the rest."""

    id: str
    account: str
    cycle: str
    period: str
    revision: int
    state: str
    currency: str
    total: str
    due: str = Field(description="to be paid now; of an account that pays by instalments that is not the total")
    sha256: str = Field(description="of the canonical JSON document")


class StatementsOut(BaseModel):
    """An account's issued statements, newest first."""

    account: str
    statements: list[StatementOut]


@endpoint
async def meters(
    request: web.Request,
    q: Annotated[str, Field(max_length=64, description="part of a meter's name")] = "",
    limit: Annotated[int, Field(ge=1, le=1000)] = 100,
    offset: Annotated[int, Field(ge=0)] = 0,
) -> r200[MetersOut]:
    """Meters with their channels; a customer's own."""

    def look() -> MetersOut:
        with request.app[SITE].database.read() as tx:
            account = _own_account(request)
            channels = enrolled_channels(tx) if account is None else [one.channel for one in holdings(tx, account)]
        found = [one for one in _by_meter(channels) if q.casefold() in one.id.casefold()]
        return MetersOut(total=len(found), offset=offset, meters=found[offset : offset + limit])

    return as_json(await asyncio.to_thread(look))


@endpoint
async def intervals(
    request: web.Request,
    id: str,
    /,
    channel: Annotated[str | None, Field(description="OBIS code; may be left out where there is only one")] = None,
    from_: From = None,
    to: UntilNow = None,
) -> r200[IntervalsOut]:
    """Values, quality and version of one channel over [from, to), 24 hours by default.

    A customer gets the part that lies within their agreement.
    """
    site = request.app[SITE]
    end = to or site.clock()
    start = from_ or end - timedelta(hours=_DEFAULT_HOURS)

    def look() -> IntervalsOut:
        with site.database.read() as tx:
            account = _own_account(request)
            held = _open_to_staff(channels_of(tx, id)) if account is None else holdings(tx, account)
            mine = [one for one in held if one.channel.meter_name == id]
            if not mine:
                raise NotFound(f"no meter is called {id!r}")
            part, start_s, end_s = _part(mine, _channel(mine, channel), seconds(start), seconds(end))
            reads = readings(tx, site.store, part, start_s, end_s)
            return _intervals_out(reads, on_the_way(tx, site, part, reads.end_s))

    return as_json(await asyncio.to_thread(look), leave_out_none=True)


@endpoint
async def statements(request: web.Request, id: str, /) -> r200[StatementsOut]:
    """Issued statements of an account; a customer's own only."""

    def look() -> StatementsOut:
        own = _own_account(request)
        with request.app[SITE].database.read() as tx:
            if own is not None and own != id:
                raise NotFound(f"no account is called {id!r}")
            account_named(tx, id)
            kept = SqlLedger(tx).statements_of(id)
        return StatementsOut(account=id, statements=[_statement_out(one) for one in kept])

    return as_json(await asyncio.to_thread(look))


@endpoint
async def statement(request: web.Request, id: str, /) -> r200[dict[str, Any]]:
    """The statement's document: canonical JSON, byte for byte what was hashed. The hash is the ETag."""
    kept = await asyncio.to_thread(kept_for, request.app[SITE], known_user(request), id)
    return web.Response(body=kept.document, content_type="application/json", headers={"ETag": f'"{kept.sha256}"'})


@endpoint
async def statement_bundle(request: web.Request, id: str, /) -> r200[dict[str, Any]]:  # noqa: ARG001 - for OpenAPI
    """A ZIP file of the statement and all it was made of, for `headend statement check`; 409 before it is issued."""
    return await as_bundle(request)


async def openapi(request: web.Request) -> web.Response:
    """This API, described."""
    spec = generate_oas([request.app], version("headend"), "Head-end API", _SECURITY)
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                # `from` is a keyword in Python.
                parameter["name"] = parameter["name"].rstrip("_")
            operation["security"] = [{"basic": []}, {"session": []}]
            name = path.removeprefix("/api/v1/").replace("/", "_").translate(_NO_BRACES)
            operation["operationId"] = name if method == "get" else f"{method}_{name}"
            operation["responses"].update(_PROBLEMS_OF_POST if method == "post" else _PROBLEMS)
    return web.json_response(spec)


_SECURITY = {
    "basic": {"type": "http", "scheme": "basic"},
    "session": {"type": "apiKey", "in": "cookie", "name": "headend_session"},
}
_PROBLEM = {
    "application/problem+json": {
        "schema": {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "errors": {"type": "array", "items": {"type": "object"}},
            },
        }
    }
}
_PROBLEMS = {
    status: {"description": description, "content": _PROBLEM}
    for status, description in (
        ("401", "Not logged in"),
        ("403", "Not for this role"),
        ("404", "Nothing by that name, or not yours"),
        ("422", "A parameter is wrong"),
        ("503", "The interval store does not answer; `Retry-After` says when to ask again"),
    )
}
_PROBLEMS_OF_POST = _PROBLEMS | {
    "400": {"description": "The body is no JSON object", "content": _PROBLEM},
    "409": {"description": "Not now: `detail` says why", "content": _PROBLEM},
}
_NO_BRACES = str.maketrans("", "", "{}")


def _own_account(request: web.Request) -> str | None:
    """The account a customer is bound to; None for staff, who may see all."""
    user = known_user(request)
    return user.account if user.role == "customer" else None


def _open_to_staff(channels: list[EnrolledChannel]) -> list[Holding]:
    return [Holding(channel, 0, FOREVER_S) for channel in channels]


def _channel(mine: list[Holding], obis: str | None) -> Channel:
    there = sorted({one.channel.channel.obis for one in mine})
    if obis is None and len(there) == 1:
        return mine[0].channel.channel
    if obis not in there:
        raise InvalidInput("channel", repr(obis) if obis else "none", "one of " + ", ".join(there))
    return Channel.parse(obis)


def _part(mine: list[Holding], channel: Channel, start_s: int, end_s: int) -> tuple[EnrolledChannel, int, int]:
    """The asked-for time, cut to the first stretch the asker may see."""
    if start_s >= end_s:
        raise InvalidInput("from", moment(start_s).isoformat(), "a moment before `to`")
    for one in mine:
        if one.channel.channel == channel and one.start_s < end_s and one.end_s > start_s:
            start_s, end_s = max(start_s, one.start_s), min(end_s, one.end_s)
            if end_s - start_s > _MAX_INTERVALS * one.channel.interval_s:
                raise InvalidInput(
                    "from", moment(start_s).isoformat(), f"at most {_MAX_INTERVALS} intervals up to `to`"
                )
            return one.channel, start_s, end_s
    raise NotFound("this meter was not yours in that time")


def _by_meter(channels: list[EnrolledChannel]) -> list[MeterOut]:
    found: dict[str, MeterOut] = {}
    for one in channels:
        meter = found.setdefault(
            one.meter_name,
            MeterOut(
                id=one.meter_name,
                commodity=one.channel.commodity,
                gateway=one.gateway,
                usage_point=one.usage_point,
                timezone=one.timezone,
                channels=[],
            ),
        )
        out = ChannelOut(
            channel=one.channel.obis,
            meaning=one.channel.meaning,
            unit=unit_of(one.channel).base,
            interval_s=one.interval_s,
        )
        if out not in meter.channels:
            meter.channels.append(out)
    return sorted(found.values(), key=lambda meter: meter.id)


def _intervals_out(reads: Readings, behind: Behind | None) -> IntervalsOut:
    missing = (reads.quality == Quality.MISSING).tolist()
    values = reads.values.tolist()
    return IntervalsOut(
        meter=reads.meter,
        channel=reads.channel.obis,
        unit=unit_of(reads.channel).base,
        interval_s=reads.interval_s,
        start=moment(reads.start_s),
        end=moment(reads.end_s),
        values=[None if gone else value for value, gone in zip(values, missing, strict=True)],
        quality=reads.quality.tolist(),
        quality_labels={str(code): Quality(code).label for code in np.unique(reads.quality).tolist()},
        version=reads.version.tolist(),
        behind=behind and BehindOut(messages=behind.messages, since=behind.since),
    )


def _statement_out(kept: Kept) -> StatementOut:
    document = json.loads(kept.document)
    return StatementOut(
        id=kept.id,
        account=kept.account,
        cycle=kept.cycle,
        period=document["period"],
        revision=document["revision"],
        state=kept.state,
        currency=document["totals"]["currency"],
        total=document["totals"]["gross"],
        due=document.get("budget", document["totals"]).get("due", document["totals"]["gross"]),
        sha256=kept.sha256,
    )


_BILL_READERS = CLERK | CUSTOMER
_READERS = OPERATOR | _BILL_READERS

PAGES = (
    Page("GET", "/api/openapi.json", openapi, ANYBODY),
    Page("GET", "/api/v1/meters", meters, _READERS),
    Page("GET", "/api/v1/meters/{id}/intervals", intervals, _READERS),
    Page("GET", "/api/v1/accounts/{id}/statements", statements, _BILL_READERS),
    Page("GET", "/api/v1/statements/{id}", statement, _BILL_READERS),
    Page("GET", "/api/v1/statements/{id}/bundle", statement_bundle, _BILL_READERS),
)
