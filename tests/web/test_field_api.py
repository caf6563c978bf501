"""The API of the field side: gateways, what they are asked for, what happened."""

from __future__ import annotations

from base64 import b64encode

from headend.store.commands import commands_of
from tests.web.conftest import token
from tests.web.sites import PASSWORD

COMMANDS = "/api/v1/gateways/GW-1/commands"


def basic(login: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{login}:{PASSWORD}".encode()).decode()}


async def test_gateways_come_in_parts_by_name(visit):
    client = await visit("olga")
    told = await (await client.get("/api/v1/gateways?limit=1&offset=1")).json()
    assert told == {
        "total": 3,
        "offset": 1,
        "gateways": [
            {
                "id": "GW-2",
                "online": False,
                "last_seen": "2025-11-11T09:00:00Z",
                "clock_offset_s": -200,
                "firmware": None,
                "revoked": None,
                "messages": 0,
                "messages_missing": 5,
                "open_commands": 0,
                "meters": 1,
                "meters_silent": 0,
            }
        ],
    }
    told = await (await client.get("/api/v1/gateways?q=gw-3")).json()
    assert [one["revoked"] for one in told["gateways"]] == ["2025-11-08T07:00:00Z"]


async def test_command_queued_by_a_machine_is_found_among_the_gateways_commands(site, visit):
    client = await visit(None)
    body = {"kind": "set_interval", "args": {"report_every_s": 600}}
    answer = await client.post(COMMANDS, json=body, headers=basic("olga"))
    assert (answer.status, answer.headers["Location"]) == (201, COMMANDS)
    number = (await answer.json())["id"]
    told = await (await client.get(COMMANDS + "?limit=1", headers=basic("olga"))).json()
    (one,) = told["commands"]
    assert told["gateway"] == "GW-1"
    assert {key: one[key] for key in ("id", "state", "created_by", "attempts", "sent", "created", "expires")} == {
        "id": number,
        "state": "queued",
        "created_by": "olga",
        "attempts": 0,
        "sent": None,
        "created": "2025-11-12T11:00:00Z",
        "expires": "2025-11-13T11:00:00Z",
    }
    assert {key: one[key] for key in body} == body


async def test_browser_session_needs_its_token_to_ask(visit):
    client = await visit("olga")
    assert (await client.post(COMMANDS, json={"kind": "read"})).status == 403
    headers = {"X-CSRF-Token": await token(client, "/operator")}
    assert (await client.post(COMMANDS, json={"kind": "read"}, headers=headers)).status == 201


async def test_what_cannot_be_asked_is_a_problem_that_says_why(site, visit):
    client = await visit(None)
    for gateway, body, status, says in (
        ("GW-1", {"kind": "burn"}, 422, "one of read"),
        ("GW-1", {"kind": "set_interval", "args": {}}, 422, "report_every_s"),
        ("GW-1", {"args": {}}, 422, "kind"),
        ("GW-1", {"kind": "firmware", "args": {"version": 2}}, 422, "version"),
        ("GW-1", {"kind": "backfill"}, 409, "owe nothing"),
        ("GW-3", {"kind": "read"}, 422, "revoked"),
        ("GW-7", {"kind": "read"}, 404, "GW-7"),
        ("GW-1", ["read"], 400, "JSON object"),
    ):
        answer = await client.post(f"/api/v1/gateways/{gateway}/commands", json=body, headers=basic("olga"))
        assert (answer.status, answer.content_type) == (status, "application/problem+json"), body
        assert says in (await answer.json())["detail"]
    answer = await client.post(COMMANDS, data=b"{", headers=basic("olga"))
    assert (answer.status, answer.content_type) == (400, "application/problem+json")
    with site.database.read() as tx:
        assert len(commands_of(tx)) == 3


async def test_only_operators_ask_and_look(visit):
    client = await visit(None)
    for login in ("anna", "clara"):
        assert (await client.post(COMMANDS, json={"kind": "read"}, headers=basic(login))).status == 403
        for path in ("/api/v1/gateways", COMMANDS, "/api/v1/events"):
            assert (await client.get(path, headers=basic(login))).status == 403
    assert (await client.post(COMMANDS, json={"kind": "read"}, headers=basic("root"))).status == 201


async def test_events_over_a_time_by_kind_gateway_and_meter(visit):
    client = await visit("olga")
    told = await (await client.get("/api/v1/events?limit=2")).json()
    assert told["total"] == 7
    assert told["events"][0] == {
        "at": "2025-11-12T10:00:00Z",
        "kind": "tamper",
        "gateway": "GW-1",
        "meter": "E-1",
        "detail": "cover <opened>",
    }
    for query, kinds in (
        ("meter=E-3", ["unreachable", "reachable"]),
        ("kind=outage,restart", ["outage", "restart"]),
        ("gateway=GW-2", []),
        # An outage at 09:00 on the 10th is in, a restart an hour before is not; the end is not either.
        ("from=2025-11-10T09:00:00Z&to=2025-11-11T05:00:00Z", ["outage"]),
        ("from=2025-11-10T09:00:00Z&to=2025-11-11T05:00:01Z", ["reachable", "outage"]),
    ):
        told = await (await client.get(f"/api/v1/events?{query}")).json()
        assert [one["kind"] for one in told["events"]] == kinds, query
    told = await (await client.get("/api/v1/events?meter=E-3")).json()
    assert told["events"][0]["gateway"] is None
    assert (await client.get("/api/v1/events?from=yesterday")).status == 422


async def test_openapi_describes_how_to_ask(visit):
    spec = await (await (await visit(None)).get("/api/openapi.json")).json()
    asked = spec["paths"]["/api/v1/gateways/{id}/commands"]["post"]
    schema = asked["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
    assert set(spec["components"]["schemas"][schema]["properties"]) == {"kind", "args"}
    assert {"201", "400", "409", "422"} <= set(asked["responses"])
    assert "409" not in spec["paths"]["/api/v1/events"]["get"]["responses"]
