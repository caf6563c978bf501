"""The newest measured read of each of many channels: looked for from the last day back, until all are found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from sqlalchemy import Connection

from headend.reads.blocks import Blocks
from headend.reads.days import DAY_S
from headend.reads.quality import IS_MEASURED
from headend.store.bulk import rows_at
from headend.store.completeness import channel_days
from headend.store.intervals import BlockKey, ChannelDay, ChannelKey, Latest
from headend.store.tables import day_block

# With more channels than this, reading whole days and leaving out the rest beats looking up single keys.
_SCAN_FROM = 64
_DAYS_AT_ONCE = 30

Load = Callable[[Connection, Sequence[BlockKey], int], Blocks]


def latest_of(
    tx: Connection, load: Load, channels: Sequence[ChannelKey], since_s: int, before_s: int
) -> Mapping[ChannelKey, Latest]:
    """Each channel's newest measured read that begins in [since_s, before_s); see `IntervalStore.latest`."""
    found: dict[ChannelKey, Latest] = {}
    left = set(channels)
    first_day, end = since_s // DAY_S, -(-before_s // DAY_S)
    while left and end > first_day:
        begin = max(first_day, end - (_DAYS_AT_ONCE if len(left) < _SCAN_FROM else 1))
        found |= _newest(tx, load, _days_with_reads(tx, left, begin, end), since_s, before_s)
        left -= found.keys()
        end = begin
    return found


def _days_with_reads(tx: Connection, channels: set[ChannelKey], first_day: int, end_day: int) -> list[ChannelDay]:
    """Days with a measured read of these channels, the newest first."""
    if len(channels) < _SCAN_FROM:
        keys = ((day, meter, channel) for day in range(first_day, end_day) for meter, channel in channels)
        rows = rows_at(tx, day_block, keys)
        days: Iterable[ChannelDay] = [
            ChannelDay(row.day, row.meter, row.channel, row.interval_s, row.present, row.estimated, row.settled)
            for row in rows
        ]
    else:
        days = (day for day in channel_days(tx, first_day, end_day) if (day.meter, day.channel) in channels)
    return sorted((day for day in days if day.present > day.estimated), key=lambda day: -day.day)


def _newest(
    tx: Connection, load: Load, days: Sequence[ChannelDay], since_s: int, before_s: int
) -> dict[ChannelKey, Latest]:
    """Of days with the newest first."""
    found: dict[ChannelKey, Latest] = {}
    # Almost always a channel's newest day will do; where the bounds cut all of it off, the day before it is looked at.
    while days:
        tried: dict[ChannelKey, ChannelDay] = {}
        for day in days:
            tried.setdefault((day.meter, day.channel), day)
        by_length: dict[int, list[BlockKey]] = defaultdict(list)
        for day in tried.values():
            by_length[day.interval_s].append((day.day, day.meter, day.channel))
        for interval_s, keys in by_length.items():
            found |= _last_measured(load(tx, keys, interval_s), since_s, before_s)
        days = [
            day for day in days if (day.meter, day.channel) not in found and day.day < tried[day.meter, day.channel].day
        ]
    return found


def _last_measured(blocks: Blocks, since_s: int, before_s: int) -> dict[ChannelKey, Latest]:
    starts = blocks.start_s
    chosen = IS_MEASURED[blocks.quality] & (starts >= since_s) & (starts < before_s)
    rows = np.flatnonzero(chosen.any(axis=1))
    columns = chosen.shape[1] - 1 - np.argmax(chosen[rows, ::-1], axis=1)
    return {
        (int(blocks.meter[row]), int(blocks.channel[row])): Latest(
            int(starts[row, column]), blocks.interval_s, int(blocks.values[row, column])
        )
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
    }
