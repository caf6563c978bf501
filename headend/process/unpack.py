"""Journal entries unpacked: loose reads in arrays, and what cannot be used, with the reason.

Everything a message claims is checked here against the registry and the clock, block by block: one bad block does not
hold back the good ones of its message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from headend.collect.wire import Topic, WireBlock, read_block_by_block, read_envelope, read_reads, read_status
from headend.errors import InvalidMessage
from headend.reads.blocks import NO_REGISTER, Blocks, pack
from headend.registry.registry import EnrolledChannel
from headend.store.journal import Entry

#: Quarantine's block number for "the whole message".
WHOLE_MESSAGE = -1
_EXCERPT_CHARACTERS = 300
#: A clock further off than this is broken, and by how much is of no interest (68 years; a column holds no more).
_LARGEST_OFFSET_S = 2**31 - 1

Enrolled = Mapping[tuple[str, str], EnrolledChannel]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message, or one block of it, that cannot be used: the kind of fault, and the whole reason."""

    entry: Entry
    block: int
    fault: str
    reason: str

    @property
    def excerpt(self) -> str:
        """The beginning of the message, for people."""
        return self.entry.payload[:_EXCERPT_CHARACTERS].decode("utf-8", "replace").replace("\x00", "�")


@dataclass(slots=True)
class GatewayNews:
    """What a batch of messages says about one gateway itself."""

    last_seen_s: int = 0
    messages: int = 0
    clock_offset_s: int | None = None
    online: bool | None = None


@dataclass(slots=True)
class _Runs:
    """Runs of reads with one interval length, not yet arrays."""

    meter: list[int] = field(default_factory=list)
    channel: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    register: list[int] = field(default_factory=list)
    values: list[list[int | None]] = field(default_factory=list)
    flags: list[list[int] | None] = field(default_factory=list)


@dataclass(slots=True)
class Unpacked:
    """A batch of journal entries, taken apart.

    Parameters
    ----------
    stacks
        raw day blocks, in an order in which they can be merged one after the other.
    """

    stacks: list[Blocks] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    gateways: dict[str, GatewayNews] = field(default_factory=dict)


def unpack(entries: Sequence[Entry], enrolled: Enrolled, *, max_bytes: int, future_s: int, past_s: int) -> Unpacked:
    """Take a batch of journal entries apart.

    Parameters
    ----------
    enrolled
        channels by (meter name, OBIS code).
    max_bytes
        larger messages are refused.
    future_s
        how far after its arrival a read may end [s].
    past_s
        how long before its arrival it may begin [s].
    """
    result, runs = Unpacked(), dict[int, _Runs]()
    for entry in entries:
        try:
            _unpack_entry(entry, enrolled, max_bytes, (-past_s, future_s), result, runs)
        except InvalidMessage as error:
            result.rejected.append(Rejected(entry, WHOLE_MESSAGE, error.fault, str(error)))
    for interval_s, loose in runs.items():
        result.stacks += _blocks(interval_s, loose)
    return result


