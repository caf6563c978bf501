"""What clerks see of cycles, and how they take one through its steps: alone, together, and after a kill."""

from __future__ import annotations

import asyncio
import re

import pytest
from sqlalchemy import update

from headend.billing.run import rate_cycle
from headend.office import office_of
from headend.registry.users import add_user
from headend.site import Site
from headend.store import tables as t
from headend.store.ledger import SqlLedger
from tests.web.conftest import token
from tests.web.sites import PASSWORD, bill_october

CYCLE = "/clerk/cycles/2025-10/monthly"
TEN_MINUTES_US = 600_000_000


async def text(client, path: str, status: int = 200) -> str:
    answer = await client.get(path)
    assert answer.status == status, await answer.text()
    return await answer.text()


async def post(client, path: str, **form: str):
    return await client.post(path, data={"csrf": await token(client, "/clerk"), **form})


async def finished(client, path: str = CYCLE) -> str:
    """The page, once nobody works on the cycle any more."""
    async with asyncio.timeout(30):
        while "is being worked on" in (page := await text(client, path)):
            await asyncio.sleep(0.02)
    return page


def figure(page: str, label: str) -> str:
    found = re.search(rf"<dt>{re.escape(label)}</dt><dd>(?:<a [^>]*>)?([^<]*)", page)
    assert found, (label, page)
    return found[1]


def second_clerk(site: Site) -> None:
    with site.database.write() as tx:
        add_user(tx, "cora", "clerk", PASSWORD)


def killed_after_a_range(site: Site) -> None:
    """October is rated an account at a time, and the process ends after the first, ten minutes ago."""

    def kill(done: int, _of: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rate_cycle(office_of(site), "2025-10", "monthly", "clara", accounts_a_range=1, progress=kill)
    c, p = t.bill_cycle.c, t.bill_partition.c
    with site.database.write() as tx:
        tx.execute(update(t.bill_cycle).values(changed_us=c.changed_us - TEN_MINUTES_US))
        tx.execute(update(t.bill_partition).values(committed_us=p.committed_us - TEN_MINUTES_US))


async def test_every_groups_last_period_that_is_over_is_due(site, visit):
    with site.database.write() as tx:
        tx.execute(t.billing_group.insert().values(name="mid", first_day=15))
        tx.execute(t.billing_group.insert().values(name="nobody", first_day=20))
        tx.execute(t.account_group.insert().values(account_id="A-3", group_name="mid", valid_from="2020-01-01"))
    clara = await visit("clara")
    page = await text(clara, "/clerk")
    assert "2025-10-01 to 2025-10-31 is over and not rated yet." in page
    assert "2025-09-15 to 2025-10-14 is over and not rated yet." in page
    told = await (await clara.get("/api/v1/cycles")).json()
    assert [(one["group"], one["period"]) for one in told["due"]] == [("mid", "2025-10"), ("monthly", "2025-10")]
    await post(clara, "/clerk/cycles", kind="regular", period="2025-10", group="monthly")
    page = await finished(clara, "/clerk")
    assert "2025-10-01 to 2025-10-31" not in page
    assert "2025-09-15 to 2025-10-14" in page
    assert f'href="{CYCLE}"' in page


async def test_accounts_by_number_are_billed_off_cycle_and_not_again(site, visit):
    clara = await visit("clara")
    answer = await post(clara, "/clerk/cycles", kind="off-cycle", period="2025-10", accounts="A-1")
    await finished(clara, "/clerk")
    page = await text(clara, "/clerk/cycles/2025-10/off-cycle")
    assert answer.url.path == "/clerk/cycles/2025-10/off-cycle"
    assert "1 account of group monthly" in page
    assert (figure(page, "Accounts"), figure(page, "= billed")) == ("1", "1")
    rate_cycle(office_of(site), "2025-10", "monthly", "clara")
    page = await text(clara, CYCLE)
    shown = [figure(page, label) for label in ("Accounts", "= billed", "+ exceptions", "+ left out")]
    assert shown == ["3", "1", "1", "0"]
    assert figure(page, "+ billed elsewhere") == "1"
    assert ">tie out<" in page
    # The next one gets a name of its own.
    await post(clara, "/clerk/cycles", kind="off-cycle", period="2025-10", accounts="A-2, A-1")
    await finished(clara, "/clerk")
    assert "2 accounts of group monthly" in await text(clara, "/clerk/cycles/2025-10/off-cycle-2")


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"kind": "off-cycle"}, "expected 1 to 500 account numbers"),
        ({"kind": "off-cycle", "accounts": "A-1 X-9"}, "No account &#39;X-9&#39; has an agreement in 2025-10"),
        ({"kind": "final", "accounts": "A-1"}, "only an off-cycle run bills accounts by name"),
        ({"kind": "regular", "period": "2025-13"}, "2025-13"),
        ({"kind": "regular", "period": "2025-11"}, "is not over before"),
        ({"kind": "regular", "group": "nobody"}, "No billing group is called &#39;nobody&#39;"),
        ({"kind": "regular", "name": "extra"}, "a regular cycle is called as its group"),
        ({"kind": "off-cycle", "accounts": "A-1", "name": "monthly"}, "regular cycles are called as groups"),
        ({"kind": "off-cycle", "accounts": "A-1", "name": "../x"}, "a name of letters"),
        ({"kind": "correction", "accounts": "A-1"}, "regular, final or off-cycle"),
    ],
)
async def test_what_is_wrong_with_a_run_is_said_beside_the_form(site, visit, form, says):
    clara = await visit("clara")
    answer = await post(clara, "/clerk/cycles", **{"period": "2025-10", **form})
    page = await answer.text()
    assert answer.status == 422
    assert says in page
    assert f'value="{form.get("accounts", "")}" placeholder="A-1, A-2"' in page
    with site.database.read() as tx:
        assert SqlLedger(tx).cycles() == []


