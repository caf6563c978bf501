"""Retention: what is older than it is to be kept is deleted, in portions, so that nobody who writes waits for long.

Statements, the ledger, commands and the journal stay, whatever is set: they are the record.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date

from sqlalchemy import Column, ColumnElement, Table, delete, func, select

from headend.billing.cycle import OUT
from headend.reads.days import DAY_S, day_number, previous_month
from headend.site import Site
from headend.store import tables as t
from headend.store.completeness import days_there_are
from headend.store.exceptions import close_forgotten
from headend.store.ledger import SqlLedger

_METERS_AT_ONCE = 100
_SECONDS_AT_ONCE = 3_600


def forget_old(site: Site) -> Counter[str]:
    """Delete what is older than the settings keep it, by the site's clock; how many rows, by table.

    Raises
    ------
    StoreAway
        the interval store does not answer; what is left is deleted next time.
    """
    keep, today = site.settings.store, day_number(site.clock().date())
    gone: Counter[str] = Counter()
    _forget_telemetry(site, today - keep.keep_telemetry_days, gone)
    if keep.keep_days:
        _forget_reads(site, min(today - keep.keep_days, _first_day_to_be_billed(site, today)), gone)
    return +gone


def _forget_telemetry(site: Site, before_day: int, gone: Counter[str]) -> None:
    _delete(site, t.telemetry, _by_time(site, t.telemetry.c.at_s, before_day * DAY_S), gone)


def _forget_reads(site: Site, before_day: int, gone: Counter[str]) -> None:
    """Reads, and all that is only said of them."""
    _forget_blocks(site, before_day, gone)
    before_s = before_day * DAY_S
    with site.database.write() as tx:
        close_forgotten(tx, before_s, by="retention", now=site.clock())
    h, f, r = t.interval_history.c, t.finding.c, t.register_read.c
    # The newest read before stays: with the one that comes next it makes intervals.
    earlier = t.register_read.alias("earlier")
    newest = select(func.max(earlier.c.at_s)).where(
        earlier.c.meter == r.meter, earlier.c.channel == r.channel, earlier.c.at_s < before_s
    )
    for table, old in (
        (t.interval_history, h.start_s < before_s),
        (t.finding, f.start_s < before_s),
        (t.estimate_basis, t.estimate_basis.c.day < before_day),
        (t.register_read, r.at_s < newest.scalar_subquery()),
    ):
        _delete(site, table, _by_meters(site, table, old), gone)
    _delete(site, t.event, _by_time(site, t.event.c.at_s, before_s), gone)


def _forget_blocks(site: Site, before_day: int, gone: Counter[str]) -> None:
    """The interval store's days, one after the other."""
    while True:
        with site.database.read() as tx:
            day = next(days_there_are(tx), None)
        if day is None or day >= before_day:
            return
        began = time.monotonic()
        with site.database.write() as tx:
            gone[t.day_block.name] += site.store.forget(tx, day + 1)
        _give_way(began)


def _delete(site: Site, table: Table, portions: Iterable[ColumnElement[bool]], gone: Counter[str]) -> None:
    for portion in portions:
        began = time.monotonic()
        with site.database.write() as tx:
            gone[table.name] += tx.execute(delete(table).where(portion)).rowcount
        _give_way(began)


def _by_time(site: Site, at_s: Column[int], before_s: int) -> Iterator[ColumnElement[bool]]:
    """What is before a moment [s since 1970], an hour's rows at a time; the next is looked for when one is gone."""
    while True:
        with site.database.read() as tx:
            oldest_s = tx.execute(select(func.min(at_s))).scalar()
        if oldest_s is None or oldest_s >= before_s:
            return
        yield at_s < min(oldest_s + _SECONDS_AT_ONCE, before_s)


def _by_meters(site: Site, table: Table, old: ColumnElement[bool]) -> Iterator[ColumnElement[bool]]:
    """What is old in a table whose key begins with the meter, some meters' rows at a time."""
    with site.database.read() as tx:
        meters = tx.execute(select(t.meter.c.id).order_by(t.meter.c.id)).scalars().all()
    for first in range(0, len(meters), _METERS_AT_ONCE):
        some = meters[first : first + _METERS_AT_ONCE]
        yield table.c.meter.between(some[0], some[-1]) & old


def _give_way(began: float) -> None:
    """Others who write get as much time as a portion took."""
    time.sleep(time.monotonic() - began)


def _first_day_to_be_billed(site: Site, today: int) -> int:
    """Cycles that are not issued need their reads, and for comparison those of the month before."""
    with site.database.read() as tx:
        periods = [cycle.period for cycle in SqlLedger(tx).cycles() if cycle.state not in OUT]
    if not periods:
        return today
    month_before = previous_month(date.fromisoformat(f"{min(periods)}-01"))
    return day_number(date.fromisoformat(f"{month_before}-01")) - 1  # a local day may begin on the UTC day before
