"""Loose runs of reads, gathered as they come and turned into day blocks all at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from headend.reads.blocks import NO_REGISTER, Blocks, pack
from headend.reads.quality import Flag, Quality
from headend.registry.registry import EnrolledChannel


@dataclass(slots=True)
class Runs:
    """Runs of reads with one interval length, in base units, not yet arrays."""

    meter: list[int] = field(default_factory=list)
    channel: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    register: list[int] = field(default_factory=list)
    values: list[list[int | None]] = field(default_factory=list)
    flags: list[list[int] | None] = field(default_factory=list)
    codes: list[list[int] | None] = field(default_factory=list)
    told: list[bool] = field(default_factory=list)

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
        self.meter.append(channel.meter)
        self.channel.append(channel.channel.code)
        self.first.append(first_s)
        self.register.append(register)
        self.values.append(values)
        self.flags.append(flags)
        self.codes.append(codes)
        self.told.append(told)

    def pack(self, interval_s: int) -> list[Blocks]:
        """Flattened to reads, and packed into day blocks."""
        counts = np.fromiter(map(len, self.values), dtype=np.int64, count=len(self.values))
        ends = counts.cumsum()
        run = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(int(ends[-1])) - np.repeat(ends - counts, counts)
        quality = np.full(len(run), Quality.RAW, dtype=np.uint8)
        flags = np.zeros(len(run), dtype=np.uint8)
        for given, into in ((self.codes, quality), (self.flags, flags)):
            for i, row in enumerate(given):
                if row is not None:
                    into[ends[i] - counts[i] : ends[i]] = row
        values = list(chain.from_iterable(self.values))
        if None in values:
            missing = np.fromiter((value is None for value in values), np.bool_, len(values))
            quality[missing] = Quality.MISSING
            flags[missing & np.array(self.told)[run]] |= np.uint8(Flag.LOST)
            values = [value or 0 for value in values]
        register = np.full(len(run), NO_REGISTER, dtype=np.int64)
        register[ends - 1] = self.register
        return pack(
            interval_s,
            np.array(self.meter)[run],
            np.array(self.channel)[run],
            np.array(self.first)[run] + place * interval_s,
            np.array(values, dtype=np.int64),
            quality,
            flags,
            register,
        )
