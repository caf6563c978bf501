"""Corrections on SQL: the documents of a period, open corrections, and flags that an issued one settles or sets."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, FromClause, and_, func, select, update

from headend.billing.corrections import Touched, may_touch, standing_of, touched_by, touched_by_late
from headend.billing.cycle import BEFORE_APPROVAL, CycleState
from headend.billing.ports import FlagAt, Kept
from headend.billing.recount import days_of
from headend.billing.statement import Statement, parse_statement
from headend.reads.channels import Channel
from headend.reads.days import microseconds
from headend.store.bulk import portions, upsert_rows
from headend.store.rebills import Flagged, meter_ids
from headend.store.standing import stands
from headend.store.tables import bill_cycle, rebill_flag, statement
from headend.store.tariffversions import ratcheted_versions
from headend.tariffs import Tariff

_OPEN = (*BEFORE_APPROVAL, CycleState.APPROVED)
_S = statement.c
_DOCUMENTS = select(_S.id, bill_cycle.c.name, _S.account_id, _S.state, _S.document, _S.sha256).join(
    bill_cycle, bill_cycle.c.id == _S.cycle_id
)


class SqlCorrections:
    """Within one transaction; see `headend.billing.ports.Corrections`."""

    def __init__(self, tx: Connection) -> None:
        self.tx = tx

    def whereabouts(self, ids: Collection[str]) -> dict[str, tuple[str, str, str]]:
        """Account, period and state of the statements that there are, by id."""
        query = select(_S.id, _S.account_id, _S.period, _S.state)
        found: dict[str, tuple[str, str, str]] = {}
        for some in portions(sorted(ids)):
            for which, account, period, state in self.tx.execute(query.where(_S.id.in_(some))):
                found[which] = account, period, state
        return found

    def issued(self, period: str, accounts: Collection[str]) -> dict[str, list[Kept]]:
        """Issued documents of a period by account, in the order of their revisions."""
        found: dict[str, list[Kept]] = defaultdict(list)
        query = _DOCUMENTS.where(_S.period == period, _S.state == "issued").order_by(_S.revision)
        for some in portions(sorted(accounts)):
            for row in self.tx.execute(query.where(_S.account_id.in_(some))):
                found[row.account_id].append(Kept(*row))
        return dict(found)

    def newest(self, period: str, accounts: Collection[str]) -> dict[str, int]:
        """The highest revision, of drafts as well, by account."""
        query = (
            select(_S.account_id, func.max(_S.revision).label("last"))
            .where(_S.period == period)
            .group_by(_S.account_id)
        )
        found: dict[str, int] = {}
        for some in portions(sorted(accounts)):
            rows = self.tx.execute(query.where(_S.account_id.in_(some)))
            found.update({row.account_id: row.last for row in rows})
        return found

    def drafted(self, period: str, accounts: Collection[str]) -> dict[str, str]:
        """Names of open corrections of a period by account; accounts without are left out."""
        query = (
            select(_S.account_id, bill_cycle.c.name)
            .join(bill_cycle, bill_cycle.c.id == _S.cycle_id)
            .where(_S.period == period, _S.state == "draft", _S.corrects.is_not(None), bill_cycle.c.state.in_(_OPEN))
        )
        found: dict[str, str] = {}
        for some in portions(sorted(accounts)):
            rows = self.tx.execute(query.where(_S.account_id.in_(some)))
            found.update({row.account_id: row.name for row in rows})
        return found

    def names(self, period: str) -> set[str]:
        """Names of the period's cycles."""
        return set(self.tx.execute(select(bill_cycle.c.name).where(bill_cycle.c.period == period)).scalars())

    def open_flags(self, period: str, accounts: Collection[str]) -> dict[str, list[FlagAt]]:
        """Open flags of a period's issued documents as they stand, by account; accounts without are left out."""
        f = rebill_flag.c
        query = (
            select(_S.account_id, f.statement_id, f.meter, f.channel, f.change, f.changed_us)
            .join(rebill_flag, f.statement_id == _S.id)
            .where(_S.period == period, _S.state == "issued", f.settled_by.is_(None))
            .order_by(f.statement_id, f.meter, f.channel)
        )
        found: dict[str, list[FlagAt]] = defaultdict(list)
        for some in portions(sorted(accounts)):
            for account, *its in self.tx.execute(query.where(_S.account_id.in_(some))):
                found[account].append(tuple(its))
        return dict(found)

    def nothing_to_correct(self, flags: Iterable[FlagAt], by: str, reason: str) -> None:
        """Settle flags under which nothing comes out otherwise."""
        f = rebill_flag.c
        for some in portions(sorted({its[0] for its in flags})):
            settled = update(rebill_flag).where(f.statement_id.in_(some), f.settled_by.is_(None))
            self.tx.execute(settled.values(settled_by=by, settled_reason=reason))

    def resting_on(self, period: str, accounts: Collection[str]) -> dict[str, list[Kept]]:
        """Newest standing documents of later periods, by account, earliest period first."""
        found: dict[str, dict[str, Kept]] = defaultdict(dict)
        query = _DOCUMENTS.add_columns(_S.period).where(_S.period > period, _S.state == "issued", stands())
        for some in portions(sorted(accounts)):
            for row in self.tx.execute(query.where(_S.account_id.in_(some)).order_by(_S.period, _S.revision)):
                found[row.account_id][row.period] = Kept(*row[:-1])
        return {account: list(its.values()) for account, its in found.items()}

    def ratcheted(self) -> dict[str, Tariff]:
        """Tariff versions of bills whose demand goes by peaks of earlier months, by digest."""
        return ratcheted_versions(self.tx)


