"""The clerk corrects an issued statement: sees first what that changes, then makes the drafts."""

from __future__ import annotations

import asyncio

from aiohttp import web
from yarl import URL

from headend.billing.correcting import make_corrections, propose
from headend.billing.corrections import Way
from headend.errors import BillingConflict, InvalidInput
from headend.office import office_of
from headend.web.access import CLERK, SITE, Page, known_user
from headend.web.render import render, see_other

_WAYS = {
    Way.REBILL: "cancel it and bill again",
    Way.DIFFERENCE: "one document of the difference",
    Way.CANCEL: "cancel it alone",
}


async def foresee(request: web.Request) -> web.StreamResponse:
    """What a correction would change; nothing is kept of it."""
    which, way, reason = await _asked(request)
    office, back = office_of(request.app[SITE]), _changes(which)
    try:
        (proposal,) = await asyncio.to_thread(propose, office, [which], way, reason)
    except (BillingConflict, InvalidInput) as error:
        raise await see_other(request, back, str(error), good=False) from None
    return await render(
        request,
        "clerk/correct.html",
        one=proposal,
        statement=which,
        way=way,
        words=_WAYS[way],
        reason=reason,
        back=back,
    )


async def correct(request: web.Request) -> web.StreamResponse:
    """Make the drafts, in a cycle of their own."""
    which, way, reason = await _asked(request)
    office, clerk = office_of(request.app[SITE]), known_user(request).login
    try:
        (made,) = await asyncio.to_thread(make_corrections, office, [which], way, reason, clerk)
    except (BillingConflict, InvalidInput) as error:
        raise await see_other(request, _changes(which), str(error), good=False) from None
    if not made.corrections:
        raise await see_other(request, _changes(which), f"There is nothing to correct of {which}: its flag is settled.")
    target = str(URL(f"/clerk/cycles/{made.period}/{made.cycle}"))
    raise await see_other(request, target, f"The correction of {which} is drafted: approve it, then issue it.")


async def _asked(request: web.Request) -> tuple[str, Way, str]:
    form = await request.post()
    try:
        way = Way(str(form.get("way")))
    except ValueError:
        raise InvalidInput("way", repr(form.get("way")), " or ".join(Way)) from None
    return request.match_info["id"], way, str(form.get("reason", ""))


def _changes(statement: str) -> str:
    return str(URL("/clerk/statements") / statement / "changes")


PAGES = (
    Page("POST", "/clerk/statements/{id}/correction/preview", foresee, CLERK),
    Page("POST", "/clerk/statements/{id}/correction", correct, CLERK),
)
