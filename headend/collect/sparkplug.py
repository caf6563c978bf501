"""Sparkplug B (Eclipse Sparkplug 3.0): edge nodes as gateways, devices as meters, metrics as cumulative registers.

A node tells the names, units and types behind its numbers once, in its births; what it sends later means nothing
without them. A birth is believed for one session: a device's counts only together with the node's birth that came
before it, so that numbers are never read by the names of an earlier session. docs/sparkplug.md says what a metric must
be called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from headend.collect.claims import Birth, Claims
from headend.collect.registers import FAULTS_NAMED, UNITS, claim, moment, whole
from headend.collect.sparkplug_payload import Payload, bd_seq_of, number_of, property_of, read_payload, text_of
from headend.collect.wire import WireRegister
from headend.errors import InvalidInput, InvalidMessage
from headend.reads.channels import Channel

#: What nodes say; not the commands and the hosts' states, some of which are our own.
SUBSCRIPTIONS = (
    *(f"spBv1.0/+/{kind}/+" for kind in ("NBIRTH", "NDATA", "NDEATH")),
    *(f"spBv1.0/+/{kind}/+/+" for kind in ("DBIRTH", "DDATA", "DDEATH")),
)

# A group has no dot, so that no node can take the gateway name of another group's node.
_TOPIC = re.compile(
    r"spBv1\.0/(?P<group>[\w-]+)/(?P<kind>[ND](?:BIRTH|DATA|DEATH))/(?P<node>[\w.-]+)(?:/(?P<device>[^/]+))?", re.ASCII
)
_LONGEST_NAME = 64

_BOOLEAN = 11
_SEQUENCE = 256


class Register(BaseModel):
    """What a birth says of a register: its `engUnit` ("": the base unit) and Sparkplug data type."""

    model_config = ConfigDict(frozen=True)

    unit: str
    type: int


class BirthMetrics(BaseModel):
    """What is remembered of a birth, as JSON in `Birth.metrics`.

    Parameters
    ----------
    session
        when the node's birth was sent [ms]; None for a device whose node's birth never came.
    bd_seq
        of a node: names its connection, and is in the death that belongs to it.
    aliases
        metric names.
    registers
        by metric name.
    serials
        of the devices that count, by meter.
    """

    model_config = ConfigDict(frozen=True)

    session: int | None
    bd_seq: int | None
    aliases: dict[int, str]
    registers: dict[str, Register]
    serials: dict[str, str]


@lru_cache(maxsize=256)  # few, because a birth may be as large as a message
def _remembered(metrics: str | None) -> BirthMetrics | None:
    return None if metrics is None else BirthMetrics.model_validate_json(metrics)


@dataclass(frozen=True, slots=True)
class _Origin:
    """Who a message is from, by its topic."""

    group: str
    node: str
    kind: str
    device: str

    @classmethod
    def parse(cls, topic: str) -> _Origin:
        match = _TOPIC.fullmatch(topic)
        if (
            match is None
            or (match["kind"][0] == "D") != bool(match["device"])
            or len(match["group"]) + 1 + len(match["node"]) > _LONGEST_NAME
        ):
            expected = "spBv1.0/{group}/{type}/{node}, with /{device} for a device's"
            raise InvalidMessage("topic", repr(topic[:100]), expected, fault="not our topic")
        return cls(match["group"], match["node"], match["kind"], match["device"] or "")

    @property
    def descriptor(self) -> str:
        """The node's full name, in Sparkplug's own words."""
        return f"{self.group}/{self.node}"

    def meter_of(self, metric: str) -> str:
        """Whose metric this is: the device's, or of a node's own metrics the first folder's."""
        return self.device or metric.rpartition("/")[0].partition("/")[0]


def gateway_of(topic: str) -> str:
    """The gateway that a Sparkplug topic speaks of, `group.node`; raises `InvalidMessage`."""
    origin = _Origin.parse(topic)
    return f"{origin.group}.{origin.node}"


def read_sparkplug(topic: str, payload: bytes, births: Mapping[tuple[str, str], str]) -> Claims:
    """What a node's message claims.

    Parameters
    ----------
    births
        `Birth.metrics` by ("group/node", device), as the messages before this one left them; the device is "" for the
        node itself.

    Raises
    ------
    InvalidMessage
        where nothing of the message can be used.
    """
    origin = _Origin.parse(topic)
    message = read_payload(payload)
    node = _remembered(births.get((origin.descriptor, "")))
    if origin.kind == "NDEATH":
        # A last will: made up when the node connected, so that its time says nothing.
        died = bd_seq_of(message)
        of_earlier = node is not None and None not in (node.bd_seq, died) and node.bd_seq != died
        return Claims(online=None if of_earlier else False)
    sent_ms = message.timestamp if message.HasField("timestamp") else None
    claims = Claims(sent_at=None if sent_ms is None else _time(sent_ms))
    if origin.kind == "DDEATH":
        return claims
    names: BirthMetrics | None
    if origin.kind == "NBIRTH":
        if sent_ms is None:
            raise InvalidMessage("timestamp", "nothing", "when the node was born", fault="not the schema")
        names = _birth(message, sent_ms, bd_seq_of(message))
        claims.online = True
    elif origin.kind == "DBIRTH":
        names = _birth(message, node.session if node else None, None)
        claims.rebirth = node is None
    else:
        names = _remembered(births.get((origin.descriptor, origin.device)))
        if node is None or names is None or names.session != node.session:
            names, claims.rebirth = None, True
    serials = _serials(origin, message, names)
    if names is not None and (origin.kind.endswith("BIRTH") or serials != names.serials):
        renewed = names.model_copy(update={"serials": serials})
        claims.births.append(Birth(origin.descriptor, origin.device, renewed.model_dump_json()))
    _read_registers(origin, message, names, serials, claims)
    return claims


