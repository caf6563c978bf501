"""A tariff as a file that people read and change: TOML in the order of docs/tariff-format.md, defaults left out."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from typing import Any

from headend.tariffs.format.schema import Tariff
from headend.tariffs.money import plain

_FIRST = ("id", "name", "label")
_FIRST_IN_COMPONENT = ("kind", "label", "name")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_WIDTH = 110


def to_toml(tariff: Tariff) -> str:
    """The tariff's file: read back, it is the same version."""
    data = tariff.model_dump(exclude_defaults=True)
    tables = {key: data.pop(key, None) for key in ("net_metering", "holidays", "seasons", "periods", "schedules")}
    components = data.pop("components")
    sections = [_entries(data)]
    sections += [f"[{key}]\n{_entries(tables[key])}" for key in ("net_metering", "holidays") if tables[key]]
    for key in ("seasons", "periods"):
        sections += [f"[[{key}]]\n{_entries(each)}" for each in tables[key] or ()]
    for name, periods in (tables["schedules"] or {}).items():
        sections += [f"[[schedules.{_key(name)}]]\n{_entries(each)}" for each in periods]
    sections += [f"[[components]]\n{_entries(each)}" for each in components]
    return "\n".join(sections)


def _entries(table: dict[str, Any]) -> str:
    first = _FIRST_IN_COMPONENT if "kind" in table else _FIRST
    keys = [*(key for key in first if key in table), *(key for key in table if key not in first)]
    return "".join(_entry(key, table[key]) for key in keys)


def _entry(key: str, value: Any) -> str:
    line = f"{_key(key)} = {_value(value)}\n"
    if len(line) <= _WIDTH or not isinstance(value, tuple):
        return line
    return f"{_key(key)} = [\n" + "".join(f"  {_value(each)},\n" for each in value) + "]\n"


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _value(value: Any) -> str:  # noqa: PLR0911 - one for each type there is
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            return plain(value)
        case date():
            return value.isoformat()
        case str():
            return _text(value)
        case dict():
            return "{ " + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + " }"
        case tuple():
            return "[" + ", ".join(map(_value, value)) + "]"
        case _:
            return str(value)


def _text(text: str) -> str:
    # A TOML string is a JSON string, but for the character DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