def _unpack_entry(
    entry: Entry,
    enrolled: Enrolled,
    max_bytes: int,
    around_s: tuple[int, int],
    result: Unpacked,
    runs: dict[int, _Runs],
) -> None:
    topic = Topic.parse(entry.topic)
    news = result.gateways.setdefault(topic.gateway, GatewayNews())
    # A status may be the broker's: retained from long ago, or a last will. It says nothing of when a gateway was heard.
    if topic.kind != "status":
        news.last_seen_s = max(news.last_seen_s, entry.received_us // 1_000_000)
        news.messages += 1
    if entry.size > max_bytes:
        raise InvalidMessage("message", f"{entry.size} bytes", f"at most {max_bytes}", fault="too large")
    if topic.kind == "status":
        news.online = read_status(entry.payload).online
    if topic.kind == "events" and read_envelope(entry.payload) is None:
        found = repr(entry.payload[:40].decode("utf-8", "replace"))
        raise InvalidMessage("message", found, "JSON with a seq", fault="not the schema")
    if topic.kind != "reads":
        return
    sent_at, blocks, faults = _read_blocks(entry.payload)
    received_s = entry.received_us // 1_000_000
    offset_s = int(sent_at.timestamp()) - received_s
    news.clock_offset_s = max(-_LARGEST_OFFSET_S, min(offset_s, _LARGEST_OFFSET_S))
    for place, fault in faults:
        result.rejected.append(Rejected(entry, place, fault.fault, f"blocks.{place}.{fault}"))
    believed_s = received_s + around_s[0], received_s + around_s[1]
    for place, block in blocks:
        try:
            channel = _claimed_channel(block, entry.gateway, enrolled, believed_s)
        except InvalidMessage as error:
            result.rejected.append(Rejected(entry, place, error.fault, f"blocks.{place}.{error}"))
            continue
        loose = runs.setdefault(block.interval_s, _Runs())
        loose.meter.append(channel.meter)
        loose.channel.append(channel.channel.code)
        loose.first.append(int(block.start.timestamp()))
        loose.register.append(NO_REGISTER if block.register_ is None else block.register_)
        loose.values.append(block.values)
        loose.flags.append(block.quality)


def _read_blocks(
    payload: bytes,
) -> tuple[datetime, Iterable[tuple[int, WireBlock]], Sequence[tuple[int, InvalidMessage]]]:
    try:
        message = read_reads(payload)
    except InvalidMessage:
        return read_block_by_block(payload)
    return message.sent_at, enumerate(message.blocks), ()


def _claimed_channel(
    block: WireBlock, gateway: str, enrolled: Enrolled, believed_s: tuple[int, int]
) -> EnrolledChannel:
    """The channel a block speaks of, if it may say what it says."""
    channel = enrolled.get((block.meter, block.channel))
    if channel is None:
        known = sorted(obis for meter, obis in enrolled if meter == block.meter)
        if known:
            raise InvalidMessage(
                "channel",
                repr(block.channel),
                f"one that {block.meter} has: {', '.join(known)}",
                fault="unknown channel",
            )
        raise InvalidMessage(
            "meter", f"unknown meter {block.meter!r}", "a meter of the registry", fault="unknown meter"
        )
    if channel.gateway not in {None, gateway}:
        raise InvalidMessage(
            "meter",
            f"{block.meter} from gateway {gateway}",
            f"it from {channel.gateway}",
            fault="another gateway's meter",
        )
    if block.interval_s != channel.interval_s:
        raise InvalidMessage(
            "interval_s",
            str(block.interval_s),
            f"{channel.interval_s} for {block.meter}",
            fault="wrong interval length",
        )
    start_s = block.start.timestamp()
    if start_s % block.interval_s:
        raise InvalidMessage(
            "start", block.start.isoformat(), f"a multiple of {block.interval_s} s", fault="off the interval"
        )
    if start_s < channel.installed_s:
        raise InvalidMessage(
            "start", block.start.isoformat(), f"no time before {block.meter} was installed", fault="before installation"
        )
    if start_s + block.interval_s * len(block.values) > believed_s[1]:
        raise InvalidMessage(
            "start", f"{block.start.isoformat()}, in the future", "intervals that have ended", fault="in the future"
        )
    if start_s < believed_s[0]:
        found = f"{block.start.isoformat()}, long past"
        raise InvalidMessage("start", found, "a time that a meter still remembers", fault="too old")
    if block.quality is not None and len(block.quality) != len(block.values):
        raise InvalidMessage(
            "quality",
            f"{len(block.quality)} flags",
            f"one for each of {len(block.values)} values",
            fault="flags do not fit",
        )
    return channel


def _blocks(interval_s: int, loose: _Runs) -> list[Blocks]:
    """Runs flattened to reads, and packed into day blocks."""
    counts = np.fromiter(map(len, loose.values), dtype=np.int64, count=len(loose.values))
    ends = counts.cumsum()
    run = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(int(ends[-1])) - np.repeat(ends - counts, counts)
    present: NDArray[np.bool_] = np.ones(len(run), dtype=np.bool_)
    values = list(chain.from_iterable(loose.values))
    if None in values:
        present = np.fromiter((value is not None for value in values), dtype=np.bool_, count=len(values))
        values = [value or 0 for value in values]
    flags = np.zeros(len(run), dtype=np.uint8)
    for i, given in enumerate(loose.flags):
        if given and any(given):
            flags[ends[i] - counts[i] : ends[i]] = given
    register = np.full(len(run), NO_REGISTER, dtype=np.int64)
    register[ends - 1] = loose.register
    return pack(
        interval_s,
        np.array(loose.meter)[run],
        np.array(loose.channel)[run],
        np.array(loose.first)[run] + place * interval_s,
        np.array(values, dtype=np.int64),
        present,
        flags,
        register,
    )
