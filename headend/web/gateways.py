"""The operator's pages of gateways: all of them, one in large, and what it can be asked for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from sqlalchemy import Connection, select
from yarl import URL

from headend.errors import InvalidInput, NotFound
from headend.monitor.asking import ask
from headend.monitor.events import Choice, Event, events
from headend.monitor.gateways import GatewayHealth, gateway_healths, understands
from headend.monitor.health import Fleet
from headend.monitor.lag import Behind, behind
from headend.monitor.meters import MeterHealth
from headend.reads.days import DAY_S, seconds
from headend.registry.firmware import Image, images
from headend.site import Site
from headend.store import tables as t
from headend.store.commands import OPEN, Command, cancel, commands_of
from headend.store.sequence import SequenceWindow
from headend.store.telemetry import Series, series_named, telemetry_of
from headend.web import words
from headend.web.access import OPERATOR, SITE, Page, known_user
from headend.web.charts import telemetry_chart
from headend.web.fleetview import CAMERA, GATEWAYS, Rows, page_of
from headend.web.render import number_in, page_number, render, see_other

_COMMAND_ROWS = 50
_EVENT_ROWS = 20
_METER_ROWS = 50
_HOLES_NAMED = 100
_TELEMETRY_DAYS = 7


async def gateway_list(request: web.Request) -> web.Response:
    """The table of gateways."""
    seen = await request.app[CAMERA].picture()
    chosen = GATEWAYS.selection(request)
    site = request.app[SITE]

    def look() -> Behind | None:
        with site.database.read() as tx:
            return behind(tx, site)

    return await render(
        request,
        "operator/gateways.html",
        fleet=seen,
        behind=await asyncio.to_thread(look),
        chosen=chosen,
        rows=GATEWAYS.rows(seen.gateways, chosen),
    )


@dataclass(frozen=True, slots=True)
class GatewayPage:
    """Everything on the page of one gateway; commands and events newest first.

    Parameters
    ----------
    understands
        whether it hears our commands; None: `rebirth` alone.
    window
        its sequence; None: it has sent nothing that counts.
    holes
        the newest of the window's holes, both ends included.
    telemetry
        what it told of itself in the last days.
    behind
        messages that wait to be processed, if they wait for long.
    """

    health: GatewayHealth
    understands: bool | None
    window: SequenceWindow | None
    holes: list[tuple[int, int]]
    commands: list[Command]
    images: list[Image]
    events: list[Event]
    telemetry: list[Series]
    meters: Rows[MeterHealth]
    behind: Behind | None


async def gateway(request: web.Request) -> web.Response:
    """One gateway: how it is, what is missing of it, what it was asked for, what happened, its meters."""
    site, name, page = request.app[SITE], request.match_info["name"], page_number(request)
    fleet = await request.app[CAMERA].picture()
    view = await asyncio.to_thread(_look, site, fleet, name, page)
    return await render(
        request,
        "operator/gateway.html",
        name=name,
        view=view,
        open_states=OPEN,
        telemetry_days=_TELEMETRY_DAYS,
        chart_of=lambda quantity: str(URL(f"{_page_of(name)}/telemetry").with_query(quantity=quantity)),
    )


async def telemetry(request: web.Request) -> web.Response:
    """The specification of the chart of one quantity that a gateway tells of itself."""
    site, name = request.app[SITE], request.match_info["name"]
    start_s, end_s = _last_days(site)

    def look() -> list[Series]:
        with site.database.read() as tx:
            return telemetry_of(tx, start_s, end_s, gateway=name)

    series = series_named(request.query.get("quantity", ""), await asyncio.to_thread(look))
    return web.json_response(telemetry_chart(series, start_s, end_s, site.settings.site.zone))


def _last_days(site: Site) -> tuple[int, int]:
    now_s = seconds(site.clock())
    return now_s - _TELEMETRY_DAYS * DAY_S, now_s + 1


def _look(site: Site, fleet: Fleet, name: str, page: int) -> GatewayPage:
    meters = [meter for meter in fleet.meters if meter.gateway == name]
    with site.database.read() as tx:
        found = gateway_healths(tx, site.journal, meters, seconds(site.clock()), site.rules.rules.clock, gateway=name)
        if not found:
            raise NotFound(f"no gateway is called {name!r}")
        window = site.journal.windows(name).get(name)
        return GatewayPage(
            found[0],
            understands(tx, name, found[0].native),
            window,
            window.missing[: -_HOLES_NAMED - 1 : -1] if window else [],
            commands_of(tx, name, _COMMAND_ROWS),
            images(tx),
            events(tx, Choice(gateway=name), limit=_EVENT_ROWS),
            telemetry_of(tx, *_last_days(site), gateway=name),
            page_of(meters, page, _METER_ROWS),
            behind(tx, site),
        )


async def ask_gateway(request: web.Request) -> web.Response:
    """Queue the command of a form, and say so on the gateway's page."""
    form, name = await request.post(), request.match_info["name"]
    kind = str(form.get("kind", ""))
    args = {field: _number(field, str(text)) for field, text in form.items() if field not in {"kind", "csrf"}}
    asked = await asyncio.to_thread(ask, request.app[SITE], name, kind, args, by=known_user(request).login)
    if asked.command is None:
        raise await see_other(request, _page_of(name), asked.why, good=False)
    said = f"Queued as command {asked.command}: {words.COMMANDS[kind].lower()}."
    raise await see_other(request, _page_of(name), said)


def _number(field: str, text: str) -> Any:
    """A form knows only text; what is to be a number becomes one."""
    if field != "report_every_s":
        return text
    try:
        return int(text)
    except ValueError:
        raise InvalidInput(field, repr(text[:40]), "seconds, a whole number") from None


async def cancel_command(request: web.Request) -> web.Response:
    """Ask a gateway for something no longer."""
    site, name, text = request.app[SITE], request.match_info["name"], request.match_info["id"]
    number = number_in(text)
    by = known_user(request).login

    def give_up() -> bool:
        with site.database.write() as tx:
            _check_command(tx, name, number)
            try:
                cancel(tx, number, by=by, now=site.clock())
            except NotFound:
                return False
            return True

    if await asyncio.to_thread(give_up):
        raise await see_other(request, _page_of(name), f"Command {number} is cancelled.")
    raise await see_other(request, _page_of(name), f"Command {number} is finished: too late to cancel it.", good=False)


def _check_command(tx: Connection, gateway: str, number: int) -> None:
    c = t.command.c
    if tx.execute(select(c.id).where(c.id == number, c.gateway == gateway)).first() is None:
        raise NotFound(f"no command to {gateway} has the number {number}")


def _page_of(gateway: str) -> str:
    return str(URL("/operator/gateways") / gateway)


PAGES = (
    Page("GET", "/operator/gateways", gateway_list, OPERATOR),
    Page("GET", "/operator/gateways/{name}", gateway, OPERATOR),
    Page("GET", "/operator/gateways/{name}/telemetry", telemetry, OPERATOR),
    Page("POST", "/operator/gateways/{name}/commands", ask_gateway, OPERATOR),
    Page("POST", "/operator/gateways/{name}/commands/{id}/cancel", cancel_command, OPERATOR),
)
