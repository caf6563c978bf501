"""Accruals as rows, and which of them reads have changed since: noted in the transaction that stores the reads."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import repeat

import numpy as np
from sqlalchemy import Connection, delete, exists, select

from headend.billing.accruals.accrual import Accrual, AccrualsAlike
from headend.billing.accruals.document import amounts_of, documents_of, parse_document
from headend.billing.columns import each_of
from headend.billing.ports import AccountRange
from headend.reads.blocks import Blocks
from headend.reads.days import microseconds, moment_us, seconds
from headend.store.bulk import Row, among, portions, upsert_rows
from headend.store.intervals import Bools
from headend.store.tables import accrual as table
from headend.store.tables import changed_reads, installation, service_agreement, statement

#: So many notes are looked through for one account's meters; more are there only while nothing works through them.
_NOTES_LOOKED_AT = 1_000


@dataclass(frozen=True, slots=True)
class ChangedReads:
    """Meters of which reads of one UTC day are new or others since accruals were updated."""

    number: int
    day: int
    meters: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeptAccrual:
    """An accrual, and the moment whose reads it was made of."""

    accrual: Accrual
    made_at: datetime


def note_changed(tx: Connection, blocks: Blocks, changed: Bools) -> None:
    """Reads of these blocks became others: a row a day of them, whatever number of meters that is.

    Parameters
    ----------
    changed
        intervals with another value than before, or the first (k, n).
    """
    touched = np.asarray(changed.any(axis=1))
    days, meters = blocks.day[touched], blocks.meter[touched]
    rows = [
        {"day": int(day), "meters": np.unique(meters[days == day]).astype("<i4").tobytes()} for day in np.unique(days)
    ]
    if rows:
        tx.execute(changed_reads.insert(), rows)


def changed_since(tx: Connection) -> list[ChangedReads]:
    """What was noted and not worked through yet, oldest first."""
    rows = tx.execute(select(changed_reads).order_by(changed_reads.c.number))
    return [ChangedReads(row.number, row.day, _meters(row.meters)) for row in rows]


def _meters(packed: bytes) -> tuple[int, ...]:
    return tuple(np.frombuffer(packed, dtype="<i4").tolist())


def accounts_measured_by(tx: Connection, meters: Iterable[int]) -> set[str]:
    """Accounts that have, or had, an agreement where one of these meters hangs, or hung."""
    hung, agreed = installation.c, service_agreement.c
    join = installation.join(service_agreement, hung.usage_point_id == agreed.usage_point_id)
    found: set[str] = set()
    for some in portions(meters):
        query = select(agreed.account_id).distinct().select_from(join).where(hung.meter_id.in_(some))
        found.update(tx.execute(query).scalars())
    return found


def worked_through(tx: Connection, notes: Iterable[ChangedReads]) -> None:
    """Accruals know of these reads."""
    for some in portions(note.number for note in notes):
        tx.execute(delete(changed_reads).where(changed_reads.c.number.in_(some)))


def has_changed(tx: Connection, meters: Collection[int]) -> bool:
    """Whether there are reads of these meters that accruals do not know of yet."""
    asked = np.array(sorted(meters), dtype=np.int64)
    rows = tx.execute(select(changed_reads.c.meters).limit(_NOTES_LOOKED_AT)).scalars()
    return any(np.isin(asked, np.frombuffer(row, dtype="<i4")).any() for row in rows)


def keep_accruals(tx: Connection, made: Iterable[AccrualsAlike], made_at: datetime) -> None:
    """Put accruals in the place of older ones; one that was made of later reads meanwhile stays.

    Parameters
    ----------
    made_at
        the moment at which their reads were looked at.
    """
    made_us = microseconds(made_at)
    # Always in the same order, so that no two wait for each other.
    rows = sorted([row for alike in made for row in _rows(alike, made_us)])
    a = table.c
    query = select(a.account_id, a.period).where(among(tx, a.account_id, [row[0] for row in rows]), a.made_us > made_us)
    later = {(account, period) for account, period in tx.execute(query)}
    upsert_rows(tx, table, [row for row in rows if row[:2] not in later] if later else rows)


def _rows(alike: AccrualsAlike, made_us: int) -> Iterable[Row]:
    form, n = alike.form, alike.n
    through = [None if each is None else seconds(each) for each in each_of(form.through, n)]
    return zip(
        each_of(form.account, n),
        repeat(form.period),
        repeat(form.currency),
        amounts_of(alike),
        through,
        documents_of(alike),
        repeat(made_us),
    )


def accrual_of(tx: Connection, account: str, period: str) -> KeptAccrual | None:
    """The accrual of one account's billing period, if it has one."""
    row = tx.execute(select(table).where(table.c.account_id == account, table.c.period == period)).first()
    if row is None:
        return None
    accrual = parse_document(row.document, account, period, row.currency, row.amount, row.through_s)
    return KeptAccrual(accrual, moment_us(row.made_us))


def made_times(tx: Connection, accounts: AccountRange) -> dict[tuple[str, str], datetime]:
    """When each accrual of a range of accounts was made, by account and period."""
    a = table.c
    query = select(a.account_id, a.period, a.made_us).where(a.account_id.between(accounts.first, accounts.last))
    return {(account, period): moment_us(made_us) for account, period, made_us in tx.execute(query)}


def issued(tx: Connection, accounts: AccountRange, periods: Collection[str]) -> set[tuple[str, str]]:
    """Of a range of accounts and some periods, those for which a statement is issued: their accruals are no more."""
    s = statement.c
    inside = s.account_id.between(accounts.first, accounts.last)
    query = select(s.account_id, s.period).where(s.state == "issued", s.period.in_(sorted(periods)), inside)
    return {(account, period) for account, period in tx.execute(query)}


def forget_issued(tx: Connection) -> int:
    """Delete accruals of periods for which a statement is issued; how many there were."""
    its = exists().where(
        statement.c.account_id == table.c.account_id,
        statement.c.period == table.c.period,
        statement.c.state == "issued",
    )
    return tx.execute(delete(table).where(its)).rowcount


@dataclass(frozen=True, slots=True)
class Unbilled:
    """What is not billed yet of one billing period, in one currency.

    Parameters
    ----------
    amount
        sum over its accounts, taxes included.
    oldest
        when the oldest of the accruals was made.
    """

    period: str
    currency: str
    accounts: int
    amount: Decimal
    oldest: datetime


def unbilled(tx: Connection) -> list[Unbilled]:
    """Accruals of periods without an issued statement, added up by period and currency."""
    a, s = table.c, statement.c
    its = exists().where(s.account_id == a.account_id, s.period == a.period, s.state == "issued")
    query = select(a.period, a.currency, a.amount, a.made_us).where(a.currency.is_not(None), ~its)
    found: dict[tuple[str, str], Unbilled] = {}
    for row in tx.execute(query):
        made_at, key = moment_us(row.made_us), (row.period, row.currency)
        before = found.get(key) or Unbilled(*key, 0, Decimal(0), made_at)
        amount = before.amount + Decimal(row.amount)
        found[key] = Unbilled(*key, before.accounts + 1, amount, min(before.oldest, made_at))
    return [found[key] for key in sorted(found)]
