"""A clerk corrects many flagged statements in the browser: some or all of them, seen first what that comes to."""

from __future__ import annotations

import asyncio
import re
import threading
from dataclasses import replace
from datetime import datetime

from aiohttp.test_utils import TestServer

from headend.registry.users import add_user
from headend.store import tables as t
from headend.store.ledger import SqlLedger
from headend.web import billruns, make_app
from tests.web.conftest import token, visitor
from tests.web.sites import NOW, PASSWORD, bill_october
from tests.web.test_clerk import change, hold

AT = "/clerk/flagged"
FIRST, SECOND = "A-1-2025-10-1", "A-2-2025-10-1"


def flagged_october(site) -> None:
    """Anna's statement is off by 10 kWh; Ben's is flagged, and would come out the same."""
    bill_october(site, until="issued")
    change(site, 10_000)
    with site.database.write() as tx:
        row = dict(tx.execute(t.rebill_flag.select()).mappings().one())
        (key,) = tx.execute(t.meter.select().with_only_columns(t.meter.c.id).where(t.meter.c.name == "E-2")).one()
        tx.execute(t.rebill_flag.insert().values(row | {"statement_id": SECOND, "meter": key, "change": 0}))


async def post(client, path: str, which: tuple[str, ...] = (), **form: str) -> tuple[int, str]:
    form = {"csrf": await token(client, AT), "way": "rebill", "reason": "Reading <corrected>", **form}
    answer = await client.post(path, data=[*form.items(), *(("which", each) for each in which)])
    return answer.status, await answer.text()


def cycles(site) -> list[str]:
    with site.database.read() as tx:
        return sorted(cycle.name for cycle in SqlLedger(tx).cycles())


def value_of(page: str, name: str) -> str:
    found = re.search(f'name="{name}" value="([^"]*)"', page)
    assert found
    return found[1]


async def test_nothing_flagged_is_said(site, visit):
    clara = await visit("clara")
    page = await (await clara.get(AT)).text()
    assert "No statement rests on what has changed since." in page
    assert "<table" not in page
    assert 'href="/clerk/flagged"' not in await (await clara.get("/clerk")).text()


async def test_ticked_ones_are_foreseen_and_drafted(site, visit):
    flagged_october(site)
    clara = await visit("clara")
    assert 'href="/clerk/flagged"' in await (await clara.get("/clerk")).text()
    page = await (await clara.get(AT)).text()
    assert f'value="{FIRST}"' in page
    assert f'value="{SECOND}"' in page
    status, page = await post(clara, f"{AT}/preview", (FIRST,))
    assert status == 200
    assert "Correct 1 statement: cancel and bill again" in page
    # 10 kWh at 0.3174, and 19 % of it.
    assert "+€3.79" in page
    assert "Reading &lt;corrected&gt;" in page
    assert SECOND not in page
    assert cycles(site) == ["monthly"]
    status, page = await post(clara, f"{AT}/correction", (FIRST,))
    assert status == 200
    assert "1 drafted in 2025-10/correction-1. Approve the drafts, then issue them." in page
    assert cycles(site) == ["correction-1", "monthly"]
    page = await (await clara.get(AT)).text()
    assert f'value="{FIRST}"' not in page
    assert "not issued yet, or in a correction" in page
    page = await (await clara.get(f"{AT}?show=free")).text()
    assert listed(page) == [SECOND]
    assert "1 statement, by period and account" in page
    assert "not issued yet, or in a correction" not in page
    assert "No flagged statement matches." in await (await clara.get(f"{AT}?show=free&period=2025-09")).text()


async def test_all_are_taken_as_long_as_they_are_those_that_were_seen(site, visit):
    flagged_october(site)
    clara = await visit("clara")
    seen = value_of(await (await clara.get(AT)).text(), "seen")
    status, page = await post(clara, f"{AT}/preview", all="1", seen=seen)
    assert status == 200
    assert "1 would come out the same: its flag is settled" in page
    assert value_of(page, "seen") == seen
    status, page = await post(clara, f"{AT}/correction", all="1", seen="of another day")
    assert status == 422
    assert "Other statements are flagged now than you saw: look at them again" in page
    assert cycles(site) == ["monthly"]
    _, page = await post(clara, f"{AT}/correction", all="1", seen=seen)
    assert "1 drafted in 2025-10/correction-1; 1 with nothing to correct: flags settled." in page


