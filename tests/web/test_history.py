"""Every version of an interval over the API and on the operator's page."""

from __future__ import annotations

import re

import pytest

from headend.reads.channels import IMPORT
from headend.reads.days import microseconds, seconds
from headend.store import tables as t
from tests.web.sites import NOW

AT = "2025-11-03T03:00:00Z"
URL = f"/api/v1/meters/E-1/intervals/{AT}/history?channel=1-0:1.8.0"
PAGE = "/operator/meters/E-1/interval?channel=1-0:1.8.0&at="


@pytest.fixture
def replaced(site):
    """The estimate of the filled site at three o'clock once stood otherwise."""
    row = {"channel": IMPORT.code, "start_s": 1_762_138_800, "version": 0, "value": 17, "quality": 1}
    row |= {"superseded_us": microseconds(NOW), "superseded_by": "olga <b>"}
    with site.database.write() as tx:
        meter = tx.execute(t.meter.select().where(t.meter.c.name == "E-1")).one().id
        tx.execute(t.interval_history.insert(), row | {"meter": meter})
    return site


async def test_versions_and_findings_of_one_interval(replaced, visit):
    client = await visit("olga")
    told = await (await client.get(URL)).json()
    assert seconds(NOW) > 1_762_138_800
    assert (told["meter"], told["channel"], told["unit"], told["interval_s"]) == ("E-1", "1-0:1.8.0", "Wh", 3600)
    assert (told["start"], told["end"]) == (AT, "2025-11-03T04:00:00Z")
    first, second = told["versions"]
    assert (first["version"], first["value"], first["quality_label"], first["by"]) == (0, 17, "raw", None)
    assert first["until"] == second["since"] == "2025-11-12T11:00:00Z"
    assert (second["version"], second["by"], second["until"], second["rule"]) == (1, "olga <b>", None, "E3")
    assert second["detail"] == "mean of 3 like days"
    assert told["findings"] == [
        {
            "rule": "E3",
            "severity": "info",
            "detail": "mean of 3 like days",
            "rule_set": "1",
            "found": "2025-11-12T11:00:00Z",
        }
    ]


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/api/v1/meters/E-7/intervals/2025-11-03T03:00:00Z/history", 404),
        ("/api/v1/meters/E-1/intervals/2025-11-03T03:00:00Z/history", 422),  # which of two channels?
        ("/api/v1/meters/E-1/intervals/2025-11-03T03:00:00/history?channel=1-0:1.8.0", 422),
        ("/api/v1/meters/E-1/intervals/2925-11-03T03:00:00Z/history?channel=1-0:1.8.0", 422),
    ],
)
async def test_what_there_is_not_is_a_problem(visit, url, status):
    answer = await (await visit("olga")).get(url)
    assert (answer.status, answer.content_type) == (status, "application/problem+json")


async def test_history_is_for_staff(visit):
    assert (await (await visit("anna")).get(URL)).status == 403


async def test_operator_goes_from_the_table_to_the_versions_of_an_interval(replaced, visit):
    client = await visit("olga")
    table = await (await client.get("/operator/meters/E-1?from=2025-11-03&to=2025-11-03")).text()
    link = "/operator/meters/E-1/interval?channel=1-0:1.8.0&amp;at=2025-11-03T03:00:00Z"
    assert link in table
    page = await (await client.get(PAGE + AT)).text()
    assert "olga &lt;b&gt;" in page
    assert "E3: mean of 3 like days" in page
    command = "headend reads history --meter E-1 --channel 1-0:1.8.0 --at 2025-11-03T03:00:00Z"
    assert command in re.sub("<[^>]+>", "", page)


@pytest.mark.parametrize(("at", "status"), [("soon", 422), ("2025-11-03T03:00:00", 422), ("", 422), (AT, 200)])
async def test_page_needs_a_moment_with_an_offset(visit, at, status):
    assert (await (await visit("olga")).get(PAGE + at)).status == status
