"""The API, version 1: exceptions, and what people decide about them. OpenAPI is written from the signatures."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import numpy as np
from aiohttp import web
from aiohttp_pydantic.oas.typing import r200, r201
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictInt
from sqlalchemy import Connection

from headend.preview import BillEffect, Preview, Stretch, preview, preview_again
from headend.process.editing import Decided, Decision, ask_to_look, confirm, decide, refuse, seen
from headend.reads.days import moment, seconds
from headend.reads.quality import Quality
from headend.site import Site
from headend.store import exceptions as queue
from headend.store.edits import Action, Edit, edit_of, edits_of
from headend.store.exceptions import Choice, ReadException, exception_of
from headend.vee.byhand import Method
from headend.web.access import CLERK, OPERATOR, SITE, Page, known_user
from headend.web.api import as_json, endpoint
from headend.web.exceptions import channel_of
from headend.web.meters import findings_between
from headend.web.readings import readings
from headend.web.words import rule_name, unit_of

_VALUE = "whole units; null where there is none"


class ExceptionOut(BaseModel):
    """A stretch of one channel's intervals about which a person is asked."""

    id: int
    meter: str
    channel: str = Field(description="OBIS code")
    rule: str = Field(description="V1 to V13, an anomaly, or hand: somebody asked to look")
    meaning: str = Field(description="the rule in words")
    start: datetime
    end: datetime
    severity: str
    score: float = Field(description="0 to 1: what to look at first")
    detail: str
    rule_set: str
    holds_bill: bool = Field(description="no bill of these reads until somebody decided")
    state: Literal["open", "waiting", "closed"] = Field(description="waiting: for a second person")
    outcome: str | None = Field(description="accepted, edited, estimated, rejected, cleared; null: not closed")
    opened: datetime
    changed: datetime
    changed_by: str
    reason: str | None
    note: str | None


class ExceptionsOut(BaseModel):
    """A part of the exceptions: of undecided ones what to look at first, else what changed last."""

    total: int
    offset: int
    by_rule: dict[str, int] = Field(description="how many there are of each rule, with the other filters")
    exceptions: list[ExceptionOut]


class EditOut(BaseModel):
    """What somebody did about an exception, or wants to do."""

    id: int
    action: Action
    method: str | None
    start: datetime
    end: datetime
    values: list[int | None] | None = Field(
        description="what an edit or an estimate puts there; null: it stays as it is"
    )
    reason: str
    note: str
    change: int = Field(description="energy after minus energy before, of these intervals [units]")
    state: Literal["waiting", "done", "refused"]
    made: datetime
    made_by: str
    second: datetime | None = Field(description="when a second person confirmed or refused it")
    second_by: str | None


class FoundOut(BaseModel):
    """A rule's newest word on some of the intervals."""

    start: datetime
    end: datetime | None = Field(description="null: one interval")
    rule: str
    severity: str
    detail: str


class StretchOut(BaseModel):
    """Intervals without a hole: the i-th begins at `start` + i × `interval_s`."""

    start: datetime
    values: list[int | None] = Field(description=_VALUE)
    quality: list[int] = Field(description="code of each interval")


class OneExceptionOut(ExceptionOut):
    """An exception, the reads it asks about, and what was found and done."""

    unit: str = Field(description="of the whole numbers in `values`")
    interval_s: int
    values: list[int | None] = Field(description=_VALUE)
    quality: list[int] = Field(description="code of each interval")
    quality_labels: dict[str, str] = Field(description="what the codes in `quality` mean")
    version: list[int] = Field(description="how many values were ever stored for the interval; 0: none")
    findings: list[FoundOut]
    edits: list[EditOut]
    seen: str = Field(description="sent with a decision, it is refused if anything of this has changed")


class DecisionIn(BaseModel):
    """What is to be done about an exception."""

    model_config = ConfigDict(extra="forbid")

    action: Action
    reason: str = Field(description="one of the rule set's")
    note: str = ""
    method: Method | None = Field(default=None, description="of an estimate")
    values: Annotated[list[StrictInt | None], Field(max_length=100_000)] | None = Field(
        default=None, description="of an edit, one for each interval [units]; null: this one stays as it is"
    )
    start: AwareDatetime | None = Field(default=None, description="where only a part is decided; default: all")
    end: AwareDatetime | None = None
    seen: str = Field(default="", description="as the exception told it; then it is refused if anything has changed")
    preview: bool = Field(default=False, description="tell what would happen, and change nothing")


class DecidedOut(BaseModel):
    """What became of a decision."""

    edit: int
    state: Literal["done", "waiting"] = Field(description="waiting: a second person has to confirm it")
    change: int = Field(description="energy after minus energy before [units]")


class BillOut(BaseModel):
    """What a decision means for an account's bill of one month."""

    account: str
    name: str
    period: str
    before: dict[str, Decimal] | None = Field(description="total by currency, on the reads there are; null: no price")
    after: dict[str, Decimal] | None
    change: dict[str, Decimal]
    refused_before: str = Field(description="why no bill can be made of it now; empty: one can")
    refused_after: str
    provisional: bool = Field(description="the month still runs")
    issued: str | None = Field(description="the statement that was issued, and would be flagged to be billed again")


