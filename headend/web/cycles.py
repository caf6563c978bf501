"""Cycles for clerks: which there are and which are due, how far one is, what can be done next and why not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final

from aiohttp import web
from sqlalchemy import Connection, func, select
from yarl import URL

from headend.billing.approval import approve, close, issue, review_cycle
from headend.billing.collecting import collect_cycle
from headend.billing.correcting import withdraw
from headend.billing.cycle import BillCycle, ControlTotals, CycleScope, CycleState, ExceptionCode, StepTaken, tie_out
from headend.billing.groups import CALENDAR_MONTHS, MONTHLY, BillingGroup
from headend.billing.partitions import together
from headend.billing.ports import Office
from headend.billing.review import FindingCode, FindingState
from headend.billing.run import rate_cycle
from headend.errors import BillingConflict, HeadendError, InvalidInput, NotFound
from headend.office import office_of
from headend.reads.days import Period, moment_us, previous_period
from headend.registry.members import billing_groups
from headend.site import Site
from headend.store import tables as t
from headend.store.ledger import SqlLedger
from headend.store.rebills import (
    Flagged,
    RebillFlag,
    count_flagged,
    flagged_by_cycle,
    flagged_statements,
    open_flags,
)
from headend.store.reviews import SqlReviews
from headend.store.standing import stands
from headend.web import billruns, words
from headend.web.access import CLERK, SITE, Page, known_user
from headend.web.billruns import UnderWay
from headend.web.excepted import CODES, ExceptionRow, count_exceptions, cycle_in_path, exception_rows
from headend.web.render import page_number, render, see_other

_CYCLE_ROWS = 60
_STATEMENT_ROWS = 50
#: So many exceptions stand on the cycle's own page; all of them have a page of their own.
_FIRST_EXCEPTIONS = 10
#: So many flagged statements stand there; all of them are corrected on a page of their own.
_FIRST_FLAGGED = 50
_HISTORY_ROWS = 25
#: A run that has committed nothing for so long is taken for one that was killed.
_SILENT: Final = timedelta(minutes=2)
_MOST_ACCOUNTS = 500

#: What a run is called by what it bills.
KINDS: Final = {"regular": "regular", "final": "final bills", "off-cycle": "off-cycle", "correction": "correction"}
#: Each state on the way, and the step that leads there.
_LINE: Final = (
    (CycleState.OPEN, ""),
    (CycleState.COLLECTED, "collect"),
    (CycleState.RATED, "rate"),
    (CycleState.REVIEWED, "review"),
    (CycleState.APPROVED, "approve"),
    (CycleState.ISSUED, "issue"),
    (CycleState.CLOSED, "close"),
)


@dataclass(frozen=True, slots=True)
class _Verb:
    """A step as it is asked for: who does what to a cycle, and how that is said."""

    doing: str
    done: str
    do: Callable[[Office, str, str, str], object]


_VERBS: Final[Mapping[str, _Verb]] = {
    "collect": _Verb("collects", "collected", collect_cycle),
    "rate": _Verb("rates", "rated", rate_cycle),
    "review": _Verb("reviews", "reviewed", review_cycle),
    "approve": _Verb("approves", "approved", approve),
    "issue": _Verb("issues", "issued", issue),
    "close": _Verb("closes", "closed", close),
    "withdraw": _Verb("withdraws", "withdrawn", withdraw),
}


def kind_of(scope: CycleScope) -> str:
    """What a cycle with this scope is called."""
    if scope.correction:
        return "correction"
    if scope.final:
        return "final"
    return "off-cycle" if scope.accounts else "regular"


def path_of(cycle_id: str) -> str:
    """The page of a cycle."""
    return str(URL("/clerk/cycles") / cycle_id)


# ---- how far a cycle is --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """One of the seven states: whether the cycle has come there, is on its way there, and who took it there when."""

    state: str
    is_done: bool
    is_next: bool
    at: datetime | None
    by: str | None
    note: str


def way_of(cycle: BillCycle, history: Sequence[StepTaken]) -> list[OnTheWay]:
    """The seven states in order."""
    states = [state for state, _ in _LINE]
    rating = cycle.state == CycleState.RATING
    reached = states.index(CycleState.COLLECTED if rating else cycle.state)
    newest = {taken.step: taken for taken in history}
    way = []
    for place, (state, step) in enumerate(_LINE):
        taken = newest.get(step) if place <= reached else None
        at, by = (None, None) if taken is None else (taken.at, taken.by)
        if taken is None and state == CycleState.OPEN:
            at = cycle.opened_at
        elif taken is None and state == cycle.state:
            at, by = cycle.changed_at, cycle.changed_by
        name = str(CycleState.RATING if rating and state == CycleState.RATED else state)
        way.append(OnTheWay(name, place <= reached, place == reached + 1, at, by, taken.note if taken else ""))
    return way


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Parameters
    ----------
    totals
        of the ranges that are committed.
    moved_at
        when it began, or committed a range last.
    is_alive
        whether somebody works on it, as far as can be seen.
    """

    ranges: int
    ranges_done: int
    accounts: int
    accounts_done: int
    totals: ControlTotals
    moved_at: datetime
    is_alive: bool

    @property
    def share(self) -> float:
        """Of the accounts, those that are rated."""
        return self.accounts_done / self.accounts if self.accounts else 0.0


