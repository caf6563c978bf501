"""What a billing period costs so far, for the customer's page and the API: as it was kept, or made on the spot."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200
from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from headend.billing.accruals.accounts import cost_so_far
from headend.billing.accruals.accrual import Accrual, SegmentSoFar, shares
from headend.billing.agreements import period_at
from headend.errors import NotFound
from headend.office import office_of
from headend.reads.days import zone_named
from headend.registry.registry import account_named, agreements
from headend.site import Site
from headend.store.accruals import accrual_of, has_changed
from headend.tariffs.money import plain
from headend.web.access import CLERK, CUSTOMER, SITE, Page, known_user
from headend.web.api import as_json, endpoint
from headend.web.charts import Spec, expected_chart
from headend.web.readings import holdings


@dataclass(frozen=True, slots=True)
class Seen:
    """An accrual as it is shown.

    Parameters
    ----------
    as_of
        when its reads were looked at.
    is_stale
        newer reads have come, which it does not know of yet.
    timezone
        of its days.
    """

    accrual: Accrual
    as_of: datetime
    is_stale: bool
    timezone: str

    @property
    def has_reads(self) -> bool:
        """Whether it rests on any read."""
        return any(each.daily for each in self.accrual.segments)

    @property
    def days_left(self) -> int:
        """Local days of the period after today."""
        today = self.as_of.astimezone(zone_named(self.timezone)).date()
        return max(0, (self.accrual.last - today).days)

    @property
    def cost_by_currency(self) -> dict[str, Decimal]:
        """What the period costs so far, taxes included."""
        sums: dict[str, Decimal] = {}
        for segment in self.accrual.segments:
            sums[segment.currency] = sums.get(segment.currency, Decimal(0)) + segment.gross
        return sums


def seen(site: Site, account: str) -> Seen:
    """The accrual of the period that the account is in.

    Raises
    ------
    NotFound
        the account has no agreement.
    StoreAway
        it was not kept yet, and the store of older reads does not answer.
    """
    now = site.clock()
    with site.database.read() as tx:
        its = agreements(tx, account=account)
        if not its:
            raise NotFound(f"account {account!r} has no service agreement")
        period = period_at(its[0].account, now.astimezone(zone_named(its[0].timezone)).date())
        kept = accrual_of(tx, account, period)
        is_stale = kept is not None and has_changed(tx, {one.channel.meter for one in holdings(tx, account)})
    if kept is None:
        return Seen(cost_so_far(office_of(site), account, now), now, False, its[0].timezone)
    return Seen(kept.accrual, kept.made_at, is_stale, its[0].timezone)


# ---- chart ---------------------------------------------------------------------------------------------------------


async def chart(request: web.Request) -> web.Response:
    """Daily use of one service, so far and as expected."""
    site, user = request.app[SITE], known_user(request)
    account = user.account if user.role == "customer" else request.query.get("account")
    if account is None:
        raise NotFound("no account is named")

    def look() -> Spec:
        its = [
            each for each in seen(site, account).accrual.segments if each.agreement == request.query.get("agreement")
        ]
        if not its:
            raise NotFound("this account has no such agreement in this period")
        return expected_chart(its[0].first, *use_by_day(its), its[0].unit)

    return web.json_response(await asyncio.to_thread(look))


def use_by_day(segments: Sequence[SegmentSoFar]) -> tuple[list[int], list[int]]:
    """Use so far and as expected of each day that segments of one agreement have, one after the other [base units]."""
    so_far: list[int] = []
    expected: list[int] = []
    for each in segments:
        unread = (each.last - each.first).days + 1 - len(each.daily)
        daily = [*each.daily, *[0] * unread]
        so_far += daily
        expected += each.expected or daily
    return so_far, expected


# ---- API -----------------------------------------------------------------------------------------------------------


class ShareOut(BaseModel):
    """What of the use is in one TOU period and tier."""

    period: str | None = Field(description="name of the TOU period; only where the price has one")
    tier: int | None = Field(description="from 1; only where the price has one")
    quantity: str
    amount: str


class LineOut(BaseModel):
    """One line, as it would stand on the statement."""

    kind: str
    label: str
    quantity: str
    unit: str
    amount: str


class SegmentOut(BaseModel):
    """One service under one tariff."""

    agreement: str
    commodity: str
    tariff: str
    unit: str
    first: date
    last: date
    reads_end: datetime
    usage: str
    export: str | None
    currency: str
    amount: str
    shares: list[ShareOut] = Field(description="use and its price by TOU period and tier, without taxes")
    lines: list[LineOut]
    daily: list[int] = Field(description="use of each local day from `first` on, in whole base units (Wh, dm³, litre)")


class ForecastOut(BaseModel):
    """What the statement will come to."""

    low: str
    expected: str
    high: str


class AccrualOut(BaseModel):
    """What the running billing period costs so far; numbers are decimal text, amounts with taxes."""

    account: str
    period: str
    first: date
    last: date
    days: int
    days_left: int = Field(description="after today")
    as_of: datetime = Field(description="when its reads were looked at")
    stale: bool = Field(description="newer reads have come, which it does not know of yet")
    through: datetime | None = Field(description="up to where there are reads; only where something can be rated")
    currency: str | None
    amount: str | None = Field(description="only where it can be rated, in one currency")
    forecast: ForecastOut | SkipJsonSchema[None] = Field(
        description="only where there is one; the range is meant to hold eight of ten statements"
    )
    no_forecast: str | None = Field(description="only where there is none: why")
    segments: list[SegmentOut]
    problems: list[str]


@endpoint
async def accrual(request: web.Request, id: str, /) -> r200[AccrualOut]:
    """What an account's running billing period costs so far, and is expected to; a customer's own only."""
    site, user = request.app[SITE], known_user(request)

    def look() -> AccrualOut:
        if user.role == "customer" and user.account != id:
            raise NotFound(f"no account is called {id!r}")
        with site.database.read() as tx:
            account_named(tx, id)
        return _out(seen(site, id))

    return as_json(await asyncio.to_thread(look), leave_out_none=True)


def _out(shown: Seen) -> AccrualOut:
    its = shown.accrual
    forecast = its.forecast
    return AccrualOut(
        account=its.account,
        period=its.period,
        first=its.first,
        last=its.last,
        days=its.days,
        days_left=shown.days_left,
        as_of=shown.as_of,
        stale=shown.is_stale,
        through=its.through,
        currency=its.currency,
        amount=None if its.amount is None else format(its.amount, "f"),
        forecast=forecast
        and ForecastOut(
            low=format(forecast.low, "f"), expected=format(forecast.expected, "f"), high=format(forecast.high, "f")
        ),
        no_forecast=its.no_forecast or None,
        segments=[_segment_out(each) for each in its.segments],
        problems=list(its.problems),
    )


def _segment_out(segment: SegmentSoFar) -> SegmentOut:
    return SegmentOut(
        agreement=segment.agreement,
        commodity=segment.commodity,
        tariff=segment.tariff,
        unit=segment.unit,
        first=segment.first,
        last=segment.last,
        reads_end=segment.reads_end,
        usage=format(segment.usage, "f"),
        export=None if segment.export is None else format(segment.export, "f"),
        currency=segment.currency,
        amount=format(segment.gross, "f"),
        shares=[
            ShareOut(period=one.period, tier=one.tier, quantity=plain(one.quantity), amount=format(one.amount, "f"))
            for one in shares(segment)
        ],
        lines=[
            LineOut(
                kind=line.kind,
                label=line.label,
                quantity=plain(line.quantity),
                unit=line.unit,
                amount=format(line.amount, "f"),
            )
            for line in segment.lines
        ],
        daily=list(segment.daily),
    )


PAGES = (
    Page("GET", "/customer/accrual/chart", chart, CUSTOMER),
    Page("GET", "/api/v1/accounts/{id}/accrual", accrual, CLERK | CUSTOMER),
)
