"""A field and a head-end in which everything goes wrong at once, and what must be true when it is over.

A simulated fleet tells weeks of history over a real broker, after a fault plan, while the head-end's processes and the
broker are killed and the disk fills up. All chance comes from one seed; the history ends at the last midnight, because
a running head-end only asks gateways for what its own clock calls recent.

The history is told first, and looked at before anybody asks for anything: what a gateway sent must be there without
help. Then the jobs role asks for what was lost, and the field's own record is all there is to compare with.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from firmware_sim.faults import Planter
from firmware_sim.happenings import MeterEvents
from firmware_sim.inventory import make_shipment
from firmware_sim.meter import Bank
from firmware_sim.plan import read_plan
from headend.app import open_site
from headend.registry.registry import enrolled_channels
from headend.site import Site
from headend.store import tables as t
from headend.store.checkpoints import checkpoint
from headend.store.commands import OPEN
from tests.e2e.fleets import SEED, shipment, write_site_file
from tests.e2e.watched import Fleet, Role, await_that
from tests.servers import Mosquitto

HOUR_S, DAY = 3600, timedelta(days=1)
NOTHING = -1
"""In place of a value: there is none. No meter of this field counts backwards."""

Key = tuple[str, str]
"""Meter and OBIS code."""
Values = NDArray[np.int64]
Flags = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Trouble:
    """How large the field is, and how often what is struck.

    Parameters
    ----------
    bytes_per_s
        what a gateway's link carries: sets the pace.
    up_to
        so many journal entries lie between two blows at most.
    """

    gateways: int
    meters: int
    days: int
    bytes_per_s: int
    up_to: int
    collector_kills: int
    processor_kills: int
    broker_kills: int
    full_disks: int

    def blows(self, chance: random.Random) -> list[str]:
        """What is struck, in the order it is."""
        counts = {
            "kill collector": self.collector_kills,
            "kill processor": self.processor_kills,
            "kill broker": self.broker_kills,
            "deny collector": self.full_disks,
            "deny processor": self.full_disks // 2,
        }
        blows = [blow for blow, count in counts.items() for _ in range(count)]
        chance.shuffle(blows)
        return blows


FAULTS = """
seed = {seed}
missing = 0.004
missing_runs = 0.01
lost = 0.02
duplicates = 0.05
unknown_meters = 0.02
garbage = 0.03
rollovers = 0.1
dropped = 0.05
reordered = 0.1
corrupt = 0.08
tamper = 0.005
outages = 0.01
clock_jumps = 0.03
reboots = 0.02
slow_links = 1.0
slow_bytes_per_s = {bytes_per_s}
storm_every_messages = 400
"""


@dataclass(frozen=True, slots=True)
class Expected:
    """What one channel's meter says of its history, arrays of shape (hours,)."""

    values: Values
    flags: Flags


@dataclass(frozen=True, slots=True)
class Aftermath:
    """All is over: what everybody's records say.

    Parameters
    ----------
    expected
        by channel, what its meter says if it is listened to long enough.
    told, asked
        values in the store after the history and after the backfill (channels, hours), in the order of `expected`.
    flags
        … and the flags at last.
    last, planted
        the fleet's own counts, and its record of what it planted where.
    counts
        seconds, and blows by kind.
    """

    site: Site
    config: Path
    begin: datetime
    expected: dict[Key, Expected]
    told: Values
    asked: Values
    flags: Flags
    truth: Path
    last: dict[str, Any]
    planted: dict[str, list[dict[str, Any]]]
    counts: Counter[str]


