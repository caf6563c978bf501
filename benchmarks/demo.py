"""The demo, as `headend demo --once` runs it: simulated gateways to written statements, 200 meters × 61 days."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import show


def run(meters: int, days: int) -> tuple[float, dict[str, int]]:
    """Seconds of the whole process, and its summary."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "headend", "demo", "--once", "--dir", folder]
        began = time.perf_counter()
        subprocess.run([*command, "--meters", str(meters), "--days", str(days)], check=True, capture_output=True)
        return time.perf_counter() - began, json.loads((Path(folder) / "summary.json").read_text())


def main(quick: bool = False) -> None:
    """Print the table."""
    meters, days, repeats = (20, 31, 1) if quick else (200, 61, 3)
    runs = [run(meters, days) for _ in range(repeats)]
    seconds = statistics.median(taken for taken, _ in runs)
    summary = runs[0][1]
    show(
        f"Demo: demo --once, {meters} meters × {days} days (median of {repeats})",
        ("figure", "value"),
        [
            ("seconds, process start to end", f"{seconds:.1f}"),
            ("reads stored", f"{summary['reads_stored']:,}"),
            ("statements (JSON, HTML, PDF)", f"{summary['statements']:,}"),
            ("difference to the truth [Wh]", f"{summary['difference_wh']}"),
        ],
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
