"""Line protocol out of blocks, whole columns at a time: a read never becomes a Python object.

The columns of many lines are joined by Arrow into one array of texts, whose characters lie in memory one line after the
other: a request's body is a slice of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headend.errors import StoreBroken
from headend.reads.blocks import Blocks
from headend.reads.channels import Channel

MEASUREMENT = "reads"

Bools = NDArray[np.bool_]


def lines_of(blocks: Blocks, chosen: Bools, names: Mapping[int, str], points_a_request: int) -> Iterator[bytes]:
    """Bodies of at most `points_a_request` lines: a line a chosen interval, missing or not.

    Every line says everything, so that nothing an earlier version said can stay behind.

    Parameters
    ----------
    chosen
        which intervals (k, n).
    names
        of the meters, by registry key; raises `StoreBroken` where one cannot be written.
    """
    series = [
        f"{MEASUREMENT},channel={Channel(channel).obis},meter={tag_value(names[meter])} value="
        for meter, channel in zip(blocks.meter.tolist(), blocks.channel.tolist(), strict=True)
    ]
    row, place = np.nonzero(chosen)
    for begin in range(0, len(row), points_a_request):
        at = row[begin : begin + points_a_request], place[begin : begin + points_a_request]
        yield _body(blocks, at, series)


def tag_value(text: str) -> str:
    """A tag's value as line protocol has it; raises `StoreBroken` for one that it cannot say."""
    if not text or not text.isprintable() or text.endswith("\\"):
        raise StoreBroken(f"InfluxDB: found the name {text!r}, expected printable characters, the last no backslash")
    for special in (",", "=", " "):
        text = text.replace(special, f"\\{special}")
    return text


def _body(blocks: Blocks, at: tuple[NDArray[np.intp], NDArray[np.intp]], series: list[str]) -> bytes:
    row, place = at
    first, last = int(row[0]), int(row[-1])
    lines = pc.binary_join_element_wise(
        pa.array(series[first : last + 1]).take(pa.array(row - first)),
        _digits(blocks.values[at]),
        "i,quality=",
        _digits(blocks.quality[at]),
        "i,version=",
        _digits(blocks.version[at]),
        "i,flags=",
        _digits(blocks.flags[at]),
        "i,register=",
        _digits(blocks.register[at]),
        "i ",
        _digits(blocks.day[row] * 86_400 + place * blocks.interval_s),
        "\n",
        "",
    )
    return _characters(lines)


def _digits(column: NDArray[Any]) -> pa.Array:
    return pc.cast(pa.array(column), pa.string())


def _characters(texts: pa.Array) -> bytes:
    _, _, characters = texts.buffers()
    return bytes(characters)
