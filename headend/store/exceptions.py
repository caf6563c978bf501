"""Exceptions: the stretches of reads about which a person is asked, one row for each and the rule that asks.

A queue is only of use if it holds each thing once. So what is found again touches what is open already and extends it,
what validation no longer finds is closed, and what somebody decided does not come back: not until other numbers are
found than those that were decided on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, cast

from sqlalchemy import ColumnElement, Connection, and_, func, select, true, update

from headend.errors import NotFound
from headend.reads.channels import Channel
from headend.reads.days import microseconds, moment_us
from headend.store import tables as t
from headend.store.bulk import among
from headend.vee.findings import OF_OTHERS, Finding, Severity
from headend.vee.ruleset import Rules, RuleSet

State = Literal["open", "waiting", "closed"]
Outcome = Literal["accepted", "edited", "estimated", "rejected", "cleared"]

#: (meter, channel)
ChannelKey = tuple[int, int]

#: What settlement says of a day, and says no more when it is settled again without it.
SETTLED_RULES: Final = frozenset({"V4", "V6", "V7", "V8", "V9", "V10"})
#: The rule of what somebody asked to look at.
BY_HAND: Final = "hand"
#: What is said of one bill, and not of the next one too.
BILL_RULES: Final = frozenset({"V11", "V13b"})

#: How urgent a rule's word is beside anomalies, which have a score of their own.
_SCORE: Final[Mapping[Severity, float]] = MappingProxyType({"info": 0.3, "warning": 0.5, "failed": 0.7})
#: What a bill waits for comes before them.
_HOLDS_SCORE: Final = 0.8
#: A decided anomaly that goes on comes back when it is told with a score higher by more than this.
_WORSE = 0.1

#: Prolonged estimation: each day without a read makes it longer.
_GROWS = "V13"

_FIELD_OF = {field.alias: name for name, field in Rules.model_fields.items() if field.alias}


@dataclass(frozen=True, slots=True)
class ReadException:
    """A stretch of one channel's intervals, and the rule or anomaly that asks about it.

    Parameters
    ----------
    meter, meter_name
        registry key, and the name.
    rule
        V1 to V13, an anomaly, or "hand".
    start_s, end_s
        begin of the first interval and end of the last [s since 1970].
    score
        0 to 1: what to look at first.
    holds_bill
        no bill of these reads until somebody decided.
    state
        open; waiting for a second person; closed.
    outcome
        of a closed one: what was decided, or "cleared" by what came later.
    changed_by
        a user, or what opened, extended or closed it.
    """

    id: int
    meter: int
    meter_name: str
    channel: Channel
    rule: str
    start_s: int
    end_s: int
    severity: str
    score: float
    detail: str
    rule_set: str
    holds_bill: bool
    state: State
    outcome: Outcome | None
    opened: datetime
    changed: datetime
    changed_by: str
    reason: str | None
    note: str | None

    @property
    def key(self) -> ChannelKey:
        """Its meter and channel, as stores take them."""
        return self.meter, self.channel.code


@dataclass(frozen=True, slots=True)
class Choice:
    """Which exceptions are asked for; None: whatever it is.

    Parameters
    ----------
    state
        undecided are those that are open or wait for a second person.
    meter
        a meter's name.
    holds_bill
        those that hold bills, or those that do not.
    """

    state: State | Literal["undecided", "all"] = "undecided"
    rule: str | None = None
    meter: str | None = None
    severity: str | None = None
    holds_bill: bool | None = None


class Passed(NamedTuple):
    """What a person accepted, for one rule."""

    meter: int
    channel: int
    start_s: int
    end_s: int
    rule: str


@dataclass(frozen=True, slots=True)
class _Found:
    """What asks for an exception."""

    meter: int
    channel: int
    rule: str
    start_s: int
    end_s: int
    severity: str
    score: float
    detail: str
    rule_set: str
    holds_bill: bool

    @property
    def key(self) -> tuple[int, int, str]:
        return self.meter, self.channel, self.rule

    def touches(self, other: Any) -> bool:
        """Whether no interval lies between the two; of bills, which lie side by side, whether they share any."""
        between = int(self.rule in BILL_RULES)
        return bool(self.start_s + between <= other.end_s and other.start_s + between <= self.end_s)


_E = t.exception.c
_UNDECIDED = _E.state != "closed"


def open_found(
    tx: Connection,
    findings: Iterable[Finding],
    rule_set: RuleSet,
    class_of: Mapping[ChannelKey, str],
    now: datetime,
    *,
    holding: bool = False,
) -> int:
    """Put what validation wants reviewed into the queue; how many exceptions that opened.

    Findings of one rule that touch are one exception. What was decided does not come back within its stretch unless it
    is told with another detail.

    Parameters
    ----------
    findings
        those without `review` are passed over.
    class_of
        customer class by (meter, channel), which says whether a rule holds the bill; "" where it is not there.
    holding
        they hold the bill whatever their rule's `then` says.
    """
    found = [
        _Found(
            each.meter,
            each.channel,
            each.rule,
            each.start_s,
            each.end_s,
            each.severity,
            _HOLDS_SCORE if holds else _SCORE[each.severity],
            each.detail,
            rule_set.version,
            holds,
        )
        for each in findings
        if each.review
        for holds in [holding or _holds(rule_set.of(class_of.get((each.meter, each.channel), "")), each.rule)]
    ]
    return _queue(tx, found, _is_no_news, f"rules {rule_set.version}", now)


def open_anomalies(
    tx: Connection, anomalies: Iterable[tuple[int, int, str, int, int, float, str]], rule_set: str, now: datetime
) -> int:
    """Put anomalies into the queue; how many exceptions that opened.

    One that goes on extends its exception. Where that was decided it comes back only if it is markedly worse.

    Parameters
    ----------
    anomalies
        meter, channel, code, start and end [s since 1970], score from 0 to 1, detail.
    rule_set
        the version of the rule set with their limits.
    """
    found = [
        _Found(meter, channel, code, start_s, end_s, "warning", score, detail, rule_set, holds_bill=False)
        for meter, channel, code, start_s, end_s, score, detail in anomalies
    ]
    return _queue(tx, found, _is_no_worse, f"rules {rule_set}", now)


def unfound(
    tx: Connection,
    looked_at: Sequence[tuple[int, int, int, int]],
    findings: Iterable[Finding],
    rules: Collection[str] = SETTLED_RULES,
) -> list[int]:
    """Open exceptions that lie within what was looked at again and were not found again.

    Parameters
    ----------
    looked_at
        meter, channel, start and end [s since 1970]; stretches that touch count as one.
    findings
        what was found there, as of `open_found`.
    rules
        those that looked.
    """
    rows = _rows_of(tx, {meter for meter, *_ in looked_at}, and_(_E.state == "open", _E.rule.in_(rules)))
    if not rows:
        return []
    seen = _joined(looked_at)
    found: dict[tuple[int, int, str], list[Finding]] = defaultdict(list)
    for each in findings:
        if each.review:
            found[each.meter, each.channel, each.rule].append(each)
    return [
        row.id
        for row in rows
        if any(a <= row.start_s and row.end_s <= b for a, b in seen.get((row.meter, row.channel), ()))
        and not any(
            each.start_s < row.end_s and row.start_s < each.end_s for each in found[row.meter, row.channel, row.rule]
        )
    ]


def clear_unfound(
    tx: Connection,
    looked_at: Sequence[tuple[int, int, int, int]],
    findings: Iterable[Finding],
    *,
    by: str,
    now: datetime,
    rules: Collection[str] = SETTLED_RULES,
) -> int:
    """Close open exceptions that lie within what was looked at again and were not found again; how many.

    What waits for a second person stays: somebody has decided.

    Parameters
    ----------
    looked_at, findings, rules
        as of `unfound`.
    by
        what looked.
    """
    gone = unfound(tx, looked_at, findings, rules)
    for one in gone:
        close(tx, one, "cleared", by=by, now=now)
    return len(gone)


def open_by_hand(
    tx: Connection, key: ChannelKey, start_s: int, end_s: int, *, rule_set: str, by: str, note: str, now: datetime
) -> int:
    """Somebody asks to look at a stretch of one channel; the exception's number."""
    asked = _Found(*key, BY_HAND, start_s, end_s, "info", 1.0, note or f"{by} asks to look", rule_set, holds_bill=False)
    return _insert(tx, asked, by, now)


