"""InfluxDB dies, hangs, stays away; the head-end dies while it sends: InfluxDB has every read once, and the newest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.forwarded import NEVER_S, Forwarded, points, told
from tests.e2e.sites import HOUR, Settings, hours_ago
from tests.e2e.watched import await_that
from tests.servers import Influxd, Mosquitto

START, END = datetime(2026, 8, 31, 22, tzinfo=UTC), datetime(2026, 9, 20, 22, tzinfo=UTC)
SOON = datetime(2026, 9, 8, 22, tzinfo=UTC)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Influxd]:
    """An InfluxDB that may be killed."""
    made = Influxd(tmp_path)
    yield made
    made.kill()


@pytest.mark.slow
def test_influxdb_killed_again_and_again_during_a_load(tmp_path: Path, mosquitto: Mosquitto, server: Influxd):
    with Forwarded(tmp_path, mosquitto, server, START, END, {}) as field:
        for _ in range(4):
            field.await_sending()
            server.kill()
            field.await_entries(5)
            server.start()
        field.await_all_sent()
        field.assert_that_influxdb_has_all_of_it_once()


@pytest.mark.slow
def test_head_end_killed_again_and_again_while_it_sends(tmp_path: Path, mosquitto: Mosquitto, server: Influxd):
    with Forwarded(tmp_path, mosquitto, server, START, END, {}) as field:
        for _ in range(2):
            field.await_sending()
            field.site.headend.kill()
            field.site.start()
        field.await_all_sent()
        field.assert_that_influxdb_has_all_of_it_once()


@pytest.mark.parametrize(
    ("fate", "seconds"),
    [("hangs", 3), ("refuses", 3), *(pytest.param(fate, 60, marks=pytest.mark.slow) for fate in ("hangs", "refuses"))],
)
def test_collection_goes_on_while_influxdb_is_away(
    tmp_path: Path, mosquitto: Mosquitto, server: Influxd, fate: str, seconds: float
):
    go, come = {"hangs": (server.pause, server.resume), "refuses": (server.stop, server.start)}[fate]
    end = hours_ago(0)
    start = end - 96 * HOUR
    settings: Settings = {"influx": {"timeout_s": 1}, "process": {"behind_after_s": 1}}
    with Forwarded(tmp_path, mosquitto, server, start, end, settings, meters=60) as field:
        field.await_sending()
        go()
        gone_at = time.monotonic()
        field.await_fleet()
        field.await_last_correction()
        await_that(lambda: field.readiness()["journal_lag"] == 0, "intake")
        measured = told(field.truth)
        for meter, channel in {(meter, channel) for meter, channel, _ in measured}:
            hours = [end - ago * HOUR for ago in range(48, 0, -1)]
            shown = field.stored(meter, channel, hours[0], end)
            assert shown == [measured[meter, channel, hour] for hour in hours]

        # While it stays away, machines and people are told for how long, and what it lacks.
        await_that(lambda: field.readiness()["store_unsent_seconds"] >= seconds, "the time to pass")
        assert time.monotonic() - gone_at >= seconds - 1
        lacking = field.unsent()
        assert lacking > 100
        assert field.readiness()["store_unsent_blocks"] == lacking
        assert field.metric("headend_store_unsent_blocks") == lacking
        assert field.metric("headend_store_unsent_seconds") >= seconds
        page = field.page("/operator")
        assert f"InfluxDB lacks {lacking} day blocks" in page
        assert "away</span>" in page or seconds < 10

        come()
        field.await_all_sent()
        field.assert_that_influxdb_has_all_of_it_once(hung=fate == "hangs")
        assert field.readiness()["store_unsent_blocks"] == 0
        assert field.metric("headend_store_unsent_blocks") == 0
        assert "InfluxDB lacks" not in field.page("/operator")


def test_what_was_told_while_influxdb_hung_does_not_come_over_what_is_newer(
    tmp_path: Path, mosquitto: Mosquitto, server: Influxd
):
    """It has those requests, which nobody waits for any more, and carries them out when it goes on."""
    with Forwarded(tmp_path, mosquitto, server, START, END, {"influx": {"timeout_s": 0.3}}) as field:
        for _ in range(2):
            field.await_sending()
            server.pause()
            field.await_corrections(10)
            server.resume()
        field.await_sending()
        server.pause()
        field.await_corrections(10)
        field.await_last_correction()
        field.await_intake()
        server.resume()
        field.await_all_sent()
        field.assert_that_influxdb_has_all_of_it_once(hung=True)


@pytest.mark.slow
def test_a_site_that_begins_on_sqlite_and_goes_over_to_influxdb_loses_nothing(
    tmp_path: Path, mosquitto: Mosquitto, server: Influxd
):
    with Forwarded(tmp_path, mosquitto, server, START, SOON, {"store": {"kind": "sql"}}) as field:
        field.await_entries(12)
        assert field.unsent() == 0
        assert points(server, field.bucket) == {}
        field.change({"store": {"kind": "influx"}})
        field.await_all_sent()
        field.assert_that_influxdb_has_all_of_it_once()

        # Then all of it is so old that, validated, it leaves the site database.
        field.change({"jobs": {"settle_every_s": 2}})
        await_that(field.all_is_settled, "the days to be closed")
        field.change({"jobs": {"settle_every_s": NEVER_S}})
        await_that(lambda: not field.reads_are_here(), "the days to leave the site database")
        measured = told(field.truth)
        hours = [START + number * HOUR for number in range((SOON - START) // HOUR)]
        for meter, channel in {(meter, channel) for meter, channel, _ in measured}:
            shown = field.stored(meter, channel, START, SOON)
            assert shown == [measured[meter, channel, hour] for hour in hours]
