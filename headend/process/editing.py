"""What people decide about exceptions, and what becomes of the reads.

A decision is planned from the reads as they stand, written as new versions of the intervals, and settled, all within
one transaction: whatever rests on them is estimated anew before anybody sees it. What changes more energy than one
person may is taken back and waits; who confirms it has it planned and settled again, so that what is done is what was
asked for, or nothing is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from headend.errors import EditConflict, InvalidInput, checked_name
from headend.process.reopening import reopen_dependants
from headend.process.settlement import settle_channels
from headend.process.worksheets import worksheet_of
from headend.reads.blocks import Blocks
from headend.reads.channels import Channel
from headend.reads.days import DAY_S, moment, seconds
from headend.reads.quality import IS_BILLABLE, IS_ESTIMATED, IS_MEASURED, Flag, Quality
from headend.registry.registry import EnrolledChannel, channels_of
from headend.site import Site
from headend.store import exceptions as queue
from headend.store import history
from headend.store.accruals import note_changed
from headend.store.database import storable
from headend.store.edits import Action, Edit, edit_of, edits_of, has_changed, keep_edit, second
from headend.store.exceptions import Outcome, ReadException, exception_of
from headend.store.rebills import flag_rebills
from headend.vee.byhand import METHODS, Method, estimate_by

Int64s = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]

ACTIONS: Final[tuple[Action, ...]] = ("accept", "edit", "estimate", "reject")
_OUTCOME: Final[dict[Action, Outcome]] = {
    "accept": "accepted",
    "edit": "edited",
    "estimate": "estimated",
    "reject": "rejected",
}
#: Rules that ask about intervals; the others ask about the use of days.
_OF_INTERVALS: Final = queue.SETTLED_RULES | {queue.BY_HAND}
_LONGEST_NOTE = 2_000
#: What somebody may ask to look at, at once.
_LONGEST_DAYS = 400


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody wants done about an exception.

    Parameters
    ----------
    exception
        its number.
    by, reason, note
        who, one of the rule set's reasons, and more words.
    method
        of an estimate.
    values
        of an edit, one for each interval [base units]; None: this one stays as it is.
    start_s, end_s
        a part of the exception's intervals [s since 1970]; None: from its begin, to its end.
    seen
        what `seen` said when whoever decides looked; "": they go by what stands now.
    """

    exception: int
    action: Action
    by: str
    reason: str
    note: str = ""
    method: Method | None = None
    values: Sequence[int | None] | None = None
    start_s: int | None = None
    end_s: int | None = None
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a decision: the edit's number, whether it is done, and the energy it changes [base units]."""

    edit: int
    state: Literal["done", "waiting"]
    change: int


