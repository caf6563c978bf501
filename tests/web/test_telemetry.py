"""Telemetry as people and machines see it: newest values, charts, the API; and that there may be none."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from headend.reads.days import moment, seconds
from headend.store.telemetry import Series, Told, keep_telemetry
from headend.web.charts import telemetry_chart
from headend.web.words import telemetry
from tests.web.sites import NOW
from tests.web.test_field_api import basic

NOW_S = seconds(NOW)
HOUR = 3600
API = "/api/v1/gateways/GW-1/telemetry"


@pytest.fixture
def told(site) -> None:
    """Of GW-1 itself signal and battery, hourly over eight days; of its meter E-1 voltage; of GW-2 signal."""
    values = {}
    for hours in range(8 * 24):
        at_s = NOW_S - hours * HOUR
        values[Told(at_s, "GW-1", "", "signal_dbm")] = -70.0 - hours
        values[Told(at_s, "GW-1", "", "battery_v")] = 3.625
        values[Told(at_s, "GW-1", "E-1", "voltage_v")] = 231.44
        values[Told(at_s, "GW-2", "", "signal_dbm")] = -99.0
    with site.database.write() as tx:
        keep_telemetry(tx, values, sent=True)


async def text(client, path: str) -> str:
    answer = await client.get(path)
    assert answer.status == 200, await answer.text()
    return await answer.text()


def cards(page: str) -> list[str]:
    """What the cards of telemetry say."""
    section = page[page.index(">Telemetry <") :]
    return [" ".join(re.sub(r"<[^>]+>", " ", card).split()) for card in re.findall(r"<h3>.*?</h3>", section)]


# ---- pages ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("told")
async def test_gateways_page_shows_the_newest_and_a_chart_each(visit):
    client = await visit("olga")
    page = await text(client, "/operator/gateways/GW-1")
    assert cards(page) == ["Battery 3.62 V 2025-11-12 12:00", "Signal −70 dBm 2025-11-12 12:00"]
    charts = re.findall(r'data-chart="([^"]+)"', page)
    assert charts == [f"/operator/gateways/GW-1/telemetry?quantity={name}" for name in ("battery_v", "signal_dbm")]
    spec = await (await client.get(charts[1])).json()
    values = spec["data"]["values"]
    # Seven days and no more, oldest first.
    assert [point["value"] for point in values] == [-70.0 - hours for hours in range(7 * 24, -1, -1)]
    assert values[-1]["at"] == "Wed 12 Nov 2025 12:00 CET"
    assert (await client.get("/operator/gateways/GW-1/telemetry?quantity=voltage_v")).status == 404


@pytest.mark.usefixtures("told")
async def test_meters_page_shows_its_voltage_in_the_days_that_are_looked_at(visit):
    client = await visit("olga")
    page = await text(client, "/operator/meters/E-1?from=2025-11-05&to=2025-11-05")
    assert cards(page) == ["Voltage 231.4 V 2025-11-05 23:00"]
    (chart,) = (url for url in re.findall(r'data-chart="([^"]+)"', page) if "quantity=" in url)
    spec = await (await client.get(chart.replace("&amp;", "&"))).json()
    values = spec["data"]["values"]
    assert [point["value"] for point in values] == [231.44] * 24
    assert values[0]["at"] == "Wed 5 Nov 2025 00:00 CET"


async def test_pages_say_that_nothing_was_told(visit):
    client = await visit("olga")
    assert "It has told nothing of itself in these days." in await text(client, "/operator/gateways/GW-1")
    assert "Nothing but reads was told of this meter" in await text(client, "/operator/meters/E-1")


def test_a_line_is_broken_where_nothing_was_told():
    at_s = [NOW_S + step * HOUR for step in (0, 1, 2, 3, 8, 9)]
    spec = telemetry_chart(Series("voltage_v", at_s, [230.0] * 6), NOW_S, NOW_S + 10 * HOUR, NOW.tzinfo)
    assert [point["run"] for point in spec["data"]["values"]] == [0, 0, 0, 0, 1, 1]


def test_of_many_values_the_chart_keeps_the_peaks():
    values = [230.0] * 50_000
    values[17], values[40_000] = 207.0, 253.0
    series = Series("voltage_v", [NOW_S + step for step in range(50_000)], values)
    points = telemetry_chart(series, NOW_S, NOW_S + 50_000, NOW.tzinfo)["data"]["values"]
    assert len(points) <= 800
    assert [point["told"] for point in points] == sorted(point["told"] for point in points)
    assert [(p["told"] - NOW_S, p["value"]) for p in points if p["value"] != 230.0] == [(17, 207.0), (40_000, 253.0)]


@pytest.mark.parametrize(
    ("value", "quantity", "words"),
    [(231.449, "voltage_v", "231.4 V"), (-71.0, "signal_dbm", "−71 dBm"), (1234567.0, "clock_offset_s", "1,234,567 s")],
)
def test_values_in_words(value: float, quantity: str, words: str):
    assert telemetry(value, quantity) == words


# ---- the API -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("told")
async def test_gateways_telemetry_over_a_time(visit):
    client = await visit(None)
    at = [(NOW - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ") for hours in (3, 2, 1)]
    answer = await client.get(API, params={"from": at[0], "to": at[2]}, headers=basic("olga"))
    assert await answer.json() == {
        "gateway": "GW-1",
        "meter": None,
        "start": at[0],
        "end": at[2],
        "series": [
            {"quantity": "battery_v", "at": at[:2], "values": [3.625, 3.625]},
            {"quantity": "signal_dbm", "at": at[:2], "values": [-73.0, -72.0]},
        ],
    }
    # 24 hours up to now, and now itself is not over.
    told = await (await client.get(API, headers=basic("olga"))).json()
    assert [len(series["values"]) for series in told["series"]] == [24, 24]


@pytest.mark.usefixtures("told")
async def test_meters_telemetry_is_what_anybody_told_of_it(visit):
    client = await visit(None)
    told = await (await client.get("/api/v1/meters/E-1/telemetry", headers=basic("olga"))).json()
    assert (told["gateway"], told["meter"]) == (None, "E-1")
    (series,) = told["series"]
    assert (series["quantity"], series["values"]) == ("voltage_v", [231.44] * 24)
    told = await (await client.get("/api/v1/meters/W-2/telemetry", headers=basic("olga"))).json()
    assert told["series"] == []


async def test_what_cannot_be_told_is_a_problem_that_says_why(site, visit):
    client = await visit(None)
    for path, status, says in (
        ("/api/v1/gateways/GW-7/telemetry", 404, "GW-7"),
        ("/api/v1/meters/E-7/telemetry", 404, "E-7"),
        (f"{API}?from=2025-11-12T11:00:00Z", 422, "a moment before `to`"),
        (f"{API}?from=yesterday", 422, "from"),
    ):
        answer = await client.get(path, headers=basic("olga"))
        assert (answer.status, answer.content_type) == (status, "application/problem+json"), path
        assert says in (await answer.json())["detail"]
    for login in ("anna", "clara"):
        assert (await client.get(API, headers=basic(login))).status == 403
    with site.database.write() as tx:
        keep_telemetry(
            tx, {Told(NOW_S - 1 - second, "GW-1", "", "signal_dbm"): -70.0 for second in range(100_001)}, sent=True
        )
    long = await client.get(f"{API}?from={moment(NOW_S - 200_000):%Y-%m-%dT%H:%M:%SZ}", headers=basic("olga"))
    assert "at most 100000 values" in (await long.json())["detail"]
