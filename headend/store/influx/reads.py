"""Reads in InfluxDB: blocks out as line protocol, answers in as blocks.

An answer has a row for every field of a read. But what reads say beside their values is nearly always the same, so of
that only the unusual is fetched: InfluxDB leaves out the rest where the points lie.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headend.reads.blocks import NO_REGISTER, Blocks, blocks_in_order, empty_blocks
from headend.reads.channels import Channel
from headend.reads.days import DAY_S, moment
from headend.store.influx.answers import Points, points_of
from headend.store.influx.connection import Influx, Parameter
from headend.store.influx.lines import MEASUREMENT, lines_of
from headend.store.influx.status import USUAL, flags_of, has_register, quality_of, version_of
from headend.store.intervals import BlockKey, Bools, ChannelKey

Int64s = NDArray[np.int64]

# One query asks for so many channels and, where it can, for no more reads than that.
_CHANNELS_A_QUERY = 1_000
_READS_A_QUERY = 400_000

_NS = 1_000_000_000

# InfluxDB finds what these conditions say where the points lie; a range on a tag, or a negative number, it would not.
_POINTS = f"""
import "regexp"
meters = regexp.compile(v: meter_pattern)
channels = regexp.compile(v: channel_pattern)
from(bucket: bucket)
  |> range(start: start, stop: stop)
  |> filter(fn: (r) => r._measurement == "{MEASUREMENT}" and r.meter =~ meters and r.channel =~ channels)
"""
_VALUES = f"""{_POINTS}
  |> filter(fn: (r) => r._field == "value")
  |> keep(columns: ["_time", "_value", "meter", "channel"])
"""
_REST = f"""{_POINTS}
  |> filter(fn: (r) => (r._field == "status" and r._value != {USUAL}) or r._field == "register")
  |> keep(columns: ["_time", "_value", "_field", "meter", "channel"])
