"""The collector killed with SIGKILL in the middle of a replay: nothing is lost, nothing counts twice."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from headend.app import open_site
from headend.process import Intake
from headend.store.journal import Journal
from tests.e2e.fleets import differences, play, shipment, stored_once, write_site_file
from tests.servers import Headend, Mosquitto, await_port, free_port

GATEWAYS, METERS = 4, 24
START, END = "2026-08-31T22:00:00Z", "2026-10-31T23:00:00Z"


def wait_for_more(journal: Journal, offset: int) -> int:
    """Until the journal has grown beyond `offset`; where it is then."""
    until = time.monotonic() + 60
    while (newest := journal.newest_offset()) <= offset:
        assert time.monotonic() < until, "nothing more arrives"
        time.sleep(0.01)
    return newest


def kill_again_and_again(headend: Headend, journal: Journal, kills: int) -> None:
    offset = 0
    for _ in range(kills):
        headend.start()
        offset = wait_for_more(journal, offset)
        headend.kill()
    headend.start()


def replay_with_kills(tmp_path: Path, port: int, mqtt: dict[str, object], role: str, kills: int) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    write_site_file(folder / "fleet.toml", shipment(GATEWAYS, METERS), START)
    settings = {
        "site": {"registry": "fleet.toml"},
        "mqtt": {"host": "127.0.0.1", "port": port} | mqtt,
        "collect": {"commit_messages": 3, "acknowledge_every_ms": 20},  # many small commits: many places to die in
        "web": {"port": free_port()},
    }
    headend = Headend(folder, settings, role)
    site = open_site(headend.config)
    truth = tmp_path / "truth.csv"
    fleet = play(GATEWAYS, METERS, port, START, END, truth, "--resend-after", "2")
    try:
        kill_again_and_again(headend, site.journal, kills)
        assert fleet.wait(timeout=120) == 0, "the fleet was not acknowledged to the end"
    finally:
        fleet.kill()
        fleet.wait()
        headend.kill()

    stored_once(site, truth, headend.config)


@pytest.mark.parametrize("kills", [3, pytest.param(5, marks=pytest.mark.slow)])
def test_collector_killed_behind_mosquitto(tmp_path: Path, mosquitto: Mosquitto, kills: int):
    replay_with_kills(tmp_path, mosquitto.port, {"embedded": False, "protocol": "5"}, "collect", kills)


@pytest.mark.slow
def test_whole_head_end_killed_with_its_embedded_broker(tmp_path: Path):
    port = free_port()
    replay_with_kills(tmp_path, port, {"embedded": True}, "all", kills=5)


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_broker_killed_with_its_queue(tmp_path: Path, mosquitto: Mosquitto, protocol: str):
    folder = tmp_path / "site"
    folder.mkdir()
    write_site_file(folder / "fleet.toml", shipment(GATEWAYS, METERS), START)
    headend = Headend(
        folder,
        {
            "site": {"registry": "fleet.toml"},
            "mqtt": {"embedded": False, "host": "127.0.0.1", "port": mosquitto.port, "protocol": protocol},
        },
        "collect",
    )
    site = open_site(headend.config)
    truth = tmp_path / "truth.csv"
    headend.start()
    fleet = play(GATEWAYS, METERS, mosquitto.port, START, END, truth, "--resend-after", "2")
    try:
        wait_for_more(site.journal, 0)
        mosquitto.kill()
        mosquitto.start()
        await_port(mosquitto.port)
        assert fleet.wait(timeout=120) == 0
    finally:
        fleet.kill()
        fleet.wait()
        headend.stop()
    intake = Intake(site)
    while intake.step():
        pass
    assert differences(site, truth) == []
