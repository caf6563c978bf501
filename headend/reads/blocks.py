"""Day blocks: the unit in which reads are validated, stored and scanned.

One block is one channel of one meter on one UTC day; `Blocks` is a stack of `k` of them with the same interval length,
so that every operation is an array operation over (k, n). An interval's place in its day is its time: nothing else
carries it. `version` counts what has been stored for an interval (0: nothing yet), so a merge can tell a redelivery
from a correction without knowing where either came from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from headend.reads.days import DAY_S
from headend.reads.quality import IS_ACTUAL, IS_DECIDED, IS_MEASURED, Quality

#: "No register came with this interval." Registers themselves are never negative.
NO_REGISTER = -1

# What a block says of each interval, beside its key.
_SAID = ("values", "quality", "flags", "version", "register")

Int64s = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """`k` meter-channel-days of `n` intervals.

    Parameters
    ----------
    interval_s
        length of an interval [s]; n = 86,400 ÷ interval_s.
    meter, channel, day
        registry key, OBIS code and days since 1970 (UTC) of each block (k,).
    values
        whole Wh, var·h, dm³ or litre per interval (k, n); 0 where missing.
    quality, flags
        `Quality` and device `Flag`s per interval (k, n).
    version
        how many values were ever stored for the interval (k, n).
    register
        cumulative register at the end of the interval (k, n), or `NO_REGISTER`.
    """

    interval_s: int
    meter: Int64s
    channel: Int64s
    day: Int64s
    values: Int64s
    quality: Bytes
    flags: Bytes
    version: Bytes
    register: Int64s

    def __len__(self) -> int:
        return len(self.day)

    @property
    def start_s(self) -> Int64s:
        """Begin of every interval, UTC [s since 1970] (k, n)."""
        n = DAY_S // self.interval_s
        return self.day[:, None] * DAY_S + np.arange(n, dtype=np.int64) * self.interval_s

    @property
    def present(self) -> Bools:
        """Where there is a value (k, n)."""
        return self.quality != Quality.MISSING

    def take(self, rows: NDArray[np.intp] | Bools) -> Blocks:
        """The chosen blocks, as a new stack."""
        return replace(
            self,
            **{
                name: getattr(self, name)[rows]
                for name in ("meter", "channel", "day", "values", "quality", "flags", "version", "register")
            },
        )

    @property
    def keys(self) -> list[tuple[int, int, int]]:
        """(day, meter, channel) of each block: its key in the store."""
        return list(zip(self.day.tolist(), self.meter.tolist(), self.channel.tolist(), strict=True))


def empty_blocks(interval_s: int, meter: Int64s, channel: Int64s, day: Int64s) -> Blocks:
    """Blocks of which every interval is missing."""
    shape = (len(day), DAY_S // interval_s)
    return Blocks(
        interval_s,
        meter,
        channel,
        day,
        np.zeros(shape, np.int64),
        np.zeros(shape, np.uint8),
        np.zeros(shape, np.uint8),
        np.zeros(shape, np.uint8),
        np.full(shape, NO_REGISTER, np.int64),
    )


def blocks_in_order(keys: Sequence[tuple[int, int, int]], found: Iterable[Blocks], interval_s: int) -> Blocks:
    """The blocks of these keys (day, meter, channel), in this order, out of what was found; else all missing.

    Where a key was found more than once, the last holds.
    """
    day, meter, channel = np.array(keys, dtype=np.int64).reshape(-1, 3).T
    blocks = empty_blocks(interval_s, meter, channel, day)
    place = {key: i for i, key in enumerate(keys)}
    for stack in found:
        at = [place[key] for key in stack.keys]
        for name in _SAID:
            getattr(blocks, name)[at] = getattr(stack, name)
    return blocks


def differing(a: Blocks, b: Blocks) -> Bools:
    """Of which intervals two stacks of blocks (same keys, same order) do not say the same (k, n)."""
    return np.asarray(np.logical_or.reduce([np.not_equal(getattr(a, name), getattr(b, name)) for name in _SAID]))


def alike(a: Blocks, b: Blocks) -> Bools:
    """Which of two stacks' blocks (same keys, same order) say the same (k,)."""
    return np.asarray(~differing(a, b).any(axis=1))


def digest(*stacks: Blocks) -> str:
    """SHA-256 over all that stacks of different interval lengths say, whatever their order and whatever keeps them."""
    sha256 = hashlib.sha256()
    for blocks in sorted(stacks, key=lambda blocks: blocks.interval_s):
        sha256.update(f"{blocks.interval_s}|{len(blocks)}\n".encode())
        order = np.lexsort((blocks.channel, blocks.meter, blocks.day))
        for name in ("day", "meter", "channel", *_SAID):
            column = getattr(blocks, name)[order]
            sha256.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
    return sha256.hexdigest()


