"""The queue of exceptions, and the page of one: what is asked, what lies around it, what was done about it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Final, Literal

from aiohttp import web
from sqlalchemy import Connection
from yarl import URL

from headend.errors import EditConflict, InvalidInput, NotFound, StoreAway
from headend.preview import preview_again
from headend.process.editing import seen
from headend.reads.days import moment, seconds
from headend.registry.registry import EnrolledChannel, channels_of
from headend.site import Site
from headend.store.edits import Edit, edits_of
from headend.store.exceptions import Choice, ReadException, count, counts_by_rule, exception_of, exceptions
from headend.web.access import CLERK, OPERATOR, SITE, Page, known_user
from headend.web.around import Around, Verdict, around, by_hours, verdict
from headend.web.charts import exception_chart
from headend.web.foreseen import Foreseen, foreseen
from headend.web.meters import FindingRow, Interval, findings_between, intervals_of
from headend.web.readings import over_by, readings
from headend.web.render import number_in, page_number, render
from headend.web.words import Unit, unit_of

_ROWS: Final = 50
#: A longer span than this has a line a value instead of a field a value, and at most so many lines.
FIELDS: Final = 48
MOST_VALUES: Final = 3_000
#: From this length on the chart is drawn by the hour [s].
_BY_HOUR_S: Final = 14 * 86_400
#: And no more than this of a span is drawn [s].
_DRAWN_S: Final = 100 * 86_400
#: The meter's page shows no more days than this at once.
_METER_DAYS: Final = 60

_SHOWS: Final[dict[str, tuple[str, Literal["undecided", "waiting", "closed"]]]] = {
    "undecided": ("undecided", "undecided"),
    "waiting": ("waiting for a second person", "waiting"),
    "decided": ("decided", "closed"),
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is chosen in the queue's form; `bill`: those that hold one."""

    show: str
    rule: str
    meter: str
    bill: bool

    @property
    def given(self) -> dict[str, str]:
        """As a query, without what is so anyway."""
        asked = {
            "show": "" if self.show == "undecided" else self.show,
            "rule": self.rule,
            "meter": self.meter,
            "bill": "held" if self.bill else "",
        }
        return {name: text for name, text in asked.items() if text}

    @property
    def choice(self) -> Choice:
        """As the queue is asked."""
        held = True if self.bill else None
        return Choice(_SHOWS[self.show][1], rule=self.rule or None, meter=self.meter or None, holds_bill=held)


@dataclass(frozen=True, slots=True)
class QueuePage:
    """One page of the queue; `rules` by how often they ask, `ever`: there were exceptions once."""

    shown: list[ReadException]
    rules: list[tuple[str, int]]
    found: int
    page: int
    pages: int
    ever: bool


