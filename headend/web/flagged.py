"""Statements that rest on what has changed since: the clerk picks several or all, sees what correcting them comes to,
and makes the drafts.

There may be many: looking at them and correcting them run in threads, while pages say how far they are. What a look
came to is kept by this process alone, the last few of them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count, groupby
from typing import Final

from aiohttp import web
from yarl import URL

from headend.billing.correcting import checked_reason
from headend.billing.correctingmany import Summary, correct_many, foresee_many
from headend.billing.corrections import Way
from headend.errors import BillingConflict, InvalidInput, NotFound
from headend.office import office_of
from headend.site import Site
from headend.store.corrections import SqlCorrections, count_correctable, flagged_for_correction
from headend.store.rebills import (
    Flagged,
    RebillFlag,
    count_flagged,
    flagged_by_period,
    flagged_statements,
    open_flags,
)
from headend.web import billruns
from headend.web.access import CLERK, SITE, Page, known_user
from headend.web.excepted import CODES
from headend.web.render import link_to, number_in, page_number, render, see_other

_AT = "/clerk/flagged"
_ROWS = 50
_WAYS = {Way.REBILL: "cancel and bill again", Way.DIFFERENCE: "one document of the difference each"}
#: So many looks are kept, and so many are worked out at once.
_KEPT: Final = 12
_AT_ONCE: Final = 2
#: What corrections are called among what this process works on: there is one at a time.
_CORRECTING: Final = "flagged"


@dataclass(frozen=True, slots=True)
class FlaggedRow:
    """A flagged statement; `may` says whether it can be corrected: not before it is issued, nor twice at once."""

    statement: str
    account: str
    period: str
    flags: list[RebillFlag]
    may: bool


@dataclass(frozen=True, slots=True)
class FlaggedPage:
    """A page of the flagged statements.

    Parameters
    ----------
    periods
        how many flagged statements each period has, of all periods.
    found
        how many are asked for, on all pages.
    free, seen
        how many of these can be corrected; a digest of which.
    """

    rows: list[FlaggedRow]
    periods: Mapping[str, int]
    found: int
    free: int
    seen: str
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a form asks for; `every`: all of `those` that are flagged, as long as they are those that were seen."""

    those: Flagged
    way: Way
    reason: str
    which: tuple[str, ...]
    every: bool
    seen: str

    @property
    def filled(self) -> dict[str, object]:
        return {"which": set(self.which), "way": self.way, "reason": self.reason}

    @property
    def back(self) -> str:
        """The list that it was asked from."""
        given = {"period": self.those.period, "q": self.those.text}
        return str(URL(_AT).with_query({name: text for name, text in given.items() if text}))


@dataclass(slots=True)
class Work:
    """Statements that are looked at, or corrected: how far that is, and what it came to.

    Parameters
    ----------
    count
        of statements that are asked for; `done` of `of` accounts' periods are done.
    summaries
        by period; None: it is not at its end.
    cycles
        ids of the cycles that have drafts of it.
    """

    asked: _Asked
    by: str
    since: datetime
    count: int
    number: int = 0
    done: int = 0
    of: int = 0
    summaries: list[Summary] | None = None
    cycles: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """How much of it is done."""
        return self.done / self.of if self.of else 0.0

    @property
    def name(self) -> str:
        """What a look is called among what this process works on."""
        return f"{_CORRECTING} {self.number}"


@dataclass(slots=True)
class _Desk:
    """The last looks by their numbers; and the correction that is under way, or was the last and is not told yet."""

    looks: OrderedDict[int, Work] = field(default_factory=OrderedDict)
    numbers: count[int] = field(default_factory=lambda: count(1))
    correcting: Work | None = None


_DESK: Final = web.AppKey("flagged", _Desk)


def prepare(app: web.Application) -> None:
    """What the pages share while the application runs."""
    app[_DESK] = _Desk()


# ---- the list ------------------------------------------------------------------------------------------------------


async def listed(request: web.Request) -> web.Response:
    """The flagged statements, of a period or all."""
    query = request.query
    those = _those(query.get("period", ""), query.get("q", ""))
    return await _show(request, those, page_number(request), {}, "", free_alone=query.get("show") == "free")


