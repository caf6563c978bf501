"""The queue of a cycle's findings: what looks wrong about drafts, and what clerks decide about it, one or many at once.

A decision says which figures it was made by: of a draft that was rated anew meanwhile nothing is decided unseen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal, cast

from aiohttp import web
from sqlalchemy import Connection, select
from yarl import URL

from headend.billing import deciding
from headend.billing.cycle import BillCycle, CycleState
from headend.billing.deciding import Which
from headend.billing.ports import AccountRange, Office
from headend.billing.review import UNDECIDED, Exclusion, FindingCode, FindingState, Queued
from headend.errors import BillingConflict, InvalidInput, NotFound, few, given
from headend.office import office_of
from headend.store import tables as t
from headend.store.reviews import SqlReviews
from headend.web.access import CLERK, SITE, Page, known_user
from headend.web.excepted import cycle_in_path, meters_of
from headend.web.render import render, see_other

_ROWS: Final = 50
#: Of so many that were refused the reason is told.
_REASONS_TOLD: Final = 4

#: What each code says, for people.
CODES: Final[Mapping[FindingCode, str]] = {
    FindingCode.ESTIMATED_SHARE: "Much is estimated",
    FindingCode.ZERO_USE: "Nothing used",
    FindingCode.HIGH_USE: "High use",
    FindingCode.LOW_USE: "Low use",
    FindingCode.UNLIKE_PEERS: "Unlike its peers",
    FindingCode.REGISTER_DIFFERENCE: "Reads differ from the register",
    FindingCode.METER_CHANGE: "Meter changed",
    FindingCode.DAYS: "Unusual number of days",
    FindingCode.NEGATIVE: "Negative",
    FindingCode.OVER_LIMIT: "Above the limit",
    FindingCode.BACK_BILLED: "Billed late",
}
#: What can be shown: the states it stands for.
SHOWS: Final[Mapping[str, tuple[str, Sequence[FindingState]]]] = {
    "undecided": ("not decided", UNDECIDED),
    "open": ("open", (FindingState.OPEN,)),
    "waiting": ("waiting for a second person", (FindingState.WAITING,)),
    "released": ("released", (FindingState.RELEASED,)),
    "held": ("held", (FindingState.HELD,)),
    "all": ("all", ()),
}

Verb = Literal["release", "hold", "exclude", "confirm", "reopen"]
#: How what is done is said.
_DONE: Final[Mapping[Verb, str]] = {
    "release": "released",
    "hold": "held",
    "exclude": "left out",
    "confirm": "confirmed",
    "reopen": "open again",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What of the queue is asked for; `after`: account and code of the last one on the page before."""

    show: str = "undecided"
    code: FindingCode | None = None
    account: str = ""
    after: tuple[str, str] | None = None

    @property
    def states(self) -> Sequence[FindingState]:
        """Findings in one of these; empty: in any."""
        return SHOWS[self.show][1]

    @property
    def given(self) -> dict[str, str]:
        """As a query, without what is so anyway and without the page."""
        asked = {
            "show": "" if self.show == "undecided" else self.show,
            "code": self.code or "",
            "account": self.account,
        }
        return {name: str(text) for name, text in asked.items() if text}


