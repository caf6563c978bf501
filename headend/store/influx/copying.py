"""A site's reads to InfluxDB, and back: day by day, each compared before and after.

Nothing is noted of how far a copy came: a day that says the same on both sides is done, and costs a second run no more
than a look. So a copy may be broken off anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import delete, func, select

from headend.errors import StoreBroken
from headend.reads.blocks import Blocks, alike, blocks_in_order, differing, digest
from headend.reads.days import day_of
from headend.store.blockcodec import rows_of
from headend.store.bulk import upsert_rows
from headend.store.completeness import days_that_came_back, days_there_are
from headend.store.database import Database
from headend.store.influx.comparison import Both, moved_wrongly, read_back
from headend.store.influx.names import meter_names
from headend.store.influx.reads import InfluxReads
from headend.store.tables import day_block, moved_day


@dataclass(frozen=True, slots=True)
class CopiedDay:
    """What became of one day.

    Parameters
    ----------
    blocks, reads
        that both sides have now: the same, as was seen by reading them back.
    copied
        how many of the blocks had to be brought over.
    sha256
        of all that these blocks say.
    """

    day: int
    blocks: int
    reads: int
    copied: int
    sha256: str


def days_here(database: Database) -> list[int]:
    """Days of which the site database has reads, oldest first."""
    with database.read() as tx:
        gone = set(tx.execute(select(moved_day.c.day)).scalars()) - days_that_came_back(tx)
        return [day for day in days_there_are(tx) if day not in gone]


def days_gone(database: Database) -> list[int]:
    """Days of which InfluxDB alone has reads, oldest first."""
    with database.read() as tx:
        return list(tx.execute(select(moved_day.c.day).order_by(moved_day.c.day)).scalars())


def send_day(database: Database, reads: InfluxReads, day: int) -> CopiedDay:
    """Send InfluxDB those blocks of a day that it has not, or has otherwise, and read them back.

    Raises
    ------
    StoreAway
        InfluxDB does not answer, or refuses.
    StoreBroken
        it confirmed what it does not have then.
    """
    both = list(read_back(database, reads, day))
    copied = sum(_send(database, reads, day, alike_long) for alike_long in both)
    return _copied(day, [alike_long.here for alike_long in both], copied)


def _send(database: Database, reads: InfluxReads, day: int, both: Both) -> int:
    """How many blocks differed; InfluxDB has them as they are here now."""
    changed = differing(both.here, both.there)
    touched = np.asarray(changed.any(axis=1))
    sent = both.here.take(touched)
    if len(sent):
        with database.read() as tx:
            names = meter_names(tx, set(sent.meter.tolist()))
        reads.write(sent, changed[touched], names)
        channels = list(zip(sent.meter.tolist(), sent.channel.tolist(), strict=True))
        found = reads.scan(channels, day, day + 1, sent.interval_s, names)
        there = blocks_in_order(sent.keys, found, sent.interval_s)
        if odd := int((~alike(sent, there)).sum()):
            expected = "them as they were sent; does the bucket keep reads for long enough?"
            raise StoreBroken(f"InfluxDB: {day_of(day)}: found {odd} blocks otherwise, expected {expected}")
    return len(sent)


def bring_back_day(database: Database, reads: InfluxReads, day: int) -> CopiedDay:
    """Fill the rows of a day again that InfluxDB alone has the reads of, and note that they are here.

    Raises
    ------
    StoreAway
        InfluxDB does not answer, or refuses.
    StoreBroken
        it does not have what was moved there: nothing is changed.
    """
    both = list(read_back(database, reads, day))
    with database.write() as tx:
        sha256 = tx.execute(select(moved_day.c.sha256).where(moved_day.c.day == day)).scalar_one()
        if fault := moved_wrongly(both, sha256):
            raise StoreBroken(f"{day_of(day)}: {fault}")
        empty = select(day_block.c.meter, day_block.c.channel)
        empty = empty.where(day_block.c.day == day, func.length(day_block.c.quality) == 0)
        # Whatever came here in the meantime is newer.
        gone = {(row.meter, row.channel) for row in tx.execute(empty)}
        stacks = [_of_channels(alike_long.whole, gone) for alike_long in both]
        for blocks in stacks:
            upsert_rows(tx, day_block, rows_of(blocks, settled=True))  # only what was settled was let go of
        tx.execute(delete(moved_day).where(moved_day.c.day == day))
    return _copied(day, [alike_long.whole for alike_long in both], sum(map(len, stacks)))


def _of_channels(blocks: Blocks, channels: set[tuple[int, int]]) -> Blocks:
    keys = zip(blocks.meter.tolist(), blocks.channel.tolist(), strict=True)
    return blocks.take(np.array([key in channels for key in keys], dtype=np.bool_))


def _copied(day: int, stacks: Sequence[Blocks], copied: int) -> CopiedDay:
    reads = sum(int(blocks.present.sum()) for blocks in stacks)
    return CopiedDay(day, sum(map(len, stacks)), reads, copied, digest(*stacks))
