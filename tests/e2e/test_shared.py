"""Several collectors share one subscription and one journal: every interval once, whichever of them dies."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from headend.app import open_site
from headend.site import Site
from headend.store.checkpoints import totals
from tests.e2e.fleets import differences, play, shipment, write_site_file
from tests.e2e.sites import becomes_true
from tests.servers import Headend, Mosquitto

GATEWAYS, METERS = 4, 16
START, END = "2026-08-31T22:00:00Z", "2026-10-31T23:00:00Z"
SOON = "2026-09-20T22:00:00Z"
COLLECTORS = ("collector-1", "collector-2")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """It writes down who acknowledged what."""
    made = Mosquitto(tmp_path, *Mosquitto.TALKATIVE)
    yield made
    made.kill()


@pytest.fixture
def headends(tmp_path: Path, broker: Mosquitto) -> Iterator[list[Headend]]:
    """Two collectors and a processor, all started at once in an empty folder; all are killed at the end."""
    folder = tmp_path / "site"
    folder.mkdir()
    write_site_file(folder / "fleet.toml", shipment(GATEWAYS, METERS), START)
    mqtt = {"embedded": False, "port": broker.port, "protocol": "5", "share": "site"}
    shared: dict[str, dict[str, object]] = {
        "site": {"registry": "fleet.toml"},
        "collect": {"commit_messages": 3, "acknowledge_every_ms": 20},
    }
    made = [Headend(folder, shared | {"mqtt": mqtt | {"client_id": name}}, "collect", name) for name in COLLECTORS]
    made.append(Headend(folder, shared, "process"))
    for headend in made:
        headend.start()
    yield made
    for headend in made:
        headend.kill()


def acknowledged(broker_log: Path) -> Counter[str]:
    """How many messages each collector has acknowledged, by the broker's own record."""
    return Counter(re.findall(r"Received PUBACK from (collector-\d)", broker_log.read_text()))


def stored(site: Site) -> int:
    with site.database.read() as tx:
        return totals(tx).stored


def everything_is_there_once(site: Site, truth: Path) -> None:
    with truth.open() as rows:
        measured = sum(1 for _ in rows) - 1
    assert becomes_true(lambda: stored(site) == measured, 60), f"{stored(site)} of {measured} stored"
    assert differences(site, truth) == []
    with site.database.read() as tx:
        assert totals(tx).replaced == 0
    assert site.journal.verify() == site.journal.newest_offset()
    for window in site.journal.windows().values():
        assert (window.first, window.missing) == (1, [])


def test_two_collectors_share_a_fleet(tmp_path: Path, broker: Mosquitto, headends: list[Headend]):
    log, truth = broker.log, tmp_path / "truth.csv"
    assert becomes_true(lambda: all(map(broker.subscribed, COLLECTORS)), 60)
    site = open_site(headends[0].config)
    fleet = play(GATEWAYS, METERS, broker.port, START, SOON, truth, "--protocol", "5")
    try:
        assert fleet.wait(timeout=120) == 0, "the fleet was not acknowledged to the end"
    finally:
        fleet.kill()
        fleet.wait()
    everything_is_there_once(site, truth)
    took = acknowledged(log)
    assert min(took[name] for name in COLLECTORS) > site.journal.newest_offset() / 4, took


@pytest.mark.slow
def test_one_of_two_collectors_is_killed_in_the_middle(tmp_path: Path, broker: Mosquitto, headends: list[Headend]):
    log, truth = broker.log, tmp_path / "truth.csv"
    assert becomes_true(lambda: all(map(broker.subscribed, COLLECTORS)), 60)
    site = open_site(headends[0].config)
    fleet = play(GATEWAYS, METERS, broker.port, START, END, truth, "--resend-after", "1")
    try:
        assert becomes_true(lambda: acknowledged(log)[COLLECTORS[0]] > 5)
        headends[0].kill()
        before = acknowledged(log)
        assert fleet.wait(timeout=120) == 0, "the fleet was not acknowledged to the end"
    finally:
        fleet.kill()
        fleet.wait()
    everything_is_there_once(site, truth)
    after = acknowledged(log)
    assert after[COLLECTORS[0]] == before[COLLECTORS[0]]
    assert after[COLLECTORS[1]] > before[COLLECTORS[1]]

    # Mosquitto goes on queueing for the one that is away; what it kept is a duplicate by now.
    headends[0].start()
    assert becomes_true(lambda: acknowledged(log)[COLLECTORS[0]] > after[COLLECTORS[0]])
    everything_is_there_once(site, truth)
