"""The clerk's pages: cycles with their control totals, and the three steps that take a month to its statements."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog
from aiohttp import web
from aiohttp_pydantic.oas.typing import r200
from pydantic import BaseModel, Field
from sqlalchemy import Connection, select
from yarl import URL

from headend.billing.again import Again, rated_again
from headend.billing.approval import approve, issue
from headend.billing.correcting import withdraw
from headend.billing.cycle import BillCycle, BillException
from headend.billing.groups import MONTHLY
from headend.billing.ports import Office
from headend.billing.run import rate_cycle
from headend.billing.statement import Statement, parse_statement
from headend.errors import HeadendError, NotFound
from headend.office import office_of
from headend.reads.days import Period, moment, previous_month
from headend.store import tables as t
from headend.store.ledger import SqlLedger
from headend.store.rebills import RebillFlag, flagged_by_cycle, rebills, rebills_of
from headend.web import words
from headend.web.access import CLERK, SITE, Page, known_user
from headend.web.api import as_json as json_of
from headend.web.api import endpoint
from headend.web.render import page_number, render, see_other
from headend.web.statements import as_bundle, as_html, as_json, as_pdf

_log = structlog.get_logger(__name__)

_STATEMENT_ROWS = 50
_NUMBERS_A_QUERY = 500

Step = Callable[[Office, str, str, str], BillCycle]
_STEPS: dict[str, tuple[Step, str]] = {
    "rate": (rate_cycle, "rated"),
    "approve": (approve, "approved"),
    "issue": (issue, "issued"),
    "withdraw": (withdraw, "withdrawn"),
}


@dataclass(slots=True)
class Runs:
    """The steps under way, one a cycle, and how the last one of each that failed did."""

    running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


_RUNS: Final = web.AppKey("bill_runs", Runs)


def prepare(app: web.Application) -> None:
    """What the pages share while the application runs."""
    app[_RUNS] = Runs()
    app.on_cleanup.append(_finish_runs)


async def _finish_runs(app: web.Application) -> None:
    await asyncio.gather(*app[_RUNS].running.values())


async def cycles(request: web.Request) -> web.Response:
    """Every cycle with its state and control totals."""
    site, runs = request.app[SITE], request.app[_RUNS]

    def look() -> tuple[list[BillCycle], dict[str, int]]:
        with site.database.read() as tx:
            return SqlLedger(tx).cycles(), flagged_by_cycle(tx)

    due = previous_month(site.clock().astimezone(site.settings.site.zone).date())
    found, flagged = await asyncio.to_thread(look)
    return await render(
        request,
        "clerk/cycles.html",
        cycles=found,
        flagged=flagged,
        due=due,
        due_cycle=next((cycle for cycle in found if cycle.id == f"{due}/{MONTHLY}"), None),
        name=MONTHLY,
        running=set(runs.running),
        failed=dict(runs.failed),
    )


@dataclass(frozen=True, slots=True)
class StatementRow:
    """One line of the cycle's list."""

    id: str
    account: str
    name: str
    state: str
    currency: str
    total: str


@dataclass(frozen=True, slots=True)
class CyclePage:
    """One cycle with a page of its statements.

    Parameters
    ----------
    undecided
        numbers of the exceptions of reads that hold bills still.
    flags
        statements whose reads have changed since.
    """

    cycle: BillCycle
    statements: list[StatementRow]
    exceptions: list[BillException]
    undecided: set[int]
    flags: list[RebillFlag]
    found: int
    page: int
    pages: int


