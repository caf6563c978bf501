"""Defects: what they do to intervals, registers, truth and events from some hour on."""

from __future__ import annotations

import csv
import io
import json

import numpy as np

from firmware_sim.defects import Defect, defects
from firmware_sim.inventory import make_shipment
from firmware_sim.meter import ORIGIN, Bank
from firmware_sim.plan import FaultPlan
from firmware_sim.readout import Readout, Span
from firmware_sim.tally import Tally
from firmware_sim.truth import TruthFile
from tests.firmware_sim.parts import SPECS, Bench

END = ORIGIN + 40 * 24
HOME = next(spec for spec in SPECS if spec.kind == "household_solar")
WATER = next(spec for spec in make_shipment(1, 20, 1).meters if spec.commodity == "water")
ALL = FaultPlan(leaks=1, leak_days=(2, 4), stuck=1, stuck_days=(5, 5), bypasses=1)


def measured(spec, begin, end, *found: Defect):
    return Bank([spec], 1, "Europe/Berlin", defects=found).measure(begin, end)


def test_a_leak_is_a_constant_flow_on_top_that_the_register_counts_too():
    begin = END - 100
    (sound,) = measured(WATER, ORIGIN, END)
    (leaking,) = measured(WATER, ORIGIN, END, Defect("leaks", WATER.meter, begin, flow=7))
    since = begin - ORIGIN
    assert (leaking.values - sound.values)[0].tolist() == [0] * since + [7] * 100
    assert leaking.registers[0, since - 1] == sound.registers[0, since - 1]
    assert leaking.registers[0, -1] - sound.registers[0, -1] == 700


def test_a_stuck_meter_counts_nothing_on_any_channel_and_its_register_stands():
    begin = END - 100
    for table in measured(HOME, END - 200, END, Defect("stuck", HOME.meter, begin, share=0.0)):
        assert table.values[0, :100].sum() > 0
        assert not table.values[0, 100:].any()
        assert np.unique(table.registers[0, 99:]).size == 1


def test_a_bypassed_meter_counts_three_tenths():
    (sound, _), (less, _) = (
        measured(HOME, END - 48, END, *found) for found in ([], [Defect("bypasses", HOME.meter, END - 24, share=0.3)])
    )
    assert less.values[0, :24].tolist() == sound.values[0, :24].tolist()
    assert less.values[0, 24:].tolist() == [3 * value // 10 for value in sound.values[0, 24:].tolist()]


def test_a_defect_is_one_meters_alone_whichever_hours_are_asked_for_first():
    homes = [spec for spec in make_shipment(1, 40, 1).meters if spec.kind == "household"]
    stuck = Defect("stuck", homes[1].meter, END - 50, share=0.0)
    bank = Bank(homes, 1, "Europe/Berlin", defects=[stuck])
    (late,), (early,), (again,) = (bank.measure(*hours) for hours in ((END, END + 5), (ORIGIN, END), (END, END + 5)))
    assert late.registers.tolist() == again.registers.tolist()
    assert late.values[1].tolist() == [0] * 5
    assert late.registers[1, 0] == early.registers[1, -51]
    (sound,) = Bank(homes, 1, "Europe/Berlin").measure(END, END + 5)
    others = np.arange(len(homes)) != 1
    assert late.registers[others].tolist() == sound.registers[others].tolist()


def test_each_defect_strikes_its_commodity_so_many_days_before_the_history_ends():
    meters = make_shipment(2, 400, 1).meters
    commodity = {spec.meter: spec.commodity for spec in meters}
    found = defects(ALL, meters, END)
    ages = {kind: [(END - each.begin) / 24 for each in found if each.kind == kind] for kind in ("leaks", "stuck")}
    assert 2 <= min(ages["leaks"]) < 2.2 < 3.8 < max(ages["leaks"]) <= 4
    assert set(ages["stuck"]) == {5}
    struck = {kind: {each.meter for each in found if each.kind == kind} for kind in ("leaks", "stuck", "bypasses")}
    assert struck["leaks"] == {name for name, its in commodity.items() if its == "water"}
    assert struck["stuck"] == struck["bypasses"] == {name for name, its in commodity.items() if its == "electricity"}
    half = defects(FaultPlan(stuck=0.5), meters, END)
    assert 0.4 < len(half) / len(struck["stuck"]) < 0.6
    assert not defects(FaultPlan(), meters, END)


def test_truth_has_what_the_defective_meter_measured_and_the_record_names_it():
    truth, tally = io.StringIO(), Tally(facts={})
    plan = FaultPlan(stuck=1, stuck_days=(1, 1))
    span = Span(END - 48, END)
    readout = Readout("GW-1", [HOME], plan, span, tally, TruthFile(truth), seed=1, zone="Europe/Berlin")
    sent = [json.loads(b"{" + message.body + b"}")["blocks"] for message in readout.history()]
    truth.seek(0)
    values = [int(row["value"]) for row in csv.DictReader(truth) if row["channel"] == "1-0:1.8.0"]
    assert sum(values[:24]) > 0
    assert values[24:] == [0] * 24
    assert [block["values"] for blocks in sent for block in blocks if block["channel"] == "1-0:1.8.0"] == [
        values[:24],
        values[24:],
    ]
    assert tally.facts == {
        "stuck": [{"gateway": "GW-1", "meter": HOME.meter, "from": "2026-02-09T00:00:00Z", "counted": 0.0}]
    }
    assert tally.totals()["planted"] == {"stuck": 1}


def test_who_goes_round_a_meter_opens_it_first():
    bench = Bench(FaultPlan(bypasses=1, bypass_days=(1, 1)), END - 72, END, (HOME,))
    told = bench.told()
    events = [event for message in told for event in message.get("events", ())]
    assert events == [{"kind": "tamper", "at": "2026-02-09T00:00:00.000Z", "meter": HOME.meter}]
    flagged = [block for message in told for block in message.get("blocks", ()) if "quality" in block]
    assert [block["start"] for block in flagged] == ["2026-02-09T00:00:00Z"] * 2
    assert all(block["quality"] == [16] + [0] * 23 for block in flagged)


def test_days_that_lose_pulses_tell_a_part_of_every_interval_and_nothing_else_is_wrong_with_them():
    plan = FaultPlan(seed=5, lost_pulses=0.3, missing=0.2)
    specs = [spec for spec in make_shipment(1, 40, 1).meters if spec.kind in {"household", "household_ev"}]
    readout = Readout("GW-1", specs, plan, Span(ORIGIN, END), Tally(), TruthFile(None), seed=1, zone="Europe/Berlin")
    true = {spec.meter: measured(spec, ORIGIN, END)[0] for spec in specs}
    struck = whole = 0
    for message in readout.history():
        for block in json.loads(b"{" + message.body + b"}")["blocks"]:
            table = true[block["meter"]]
            first = int(np.datetime64(block["start"][:-1], "h").astype(np.int64)) - ORIGIN
            was = table.values[0, first : first + 24].tolist()
            assert block["register"] == table.registers[0, first + 23]
            if all(told in (None, value) for told, value in zip(block["values"], was, strict=True)):
                whole += 1
                continue
            struck += 1
            spec = table.meters[0]
            assert (spec.commodity, spec.kind) == ("electricity", "household")
            assert None not in block["values"]
            assert 0.09 * sum(was) < sum(block["values"]) <= 0.5 * sum(was)
    homes = sum(spec.commodity == "electricity" and spec.kind == "household" for spec in specs)
    # of 36 days that may have faults, three in ten
    assert 0.2 < struck / (36 * homes) < 0.4
    assert whole + struck == 40 * len(specs)