def flagged_for_correction(
    tx: Connection, period: str | None = None, text: str = "", limit: int | None = None, offset: int = 0
) -> list[str]:
    """Issued statements, of a period or all, that have an open flag and are in no open correction; by period, account.

    Parameters
    ----------
    text
        as in `Flagged`.
    limit, offset
        a part of them; None: all.
    """
    rows, correctable = _correctable(Flagged(period or "", text))
    query = select(_S.id).select_from(rows).where(correctable).order_by(_S.period, _S.account_id, _S.revision)
    return list(tx.execute(query.limit(limit).offset(offset)).scalars())


def count_correctable(tx: Connection, which: Flagged) -> tuple[int, str]:
    """How many of the flagged statements `flagged_for_correction` finds; and a digest of these and of their flags.

    As good as none of them is exchanged for another, or flagged anew, without the digest being another: it is made of
    sums over keys of their meters, times, changes and when they were flagged.
    """
    f = rebill_flag.c
    figures = [f.meter, f.meter % _PRIME * (f.meter % _PRIME), f.channel % _PRIME, f.first_s % _PRIME, f.end_s % _PRIME]
    figures += [f.changed_us % _PRIME, f.change]
    rows, correctable = _correctable(which)
    rows = rows.join(rebill_flag, (f.statement_id == _S.id) & f.settled_by.is_(None))
    query = select(func.count(_S.id.distinct()), *(func.sum(each) for each in figures))
    count, *sums = tx.execute(query.select_from(rows).where(correctable)).one()
    return count, hashlib.sha256("|".join(f"{each or 0}" for each in (count, *sums)).encode()).hexdigest()[:16]


#: Keeps sums over millions of flags within 64 bits.
_PRIME = 1_000_003


def _correctable(which: Flagged) -> tuple[FromClause, ColumnElement[bool]]:
    """Rows of `statement`, and the condition of those that are issued, flagged, and in no open correction."""
    in_correction = (
        select(_S.account_id, _S.period)
        .join(bill_cycle, bill_cycle.c.id == _S.cycle_id)
        .where(_S.state == "draft", _S.corrects.is_not(None), bill_cycle.c.state.in_(_OPEN))
        .distinct()
        .subquery()
    )
    d = in_correction.c
    both = statement.outerjoin(in_correction, (d.account_id == _S.account_id) & (d.period == _S.period))
    return both, and_(which.rows, _S.state == "issued", d.account_id.is_(None))


