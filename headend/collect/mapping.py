"""Foreign JSON read by a mapping file: a topic template, and where in a message meter, channel, time and value are.

A path begins with `$`, the message, or with `@`, the item it speaks of; other text is a template in which the names of
the topic stand. docs/mappings.md is the guide to writing one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, model_validator

from headend.collect.claims import Claims
from headend.collect.foreign_json import NAME, Item, Source, number, read_json, time_in_utc
from headend.collect.registers import FAULTS_NAMED, UNITS, Unit, claim, whole
from headend.collect.wire import WireBlock, WireRegister
from headend.config import checked, read_toml
from headend.errors import InvalidInput, InvalidMessage
from headend.reads.channels import Channel
from headend.registry.gateways import GATEWAY_NAME

#: First levels of topics that have a decoder of their own, or are the broker's.
_TAKEN = ("headend", "spBv1.0", "modbus", "file", "$SYS", "$share")


#: Of one message, by one rule.
_MOST_ITEMS = 5_000


def _from_the_message_on(source: Source) -> Source:
    if not source.text.startswith("$"):
        raise InvalidInput("", repr(source.text)[:60], "a path from the message on, $…")
    return source


def _topic_template(topic: str) -> str:
    levels, names = topic.split("/"), NAME.findall(topic)
    if levels[0] in _TAKEN or any(not NAME.fullmatch(level) and set(level) & set("{}+#") for level in levels):
        expected = f"levels that are text or {{name}}, the first none of {', '.join(_TAKEN)}"
        raise InvalidInput("topic", repr(topic)[:100], expected)
    if len(set(names)) < len(names) or "key" in names:
        raise InvalidInput("topic", repr(topic)[:100], "each name once, and none of them key")
    return topic


_Source = Annotated[Source, PlainValidator(Source.parse)]
_Obis = Annotated[str, AfterValidator(lambda text: Channel.parse(text).obis)]


class Rule(BaseModel):
    """How one kind of read is found in a message; docs/mappings.md says what each key means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: Annotated[_Source, AfterValidator(_from_the_message_on)] = Source.parse("$")
    meter: _Source
    channel: _Source
    channels: dict[str, _Obis] | None = None
    value: _Source
    kind: Literal["register", "interval"]
    interval_s: Annotated[int, Field(gt=0, le=86_400)] | None = None
    unit: Unit
    scale: Annotated[Decimal, Field(gt=0, le=1_000_000)] = Decimal(1)
    time: _Source | None = None
    time_format: Literal["iso8601", "epoch_s", "epoch_ms", "none"]
    time_names: Literal["begin", "end"] | None = None
    serial: _Source | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Rule:
        for key in ("interval_s", "time_names"):
            if (self.kind == "interval") != (getattr(self, key) is not None):
                raise InvalidInput(key, repr(getattr(self, key)), "a value for an interval, and none for a register")
        if (self.time_format == "none") != (self.time is None):
            raise InvalidInput("time", repr(self.time and self.time.text), 'a path, or none with time_format = "none"')
        if self.channels is None and self.channel.path is None and not self.channel.names:
            Channel.parse(self.channel.text)
        return self

    @property
    def names(self) -> set[str]:
        """What its templates want filled in."""
        sources = (self.meter, self.channel, self.value, self.time, self.serial)
        return {name for source in sources if source for name in source.names}


