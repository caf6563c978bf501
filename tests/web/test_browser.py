"""The charts are drawn by a real browser, under the page's own content security policy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.web.browser import CHROMIUM, Browser

if CHROMIUM is None and not os.environ.get("CI"):
    pytest.skip("no Chromium on this machine", allow_module_level=True)


@pytest.mark.parametrize(
    ("login", "path", "charts"),
    [("olga", "/operator/meters/E-1?from=2025-11-01&to=2025-11-05", 2), ("anna", "/customer", 2)],
)
async def test_browser_draws_every_chart_and_complains_of_nothing(visit, server, tmp_path: Path, login, path, charts):
    assert CHROMIUM, "CI must have Chromium"
    client = await visit(login)
    cookie = next(one for one in client.session.cookie_jar if one.key == "headend_session")
    base = str(server.make_url("/")).rstrip("/")
    async with Browser(tmp_path / "profile") as browser:
        await browser.cookie(base, cookie.key, cookie.value)
        await browser.open(base + path, until=f"document.querySelectorAll('[data-drawn]').length === {charts}")
        assert await browser.evaluate("document.querySelectorAll('.chart svg .mark-rect path').length") > 20
        colours = await browser.evaluate(
            "JSON.stringify([...new Set([...document.querySelectorAll('.chart svg [fill]')]"
            ".map(mark => mark.getAttribute('fill')))])"
        )
        for colour in ("#1f6f8b", "#e39a2d", "#f3d3cd"):
            assert colour in colours
        labels = await browser.evaluate("document.querySelector('.chart svg').textContent")
        assert "kWh" in labels
        assert browser.complaints == []
