"""Load profiles: many channels side by side over one stretch of time, cut to the interval.

Blocks are how reads are kept; a load profile is how they are used. Row r, column c is the interval that begins at
`start_s + c × interval_s` of channel r.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headend.reads.blocks import NO_REGISTER, Blocks
from headend.reads.days import DAY_S

Int64s = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class LoadProfiles:
    """`k` channels over `n` intervals.

    Parameters
    ----------
    interval_s
        length of an interval [s].
    start_s
        begin of the first interval, UTC [s since 1970].
    meter, channel
        registry key and OBIS code of each row (k,).
    values
        whole base units per interval (k, n); 0 where missing.
    quality, flags
        `Quality` and device `Flag`s per interval (k, n).
    register
        cumulative register at the interval's end (k, n), `NO_REGISTER` where none came.
    """

    interval_s: int
    start_s: int
    meter: Int64s
    channel: Int64s
    values: Int64s
    quality: Bytes
    flags: Bytes
    register: Int64s


def lay_out(
    stacks: Iterable[Blocks], keys: Sequence[tuple[int, int]], start_s: int, end_s: int, interval_s: int
) -> LoadProfiles:
    """Blocks of whole UTC days, laid side by side and cut to [start_s, end_s).

    Parameters
    ----------
    stacks
        day blocks with intervals of `interval_s`; those of other channels or days are passed over.
    keys
        (meter, channel) of each row of the result; a row without blocks is all missing.
    """
    first_day, end_day = start_s // DAY_S, -(-end_s // DAY_S)
    shape = len(keys), end_day - first_day, DAY_S // interval_s
    values = np.zeros(shape, dtype=np.int64)
    quality = np.zeros(shape, dtype=np.uint8)
    flags = np.zeros(shape, dtype=np.uint8)
    register = np.full(shape, NO_REGISTER, dtype=np.int64)
    row_of = {key: row for row, key in enumerate(keys)}
    before: tuple[Int64s, Int64s, Int64s] | None = None
    for blocks in stacks:
        # One day mostly has the channels of the one before, in the same order.
        if before is None or not (
            np.array_equal(blocks.meter, before[0]) and np.array_equal(blocks.channel, before[1])
        ):
            channels = zip(blocks.meter.tolist(), blocks.channel.tolist(), strict=True)
            rows = np.fromiter((row_of.get(key, -1) for key in channels), dtype=np.int64, count=len(blocks))
            before = blocks.meter, blocks.channel, rows
        rows = before[2]
        asked = (rows >= 0) & (blocks.day >= first_day) & (blocks.day < end_day)
        wanted = slice(None) if asked.all() else asked  # almost always: it spares a copy of everything
        at = rows[wanted], blocks.day[wanted] - first_day
        values[at] = blocks.values[wanted]
        quality[at] = blocks.quality[wanted]
        flags[at] = blocks.flags[wanted]
        register[at] = blocks.register[wanted]
    first = (start_s - first_day * DAY_S) // interval_s
    cut = slice(first, first + (end_s - start_s) // interval_s)
    meter, channel = np.array(keys, dtype=np.int64).reshape(-1, 2).T
    flat = len(keys), shape[1] * shape[2]
    return LoadProfiles(
        interval_s,
        start_s,
        meter,
        channel,
        values.reshape(flat)[:, cut],
        quality.reshape(flat)[:, cut],
        flags.reshape(flat)[:, cut],
        register.reshape(flat)[:, cut],
    )