async def test_the_way_of_a_cycle_says_who_and_when_and_what_is_next(site, visit):
    second_clerk(site)
    bill_october(site, until="rated")
    clara, cora = await visit("clara"), await visit("cora")
    page = await text(clara, CYCLE)
    assert re.search(
        r'aria-current="step"><strong>rated</strong> <span>2025-11-12 12:00</span> <span>clara</span>', page
    )
    assert '<li class="next"><strong>reviewed</strong>' in page
    assert '<li class="done"><strong>collected</strong>' in page
    await post(cora, f"{CYCLE}/approve")
    page = await finished(cora)
    assert "<strong>approved</strong> <span>2025-11-12 12:00</span> <span>cora</span>" in page
    assert "Issue statements" in page
    # Clara's page is older than Cora's decision.
    answer = await post(clara, f"{CYCLE}/approve")
    assert "is approved: cannot approve it" in await answer.text()
    assert "No month" not in await text(clara, "/clerk")


async def test_an_issued_cycle_is_closed_when_its_exceptions_are_settled(site, visit):
    bill_october(site, until="issued")
    clara = await visit("clara")
    page = await text(clara, CYCLE)
    assert "1 exception is neither billed elsewhere nor excluded with a reason." in page
    answer = await post(clara, f"{CYCLE}/close")
    assert "neither billed in another cycle nor excluded" in await answer.text()
    page = await text(clara, f"{CYCLE}/exceptions")
    assert "/clerk?kind=off-cycle&amp;period=2025-10&amp;group=monthly&amp;accounts=A-3#start" in page
    assert 'value="A-3" placeholder' in await text(
        clara, "/clerk?kind=off-cycle&period=2025-10&group=monthly&accounts=A-3"
    )
    answer = await post(clara, f"{CYCLE}/exceptions", account="A-3", reason=" ", verb="exclude")
    assert (answer.status, "reason" in await answer.text()) == (422, True)
    page = await (
        await post(clara, f"{CYCLE}/exceptions", account="A-3", reason="vacant <since May>", verb="exclude")
    ).text()
    assert "A-3 is left out." in page
    assert "vacant &lt;since May&gt;" in page
    await post(clara, f"{CYCLE}/close")
    page = await finished(clara)
    assert re.search(r'aria-current="step"><strong>closed</strong>', page)


async def test_exceptions_say_what_to_do_next_and_can_be_left_out(site, visit):
    bill_october(site, until="rated")
    clara, root = await visit("clara"), await visit("root")
    page = await text(clara, f"{CYCLE}/exceptions?code=incomplete_reads")
    assert "Wait for its reads, or have them estimated, then rate again." in page
    assert '<a class="nowrap" href="/operator/exceptions?meter=E-3">Reads of E-3</a>' in page
    assert "No exception of this kind." in await text(root, f"{CYCLE}/exceptions?code=no_meter")
    assert "A-3" in await text(root, f"{CYCLE}/exceptions?code=rubbish&page=99")
    answer = await post(clara, f"{CYCLE}/exceptions", account="X-9", reason="why not", verb="exclude")
    assert (answer.status, "bills no account" in await answer.text()) == (422, True)
    await post(clara, f"{CYCLE}/exceptions", account="A-3", reason="vacant", verb="exclude")
    assert ">left out</span> vacant" in await text(clara, f"{CYCLE}/exceptions")
    answer = await post(root, f"{CYCLE}/exceptions", account="A-3", reason="also vacant", verb="exclude")
    assert "clara has left it out of 2025-10/monthly already: vacant" in await answer.text()
    page = await (await post(root, f"{CYCLE}/exceptions", account="A-3", verb="include")).text()
    assert "A-3 is taken in again." in page
    assert "Nobody is left out of this cycle." in page


async def test_a_second_clerk_is_told_that_it_runs(site, visit):
    second_clerk(site)
    clara, cora = await visit("clara"), await visit("cora")
    form = {"csrf": await token(cora, "/clerk"), "kind": "regular", "period": "2025-10", "group": "monthly"}
    with site.database.write():  # the run can read but must wait to write
        page = await (await post(clara, f"{CYCLE}/rate")).text()
        assert "clara rates it since 2025-11-12 12:00" in page
        answer = await cora.post("/clerk/cycles", data=form)
        assert "October 2025 is being worked on: clara rates it already." in await answer.text()
        assert answer.status == 422
    page = await finished(cora, "/clerk")
    assert "clara" in page
    assert figure(await text(cora, CYCLE), "= billed") == "2"


