"""Published prices and called events in the site database: imported, looked through, and loaded for rating.

A price that is published anew takes the place of the one before, which goes to the history. Prices of a series never
overlap, so that each moment has one price or none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select

from headend.errors import InvalidInput, NotFound
from headend.reads.days import microseconds, moment, moment_us
from headend.store.bulk import insert_rows, upsert_rows
from headend.store.database import upsert
from headend.store.rebills import flag_events, flag_prices
from headend.store.tables import price, price_history, price_series, tariff_event
from headend.tariffs.market import Events, Market, PriceSeries
from headend.tariffs.money import EXACT, plain
from headend.tariffs.published import whole_numbers

_P, _S, _E = price.c, price_series.c, tariff_event.c

#: UTC [s since 1970], begin and end.
Span = tuple[int, int]


def load_market(tx: Connection, series: Collection[str], events: Collection[str], start_s: int, end_s: int) -> Market:
    """What is published of these series and lists of events for [start_s, end_s).

    A series that was never imported is left out, and whoever asks the market for it is told so. A list without events
    has none.
    """
    prices = {}
    if series:
        columns = _S.name, _S.currency, _S.unit, _P.start_s, _P.end_s, _P.price
        query = select(*columns).select_from(price_series).join(price, _holds_within(start_s, end_s), isouter=True)
        rows = tx.execute(query.where(_S.name.in_(series)).order_by(_S.name, _P.start_s)).all()
        prices = {name: _series(name, list(its)) for name, its in groupby(rows, itemgetter(0))}
    spans: dict[str, list[Span]] = {name: [] for name in events}
    if events:
        its = select(_E.name, _E.start_s, _E.end_s).where(_E.name.in_(events), _E.start_s < end_s, _E.end_s > start_s)
        for name, begin, end in tx.execute(its.order_by(_E.name, _E.start_s)):
            spans[name].append((begin, end))
    return Market(prices, {name: Events(name, tuple(its)) for name, its in spans.items()})


def _holds_within(start_s: int, end_s: int) -> ColumnElement[bool]:
    """Prices of the joined series that hold at some moment of [start_s, end_s)."""
    # Since prices do not overlap, the first of them is the last that begins before `start_s`: with that the key alone
    # finds them, however many years there are.
    earlier = price.alias("earlier")
    first = (
        select(func.max(earlier.c.start_s))
        .where(earlier.c.series == _S.name, earlier.c.start_s <= start_s)
        .correlate(price_series)
        .scalar_subquery()
    )
    begins = _P.start_s >= func.coalesce(first, start_s)
    return (_P.series == _S.name) & begins & (_P.start_s < end_s) & (_P.end_s > start_s)


def _series(name: str, rows: Sequence[Any]) -> PriceSeries:
    """A series of rows of name, currency, unit, begin, end and price; of one without the last, if it has no price."""
    _, (currency, *_), (unit, *_), starts, ends, texts = zip(*rows, strict=True)
    if starts[0] is None:
        starts, ends, texts = (), (), ()
    split = [text.partition(".") for text in texts]
    scale = max((len(digits) for _, _, digits in split), default=0)
    return PriceSeries(
        name,
        currency,
        unit,
        np.array(starts, dtype=np.int64),
        np.array(ends, dtype=np.int64),
        whole_numbers([int(whole + digits.ljust(scale, "0")) for whole, _, digits in split]),
        scale,
    )


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did, or would do: how many prices or events were new, there already, or there with another price.

    Parameters
    ----------
    changes
        of the prices that are others now: begin and end, the price before and the one now.
    flagged
        statements that were billed at the prices before, or without the events: a clerk decides whether to correct
        them.
    """

    new: int
    same: int
    changes: tuple[tuple[Span, Decimal, Decimal], ...] = ()
    flagged: tuple[str, ...] = ()

    @property
    def changed(self) -> int:
        """How many prices are others now."""
        return len(self.changes)