def settle(tx: Connection, issued: Sequence[Statement], at: datetime) -> None:
    """Settle the flags of what was corrected, and flag later statements that rest on what has changed.

    Parameters
    ----------
    issued
        corrections as they are issued now; their rows may say so already.
    """
    by_period: dict[str, dict[str, list[Statement]]] = defaultdict(lambda: defaultdict(list))
    for each in issued:
        by_period[each.period][each.customer.account].append(each)
    for period, accounts in by_period.items():
        new = {each.id for its in accounts.values() for each in its}
        documents = SqlCorrections(tx).issued(period, accounts)
        before = {account: [kept for kept in its if kept.id not in new] for account, its in documents.items()}
        _settle_flags(tx, before, accounts)
        _flag_later(tx, period, before, accounts, at)


def _settle_flags(
    tx: Connection, before: Mapping[str, Sequence[Kept]], corrections: Mapping[str, Sequence[Statement]]
) -> None:
    f = rebill_flag.c
    for account, its in before.items():
        settled = update(rebill_flag).where(f.statement_id.in_([kept.id for kept in its]), f.settled_by.is_(None))
        tx.execute(settled.values(settled_by=corrections[account][-1].id))


def _flag_later(
    tx: Connection,
    period: str,
    before: Mapping[str, Sequence[Kept]],
    corrections: Mapping[str, Sequence[Statement]],
    at: datetime,
) -> None:
    standing = {account: its for account, kept in before.items() if (its := standing_of(kept)) is not None}
    now = {
        account: next((each for each in its if each.kind != "cancellation"), None)
        for account, its in corrections.items()
    }
    ratcheted = ratcheted_versions(tx)
    looked = [account for account, its in standing.items() if may_touch(its, now[account], ratcheted)]
    later = SqlCorrections(tx).resting_on(period, looked) if looked else {}
    touches = []
    for account, kept in later.items():
        statements = [parse_statement(each.document) for each in kept]
        found = touched_by(standing[account], now[account], statements, ratcheted)
        touches += [(touched, corrections[account][-1]) for touched in found]
    _flag(tx, touches, at)


def flag_after_late(tx: Connection, late: Iterable[Statement], at: datetime) -> None:
    """Flag statements that were issued before those of the period before them, and took over nothing of their banks.

    Parameters
    ----------
    late
        bills as they are issued now, which leave something in a bank; mostly none is late.
    """
    by_period: dict[str, dict[str, Statement]] = defaultdict(dict)
    for each in late:
        by_period[each.period][each.customer.account] = each
    touches = []
    for period, accounts in by_period.items():
        for account, kept in SqlCorrections(tx).resting_on(period, accounts).items():
            statements = [parse_statement(each.document) for each in kept]
            touches += [(touched, accounts[account]) for touched in touched_by_late(accounts[account], statements)]
    _flag(tx, touches, at)


def _flag(tx: Connection, touches: Iterable[tuple[Touched, Statement]], at: datetime) -> None:
    """Flag statements, each with what touched it."""
    found = [(touched, by, touched.segment.meters[0]) for touched, by in touches]
    ids = meter_ids(tx, {meter.meter for *_, meter in found})
    rows = []
    for touched, by, meter in found:
        if meter.meter in ids:
            days = days_of(touched.segment)
            key = touched.statement.id, ids[meter.meter], Channel.parse(meter.channel).code
            cause = f"{touched.why}, by {by.id}"
            rows.append((*key, days.start_s, days.end_s, 0, cause, microseconds(at), microseconds(at), None, None))
    there = {
        (row.statement_id, row.meter, row.channel): row
        for some in portions(sorted({row[0] for row in rows}))
        for row in tx.execute(select(rebill_flag).where(rebill_flag.c.statement_id.in_(some)))
    }
    new = {row[:3]: row for row in rows}
    for key in new.keys() & there.keys():
        if there[key].settled_by is not None:
            # Settled for an earlier change: it is open again, and goes on from what its reads differ by.
            new[key] = (*there[key][:6], new[key][6], there[key].flagged_us, *new[key][8:])
    open_already = {key for key, row in there.items() if row.settled_by is None}
    upsert_rows(tx, rebill_flag, [row for key, row in new.items() if key not in open_already])
