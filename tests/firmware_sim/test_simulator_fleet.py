"""A whole fleet against a real broker and a head-end that loses messages, dies, or never answers."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from amqtt.broker import Broker

PLAN = """
seed = 3
missing = 0.01
missing_runs = 0.05
negative = 0.03
spikes = 0.05
lost = 0.05
duplicates = 0.2
unknown_meters = 0.1
garbage = 0.2
future = 0.1
"""
HISTORY = ("--from", "2026-08-31T22:00:00Z", "--to", "2026-09-14T00:00:00+02:00")


def command(port: int, *more: str, gateways: int = 3, meters: int = 20) -> list[str]:
    fleet = ["fleet", "--gateways", str(gateways), "--meters", str(meters), "--mqtt", f"mqtt://127.0.0.1:{port}"]
    return [sys.executable, "-m", "firmware_sim", *fleet, *more]


def done(output: str) -> dict:
    events = [json.loads(line) for line in output.splitlines()]
    assert events[-1]["event"] == "done"
    return events[-1]


def read_truth(path: Path) -> dict[tuple[str, str, str], int]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    truth = {(row["meter"], row["channel"], row["start"]): int(row["value"]) for row in rows}
    assert len(truth) == len(rows)
    assert {row["interval_s"] for row in rows} == {"3600"}
    return truth


def check_against_truth(head_end, truth: dict, totals: dict) -> None:
    planted = totals["planted"]
    assert totals["reads_measured"] == len(truth)
    assert set(head_end.values) <= set(truth)
    assert len(truth) - len(head_end.values) == planted.get("lost_reads", 0)
    assert sum(value is None for value in head_end.values.values()) == planted["missing"]
    told = {key: value for key, value in head_end.values.items() if value is not None}
    assert len(told) == totals["reads_sent"]
    assert sum(truth[key] != value for key, value in told.items()) == planted["bad"]
    for (meter, channel), registers in head_end.registers.items():
        ends = sorted(registers)
        between = sum(v for (m, c, at), v in truth.items() if (m, c) == (meter, channel) and ends[0] < at <= ends[-1])
        dial = 10**9 if channel.startswith("1-0:") else 10**8
        assert (registers[ends[-1]] - registers[ends[0]]) % dial == between


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_head_end_that_loses_a_third_ends_up_with_the_truth(mosquitto, head_end, tmp_path, protocol):
    plan, truth = tmp_path / "plan.toml", tmp_path / "truth.csv"
    plan.write_text(PLAN)
    listener = head_end(mosquitto.port, loses=0.33)
    options = (
        "--faults",
        str(plan),
        "--truth",
        str(truth),
        "--progress",
        "--resend-after",
        "0.5",
        "--protocol",
        protocol,
    )
    run = subprocess.run(
        command(mosquitto.port, *HISTORY, *options), capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    totals = done(run.stdout)
    check_against_truth(listener, read_truth(truth), totals)
    planted = totals["planted"]
    assert listener.lost > 5
    assert totals["resent"] >= listener.lost - planted["duplicates"]
    assert totals["messages"] == totals["messages_acknowledged"] == listener.messages
    assert listener.garbage == planted["garbage"] > 0
    assert listener.foreign == planted["unknown_meters"] + planted["future"] > 0
    assert all(planted[name] > 0 for name in ("missing", "bad", "lost_messages", "duplicates"))


def test_history_survives_a_killed_broker(mosquitto, head_end, tmp_path):
    truth = tmp_path / "truth.csv"
    listener = head_end(mosquitto.port)
    listener.deaf = True
    options = ("--truth", str(truth), "--progress", "--resend-after", "0.5")
    with subprocess.Popen(command(mosquitto.port, *HISTORY, *options), stdout=subprocess.PIPE, text=True) as fleet:
        assert listener.heard.wait(20)
        mosquitto.kill()
        mosquitto.start()
        listener.deaf = False
        output, _ = fleet.communicate(timeout=60)
    assert fleet.returncode == 0
    check_against_truth(listener, read_truth(truth), done(output))


def test_live_hours_follow_the_history_until_sigterm(mosquitto, head_end, tmp_path):
    truth = tmp_path / "truth.csv"
    listener = head_end(mosquitto.port)
    times = ("--from", "2026-08-31T22:00:00Z", "--live-from", "2026-09-02T22:00:00Z", "--speed", "72000")
    options = (*times, "--truth", str(truth), "--progress")
    with subprocess.Popen(command(mosquitto.port, *options), stdout=subprocess.PIPE, text=True) as fleet:
        seen = (json.loads(line) for line in fleet.stdout)
        live = next(one for one in seen if one["event"] == "live")
        next(one for one in seen if one["reads_measured"] > 49 * 24)  # of 20 meters, 4 with a second channel
        assert (live["sim_time"], live["speed"]) == ("2026-09-02T22:00:00Z", 72000.0)
        assert abs(datetime.now(UTC) - datetime.fromisoformat(live["since"])) < timedelta(minutes=1)
        assert set(listener.status.values()) == {True}
        fleet.send_signal(signal.SIGTERM)
        output, _ = fleet.communicate(timeout=10)
    assert fleet.returncode == 0
    totals = done(output)
    held = read_truth(truth)
    assert totals["reads_measured"] == len(held)
    latest = max(start for _, _, start in held)
    assert latest >= "2026-09-02T23:00:00Z"


def test_live_hours_end_at_to_and_all_of_them_arrive(mosquitto, head_end, tmp_path):
    truth = tmp_path / "truth.csv"
    listener = head_end(mosquitto.port)
    times = ("--live-from", "2026-09-10T22:00:00Z", "--speed", "360000")
    run = subprocess.run(
        command(mosquitto.port, *HISTORY, *times, "--truth", str(truth), "--progress", gateways=2, meters=5),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    held = read_truth(truth)
    assert max(start for _, _, start in held) == "2026-09-13T21:00:00Z"
    assert len(held) == len({(m, c) for m, c, _ in held}) * 13 * 24
    check_against_truth(listener, held, done(run.stdout) | {"planted": {"missing": 0, "bad": 0}})


def test_nobody_answers(mosquitto):
    run = subprocess.run(
        command(mosquitto.port, *HISTORY, "--patience", "0.5"), capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 1
    assert run.stderr == ("firmware-sim: no acknowledgement for 0.5 s (3 of 3 gateways wait; the broker is there)\n")


async def test_amqtt_carries_a_fleet_too(head_end, tmp_path, unused_tcp_port):
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{unused_tcp_port}"}}
    broker = Broker({"listeners": listeners, "plugins": plugins})
    await broker.start()
    listener = await asyncio.to_thread(head_end, unused_tcp_port)
    truth = tmp_path / "truth.csv"
    fleet = await asyncio.create_subprocess_exec(
        *command(unused_tcp_port, *HISTORY, "--truth", str(truth), "--progress"), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(fleet.communicate(), 60)
    assert fleet.returncode == 0
    check_against_truth(listener, read_truth(truth), done(output.decode()))
    await asyncio.to_thread(listener.close)
    await broker.shutdown()


GOOD = ("--gateways", "1", "--meters", "1", "--mqtt", "mqtt://127.0.0.1:1", "--from", "2026-01-01T00:00:00Z")
DAY = ("--to", "2026-01-02T00:00:00Z")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Missing command"),
        (("fleet",), "Missing option '--gateways'"),
        (("fleet", *GOOD), "--to: found nothing"),
        (("fleet", *GOOD, "--to", "2026-01-02"), "--to: found 2026-01-02, expected an offset or Z"),
        (("fleet", *GOOD, "--to", "2026-01-02T00:30:00Z"), "a whole hour"),
        (("fleet", *GOOD, "--to", "2026-01-01T00:00:00Z"), "a time after --from"),
        (("fleet", *GOOD, *DAY, "--live-from", "2026-01-03T00:00:00Z"), "a time after --live-from"),
        (("fleet", *GOOD, *DAY, "--mqtt", "http://x"), "mqtt://HOST:PORT"),
        (("fleet", *GOOD, *DAY, "--protocol", "4"), "--protocol: found 4, expected 3.1.1 or 5"),
        (("fleet", *GOOD, *DAY, "--timezone", "Mars/Base"), "--timezone: found Mars/Base"),
        (("fleet", *GOOD, *DAY, "--speed", "0"), "--speed: found 0"),
        (("fleet", *GOOD, *DAY, "--faults", "/nonexistent.toml"), "a fault plan in TOML"),
        (("fleet", *GOOD, *DAY, "--truth", "/nonexistent/truth.csv"), "--truth: found"),
        (("inventory", "--gateways", "1", "--meters", "-4"), "--meters: found -4"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(capsys, monkeypatch, arguments, says):
    from firmware_sim.cli import main  # noqa: PLC0415

    monkeypatch.setattr(sys, "argv", ["firmware-sim", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert re.search(re.escape(says), error)
    assert error.count("\n") == 1


def test_inventory_command_writes_the_shipment_file(capsys, monkeypatch, tmp_path):
    from firmware_sim.cli import main  # noqa: PLC0415

    path = tmp_path / "shipment.json"
    options = ["inventory", "--gateways", "2", "--meters", "10", "--seed", "4"]
    for argv in ([*options, "-o", str(path)], options):
        monkeypatch.setattr(sys, "argv", ["firmware-sim", *argv])
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
    assert json.loads(path.read_text()) == json.loads(capsys.readouterr().out)
