"""What the journal's messages told of one interval, whoever sent them in whatever form, and what became of it.

The journal is walked from the first message that can have told of the interval, and each message is read by the decoder
that intake reads it with. The registry's constants are applied as they are now.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Connection, select

from headend.collect.claims import Claims
from headend.collect.topics import FILE, SPARKPLUG
from headend.collect.wire import WireBlock
from headend.errors import InvalidMessage
from headend.process.registers import near_s
from headend.process.versions import Version
from headend.reads.blocks import NO_REGISTER
from headend.reads.constants import constant_at, to_base_units
from headend.reads.days import moment
from headend.registry.registry import EnrolledChannel
from headend.site import Site
from headend.store.checkpoints import checkpoint
from headend.store.journal import Entry
from headend.store.tables import quarantine

_ENTRIES_AT_ONCE = 1_000
_NO_END: Final = 2**63
_JOURNAL = re.compile(r"journal (\d+)–(\d+)")

#: (offset, path to the piece)
Place = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Told:
    """One message's word on an interval.

    Parameters
    ----------
    offset, received_us, gateway, topic
        of its journal entry [µs since 1970]; gateway "": ourselves, a poller or a file.
    path
        to the piece of the message, such as `blocks.3`.
    value
        base units; None: the meter knows that it has no value.
    register_at_s
        not the interval's value, but a register that was read at this moment [s since 1970], of which intervals are
        made; None: the value itself.
    """

    offset: int
    received_us: int
    gateway: str
    topic: str
    path: str
    value: int | None
    register_at_s: int | None = None

    @property
    def place(self) -> Place:
        """Where in the journal it stands."""
        return self.offset, self.path


def told_of(
    site: Site, channel: EnrolledChannel, start_s: int, watch: Callable[[int, int], None] | None = None
) -> Iterator[Told]:
    """Everything the journal tells of the interval that begins at `start_s` [s since 1970], oldest first.

    Parameters
    ----------
    watch
        is told now and then how many entries have been looked at, and of how many.
    """
    # A clock that is fast may tell of an interval before it is over; what is believed of that, intake says.
    can_tell_us = (start_s + channel.interval_s - site.rules.of(channel.customer_class).clock.future_s) * 1_000_000
    first, newest = site.journal.first_since(can_tell_us), site.journal.newest_offset()
    # Sparkplug names what later messages are about; so its names are followed from the beginning.
    begin = 0 if site.topics.sparkplug_host else first - 1
    births: dict[tuple[str, str], str] = {}
    offset = begin
    while entries := site.journal.after(offset, _ENTRIES_AT_ONCE):
        for entry in entries:
            if entry.offset >= first or _is_birth(entry):
                claims = _claims(site, entry, births)
                births |= {(birth.node, birth.device): birth.metrics for birth in claims.births}
                if entry.offset >= first:
                    yield from _words(entry, claims, channel, start_s, site.settings.process.register_tolerance_s)
        offset = entries[-1].offset
        if watch is not None:
            watch(offset - begin, newest - begin)


def _is_birth(entry: Entry) -> bool:
    return entry.topic.startswith(SPARKPLUG) and "BIRTH/" in entry.topic


def _claims(site: Site, entry: Entry, births: Mapping[tuple[str, str], str]) -> Claims:
    """What a message claims; nothing where it cannot be read."""
    if entry.size > len(entry.payload):
        return Claims()
    try:
        return site.topics.read(entry.topic, entry.payload, moment(entry.received_us // 1_000_000), births)
    except InvalidMessage:
        return Claims()


def _words(entry: Entry, claims: Claims, channel: EnrolledChannel, start_s: int, tolerance_s: int) -> Iterator[Told]:
    name, obis, end_s = channel.meter_name, channel.channel.obis, start_s + channel.interval_s
    source = entry.offset, entry.received_us, entry.gateway, entry.topic
    for place, block in claims.blocks:
        if (block.meter, block.channel, block.interval_s) == (name, obis, channel.interval_s):
            first_s = block.start.timestamp()
            if first_s <= start_s < first_s + block.interval_s * len(block.values):
                value = _value(block, channel, int(first_s), start_s, filed=entry.topic.startswith(FILE))
                yield Told(*source, f"blocks.{place}", value)
    near = near_s(channel.interval_s, tolerance_s)
    for place, read in claims.registers:
        at_s = int(read.at.timestamp())
        if (read.meter, read.channel) == (name, obis) and start_s - near <= at_s <= end_s + near:
            yield Told(*source, f"registers.{place}", constant_at(channel.constants, at_s).scaled(read.value), at_s)


def _value(block: WireBlock, channel: EnrolledChannel, first_s: int, start_s: int, *, filed: bool) -> int | None:
    """The interval's value in base units; what a file has is in base units already."""
    register = NO_REGISTER if block.register_ is None else block.register_
    constants = () if filed else channel.constants
    try:
        values, _ = to_base_units(constants, channel.register_digits, first_s, block.interval_s, block.values, register)
    except InvalidMessage:
        return None
    return values[(start_s - first_s) // block.interval_s]


Outcome = Literal["version", "nothing new", "quarantine", "waiting", "register"]


@dataclass(frozen=True, slots=True)
class Became:
    """What became of a word: a version, by its number; or why it is in quarantine; or neither."""

    outcome: Outcome
    version: int | None = None
    reason: str | None = None


def became_of(tx: Connection, versions: Iterable[Version], told: Sequence[Told]) -> list[Became]:
    """What became of each word on an interval with these versions."""
    processed, reasons = checkpoint(tx), _reasons(tx, told)
    taken = [one for one in told if one.offset <= processed and one.place not in reasons and one.register_at_s is None]
    made = _made(versions, taken)

    def of(one: Told) -> Became:
        if one.offset > processed:
            return Became("waiting")
        if one.place in reasons:
            return Became("quarantine", reason=reasons[one.place])
        if one.register_at_s is not None:
            return Became("register")
        return Became("version", made[one.place]) if one.place in made else Became("nothing new")

    return [of(one) for one in told]


def _reasons(tx: Connection, told: Sequence[Told]) -> dict[Place, str]:
    """Why words are in quarantine, if they are."""
    q = quarantine.c
    query = select(q.offset, q.path, q.reason).where(q.offset.in_({one.offset for one in told}))
    kept: dict[Place, str] = {(row.offset, row.path): row.reason for row in tx.execute(query)}
    reasons = {one.place: kept.get(one.place) or kept.get((one.offset, "")) for one in told}
    return {place: reason for place, reason in reasons.items() if reason is not None}


def _made(versions: Iterable[Version], taken: Sequence[Told]) -> dict[Place, int]:
    """Which version each word made, if it made one: the first with its value, from where its origin is known to be."""
    made: dict[Place, int] = {}
    begin = 0
    for version in versions:
        named = _JOURNAL.fullmatch(version.by or "")
        if version.by is not None and named is None:
            continue  # a rule's, or a user's
        first, last = (int(named[1]), int(named[2])) if named else (begin, _NO_END)
        for one in taken:
            if first <= one.offset <= last and one.value == version.value and one.place not in made:
                made[one.place] = version.number
                begin = one.offset
                break
    return made
