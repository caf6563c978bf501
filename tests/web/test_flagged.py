"""A clerk corrects many flagged statements in the browser: some or all of them, seen first what that comes to."""

from __future__ import annotations

import re

from headend.store import tables as t
from headend.store.ledger import SqlLedger
from tests.web.conftest import token
from tests.web.sites import bill_october
from tests.web.test_clerk import change

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
