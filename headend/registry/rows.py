"""Registry files: one CSV for each kind of thing, recognised by its header, checked by the rows of the site file.

Everything wrong in them is told at once, each fault with its file, line and column, so that a file is mended in one go.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from headend.config import in_our_words
from headend.errors import InvalidInput, why_unread
from headend.registry.site_file import AccountRow, AgreementRow, MembershipRow, MeterRow, Name, UsagePointRow

Kind = Literal["accounts", "usage_points", "meters", "agreements", "groups"]
T = TypeVar("T")

#: By kind, columns that a file must have, and those that it may have.
COLUMNS: Mapping[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "accounts": (("account", "name"), ("customer_class", "locale")),
    "usage_points": (("usage_point", "address", "timezone"), ("gas_area",)),
    "meters": (
        ("meter", "commodity", "usage_point", "channel", "max_per_interval"),
        ("gateway", "installed", "removed", "interval_s", "register_digits", "ct", "pt", "pulses_per_unit"),
    ),
    "agreements": (("account", "usage_point", "commodity", "tariff", "valid_from"), ("valid_to",)),
    "groups": (("account", "group", "from"), ()),
}
_OF_A_CHANNEL = ("channel", "interval_s", "max_per_interval", "register_digits")
_OF_A_CONSTANT = ("ct", "pt", "pulses_per_unit")
_ALWAYS = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where: column "" means the whole line."""

    file: str
    line: int
    column: str
    found: str
    expected: str


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """A row, and where it stands."""

    file: str
    line: int
    row: T

    def fault(self, column: str, found: str, expected: str) -> Fault:
        """Something wrong about it."""
        return Fault(self.file, self.line, column, found, expected)


class AgreementLine(AgreementRow):
    """An agreement, and whose it is."""

    account: Name


class MembershipLine(MembershipRow):
    """From when on an account is in a group."""

    account: Name


_ROWS: Mapping[Kind, type[BaseModel]] = {
    "accounts": AccountRow,
    "usage_points": UsagePointRow,
    "agreements": AgreementLine,
    "groups": MembershipLine,
}