def follow_sequence(topic: str, payload: bytes, last: int | None) -> tuple[int | None, bool]:
    """Look whether messages of a node were lost before this one.

    Parameters
    ----------
    last
        what this function returned for the node's message before; None at first.

    Returns
    -------
    tuple
        what to give it for the node's next message, and True if some were lost: then the node must be asked for its
        births. The same message again is no loss.
    """
    kind = _Origin.parse(topic).kind
    if kind == "NDEATH":
        return None, False
    message = read_payload(payload)
    if not message.HasField("seq"):
        return last, False
    seq: int = message.seq % _SEQUENCE
    return seq, kind != "NBIRTH" and last is not None and seq not in {last, (last + 1) % _SEQUENCE}


def rebirth_command(node: str, now: datetime) -> tuple[str, bytes]:
    """Topic and payload that ask a node, `group/node`, for all its births. To be sent at QoS 0, not retained."""
    group, _, name = node.partition("/")
    timestamp_ms = int(now.timestamp() * 1_000)
    message = Payload(timestamp=timestamp_ms)
    message.metrics.add(name="Node Control/Rebirth", timestamp=timestamp_ms, datatype=_BOOLEAN, boolean_value=True)
    return f"spBv1.0/{group}/NCMD/{name}", message.SerializeToString()


def host_state(host: str, online: bool, timestamp_ms: int) -> tuple[str, bytes]:
    """Topic and payload of a host application's presence.

    To be sent at QoS 1, retained; offline as the last will, with the time that the online message of the same
    connection has.
    """
    return f"spBv1.0/STATE/{host}", json.dumps({"online": online, "timestamp": timestamp_ms}).encode()


def _time(milliseconds: int) -> datetime:
    return moment(Decimal(milliseconds), 1_000)


def _birth(message: Any, session: int | None, bd_seq: int | None) -> BirthMetrics:
    """The names a birth brings; its serial numbers are yet to come."""
    aliases = {metric.alias: metric.name for metric in message.metrics if metric.HasField("alias")}
    registers = {
        metric.name: Register(unit=text_of(property_of(metric, "engUnit")), type=metric.datatype)
        for metric in message.metrics
        if _channel(metric.name)
    }
    return BirthMetrics(session=session, bd_seq=bd_seq, aliases=aliases, registers=registers, serials={})


def _serials(origin: _Origin, message: Any, names: BirthMetrics | None) -> dict[str, str]:
    """Serial numbers by meter: those of the birth, under those of the message."""
    serials = dict(names.serials) if names else {}
    for metric in message.metrics:
        name = _name(metric, names) or ""
        said = metric if name.rpartition("/")[2] == "serial" else property_of(metric, "serial")
        if text := text_of(said):
            serials[origin.meter_of(name)] = text
    return serials


def _read_registers(
    origin: _Origin, message: Any, names: BirthMetrics | None, serials: Mapping[str, str], claims: Claims
) -> None:
    for place, metric in enumerate(message.metrics):
        try:
            name = _name(metric, names)
            if not metric.is_null and (name is None or _channel(name)):
                claims.registers.append((place, _register(origin, name, metric, names, claims.sent_at, serials)))
        except InvalidMessage as fault:
            claims.faults.append((f"metrics.{place}", fault))
            claims.rebirth |= fault.fault == "no birth"
        if len(claims.faults) == FAULTS_NAMED:
            rest = f"{len(message.metrics) - place - 1} more after {FAULTS_NAMED} bad ones"
            what = InvalidMessage("metrics", rest, "good ones", fault="not the schema")
            claims.faults.append((f"metrics.{place + 1}", what))
            return


def _register(
    origin: _Origin,
    name: str | None,
    metric: Any,
    names: BirthMetrics | None,
    sent_at: datetime | None,
    serials: Mapping[str, str],
) -> WireRegister:
    born = names.registers.get(name) if names and name else None
    if name is None or born is None:
        where, found = ("alias", str(metric.alias)) if name is None else ("name", repr(name)[:60])
        raise InvalidMessage(where, found, "one that a birth of this session told", fault="no birth")
    unit = text_of(property_of(metric, "engUnit")) or born.unit
    factor = UNITS.get(unit) if unit else Decimal(1)
    if factor is None:
        raise InvalidMessage("engUnit", repr(unit)[:60], f"one of {', '.join(UNITS)}", fault="not the schema")
    at = _time(metric.timestamp) if metric.HasField("timestamp") else None if metric.is_historical else sent_at
    if at is None:
        raise InvalidMessage("timestamp", "nothing", "when the register was read", fault="not the schema")
    meter = origin.meter_of(name)
    value = whole(number_of(metric, metric.datatype or born.type), factor)
    return claim(WireRegister, meter=meter, channel=_channel(name), at=at, value=value, serial=serials.get(meter))


def _name(metric: Any, names: BirthMetrics | None) -> str | None:
    """A metric's own name, or the one that its alias stands for; None for an alias that no birth named."""
    if metric.name or not metric.HasField("alias"):
        return str(metric.name)
    return names.aliases.get(metric.alias) if names else None


def _channel(name: str) -> str | None:
    """The OBIS code that a metric's name ends with, if it does."""
    last = name.rpartition("/")[2]
    return _obis(last) if len(last) <= 19 else None  # 255-255:255.255.255


@lru_cache(maxsize=1024)
def _obis(text: str) -> str | None:
    try:
        return Channel.parse(text).obis
    except InvalidInput:
        return None
