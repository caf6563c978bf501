"""Day blocks as table rows: integers packed little-endian, and nothing written where nothing is to be said.

About 5 bytes a read for a clean day with a register a day: int32 values unless one needs 64 bits, a byte of quality, no
versions while each interval has been stored once, no flags while there are none, registers only where they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headend.errors import StoreBroken
from headend.reads.blocks import NO_REGISTER, Blocks, empty_blocks
from headend.reads.days import DAY_S
from headend.reads.quality import IS_ESTIMATED, Quality

_INT32 = np.iinfo(np.int32)


def rows_of(blocks: Blocks, *, settled: bool) -> list[dict[str, Any]]:
    """A table row for each block."""
    n = DAY_S // blocks.interval_s
    small = [_INT32.min <= low and high <= _INT32.max for low, high in _ranges(blocks)]
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
        {
            "day": day,
            "meter": meter,
            "channel": channel,
            "interval_s": blocks.interval_s,
            "settled": settled,
            "present": present[i],
            "estimated": estimated[i],
            "reads": values32[4 * n * i : 4 * n * (i + 1)] if small[i] else values64[8 * n * i : 8 * n * (i + 1)],
            "quality": quality[n * i : n * (i + 1)],
            "version": None if plain[i] else version[n * i : n * (i + 1)],
            "flags": None if quiet[i] else flags[n * i : n * (i + 1)],
            "register": registers[i],
        }
        for i, (day, meter, channel) in enumerate(blocks.keys)
    ]


def blocks_of(rows: Sequence[Any], interval_s: int) -> Blocks:
    """Blocks of table rows of one interval length; raises `StoreBroken` where a row has not a day's length."""
    n = DAY_S // interval_s
    if not all(_is_whole(row, n) for row in rows):
        raise StoreBroken(f"interval store: a block with {interval_s} s intervals has not {n} of them")
    columns = [np.fromiter((row[i] for row in rows), dtype=np.int64, count=len(rows)) for i in (1, 2, 0)]
    blocks = empty_blocks(interval_s, *columns)
    wide = np.fromiter((len(row.reads) for row in rows), dtype=np.int64, count=len(rows)) // n
    for width, dtype in ((4, "<i4"), (8, "<i8")):
        chosen = np.flatnonzero(wide == width)
        if len(chosen):
            joined = b"".join([rows[i].reads for i in chosen.tolist()])
            blocks.values[chosen] = np.frombuffer(joined, dtype=dtype).reshape(-1, n)
    blocks.quality[:] = np.frombuffer(b"".join([row.quality for row in rows]), dtype=np.uint8).reshape(-1, n)
    blocks.version[:] = blocks.quality != Quality.MISSING
    for i, row in enumerate(rows):
        if row.version is not None:
            blocks.version[i] = np.frombuffer(row.version, dtype=np.uint8)
        if row.flags is not None:
            blocks.flags[i] = np.frombuffer(row.flags, dtype=np.uint8)
        if row.register is not None:
            count = len(row.register) // 10
            places = np.frombuffer(row.register, dtype="<u2", count=count)
            if places.max() >= n:
                raise StoreBroken(f"interval store: a register at interval {places.max()} of a day of {n}")
            blocks.register[i, places] = np.frombuffer(row.register, dtype="<i8", offset=2 * count)
    return blocks


def _is_whole(row: Any, n: int) -> bool:
    return (
        len(row.reads) in {4 * n, 8 * n}
        and len(row.quality) == n
        and (row.version is None or len(row.version) == n)
        and (row.flags is None or len(row.flags) == n)
        and (row.register is None or (len(row.register) % 10 == 0 and 0 < len(row.register) <= 10 * n))
    )


def _ranges(blocks: Blocks) -> zip[tuple[int, int]]:
    return zip(blocks.values.min(axis=1).tolist(), blocks.values.max(axis=1).tolist(), strict=True)


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
