"""Day blocks as table rows: integers packed little-endian, and nothing written where nothing is to be said.

About 5 bytes a read for a clean day with a register a day: int32 values unless one needs 64 bits, a byte of quality, no
versions while each interval has been stored once, no flags while there are none, registers only where they came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headend.errors import StoreBroken
from headend.reads.blocks import NO_REGISTER, Blocks, empty_blocks
from headend.reads.days import DAY_S
from headend.reads.profiles import Layout
from headend.reads.quality import IS_ESTIMATED, Quality
from headend.store.bulk import Row
from headend.store.intervals import BlockKey

_INT32 = np.iinfo(np.int32)


def rows_of(blocks: Blocks, *, settled: bool) -> list[Row]:
    """A row of `day_block` for each block, its columns in the table's order."""
    n = DAY_S // blocks.interval_s
    small = np.logical_and.reduce((blocks.values >= _INT32.min) & (blocks.values <= _INT32.max), axis=1).tolist()
    values32, values64 = blocks.values.astype("<i4").tobytes(), blocks.values.astype("<i8").tobytes()
    quality = blocks.quality.tobytes()
    plain = np.logical_and.reduce(np.equal(blocks.version, blocks.present), axis=1).tolist()
    version = blocks.version.tobytes()
    quiet = np.logical_and.reduce(np.equal(blocks.flags, 0), axis=1).tolist()
    flags = blocks.flags.tobytes()
    registers = _registers(blocks.register)
    present = blocks.present.sum(axis=1).tolist()
    estimated = IS_ESTIMATED[blocks.quality].sum(axis=1).tolist()
    return [
        (
            day,
            meter,
            channel,
            blocks.interval_s,
            settled,
            present[i],
            estimated[i],
            values32[4 * n * i : 4 * n * (i + 1)] if small[i] else values64[8 * n * i : 8 * n * (i + 1)],
            quality[n * i : n * (i + 1)],
            None if plain[i] else version[n * i : n * (i + 1)],
            None if quiet[i] else flags[n * i : n * (i + 1)],
            registers[i],
        )
        for i, (day, meter, channel) in enumerate(blocks.keys)
    ]


def blocks_of(rows: Sequence[Row], interval_s: int) -> Blocks:
    """Blocks of rows of `day_block` of one interval length; raises `StoreBroken` where one is not what was written.

    Of a row's columns, those between the key and the reads are not looked at and may be left out.
    """
    n = DAY_S // interval_s
    day, meter, channel, *_, reads, quality, version, flags, register = zip(*rows, strict=True)
    blocks = empty_blocks(interval_s, *(np.fromiter(key, np.int64, len(rows)) for key in (meter, channel, day)))
    stack = _Stack(n, np.arange(len(rows)), lambda place: blocks.keys[place])
    stack.unpack(reads, {4 * n: "<i4", 8 * n: "<i8"}, blocks.values)
    stack.unpack(quality, {n: "u1"}, blocks.quality)
    blocks.version[:] = blocks.quality != Quality.MISSING
    stack.unpack(version, {n: "u1"}, blocks.version)
    stack.unpack(flags, {n: "u1"}, blocks.flags)
    stack.unpack_registers(register, blocks.register)
    return blocks


def lay_in(layout: Layout, day: int, channel: int, rows: Sequence[Row], interval_s: int) -> None:
    """Lay rows of one channel and UTC day into load profiles; raises `StoreBroken` where one is not what was written.

    Parameters
    ----------
    rows
        meter, reads, quality, flags and registers, the last four as in `day_block`. Meters that nobody asked for are
        passed over.
    """
    if not rows:
        return
    n = DAY_S // interval_s
    meters, reads, quality, flags, register = zip(*rows, strict=True)
    at = layout.rows(meters, channel)
    if len(asked := np.flatnonzero(at >= 0)) < len(at):
        lay_in(layout, day, channel, [rows[place] for place in asked.tolist()], interval_s)
        return
    stack = _Stack(n, at, lambda place: (day, meters[place], channel))
    values_there, quality_there, flags_there, register_there = layout.day(day)
    stack.unpack(reads, {4 * n: "<i4", 8 * n: "<i8"}, values_there)
    stack.unpack(quality, {n: "u1"}, quality_there)
    stack.unpack(flags, {n: "u1"}, flags_there)
    stack.unpack_registers(register, register_there)


@dataclass(frozen=True, slots=True, eq=False)
class _Stack:
    """Rows of blocks of `n` intervals, the rows of arrays that they go to (k,), and whose each of them is."""

    n: int
    at: NDArray[np.intp]
    key: Callable[[int], BlockKey]

    def unpack(self, column: Sequence[bytes | None], kinds: Mapping[int, str], into: NDArray[Any]) -> None:
        """Lay the bytes of a column over the rows that have any; `kinds` are the number types by length [bytes]."""
        for length, chosen, packed in _by_length(column):
            if length not in kinds:
                raise self._broken(chosen[0])
            into[self._at(chosen)] = packed.view(kinds[length])

    def unpack_registers(self, column: Sequence[bytes | None], into: NDArray[np.int64]) -> None:
        """Put registers where they came."""
        for length, chosen, packed in _by_length(column):
            count, odd = divmod(length, 10)
            if odd or not 0 < count <= self.n:
                raise self._broken(chosen[0])
            places = packed[:, : 2 * count].copy().view("<u2")
            if len(wrong := np.flatnonzero((places >= self.n).any(axis=1))):
                raise self._broken(chosen[wrong[0]])
            into[self._at(chosen)[:, None], places] = packed[:, 2 * count :].copy().view("<i8")

    def _at(self, chosen: Sequence[int]) -> NDArray[np.intp]:
        return self.at if len(chosen) == len(self.at) else self.at[np.asarray(chosen)]

    def _broken(self, place: int) -> StoreBroken:
        day, meter, channel = self.key(place)
        return StoreBroken(
            f"interval store: the block of day {day}, meter {meter}, channel {channel}"
            f" is none of {self.n} intervals of {DAY_S // self.n} s"
        )


def _by_length(column: Sequence[bytes | None]) -> Iterator[tuple[int, Sequence[int], NDArray[np.uint8]]]:
    """The rows that have bytes, by how many they have: the length, the rows' places (k,), the bytes (k, length)."""
    there = [packed for packed in column if packed is not None]
    if not there:
        return
    places = range(len(column)) if len(there) == len(column) else [i for i, it in enumerate(column) if it is not None]
    lengths = set(map(len, there))
    if len(lengths) == 1:  # as almost always; to look at each of them from here would cost more than all the rest
        yield lengths.pop(), places, _joined(there)
        return
    for length in lengths:
        some = [i for i, packed in enumerate(there) if len(packed) == length]
        yield length, [places[i] for i in some], _joined([there[i] for i in some])


def _joined(some: Sequence[bytes]) -> NDArray[np.uint8]:
    """The bytes of rows that have equally many (k, length)."""
    return np.frombuffer(b"".join(some), dtype=np.uint8).reshape(len(some), -1)


def _registers(register: NDArray[np.int64]) -> list[bytes | None]:
    block, place = np.nonzero(register != NO_REGISTER)
    packed: list[bytes | None] = [None] * len(register)
    counts = np.bincount(block, minlength=len(register)).tolist()
    places, values = place.astype("<u2").tobytes(), register[block, place].astype("<i8").tobytes()
    at = 0
    for i, count in enumerate(counts):
        if count:
            packed[i] = places[2 * at : 2 * (at + count)] + values[8 * at : 8 * (at + count)]
            at += count
    return packed
