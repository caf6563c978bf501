"""The demo's fault plan does to the demo's fleet what the demo promises."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

from firmware_sim.defects import defects
from firmware_sim.happenings import offline
from firmware_sim.inventory import make_shipment
from firmware_sim.meter import ORIGIN
from firmware_sim.plan import read_plan

CONFIG = Path(__file__).parents[2] / "config" / "demo"


def test_one_gateway_of_the_demo_loses_its_link_within_two_days() -> None:
    plan = read_plan(CONFIG / "faults.toml")
    demo = tomllib.loads((CONFIG / "demo.toml").read_text())
    names = [f"GW-{n + 1:03d}" for n in range(-(-demo["meters"] // demo["meters_per_gateway"]))]
    windows = [window for name in names if (window := offline(plan, name, ORIGIN, None))]
    assert len(windows) == 1
    begin, end = windows[0]
    assert ORIGIN <= begin < ORIGIN + 48
    assert end - begin >= 24


def test_a_few_meters_of_the_demo_are_defective() -> None:
    demo = tomllib.loads((CONFIG / "demo.toml").read_text())
    shipment = make_shipment(-(-demo["meters"] // demo["meters_per_gateway"]), demo["meters"], demo["seed"])
    found = defects(read_plan(CONFIG / "faults.toml"), shipment.meters, ORIGIN)
    assert Counter(each.kind for each in found) == {"leaks": 1, "stuck": 1, "bypasses": 2}
    assert len({each.meter for each in found}) == 4
