"""Loose runs of reads, gathered as they come and turned into day blocks all at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from headend.reads.blocks import NO_REGISTER, Blocks, pack
from headend.reads.quality import Flag, Quality
from headend.registry.registry import EnrolledChannel

#: Meter, channel, begin, register, told, values, flags, codes: as `Runs.add` takes them.
_Run = tuple[int, int, int, int, bool, list[int | None], list[int] | None, list[int] | None]


@dataclass(slots=True)
class Runs:
    """Runs of reads with one interval length, in base units, not yet arrays."""

    _runs: list[_Run] = field(default_factory=list)

    def add(
        self,
        channel: EnrolledChannel,
        first_s: int,
        values: list[int | None],
        register: int,
        flags: list[int] | None = None,
        codes: list[int] | None = None,
        told: bool = False,
    ) -> None:
        """One more run.

        Parameters
        ----------
        first_s
            begin of its first interval [s since 1970].
        values
            base units; None where missing.
        register
            at its end, or `NO_REGISTER`.
        flags, codes
            device flags and quality codes, one a value; None: none, and raw.
        told
            the device itself says what is missing.
        """
        self._runs.append((channel.meter, channel.channel.code, first_s, register, told, values, flags, codes))

    def pack(self, interval_s: int) -> list[Blocks]:
        """Flattened to reads, and packed into day blocks."""
        meter, channel, first, register, told, runs, runs_flags, runs_codes = zip(*self._runs, strict=True)
        counts = np.fromiter(map(len, runs), dtype=np.int64, count=len(runs))
        ends = counts.cumsum()
        run = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(int(ends[-1])) - np.repeat(ends - counts, counts)
        quality = np.full(len(run), Quality.RAW, dtype=np.uint8)
        flags = np.zeros(len(run), dtype=np.uint8)
        for given, into in ((runs_codes, quality), (runs_flags, flags)):
            for i, row in enumerate(given):
                if row is not None:
                    into[ends[i] - counts[i] : ends[i]] = row
        values = list(chain.from_iterable(runs))
        if None in values:
            missing = np.fromiter((value is None for value in values), np.bool_, len(values))
            quality[missing] = Quality.MISSING
            flags[missing & np.array(told)[run]] |= np.uint8(Flag.LOST)
            values = [value or 0 for value in values]
        registers = np.full(len(run), NO_REGISTER, dtype=np.int64)
        registers[ends - 1] = register
        return pack(
            interval_s,
            np.array(meter)[run],
            np.array(channel)[run],
            np.array(first)[run] + place * interval_s,
            np.array(values, dtype=np.int64),
            quality,
            flags,
            registers,
        )
