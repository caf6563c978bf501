"""What pages and API say when reads are on their way, and when InfluxDB lacks something."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp.test_utils import TestClient, TestServer

from headend.config import load_settings
from headend.reads.days import moment, seconds
from headend.site import Site
from headend.store import tables as t
from headend.store.journal import Arrival
from headend.store.unsent import note_unsent
from headend.web import make_app
from tests.store.blocks import block, everything
from tests.web.conftest import visitor
from tests.web.sites import NOW

#: A minute after the full hour that was over at noon in Berlin.
CAME = seconds(NOW) - 59 * 60
URL = "/api/v1/meters/E-1/intervals?channel=1-0:1.8.0"
ON_THE_WAY = "The newest reads may still be on their way: what came since 2025-11-12 11:01 is being taken in."


def wait_in_the_journal(site: Site, came_s: int) -> None:
    """Two messages that nobody processes, and no others."""
    with site.database.write() as tx:
        tx.execute(t.checkpoint.update().values(offset=site.journal.newest_offset()))
    site.journal.append([Arrival(came_s * 1_000_000, "headend/v1/GW-1/reads", "GW-1", b"{}", 2)] * 2)


async def intervals(client: TestClient, first_s: int, end_s: int) -> dict[str, object]:
    times = "".join(f"&{name}={moment(at):%Y-%m-%dT%H:%M:%SZ}" for name, at in (("from", first_s), ("to", end_s)))
    answer = await client.get(URL + times)
    assert answer.status == 200
    return await answer.json()


async def test_intervals_say_that_the_newest_may_be_on_their_way(site, visit):
    wait_in_the_journal(site, CAME)
    client = await visit("olga")
    over = CAME // 3600 * 3600
    behind = {"messages": 2, "since": "2025-11-12T10:01:00Z"}
    assert (await intervals(client, over - 7200, over))["behind"] == behind
    assert (await intervals(client, over - 7200, over + 3600))["behind"] == behind
    # What was over an hour before had come before.
    assert "behind" not in await intervals(client, over - 7200, over - 3600)


async def test_traffic_of_a_moment_is_not_worth_a_word(site, visit):
    wait_in_the_journal(site, seconds(NOW) - site.settings.process.behind_after_s)
    client = await visit("olga")
    assert "behind" not in await intervals(client, seconds(NOW) - 7200, seconds(NOW))
    for path in ("/operator", "/operator/meters/E-1"):
        page = await (await client.get(path)).text()
        assert "on their way" not in page
        assert "still to be processed" not in page


async def test_pages_of_use_say_so_in_one_line(site, visit):
    wait_in_the_journal(site, CAME)
    assert ON_THE_WAY in await (await (await visit("olga")).get("/operator/meters/E-1")).text()
    anna = await visit("anna")
    assert ON_THE_WAY in await (await anna.get("/customer")).text()
    assert "on their way" not in await (await anna.get("/customer?month=last")).text()


# ---- InfluxDB ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def lagging(site: Site, writer) -> AsyncIterator[TestClient]:
    """Olga's browser at a site of which InfluxDB lacks 1,234 day blocks, the oldest since two minutes ago."""
    settings = load_settings(
        overrides={"data": {"directory": str(site.settings.data.directory)}, "store": {"kind": "influx"}}
    )
    with site.database.write() as tx:
        for meter in range(1_234):
            blocks = block(meter, 7, 20_000)
            note_unsent(tx, blocks, everything(blocks), moment(seconds(NOW) - 120 + meter // 100))
    async with TestServer(make_app(replace(site, settings=settings), writer)) as served:
        client = await visitor(served, "olga")
        yield client
        await client.session.close()


async def test_what_influxdb_lacks_is_told_everywhere(lagging):
    page = await (await lagging.get("/operator")).text()
    assert "InfluxDB lacks 1,234 day blocks, the oldest since 2025-11-12 11:58." in page
    assert '<span class="tag warn">catching up</span>' in page
    ready = await (await lagging.get("/readyz")).json()
    assert ready == {"status": "ok", "journal_lag": 2, "store_unsent_blocks": 1_234, "store_unsent_seconds": 120}
    figures = (await (await lagging.get("/metrics")).text()).splitlines()
    assert {"headend_store_unsent_blocks 1234.0", "headend_store_unsent_seconds 120.0"} <= set(figures)
    told = await (await lagging.get("/api/v1/fleet")).json()
    unsent = {"blocks": 1_234, "since": "2025-11-12T10:58:00Z", "seconds": 120, "state": "catching up"}
    assert (told["store_unsent"], told["store_away"]) == (unsent, False)


async def test_site_without_influxdb_says_nothing_of_it(visit):
    client = await visit("olga")
    assert "InfluxDB" not in await (await client.get("/operator")).text()
    assert "store_unsent" not in await (await client.get("/readyz")).text()
    assert "store_unsent" not in await (await client.get("/metrics")).text()
    told = await (await client.get("/api/v1/fleet")).json()
    assert "store_unsent" not in told
    assert (told["meters"], told["meters_silent"], told["quarantined"], told["journal_lag"]) == (4, 1, 3, 2)