class PreviewOut(BaseModel):
    """What a decision would do."""

    exception: int
    meter: str
    channel: str
    unit: str
    interval_s: int
    change: int = Field(description="energy after minus energy before, of the intervals decided on [units]")
    second_person: bool = Field(description="so much that another person has to confirm it")
    before: StretchOut = Field(description="the intervals decided on")
    after: StretchOut
    days_before: StretchOut = Field(description="the whole days of everything that would change")
    days_after: StretchOut
    quality_labels: dict[str, str]
    bills: list[BillOut]


class AskIn(BaseModel):
    """Intervals that somebody wants to decide on."""

    model_config = ConfigDict(extra="forbid")

    meter: str
    channel: str = Field(description="OBIS code")
    start: AwareDatetime
    end: AwareDatetime
    note: str = ""


class AskedOut(BaseModel):
    """The exception that was opened."""

    id: int


class RefusalIn(BaseModel):
    """Why what somebody wants is not done."""

    model_config = ConfigDict(extra="forbid")

    note: str = ""


@endpoint
async def exceptions(
    request: web.Request,
    state: Annotated[
        Literal["undecided", "open", "waiting", "closed", "all"], Field(description="undecided: open or waiting")
    ] = "undecided",
    rule: Annotated[str | None, Field(max_length=16)] = None,
    meter: Annotated[str | None, Field(description="its name")] = None,
    severity: Annotated[Literal["info", "warning", "failed"] | None, Field()] = None,
    holds_bill: Annotated[bool | None, Field()] = None,
    limit: Annotated[int, Field(ge=1, le=1000)] = 100,
    offset: Annotated[int, Field(ge=0, lt=2**63)] = 0,
) -> r200[ExceptionsOut]:
    """What validation wants a person to look at."""
    choice = Choice(state, rule, meter, severity, holds_bill)

    def look() -> ExceptionsOut:
        with request.app[SITE].database.read() as tx:
            return ExceptionsOut(
                total=queue.count(tx, choice),
                offset=offset,
                by_rule=queue.counts_by_rule(tx, replace(choice, rule=None)),
                exceptions=[exception_out(one) for one in queue.exceptions(tx, choice, limit, offset)],
            )

    return as_json(await asyncio.to_thread(look))


@endpoint
async def exception(request: web.Request, id: Annotated[int, Field(ge=0, lt=2**63)], /) -> r200[OneExceptionOut]:
    """One exception with the reads it asks about, what was found, and what was done."""
    site = request.app[SITE]

    def look() -> OneExceptionOut:
        with site.database.read() as tx:
            return one_exception_out(tx, site, exception_of(tx, id))

    return as_json(await asyncio.to_thread(look))


@endpoint
async def ask(request: web.Request, body: AskIn) -> r201[AskedOut]:
    """Open an exception by hand, so that any intervals can be decided on."""
    by = known_user(request).login
    number = await asyncio.to_thread(
        ask_to_look, request.app[SITE], body.meter, body.channel, body.start, body.end, by, body.note
    )
    return as_json(AskedOut(id=number), status=201, headers={"Location": f"/api/v1/exceptions/{number}"})


@endpoint
async def decision(
    request: web.Request, id: Annotated[int, Field(ge=0, lt=2**63)], /, body: DecisionIn
) -> r201[DecidedOut] | r200[PreviewOut]:
    """Decide about an exception: 201, and an edit that is done or waits for a second person; or a preview of it."""
    site = request.app[SITE]
    wanted = Decision(
        id,
        body.action,
        known_user(request).login,
        body.reason,
        body.note,
        body.method,
        body.values,
        None if body.start is None else seconds(body.start),
        None if body.end is None else seconds(body.end),
        body.seen,
    )
    if body.preview:
        return as_json(preview_out(await asyncio.to_thread(preview, site, wanted)))
    done = await asyncio.to_thread(decide, site, wanted)
    return as_json(decided_out(done), status=201, headers={"Location": f"/api/v1/exceptions/{id}"})


@endpoint
async def edit_preview(request: web.Request, id: Annotated[int, Field(ge=0, lt=2**63)], /) -> r200[PreviewOut]:
    """What would happen if the edit that waits were confirmed now."""
    return as_json(preview_out(await asyncio.to_thread(preview_again, request.app[SITE], id)))


@endpoint
async def edit_confirm(request: web.Request, id: Annotated[int, Field(ge=0, lt=2**63)], /) -> r200[DecidedOut]:
    """Do what somebody else asked for."""
    return as_json(decided_out(await asyncio.to_thread(confirm, request.app[SITE], id, known_user(request).login)))