def close(
    tx: Connection, exception: int, outcome: Outcome, *, by: str, now: datetime, reason: str = "", note: str = ""
) -> None:
    """An exception is decided, or nothing any more."""
    _change(tx, exception, by, now, state="closed", outcome=outcome, reason=reason or None, note=note or None)


def close_forgotten(tx: Connection, before_s: int, *, by: str, now: datetime) -> int:
    """Close what nobody decided while its reads were kept, which are those from `before_s` on; how many.

    What waits for a second person is refused. What was decided stays, with the edits: bills rest on it.
    """
    old = _UNDECIDED & (_E.end_s <= before_s)
    now_us = microseconds(now)
    waiting = t.edit.c.exception_id.in_(select(_E.id).where(old)) & (t.edit.c.state == "waiting")
    tx.execute(update(t.edit).where(waiting).values(state="refused", second_us=now_us, second_by=by))
    note = "its reads are no longer kept"
    values = {"state": "closed", "outcome": "cleared", "changed_us": now_us, "changed_by": by, "note": note}
    return tx.execute(update(t.exception).where(old).values(values)).rowcount


def set_state(tx: Connection, exception: int, state: State, *, by: str, now: datetime, note: str = "") -> None:
    """An exception waits for a second person, or is open again."""
    _change(tx, exception, by, now, state=state, outcome=None, note=note or None)


