"""What is billed already: the registry must not say otherwise behind a statement's back.

A statement counts from its approval on. One that was taken back without another in its place counts no more.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Column, Connection, or_, select

from headend.billing.agreements import Account, period_at
from headend.billing.cycle import FOR_GOOD
from headend.billing.groups import ALWAYS_MONTHLY, Membership
from headend.errors import BillingConflict, few
from headend.reads.channels import Channel
from headend.reads.days import Period, microseconds, zone_named
from headend.registry.changes import Clerk
from headend.store.bulk import portions
from headend.store.database import upsert
from headend.store.tables import bill_cycle, meter, rebill_flag, statement


@dataclass(frozen=True, slots=True)
class Billed:
    """A statement that nothing changes any more, or that takes a clerk to."""

    statement: str
    account: str
    period: str


@dataclass(frozen=True, slots=True)
class Span:
    """Local days `first` up to and without `end` (None: open) that change for an account at a usage point."""

    account: str
    usage_point: str
    first: date
    end: date | None


def rows_of(tx: Connection, column: Column[Any], keys: Iterable[object], query: Any) -> list[Any]:
    """Rows of a query where a column is among many keys."""
    found: list[Any] = []
    for some in portions(dict.fromkeys(keys)):
        found += tx.execute(query.where(column.in_(some))).all()
    return found


def billed(tx: Connection, accounts: Iterable[str]) -> dict[str, list[Billed]]:
    """What accounts are billed for good, by account; accounts without are left out."""
    s = statement.c
    query = (
        select(s.id, s.account_id, s.period, s.kind)
        .join(bill_cycle, bill_cycle.c.id == s.cycle_id)
        .where(or_(s.state == "issued", bill_cycle.c.state.in_(FOR_GOOD)))
        .order_by(s.revision)
    )
    last: dict[tuple[str, str], Any] = {}
    for row in rows_of(tx, s.account_id, accounts, query):
        last[row.account_id, row.period] = row
    found: dict[str, list[Billed]] = {}
    for (account, period), row in sorted(last.items()):
        if row.kind != "cancellation":
            found.setdefault(account, []).append(Billed(row.id, account, period))
    return found


def touched(
    span: Span, done: Mapping[str, Sequence[Billed]], members: Mapping[str, tuple[Membership, ...]]
) -> list[Billed]:
    """Statements that billed days of a span, or a period in which it has days."""
    its = done.get(span.account, ())
    if not its or (span.end is not None and span.end <= span.first):
        return []
    account = Account(span.account, "", "", "", members.get(span.account, ALWAYS_MONTHLY))
    first = period_at(account, span.first)
    last = None if span.end is None else period_at(account, span.end - timedelta(days=1))
    return [each for each in its if first <= each.period and (last is None or each.period <= last)]


def refuse_billed(what: str, statements: Collection[Billed]) -> None:
    """Raise `BillingConflict` that names the statements, where there are any."""
    if statements:
        named = sorted({f"{each.statement} ({each.account}, {each.period})" for each in statements})
        raise BillingConflict(
            f"{what}: days of it are billed in {few(named)}. Correct that statement, or say"
            " --billed-too to change the registry and have it flagged"
        )


def flag_touched(tx: Connection, touches: Iterable[tuple[Span, Sequence[Billed]]], why: str, clerk: Clerk) -> None:
    """Flag statements whose agreements or meters have changed since, as those are whose reads have."""
    s, now_us = statement.c, microseconds(clerk.now)
    stretches: dict[tuple[str, str, int], tuple[int, int]] = {}
    for span, statements in touches:
        for each in statements:
            document = json.loads(tx.execute(select(s.document).where(s.id == each.statement)).scalar_one())
            there = [one for one in document["segments"] if one["usage_point"] == span.usage_point]
            for segment in there or document["segments"]:
                first, last = (date.fromisoformat(segment[name]) for name in ("first", "last"))
                days = Period(first, last + timedelta(days=1), zone_named(segment["timezone"]))
                its = days.within(span.first, span.end) or days
                for named in segment["meters"]:
                    place = each.statement, named["meter"], Channel.parse(named["channel"]).code
                    begin_s, end_s = its.start_s, its.end_s
                    before = stretches.get(place, (begin_s, end_s))
                    stretches[place] = min(before[0], begin_s), max(before[1], end_s)
    names = {place[1] for place in stretches}
    ids = {row.name: row.id for row in rows_of(tx, meter.c.name, names, select(meter.c.name, meter.c.id))}
    rows = {(whose, ids[name], channel): stretch for (whose, name, channel), stretch in stretches.items()}
    f = rebill_flag.c
    kept = {
        (row.statement_id, row.meter, row.channel): row
        for row in rows_of(tx, f.statement_id, {key[0] for key in rows}, select(rebill_flag))
    }
    put = []
    for key, (begin_s, end_s) in rows.items():
        old = kept.get(key)
        row = {
            "first_s": begin_s if old is None else min(begin_s, old.first_s),
            "end_s": end_s if old is None else max(end_s, old.end_s),
            "change": 0 if old is None else old.change,
            "cause": why,
            "flagged_us": now_us if old is None else old.flagged_us,
            "changed_us": now_us,
            "settled_by": None,
        }
        put.append(dict(zip(("statement_id", "meter", "channel"), key, strict=True)) | row)
    upsert(tx, rebill_flag, put)
