"""100,000 simulated meters, one process: how long until an hour of all of them is durable in the head-end.

The simulator plays 1,000 gateways over as many connections to a real Mosquitto; the head-end's collector appends to its
journal and acknowledges. The time is the simulator's, from its start to the last acknowledgement. All of it shares the
machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.collector import Ours
from benchmarks.table import show
from tests.servers import Mosquitto

SPANS = {"an hour": "2026-10-01T01:00:00Z", "a day": "2026-10-02T00:00:00Z"}
BEGIN = "2026-10-01T00:00:00Z"


def play(gateways: int, meters: int, end: str) -> tuple[dict, float]:
    """What the fleet says at its end, and the seconds it took."""
    with tempfile.TemporaryDirectory() as name:
        broker = Mosquitto(Path(name))
        collector = Ours(Path(name), broker.port, "5")
        collector.start()
        fleet = [
            "fleet",
            "--gateways",
            str(gateways),
            "--meters",
            str(meters),
            "--mqtt",
            f"mqtt://127.0.0.1:{broker.port}",
        ]
        span = ["--from", BEGIN, "--to", end, "--registers-from", BEGIN]
        try:
            began = time.perf_counter()
            run = subprocess.run(
                [sys.executable, "-m", "firmware_sim", *fleet, *span], capture_output=True, text=True, check=False
            )
            seconds = time.perf_counter() - began
            if run.returncode:
                raise SystemExit(run.stderr)
            return json.loads(run.stdout), seconds
        finally:
            collector.stop()
            broker.kill()


def main(quick: bool = False) -> None:
    """Print the table."""
    gateways, meters = (100, 10_000) if quick else (1_000, 100_000)
    rows = []
    for what, end in SPANS.items():
        told, seconds = play(gateways, meters, end)
        reads = told["reads_sent"]
        rows.append((what, f"{reads:,}", f"{told['messages']:,}", f"{seconds:.1f}", f"{reads / seconds:,.0f}"))
    show(
        f"Fleet: {meters:,} meters behind {gateways:,} gateways → Mosquitto → durable and acknowledged",
        ("of each meter", "reads", "messages", "seconds", "reads/s"),
        rows,
    )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"\nNeither simulator nor broker took more than {peak:,.0f} MiB.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