@dataclass(slots=True)
class RegistryRows:
    """What files say, by kind, and what is wrong in them."""

    accounts: list[Told[AccountRow]] = field(default_factory=list)
    usage_points: list[Told[UsagePointRow]] = field(default_factory=list)
    meters: list[Told[MeterRow]] = field(default_factory=list)
    agreements: list[Told[AgreementLine]] = field(default_factory=list)
    groups: list[Told[MembershipLine]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def registry_files(paths: Iterable[Path]) -> list[Path]:
    """The files, and those of the folders among them; raises `InvalidInput`."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = [path / f"{kind}.csv" for kind in COLUMNS if (path / f"{kind}.csv").is_file()]
        if not inside:
            raise InvalidInput(str(path), "none of them", " or ".join(f"{kind}.csv" for kind in COLUMNS))
        found += inside
    return found


def read_rows(files: Iterable[Path]) -> RegistryRows:
    """What registry files say; what is wrong in a row is among the faults.

    Raises
    ------
    InvalidInput
        a file cannot be read, or is of no known kind.
    """
    rows = RegistryRows()
    for path in files:
        try:
            with path.open(encoding="utf-8-sig", newline="") as lines:
                _read(path, lines, rows)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InvalidInput(str(path), why_unread(error), "a CSV file in UTF-8") from None
    return rows


def _read(path: Path, lines: Iterable[str], rows: RegistryRows) -> None:
    text = iter(lines)
    first = next(text, "")
    delimiter = ";" if first.count(";") > first.count(",") else ","
    header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    kind = _kind(path, header)
    found = _lines(path, csv.reader(text, delimiter=delimiter), header, rows.faults)
    if kind == "meters":
        _meters(found, rows)
        return
    # The same columns are called otherwise where a row stands within another.
    names = {"accounts": {"account": "id"}, "usage_points": {"usage_point": "id"}}.get(kind, {})
    model = _ROWS[kind]
    back, into = {new: old for old, new in names.items()}, getattr(rows, kind)
    for each in found:
        try:
            row = model.model_validate({names.get(name, name): value for name, value in each.row.items()})
        except ValidationError as error:
            rows.faults += (each.fault(_column(back, loc), *words) for loc, words in in_our_words(error))
        else:
            into.append(Told(each.file, each.line, row))


def _column(names: Mapping[str, str], loc: tuple[Any, ...]) -> str:
    name = str(loc[-1]) if loc else ""
    return names.get(name, name)


def _kind(path: Path, header: list[str]) -> Kind:
    for kind, (must, may) in COLUMNS.items():
        if set(must) <= set(header) <= {*must, *may} and len(set(header)) == len(header):
            return kind
    kinds = "; ".join(f"{kind}: {', '.join(must)} [, {', '.join(may)}]" for kind, (must, may) in COLUMNS.items())
    raise InvalidInput(f"{path}: line 1", repr(",".join(header))[:120], f"the columns of one kind ({kinds})")


def _lines(path: Path, reader: Any, header: list[str], faults: list[Fault]) -> Iterator[Told[dict[str, str]]]:
    """Lines as what stands in them by column; an empty cell says nothing."""
    for cells in reader:
        line = reader.line_num + 1
        if not any(cells):
            continue
        if len(cells) != len(header):
            faults.append(Fault(str(path), line, "", f"{len(cells)} cells", f"{len(header)}, as the header has"))
            continue
        named = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
        yield Told(str(path), line, {name: cell for name, cell in named.items() if cell})


def _meters(lines: Iterable[Told[dict[str, str]]], rows: RegistryRows) -> None:
    """A meter has a line for each of its channels; what is the meter's is the same in all of them."""
    of: dict[str, list[Told[dict[str, str]]]] = {}
    for each in lines:
        name = each.row.get("meter", "")
        before = of.setdefault(name, [])
        before.append(each)
        own = ({key: its.row.get(key) for key in _own(its.row)} for its in (before[0], each))
        mine, its = own
        differing = [key for key in {**mine, **its} if mine.get(key) != its.get(key)]
        rows.faults += (
            each.fault(key, repr(its.get(key, "")), f"{mine.get(key, '')!r}, as in line {before[0].line} of this meter")
            for key in differing
        )
    for its_lines in of.values():
        first = its_lines[0]
        told: dict[str, Any] = {key: first.row[key] for key in _own(first.row)}
        told["channels"] = [_channel(each.row) for each in its_lines]
        channels = [channel.get("channel") for channel in told["channels"]]
        rows.faults += (
            each.fault("channel", repr(channel), f"each channel of {first.row.get('meter')} once")
            for place, (each, channel) in enumerate(zip(its_lines, channels, strict=True))
            if channel in channels[:place]
        )
        try:
            row = MeterRow.model_validate(told)
        except ValidationError as error:
            for loc, words in in_our_words(error):
                if loc == ("channels",):
                    continue  # none is right: each says why itself
                in_channel = len(loc) > 1 and loc[0] == "channels"
                line = its_lines[int(loc[1])] if in_channel else first
                rows.faults.append(line.fault(str(loc[-1]) if loc and isinstance(loc[-1], str) else "", *words))
        else:
            rows.meters.append(Told(first.file, first.line, row))


def _own(row: Mapping[str, str]) -> list[str]:
    return [key for key in row if key not in (*_OF_A_CHANNEL, *_OF_A_CONSTANT)]


def _channel(row: Mapping[str, str]) -> dict[str, Any]:
    channel: dict[str, Any] = {key: row[key] for key in _OF_A_CHANNEL if key in row}
    length = channel.get("interval_s", "")
    if length.isdecimal():
        channel["interval_s"] = int(length)
    if constant := {key: row[key] for key in _OF_A_CONSTANT if key in row}:
        channel["constants"] = [constant | {"from": _ALWAYS}]
    return channel
