"""Reads to a real InfluxDB and back, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from headend.errors import StoreAway, StoreBroken
from headend.reads import Blocks, Channel, Flag, Quality, empty_blocks
from headend.reads.blocks import alike, blocks_in_order
from headend.store.influx import reads as module
from headend.store.influx.connection import Influx
from headend.store.influx.reads import InfluxReads
from tests.servers import Influxd, free_port

from ..blocks import block, everything, same, some_blocks
from .servers import influx_section

IMPORT, EXPORT = (Channel.parse(f"1-0:{c}.8.0").code for c in (1, 2))
NAMES = {i: f"E-{i:04d}" for i in range(10_000)}


def write(reads: InfluxReads, *stacks: Blocks, names: dict[int, str] = NAMES) -> None:
    for blocks in stacks:
        reads.write(blocks, everything(blocks), names)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(blocks=some_blocks(3600))
def test_what_is_written_is_read_in_the_order_asked_for(reads: InfluxReads, blocks: Blocks) -> None:
    write(reads, blocks)
    back = np.arange(len(blocks))[::-1]
    assert same(reads.load(blocks.take(back).keys, 3600, NAMES), blocks.take(back))


def test_any_value_any_flag_any_register(reads: InfluxReads) -> None:
    day = block(1, IMPORT, 20_000)
    day.values[0, :4] = -(2**63), 2**63 - 1, 2**53 + 1, -1
    day.version[0, :4] = 0, 255, 2, 1
    day.flags[0, :2] = 255, Flag.NEW_REGISTER
    day.register[0, :4] = 0, 2**63 - 1, 2**53 + 1, 5
    day.quality[0] = np.arange(24) % 10
    day.quality[0, 12], day.values[0, 12], day.flags[0, 12], day.register[0, 12] = Quality.MISSING, 0, Flag.LOST, 77
    write(reads, day)
    assert same(reads.load(day.keys, 3600, NAMES), day)


@pytest.mark.parametrize("interval_s", [300, 900, 3600, 86_400])
def test_a_few_slices_or_many_say_the_same(
    reads: InfluxReads, monkeypatch: pytest.MonkeyPatch, interval_s: int
) -> None:
    stacks = [
        block(meter, channel, day, 100 * meter + day, n=86_400 // interval_s)
        for meter in range(1, 8)
        for channel in (IMPORT, EXPORT)
        if (meter, channel) != (3, EXPORT)
        for day in range(20_000, 20_005)
    ]
    write(reads, *stacks)
    channels = [(meter, channel) for meter in range(1, 9) for channel in (EXPORT, IMPORT)]
    keys = [stack.keys[0] for stack in stacks]
    for meters, at_once in ((1_000, 400_000), (3, 500), (1, 1)):
        monkeypatch.setattr(module, "_CHANNELS_A_QUERY", meters)
        monkeypatch.setattr(module, "_READS_A_QUERY", at_once)
        found = list(reads.scan(channels, 20_000, 20_005, interval_s, NAMES))
        assert sorted(key for blocks in found for key in blocks.keys) == sorted(keys)
        expected = blocks_in_order(keys, stacks, interval_s)
        assert alike(blocks_in_order(keys, found, interval_s), expected).all()


def test_any_mixture_of_keys(reads: InfluxReads) -> None:
    stacks = [block(m, c, d, 7 * m + d) for m in (1, 2, 3) for c in (IMPORT, EXPORT) for d in range(20_000, 20_010)]
    write(reads, *stacks)
    keys = [(20_009, 2, EXPORT), (20_000, 1, IMPORT), (20_004, 3, IMPORT), (20_005, 3, IMPORT), (20_004, 1, EXPORT)]
    keys += [(20_300, 1, IMPORT), (20_000, 9, IMPORT)]
    expected = blocks_in_order(keys, [stack for stack in stacks if stack.keys[0] in keys], 3600)
    assert same(reads.load(keys, 3600, NAMES), expected)
    assert expected.present.any(axis=1).tolist() == [True] * 5 + [False] * 2
    assert len(reads.load([], 900, NAMES)) == 0


def test_names_that_begin_alike_or_are_patterns_are_told_apart(reads: InfluxReads) -> None:
    texts = ["E-1", "E-11", "E.1", "E-1.*", "a b", "a,b=c", "a\\ b", "(E-1|E-11)", "Zähler", 'say "x"', "^E$", "/x/"]
    names = dict(enumerate(texts, start=1))
    days = [block(meter, IMPORT, 20_000, 1_000 * meter) for meter in names]
    write(reads, *days, names=names)
    for day in days:
        assert same(reads.load(day.keys, 3600, names), day), names[int(day.meter[0])]
    every = [(20_000, meter, IMPORT) for meter in names]
    assert same(reads.load(every, 3600, names), blocks_in_order(every, days, 3600))


def test_points_beside_the_grid_are_passed_over(reads: InfluxReads, influxd: Influxd, influx: Influx) -> None:
    write(reads, block(1, IMPORT, 20_000, 50))
    series, at = "reads,channel=1-0:1.8.0,meter=E-0001", 20_000 * 86_400
    influxd.write(influx.settings.reads_bucket, f"{series} value=9i,quality=1i,version=1i {at + 1}")
    influxd.write(influx.settings.reads_bucket, f"{series} value=9i,quality=1i,version=1i {at + 900}")
    influxd.write(influx.settings.reads_bucket, f"reads,channel=x,meter=E-0001 value=9i {at}")
    influxd.write(influx.settings.reads_bucket, f"other,channel=1-0:1.8.0,meter=E-0001 value=9i {at}")
    [found] = reads.scan([(1, IMPORT)], 19_999, 20_002, 3600, NAMES)
    assert found.values.tolist() == [list(range(50, 74))]
    assert same(found, block(1, IMPORT, 20_000, 50))


def test_only_the_chosen_intervals_are_written(reads: InfluxReads) -> None:
    first, second = block(1, IMPORT, 20_000, 100), block(1, IMPORT, 20_000, 500)
    write(reads, first)
    chosen = np.zeros((1, 24), dtype=np.bool_)
    chosen[0, 3:5] = True
    reads.write(second, chosen, NAMES)
    found = reads.load(first.keys, 3600, NAMES)
    assert found.values[0].tolist() == [100, 101, 102, 503, 504, *range(105, 124)]


def test_a_value_that_goes_missing_is_missing(reads: InfluxReads) -> None:
    day = block(1, IMPORT, 20_000, 100)
    day.flags[:], day.register[:] = 1, 5
    write(reads, day)
    nothing = empty_blocks(3600, day.meter, day.channel, day.day)
    write(reads, nothing)
    assert same(reads.load(day.keys, 3600, NAMES), nothing)


def test_what_is_older_is_forgotten_to_the_second(reads: InfluxReads) -> None:
    write(reads, *[block(1, IMPORT, day, day, n=96) for day in range(20_000, 20_003)])
    reads.forget(20_001)
    found = reads.load([(day, 1, IMPORT) for day in range(20_000, 20_003)], 900, NAMES)
    assert found.present.sum(axis=1).tolist() == [0, 96, 96]


@pytest.mark.parametrize("gzip", [False, True])
@pytest.mark.parametrize("connections", [1, 4])
def test_more_than_one_request(influx_settings: dict[str, Any], gzip: bool, connections: int) -> None:
    small = {"points_a_request": 100, "connections": connections, "gzip": gzip}
    influx = Influx(influx_section(influx_settings | small))
    reads = InfluxReads(influx, influx.settings.reads_bucket)
    stack = blocks_in_order(
        [(20_000, meter, IMPORT) for meter in range(50)], [block(m, IMPORT, 20_000, m) for m in range(50)], 3600
    )
    write(reads, stack)
    assert same(reads.load(stack.keys, 3600, NAMES), stack)
    influx.close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"token": "nobody's"}, "401 Unauthorized"),
        ({"org": "nobody's"}, "40[04] .*organization name .* not found"),
        ({"reads_bucket": "none"}, "404 Not Found"),
        ({"url": f"http://127.0.0.1:{free_port()}"}, "does not answer: .*refused"),
        ({"url": "http://head-end.invalid:8086"}, "does not answer"),
    ],
)
def test_who_does_not_take_or_give_reads_is_away(
    influx_settings: dict[str, Any], wrong: dict[str, str], said: str
) -> None:
    influx = Influx(influx_section(influx_settings | wrong))
    reads = InfluxReads(influx, influx.settings.reads_bucket)
    day = block(1, IMPORT, 20_000)
    for ask in (lambda: write(reads, day), lambda: reads.load(day.keys, 3600, NAMES), lambda: reads.forget(20_000)):
        with pytest.raises(
            StoreAway, match=f"InfluxDB at {influx.url}.*{said}" if "token" not in wrong else said
        ) as away:
            ask()
        assert "\n" not in str(away.value)
    influx.close()


def test_a_field_of_another_type_is_said(influxd: Influxd, influx: Influx, reads: InfluxReads) -> None:
    series = "reads,channel=1-0:1.8.0,meter=E-0001"
    influxd.write(influx.settings.reads_bucket, f"{series} value=9.5 {20_000 * 86_400}")
    with pytest.raises(StoreBroken, match="field type conflict"):
        write(reads, block(1, IMPORT, 20_000))


def test_what_the_bucket_keeps_no_more_holds_up_nothing(influxd: Influxd, influx: Influx) -> None:
    bucket = f"{influx.settings.reads_bucket}-short"
    rule = {"type": "expire", "everySeconds": 86_400}
    influxd.ask("/api/v2/buckets", {"name": bucket, "orgID": influxd.organization, "retentionRules": [rule]})
    reads = InfluxReads(influx, bucket)
    write(reads, block(1, IMPORT, 10))
    assert list(reads.scan([(1, IMPORT)], 0, 20, 3600, NAMES)) == []


def test_a_query_that_fails_on_the_way_is_away(influxd: Influxd, influx: Influx, reads: InfluxReads) -> None:
    write(reads, *[block(1, IMPORT, day, n=288) for day in range(20_000, 20_010)])
    flux = """
        from(bucket: bucket) |> range(start: 0) |> filter(fn: (r) => r._field == "value")
        |> map(fn: (r) => ({r with _value: if r._time > 2024-10-13T22:00:00Z then die(msg: "enough") else r._value}))
    """
    with pytest.raises(StoreAway, match="enough"):
        module.points_of(influx.query(flux, {"bucket": influx.settings.reads_bucket}), ("meter",))


def test_parameters_are_no_part_of_the_query(reads: InfluxReads, influx: Influx) -> None:
    hostile = '") |> range(start: 0) //'
    assert (
        influx.query('import "array"\narray.from(rows: [{x: said}])', {"said": hostile}).count(b"range(start: 0)") == 1
    )
