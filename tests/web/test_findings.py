"""The queue of findings: what looks wrong about drafts, decided by one clerk, by two, and by machines."""

from __future__ import annotations

import asyncio
import re
from decimal import Decimal

import pytest
from sqlalchemy import update

from headend.billing import deciding
from headend.billing.review import FindingCode
from headend.billing.run import rate_cycle
from headend.office import office_of
from headend.registry.users import add_user
from headend.site import Site
from headend.store import tables as t
from tests.web.conftest import token
from tests.web.sites import PASSWORD, bill_october

CYCLE = "/clerk/cycles/2025-10/monthly"
QUEUE = f"{CYCLE}/findings"
API = "/api/v1/cycles/2025-10/monthly/findings"
OCTOBER = ("2025-10", "monthly")


def look_closely(site: Site) -> None:
    """Bills above 100 EUR are looked at: those of A-1 (212.90) and A-2 (211.45). From 212 on two people release one."""
    site.settings.review.over_limit["residential"]["EUR"] = Decimal(100)
    site.settings.review.second_above["EUR"] = Decimal(212)
    with site.database.write() as tx:
        add_user(tx, "cora", "clerk", PASSWORD)
    bill_october(site, until="rated")


async def text(client, path: str, status: int = 200) -> str:
    answer = await client.get(path)
    assert answer.status == status, await answer.text()
    return await answer.text()


async def keys(client, show: str = "undecided") -> dict[str, str]:
    """What the page's boxes send, by account."""
    page = await text(client, f"{QUEUE}?show={show}")
    return {key.split("|")[0]: key for key in re.findall(r'name="which" value="([^"]+)"', page)}


async def decide(client, verb: str, which: list[str] | str, reason: str = "", **more: str):
    form = [("csrf", await token(client, QUEUE)), ("verb", verb), ("reason", reason), *more.items()]
    return await client.post(
        QUEUE, data=[*form, *(("which", key) for key in ([which] if isinstance(which, str) else which))]
    )


def states(site: Site) -> dict[str, str]:
    with site.database.read() as tx:
        return {row.account_id: row.state for row in tx.execute(t.bill_finding.select())}


async def test_each_finding_has_figures_draft_account_and_reads(site, visit):
    look_closely(site)
    page = await text(await visit("clara"), QUEUE)
    assert "212.90 EUR, above 100 for residential" in page
    assert '<a href="/clerk/statements/A-1-2025-10-1">€212.90</a>' in page
    assert 'href="/clerk/accounts/A-1"' in page
    assert 'href="/operator/exceptions?meter=W-2">W-2</a>' in page
    assert "Ben &lt;Water&gt;" in page
    assert "2 findings, by account" in page
    assert 'href="/operator/meters/W-2">W-2</a>' in await text(await visit("root"), QUEUE)
    clara = await visit("clara")
    assert "2 findings are not decided yet." in await text(clara, CYCLE)
    assert f'href="{QUEUE}"><span class="tag warn">2</span>' in await text(clara, "/clerk")


async def test_many_are_decided_at_once_and_a_large_bill_waits_for_a_second_person(site, visit):
    look_closely(site)
    clara, cora = await visit("clara"), await visit("cora")
    page = await (await decide(clara, "release", list((await keys(clara)).values()), "a bakery by now")).text()
    assert "1 finding released. 1 waits for a second person." in page
    assert "you released it" in page
    assert "waits for you" not in page
    assert states(site) == {"A-1": "waiting", "A-2": "released"}
    assert "1 finding waits for you as the second person." in await text(cora, QUEUE)
    its = (await keys(cora, "waiting"))["A-1"]
    page = await (await decide(clara, "confirm", its)).text()
    assert "clara released it, somebody else has to confirm it" in page
    page = await (await decide(cora, "confirm", its)).text()
    assert "1 finding confirmed." in page
    assert "Every finding is decided." in page
    assert "clara and cora" in await text(clara, f"{QUEUE}?show=released")
    page = await text(clara, CYCLE)
    assert "not decided yet" not in page
    assert re.search(r"<button>\s*Approve", page) or "<button>Approve</button>" in page


async def test_a_second_person_refuses_with_a_reason(site, visit):
    look_closely(site)
    clara, cora = await visit("clara"), await visit("cora")
    its = (await keys(clara))["A-1"]
    await decide(clara, "release", its, "looks right")
    answer = await decide(cora, "reopen", its, back_show="waiting")
    assert (answer.status, "why it is decided so" in await answer.text()) == (422, True)
    page = await (await decide(cora, "reopen", its, "ask them first", back_show="waiting")).text()
    assert "1 finding open again." in page
    assert states(site)["A-1"] == "open"
    assert "ask them first" in await text(clara, CYCLE)


