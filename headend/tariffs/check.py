"""What is wrong with a tariff file: findings with file, key, what stands there and what was expected.

Findings are values, so that `check_tariff` can show them all; loading raises the first. The format itself is checked
by the models of `schema`; here stand the rules that span several keys.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import holidays
import numpy as np
from pydantic import ValidationError

from headend.tariffs.calendar import period_table
from headend.tariffs.components import BaselineCredit, Energy, Tax, line_kind
from headend.tariffs.schema import UNIT_OF, Tariff
from headend.tariffs.times import HOLIDAY

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


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: where it stands, what was found, what was expected."""

    where: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.where}: found {self.found}, expected {self.expected}"


def check_tariff(path: Path | str) -> list[Finding]:
    """All that is wrong with a tariff file; an empty list if it can be used."""
    return examine(Path(path))[1]


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
        data = json.loads(text, parse_float=Decimal) if is_json else tomllib.loads(text, parse_float=Decimal)
    except ValueError as error:
        return None, [Finding(name, str(error), "JSON" if is_json else "TOML")]
    try:
        tariff = Tariff.model_validate(data)
    except ValidationError as error:
        return None, [_finding(name, fault) for fault in error.errors(include_url=False) if _is_own(fault)]
    found = [Finding(f"{name}: {fault.where}", fault.found, fault.expected) for fault in faults(tariff)]
    return (None, found) if found else (tariff, [])


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
        elif not part.startswith("<"):
            key += f".{part}"
    return key.removeprefix(".")


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def faults(tariff: Tariff) -> list[Finding]:
    """What is wrong between the keys of a tariff that is well-formed; `where` is the key alone."""
    return [
        *_header_faults(tariff),
        *_period_faults(tariff),
        *(
            fault
            for index, component in enumerate(tariff.components)
            if isinstance(component, Energy)
            for fault in _energy_faults(tariff, component, f"components[{index}]")
        ),
        *_order_faults(tariff),
    ]


def _header_faults(tariff: Tariff) -> Iterator[Finding]:
    units = ["m³", "kWh"] if tariff.commodity == "gas" else [UNIT_OF[tariff.commodity]]
    if tariff.unit not in units:
        yield Finding("unit", repr(tariff.unit), f"{' or '.join(units)} for {tariff.commodity}")
    rule = tariff.holidays
    if rule is None:
        return
    countries = holidays.list_supported_countries()
    if rule.country not in countries:
        yield Finding("holidays.country", repr(rule.country), "a country code such as DE")
    elif rule.subdivision is not None and rule.subdivision not in countries[rule.country]:
        known = ", ".join(countries[rule.country]) or "none"
        yield Finding("holidays.subdivision", repr(rule.subdivision), f"one of {rule.country}: {known}")


def _period_faults(tariff: Tariff) -> Iterator[Finding]:
    names = [period.name for period in tariff.periods]
    for index, period in enumerate(tariff.periods):
        if period.name in names[:index]:
            yield Finding(f"periods[{index}].name", repr(period.name), "a name that no other period has")
        if "holiday" in (period.days or ()) and tariff.holidays is None:
            yield Finding(f"periods[{index}].days", "'holiday'", "[holidays] that says which days those are")
    if not tariff.periods[-1].is_always:
        last = tariff.periods[-1].name
        yield Finding(
            f"periods[{len(names) - 1}]",
            f"conditions on the last period {last!r}",
            "a last period without conditions, for all other hours",
        )
    table = period_table(tariff).periods
    if tariff.holidays is None:
        table = table[:, :HOLIDAY]
    for index in sorted(set(range(len(names))) - set(np.unique(table).tolist())):
        yield Finding(f"periods[{index}]", f"{names[index]!r} never reached", "hours that no earlier period takes")


def _energy_faults(tariff: Tariff, component: Energy, key: str) -> Iterator[Finding]:
    if component.measures == "export" and tariff.commodity != "electricity":
        yield Finding(f"{key}.measures", f"export of {tariff.commodity}", "import")
    if (len(component.tiers) > 1) != (component.tiers_per is not None):
        found = "nothing" if component.tiers_per is None else repr(component.tiers_per)
        expected = "month or day, what the limits are for" if component.tiers_per is None else "no key, for one tier"
        yield Finding(f"{key}.tiers_per", found, expected)
    reached = Decimal(0)
    for index, tier in enumerate(component.tiers):
        where = f"{key}.tiers[{index}]"
        is_last = index == len(component.tiers) - 1
        if is_last and tier.up_to is not None:
            yield Finding(f"{where}.up_to", str(tier.up_to), "no limit in the last tier")
        elif not is_last and tier.up_to is None:
            yield Finding(f"{where}.up_to", "nothing", "a limit in every tier but the last")
        elif isinstance(tier.up_to, Decimal) and tier.up_to <= reached:
            yield Finding(f"{where}.up_to", str(tier.up_to), f"more than {reached} of the tier before")
        reached = max(reached, tier.up_to if isinstance(tier.up_to, Decimal) else Decimal(0))
        if isinstance(tier.price, dict):
            yield from _price_faults(tariff, tier.price, f"{where}.price")


def _price_faults(tariff: Tariff, prices: dict[str, Decimal], where: str) -> Iterator[Finding]:
    names = [period.name for period in tariff.periods]
    for name in names:
        if name not in prices:
            yield Finding(f"{where}.{name}", "nothing", f"a price for period {name!r}")
    for name in prices:
        if name not in names:
            yield Finding(f"{where}.{name}", "an unknown period", f"one of {', '.join(names)}")


def _order_faults(tariff: Tariff) -> Iterator[Finding]:
    above: set[str] = set()
    for index, component in enumerate(tariff.components):
        if isinstance(component, Tax):
            if not above:
                yield Finding(f"components[{index}]", "a tax on nothing", "components above it")
            for kind in component.on or ():
                if kind not in above:
                    yield Finding(f"components[{index}].on", repr(kind), f"a kind above it: {', '.join(sorted(above))}")
        elif isinstance(component, BaselineCredit) and "energy" not in above:
            yield Finding(f"components[{index}]", "a credit before any energy", "a charge for import above it")
        above.add(line_kind(component))
