"""A fleet in a harsh field, against a real broker: every fault, and every command that needs a wire."""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_sim.errors import InvalidInput
from firmware_sim.firmware import read_key
from firmware_sim.inventory import make_shipment
from tests.firmware_sim.test_simulator_fleet import HISTORY, check_against_truth, command, done, read_truth

LIVE = ("--from", "2026-08-31T22:00:00Z", "--live-from", "2026-09-10T22:00:00Z")


@contextmanager
def playing(port: int, *arguments: str, **fleet: int) -> Iterator[subprocess.Popen]:
    """A fleet that is stopped at the end if it has not ended."""
    with subprocess.Popen(command(port, *arguments, **fleet), stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def play(port: int, tmp_path: Path, plan: str, *options: str, **fleet: int) -> tuple[dict, dict, dict]:
    """Play a fleet to its end: totals, truth, and what was planted."""
    files = {name: tmp_path / name for name in ("plan.toml", "truth.csv", "planted.json")}
    files["plan.toml"].write_text(plan)
    named = ("--faults", files["plan.toml"], "--truth", files["truth.csv"], "--planted", files["planted.json"])
    run = subprocess.run(
        command(port, *map(str, named), "--progress", "--resend-after", "2", *options, **fleet),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return done(run.stdout), read_truth(files["truth.csv"]), json.loads(files["planted.json"].read_text())


def test_whatever_the_line_does_the_truth_gets_through_and_the_record_says_what_it_did(mosquitto, head_end, tmp_path):
    plan = "dropped = 0.1\ncorrupt = 0.2\nreordered = 0.1\nduplicates = 0.1\nreboots = 0.05\nclock_jumps = 0.1\n"
    plan += "missing = 0.01\nspikes = 0.05\nlost = 0.05\nrollovers = 0.2\n"
    plan += "tamper = 0.02\noutages = 0.02\nbattery_low = 0.01\n"
    listener = head_end(mosquitto.port)
    totals, truth, planted = play(mosquitto.port, tmp_path, plan, *HISTORY)
    check_against_truth(listener, truth, totals)
    counts = totals["planted"]
    for kind in ("dropped", "corrupt", "reordered", "reboots", "clock_jumps", "lost_messages"):
        assert counts[kind] == len(planted[kind]) > 0, kind
    # what a reboot overtook on its way to the broker may have got there or not
    corrupt = {one["sha256"] for one in planted["corrupt"]}
    assert {one["sha256"] for one in planted["corrupt"] if one["delivered"]} <= set(listener.unreadable) <= corrupt
    assert len(listener.unreadable) == len(set(listener.unreadable)) > 0
    told = {(gateway, seq, event["kind"], event["at"]) for gateway, seq, event in listener.events}
    assert told == {(one["gateway"], one["seq"], one["kind"], one["at"]) for one in planted["events"]}
    assert {"last_gasp", "outage", "restored", "tamper", "battery_low", "restart"} <= {kind for _, _, kind, _ in told}
    assert set(listener.offline_at) >= {one["gateway"] for one in planted["reboots"]}
    overtaken = [
        (g, s) for i, (g, s) in enumerate(listener.order) if any(x == g and y > s for x, y in listener.order[:i])
    ]
    assert overtaken


def test_a_storm_cuts_all_links_and_all_come_back(mosquitto, head_end, tmp_path):
    listener = head_end(mosquitto.port)
    totals, truth, planted = play(mosquitto.port, tmp_path, "storm_every_messages = 25\n", *HISTORY)
    check_against_truth(listener, truth, totals | {"planted": {"missing": 0, "bad": 0}})
    assert totals["planted"]["storms"] == len(planted["storms"]) > 0
    assert set(listener.offline_at) == {"GW-001", "GW-002", "GW-003"}


def test_a_gateway_that_is_offline_for_days_fills_in_what_it_kept(mosquitto, head_end, tmp_path):
    plan = "link_down = 0.7\nlink_down_hours = [20, 30]\ntamper = 0.1\n"
    options = (*LIVE, "--to", "2026-09-14T22:00:00Z", "--speed", "300000")
    listener = head_end(mosquitto.port)
    totals, truth, planted = play(mosquitto.port, tmp_path, plan, *options)
    check_against_truth(listener, truth, totals | {"planted": {"missing": 0, "bad": 0}})
    assert set(listener.offline_at) >= {one["gateway"] for one in planted["link_down"]}
    assert len(planted["link_down"]) in {1, 2, 3}


def test_a_flash_that_is_too_small_for_an_outage_loses_its_oldest_and_the_count_says_so(mosquitto, head_end, tmp_path):
    plan = "link_down = 1.0\nlink_down_hours = [40, 40]\n"
    options = (*LIVE, "--to", "2026-09-14T22:00:00Z", "--speed", "300000", "--flash-messages", "10")
    listener = head_end(mosquitto.port)
    totals, truth, _ = play(mosquitto.port, tmp_path, plan, *options, gateways=1, meters=4)
    lost = totals["planted"]["overwritten_reads"]
    assert len(truth) - len(listener.values) == lost >= 20 * 4
    assert totals["reads_sent"] + lost == len(truth)


def test_a_slow_link_takes_as_long_as_its_bytes(mosquitto, head_end, tmp_path):
    listener = head_end(mosquitto.port)
    options = ("--from", "2026-09-01T00:00:00Z", "--to", "2026-09-07T00:00:00Z")
    began = time.monotonic()
    plan = "slow_links = 1.0\nslow_bytes_per_s = 6000\n"
    totals, truth, _ = play(mosquitto.port, tmp_path, plan, *options, gateways=1, meters=12)
    # six messages of 14 blocks of 24 values are some 20 kB; the first second's worth goes at once
    assert time.monotonic() - began > 2
    check_against_truth(listener, truth, totals)
    assert totals["resent"] == 0


def key_pair(tmp_path: Path) -> tuple[Ed25519PrivateKey, str]:
    maker, path = Ed25519PrivateKey.generate(), tmp_path / "maker.pem"
    encoding = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.write_bytes(maker.public_key().public_bytes(*encoding))
    return maker, str(path)


def test_backfill_of_lost_messages_makes_the_head_end_whole(mosquitto, head_end, tmp_path):
    plan, truth_file = tmp_path / "plan.toml", tmp_path / "truth.csv"
    plan.write_text("seed = 3\nlost = 0.2\n")
    listener = head_end(mosquitto.port)
    options = (*LIVE, "--speed", "1", "--faults", str(plan), "--truth", str(truth_file), "--progress")
    with playing(mosquitto.port, *options) as fleet:
        next(line for line in fleet.stdout if json.loads(line)["event"] == "live")
        truth = read_truth(truth_file)
        lost = truth.keys() - listener.values.keys()
        assert len(lost) > 100
        behind = {spec.meter: spec.gateway for spec in make_shipment(3, 20, 1).meters}
        gaps: dict[str, list[dict]] = {}
        for meter, channel in sorted({key[:2] for key in lost}):
            starts = sorted(start for m, c, start in lost if (m, c) == (meter, channel))
            end = datetime.fromisoformat(starts[-1]) + timedelta(hours=1)
            gap = {"meter": meter, "channel": channel, "from": starts[0], "to": end.isoformat()}
            gaps.setdefault(behind[meter], []).append(gap)
        assert len(gaps) == 3
        for gateway, asked in gaps.items():
            listener.command(gateway, 17, "backfill", {"gaps": asked})
        for _ in range(3):
            listener.result(17, "done")
        fleet.send_signal(signal.SIGTERM)
        output, _ = fleet.communicate(timeout=20)
    assert listener.values == truth
    assert done(output)["reads_backfilled"] >= len(lost)


def test_firmware_of_a_mebibyte_arrives_over_a_link_that_is_cut(mosquitto, head_end, tmp_path):
    maker, key = key_pair(tmp_path)
    image = hashlib.shake_256(b"firmware").digest(2**20)
    chunks = 128
    listener = head_end(mosquitto.port)
    args = {"version": "1.1.0", "size": len(image), "sha256": hashlib.sha256(image).hexdigest()}
    args |= {"signature": base64.b64encode(maker.sign(image)).decode(), "chunk_bytes": 8192, "chunks": chunks}
    served: list[int] = []
    with playing(mosquitto.port, *LIVE, "--speed", "1", "--firmware-key", key, gateways=1, meters=1):
        listener.await_online("GW-001")
        listener.command("GW-001", 9, "firmware", args)
        while (told := listener.result(9, "progress", "done", "failed"))["state"] == "progress":
            first, end = told["wanted"]
            assert end - first <= 8
            if len(served) == 64:
                mosquitto.kill()
                mosquitto.start()
            for index in range(first, end):
                served.append(index)
                data = base64.b64encode(image[index * 8192 : (index + 1) * 8192]).decode()
                listener.command("GW-001", 9, "firmware_chunk", {"index": index, "data": data})
        assert told == told | {"state": "done", "detail": "runs 1.1.0"}
        assert listener.firmware["GW-001"] == "1.1.0"
    # what it had it kept: at most the chunks that were on their way came again
    assert set(served) == set(range(chunks))
    assert len(served) <= chunks + 16


def test_firmware_with_a_wrong_signature_fails_and_the_old_one_runs_on(mosquitto, head_end, tmp_path):
    _, key = key_pair(tmp_path)
    image = bytes(10_000)
    listener = head_end(mosquitto.port)
    args = {"version": "6.6.6", "size": len(image), "sha256": hashlib.sha256(image).hexdigest()}
    args |= {"signature": base64.b64encode(Ed25519PrivateKey.generate().sign(image)).decode()}
    with playing(mosquitto.port, *LIVE, "--speed", "1", "--firmware-key", key, gateways=1, meters=1):
        listener.await_online("GW-001")
        listener.command("GW-001", 9, "firmware", args | {"chunk_bytes": 10_000, "chunks": 1})
        assert listener.result(9, "progress")["wanted"] == [0, 1]
        listener.command("GW-001", 9, "firmware_chunk", {"index": 0, "data": base64.b64encode(image).decode()})
        assert listener.result(9, "failed")["detail"] == "the signature is not the manufacturer's"
        listener.command("GW-001", 10, "read", {})
        listener.result(10, "done")
        assert listener.firmware["GW-001"] == "1.0.0"


def test_a_gateway_that_restarts_says_so_and_comes_back(mosquitto, head_end):
    listener = head_end(mosquitto.port)
    with playing(mosquitto.port, *LIVE, "--speed", "1", gateways=1, meters=1):
        listener.await_online("GW-001")
        listener.command("GW-001", 1, "restart", {})
        assert listener.result(1, "acknowledged", "done")["state"] == "acknowledged"
        listener.result(1, "done")
        assert listener.offline_at == ["GW-001"]
        listener.command("GW-001", 2, "explode", {})
        assert "expected one of" in listener.result(2, "failed")["detail"]
        listener.command("GW-001", 3, "read", {})
        listener.result(3, "done")
    assert [one["channel"] for one in listener.registers_read] == ["1-0:1.8.0"]


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_key_that_is_none_is_wrong_input(tmp_path, content):
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"--firmware-key: found .*, expected an Ed25519 public key in PEM"):
        read_key(path)
