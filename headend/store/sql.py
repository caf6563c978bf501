"""The interval store on SQL: a row a day block, the day first in the key. The embedded default."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from sqlalchemy import Connection, select

from headend.reads.blocks import Blocks, empty_blocks
from headend.reads.days import DAY_S
from headend.reads.profiles import LoadProfiles, lay_out
from headend.store.blockcodec import blocks_of, rows_of
from headend.store.bulk import rows_at, upsert_rows
from headend.store.intervals import BlockKey, ChannelDay, ChannelKey
from headend.store.tables import day_block

# With more channels than this, reading whole days and leaving out the rest beats looking up single keys.
_SCAN_FROM = 64

_BLOCK = select(day_block)


class SqlIntervalStore:
    """Day blocks in the site database; see `IntervalStore`."""

    def load(self, tx: Connection, keys: Sequence[BlockKey], interval_s: int) -> Blocks:
        """The blocks of these keys, in this order; all missing where there is none."""
        day, meter, channel = np.array(keys, dtype=np.int64).reshape(-1, 3).T
        blocks = empty_blocks(interval_s, meter, channel, day)
        place = {key: i for i, key in enumerate(keys)}
        for found in self._find(tx, keys, interval_s):
            at = [place[key] for key in found.keys]
            for name in ("values", "quality", "flags", "version", "register"):
                getattr(blocks, name)[at] = getattr(found, name)
        return blocks

    def save(self, tx: Connection, blocks: Blocks, *, settled: bool) -> None:
        """Keep blocks as they are now, in one statement."""
        upsert_rows(tx, day_block, rows_of(blocks, settled=settled))

    def profiles(
        self, tx: Connection, channels: Sequence[ChannelKey], start_s: int, end_s: int, interval_s: int
    ) -> LoadProfiles:
        """Channels side by side over [start_s, end_s), in the order asked for."""
        days = range(start_s // DAY_S, -(-end_s // DAY_S))
        if len(channels) < _SCAN_FROM:
            keys = [(day, meter, channel) for day in days for meter, channel in channels]
            found = self._find(tx, keys, interval_s)
        else:
            found = self._scan(tx, days, interval_s)
        return lay_out(found, channels, start_s, end_s, interval_s)

    def channel_days(self, tx: Connection, first_day: int, end_day: int) -> Iterable[ChannelDay]:
        """Completeness of every channel-day there is in [first_day, end_day)."""
        b = day_block.c
        query = select(b.day, b.meter, b.channel, b.interval_s, b.present, b.estimated, b.settled).where(
            b.day >= first_day, b.day < end_day
        )
        return [ChannelDay(*row) for row in tx.execute(query)]

    def open_days(self, tx: Connection, before_day: int) -> list[BlockKey]:
        """Keys of blocks before `before_day` that validation has not closed."""
        b = day_block.c
        query = select(b.day, b.meter, b.channel).where(b.settled.is_(False), b.day < before_day)
        return [(row.day, row.meter, row.channel) for row in tx.execute(query)]

    def _find(self, tx: Connection, keys: Sequence[BlockKey], interval_s: int) -> Iterator[Blocks]:
        rows = [row for row in rows_at(tx, day_block, keys) if row.interval_s == interval_s]
        if rows:
            yield blocks_of(rows, interval_s)

    def _scan(self, tx: Connection, days: range, interval_s: int) -> Iterator[Blocks]:
        for day in days:
            rows = tx.execute(_BLOCK.where(day_block.c.day == day, day_block.c.interval_s == interval_s)).all()
            if rows:
                yield blocks_of(rows, interval_s)
