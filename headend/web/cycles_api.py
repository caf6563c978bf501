"""The API, version 1: bill cycles, how far they are, their findings, and what clerks decide about those."""

from __future__ import annotations

import asyncio
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from headend.billing.cycle import BillCycle, ControlTotals, ExceptionCode
from headend.billing.deciding import Which
from headend.billing.ports import known_cycle
from headend.billing.review import FindingCode, FindingState
from headend.office import office_of
from headend.store.ledger import SqlLedger
from headend.web import billruns
from headend.web.access import CLERK, SITE, Page, known_user
from headend.web.api import as_json, endpoint
from headend.web.cycles import CyclePage, cycle_view, due_periods, kind_of
from headend.web.findings import Chosen, Row, Verb, code_named, decide, decide_all, part_of


class ScopeOut(BaseModel):
    """Whom a cycle bills."""

    kind: str = Field(description="regular, final, off-cycle, correction")
    group: str
    accounts: list[str] = Field(description="these alone; empty: all of the group")


class TotalsOut(BaseModel):
    """Control totals: accounts = billed + excepted + excluded + billed_elsewhere."""

    agreements: int
    accounts: int
    billed: int
    excepted: int
    excluded: int
    billed_elsewhere: int
    energy: dict[str, int] = Field(description="by commodity: Wh, of gas dm³, of water litre")
    money: dict[str, Decimal] = Field(description="sum of all lines by currency")


class CycleOut(BaseModel):
    """One cycle, in short."""

    period: str
    name: str
    state: str
    scope: ScopeOut
    opened: datetime
    changed: datetime
    changed_by: str
    totals: TotalsOut


class DueOut(BaseModel):
    """A billing group's last period that is over and not rated."""

    period: str
    group: str
    first: date
    last: date


class CyclesOut(BaseModel):
    """A part of all cycles, the newest period first, and what is due."""

    total: int
    offset: int
    due: list[DueOut]
    cycles: list[CycleOut]


class StepOut(BaseModel):
    """One of the seven states on the way."""

    state: str
    done: bool
    at: datetime | None
    by: str | None


class ProgressOut(BaseModel):
    """How far a run is."""

    ranges: int
    ranges_done: int
    accounts: int
    accounts_done: int
    moved: datetime = Field(description="when it began, or committed a range last")
    alive: bool = Field(description="whether somebody works on it, as far as can be seen; else it can be gone on with")


class OfferOut(BaseModel):
    """What can be done next; `why_not`: why it cannot now, empty where it can."""

    step: str
    why_not: str


class OneCycleOut(CycleOut):
    """One cycle, its way, and what is left to do."""

    ties_out: bool
    steps: list[StepOut]
    next: list[OfferOut]
    progress: ProgressOut | SkipJsonSchema[None] = Field(
        description="null unless it is rated now; totals are those of what is committed then"
    )
    findings: dict[str, dict[str, int]] = Field(description="how many, by code and state")
    undecided: int = Field(description="findings that somebody has to decide before it is approved")
    exceptions: dict[ExceptionCode, int] = Field(description="how many, by code")
    unsettled: int = Field(
        description="of an issued cycle: exceptions neither billed elsewhere nor excluded with a reason"
    )


class FindingOut(BaseModel):
    """What looks wrong about one account's draft, and what was decided about it."""

    account: str
    name: str
    code: FindingCode
    detail: str
    figures: str = Field(description="digest of what it rests on: sent with a decision, that is refused if it changed")
    state: FindingState
    reason: str | None
    decided: datetime | None
    decided_by: str | None
    confirmed: datetime | None
    confirmed_by: str | None
    excluded: bool = Field(description="the account is left out: nothing has to be decided")
    statement: str | None = Field(description="the draft")
    total: Decimal | None
    currency: str | None
    meters: list[str]


class FindingsOut(BaseModel):
    """A part of the queue, by account and code."""

    total: int
    after: str | None = Field(description="to be sent as `after` for the next part; null: there is no more")
    findings: list[FindingOut]


class FindingIn(BaseModel):
    """Which finding."""

    model_config = ConfigDict(extra="forbid")

    account: str
    code: FindingCode
    figures: str = Field(default="", description="as the finding told it; empty: whatever they are")


class FindingsDecisionIn(BaseModel):
    """What is to be done about findings: those that are named, or all open ones of a code."""

    model_config = ConfigDict(extra="forbid")

    decision: Verb
    reason: str = Field(default="", description="why; only to confirm needs none")
    findings: Annotated[list[FindingIn], Field(max_length=1000)] = Field(default_factory=list)
    all_of: FindingCode | SkipJsonSchema[None] = Field(
        default=None, description="release or hold all open findings of this code"
    )


class DecidedOut(BaseModel):
    """What became of it."""

    done: int
    waiting: int = Field(description="these wait for a second person")
    refused: list[str] = Field(description="what was not done, and why")


