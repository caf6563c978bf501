"""The API of exceptions: what is asked, what is decided, and by whom."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import select

from headend.reads.channels import IMPORT
from headend.reads.days import seconds
from headend.registry.registry import channels_of
from headend.registry.users import add_user
from headend.store import tables as t
from headend.store.exceptions import open_found
from headend.vee import Finding
from tests.web.conftest import token
from tests.web.sites import NOW, PASSWORD

#: Three hours of which the last two are missing.
NINE = datetime(2025, 11, 3, 9, tzinfo=UTC)
ALL = "/api/v1/exceptions"
REASON = "failed to validate"


def basic(login: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{login}:{PASSWORD}".encode()).decode()}


OLGA = basic("olga")


@pytest.fixture
def asked(site) -> dict[str, int]:
    """Two exceptions, and a second operator."""
    with site.database.write() as tx:
        keys = {name: channels_of(tx, name)[0].meter for name in ("E-1", "E-2")}
        start = seconds(NINE)
        found = [
            Finding(keys["E-1"], IMPORT.code, start, start + 3 * 3600, "V8", "failed", "12 off", review=True),
            Finding(keys["E-2"], IMPORT.code, start, start + 3600, "V10", "warning", "0 for 1 hour", review=True),
        ]
        open_found(tx, found, site.rules, {}, NOW)
        add_user(tx, "otto", "operator", PASSWORD, None)
        rows = tx.execute(select(t.exception.c.rule, t.exception.c.id)).all()
    return {row.rule: row.id for row in rows}


async def post(client, path, body=None, login="olga"):
    answer = await client.post(path, json=body or {}, headers=basic(login))
    return answer.status, await answer.json()


async def test_what_is_asked_most_urgently_comes_first(asked, visit):
    client = await visit(None)
    told = await (await client.get(ALL, headers=OLGA)).json()
    assert (told["total"], told["offset"], told["by_rule"]) == (2, 0, {"V10": 1, "V8": 1})
    assert told["exceptions"][0] == {
        "id": asked["V8"],
        "meter": "E-1",
        "channel": "1-0:1.8.0",
        "rule": "V8",
        "meaning": "Sum check",
        "start": "2025-11-03T09:00:00Z",
        "end": "2025-11-03T12:00:00Z",
        "severity": "failed",
        "score": 0.7,
        "detail": "12 off",
        "rule_set": "2026-2",
        "holds_bill": False,
        "state": "open",
        "outcome": None,
        "opened": "2025-11-12T11:00:00Z",
        "changed": "2025-11-12T11:00:00Z",
        "changed_by": "rules 2026-2",
        "reason": None,
        "note": None,
    }
    assert told["exceptions"][1]["rule"] == "V10"


@pytest.mark.parametrize(
    ("query", "rules"),
    [
        ("rule=V10", ["V10"]),
        ("meter=E-1", ["V8"]),
        ("severity=warning", ["V10"]),
        ("holds_bill=true", []),
        ("state=closed", []),
        ("state=all&limit=1&offset=1", ["V8"]),
        ("limit=1&offset=1", ["V10"]),
    ],
)
async def test_exceptions_can_be_chosen(asked, visit, query, rules):
    client = await visit(None)
    told = await (await client.get(f"{ALL}?{query}", headers=OLGA)).json()
    assert [one["rule"] for one in told["exceptions"]] == rules


async def test_one_comes_with_its_reads_and_what_was_found(asked, visit):
    client = await visit(None)
    told = await (await client.get(f"{ALL}/{asked['V8']}", headers=OLGA)).json()
    assert (told["unit"], told["interval_s"], told["quality"], told["version"]) == ("Wh", 3600, [2, 0, 0], [1, 0, 0])
    assert isinstance(told["values"][0], int)
    assert told["values"][1:] == [None, None]
    assert told["quality_labels"] == {"0": "missing", "2": "validated"}
    assert [(one["rule"], one["start"]) for one in told["findings"]] == [
        ("V4", "2025-11-03T10:00:00Z"),
        ("V4", "2025-11-03T11:00:00Z"),
    ]
    assert told["edits"] == []


async def test_a_preview_changes_nothing_and_the_decision_is_what_it_said(site, asked, visit):
    client, one = await visit(None), f"{ALL}/{asked['V8']}"
    body = {"action": "edit", "reason": REASON, "values": [None, 700, 800]}
    before = await (await client.get(one, headers=OLGA)).json()
    status, shown = await post(client, f"{one}/decisions", body | {"preview": True})
    assert (status, shown["change"], shown["second_person"], shown["unit"]) == (200, 1500, False, "Wh")
    assert shown["before"]["values"] == [before["values"][0], None, None]
    assert shown["after"] == {
        "start": "2025-11-03T09:00:00Z",
        "values": [before["values"][0], 700, 800],
        "quality": [2, 5, 5],
    }
    assert (shown["days_before"]["start"], shown["quality_labels"]["5"]) == ("2025-11-03T00:00:00Z", "edited by hand")
    (bill,) = shown["bills"]
    assert (bill["account"], bill["period"], bill["provisional"], bill["issued"]) == ("A-1", "2025-11", True, None)
    # Four hours of that day are estimated anew beside it. At 0.3174 EUR a kWh and 19 % VAT, two lines are rounded.
    total_before, total_after = (
        sum(value or 0 for value in shown[days]["values"]) for days in ("days_before", "days_after")
    )
    cost = Decimal(total_after - total_before) / 1000 * Decimal("0.3174") * Decimal("1.19")
    assert abs(cost - Decimal(bill["change"]["EUR"])) < Decimal("0.02")
    assert await (await client.get(one, headers=OLGA)).json() == before
    status, done = await post(client, f"{one}/decisions", body | {"seen": before["seen"]})
    assert (status, done) == (201, {"edit": 1, "state": "done", "change": 1500})
    after = await (await client.get(one, headers=OLGA)).json()
    assert (after["state"], after["outcome"], after["changed_by"]) == ("closed", "edited", "olga")
    assert (after["values"], after["quality"]) == (shown["after"]["values"], shown["after"]["quality"])
    (edit,) = after["edits"]
    assert (edit["made_by"], edit["values"], edit["state"]) == ("olga", [None, 700, 800], "done")


async def test_two_persons(asked, visit):
    client, one = await visit(None), f"{ALL}/{asked['V8']}"
    body = {"action": "edit", "reason": REASON, "values": [20_000, 20_000, 20_000]}
    status, waits = await post(client, f"{one}/decisions", body)
    assert (status, waits["state"]) == (201, "waiting")
    edit = f"/api/v1/edits/{waits['edit']}"
    shown = await (await client.get(f"{edit}/preview", headers=OLGA)).json()
    assert (shown["after"]["values"], shown["change"]) == ([20_000] * 3, waits["change"])
    status, problem = await post(client, f"{edit}/confirm")
    assert (status, problem["detail"]) == (
        409,
        f"edit {waits['edit']} was asked for by olga: another person has to confirm it",
    )
    status, refused = await post(client, f"{edit}/refuse", {"note": "too much"}, "otto")
    assert (status, refused["state"], refused["second_by"]) == (200, "refused", "otto")
    status, waits = await post(client, f"{one}/decisions", body)
    status, done = await post(client, f"/api/v1/edits/{waits['edit']}/confirm", login="otto")
    assert (status, done) == (200, waits | {"state": "done"})


async def test_a_body_that_is_no_text(asked, visit):
    client = await visit(None)
    answer = await client.post(ALL, data=b"\xff\xfe", headers=OLGA | {"Content-Type": "application/json"})
    assert (answer.status, answer.content_type) == (400, "application/problem+json")


async def test_any_intervals_can_be_asked_about(asked, visit):
    client = await visit(None)
    body = {"meter": "E-1", "channel": "1-0:1.8.0", "start": "2025-11-04T00:00:00Z", "end": "2025-11-04T01:00:00Z"}
    answer = await client.post(ALL, json=body, headers=OLGA)
    number = (await answer.json())["id"]
    assert (answer.status, answer.headers["Location"]) == (201, f"{ALL}/{number}")
    one = await (await client.get(f"{ALL}/{number}", headers=OLGA)).json()
    assert (one["rule"], one["detail"], one["changed_by"]) == ("hand", "olga asks to look", "olga")
    status, done = await post(client, f"{ALL}/{number}/decisions", {"action": "accept", "reason": "usage confirmed"})
    assert (status, done["change"]) == (201, 0)


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/V8/decisions", {"action": "burn", "reason": REASON}, 422, "action: Input should be 'accept'"),
        ("/V8/decisions", {"action": "accept"}, 422, "reason: Field required"),
        ("/V8/decisions", {"action": "accept", "reason": "x"}, 422, "reason: found 'x', expected one of "),
        ("/V8/decisions", {"action": "accept", "reason": REASON}, 422, "accept: found no value at 2025-11-03T10:00"),
        ("/V8/decisions", {"action": "edit", "reason": REASON, "values": [1]}, 422, "values: found 1, expected 3"),
        (
            "/V8/decisions",
            {"action": "edit", "reason": REASON, "values": [0.5, 1, 1]},
            422,
            "values.0: Input should be",
        ),
        (
            "/V8/decisions",
            {"action": "accept", "reason": REASON, "preveiw": True},
            422,
            "preveiw: Extra inputs are not",
        ),
        ("/V8/decisions", {"action": "edit", "reason": REASON, "values": [True, 1, 1]}, 422, "values.0: Input should"),
        ("/V8/decisions", {"action": "edit", "reason": REASON, "values": ["1", 1, 1]}, 422, "values.0: Input should"),
        ("/V8/decisions", {"action": "estimate", "reason": REASON, "method": "x"}, 422, "method: Input should be"),
        ("/V8/decisions", {"action": "reject", "reason": REASON, "seen": "x"}, 409, "have changed since you looked"),
        ("/999/decisions", {"action": "reject", "reason": REASON}, 404, "no exception has the number 999"),
        ("/-1/decisions", {"action": "reject", "reason": REASON}, 422, "id: "),
        (
            "",
            {"meter": "X", "channel": "1-0:1.8.0", "start": "2025-11-04T00:00Z", "end": "2025-11-04T01:00Z"},
            404,
            "no meter",
        ),
    ],
)
async def test_what_cannot_be_is_a_problem_in_one_line(asked, visit, path, body, status, says):
    client = await visit(None)
    got, problem = await post(client, ALL + path.replace("V8", str(asked["V8"])), body)
    assert (got, problem["status"]) == (status, status)
    assert says in problem["detail"]


async def test_clerks_look_and_operators_decide(asked, visit):
    client, one = await visit(None), f"{ALL}/{asked['V8']}"
    for path in (ALL, one):
        for login, status in (("clara", 200), ("anna", 403), ("root", 200)):
            assert (await client.get(path, headers=basic(login))).status == status
        assert (await client.get(path)).status == 401
    body = {"action": "reject", "reason": REASON}
    for path in (f"{one}/decisions", "/api/v1/edits/1/confirm", "/api/v1/edits/1/refuse", ALL):
        for login in ("clara", "anna"):
            assert (await post(client, path, body, login))[0] == 403


async def test_a_browser_needs_its_token(asked, visit):
    client, body = await visit("olga"), {"action": "reject", "reason": REASON}
    path = f"{ALL}/{asked['V8']}/decisions"
    assert (await client.post(path, json=body)).status == 403
    headers = {"X-CSRF-Token": await token(client, "/operator")}
    assert (await client.post(path, json=body, headers=headers)).status == 201


async def test_openapi_tells_of_it(visit):
    client = await visit(None)
    spec = await (await client.get("/api/openapi.json")).json()
    decisions = spec["paths"]["/api/v1/exceptions/{id}/decisions"]["post"]
    assert {"200", "201", "404", "409", "422"} <= decisions["responses"].keys()
    assert {"action", "values", "preview"} <= spec["components"]["schemas"]["DecisionIn"]["properties"].keys()
    assert {"get", "post"} <= spec["paths"]["/api/v1/exceptions"].keys()
