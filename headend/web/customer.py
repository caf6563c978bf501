"""The customer's page: use, cost so far, statements. Staff who may do all see it for an account they name."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from aiohttp import web
from sqlalchemy import Connection, select
from yarl import URL

from headend.billing.agreements import Account
from headend.billing.books.entries import Entry
from headend.billing.books.position import Position
from headend.billing.budgets import Plan, plan_in
from headend.billing.statement import Statement, parse_statement
from headend.errors import NotFound, StoreAway
from headend.monitor.lag import Behind
from headend.reads.channels import Channel
from headend.reads.days import Period, previous_month, seconds
from headend.registry.registry import account_named, agreements
from headend.store import tables as t
from headend.store.budgets import balances, plans
from headend.store.ledger import SqlLedger
from headend.web.access import CUSTOMER, SITE, Page, known_user
from headend.web.accrual import Seen, seen
from headend.web.books import shown, standing_of
from headend.web.charts import Spec, daily_chart, elapsed, load_chart
from headend.web.readings import Holding, by_day, by_hour, holdings, on_the_way, over_by, readings
from headend.web.render import render
from headend.web.statements import as_bundle, as_html, as_json, as_pdf
from headend.web.words import unit_of

_LISTED_ACCOUNTS = 200

Step = Literal["day", "hour"]


@dataclass(frozen=True, slots=True)
class View:
    """What of the customer's use is drawn: a month, by day or by hour."""

    period: Period
    step: Step

    @property
    def month(self) -> str:
        """`YYYY-MM`."""
        return f"{self.period.first:%Y-%m}"


@dataclass(frozen=True, slots=True)
class CustomerPage:
    """Everything on the page.

    Parameters
    ----------
    months
        this one and the last, `YYYY-MM`.
    cost
        None for an account without agreement, and where the interval store does not answer.
    standing, payments
        what is owed, by currency; what was paid, newest first.
    plan, carried
        the budget plan in force, if there is one; by currency, what was billed and is not asked for yet.
    store_away
        it does not.
    behind
        how far processing is behind, if it may lack reads of what is drawn.
    """

    account: Account
    months: tuple[str, str]
    view: View
    channels: list[tuple[str, Channel]]
    cost: Seen | None
    statements: list[Statement]
    standing: list[Position]
    payments: list[Entry]
    plan: Plan | None
    carried: dict[str, Decimal]
    store_away: bool
    behind: Behind | None


async def page(request: web.Request) -> web.Response:
    """Use, cost so far, statements of the customer's account."""
    site = request.app[SITE]
    account_id = _account(request)
    if account_id is None:
        return await render(request, "customer/choose.html", accounts=await asyncio.to_thread(_accounts, request))
    now = site.clock()

    def look() -> CustomerPage:
        with site.database.read() as tx:
            account = account_named(tx, account_id)
            zone = _zone(tx, request, account_id)
            view = _view(request, now, zone)
            held = _in_view(holdings(tx, account_id), view, now)
            statements = [parse_statement(kept.document) for kept in SqlLedger(tx).statements_of(account_id)]
            standing, payments = standing_of(tx, account_id, now.astimezone(zone).date())
            plan = plan_in([kept.plan for kept in plans(tx, account_id)], f"{now.astimezone(zone):%Y-%m}")
            carried = {currency: amount for (_, currency), amount in sorted(balances(tx, account_id).items())}
            behind = next(
                filter(None, (on_the_way(tx, site, one.channel, _end_s(one, view, now)) for one in held)), None
            )
        cost, store_away = None, False
        try:
            cost = seen(site, account_id)
        except NotFound:
            pass  # there is no agreement
        except StoreAway:
            store_away = True
        this = f"{now.astimezone(zone):%Y-%m}"
        months = (this, previous_month(now.astimezone(zone).date()))
        channels = sorted({(one.channel.meter_name, one.channel.channel) for one in held}, key=_by_medium)
        in_force = None if plan is None or plan.has_ended else plan
        return CustomerPage(
            account,
            months,
            view,
            channels,
            cost,
            statements,
            standing,
            payments,
            in_force,
            carried,
            store_away,
            behind,
        )

    found = await asyncio.to_thread(look)
    whose = {} if known_user(request).role == "customer" else {"account": account_id}
    asked = {**whose, "month": "this" if found.view.month == found.months[0] else "last", "by": found.view.step}

    def chart_of(meter: str, channel: Channel) -> str:
        return str(URL("/customer/chart").with_query({**asked, "meter": meter, "channel": channel.obis}))

    def foreseen(agreement: str) -> str:
        return str(URL("/customer/accrual/chart").with_query({**whose, "agreement": agreement}))

    return await render(
        request,
        "customer/page.html",
        view=found,
        whose=whose,
        asked=asked,
        chart_of=chart_of,
        foreseen=foreseen,
        shown=shown,
    )


