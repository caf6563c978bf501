"""What operators do about exceptions: see what a decision would do, do it, confirm or refuse somebody else's, ask."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, cast

from aiohttp import web
from multidict import MultiMapping
from yarl import URL

from headend.errors import EditConflict, InvalidInput, NotFound
from headend.preview import preview
from headend.process.editing import Decided, Decision, ask_to_look, confirm, decide, refuse
from headend.registry.registry import channels_of
from headend.site import Site
from headend.store.edits import edit_of
from headend.store.exceptions import ReadException, exception_of
from headend.web.access import OPERATOR, SITE, Page, known_user
from headend.web.exceptions import Filled, number_of, path_of, show
from headend.web.foreseen import foreseen
from headend.web.render import number_in, render, see_other
from headend.web.words import ACTIONS, signed_quantity, unit_of

#: A value as people write it: thousandths are the base unit.
_VALUE: Final = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,3}0*)?", re.ASCII)
#: How what is done is said.
_DONE: Final = {"accept": "Accepted", "edit": "Edited", "estimate": "Estimated", "reject": "Rejected"}


async def foresee(request: web.Request) -> web.StreamResponse:
    """What a decision would do; what cannot be done is said beside the form, with all that was filled in."""
    site, number, filled = request.app[SITE], number_of(request), _filled(await request.post())
    one = await asyncio.to_thread(_exception, site, number)
    try:
        decision = _decision(filled, one, known_user(request).login)
        seen = await asyncio.to_thread(preview, site, decision)
    except EditConflict as conflict:
        raise await see_other(request, path_of(number), str(conflict), good=False) from None
    except InvalidInput as wrong:
        return await show(request, number, filled, str(wrong))
    return await render(
        request,
        "operator/preview.html",
        one=one,
        unit=unit_of(one.channel),
        decision=decision,
        proposed=foreseen(site, seen),
        fields=filled.fields,
        path_of=path_of(number),
    )


async def do(request: web.Request) -> web.StreamResponse:
    """Do what was foreseen, or let it wait for a second person."""
    site, number, filled = request.app[SITE], number_of(request), _filled(await request.post())
    one = await asyncio.to_thread(_exception, site, number)
    try:
        done = await asyncio.to_thread(decide, site, _decision(filled, one, known_user(request).login))
    except EditConflict as conflict:
        raise await see_other(request, path_of(number), str(conflict), good=False) from None
    except InvalidInput as wrong:
        return await show(request, number, filled, str(wrong))
    change = _change(done, one)
    if done.state == "waiting":
        raise await see_other(
            request, path_of(number), f"Asked for: another person has to confirm a change of {change}."
        )
    raise await see_other(request, path_of(number), f"{_DONE[filled.action]}: the energy changed by {change}.")


async def confirm_edit(request: web.Request) -> web.StreamResponse:
    """Do what somebody else wants."""

    def confirmed(site: Site, one: ReadException, edit: int, by: str) -> str:
        return f"Confirmed: the energy changed by {_change(confirm(site, edit, by), one)}."

    return await _second(request, confirmed)


async def refuse_edit(request: web.Request) -> web.StreamResponse:
    """Do not do what somebody else wants, or take back what one wants oneself."""

    def refused(site: Site, _one: ReadException, edit: int, by: str) -> str:
        refuse(site, edit, by)
        return "Refused: it is to be decided anew."

    return await _second(request, refused)


async def _second(request: web.Request, verb: Callable[[Site, ReadException, int, str], str]) -> web.StreamResponse:
    """What a second person says of the edit in a form."""
    site, number, by = request.app[SITE], number_of(request), known_user(request).login
    text = str((await request.post()).get("edit", ""))
    edit = number_in(text)

    def second() -> str:
        with site.database.read() as tx:
            one = exception_of(tx, number)
            if edit_of(tx, edit).exception != number:
                raise NotFound(f"exception {number} has no edit {edit}")
        return verb(site, one, edit, by)

    try:
        said = await asyncio.to_thread(second)
    except EditConflict as conflict:
        raise await see_other(request, path_of(number), str(conflict), good=False) from None
    raise await see_other(request, path_of(number), said)


async def look_into(request: web.Request) -> web.StreamResponse:
    """Open an exception by hand, of local times on a meter's page."""
    site, name, form = request.app[SITE], request.match_info["name"], await request.post()
    by, zone = known_user(request).login, site.settings.site.zone
    obis, note = str(form.get("channel", "")), str(form.get("note", ""))

    def ask() -> int:
        with site.database.read() as tx:
            channels_of(tx, name)
        start, end = (_moment(str(form.get(field, "")), field).replace(tzinfo=zone) for field in ("from", "to"))
        return ask_to_look(site, name, obis, start, end, by, note)

    try:
        number = await asyncio.to_thread(ask)
    except InvalidInput as wrong:
        raise await see_other(request, str(URL("/operator/meters") / name), str(wrong), good=False) from None
    raise await see_other(request, path_of(number), "Asked: here is what to decide on.")


def _exception(site: Site, number: int) -> ReadException:
    with site.database.read() as tx:
        return exception_of(tx, number)


def _change(done: Decided, one: ReadException) -> str:
    return f"{signed_quantity(done.change)} {unit_of(one.channel).shown}"


def _filled(form: MultiMapping[Any]) -> Filled:
    """What a form says; lines of a list and values of fields are the same."""

    def said(name: str) -> str:
        return str(form.get(name, ""))

    lines = said("values").rstrip().splitlines()
    values = lines or [str(text) for text in form.getall("value", [])]
    return Filled(said("action"), said("reason"), said("note"), said("method"), said("seen"), tuple(values))


def _decision(filled: Filled, one: ReadException, by: str) -> Decision:
    """What a form asks for; raises `InvalidInput`."""
    if filled.action not in ACTIONS:
        raise InvalidInput("action", repr(filled.action[:20]), f"one of {', '.join(ACTIONS)}")
    return Decision(
        one.id,
        cast("Any", filled.action),
        by,
        filled.reason,
        filled.note,
        cast("Any", filled.method or None) if filled.action == "estimate" else None,
        _values(filled.values, one) if filled.action == "edit" else None,
        seen=filled.seen,
    )


def _values(texts: Sequence[str], one: ReadException) -> list[int | None]:
    unit = unit_of(one.channel).shown
    return [_value(text, place, unit) for place, text in enumerate(texts, 1)]


def _value(text: str, place: int, unit: str) -> int | None:
    """A value in base units; None for nothing."""
    text = text.strip()
    if not text:
        return None
    if not _VALUE.fullmatch(text):
        raise InvalidInput(f"value {place}", repr(text[:40]), f"{unit} with a point, such as 1.250")
    return int(Decimal(text) * 1000)


def _moment(text: str, where: str) -> datetime:
    """A local time of a form, without its zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is not None or not 1971 <= at.year < 9000:
        raise InvalidInput(where, repr(text[:40]), "a local time such as 2026-10-31T12:00")
    return at


PAGES = (
    Page("POST", "/operator/exceptions/{id}/preview", foresee, OPERATOR),
    Page("POST", "/operator/exceptions/{id}/decide", do, OPERATOR),
    Page("POST", "/operator/exceptions/{id}/confirm", confirm_edit, OPERATOR),
    Page("POST", "/operator/exceptions/{id}/refuse", refuse_edit, OPERATOR),
    Page("POST", "/operator/meters/{name}/look", look_into, OPERATOR),
)
