"""Rebill flags: which issued statements rest on reads, prices or events that changed since, and by how much energy.

A statement says itself what it billed: meter channels, and the local days of its segments. A change of value within
these is added to the flag of that statement and channel. The statement stays as it is, and so does a flag: where what
changed has changed back, it tells of a change of 0. Issuing a correction settles the flags of what it corrects; a clerk
settles those of what would come out the same. A price that is published anew, or an event that is called
afterwards, changes no energy: the flag tells of 0.

Of an account's documents for a period the newest is flagged; none, where that is a cancellation.

What is in an approved cycle will be issued as it is, so that is flagged as well. Drafts are not: they are rated again.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Select, func, or_, select

from headend.billing.cycle import FOR_GOOD
from headend.reads.blocks import Blocks
from headend.reads.channels import Channel
from headend.reads.days import (
    DAY_S,
    Period,
    day_of,
    microseconds,
    moment_us,
    next_period,
    zone_named,
)
from headend.store import tables
from headend.store.bulk import portions, upsert_rows
from headend.store.intervals import ChannelKey
from headend.store.tables import (
    bill_cycle,
    installation,
    meter,
    rebill_flag,
    service_agreement,
    statement,
    tariff_version,
)

Int64s = NDArray[np.int64]

_STILL = int(np.iinfo(np.int64).max)
#: What validation changes is said to be by it and the version of its rules.
_BY_RULES = "rules "


@dataclass(frozen=True, slots=True)
class RebillFlag:
    """One channel whose reads have changed since a statement billed them.

    Parameters
    ----------
    meter_name, channel
        what was billed.
    first_s, end_s
        the stretch in which values changed, UTC [s since 1970].
    change
        energy now − energy when it was billed [base units].
    cause
        what changed them last: journal entries, a rule set, a user.
    settled_by
        id of the correction that took the change into account, or who found nothing to correct; None: it is open.
    settled_reason
        why nothing is corrected; None: it is, or nobody said yet.
    """

    statement: str
    account: str
    period: str
    meter_name: str
    channel: Channel
    first_s: int
    end_s: int
    change: int
    cause: str
    flagged_at: datetime
    changed_at: datetime
    settled_by: str | None = None
    settled_reason: str | None = None


def rebills(tx: Connection, *, cycle: str | None = None) -> list[RebillFlag]:
    """Every open flag, or those of one cycle's statements; by statement."""
    query = _FLAGS.where(rebill_flag.c.settled_by.is_(None))
    if cycle is not None:
        query = query.where(statement.c.cycle_id == cycle)
    return _flags(tx, query)


def rebills_of(tx: Connection, statement_id: str) -> list[RebillFlag]:
    """The flags of one statement, settled or not."""
    return _flags(tx, _FLAGS.where(statement.c.id == statement_id))


@dataclass(frozen=True, slots=True)
class Flagged:
    """Which flagged statements are asked for.

    Parameters
    ----------
    period, cycle
        "": of all.
    text
        stands in the account's id, the customer's name or what changed the reads last; "": of all.
    """

    period: str = ""
    text: str = ""
    cycle: str = ""

    @property
    def rows(self) -> ColumnElement[bool]:
        """The condition on rows of `statement`."""
        s, f, a = statement.c, rebill_flag.c, tables.account.c
        flagged = select(f.statement_id).where(f.settled_by.is_(None))
        its: ColumnElement[bool] = s.id.in_(flagged)
        if self.period:
            its &= s.period == self.period
        if self.cycle:
            its &= s.cycle_id == self.cycle
        if self.text:
            named = select(a.id).where(a.name.icontains(self.text, autoescape=True))
            by = flagged.where(f.cause.icontains(self.text, autoescape=True))
            its &= or_(s.account_id.icontains(self.text, autoescape=True), s.account_id.in_(named), s.id.in_(by))
        return its


def count_flagged(tx: Connection, which: Flagged) -> int:
    """How many statements have an open flag."""
    return tx.execute(select(func.count()).select_from(statement).where(which.rows)).scalar_one()


def flagged_by_period(tx: Connection) -> dict[str, int]:
    """How many statements of each period have an open flag."""
    query = select(statement.c.period, func.count().label("statements")).where(Flagged().rows)
    rows = tx.execute(query.group_by(statement.c.period).order_by(statement.c.period))
    return {row.period: row.statements for row in rows}


