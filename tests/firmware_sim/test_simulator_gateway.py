"""A gateway: its flash, its clock, its events, and the mishaps that befall it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from itertools import groupby

import pytest

from firmware_sim.clock import EPOCH
from firmware_sim.gateway import Flash
from firmware_sim.happenings import MeterEvents, mishaps
from firmware_sim.meter import ORIGIN
from firmware_sim.plan import FaultPlan
from tests.firmware_sim.parts import SPECS, Bench

DAY = 24


def moments(events: list[dict]) -> dict[str, list[tuple[str, datetime]]]:
    by_kind: dict[str, list[tuple[str, datetime]]] = {}
    for event in events:
        by_kind.setdefault(event["kind"], []).append((event["meter"], datetime.fromisoformat(event["at"])))
    return by_kind


def test_a_flash_that_overflows_keeps_the_newest_and_says_how_far_back_it_goes():
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN, flash=Flash(messages=10, window=32))
    for hour in range(ORIGIN, ORIGIN + 25):
        bench.gateway.measure_hour(hour)
    told = [json.loads(payload) for payload in bench.due()]
    assert [message["seq"] for message in told] == list(range(16, 26))
    assert {message["oldest"] for message in told} == {16}
    tally = bench.tally
    assert tally.planted["overwritten_messages"] == 15
    assert tally.reads_measured == tally.reads_sent + tally.planted["overwritten_reads"]


def test_a_history_waits_for_room_and_loses_nothing_to_a_small_flash():
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN + 40 * DAY, flash=Flash(messages=3, window=32))
    assert len(bench.told()) == 40
    assert bench.tally.planted["overwritten_messages"] == 0


def test_a_history_ahead_of_its_sending_is_bounded_in_bytes():
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN + 40 * DAY, flash=Flash(ahead_bytes=5_000))
    first = bench.due()
    assert 5_000 < sum(len(payload) for payload in first) < 10_000
    bench.gateway.acknowledge(b'{"through": 3}', 0.0)
    assert len(first) + len(bench.told()) == 40


def test_an_outage_is_a_last_gasp_then_power_again_and_a_flagged_interval():
    plan = FaultPlan(outages=0.2, tamper=0.1, battery_low=0.1)
    bench = Bench(plan, ORIGIN, ORIGIN + 20 * DAY)
    told = bench.told()
    events = moments([event for message in told for event in message.get("events", ())])
    assert len(events["last_gasp"]) > 10
    assert events["outage"] == events["restored"]
    flagged = {}
    for (meter, gone), (same, back) in zip(sorted(events["last_gasp"]), sorted(events["restored"]), strict=True):
        assert meter == same
        assert timedelta(minutes=2) <= back - gone <= timedelta(minutes=90)
        hour = gone.replace(minute=0, second=0, microsecond=0)
        while hour < back:
            flagged[meter, hour] = flagged.get((meter, hour), 0) | 1
            hour += timedelta(hours=1)
    for meter, at in events["tamper"]:
        hour = at.replace(minute=0, second=0, microsecond=0)
        flagged[meter, hour] = flagged.get((meter, hour), 0) | 16
    found = {}
    for block in (block for message in told for block in message.get("blocks", ())):
        start = datetime.fromisoformat(block["start"])
        for i, bits in enumerate(block.get("quality", ())):
            if bits:
                found[block["meter"], start + timedelta(hours=i)] = bits
        assert any(block.get("quality", [1])), "zeros are left out"
    assert found == flagged
    assert {meter for meter, _ in events["outage"]} <= {s.meter for s in SPECS if s.commodity == "electricity"}
    assert len(bench.tally.facts["events"]) == sum(len(kind) for kind in events.values())


def test_live_events_are_told_when_they_happen():
    plan = FaultPlan(outages=0.5)
    bench = Bench(plan, ORIGIN, ORIGIN)
    notices = MeterEvents(plan, SPECS).notices(ORIGIN, ORIGIN + 3 * DAY)
    assert len(notices) > 5
    for at, together in groupby(notices, key=lambda notice: notice.at):
        bench.gateway.pass_time(at - 1)
        assert bench.told() == []
        bench.gateway.pass_time(at)
        events = [event for message in bench.told() for event in message["events"]]
        assert [(event["kind"], event["meter"]) for event in events] == [(one.kind, one.meter) for one in together]
        assert {datetime.fromisoformat(event["at"]) for event in events} == {EPOCH + timedelta(seconds=at)}


def test_a_clock_that_is_off_and_drifts_and_jumps_shows_in_sent_at_alone():
    bench = Bench(FaultPlan(clock_jumps=0.3), ORIGIN, ORIGIN, clock={"offset_s": 5.0, "drift_ppm": 100.0})
    bench.true += timedelta(days=10)
    # 5 s, and 100 ppm of ten days
    assert (bench.gateway.now - bench.true).total_seconds() == pytest.approx(5 + 86.4)
    bench.gateway.pass_time((bench.true - EPOCH).total_seconds())
    jumps = [jump.seconds for jump in mishaps(FaultPlan(clock_jumps=0.3), "GW-1", ORIGIN, ORIGIN + 10 * DAY)]
    assert jumps
    assert [float(fact["seconds"]) for fact in bench.tally.facts["clock_jumps"]] == pytest.approx(jumps, abs=0.001)
    ahead = (bench.gateway.now - bench.true).total_seconds()
    assert ahead == pytest.approx(5 + 86.4 + sum(jumps))
    bench.gateway.measure_hour(ORIGIN)
    (message,) = bench.told()
    sent_at = datetime.fromisoformat(message["sent_at"])
    assert (sent_at - bench.true).total_seconds() == pytest.approx(ahead, abs=0.001)
    assert {block["start"] for block in message["blocks"]} == {"2026-01-01T00:00:00Z"}


def test_mishaps_of_a_history_come_with_its_days():
    plan = FaultPlan(reboots=0.2, clock_jumps=0.2)
    bench = Bench(plan, ORIGIN, ORIGIN + 30 * DAY)
    rebooted = 0
    while bench.gateway.waiting:
        if bench.gateway.restart_wanted:
            bench.gateway.boot()
            rebooted += 1
        bench.told()
    expected = mishaps(plan, "GW-1", ORIGIN, ORIGIN + 30 * DAY)
    assert bench.tally.planted["reboots"] == sum(one.kind == "reboots" for one in expected) > 0
    assert bench.tally.planted["clock_jumps"] == sum(one.kind == "clock_jumps" for one in expected) > 0
    assert rebooted == bench.tally.planted["reboots"]
    told_at = [fact["at"] for fact in bench.tally.facts["events"] if fact["kind"] == "restart"]
    assert told_at == [fact["at"] for fact in bench.tally.facts["reboots"]]


def test_the_truth_is_the_same_with_any_plan():
    harsh = FaultPlan(missing=0.1, spikes=0.3, lost=0.2, outages=0.2, tamper=0.2, reboots=0.1, clock_jumps=0.1)
    told = []
    for plan in (harsh, FaultPlan()):
        bench = Bench(plan, ORIGIN, ORIGIN + 10 * DAY)
        blocks = [block for message in bench.told() for block in message.get("blocks", ())]
        told.append({(b["meter"], b["channel"], b["start"]): b["register"] for b in blocks})
    assert 0 < len(told[0]) < len(told[1])
    assert told[0].items() <= told[1].items()


def test_live_messages_that_are_never_sent_leave_a_hole_in_the_numbers_and_nothing_else():
    bench = Bench(FaultPlan(seed=3, live_lost=0.3), ORIGIN, ORIGIN + 24)
    before = {message["seq"] for message in bench.told()}
    for hour in range(48):
        bench.true += timedelta(hours=1)
        bench.gateway.measure_hour(ORIGIN + 24 + hour)
    told = bench.told()
    planted = bench.tally.planted
    assert 0 < planted["lost_messages"] < 30
    assert bench.tally.reads_measured == bench.tally.reads_sent + planted["lost_reads"]
    numbers = {message["seq"] for message in told}
    missing = set(range(max(before) + 1, max(numbers) + 1)) - numbers
    assert {fact["seq"] for fact in bench.tally.facts["lost_messages"]} >= missing
