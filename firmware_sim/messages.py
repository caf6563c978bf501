"""Reads messages as bytes, after docs/wire-format.md, and what a history is cut into."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby

import numpy as np

from firmware_sim.clock import hour_of, stamp
from firmware_sim.faults import FaultPlan, Reported, faulty_days, lost_days, strikes

MESSAGE_BYTES = 200_000
"""Blocks are gathered into one message up to this size; the wire allows 1 MiB."""

GARBAGE = b'{"seq": 17, "blocks": [{"meter": \xff\xfe'
NOBODYS_METER = "X-00000"
INTERVAL_S = 3600


@dataclass(frozen=True, slots=True)
class Message:
    """What a gateway keeps of a message; the envelope is written anew each time it is sent.

    Attributes
    ----------
    blocks
        the JSON text of `blocks`.
    reads
        values of registered meters that are not null.
    lost
        it takes a sequence number and never leaves the gateway.
    copies
        how often it is sent in the first place.
    garbage
        bytes sent right after it that are no message.
    planted
        what was planted in it, and how often.
    """

    blocks: bytes
    reads: int
    lost: bool = False
    copies: int = 1
    garbage: bytes = b""
    planted: dict[str, int] = field(default_factory=dict)


def envelope(blocks: bytes, seq: int, sent_at: datetime, oldest: int, epoch: str | None) -> bytes:
    """The whole message, stamped with the gateway's clock [UTC]."""
    told = sent_at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    head = {"seq": seq, "sent_at": told, "oldest": oldest} | ({"epoch": epoch} if epoch else {})
    return json.dumps(head)[:-1].encode() + b', "blocks": ' + blocks + b"}"


@dataclass(frozen=True, slots=True)
class _Block:
    text: str
    reads: int
    missing: int
    bad: int


def _block(reported: Reported, begin: int, end: int) -> _Block:
    """The stretch begin ≤ h < end [UTC hours since 1970] of a channel, with the register at its end."""
    first = reported.measured.first_hour
    stretch = slice(begin - first, end - first)
    values: list[int | None] = reported.values[stretch].tolist()
    absent = np.flatnonzero(reported.missing[stretch]).tolist()
    for i in absent:
        values[i] = None
    content = {
        "meter": reported.measured.meter.meter,
        "channel": reported.measured.channel.channel,
        "start": stamp(begin),
        "interval_s": reported.measured.channel.interval_s,
        "values": values,
        "register": int(reported.measured.registers[end - first - 1]),
    }
    bad = int(np.count_nonzero(reported.bad[stretch]))
    return _Block(json.dumps(content), len(values) - len(absent), len(absent), bad)


def _gathered(blocks: Iterable[_Block]) -> Iterator[Message]:
    """As few messages as the size allows."""
    held: list[_Block] = []
    size = 0
    for block in blocks:
        if held and size + len(block.text) > MESSAGE_BYTES:
            yield _message(held)
            held, size = [], 0
        held.append(block)
        size += len(block.text) + 2
    if held:
        yield _message(held)


def _message(blocks: list[_Block], lost: bool = False) -> Message:
    text = ", ".join(block.text for block in blocks)
    reads = sum(block.reads for block in blocks)
    if lost:
        return Message(b"", 0, lost=True, planted={"lost_messages": 1, "lost_reads": reads})
    planted = {"missing": sum(block.missing for block in blocks), "bad": sum(block.bad for block in blocks)}
    return Message(f"[{text}]".encode(), reads, planted=planted)


def live_messages(reported: Iterable[Reported], hour: int) -> Iterator[Message]:
    """One hour of a gateway's meters."""
    return _gathered(_block(channel, hour, hour + 1) for channel in reported)


def history(plan: FaultPlan, gateway: str, reported: list[Reported], begin: int, end: int) -> Iterator[Message]:
    """A gateway's history, a message a UTC day, with the plan's faults of messages.

    Parameters
    ----------
    reported
        every channel behind the gateway, a meter's channels next to each other.
    begin, end
        begin ≤ h < end [UTC hours since 1970]; blocks are cut at UTC midnights.
    """
    days = faulty_days(begin, end)
    meters = [(name, list(channels)) for name, channels in groupby(reported, lambda r: r.measured.meter.meter)]
    lost = {name: set(days[lost_days(plan, name, days)].tolist()) for name, _ in meters}
    number = 0
    for day in range(begin // 24, -(-end // 24)):
        first, last = max(begin, day * 24), min(end, day * 24 + 24)
        whole = [channel for name, channels in meters if day not in lost[name] for channel in channels]
        for name, channels in meters:
            if day in lost[name]:
                yield _message([_block(channel, first, last) for channel in channels], lost=True)
        for message in _gathered(_block(channel, first, last) for channel in whole):
            number += 1
            yield from _disturbed(plan, gateway, message, number, first) if day in days else (message,)


def _disturbed(plan: FaultPlan, gateway: str, message: Message, number: int, hour: int) -> Iterator[Message]:
    """The message with what the plan does to it, and what follows it."""
    blocks, planted = message.blocks, dict(message.planted)
    copies, garbage = 1, b""
    if strikes(plan, plan.unknown_meters, gateway, "unknown", number):
        planted["unknown_meters"] = 1
        blocks = blocks[:-1] + b", " + _foreign(NOBODYS_METER, "1-0:1.8.0", hour) + b"]"
    if strikes(plan, plan.duplicates, gateway, "duplicate", number):
        planted["duplicates"] = 1
        copies = 2
    if strikes(plan, plan.garbage, gateway, "garbage", number):
        planted["garbage"] = 1
        garbage = GARBAGE
    yield Message(blocks, message.reads, copies=copies, garbage=garbage, planted=planted)
    if strikes(plan, plan.future, gateway, "future", number):
        first = json.loads(blocks)[0]
        next_month = hour_of(datetime.now(UTC)) + 30 * 24
        block = _foreign(first["meter"], first["channel"], next_month)
        yield Message(b"[" + block + b"]", 0, planted={"future": 1})


def _foreign(meter: str, channel: str, hour: int) -> bytes:
    """A block of one value that no meter measured."""
    block = {"meter": meter, "channel": channel, "start": stamp(hour), "interval_s": INTERVAL_S, "values": [1]}
    return json.dumps(block).encode()
