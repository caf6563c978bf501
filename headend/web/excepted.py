"""The exceptions of a cycle: whom it does not bill, why, what to do about it, and who is left out with a reason."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, NamedTuple

from aiohttp import web
from sqlalchemy import Connection, func, select
from yarl import URL

from headend.billing.cycle import BEFORE_APPROVAL, OUT, BillCycle, CycleState, ExceptionCode
from headend.billing.deciding import exclude, include
from headend.billing.ports import AccountRange, known_cycle
from headend.billing.review import Exclusion
from headend.errors import HeadendError
from headend.office import office_of
from headend.reads.days import next_period, previous_period
from headend.store import tables as t
from headend.store.ledger import SqlLedger
from headend.store.reviews import SqlReviews
from headend.web.access import CLERK, SITE, Page, known_user
from headend.web.render import page_number, render, see_other

_ROWS = 50
#: So many who are left out are shown; a cycle in which more are is looked at with the command line.
_MOST_LEFT_OUT = 200

#: What each code says, for people.
CODES: Final[Mapping[ExceptionCode, str]] = {
    ExceptionCode.HELD: "Reads to be decided",
    ExceptionCode.HELD_BY_CLERK: "Held by a clerk",
    ExceptionCode.INCOMPLETE_READS: "Reads missing",
    ExceptionCode.NO_METER: "No meter",
    ExceptionCode.NO_TARIFF: "No tariff",
    ExceptionCode.CANNOT_RATE: "Cannot be rated",
    ExceptionCode.PRICE_MISSING: "Price missing",
    ExceptionCode.MONTH_BEFORE: "Period before not billed",
    ExceptionCode.OVERLAPPING_AGREEMENTS: "Agreements overlap",
    ExceptionCode.CURRENCIES: "Two currencies",
    ExceptionCode.REQUIRED_ITEM: "Required item missing",
}
_REGISTRY = "Put it right with headend registry"
_NEXT: Final[Mapping[ExceptionCode, str]] = {
    ExceptionCode.HELD: "Have its reads decided",
    ExceptionCode.HELD_BY_CLERK: "Find out what it is held for",
    ExceptionCode.INCOMPLETE_READS: "Wait for its reads, or have them estimated",
    ExceptionCode.NO_METER: _REGISTRY,
    ExceptionCode.NO_TARIFF: "Add the tariff, or change the agreement with headend registry",
    ExceptionCode.CANNOT_RATE: "Look at what the tariff asks for",
    ExceptionCode.PRICE_MISSING: "Import the price that is missing",
    ExceptionCode.MONTH_BEFORE: "Bill the period before first",
    ExceptionCode.OVERLAPPING_AGREEMENTS: _REGISTRY,
    ExceptionCode.CURRENCIES: _REGISTRY,
    ExceptionCode.REQUIRED_ITEM: "Fill in what the profile of statements requires",
}


class Link(NamedTuple):
    """Where to go on, and what that is called."""

    text: str
    href: str


@dataclass(frozen=True, slots=True)
class ExceptionRow:
    """One account that a cycle does not bill.

    Parameters
    ----------
    todo
        what to do next; "": it is settled. `links`: where.
    decided
        exceptions of reads that held it, and of which somebody has decided; `undecided`: that hold it still.
    billed_by
        its issued statement of the period; None: there is none.
    excluded
        that a clerk has left it out; None: nobody has.
    """

    account: str
    name: str
    code: ExceptionCode
    detail: str
    todo: str
    links: Sequence[Link]
    decided: Sequence[int]
    undecided: Sequence[int]
    billed_by: str | None
    excluded: Exclusion | None


def count_exceptions(tx: Connection, cycle: BillCycle) -> dict[ExceptionCode, int]:
    """How many exceptions of each code a cycle has, the most frequent first."""
    e = t.bill_exception.c
    query = select(e.code, func.count()).where(e.cycle_id == cycle.id).group_by(e.code)
    counts = {ExceptionCode(code): count for code, count in tx.execute(query)}
    return dict(sorted(counts.items(), key=lambda its: (-its[1], its[0])))


def exception_rows(
    tx: Connection, cycle: BillCycle, code: ExceptionCode | None, limit: int, offset: int
) -> list[ExceptionRow]:
    """A part of a cycle's exceptions, of all codes or one, by account."""
    e, a, s = t.bill_exception.c, t.account.c, t.statement.c
    query = (
        select(e.account_id, a.name, e.code, e.detail, e.held_by)
        .join(t.account, a.id == e.account_id)
        .where(e.cycle_id == cycle.id)
        .order_by(e.account_id)
        .limit(limit)
        .offset(offset)
    )
    found = tx.execute(query if code is None else query.where(e.code == str(code))).all()
    accounts = [row.account_id for row in found]
    if not accounts:
        return []
    held_by = {row.account_id: json.loads(row.held_by or "[]") for row in found}
    still = _undecided(tx, [number for numbers in held_by.values() for number in numbers])
    meters = meters_of(tx, accounts, cycle.period)
    issued = select(s.account_id, s.id).where(
        s.account_id.in_(accounts), s.period == cycle.period, s.state == "issued", s.cycle_id != cycle.id
    )
    billed = {row.account_id: row.id for row in tx.execute(issued.order_by(s.revision))}
    excluded = SqlReviews(tx).excluded(cycle, AccountRange(min(accounts), max(accounts), len(accounts)))
    rows = []
    for row in found:
        account, its_code = row.account_id, ExceptionCode(row.code)
        numbers = held_by[account]
        undecided = [number for number in numbers if number in still]
        settled = account in billed or account in excluded
        todo = "" if settled else _todo(cycle, its_code, bool(numbers), bool(undecided))
        links = [] if settled else list(_links(cycle, account, undecided, meters.get(account, ())))
        decided = [number for number in numbers if number not in still]
        rows.append(
            ExceptionRow(
                account,
                row.name,
                its_code,
                row.detail,
                todo,
                links,
                decided,
                undecided,
                billed.get(account),
                excluded.get(account),
            )
        )
    return rows


