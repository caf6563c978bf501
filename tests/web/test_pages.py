"""What operators, clerks and customers see."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from headend.billing.accruals.accounts import cost_so_far
from headend.office import office_of
from headend.registry.users import add_user
from headend.web import make_app
from headend.web.words import money, percent
from tests.web.conftest import token, visitor, writer_of
from tests.web.sites import NOW, PASSWORD, bill_october


async def text(client, path: str) -> str:
    answer = await client.get(path)
    assert answer.status == 200, await answer.text()
    return await answer.text()


async def test_fleet_shows_each_meter_and_can_be_narrowed(visit):
    client = await visit("olga")
    page = await text(client, "/operator")
    assert all(f"/operator/meters/{name}" in page for name in ("E-1", "E-2", "E-3", "W-2"))
    assert "2025-11-12 12:00" in page
    silent = await text(client, "/operator?show=silent")
    assert "/operator/meters/E-3" in silent
    assert "/operator/meters/E-1" not in silent
    assert "/operator/meters/W-2" in await text(client, "/operator?q=gw-2")
    assert "No meter matches." in await text(client, "/operator?q=%3Cscript%3E")
    assert await text(client, "/operator?order=rubbish&page=99999&show=x")


async def test_meter_page_tells_quality_version_and_findings(visit):
    client = await visit("olga")
    page = await text(client, "/operator/meters/E-1?from=2025-11-03&to=2025-11-03")
    assert "estimated: like days" in page
    assert "Estimated: like days" in page
    assert "no read came for this interval" in page
    assert page.count("data-chart=") == 2
    for query in ("from=2025-11-05&to=2025-11-03", "from=2020-01-01&to=2025-01-01", "from=x", "channel=1-0:9.9.9"):
        assert (await client.get(f"/operator/meters/E-1?{query}")).status == 422
    assert (await client.get("/operator/meters/X-9")).status == 404


async def test_load_chart_has_a_bar_an_interval_and_one_band_a_gap(visit):
    client = await visit("olga")
    answer = await client.get("/operator/meters/E-1/chart?channel=1-0:1.8.0&from=2025-11-03&to=2025-11-03")
    rows = (await answer.json())["data"]["values"]
    kinds = [row["kind"] for row in rows]
    assert (kinds.count("Measured"), kinds.count("Estimated"), kinds.count("No read")) == (18, 4, 1)
    (gap,) = (row for row in rows if row["kind"] == "No read")
    assert gap["end"] - gap["start"] == 2 * 3600
    assert gap["at"] == "Mon 3 Nov 2025 11:00 CET"


async def test_daily_chart_has_25_hours_on_the_day_the_clock_goes_back(visit):
    client = await visit("anna")
    hourly = await (await client.get("/customer/chart?meter=E-1&channel=1-0:1.8.0&month=last&by=hour")).json()
    daily = await (await client.get("/customer/chart?meter=E-1&channel=1-0:1.8.0&month=last")).json()
    rows = hourly["data"]["values"]
    assert len(rows) == 31 * 24 + 1
    on_the_day = [row["use"] for row in rows if " 26 Oct " in row["at"]]
    assert len(on_the_day) == 25
    (day,) = (row for row in daily["data"]["values"] if row["day"] == "2025-10-26")
    assert day["use"] == pytest.approx(sum(on_the_day))


async def test_water_is_summed_to_hours(visit):
    client = await visit("ben")
    rows = (await (await client.get("/customer/chart?meter=W-2&channel=8-0:1.0.0&by=hour")).json())["data"]["values"]
    assert rows[0]["end"] - rows[0]["start"] == 3600
    assert {row["kind"] for row in rows} == {"Measured", "Estimated", "No read"}


async def test_quarantine_shows_reason_and_excerpt_without_running_it(visit):
    client = await visit("olga")
    page = await text(client, "/operator/quarantine")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    page = await text(client, "/operator/quarantine?fault=not+JSON")
    assert "X-9&#34;" not in page


async def test_clerk_takes_a_month_from_rated_to_issued(visit):
    clara, anna = await visit("clara"), await visit("anna")
    assert "Rate October 2025" in await text(clara, "/clerk")
    for step, state in (("rate", "rated"), ("approve", "approved"), ("issue", "issued")):
        form = {"csrf": await token(clara, "/clerk"), "back": ""}
        answer = await clara.post(f"/clerk/cycles/2025-10/monthly/{step}", data=form)
        page = await answer.text()
        async with asyncio.timeout(60):
            while "is being worked on" in page:  # a busy machine takes longer than a clerk is made to wait
                await asyncio.sleep(0.05)
                page = await text(clara, "/clerk")
        page = await text(clara, "/clerk/cycles/2025-10/monthly")
        assert f">{state}<" in page
    assert "Reads missing" in page
    assert "A-1-2025-10-1" in page
    assert "A-1-2025-10-1" in await text(anna, "/customer")
    form = {"csrf": await token(clara, "/clerk"), "back": "/clerk"}
    page = await (await clara.post("/clerk/cycles/2025-10/monthly/rate", data=form)).text()
    assert "is issued: cannot rate it" in page
    assert (await clara.post("/clerk/cycles/2025-10/monthly/burn", data=form)).status == 404
    assert (await clara.post("/clerk/cycles/2025-13/monthly/rate", data=form)).status == 422


async def test_pages_stay_alive_while_a_cycle_is_rated(site, visit):
    clara = await visit("clara")
    form = {"csrf": await token(clara, "/clerk"), "back": ""}
    with site.database.write():  # the run can read but must wait to write
        page = await (await clara.post("/clerk/cycles/2025-10/monthly/rate", data=form)).text()
        assert "is being worked on" in page
        assert 'http-equiv="refresh"' in page
        assert (await clara.get("/readyz")).status == 200
        again = await clara.post("/clerk/cycles/2025-10/monthly/rate", data=form)
        assert "October 2025 is being worked on: clara rates it already." in await again.text()
    async with asyncio.timeout(10):
        while "is being worked on" in (page := await text(clara, "/clerk")):
            await asyncio.sleep(0.02)
    assert "Approve" in page


async def test_cycle_page_has_the_control_totals_and_can_be_searched(site, visit):
    bill_october(site, until="rated")
    clara = await visit("clara")
    page = await text(clara, "/clerk/cycles/2025-10/monthly")
    assert "Ben &lt;Water&gt;" in page
    with site.database.read() as tx:
        total = sum(Decimal(total) for (total,) in tx.exec_driver_sql("SELECT total FROM statement"))
    assert money(total, "EUR") in page
    page = await text(clara, "/clerk/cycles/2025-10/monthly?q=anna")
    assert "A-2-2025-10-1" not in page
    assert (await clara.get("/clerk/cycles/2025-09/monthly")).status == 404


async def test_cost_so_far_is_the_rating_engines(site, visit):
    (segment,) = cost_so_far(office_of(site), "A-1", NOW).segments
    page = await text(await visit("anna"), "/customer")
    assert money(segment.gross, "EUR") in page
    assert "provisional" in page
    assert ">2025-11-12 12:00</span>, with standing charges for the whole period" in page
    assert "No reads have come this month yet" in await text(await visit("root"), "/customer?account=A-3")


async def test_pages_say_so_when_there_is_nothing(bare_site):
    with bare_site.database.write() as tx:
        add_user(tx, "root", "admin", PASSWORD)
    async with TestServer(make_app(bare_site, writer_of(bare_site))) as server:
        client = await visitor(server, "root")
        for path, says in (
            ("/operator", "No meter is enrolled yet."),
            ("/operator/gateways", "No gateway is named"),
            ("/operator/events", "Nothing has happened yet"),
            ("/operator/exceptions", "Nothing to decide."),
            ("/operator/quarantine", "Nothing is in quarantine."),
            ("/clerk", "No month has been rated yet."),
            ("/customer", "No account is enrolled yet."),
        ):
            assert says in await text(client, path)
        assert (await client.get("/customer?account=A-1")).status == 404
        await client.session.close()


async def test_silent_meter_and_customer_without_reads(visit):
    assert "Nothing to draw" in await text(await visit(None), "/static/charts.js")
    page = await text(await visit("olga"), "/operator/meters/E-3")
    assert "none in a year" in page
    answer = await (await visit("olga")).get("/operator/meters/E-3/chart")
    assert (await answer.json())["data"]["values"] == []


async def test_nothing_of_an_unforeseen_error_is_told(site, visit):
    client = await visit("olga")
    with site.database.write() as tx:
        tx.exec_driver_sql("DROP TABLE finding")
    with capture_logs() as logged:
        answer = await client.get("/operator/meters/E-1")
    assert answer.status == 500
    assert [(entry["event"], entry["path"]) for entry in logged] == [("request failed", "/operator/meters/E-1")]
    assert "finding" not in await answer.text()
    assert "written to the log" in await answer.text()


async def test_assets_are_cached_for_good_and_packed(visit):
    client = await visit(None)
    answer = await client.get("/static/vega-lite.js")
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "vegaEmbed" in await answer.text()
    assert (await client.get("/static/secret")).status == 404
    assert (await client.get("/static/..%2Fapp.py")).status == 404


def test_a_share_is_rounded_down():
    assert [percent(share) for share in (None, 0, 0.99999, 1)] == ["–", "0.0 %", "99.9 %", "100 %"]