class Change(NamedTuple):
    """What a decision does to the energy of its intervals [base units]: in sum, and moved one way or the other."""

    net: int
    moved: int


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A decision, worked out on the reads as they stand.

    Parameters
    ----------
    start_s, end_s
        the intervals it is about [s since 1970].
    stood
        the blocks of their days.
    inside
        which of the blocks' intervals they are (k, n).
    values, quality
        what is to stand in the blocks (k, n).
    versioned
        intervals that get a new version (k, n): all that change, and all in which a read gives way. What is accepted
        stays the version it is.
    reads
        digest of the reads it was worked out on.
    """

    decision: Decision
    exception: ReadException
    channel: EnrolledChannel
    start_s: int
    end_s: int
    stood: Blocks
    inside: Bools
    values: Int64s
    quality: Bytes
    versioned: Bools
    reads: str

    @property
    def given(self) -> list[int | None] | None:
        """The values that an edit or an estimate puts there; None: this one stays as it is."""
        if self.decision.action not in ("edit", "estimate"):
            return None
        its, is_put = self.values[self.inside].tolist(), self.versioned[self.inside].tolist()
        return [value if put else None for value, put in zip(its, is_put, strict=True)]


def decide(site: Site, decision: Decision) -> Decided:
    """Do what somebody decided, or let it wait for a second person.

    Raises
    ------
    NotFound
        there is no such exception.
    InvalidInput
        a reason, value, method or stretch that cannot be, or a method that has nothing to go by.
    EditConflict
        it is decided already, waits for a second person, or has changed since whoever decides looked.
    """
    with site.database.write() as tx:
        now = site.clock()
        plan = plan_of(tx, site, decision)
        attempt = tx.begin_nested()
        made, change = carry_out(tx, site, plan, now)
        if not needs_second_person(site, change):
            attempt.commit()
            return Decided(made, "done", change.net)
        attempt.rollback()
        made = _keep(tx, plan, change.net, "waiting", now)
        queue.set_state(tx, decision.exception, "waiting", by=decision.by, now=now)
        return Decided(made, "waiting", change.net)


def confirm(site: Site, edit: int, by: str) -> Decided:
    """Do what somebody else asked for.

    Raises
    ------
    NotFound
        there is no such edit.
    EditConflict
        it does not wait, it was asked for by the same person, or it would not do any more what it was to do.
    """
    by = _checked_name(by)
    with site.database.write() as tx:
        now = site.clock()
        asked = _waiting(tx, edit)
        if by.casefold() == asked.made_by.casefold():
            raise EditConflict(f"edit {edit} was asked for by {asked.made_by}: another person has to confirm it")
        plan = plan_again(tx, site, asked)
        second(tx, edit, "done", by=by, now=now)
        change = _carry_out(tx, site, plan, _cause(edit, asked.reason, asked.made_by, by), now).net
        if change != asked.change or plan.given != (None if asked.values is None else list(asked.values)):
            raise EditConflict(
                f"edit {edit} would change {change} now, not {asked.change} as it was asked for: {_DECIDE_ANEW}"
            )
        return Decided(edit, "done", change)


def refuse(site: Site, edit: int, by: str, note: str = "") -> None:
    """Do not do what somebody asked for, or wanted oneself: the exception is open again.

    Raises
    ------
    NotFound
        there is no such edit.
    EditConflict
        it does not wait.
    """
    by, note = _checked_name(by), _checked_note(note)
    with site.database.write() as tx:
        now = site.clock()
        asked = _waiting(tx, edit)
        second(tx, edit, "refused", by=by, now=now)
        if exception_of(tx, asked.exception).state == "waiting":
            queue.set_state(tx, asked.exception, "open", by=by, now=now, note=note)


def ask_to_look(site: Site, meter: str, obis: str, start: datetime, end: datetime, by: str, note: str = "") -> int:
    """Open an exception by hand, so that any intervals can be decided on; its number.

    Raises
    ------
    NotFound
        no such meter.
    InvalidInput
        a channel it has not, or times that are not ends of intervals, not over, or before it was installed.
    """
    by, note = _checked_name(by), _checked_note(note)
    with site.database.write() as tx:
        channel = _channel(channels_of(tx, meter), obis)
        start_s, end_s = seconds(start), seconds(end)
        if end_s - start_s > _LONGEST_DAYS * DAY_S:
            raise InvalidInput("from", start.isoformat(), f"at most {_LONGEST_DAYS} days up to the end")
        _check_times(channel, start_s, end_s, site.clock())
        key = channel.meter, channel.channel.code
        rules = site.rules.version
        return queue.open_by_hand(tx, key, start_s, end_s, rule_set=rules, by=by, note=note, now=site.clock())


def seen(tx: Connection, site: Site, exception: ReadException) -> str:
    """What somebody sees who looks at an exception now, in short: it differs once anything of it has changed."""
    channel = _channel(channels_of(tx, exception.meter_name), exception.channel.obis)
    stood, inside = _stood(tx, site, channel, exception.start_s, exception.end_s)
    return f"{exception.state}-{exception.changed.timestamp():.6f}-{_digest(stood, inside)[:16]}"


def needs_second_person(site: Site, change: Change) -> bool:
    """Whether one person alone may not move so much energy, be it from one hour to another."""
    return change.moved > site.rules.editing.second_person_above


def plan_of(tx: Connection, site: Site, decision: Decision) -> Plan:
    """Work out a decision on an open exception; raises as `decide` does."""
    exception = exception_of(tx, decision.exception)
    _check_open(tx, exception)
    if decision.seen and decision.seen != seen(tx, site, exception):
        raise EditConflict(f"exception {exception.id} or its reads have changed since you looked: look again")
    if decision.reason not in site.rules.editing.reasons:
        raise InvalidInput("reason", repr(decision.reason[:60]), f"one of {', '.join(site.rules.editing.reasons)}")
    decision = replace(decision, by=_checked_name(decision.by), note=_checked_note(decision.note))
    return _plan(tx, site, decision, exception)


def plan_again(tx: Connection, site: Site, asked: Edit) -> Plan:
    """Work out again what waits for a second person; raises `EditConflict` where it was asked for on other reads."""
    exception = exception_of(tx, asked.exception)
    if exception.state != "waiting" or exception.changed != asked.made:
        raise EditConflict(f"exception {exception.id} has changed since edit {asked.id} was asked for: {_DECIDE_ANEW}")
    wanted = Decision(
        asked.exception,
        asked.action,
        asked.made_by,
        asked.reason,
        asked.note,
        asked.method,
        asked.values if asked.action == "edit" else None,
        asked.start_s,
        asked.end_s,
    )
    plan = _plan(tx, site, wanted, exception)
    if plan.reads != asked.reads:
        raise EditConflict(
            f"reads of exception {exception.id} have changed since edit {asked.id} was asked for: {_DECIDE_ANEW}"
        )
    return plan


_DECIDE_ANEW = "refuse it and decide anew"


def carry_out(tx: Connection, site: Site, plan: Plan, now: datetime) -> tuple[int, Change]:
    """Do what is planned, and note it; the edit's number and what it changes."""
    made = _keep(tx, plan, 0, "done", now)
    change = _carry_out(tx, site, plan, _cause(made, plan.decision.reason, plan.decision.by), now)
    has_changed(tx, made, change.net)
    return made, change


