"""Small sites by hand for whole head-ends, and what stands in their stores."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from headend.reads.channels import Channel
from headend.reads.days import seconds
from headend.store import tables as t
from headend.store.database import Database
from headend.store.journal import Journal
from headend.store.sql import SqlIntervalStore
from tests.servers import Headend, await_port, free_port

IMPORT, EXPORT = "1-0:1.8.0", "1-0:2.8.0"
HOUR = timedelta(hours=1)

Settings = dict[str, dict[str, object]]


def hours_ago(number: int) -> datetime:
    """The beginning of an hour that is over, or of this one for 0."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - number * HOUR


def becomes_true(claim: Callable[[], object], within_s: float = 30) -> bool:
    """Whether it does before the time is over."""
    until = time.monotonic() + within_s
    while not claim():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def meter(name: str, *channels: str, commodity: str = "electricity", interval_s: int = 3600, **more: object) -> str:
    """A meter of a site file, at a usage point of its own; up to 60 kW."""
    place = "UP-" + name.replace(":", "_")
    at = {"usage_point": place, **more}
    keys = [f'meter = "{name}"', f'commodity = "{commodity}"', *(f"{key} = {_toml(at[key])}" for key in at)]
    rows = ", ".join(
        f'{{ channel = "{channel}", interval_s = {interval_s}, max_per_interval = {60_000 * interval_s // 3600} }}'
        for channel in channels or (IMPORT,)
    )
    point = f'id = "{place}"\naddress = "here"\ntimezone = "Europe/Berlin"\n'
    return "\n".join(["[[usage_points]]", point, "[[meters]]", *keys, f"channels = [{rows}]", ""])


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return value.isoformat() if isinstance(value, datetime) else json.dumps(value)


class Site(AbstractContextManager["Site"]):
    """A head-end in a process of its own that runs inside the context, and its databases.

    Parameters
    ----------
    meters
        see `meter`.
    """

    def __init__(self, folder: Path, settings: Settings, *meters: str, role: str = "all") -> None:
        folder.mkdir(exist_ok=True)
        (folder / "meters.toml").write_text("\n".join(meters))
        self.folder, self.web = folder, free_port()
        self.settings = {"site": {"registry": "meters.toml"}, "web": {"port": self.web}} | settings
        self.headend = Headend(folder, self.settings, role)

    def __enter__(self) -> Site:
        self.start()
        self.database = Database(f"sqlite:///{self.folder / 'site.db'}", "site")
        self.journal = Journal(Database(f"sqlite:///{self.folder / 'journal.db'}", "journal"))
        return self

    def start(self) -> None:
        """Return once its pages are up, which come last."""
        self.headend.start()
        await_port(self.web)

    def __exit__(self, *_: object) -> None:
        self.database.close()
        assert self.headend.stop() == 0

    def values(
        self, meter: str, start: datetime, count: int, channel: str = IMPORT, interval_s: int = 3600
    ) -> list[int | None]:
        """What is stored of some intervals; None where nothing is."""
        return values(self.database, meter, start, count, channel, interval_s)

    def hold(self, meter: str, start: datetime, expected: Sequence[int | None], channel: str = IMPORT) -> None:
        """Return once these hours are stored."""
        found: list[int | None] = []

        def stored() -> bool:
            found[:] = self.values(meter, start, len(expected), channel)
            return found == list(expected)

        assert becomes_true(stored), f"{meter} {channel}: found {found}, expected {expected}"


def values(
    database: Database, meter: str, start: datetime, count: int, channel: str = IMPORT, interval_s: int = 3600
) -> list[int | None]:
    """What is stored of some intervals of a meter."""
    first, code = seconds(start), Channel.parse(channel).code
    with database.read() as tx:
        key = tx.execute(select(t.meter.c.id).where(t.meter.c.name == meter)).scalar_one()
        found = SqlIntervalStore().profiles(tx, [(key, code)], first, first + count * interval_s, interval_s)
    rows = zip(found.values[0].tolist(), found.quality[0].tolist(), strict=True)
    return [value if quality else None for value, quality in rows]


def events(database: Database, meter: str) -> list[str]:
    """What happened to a meter, in order."""
    e = t.event.c
    with database.read() as tx:
        return list(tx.execute(select(e.kind).where(e.meter == meter).order_by(e.at_s, e.offset)).scalars())


def findings(database: Database, meter: str, rule: str = "V7") -> list[str]:
    """What a rule found of a meter, in order."""
    f = t.finding.c
    query = select(f.detail).join(t.meter, t.meter.c.id == f.meter).where(t.meter.c.name == meter, f.rule == rule)
    with database.read() as tx:
        return list(tx.execute(query.order_by(f.start_s)).scalars())


def quarantine(database: Database) -> list[tuple[str, str]]:
    """Fault and reason of all that could not be used."""
    q = t.quarantine.c
    with database.read() as tx:
        return [(row.fault, row.reason) for row in tx.execute(select(q.fault, q.reason).order_by(q.offset, q.path))]