class ForeignFormat(BaseModel):
    """A mapping file: the topics it is for, and what their messages say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: Annotated[str, AfterValidator(_topic_template)]
    gateway: _Source = Source.parse("{gateway}")
    reads: Annotated[tuple[Rule, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_what_there_is(self) -> ForeignFormat:
        captures = set(NAME.findall(self.topic))
        if self.gateway.path is not None or not self.gateway.names <= captures:
            raise InvalidInput("gateway", repr(self.gateway.text)[:60], "a text in which the topic's names stand")
        for place, rule in enumerate(self.reads):
            if unknown := rule.names - captures - {"key"}:
                raise InvalidInput(f"reads.{place}", f"{{{min(unknown)}}}", "a name of the topic's, or key")
        return self

    @property
    def subscription(self) -> str:
        """The MQTT topic filter."""
        return NAME.sub("+", self.topic)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        levels = (NAME.fullmatch(level) or level for level in self.topic.split("/"))
        return re.compile(
            "/".join(re.escape(level) if isinstance(level, str) else f"(?P<{level[1]}>[^/]+)" for level in levels)
        )

    def match(self, topic: str) -> dict[str, str] | None:
        """What the topic's names stand for; None for a topic that is not of this format."""
        found = self._pattern.fullmatch(topic)
        return None if found is None or topic.split("/", 1)[0] in _TAKEN else found.groupdict()

    def gateway_of(self, topic: str) -> str:
        """The gateway that a topic speaks of; raises `InvalidMessage`."""
        captures = self.match(topic)
        gateway = None if captures is None else self.gateway.find(Item(None, None, captures))
        if gateway is None or not GATEWAY_NAME.fullmatch(gateway):
            raise InvalidMessage("topic", repr(topic[:100]), self.topic, fault="not our topic")
        return str(gateway)


def load_mapping(path: Path) -> ForeignFormat:
    """The foreign format in a TOML file; raises `InvalidConfig` with file and key."""
    return checked(str(path), lambda: ForeignFormat.model_validate(read_toml(path)))


def read_foreign(form: ForeignFormat, topic: str, payload: bytes, received: datetime) -> Claims:
    """What a foreign message claims. What it does not say is no fault: such messages say all sorts of things.

    Parameters
    ----------
    received
        when the message came: the time of reads whose message names none.

    Raises
    ------
    InvalidMessage
        where nothing of the message can be used.
    """
    captures = form.match(topic)
    if captures is None:
        raise InvalidMessage("topic", repr(topic[:100]), form.topic, fault="not our topic")
    message = read_json(payload)
    claims = Claims()
    for path, rule, item in _items(form, message, captures):
        try:
            read = _read(rule, item, received)
        except InvalidMessage as fault:
            claims.faults.append((path, fault))
        else:
            if isinstance(read, WireRegister):
                claims.registers.append((len(claims.registers), read))
            elif read is not None:
                claims.blocks.append((len(claims.blocks), read))
        if len(claims.faults) == FAULTS_NAMED:
            what = InvalidMessage(
                "message", f"more after {FAULTS_NAMED} bad reads", "good ones", fault="not the schema"
            )
            claims.faults.append((path, what))
            break
    return claims


def _items(form: ForeignFormat, message: Any, captures: dict[str, str]) -> Iterator[tuple[str, Rule, Item]]:
    """Every item that a rule looks at, and its path."""
    for rule in form.reads:
        for place, (path, parts, found) in enumerate(rule.items.matches(message)):
            if place == _MOST_ITEMS:
                raise InvalidMessage(
                    rule.items.text, f"more than {place} items", "fewer in a message", fault="too large"
                )
            key = next((part for part in reversed(parts) if isinstance(part, str)), "")
            yield path[:100], rule, Item(message, found, captures | {"key": key})


def _read(rule: Rule, item: Item, received: datetime) -> WireRegister | WireBlock | None:
    """The read that a rule finds in an item; None where there is none."""
    value = rule.value.find(item)
    channel = rule.channel.find(item)
    if rule.channels is not None:
        channel = rule.channels.get(str(channel))
    if value is None or channel is None:
        return None
    who = {"meter": rule.meter.find(item), "channel": channel}
    amount = whole(number(value), UNITS[rule.unit] * rule.scale)
    at = received if rule.time is None else time_in_utc(rule.time.find(item), rule.time_format)
    if rule.interval_s is None:
        serial = rule.serial.find(item) if rule.serial else None
        return claim(WireRegister, **who, at=at, value=amount, serial=serial)
    start = at - timedelta(seconds=rule.interval_s) if rule.time_names == "end" else at
    return claim(WireBlock, **who, start=start, interval_s=rule.interval_s, values=[amount])