def import_prices(
    tx: Connection, series: PriceSeries, source: str, *, by: str, at: datetime, dry_run: bool = False
) -> Imported:
    """Add prices to their series, or make it; the same prices again change nothing, and others flag what was billed.

    Parameters
    ----------
    source
        where they are from, for messages.
    dry_run
        write nothing.

    Raises
    ------
    InvalidInput
        the series is in another currency or unit, or a price overlaps others without taking the place of one.
    """
    known = tx.execute(select(price_series).where(_S.name == series.name)).first()
    if known is not None and (known.currency, known.unit) != (series.currency, series.unit):
        found = f"{series.currency} per {series.unit}"
        raise InvalidInput(source, found, f"{known.currency} per {known.unit}, as {series.name} has been")
    old: list[Any] = []
    new: list[Any] = []
    same, changes, at_us = 0, [], microseconds(at)
    standing = _standing(tx, series)
    for span, its in _prices(series):
        before = _replaced(standing, span, source)
        if before is not None and before.price == its:
            same += 1
            continue
        version = 1
        if before is not None:
            version = before.version + 1
            changes.append((span, Decimal(before.price), Decimal(its)))
            old.append((*before[:2], before.version, before.end_s, before.price, *before[5:]))
        new.append((series.name, *span, its, version, at_us, by))
    if not dry_run:
        upsert(tx, price_series, [{"name": series.name, "currency": series.currency, "unit": series.unit}])
        insert_rows(tx, price_history, old)
        upsert_rows(tx, price, new)
    flagged = flag_prices(tx, series.name, [span for span, *_ in changes], by, at, dry_run=dry_run)
    return Imported(len(new) - len(old), same, tuple(changes), tuple(flagged))


def _prices(series: PriceSeries) -> list[tuple[Span, str]]:
    """Begin and end of each price, and the price as it is kept."""
    spans = zip(series.start_s.tolist(), series.end_s.tolist(), strict=True)
    texts = [plain(Decimal(number).scaleb(-series.scale, EXACT)) for number in series.prices.tolist()]
    return list(zip(spans, texts, strict=True))


def _standing(tx: Connection, series: PriceSeries) -> list[Row[Any]]:
    """Prices that hold where a series has some, in order."""
    if not len(series.start_s):
        return []
    start_s, end_s = int(series.start_s[0]), int(series.end_s[-1])
    query = (
        select(price).select_from(price_series).join(price, _holds_within(start_s, end_s)).where(_S.name == series.name)
    )
    return list(tx.execute(query.order_by(_P.start_s)))


def _replaced(standing: list[Row[Any]], span: Span, source: str) -> Row[Any] | None:
    """The price of the same time, if there is one; raises `InvalidInput` if there is one of another."""
    start_s, end_s = span
    place = bisect_left(standing, start_s, key=lambda row: row.start_s)
    for row in standing[max(0, place - 1) : place + 1]:
        if (row.start_s, row.end_s) == span:
            return row
        if row.start_s < end_s and row.end_s > start_s:
            expected = f"the same times as before, or others ({_span(row.start_s, row.end_s)} stands there)"
            raise InvalidInput(source, f"a price from {_span(start_s, end_s)}", expected)
    return None


@dataclass(frozen=True, slots=True)
class SeriesTold:
    """A price series at a glance.

    Parameters
    ----------
    first_s, end_s
        UTC [s since 1970]; None where it has no price.
    prices, gaps
        how many there are, and how often there is none in between.
    imported
        when the last of them came.
    """

    name: str
    currency: str
    unit: str
    first_s: int | None
    end_s: int | None
    prices: int
    gaps: int
    imported: datetime | None


def price_series_told(tx: Connection) -> list[SeriesTold]:
    """Every price series, by name."""
    before = func.lag(_P.end_s).over(partition_by=_P.series, order_by=_P.start_s)
    holding = select(_P.series, _P.start_s, _P.end_s, _P.imported_us, before.label("before_s")).subquery()
    h = holding.c
    query = (
        select(
            _S.name,
            _S.currency,
            _S.unit,
            func.min(h.start_s),
            func.max(h.end_s),
            func.count(h.start_s),
            func.count().filter(h.before_s < h.start_s),
            func.max(h.imported_us),
        )
        .join(holding, h.series == _S.name, isouter=True)
        .group_by(_S.name, _S.currency, _S.unit)
        .order_by(_S.name)
    )
    return [
        SeriesTold(name, currency, unit, first_s, end_s, count, gaps, None if at_us is None else moment_us(at_us))
        for name, currency, unit, first_s, end_s, count, gaps, at_us in tx.execute(query)
    ]


@dataclass(frozen=True, slots=True)
class PriceTold:
    """A price that holds, and how it came; `version` counts what was published for its time."""

    start_s: int
    end_s: int
    price: Decimal
    version: int
    imported: datetime
    imported_by: str


def has_series(tx: Connection, name: str) -> bool:
    """Whether prices of that name were ever imported."""
    return tx.execute(select(_S.name).where(_S.name == name)).first() is not None


