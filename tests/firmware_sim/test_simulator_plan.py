"""The fault plan as a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_sim.errors import InvalidInput
from firmware_sim.plan import FaultPlan, read_plan


def test_plan_file(tmp_path: Path):
    path = tmp_path / "plan.toml"
    path.write_text("seed = 4\nmissing = 0.01\nmissing_run_hours = [2, 5]\n")
    assert read_plan(path) == FaultPlan(seed=4, missing=0.01, missing_run_hours=(2, 5))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mising = 0.1", "mising: found an unknown key"),
        ("missing = 2", "missing: found 2, expected a share"),
        ("missing = true", "missing: found True"),
        ("seed = 1.5", "seed: found 1.5, expected a whole number"),
        ("missing_run_hours = [5, 2]", r"expected \[least, most\]"),
        ("negative = 0.6\nspikes = 0.6", "one of them a day"),
        ("negative = 0.6\nlost_pulses = 0.6", "one of them a day"),
        ("leak_days = [5]", r"expected \[least, most\] from 1 to 10000 days"),
        ("outage_minutes = [1, 1440]", "from 1 to 1439 minutes"),
        ("clock_drift_ppm = -1", "a number from 0"),
        ("slow_bytes_per_s = 0", "a whole number from 1"),
        ("storm_every_messages = 0.5", "a whole number from 0"),
        ("= 3", "a fault plan in TOML"),
    ],
)
def test_wrong_plan_file_is_one_line(tmp_path: Path, text: str, says: str):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=says):
        read_plan(path)
