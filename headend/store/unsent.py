"""What InfluxDB has not confirmed: kept in the same transaction as the blocks themselves, so that nothing is forgotten.

A row says which intervals of a block changed since InfluxDB last had them all, not what they became: what is sent is
what stands when it is sent, so a retry can only bring newer values, and a block that changes ten times during an outage
is sent once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from headend.reads.blocks import Blocks
from headend.reads.days import microseconds, moment_us
from headend.store.bulk import delete_rows, rows_at, upsert_rows
from headend.store.intervals import BlockKey, Bools
from headend.store.tables import unsent

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Unsent:
    """A block of which InfluxDB lacks something.

    Parameters
    ----------
    times
        how often the block was saved since it last lacked nothing.
    changed
        a bit an interval, the first interval first, filled up to whole bytes.
    """

    key: BlockKey
    times: int
    changed: bytes


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far InfluxDB is behind: blocks of which it lacks something, and since when it lacks the oldest."""

    blocks: int
    since: datetime | None


def note_unsent(tx: Connection, blocks: Blocks, changed: Bools, now: datetime) -> None:
    """These intervals (k, n) are other than InfluxDB has them."""
    bits = np.packbits(changed, axis=1)
    waiting = {(row.day, row.meter, row.channel): row for row in rows_at(tx, unsent, blocks.keys)}
    now_us = microseconds(now)
    rows = []
    for i, key in enumerate(blocks.keys):
        before = waiting.get(key)
        if before is None:
            rows.append((*key, now_us, 1, bits[i].tobytes()))
        else:
            both = bits[i] | np.frombuffer(before.changed, np.uint8)
            rows.append((*key, before.since_us, before.times + 1, both.tobytes()))
    upsert_rows(tx, unsent, rows)


def next_unsent(tx: Connection, limit: int) -> list[Unsent]:
    """Some of what is unsent, the oldest days first."""
    u = unsent.c
    query = select(u.day, u.meter, u.channel, u.times, u.changed).order_by(u.day, u.meter, u.channel).limit(limit)
    return [Unsent((row.day, row.meter, row.channel), row.times, row.changed) for row in tx.execute(query)]


def note_sent(tx: Connection, sent: Sequence[Unsent]) -> None:
    """InfluxDB has confirmed these; a block that was saved once more in the meantime stays unsent."""
    now = {(row.day, row.meter, row.channel): row.times for row in rows_at(tx, unsent, [one.key for one in sent])}
    delete_rows(tx, unsent, [one.key for one in sent if now.get(one.key) == one.times])


def backlog(tx: Connection) -> Backlog:
    """How far InfluxDB is behind."""
    blocks, since_us = tx.execute(select(func.count(), func.min(unsent.c.since_us))).one()
    return Backlog(blocks, None if since_us is None else moment_us(since_us))