def pack(
    interval_s: int,
    meter: Int64s,
    channel: Int64s,
    start_s: Int64s,
    values: Int64s,
    quality: Bytes,
    flags: Bytes,
    register: Int64s,
) -> list[Blocks]:
    """Loose reads, in the order they came, into day blocks.

    All arrays are (r,), one element a read; `quality` is MISSING for an interval the meter knows it missed. An
    interval that came twice cannot be in one block twice, so the answer is a list: the first stack holds each
    interval's first read, the second its second … Almost always there is one.
    """
    if not len(meter):
        return []
    order = np.lexsort((start_s, channel, meter))
    meter, channel, start_s = meter[order], channel[order], start_s[order]
    day, second = np.divmod(start_s, DAY_S)
    new_block = _changes(meter, channel, day)
    again = ~(new_block | _changes(start_s))
    values = np.where(quality == Quality.MISSING, 0, values)[order]
    quality, flags, register = quality[order], flags[order], register[order]
    stacks: list[Blocks] = []
    for now in _rounds(again):
        # Whatever its round, a block's reads lie side by side.
        first = _changes(np.cumsum(new_block)[now])
        stack = empty_blocks(interval_s, meter[now][first], channel[now][first], day[now][first])
        at = np.cumsum(first) - 1, second[now] // interval_s
        stack.values[at], stack.quality[at] = values[now], quality[now]
        stack.flags[at], stack.register[at] = flags[now], register[now]
        stacks.append(stack)
    return stacks


def _changes(*columns: NDArray[np.generic]) -> Bools:
    """True where one of the columns is not what it was before; and for the first."""
    changed = np.ones(len(columns[0]), dtype=np.bool_)
    changed[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return changed


def _rounds(again: Bools) -> list[NDArray[np.intp] | slice]:
    """Places of every interval's first read, of every interval's second read, and so on.

    Parameters
    ----------
    again
        of the reads in the order of their intervals: it is another one of the interval before (r,).
    """
    if not again.any():
        return [slice(None)]  # as it almost always is
    place = np.arange(len(again))
    rank = place - np.maximum.accumulate(np.where(again, 0, place))
    by_rank = np.argsort(rank, kind="stable")
    return list(np.split(by_rank, np.flatnonzero(np.diff(rank[by_rank])) + 1))


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """What became of incoming blocks.

    Parameters
    ----------
    blocks
        the day blocks to store.
    stored
        intervals that had no value before (k, n).
    replaced
        intervals whose earlier version goes to the history (k, n).
    duplicates
        intervals that came again and changed nothing (k, n).
    """

    blocks: Blocks
    stored: Bools
    replaced: Bools
    duplicates: Bools


def contested(stored: Blocks, incoming: Blocks) -> Bools:
    """Intervals for which the history must be asked before a merge (k, n).

    Only where a value stands that already replaced another can what arrives be that other one, delivered again.
    """
    differs = (incoming.values != stored.values) | ~IS_MEASURED[stored.quality]
    return incoming.present & stored.present & differs & (stored.version > 1)


def merge(stored: Blocks, incoming: Blocks, redelivered: Bools) -> Merged:
    """Incoming reads over what is stored (same keys, same order).

    A read for an interval without value is stored. The same value again is a duplicate, unless what stands is an
    estimate or an edit: an actual read replaces those whatever its value. Another value is a new version; but a
    questionable one never replaces an actual or an edit, nor does an estimate or edit that somebody else made.

    Parameters
    ----------
    redelivered
        intervals whose incoming value was superseded before (k, n): they are duplicates, and what else came with
        them is as old.
    """
    arrives = incoming.present & ~redelivered
    new = arrives & ~stored.present
    # What arrival checks refuse is no reason to give up what stands as read, or as somebody decided.
    held = IS_ACTUAL[stored.quality] | IS_DECIDED[stored.quality]
    standing = arrives & stored.present & ~(held & ~IS_ACTUAL[incoming.quality])
    measured_at_last = IS_MEASURED[incoming.quality] & ~IS_MEASURED[stored.quality]
    replaced = standing & ((incoming.values != stored.values) | measured_at_last)
    taken = new | replaced
    return Merged(
        blocks=replace(
            stored,
            values=np.where(taken, incoming.values, stored.values),
            quality=np.where(taken, incoming.quality, stored.quality),
            flags=np.where(taken, incoming.flags, np.where(redelivered, stored.flags, stored.flags | incoming.flags)),
            version=_next_version(stored.version, taken),
            register=np.where((incoming.register != NO_REGISTER) & ~redelivered, incoming.register, stored.register),
        ),
        stored=new,
        replaced=replaced,
        duplicates=incoming.present & ~taken,
    )


def supersede(stored: Blocks, values: Int64s, quality: Bytes) -> Merged:
    """Validation's own versions: other values or no value become new versions, a better quality alone does not.

    Parameters
    ----------
    values, quality
        what should stand from now on (k, n).
    """
    changed = (values != stored.values) | (stored.present != (quality != Quality.MISSING))
    return Merged(
        blocks=replace(stored, values=values, quality=quality, version=_next_version(stored.version, changed)),
        stored=changed & ~stored.present,
        replaced=changed & stored.present,
        duplicates=np.zeros_like(changed),
    )


def _next_version(version: Bytes, taken: Bools) -> Bytes:
    # The 255th version of one hour stays number 255: the history tells them apart by time.
    return np.where(taken & (version < 255), version + np.uint8(1), version).astype(np.uint8)