def flagged_statements(tx: Connection, which: Flagged, limit: int, offset: int) -> list[str]:
    """Ids of a part of the flagged statements, by period and account."""
    s = statement.c
    part = select(s.id).where(which.rows).order_by(s.period, s.account_id, s.revision).limit(limit).offset(offset)
    return list(tx.execute(part).scalars())


def open_flags(tx: Connection, ids: Sequence[str]) -> dict[str, list[RebillFlag]]:
    """Open flags of a page of statements, by statement in the order that is asked for."""
    flags: dict[str, list[RebillFlag]] = {each: [] for each in ids}
    for flag in _flags(tx, _FLAGS.where(rebill_flag.c.settled_by.is_(None), statement.c.id.in_(ids))):
        flags[flag.statement].append(flag)
    return flags


def flagged_by_cycle(tx: Connection) -> dict[str, int]:
    """How many statements of each cycle are flagged; cycles without one are left out."""
    s = statement.c
    query = (
        select(s.cycle_id, func.count(func.distinct(s.id)).label("statements"))
        .join(rebill_flag, rebill_flag.c.statement_id == s.id)
        .where(rebill_flag.c.settled_by.is_(None))
        .group_by(s.cycle_id)
    )
    return {row.cycle_id: row.statements for row in tx.execute(query)}


_FLAGS = (
    select(rebill_flag, statement.c.account_id, statement.c.period, meter.c.name)
    .join(statement, statement.c.id == rebill_flag.c.statement_id)
    .join(meter, meter.c.id == rebill_flag.c.meter)
    .order_by(statement.c.period, statement.c.account_id, statement.c.revision, meter.c.name, rebill_flag.c.channel)
)


def _flags(tx: Connection, query: Select[tuple[object, ...]]) -> list[RebillFlag]:
    return [
        RebillFlag(
            row.statement_id,
            row.account_id,
            row.period,
            row.name,
            Channel(row.channel),
            row.first_s,
            row.end_s,
            row.change,
            row.cause,
            moment_us(row.flagged_us),
            moment_us(row.changed_us),
            row.settled_by,
            row.settled_reason if row.settled_by else None,
        )
        for row in tx.execute(query)
    ]


def flag_rebills(tx: Connection, stood: Blocks, now: Blocks, by: str, at: datetime) -> int:
    """Flag the statements that billed intervals of which the value changes.

    Parameters
    ----------
    stood, now
        the same keys in the same order, as they stood and as they will. A better quality of the same value is no
        change of a bill.
    by
        what changes them.

    Returns
    -------
    int
        how many flags are new, or were added to.
    """
    differs = np.flatnonzero((stood.values != now.values).any(axis=1))
    if not len(differs):
        return 0
    cycles = _cycles_for_good(tx, stood.day[differs])
    if not cycles:
        return 0
    changes = _Changes(stood.take(differs), now.take(differs))
    hung = _hung(tx, changes.meters)
    found: dict[tuple[str, int, int], _Change] = {}
    for billed in _billed(tx, cycles, {place.usage_point for places in hung.values() for place in places}):
        for place in hung.get(billed.meter_name, ()):
            key = place.meter, billed.channel.code
            if place.usage_point == billed.usage_point:
                begin_s, end_s = max(billed.begin_s, place.installed_s), min(billed.end_s, place.removed_s)
                change = changes.within(key, begin_s, end_s)
                if change is not None:
                    flag = billed.statement, *key
                    found[flag] = change.added_to(found.get(flag))
    _put(tx, found, by, at)
    return len(found)


def flag_prices(
    tx: Connection, series: str, spans: Sequence[tuple[int, int]], by: str, at: datetime, *, dry_run: bool = False
) -> list[str]:
    """Flag the statements that were billed at prices of a series that are others now.

    Parameters
    ----------
    spans
        begin and end of each price that changes, UTC [s since 1970], in order; they do not overlap.
    by
        who publishes them anew.
    dry_run
        flag nothing.

    Returns
    -------
    list
        ids of the statements, by account and period.
    """

    def priced(segment: Any) -> bool:
        return any(each["series"] == series for each in segment.get("prices", ()))

    cause = f"prices of {series}, by {by}"
    return _flag_priced(tx, _said("series", series), priced, spans, cause, at, dry_run=dry_run)


def flag_events(
    tx: Connection, name: str, spans: Sequence[tuple[int, int]], by: str, at: datetime, *, dry_run: bool = False
) -> list[str]:
    """Flag the statements that were billed without events of a list, by tariff versions that price its events.

    Parameters and what is returned are those of `flag_prices`; `name` is that of the list, `spans` are the events.
    """
    says = _said("event", name)
    versions = set(tx.execute(select(tariff_version.c.digest).where(says)).scalars())

    def priced(segment: Any) -> bool:
        return segment["tariff"]["sha256"] in versions

    return _flag_priced(tx, says, priced, spans, f"events of {name}, by {by}", at, dry_run=dry_run)


