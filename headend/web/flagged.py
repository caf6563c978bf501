"""Statements that rest on what has changed since: the clerk picks several or all, sees what correcting them comes to,
and makes the drafts."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from operator import attrgetter

from aiohttp import web
from yarl import URL

from headend.billing.correcting import Proposal, make_corrections, propose
from headend.billing.corrections import Way
from headend.errors import BillingConflict, InvalidInput, NotFound
from headend.office import office_of
from headend.site import Site
from headend.store.corrections import flagged_for_correction
from headend.store.rebills import RebillFlag, rebills
from headend.web.access import CLERK, SITE, Page, known_user
from headend.web.render import page_number, render, see_other

_AT = "/clerk/flagged"
_ROWS = 50
_WAYS = {Way.REBILL: "cancel and bill again", Way.DIFFERENCE: "one document of the difference each"}


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
    free, seen
        how many of those that are shown, on all pages, can be corrected; a digest of their numbers.
    """

    rows: list[FlaggedRow]
    periods: Mapping[str, int]
    found: int
    free: int
    seen: str
    page: int
    pages: int


async def listed(request: web.Request) -> web.Response:
    """The flagged statements, of a period or all."""
    return await _show(request, request.query.get("period", ""), page_number(request), {}, "")


async def _show(
    request: web.Request, period: str, wanted: int, filled: Mapping[str, object], wrong: str
) -> web.Response:
    view = await asyncio.to_thread(_look, request.app[SITE], period, wanted)
    status = 422 if wrong else 200
    return await render(
        request, "clerk/flagged.html", status=status, view=view, period=period, ways=_WAYS, filled=filled, wrong=wrong
    )


def _look(site: Site, period: str, wanted: int) -> FlaggedPage:
    with site.database.read() as tx:
        every, free = rebills(tx), flagged_for_correction(tx, period or None)
    may = set(free)
    rows = [
        FlaggedRow(name, its[0].account, its[0].period, its, name in may)
        for name, its in ((name, list(flags)) for name, flags in groupby(every, attrgetter("statement")))
    ]
    periods: dict[str, int] = {}
    for row in rows:
        periods[row.period] = periods.get(row.period, 0) + 1
    shown = [row for row in rows if period in ("", row.period)]
    pages = max(1, -(-len(shown) // _ROWS))
    page = min(wanted, pages)
    part = shown[(page - 1) * _ROWS : page * _ROWS]
    return FlaggedPage(part, periods, len(shown), len(free), _digest(free), page, pages)


def _digest(ids: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Sum:
    """What the corrections of a period come to in one currency."""

    currency: str
    count: int
    said: Decimal
    now: Decimal
    written_off: Decimal

    @property
    def difference(self) -> Decimal:
        """What is charged more."""
        return self.now - self.said


def sums_of(proposal: Proposal) -> list[Sum]:
    """By currency."""
    its = sorted(proposal.corrections, key=attrgetter("currency"))
    return [
        Sum(
            currency,
            len(some),
            sum((each.said for each in some), Decimal(0)),
            sum((each.now for each in some), Decimal(0)),
            sum((each.written_off for each in some), Decimal(0)),
        )
        for currency, some in ((currency, list(each)) for currency, each in groupby(its, attrgetter("currency")))
    ]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a form asks for; `every`: all that are flagged, as long as they are those that were seen."""

    period: str
    way: Way
    reason: str
    which: tuple[str, ...]
    every: bool
    seen: str

    @property
    def filled(self) -> dict[str, object]:
        return {"which": set(self.which), "way": self.way, "reason": self.reason}


async def _asked(request: web.Request) -> _Asked:
    form = await request.post()
    text = str(form.get("way", ""))
    if text not in set(_WAYS):
        raise InvalidInput("way", repr(text[:20]), " or ".join(_WAYS))
    which = tuple(dict.fromkeys(str(each) for each in form.getall("which", [])))
    every = bool(form.get("all"))
    its = str(form.get("period", "")), Way(text), str(form.get("reason", "")), which, every, str(form.get("seen", ""))
    return _Asked(*its)


def _chosen(site: Site, asked: _Asked) -> Sequence[str]:
    """The statements that are asked for; raises `InvalidInput`, `BillingConflict`."""
    if not asked.every:
        if not asked.which:
            raise InvalidInput("statements", "none", "those to correct: tick them")
        return asked.which
    with site.database.read() as tx:
        free = flagged_for_correction(tx, asked.period or None)
    if _digest(free) != asked.seen:
        raise BillingConflict("other statements are flagged now than you saw: look at them again")
    return free


async def foresee(request: web.Request) -> web.StreamResponse:
    """What correcting them would change; nothing is kept of it."""
    asked, site = await _asked(request), request.app[SITE]
    try:
        proposals = await asyncio.to_thread(
            lambda: propose(office_of(site), _chosen(site, asked), asked.way, asked.reason)
        )
    except (BillingConflict, InvalidInput, NotFound) as error:
        return await _show(request, asked.period, 1, asked.filled, str(error))
    return await render(
        request,
        "clerk/correct_many.html",
        asked=asked,
        words=_WAYS[asked.way],
        proposals=[(one, sums_of(one)) for one in proposals],
        rows=_ROWS,
        back=str(URL(_AT).with_query({"period": asked.period} if asked.period else {})),
    )


async def correct(request: web.Request) -> web.StreamResponse:
    """Make the drafts, a cycle of corrections for each period."""
    asked, site, clerk = await _asked(request), request.app[SITE], known_user(request).login
    try:
        made = await asyncio.to_thread(
            lambda: make_corrections(office_of(site), _chosen(site, asked), asked.way, asked.reason, clerk)
        )
    except (BillingConflict, InvalidInput, NotFound) as error:
        return await _show(request, asked.period, 1, asked.filled, str(error))
    drafted = [one for one in made if one.corrections]
    said = [f"{len(one.corrections):,} drafted in {one.period}/{one.cycle}" for one in drafted]
    if settled := sum(len(one.flagged) for one in made):
        said.append(f"{settled:,} with nothing to correct: flags settled")
    if refused := sum(len(one.exceptions) for one in made):
        said.append(f"{refused:,} cannot be corrected as they stand")
    then = " Approve the drafts, then issue them." if drafted else ""
    target = str(URL("/clerk/cycles") / drafted[0].period / drafted[0].cycle) if len(drafted) == 1 else _AT
    raise await see_other(request, target, f"{'; '.join(said)}.{then}")


PAGES = (
    Page("GET", _AT, listed, CLERK),
    Page("POST", f"{_AT}/preview", foresee, CLERK),
    Page("POST", f"{_AT}/correction", correct, CLERK),
)