def _todo(cycle: BillCycle, code: ExceptionCode, was_held: bool, is_held: bool) -> str:
    if was_held and not is_held:
        return "Billed when it is rated again." if cycle.state in BEFORE_APPROVAL else "Bill it in an off-cycle run."
    then = "then rate again" if cycle.state in BEFORE_APPROVAL else "then bill it in an off-cycle run"
    return f"{_NEXT[code]}, {then}."


def _links(cycle: BillCycle, account: str, undecided: Sequence[int], meters: Sequence[str]) -> Sequence[Link]:
    links = [Link(f"Exception {number}", f"/operator/exceptions/{number}") for number in undecided]
    if not undecided:
        links += [Link(f"Reads of {meter}", reads_link(meter)) for meter in meters]
    if cycle.state in OUT:
        asked = {"kind": "off-cycle", "period": cycle.period, "group": cycle.scope.group, "accounts": account}
        links.append(Link("Off-cycle run", f"{URL('/clerk').with_query(asked)}#start"))
    return links


def reads_link(meter: str) -> str:
    """Where clerks see what is asked about a meter's reads."""
    return str(URL("/operator/exceptions").with_query(meter=meter))


def meters_of(tx: Connection, accounts: Collection[str], period: str) -> dict[str, list[str]]:
    """By account, the names of the meters that hung where it had an agreement around a billing period."""
    i, m, a = t.installation.c, t.meter.c, t.service_agreement.c
    first, last = f"{previous_period(period)}-01", f"{next_period(period)}-01"
    query = (
        select(a.account_id, m.name)
        .join(t.installation, i.usage_point_id == a.usage_point_id)
        .join(t.meter, (m.id == i.meter_id) & (m.commodity == a.commodity))
        .where(
            a.account_id.in_(accounts),
            a.valid_from < last,
            func.coalesce(a.valid_to, "9999-12-31") > first,
            func.coalesce(i.removed_s, 2**40) > _epoch_s(first),
            i.installed_s < _epoch_s(last),
        )
        .distinct()
        .order_by(m.name)
    )
    meters: dict[str, list[str]] = defaultdict(list)
    for account, name in tx.execute(query):
        meters[account].append(name)
    return meters