def prices_of(tx: Connection, name: str, start_s: int, end_s: int) -> list[PriceTold]:
    """Prices of a series that hold within [start_s, end_s), in order; raises `NotFound`."""
    if not has_series(tx, name):
        raise NotFound(f"no price series is called {name!r}")
    query = select(price).select_from(price_series).join(price, _holds_within(start_s, end_s)).where(_S.name == name)
    return [
        PriceTold(row.start_s, row.end_s, Decimal(row.price), row.version, moment_us(row.imported_us), row.imported_by)
        for row in tx.execute(query.order_by(_P.start_s))
    ]


def series_before(tx: Connection, name: str, start_s: int, end_s: int) -> Iterator[PriceSeries]:
    """A series within [start_s, end_s) as it was before each of its imports, latest first; the last one is empty."""
    h = price_history.c
    kept = select(price_history).where(h.series == name, h.start_s < end_s, h.end_s > start_s)
    query = select(price).select_from(price_series).join(price, _holds_within(start_s, end_s)).where(_S.name == name)
    rows = sorted([*tx.execute(kept), *tx.execute(query)], key=lambda row: row.version)
    series = tx.execute(select(price_series).where(_S.name == name)).one()
    for import_us in sorted({row.imported_us for row in rows}, reverse=True):
        stood = {row.start_s: row for row in rows if row.imported_us < import_us}
        its = [(name, series.currency, series.unit, at, stood[at].end_s, stood[at].price) for at in sorted(stood)]
        yield _series(name, its or [(name, series.currency, series.unit, None, None, "0")])


def gaps_of(prices: Sequence[PriceTold], start_s: int, end_s: int) -> list[Span]:
    """Where [start_s, end_s) has no price."""
    at, gaps = start_s, []
    for one in prices:
        if one.start_s > at:
            gaps.append((at, one.start_s))
        at = one.end_s
    return [*gaps, (at, end_s)] if at < end_s else gaps


@dataclass(frozen=True, slots=True)
class EventTold:
    """An event of a list, and who called it."""

    name: str
    start_s: int
    end_s: int
    added: datetime
    added_by: str


def add_events(
    tx: Connection, events: Events, source: str, *, by: str, at: datetime, dry_run: bool = False
) -> Imported:
    """Add events to their list; those that are there already change nothing, and new ones flag what was billed.

    Raises
    ------
    InvalidInput
        one overlaps another of the list.
    """
    known = {one.start_s: one for one in events_told(tx, events.name)}
    new = [span for span in events.spans if span[0] not in known or known[span[0]].end_s != span[1]]
    for start_s, end_s in new:
        for one in known.values():
            if one.start_s < end_s and one.end_s > start_s:
                expected = f"no overlap with {_span(one.start_s, one.end_s)} of {events.name}"
                raise InvalidInput(source, f"an event from {_span(start_s, end_s)}", expected)
    if new and not dry_run:
        rows = [{"start_s": start_s, "end_s": end_s} for start_s, end_s in new]
        added = {"name": events.name, "added_us": microseconds(at), "added_by": by}
        tx.execute(insert(tariff_event), [row | added for row in rows])
    flagged = flag_events(tx, events.name, new, by, at, dry_run=dry_run)
    return Imported(len(new), len(events.spans) - len(new), flagged=tuple(flagged))


def events_told(tx: Connection, name: str | None = None) -> list[EventTold]:
    """Every event, or those of one list, in order."""
    query = select(tariff_event).order_by(_E.name, _E.start_s)
    if name is not None:
        query = query.where(_E.name == name)
    return [
        EventTold(row.name, row.start_s, row.end_s, moment_us(row.added_us), row.added_by) for row in tx.execute(query)
    ]


def remove_event(tx: Connection, name: str, start_s: int, now_s: int) -> EventTold:
    """Call off an event that has not begun; days are billed when they are over, so nothing was billed with it.

    Raises
    ------
    NotFound
        there is none.
    InvalidInput
        it has begun: customers go by it, and bills will.
    """
    event = next((one for one in events_told(tx, name) if one.start_s == start_s), None)
    if event is None:
        raise NotFound(f"{name} has no event that begins at {_utc(start_s)}")
    if start_s <= now_s:
        raise InvalidInput("--from", f"an event that began at {_utc(start_s)}", "one that has not begun")
    tx.execute(delete(tariff_event).where(_E.name == name, _E.start_s == start_s))
    return event


def _span(start_s: int, end_s: int) -> str:
    return f"{_utc(start_s)} to {_utc(end_s)}"


def _utc(at_s: int) -> str:
    return f"{moment(at_s):%Y-%m-%dT%H:%MZ}"
