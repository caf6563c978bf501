"""Day blocks as table rows: integers packed little-endian, and nothing written where nothing is to be said.

About 5 bytes a read for a clean day with a register a day: int32 values unless one needs 64 bits, a byte of quality, no
versions while each interval has been stored once, no flags while there are none, registers only where they came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headend.errors import StoreBroken
from headend.reads.blocks import NO_REGISTER, Blocks, empty_blocks
from headend.reads.days import DAY_S
from headend.reads.quality import IS_ESTIMATED, Quality
from headend.store.bulk import Row

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
    _unpack(blocks, blocks.values, reads, {4 * n: "<i4", 8 * n: "<i8"})
    _unpack(blocks, blocks.quality, quality, {n: "u1"})
    blocks.version[:] = blocks.quality != Quality.MISSING
    _unpack(blocks, blocks.version, version, {n: "u1"})
    _unpack(blocks, blocks.flags, flags, {n: "u1"})
    for length, chosen, packed in _by_length(register):
        count, odd = divmod(length, 10)
        if odd or not 0 < count <= n:
            raise _broken(blocks, chosen[0])
        places = packed[:, : 2 * count].copy().view("<u2")
        if len(wrong := np.flatnonzero((places >= n).any(axis=1))):
            raise _broken(blocks, chosen[wrong[0]])
        blocks.register[np.asarray(chosen)[:, None], places] = packed[:, 2 * count :].copy().view("<i8")
    return blocks


def _unpack(blocks: Blocks, into: NDArray[Any], column: Sequence[bytes | None], kinds: dict[int, str]) -> None:
    """Lay the bytes of a column over the rows that have any; `kinds` are the number types by length [bytes]."""
    for length, chosen, packed in _by_length(column):
        if length not in kinds:
            raise _broken(blocks, chosen[0])
        into[slice(None) if len(chosen) == len(column) else chosen] = packed.view(kinds[length])


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


def _broken(blocks: Blocks, place: int) -> StoreBroken:
    day, meter, channel = blocks.keys[place]
    return StoreBroken(
        f"interval store: the block of day {day}, meter {meter}, channel {channel}"
        f" is none of {DAY_S // blocks.interval_s} intervals of {blocks.interval_s} s"
    )


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
