"""Journal entries unpacked: loose reads in arrays, and what cannot be used, with the reason.

Everything a message claims is checked here against the registry and the clock, piece by piece: one bad block does not
hold back the good ones of its message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from headend.collect.claims import Birth, Claims
from headend.collect.files.message import FileBlock
from headend.collect.sparkplug import follow_sequence
from headend.collect.topics import FILE, FROM_OURSELVES, NATIVE_ROOT, SPARKPLUG, Births, Topics
from headend.collect.wire import QUANTITIES, ResultMessage, WireBlock, WireEvent, WireRegister, WireTelemetry
from headend.errors import InvalidMessage
from headend.process.belief import Belief, check_telemetry, check_teller, check_time, checked_start, claimed_channel
from headend.process.runs import Runs
from headend.reads.blocks import NO_REGISTER, Blocks
from headend.reads.constants import Constant, to_base_units
from headend.reads.quality import Flag
from headend.registry.registry import EnrolledChannel
from headend.store.journal import Entry
from headend.store.telemetry import Told

_EXCERPT_CHARACTERS = 300
#: A clock further off than this is broken, and by how much is of no interest (68 years; a column holds no more).
_LARGEST_OFFSET_S = 2**31 - 1
#: A message in which the registry knows so little is somebody else's, or an attack: quarantine is for people to read.
_REFUSED_NAMED = 100


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message, or a piece of it, that cannot be used: the kind of fault, and the whole reason.

    Parameters
    ----------
    path
        to the piece, such as `blocks.3`; "" for the whole message.
    """

    entry: Entry
    path: str
    fault: str
    reason: str

    @property
    def excerpt(self) -> str:
        """The beginning of the message, for people."""
        return self.entry.payload[:_EXCERPT_CHARACTERS].decode("utf-8", "replace").replace("\x00", "�")