@endpoint
async def cycles(
    request: web.Request,
    period: Annotated[str | None, Field(pattern=r"^\d{4}-\d{2}$")] = None,
    limit: Annotated[int, Field(ge=1, le=1000)] = 100,
    offset: Annotated[int, Field(ge=0, lt=2**31)] = 0,
) -> r200[CyclesOut]:
    """Every bill cycle, and what is due and not rated yet."""
    site = request.app[SITE]
    zone = site.settings.site.zone

    def look() -> CyclesOut:
        with site.database.read() as tx:
            found = [each for each in SqlLedger(tx).cycles() if period in (None, each.period)]
            due = due_periods(tx, site.clock().astimezone(zone).date(), zone.key)
        return CyclesOut(
            total=len(found),
            offset=offset,
            due=[DueOut(period=one.period, group=one.group, first=one.first, last=one.last) for one in due],
            cycles=[CycleOut(**_cycle(each, each.totals)) for each in found[offset : offset + limit]],
        )

    return as_json(await asyncio.to_thread(look))


@endpoint
async def cycle(request: web.Request, period: str, name: str, /) -> r200[OneCycleOut]:
    """One cycle: state, steps, totals, progress."""
    site = request.app[SITE]

    def look() -> OneCycleOut:
        with site.database.read() as tx:
            found = known_cycle(SqlLedger(tx), period, name)
            return _one(cycle_view(tx, found, site.clock(), billruns.under_way(request.app, found.id)))

    return as_json(await asyncio.to_thread(look))


@endpoint
async def findings(
    request: web.Request,
    period: str,
    name: str,
    /,
    state: Annotated[
        Literal["undecided", "open", "waiting", "released", "held", "all"],
        Field(description="undecided: open or waiting"),
    ] = "undecided",
    code: Annotated[str, Field(max_length=32, description="zero_use, high_use …; empty: all")] = "",
    account: Annotated[str, Field(max_length=64)] = "",
    after: Annotated[str, Field(max_length=120, description="`after` of the part before")] = "",
    limit: Annotated[int, Field(ge=1, le=1000)] = 100,
) -> r200[FindingsOut]:
    """What looks wrong about the drafts of a cycle."""
    last = after.rpartition("|")
    chosen = Chosen(state, code_named(code) if code else None, account, (last[0], last[2]) if last[1] else None)

    def look() -> FindingsOut:
        with request.app[SITE].database.read() as tx:
            part = part_of(tx, known_cycle(SqlLedger(tx), period, name), chosen, limit)
        return FindingsOut(
            total=part.found,
            after=part.next_after and "|".join(part.next_after),
            findings=[_finding(row) for row in part.rows],
        )

    return as_json(await asyncio.to_thread(look))


@endpoint
async def decision(request: web.Request, period: str, name: str, /, body: FindingsDecisionIn) -> r200[DecidedOut]:
    """Release, hold, leave out, confirm or open again; each by itself, what is refused is told."""
    site, by = request.app[SITE], known_user(request).login

    def work() -> DecidedOut:
        office = office_of(site)
        if body.all_of is not None:
            done = decide_all(office, period, name, by, body.decision, body.reason, body.all_of)
        else:
            which = [Which(one.account, one.code, one.figures) for one in body.findings]
            done = decide(office, period, name, by, body.decision, body.reason, which)
        return DecidedOut(done=done.done, waiting=done.waiting, refused=done.refused)

    return as_json(await asyncio.to_thread(work))


def _cycle(cycle: BillCycle, totals: ControlTotals) -> dict[str, object]:
    scope = cycle.scope
    return {
        "period": cycle.period,
        "name": cycle.name,
        "state": str(cycle.state),
        "scope": ScopeOut(kind=kind_of(scope), group=scope.group, accounts=list(scope.accounts)),
        "opened": cycle.opened_at,
        "changed": cycle.changed_at,
        "changed_by": cycle.changed_by,
        "totals": TotalsOut.model_validate(totals, from_attributes=True),
    }


def _one(page: CyclePage) -> OneCycleOut:
    counts: dict[str, dict[str, int]] = {}
    for (code, state), count in page.findings.items():
        counts.setdefault(str(code), {})[str(state)] = count
    its = page.progress
    return OneCycleOut.model_validate(
        {
            **_cycle(page.cycle, page.totals),
            "ties_out": not page.untied,
            "steps": [StepOut(state=one.state, done=one.is_done, at=one.at, by=one.by) for one in page.way],
            "next": [OfferOut(step=one.step, why_not=one.why_not) for one in page.offers],
            "progress": None
            if its is None
            else ProgressOut(
                ranges=its.ranges,
                ranges_done=its.ranges_done,
                accounts=its.accounts,
                accounts_done=its.accounts_done,
                moved=its.moved_at,
                alive=its.is_alive,
            ),
            "findings": counts,
            "undecided": page.undecided,
            "exceptions": dict(page.by_code),
            "unsettled": page.unsettled,
        }
    )


def _finding(row: Row) -> FindingOut:
    one = row.finding
    return FindingOut(
        account=one.account,
        name=row.name,
        code=one.code,
        detail=one.detail,
        figures=one.figures,
        state=one.state,
        reason=one.reason,
        decided=one.decided_at,
        decided_by=one.decided_by,
        confirmed=one.confirmed_at,
        confirmed_by=one.confirmed_by,
        excluded=row.excluded is not None,
        statement=row.statement,
        total=row.total,
        currency=row.currency,
        meters=list(row.meters),
    )


_AT = "/api/v1/cycles/{period}/{name}"

PAGES = (
    Page("GET", "/api/v1/cycles", cycles, CLERK),
    Page("GET", _AT, cycle, CLERK),
    Page("GET", f"{_AT}/findings", findings, CLERK),
    Page("POST", f"{_AT}/findings", decision, CLERK),
)
