"""The payload of Sparkplug B: the protobuf fields that a head-end needs, by the numbers the specification gives them.

Fields that are left out (data sets, templates, metadata) are skipped over when a payload is read.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from headend.errors import InvalidMessage

_Field = descriptor_pb2.FieldDescriptorProto
_U64, _U32, _BOOL, _TEXT = _Field.TYPE_UINT64, _Field.TYPE_UINT32, _Field.TYPE_BOOL, _Field.TYPE_STRING

# Section 6.4 of the specification. Values are one of several: their fields end in `_value`.
_MESSAGES: dict[str, dict[int, tuple[str, int | str]]] = {
    "Payload": {1: ("timestamp", _U64), 2: ("metrics", "Metric"), 3: ("seq", _U64), 4: ("uuid", _TEXT)},
    "Metric": {
        1: ("name", _TEXT),
        2: ("alias", _U64),
        3: ("timestamp", _U64),
        4: ("datatype", _U32),
        5: ("is_historical", _BOOL),
        7: ("is_null", _BOOL),
        9: ("properties", "PropertySet"),
        10: ("int_value", _U32),
        11: ("long_value", _U64),
        12: ("float_value", _Field.TYPE_FLOAT),
        13: ("double_value", _Field.TYPE_DOUBLE),
        14: ("boolean_value", _BOOL),
        15: ("string_value", _TEXT),
    },
    "PropertySet": {1: ("keys", _TEXT), 2: ("values", "PropertyValue")},
    "PropertyValue": {1: ("type", _U32), 3: ("int_value", _U32), 4: ("long_value", _U64), 8: ("string_value", _TEXT)},
}
_REPEATED = {"metrics", "keys", "values"}

#: More metrics than this are no node's.
_MOST_METRICS = 20_000

_INTEGERS = {"int_value", "long_value"}
_SIGNED_BITS = {1: 8, 2: 16, 3: 32, 4: 64}  # Int8 … Int64 come as two's complement

_COMPRESSED = "SPBV1.0_COMPRESSED"


def _payload_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="headend/sparkplug_b.proto", package="headend.sparkplug_b")
    file.syntax, file.edition = "editions", descriptor_pb2.EDITION_2023
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field_name, kind) in fields.items():
            field = message.field.add(name=field_name, number=number, label=_Field.LABEL_OPTIONAL)
            if isinstance(kind, str):
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".{file.package}.{kind}"
            else:
                field.type = kind
            if field_name in _REPEATED:
                field.label = _Field.LABEL_REPEATED
            elif field_name.endswith("_value"):
                field.oneof_index = 0
        if any(field.HasField("oneof_index") for field in message.field):
            message.oneof_decl.add(name="value")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.Payload"))


#: The protobuf class of all Sparkplug B payloads.
Payload = _payload_class()


def read_payload(payload: bytes) -> Any:
    """A `Payload`; raises `InvalidMessage` with fault "not Sparkplug"."""
    try:
        message = Payload.FromString(payload)
    except DecodeError:
        found = f"bytes {payload[:20].hex()}"
        raise InvalidMessage("message", found, "a Sparkplug B payload", fault="not Sparkplug") from None
    if message.uuid == _COMPRESSED:
        raise InvalidMessage("uuid", _COMPRESSED, "an uncompressed payload", fault="not Sparkplug")
    if len(message.metrics) > _MOST_METRICS:
        found = f"{len(message.metrics)} of them"
        raise InvalidMessage("metrics", found, f"at most {_MOST_METRICS}", fault="not Sparkplug")
    return message


def bd_seq_of(message: Any) -> int | None:
    """The `bdSeq` of a node's birth or death."""
    for metric in message.metrics:
        if metric.name == "bdSeq" and (kind := metric.WhichOneof("value")) in _INTEGERS:
            return int(getattr(metric, kind))
    return None


def number_of(metric: Any, datatype: int) -> Decimal:
    """A metric's value, exactly as its sender meant it: a float is the shortest number that it stands for.

    Raises
    ------
    InvalidMessage
        it has none, or an integer below 0: no register is.
    """
    kind = metric.WhichOneof("value")
    value: Any = getattr(metric, kind) if kind else None
    if kind == "float_value":
        return Decimal(str(np.float32(value)))
    if kind == "double_value":
        return Decimal(repr(value))
    if kind not in _INTEGERS or value >> (_SIGNED_BITS.get(datatype, 65) - 1):
        found = "nothing" if kind is None else "a negative number" if kind in _INTEGERS else repr(value)[:60]
        raise InvalidMessage("value", found, "a number", fault="not the schema")
    return Decimal(value)


def property_of(metric: Any, key: str) -> Any:
    """A metric's property; None where it has none of that name."""
    if not metric.HasField("properties"):
        return None
    return dict(zip(metric.properties.keys, metric.properties.values, strict=False)).get(key)


def text_of(said: Any) -> str:
    """What a metric or property says as text; "" where it says nothing such."""
    kind = said.WhichOneof("value") if said is not None else None
    return str(getattr(said, kind)) if kind in {"string_value", *_INTEGERS} else ""
