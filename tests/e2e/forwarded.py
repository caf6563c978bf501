"""A field and a head-end that keeps its reads in InfluxDB, and what InfluxDB itself says of them.

A simulated fleet tells a history over slow links. Beside it one gateway that is played by hand corrects a single
interval again and again, so that at any moment an older value of it may be on its way.
"""

from __future__ import annotations

import csv
import json
import re
import threading
import urllib.request
from base64 import b64encode
from collections import Counter
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from itertools import islice
from pathlib import Path
from urllib.parse import urlencode

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import func, select

from headend.reads.days import day_number
from headend.registry.users import add_user
from headend.store import tables as t
from headend.store.checkpoints import checkpoint
from tests.e2e.fleets import play, shipment, write_site_file
from tests.e2e.sites import IMPORT, Settings, Site, meter
from tests.e2e.watched import await_that
from tests.servers import Headend, Influxd, Mosquitto

GATEWAYS, METERS = 4, 24
NEVER_S = 10**8
PASSWORD = "correct horse battery"

BY_HAND, HAND_GATEWAY = "E-by-hand", "GW-by-hand"


@dataclass(frozen=True, slots=True)
class Point:
    """What InfluxDB has of one interval."""

    value: int
    quality: int
    version: int


#: Meter, OBIS code, begin.
Interval = tuple[str, str, datetime]


def points(influxd: Influxd, bucket: str, meters: str = ".*", within_s: float = 60) -> dict[Interval, Point]:
    """Every point of the meters whose name is like this; no interval may have two.

    `OSError` or `HTTPException` where InfluxDB does not answer.
    """
    flux = f"""
        from(bucket: "{bucket}") |> range(start: 0, stop: 2100-01-01T00:00:00Z)
        |> filter(fn: (r) => r._measurement == "reads" and r.meter =~ /^{meters}$/)
        |> filter(fn: (r) => r._field == "value" or r._field == "quality" or r._field == "version")
        |> keep(columns: ["_time", "_field", "_value", "meter", "channel"])
    """
    fields: dict[Interval, dict[str, int]] = {}
    seen: Counter[tuple[Interval, str]] = Counter()
    for row in influxd.rows(flux, within_s):
        at = (row["meter"], row["channel"], datetime.fromisoformat(row["_time"]))
        fields.setdefault(at, {})[row["_field"]] = int(row["_value"])
        seen[at, row["_field"]] += 1
    assert {at: count for at, count in seen.items() if count > 1} == {}, "InfluxDB has intervals twice"
    return {at: Point(**found) for at, found in fields.items()}


def told(truth: Path) -> dict[Interval, int]:
    """What the simulator's meters measured, by its own record."""
    with truth.open(newline="") as file:
        return {
            (row["meter"], row["channel"], datetime.fromisoformat(row["start"])): int(row["value"])
            for row in csv.DictReader(file)
        }


def _over(settings: Settings, others: Settings) -> Settings:
    return {section: others.get(section, {}) | settings.get(section, {}) for section in others | settings}


class Corrections:
    """A gateway that tells one interval anew every moment, a unit more each time, and then again what it told before.

    Somebody looks all the time what InfluxDB says of that interval.
    """

    FIRST = 1_000
    #: The head-end counts versions up to 255.
    MOST = 200

    def __init__(self, influxd: Influxd, bucket: str, port: int, start: datetime) -> None:
        self._influxd, self._bucket, self._start = influxd, bucket, start
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.connect("127.0.0.1", port)
        self.seen: list[Point] = []
        self.told = 0
        self._told_enough, self._seen_enough = threading.Event(), threading.Event()
        self._teller = threading.Thread(target=self._tell_all)
        self._onlooker = threading.Thread(target=self._look_again)

    def begin(self) -> None:
        self._client.loop_start()
        self._teller.start()
        self._onlooker.start()

    def cease(self) -> None:
        """The last one is told."""
        self._told_enough.set()
        self._teller.join()
        self._client.disconnect()
        self._client.loop_stop()

    def end(self) -> None:
        """… and nobody looks any more."""
        self.cease()
        self._seen_enough.set()
        self._onlooker.join()

    @property
    def last(self) -> Point:
        """What must stand at the end: as many versions as were told."""
        return Point(self.FIRST + self.told, 1, self.told)

    def look(self) -> Point | None:
        """What InfluxDB says now."""
        found = points(self._influxd, self._bucket, BY_HAND, within_s=2)
        return found.get((BY_HAND, IMPORT, self._start))

    def _tell_all(self) -> None:
        while self.told < self.MOST and not self._told_enough.wait(0.1):
            self.told += 1
            self._tell(self.told)
            if self.told > 1:
                self._tell(self.told - 1)

    def _tell(self, number: int) -> None:
        block = {"meter": BY_HAND, "channel": IMPORT, "start": self._start.isoformat(), "interval_s": 3600}
        values = {"values": [self.FIRST + number]}
        message = {"seq": number, "sent_at": self._start.isoformat(), "blocks": [block | values]}
        self._client.publish(f"headend/v1/{HAND_GATEWAY}/reads", json.dumps(message), qos=1).wait_for_publish(30)

    def _look_again(self) -> None:
        while not self._seen_enough.wait(0.05):
            try:
                found = self.look()
            except (OSError, HTTPException):
                continue  # it was killed, or is just about to come up
            if found is not None:
                self.seen.append(found)