async def test_a_killed_run_is_shown_as_interrupted_and_gone_on_with(site, visit):
    killed_after_a_range(site)
    clara = await visit("clara")
    assert ">interrupted<" in await text(clara, "/clerk")
    page = await text(clara, CYCLE)
    assert "Interrupted: this run has committed nothing since 2025-11-12 11:50." in page
    assert "1 of 3 accounts" in page
    assert "1 of 3 ranges" in page
    assert "of what is rated so far" in page
    assert (figure(page, "Accounts"), figure(page, "= billed")) == ("1", "1")
    assert "data-refresh" not in page
    told = await (await clara.get("/api/v1/cycles/2025-10/monthly")).json()
    assert told["progress"] | {"moved": ""} == {
        "ranges": 3,
        "ranges_done": 1,
        "accounts": 3,
        "accounts_done": 1,
        "moved": "",
        "alive": False,
    }
    assert told["next"] == [{"step": "rate", "why_not": ""}]
    p = t.bill_partition.c
    with site.database.read() as tx:
        before = tx.execute(t.bill_partition.select().where(p.first_account == "A-1")).one()
    await post(clara, f"{CYCLE}/rate")
    page = await finished(clara)
    assert re.search(r'aria-current="step"><strong>rated</strong>', page)
    assert (figure(page, "Accounts"), figure(page, "= billed")) == ("3", "2")
    with site.database.read() as tx:
        assert tx.execute(t.bill_partition.select().where(p.first_account == "A-1")).one() == before


async def test_a_run_elsewhere_is_watched(site, visit):
    killed_after_a_range(site)
    c = t.bill_cycle.c
    with site.database.write() as tx:
        tx.execute(update(t.bill_cycle).values(changed_us=c.changed_us + TEN_MINUTES_US))
    clara = await visit("clara")
    page = await text(clara, CYCLE)
    assert "by a command or the scheduler" in page
    assert f'data-refresh="{CYCLE}/progress"' in page
    assert '<noscript><meta http-equiv="refresh"' in page
    assert ">Go on<" not in page
    part = await text(clara, f"{CYCLE}/progress")
    assert "<html" not in part
    assert "data-running" in part
    assert "1 of 3 accounts" in part


async def test_what_is_not_there_is_404_and_what_is_none_is_422(visit):
    clara = await visit("clara")
    for path in (CYCLE, f"{CYCLE}/findings", f"{CYCLE}/exceptions", f"{CYCLE}/progress"):
        assert "was ever rated for 2025-10" in await text(clara, path, 404)
    for path in ("/api/v1/cycles/2025-10/monthly", "/api/v1/cycles/2025-10/monthly/findings"):
        assert (await clara.get(path)).status == 404
    assert (await clara.get("/api/v1/cycles?period=october")).status == 422
    assert (await clara.get("/api/v1/cycles/2025-10/monthly/findings?code=odd")).status == 422


async def test_machines_are_told_of_cycles(site, visit):
    bill_october(site, until="rated")
    clara = await visit("clara")
    told = await (await clara.get("/api/v1/cycles?period=2025-10")).json()
    (one,) = told["cycles"]
    assert (told["total"], one["state"], one["scope"]) == (
        1,
        "rated",
        {"kind": "regular", "group": "monthly", "accounts": []},
    )
    assert (await (await clara.get("/api/v1/cycles?period=2025-09")).json())["cycles"] == []
    told = await (await clara.get("/api/v1/cycles/2025-10/monthly")).json()
    with site.database.read() as tx:
        totals = SqlLedger(tx).cycle("monthly", "2025-10").totals
    assert told["totals"]["money"] == {name: str(amount) for name, amount in totals.money.items()}
    assert told["totals"]["energy"] == totals.energy
    assert told["ties_out"] is True
    assert [step["state"] for step in told["steps"] if step["done"]] == ["open", "collected", "rated"]
    assert told["exceptions"] == {"incomplete_reads": 1}
    assert told["progress"] is None


async def test_a_cycles_page_fits_a_phone_and_follows_a_run(phone, site):
    killed_after_a_range(site)
    c = t.bill_cycle.c
    with site.database.write() as tx:
        tx.execute(update(t.bill_cycle).values(changed_us=c.changed_us + TEN_MINUTES_US))
    browser = await phone("clara")
    for path in ("/clerk", f"{CYCLE}/exceptions", f"{CYCLE}/findings", CYCLE):
        await browser.open(path)
        assert await browser.evaluate("document.documentElement.scrollWidth") == 390, path
    assert "1 of 3 accounts" in await browser.evaluate("document.querySelector('.progress').textContent")
    # Somebody else finishes the run: the page notices by itself.
    await asyncio.to_thread(rate_cycle, office_of(site), "2025-10", "monthly", "cora")
    async with asyncio.timeout(15):
        while await browser.evaluate("document.querySelector('[aria-current=step] strong')?.textContent") != "rated":
            await asyncio.sleep(0.05)
    assert browser.complaints == []