def progress_of(tx: Connection, cycle: BillCycle, now: datetime, *, here: bool) -> Progress | None:
    """How far a cycle's run is; None: it is not being rated.

    Parameters
    ----------
    here
        whether this process works on it.
    """
    if cycle.state != CycleState.RATING:
        return None
    ledger, p = SqlLedger(tx), t.bill_partition.c
    run = ledger.last_run(cycle)
    ranges = ledger.ranges(cycle, run)
    done = [(accounts, totals) for accounts, totals in ranges if totals is not None]
    last = tx.execute(select(func.max(p.committed_us)).where(p.cycle_id == cycle.id, p.run == run)).scalar_one()
    moved_at = cycle.changed_at if last is None else max(cycle.changed_at, moment_us(last))
    return Progress(
        len(ranges),
        len(done),
        sum(accounts.accounts for accounts, _ in ranges),
        sum(accounts.accounts for accounts, _ in done),
        together(totals for _, totals in done),
        moved_at,
        here or now - moved_at < _SILENT,
    )


@dataclass(frozen=True, slots=True)
class Offer:
    """A step that can be asked for, or why it cannot now."""

    step: str
    label: str
    why_not: str = ""
    quiet: bool = False


def offers(cycle: BillCycle, undecided: int, unsettled: int, progress: Progress | None) -> list[Offer]:
    """What can be done with a cycle next; nothing once it is closed.

    Parameters
    ----------
    undecided
        findings that are open, or wait for a second person.
    unsettled
        exceptions that are neither billed elsewhere nor left out with a reason.
    """
    open_still = f"{words.count(undecided)} finding{' is' if undecided == 1 else 's are'} not decided yet."
    some = f"{words.count(unsettled)} exception{' is' if unsettled == 1 else 's are'}"
    not_settled = f"{some} neither billed elsewhere nor excluded with a reason."
    why_not = {
        CycleState.RATED: open_still if undecided else "",
        CycleState.ISSUED: not_settled if unsettled else "",
    }.get(cycle.state, "")
    if cycle.state == CycleState.RATING and progress is not None and progress.is_alive:
        return []
    usual = _NEXT.get(cycle.state, ())
    if cycle.scope.correction:
        usual = [each for each in usual if each[0] not in _NOT_OF_CORRECTIONS]
        if cycle.state in (CycleState.RATED, CycleState.REVIEWED):
            usual.append(("withdraw", "Withdraw"))
    return [
        Offer(step, label, why_not if step in _WHEN_DECIDED else "", quiet=place > 0)
        for place, (step, label) in enumerate(usual)
    ]


