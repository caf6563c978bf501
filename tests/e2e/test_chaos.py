"""Everything goes wrong at once, and again and again: nothing is lost, nothing counts twice."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from firmware_sim.messages import GARBAGE, NOBODYS_METER
from headend.store import tables as t
from headend.store.checkpoints import totals
from tests.e2e.chaos import HOUR_S, NOTHING, Aftermath, Chaos, Key, Trouble, Values

SHORT = Trouble(
    gateways=8,
    meters=16,
    days=14,
    bytes_per_s=500,
    up_to=10,
    collector_kills=3,
    processor_kills=1,
    broker_kills=0,
    full_disks=1,
)
LONG = Trouble(
    gateways=30,
    meters=80,
    days=28,
    bytes_per_s=400,
    up_to=25,
    collector_kills=20,
    processor_kills=4,
    broker_kills=3,
    full_disks=3,
)

#: Others: HEADEND_CHAOS_SEEDS="7 8 9".
SEEDS = [int(seed) for seed in os.environ.get("HEADEND_CHAOS_SEEDS", "1 2").split()]


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_counts_twice_in_a_bad_hour(tmp_path: Path):
    happens(tmp_path, SHORT, 1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_and_nothing_counts_twice_in_a_very_bad_month(tmp_path: Path, seed: int):
    happens(tmp_path, LONG, seed)


def happens(folder: Path, trouble: Trouble, seed: int) -> None:
    chaos = Chaos(folder, trouble, seed)
    print(f"seed {seed}, history ends {chaos.end.isoformat()}")
    after = chaos.run()
    messages = Messages(after)
    differences = [
        *values_that_differ(after),
        *second_versions(after),
        *miscounted(after, messages),
        *quarantine_that_differs(after, messages, broker_died=trouble.broker_kills > 0),
        *holes(after),
        *events_that_differ(after),
    ]
    print(json.dumps(after.counts | messages.counts))
    assert not differences, f"seed {seed}: {len(differences)} differences:\n" + "\n".join(differences[:40])
    verify = [sys.executable, "-m", "headend", "journal", "verify", "--config", str(after.config)]
    assert subprocess.run(verify, check=False).returncode == 0


def values_that_differ(after: Aftermath) -> list[str]:
    """Wh for Wh: the store after the history and after the backfill, and the fleet's own record."""
    hours = len(next(iter(after.expected.values())).values)
    start_s = int(after.begin.timestamp())

    def place(moment: str) -> int:
        return (second(moment) - start_s) // HOUR_S

    measured: dict[Key, Values] = defaultdict(lambda: np.full(hours, NOTHING, np.int64))
    with after.truth.open(newline="") as file:
        for line in csv.DictReader(file):
            measured[line["meter"], line["channel"]][place(line["start"])] = int(line["value"])
    lost = defaultdict(list)
    for fact in after.planted["lost_messages"]:
        lost[fact["meter"]].append(slice(place(fact["from"]), place(fact["to"])))
    differ = [] if measured.keys() == after.expected.keys() else ["the fleet's channels are not those delivered"]
    for row, (key, channel) in enumerate(after.expected.items()):
        at_last = np.where(channel.values == NOTHING, NOTHING, measured[key])
        sent = at_last.copy()
        for day in lost[key[0]]:
            sent[day] = NOTHING
        flags = np.where(at_last == NOTHING, after.flags[row], channel.flags)
        for what, found, expected in (
            ("after the history", after.told[row], sent),
            ("at last", after.asked[row], at_last),
            ("flags", after.flags[row], flags),
        ):
            differ += [
                f"{key} hour {hour} {what}: found {found[hour]}, expected {expected[hour]}"
                for hour in np.flatnonzero(found != expected).tolist()
            ]
    return differ


def second_versions(after: Aftermath) -> list[str]:
    """Nobody corrected anything: each interval has one version."""
    versions = t.day_block.c.version
    with after.site.database.read() as tx:
        counts = {
            "superseded intervals": tx.execute(select(func.count()).select_from(t.interval_history)).scalar_one(),
            "days of more versions": tx.execute(select(func.count(versions))).scalar_one(),
            "replaced reads": totals(tx).replaced,
        }
    return [f"{count} {what}" for what, count in counts.items() if count]


