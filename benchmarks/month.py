"""A month of hourly reads as meters deliver it: 3 % late, 2 % twice, a register a day; the same at every run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from headend.reads import NO_REGISTER, Blocks, Quality
from headend.reads.blocks import pack
from headend.reads.channels import IMPORT
from headend.reads.days import DAY_S, day_number

DAYS = 31
INTERVAL_S = 3600
CHANNEL = IMPORT.code
FIRST_DAY = day_number(date(2026, 1, 1))

_LATE, _TWICE = 0.03, 0.02
_LATEST_H = 12

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Delivery:
    """Reads that come together, one element a read (r,): meter (1 …), begin [s since 1970], Wh, register [Wh]."""

    meter: Int64s
    start_s: Int64s
    values: Int64s
    register: Int64s

    def __len__(self) -> int:
        return len(self.meter)

    def blocks(self) -> list[Blocks]:
        """Packed as intake packs them."""
        quality = np.full(len(self), Quality.RAW, dtype=np.uint8)
        channel = np.full(len(self), CHANNEL, dtype=np.int64)
        flags = np.zeros(len(self), dtype=np.uint8)
        return pack(INTERVAL_S, self.meter, channel, self.start_s, self.values, quality, flags, self.register)


class Month:
    """What `meters` meters counted in January 2026 (UTC), and when it comes in.

    Parameters
    ----------
    meters
        numbered from 1 on, one channel each.
    """

    def __init__(self, meters: int) -> None:
        self.meters = meters
        self._random = np.random.default_rng(20_260_101)
        hours = DAYS * 24
        hour = np.arange(hours) % 24
        # Households: a base load, a morning and an evening, each with its own habits and a lot of chance.
        shape = 0.35 + 0.5 * np.exp(-((hour - 7.5) ** 2) / 4) + np.exp(-((hour - 19) ** 2) / 8)
        size = self._random.lognormal(np.log(450), 0.6, (meters, 1))
        #: Wh (meters, hours).
        self.values: Int64s = (size * shape * self._random.gamma(4, 0.25, (meters, hours))).astype(np.int64)
        #: Wh at the end of each day's last hour, else `NO_REGISTER` (meters, hours).
        self.register: Int64s = np.full((meters, hours), NO_REGISTER, dtype=np.int64)
        begin = self._random.integers(0, 50_000_000, (meters, 1))
        self.register[:, 23::24] = begin + np.cumsum(self.values, axis=1)[:, 23::24]

    @property
    def reads(self) -> int:
        """How many there are, none counted twice."""
        return self.values.size

    @property
    def channels(self) -> list[tuple[int, int]]:
        """(meter, channel) of all."""
        return [(meter, CHANNEL) for meter in range(1, self.meters + 1)]

    def by_the_hour(self) -> Iterator[Delivery]:
        """Each hour of all meters as it ends; what is late comes one to twelve hours after the others."""
        return self._deliveries(1, _LATEST_H)

    def by_the_day(self) -> Iterator[Delivery]:
        """Each day of all meters when it is over; what is late comes with the next day."""
        return self._deliveries(24, 1)

    def _deliveries(self, hours: int, latest: int) -> Iterator[Delivery]:
        last = self.values.shape[1] // hours - 1
        random = np.random.default_rng(3)
        place = np.arange(self.reads)
        comes = place % self.values.shape[1] // hours
        late = np.flatnonzero(random.random(self.reads) < _LATE)
        comes[late] += random.integers(1, latest + 1, len(late))
        again = np.flatnonzero(random.random(self.reads) < _TWICE)
        place = np.concatenate([place, again])
        comes = np.minimum(np.concatenate([comes, comes[again] + 1]), last)
        order = np.argsort(comes, kind="stable")
        for chosen in np.split(place[order], np.flatnonzero(np.diff(comes[order])) + 1):
            meter, hour = np.divmod(chosen, self.values.shape[1])
            start_s = FIRST_DAY * DAY_S + hour * INTERVAL_S
            yield Delivery(meter + 1, start_s, self.values.ravel()[chosen], self.register.ravel()[chosen])
