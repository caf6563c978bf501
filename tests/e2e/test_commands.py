"""The downlink as a gateway meets it: a running head-end asks for what was lost, and sends what people ask for."""

from __future__ import annotations

import hashlib
import json
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from headend.reads.channels import IMPORT
from headend.reads.days import seconds
from headend.registry.firmware import add_image, make_keys, roll_out, sign
from headend.registry.gateways import enrolled_gateways, gateways_with_commands
from headend.store.commands import Command, commands_of
from headend.store.database import Database
from headend.store.sql import SqlIntervalStore
from tests.collect.test_downlink import Peer
from tests.servers import Headend, Mosquitto, await_port, free_port

HOUR = timedelta(hours=1)


class Gateway:
    """A gateway by hand, with one hourly meter: it keeps all it measured, and does what it is asked for once."""

    def __init__(self, port: int) -> None:
        self._peer = Peer(port, "headend/v1/GW-1/command")
        self._seq = 0
        self.say("status", {"online": True})

    def say(self, kind: str, message: dict[str, Any]) -> None:
        self._peer.client.publish(f"headend/v1/GW-1/{kind}", json.dumps(message), qos=1, retain=kind == "status")

    def tell(self, hours: dict[datetime, int]) -> None:
        """All in one message."""
        self._seq += 1
        run = {"meter": "E-1", "channel": IMPORT.obis, "interval_s": 3600}
        blocks = [run | {"start": start.isoformat(), "values": [value]} for start, value in hours.items()]
        self.say("reads", {"seq": self._seq, "sent_at": now(), "blocks": blocks})

    def hear(self, kind: str) -> dict[str, Any]:
        """The next message of a kind; others, such as a command that comes again, are passed over."""
        while True:
            message = self._peer.next()
            if message["kind"] == kind:
                return message

    def answer(self, command: dict[str, Any], state: str, **more: Any) -> None:
        self.say("result", {"id": command["id"], "state": state, "sent_at": now(), **more})

    def close(self) -> None:
        self._peer.close()


class Site:
    """A head-end in a process of its own, behind a real broker; its one meter hangs there for six hours."""

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir()
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        self.measured = {now - (6 - n) * HOUR: 100 + n for n in range(6)}
        (folder / "site.toml").write_text(
            'gateways = ["GW-1"]\n'
            'usage_points = [{ id = "UP", address = "here", timezone = "Europe/Berlin" }]\n'
            '[[meters]]\nmeter = "E-1"\ncommodity = "electricity"\nusage_point = "UP"\ngateway = "GW-1"\n'
            f"installed = {min(self.measured).isoformat()}\n"
            f'channels = [{{ channel = "{IMPORT.obis}", max_per_interval = 23000 }}]\n'
        )
        web = free_port()
        settings: dict[str, dict[str, object]] = {
            "mqtt": {"embedded": False, "port": port},
            "commands": {"backfill_after_s": 1, "look_every_ms": 50},
            "jobs": {"backfill_every_s": 1},
            "web": {"port": web},
        }
        self.headend = Headend(folder, settings)
        self.headend.start()
        await_port(web)  # comes last: it collects by now
        self.database = Database(f"sqlite:///{folder / 'site.db'}", "site")

    def values(self) -> list[int | None]:
        """What is stored of the six hours."""
        start_s = seconds(min(self.measured))
        with self.database.read() as tx:
            profiles = SqlIntervalStore().profiles(tx, [(1, IMPORT.code)], start_s, start_s + 6 * 3600, 3600)
        told = zip(profiles.values[0].tolist(), profiles.quality[0].tolist(), strict=True)
        return [value if quality else None for value, quality in told]

    def first(self, kind: str) -> Command:
        """The oldest command of a kind."""
        with self.database.read() as tx:
            return [command for command in commands_of(tx) if command.kind == kind][-1]

    def firmware(self) -> str | None:
        """What the gateway says it runs."""
        with self.database.read() as tx:
            return enrolled_gateways(tx)[0].firmware

    def roll_out(self, version: str) -> list[str]:
        """As somebody does it beside the running head-end."""
        at = datetime.now(UTC)
        with self.database.write() as tx:
            return roll_out(tx, version, gateways_with_commands(tx), by="olga", now=at, expires=at + HOUR)


def now() -> str:
    return datetime.now(UTC).isoformat()


def becomes_true(claim: Callable[[], bool]) -> bool:
    until = time.monotonic() + 30
    while not claim():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def site(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Site]:
    made = Site(tmp_path / "site", mosquitto.port)
    yield made
    made.database.close()
    assert made.headend.stop() == 0


@pytest.fixture
def gateway(site: Site, mosquitto: Mosquitto) -> Iterator[Gateway]:
    made = Gateway(mosquitto.port)
    yield made
    made.close()


def test_what_was_lost_is_asked_for_by_itself_and_is_in_the_store(site, gateway):
    lost = list(site.measured)[2]
    gateway.tell({hour: value for hour, value in site.measured.items() if hour != lost})
    command = gateway.hear("backfill")
    (gap, *_) = command["args"]["gaps"]
    assert gap == {
        "meter": "E-1",
        "channel": IMPORT.obis,
        "from": f"{lost:%Y-%m-%dT%H:%M:%SZ}",
        "to": f"{lost + HOUR:%Y-%m-%dT%H:%M:%SZ}",
    }
    gateway.answer(command, "acknowledged")
    gateway.tell({lost: site.measured[lost]})
    gateway.answer(command, "done", detail="1 interval sent")
    assert becomes_true(lambda: site.first("backfill").state == "done")
    assert site.values() == list(site.measured.values())
    asked = site.first("backfill")
    assert (asked.created_by, asked.detail, asked.attempts) == ("gap detection", "1 interval sent", 1)


def test_firmware_reaches_a_gateway_that_loses_its_link_on_the_way(site, gateway, mosquitto, tmp_path: Path):
    image, key = hashlib.shake_128(b"firmware").digest(200_000), tmp_path / "key.pem"  # 13 chunks of 16,384 bytes
    public = load_pem_public_key(make_keys(key).read_bytes())
    with site.database.write() as tx:
        add_image(tx, "2.0", image, sign(image, key), by="olga", now=datetime.now(UTC))
    gateway.tell(site.measured)
    assert becomes_true(lambda: site.roll_out("2.0") == ["GW-1"])  # once it was heard
    command, kept = gateway.hear("firmware"), dict[int, bytes]()
    args = command["args"]

    def fetch(gateway: Gateway, wanted: tuple[int, int]) -> None:
        gateway.answer(command, "progress", wanted=wanted)
        while not kept.keys() >= set(range(*wanted)):
            args = gateway.hear("firmware_chunk")["args"]
            kept[args["index"]] = b64decode(args["data"])

    fetch(gateway, (0, 8))
    gateway.close()
    again = Gateway(mosquitto.port)
    fetch(again, (8, args["chunks"]))
    whole = b"".join(kept[index] for index in range(args["chunks"]))
    assert hashlib.sha256(whole).hexdigest() == args["sha256"]
    public.verify(b64decode(args["signature"]), whole)
    again.answer(command, "done", detail="runs 2.0")
    again.say("status", {"online": True, "firmware": "2.0"})
    assert becomes_true(lambda: site.first("firmware").state == "done")
    assert becomes_true(lambda: site.firmware() == "2.0")
    again.close()
