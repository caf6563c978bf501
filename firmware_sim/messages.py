"""Messages as bytes, after docs/wire-format.md, and what a history is cut into."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from firmware_sim.clock import hour_of, stamp
from firmware_sim.faults import Planter, Reported, strikes
from firmware_sim.happenings import Notice
from firmware_sim.plan import FaultPlan

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
    body
        JSON text of the fields besides the envelope's.
    leaf
        the last part of its topic.
    reads
        values of registered meters that are not null and are told for the first time.
    backfilled
        values that a command asked for.
    lost
        it takes a sequence number and never leaves the gateway.
    copies
        how often it is sent in the first place.
    garbage
        bytes sent right after it that are no message.
    planted
        what was planted in it, and how often.
    facts
        for the record of what was planted: what got lost, the events.
    """

    body: bytes
    leaf: str = "reads"
    reads: int = 0
    backfilled: int = 0
    lost: bool = False
    copies: int = 1
    garbage: bytes = b""
    planted: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def clock_text(moment: datetime) -> str:
    """A gateway's clock [UTC] as it stands on the wire, to the millisecond."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def envelope(body: bytes, seq: int, sent_at: datetime, oldest: int, epoch: str | None) -> bytes:
    """The whole message, stamped with the gateway's clock [UTC]."""
    head = {"seq": seq, "sent_at": clock_text(sent_at), "oldest": oldest} | ({"epoch": epoch} if epoch else {})
    return json.dumps(head)[:-1].encode() + b", " + body + b"}"


class Block(NamedTuple):
    """A run of intervals as JSON text, and what is in it."""

    text: str
    reads: int
    missing: int
    bad: int


def blocks_of(reported: Reported, begin: int, end: int) -> list[Block]:
    """The stretch begin ≤ h < end [UTC hours since 1970], a block a meter, with the register at its end."""
    told = reported.between(begin, end)
    table = told.measured
    absent, bad = told.missing.sum(axis=1).tolist(), told.bad.sum(axis=1).tolist()
    values: list[list[int | None]] = told.values.tolist()
    for row, at in np.argwhere(told.missing).tolist() if any(absent) else ():
        values[row][at] = None
    flagged = set(np.nonzero(told.quality)[0].tolist())
    middle = f'"channel": "{table.channel.channel}", "start": "{stamp(begin)}", "interval_s": {INTERVAL_S}'
    blocks = []
    for row, register in enumerate(table.registers[:, -1].tolist()):
        run = json.dumps(values[row]) if absent[row] else str(values[row])
        quality = f', "quality": {told.quality[row].tolist()}' if row in flagged else ""
        text = f'{{"meter": "{table.meters[row].meter}", {middle}, "values": {run}{quality}, "register": {register}}}'
        blocks.append(Block(text, end - begin - absent[row], absent[row], bad[row]))
    return blocks


def gathered(blocks: Iterable[Block]) -> Iterator[Message]:
    """As few messages as the size allows."""
    held: list[Block] = []
    size = 0
    for block in blocks:
        if held and size + len(block.text) > MESSAGE_BYTES:
            yield _message(held)
            held, size = [], 0
        held.append(block)
        size += len(block.text) + 2
    if held:
        yield _message(held)


def _message(blocks: list[Block]) -> Message:
    planted = {"missing": sum(block.missing for block in blocks), "bad": sum(block.bad for block in blocks)}
    reads = sum(block.reads for block in blocks)
    return Message(_body([block.text for block in blocks]), reads=reads, planted=planted)


def _body(blocks: Iterable[str]) -> bytes:
    return f'"blocks": [{", ".join(blocks)}]'.encode()


def events_message(notices: Iterable[Notice]) -> Message:
    """What happened, as a message."""
    events = []
    for notice in notices:
        event = {"kind": notice.kind, "at": clock_text(datetime.fromtimestamp(notice.at, UTC))}
        events.append(event | {key: getattr(notice, key) for key in ("meter", "detail") if getattr(notice, key)})
    return Message(b'"events": ' + json.dumps(events).encode(), "events", facts={"events": events})