async def test_what_is_wrong_is_said_above_the_list_and_what_was_filled_in_stays(site, visit):
    flagged_october(site)
    clara = await visit("clara")
    for which, form, said in (
        ((), {}, "tick them"),
        ((FIRST,), {"reason": " "}, "why it is corrected"),
        (("NOPE",), {}, "o statement is called &#39;NOPE&#39;"),
    ):
        status, page = await post(clara, f"{AT}/preview", which, **form)
        assert status == 422
        assert said in page
    status, page = await post(clara, f"{AT}/preview", (), reason="Meter read again")
    assert 'value="Meter read again"' in page
    assert (await post(clara, f"{AT}/preview", (FIRST,), way="burn"))[0] == 422
    page = await (await clara.get(f"{AT}?period=2025-09")).text()
    assert "No statement of this period is flagged." in page


async def test_customers_and_operators_may_not(site, visit):
    bill_october(site, until="issued")
    assert (await (await visit("anna")).get(AT)).status == 403


def many_flagged(site, number: int) -> None:
    """So many more statements like Anna's are flagged, by a price; they stand there to be listed."""
    with site.database.write() as tx:
        customer = dict(tx.execute(t.account.select().where(t.account.c.id == "A-1")).mappings().one())
        bill = dict(tx.execute(t.statement.select().where(t.statement.c.id == FIRST)).mappings().one())
        flag = dict(tx.execute(t.rebill_flag.select().where(t.rebill_flag.c.statement_id == FIRST)).mappings().one())
        for account in (f"B-{place:03d}" for place in range(number)):
            which = f"{account}-2025-10-1"
            tx.execute(t.account.insert().values(customer | {"id": account, "name": f"Bea of {account}"}))
            tx.execute(t.statement.insert().values(bill | {"id": which, "account_id": account}))
            by = {"statement_id": which, "change": 0, "cause": "prices of day-ahead"}
            tx.execute(t.rebill_flag.insert().values(flag | by))


def listed(page: str) -> list[str]:
    return re.findall(r'name="which" value="([^"]*)"', page)


async def test_a_long_list_has_pages_and_is_searched(site, visit):
    flagged_october(site)
    many_flagged(site, 60)
    clara = await visit("clara")
    page = await (await clara.get(AT)).text()
    assert "62 statements, by period and account" in page
    assert "Page 1 of 2" in page
    assert listed(page) == [FIRST, SECOND, *(f"B-{place:03d}-2025-10-1" for place in range(48))]
    page = await (await clara.get(f"{AT}?page=2")).text()
    assert listed(page) == [f"B-{place:03d}-2025-10-1" for place in range(48, 60)]
    assert "October 2025 (62)" in page
    for query, found in (
        ("q=B-05", [f"B-{place:03d}-2025-10-1" for place in range(50, 60)]),
        ("q=BEA+OF+B-007&period=2025-10", ["B-007-2025-10-1"]),
        ("q=journal", [FIRST, SECOND]),
        ("q=%25", []),
        ("q=B-05&page=99", [f"B-{place:03d}-2025-10-1" for place in range(50, 60)]),
    ):
        page = await (await clara.get(f"{AT}?{query}")).text()
        assert listed(page) == found, query
    page = await (await clara.get(f"{AT}?q=Day-Ahead")).text()
    assert "60 statements" in page
    assert f'href="{AT}?q=Day-Ahead&amp;page=2"' in page
    page = await (await clara.get("/clerk/cycles/2025-10/monthly")).text()
    assert "And 12 more." in page
    assert page.count('/changes">') == 50
    page = await (await clara.get(f"{AT}?q=nobody")).text()
    assert "No flagged statement matches." in page
    # After what is wrong the other pages are those of the list.
    _, page = await post(clara, f"{AT}/preview", (), q="day-ahead")
    assert f'href="{AT}?q=day-ahead&amp;page=2"' in page


