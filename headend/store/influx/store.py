"""The interval store on InfluxDB 2: what is new stands in the site database as well, what is old in InfluxDB alone.

A block is saved as a row of the site database, in the transaction of everything else that became true with it, and
noted as unsent; the `Forwarder` sends it. A settled day older than `store.recent_days` leaves the site database once
InfluxDB was read back and says the same of it. What stays is a row without reads, which still tells how complete the
day is. So InfluxDB may be away, and only who needs an old day has to wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete

from headend.errors import StoreBroken
from headend.reads.blocks import Blocks, blocks_in_order
from headend.reads.channels import Channel
from headend.reads.days import day_of
from headend.reads.profiles import Layout, LoadProfiles
from headend.store import completeness
from headend.store.blockcodec import blocks_of, lay_in, rows_of
from headend.store.bulk import upsert_rows
from headend.store.dayrows import is_here, rows_over, rows_with
from headend.store.influx.names import meter_names
from headend.store.influx.reads import InfluxReads
from headend.store.intervals import BlockKey, Bools, ChannelDay, ChannelKey, Latest
from headend.store.latest import latest_of
from headend.store.tables import day_block, moved_day, unsent
from headend.store.unsent import note_unsent


class InfluxIntervalStore:
    """Day blocks in InfluxDB, the recent ones in the site database too; see `IntervalStore`.

    Parameters
    ----------
    clock
        tells since when something is unsent.
    """

    def __init__(self, reads: InfluxReads, clock: Callable[[], datetime]) -> None:
        self._reads, self._clock = reads, clock

    def load(self, tx: Connection, keys: Sequence[BlockKey], interval_s: int) -> Blocks:
        """The blocks of these keys, in this order; all missing where there is none.

        Raises `StoreBroken` where InfluxDB lacks reads that it had: whoever loads blocks may save them again, and would
        put less in the place of more.
        """
        rows = rows_with(tx, keys, interval_s)
        here = [row for row in rows if is_here(row)]
        moved = [row for row in rows if not is_here(row)]
        found = [blocks_of(here, interval_s)] if here else []
        if moved:
            found.append(self._load_moved(tx, moved, interval_s))
        return blocks_in_order(keys, found, interval_s)

    def save(self, tx: Connection, blocks: Blocks, changed: Bools, *, settled: bool) -> None:
        """Keep blocks as they are now, and note which of their intervals InfluxDB has to be told."""
        upsert_rows(tx, day_block, rows_of(blocks, settled=settled))
        touched = np.asarray(changed.any(axis=1))
        note_unsent(tx, blocks.take(touched), changed[touched], self._clock())

    def profiles(
        self, tx: Connection, channels: Sequence[ChannelKey], start_s: int, end_s: int, interval_s: int
    ) -> LoadProfiles:
        """Channels side by side over [start_s, end_s), in the order asked for."""
        layout = Layout(channels, start_s, end_s, interval_s)
        moved: set[BlockKey] = set()
        asked = set(channels)
        for day, channel, rows in rows_over(tx, channels, layout.days, interval_s):
            lay_in(layout, day, channel, [row for row in rows if is_here(row)], interval_s)
            away = ((day, row[0], channel) for row in rows if not is_here(row))
            moved |= {key for key in away if key[1:] in asked}
        # What is here is what holds, for InfluxDB may not have heard of it yet: of these days it has the rest.
        for blocks in self._moved(tx, moved, interval_s) if moved else ():
            layout.lay(blocks)
        return layout.profiles()

    def latest(
        self, tx: Connection, channels: Sequence[ChannelKey], since_s: int, before_s: int
    ) -> Mapping[ChannelKey, Latest]:
        """Each channel's newest measured read that begins in [since_s, before_s); channels without one are left out."""
        return latest_of(tx, self.load, channels, since_s, before_s)

    def channel_days(self, tx: Connection, first_day: int, end_day: int) -> Iterable[ChannelDay]:
        """Completeness of every channel-day there is in [first_day, end_day)."""
        return completeness.channel_days(tx, first_day, end_day)

    def open_days(self, tx: Connection, before_day: int) -> list[BlockKey]:
        """Keys of blocks before `before_day` that validation has not closed."""
        return completeness.open_days(tx, before_day)

    def forget(self, tx: Connection, before_day: int) -> int:
        """Delete the blocks of all days before `before_day`, for their time is over; how many there were."""
        # First there: if our transaction fails then, what is left here is deleted next time.
        self._reads.forget(before_day)
        for table in (unsent, moved_day):
            tx.execute(delete(table).where(table.c.day < before_day))
        return tx.execute(delete(day_block).where(day_block.c.day < before_day)).rowcount

    def _load_moved(self, tx: Connection, rows: Sequence[Any], interval_s: int) -> Blocks:
        names = meter_names(tx, {row.meter for row in rows})
        blocks = self._reads.load([(row.day, row.meter, row.channel) for row in rows], interval_s, names)
        # More than there were is no fault: a late read may have gone there since this transaction began.
        for row, found in zip(rows, blocks.present.sum(axis=1).tolist(), strict=True):
            if found < row.present:
                of = f"{names[row.meter]}, {Channel(row.channel).obis}, {day_of(row.day)}"
                raise StoreBroken(f"InfluxDB: found {found} reads of {of}, expected the {row.present} that went there")
        return blocks

    def _moved(self, tx: Connection, keys: set[BlockKey], interval_s: int) -> Iterator[Blocks]:
        """These blocks, and no other that lies among them: its intervals may be of another length."""
        days = {day for day, _, _ in keys}
        channels = sorted({(meter, channel) for _, meter, channel in keys})
        names = meter_names(tx, {meter for meter, _ in channels})
        for blocks in self._reads.scan(channels, min(days), max(days) + 1, interval_s, names):
            yield blocks.take(np.array([key in keys for key in blocks.keys], dtype=np.bool_))
