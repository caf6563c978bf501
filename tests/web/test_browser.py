"""The charts are drawn by a real browser, under the page's own content security policy."""

from __future__ import annotations

import asyncio

import pytest

from headend.site import Site
from headend.store.commands import commands_of
from headend.store.exceptions import exception_of
from tests.web.browser import Browser
from tests.web.questions import ask
from tests.web.test_explaining import bill_september
from tests.web.test_flagged import flagged_october, many_flagged


@pytest.mark.parametrize(
    ("login", "path", "charts"),
    [("olga", "/operator/meters/E-1?from=2025-11-01&to=2025-11-05", 2), ("anna", "/customer", 3)],
)
async def test_browser_draws_every_chart_and_complains_of_nothing(browse, login, path, charts):
    browser = await browse(login)
    await browser.open(path, until=f"document.querySelectorAll('[data-drawn]').length === {charts}")
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


async def test_field_pages_fit_a_phone_and_a_restart_is_confirmed_first(phone, site):
    browser = await phone("olga")
    for path in ("", "/gateways", "/gateways/GW-2", "/events", "/meters/E-3", "/gateways/GW-1"):
        await browser.open(f"/operator{path}")
        assert await browser.evaluate("document.documentElement.scrollWidth") == 390, path
    button = "document.querySelector('button.danger')"
    assert not await browser.evaluate(f"{button}.checkVisibility()")
    await browser.evaluate(f"{button}.closest('details').querySelector('summary').click()")
    assert await browser.evaluate(f"{button}.checkVisibility() && {button}.textContent") == "Restart GW-1"
    await browser.evaluate(f"{button}.click()")
    async with asyncio.timeout(10):
        while newest(site) != ("restart", "queued"):
            await asyncio.sleep(0.02)
    assert browser.complaints == []


async def test_operator_edits_a_spike_on_a_phone(phone, site):
    asked = ask(site)
    browser = await phone("olga")
    drawn = "document.querySelectorAll('[data-drawn]').length === 1"
    for rule in ("V4", "V8", "V10", "V11", "leak", "V9"):
        await browser.open(f"/operator/exceptions/{asked[rule]}", until=drawn)
        assert await browser.evaluate("document.documentElement.scrollWidth") == 390, rule
    legend = await browser.evaluate("document.querySelector('.chart svg').textContent")
    assert "In question" in legend
    assert "Like days" in legend
    await browser.evaluate("[...document.querySelectorAll('summary')].find(s => s.textContent == 'Edit…').click()")
    field = "document.querySelector('details[open] [name=value]')"
    assert await browser.evaluate(f"{field}.checkVisibility() && {field}.value") == "20.56"
    await browser.evaluate(
        f"{field}.value = '2.056'; {field}.form.elements.reason.value = 'failed to validate';"
        f"{field}.form.querySelector('button').click()"
    )
    await until(browser, "document.querySelector('form.decide')")
    assert await browser.evaluate("document.documentElement.scrollWidth") == 390
    await browser.evaluate("document.querySelector('form.decide button').click()")
    await until(browser, "document.querySelector('.notice.good')")
    said = await browser.evaluate("document.querySelector('.notice.good').textContent")
    assert said == "Edited: the energy changed by −18.504 kWh."
    assert browser.complaints == []
    with site.database.read() as tx:
        assert exception_of(tx, asked["V9"]).outcome == "edited"


async def test_a_clerk_reads_bills_and_books_on_a_phone(phone, site):
    bill_september(site)
    browser = await phone("clara")
    for path in ("what-if", "accounts", "accounts/A-1", "cycles/2025-10/monthly", "flagged"):
        await browser.open(f"/clerk/{path}")
        assert await browser.evaluate("document.documentElement.scrollWidth") == 390, path
    cut = "[...document.querySelectorAll('td')].filter(cell => cell.getBoundingClientRect().right > 390).length"
    for path in ("accounts/A-1", "statements/A-1-2025-10-1", "statements/A-1-2025-10-1/explanation"):
        await browser.open(f"/clerk/{path}")
        assert await browser.evaluate("document.querySelectorAll('td').length") > 3, path
        assert await browser.evaluate(cut) == 0, path


async def test_a_clerk_corrects_flagged_statements_on_a_phone(phone, site):
    flagged_october(site)
    many_flagged(site, 60)
    browser = await phone("clara")
    await browser.open("/clerk/flagged")
    assert await browser.evaluate("document.documentElement.scrollWidth") == 390
    assert "Page 1 of 2" in await browser.evaluate("document.querySelector('nav.pages').textContent")
    await browser.evaluate(
        "document.querySelector('[name=which]').click();"
        "document.querySelector('.decide-bar [name=reason]').value = 'Read again';"
        "document.querySelector('.decide-bar button').click()"
    )
    await until(browser, "document.querySelector('form[action$=correction] button:not(:disabled)')")
    assert await browser.evaluate("location.pathname") == "/clerk/flagged/preview/1"
    assert await browser.evaluate("document.querySelector('h1').textContent") == (
        "Correct 1 statement: cancel and bill again"
    )
    assert await browser.evaluate("document.documentElement.scrollWidth") == 390
    cut = "[...document.querySelectorAll('.figure dd, td')].filter(its => its.scrollWidth > its.clientWidth).length"
    assert await browser.evaluate(cut) == 0
    with site.database.write():  # it is looked at, and must wait to be written
        await browser.evaluate("document.querySelector('form[action$=correction] button').click()")
        await until(browser, "document.querySelector('[data-running]')")
        assert await browser.evaluate("document.documentElement.scrollWidth") == 390
    # The page looks again by itself, and says what came of it.
    await until(browser, "document.querySelector('.notice.good')")
    said = await browser.evaluate("document.querySelector('.notice.good').textContent")
    assert "clara, 2025-11-12 12:00: 1 drafted in 2025-10/correction-1." in said
    assert browser.complaints == []


async def test_bars_of_a_difference_have_their_cells_to_themselves(browse, site):
    bill_september(site)
    browser = await browse("clara")
    await browser.open("/clerk/statements/A-1-2025-10-1/explanation")
    narrow = (
        "[...document.querySelectorAll('.waterfall .way')]"
        ".filter(cell => cell.firstElementChild.clientWidth < 0.8 * cell.clientWidth).length"
    )
    assert await browser.evaluate("document.querySelectorAll('.waterfall .way').length") > 3
    assert await browser.evaluate(narrow) == 0


async def until(browser: Browser, expression: str) -> None:
    """Wait until something is in the page that comes."""
    async with asyncio.timeout(20):
        while not await browser.evaluate(f"!!{expression}"):
            await asyncio.sleep(0.02)


def newest(site: Site) -> tuple[str, str]:
    """Kind and state of the newest command."""
    with site.database.read() as tx:
        (command,) = commands_of(tx, limit=1)
    return command.kind, command.state