def _flag_priced(
    tx: Connection,
    says: ColumnElement[bool],
    priced: Callable[[Any], bool],
    spans: Sequence[tuple[int, int]],
    cause: str,
    at: datetime,
    *,
    dry_run: bool,
) -> list[str]:
    """Flag statements with a segment `priced` by what changes, of accounts on tariffs of which a version `says` so."""
    if not spans:
        return []
    begins, ends = np.array(spans, dtype=np.int64).T
    cycles = _cycles_for_good(tx, np.array([begins[0], ends[-1]]) // DAY_S)
    flagged: list[str] = []
    for accounts in portions(_accounts_on(tx, says) if cycles else ()):
        stretches: dict[tuple[str, str, int], _Change] = {}
        for statement_id, document in _newest(tx, cycles, accounts):
            for segment in json.loads(document)["segments"]:
                if not priced(segment):
                    continue
                begin_s, end_s = _time_of(segment["first"], segment["last"], segment["timezone"])
                its = np.flatnonzero((begins < end_s) & (ends > begin_s))
                if len(its):
                    named = segment["meters"][0]
                    key = statement_id, named["meter"], Channel.parse(named["channel"]).code
                    change = _Change(max(begin_s, int(begins[its[0]])), min(end_s, int(ends[its[-1]])), 0)
                    stretches[key] = change.added_to(stretches.get(key))
        flagged += sorted({its for its, _, _ in stretches})
        if not dry_run:
            ids = meter_ids(tx, {name for _, name, _ in stretches})
            found = {(its, ids[name], channel): change for (its, name, channel), change in stretches.items()}
            _put(tx, found, cause, at)
    return flagged


def _said(key: str, name: str) -> ColumnElement[bool]:
    """Whether a tariff version that bills were made by asks for a series, or list of events."""
    return tariff_version.c.document.contains(f'"{key}":{json.dumps(name)}', autoescape=True)


def _accounts_on(tx: Connection, says: ColumnElement[bool]) -> list[str]:
    """Accounts that have, or had, an agreement on a tariff which bills were made by, and of which a version says so."""
    g = service_agreement.c
    asks = select(tariff_version.c.tariff_id).where(says)
    query = select(g.account_id).where(g.tariff_id.in_(asks)).distinct().order_by(g.account_id)
    return list(tx.execute(query).scalars())


def meter_ids(tx: Connection, names: Collection[str]) -> dict[str, int]:
    """Registry keys of meters by name; those that nobody is called by are left out."""
    found: dict[str, int] = {}
    for some in portions(sorted(names)):
        query = select(meter.c.name, meter.c.id).where(meter.c.name.in_(some))
        found.update({row.name: row.id for row in tx.execute(query)})
    return found


def _cycles_for_good(tx: Connection, days: Int64s) -> list[str]:
    """Approved and issued cycles whose periods may hold some of these UTC days in one zone or another."""
    # A period is called by the month its last day lies in: it may have begun in the month before.
    first, last = day_of(days.min() - 1).isoformat()[:7], next_period(day_of(days.max() + 1).isoformat()[:7])
    c = bill_cycle.c
    query = select(c.id).where(c.period.between(first, last), c.state.in_(FOR_GOOD))
    return list(tx.execute(query).scalars())


@dataclass(frozen=True, slots=True)
class _Change:
    """Stretch and energy of what changed within a bill."""

    first_s: int
    end_s: int
    energy: int

    def added_to(self, before: _Change | None) -> _Change:
        if before is None:
            return self
        first_s, end_s = min(self.first_s, before.first_s), max(self.end_s, before.end_s)
        return _Change(first_s, end_s, self.energy + before.energy)


class _Changes:
    """Differences of blocks, by channel."""

    def __init__(self, stood: Blocks, now: Blocks) -> None:
        self._energy = now.values - stood.values
        self._start_s, self._interval_s = stood.start_s, stood.interval_s
        self._rows: dict[ChannelKey, list[int]] = defaultdict(list)
        for row, key in enumerate(zip(stood.meter.tolist(), stood.channel.tolist(), strict=True)):
            self._rows[key].append(row)

    @property
    def meters(self) -> set[int]:
        """Whose reads changed."""
        return {its for its, _ in self._rows}

    def within(self, key: ChannelKey, begin_s: int, end_s: int) -> _Change | None:
        """What changed in intervals of a channel that begin in [begin_s, end_s)."""
        rows = self._rows.get(key)
        if rows is None:
            return None
        start_s, energy = self._start_s[rows], self._energy[rows]
        inside = (start_s >= begin_s) & (start_s < end_s) & (energy != 0)
        if not inside.any():
            return None
        at = start_s[inside]
        return _Change(int(at.min()), int(at.max()) + self._interval_s, int(energy[inside].sum()))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a meter hung, and when [s since 1970]."""

    meter: int
    usage_point: str
    installed_s: int
    removed_s: int


def _hung(tx: Connection, meters: Collection[int]) -> dict[str, list[_Place]]:
    """Where these meters hung, by their names."""
    i = installation.c
    query = select(meter.c.name, i.meter_id, i.usage_point_id, i.installed_s, i.removed_s).join(
        installation, i.meter_id == meter.c.id
    )
    hung: dict[str, list[_Place]] = defaultdict(list)
    for some in portions(sorted(meters)):
        for name, its, point, installed_s, removed_s in tx.execute(query.where(i.meter_id.in_(some))):
            hung[name].append(_Place(its, point, installed_s, _STILL if removed_s is None else removed_s))
    return hung


@dataclass(frozen=True, slots=True)
class _Billed:
    """A meter channel in a segment of a statement, and the segment's time [s since 1970]."""

    statement: str
    usage_point: str
    meter_name: str
    channel: Channel
    begin_s: int
    end_s: int


def _billed(tx: Connection, cycles: Collection[str], usage_points: Collection[str]) -> Iterator[_Billed]:
    """What statements of these cycles billed of whoever has, or had, an agreement at these usage points."""
    g = service_agreement.c
    accounts: set[str] = set()
    for some in portions(sorted(usage_points)):
        accounts.update(tx.execute(select(g.account_id).where(g.usage_point_id.in_(some))).scalars())
    for some in portions(sorted(accounts)):
        for statement_id, document in _newest(tx, cycles, some):
            # The document has what is needed without being made a statement of: thousands may be asked.
            for segment in json.loads(document)["segments"]:
                begin_s, end_s = _time_of(segment["first"], segment["last"], segment["timezone"])
                for name, obis in {(its["meter"], its["channel"]) for its in segment["meters"]}:
                    yield _Billed(statement_id, segment["usage_point"], name, Channel.parse(obis), begin_s, end_s)


def _newest(tx: Connection, cycles: Collection[str], accounts: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Id and document of the last word on each account and period; none, where that is a cancellation."""
    s = statement.c
    query = select(s.account_id, s.period, s.kind, s.id, s.document)
    query = query.where(s.cycle_id.in_(cycles), s.account_id.in_(accounts)).order_by(s.revision)
    newest: dict[tuple[str, str], tuple[str | None, str, bytes]] = {}
    for account, period, *its in tx.execute(query):
        newest[account, period] = tuple(its)
    for kind, statement_id, document in newest.values():
        if kind != "cancellation":
            yield statement_id, document


@lru_cache(maxsize=1024)
def _time_of(first: str, last: str, timezone: str) -> tuple[int, int]:
    """Begin and end of local days, both included [s since 1970]."""
    days = Period(date.fromisoformat(first), date.fromisoformat(last) + timedelta(days=1), zone_named(timezone))
    return days.start_s, days.end_s


def _put(tx: Connection, found: dict[tuple[str, int, int], _Change], by: str, at: datetime) -> None:
    f, at_us = rebill_flag.c, microseconds(at)
    since: dict[tuple[str, int, int], int] = {}
    why: dict[tuple[str, int, int], str] = {}
    for some in portions(sorted({key[0] for key in found})):
        for row in tx.execute(select(rebill_flag).where(f.statement_id.in_(some))):
            key = row.statement_id, row.meter, row.channel
            if key in found:
                since[key] = row.flagged_us
                # What validation makes of it afterwards follows from what came, or from what somebody decided.
                why[key] = row.cause if by.startswith(_BY_RULES) else by
                found[key] = found[key].added_to(_Change(row.first_s, row.end_s, row.change))
    rows = [
        (*key, change.first_s, change.end_s, change.energy, why.get(key, by), since.get(key, at_us), at_us, None, None)
        for key, change in found.items()
    ]
    upsert_rows(tx, rebill_flag, rows)
