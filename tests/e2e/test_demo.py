"""The demo path, as `make demo` takes it: reconciled to the Wh, billed, written as three kinds of document."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from decimal import Decimal
from pathlib import Path

from tests.servers import await_port, free_port

DEMO = [sys.executable, "-m", "headend", "demo"]


def test_demo_once_reconciles_to_the_watt_hour(tmp_path: Path):
    ended = subprocess.run(
        [*DEMO, "--once", "--dir", "out", "--meters", "24"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
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


def test_demo_runs_twice_in_the_same_folder(tmp_path: Path):
    command = [*DEMO, "--once", "--dir", "out", "--meters", "2", "--days", "5"]
    for _ in range(2):
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