def _carry_out(tx: Connection, site: Site, plan: Plan, cause: str, now: datetime) -> Change:
    """Close the exception, write what is planned, settle what rests on it; what that changes."""
    decision, stood = plan.decision, plan.stood
    by, reason, note = decision.by, decision.reason, decision.note
    queue.close(tx, plan.exception.id, _OUTCOME[decision.action], by=by, now=now, reason=reason, note=note)
    version = np.where(plan.versioned & (stood.version < 255), stood.version + np.uint8(1), stood.version)
    # A read by a clock that was off is cleared by its register; not what a person refuses.
    refused = plan.versioned & (plan.quality == Quality.QUESTIONABLE)
    flags = np.where(refused, stood.flags & ~np.uint8(Flag.CLOCK_OFF), stood.flags)
    blocks = replace(stood, values=plan.values, quality=plan.quality, flags=flags, version=version.astype(np.uint8))
    changed = plan.versioned | (plan.quality != stood.quality)
    history.keep(tx, stood, plan.versioned & stood.present, by=cause, now=now)
    flag_rebills(tx, stood, blocks, cause, now)
    site.store.save(tx, blocks, changed, settled=False)
    note_changed(tx, blocks, plan.versioned | (blocks.values != stood.values))
    reopen_dependants(tx, site, stood, blocks, changed)
    settle_channels(tx, site, [plan.channel])
    settled, inside = _stood(tx, site, plan.channel, plan.start_s, plan.end_s)
    difference = _energy(settled, inside) - _energy(stood, plan.inside)
    return Change(int(difference.sum()), int(np.abs(difference).sum()))


@contextmanager
def undone(tx: Connection) -> Iterator[None]:
    """Whatever is done within is taken back at the end."""
    attempt = tx.begin_nested()
    try:
        yield
    finally:
        attempt.rollback()


def _plan(tx: Connection, site: Site, decision: Decision, exception: ReadException) -> Plan:
    channel = _channel(channels_of(tx, exception.meter_name), exception.channel.obis)
    begins_s, ends_s = _measured(exception, channel, site.clock())
    start_s = begins_s if decision.start_s is None else decision.start_s
    end_s = ends_s if decision.end_s is None else decision.end_s
    if not exception.start_s <= start_s < end_s <= exception.end_s:
        found = f"{_utc(start_s)} to {_utc(end_s)}"
        raise InvalidInput("from", found, f"a part of {_utc(exception.start_s)} to {_utc(exception.end_s)}")
    _check_times(channel, start_s, end_s, site.clock())
    stood, inside = _stood(tx, site, channel, start_s, end_s)
    its, quality = stood.values[inside], stood.quality[inside]
    most = int(channel.max_per_interval * site.rules.of(channel.customer_class).maximum.factor)
    match decision.action:
        case "accept":
            whole = exception.rule in _OF_INTERVALS
            its, quality = _accepted(its, quality, start_s, channel, most, whole)
            gives_way = np.zeros(len(its), dtype=np.bool_)
        case "edit":
            its, quality, gives_way = _edited(its, quality, decision.values, start_s, channel, most)
        case "estimate":
            its = _estimated(tx, site, channel, decision.method, start_s, end_s)
            quality = np.full(len(its), Quality.ESTIMATED_BY_HAND, np.uint8)
            gives_way = np.ones(len(its), dtype=np.bool_)
        case "reject":
            its, quality, gives_way = _rejected(its, quality)
        case _:
            raise InvalidInput("action", repr(decision.action), f"one of {', '.join(ACTIONS)}")
    values, qualities, versioned = stood.values.copy(), stood.quality.copy(), np.zeros_like(inside)
    values[inside], qualities[inside], versioned[inside] = its, quality, gives_way
    digest = _digest(stood, inside)
    return Plan(decision, exception, channel, start_s, end_s, stood, inside, values, qualities, versioned, digest)