async def chart(request: web.Request) -> web.Response:
    """The specification of one channel's chart."""
    site, account_id = request.app[SITE], _account(request)
    if account_id is None:
        raise NotFound("no account is named")

    def look() -> Spec:
        with site.database.read() as tx:
            zone = _zone(tx, request, account_id)
            now = site.clock()
            view = _view(request, now, zone)
            mine = [
                one
                for one in _in_view(holdings(tx, account_id), view, now)
                if (one.channel.meter_name, one.channel.channel.obis)
                == (request.query.get("meter"), request.query.get("channel"))
            ]
            if not mine:
                raise NotFound("this account has no such meter and channel in this month")
            start_s, end_s = elapsed(view.period, over_by(mine[0].channel, seconds(now)))
            reads = readings(tx, site.store, mine[0].channel, max(start_s, mine[0].start_s), min(end_s, mine[0].end_s))
        if view.step == "hour":
            return load_chart(by_hour(reads), zone)
        return daily_chart(by_day(reads, view.period), unit_of(reads.channel).shown)

    return web.json_response(await asyncio.to_thread(look))


def _account(request: web.Request) -> str | None:
    """Whose page it is: a customer's own, whatever the query says."""
    user = known_user(request)
    return user.account if user.role == "customer" else request.query.get("account")


def _accounts(request: web.Request) -> list[Account]:
    with request.app[SITE].database.read() as tx:
        query = select(t.account).order_by(t.account.c.id).limit(_LISTED_ACCOUNTS)
        return [Account(*row) for row in tx.execute(query)]


def _zone(tx: Connection, request: web.Request, account: str) -> ZoneInfo:
    """The zone the account is billed in: its first usage point's, else the site's."""
    first = next(iter(agreements(tx, account=account)), None)
    return ZoneInfo(first.timezone) if first else request.app[SITE].settings.site.zone


def _view(request: web.Request, now: datetime, zone: ZoneInfo) -> View:
    today = now.astimezone(zone).date()
    month = previous_month(today) if request.query.get("month") == "last" else f"{today:%Y-%m}"
    return View(Period.month(month, zone), "hour" if request.query.get("by") == "hour" else "day")


def _in_view(held: list[Holding], view: View, now: datetime) -> list[Holding]:
    start_s, end_s = elapsed(view.period, seconds(now))
    return [one for one in held if one.start_s < end_s and one.end_s > start_s]


def _end_s(held: Holding, view: View, now: datetime) -> int:
    """End of what is drawn of a channel [s since 1970]."""
    return min(elapsed(view.period, over_by(held.channel, seconds(now)))[1], held.end_s)


_MEDIA = ("electricity", "gas", "water", "heat")


def _by_medium(channel: tuple[str, Channel]) -> tuple[int, int, str]:
    commodity = channel[1].commodity
    return _MEDIA.index(commodity) if commodity in _MEDIA else len(_MEDIA), channel[1].code, channel[0]


PAGES = (
    Page("GET", "/customer", page, CUSTOMER),
    Page("GET", "/customer/chart", chart, CUSTOMER),
    Page("GET", "/customer/statements/{id}.pdf", as_pdf, CUSTOMER),
    Page("GET", "/customer/statements/{id}.json", as_json, CUSTOMER),
    Page("GET", "/customer/statements/{id}.zip", as_bundle, CUSTOMER),
    Page("GET", "/customer/statements/{id}", as_html, CUSTOMER),
)