@dataclass(frozen=True, slots=True)
class Row:
    """A finding with the draft it is about.

    Parameters
    ----------
    statement, total, currency
        of the draft; None: there is none any more.
    meters
        whose reads it rests on.
    excluded
        that its account is left out; nothing has to be decided then.
    """

    finding: Queued
    name: str
    statement: str | None
    total: Decimal | None
    currency: str | None
    meters: Sequence[str]
    excluded: Exclusion | None

    @property
    def key(self) -> str:
        """What a form sends of it: which one, and by which figures it was decided on."""
        return f"{self.finding.account}|{self.finding.code}|{self.finding.figures[:16]}"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the queue: how many match, and after which the next part begins; None: there is no more."""

    rows: list[Row]
    found: int
    next_after: tuple[str, str] | None


def part_of(tx: Connection, cycle: BillCycle, chosen: Chosen, limit: int) -> Part:
    """The findings that are asked for, by account and code."""
    reviews = SqlReviews(tx)
    found = reviews.findings(
        cycle,
        code=chosen.code,
        states=chosen.states,
        account=chosen.account or None,
        after=chosen.after,
        limit=limit + 1,
    )
    shown = found[:limit]
    last = (shown[-1].account, str(shown[-1].code)) if len(found) > limit else None
    return Part(_with_drafts(tx, cycle, shown), _count(reviews, cycle, chosen), last)


def _count(reviews: SqlReviews, cycle: BillCycle, chosen: Chosen) -> int:
    if chosen.account:
        return len(reviews.findings(cycle, code=chosen.code, states=chosen.states, account=chosen.account))
    return sum(
        count
        for (code, state), count in reviews.count_findings(cycle).items()
        if chosen.code in (None, code) and (not chosen.states or state in chosen.states)
    )


def _with_drafts(tx: Connection, cycle: BillCycle, findings: Sequence[Queued]) -> list[Row]:
    accounts = sorted({one.account for one in findings})
    if not accounts:
        return []
    s, a = t.statement.c, t.account.c
    names = {row.id: row.name for row in tx.execute(select(a.id, a.name).where(a.id.in_(accounts)))}
    query = select(s.account_id, s.id, s.total, s.currency).where(s.cycle_id == cycle.id, s.account_id.in_(accounts))
    drafts = {row.account_id: row for row in tx.execute(query)}
    meters = meters_of(tx, accounts, cycle.period)
    excluded = SqlReviews(tx).excluded(cycle, AccountRange(accounts[0], accounts[-1], len(accounts)))
    rows = []
    for one in findings:
        draft = drafts.get(one.account)
        rows.append(
            Row(
                one,
                names.get(one.account, ""),
                None if draft is None else draft.id,
                None if draft is None else Decimal(draft.total),
                None if draft is None else draft.currency,
                meters.get(one.account, ()),
                excluded.get(one.account),
            )
        )
    return rows


# ---- deciding ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Decided:
    """What became of a decision about many: findings as they are now, or accounts; and what was refused, and why."""

    done: int = 0
    waiting: int = 0
    refused: list[str] = field(default_factory=list)


def decide(
    office: Office, period: str, name: str, clerk: str, verb: Verb, reason: str, which: Sequence[Which]
) -> Decided:
    """Decide about findings, each by itself: what somebody else was first with is refused, and the rest done.

    Raises
    ------
    InvalidInput
        nothing to decide, or no reason.
    NotFound
        there is no such cycle.
    """
    if not which:
        raise InvalidInput("findings", "none", "those to decide: tick them")
    if verb != "confirm":
        given("reason", reason, "why it is decided so")
    decided = Decided()
    for one in _each_account(which) if verb == "exclude" else which:
        try:
            _decide_one(office, period, name, clerk, verb, reason, one, decided)
        except (BillingConflict, NotFound) as error:
            decided.refused.append(str(error))
    return decided


def _decide_one(
    office: Office, period: str, name: str, clerk: str, verb: Verb, reason: str, one: Which, decided: Decided
) -> None:
    if verb == "exclude":
        deciding.exclude(office, period, name, one.account or "", clerk, reason)
        decided.done += 1
        return
    if verb == "confirm":
        now = deciding.confirm(office, period, name, clerk, one)
    else:
        now = _WITH_REASON[verb](office, period, name, clerk, one, reason)
    _count_done(now, decided)


def decide_all(
    office: Office, period: str, name: str, clerk: str, verb: Verb, reason: str, code: FindingCode
) -> Decided:
    """Release or hold every open finding of a code; raises what that raises."""
    if verb not in ("release", "hold"):
        raise InvalidInput("decision", repr(verb), "release or hold, of all findings of a code")
    decided = Decided()
    _count_done(_WITH_REASON[verb](office, period, name, clerk, Which(code=code), reason), decided)
    return decided


_WITH_REASON: Final[Mapping[str, Callable[[Office, str, str, str, Which, str], list[Queued]]]] = {
    "release": deciding.release,
    "hold": deciding.hold,
    "reopen": deciding.reopen,
}


def _count_done(findings: Sequence[Queued], decided: Decided) -> None:
    waiting = sum(1 for one in findings if one.state == FindingState.WAITING)
    decided.waiting += waiting
    decided.done += len(findings) - waiting


def _each_account(which: Sequence[Which]) -> list[Which]:
    return list({one.account: one for one in which}.values())


# ---- pages ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QueuePage:
    """A page of the queue.

    Parameters
    ----------
    codes
        how many findings of each code there are in the states that are shown, the most frequent first.
    open_of_code
        open ones of the code that is chosen; all of them can be decided at once.
    undecided
        what has to be decided before approval.
    deciding
        whether the cycle is in review, so that something can be decided in it.
    """

    cycle: BillCycle
    part: Part
    codes: Mapping[FindingCode, int]
    open_of_code: int
    undecided: int
    waiting_for: int
    total: int
    deciding: bool


async def queue(request: web.Request) -> web.Response:
    """What looks wrong about the cycle's drafts."""
    return await _show(request, _chosen(request.query), {}, "")


