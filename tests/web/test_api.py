"""The API: what it answers is what is stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from headend.billing.approval import issue
from headend.billing.bundle import check_bundle
from headend.billing.statement import sha256
from headend.office import office_of
from headend.reads.channels import IMPORT
from headend.reads.days import DAY_S, seconds
from headend.reads.quality import Quality
from tests.web.sites import FIRST_DAY, bill_october, reads_of

THIRD = seconds(datetime(2025, 11, 3, tzinfo=UTC))


async def test_intervals_are_what_was_stored(visit):
    client = await visit("olga")
    answer = await client.get(
        "/api/v1/meters/E-1/intervals",
        params={"channel": "1-0:1.8.0", "from": "2025-11-03T00:00:00Z", "to": "2025-11-04T01:00:00+01:00"},
    )
    assert answer.status == 200
    told = await answer.json()
    stored = reads_of(1, IMPORT.code, 3600, 900)
    row = THIRD // DAY_S - FIRST_DAY
    expected = [
        None if quality == Quality.MISSING else value
        for value, quality in zip(stored.values[row].tolist(), stored.quality[row].tolist(), strict=True)
    ]
    assert told["values"] == expected
    assert expected[10:12] == [None, None]
    assert told["quality"] == stored.quality[row].tolist()
    assert told["quality_labels"] == {"0": "missing", "2": "validated", "7": "estimated: like days"}
    assert told["version"] == [0 if value is None else 1 for value in expected]
    assert (told["meter"], told["channel"], told["unit"], told["interval_s"]) == ("E-1", "1-0:1.8.0", "Wh", 3600)
    assert (told["start"], told["end"]) == ("2025-11-03T00:00:00Z", "2025-11-04T00:00:00Z")


async def test_part_of_an_interval_asks_for_all_of_it(visit):
    client = await visit("olga")
    answer = await client.get(
        "/api/v1/meters/W-2/intervals", params={"from": "2025-11-03T00:20:00Z", "to": "2025-11-03T00:40:00Z"}
    )
    told = await answer.json()
    assert (told["start"], told["end"], len(told["values"])) == ("2025-11-03T00:15:00Z", "2025-11-03T00:45:00Z", 2)
    assert told["unit"] == "litre"


WRONG = (
    ("/api/v1/meters/E-1/intervals", 422, "1-0:1.8.0, 1-0:2.8.0"),
    ("/api/v1/meters/E-1/intervals?channel=1-0:9.9.9", 422, "one of 1-0:1.8.0"),
    ("/api/v1/meters/E-2/intervals?from=yesterday", 422, "from"),
    ("/api/v1/meters/E-2/intervals?from=2025-11-03T00:00:00", 422, "timezone"),
    ("/api/v1/meters/E-2/intervals?from=2025-11-03T00:00:00Z&to=2025-11-02T00:00:00Z", 422, "before"),
    ("/api/v1/meters/E-2/intervals?from=1990-01-01T00:00:00Z", 422, "at most"),
    ("/api/v1/meters?limit=0", 422, "limit"),
    ("/api/v1/meters/X-9/intervals", 404, "X-9"),
    ("/api/v1/nothing", 404, ""),
    ("/api/v1/accounts/A-1/statements", 403, "operator"),
)


async def test_errors_are_problem_documents(visit):
    client = await visit("olga")
    for path, status, says in WRONG:
        answer = await client.get(path)
        assert (answer.status, answer.content_type) == (status, "application/problem+json"), path
        told = await answer.json()
        assert (told["status"], told["type"]) == (status, "about:blank")
        assert told["title"]
        assert says in told["detail"], path


async def test_wrong_method_and_no_login_are_problem_documents_too(visit):
    client = await visit(None)
    answer = await client.delete("/api/v1/meters")
    assert (answer.status, answer.content_type) == (405, "application/problem+json")
    assert "GET" in answer.headers["Allow"]
    answer = await client.get("/api/v1/meters", headers={"Authorization": "Basic !!!"})
    assert (answer.status, answer.content_type) == (401, "application/problem+json")


async def test_meters_come_in_parts_by_name(visit):
    client = await visit("olga")
    told = await (await client.get("/api/v1/meters?limit=2&offset=1")).json()
    assert (told["total"], [meter["id"] for meter in told["meters"]]) == (4, ["E-2", "E-3"])
    told = await (await client.get("/api/v1/meters?q=w-")).json()
    assert told["meters"] == [
        {
            "id": "W-2",
            "commodity": "water",
            "gateway": "GW-2",
            "usage_point": "UP-2",
            "timezone": "Europe/Berlin",
            "channels": [{"channel": "8-0:1.0.0", "meaning": "Water volume", "unit": "litre", "interval_s": 900}],
        }
    ]


async def test_customer_sees_only_their_meters_accounts_and_statements(site, visit):
    bill_october(site, until="issued")
    ben = await visit("ben")
    told = await (await ben.get("/api/v1/meters")).json()
    assert [meter["id"] for meter in told["meters"]] == ["E-2", "W-2"]
    for path in (
        "/api/v1/meters/E-1/intervals?channel=1-0:1.8.0",
        "/api/v1/accounts/A-1/statements",
        "/api/v1/accounts/A-1/accrual",
        "/api/v1/statements/A-1-2025-10-1",
        "/api/v1/statements/A-1-2025-10-1/bundle",
        "/customer/statements/A-1-2025-10-1.zip",
        "/customer/statements/A-1-2025-10-1",
        "/customer/statements/A-1-2025-10-1.pdf",
        "/customer/statements/A-1-2025-10-1.json",
        "/customer/chart?meter=E-1&channel=1-0:1.8.0",
        "/customer/chart?meter=E-1&channel=1-0:1.8.0&account=A-1",
    ):
        assert (await ben.get(path)).status == 404, path
    assert "Anna" not in await (await ben.get("/customer?account=A-1")).text()
    assert (await ben.get("/api/v1/statements/A-2-2025-10-1")).status == 200


async def test_customer_does_not_see_use_from_before_their_agreement(visit):
    ben = await visit("ben")
    asked = {"from": "2025-10-01T00:00:00Z", "to": "2025-10-16T00:00:00Z"}
    told = await (await ben.get("/api/v1/meters/E-2/intervals", params=asked)).json()
    assert told["start"] == "2025-10-14T22:00:00Z"
    before = {"from": "2025-10-01T00:00:00Z", "to": "2025-10-10T00:00:00Z"}
    assert (await ben.get("/api/v1/meters/E-2/intervals", params=before)).status == 404


async def test_statements_of_an_account_once_they_are_issued(site, visit):
    bill_october(site, until="approved")
    clara, anna = await visit("clara"), await visit("anna")
    assert (await (await clara.get("/api/v1/accounts/A-1/statements")).json())["statements"] == []
    assert (await anna.get("/api/v1/statements/A-1-2025-10-1")).status == 404
    assert (await anna.get("/customer/statements/A-1-2025-10-1")).status == 404
    assert (await clara.get("/clerk/statements/A-1-2025-10-1")).status == 200


async def test_statement_is_the_record_byte_for_byte(site, visit):
    bill_october(site, until="issued")
    anna = await visit("anna")
    (one,) = (await (await anna.get("/api/v1/accounts/A-1/statements")).json())["statements"]
    answer = await anna.get("/api/v1/statements/" + one["id"])
    document = await answer.read()
    assert sha256(document) == one["sha256"] == answer.headers["ETag"].strip('"')
    assert json.loads(document)["totals"]["gross"] == one["total"]
    pdf = await anna.get(f"/customer/statements/{one['id']}.pdf")
    assert (await pdf.read()).startswith(b"%PDF-")


async def test_bundle_is_rated_again_by_whoever_has_it(site, visit):
    bill_october(site, until="approved")
    anna, clara = await visit("anna"), await visit("clara")
    assert (await anna.get("/api/v1/statements/A-1-2025-10-1/bundle")).status == 404
    assert (await clara.get("/api/v1/statements/A-1-2025-10-1/bundle")).status == 409
    issue(office_of(site), "2025-10", "monthly", "clara")
    answer = await anna.get("/api/v1/statements/A-1-2025-10-1/bundle")
    assert answer.content_type == "application/zip"
    data = await answer.read()
    found = check_bundle(data)
    assert found.identical
    assert found.statement.id == "A-1-2025-10-1"
    page = await anna.get("/customer/statements/A-1-2025-10-1.zip")
    assert page.headers["Content-Disposition"] == 'attachment; filename="statement-A-1-2025-10-1.zip"'
    assert await page.read() == data
    assert 'href="/customer/statements/A-1-2025-10-1.zip"' in await (await anna.get("/customer")).text()


async def test_openapi_lists_every_route_of_the_api(visit):
    answer = await (await visit(None)).get("/api/openapi.json")
    spec = await answer.json()
    assert spec["openapi"].startswith("3.")
    assert set(spec["paths"]) == {
        "/api/v1/meters",
        "/api/v1/fleet",
        "/api/v1/exceptions",
        "/api/v1/exceptions/{id}",
        "/api/v1/exceptions/{id}/decisions",
        "/api/v1/edits/{id}/preview",
        "/api/v1/edits/{id}/confirm",
        "/api/v1/edits/{id}/refuse",
        "/api/v1/meters/{id}/intervals",
        "/api/v1/meters/{id}/telemetry",
        "/api/v1/gateways/{id}/telemetry",
        "/api/v1/meters/{id}/intervals/{start}/history",
        "/api/v1/accounts/{id}/statements",
        "/api/v1/accounts/{id}/accrual",
        "/api/v1/accounts/{id}/ledger",
        "/api/v1/statements/{id}",
        "/api/v1/statements/{id}/bundle",
        "/api/v1/statements/{id}/explanation",
        "/api/v1/rebills",
        "/api/v1/cycles",
        "/api/v1/cycles/{period}/{name}",
        "/api/v1/cycles/{period}/{name}/findings",
        "/api/v1/gateways",
        "/api/v1/gateways/{id}/commands",
        "/api/v1/events",
    }
    names = [one["operationId"] for path in spec["paths"].values() for one in path.values()]
    assert len(set(names)) == len(names)
    asked = spec["paths"]["/api/v1/meters/{id}/intervals"]["get"]
    assert [one["name"] for one in asked["parameters"]] == ["id", "channel", "from", "to"]
    told = asked["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
    assert {"values", "quality", "version"} <= set(spec["components"]["schemas"][told]["properties"])
    assert "application/problem+json" in asked["responses"]["422"]["content"]


async def test_metrics_are_the_tables_figures(visit):
    answer = await (await visit(None)).get("/metrics")
    found = {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(await answer.text())
        for sample in family.samples
    }
    assert found["headend_gateways"] == 2
    assert found["headend_gateways_clock_off"] == 1
    assert found["headend_gateway_sequence_missing"] == 5
    # A gateway's own word counts as another: it makes no metric.
    kinds = {name.partition(" ")[2]: value for name, value in found.items() if name.startswith("headend_events_24h")}
    assert {kind for kind, count in kinds.items() if count} == {"tamper", "battery_low", "unreachable", "other"}
    assert found["headend_commands acknowledged"] == found["headend_commands failed"] == 1
    assert found["headend_commands expired"] == 0
    assert found["headend_meters"] == 4
    assert found["headend_meters_silent"] == 1
    assert found["headend_gateways_online"] == 1
    assert found["headend_journal_lag_messages"] == 2
    assert found["headend_quarantined"] == 3
    assert found["headend_reads_stored_total"] == 1234
    assert found["headend_reads_duplicate_total"] == 5


async def test_probes(site, visit):
    client = await visit(None)
    assert (await client.get("/healthz")).status == 200
    assert await (await client.get("/readyz")).json() == {"status": "ok", "journal_lag": 2}
    with site.database.write() as tx:
        tx.exec_driver_sql("DROP TABLE checkpoint")
    assert (await client.get("/readyz")).status == 503
    assert (await client.get("/healthz")).status == 200
