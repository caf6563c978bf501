"""Commands on the bench: what a gateway does, and what it answers."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_sim.clock import stamp
from firmware_sim.firmware import CHUNKS_AT_ONCE
from firmware_sim.meter import ORIGIN, Meter
from firmware_sim.plan import FaultPlan
from tests.firmware_sim.parts import SPECS, Bench

MAKER = Ed25519PrivateKey.generate()
IMAGE = bytes(range(256)) * 50  # 12,800 bytes, 13 chunks of 1,000


def states(answers: list[dict]) -> list[tuple[int, str]]:
    return [(answer["id"], answer["state"]) for answer in answers]


def order(image: bytes = IMAGE, **other: object) -> dict:
    signature = base64.b64encode(MAKER.sign(image)).decode()
    args = {"version": "1.1.0", "size": len(image), "sha256": hashlib.sha256(image).hexdigest()}
    return args | {"signature": signature, "chunk_bytes": 1000, "chunks": -(-len(image) // 1000)} | other


def chunk(bench: Bench, number: int, index: int, image: bytes = IMAGE) -> list[dict]:
    data = base64.b64encode(image[index * 1000 : index * 1000 + 1000]).decode()
    return bench.command(number, "firmware_chunk", {"index": index, "data": data})


def load(bench: Bench, number: int, wanted: list[int]) -> list[dict]:
    """Answer what is wanted until nothing is; the last answers."""
    while wanted:
        answers = [answer for index in range(*wanted) for answer in chunk(bench, number, index)]
        wanted = next((answer["wanted"] for answer in answers if "wanted" in answer), [])
    return answers


def test_backfill_sends_exactly_what_was_measured_in_the_gap_and_null_for_what_the_meter_lost():
    plan = FaultPlan(seed=2, missing=0.05, spikes=0.3, lost=0.2)
    bench = Bench(plan, ORIGIN, ORIGIN + 20 * 24)
    bench.told()
    first, last = ORIGIN + 5 * 24 + 7, ORIGIN + 9 * 24 + 3
    truth = {
        (row.meter.meter, row.channel.channel, stamp(first + i)): value
        for spec in SPECS
        for row in Meter(spec, 1, "Europe/Berlin").measure(first, last)
        for i, value in enumerate(row.values.tolist())
    }
    gaps = [
        {"meter": spec.meter, "channel": channel.channel, "from": stamp(first), "to": stamp(last)}
        for spec in SPECS
        for channel in spec.channels
    ]
    assert states(bench.command(17, "backfill", {"gaps": gaps})) == [(17, "acknowledged")]
    told = bench.told()
    (answer,) = bench.answers()
    got = {}
    for block in (block for message in told for block in message["blocks"]):
        start = datetime.fromisoformat(block["start"])
        for i, value in enumerate(block["values"]):
            at = (start + timedelta(hours=i)).strftime("%Y-%m-%dT%H:%M:%SZ")
            got[block["meter"], block["channel"], at] = value
    assert got.keys() == truth.keys()
    missing = {key for key, value in got.items() if value is None}
    assert {key: truth[key] for key in missing} | {k: v for k, v in got.items() if v is not None} == truth
    assert 10 < len(missing) < len(truth) / 10
    sent = len(truth) - len(missing)
    assert (answer["state"], answer["detail"]) == ("done", f"{sent} intervals sent, {len(missing)} lost by the meter")
    assert bench.tally.reads_backfilled == sent


def test_backfill_reaches_as_far_back_as_a_meter_remembers_and_not_into_the_future():
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN + 20 * 24, memory_days=3)
    bench.told()
    gap = {"meter": "E-20001", "channel": "1-0:1.8.0", "from": stamp(ORIGIN), "to": stamp(ORIGIN + 900)}
    bench.command(1, "backfill", {"gaps": [gap]})
    blocks = [block for message in bench.told() for block in message["blocks"]]
    assert [block["start"] for block in blocks] == [stamp(ORIGIN + day * 24) for day in (17, 18, 19)]
    assert bench.answers()[0]["detail"] == "72 intervals sent"


@pytest.mark.parametrize(
    ("gap", "detail"),
    [
        ({"meter": "X-1"}, "0 intervals sent"),
        ({"channel": "9-9:9.9.9"}, "0 intervals sent"),
        ({"from": stamp(ORIGIN - 50), "to": stamp(ORIGIN)}, "0 intervals sent"),
        ({"from": "yesterday"}, "args: ValueError Invalid isoformat string: 'yesterday'"),
    ],
)
def test_backfill_fails_when_there_is_nothing_of_it(gap, detail):
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN + 48)
    whole = {"meter": "E-20001", "channel": "1-0:1.8.0", "from": stamp(ORIGIN), "to": stamp(ORIGIN + 5)} | gap
    answers = bench.command(1, "backfill", {"gaps": [whole]})
    assert states(answers) == [(1, "acknowledged"), (1, "failed")]
    assert answers[1]["detail"] == detail


def test_read_tells_the_registers_of_now_between_those_of_the_hours_around_it():
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN + 48)
    bench.told()
    bench.true += timedelta(minutes=15)
    assert states(bench.command(3, "read")) == [(3, "acknowledged")]
    (message,) = bench.told()
    assert states(bench.answers()) == [(3, "done")]
    assert message["blocks"] == []
    told = {(one["meter"], one["channel"]): one["value"] for one in message["registers"]}
    for spec in SPECS:
        for row in Meter(spec, 1, "Europe/Berlin").measure(ORIGIN + 48, ORIGIN + 49):
            value = int(row.values[0])
            assert told.pop((spec.meter, row.channel.channel)) == row.registers[0] - value + value // 4
    assert told == {}
    assert {one["at"] for one in message["registers"]} == {"2026-01-03T00:15:00.000Z"}


def test_read_of_named_meters_and_of_none_that_is_here():
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN + 48)
    bench.told()
    bench.command(1, "read", {"meters": ["E-20004"]})
    assert {one["meter"] for message in bench.told() for one in message["registers"]} == {"E-20004"}
    bench.answers()
    assert states(bench.command(2, "read", {"meters": ["X-1"]}))[-1] == (2, "failed")


def test_set_clock_puts_a_wrong_clock_right_even_when_it_finds_the_command_expired():
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN, clock={"offset_s": 86_400.0})
    answers = bench.command(1, "set_clock", {"time": bench.true.isoformat()})
    assert states(answers) == [(1, "acknowledged"), (1, "done")]
    assert answers[1]["detail"] == "moved by -86400.000 s"
    assert bench.gateway.now == bench.true
    assert bench.told()[0]["events"][0]["kind"] == "clock_set"


def test_an_expired_command_is_ignored():
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN)
    assert bench.command(1, "restart", lasts_s=0.0) == []
    assert not bench.gateway.restart_wanted


def test_a_command_that_comes_again_is_answered_again_and_not_done_again():
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN + 24)
    bench.told()
    bench.command(5, "read")
    assert states(bench.command(5, "read")) == [(5, "acknowledged")]
    assert len(bench.told()) == 1
    assert states(bench.answers()) == [(5, "done")]
    assert states(bench.command(5, "read")) == [(5, "done")]
    assert bench.told() == []


def test_an_unknown_kind_fails_and_a_command_that_is_none_is_passed_over():
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN)
    answers = bench.command(1, "explode")
    assert states(answers) == [(1, "acknowledged"), (1, "failed")]
    assert answers[1]["detail"].startswith("kind: found 'explode', expected one of read, backfill")
    for payload in (
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"id": "x", "kind": "read"}',
        b'{"id": 1, "kind": "read", "args": 7}',
    ):
        bench.gateway.desk.take(payload, 0.0)
    assert bench.answers() == []


def test_set_interval_gathers_hours_and_blocks_still_end_at_midnight():
    bench = Bench(FaultPlan(), ORIGIN + 20, ORIGIN + 20)
    assert states(bench.command(1, "set_interval", {"report_every_s": 6 * 3600}))[-1] == (1, "done")
    for hour in range(ORIGIN + 20, ORIGIN + 32):
        bench.gateway.measure_hour(hour)
    spans = [{(b["start"], len(b["values"])) for b in message["blocks"]} for message in bench.told()]
    assert spans == [
        {("2026-01-01T20:00:00Z", 4)},
        {("2026-01-02T00:00:00Z", 2)},
        {("2026-01-02T02:00:00Z", 6)},
    ]
    assert bench.tally.reads_sent == bench.tally.reads_measured
    assert states(bench.command(2, "set_interval", {"report_every_s": 1}))[-1] == (2, "failed")


def test_restart_is_done_when_the_gateway_runs_again():
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN)
    assert states(bench.command(1, "restart")) == [(1, "acknowledged")]
    assert bench.gateway.restart_wanted
    bench.gateway.boot()
    assert states(bench.answers()) == [(1, "done")]
    assert bench.told()[0]["events"][0]["kind"] == "restart"


def test_firmware_is_asked_for_a_few_chunks_at_a_time_and_runs_after_a_restart():
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN, key=MAKER.public_key())
    answers = bench.command(9, "firmware", order())
    assert states(answers) == [(9, "acknowledged"), (9, "progress")]
    assert answers[1]["wanted"] == [0, CHUNKS_AT_ONCE]
    load(bench, 9, answers[1]["wanted"])
    assert (bench.gateway.restart_wanted, bench.gateway.firmware) == (True, "1.0.0")
    bench.gateway.boot()
    assert bench.gateway.firmware == "1.1.0"
    assert [(a["state"], a["detail"]) for a in bench.answers()] == [("done", "runs 1.1.0")]


def test_firmware_outlives_lost_chunks_reconnects_and_restarts():
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN, key=MAKER.public_key())
    bench.command(9, "firmware", order())
    for index in (0, 1, 3):
        assert chunk(bench, 9, index) == []
    bench.gateway.reconnected()
    assert bench.answers()[0]["wanted"] == [2, 3]
    bench.gateway.restart()
    bench.gateway.boot()
    bench.at += 60.0
    assert bench.answers()[0]["wanted"] == [2, 3]
    assert chunk(bench, 9, 2)[0]["wanted"] == [4, 12]
    load(bench, 9, [4, 12])
    bench.gateway.boot()
    assert bench.gateway.firmware == "1.1.0"


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"signature": base64.b64encode(bytes(64)).decode()}, "the signature is not the manufacturer's"),
        ({"sha256": "00" * 32}, f"SHA-256 is {hashlib.sha256(IMAGE).hexdigest()}"),
        ({"chunks": 12}, "args: 12800 bytes are not 12 chunks of 1000"),
        ({"version": ""}, "args: version is not 1 to 64 characters"),
        ({"signature": "!"}, "args: Error"),
    ],
)
def test_firmware_that_is_not_what_it_should_be_fails_and_is_not_installed(other, says):
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN, key=MAKER.public_key())
    answers = bench.command(9, "firmware", order(**other))
    if answers[-1]["state"] == "progress":
        answers = load(bench, 9, answers[-1]["wanted"])
    assert answers[-1]["state"] == "failed"
    assert answers[-1]["detail"].startswith(says)
    assert not bench.gateway.restart_wanted


def test_firmware_needs_a_key_and_chunks_of_the_right_size():
    assert Bench(FaultPlan(), ORIGIN, ORIGIN).command(9, "firmware", order())[-1]["state"] == "failed"
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN, key=MAKER.public_key())
    bench.command(9, "firmware", order())
    for args in ({}, {"index": 0, "data": "AAAA"}, {"index": 99, "data": ""}, {"index": 0, "data": "!"}):
        assert bench.command(9, "firmware_chunk", args) == []
    bench.at += 60.0
    assert bench.answers()[0]["wanted"] == [0, 8]


def test_a_second_firmware_takes_the_place_of_the_first():
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN, key=MAKER.public_key())
    bench.command(9, "firmware", order())
    assert states(bench.command(10, "firmware", order())) == [(10, "acknowledged"), (9, "failed"), (10, "progress")]


def test_a_firmware_whose_chunks_do_not_come_is_asked_for_until_it_expires():
    bench = Bench(FaultPlan(), ORIGIN, ORIGIN, key=MAKER.public_key())
    bench.command(9, "firmware", order(), lasts_s=60.0)
    bench.at, bench.true = bench.at + 55, bench.true + timedelta(seconds=55)
    assert states(bench.answers()) == [(9, "progress")]
    bench.at, bench.true = bench.at + 5, bench.true + timedelta(seconds=5)
    (answer,) = bench.answers()
    assert (answer["state"], answer["detail"]) == ("failed", "it expired before all chunks were here")
    bench.at += 60
    assert bench.answers() == []
    assert states(bench.command(10, "firmware", order())) == [(10, "acknowledged"), (10, "progress")]