async def queue(request: web.Request) -> web.Response:
    """What waits for a decision, the most urgent first; or what was decided."""
    site, chosen, wanted = request.app[SITE], _chosen(request), page_number(request)

    def look() -> QueuePage:
        with site.database.read() as tx:
            found = count(tx, chosen.choice)
            pages = max(1, -(-found // _ROWS))
            page = min(wanted, pages)
            shown = exceptions(tx, chosen.choice, _ROWS, (page - 1) * _ROWS)
            rules = list(counts_by_rule(tx, replace(chosen.choice, rule=None)).items())
            return QueuePage(shown, rules, found, page, pages, bool(found) or count(tx, Choice("all")) > 0)

    return await render(
        request,
        "operator/exceptions.html",
        view=await asyncio.to_thread(look),
        chosen=chosen,
        given=chosen.given,
        shows=[(key, label) for key, (label, _) in _SHOWS.items()],
    )


def _chosen(request: web.Request) -> Chosen:
    """What is not understood is left out."""
    query = request.query
    show = query.get("show", "undecided")
    return Chosen(
        show if show in _SHOWS else "undecided",
        query.get("rule", "").strip()[:16],
        query.get("meter", "").strip()[:64],
        query.get("bill") == "held",
    )


@dataclass(frozen=True, slots=True)
class ExceptionPage:
    """Everything on the page of one exception.

    Parameters
    ----------
    intervals
        the first of its span, oldest first; `count`: how many there are.
    verdict
        what registers say of them; None: they cannot be looked at.
    store_answers
        False: the reads cannot be looked at for now.
    edits
        what was done, or asked for, oldest first; `waiting`: the one that needs a second person.
    proposed, conflict
        what that one would do, or why it would not do it any more.
    seen
        what the asker has seen, so that what they decide on is what they saw; "" where it cannot be looked at.
    charted_min
        length of the chart's intervals [min].
    """

    one: ReadException
    channel: EnrolledChannel
    unit: Unit
    intervals: list[Interval]
    count: int
    verdict: Verdict | None
    store_answers: bool
    findings: list[FindingRow]
    edits: list[Edit]
    waiting: Edit | None
    proposed: Foreseen | None
    conflict: str
    seen: str
    charted_min: int

    @property
    def editable(self) -> bool:
        """Whether a person can be asked for its values."""
        return 0 < self.count == len(self.intervals)

    @property
    def fields(self) -> int:
        """Up to so many values have a field each."""
        return FIELDS


@dataclass(frozen=True, slots=True)
class Filled:
    """What stands in a form of the page of an exception; `values` as people write them."""

    action: str = ""
    reason: str = ""
    note: str = ""
    method: str = ""
    seen: str = ""
    values: tuple[str, ...] = ()

    @property
    def fields(self) -> list[tuple[str, str]]:
        """As hidden fields, so that what was foreseen is what is done."""
        said = [(name, getattr(self, name)) for name in ("action", "reason", "note", "method", "seen")]
        return [*said, *(("value", value) for value in self.values)]


async def exception(request: web.Request) -> web.Response:
    """One exception: what and why, what lies around it, what can be done, what was done."""
    return await show(request, number_of(request))


async def show(request: web.Request, number: int, filled: Filled | None = None, wrong: str = "") -> web.Response:
    """The page of an exception; with what was filled in, and what is wrong with it."""
    site, decides = request.app[SITE], known_user(request).role != "clerk"

    def look() -> ExceptionPage:
        with site.database.read() as tx:
            page = page_of(tx, site, exception_of(tx, number))
        return _with_proposal(site, page, page.waiting) if page.waiting and page.store_answers and decides else page

    view = await asyncio.to_thread(look)
    meter_page = URL("/operator/meters") / view.one.meter_name
    interval = str((meter_page / "interval").with_query(channel=view.one.channel.obis, at=""))
    zone = site.settings.site.zone
    first, last = (moment(at).astimezone(zone).date() for at in (view.one.start_s, view.one.end_s - 1))
    days = {"from": first.isoformat(), "to": last.isoformat(), "channel": view.one.channel.obis}
    return await render(
        request,
        "operator/exception.html",
        status=422 if wrong else 200,
        view=view,
        filled=filled or Filled(),
        wrong=wrong,
        path_of=path_of(number),
        decides=decides,
        reasons=list(site.rules.editing.reasons),
        meter_page=str(meter_page.with_query(days) if (last - first).days < _METER_DAYS else meter_page),
        interval_at=lambda start_s: f"{interval}{moment(start_s):%Y-%m-%dT%H:%M:%SZ}",
    )


def _with_proposal(site: Site, page: ExceptionPage, waiting: Edit) -> ExceptionPage:
    """With what the edit that waits would do."""
    try:
        return replace(page, proposed=foreseen(site, preview_again(site, waiting.id)))
    except (EditConflict, InvalidInput) as conflict:
        return replace(page, conflict=str(conflict))
    except StoreAway:
        return page


async def chart(request: web.Request) -> web.Response:
    """The specification of the chart of the load around an exception."""
    site, number = request.app[SITE], number_of(request)

    def look() -> tuple[ReadException, Around]:
        with site.database.read() as tx:
            one = exception_of(tx, number)
            channel = channel_of(tx, one)
            end_s = min(one.end_s, one.start_s + _DRAWN_S)
            return one, around(tx, site, channel, one.start_s, end_s, seconds(site.clock()))

    one, drawn = await asyncio.to_thread(look)
    if _charted_s(one, drawn.reads.interval_s) > drawn.reads.interval_s:
        drawn = by_hours(drawn)
    spec = exception_chart(drawn.reads, drawn.usual, one.start_s, one.end_s, site.settings.site.zone)
    return web.json_response(spec)


def page_of(tx: Connection, site: Site, one: ReadException) -> ExceptionPage:
    """What there is to see of an exception; without its reads where the store does not answer."""
    channel = channel_of(tx, one)
    zone = site.settings.site.zone
    told: Verdict | None = None
    try:
        reads = readings(tx, site.store, channel, one.start_s, _over(site, channel, one))
        told, answers = verdict(tx, site, channel, one.start_s, one.end_s, zone), True
    except StoreAway:
        reads, answers = None, False
    made = edits_of(tx, one.id)
    return ExceptionPage(
        one,
        channel,
        unit_of(one.channel),
        [] if reads is None else intervals_of(reads)[:MOST_VALUES],
        0 if reads is None else len(reads),
        told,
        answers,
        findings_between(tx, one.meter, one.start_s, one.end_s, one.channel),
        made,
        next((edit for edit in made if edit.state == "waiting"), None),
        None,
        "",
        "" if reads is None else seen(tx, site, one),
        _charted_s(one, channel.interval_s) // 60,
    )


def channel_of(tx: Connection, one: ReadException) -> EnrolledChannel:
    """The channel an exception asks about; raises `NotFound` where it is enrolled no more."""
    for channel in channels_of(tx, one.meter_name):
        if channel.channel == one.channel:
            return channel
    raise NotFound(f"{one.meter_name} has no channel {one.channel.obis} any more")


def number_of(request: web.Request) -> int:
    """The number in the path; raises `NotFound` for what can be none."""
    text = request.match_info["id"]
    number = number_in(text)
    if number < 0:
        raise NotFound(f"no exception has the number {text[:40]!r}")
    return number


def path_of(number: int) -> str:
    """The page of an exception."""
    return f"/operator/exceptions/{number}"


def _over(site: Site, channel: EnrolledChannel, one: ReadException) -> int:
    """End of the span, as far as it is over [s since 1970]."""
    return min(one.end_s, max(one.start_s, over_by(channel, seconds(site.clock()))))


def _charted_s(one: ReadException, interval_s: int) -> int:
    """Length of the chart's intervals [s]."""
    return 3_600 if one.end_s - one.start_s > _BY_HOUR_S and interval_s < 3_600 else interval_s


PAGES = (
    Page("GET", "/operator/exceptions", queue, OPERATOR | CLERK),
    Page("GET", "/operator/exceptions/{id}", exception, OPERATOR | CLERK),
    Page("GET", "/operator/exceptions/{id}/chart", chart, OPERATOR | CLERK),
)