def _measured(exception: ReadException, channel: EnrolledChannel, now: datetime) -> tuple[int, int]:
    """What the channel measured of an exception's days: from when it was installed, up to what is over."""
    interval_s = channel.interval_s
    over_s = min(seconds(now), channel.removed_s or exception.end_s) // interval_s * interval_s
    return max(exception.start_s, -(-channel.installed_s // interval_s) * interval_s), min(exception.end_s, over_s)


def _accepted(
    values: Int64s, quality: Bytes, start_s: int, channel: EnrolledChannel, most: int, whole: bool
) -> tuple[Int64s, Bytes]:
    """What was read is verified; an estimate is a person's choice now, and stays until a read comes.

    Parameters
    ----------
    whole
        it is about these intervals, each of which must be there, and not about the use of days.
    """
    missing = quality == Quality.MISSING
    if missing.all() or (whole and missing.any()):
        first = _utc(start_s + int(missing.argmax()) * channel.interval_s)
        raise InvalidInput("accept", f"no value at {first}", "a value: estimate or edit it")
    wrong = (values < 0) | (values > most)
    if wrong.any():
        place = int(wrong.argmax())
        first = _utc(start_s + place * channel.interval_s)
        raise InvalidInput("accept", f"{values[place]} at {first}", f"0 to {most}, or an edit or estimate of it")
    accepted = np.where(IS_MEASURED[quality], Quality.VERIFIED, quality)
    return values, np.where(IS_ESTIMATED[quality], Quality.ESTIMATED_BY_HAND, accepted).astype(np.uint8)


def _edited(
    values: Int64s,
    quality: Bytes,
    given: Sequence[int | None] | None,
    start_s: int,
    channel: EnrolledChannel,
    most: int,
) -> tuple[Int64s, Bytes, Bools]:
    """What is given stands; where it is what was read anyway, or nothing is given, all is as it was."""
    if given is None or len(given) != len(values):
        found = "none" if given is None else str(len(given))
        raise InvalidInput("values", found, f"{len(values)}, one for each interval from {_utc(start_s)} on")
    for place, value in enumerate(given):
        if value is not None and not 0 <= value <= most:
            at = _utc(start_s + place * channel.interval_s)
            raise InvalidInput("values", f"{value} at {at}", f"0 to {most}, which the connection can carry")
    told = np.array([value is not None for value in given])
    new = np.array([0 if value is None else value for value in given], np.int64)
    good = (IS_BILLABLE[quality] & ~IS_ESTIMATED[quality]) | (quality == Quality.RAW)
    gives_way = told & ~(good & (new == values))
    if not gives_way.any():
        raise InvalidInput("values", "what stands already", "at least one other value")
    return (
        np.where(gives_way, new, values),
        np.where(gives_way, Quality.EDITED, quality).astype(np.uint8),
        gives_way,
    )


def _rejected(values: Int64s, quality: Bytes) -> tuple[Int64s, Bytes, Bools]:
    """What was read is questionable; what somebody or something put there is nothing, so that a read can come."""
    there = quality != Quality.MISSING
    if not there.any():
        raise InvalidInput("reject", "no value at all", "a value: estimate or edit these intervals")
    measured = IS_MEASURED[quality]
    refused = np.where(measured, Quality.QUESTIONABLE, Quality.MISSING).astype(np.uint8)
    return np.where(measured, values, 0), refused, there


def _estimated(
    tx: Connection, site: Site, channel: EnrolledChannel, method: Method | None, start_s: int, end_s: int
) -> Int64s:
    if method not in METHODS:
        raise InvalidInput("method", "none" if method is None else repr(method), f"one of {', '.join(METHODS)}")
    sheet = worksheet_of(tx, site, channel, start_s, end_s)
    begin, stop = ((at_s - sheet.profiles.start_s) // channel.interval_s for at_s in (start_s, end_s))
    return estimate_by(method, sheet, begin, stop)


def _stood(tx: Connection, site: Site, channel: EnrolledChannel, start_s: int, end_s: int) -> tuple[Blocks, Bools]:
    """The blocks of the days of a stretch, and which of their intervals lie in it (k, n)."""
    days = range(start_s // DAY_S, -(-end_s // DAY_S))
    keys = [(day, channel.meter, channel.channel.code) for day in days]
    stood = site.store.load(tx, keys, channel.interval_s)
    begin = stood.start_s
    return stood, (begin >= start_s) & (begin < end_s)


def _digest(stood: Blocks, inside: Bools) -> str:
    """Of the values and versions of some intervals: what validation says of them may change, they may not."""
    said = stood.values[inside].astype("<i8").tobytes() + stood.version[inside].tobytes()
    return hashlib.sha256(said).hexdigest()


def _energy(blocks: Blocks, inside: Bools) -> Int64s:
    """What each of some intervals holds [base units]; what is missing or questionable counts as nothing."""
    counts = blocks.present & (blocks.quality != Quality.QUESTIONABLE)
    return np.where(counts, blocks.values, 0)[inside]


def _keep(tx: Connection, plan: Plan, change: int, state: Literal["done", "waiting"], now: datetime) -> int:
    decision = plan.decision
    return keep_edit(
        tx,
        exception=plan.exception.id,
        action=decision.action,
        method=decision.method if decision.action == "estimate" else None,
        start_s=plan.start_s,
        end_s=plan.end_s,
        values=plan.given,
        reads=plan.reads,
        reason=decision.reason,
        note=decision.note,
        change=change,
        state=state,
        by=decision.by,
        now=now,
    )


def _cause(edit: int, reason: str, *people: str) -> str:
    return f"{history.BY_A_PERSON}{edit} by {' and '.join(people)}: {reason}"


def _waiting(tx: Connection, edit: int) -> Edit:
    asked = edit_of(tx, edit)
    if asked.state != "waiting":
        who = f" by {asked.second_by}" if asked.second_by else ""
        raise EditConflict(f"edit {edit} is {asked.state} already{who}")
    return asked


def _check_open(tx: Connection, exception: ReadException) -> None:
    if exception.state == "closed":
        when = f"{exception.changed:%Y-%m-%d %H:%M} UTC"
        raise EditConflict(f"exception {exception.id} is {exception.outcome} already, by {exception.changed_by} {when}")
    if exception.state == "waiting":
        asked = [edit for edit in edits_of(tx, exception.id) if edit.state == "waiting"]
        which = "".join(f": edit {edit.id} of {edit.made_by}" for edit in asked)
        raise EditConflict(f"exception {exception.id} waits for a second person{which}")


def _check_times(channel: EnrolledChannel, start_s: int, end_s: int, now: datetime) -> None:
    """Raise `InvalidInput` unless [start, end) are intervals the channel measured, and they are over."""
    if start_s >= end_s:
        raise InvalidInput("from", _utc(start_s), f"a time before {_utc(end_s)}")
    for name, at_s in (("from", start_s), ("to", end_s)):
        if at_s % channel.interval_s:
            raise InvalidInput(name, _utc(at_s), f"the end of an interval of {channel.interval_s} s")
    if end_s > seconds(now):
        raise InvalidInput("to", _utc(end_s), "intervals that are over")
    if start_s < channel.installed_s:
        raise InvalidInput("from", _utc(start_s), f"no time before {channel.meter_name} was installed")
    if channel.removed_s is not None and end_s > channel.removed_s:
        raise InvalidInput("to", _utc(end_s), f"no time after {channel.meter_name} was removed")


def _channel(channels: Sequence[EnrolledChannel], obis: str) -> EnrolledChannel:
    code = Channel.parse(obis).code
    for channel in channels:
        if channel.channel.code == code:
            return channel
    there = ", ".join(sorted(channel.channel.obis for channel in channels))
    raise InvalidInput("channel", repr(obis), f"one that {channels[0].meter_name} has: {there}")


def _in_plain_text(text: str) -> str:
    """Without what a terminal would take as a command."""
    return "".join(each for each in storable(text) if each.isprintable() or each == "\n").strip()


def _checked_name(by: str) -> str:
    return checked_name(_in_plain_text(by), "by")


def _checked_note(note: str) -> str:
    note = _in_plain_text(note)
    if len(note) > _LONGEST_NOTE:
        raise InvalidInput("note", f"{len(note)} characters", f"at most {_LONGEST_NOTE}")
    return note


def _utc(at_s: int) -> str:
    return f"{moment(at_s):%Y-%m-%dT%H:%M:%SZ}"