class Forwarded(AbstractContextManager["Forwarded"]):
    """Head-end, fleet and corrections; all run inside the context, and have ended afterwards.

    Parameters
    ----------
    start, end
        of the history.
    settings
        of the head-end beyond its store, by section.
    bytes_per_s
        what a gateway's link carries: sets the pace.
    """

    def __init__(
        self,
        folder: Path,
        broker: Mosquitto,
        influxd: Influxd,
        start: datetime,
        end: datetime,
        settings: Settings,
        meters: int = METERS,
        bytes_per_s: int = 6_000,
    ) -> None:
        self.influxd, self._broker = influxd, broker
        influx = influxd.settings()
        self.bucket = str(influx["reads_bucket"])
        self._size, self._start, self._end = (GATEWAYS, meters), start, end
        # Small transactions and small requests: many places to die in.
        own: Settings = {
            "site": {"registry": "fleet.toml"},
            "mqtt": {"embedded": False, "port": broker.port, "protocol": "5"},
            "collect": {"commit_messages": 3, "acknowledge_every_ms": 20},
            "process": {"batch_messages": 3, "poll_ms": 20},
            "jobs": {"settle_every_s": NEVER_S, "backfill_every_s": NEVER_S, "bill_every_s": NEVER_S},
            "store": {"kind": "influx"},
            "influx": influx | {"points_a_request": 100, "forward_every_ms": 50},
        }
        self.site = Site(folder / "site", _over(settings, own))
        registry = self.site.folder / "fleet.toml"
        write_site_file(registry, shipment(*self._size), start.isoformat())
        by_hand = meter(BY_HAND, gateway=HAND_GATEWAY, installed=start)
        registry.write_text(registry.read_text() + by_hand)
        self._faults = folder / "faults.toml"
        self._faults.write_text(f"seed = 1\nslow_links = 1.0\nslow_bytes_per_s = {bytes_per_s}\n")
        self.truth = folder / "truth.csv"

    def __enter__(self) -> Forwarded:
        with ExitStack() as running:
            running.enter_context(self.site)
            with self.site.database.write() as tx:
                add_user(tx, "op", "operator", PASSWORD)
            history = (self._start.isoformat(), self._end.isoformat(), self.truth)
            slowly = ("--resend-after", "2", "--faults", str(self._faults))
            self.fleet = play(*self._size, self._broker.port, *history, *slowly)
            running.callback(self.fleet.wait)
            running.callback(self.fleet.kill)
            self.corrections = Corrections(self.influxd, self.bucket, self._broker.port, self._start)
            self.corrections.begin()
            running.callback(self.corrections.end)
            self._running = running.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._running.__exit__(*error)

    def change(self, settings: Settings) -> None:
        """Other settings, as an operator gives them to a head-end: it is stopped and started."""
        assert self.site.headend.stop() == 0
        self.site.settings = _over(settings, self.site.settings)
        self.site.headend = Headend(self.site.folder, self.site.settings)
        self.site.start()

    # -- what can be seen from outside --

    def stored(self, meter: str, channel: str, start: datetime, end: datetime) -> list[int | None]:
        """What the API says of some hours."""
        stretch = urlencode({"channel": channel, "from": start.isoformat(), "to": end.isoformat()})
        return json.loads(self.get(f"/api/v1/meters/{meter}/intervals?{stretch}"))["values"]

    def get(self, path: str) -> str:
        """What machines get at a path, with an operator's password."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.site.web}{path}")
        request.add_header("Authorization", "Basic " + b64encode(f"op:{PASSWORD}".encode()).decode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()

    def page(self, path: str) -> str:
        """A page as the operator sees it after logging in."""
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        at = f"http://127.0.0.1:{self.site.web}"
        with browser.open(f"{at}/login", timeout=30) as form:
            csrf = re.findall(r'name="csrf" value="([^"]+)"', form.read().decode())[0]
        filled = urlencode({"csrf": csrf, "login": "op", "password": PASSWORD, "next": path}).encode()
        with browser.open(f"{at}/login", filled, timeout=30) as answer:
            return answer.read().decode()

    def readiness(self) -> dict:
        return json.loads(self.get("/readyz"))

    def metric(self, name: str) -> float:
        (line,) = (line for line in self.get("/metrics").splitlines() if line.startswith(f"{name} "))
        return float(line.split()[1])

    # -- what happens --

    def unsent(self) -> int:
        """Blocks of which InfluxDB lacks something."""
        with self.site.database.read() as tx:
            return tx.execute(select(func.count()).select_from(t.unsent)).scalar_one()

    def all_is_settled(self) -> bool:
        """Whether validation has closed every day there is."""
        with self.site.database.read() as tx:
            return not tx.execute(select(t.day_block.c.day).where(~t.day_block.c.settled)).first()

    def reads_are_here(self) -> bool:
        """Whether the site database still has reads of the history."""
        here = select(t.day_block.c.day).where(func.length(t.day_block.c.quality) > 0)
        last = day_number(self._end.date())
        with self.site.database.read() as tx:
            return bool(tx.execute(here.where(t.day_block.c.day <= last)).first())

    def _taken_in(self) -> bool:
        with self.site.database.read() as tx:
            return checkpoint(tx) == self.site.journal.newest_offset()

    def await_entries(self, more: int) -> None:
        """Until the journal has so many more entries: the load goes on."""
        wanted = self.site.journal.newest_offset() + more
        await_that(lambda: self.site.journal.newest_offset() >= wanted, f"{more} more journal entries")

    def await_corrections(self, more: int) -> None:
        """Until the interval was told anew so many times more."""
        wanted = self.corrections.told + more
        await_that(lambda: self.corrections.told >= wanted, f"{more} more corrections")

    def await_last_correction(self) -> None:
        """Until the interval was told for the last time and the journal has it: a broker's word is not enough."""
        self.corrections.cease()
        windows = self.site.journal.windows
        await_that(
            lambda: (found := windows().get(HAND_GATEWAY)) and found.through == self.corrections.told,
            "the last correction",
        )

    def await_sending(self) -> None:
        """Until InfluxDB answers and lacks something, so that it is being told just now."""
        looked = len(self.corrections.seen)
        await_that(lambda: len(self.corrections.seen) > looked and self.unsent(), "blocks on their way to InfluxDB")

    def await_fleet(self) -> None:
        """Until all of the fleet's history is acknowledged."""
        await_that(lambda: self.fleet.poll() is not None, "the end of the history")
        assert self.fleet.returncode == 0, "the fleet was not acknowledged to the end"

    def await_intake(self) -> None:
        """Until all that is in the journal is in the store."""
        await_that(self._taken_in, "intake")

    def await_all_sent(self) -> None:
        """Until everything that was told is in the journal, taken in, and in InfluxDB as far as the head-end knows."""
        self.await_fleet()
        self.await_last_correction()
        await_that(lambda: self._taken_in() and not self.unsent(), "InfluxDB to have everything")
        await_that(lambda: self.corrections.seen, "somebody to see the corrections")
        self.corrections.end()

    def assert_that_influxdb_has_all_of_it_once(self, *, hung: bool = False) -> None:
        """By its own word, and by what was seen of it in the meantime.

        One that hung may carry out an older request after a newer one: until the head-end has looked again.
        """
        if hung:
            await_that(lambda: self.corrections.look() == self.corrections.last, "what was told last")
        told_by_hand = (BY_HAND, IMPORT, self._start)
        found = points(self.influxd, self.bucket)
        last = found.pop(told_by_hand)
        assert last == self.corrections.last, f"found {last}, expected {self.corrections.last}"
        expected = told(self.truth)
        assert len(expected) > 1_000
        assert sorted(expected.keys() - found.keys())[:5] == [], "InfluxDB lacks reads"
        assert sorted(found.keys() - expected.keys())[:5] == [], "InfluxDB has what nobody measured"
        wrong = {at: point for at, point in found.items() if (point.value, point.version) != (expected[at], 1)}
        assert wrong == {}, f"{len(wrong)} reads are wrong: {dict(islice(wrong.items(), 3))}"
        assert {point.quality for point in found.values()} == {1}
        seen = [] if hung else self.corrections.seen
        for what in ("version", "value"):
            # One after the other: who asks while InfluxDB writes may get a value and the version before.
            told_in_turn = [getattr(point, what) for point in seen]
            assert told_in_turn == sorted(told_in_turn), "InfluxDB went back to what was told before"
