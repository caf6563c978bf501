"""A tariff file as data: what pydantic says of it, in the words of someone who writes tariffs."""

from __future__ import annotations

import json
import tomllib
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from headend.tariffs.check.faults import faults
from headend.tariffs.check.finding import Finding
from headend.tariffs.check.told_apart import told_apart_faults
from headend.tariffs.format.schema import Tariff

_COMPONENT_KINDS = (
    "energy, dynamic, baseline_credit, demand, reactive, power_factor, standing, percentage, minimum, bank, tax"
)
# pydantic's kinds of error, in the words of someone who writes a tariff; its own message stands for the rest.
_EXPECTED = {
    "bool_type": "true or false",
    "date_from_datetime_parsing": "a date such as 2025-01-01",
    "date_from_datetime_inexact": "a date such as 2025-01-01",
    "decimal_max_places": "fewer decimals (10 at most; 6 for a percentage)",
    "dict_type": "a table",
    "int_type": "a whole number",
    "model_type": "a table",
    "string_pattern_mismatch": "small letters, digits, - and _, such as off_peak",
    "string_too_short": "text",
    "string_type": "text",
    "too_short": "at least one",
    "tuple_type": "a list",
}


def check_tariff(path: Path | str) -> list[Finding]:
    """All that is wrong with the file of a new tariff version; an empty list if it can be used."""
    return examine_new(Path(path))[1]


def examine_new(path: Path) -> tuple[Tariff | None, list[Finding]]:
    """As `examine`, for a version that nothing was billed by yet: statements must tell its components apart, too."""
    tariff, found = examine(path)
    if tariff is not None:
        found = [Finding(f"{path}: {fault.where}", fault.found, fault.expected) for fault in told_apart_faults(tariff)]
    return (None, found) if found else (tariff, [])


def examine(path: Path) -> tuple[Tariff | None, list[Finding]]:
    """The tariff in a TOML or JSON file, or None and what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        return None, [Finding(str(path), error.strerror or str(error), "a readable tariff file")]
    except UnicodeDecodeError:
        return None, [Finding(str(path), "bytes that are not UTF-8", "UTF-8 text")]
    return examine_text(text, str(path), is_json=path.suffix == ".json")


def examine_text(text: str, name: str, *, is_json: bool) -> tuple[Tariff | None, list[Finding]]:
    """As `examine`, for text that has been read; `name` stands in front of every key."""
    try:
        data = _json(text) if is_json else tomllib.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        return None, [Finding(name, str(error), "JSON" if is_json else "TOML")]
    except InvalidOperation:
        return None, [Finding(name, "a number with an exponent beyond all bounds", "numbers without exponent")]
    try:
        tariff = Tariff.model_validate(data)
    except ValidationError as error:
        return None, [_finding(name, fault) for fault in error.errors(include_url=False) if _is_own(fault)]
    found = [Finding(f"{name}: {fault.where}", fault.found, fault.expected) for fault in faults(tariff)]
    return (None, found) if found else (tariff, [])


def _json(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, object_pairs_hook=_table)


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Python keeps the last of two equal keys; TOML refuses them, and so do we.
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(name for name in names if names.count(name) > 1)!r} twice")
    return table


def _is_own(fault: Any) -> bool:
    # A list of which every item is wrong is reported a second time, as too short.
    return fault["type"] != "too_short" or not fault["input"]


def _finding(name: str, fault: Any) -> Finding:
    key, kind = _key(fault["loc"]), fault["type"]
    where = f"{name}: {key}" if key else name
    if kind == "missing":
        return Finding(where, "nothing", "a value")
    if kind == "extra_forbidden":
        return Finding(where, "an unknown key", "a key of the tariff format")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        found = repr(fault["ctx"]["tag"]) if "tag" in fault["ctx"] else "nothing"
        return Finding(f"{where}.kind", found, _COMPONENT_KINDS)
    return Finding(where, _shown(fault["input"]), _EXPECTED.get(kind) or fault["msg"].removeprefix("Input should be "))


def _key(loc: tuple[str | int, ...]) -> str:
    # pydantic names the chosen member of a union in between: a component's kind, and "<one>" or "<each>" price.
    parts = [part for at, part in enumerate(loc) if not (at == 2 and loc[0] == "components")]
    key = ""
    for part in parts:
        if isinstance(part, int):
            key += f"[{part}]"
        elif not part.startswith("<") and part != "[key]":
            key += f".{part}"
    return key.removeprefix(".")


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
