"""Planted faults: where they may fall, and that registers settle each of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.errors import InvalidInput
from firmware_sim.faults import FaultPlan, lost_days, plant, plant_live, read_plan
from firmware_sim.gateway import Gateway, Tally
from firmware_sim.inventory import make_shipment
from firmware_sim.messages import history
from firmware_sim.meter import ORIGIN, Measured, Meter
from firmware_sim.truth import TruthFile

SPECS = make_shipment(1, 6, 1).meters


def noon() -> datetime:
    return datetime(2026, 11, 1, 12, tzinfo=UTC)


HARSH = FaultPlan(seed=5, missing=0.05, missing_runs=0.2, negative=0.2, spikes=0.3, lost=0.2)


def month(spec=SPECS[3], begin: int = ORIGIN + 22, hours: int = 30 * 24) -> list[Measured]:
    return Meter(spec, 1, "Europe/Berlin").measure(begin, begin + hours)


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
    for measured in Meter(spec, 1, "Europe/Berlin").measure(begin, begin + hours):
        told = plant(plan, measured)
        at = begin + np.arange(hours)
        wrong = told.missing | told.bad
        assert not wrong[:24].any(), "the first day is clean"
        assert not wrong[max(0, hours - 72) :].any(), "the last three days are clean"
        assert (told.values[~told.bad] == measured.values[~told.bad]).all()
        bad = told.values[told.bad]
        assert ((bad < 0) | (bad > measured.channel.max_per_interval)).all()
        days = np.unique(at // 24)
        lost = lost_days(plan, spec.meter, days)
        assert not (lost[1:] & lost[:-1]).any()
        for day in days:
            today = at // 24 == day
            assert told.bad[today].sum() <= 1
            assert not (told.bad[today].any() and told.missing[today].any())


def test_a_spike_is_tenfold_at_least_and_a_negative_value_negative():
    measured = Meter(SPECS[1], 1, "Europe/Berlin").measure(ORIGIN, ORIGIN + 400 * 24)[0]
    told = plant(HARSH, measured)
    spikes = told.bad & (told.values > 0)
    # 396 days; 0.16 are lost (0.2, but never two running), 0.16 follow a lost one; 0.3 of the rest: 81 expected
    assert 57 < spikes.sum() < 105
    assert (told.values[spikes] >= 10 * measured.values[spikes]).all()
    assert (told.values[told.bad & ~spikes] == -measured.values[told.bad & ~spikes] - 1).all()


def test_nothing_planted_without_a_plan():
    for measured in month():
        told = plant(FaultPlan(), measured)
        assert not told.missing.any()
        assert not told.bad.any()
        assert told.values.tolist() == measured.values.tolist()


def test_live_hours_miss_a_few_and_nothing_else():
    told = plant_live(FaultPlan(live_missing=0.1), month()[0])
    assert 40 < told.missing.sum() < 110
    assert not told.bad.any()


def test_every_fault_of_a_history_is_settled_by_the_registers_that_were_sent():
    measured = [channel for spec in SPECS for channel in month(spec)]
    first, last = ORIGIN + 22, ORIGIN + 22 + 30 * 24
    limit = {(one.meter.meter, one.channel.channel): one.channel.max_per_interval for one in measured}
    truth = {(one.meter.meter, one.channel.channel): one.values for one in measured}
    messages = list(history(HARSH, "GW-001", [plant(HARSH, one) for one in measured], first, last))
    sent: dict[tuple[str, str], list[dict]] = {}
    for message in messages:
        for block in [] if message.lost else json.loads(message.blocks):
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
    planted = {name: sum(message.planted.get(name, 0) for message in messages) for name in ("missing", "lost_reads")}
    reads = sum(message.reads for message in messages)
    assert reads + planted["missing"] + planted["lost_reads"] == sum(len(values) for values in truth.values())


def _hour(block: dict) -> int:
    return int(np.datetime64(block["start"][:-1], "h").astype(np.int64))


def test_messages_are_disturbed_as_planned():
    plan = FaultPlan(duplicates=1, unknown_meters=1, garbage=1, future=1)
    tally = Tally()
    gateway = Gateway(
        "GW-1", [Meter(SPECS[0], 1, "UTC")], plan, tally, TruthFile(None), clock=noon, window=8, resend_after=30
    )
    gateway.measure_history(ORIGIN, ORIGIN + 6 * 24)  # days 0 … 5: only 1 and 2 may be disturbed
    payloads = list(gateway.due(0.0))
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
    tally = Tally()
    gateway = Gateway(
        "GW-1",
        [Meter(SPECS[0], 1, "UTC")],
        FaultPlan(),
        tally,
        TruthFile(None),
        clock=noon,
        window=8,
        resend_after=30,
        epoch="b",
    )
    gateway.measure_history(ORIGIN, ORIGIN + 48)
    assert [json.loads(payload)["epoch"] for payload in gateway.due(0.0)] == ["b", "b"]
    for answer in (
        b'{"through": 2}',
        b'{"through": 2, "epoch": "a"}',
        b"[]",
        b"\xff",
        b'{"through": "x"}',
        b'{"missing": []}',
    ):
        assert not gateway.acknowledge(answer, 1.0)
    assert gateway.acknowledge(b'{"through": 2, "missing": [], "epoch": "b"}', 1.0)
    assert tally.messages_acknowledged == 2
    assert not gateway.waiting


def test_large_gateways_send_several_messages_a_day():
    specs = make_shipment(1, 800, 1).meters
    measured = [channel for spec in specs for channel in month(spec, ORIGIN, 24)]
    messages = list(history(FaultPlan(), "GW-001", [plant(FaultPlan(), one) for one in measured], ORIGIN, ORIGIN + 24))
    assert len(messages) > 1
    assert all(len(message.blocks) <= 201_000 for message in messages)
    assert sum(len(json.loads(message.blocks)) for message in messages) == len(measured)


def test_plan_file(tmp_path: Path):
    path = tmp_path / "plan.toml"
    path.write_text("seed = 4\nmissing = 0.01\nmissing_run_hours = [2, 5]\n")
    assert read_plan(path) == FaultPlan(seed=4, missing=0.01, missing_run_hours=(2, 5))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mising = 0.1", "mising: found an unknown key"),
        ("missing = 2", "missing: found 2, expected a share"),
        ("missing = true", "missing: found True"),
        ("seed = 1.5", "seed: found 1.5, expected a whole number"),
        ("missing_run_hours = [5, 2]", r"expected \[shortest, longest\]"),
        ("negative = 0.6\nspikes = 0.6", "one of them a day"),
        ("= 3", "a fault plan in TOML"),
    ],
)
def test_wrong_plan_file_is_one_line(tmp_path: Path, text: str, says: str):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=says):
        read_plan(path)
