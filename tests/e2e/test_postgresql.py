"""A head-end with both its databases on PostgreSQL: it and the server die in the middle, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from headend.app import open_site
from headend.store.journal import Journal
from tests.e2e.fleets import play, shipment, stored_once, write_site_file
from tests.e2e.sites import becomes_true
from tests.servers import Headend, Mosquitto, Postgres, await_port, free_port

GATEWAYS, METERS = 4, 24
START, END = "2026-07-31T22:00:00Z", "2026-10-31T23:00:00Z"


def more(journal: Journal) -> None:
    """Return once something has arrived since."""
    before = journal.newest_offset()
    assert becomes_true(lambda: journal.newest_offset() > before, 60), "nothing more arrives"


@pytest.mark.slow
def test_the_head_end_and_its_server_are_killed(tmp_path: Path, mosquitto: Mosquitto) -> None:
    server = Postgres(durable=True)
    folder = tmp_path / "site"
    folder.mkdir()
    write_site_file(folder / "fleet.toml", shipment(GATEWAYS, METERS), START)
    url = server.url(server.fresh_database())  # one for both schemas
    web = free_port()
    headend = Headend(
        folder,
        {
            "site": {"registry": "fleet.toml"},
            "data": {"directory": str(folder), "site_url": url, "journal_url": url},
            "mqtt": {"embedded": False, "host": "127.0.0.1", "port": mosquitto.port, "protocol": "5"},
            "collect": {"commit_messages": 3, "acknowledge_every_ms": 20},  # many small commits to die in
            "web": {"port": web},
        },
    )
    site = open_site(headend.config)
    truth = tmp_path / "truth.csv"
    fleet = play(GATEWAYS, METERS, mosquitto.port, START, END, truth, "--resend-after", "2")
    try:
        headend.start()
        more(site.journal)
        headend.kill()
        headend.start()
        await_port(web)  # what cannot even start gives up
        more(site.journal)
        server.kill()
        server.start()
        more(site.journal)
        assert headend.process.poll() is None, "the head-end did not outlive its server"
        headend.kill()
        headend.start()
        assert fleet.wait(timeout=120) == 0, "the fleet was not acknowledged to the end"
        assert headend.stop() == 0

        stored_once(site, truth, headend.config)
    finally:
        fleet.kill()
        fleet.wait()
        headend.kill()
        server.stop()