def _epoch_s(day: str) -> int:
    return (date.fromisoformat(day) - date(1970, 1, 1)) // timedelta(seconds=1)


def _undecided(tx: Connection, numbers: Sequence[int]) -> set[int]:
    """Those of these exceptions of reads of which nobody decided yet."""
    e = t.exception.c
    return set(tx.execute(select(e.id).where(e.id.in_(numbers), e.state != "closed")).scalars()) if numbers else set()


@dataclass(frozen=True, slots=True)
class ExceptionsPage:
    """A page of a cycle's exceptions.

    Parameters
    ----------
    by_code
        how many there are of each.
    left_out
        who is left out of the cycle, the latest first; `excludable`: whether somebody can be, still.
    """

    cycle: BillCycle
    rows: list[ExceptionRow]
    by_code: Mapping[ExceptionCode, int]
    found: int
    page: int
    pages: int
    left_out: list[Exclusion]
    all_left_out: int
    excludable: bool
    undecided: int


async def exceptions(request: web.Request) -> web.Response:
    """Whom a cycle does not bill, and what to do about it."""
    return await _show(request, "", {})


async def _show(request: web.Request, wrong: str, filled: Mapping[str, str]) -> web.Response:
    site, wanted = request.app[SITE], page_number(request)
    asked = request.query.get("code", "")
    code = ExceptionCode(asked) if asked in list(ExceptionCode) else None

    def look() -> ExceptionsPage:
        with site.database.read() as tx:
            cycle, reviews = cycle_in_path(tx, request), SqlReviews(tx)
            by_code = count_exceptions(tx, cycle)
            found = sum(by_code.values()) if code is None else by_code.get(code, 0)
            pages = max(1, -(-found // _ROWS))
            page = min(wanted, pages)
            left_out = sorted(reviews.excluded(cycle).values(), key=lambda one: one.at, reverse=True)
            return ExceptionsPage(
                cycle,
                exception_rows(tx, cycle, code, _ROWS, (page - 1) * _ROWS),
                by_code,
                found,
                page,
                pages,
                left_out[:_MOST_LEFT_OUT],
                len(left_out),
                cycle.state in (*BEFORE_APPROVAL, CycleState.ISSUED),
                reviews.undecided(cycle)[0],
            )

    return await render(
        request,
        "clerk/exceptions.html",
        status=422 if wrong else 200,
        view=await asyncio.to_thread(look),
        code=code,
        codes=CODES,
        wrong=wrong,
        filled=filled,
    )


def cycle_in_path(tx: Connection, request: web.Request) -> BillCycle:
    """The cycle that a path names; raises `NotFound`."""
    return known_cycle(SqlLedger(tx), request.match_info["period"], request.match_info["name"])


async def leave_out(request: web.Request) -> web.StreamResponse:
    """Leave an account out of the cycle, with a reason; or take it in again."""
    site, form = request.app[SITE], await request.post()
    period, name, by = request.match_info["period"], request.match_info["name"], known_user(request).login
    filled = {field: str(form.get(field, "")).strip()[:500] for field in ("account", "reason", "verb")}
    account = filled["account"]

    def decided() -> str:
        if filled["verb"] == "include":
            include(office_of(site), period, name, account, by)
            return f"{account} is taken in again."
        exclude(office_of(site), period, name, account, by, filled["reason"])
        return f"{account} is left out."

    try:
        said = await asyncio.to_thread(decided)
    except HeadendError as error:
        return await _show(request, str(error), filled)
    raise await see_other(request, str(URL(f"/clerk/cycles/{period}") / name / "exceptions"), said)


_AT = "/clerk/cycles/{period}/{name}/exceptions"

PAGES = (
    Page("GET", _AT, exceptions, CLERK),
    Page("POST", _AT, leave_out, CLERK),
)