async def test_all_that_match_are_corrected_and_no_others(site, visit):
    flagged_october(site)
    clara = await visit("clara")
    page = await (await clara.get(f"{AT}?q=Anna&period=2025-10")).text()
    assert listed(page) == [FIRST]
    with site.database.write() as tx:
        tx.execute(t.rebill_flag.update().where(t.rebill_flag.c.statement_id == SECOND).values(cause="Anna said so"))
    page = await (await clara.get(f"{AT}?q=Anna&period=2025-10")).text()
    assert listed(page) == [FIRST, SECOND]
    assert "All 2 at once, of October 2025, that match “Anna”…" in page
    asked = {"all": "1", "seen": value_of(page, "seen"), "q": "Anna", "period": "2025-10"}
    status, page = await post(clara, f"{AT}/preview", **asked)
    assert status == 200
    assert (value_of(page, "q"), value_of(page, "period")) == ("Anna", "2025-10")
    assert f'href="{AT}?period=2025-10&amp;q=Anna"' in page
    _, page = await post(clara, f"{AT}/correction", **asked)
    assert "1 drafted in 2025-10/correction-1; 1 with nothing to correct: flags settled." in page
    # The same again is another day's list.
    status, page = await post(clara, f"{AT}/correction", **asked)
    assert (status, cycles(site)) == (422, ["correction-1", "monthly"])
    assert "Other statements are flagged now than you saw" in page


async def test_what_it_comes_to_says_what_is_more_and_what_cannot_be_corrected_and_why(site, visit):
    flagged_october(site)
    clara = await visit("clara")
    _, page = await post(clara, f"{AT}/preview", (FIRST,))
    assert re.search(r"<dt>Charged more</dt><dd>\+€3\.79</dd><dd class=\"more\">on 1 statement</dd>", page)
    assert "Charged less" not in page
    assert "Cannot be corrected as they stand" not in page
    number = hold(site, "E-1")
    _, page = await post(clara, f"{AT}/preview", (FIRST, SECOND))
    assert "Correct 0 statements: cancel and bill again" in page
    assert "Cannot be corrected as they stand" in page
    assert '<span class="tag warn">Reads to be decided</span>' in page
    assert f'<a href="/clerk/accounts/A-1">A-1</a>: exception {number}' in page
    assert "Settle the flags" in page
    _, page = await post(clara, f"{AT}/correction", (FIRST, SECOND))
    assert "1 with nothing to correct: flags settled; 1 cannot be corrected as they stand." in page
    page = await (await clara.get(AT)).text()
    assert listed(page) == [FIRST]
    # Alone there is nothing to correct.
    _, page = await post(clara, f"{AT}/preview", (FIRST,))
    assert "There is nothing to correct." in page
    status, page = await post(clara, f"{AT}/correction", (FIRST,))
    assert (status, "Nothing to correct: A-1: exception" in page) == (422, True)


async def test_what_a_look_came_to_is_kept_for_its_page(site, visit):
    flagged_october(site)
    clara = await visit("clara")
    for number in range(1, 15):
        answer = await clara.post(
            f"{AT}/preview", data={"csrf": await token(clara, AT), "way": "rebill", "reason": "x", "which": FIRST}
        )
        assert answer.url.path == f"{AT}/preview/{number}"
    assert "+€3.79" in await (await clara.get(f"{AT}/preview/14")).text()
    assert "data-running" not in await (await clara.get(f"{AT}/preview/14/progress")).text()
    for gone in ("2", "99", "x", "9" * 20):
        answer = await clara.get(f"{AT}/preview/{gone}")
        assert answer.status == 404, gone
    assert "not kept any more" in await answer.text()


async def test_a_second_clerk_is_told_that_statements_are_being_corrected(site, visit):
    flagged_october(site)
    with site.database.write() as tx:
        add_user(tx, "cora", "clerk", PASSWORD)
    clara, cora = await visit("clara"), await visit("cora")
    form = {"csrf": await token(cora, AT), "way": "rebill", "reason": "Read again", "which": SECOND}
    with site.database.write():  # they are looked at, and must wait to be written
        status, page = await post(clara, f"{AT}/correction", (FIRST,))
        assert status == 200
        assert "clara corrects 1 statement since 2025-11-12 12:00" in page
        assert f'data-refresh="{AT}/progress"' in page
        assert "0 of 1 statements" in await (await cora.get(f"{AT}/progress")).text()
        answer = await cora.post(f"{AT}/correction", data=form)
        assert answer.status == 422
        told = "The list of flagged statements is being worked on: clara corrects it already."
        assert told in await answer.text()
        assert "is being worked on" not in await (await cora.get("/clerk")).text(), "no cycle is"
    async with asyncio.timeout(30):
        while "data-running" in await (await cora.get(f"{AT}/progress")).text():
            await asyncio.sleep(0.02)
    page = await (await cora.get(AT)).text()
    assert "clara, 2025-11-12 12:00: 1 drafted in 2025-10/correction-1." in page
    assert '<a href="/clerk/cycles/2025-10/correction-1">2025-10/correction-1</a>' in page
    _, page = await post(cora, f"{AT}/correction", (FIRST,))
    assert "A-1-2025-10-1 is in the open correction 2025-10/correction-1: issue that, or withdraw it" in page