async def test_whoever_comes_second_is_told_who_was_first_and_the_rest_is_done(site, visit):
    look_closely(site)
    clara, cora = await visit("clara"), await visit("cora")
    seen = await keys(cora)
    await decide(clara, "hold", seen["A-1"], "call them")
    page = await (await decide(cora, "release", list(seen.values()), "fine")).text()
    assert "1 finding released. 1 not: A-1: over_limit" in page
    assert "clara held it at 2025-11-12 11:00 UTC: call them" in page
    assert states(site) == {"A-1": "held", "A-2": "released"}


async def test_nothing_is_decided_unseen(site, visit):
    look_closely(site)
    clara = await visit("clara")
    seen = await keys(clara)
    with site.database.write() as tx:
        tx.execute(update(t.bill_finding).where(t.bill_finding.c.account_id == "A-1").values(figures="f" * 64))
    page = await (await decide(clara, "release", list(seen.values()), "fine")).text()
    assert "A-1: over_limit, " in page
    assert ": it was rated anew and is not what was seen" in page
    assert states(site) == {"A-1": "open", "A-2": "released"}


@pytest.mark.parametrize(
    ("verb", "which", "reason", "says"),
    [
        ("release", (), "fine", "those to decide: tick them"),
        ("release", ("A-1",), "  ", "why it is decided so"),
        ("burn", ("A-1",), "fine", "release, hold, exclude, confirm, reopen"),
    ],
)
async def test_what_is_wrong_is_said_and_what_was_filled_in_stays(site, visit, verb, which, reason, says):
    look_closely(site)
    clara = await visit("clara")
    seen = await keys(clara)
    answer = await decide(clara, verb, [seen[account] for account in which], reason)
    page = await answer.text()
    assert answer.status == 422
    assert says in page
    assert page.count(" checked") == len(which)
    assert f'name="reason" maxlength="500" value="{reason.strip()}"' in page
    assert set(states(site).values()) == {"open"}


async def test_keys_that_no_page_has_are_refused(site, visit):
    look_closely(site)
    clara = await visit("clara")
    for key in ("A-1", "A-1|burn|00", "|over_limit|00"):
        assert (await decide(clara, "release", key, "fine")).status == 422
    page = await (await decide(clara, "release", "X-9|over_limit|", "fine")).text()
    assert "has no over_limit of X-9" in page or "1 not:" in page
    assert set(states(site).values()) == {"open"}


async def test_an_account_is_left_out_from_the_queue(site, visit):
    look_closely(site)
    clara = await visit("clara")
    page = await (await decide(clara, "exclude", (await keys(clara))["A-2"], "disputed")).text()
    assert "1 account left out." in page
    assert "clara: disputed" in page
    assert list(await keys(clara)) == ["A-1"]
    assert "1 finding is not decided yet." in await text(clara, CYCLE)


async def test_all_open_ones_of_a_code_at_once(site, visit):
    look_closely(site)
    clara = await visit("clara")
    page = await text(clara, f"{QUEUE}?code=over_limit")
    assert "All 2 open ones of “Above the limit” at once…" in page
    page = await (await decide(clara, "hold", [], "wait for the tariff office", all="over_limit")).text()
    assert "2 findings held." in page
    assert set(states(site).values()) == {"held"}
    for form, status in (({"all": "odd"}, 422), ({"all": "over_limit"}, 422)):
        assert (await decide(clara, "hold", [], "again", **form)).status == status
    await decide(clara, "reopen", list((await keys(clara, "held")).values()), "new tariff")
    assert (await decide(clara, "confirm", [], "", all="over_limit")).status == 422
    assert set(states(site).values()) == {"open"}


async def test_the_queue_is_filtered_and_goes_on_where_a_page_ends(site, visit):
    bill_october(site, until="rated")
    accounts = [f"B-{number:03}" for number in range(120)]
    row = {"cycle_id": "2025-10/monthly", "detail": "0 kWh", "figures": "0" * 64, "state": "open"}
    with site.database.write() as tx:
        people = [{"id": one, "name": one, "customer_class": "residential", "locale": "en_GB"} for one in accounts]
        tx.execute(t.account.insert(), people)
        tx.execute(t.bill_finding.insert(), [{**row, "account_id": one, "code": "zero_use"} for one in accounts])
        tx.execute(t.bill_finding.insert().values(**row, account_id="B-007", code="days"))
    clara = await visit("clara")
    seen, path, pages = [], QUEUE, 0
    while path:
        page = await text(clara, path)
        assert "121 findings, by account" in page
        seen += re.findall(r'name="which" value="([^|]+)\|([a-z_]+)', page)
        after = re.search(r'href="([^"]+)" rel="next"', page)
        path, pages = after and after[1].replace("&amp;", "&"), pages + 1
    assert pages == 3
    assert seen == sorted([*((one, "zero_use") for one in accounts), ("B-007", "days")])
    assert "1 finding, by account" in await text(clara, f"{QUEUE}?code=days")
    assert "2 findings, by account" in await text(clara, f"{QUEUE}?account=B-007")
    assert "No finding matches." in await text(clara, f"{QUEUE}?show=held&code=days")
    assert "121 findings, by account" in await text(clara, f"{QUEUE}?show=odd&code=odd")


