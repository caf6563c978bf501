"""The compact form of native messages: CBOR (RFC 8949) with the same keys, brought to the JSON it stands for.

Only what JSON can say is let through, and times: the wire's models have the last word, whichever form a message has.
"""

from __future__ import annotations

import json
from datetime import datetime
from io import BytesIO
from typing import Any, NoReturn

import cbor2

from headend.errors import InvalidMessage

_SELF_DESCRIBED = b"\xd9\xd9\xf7"

# A native message nests four deep; the rest is for what a newer gateway may say.
_DEPTH = 16


def is_cbor(payload: bytes) -> bool:
    """True for a CBOR map, tagged as CBOR or not: JSON text begins with none of these bytes."""
    return payload[:1] != b"" and (0xA0 <= payload[0] <= 0xBF or payload.startswith(_SELF_DESCRIBED))


def as_json(payload: bytes) -> bytes:
    """The JSON a CBOR message stands for.

    Times may be text, or datetimes of tag 0 or 1. Every other tag is refused, and so is what JSON cannot say: byte
    strings, NaN, `undefined`, keys that are not text or come twice; and what follows the message's end.

    Raises
    ------
    InvalidMessage
        with fault "not CBOR".
    """
    untagged = payload.removeprefix(_SELF_DESCRIBED)
    stream = BytesIO(untagged)
    decoder = cbor2.CBORDecoder(
        stream,
        tag_hook=_refuse,
        semantic_decoders=_REFUSED,
        max_depth=_DEPTH,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )
    try:
        text = _JSON.encode(decoder.decode())
    except (cbor2.CBORError, ValueError, TypeError) as error:
        raise _not_cbor(payload, str(error.__cause__ or error)[:80]) from None
    if stream.tell() < len(untagged):
        raise _not_cbor(payload, "nothing after the message's end")
    return text.encode()


def _not_cbor(payload: bytes, reason: str) -> InvalidMessage:
    found = f"bytes {payload[:20].hex()}"
    return InvalidMessage("message", found, f"CBOR ({reason})", fault="not CBOR")


def _as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise ValueError(f"{type(value).__name__} where JSON has nothing like it")


def _refuse(*_: Any) -> NoReturn:
    raise ValueError("a tag other than those of times")


# Tags make big numbers, regular expressions, and references by which a few bytes stand for gigabytes.
_REFUSED = dict.fromkeys(
    (2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799), _refuse
)

_JSON = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_as_text)
