"""Every decoder of what the field sends, for those who throw anything at them, and a good message of every kind."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import cbor2

from headend.collect.cbor import as_json, is_cbor
from headend.collect.mapping import ForeignFormat, load_mapping, read_foreign
from headend.collect.sparkplug import follow_sequence, read_sparkplug
from headend.collect.sparkplug_payload import Payload
from headend.collect.wire import (
    Topic,
    read_block_by_block,
    read_envelope,
    read_events,
    read_reads,
    read_result,
    read_status,
)
from headend.config import shipped
from headend.errors import InvalidMessage

MESSAGES = Path(__file__).parent / "data/messages"
RECEIVED = datetime(2026, 1, 5, 13, 0, 7, tzinfo=UTC)

READS = {
    "seq": 1042, "epoch": "b", "oldest": 7, "sent_at": "2026-01-05T13:00:07Z",
    "blocks": [{"meter": "E-1", "channel": "1-0:1.8.0", "start": "2026-01-05T12:00:00Z", "interval_s": 3600,
                "values": [1240, None], "quality": [0, 4], "register": 48211370}],
    "registers": [{"meter": "E-1", "channel": "1-0:1.8.0", "at": "2026-01-05T12:00:00Z", "value": 5, "serial": "S"}],
}  # fmt: skip
OTHERS = (
    {"seq": 2, "sent_at": READS["sent_at"], "events": [{"kind": "tamper", "at": READS["sent_at"], "meter": "E-1"}]},
    {"online": True, "firmware": "1.2"},
    {"id": 17, "state": "progress", "sent_at": READS["sent_at"], "wanted": [0, 8]},
)


def _sparkplug() -> bytes:
    message = Payload(timestamp=1_767_618_000_000, seq=1)
    message.metrics.add(name="bdSeq", datatype=4, long_value=3)
    message.metrics.add(name="1-0:1.8.0", alias=1, datatype=10, double_value=1.5)
    message.metrics.add(name="serial", datatype=12, string_value="S")
    message.metrics.add(alias=1, timestamp=1_767_618_000_000, is_historical=True, long_value=6)
    message.metrics[1].properties.keys.append("engUnit")
    message.metrics[1].properties.values.add(type=12, string_value="kWh")
    return bytes(message.SerializeToString())


#: One good message of every kind, to begin with.
SEEDS = (
    *(json.dumps(message).encode() for message in (READS, *OTHERS)),
    *(cbor2.dumps(message) for message in (READS, *OTHERS)),
    _sparkplug(),
    *(path.read_bytes() for path in sorted(MESSAGES.glob("*.json"))),
)

_KINDS = ("NBIRTH/press", "DBIRTH/press/E-1", "NDATA/press", "DDATA/press/E-1", "NDEATH/press", "DDEATH/press/E-1")
_TABLE = {
    "items": "$.blocks[*]", "meter": "@.meter", "channel": "@.channel", "channels": {"1-0:1.8.0": "1-0:2.8.0"},
    "value": "@.register", "unit": "kWh", "scale": "0.1", "kind": "interval", "interval_s": 900, "time": "@.start",
    "time_format": "iso8601", "time_names": "end",
}  # fmt: skip
_FORMATS = [load_mapping(path) for path in sorted(shipped("mappings").glob("*.toml"))]
_FORMATS.append(ForeignFormat.model_validate({"topic": "any/{gateway}/intervals", "reads": [_TABLE]}))
_ANY_TOPIC = {form.subscription: form.subscription.replace("+", "GW") for form in _FORMATS}


def _all_of_sparkplug(payload: bytes) -> None:
    births: dict[tuple[str, str], str] = {}
    for kind in (*_KINDS, *_KINDS):
        topic = f"spBv1.0/plant/{kind}"
        with contextlib.suppress(InvalidMessage):
            follow_sequence(topic, payload, 255)
            claims = read_sparkplug(topic, payload, births)
            births |= {(birth.node, birth.device): birth.metrics for birth in claims.births}


def _from_cbor(payload: bytes) -> None:
    is_cbor(payload)
    read_reads(as_json(payload))


def _topic(payload: bytes) -> None:
    text = payload.decode("utf-8", "replace")
    Topic.parse(text)
    read_sparkplug(text, b"", {})


#: By name, what must raise nothing but `InvalidMessage`.
DECODERS: dict[str, Callable[[bytes], object]] = {
    "envelope": read_envelope,
    "reads": read_reads,
    "block by block": read_block_by_block,
    "status": read_status,
    "events": read_events,
    "result": read_result,
    "CBOR": _from_cbor,
    "Sparkplug": _all_of_sparkplug,
    "topics": _topic,
} | {
    f"mapping {form.topic}": lambda payload, form=form: read_foreign(
        form, _ANY_TOPIC[form.subscription], payload, RECEIVED
    )
    for form in _FORMATS
}


def decode_by_all(payload: bytes) -> None:
    """Let every decoder have a try."""
    for decode in DECODERS.values():
        with contextlib.suppress(InvalidMessage):
            decode(payload)
