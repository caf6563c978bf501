"""A running head-end for each test, and people who are logged in to it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from headend.collect.writer import JournalWriter
from headend.site import Site
from headend.web import make_app
from tests.web.browser import CHROMIUM, Browser
from tests.web.sites import PASSWORD, close, empty_site, filled_site

Visit = Callable[[str | None], Awaitable[TestClient]]
Browse = Callable[[str], Awaitable[Browser]]


@pytest.fixture(scope="session")
def filled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The filled site's files, closed: each test works on a copy."""
    folder = tmp_path_factory.mktemp("filled")
    close(filled_site(folder))
    return folder


@pytest.fixture
def site(tmp_path: Path, filled_once: Path) -> Iterator[Site]:
    """Meters, reads, users; nothing billed."""
    shutil.copytree(filled_once, tmp_path, dirs_exist_ok=True)
    opened = empty_site(tmp_path)
    yield opened
    close(opened)


@pytest.fixture
def bare_site(tmp_path: Path) -> Iterator[Site]:
    """Nothing enrolled."""
    opened = empty_site(tmp_path)
    yield opened
    close(opened)


@pytest.fixture
async def server(site: Site, writer: JournalWriter) -> AsyncIterator[TestServer]:
    """The application, served over TCP."""
    async with TestServer(make_app(site, writer)) as served:
        yield served


@pytest.fixture
def writer(site: Site) -> Iterator[JournalWriter]:
    """What gateways push goes through it."""
    made = writer_of(site)
    made.start()
    yield made
    made.stop()


def writer_of(site: Site) -> JournalWriter:
    return JournalWriter(site.journal, site.settings.collect, site.clock)


@pytest.fixture
async def visit(server: TestServer) -> AsyncIterator[Visit]:
    """`await visit("olga")`: a browser in which Olga is logged in; `None`: nobody."""
    clients: list[TestClient] = []

    async def _visit(login: str | None) -> TestClient:
        client = await visitor(server, login)
        clients.append(client)
        return client

    yield _visit
    for client in clients:
        await client.session.close()


@pytest.fixture
async def browse(visit: Visit, server: TestServer, tmp_path: Path) -> AsyncIterator[Browse]:
    """`await browse("olga")`: Chromium, in which Olga is logged in and paths of the server are opened."""
    if CHROMIUM is None and not os.environ.get("CI"):
        pytest.skip("no Chromium on this machine")
    assert CHROMIUM, "CI must have Chromium"
    base = str(server.make_url("/")).rstrip("/")
    async with AsyncExitStack() as opened:

        async def _browse(login: str) -> Browser:
            client = await visit(login)
            cookie = next(one for one in client.session.cookie_jar if one.key == "headend_session")
            browser = await opened.enter_async_context(Browser(tmp_path / f"profile-{login}", base))
            await browser.cookie(base, cookie.key, cookie.value)
            return browser

        yield _browse


@pytest.fixture
async def phone(browse: Browse) -> Browse:
    """The same, as a phone."""

    async def _phone(login: str) -> Browser:
        browser = await browse(login)
        await browser.be_a_phone()
        return browser

    return _phone


async def visitor(server: TestServer, login: str | None) -> TestClient:
    """A new browser, logged in if a login is given."""
    client = TestClient(server)
    if login:
        answer = await log_in(client, login, PASSWORD)
        assert answer.status == 303
    return client


async def log_in(client: TestClient, login: str, password: str, target: str = "/"):
    """Fill in the login form and send it."""
    form = {"csrf": await token(client, "/login"), "login": login, "password": password, "next": target}
    return await client.post("/login", data=form, allow_redirects=False)


async def token(client: TestClient, path: str) -> str:
    """The CSRF token in a page."""
    text = await (await client.get(path)).text()
    found = re.search(r'name="csrf" value="([^"]+)"', text)
    assert found, text
    return found[1]
