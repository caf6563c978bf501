"""The simulator's gateways and a running head-end: what they lose is fetched, clocks and firmware are put right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from headend.app import open_site
from headend.registry.firmware import add_image, make_keys, roll_out, sign
from headend.registry.gateways import enrolled_gateways
from headend.site import Site
from headend.store import tables as t
from headend.store.commands import Command, commands_of, queue_command
from tests.e2e.fleets import differences, play, shipment, write_site_file
from tests.e2e.sites import HOUR, becomes_true, hours_ago
from tests.servers import Headend, Mosquitto, await_port, free_port

GATEWAYS, METERS = 3, 18


class Field:
    """A fleet on the real clock behind a broker, and the head-end it speaks to."""

    def __init__(self, folder: Path) -> None:
        self.broker = Mosquitto(folder)
        self.private_key, self.truth, self._planted = folder / "release.pem", folder / "truth.csv", folder / "planted"
        make_keys(self.private_key)
        begin, live = hours_ago(8 * 24), hours_ago(0)
        (folder / "site").mkdir()
        write_site_file(folder / "site/fleet.toml", shipment(GATEWAYS, METERS), begin.isoformat())
        web = free_port()
        settings: dict[str, dict[str, object]] = {
            "site": {"registry": "fleet.toml"},
            "mqtt": {"embedded": False, "port": self.broker.port},
            "web": {"port": web},
            "commands": {"backfill_after_s": 2, "backfill_days": 9, "look_every_ms": 50, "retry_after_s": 2},
            "jobs": {"backfill_every_s": 1},
        }
        self._headend = Headend(folder / "site", settings)
        self._headend.start()
        await_port(web)
        self.site: Site = open_site(self._headend.config)
        plan = folder / "plan.toml"
        plan.write_text("lost = 0.3\nclock_offset_s = 40.0\n")
        more = ("--live-from", live.isoformat(), "--faults", str(plan), "--planted", str(self._planted))
        more += ("--firmware-key", f"{self.private_key}.pub", "--resend-after", "2")
        self._fleet = play(GATEWAYS, METERS, self.broker.port, begin.isoformat(), "", self.truth, *more)

    def close(self) -> dict[str, Any]:
        """End it all; the simulator's record of what it planted."""
        try:
            self._fleet.terminate()
            self._fleet.wait(30)
            assert self._headend.stop() == 0
        finally:
            self._fleet.kill()
            self._headend.kill()
            self.broker.kill()
        return json.loads(self._planted.read_text())

    def measured(self) -> int:
        """Intervals that the meters have counted."""
        return self.truth.read_text().count("\n") - 1 if self.truth.exists() else 0

    def stored(self) -> int:
        """Intervals that came from meters."""
        with self.site.database.read() as tx:
            days = self.site.store.channel_days(tx, 0, 2**31)
            return sum(day.present - day.estimated for day in days)

    def commands(self, kind: str) -> list[Command]:
        with self.site.database.read() as tx:
            return [command for command in commands_of(tx, limit=1000) if command.kind == kind]

    def clock_offset_s(self, name: str) -> int | None:
        """As the pages show it."""
        with self.site.database.read() as tx:
            return tx.execute(select(t.gateway.c.clock_offset_s).where(t.gateway.c.name == name)).scalar()

    def ask(self, name: str, kind: str, **args: Any) -> int:
        now = datetime.now(UTC)
        with self.site.database.write() as tx:
            return queue_command(tx, name, kind, args, by="olga", now=now, expires=now + HOUR)

    def state(self, number: int) -> str:
        with self.site.database.read() as tx:
            return next(command.state for command in commands_of(tx, limit=1000) if command.id == number)


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    made = Field(tmp_path_factory.mktemp("field"))
    yield made
    assert made.close()["lost_messages"]


def test_messages_that_never_came_are_fetched_by_themselves_with_the_true_values(field: Field):
    assert becomes_true(lambda: field.measured() > 0 and field.stored() == field.measured(), 90), (
        f"{field.stored()} of {field.measured()} stored"
    )
    assert differences(field.site, field.truth) == []
    asked = field.commands("backfill")
    assert {command.created_by for command in asked} == {"gap detection"}
    assert becomes_true(lambda: {command.state for command in field.commands("backfill")} == {"done"})


def test_a_clock_that_is_wrong_is_set(field: Field):
    assert becomes_true(lambda: field.clock_offset_s("GW-001") is not None)
    # The simulated clock began to run at the full hour, and was up to 40 s off.
    number = field.ask("GW-001", "set_clock")
    assert becomes_true(lambda: field.state(number) == "done")
    read = field.ask("GW-001", "read")
    assert becomes_true(lambda: field.state(read) == "done")
    assert becomes_true(lambda: abs(field.clock_offset_s("GW-001")) <= 2), field.clock_offset_s("GW-001")


def test_firmware_reaches_every_gateway_over_a_lost_link(field: Field):
    image = hashlib.shake_128(b"firmware").digest(3_000_000)  # 184 chunks
    now = datetime.now(UTC)
    with field.site.database.write() as tx:
        add_image(tx, "2.0.0", image, sign(image, field.private_key), by="olga", now=now)
        names = [gateway.name for gateway in enrolled_gateways(tx)]
        assert len(roll_out(tx, "2.0.0", names, by="olga", now=now, expires=now + HOUR)) == GATEWAYS

    def wanted() -> list[int]:
        with field.site.database.read() as tx:
            rows = tx.execute(select(t.command.c.wanted).where(t.command.c.kind == "firmware")).scalars()
            return [json.loads(row)[0] for row in rows if row]

    assert becomes_true(lambda: any(first >= 16 for first in wanted()))
    field.broker.kill()
    assert min(wanted()) < 184
    field.broker.start()
    assert becomes_true(lambda: {command.state for command in field.commands("firmware")} == {"done"}, 90)

    def runs() -> set[str | None]:
        with field.site.database.read() as tx:
            return {gateway.firmware for gateway in enrolled_gateways(tx)}

    assert becomes_true(lambda: runs() == {"2.0.0"})
