"""A simulated fleet against a real head-end, and the comparison of both sides' records."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np

from headend.app import open_site
from headend.process import Intake
from headend.reads.quality import Quality
from headend.registry.registry import enrolled_channels
from headend.site import Site
from headend.store.checkpoints import totals

SIMULATOR = [sys.executable, "-m", "firmware_sim"]
SEED = "11"


def shipment(gateways: int, meters: int) -> dict:
    """What the manufacturer says was delivered."""
    command = [*SIMULATOR, "inventory", "--gateways", str(gateways), "--meters", str(meters), "--seed", SEED]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def write_site_file(path: Path, delivered: dict, installed: str) -> None:
    """The shipment as a site file: every meter at a usage point of its own premise, nobody billed."""
    lines = ["gateways = " + json.dumps(delivered["gateways"])]
    for premise in sorted({meter["premise"] for meter in delivered["meters"]}):
        lines += ["[[usage_points]]", f'id = "{premise}"', 'address = "here"', 'timezone = "Europe/Berlin"']
    for meter in delivered["meters"]:
        lines += ["[[meters]]", f'meter = "{meter["meter"]}"', f'commodity = "{meter["commodity"]}"']
        lines += [f'usage_point = "{meter["premise"]}"', f'gateway = "{meter["gateway"]}"', f"installed = {installed}"]
        for channel in meter["channels"]:
            lines += ["[[meters.channels]]", f'channel = "{channel["channel"]}"']
            lines += [f"{key} = {channel[key]}" for key in ("interval_s", "max_per_interval", "register_digits")]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def play(gateways: int, meters: int, port: int, start: str, end: str, truth: Path, *more: str) -> subprocess.Popen:
    """The fleet as a process; it ends with 0 once everything is acknowledged, or where it has no end when stopped."""
    command = [*SIMULATOR, "fleet", "--gateways", str(gateways), "--meters", str(meters), "--seed", SEED]
    command += ["--mqtt", f"mqtt://127.0.0.1:{port}", "--from", start, "--truth", str(truth), *more]
    command += ["--to", end] if end else []
    return subprocess.Popen(command)


def differences(site: Site, truth: Path) -> list[tuple[str, str, str, int, int | None]]:
    """Every interval in which truth and store differ: meter, channel, start, true value, stored value."""
    with truth.open(newline="") as file:
        rows = list(csv.DictReader(file))
    starts = sorted({row["start"] for row in rows})
    first, last = (int(datetime.fromisoformat(moment).timestamp()) for moment in (starts[0], starts[-1]))
    with site.database.read() as tx:
        channels = enrolled_channels(tx)
        keys = [(c.meter, c.channel.code) for c in channels]
        profiles = site.store.profiles(tx, keys, first, last + 3600, 3600)
    row_of = {(c.meter_name, c.channel.obis): row for row, c in enumerate(channels)}
    missing = profiles.quality == Quality.MISSING
    assert len(rows) == profiles.values.size - np.count_nonzero(missing), (
        "the store holds what nobody measured, or less"
    )
    wrong = []
    for row in rows:
        at = (
            row_of[row["meter"], row["channel"]],
            (int(datetime.fromisoformat(row["start"]).timestamp()) - first) // 3600,
        )
        stored = None if missing[at] else int(profiles.values[at])
        if stored != int(row["value"]):
            wrong.append((row["meter"], row["channel"], row["start"], int(row["value"]), stored))
    return wrong


def processed(site_config: Path) -> Intake:
    """All that is in the journal, taken in."""
    intake = Intake(open_site(site_config))
    while intake.step():
        pass
    return intake


def stored_once(site: Site, truth: Path, site_config: Path) -> None:
    """All that was measured is in the store once what the journal has is taken in, and the journal is whole."""
    processed(site_config)
    assert differences(site, truth) == []
    assert site.journal.verify() == site.journal.newest_offset()
    with site.database.read() as tx:
        counts = totals(tx)
    with truth.open() as rows:
        assert counts.stored == sum(1 for _ in rows) - 1
    assert counts.replaced == 0
