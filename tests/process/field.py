"""A small site with real files, and a field that sends it messages whenever a test says so."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import select

from headend.collect.topics import Topics
from headend.config import load_settings, shipped
from headend.process import Intake, settle_due_days
from headend.process.settlement import SettlementCounts
from headend.reads import Channel, Quality
from headend.reads.days import seconds
from headend.registry.registry import EnrolledChannel, channels_of, enrol
from headend.registry.site_file import SiteFile
from headend.site import Site
from headend.store import tables as t
from headend.store.checkpoints import IntakeCounts, totals
from headend.store.database import Database, Schema
from headend.store.journal import Arrival, Journal
from headend.store.sql import SqlIntervalStore
from headend.tariffs import TariffBook, load_book
from headend.vee import load_rule_set
from tests.databases import file_database

IMPORT = Channel.parse("1-0:1.8.0")
_SHIPPED = load_rule_set(shipped("vee.toml"))
#: The shipped rules, but for few enough like days, and ends that reach far enough, to be worked out by hand.
WORKED_BY_HAND = _SHIPPED.model_copy(
    update={
        "rules": _SHIPPED.rules.model_copy(
            update={"estimation": _SHIPPED.rules.estimation.model_copy(update={"like_days": 3, "half_life_hours": 3.0})}
        )
    }
)
#: A Monday; the weeks after it have no public holiday before Good Friday, 3 April.
MONDAY = datetime(2026, 2, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def meter(name: str, **changes: Any) -> dict[str, Any]:
    """A meter as the site file has it: up to 20 kWh an hour, installed long ago."""
    channel = {"channel": "1-0:1.8.0", "max_per_interval": 20_000, "register_digits": 9}
    return {"meter": name, "commodity": "electricity", "usage_point": "UP", "channels": [channel]} | changes


def registry(*meters: dict[str, Any], timezone: str = "Europe/Berlin") -> SiteFile:
    return SiteFile.model_validate(
        {
            "gateways": ["GW"],
            "usage_points": [{"id": "UP", "timezone": timezone, "address": "Lindenweg 1"}],
            "meters": meters,
        }
    )


@cache
def _book() -> TariffBook:
    return load_book(shipped("tariffs"))


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = MONDAY + 100 * DAY

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True)
class Standing:
    """What stands for some hours."""

    values: list[int | None]
    quality: list[Quality]
    versions: list[int]


@dataclass
class Field:
    """One head-end without its network."""

    folder: Path
    enrolled: SiteFile = field(default_factory=lambda: registry(meter("E-1")))
    sent: int = 0
    #: PostgreSQL for both databases; else files in the folder.
    postgres_url: str = ""

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.journal_database = self._database("journal")
        self.site = Site(
            load_settings(),
            self.clock,
            self._database("site"),
            Journal(self.journal_database),
            Topics(sparkplug_host="headend"),
            {},
            SqlIntervalStore(),
            _book(),
            WORKED_BY_HAND,
        )
        self.enrol(self.enrolled)
        self.intake = Intake(self.site)

    def close(self) -> None:
        self.site.database.close()
        self.journal_database.close()

    def _database(self, schema: Schema) -> Database:
        url = self.postgres_url
        return Database(url, schema) if url else file_database(self.folder / f"{schema}.db", schema)

    def enrol(self, site_file: SiteFile) -> None:
        with self.site.database.write() as tx:
            enrol(tx, site_file)

    def journal(self, *blocks: dict[str, Any], gateway: str = "GW", sent_at: datetime | None = None) -> int:
        """One message into the journal; its offset."""
        self.sent += 1
        message = {"seq": self.sent, "sent_at": (sent_at or self.clock()).isoformat(), "blocks": list(blocks)}
        return self.journal_raw(json.dumps(message).encode(), f"headend/v1/{gateway}/reads", gateway)

    def journal_raw(self, payload: bytes, topic: str, gateway: str = "GW") -> int:
        received_us = seconds(self.clock()) * 1_000_000
        self.site.journal.append([Arrival(received_us, topic, gateway, payload, len(payload))])
        return self.site.journal.last_offset

    def send(self, start: datetime, values: Iterable[int | None], *, meter: str = "E-1", **more: Any) -> None:
        """A run of hours, taken in at once; `register` is the cumulative register at its end."""
        self.journal(run(start, values, meter=meter, **more))
        while self.intake.step():
            pass

    def settle(self, now: datetime | None = None) -> SettlementCounts:
        """Settle what is due at a moment, by default long after everything; the clock then stands where it stood."""
        before, self.clock.now = self.clock.now, now or self.clock.now
        counts = settle_due_days(self.site)
        self.clock.now = before
        return counts

    def channel(self, meter: str = "E-1") -> EnrolledChannel:
        with self.site.database.read() as tx:
            return channels_of(tx, meter)[0]

    def stands(self, start: datetime, hours: int, *, meter: str = "E-1") -> Standing:
        key = self.channel(meter).meter
        first, last = seconds(start) // 86_400, (seconds(start) + (hours - 1) * 3600) // 86_400
        with self.site.database.read() as tx:
            blocks = self.site.store.load(tx, [(d, key, IMPORT.code) for d in range(first, last + 1)], 3600)
        at = slice(begin := seconds(start) % 86_400 // 3600, begin + hours)
        quality = [Quality(q) for q in blocks.quality.reshape(-1)[at].tolist()]
        values = blocks.values.reshape(-1)[at].tolist()
        return Standing(
            [v if q else None for v, q in zip(values, quality, strict=True)],
            quality,
            blocks.version.reshape(-1)[at].tolist(),
        )

    def values(self, start: datetime, hours: int, *, meter: str = "E-1") -> list[int | None]:
        return self.stands(start, hours, meter=meter).values

    def history(self) -> list[tuple[int, int, int, int]]:
        """(start, version, value, quality) of everything superseded, oldest first."""
        h = t.interval_history.c
        with self.site.database.read() as tx:
            query = select(h.start_s, h.version, h.value, h.quality).order_by(h.start_s, h.version)
            return [tuple(row) for row in tx.execute(query)]

    def findings(self, rule: str) -> list[tuple[datetime, str, str]]:
        """(start, severity, detail) of what a rule found."""
        f = t.finding.c
        with self.site.database.read() as tx:
            rows = tx.execute(select(f.start_s, f.severity, f.detail).where(f.rule == rule).order_by(f.start_s))
            return [(datetime.fromtimestamp(row.start_s, tz=UTC), row.severity, row.detail) for row in rows]

    def totals(self) -> IntakeCounts:
        with self.site.database.read() as tx:
            return totals(tx)

    def everything(self) -> list[list[tuple[Any, ...]]]:
        """Every row that reads and settlement make, to see that nothing changed."""
        made = (t.day_block, t.interval_history, t.finding, t.quarantine)
        with self.site.database.read() as tx:
            return [[tuple(row) for row in tx.execute(select(table))] for table in made]


def run(start: datetime, values: Iterable[int | None], *, meter: str = "E-1", **more: Any) -> dict[str, Any]:
    """A block of the wire."""
    block = {"meter": meter, "channel": "1-0:1.8.0", "start": start.isoformat(), "interval_s": 3600}
    return block | {"values": list(values)} | more