def exception_of(tx: Connection, exception: int) -> ReadException:
    """One exception by its number; raises `NotFound`."""
    row = tx.execute(_WITH_METER.where(_E.id == exception)).first()
    if row is None:
        raise NotFound(f"no exception has the number {exception}")
    return _exception(row)


def exceptions(tx: Connection, choice: Choice, limit: int = 100, skip: int = 0) -> list[ReadException]:
    """Exceptions, what to look at first before the others; where closed ones are asked for, what changed last."""
    order = (_E.score.desc(), _E.start_s.desc()) if choice.state in ("undecided", "open") else (_E.changed_us.desc(),)
    query = _WITH_METER.where(_is_chosen(choice)).order_by(*order, _E.id.desc()).limit(limit).offset(skip)
    return [_exception(row) for row in tx.execute(query)]


def count(tx: Connection, choice: Choice) -> int:
    """How many exceptions there are."""
    query = select(func.count()).select_from(_JOINED).where(_is_chosen(choice))
    return tx.execute(query).scalar_one()


def counts_by_rule(tx: Connection, choice: Choice) -> dict[str, int]:
    """How many exceptions there are of each rule, most first."""
    there = func.count().label("there")
    query = select(_E.rule, there).select_from(_JOINED).where(_is_chosen(choice)).group_by(_E.rule)
    return {row.rule: row.there for row in tx.execute(query.order_by(there.desc(), _E.rule))}


def holds(tx: Connection, start_s: int, end_s: int, meters: Collection[int] | None = None) -> list[ReadException]:
    """Undecided exceptions that hold bills of reads in [start_s, end_s), of all meters or some; oldest first."""
    query = _WITH_METER.where(_UNDECIDED, _E.holds_bill, _E.start_s < end_s, _E.end_s > start_s).order_by(_E.id)
    if meters is not None:
        query = query.where(among(tx, _E.meter, meters))
    return [_exception(row) for row in tx.execute(query)]