"""


class InfluxReads:
    """The reads in one bucket."""

    def __init__(self, influx: Influx, bucket: str) -> None:
        self._influx, self._bucket = influx, bucket

    def write(self, blocks: Blocks, chosen: Bools, names: Mapping[int, str]) -> None:
        """Write the chosen intervals (k, n), missing ones too; they are there when this returns. Raises `StoreAway`.

        Parameters
        ----------
        names
            of the meters, by registry key.
        """
        self._influx.write(self._bucket, lines_of(blocks, chosen, names, self._influx.settings.points_a_request))

    def load(self, keys: Sequence[BlockKey], interval_s: int, names: Mapping[int, str]) -> Blocks:
        """The blocks of these keys, in this order; all missing where there is none. Raises `StoreAway`."""
        wanted = set(keys)
        found = (
            blocks.take(np.array([key in wanted for key in blocks.keys], dtype=np.bool_))
            for stretch in _stretches(keys)
            for blocks in self.scan(*stretch, interval_s, names)
        )
        return blocks_in_order(keys, found, interval_s)

    def scan(
        self, channels: Sequence[ChannelKey], first_day: int, end_day: int, interval_s: int, names: Mapping[int, str]
    ) -> Iterator[Blocks]:
        """Blocks of these channels with any point in [first_day, end_day), a few thousand at a time, in no order.

        Points that are not where an interval of this length begins are passed over. Raises `StoreAway`.
        """
        slices = list(_slices(channels, first_day, end_day, interval_s))
        questions = (question for one in slices for question in self._questions(one, names))
        answers = self._influx.side_by_side(self._ask, questions)
        for one in slices:
            values, rest = next(answers), next(answers)
            blocks = _blocks_of(one, interval_s, names, values, rest)
            if len(blocks):
                yield blocks

    def forget(self, before_day: int) -> None:
        """Delete what is older than this day. Raises `StoreAway`."""
        # InfluxDB deletes the last moment too.
        self._influx.delete(self._bucket, moment(0), moment(before_day * DAY_S - 1), f'_measurement="{MEASUREMENT}"')

    def _questions(self, one: _Slice, names: Mapping[int, str]) -> Iterator[_Question]:
        params: dict[str, Parameter] = {
            "bucket": self._bucket,
            "start": moment(one.first_day * DAY_S),
            "stop": moment(one.end_day * DAY_S),
            "meter_pattern": _one_of({names[meter] for meter, _ in one.channels}),
            "channel_pattern": _one_of({Channel(channel).obis for _, channel in one.channels}),
        }
        yield _Question(_VALUES, params, ("meter", "channel"))
        yield _Question(_REST, params, ("meter", "channel", "_field"))

    def _ask(self, question: _Question) -> Points:
        return points_of(self._influx.query(question.flux, question.params), question.texts)


@dataclass(frozen=True, slots=True)
class _Question:
    flux: str
    params: Mapping[str, Parameter]
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Slice:
    """What is fetched at once: channels over [first_day, end_day)."""

    channels: Sequence[ChannelKey]
    first_day: int
    end_day: int


def _stretches(keys: Sequence[BlockKey]) -> Iterator[tuple[Sequence[ChannelKey], int, int]]:
    """Keys as (channels, first day, end day): days that follow each other and want the same channels."""
    channels_of: dict[int, set[ChannelKey]] = {}
    for day, meter, channel in keys:
        channels_of.setdefault(day, set()).add((meter, channel))
    days = sorted(channels_of)
    begin = 0
    for i, day in enumerate(days):
        goes_on = i + 1 < len(days) and days[i + 1] == day + 1 and channels_of[day + 1] == channels_of[day]
        if not goes_on:
            yield sorted(channels_of[day]), days[begin], day + 1
            begin = i + 1


def _slices(channels: Sequence[ChannelKey], first_day: int, end_day: int, interval_s: int) -> Iterator[_Slice]:
    ordered = sorted(channels)
    for begin in range(0, len(ordered), _CHANNELS_A_QUERY):
        some = ordered[begin : begin + _CHANNELS_A_QUERY]
        days = max(1, _READS_A_QUERY // (len(some) * DAY_S // interval_s))
        for day in range(first_day, end_day, days):
            yield _Slice(some, day, min(day + days, end_day))


def _one_of(texts: Collection[str]) -> str:
    """A pattern of these texts and no other."""
    return f"^({'|'.join(map(re.escape, sorted(texts)))})$"


def _blocks_of(one: _Slice, interval_s: int, names: Mapping[int, str], values: Points, rest: Points) -> Blocks:
    """The blocks of a slice of which there is any point."""
    days = one.end_day - one.first_day
    meter, channel = np.repeat(np.array(one.channels, dtype=np.int64), days, axis=0).T
    day = np.tile(np.arange(one.first_day, one.end_day), len(one.channels))
    blocks = empty_blocks(interval_s, meter, channel, day)
    n = blocks.values.shape[1]
    places = _Places(one, names, interval_s, days * n)
    found = np.zeros(blocks.values.shape, dtype=np.bool_)

    at, which = places.of(values)
    found.ravel()[at] = True
    blocks.values.ravel()[at] = values.value[which]
    status = np.where(found, USUAL, 0)
    register = np.full(found.shape, NO_REGISTER, dtype=np.int64)
    at, which = places.of(rest)
    said, is_status = rest.value[which], rest.texts["_field"].mapped({"status": 1})[which] == 1
    status.ravel()[at[is_status]] = said[is_status]
    register.ravel()[at[~is_status]] = said[~is_status]
    blocks.quality[:], blocks.version[:], blocks.flags[:] = quality_of(status), version_of(status), flags_of(status)
    blocks.register[:] = np.where(has_register(status), register, NO_REGISTER)
    return blocks.take(np.asarray(found.any(axis=1)))


class _Places:
    """Where in a slice's blocks a point belongs.

    Parameters
    ----------
    points_a_channel
        intervals of a channel in the slice.
    """

    def __init__(self, one: _Slice, names: Mapping[int, str], interval_s: int, points_a_channel: int) -> None:
        self._first_s, self._interval_s, self._points_a_channel = one.first_day * DAY_S, interval_s, points_a_channel
        meters = sorted({meter for meter, _ in one.channels})
        channels = sorted({channel for _, channel in one.channels})
        self._meters = {names[meter]: i for i, meter in enumerate(meters)}
        self._channels = {Channel(channel).obis: i for i, channel in enumerate(channels)}
        # The last row and column: no such meter, no such channel.
        self._row = np.full((len(meters) + 1, len(channels) + 1), -1, dtype=np.int64)
        meter, channel = np.array(one.channels, dtype=np.int64).T
        self._row[np.searchsorted(meters, meter), np.searchsorted(channels, channel)] = np.arange(len(one.channels))

    def of(self, points: Points) -> tuple[NDArray[np.intp], Bools]:
        """Places of points in the raveled blocks (p,), and of which points (r,): the others belong nowhere."""
        row = self._row[points.texts["meter"].mapped(self._meters), points.texts["channel"].mapped(self._channels)]
        interval, beside = np.divmod(points.time_ns - self._first_s * _NS, self._interval_s * _NS)
        belongs = (row >= 0) & (beside == 0)
        return (row * self._points_a_channel + interval)[belongs], belongs
