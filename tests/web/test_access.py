"""Who gets in, and how far."""

from __future__ import annotations

import stat
from base64 import b64encode

import pytest
from aiohttp import web

from headend.registry.users import change_password
from headend.web import make_app
from headend.web.access import Brake, safe_target
from tests.web.conftest import log_in, token, writer_of
from tests.web.sites import PASSWORD, bill_october

PUBLIC = {"/", "/login", "/logout", "/healthz", "/readyz", "/metrics", "/static/{name}", "/api/openapi.json"}
EXAMPLES = {
    "/operator": "olga",
    "/operator/gateways": "olga",
    "/operator/gateways/GW-1": "olga",
    "/operator/events": "olga",
    "/operator/quarantine": "olga",
    "/operator/meters/E-1": "olga",
    "/operator/meters/E-1/chart": "olga",
    "/api/v1/gateways": "olga",
    "/api/v1/gateways/GW-1/commands": "olga",
    "/api/v1/events": "olga",
    "/clerk": "clara",
    "/clerk/cycles/2025-10/monthly": "clara",
    "/clerk/cycles/2025-10/monthly/progress": "clara",
    "/clerk/cycles/2025-10/monthly/findings": "clara",
    "/clerk/cycles/2025-10/monthly/exceptions": "clara",
    "/api/v1/cycles": "clara",
    "/api/v1/cycles/2025-10/monthly": "clara",
    "/api/v1/cycles/2025-10/monthly/findings": "clara",
    "/clerk/statements/A-1-2025-10-1": "clara",
    "/clerk/statements/A-1-2025-10-1/changes": "clara",
    "/clerk/statements/A-1-2025-10-1/explanation": "clara",
    "/clerk/what-if": "clara",
    "/api/v1/rebills": "clara",
    "/clerk/accounts": "clara",
    "/clerk/accounts/A-1": "clara",
    "/clerk/statements/A-1-2025-10-1.pdf": "clara",
    "/clerk/statements/A-1-2025-10-1.json": "clara",
    "/clerk/statements/A-1-2025-10-1.zip": "clara",
    "/customer": "anna",
    "/customer/chart?meter=E-1&channel=1-0:1.8.0": "anna",
    "/customer/accrual/chart?agreement=A-1/UP-1/electricity/2025-01-01": "anna",
    "/customer/statements/A-1-2025-10-1": "anna",
    "/customer/statements/A-1-2025-10-1.pdf": "anna",
    "/customer/statements/A-1-2025-10-1.json": "anna",
    "/customer/statements/A-1-2025-10-1.zip": "anna",
    "/customer/statements/A-1-2025-10-1/explanation": "anna",
}


def paths(app: web.Application) -> set[str]:
    return {resource.canonical for resource in app.router.resources()}


async def test_every_route_that_is_not_public_asks_for_a_login(server, visit):
    client = await visit(None)
    closed = paths(server.app) - PUBLIC
    assert len(closed) > 15
    for path in closed:
        for method in {route.method for route in server.app.router.routes() if route.resource.canonical == path}:
            answer = await client.request(method, path.replace("{", "").replace("}", ""), allow_redirects=False)
            if path.startswith("/api/"):
                assert answer.status == 401, path
                scheme = "Bearer" if path == "/api/v1/reads" else "Basic"
                assert answer.headers["WWW-Authenticate"].startswith(scheme)
            else:
                assert (answer.status, answer.headers["Location"][:6]) == (303, "/login"), path


async def test_every_page_opens_for_its_role_and_for_no_other(site, visit):
    bill_october(site, until="issued")
    people = {login: await visit(login) for login in ("olga", "clara", "anna", "root")}
    for path, owner in EXAMPLES.items():
        for login, client in people.items():
            answer = await client.get(path)
            if login == owner:
                assert answer.status == 200, (login, path, await answer.text())
            elif login != "root":
                assert answer.status == 403, (login, path)
    assert (await people["root"].get("/operator")).status == 200
    assert (await people["root"].get("/clerk")).status == 200
    assert "Anna Solar" in await (await people["root"].get("/customer?account=A-1")).text()


@pytest.mark.parametrize(
    ("login", "start"), [("olga", "/operator"), ("clara", "/clerk"), ("anna", "/customer"), ("root", "/operator")]
)
async def test_start_page_is_the_roles_own(visit, login, start):
    answer = await (await visit(login)).get("/")
    assert answer.url.path == start
    assert login in await answer.text()