def passed(tx: Connection, channels: Collection[ChannelKey], start_s: int, end_s: int) -> list[Passed]:
    """What people accepted in [start_s, end_s), without what has got another version since."""
    e, wanted = t.edit.c, set(channels)
    decided_us = func.coalesce(e.second_us, e.made_us)
    query = (
        select(_E.meter, _E.channel, e.start_s, e.end_s, _E.rule, decided_us.label("decided_us"))
        .join(t.edit, e.exception_id == _E.id)
        .where(e.action == "accept", e.state == "done", e.start_s < end_s, e.end_s > start_s)
    )
    its = query.where(among(tx, _E.meter, {meter for meter, _ in wanted}))
    rows = [row for row in tx.execute(its) if (row.meter, row.channel) in wanted]
    return [part for row in rows for part in _without_changed(tx, Passed(*row[:5]), row.decided_us)]


def _without_changed(tx: Connection, one: Passed, decided_us: int) -> list[Passed]:
    """What of an accepted stretch is still what was accepted."""
    h = t.interval_history.c
    changed = tx.execute(
        select(h.start_s).where(
            h.meter == one.meter,
            h.channel == one.channel,
            h.start_s >= one.start_s,
            h.start_s < one.end_s,
            h.superseded_us > decided_us,
        )
    ).scalars()
    gone = sorted(set(changed))
    if not gone:
        return [one]
    interval_s = tx.execute(
        select(t.meter_channel.c.interval_s).where(
            t.meter_channel.c.meter_id == one.meter, t.meter_channel.c.channel == one.channel
        )
    ).scalar_one()
    begins = [one.start_s, *(start_s + interval_s for start_s in gone)]
    ends = [*gone, one.end_s]
    return [one._replace(start_s=a, end_s=b) for a, b in zip(begins, ends, strict=True) if a < b]


def _queue(
    tx: Connection, found: Sequence[_Found], is_decided: Callable[[_Found, Any], bool], by: str, now: datetime
) -> int:
    """Open, extend or pass over; how many were opened."""
    if not found:
        return 0
    there: dict[tuple[int, int, str], list[Any]] = defaultdict(list)
    for row in _rows_of(tx, {each.meter for each in found}, true()):
        there[row.meter, row.channel, row.rule].append(row)
    opened = 0
    for each in _merged(found):
        touched = [row for row in there[each.key] if row.state != "closed" and each.touches(row)]
        if touched:
            _extend(tx, touched, each, by, now)
        elif not any(is_decided(each, row) for row in there[each.key] if row.outcome not in (None, "cleared")):
            _insert(tx, each, by, now)
            opened += 1
    return opened


def _is_no_news(found: _Found, decided: Any) -> bool:
    """What was decided on is found once more; that a meter stays silent, every day, is no news."""
    if found.rule == _GROWS:
        # What began before the weeks that are kept is told from their first day on.
        return bool(decided.start_s <= found.start_s <= decided.end_s)
    within = decided.start_s <= found.start_s and found.end_s <= decided.end_s
    its_own, decided_on = (each.detail.partition(OF_OTHERS)[0] for each in (found, decided))
    return bool(within and its_own == decided_on)


def _is_no_worse(found: _Found, decided: Any) -> bool:
    return bool(found.touches(decided) and found.score <= decided.score + _WORSE)


def _merged(found: Iterable[_Found]) -> list[_Found]:
    """One for all that touch; what was found last in time speaks for them, and the worst severity."""
    merged: list[_Found] = []
    for each in sorted(found, key=lambda one: (one.key, one.start_s, one.end_s)):
        before = merged[-1] if merged else None
        if before is None or before.key != each.key or not each.touches(before):
            merged.append(each)
            continue
        worst = max(before, each, key=lambda one: one.score)
        merged[-1] = replace(
            each,
            start_s=before.start_s,
            end_s=max(before.end_s, each.end_s),
            severity=worst.severity,
            score=worst.score,
            holds_bill=before.holds_bill or each.holds_bill,
        )
    return merged