async def test_a_queue_without_findings_says_why(site, visit):
    bill_october(site, until="rated")
    clara = await visit("clara")
    assert "Nothing looks wrong about the drafts of this cycle." in await text(clara, QUEUE)
    with site.database.write() as tx:
        tx.execute(update(t.bill_cycle).values(state="collected"))
    assert "this cycle is not rated yet" in await text(clara, QUEUE)


async def test_nothing_is_decided_after_review(site, visit):
    look_closely(site)
    office = office_of(site)
    deciding.hold(office, *OCTOBER, "clara", deciding.Which(code=FindingCode.OVER_LIMIT), "call them")
    clara = await visit("clara")
    seen = await keys(clara, "held")
    await clara.post(f"{CYCLE}/review", data={"csrf": await token(clara, CYCLE)})
    page = await text(clara, f"{QUEUE}?show=all")
    assert "rate it again to decide anew" in page
    assert 'name="which"' not in page
    page = await (await decide(clara, "reopen", list(seen.values()), "now")).text()
    assert "nothing is decided in it now" in page
    rate_cycle(office, *OCTOBER, "clara")
    assert set(states(site).values()) == {"held"}, "the same figures keep their decision"


async def test_machines_read_the_queue_and_decide(site, visit):
    look_closely(site)
    clara, cora = await visit("clara"), await visit("cora")
    headers = {"X-CSRF-Token": await token(clara, QUEUE)}
    told = await (await clara.get(f"{API}?limit=1")).json()
    (one,) = told["findings"]
    assert (told["total"], told["after"], one["account"], one["code"]) == (2, "A-1|over_limit", "A-1", "over_limit")
    assert (one["statement"], one["total"], one["currency"], one["meters"]) == (
        "A-1-2025-10-1",
        "212.90",
        "EUR",
        ["E-1"],
    )
    rest = await (await clara.get(API, params={"after": told["after"]})).json()
    assert [each["account"] for each in rest["findings"]] == ["A-2"]
    assert rest["after"] is None
    which = {name: one[name] for name in ("account", "code", "figures")}
    body = {"decision": "release", "reason": "checked by phone", "findings": [which]}
    assert await (await clara.post(API, json=body, headers=headers)).json() == {"done": 0, "waiting": 1, "refused": []}
    again = await (await clara.post(API, json=body, headers=headers)).json()
    assert (again["done"], len(again["refused"])) == (0, 1)
    csrf = {"X-CSRF-Token": await token(cora, QUEUE)}
    body = {"decision": "confirm", "findings": [which]}
    assert (await (await cora.post(API, json=body, headers=csrf)).json())["done"] == 1
    body = {"decision": "hold", "reason": "not now", "all_of": "over_limit"}
    assert (await (await cora.post(API, json=body, headers=csrf)).json())["done"] == 1
    assert (await cora.post(API, json=body, headers=csrf)).status == 409
    assert states(site) == {"A-1": "released", "A-2": "held"}
    for wrong in ({"decision": "burn"}, {"decision": "hold", "reason": "x"}, {"decision": "confirm", "extra": 1}):
        assert (await cora.post(API, json=wrong, headers=csrf)).status == 422
    assert (await (await visit("olga")).get(API)).status == 403


async def test_a_clerk_ticks_all_on_a_phone_and_releases_them(phone, site):
    look_closely(site)
    browser = await phone("clara")
    await browser.open(QUEUE)
    assert await browser.evaluate("document.documentElement.scrollWidth") == 390
    await browser.evaluate("document.querySelector('[data-ticks-all]').click()")
    assert await browser.evaluate("document.querySelectorAll('[name=which]:checked').length") == 2
    await browser.evaluate("document.querySelector('[name=reason]').value = 'as every year'")
    await browser.evaluate("document.querySelector('[value=release]').click()")
    async with asyncio.timeout(10):
        while states(site) != {"A-1": "waiting", "A-2": "released"}:
            await asyncio.sleep(0.02)
    assert browser.complaints == []
