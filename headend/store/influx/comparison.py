"""One day here and in InfluxDB, side by side: what is sent, let go of, copied and verified is judged by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from headend.reads.blocks import Blocks, blocks_in_order, digest
from headend.reads.quality import IS_ESTIMATED
from headend.store.blockcodec import blocks_of
from headend.store.database import Database
from headend.store.dayrows import is_here
from headend.store.influx.names import meter_names
from headend.store.influx.reads import InfluxReads
from headend.store.tables import day_block

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Both:
    """Blocks of one day and interval length.

    Parameters
    ----------
    whole
        all that InfluxDB should have, as InfluxDB has it (k).
    is_here
        which of them are in the site database too (k,).
    here, there
        those, as they are here, and as InfluxDB has them.
    present, estimated
        how many intervals of each have a value, and an estimate, by the site database (k,).
    """

    whole: Blocks
    is_here: Bools
    here: Blocks
    there: Blocks
    present: Int64s
    estimated: Int64s


def read_back(database: Database, reads: InfluxReads, day: int) -> Iterator[Both]:
    """One day's blocks here and in InfluxDB, by interval length. Raises `StoreAway`."""
    with database.read() as tx:
        rows = tx.execute(select(day_block).where(day_block.c.day == day)).all()
        names = meter_names(tx, {row.meter for row in rows})
    for interval_s in sorted({row.interval_s for row in rows}):
        alike_long = [row for row in rows if row.interval_s == interval_s]
        keys = [(row.day, row.meter, row.channel) for row in alike_long]
        channels = [(meter, channel) for _, meter, channel in keys]
        whole = blocks_in_order(keys, reads.scan(channels, day, day + 1, interval_s, names), interval_s)
        here = [row for row in alike_long if is_here(row)]
        at = np.array([is_here(row) for row in alike_long])
        there = whole.take(at)
        yield Both(
            whole,
            at,
            blocks_of(here, interval_s) if here else there,
            there,
            np.array([row.present for row in alike_long]),
            np.array([row.estimated for row in alike_long]),
        )


def lost(day: Sequence[Both]) -> int:
    """How many of a day's blocks that InfluxDB alone has are not as complete as when they were let go of."""
    return sum(int((~both.is_here & ~_as_complete(both)).sum()) for both in day)


def moved_wrongly(day: Sequence[Both], sha256: str) -> str:
    """What is wrong with those blocks of a day that are in InfluxDB alone; "" where nothing is.

    A day that is there alone must say what it said when it was let go of. Once late reads brought blocks of it back
    here, InfluxDB has been told of those too: then the others must be as complete as they were.

    Parameters
    ----------
    sha256
        of the whole day, as it was let go of.
    """
    if odd := lost(day):
        return f"{odd} blocks in InfluxDB are not as complete as when they were let go of"
    if not any(both.is_here.any() for both in day):
        found = digest(*(both.whole for both in day))
        if found != sha256:
            return f"InfluxDB says otherwise than when it was let go of: SHA-256 {found[:16]}…, then {sha256[:16]}…"
    return ""


def _as_complete(both: Both) -> Bools:
    present, estimated = both.whole.present.sum(axis=1), IS_ESTIMATED[both.whole.quality].sum(axis=1)
    return np.asarray((present == both.present) & (estimated == both.estimated))
