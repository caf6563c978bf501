"""The wire: what a gateway's message looks like, and its reading into arrays.

A message carries runs of values, and one model stands for a run, never for a single read: so decoding costs a few
microseconds a message, and the step to arrays is one concatenation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError, to_json

from headend.collect.cbor import as_json, is_cbor
from headend.errors import InvalidMessage
from headend.registry.gateways import GATEWAY_NAME
from headend.store.database import storable

# Far above any meter, and far enough below 2**63 that sums of a year stay exact.
_LARGEST = 2**53

#: More telemetry than this in one message is not taken.
_TELEMETRY_AT_MOST = 10_000

#: A message with more bad blocks than this is not searched for good ones any further.
_FAULTS_NAMED = 100

Value = Annotated[int, Field(ge=-_LARGEST, le=_LARGEST)]

#: What is kept as it is said, and must not be more than a database can keep.
Said = Annotated[str, AfterValidator(storable)]

#: What telemetry may tell, each with its unit in its name; the fields of `WireTelemetry`.
QUANTITIES = ("voltage_v", "signal_dbm", "battery_v", "temperature_c")


class _Wire(BaseModel):
    # Unknown fields are ignored: a newer gateway may say more than we know.
    model_config = ConfigDict(extra="ignore", strict=True)


class Envelope(_Wire):
    """The part of any message that is needed to acknowledge it."""

    seq: Annotated[int, Field(ge=0, le=2**63 - 1)]
    epoch: Annotated[str, Field(max_length=32)] | None = None
    oldest: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None


class WireBlock(_Wire):
    """A run of consecutive intervals of one channel of one meter."""

    meter: Annotated[str, Field(min_length=1, max_length=64, examples=["E-10023"])]
    channel: Annotated[str, Field(min_length=9, max_length=19, examples=["1-0:1.8.0"])]
    start: Annotated[AwareDatetime, Field(description="begin of the first interval")]
    interval_s: Annotated[int, Field(gt=0, le=86_400, examples=[3600])]
    values: Annotated[
        list[Value | None],
        Field(min_length=1, max_length=10_000, description="whole Wh, var·h, dm³ or litre; null: known to be missing"),
    ]
    quality: Annotated[
        list[Annotated[int, Field(ge=0, le=31)]] | None,
        Field(description="0 good, else bits: 1 outage, 2 clock set, 4 partial, 8 test, 16 tamper"),
    ] = None
    register_: Annotated[
        Annotated[int, Field(ge=0, le=_LARGEST)] | None,
        Field(alias="register", description="cumulative register at the end of the last interval"),
    ] = None


class WireRegister(_Wire):
    """A cumulative register as it stood at a moment, of a device that tells no intervals."""

    meter: Annotated[str, Field(min_length=1, max_length=64, examples=["E-10023"])]
    channel: Annotated[str, Field(min_length=9, max_length=19, examples=["1-0:1.8.0"])]
    at: Annotated[AwareDatetime, Field(description="when it was read")]
    value: Annotated[int, Field(ge=0, le=_LARGEST, description="whole Wh, var·h, dm³ or litre")]
    serial: Annotated[Said, Field(max_length=64, description="of the device that counted")] | None = None


class WireTelemetry(_Wire):
    """How a meter, or the gateway itself, was at a moment: at least one quantity of those there are."""

    # What is checked by hand below, said to those who build gateways.
    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": [quantity]} for quantity in QUANTITIES]})

    at: Annotated[AwareDatetime, Field(description="when it was so")]
    meter: Annotated[
        Annotated[str, Field(min_length=1, max_length=64, examples=["E-10023"])] | None,
        Field(description="none: the gateway itself"),
    ] = None
    voltage_v: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] | None = None
    signal_dbm: Annotated[float, Field(ge=-200, le=50, allow_inf_nan=False)] | None = None
    battery_v: Annotated[float, Field(ge=0, le=1_000, allow_inf_nan=False)] | None = None
    temperature_c: Annotated[float, Field(ge=-100, le=200, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _tells_something(self) -> WireTelemetry:
        if self.voltage_v is self.signal_dbm is self.battery_v is self.temperature_c is None:
            raise PydanticCustomError("no_quantity", f"at least one of {', '.join(QUANTITIES)}")
        return self


class ReadsMessage(Envelope):
    """A gateway's reads, on `headend/v1/{gateway}/reads`."""

    sent_at: Annotated[AwareDatetime, Field(description="the gateway's clock when it sent this")]
    # One wrong block is enough to refuse a message; a million complaints about it would be a way to stop us.
    blocks: Annotated[list[WireBlock], FailFast()]
    registers: Annotated[list[WireRegister], FailFast(), Field(json_schema_extra={"default": []})] = Field(
        default_factory=list  # a list as default is copied deeply for each message
    )
    telemetry: Annotated[list[WireTelemetry], FailFast(), Field(json_schema_extra={"default": []})] = Field(
        default_factory=list, max_length=_TELEMETRY_AT_MOST
    )


