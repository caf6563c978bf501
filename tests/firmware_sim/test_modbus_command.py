"""`firmware-sim modbus` as a process: its clock, its truth, its many devices, and wrong input."""

from __future__ import annotations

import csv
import socket
import struct
import subprocess
import sys
from datetime import UTC, datetime
from itertools import accumulate
from urllib.parse import urlsplit

import pytest

from firmware_sim.cli import main
from firmware_sim.inventory import make_shipment
from firmware_sim.meter import ORIGIN, Meter
from tests.firmware_sim.modbus import line, simulator

IMPORT = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 3203, 4)


def connected(meter: dict) -> socket.socket:
    where = urlsplit(meter["address"])
    return socket.create_connection((where.hostname, where.port), timeout=10)


def register(master: socket.socket, unit: int = 1) -> int:
    """The import register of an iEM3155 [Wh]."""
    master.sendall(IMPORT[:6] + bytes((unit,)) + IMPORT[7:])
    answer = b""
    while len(answer) < 17:
        answer += (more := master.recv(17 - len(answer)))
        assert more
    return int.from_bytes(answer[9:], "big")


def test_registers_on_a_fast_clock_add_up_to_the_truth_file(tmp_path):
    truth = tmp_path / "truth.csv"
    since = datetime.now(UTC).isoformat()
    clock = ("--live-from", "2026-01-01T00:00:00Z", "--speed", "36000", "--since", since, "--tick", "3600")
    with simulator("schneider-iem3155", "--register", "0", "--truth", str(truth), *clock) as [meter]:
        seen = set()
        with connected(meter) as master:
            while len(seen) < 12:
                seen.add(register(master))
    with truth.open(newline="") as file:
        rows = list(csv.DictReader(file))
    used = Meter(make_shipment(1, 1, 1).meters[0], 1, "Europe/Berlin").measure(ORIGIN, ORIGIN + 1000)[0].values
    first = datetime.fromisoformat(rows[0]["start"])
    began = int((first - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds()) // 3600
    assert [int(row["value"]) for row in rows] == used[began : began + len(rows)].tolist()
    assert {(row["meter"], row["channel"], row["interval_s"]) for row in rows} == {("E-20001", "1-0:1.8.0", "3600")}
    assert seen <= set(accumulate(used.tolist(), initial=0))
    assert max(seen) <= used[: began + len(rows)].sum()


def test_each_device_is_another_meter_at_another_address():
    with simulator("schneider-iem3155", "--devices", "300", "--meters", "500") as meters:
        assert len({meter["address"] for meter in meters}) == len({meter["meter"] for meter in meters}) == 300
        assert {meter["unit"] for meter in meters} == {1}
        specs = {spec.meter: spec for spec in make_shipment(1, 500, 1).meters}
        for meter in (meters[0], meters[255], meters[299]):
            first = Meter(specs[meter["meter"]], 1, "Europe/Berlin").measure(ORIGIN, ORIGIN + 1)[0]
            with connected(meter) as master:
                assert register(master) == first.registers[0]


def test_units_at_one_address_are_the_named_meters_and_each_has_its_faults():
    names = ("--meter", "E-20003", "--meter", "E-20001", "--meters", "12", "--fault", "11:nan")
    with simulator("schneider-iem3155", "--unit", "10", "--register", "0", *names) as meters:
        assert [(meter["meter"], meter["unit"]) for meter in meters] == [("E-20003", 10), ("E-20001", 11)]
        with connected(meters[0]) as master:
            assert (
                register(master, 10)
                == Meter(make_shipment(1, 12, 1).meters[2], 1, "Europe/Berlin").measure(ORIGIN, ORIGIN + 1)[0].values[0]
            )
            assert register(master, 11) == 1 << 63


def test_it_ends_when_the_serial_line_is_gone():
    with line() as (_, there):
        command = [sys.executable, "-m", "firmware_sim", "modbus", "--profile", "eastron-sdm120", "--serial", there]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        process.stdout.readline()
    with process:
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "found neither, expected one of --tcp and --serial"),
        (["--tcp", "127.0.0.1:0", "--serial", "/dev/null"], "found both"),
        (["--tcp", "1502"], "--tcp: found 1502, expected HOST:PORT"),
        (["--tcp", "192.0.2.1:0"], "an address of this machine"),
        (["--serial", "/dev/null"], "--serial: found"),
        (["--tcp", "127.0.0.1:0", "--meter", "G-20010", "--meters", "12"], "--meter: found G-20010"),
        (["--tcp", "127.0.0.1:0", "--devices", "9"], "--devices: found 9, expected at most 1"),
        (["--tcp", "localhost:0", "--devices", "1"], "an IP address"),
        (["--tcp", "127.0.0.1:0", "--unit", "248"], "--unit: found 248"),
        (["--tcp", "127.0.0.1:0", "--live-from", "yesterday"], "--live-from: found yesterday"),
        (["--tcp", "127.0.0.1:0", "--live-from", "2026-01-01T00:00:00Z", "--speed", "0"], "--speed: found 0"),
        (["--tcp", "127.0.0.1:0", "--timezone", "Mars"], "--timezone: found Mars"),
        (["--tcp", "127.0.0.1:0", "--tick", "0"], "--tick: found 0"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(options, complaint, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["firmware-sim", "modbus", "--profile", "schneider-iem3155", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (complained,) = capsys.readouterr().err.splitlines()
    assert complaint in complained
