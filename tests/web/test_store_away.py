"""InfluxDB does not answer: recent days are seen as ever, older ones are said to come back, nothing ends in a 500.

An InfluxDB that lost what went there, and a PostgreSQL that does not answer, are told in words too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import ClientSession, encode_basic_auth
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import select

from headend.billing.cycle import ControlTotals
from headend.billing.run import rate_cycle
from headend.config import load_settings
from headend.errors import StoreAway
from headend.office import office_of
from headend.reads.channels import IMPORT
from headend.reads.days import DAY_S, seconds
from headend.site import Site
from headend.store import tables as t
from headend.store.database import Database
from headend.store.exceptions import open_by_hand
from headend.store.influx.parts import interval_store
from headend.web import make_app
from tests.servers import Postgres, free_port
from tests.web.conftest import token, visitor
from tests.web.sites import NOW

TODAY = seconds(NOW) // DAY_S
E1 = "/api/v1/meters/E-1/intervals?channel=1-0:1.8.0"
SAID = "The interval store does not answer, so older reads cannot be looked at for now."


@pytest.fixture
def away(site: Site) -> Site:
    """Days older than a week are in an InfluxDB that is not there."""
    settings = load_settings(
        overrides={
            "data": {"directory": str(site.settings.data.directory)},
            "store": {"kind": "influx", "recent_days": 7},
            "influx": {"url": f"http://127.0.0.1:{free_port()}"},
        }
    )
    b = t.day_block.c
    with site.database.write() as tx:
        old = tx.execute(select(b.day).where(b.day < TODAY - 7).distinct()).scalars().all()
        gone = {"reads": b"", "quality": b"", "version": None, "flags": None, "register": None}
        tx.execute(t.day_block.update().where(b.day < TODAY - 7).values(gone))
        moved = [{"day": day, "blocks": 4, "sha256": "-", "moved_us": 0} for day in old]
        tx.execute(t.moved_day.insert(), moved)
    return replace(site, settings=settings, store=interval_store(settings.influx, site.clock))


@pytest.fixture
async def served(away: Site, writer) -> AsyncIterator[TestServer]:
    async with TestServer(make_app(away, writer)) as server:
        yield server


@pytest.fixture
async def olga(served: TestServer) -> AsyncIterator[TestClient]:
    client = await visitor(served, "olga")
    yield client
    await client.session.close()


@pytest.fixture
async def anna(served: TestServer) -> AsyncIterator[TestClient]:
    client = await visitor(served, "anna")
    yield client
    await client.session.close()


async def test_api_answers_503_with_retry_after_for_old_days_and_as_ever_for_recent_ones(olga):
    old = await olga.get(f"{E1}&from=2025-10-20T00:00:00Z&to=2025-10-21T00:00:00Z")
    assert (old.status, old.content_type, old.headers["Retry-After"]) == (503, "application/problem+json", "30")
    problem = await old.json()
    assert problem["title"] == "Service Unavailable"
    assert problem["detail"].startswith(SAID)
    assert "days after 2025-11-05 can be seen" in problem["detail"]
    assert "127.0.0.1" not in problem["detail"]
    recent = await olga.get(f"{E1}&from=2025-11-06T00:00:00Z&to=2025-11-07T00:00:00Z")
    assert (recent.status, len((await recent.json())["values"])) == (200, 24)
    history = await olga.get("/api/v1/meters/E-1/intervals/2025-10-20T00:00:00Z/history?channel=1-0:1.8.0")
    assert history.status == 503


async def test_people_are_told_in_words_and_charts_as_problems(olga):
    page = await olga.get("/operator/meters/E-1?from=2025-10-20&to=2025-10-21")
    assert (page.status, page.content_type, page.headers["Retry-After"]) == (503, "text/html", "30")
    assert SAID in await page.text()
    chart = await olga.get(
        "/operator/meters/E-1/chart?from=2025-10-20&to=2025-10-21&channel=1-0:1.8.0",
        headers={"Accept": "application/json"},
    )
    assert chart.status == 503
    assert (await chart.json())["detail"].startswith(SAID)


async def test_meter_page_of_recent_days_is_there(olga):
    page = await olga.get("/operator/meters/E-1")
    assert page.status == 200
    assert "2025-11-12 12:00" in await page.text()  # its newest read


async def test_meter_that_is_long_silent_has_a_page_that_does_not_know_its_newest_read(away, olga):
    with away.database.write() as tx:
        meter = tx.execute(select(t.meter.c.id).where(t.meter.c.name == "E-1")).scalar_one()
        tx.execute(t.day_block.delete().where(t.day_block.c.meter == meter, t.day_block.c.day >= TODAY - 7))
    page = await olga.get("/operator/meters/E-1")
    assert page.status == 200
    assert "not known: the interval store does not answer" in await page.text()


async def test_exception_of_older_reads_is_shown_without_them_and_cannot_be_decided_on(away, olga):
    with away.database.write() as tx:
        meter = tx.execute(select(t.meter.c.id).where(t.meter.c.name == "E-1")).scalar_one()
        old, recent = (
            open_by_hand(
                tx, (meter, IMPORT.code), start_s, start_s + DAY_S, rule_set="1", by="olga", note="odd", now=NOW
            )
            for start_s in ((TODAY - 20) * DAY_S, (TODAY - 3) * DAY_S)
        )
    assert "2 exceptions" in await (await olga.get("/operator/exceptions")).text()
    answer = await olga.get(f"/operator/exceptions/{old}")
    page = await answer.text()
    assert (answer.status, "cannot be looked at or decided on for now" in page) == (200, True)
    assert "Odd." in page
    assert "/preview" not in page
    chart = await olga.get(f"/operator/exceptions/{old}/chart", headers={"Accept": "application/json"})
    assert (chart.status, chart.content_type) == (503, "application/problem+json")
    # What like days say would need older days; the reads themselves are there.
    spec = await (await olga.get(f"/operator/exceptions/{recent}/chart")).json()
    assert len(spec["data"]["values"]) > 24
    assert "Like days" not in str(spec)
    form = {"csrf": await token(olga, "/operator/exceptions"), "action": "accept", "reason": "other"}
    answer = await olga.post(f"/operator/exceptions/{old}/preview", data=form)
    assert (answer.status, SAID in await answer.text()) == (503, True)


async def test_fleet_begins_a_day_later_and_says_so(away, olga):
    page = await (await olga.get("/operator")).text()
    assert "The interval store does not answer." in page
    told = await (await olga.get("/api/v1/fleet")).json()
    # Five channels from 13 October, 0:00 UTC, instead of 12 October, 22:00 UTC; one of them every quarter of an hour.
    hours = (seconds(NOW) - (TODAY - 30) * DAY_S) // 3600
    assert told["reads_expected"] == 4 * hours + 4 * hours
    assert (told["store_away"], told["meters"], told["meters_silent"]) == (True, 4, 1)
    assert (await olga.get("/readyz")).status == (await olga.get("/metrics")).status == 200


async def test_customer_sees_the_page_without_the_cost_that_needs_older_days(anna):
    page = await anna.get("/customer")
    assert page.status == 200
    assert "the store of older reads does not answer" in await page.text()


async def test_an_influxdb_that_lost_old_days_is_told_without_its_insides(away, writer, influx_settings):
    settings = load_settings(
        overrides={"data": {"directory": str(away.settings.data.directory)}, "influx": influx_settings}
    ).influx
    emptied = replace(away, store=interval_store(settings, away.clock))
    async with TestServer(make_app(emptied, writer)) as server:
        olga = await visitor(server, "olga")
        answer = await olga.get(f"{E1}&from=2025-10-20T00:00:00Z&to=2025-10-21T00:00:00Z")
        assert (answer.status, answer.content_type) == (500, "application/problem+json")
        assert (await answer.json())["detail"].startswith("The interval store has lost or changed reads")
        page = await olga.get("/operator/meters/E-1?from=2025-10-20&to=2025-10-21")
        assert (page.status, page.content_type) == (500, "text/html")
        assert "The interval store has lost or changed reads" in await page.text()
        assert (await olga.get("/operator/meters/E-1")).status == 200
        await olga.session.close()


async def test_without_postgresql_everybody_is_told_to_come_back(bare_site, writer, capsys):
    server = Postgres()
    database = Database(server.url(server.fresh_database()), "site")
    apart = replace(bare_site, database=database)
    async with TestServer(make_app(apart, writer)) as served, ClientSession() as somebody:
        try:
            assert (await somebody.get(served.make_url("/metrics"))).status == 200
        finally:
            server.stop()
        for path in ("/metrics", "/api/v1/meters"):
            answer = await somebody.get(
                served.make_url(path), headers={"Authorization": encode_basic_auth("olga", "secret")}
            )
            assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
            assert "The database does not answer" in await answer.text()
    assert "Traceback" not in "".join(capsys.readouterr())
    database.close()


def test_cycle_that_needs_old_days_leaves_nothing_half_rated(away):
    with pytest.raises(StoreAway):
        rate_cycle(office_of(away), "2025-10", "monthly", "clara")
    with away.database.read() as tx:
        (cycle,) = office_of(away).ledger(tx).cycles()
        # It has begun, and goes on from there once the store answers.
        assert (cycle.state, cycle.totals) == ("rating", ControlTotals())
        assert tx.execute(select(t.statement)).all() == tx.execute(select(t.bill_exception)).all() == []
