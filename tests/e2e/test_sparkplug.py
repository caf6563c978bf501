"""A Sparkplug node by pysparkplug behind Mosquitto and a running head-end: what it counts is stored, reborn or not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from headend.registry.gateways import enrolled_gateways
from headend.store import tables as t
from headend.store.commands import Command, commands_of
from tests.e2e.sites import EXPORT, HOUR, IMPORT, Site, becomes_true, hours_ago, meter, quarantine
from tests.servers import Mosquitto, needs

PYTHON = Path(__file__).parents[2] / ".foreign/venv/bin/python"
NODE = Path(__file__).parents[1] / "foreign/sparkplug_node.py"
BORN_WH = 48_211_370


class Node:
    """An edge node in a process of its own."""

    def __init__(self, port: int) -> None:
        needs("pysparkplug", PYTHON.exists())
        self._process = subprocess.Popen([PYTHON, NODE, str(port)], stdin=subprocess.PIPE, text=True)

    def tell(self, register: int, at: datetime) -> None:
        """A reading of its device by alias."""
        self._process.stdin.write(f"{register} {round(at.timestamp() * 1000)}\n")
        self._process.stdin.flush()

    def vanish(self) -> None:
        """Without a good-bye."""
        self._process.stdin.close()
        self._process.wait(10)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def site(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Site]:
    settings: dict[str, dict[str, object]] = {
        "mqtt": {"embedded": False, "port": mosquitto.port},
        "collect": {"sparkplug": True},
        "commands": {"look_every_ms": 50},
    }
    with Site(tmp_path / "site", settings, meter("E-1", IMPORT, EXPORT), meter("E-2")) as made:
        yield made


@pytest.fixture
def node(site: Site, mosquitto: Mosquitto) -> Iterator[Node]:
    made = Node(mosquitto.port)
    yield made
    made.close()


def births(site: Site) -> set[str]:
    with site.database.read() as tx:
        return set(tx.execute(select(t.sparkplug_birth.c.device)).scalars())


def rebirths(site: Site) -> list[Command]:
    with site.database.read() as tx:
        return [command for command in commands_of(tx) if command.kind == "rebirth"]


def online(site: Site) -> dict[str, bool | None]:
    with site.database.read() as tx:
        return {gateway.name: gateway.online for gateway in enrolled_gateways(tx)}


def test_a_node_is_understood_over_a_restart_and_asked_for_its_births_when_it_is_not(site: Site, node: Node):
    start = hours_ago(5)  # a birth just after the hour is a register of that hour
    assert becomes_true(lambda: births(site) == {"", "E-1"})
    assert online(site) == {"plant.press": True}
    for hour, register in enumerate((BORN_WH - 6000, BORN_WH - 5500, BORN_WH - 4800)):
        node.tell(register, start + hour * HOUR)
    site.hold("E-1", start, [500, 700, None, None])

    assert site.headend.stop() == 0
    site.start()
    node.tell(BORN_WH - 4750, start + 3 * HOUR)
    site.hold("E-1", start, [500, 700, 50, None])
    assert rebirths(site) == []

    with site.database.write() as tx:
        tx.execute(delete(t.sparkplug_birth))  # as a head-end that never heard them
    node.tell(BORN_WH - 1000, start + 4 * HOUR)
    assert becomes_true(lambda: [command.state for command in rebirths(site)] == ["done"])
    assert becomes_true(lambda: births(site) == {"", "E-1"})
    assert [fault for fault, _ in quarantine(site.database)] == ["no birth"]
    retry = [sys.executable, "-m", "headend", "quarantine", "retry", "--config", str(site.headend.config)]
    subprocess.run(retry, check=True, capture_output=True, timeout=60)
    site.hold("E-1", start, [500, 700, 50, 3750])
    assert quarantine(site.database) == []

    node.vanish()
    assert becomes_true(lambda: online(site) == {"plant.press": False})
