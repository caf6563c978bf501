"""HTTP push: what a gateway may forget is what the answer says, and it is in the journal by then."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from io import BytesIO
from typing import Any

import cbor2
import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from headend.collect.wire import read_reads
from headend.registry.gateways import enrol_gateway, revoke_gateway
from headend.site import Site
from headend.web import make_app
from tests.web.conftest import writer_of
from tests.web.sites import NOW

Push = Callable[..., Awaitable[ClientResponse]]


@pytest.fixture
def token(site: Site) -> str:
    with site.database.write() as tx:
        return enrol_gateway(tx, "GW-H")


@pytest.fixture
def before(site: Site) -> int:
    """The journal's end before anything was pushed."""
    return site.journal.newest_offset()


@pytest.fixture
async def push(server: TestServer, token: str) -> AsyncIterator[Push]:
    client = TestClient(server)

    async def send(message: Any, *, gateway: str = "GW-H", secret: str = token) -> ClientResponse:
        payload = message if isinstance(message, bytes | BytesIO) else json.dumps(message).encode()
        headers = {"X-Gateway": gateway, "Authorization": f"Bearer {secret}"}
        return await client.post("/api/v1/reads", data=payload, headers=headers)

    yield send
    await client.close()


def reads(seq: int, **changes: Any) -> dict[str, Any]:
    start = (NOW - timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)
    block = {"meter": "E-1", "channel": "1-0:1.8.0", "start": start.isoformat(), "interval_s": 900, "values": [5]}
    return {"seq": seq, "sent_at": NOW.isoformat(), "blocks": [block]} | changes


async def test_what_the_answer_names_is_durable(push: Push, site: Site, before: int):
    answer = await push(reads(1))
    assert (answer.status, await answer.json()) == (200, {"through": 1, "missing": []})
    answer = await push(reads(3))
    assert await answer.json() == {"through": 3, "missing": [2]}
    assert [(e.topic, e.gateway) for e in site.journal.after(before, 9)] == [("headend/v1/GW-H/reads", "GW-H")] * 2


async def test_cbor_says_the_same(push: Push, site: Site, before: int):
    assert (await push(reads(1))).status == 200
    assert await (await push(cbor2.dumps(reads(1)))).json() == {"through": 1, "missing": []}
    plain, compact = (read_reads(entry.payload) for entry in site.journal.after(before, 9))
    assert plain == compact


async def test_what_has_no_number_is_refused_and_not_journalled(push: Push, site: Site, before: int):
    for nothing in (b"", b"{", b'{"seq": "1"}', b"\xa1\x63seq\x20"):
        answer = await push(nothing)
        assert answer.status == 422
        assert answer.content_type == "application/problem+json"
        assert "a reads message: JSON or CBOR with a seq" in (await answer.json())["detail"]
    assert (await push(BytesIO(b" " * (2**20 + 1)))).status == 413
    assert site.journal.newest_offset() == before


async def test_only_a_gateway_with_its_own_token_is_heard(push: Push, site: Site, before: int):
    assert (await push(reads(1), gateway="GW-1")).status == 401
    assert (await push(reads(1), secret="wrong")).status == 401
    with site.database.write() as tx:
        revoke_gateway(tx, "GW-H", NOW, by="olga")
    answer = await push(reads(1))
    assert (answer.status, answer.content_type) == (401, "application/problem+json")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert site.journal.newest_offset() == before


async def test_guessing_tokens_is_slowed_down(push: Push):
    for _ in range(5):
        assert (await push(reads(1), secret="wrong")).status == 401
    assert (await push(reads(1))).status == 429


async def test_a_journal_that_is_closed_says_when_to_come_again(site: Site, token: str):
    writer = writer_of(site)
    writer.start()
    writer.stop()
    async with TestClient(TestServer(make_app(site, writer))) as client:
        headers = {"X-Gateway": "GW-H", "Authorization": f"Bearer {token}"}
        answer = await client.post("/api/v1/reads", json=reads(1), headers=headers)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