def _those(period: str, text: str) -> Flagged:
    return Flagged(period.strip()[:7], text.strip()[:64])


async def _show(
    request: web.Request,
    those: Flagged,
    wanted: int,
    filled: Mapping[str, object],
    wrong: str,
    *,
    free_alone: bool = False,
) -> web.Response:
    app = request.app
    return await render(
        request,
        "clerk/flagged.html",
        status=422 if wrong else 200,
        view=await asyncio.to_thread(_look, app[SITE], those, wanted, free_alone),
        those=those,
        free_alone=free_alone,
        ways=_WAYS,
        filled=filled,
        wrong=wrong,
        doing=billruns.under_way(app, _CORRECTING),
        work=app[_DESK].correcting,
        said=_said,
        list_link=link_to(_AT),
        failed=billruns.failure_of(app, _CORRECTING),
    )


def _look(site: Site, those: Flagged, wanted: int, free_alone: bool) -> FlaggedPage:
    with site.database.read() as tx:
        free, seen = count_correctable(tx, those)
        found = free if free_alone else count_flagged(tx, those)
        pages = max(1, -(-found // _ROWS))
        page = min(wanted, pages)
        begin = (page - 1) * _ROWS
        if free_alone:
            ids = flagged_for_correction(tx, those.period, those.text, _ROWS, begin)
        else:
            ids = flagged_statements(tx, those, _ROWS, begin)
        part, desk, rows = open_flags(tx, ids), SqlCorrections(tx), list[FlaggedRow]()
        issued = {name for name, (_, _, state) in desk.whereabouts(part).items() if state == "issued"}
        for period, its in groupby(part.items(), lambda each: each[1][0].period):
            some = dict(its)
            drafted = desk.drafted(period, {flags[0].account for flags in some.values()})
            for name, flags in some.items():
                account = flags[0].account
                rows.append(FlaggedRow(name, account, period, flags, name in issued and account not in drafted))
        return FlaggedPage(rows, flagged_by_period(tx), found, free, seen, page, pages)


async def progress(request: web.Request) -> web.Response:
    """The part of the list that changes while statements are corrected."""
    doing = billruns.under_way(request.app, _CORRECTING)
    return await render(request, "clerk/flagged_progress.html", work=request.app[_DESK].correcting, doing=doing)


# ---- looking, and correcting -----------------------------------------------------------------------------------------


async def _asked(request: web.Request) -> _Asked:
    form = await request.post()
    text = str(form.get("way", ""))
    if text not in set(_WAYS):
        raise InvalidInput("way", repr(text[:20]), " or ".join(_WAYS))
    which = tuple(dict.fromkeys(str(each) for each in form.getall("which", [])))
    those = _those(str(form.get("period", "")), str(form.get("q", "")))
    reason, seen = str(form.get("reason", "")), str(form.get("seen", ""))
    return _Asked(those, Way(text), reason, which, bool(form.get("all")), seen)


def _chosen(site: Site, asked: _Asked) -> Sequence[str]:
    """The statements that are asked for; raises `InvalidInput`, `BillingConflict`."""
    if not asked.every and not asked.which:
        raise InvalidInput("statements", "none", "those to correct: tick them")
    checked_reason(asked.reason)
    if not asked.every:
        return asked.which
    with site.database.read() as tx:
        if count_correctable(tx, asked.those)[1] != asked.seen:
            raise BillingConflict("other statements are flagged now than you saw: look at them again")
        return flagged_for_correction(tx, asked.those.period, asked.those.text)


def _told(app: web.Application, work: Work) -> Callable[[int, int], None]:
    go_on = billruns.go_on(app)

    def look(done: int, of: int) -> None:
        work.done, work.of = done, of
        go_on(done, of)

    return look


async def foresee(request: web.Request) -> web.StreamResponse:
    """Begin to look at what correcting them would change; nothing is kept of it but for this page."""
    app, site = request.app, request.app[SITE]
    asked, clerk = await _asked(request), known_user(request).login
    try:
        ids = await asyncio.to_thread(_chosen, site, asked)
        work = Work(asked, clerk, site.clock(), len(ids), next(app[_DESK].numbers))

        def step() -> None:
            work.summaries = foresee_many(office_of(site), ids, asked.way, asked.reason, progress=_told(app, work))

        _make_room(app)
        await billruns.work_on(app, work.name, "looks at", clerk, step)
    except (BillingConflict, InvalidInput, NotFound) as error:
        return await _show(request, asked.those, 1, asked.filled, str(error))
    app[_DESK].looks[work.number] = work
    raise web.HTTPSeeOther(f"{_AT}/preview/{work.number}")


def _make_room(app: web.Application) -> None:
    """Forget the oldest looks; raises `BillingConflict` where too many are under way."""
    looks = app[_DESK].looks
    done = [number for number, one in looks.items() if billruns.under_way(app, one.name) is None]
    if len(looks) - len(done) >= _AT_ONCE:
        raise BillingConflict(f"{_AT_ONCE} such lists are being looked at: wait until one of them is done")
    for number in done[: max(0, len(looks) + 1 - _KEPT)]:
        del looks[number]


def _look_in_path(request: web.Request) -> Work:
    work = request.app[_DESK].looks.get(number_in(request.match_info["number"]))
    if work is None:
        raise NotFound("what these come to is not kept any more: look at them again")
    return work


async def foreseen(request: web.Request) -> web.Response:
    """How far looking at them is, or what correcting them would change."""
    work = _look_in_path(request)
    return await render(
        request,
        "clerk/correct_many.html",
        work=work,
        asked=work.asked,
        words=_WAYS[work.asked.way],
        codes=CODES,
        doing=billruns.under_way(request.app, work.name),
        failed=billruns.failure_of(request.app, work.name),
    )


async def look_progress(request: web.Request) -> web.Response:
    """The part of that page that changes while they are looked at."""
    work = _look_in_path(request)
    doing = billruns.under_way(request.app, work.name)
    return await render(request, "clerk/flagged_progress.html", work=work, doing=doing)


async def correct(request: web.Request) -> web.StreamResponse:
    """Begin to make the drafts, a cycle of corrections for each period."""
    app, site, desk = request.app, request.app[SITE], request.app[_DESK]
    asked, clerk = await _asked(request), known_user(request).login
    try:
        ids = await asyncio.to_thread(_chosen, site, asked)
        work = Work(asked, clerk, site.clock(), len(ids))

        def begins(cycle_id: str) -> None:
            work.cycles.append(cycle_id)
            billruns.comes_to(app, _CORRECTING, cycle_id)

        def step() -> None:
            desk.correcting = work
            work.summaries = correct_many(
                office_of(site), ids, asked.way, asked.reason, clerk, progress=_told(app, work), begins=begins
            )

        done = await billruns.work_on(app, _CORRECTING, "corrects", clerk, step, "The list of flagged statements")
    except (BillingConflict, InvalidInput, NotFound) as error:
        return await _show(request, asked.those, 1, asked.filled, str(error))
    if not done or work.summaries is None:
        raise web.HTTPSeeOther(_AT)
    desk.correcting = None
    (cycle,) = work.cycles if len(work.cycles) == 1 else ("",)
    raise await see_other(request, str(URL("/clerk/cycles") / cycle) if cycle else _AT, _said(work.summaries))


def _said(made: Sequence[Summary]) -> str:
    drafted = [one for one in made if one.count]
    said = [f"{one.count:,} drafted in {one.period}/{one.cycle}" for one in drafted]
    if settled := sum(len(one.settled) for one in made):
        said.append(f"{settled:,} with nothing to correct: flags settled")
    if refused := sum(one.refused.total() for one in made):
        said.append(f"{refused:,} cannot be corrected as they stand")
    then = " Approve the drafts, then issue them." if drafted else ""
    return f"{'; '.join(said)}.{then}"


PAGES = (
    Page("GET", _AT, listed, CLERK),
    Page("GET", f"{_AT}/progress", progress, CLERK),
    Page("POST", f"{_AT}/preview", foresee, CLERK),
    Page("GET", f"{_AT}/preview/{{number}}", foreseen, CLERK),
    Page("GET", f"{_AT}/preview/{{number}}/progress", look_progress, CLERK),
    Page("POST", f"{_AT}/correction", correct, CLERK),
)
