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
from headend.reads.blocks import NO_REGISTER, Blocks
from headend.reads.channels import Channel
from headend.reads.days import DAY_S
from headend.reads.quality import Quality
from headend.store.influx.status import flags_of, quality_of, status_of, version_of

MEASUREMENT = "reads"

Bools = NDArray[np.bool_]


def lines_of(blocks: Blocks, chosen: Bools, names: Mapping[int, str], points_a_request: int) -> Iterator[bytes]:
    """Bodies of at most `points_a_request` lines: a line a chosen interval, missing or not.

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
    register = blocks.register[at]
    status, which = np.unique(
        status_of(blocks.quality[at], blocks.version[at], blocks.flags[at], register), return_inverse=True
    )
    said = pa.array([_said(one) for one in status.tolist()])
    lines = pc.binary_join_element_wise(
        pa.array(series[first : last + 1]).take(pa.array(row - first)),
        _digits(blocks.values[at]),
        said.take(pa.array(which)),
        _registers(register),
        _digits(blocks.day[row] * DAY_S + place * blocks.interval_s),
        "\n",
        "",
    )
    return _characters(lines)


def _said(status: int) -> str:
    """What comes between the value and the register."""
    quality, version, flags = quality_of(status), version_of(status), flags_of(status)
    # Of a missing read the flags are in the status alone: with its first version they will mean nothing any more.
    tell_flags = quality != Quality.MISSING and (flags or version > 1)
    shown = f",flags={flags}i" if tell_flags else ""
    return f"i,quality={quality}i,version={version}i,status={status}i{shown}"


def _registers(register: NDArray[np.int64]) -> pa.Array | pa.Scalar:
    came = register != NO_REGISTER
    if not came.any():
        return pa.scalar(" ")
    fields = pc.binary_join_element_wise(",register=", _digits(register), "i ", "")
    return pc.if_else(pa.array(came), fields, " ")


def _digits(column: NDArray[Any]) -> pa.Array:
    return pc.cast(pa.array(column), pa.string())


def _characters(texts: pa.Array) -> bytes:
    _, _, characters = texts.buffers()
    return bytes(characters)
