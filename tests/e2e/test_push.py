"""HTTP push as a gateway meets it: a process for the pages, another for the journal's processing, curl and a token."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.publish as mqtt
import pytest

from headend.registry.gateways import revoke_gateway
from headend.store.checkpoints import totals
from tests.e2e.sites import HOUR, IMPORT, Site, becomes_true, hours_ago, meter
from tests.servers import Headend, Mosquitto, needs


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path, *Mosquitto.TALKATIVE)
    yield made
    made.kill()


def reads(seq: int, *values: int, hour: int = 0) -> str:
    """The hours from five ago, or `hour` later, on."""
    start = hours_ago(5) + hour * HOUR
    block = {"meter": "E-1", "channel": IMPORT, "start": start.isoformat(), "interval_s": 3600, "values": values}
    return json.dumps({"seq": seq, "sent_at": hours_ago(0).isoformat(), "blocks": [block]})


def curl(site: Site, token: str, message: str) -> tuple[int, dict]:
    """Status and answer of a push."""
    needs("curl", shutil.which("curl"))
    command = ["curl", "--silent", "--max-time", "40", "--write-out", "\n%{http_code}", "--data-binary", message]
    command += ["-H", "X-Gateway: GW-1", "-H", f"Authorization: Bearer {token}"]
    command += [f"http://127.0.0.1:{site.web}/api/v1/reads"]
    body, _, status = subprocess.run(command, check=True, capture_output=True, text=True).stdout.rpartition("\n")
    return int(status), json.loads(body)


def enrol(site: Site) -> str:
    """Its token, as somebody gets it on the command line."""
    line = [sys.executable, "-m", "headend", "gateway", "enrol", "GW-1", "--config", str(site.headend.config)]
    return subprocess.run(line, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def test_pushed_reads_are_stored_and_those_of_mqtt_beside_them_count_once(tmp_path: Path, broker: Mosquitto):
    settings: dict[str, dict[str, object]] = {"mqtt": {"embedded": False, "port": broker.port}}
    with Site(tmp_path / "site", settings, meter("E-1", gateway="GW-1"), role="api") as site:
        others = [Headend(site.folder, site.settings, role) for role in ("process", "collect")]
        for other in others:
            other.start()
        try:
            token = enrol(site)
            assert curl(site, token, reads(1, 100, 200)) == (200, {"through": 1, "missing": []})
            assert curl(site, token, reads(1, 100, 200)) == (200, {"through": 1, "missing": []})
            assert curl(site, token, reads(3, 400, hour=3)) == (200, {"through": 3, "missing": [2]})
            site.hold("E-1", hours_ago(5), [100, 200, None, 400, None])

            assert becomes_true(lambda: broker.subscribed("headend-collector"))
            for message in (reads(1, 100, 200), reads(2, 300, hour=2)):
                mqtt.single("headend/v1/GW-1/reads", message, qos=1, port=broker.port)
            site.hold("E-1", hours_ago(5), [100, 200, 300, 400, None])
            assert curl(site, token, reads(4, 500, hour=4)) == (200, {"through": 4, "missing": []})
            site.hold("E-1", hours_ago(5), [100, 200, 300, 400, 500])
            with site.database.read() as tx:
                counts = totals(tx)
            assert (counts.stored, counts.duplicates, counts.replaced) == (5, 4, 0)

            assert curl(site, "guessed", reads(5, 1))[0] == 401
            with site.database.write() as tx:
                revoke_gateway(tx, "GW-1", hours_ago(0), by="olga")
            assert curl(site, token, reads(5, 1))[0] == 401
        finally:
            for other in others:
                assert other.stop() == 0