@endpoint
async def edit_refuse(
    request: web.Request, id: Annotated[int, Field(ge=0, lt=2**63)], /, body: RefusalIn
) -> r200[EditOut]:
    """Do not do what somebody asked for; the exception is open again."""
    site, by = request.app[SITE], known_user(request).login

    def second() -> EditOut:
        refuse(site, id, by, body.note)
        with site.database.read() as tx:
            return edit_out(edit_of(tx, id))

    return as_json(await asyncio.to_thread(second))


def exception_out(one: ReadException) -> ExceptionOut:
    """An exception as the API and the command tell it."""
    return ExceptionOut(
        id=one.id,
        meter=one.meter_name,
        channel=one.channel.obis,
        rule=one.rule,
        meaning=rule_name(one.rule),
        start=moment(one.start_s),
        end=moment(one.end_s),
        severity=one.severity,
        score=one.score,
        detail=one.detail,
        rule_set=one.rule_set,
        holds_bill=one.holds_bill,
        state=one.state,
        outcome=one.outcome,
        opened=one.opened,
        changed=one.changed,
        changed_by=one.changed_by,
        reason=one.reason,
        note=one.note,
    )


def one_exception_out(tx: Connection, site: Site, one: ReadException) -> OneExceptionOut:
    """An exception with its reads; raises `StoreAway`."""
    channel = channel_of(tx, one)
    reads = readings(tx, site.store, channel, one.start_s, one.end_s)
    found = findings_between(tx, one.meter, one.start_s, one.end_s, one.channel)
    missing = (reads.quality == Quality.MISSING).tolist()
    return OneExceptionOut(
        **exception_out(one).model_dump(),
        unit=unit_of(one.channel).base,
        interval_s=reads.interval_s,
        values=[None if gone else value for value, gone in zip(reads.values.tolist(), missing, strict=True)],
        quality=reads.quality.tolist(),
        quality_labels=_labels(reads.quality),
        version=reads.version.tolist(),
        findings=[
            FoundOut(
                start=moment(row.start_s),
                end=None if row.end_s is None else moment(row.end_s),
                rule=row.rule,
                severity=row.severity,
                detail=row.detail,
            )
            for row in reversed(found)
        ],
        edits=[edit_out(each) for each in edits_of(tx, one.id)],
        seen=seen(tx, site, one),
    )


def edit_out(edit: Edit) -> EditOut:
    """An edit as the API tells it."""
    return EditOut(
        id=edit.id,
        action=edit.action,
        method=edit.method,
        start=moment(edit.start_s),
        end=moment(edit.end_s),
        values=None if edit.values is None else list(edit.values),
        reason=edit.reason,
        note=edit.note,
        change=edit.change,
        state=edit.state,
        made=edit.made,
        made_by=edit.made_by,
        second=edit.second,
        second_by=edit.second_by,
    )


def decided_out(done: Decided) -> DecidedOut:
    """What became of a decision, as the API and the command tell it."""
    return DecidedOut(edit=done.edit, state=done.state, change=done.change)


def preview_out(shown: Preview) -> PreviewOut:
    """A preview as the API and the command tell it."""
    return PreviewOut(
        exception=shown.decision.exception,
        meter=shown.channel.meter_name,
        channel=shown.channel.channel.obis,
        unit=unit_of(shown.channel.channel).base,
        interval_s=shown.interval_s,
        change=shown.change,
        second_person=shown.second_person,
        before=_stretch_out(shown.before),
        after=_stretch_out(shown.after),
        days_before=_stretch_out(shown.days_before),
        days_after=_stretch_out(shown.days_after),
        quality_labels=_labels(np.concatenate([shown.days_before.quality, shown.days_after.quality])),
        bills=[_bill_out(bill) for bill in shown.bills],
    )


def _stretch_out(stretch: Stretch) -> StretchOut:
    return StretchOut(start=moment(stretch.start_s), values=stretch.shown, quality=stretch.quality.tolist())


def _bill_out(bill: BillEffect) -> BillOut:
    return BillOut(
        account=bill.account,
        name=bill.name,
        period=bill.period,
        before=None if bill.before is None else dict(bill.before),
        after=None if bill.after is None else dict(bill.after),
        change=bill.change,
        refused_before=bill.refused_before,
        refused_after=bill.refused_after,
        provisional=bill.provisional,
        issued=bill.issued,
    )


def _labels(quality: np.typing.NDArray[np.uint8]) -> dict[str, str]:
    return {str(code): Quality(code).label for code in np.unique(quality).tolist()}


_READERS = OPERATOR | CLERK

PAGES = (
    Page("GET", "/api/v1/exceptions", exceptions, _READERS),
    Page("POST", "/api/v1/exceptions", ask, OPERATOR),
    Page("GET", "/api/v1/exceptions/{id}", exception, _READERS),
    Page("POST", "/api/v1/exceptions/{id}/decisions", decision, OPERATOR),
    Page("GET", "/api/v1/edits/{id}/preview", edit_preview, _READERS),
    Page("POST", "/api/v1/edits/{id}/confirm", edit_confirm, OPERATOR),
    Page("POST", "/api/v1/edits/{id}/refuse", edit_refuse, OPERATOR),
)