class Messages:
    """The journal, read by nobody but this test."""

    def __init__(self, after: Aftermath) -> None:
        corrupt = {fact["sha256"] for fact in after.planted["corrupt"]}
        self.reads = 0
        self.corrupt: dict[int, str] = {}
        self.garbage: set[int] = set()
        self.of_nobody: set[tuple[int, str]] = set()
        for entry in after.site.journal.after(0, 10**9):
            digest = hashlib.sha256(entry.payload).hexdigest()
            if digest in corrupt:
                self.corrupt[entry.offset] = digest
            elif entry.payload == GARBAGE:
                self.garbage.add(entry.offset)
            else:
                self._take(entry.offset, json.loads(entry.payload))
        with after.site.database.read() as tx:
            taken = totals(tx)
        self.counts = {
            "journal": after.site.journal.newest_offset(),
            "messages": after.last["messages"],
            "resent": after.last["resent"],
            "reads": after.last["reads_measured"],
            "backfilled": after.last["reads_backfilled"],
            "stored": taken.stored,
            "duplicates": taken.duplicates,
            "corrupt": len(after.planted["corrupt"]),
            "corrupt_in_journal": len(set(self.corrupt.values())),
            "garbage": len(self.garbage),
        }

    def _take(self, offset: int, message: dict[str, Any]) -> None:
        for place, block in enumerate(message.get("blocks", ())):
            if block["meter"] == NOBODYS_METER:
                self.of_nobody.add((offset, f"blocks.{place}"))
            else:
                self.reads += sum(value is not None for value in block["values"])


def miscounted(after: Aftermath, messages: Messages) -> list[str]:
    """Each read in the journal was stored or is counted as a duplicate; each interval was stored once."""
    with after.site.database.read() as tx:
        counts = totals(tx)
    there = int((after.asked != NOTHING).sum())
    pairs = {
        "reads stored": (counts.stored, there),
        "duplicates": (counts.duplicates, messages.reads - there),
        "messages acknowledged": (after.last["messages_acknowledged"], after.last["messages"]),
        "reads measured": (after.last["reads_measured"], after.asked.size),
    }
    wrong = {what: pair for what, pair in pairs.items() if pair[0] != pair[1]}
    return [f"{what}: found {found}, expected {expected}" for what, (found, expected) in wrong.items()]


def quarantine_that_differs(after: Aftermath, messages: Messages, *, broker_died: bool) -> list[str]:
    """What is no message, or of nobody's meter, is in quarantine with its reason; nothing else is."""
    with after.site.database.read() as tx:
        found = {(row.offset, row.path): (row.fault, row.reason) for row in tx.execute(select(t.quarantine))}
    unreadable = {(offset, "") for offset in messages.corrupt.keys() | messages.garbage}
    expected = dict.fromkeys(unreadable, "not JSON") | dict.fromkeys(messages.of_nobody, "unknown meter")
    differ = [f"{place}: not in quarantine ({fault})" for place, fault in expected.items() if place not in found]
    for place, (fault, reason) in found.items():
        if fault != expected.get(place) or not reason:
            differ.append(f"{place}: {fault} ({reason}), expected {expected.get(place)}")
    if not broker_died:
        delivered = {fact["sha256"] for fact in after.planted["corrupt"] if fact["delivered"]}
        kept = set(messages.corrupt.values())
        differ += [f"corrupt, confirmed by the broker, not in the journal: {sha}" for sha in delivered - kept]
    return differ


def holes(after: Aftermath) -> list[str]:
    """No number is missing in a gateway's sequence but of messages that were never sent."""
    never_sent = {(fact["gateway"], fact["seq"]) for fact in after.planted["lost_messages"]}
    return [
        f"{gateway}: message {seq} is in no journal"
        for gateway, window in after.site.journal.windows().items()
        for first, last in [(1, window.first - 1), *window.missing]
        for seq in range(first, last + 1)
        if (gateway, seq) not in never_sent
    ]


def events_that_differ(after: Aftermath) -> list[str]:
    """Each event was told, and stands there once."""
    told = Counter(
        (fact["gateway"], second(fact["at"]), fact["kind"], fact.get("meter"), fact.get("detail", ""))
        for fact in after.planted["events"]
    )
    e = t.event.c
    with after.site.database.read() as tx:
        stored = Counter(tuple(row) for row in tx.execute(select(e.gateway, e.at_s, e.kind, e.meter, e.detail)))
    wrong = (stored - told) + (told - stored)
    return [f"event {event}: found {stored[event]}, expected {told[event]}" for event in wrong]


def second(moment: str) -> int:
    """Seconds since 1970."""
    return int(datetime.fromisoformat(moment).timestamp())
