"""Whom and what to believe: whether a source may speak of a channel, and of that time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from headend.collect.wire import WireBlock, WireEvent, WireRegister, WireTelemetry
from headend.errors import InvalidMessage
from headend.reads.days import DAY_S
from headend.registry.registry import EnrolledChannel
from headend.site import Site
from headend.vee import RuleSet
from headend.vee.ruleset import ClockRule

#: Faults that a newer registry may not find any more.
CURABLE = frozenset(
    ("unknown meter", "unknown channel", "another gateway's meter", "before installation", "after removal")
)

#: By meter name, the channels by OBIS code.
Enrolled = Mapping[str, Mapping[str, EnrolledChannel]]


@dataclass(frozen=True, slots=True)
class Belief:
    """Whom and what to believe.

    Parameters
    ----------
    revoked
        gateways from which nothing is taken any more.
    max_bytes
        larger messages are refused.
    rules
        how far after its arrival a read may end, and how far off a clock may be.
    past_s
        how long before its arrival it may begin [s].
    """

    enrolled: Enrolled
    revoked: Collection[str]
    max_bytes: int
    rules: RuleSet
    past_s: int

    def clock_of(self, channel: EnrolledChannel | None) -> ClockRule:
        """The rule for the times that are told of a channel, or of none."""
        return self.rules.of("" if channel is None else channel.customer_class).clock


def belief_of(site: Site, channels: Sequence[EnrolledChannel], revoked: Collection[str]) -> Belief:
    """What follows from the settings and the registry as it is now."""
    settings = site.settings
    enrolled: dict[str, dict[str, EnrolledChannel]] = defaultdict(dict)
    for channel in channels:
        enrolled[channel.meter_name][channel.channel.obis] = channel
    return Belief(
        dict(enrolled),
        revoked,
        max_bytes=settings.collect.max_message_bytes,
        rules=site.rules,
        past_s=settings.process.past_days * DAY_S,
    )


def claimed_channel(claim: WireBlock | WireRegister, source: str | None, enrolled: Enrolled) -> EnrolledChannel:
    """The channel a claim speaks of, if its source may speak of it; `source` is None where that is ourselves."""
    its = _channels_of(claim.meter, enrolled)
    channel = its.get(claim.channel)
    if channel is None:
        expected = f"one that {claim.meter} has: {', '.join(sorted(its))}"
        raise InvalidMessage("channel", repr(claim.channel), expected, fault="unknown channel")
    _refuse_strangers(channel, source)
    return channel


def check_teller(event: WireEvent, source: str | None, enrolled: Enrolled) -> None:
    """Refuse an event of a meter that its source may not speak of; what happened to a gateway itself, it may tell."""
    if event.meter is not None:
        its = _channels_of(event.meter, enrolled)
        _refuse_strangers(next(iter(its.values())), source)


def check_telemetry(told: WireTelemetry, source: str | None, believed_s: tuple[int, int], enrolled: Enrolled) -> None:
    """Refuse telemetry of a meter that its source may not speak of, or of a time that nobody can know of."""
    at_s = told.at.timestamp()
    if told.meter is None:
        _check_believed("at", told.at, at_s, at_s, believed_s)
        return
    channel = next(iter(_channels_of(told.meter, enrolled).values()))
    _refuse_strangers(channel, source)
    check_time("at", told.at, at_s, at_s, channel, believed_s)


def _channels_of(meter: str, enrolled: Enrolled) -> Mapping[str, EnrolledChannel]:
    its = enrolled.get(meter)
    if its is None:
        raise InvalidMessage("meter", f"unknown meter {meter!r}", "a meter of the registry", fault="unknown meter")
    return its


def _refuse_strangers(channel: EnrolledChannel, source: str | None) -> None:
    """Of a meter that we ask ourselves, or that names its gateway, nobody else may tell."""
    whose = "the Modbus poller" if channel.polled else channel.gateway
    if source is not None and whose not in (None, source):
        found = f"{channel.meter_name} from gateway {source}"
        raise InvalidMessage("meter", found, f"it from {whose}", fault="another gateway's meter")


def checked_start(block: WireBlock, channel: EnrolledChannel, believed_s: tuple[int, int]) -> int:
    """Begin of a block that may be taken [s since 1970]."""
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
    check_time("start", block.start, start_s, start_s + block.interval_s * len(block.values), channel, believed_s)
    if block.quality is not None and len(block.quality) != len(block.values):
        raise InvalidMessage(
            "quality",
            f"{len(block.quality)} flags",
            f"one for each of {len(block.values)} values",
            fault="flags do not fit",
        )
    return int(start_s)


def check_time(
    name: str,
    moment: datetime,
    start_s: float,
    end_s: float,
    channel: EnrolledChannel,
    believed_s: tuple[int, int],
) -> None:
    """Refuse a time at which the channel did not measure, or that nobody can know of."""
    if start_s < channel.installed_s:
        raise InvalidMessage(
            name,
            moment.isoformat(),
            f"no time before {channel.meter_name} was installed",
            fault="before installation",
        )
    if channel.removed_s is not None and end_s > channel.removed_s:
        raise InvalidMessage(
            name, moment.isoformat(), f"no time after {channel.meter_name} was removed", fault="after removal"
        )
    _check_believed(name, moment, start_s, end_s, believed_s)


def _check_believed(name: str, moment: datetime, start_s: float, end_s: float, believed_s: tuple[int, int]) -> None:
    if end_s > believed_s[1]:
        raise InvalidMessage(
            name, f"{moment.isoformat()}, in the future", "intervals that have ended", fault="in the future"
        )
    if start_s < believed_s[0]:
        found = f"{moment.isoformat()}, long past"
        raise InvalidMessage(name, found, "a time that a meter still remembers", fault="too old")
