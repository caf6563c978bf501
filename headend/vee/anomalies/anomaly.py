"""What an anomaly is, and what must be known of channels beside their use to see one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headend.reads.channels import Channel
from headend.reads.days import EPOCH

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]

Code = Literal["leak", "stuck", "reverse", "tamper", "inactive", "peers"]

_FLOWS = ("gas", "water", "heat")
_IMPORT, _EXPORT = 1, 2  # C of an electricity channel's OBIS code


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Days of one channel on which something is not as it should be.

    Parameters
    ----------
    row
        which of the channels.
    first_day, end_day
        days since 1970, the end not included.
    score
        how sure and how bad, 0 to 1; those of all codes sort one queue.
    detail
        one sentence with the numbers.
    """

    row: int
    first_day: int
    end_day: int
    code: Code
    score: float
    detail: str


@dataclass(frozen=True, eq=False)
class Installations:
    """What is known of `k` channels beside their use of `d` days.

    Parameters
    ----------
    channel
        OBIS codes (k,).
    usage_point
        registry key of where it is used: what happens to its other channels tells whether somebody is at home (k,).
    per_day
        intervals of a day (k,).
    generates
        that something at the usage point may feed in (k,).
    account
        registry key of the account that was supplied on each day, 0 where no service agreement was in force (k, d).
    neighbourhood
        usage points that should fare alike, of one area and customer class, have one number (k,); -1 for none. Only
        channels of the same code are compared.
    backwards
        how many reads of the day were negative or below the register read before: findings of V5 and V7 (k, d).
    """

    channel: Int64s
    usage_point: Int64s
    per_day: Int64s
    generates: Bools
    account: Int64s
    neighbourhood: Int64s
    backwards: Int64s

    @cached_property
    def flows(self) -> Bools:
        """Gas, water and heat, which stop at night, other than electricity (k,)."""
        return self._of_codes(lambda channel: channel.commodity in _FLOWS)

    @cached_property
    def heats(self) -> Bools:
        """Gas and heat, which the weather moves (k,)."""
        return self._of_codes(lambda channel: channel.commodity in ("gas", "heat"))

    @cached_property
    def exports(self) -> Bools:
        """Electricity that is fed in (k,)."""
        return self._of_codes(lambda channel: _electric(channel, _EXPORT))

    @cached_property
    def consumes(self) -> Bools:
        """What a customer uses: flows, and electricity that is drawn (k,)."""
        return self.flows | self._of_codes(lambda channel: _electric(channel, _IMPORT))

    @cached_property
    def volumes(self) -> Bools:
        """What is counted in litres or dm³ (k,)."""
        return self._of_codes(lambda channel: channel.unit == "m³")

    @cached_property
    def same_account(self) -> Bools:
        """Days of the account that is supplied now: another household is nothing to compare with (k, d)."""
        now = self.account[:, -1:]
        return (self.account == now) & (now != 0)

    @cached_property
    def group(self) -> Int64s:
        """Neighbours' number, from 0 on without holes; who has no neighbourhood is alone (k,)."""
        alone = self.neighbourhood < 0
        place = np.where(alone, -1 - np.arange(len(self.channel)), self.neighbourhood)
        return np.unique(np.stack([place, self.channel]), axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)

    @cached_property
    def tells_presence(self) -> Bools:
        """Electricity and water: what is used when somebody is at home, whatever the weather (k,)."""
        water = self._of_codes(lambda channel: channel.commodity == "water")
        return water | self._of_codes(lambda channel: _electric(channel, _IMPORT))

    def beside(self, row: int) -> Int64s:
        """The usage point's other channels that tell whether somebody is at home (rows)."""
        points, order = self._by_usage_point
        point = int(self.usage_point[row])
        rows = order[slice(*np.searchsorted(points, [point, point + 1]))]
        return rows[self.tells_presence[rows] & (self.channel[rows] != self.channel[row])]

    def amount(self, row: int, quantity: float) -> str:
        """A quantity [base units] of a channel, for people."""
        channel = Channel(int(self.channel[row]))
        volume = channel.unit == "m³"
        if quantity >= (10_000 if volume else 1_000):
            return f"{quantity / 1000:,.1f} {channel.unit}"
        base = {"m³": "litres" if channel.commodity == "water" else "dm³", "kWh": "Wh", "kvarh": "var·h"}
        return f"{quantity:,.0f} {base[channel.unit]}"

    @cached_property
    def _by_usage_point(self) -> tuple[Int64s, Int64s]:
        order = np.argsort(self.usage_point, kind="stable")
        return self.usage_point[order], order

    def _of_codes(self, holds: Callable[[Channel], bool]) -> Bools:
        codes, place = np.unique(self.channel, return_inverse=True)
        return np.array([holds(Channel(int(code))) for code in codes], dtype=np.bool_)[place.reshape(-1)]


def _electric(channel: Channel, c: int) -> bool:
    return channel.commodity == "electricity" and channel.code >> 16 & 255 == c


def day_text(day: int) -> str:
    """A day since 1970 as people write it."""
    return (EPOCH + timedelta(days=day)).isoformat()


def grown(amount: float, half: float) -> float:
    """From 0 towards 1, 0.5 at `half`: how evidence adds up to certainty."""
    return float(1 - 2 ** (-amount / half))
