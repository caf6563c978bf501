"""Foreign JSON: read exactly, and looked into by path or template, for numbers and times of any kind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NoReturn

import jsonpath

from headend.collect.registers import moment
from headend.errors import InvalidInput, InvalidMessage

#: A name in a template, or in a topic.
NAME = re.compile(r"\{([A-Za-z_]\w*)\}", re.ASCII)

_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?", re.ASCII)
_PATHS = jsonpath.JSONPathEnvironment(strict=True)


@dataclass(frozen=True, slots=True)
class Item:
    """Where a reading is looked for: the message, the item in it, and what templates may name."""

    message: Any
    item: Any
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Source:
    """Where something is to be had: by path, or as text."""

    text: str
    path: jsonpath.JSONPath | jsonpath.CompoundJSONPath | None

    @classmethod
    def parse(cls, text: object) -> Source:
        """A path or template; raises `InvalidInput`."""
        if not isinstance(text, str) or not text:
            raise InvalidInput("", repr(text)[:60], "a JSONPath or a text")
        return cls(text, _compiled("$" + text[1:]) if text[0] in "$@" else None)

    @property
    def names(self) -> set[str]:
        """What a template wants filled in."""
        return set() if self.path is not None else set(NAME.findall(self.text))

    def find(self, item: Item) -> Any:
        """The first thing there; None where there is nothing."""
        if self.path is None:
            return NAME.sub(lambda found: item.names[found[1]], self.text)
        where = item.message if self.text[0] == "$" else item.item
        return next((found for _, _, found in self.matches(where)), None)

    def matches(self, where: Any) -> Iterator[tuple[str, tuple[int | str, ...], Any]]:
        """Everything that a path leads to: its path, the keys and places on it, and what is there.

        Raises
        ------
        InvalidMessage
            it cannot be followed any deeper.
        """
        if self.text in {"$", "@"}:
            yield "$", (), where
        elif self.path is not None and isinstance(where, dict | list):  # the library takes text for JSON to be parsed
            try:
                yield from ((match.path, match.parts, match.obj) for match in self.path.finditer(where))
            except jsonpath.JSONPathError as error:
                found = str(error).partition("\n")[0][:80]
                raise InvalidMessage(self.text, found, "what it can follow", fault="not the schema") from None


def _compiled(path: str) -> jsonpath.JSONPath | jsonpath.CompoundJSONPath:
    try:
        return _PATHS.compile(path)
    except jsonpath.JSONPathError as error:
        raise InvalidInput("", repr(path)[:60], f"an RFC 9535 JSONPath ({str(error).splitlines()[0]})") from None


def read_json(payload: bytes) -> Any:
    """A JSON message with its decimals as they stand; raises `InvalidMessage`."""
    try:
        return json.loads(payload, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, ArithmeticError, RecursionError) as error:
        found = repr(payload[:40].decode("utf-8", "replace"))
        raise InvalidMessage("message", found, f"JSON ({str(error)[:80]})", fault="not JSON") from None


def number(found: object) -> Decimal:
    """A number, or text that is one; raises `InvalidMessage`."""
    if isinstance(found, Decimal | int) and not isinstance(found, bool):
        return Decimal(found)
    if isinstance(found, str) and _NUMBER.fullmatch(found):
        return Decimal(found)
    raise InvalidMessage("value", repr(found)[:60], "a number", fault="not the schema")


def time_in_utc(found: object, form: str) -> datetime:
    """A time in UTC; raises `InvalidMessage`.

    Parameters
    ----------
    form
        iso8601, epoch_s or epoch_ms. ISO 8601 must have `Z` or an offset: a local time is two times in autumn.
    """
    if form != "iso8601":
        return moment(number(found), 1_000 if form == "epoch_ms" else 1)
    try:
        at = datetime.fromisoformat(found if isinstance(found, str) else "")
        if at.tzinfo is not None and at.year >= 1970:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidMessage(
        "time", repr(found)[:60], "an ISO 8601 time after 1970 with Z or an offset", fault="not the schema"
    )


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
