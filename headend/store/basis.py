"""What estimated days rest on: for each the days that were consulted, or would have been had they been there.

Should a read of these change, the day is to be estimated again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import Connection, select

from headend.store.bulk import delete_rows, rows_at, upsert_rows
from headend.store.intervals import BlockKey, ChannelKey
from headend.store.tables import estimate_basis

#: The days [first, end) that an estimated day rests on, by its key.
Basis = Mapping[BlockKey, tuple[int, int]]


def keep_basis(tx: Connection, whole: Basis, part: Basis) -> None:
    """What these days rest on.

    Parameters
    ----------
    whole
        all that they rest on.
    part
        what some of their estimates rest on; the others were not made again, and rest on what they did.
    """
    rows = dict(whole)
    stood = {key: (first, end) for key, first, end in _rows(tx, _days(part))} if part else {}
    for key, (first, end) in part.items():
        before = stood.get(key, (first, end))
        rows[key] = min(first, before[0]), max(end, before[1])
    upsert_rows(tx, estimate_basis, [(meter, channel, day, *on) for (day, meter, channel), on in rows.items()])


def drop_basis(tx: Connection, days: Iterable[BlockKey]) -> None:
    """These days hold no estimate any more."""
    if gone := _days(days):
        delete_rows(tx, estimate_basis, gone)


def is_any(tx: Connection) -> bool:
    """Whether anything rests on anything."""
    return tx.execute(select(estimate_basis.c.meter).limit(1)).first() is not None


def resting_on(tx: Connection, changed: Collection[BlockKey]) -> set[BlockKey]:
    """The days whose estimates rest on one of these, of the same channel."""
    days: dict[ChannelKey, list[int]] = defaultdict(list)
    for day, meter, channel in changed:
        days[meter, channel].append(day)
    return {key for key, first, end in _rows(tx, days) if any(first <= day < end for day in days[key[1], key[2]])}


def _days(keys: Iterable[BlockKey]) -> list[tuple[int, int, int]]:
    """As the table's key has them."""
    return [(meter, channel, day) for day, meter, channel in keys]


def _rows(tx: Connection, keys: Iterable[tuple[int, ...]]) -> list[tuple[BlockKey, int, int]]:
    found = rows_at(tx, estimate_basis, keys)
    return [((row.day, row.meter, row.channel), row.first_day, row.end_day) for row in found]
