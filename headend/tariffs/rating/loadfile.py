"""A load file: one customer's interval reads as a CSV, without any account."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from headend.errors import InvalidInput
from headend.reads.days import DAY_S, moment, seconds
from headend.tariffs.arrays import Int64s
from headend.tariffs.published import stamp
from headend.tariffs.rating.use import LARGEST_READ, Use

_READS = ("import_wh", "export_wh", "reactive_varh")
_COLUMNS = "columns start, import_wh and/or export_wh, and reactive_varh if there is any"


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """One customer's reads without gaps.

    Parameters
    ----------
    start
        begin of the first interval, UTC.
    interval_s
        length of an interval [s].
    imported, exported, reactive
        whole Wh and varh per interval (n,); no column of export or reactive energy is None, of import is zeros.
    """

    start: datetime
    interval_s: int
    imported: Int64s
    exported: Int64s | None = None
    reactive: Int64s | None = None

    def use(self, part: slice) -> Use:
        """Some of its intervals, as the use of one customer."""
        exported, reactive = (None if reads is None else reads[None, part] for reads in (self.exported, self.reactive))
        return Use(self.interval_s, self.imported[None, part], exported, reactive)

    def digest(self, part: slice) -> str:
        """SHA-256 over the reads of some of its intervals, hexadecimal.

        For each column there is, in the order import, export, reactive: `name of the column|begin of the first
        interval [s since 1970]|interval [s]|count` and a line feed, in UTF-8; then the values as little-endian int64.
        """
        digest = hashlib.sha256()
        begin_s = seconds(self.start) + part.start * self.interval_s
        for name, reads in zip(_READS, (self.imported, self.exported, self.reactive), strict=True):
            if reads is not None:
                its = reads[part]
                digest.update(f"{name}|{begin_s}|{self.interval_s}|{len(its)}\n".encode())
                digest.update(its.astype("<i8").tobytes())
        return digest.hexdigest()


def read_load(lines: Iterable[str], source: str) -> Load:
    """A load from the lines of a CSV with `start`, `import_wh` and/or `export_wh`, and perhaps `reactive_varh`.

    Parameters
    ----------
    lines
        `start` is ISO 8601 with Z or an offset and begins its interval; reads are whole Wh and varh.
    source
        the file's name, for messages.

    Raises
    ------
    InvalidInput
        names the line: a column, stamp or read that is none, a duplicate, a gap.
    """
    rows = _rows(lines, source)
    names = _header(next(rows, (source, []))[1], f"{source}, line 1")
    starts: list[int] = []
    reads: list[list[int]] = []
    interval_s = 0
    for where, row in rows:
        if len(row) != len(names):
            raise InvalidInput(where, f"{len(row)} values", f"{len(names)}: {', '.join(names)}")
        values = dict(zip(names, row, strict=True))
        start = stamp(values["start"], where)
        if len(starts) == 1:
            interval_s = _interval(start - starts[0], values["start"], where)
        elif starts and start != starts[-1] + interval_s:
            due = moment(starts[-1] + interval_s)
            raise InvalidInput(where, values["start"], f"{due:%Y-%m-%dT%H:%M:%SZ}, the next interval")
        starts.append(start)
        reads.append([_read(values[name], name, where) for name in names if name != "start"])
    if len(starts) < 2:
        raise InvalidInput(source, f"{len(starts)} reads", "at least two, which tell the interval")
    columns = dict(zip([name for name in names if name != "start"], np.array(reads, np.int64).T, strict=True))
    return Load(
        moment(starts[0]),
        interval_s,
        columns.get("import_wh", np.zeros(len(starts), np.int64)),
        columns.get("export_wh"),
        columns.get("reactive_varh"),
    )


def _rows(lines: Iterable[str], source: str) -> Iterator[tuple[str, list[str]]]:
    """Where each row stands, and what it says; not those that are empty."""
    rows = csv.reader(lines)
    try:
        yield from ((f"{source}, line {rows.line_num}", row) for row in rows if row)
    except csv.Error as error:
        raise InvalidInput(f"{source}, line {rows.line_num}", str(error), "CSV") from None


def _header(row: list[str], where: str) -> list[str]:
    names = [name.removeprefix("\ufeff").strip() for name in row]
    if "start" not in names or not set(names) & {"import_wh", "export_wh"} or len(set(names)) != len(names):
        raise InvalidInput(where, ", ".join(names) or "nothing", _COLUMNS)
    unknown = [name for name in names if name not in ("start", *_READS)]
    if unknown:
        raise InvalidInput(where, f"an unknown column {unknown[0]!r}", _COLUMNS)
    return names


def _interval(step_s: int, text: str, where: str) -> int:
    if step_s <= 0:
        raise InvalidInput(where, text, "a later begin than on the line before")
    if DAY_S % step_s:
        raise InvalidInput(where, f"an interval of {step_s} s", "an interval that divides a day")
    return step_s


def _read(text: str, name: str, where: str) -> int:
    digits = text.strip()
    # So many digits that Python reads no number are no read either.
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 100 or int(digits) > LARGEST_READ:
        raise InvalidInput(
            f"{where}, {name}", repr(text)[:60], f"whole {'varh' if name == 'reactive_varh' else 'Wh'}, 0 or more"
        )
    return int(digits)