def _extend(tx: Connection, touched: Sequence[Any], found: _Found, by: str, now: datetime) -> None:
    """The oldest of the exceptions that are touched takes it all; nothing is changed where it says so already."""
    kept, *others = sorted(touched, key=lambda row: (row.state != "waiting", row.id))
    others = [row for row in others if row.state == "open"]
    new = {
        "start_s": min(found.start_s, *(row.start_s for row in (kept, *others))),
        "end_s": max(found.end_s, *(row.end_s for row in (kept, *others))),
        "severity": found.severity,
        "score": found.score,
        "detail": found.detail,
        "rule_set": found.rule_set,
        "holds_bill": found.holds_bill,
    }
    if any(getattr(kept, name) != value for name, value in new.items()):
        _change(tx, kept.id, by, now, **new)
    for row in others:
        close(tx, row.id, "cleared", by=by, now=now, note=f"part of exception {kept.id} now")


def _insert(tx: Connection, found: _Found, by: str, now: datetime) -> int:
    row = {
        "meter": found.meter,
        "channel": found.channel,
        "rule": found.rule,
        "start_s": found.start_s,
        "end_s": found.end_s,
        "severity": found.severity,
        "score": found.score,
        "detail": found.detail,
        "rule_set": found.rule_set,
        "holds_bill": found.holds_bill,
        "state": "open",
        "opened_us": microseconds(now),
        "changed_us": microseconds(now),
        "changed_by": by,
    }
    key = tx.execute(t.exception.insert().values(row)).inserted_primary_key
    return cast("int", key[0]) if key else 0


def _change(tx: Connection, exception: int, by: str, now: datetime, **values: Any) -> None:
    values |= {"changed_us": microseconds(now), "changed_by": by}
    tx.execute(update(t.exception).where(_E.id == exception).values(values))


def _joined(looked_at: Iterable[tuple[int, int, int, int]]) -> dict[ChannelKey, list[tuple[int, int]]]:
    """Stretches by channel, those that touch as one."""
    joined: dict[ChannelKey, list[tuple[int, int]]] = defaultdict(list)
    for meter, channel, start_s, end_s in sorted(looked_at):
        its = joined[meter, channel]
        if its and start_s <= its[-1][1]:
            its[-1] = its[-1][0], max(its[-1][1], end_s)
        else:
            its.append((start_s, end_s))
    return joined


def _holds(rules: Rules, rule: str) -> bool:
    name = _FIELD_OF.get(rule)
    return name is not None and getattr(rules, name).then == "hold_bill"


def _rows_of(tx: Connection, meters: Collection[int], which: ColumnElement[bool]) -> list[Any]:
    return list(tx.execute(select(t.exception).where(which, among(tx, _E.meter, meters)).order_by(_E.id)))


_JOINED = t.exception.join(t.meter, t.meter.c.id == _E.meter)
_WITH_METER = select(t.exception, t.meter.c.name.label("meter_name")).select_from(_JOINED)


def _is_chosen(choice: Choice) -> ColumnElement[bool]:
    chosen = {
        "rule": _E.rule,
        "meter": t.meter.c.name,
        "severity": _E.severity,
        "holds_bill": _E.holds_bill,
    }
    asked = [column == value for name, column in chosen.items() if (value := getattr(choice, name)) is not None]
    if choice.state == "undecided":
        asked.append(_UNDECIDED)
    elif choice.state != "all":
        asked.append(_E.state == choice.state)
    return and_(true(), *asked)


def _exception(row: Any) -> ReadException:
    return ReadException(
        row.id,
        row.meter,
        row.meter_name,
        Channel(row.channel),
        row.rule,
        row.start_s,
        row.end_s,
        row.severity,
        row.score,
        row.detail,
        row.rule_set,
        row.holds_bill,
        row.state,
        row.outcome,
        moment_us(row.opened_us),
        moment_us(row.changed_us),
        row.changed_by,
        row.reason,
        row.note,
    )
