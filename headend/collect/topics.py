"""Where a message belongs is its topic: what we listen to, whose a message is, and which decoder reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from headend.collect import sparkplug
from headend.collect.claims import Claims
from headend.collect.files.message import read_file_message
from headend.collect.mapping import ForeignFormat, read_foreign
from headend.collect.wire import Topic, read_block_by_block, read_events, read_reads, read_result, read_status
from headend.errors import InvalidMessage

#: What gateways say in our own words, at QoS 1.
NATIVE = tuple(f"headend/v1/+/{kind}" for kind in ("reads", "events", "status", "result"))
NATIVE_ROOT = "headend/"
SPARKPLUG = "spBv1.0/"
POLLER = "modbus/"
FILE = "file/"
#: What never comes from outside: these topics are given here, and subscribed to nowhere.
FROM_OURSELVES = (POLLER, FILE)

#: (node, device) → the metrics of its birth; see `Birth`.
Births = Mapping[tuple[str, str], str]


class Topics:
    """The topics of one site.

    Parameters
    ----------
    formats
        of foreign JSON; of several that match a topic the first reads it.
    sparkplug_host
        the id under which we take Sparkplug B; "" where we do not.
    """

    def __init__(self, formats: Sequence[ForeignFormat] = (), sparkplug_host: str = "") -> None:
        self._formats = tuple(formats)
        self.sparkplug_host = sparkplug_host
        #: MQTT topic filters.
        self.subscriptions = (
            NATIVE
            + (sparkplug.SUBSCRIPTIONS if sparkplug_host else ())
            + tuple(dict.fromkeys(form.subscription for form in self._formats))
        )

    def gateway_of(self, topic: str) -> str:
        """Whose a message is; "" where the topic does not say."""
        try:
            if topic.startswith(NATIVE_ROOT):
                return Topic.parse(topic).gateway
            if topic.startswith(SPARKPLUG):
                return sparkplug.gateway_of(topic)
            form = self._format_of(topic)
            return form.gateway_of(topic) if form else ""
        except InvalidMessage:
            return ""

    def read(self, topic: str, payload: bytes, received: datetime, births: Births) -> Claims:
        """What a message claims; raises `InvalidMessage` where nothing of it can be used.

        Parameters
        ----------
        received
            when it came, for those that do not say when they read.
        births
            what Sparkplug devices told of themselves before.
        """
        if topic.startswith(NATIVE_ROOT):
            return _read_native(Topic.parse(topic).kind, payload)
        if topic.startswith(SPARKPLUG):
            return sparkplug.read_sparkplug(topic, payload, births)
        if topic.startswith(POLLER):
            return _read_native("events" if topic.endswith("/events") else "reads", payload)
        if topic.startswith(FILE):
            message = read_file_message(payload)
            return Claims(blocks=list(enumerate(message.blocks)), registers=list(enumerate(message.registers)))
        form = self._format_of(topic)
        if form is None:
            raise InvalidMessage("topic", repr(topic[:100]), "headend/v1/{gateway}/{kind}", fault="not our topic")
        return read_foreign(form, topic, payload, received)

    def _format_of(self, topic: str) -> ForeignFormat | None:
        return next((form for form in self._formats if form.match(topic) is not None), None)


def is_numbered(topic: str) -> bool:
    """True for messages that count in their gateway's sequence and are acknowledged to it."""
    return topic.endswith(("/reads", "/events")) and topic.startswith("headend/v1/")


def _read_native(kind: str, payload: bytes) -> Claims:
    match kind:
        case "reads":
            return _read_reads(payload)
        case "events":
            message = read_events(payload)
            return Claims(sent_at=message.sent_at, events=message.events)
        case "status":
            status = read_status(payload)
            return Claims(online=status.online, firmware=status.firmware)
        case "result":
            result = read_result(payload)
            return Claims(sent_at=result.sent_at, result=result)
    raise InvalidMessage("topic", repr(kind), "reads, events, status or result", fault="not our topic")


def _read_reads(payload: bytes) -> Claims:
    try:
        message = read_reads(payload)
    except InvalidMessage:
        found = read_block_by_block(payload)
        return Claims(found.sent_at, found.blocks, found.registers, found.telemetry, faults=found.faults)
    return Claims(
        message.sent_at,
        list(enumerate(message.blocks)),
        list(enumerate(message.registers)),
        list(enumerate(message.telemetry)) if message.telemetry else [],
    )
