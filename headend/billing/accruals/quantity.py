"""A quantity that is billed of a period that runs: what was read of it, and what it may become by the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headend.billing.accruals.forecast import Days, expected_rest, pattern_of, scaled_rest, share_off
from headend.billing.metered import Metered, at_usage_points
from headend.billing.ports import MeterChannel
from headend.reads import LoadProfiles, Quality
from headend.reads.days import DAY_S
from headend.tariffs.arrays import Bools, Int64s

Rows = NDArray[np.int64]

#: What is rated: the reads there are, and with the rest as it may become.
Scenario = Literal["so far", "low", "expected", "high"]
SO_FAR: tuple[Scenario, ...] = ("so far",)
TO_COME: tuple[Scenario, ...] = ("low", "expected", "high")


@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """One quantity, use, what is fed in or reactive energy, at `m` usage points over the `n` intervals of a window.

    Parameters
    ----------
    metered
        reads there are (m, n).
    missing
        where there is none (m, n).
    is_open
        whether any is missing (m,).
    begin
        the first interval that is missing anywhere: up to it there is nothing to expect.
    expected
        reads, with what is expected where there is none (m, n).
    known, share
        whether that is known, and how far it may be off, as a share (m,).
    """

    metered: Metered
    missing: Bools
    is_open: Bools
    begin: int
    expected: Int64s
    known: Bools
    share: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        profiles: LoadProfiles,
        meters: Sequence[Sequence[tuple[int, MeterChannel]]],
        days: Days,
        window: range,
        until: int,
        since: Int64s,
    ) -> Quantity:
        """What meters read, and what is expected after the days before it.

        Parameters
        ----------
        meters
            for each usage point its (row of `profiles`, channel) pairs.
        days, window
            local days of `profiles` up to the window's end, and which of them are the window's.
        until, since
            the days that are looked back on: before the one, and for each usage point from the other on (m,).
        """
        together = at_usage_points(profiles, meters, slice(0, days.n))
        columns = days.columns(window.start, window.stop)
        metered = Metered(together.values[:, columns], together.quality[:, columns])
        present = together.quality != Quality.MISSING
        missing = ~present[:, columns]
        is_open = missing.any(axis=1)
        m, n = missing.shape
        if not is_open.any():
            return cls(metered, missing, is_open, n, metered.values, np.ones(m, dtype=np.bool_), np.zeros(m))
        pattern = pattern_of(together.values, present, days, until, since)
        expected = expected_rest(together.values, present, days, window, pattern)
        begin = int(np.argmax(missing.any(axis=0)))
        rest = np.where(missing[:, begin:], expected[:, begin:], 0).sum(axis=1)
        share = share_off(rest, missing[:, begin:].sum(axis=1) * (profiles.interval_s / DAY_S), pattern)
        return cls(metered, missing, is_open, begin, expected, pattern.known | ~is_open, share)

    def reached(self, rows: Rows) -> Int64s:
        """Number of intervals of each row up to and including the last that was read (k,)."""
        present = ~self.missing[rows]
        return np.where(present.any(axis=1), present.shape[1] - np.argmax(present[:, ::-1], axis=1), 0)

    def values(self, rows: Rows, scenarios: Sequence[Scenario], *, falls: bool = False) -> Int64s:
        """Rows as scenarios have them, one scenario below the other; `falls`: it is the less, the more it costs."""
        if scenarios == SO_FAR:
            return self.metered.take(rows.tolist()).values
        some = slice(None) if len(rows) == len(self.expected) else rows
        expected, share = self.expected[some], self.share[some]
        values = np.empty((len(scenarios), *expected.shape), dtype=np.int64)
        values[:, :, : self.begin] = expected[:, : self.begin]
        rest, missing = expected[:, self.begin :], self.missing[some, self.begin :]
        for scenario, its in zip(scenarios, values[:, :, self.begin :], strict=True):
            sign = 1 if (scenario == "high") != falls else -1
            its[:] = rest if scenario == "expected" else scaled_rest(rest, missing, sign * share)
        return values.reshape(-1, expected.shape[1])
