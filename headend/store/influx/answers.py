"""Flux answers as columns: raw CSV into numpy arrays, thousands of rows at once, never record by record.

An answer is tables one after the other; where the columns are others than before, an empty line and a new line of
names come in between. What goes wrong after the answer began comes as such a table, with a column `error`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from headend.errors import StoreAway, StoreBroken

Int64s = NDArray[np.int64]

_NS = 1_000_000_000
_END = b"\r\n\r\n"
_TEXT = pa.dictionary(pa.int32(), pa.string())
_TYPES = {"_time": pa.timestamp("ns", tz="UTC"), "_value": pa.int64()}


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """A column of texts of which there are few: the different ones, and which of them each row has (r,)."""

    different: Sequence[str]
    which: NDArray[np.int32]

    def mapped(self, numbers: Mapping[str, int]) -> Int64s:
        """The number of each row's text, −1 for one that has none (r,)."""
        table = np.array([numbers.get(text, -1) for text in self.different], dtype=np.int64)
        return table[self.which] if len(table) else np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Integer points of an answer, `r` rows.

    Parameters
    ----------
    time_ns
        nanoseconds since 1970 (r,).
    value
        (r,).
    texts
        the columns of texts that were asked for, by name.
    """

    time_ns: Int64s
    value: Int64s
    texts: Mapping[str, Texts]

    def __len__(self) -> int:
        return len(self.value)


def points_of(answer: bytes, texts: Sequence[str]) -> Points:
    """The integer points of an answer, with these columns of texts.

    Raises `StoreAway` with what the server said where it gave up on the way, `StoreBroken` where the answer is none.
    """
    tables = [_table(part, texts) for part in answer.split(_END) if part.strip()]
    if not tables:
        none = np.zeros(0, np.int64)
        return Points(none, none, {name: Texts([], np.zeros(0, np.int32)) for name in texts})
    table = pa.concat_tables(tables).unify_dictionaries()
    return Points(
        pc.cast(table["_time"], pa.int64()).to_numpy(), table["_value"].to_numpy(), {n: _texts(table[n]) for n in texts}
    )


def _table(part: bytes, texts: Sequence[str]) -> pa.Table:
    names = part.lstrip().partition(b"\r\n")[0].decode(errors="replace").split(",")
    if "error" in names:
        raise StoreAway(f"InfluxDB gave up on an answer: {_error(part)}")
    wanted = ["_time", "_value", *texts]
    try:
        return csv.read_csv(
            pa.BufferReader(part),
            convert_options=csv.ConvertOptions(
                column_types=_TYPES | dict.fromkeys(texts, _TEXT), include_columns=wanted, strings_can_be_null=False
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise StoreBroken(f"InfluxDB: found an answer that is not {', '.join(wanted)}: {error}") from error


def _error(part: bytes) -> str:
    found = csv.read_csv(io.BytesIO(part.lstrip()), convert_options=csv.ConvertOptions(include_columns=["error"]))
    return " ".join(" ".join(map(str, found["error"].to_pylist())).split())


def _texts(column: pa.ChunkedArray) -> Texts:
    chunks = column.chunks
    different = chunks[0].dictionary.to_pylist() if chunks else []
    return Texts(different, np.concatenate([chunk.indices.to_numpy() for chunk in chunks] or [np.zeros(0, np.int32)]))