class WireEvent(_Wire):
    """Something that happened to a meter, or to the gateway itself."""

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,31}$", examples=["tamper", "outage", "battery_low"])]
    at: Annotated[AwareDatetime, Field(description="when it happened")]
    meter: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    detail: Annotated[Said, Field(max_length=500)] = ""


class EventsMessage(Envelope):
    """What happened, on `headend/v1/{gateway}/events`."""

    sent_at: AwareDatetime
    events: Annotated[list[WireEvent], FailFast(), Field(min_length=1, max_length=1_000)]


class CommandMessage(_Wire):
    """What a gateway is to do, on `headend/v1/{gateway}/command`."""

    id: int
    kind: str
    sent_at: AwareDatetime
    expires_at: AwareDatetime
    args: dict[str, Any]


class ResultMessage(_Wire):
    """What became of a command, on `headend/v1/{gateway}/result`."""

    id: Annotated[int, Field(ge=1, le=2**63 - 1)]
    state: Literal["acknowledged", "progress", "done", "failed"]
    sent_at: AwareDatetime
    detail: Annotated[Said, Field(max_length=500)] = ""
    wanted: Annotated[
        tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] | None,
        Field(description="firmware: the chunks it wants next, [first, end)"),
    ] = None


class _UnreadBlocks(Envelope):
    """A reads message whose blocks are yet to be looked at."""

    sent_at: AwareDatetime
    blocks: list[Any]
    registers: list[Any] = []
    telemetry: list[Any] = []


class StatusMessage(_Wire):
    """A gateway's presence, on `headend/v1/{gateway}/status`; retained, and `false` as its last will."""

    online: bool
    firmware: Annotated[Said, Field(max_length=64)] | None = None


