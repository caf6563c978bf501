"""Daily use in the site database: a row a channel, its last days in one value, as `headend.vee.dailyuse` has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from headend.errors import StoreBroken
from headend.reads.blocks import Blocks
from headend.store.bulk import BINARY, meters_between, rows_at, upsert_rows
from headend.store.intervals import ChannelKey
from headend.store.tables import daily_use
from headend.vee.dailyuse import DAYS, NOTHING, DailyUse, moved, use_of_days

Int64s = NDArray[np.int64]

_NUMBERS = len(NOTHING)
_BYTES = _NUMBERS * DAYS * 8


def load(tx: Connection, channels: Sequence[ChannelKey], end_day: int) -> DailyUse:
    """What is known of the `DAYS` days before `end_day`, of these different channels in this order."""
    stood, ends = _rows(tx, channels, end_day)
    numbers = moved(stood, ends, np.full(len(channels), end_day))
    total, peak, low, unread, flags = numbers.transpose(1, 0, 2)
    return DailyUse(end_day, total, peak, low, unread, flags)


def put(tx: Connection, blocks: Blocks, end_day: int) -> None:
    """Put the days of these different blocks in their places, whatever stands there.

    Days that are older than what is kept are passed over.

    Parameters
    ----------
    end_day
        no day from here on has ended yet. A row that is further ahead than it is long, for a clock was wrong once, is
        put back: else it would take in nothing for as long as that clock was ahead.
    """
    if not len(blocks):
        return
    channels = list(dict.fromkeys(zip(blocks.meter.tolist(), blocks.channel.tolist(), strict=True)))
    row_of = {channel: row for row, channel in enumerate(channels)}
    row = np.array([row_of[key] for key in zip(blocks.meter.tolist(), blocks.channel.tolist(), strict=True)])
    stood, ends = _rows(tx, channels, end_day)
    newest = np.zeros(len(channels), np.int64)
    np.maximum.at(newest, row, blocks.day + 1)
    sane = np.where(ends > end_day + DAYS, 0, ends)
    ahead = np.maximum(sane, np.minimum(newest, end_day))
    numbers = moved(stood, ends, ahead)
    column = blocks.day - ahead[row] + DAYS
    inside = (column >= 0) & (column < DAYS)
    numbers[row[inside], :, column[inside]] = np.stack(use_of_days(blocks), axis=1)[inside]
    packed = numbers.astype("<i8").tobytes()
    upsert_rows(
        tx,
        daily_use,
        [
            (meter, channel, end, packed[i * _BYTES : (i + 1) * _BYTES])
            for i, ((meter, channel), end) in enumerate(zip(channels, ahead.tolist(), strict=True))
        ],
    )


def _rows(tx: Connection, channels: Sequence[ChannelKey], end_day: int) -> tuple[Int64s, Int64s]:
    """The five numbers of each day (k, 5, d), and the day after the last one (k,); nothing known where no row is."""
    row_of = {channel: row for row, channel in enumerate(channels)}
    rows = [row for row in _found(tx, channels) if (row[0], row[1]) in row_of]
    for meter, channel, _, days in rows:
        if len(days) != _BYTES:
            raise StoreBroken(
                f"daily use of meter {meter}, channel {channel}: found {len(days)} bytes, expected {_BYTES}"
            )
    found = np.frombuffer(b"".join([days for *_, days in rows]), "<i8").reshape(-1, _NUMBERS, DAYS)
    last = [end_day for *_, end_day, _ in rows]
    places = [row_of[meter, channel] for meter, channel, *_ in rows]
    if places == list(range(len(channels))):
        return found, np.array(last, np.int64)
    numbers = np.empty((len(channels), _NUMBERS, DAYS), np.int64)
    numbers[:] = np.array(NOTHING)[:, None]
    ends = np.full(len(channels), end_day, np.int64)
    numbers[places], ends[places] = found, last
    return numbers, ends


def _found(tx: Connection, channels: Sequence[ChannelKey]) -> Sequence[Any]:
    """Rows of the table, those of these channels among them."""
    between = meters_between(channels)
    if between is None:
        return rows_at(tx, daily_use, channels)
    query = f"SELECT meter, channel, end_day, days FROM {daily_use.name} WHERE {between}"
    return tx.exec_driver_sql(query, execution_options=BINARY).all()