async def cycle(request: web.Request) -> web.Response:
    """One cycle: statements, exceptions, the next step."""
    site, runs = request.app[SITE], request.app[_RUNS]
    period, name = request.match_info["period"], request.match_info["name"]
    text, wanted = request.query.get("q", "").strip()[:64], page_number(request)

    def look() -> CyclePage:
        with site.database.read() as tx:
            ledger = SqlLedger(tx)
            found = ledger.cycle(name, period)
            if found is None:
                raise NotFound(f"no cycle {name!r} was ever rated for {period}")
            rows = _statement_rows(tx, found.id, text)
            pages = max(1, -(-len(rows) // _STATEMENT_ROWS))
            page = min(wanted, pages)
            shown = rows[(page - 1) * _STATEMENT_ROWS : page * _STATEMENT_ROWS]
            exceptions = ledger.exceptions(found)
            undecided = _undecided(tx, [number for each in exceptions for number in each.held_by])
            return CyclePage(found, shown, exceptions, undecided, rebills(tx, cycle=found.id), len(rows), page, pages)

    view = await asyncio.to_thread(look)
    return await render(
        request,
        "clerk/cycle.html",
        view=view,
        text=text,
        running=view.cycle.id in runs.running,
        failed=runs.failed.get(view.cycle.id),
    )


def _undecided(tx: Connection, numbers: Sequence[int]) -> set[int]:
    """Those of these exceptions of reads of which nobody decided yet."""
    e, still = t.exception.c, set[int]()
    for first in range(0, len(numbers), _NUMBERS_A_QUERY):
        some = numbers[first : first + _NUMBERS_A_QUERY]
        still.update(tx.execute(select(e.id).where(e.id.in_(some), e.state != "closed")).scalars())
    return still


def _statement_rows(tx: Connection, cycle_id: str, text: str) -> list[StatementRow]:
    s, a = t.statement.c, t.account.c
    query = (
        select(s.id, s.account_id, a.name, s.state, s.currency, s.total)
        .join(t.account, a.id == s.account_id)
        .where(s.cycle_id == cycle_id)
        .order_by(s.account_id)
    )
    if text:
        query = query.where(s.account_id.icontains(text, autoescape=True) | a.name.icontains(text, autoescape=True))
    return [StatementRow(*row) for row in tx.execute(query)]


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


async def step(request: web.Request) -> web.Response:
    """Rate, approve or issue. Rating takes its time: it runs on while the page says so."""
    form = await request.post()
    period, name, verb = request.match_info["period"], request.match_info["name"], request.match_info["step"]
    if verb not in _STEPS:
        raise web.HTTPNotFound
    Period.month(period, request.app[SITE].settings.site.zone)
    cycle_id, runs = f"{period}/{name}", request.app[_RUNS]
    back = str(form.get("back"))
    target = back if back == "/clerk" else str(URL(f"/clerk/cycles/{period}/{name}"))
    if cycle_id in runs.running:
        raise await see_other(request, "/clerk", f"The cycle {words.month(period)} is being worked on.", good=False)
    runs.failed.pop(cycle_id, None)
    run = asyncio.create_task(_run(request.app, verb, period, name, known_user(request).login))
    runs.running[cycle_id] = run
    # What is quick is done when the next page comes.
    await asyncio.wait({run}, timeout=1.0)
    if cycle_id in runs.failed:
        raise await see_other(request, "/clerk", runs.failed.pop(cycle_id), good=False)
    if run.done():
        raise await see_other(request, target, f"{words.month(period)} is {_STEPS[verb][1]}.")
    raise web.HTTPSeeOther("/clerk")


async def _run(app: web.Application, verb: str, period: str, name: str, clerk: str) -> None:
    cycle_id, runs = f"{period}/{name}", app[_RUNS]
    try:
        await asyncio.to_thread(_STEPS[verb][0], office_of(app[SITE]), period, name, clerk)
    except HeadendError as error:
        runs.failed[cycle_id] = str(error)
    except Exception:
        _log.exception("billing step failed", step=verb, cycle=cycle_id)
        runs.failed[cycle_id] = "Something went wrong on our side. It has been written to the log."
    finally:
        del runs.running[cycle_id]


PAGES = (
    Page("GET", "/clerk", cycles, CLERK),
    Page("GET", "/clerk/cycles/{period}/{name}", cycle, CLERK),
    Page("POST", "/clerk/cycles/{period}/{name}/{step}", step, CLERK),
    Page("GET", "/clerk/statements/{id}/changes", changes, CLERK),
    Page("GET", "/api/v1/rebills", rebill_flags, CLERK),
    Page("GET", "/clerk/statements/{id}.pdf", as_pdf, CLERK),
    Page("GET", "/clerk/statements/{id}.json", as_json, CLERK),
    Page("GET", "/clerk/statements/{id}.zip", as_bundle, CLERK),
    Page("GET", "/clerk/statements/{id}", as_html, CLERK),
)