async def test_wrong_password_and_unknown_login_look_the_same(visit):
    client = await visit(None)
    wrong = await log_in(client, "olga", "not the password")
    unknown = await log_in(client, "nobody", "not the password")
    assert wrong.status == unknown.status == 401
    said = "Login and password do not belong together."
    assert said in await wrong.text()
    assert said in await unknown.text()


async def test_guessing_is_slowed_down_even_for_the_right_password(visit):
    client = await visit(None)
    for _ in range(5):
        assert (await log_in(client, "olga", "wrong password")).status == 401
    refused = await log_in(client, "olga", PASSWORD)
    assert refused.status == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 900
    assert (await log_in(client, "clara", PASSWORD)).status == 303


def test_brake_lets_go_after_its_window():
    now = [0.0]
    brake = Brake(failures=2, window_s=60, clock=lambda: now[0])
    brake.failed(("olga", "::1"))
    assert brake.wait_s(("olga", "::1")) == 0
    now[0] = 10
    brake.failed(("olga", "::1"))
    assert brake.wait_s(("olga", "::1")) == 50
    assert brake.wait_s(("olga", "::2")) == 0
    now[0] = 60
    assert brake.wait_s(("olga", "::1")) == 0


async def test_session_cookie_is_sealed_and_for_this_site_only(site, visit):
    client = await visit(None)
    answer = await log_in(client, "olga", PASSWORD)
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "olga" not in cookie
    key = site.settings.data.directory / "session.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    make_app(site, writer_of(site))
    assert key.read_bytes() == before


async def test_logging_out_and_a_new_password_end_the_session(site, visit):
    client, other = await visit("olga"), await visit("olga")
    await client.post("/logout", data={"csrf": await token(client, "/operator")})
    assert (await client.get("/operator", allow_redirects=False)).status == 303
    assert (await other.get("/operator")).status == 200
    with site.database.write() as tx:
        change_password(tx, "olga", "another password")
    assert (await other.get("/operator", allow_redirects=False)).status == 303


async def test_post_without_the_sessions_token_is_refused(site, visit):
    client, other = await visit("clara"), await visit("clara")
    step = "/clerk/cycles/2025-10/monthly/rate"
    for form in ({}, {"csrf": "x"}, {"csrf": await token(other, "/clerk")}):
        answer = await client.post(step, data=form)
        assert answer.status == 403
    assert (await client.post("/login", data={"login": "olga", "password": PASSWORD})).status == 403
    assert (await client.post("/logout")).status == 403
    assert "not rated yet" in await (await client.get("/clerk")).text()


@pytest.mark.parametrize(
    "target", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb", "", "evil"]
)
def test_login_leads_nowhere_else(target):
    assert safe_target(target) == "/"


async def test_login_leads_back_to_the_page_that_was_asked_for(visit):
    client = await visit(None)
    asked = await client.get("/operator/meters/E-1?channel=1-0:2.8.0", allow_redirects=False)
    target = (await client.get(asked.headers["Location"])).url.query["next"]
    answer = await log_in(client, "olga", PASSWORD, target)
    assert answer.headers["Location"] == "/operator/meters/E-1?channel=1-0:2.8.0"
    assert (await log_in(client, "olga", PASSWORD, "//evil.example")).headers["Location"] == "/"


async def test_every_answer_carries_the_security_headers(visit):
    client = await visit("olga")
    for path in ("/operator", "/nothing", "/static/style.css", "/api/v1/meters", "/healthz"):
        headers = (await client.get(path)).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
    assert (await client.get("/operator")).headers["Cache-Control"] == "no-store"


async def test_basic_password_is_checked_again_after_it_changed(site, visit):
    client = await visit(None)
    auth = {"Authorization": "Basic " + b64encode(f"olga:{PASSWORD}".encode()).decode()}
    for _ in range(8):
        assert (await client.get("/api/v1/meters", headers=auth)).status == 200
    with site.database.write() as tx:
        change_password(tx, "olga", "another password")
    assert (await client.get("/api/v1/meters", headers=auth)).status == 401
    assert (await client.get("/operator", headers=auth, allow_redirects=False)).status == 303