class Acknowledgement(_Wire):
    """What is durable, on `headend/v1/{gateway}/ack`: everything up to `through` but `missing`."""

    through: int
    missing: list[int]
    epoch: str | None = None


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of ours, taken apart."""

    gateway: str
    kind: str

    @classmethod
    @lru_cache(maxsize=100_000)  # gateways say the same few topics all the time
    def parse(cls, topic: str) -> Topic:
        """`headend/v1/{gateway}/{kind}`; raises `InvalidMessage`."""
        parts = topic.split("/")
        if len(parts) != 4 or parts[:2] != ["headend", "v1"] or not GATEWAY_NAME.fullmatch(parts[2]):
            raise InvalidMessage("topic", repr(topic[:100]), "headend/v1/{gateway}/{kind}", fault="not our topic")
        return cls(parts[2], parts[3])

    @property
    def text(self) -> str:
        """As it is published."""
        return f"headend/v1/{self.gateway}/{self.kind}"


def read_envelope(payload: bytes) -> Envelope | None:
    """The envelope of a message, or None where there is none to be had."""
    try:
        return Envelope.model_validate_json(as_json(payload) if is_cbor(payload) else payload)
    except (ValidationError, InvalidMessage):
        return None


def read_reads(payload: bytes) -> ReadsMessage:
    """A reads message; raises `InvalidMessage` that says what is wrong where."""
    return _read(ReadsMessage, payload)


@dataclass(slots=True)
class Salvaged:
    """What is good in a reads message that `read_reads` refused, with the places, and what is wrong with the rest."""

    sent_at: datetime
    blocks: list[tuple[int, WireBlock]] = field(default_factory=list)
    registers: list[tuple[int, WireRegister]] = field(default_factory=list)
    telemetry: list[tuple[int, WireTelemetry]] = field(default_factory=list)
    faults: list[tuple[str, InvalidMessage]] = field(default_factory=list)


def read_block_by_block(payload: bytes) -> Salvaged:
    """Take a refused reads message apart; raises `InvalidMessage` where it is no message at all.

    Each fault comes with the path to it, such as `blocks.3`.
    """
    message: _UnreadBlocks = _read(_UnreadBlocks, payload)
    found = Salvaged(message.sent_at)
    found.blocks = _good_ones(WireBlock, "blocks", message.blocks, found.faults)
    found.registers = _good_ones(WireRegister, "registers", message.registers, found.faults)
    told = message.telemetry
    found.telemetry = _good_ones(WireTelemetry, "telemetry", told[:_TELEMETRY_AT_MOST], found.faults)
    if len(told) > _TELEMETRY_AT_MOST:
        what = InvalidMessage(
            "telemetry", f"{len(told)} items", f"at most {_TELEMETRY_AT_MOST}", fault="not the schema"
        )
        found.faults.append((f"telemetry.{_TELEMETRY_AT_MOST}", what))
    return found


def _good_ones(model: Any, name: str, items: list[Any], faults: list[tuple[str, InvalidMessage]]) -> list[Any]:
    good: list[tuple[int, Any]] = []
    wrong = 0
    for place, item in enumerate(items):
        try:
            good.append((place, _read(model, to_json(item))))
        except InvalidMessage as fault:
            faults.append((f"{name}.{place}", fault))
            wrong += 1
        if wrong == _FAULTS_NAMED:
            rest = f"{len(items) - place - 1} more {name} after {_FAULTS_NAMED} bad ones"
            what = InvalidMessage("block", rest, f"{name} of this schema", fault="not the schema")
            faults.append((f"{name}.{place + 1}", what))
            break
    return good


def read_events(payload: bytes) -> EventsMessage:
    """An events message; raises `InvalidMessage`."""
    return _read(EventsMessage, payload)


def read_status(payload: bytes) -> StatusMessage:
    """A status message; raises `InvalidMessage`."""
    return _read(StatusMessage, payload)


def read_result(payload: bytes) -> ResultMessage:
    """A command's result; raises `InvalidMessage`."""
    return _read(ResultMessage, payload)


_IN_OUR_WORDS = {"missing": "a value", "timezone_aware": "a time with Z or an offset", "int_type": "a whole number"}


def _read(model: Any, payload: bytes) -> Any:
    if is_cbor(payload):
        payload = as_json(payload)
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        complaint = error.errors(include_url=False)[0]
        if complaint["type"] == "json_invalid":
            detail = complaint["ctx"]["error"]
            found = repr(payload[:40].decode("utf-8", "replace"))
            raise InvalidMessage("message", found, f"JSON ({detail})", fault="not JSON") from None
        where = ".".join(str(part) for part in complaint["loc"]) or "message"
        found = "nothing" if complaint["type"] == "missing" else repr(complaint["input"])[:60]
        expected = _IN_OUR_WORDS.get(complaint["type"]) or complaint["msg"].removeprefix("Input should be ")
        raise InvalidMessage(where, found, expected, fault="not the schema") from None


def json_schema() -> dict[str, Any]:
    """JSON Schema of every message, for those who build gateways."""
    names: dict[str, type[BaseModel]] = {
        "reads": ReadsMessage,
        "events": EventsMessage,
        "status": StatusMessage,
        "result": ResultMessage,
        "ack": Acknowledgement,
        "command": CommandMessage,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Head-end wire format v1",
        "description": "One schema for each topic headend/v1/{gateway}/…",
        "topics": {name: model.model_json_schema(by_alias=True) for name, model in names.items()},
    }
