"""The demo path, as `make demo` takes it: reconciled to the Wh, billed, written as three kinds of document."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import urllib.request
from decimal import Decimal
from pathlib import Path

from tests.servers import Influxd, await_port, free_port

DEMO = [sys.executable, "-m", "headend", "demo"]


def test_demo_once_reconciles_to_the_watt_hour_also_where_another_one_ran(tmp_path: Path):
    for size in (["--meters", "2", "--days", "5"], ["--meters", "24"]):
        command = [*DEMO, "--once", "--dir", "out", *size]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    out = tmp_path / "out"
    summary = json.loads((out / "summary.json").read_text())
    assert summary["difference_wh"] == 0
    assert summary["intervals_missing"] == 0
    assert summary["reads_sent"] == summary["reads_stored"]
    assert summary["intervals_estimated"] > 0
    assert summary["quarantined"] > 0
    assert summary["duplicates_dropped"] > 0
    assert summary["statements"] == summary["accounts"] > 0
    with (out / "truth.csv").open() as truth:
        assert summary["intervals_measured"] == sum(1 for _ in truth) - 1

    documents = [json.loads(path.read_text()) for path in (out / "statements").glob("*.json")]
    assert len(documents) == summary["statements"]
    assert sum(Decimal(d["totals"]["gross"]) for d in documents) == Decimal(summary["money_billed"]["EUR"])
    for document in documents:
        lines = [line for segment in document["segments"] for line in segment["lines"]]
        assert sum(Decimal(line["amount"]) for line in lines) == Decimal(document["totals"]["gross"])
    for kind in ("html", "pdf"):
        assert {path.stem for path in (out / "statements").glob(f"*.{kind}")} == {d["id"] for d in documents}


def test_demo_on_influxdb_bills_out_of_it(tmp_path: Path, influxd: Influxd):
    command = [*DEMO, "--once", "--dir", "out", "--meters", "8", "--days", "16", "--store", "influx"]
    command += ["--influx-url", influxd.url, "--influx-org", influxd.ORG]
    token = {"HEADEND_INFLUX__TOKEN": influxd.TOKEN}
    ended = subprocess.run(command, cwd=tmp_path, env=os.environ | token, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["difference_wh"], summary["intervals_missing"]) == (0, 0)
    assert summary["statements"] == summary["accounts"] > 0

    # What InfluxDB says is what the meters counted, but for what was never told and had to be estimated.
    asked = 'from(bucket: "headend-demo-reads") |> range(start: 0) |> filter(fn: (r) => r._measurement == "reads")'
    measured = f'{asked} |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'
    measured += " |> filter(fn: (r) => r.quality > 0 and r.quality < 5)"
    stored = {(row["meter"], row["channel"], row["_time"]): int(row["value"]) for row in influxd.rows(measured)}
    with (tmp_path / "out" / "truth.csv").open() as truth:
        told = {(row["meter"], row["channel"], row["start"]): int(row["value"]) for row in csv.DictReader(truth)}
    assert len(stored) == summary["intervals_measured"] - summary["intervals_estimated"]
    assert {key: told[key] for key in stored} == stored


def test_influxdb_that_is_not_there_is_said_in_one_line(tmp_path: Path):
    nowhere = f"http://127.0.0.1:{free_port()}"
    ended = subprocess.run(
        [*DEMO, "--once", "--store", "influx", "--influx-url", nowhere],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"headend: InfluxDB at {nowhere} does not answer")


def test_live_demo_serves_pages_and_stops_at_ctrl_c(tmp_path: Path):
    port = free_port()
    command = [*DEMO, "--dir", "out", "--meters", "3", "--days", "5", "--port", str(port)]
    demo = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said = []
        for line in demo.stdout:
            said.append(line)
            if "Ctrl-C" in line:
                break
        assert demo.poll() is None, "".join(said)
        await_port(port)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/login", timeout=10) as page:
            assert "password" in page.read().decode().lower()
        demo.send_signal(signal.SIGINT)
        rest, _ = demo.communicate(timeout=60)
        assert demo.returncode == 0, rest
        assert "Traceback" not in rest
    finally:
        demo.kill()
        demo.wait()