def registers_message(registers: list[dict[str, Any]]) -> Message:
    """Registers as they stand, of meters that were asked to tell them."""
    return Message(b'"blocks": [], "registers": ' + json.dumps(registers).encode())


def by_meter(banks: Sequence[Sequence[Reported]], begin: int, end: int) -> Iterator[list[Block]]:
    """The blocks of each meter; a bank is the channels of the same meters."""
    for bank in banks:
        yield from (list(of_meter) for of_meter in zip(*(blocks_of(r, begin, end) for r in bank), strict=True))


def never_sent(message: Message, begin: int, end: int) -> Message:
    """A message of begin ≤ h < end [UTC hours since 1970] that gets lost before it is ever sent."""
    planted = {"lost_messages": 1, "lost_reads": message.reads + message.planted.get("missing", 0)}
    return Message(b"", lost=True, planted=planted, facts={"from": stamp(begin), "to": stamp(end)})


class History:
    """A gateway's history as messages: reads a UTC day, with the plan's faults of messages."""

    def __init__(self, plan: FaultPlan, gateway: str, planter: Planter) -> None:
        self._plan = plan
        self._gateway = gateway
        self._planter = planter
        self._number = 0

    def day(self, banks: Sequence[Sequence[Reported]], begin: int, end: int) -> Iterator[Message]:
        """The hours begin ≤ h < end of one UTC day [since 1970]; days are to be asked for in their order."""
        day = begin // 24
        lost = [self._planter.lost(bank[0].measured.meters, np.array([day]))[:, 0].tolist() for bank in banks]
        whole: list[Block] = []
        for is_lost, blocks in zip((x for of_bank in lost for x in of_bank), by_meter(banks, begin, end), strict=True):
            if is_lost:
                reads = sum(block.reads for block in blocks)
                planted = {"lost_messages": 1, "lost_reads": reads}
                facts = {"meter": json.loads(blocks[0].text)["meter"], "from": stamp(begin), "to": stamp(end)}
                yield Message(b"", lost=True, planted=planted, facts=facts)
            else:
                whole += blocks
        for message in gathered(whole):
            self._number += 1
            yield from self._disturbed(message, begin) if day in self._planter.days else (message,)

    def _disturbed(self, message: Message, hour: int) -> Iterator[Message]:
        """The message with what the plan does to it, and what follows it."""
        plan, planted = self._plan, dict(message.planted)
        body, copies, garbage = message.body, 1, b""
        if self._strikes(plan.unknown_meters, "unknown"):
            planted["unknown_meters"] = 1
            body = body[:-1] + b", " + _foreign(NOBODYS_METER, "1-0:1.8.0", hour).encode() + b"]"
        if self._strikes(plan.duplicates, "duplicate"):
            planted["duplicates"] = 1
            copies = 2
        if self._strikes(plan.garbage, "garbage"):
            planted["garbage"] = 1
            garbage = GARBAGE
        yield replace(message, body=body, copies=copies, garbage=garbage, planted=planted)
        if self._strikes(plan.future, "future"):
            first = json.loads(b"{" + body + b"}")["blocks"][0]
            next_month = hour_of(datetime.now(UTC)) + 30 * 24
            block = _foreign(first["meter"], first["channel"], next_month)
            yield Message(_body([block]), planted={"future": 1})

    def _strikes(self, share: float, what: str) -> bool:
        return strikes(self._plan, share, self._gateway, what, self._number)


def _foreign(meter: str, channel: str, hour: int) -> str:
    """A block of one value that no meter measured."""
    block = {"meter": meter, "channel": channel, "start": stamp(hour), "interval_s": INTERVAL_S, "values": [1]}
    return json.dumps(block)