class Chaos:
    """One field and one head-end, from the first message to the last."""

    def __init__(self, folder: Path, trouble: Trouble, seed: int) -> None:
        self._folder, self._trouble = folder, trouble
        self.end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self._begin = self.end - trouble.days * DAY
        self._chance = random.Random(seed)
        self._protocol = self._chance.choice(("3.1.1", "5"))
        (folder / "faults.toml").write_text(FAULTS.format(seed=seed, bytes_per_s=trouble.bytes_per_s))
        # Removed where the history ends: nobody is asked for what came after.
        service = f"{self._begin.isoformat()}\nremoved = {self.end.isoformat()}"
        write_site_file(folder / "fleet.toml", shipment(trouble.gateways, trouble.meters), service)
        self._expected = dict(self._told())
        self._counts: Counter[str] = Counter()

    def run(self) -> Aftermath:
        """Everything; all processes have ended afterwards."""
        with ExitStack() as running:
            self._broker = Mosquitto(self._folder)
            running.callback(self._broker.kill)
            self._collector, self._processor, self._jobs = (
                Role(self._folder, self._settings(self._broker.port), role) for role in ("collect", "process", "jobs")
            )
            self._site = open_site(self._collector.config)
            self._began = time.monotonic()
            for role in (self._collector, self._processor):
                role.start()
                running.callback(role.kill)
            # From here on the broker keeps what the collector is not there for.
            self._collector.await_word("collecting")
            size = ["--gateways", str(self._trouble.gateways), "--meters", str(self._trouble.meters), "--seed", SEED]
            way = ["--mqtt", f"mqtt://127.0.0.1:{self._broker.port}", "--protocol", self._protocol]
            self._fleet = Fleet(self._folder, self._begin, self.end, *size, *way, "--resend-after", "10")
            running.callback(self._fleet.kill)
            told = self._history()
            self._jobs.start()
            running.callback(self._jobs.kill)
            asked, flags = self._backfill()
            last, planted = self._fleet.end()
            self._await_intake()
            assert [self._collector.stop(), self._processor.stop()] == [0, 0]
        self._counts["seconds"] = round(time.monotonic() - self._began)
        records = (self._fleet.truth, last, planted, self._counts)
        return Aftermath(self._site, self._collector.config, self._begin, self._expected, told, asked, flags, *records)

    def _settings(self, port: int) -> dict[str, dict[str, object]]:
        never = 10**8
        return {
            "site": {"registry": "fleet.toml"},
            "log": {"level": "info"},
            "mqtt": {"embedded": False, "port": port, "protocol": self._protocol},
            # Many small transactions: many places to die in.
            "collect": {"commit_messages": 3, "acknowledge_every_ms": 20},
            "process": {"batch_messages": 7, "poll_ms": 20},
            "commands": {"backfill_after_s": 2, "backfill_days": 60, "retry_after_s": 1, "look_every_ms": 50},
            "jobs": {"backfill_every_s": 1, "settle_every_s": never, "bill_every_s": never},
        }

    # -- what happens --

    def _history(self) -> Values:
        """The fleet tells its history under blows; what is stored when all of it is acknowledged and taken in."""
        for blow in self._trouble.blows(self._chance):
            self._await_entries(self._chance.randint(1, self._trouble.up_to))
            assert not self._fleet.has_told_its_history, "the history was too short for all blows"
            self._strike(blow)
        await_that(lambda: self._fleet.has_told_its_history, "the end of the history", 300)
        self._await_intake()
        self._note("the history is told")
        return self._stored()[0]

    def _backfill(self) -> tuple[Values, Flags]:
        """Gateways are asked for what was lost, under some more blows; what is stored when it is there."""
        known = sum(np.count_nonzero(channel.values != NOTHING) for channel in self._expected.values())
        for blow in ("kill collector", "kill processor", "kill broker")[: self._trouble.broker_kills]:
            self._await_entries(self._chance.randint(1, self._trouble.gateways // 2))
            self._strike(blow)
        await_that(lambda: np.count_nonzero(self._stored()[0] != NOTHING) == known, "what the meters still know")
        self._note("all is there")
        assert self._jobs.stop() == 0
        await_that(self._commands_are_answered, "an answer to every command")
        self._fleet.await_acknowledgement()
        self._await_intake()
        return self._stored()

    def _strike(self, blow: str) -> None:
        self._note(blow)
        self._counts[blow] += 1
        how, whom = blow.split()
        roles = {"collector": self._collector, "processor": self._processor}
        struck: Role | Mosquitto = roles.get(whom, self._broker)
        if isinstance(struck, Role) and how == "deny":
            struck.await_word("head-end is up")
            struck.fill_disk()
            struck.await_word({"collector": "journal refused a commit", "processor": "intake failed"}[whom])
            if self._counts[blow] % 2:
                struck.free_disk()
                return  # every other time somebody makes room and starts it anew
        struck.kill()
        struck.start()

    def _note(self, what: str) -> None:
        """For whoever reads why it failed."""
        newest = self._site.journal.newest_offset()
        print(f"{time.monotonic() - self._began:6.1f} s: {what} at journal entry {newest}", flush=True)

    def _await_entries(self, more: int) -> None:
        """Until the journal has so many more entries."""
        wanted = self._site.journal.newest_offset() + more
        await_that(lambda: self._site.journal.newest_offset() >= wanted, f"{more} more journal entries")

    def _await_intake(self) -> None:
        """Until all that is in the journal is in the store."""

        def caught_up() -> bool:
            with self._site.database.read() as tx:
                return checkpoint(tx) == self._site.journal.newest_offset()

        await_that(caught_up, "intake")

    # -- what should be, and what is --

    def _told(self) -> Iterator[tuple[Key, Expected]]:
        """What each channel's meter says if it is listened to long enough, by the simulator's own rules."""
        begin, end = (int(moment.timestamp()) // HOUR_S for moment in (self._begin, self.end))
        faults = read_plan(self._folder / "faults.toml")
        meters = make_shipment(self._trouble.gateways, self._trouble.meters, int(SEED)).meters
        planter = Planter(faults, MeterEvents(faults, meters), begin, end)
        alike = groupby(sorted(meters, key=lambda m: (m.commodity, m.kind)), lambda m: (m.commodity, m.kind))
        for _, bank in alike:
            for table in Bank([*bank], int(SEED), "Europe/Berlin").measure(begin, end):
                reported = planter.report(table)
                values = np.where(reported.missing, NOTHING, table.values)
                for row, spec in enumerate(table.meters):
                    yield (spec.meter, table.channel.channel), Expected(values[row], reported.quality[row])

    def _stored(self) -> tuple[Values, Flags]:
        """Values and flags as they stand in the store, (channels, hours), channels in the order of what is expected."""
        site = self._site
        first, end = int(self._begin.timestamp()), int(self.end.timestamp())
        with site.database.read() as tx:
            key_of = {(c.meter_name, c.channel.obis): (c.meter, c.channel.code) for c in enrolled_channels(tx)}
            profiles = site.store.profiles(tx, [key_of[key] for key in self._expected], first, end, HOUR_S)
        return np.where(profiles.quality == 0, NOTHING, profiles.values), profiles.flags

    def _commands_are_answered(self) -> bool:
        with self._site.database.read() as tx:
            return tx.execute(select(t.command.c.id).where(t.command.c.state.in_(OPEN))).first() is None
