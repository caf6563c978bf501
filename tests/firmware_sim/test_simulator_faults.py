"""Planted faults: where they may fall, and that registers settle each of them."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.faults import Planter, near_the_end
from firmware_sim.gateway import Flash
from firmware_sim.happenings import MeterEvents
from firmware_sim.inventory import make_shipment
from firmware_sim.meter import ORIGIN, Bank
from firmware_sim.plan import FaultPlan
from firmware_sim.readout import Readout, Span
from firmware_sim.tally import Tally
from firmware_sim.truth import TruthFile
from tests.firmware_sim.parts import NOON, SPECS, Bench

HARSH = FaultPlan(seed=5, missing=0.05, missing_runs=0.2, negative=0.2, spikes=0.3, lost=0.2)


def planted(plan, spec, begin, hours, live=False):
    """What a meter tells of these hours, channel by channel, arrays of one row."""
    tables = Bank([spec], 1, "Europe/Berlin").measure(begin, begin + hours)
    planter = Planter(plan, MeterEvents(plan, [spec]), begin, begin if live else begin + hours)
    return planter, [planter.report(table) for table in tables]


@given(
    spec=st.sampled_from(SPECS),
    seed=st.integers(0, 1000),
    begin=st.integers(0, 100),
    hours=st.integers(1, 900),
)
@settings(max_examples=80, deadline=None)
def test_rules_of_planting(spec, seed, begin, hours):
    plan = FaultPlan(seed=seed, missing=0.05, missing_runs=0.2, negative=0.2, spikes=0.3, lost=0.2)
    begin += ORIGIN
    planter, reported = planted(plan, spec, begin, hours)
    for told in reported:
        measured = told.measured
        at = begin + np.arange(hours)
        wrong = told.missing[0] | told.bad[0]
        assert not wrong[:24].any(), "the first day is clean"
        assert not wrong[max(0, hours - 72) :].any(), "the last three days are clean"
        assert (told.values[~told.bad] == measured.values[~told.bad]).all()
        bad = told.values[told.bad]
        assert ((bad < 0) | (bad > measured.channel.max_per_interval)).all()
        days = np.unique(at // 24)
        lost = planter.lost((spec,), days)[0]
        assert not (lost[1:] & lost[:-1]).any()
        for day in days:
            today = at // 24 == day
            assert told.bad[0, today].sum() <= 1
            assert not (told.bad[0, today].any() and told.missing[0, today].any())


@given(cuts=st.lists(st.integers(1, 29), max_size=5))
@settings(max_examples=20, deadline=None)
def test_days_looked_at_apart_have_the_faults_of_days_looked_at_together(cuts):
    begin, hours = ORIGIN, 30 * 24
    planter, whole = planted(HARSH, SPECS[5], begin, hours)
    edges = sorted({0, 30, *cuts})
    for first, last in pairwise(edges):
        for told in whole:
            part = planter.report(told.measured.between(begin + first * 24, begin + last * 24))
            cut = slice(first * 24, last * 24)
            assert part.values.tolist() == told.values[:, cut].tolist()
            assert part.missing.tolist() == told.missing[:, cut].tolist()
            assert part.bad.tolist() == told.bad[:, cut].tolist()


def test_a_spike_is_tenfold_at_least_and_a_negative_value_negative():
    told = planted(HARSH, SPECS[1], ORIGIN, 400 * 24)[1][0]
    spikes = told.bad & (told.values > 0)
    # 396 days; 0.16 are lost (0.2, but never two running), 0.16 follow a lost one; 0.3 of the rest: 81 expected
    assert 57 < spikes.sum() < 105
    assert (told.values[spikes] >= 10 * told.measured.values[spikes]).all()
    assert (told.values[told.bad & ~spikes] == -told.measured.values[told.bad & ~spikes] - 1).all()


def test_nothing_planted_without_a_plan():
    for told in planted(FaultPlan(), SPECS[3], ORIGIN + 22, 30 * 24)[1]:
        assert not told.missing.any()
        assert not told.bad.any()
        assert not told.quality.any()
        assert told.values.tolist() == told.measured.values.tolist()


def test_live_hours_miss_a_few_and_nothing_else():
    told = planted(FaultPlan(live_missing=0.1), SPECS[3], ORIGIN + 22, 30 * 24, live=True)[1][0]
    assert 40 < told.missing.sum() < 110
    assert not told.bad.any()


def test_registers_near_the_end_of_their_dial_roll_over_in_the_history():
    plan = FaultPlan(rollovers=0.5)
    rolled = []
    for spec in make_shipment(1, 60, 1).meters:
        bank = Bank([spec], 1, "Europe/Berlin")
        near_the_end(plan, bank, ORIGIN + 22, ORIGIN + 22 + 40 * 24)
        for table in bank.measure(ORIGIN + 22, ORIGIN + 22 + 40 * 24):
            dial = 10**table.channel.register_digits
            steps = np.diff(table.registers[0])
            assert (steps % dial == table.values[0, 1:]).all()
            fell_first = table.registers[0, 0] < table.values[0, 0]
            rolled.append(int((steps < 0).sum() + fell_first))
    assert set(rolled) == {0, 1}
    assert 0.35 < np.mean(rolled) < 0.65


def test_every_fault_of_a_history_is_settled_by_the_registers_that_were_sent():
    first, last = ORIGIN + 22, ORIGIN + 22 + 30 * 24
    measured = [table for spec in SPECS for table in Bank([spec], 1, "Europe/Berlin").measure(first, last)]
    limit = {(one.meters[0].meter, one.channel.channel): one.channel.max_per_interval for one in measured}
    truth = {(one.meters[0].meter, one.channel.channel): one.values[0] for one in measured}
    readout = Readout("GW-1", SPECS, HARSH, Span(first, last), Tally(), TruthFile(None), seed=1, zone="Europe/Berlin")
    messages = list(readout.history())
    sent: dict[tuple[str, str], list[dict]] = {}
    for message in messages:
        for block in [] if message.lost else json.loads(b"{" + message.body + b"}")["blocks"]:
            sent.setdefault((block["meter"], block["channel"]), []).append(block)
    assert any(message.lost for message in messages)
    for key, blocks in sent.items():
        starts = [_hour(block) - first for block in blocks]
        for i in range(1, len(blocks)):
            gone = truth[key][starts[i - 1] + len(blocks[i - 1]["values"]) : starts[i] + len(blocks[i]["values"])]
            assert blocks[i]["register"] - blocks[i - 1]["register"] == gone.sum()
        # a block with one bad value follows a block that was sent, so one advance settles one fault
        for i, block in enumerate(blocks):
            if any(value is not None and not 0 <= value <= limit[key] for value in block["values"]):
                assert starts[i] == starts[i - 1] + len(blocks[i - 1]["values"])
    missing, lost = (sum(message.planted.get(name, 0) for message in messages) for name in ("missing", "lost_reads"))
    reads = sum(message.reads for message in messages)
    assert reads + missing + lost == sum(len(values) for values in truth.values())


def _hour(block: dict) -> int:
    return int(np.datetime64(block["start"][:-1], "h").astype(np.int64))


def test_messages_are_disturbed_as_planned():
    plan = FaultPlan(duplicates=1, unknown_meters=1, garbage=1, future=1)
    # days 0 … 5: only 1 and 2 may be disturbed
    bench = Bench(plan, ORIGIN, ORIGIN + 6 * 24, SPECS[:1])
    bench.true, tally = NOON, bench.tally
    payloads = bench.due()
    assert dict(tally.planted) == {
        "missing": 0, "bad": 0, "unknown_meters": 2, "duplicates": 2, "garbage": 2, "future": 2,
    }  # fmt: skip
    assert tally.messages_sent == 8
    assert tally.reads_sent == 6 * 24
    garbage = [payload for payload in payloads if b"\xff" in payload]
    assert len(garbage) == 2
    messages = [json.loads(payload) for payload in payloads if payload not in garbage]
    assert [message["seq"] for message in messages] == [1, 2, 2, 3, 4, 4, 5, 6, 7, 8]
    assert {message["oldest"] for message in messages} == {1}
    assert {message["sent_at"] for message in messages} == {"2026-11-01T12:00:00.000Z"}
    assert [block["meter"] for block in messages[1]["blocks"]] == ["E-20001", "X-00000"]
    assert messages[3]["blocks"][0]["start"] > messages[3]["sent_at"]


def test_ack_of_another_epoch_or_no_ack_at_all_covers_nothing():
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN + 48, SPECS[:1], Flash(window=8, epoch="b"))
    assert [json.loads(payload)["epoch"] for payload in bench.due()] == ["b", "b"]
    for answer in (
        b'{"through": 2}',
        b'{"through": 2, "epoch": "a"}',
        b"[]",
        b"\xff",
        b'{"through": "x"}',
        b'{"missing": []}',
    ):
        assert not bench.gateway.acknowledge(answer, 1.0)
    assert bench.gateway.acknowledge(b'{"through": 2, "missing": [], "epoch": "b"}', 1.0)
    assert bench.tally.messages_acknowledged == 2
    assert not bench.gateway.waiting


def test_large_gateways_send_several_messages_a_day():
    specs = make_shipment(1, 800, 1).meters
    span = Span(ORIGIN, ORIGIN + 24)
    readout = Readout("GW-1", specs, FaultPlan(), span, Tally(), TruthFile(None), seed=1, zone="Europe/Berlin")
    bodies = [message.body for message in readout.history()]
    assert len(bodies) > 1
    assert all(len(body) <= 201_000 for body in bodies)
    channels = sum(len(spec.channels) for spec in specs)
    assert sum(len(json.loads(b"{" + body + b"}")["blocks"]) for body in bodies) == channels