@dataclass(slots=True)
class GatewayNews:
    """What a batch of messages says about one gateway itself.

    Parameters
    ----------
    native
        it speaks our own wire.
    clock_offset_s
        of the message that was least on its way: a delay looks like a clock that is behind.
    online, connected
        whether it is there now; whether it has said that it is there again.
    reborn, ask_for_rebirth
        Sparkplug: its names came anew, or must be asked for.
    """

    native: bool = False
    last_seen_s: int = 0
    messages: int = 0
    clock_offset_s: int | None = None
    online: bool | None = None
    connected: bool = False
    firmware: str | None = None
    reborn: bool = False
    ask_for_rebirth: bool = False


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, and where in the journal it was told."""

    entry: Entry
    place: int
    event: WireEvent


@dataclass(frozen=True, slots=True)
class RegisterRead:
    """A cumulative register of an enrolled channel at a moment [s since 1970], in the units of the wire."""

    channel: EnrolledChannel
    at_s: int
    register: int
    serial: str | None


@dataclass(slots=True)
class Unpacked:
    """A batch of journal entries, taken apart.

    Parameters
    ----------
    runs
        loose reads by interval length [s].
    telemetry
        what was told last of each quantity at each moment.
    births
        Sparkplug births of this batch, the newest of each device.
    sequences
        Sparkplug: by gateway, what `follow_sequence` remembers.
    """

    runs: dict[int, Runs] = field(default_factory=dict)
    registers: list[RegisterRead] = field(default_factory=list)
    telemetry: dict[Told, float] = field(default_factory=dict)
    events: list[Happened] = field(default_factory=list)
    results: list[tuple[str, ResultMessage]] = field(default_factory=list)
    births: dict[tuple[str, str], Birth] = field(default_factory=dict)
    sequences: dict[str, int | None] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    gateways: dict[str, GatewayNews] = field(default_factory=dict)

    @property
    def stacks(self) -> list[Blocks]:
        """Raw day blocks, in an order in which they can be merged one after the other."""
        return [stack for interval_s, runs in self.runs.items() for stack in runs.pack(interval_s)]


def unpack(
    entries: Sequence[Entry], topics: Topics, belief: Belief, births: Births, sequences: Mapping[str, int | None]
) -> Unpacked:
    """Take a batch of journal entries apart.

    Parameters
    ----------
    births, sequences
        what Sparkplug nodes and devices told before this batch.
    """
    result, known = Unpacked(sequences=dict(sequences)), dict(births)
    for entry in entries:
        try:
            _unpack_entry(entry, topics, known, belief, result)
        except InvalidMessage as error:
            result.rejected.append(Rejected(entry, "", error.fault, str(error)))
    return result


def _unpack_entry(
    entry: Entry, topics: Topics, births: dict[tuple[str, str], str], belief: Belief, result: Unpacked
) -> None:
    received_s = entry.received_us // 1_000_000
    news = _news(entry, received_s, result)
    if entry.gateway in belief.revoked:
        found = f"a message of {entry.gateway}"
        raise InvalidMessage("gateway", found, "nothing more: it was revoked", fault="revoked gateway")
    if entry.size > belief.max_bytes:
        raise InvalidMessage("message", f"{entry.size} bytes", f"at most {belief.max_bytes}", fault="too large")
    claims = topics.read(entry.topic, entry.payload, datetime.fromtimestamp(received_s, UTC), births)
    for birth in claims.births:
        result.births[birth.node, birth.device] = birth
        births[birth.node, birth.device] = birth.metrics
    if entry.topic.startswith(SPARKPLUG):
        last = result.sequences.get(entry.gateway)
        result.sequences[entry.gateway], lost = follow_sequence(entry.topic, entry.payload, last)
        claims.rebirth |= lost
        news.reborn |= bool(claims.online)
    _take_news(claims, received_s, news)
    if claims.result is not None:
        result.results.append((entry.gateway, claims.result))
    result.rejected += [Rejected(entry, path, fault.fault, f"{path}.{fault}") for path, fault in claims.faults]
    for path, refused in _take_pieces(entry, claims, received_s, belief, result):
        result.rejected.append(Rejected(entry, path, refused.fault, f"{path}.{refused}"))


def _news(entry: Entry, received_s: int, result: Unpacked) -> GatewayNews:
    if not entry.gateway:
        return GatewayNews()
    news = result.gateways.setdefault(entry.gateway, GatewayNews())
    news.native |= entry.topic.startswith(NATIVE_ROOT)
    # A status may be the broker's: retained from long ago, or a last will. It says nothing of when a gateway was heard.
    if not entry.topic.endswith("/status"):
        news.last_seen_s = max(news.last_seen_s, received_s)
        news.messages += 1
    return news


def _take_news(claims: Claims, received_s: int, news: GatewayNews) -> None:
    if claims.sent_at is not None:
        offset_s = int(claims.sent_at.timestamp()) - received_s
        offset_s = max(-_LARGEST_OFFSET_S, min(offset_s, _LARGEST_OFFSET_S))
        news.clock_offset_s = offset_s if news.clock_offset_s is None else max(offset_s, news.clock_offset_s)
    if claims.online is not None:
        news.online = claims.online
        news.connected |= claims.online
    elif claims.sent_at is not None:
        # Who tells something is there, whatever was said of it before: a last will may have waited in some queue.
        news.online = True
    if claims.firmware is not None:
        news.firmware = claims.firmware
    news.ask_for_rebirth |= claims.rebirth


def _take_pieces(
    entry: Entry, claims: Claims, received_s: int, belief: Belief, result: Unpacked
) -> Iterator[tuple[str, InvalidMessage]]:
    """Take what may be taken; the rest comes back with the reason, up to where it is no use to search any further."""
    source = None if entry.topic.startswith(FROM_OURSELVES) else entry.gateway
    # A file may tell of years long past; what the field tells is of what a meter remembers.
    oldest_s = received_s - belief.past_s if source is not None else 0
    ahead_s = 0 if claims.sent_at is None else int(claims.sent_at.timestamp()) - received_s
    # Intervals of a file are what a meter's owner is billed by; registers are what the meter shows, whoever tells them:
    # a poller's and a file's are of one dial, so the constants apply to both.
    filed = entry.topic.startswith(FILE)
    pieces: list[tuple[str, int, WireBlock | WireRegister | WireTelemetry | WireEvent]] = [
        *(("blocks", place, block) for place, block in claims.blocks),
        *(("registers", place, read) for place, read in claims.registers),
        *(("telemetry", place, told) for place, told in claims.telemetry),
        *(("events", place, event) for place, event in enumerate(claims.events)),
    ]
    refused = 0
    for at, (name, place, piece) in enumerate(pieces):
        if refused == _REFUSED_NAMED:
            found = f"{len(pieces) - at} more pieces after {refused} bad ones"
            what = InvalidMessage("piece", found, "pieces that can be used", fault="too many bad pieces")
            yield f"{name}.{place}", what
            return
        try:
            if isinstance(piece, WireBlock):
                channel = claimed_channel(piece, source, belief.enrolled)
                clock = belief.clock_of(channel)
                first_s = checked_start(piece, channel, (oldest_s, received_s + clock.future_s))
                # A clock that is behind looks like a message that was long on its way; one that is ahead does not.
                noted = Flag.CLOCK_OFF if ahead_s > clock.fail_s else Flag.GOOD
                _take_block(piece, channel, first_s, () if filed else channel.constants, noted, result.runs)
            elif isinstance(piece, WireRegister):
                channel = claimed_channel(piece, source, belief.enrolled)
                at_s = int(piece.at.timestamp())
                latest_s = received_s + belief.clock_of(channel).future_s
                check_time("at", piece.at, at_s, at_s, channel, (oldest_s, latest_s))
                result.registers.append(RegisterRead(channel, at_s, piece.value, piece.serial))
            elif isinstance(piece, WireTelemetry):
                latest_s = received_s + belief.clock_of(None).future_s
                check_telemetry(piece, source, (oldest_s, latest_s), belief.enrolled)
                _take_telemetry(piece, entry.gateway, result.telemetry)
            else:
                check_teller(piece, source, belief.enrolled)
                result.events.append(Happened(entry, place, piece))
        except InvalidMessage as error:
            refused += 1
            yield f"{name}.{place}", error


def _take_telemetry(piece: WireTelemetry, gateway: str, telemetry: dict[Told, float]) -> None:
    at_s, meter = int(piece.at.timestamp()), piece.meter or ""
    for quantity in QUANTITIES:
        value: float | None = getattr(piece, quantity)
        if value is not None:
            telemetry[Told(at_s, gateway, meter, quantity)] = value


def _take_block(
    block: WireBlock,
    channel: EnrolledChannel,
    first_s: int,
    constants: Sequence[Constant],
    noted: Flag,
    runs: dict[int, Runs],
) -> None:
    """Take a block; `noted` is what we saw of whoever told it."""
    register = NO_REGISTER if block.register_ is None else block.register_
    values, register = to_base_units(
        constants, channel.register_digits, first_s, block.interval_s, block.values, register
    )
    codes = block.codes if isinstance(block, FileBlock) else None
    loose = runs.get(block.interval_s)
    if loose is None:
        loose = runs[block.interval_s] = Runs()
    flags = block.quality
    if noted:
        flags = [flag | noted for flag in flags or [Flag.GOOD] * len(values)]
    loose.add(channel, first_s, values, register, flags, codes, told=True)
