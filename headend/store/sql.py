"""The interval store on SQL: a row a day block, the day first in the key. On SQLite it is the embedded default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, delete

from headend.reads.blocks import Blocks, blocks_in_order
from headend.reads.profiles import Layout, LoadProfiles
from headend.store import completeness
from headend.store.blockcodec import blocks_of, lay_in, rows_of
from headend.store.bulk import upsert_rows
from headend.store.dayrows import rows_over, rows_with
from headend.store.intervals import BlockKey, Bools, ChannelDay, ChannelKey, Latest
from headend.store.latest import latest_of
from headend.store.tables import day_block


class SqlIntervalStore:
    """Day blocks in the site database; see `IntervalStore`."""

    def load(self, tx: Connection, keys: Sequence[BlockKey], interval_s: int) -> Blocks:
        """The blocks of these keys, in this order; all missing where there is none."""
        rows = rows_with(tx, keys, interval_s)
        return blocks_in_order(keys, [blocks_of(rows, interval_s)] if rows else [], interval_s)

    def save(self, tx: Connection, blocks: Blocks, changed: Bools, *, settled: bool) -> None:  # noqa: ARG002
        """Keep blocks as they are now, in one statement: a row is written whole, whatever changed in it."""
        upsert_rows(tx, day_block, rows_of(blocks, settled=settled))

    def profiles(
        self, tx: Connection, channels: Sequence[ChannelKey], start_s: int, end_s: int, interval_s: int
    ) -> LoadProfiles:
        """Channels side by side over [start_s, end_s), in the order asked for."""
        layout = Layout(channels, start_s, end_s, interval_s)
        for day, channel, rows in rows_over(tx, channels, layout.days, interval_s):
            lay_in(layout, day, channel, rows, interval_s)
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
        return tx.execute(delete(day_block).where(day_block.c.day < before_day)).rowcount