#: A correction is made of statements, not by rating a period.
_NOT_OF_CORRECTIONS: Final = ("collect", "rate", "review")
#: Taken when nothing is left to decide.
_WHEN_DECIDED: Final = ("review", "approve", "close")
#: By state, what can be done, the usual step first.
_NEXT: Final[Mapping[CycleState, Sequence[tuple[str, str]]]] = {
    CycleState.OPEN: (("rate", "Rate"), ("collect", "Look whether reads are there")),
    CycleState.COLLECTED: (("rate", "Rate"),),
    CycleState.RATING: (("rate", "Go on"),),
    CycleState.RATED: (("approve", "Approve"), ("review", "Review is done"), ("rate", "Rate again")),
    CycleState.REVIEWED: (("approve", "Approve"), ("rate", "Rate again")),
    CycleState.APPROVED: (("issue", "Issue statements"),),
    CycleState.ISSUED: (("close", "Close"),),
}


# ---- the list ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DuePeriod:
    """A billing group's last period that is over, and that nobody has rated yet."""

    group: str
    period: str
    first: date
    last: date


def due_periods(tx: Connection, today: date, timezone: str) -> list[DuePeriod]:
    """Of every group the last period that is over, where it is not rated and there is somebody to bill."""
    ledger, reviews, due = SqlLedger(tx), SqlReviews(tx), []
    for name, group in sorted(groups_of(tx).items()):
        period = previous_period(group.period_of(today))
        if ledger.cycle(name, period) is None:
            days = group.days(period, timezone)
            if reviews.has_accounts(name, days):
                due.append(DuePeriod(name, period, days.first, days.end - timedelta(days=1)))
    return due


def groups_of(tx: Connection) -> dict[str, BillingGroup]:
    """Every billing group by name; the monthly one is always there."""
    return {MONTHLY: CALENDAR_MONTHS, **billing_groups(tx)}


@dataclass(frozen=True, slots=True)
class CycleRow:
    """One line of the list."""

    cycle: BillCycle
    kind: str
    undecided: int
    flagged: int
    offers: list[Offer]
    doing: UnderWay | None
    is_alive: bool


@dataclass(frozen=True, slots=True)
class CyclesPage:
    """A page of all cycles, and what is due."""

    rows: list[CycleRow]
    found: int
    page: int
    pages: int
    due: list[DuePeriod]
    groups: list[str]
    any_flagged: bool


async def cycles(request: web.Request) -> web.Response:
    """Every cycle by period, and what is due."""
    return await _cycles(request, {}, "")


