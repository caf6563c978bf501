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


class Layout:
    """Load profiles in the making: days of channels are laid in, in any order; what is not laid in is missing.

    Parameters
    ----------
    keys
        (meter, channel) of each row of the profiles.
    start_s, end_s
        to which they are cut.
    """

    def __init__(self, keys: Sequence[tuple[int, int]], start_s: int, end_s: int, interval_s: int) -> None:
        self._keys, self._start_s, self._end_s, self._interval_s = keys, start_s, end_s, interval_s
        #: The UTC days that are laid in.
        self.days = range(start_s // DAY_S, -(-end_s // DAY_S))
        shape = len(keys), len(self.days), DAY_S // interval_s
        self._values = np.zeros(shape, dtype=np.int64)
        self._quality = np.zeros(shape, dtype=np.uint8)
        self._flags = np.zeros(shape, dtype=np.uint8)
        self._register = np.full(shape, NO_REGISTER, dtype=np.int64)
        self._row_of = {key: row for row, key in enumerate(keys)}
        self._before: tuple[Sequence[int], int, NDArray[np.intp]] | None = None

    def rows(self, meters: Sequence[int], channel: int) -> NDArray[np.intp]:
        """The rows of a channel of some meters (m,); -1 where nobody asked for it."""
        # One day mostly has the meters of the one before, in the same order.
        if self._before is None or (meters, channel) != self._before[:2]:
            row_of = self._row_of
            rows = np.array([row_of.get((meter, channel), -1) for meter in meters], dtype=np.intp)
            self._before = meters, channel, rows
        return self._before[2]

    def day(self, day: int) -> tuple[Int64s, Bytes, Bytes, Int64s]:
        """Values, quality, flags and registers of a day, to be written to: by row and interval (k, n)."""
        at = day - self.days.start
        return self._values[:, at], self._quality[:, at], self._flags[:, at], self._register[:, at]

    def lay(self, blocks: Blocks) -> None:
        """Lay in day blocks; those of other channels or days are passed over."""
        keys = zip(blocks.meter.tolist(), blocks.channel.tolist(), strict=True)
        rows = np.array([self._row_of.get(key, -1) for key in keys], dtype=np.intp)
        wanted = (rows >= 0) & (blocks.day >= self.days.start) & (blocks.day < self.days.stop)
        at = rows[wanted], blocks.day[wanted] - self.days.start
        self._values[at] = blocks.values[wanted]
        self._quality[at] = blocks.quality[wanted]
        self._flags[at] = blocks.flags[wanted]
        self._register[at] = blocks.register[wanted]

    def profiles(self) -> LoadProfiles:
        """What was laid in, cut to the interval."""
        interval_s = self._interval_s
        first = (self._start_s - self.days.start * DAY_S) // interval_s
        cut = slice(first, first + (self._end_s - self._start_s) // interval_s)
        meter, channel = np.array(self._keys, dtype=np.int64).reshape(-1, 2).T
        flat = len(self._keys), len(self.days) * (DAY_S // interval_s)
        return LoadProfiles(
            interval_s,
            self._start_s,
            meter,
            channel,
            self._values.reshape(flat)[:, cut],
            self._quality.reshape(flat)[:, cut],
            self._flags.reshape(flat)[:, cut],
            self._register.reshape(flat)[:, cut],
        )


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
    layout = Layout(keys, start_s, end_s, interval_s)
    for blocks in stacks:
        layout.lay(blocks)
    return layout.profiles()