async def test_what_ends_a_correction_is_told_on_the_list(site, visit):
    flagged_october(site)
    clara = await visit("clara")
    with site.database.write() as tx:
        _, page = await post(clara, f"{AT}/correction", (FIRST,))
        assert "clara corrects 1 statement" in page
        # Before it is written, somebody else's correction is.
        cycle = dict(tx.execute(t.bill_cycle.select().where(t.bill_cycle.c.name == "monthly")).mappings().one())
        cycle |= {"id": "2025-10/correction-1", "name": "correction-1", "state": "rated"}
        tx.execute(t.bill_cycle.insert().values(cycle))
        draft = dict(tx.execute(t.statement.select().where(t.statement.c.id == FIRST)).mappings().one())
        draft |= {"id": "A-1-2025-10-2", "revision": 2, "state": "draft", "cycle_id": cycle["id"], "corrects": FIRST}
        tx.execute(t.statement.insert().values(draft | {"kind": "cancellation"}))
    async with asyncio.timeout(30):
        while "data-running" in await (await clara.get(f"{AT}/progress")).text():
            await asyncio.sleep(0.02)
    page = await (await clara.get(AT)).text()
    assert "Statement A-1-2025-10-1 is in the open correction 2025-10/correction-1: issue that, or withdraw it." in page
    assert '<p class="notice bad" role="alert">' in page
    _, page = await post(clara, f"{AT}/correction", (SECOND,))
    assert "1 with nothing to correct: flags settled." in page
    assert "is in the open correction" not in await (await clara.get(AT)).text()


async def test_a_look_that_takes_its_time_says_how_far_it_is(site, writer):
    """The clock of whoever works beside the loop stands still until it may go on: it is asked of every statement."""
    flagged_october(site)
    may = threading.Event()

    def clock() -> datetime:
        if threading.current_thread() is not threading.main_thread():
            may.wait(30)
        return NOW

    async with TestServer(make_app(replace(site, clock=clock), writer)) as server:
        clara = await visitor(server, "clara")
        _, page = await post(clara, f"{AT}/preview", (FIRST, SECOND))
        assert "clara looks at 2 statements since 2025-11-12 12:00" in page
        assert f'data-refresh="{AT}/preview/1/progress"' in page
        assert "0 of 2 statements" in await (await clara.get(f"{AT}/preview/1/progress")).text()
        await post(clara, f"{AT}/preview", (FIRST,))
        status, page = await post(clara, f"{AT}/preview", (FIRST,))
        assert (status, "2 such lists are being looked at: wait until one of them is done" in page) == (422, True)
        may.set()
        async with asyncio.timeout(30):
            while "data-running" in await (await clara.get(f"{AT}/preview/1/progress")).text():
                await asyncio.sleep(0.02)
        page = await (await clara.get(f"{AT}/preview/1")).text()
        assert "Correct 1 statement: cancel and bill again" in page
        assert "+€3.79" in page
        await clara.session.close()


async def test_nothing_is_done_to_a_cycle_that_corrections_are_put_into(site, server, visit):
    bill_october(site, until="issued")
    cycle, begun, may = "2025-10/monthly", threading.Event(), threading.Event()

    def step() -> None:
        billruns.comes_to(server.app, "flagged", cycle)
        begun.set()
        may.wait(30)

    clara = await visit("clara")
    csrf = {"csrf": await token(clara, "/clerk")}
    task = asyncio.create_task(billruns.work_on(server.app, "flagged", "corrects", "cora", step, "The list"))
    try:
        await asyncio.to_thread(begun.wait, 30)
        assert "cora corrects it since" in await (await clara.get(f"/clerk/cycles/{cycle}")).text()
        assert f"{cycle} is being worked on: cora corrects it" in await (await clara.get("/clerk")).text()
        answer = await clara.post(f"/clerk/cycles/{cycle}/close", data=csrf)
        assert "The cycle October 2025 is being worked on: cora corrects it already." in await answer.text()
    finally:
        may.set()
        await task
    async with asyncio.timeout(30):
        while billruns.under_way(server.app, "flagged"):
            await asyncio.sleep(0.02)
    assert "being worked on" not in await (await clara.get("/clerk")).text()