async def _show(request: web.Request, chosen: Chosen, filled: Mapping[str, object], wrong: str) -> web.Response:
    site, clerk = request.app[SITE], known_user(request).login

    def look() -> QueuePage:
        with site.database.read() as tx:
            cycle, reviews = cycle_in_path(tx, request), SqlReviews(tx)
            counts = reviews.count_findings(cycle)
            codes: dict[FindingCode, int] = {}
            for (code, state), count in counts.items():
                if not chosen.states or state in chosen.states:
                    codes[code] = codes.get(code, 0) + count
            return QueuePage(
                cycle,
                part_of(tx, cycle, chosen, _ROWS),
                dict(sorted(codes.items(), key=lambda its: (-its[1], its[0]))),
                0 if chosen.code is None else counts.get((chosen.code, FindingState.OPEN), 0),
                reviews.undecided(cycle)[0],
                _waiting_for(tx, cycle, clerk),
                sum(counts.values()),
                cycle.state == CycleState.RATED,
            )

    return await render(
        request,
        "clerk/findings.html",
        status=422 if wrong else 200,
        view=await asyncio.to_thread(look),
        chosen=chosen,
        codes=CODES,
        shows={key: label for key, (label, _) in SHOWS.items()},
        filled=filled,
        wrong=wrong,
    )


def _waiting_for(tx: Connection, cycle: BillCycle, clerk: str) -> int:
    """Findings that somebody else released, and that this clerk can confirm."""
    waiting = SqlReviews(tx).findings(cycle, states=(FindingState.WAITING,))
    return sum(1 for one in waiting if (one.decided_by or "").casefold() != clerk.casefold())


def _chosen(query: Mapping[str, object]) -> Chosen:
    """What is not understood is left out."""
    show, code, account = (str(query.get(name, "")).strip() for name in ("show", "code", "account"))
    after = str(query.get("after", "")).rpartition("|")
    return Chosen(
        show if show in SHOWS else "undecided",
        FindingCode(code) if code in list(FindingCode) else None,
        account[:64],
        (after[0], after[2]) if after[1] else None,
    )


async def decided(request: web.Request) -> web.StreamResponse:
    """Decide about the findings that are ticked, or about all open ones of a code."""
    site, form = request.app[SITE], await request.post()
    period, name, by = request.match_info["period"], request.match_info["name"], known_user(request).login
    back = _chosen({key: form.get(f"back_{key}", "") for key in ("show", "code", "account", "after")})
    verb, reason = str(form.get("verb", "")), str(form.get("reason", "")).strip()[:500]
    ticked = [str(key) for key in form.getall("which", [])]
    all_of = str(form.get("all", ""))

    def work() -> Decided:
        known = _verb(verb)
        if all_of:
            return decide_all(office_of(site), period, name, by, known, reason, code_named(all_of))
        return decide(office_of(site), period, name, by, known, reason, [_which(key) for key in ticked])

    try:
        done = await asyncio.to_thread(work)
    except (InvalidInput, BillingConflict) as error:
        return await _show(request, back, {"which": set(ticked), "reason": reason}, str(error))
    target = URL(f"/clerk/cycles/{period}") / name / "findings"
    raise await see_other(request, str(target.with_query(back.given)), _said(_verb(verb), done), good=not done.refused)


def _said(verb: Verb, done: Decided) -> str:
    told = []
    if done.done:
        what = "account" if verb == "exclude" else "finding"
        told.append(f"{done.done} {what}{'' if done.done == 1 else 's'} {_DONE[verb]}.")
    if done.waiting:
        told.append(f"{done.waiting} wait{'s' if done.waiting == 1 else ''} for a second person.")
    if done.refused:
        told.append(f"{len(done.refused)} not: {few(done.refused, _REASONS_TOLD, '; ')}.")
    return " ".join(told)


def _verb(text: str) -> Verb:
    if text not in _DONE:
        raise InvalidInput("decision", repr(text[:20]), ", ".join(_DONE))
    return cast("Verb", text)


def code_named(text: str) -> FindingCode:
    """A code by its name; raises `InvalidInput`."""
    if text not in list(FindingCode):
        raise InvalidInput("code", repr(text[:40]), ", ".join(FindingCode))
    return FindingCode(text)


def _which(key: str) -> Which:
    head, _, figures = key.rpartition("|")
    account, _, code = head.rpartition("|")
    if not account:
        raise InvalidInput("finding", repr(key[:60]), "account, code and figures, as the page has them")
    return Which(account, code_named(code), figures)


_AT = "/clerk/cycles/{period}/{name}/findings"

PAGES = (
    Page("GET", _AT, queue, CLERK),
    Page("POST", _AT, decided, CLERK),
)