async def _cycles(request: web.Request, filled: Mapping[str, str], wrong: str) -> web.Response:
    site, wanted = request.app[SITE], page_number(request)
    doing = billruns.all_under_way(request.app)
    today = site.clock().astimezone(site.settings.site.zone).date()

    def look() -> CyclesPage:
        with site.database.read() as tx:
            every, flagged = SqlLedger(tx).cycles(), flagged_by_cycle(tx)
            pages = max(1, -(-len(every) // _CYCLE_ROWS))
            page = min(wanted, pages)
            rows = [
                _row(tx, cycle, flagged.get(cycle.id, 0), doing.get(cycle.id), site.clock())
                for cycle in every[(page - 1) * _CYCLE_ROWS : page * _CYCLE_ROWS]
            ]
            due = due_periods(tx, today, site.settings.site.zone.key)
            return CyclesPage(rows, len(every), page, pages, due, list(groups_of(tx)), bool(flagged))

    view = await asyncio.to_thread(look)
    given = {"kind": "off-cycle", "period": previous_period(f"{today:%Y-%m}"), "group": MONTHLY}
    asked = {name: request.query[name] for name in ("kind", "period", "group", "accounts") if name in request.query}
    return await render(
        request,
        "clerk/cycles.html",
        status=422 if wrong else 200,
        view=view,
        doing=doing,
        failed=billruns.failures(request.app),
        kinds={kind: label for kind, label in KINDS.items() if kind != "correction"},
        filled={"accounts": "", "name": "", "anyway": "", **given, **asked, **filled},
        is_asked=bool(asked or filled),
        wrong=wrong,
    )


def _row(tx: Connection, cycle: BillCycle, flagged: int, doing: UnderWay | None, now: datetime) -> CycleRow:
    reviews = SqlReviews(tx)
    undecided = reviews.undecided(cycle)[0] if cycle.state == CycleState.RATED else 0
    unsettled = len(reviews.unsettled(cycle)) if cycle.state == CycleState.ISSUED and cycle.totals.excepted else 0
    progress = progress_of(tx, cycle, now, here=doing is not None)
    offered = [one for one in offers(cycle, undecided, unsettled, progress) if not one.quiet]
    alive = progress is None or progress.is_alive
    return CycleRow(cycle, kind_of(cycle.scope), undecided, flagged, offered, doing, alive)


# ---- beginning a run -----------------------------------------------------------------------------------------------


async def start(request: web.Request) -> web.StreamResponse:
    """Begin a run: a group's period, its final bills, or accounts by id. What is wrong is said beside the form."""
    site, form = request.app[SITE], await request.post()
    names = ("kind", "period", "group", "accounts", "name", "anyway")
    filled = {name: str(form.get(name, "")).strip()[:20_000] for name in names}
    try:
        name, scope = await asyncio.to_thread(_asked, site, filled)
        cycle_id, by = f"{filled['period']}/{name}", known_user(request).login
        step = partial(
            rate_cycle,
            office_of(site),
            filled["period"],
            name,
            by,
            scope,
            progress=billruns.go_on(request.app),
            anyway=filled["anyway"],
        )
        done = await billruns.work_on(request.app, cycle_id, "rates", by, step)
    except (InvalidInput, BillingConflict, NotFound) as error:
        return await _cycles(request, filled, str(error))
    target = path_of(cycle_id) if await asyncio.to_thread(_exists, site, cycle_id) else "/clerk"
    if done:
        raise await see_other(request, target, f"{words.month(filled['period'])} is rated.")
    raise web.HTTPSeeOther(target)


def _asked(site: Site, filled: Mapping[str, str]) -> tuple[str, CycleScope]:
    """What a form asks for: a cycle's name, and whom it bills."""
    kind, period, group = filled["kind"], filled["period"], filled["group"] or MONTHLY
    if kind not in KINDS or kind == "correction":
        raise InvalidInput("kind", repr(kind[:20]), "regular, final or off-cycle")
    Period.month(period, site.settings.site.zone)
    accounts = tuple(sorted(set(re.split(r"[\s,;]+", filled["accounts"])) - {""}))
    if kind != "off-cycle" and accounts:
        raise InvalidInput("accounts", f"{len(accounts)} named", "none: only an off-cycle run bills accounts by name")
    if kind == "off-cycle" and not 0 < len(accounts) <= _MOST_ACCOUNTS:
        raise InvalidInput("accounts", str(len(accounts)), f"1 to {_MOST_ACCOUNTS} account numbers")
    if kind == "regular":
        if filled["name"] not in ("", group):
            raise InvalidInput(
                "name", repr(filled["name"][:40]), f"none: a regular cycle is called as its group, {group}"
            )
        return group, CycleScope(group)
    with site.database.read() as tx:
        name = filled["name"] or _free_name(SqlLedger(tx), period, kind if group == MONTHLY else f"{group}-{kind}")
        if name in groups_of(tx):
            raise InvalidInput("name", repr(name), "another name: regular cycles are called as groups")
    return name, CycleScope(group, accounts, kind == "final")


def _free_name(ledger: SqlLedger, period: str, stem: str) -> str:
    number, name = 1, stem
    while ledger.cycle(name, period) is not None:
        number += 1
        name = f"{stem}-{number}"
    return name


def _exists(site: Site, cycle_id: str) -> bool:
    period, _, name = cycle_id.partition("/")
    with site.database.read() as tx:
        return SqlLedger(tx).cycle(name, period) is not None


# ---- one cycle -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StatementRow:
    """One line of the cycle's list.

    Parameters
    ----------
    kind, corrects
        of a correction: cancellation, rebill or difference, and the statement it corrects.
    cancelled
        whether it was taken back.
    """

    id: str
    account: str
    name: str
    state: str
    currency: str
    total: str
    kind: str | None
    corrects: str | None
    cancelled: bool


@dataclass(frozen=True, slots=True)
class CyclePage:
    """One cycle with a page of its statements.

    Parameters
    ----------
    progress
        of a run; None: it is not being rated. Totals are those of what it has committed then.
    untied
        what does not tie out; "": everything does.
    findings
        how many there are by code and state.
    undecided, waiting, unsettled
        findings not decided, those of them that wait for a second person, exceptions that are not settled.
    by_code
        how many exceptions there are of each code; `exceptions`: the first of them.
    changed
        how many statements rest on what has changed since; `flags`: those of the first of them.
    history
        what was done last, newest first; `left_out`: how much is older.
    """

    cycle: BillCycle
    kind: str
    doing: UnderWay | None
    progress: Progress | None
    way: list[OnTheWay]
    offers: list[Offer]
    totals: ControlTotals
    untied: str
    findings: Mapping[tuple[FindingCode, FindingState], int]
    undecided: int
    waiting: int
    unsettled: int
    by_code: Mapping[ExceptionCode, int]
    exceptions: list[ExceptionRow]
    changed: int
    flags: list[RebillFlag]
    history: list[StepTaken]
    left_out: int
    statements: list[StatementRow]
    found: int
    page: int
    pages: int

    @property
    def is_running(self) -> bool:
        """Whether somebody works on it now, here or elsewhere."""
        return self.doing is not None or (self.progress is not None and self.progress.is_alive)


async def cycle(request: web.Request) -> web.Response:
    """One cycle: how far it is, what is next, its totals, exceptions and statements."""
    site = request.app[SITE]
    text, wanted = request.query.get("q", "").strip()[:64], page_number(request)

    def look() -> CyclePage:
        with site.database.read() as tx:
            found = cycle_in_path(tx, request)
            page = cycle_view(tx, found, site.clock(), billruns.under_way(request.app, found.id))
            return _with_statements(tx, page, text, wanted)

    view = await asyncio.to_thread(look)
    return await render(
        request,
        "clerk/cycle.html",
        view=view,
        text=text,
        codes=CODES,
        failed=billruns.failures(request.app).get(view.cycle.id),
    )


async def progress(request: web.Request) -> web.Response:
    """The part of a cycle's page that changes while it is worked on."""
    site = request.app[SITE]

    def look() -> tuple[BillCycle, Progress | None, UnderWay | None]:
        with site.database.read() as tx:
            found = cycle_in_path(tx, request)
            doing = billruns.under_way(request.app, found.id)
            return found, progress_of(tx, found, site.clock(), here=doing is not None), doing

    found, its, doing = await asyncio.to_thread(look)
    return await render(request, "clerk/progress.html", cycle=found, progress=its, doing=doing)


def cycle_view(tx: Connection, cycle: BillCycle, now: datetime, doing: UnderWay | None) -> CyclePage:
    """Everything about a cycle but its statements."""
    reviews = SqlReviews(tx)
    its = progress_of(tx, cycle, now, here=doing is not None)
    counts = reviews.count_findings(cycle)
    undecided = reviews.undecided(cycle)[0]
    unsettled = len(reviews.unsettled(cycle)) if cycle.state == CycleState.ISSUED else 0
    history = reviews.steps(cycle)
    totals = cycle.totals if its is None else its.totals
    flagged = Flagged(cycle=cycle.id)
    first = flagged_statements(tx, flagged, _FIRST_FLAGGED, 0)
    return CyclePage(
        cycle,
        kind_of(cycle.scope),
        doing,
        its,
        way_of(cycle, history),
        offers(cycle, undecided, unsettled, its),
        totals,
        _untied(totals),
        counts,
        undecided,
        sum(count for (_, state), count in counts.items() if state == FindingState.WAITING),
        unsettled,
        count_exceptions(tx, cycle),
        exception_rows(tx, cycle, None, _FIRST_EXCEPTIONS, 0),
        count_flagged(tx, flagged),
        [flag for its in open_flags(tx, first).values() for flag in its],
        list(reversed(history[-_HISTORY_ROWS:])),
        max(0, len(history) - _HISTORY_ROWS),
        [],
        0,
        1,
        1,
    )


def _untied(totals: ControlTotals) -> str:
    try:
        tie_out(totals)
    except BillingConflict as conflict:
        return str(conflict)
    return ""


def _with_statements(tx: Connection, page: CyclePage, text: str, wanted: int) -> CyclePage:
    s, a = t.statement.c, t.account.c
    its = s.cycle_id == page.cycle.id
    if text:
        its &= s.account_id.icontains(text, autoescape=True) | a.name.icontains(text, autoescape=True)
    joined = t.statement.join(t.account, a.id == s.account_id)
    found = tx.execute(select(func.count()).select_from(joined).where(its)).scalar_one()
    pages = max(1, -(-found // _STATEMENT_ROWS))
    number = min(wanted, pages)
    taken_back = ~stands() & (func.coalesce(s.kind, "") != "cancellation")
    query = (
        select(s.id, s.account_id, a.name, s.state, s.currency, s.total, s.kind, s.corrects, taken_back)
        .select_from(joined)
        .where(its)
        .order_by(s.account_id, s.revision)
        .limit(_STATEMENT_ROWS)
        .offset((number - 1) * _STATEMENT_ROWS)
    )
    rows = [StatementRow(*row) for row in tx.execute(query)]
    return replace(page, statements=rows, found=found, page=number, pages=pages)


async def step(request: web.Request) -> web.StreamResponse:
    """Take a cycle a step on. Rating takes its time: it runs on while the page says so."""
    site, form = request.app[SITE], await request.post()
    period, name, asked = (request.match_info[part] for part in ("period", "name", "step"))
    if asked not in _VERBS:
        raise web.HTTPNotFound
    Period.month(period, site.settings.site.zone)
    cycle_id, by, verb = f"{period}/{name}", known_user(request).login, _VERBS[asked]
    more: dict[str, Any] = {"progress": billruns.go_on(request.app)} if asked == "rate" else {}
    if asked in ("rate", "collect"):
        more["anyway"] = str(form.get("anyway", "")).strip()[:500]
    work = partial(verb.do, office_of(site), period, name, by, **more)
    back = "/clerk" if form.get("back") == "/clerk" else path_of(cycle_id)
    try:
        done = await billruns.work_on(request.app, cycle_id, verb.doing, by, work)
    except InvalidInput:
        raise
    except HeadendError as error:
        target = back if await asyncio.to_thread(_exists, site, cycle_id) else "/clerk"
        raise await see_other(request, target, str(error), good=False) from None
    target = back if await asyncio.to_thread(_exists, site, cycle_id) else "/clerk"
    if done:
        raise await see_other(request, target, f"{words.month(period)} is {verb.done}.")
    raise web.HTTPSeeOther(target)


_AT = "/clerk/cycles/{period}/{name}"

PAGES = (
    Page("GET", "/clerk", cycles, CLERK),
    Page("POST", "/clerk/cycles", start, CLERK),
    Page("GET", _AT, cycle, CLERK),
    Page("GET", f"{_AT}/progress", progress, CLERK),
    Page("POST", f"{_AT}/{{step}}", step, CLERK),
)
