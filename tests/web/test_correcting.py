"""A clerk corrects a statement in the browser: sees what changes, makes the drafts, and nobody else may."""

from __future__ import annotations

from headend.store.ledger import SqlLedger
from tests.web.conftest import token
from tests.web.sites import bill_october
from tests.web.test_clerk import change

STATEMENT = "/clerk/statements/A-1-2025-10-1"


async def post(client, path: str, **form: str) -> tuple[int, str]:
    form = {"csrf": await token(client, f"{STATEMENT}/changes"), "reason": "Reading <corrected>", **form}
    answer = await client.post(path, data=form)
    return answer.status, await answer.text()


def cycles(site) -> list[str]:
    with site.database.read() as tx:
        return sorted(cycle.name for cycle in SqlLedger(tx).cycles())


async def test_a_clerk_sees_what_a_correction_changes_and_makes_its_drafts(site, visit):
    bill_october(site, until="issued")
    change(site, 10_000)
    clara = await visit("clara")
    status, page = await post(clara, f"{STATEMENT}/correction/preview", way="rebill")
    assert status == 200
    assert "Reading &lt;corrected&gt;" in page
    for said in ("A-1-2025-10-2", "cancellation", "A-1-2025-10-3", "rebill", "Said so far"):
        assert said in page
    assert cycles(site) == ["monthly"]
    status, page = await post(clara, f"{STATEMENT}/correction", way="rebill")
    assert status == 200
    assert "The correction of A-1-2025-10-1 is drafted" in page
    assert cycles(site) == ["correction-1", "monthly"]
    _, page = await post(clara, f"{STATEMENT}/correction", way="difference")
    assert "is in the open correction 2025-10/correction-1" in page
    cycle = "/clerk/cycles/2025-10/correction-1"
    page = await (await clara.get(cycle)).text()
    assert "Withdraw" in page
    assert "Rate again" not in page
    await post(clara, f"{cycle}/withdraw")
    _, page = await post(clara, f"{STATEMENT}/correction/preview", way="difference")
    assert "A-1-2025-10-2" in page


async def test_what_cannot_be_corrected_is_said(site, visit):
    bill_october(site, until="issued")
    clara = await visit("clara")
    _, page = await post(clara, f"{STATEMENT}/correction/preview", way="rebill")
    assert "It would come out the same" in page
    _, page = await post(clara, f"{STATEMENT}/correction", way="rebill")
    assert "nothing to correct" in page
    _, page = await post(clara, f"{STATEMENT}/correction/preview", way="cancel", reason=" ")
    assert "reason: found nothing" in page
    assert (await post(clara, f"{STATEMENT}/correction", way="burn"))[0] == 422
    assert (await post(clara, "/clerk/statements/nobody/correction", way="cancel"))[0] == 404
    assert cycles(site) == ["monthly"]


async def test_a_flag_under_which_nothing_comes_out_otherwise_is_settled(site, visit):
    bill_october(site, until="issued")
    change(site, 10_000)
    change(site, -10_000)
    clara = await visit("clara")
    _, page = await post(clara, f"{STATEMENT}/correction/preview", way="rebill")
    assert "there is nothing to correct" in page
    assert "Settle its flag" in page
    _, page = await post(clara, f"{STATEMENT}/correction", way="rebill")
    assert "There is nothing to correct of A-1-2025-10-1: its flag is settled." in page
    assert "clara, nothing to correct: Reading &lt;corrected&gt;" in page
    _, page = await post(clara, f"{STATEMENT}/correction/preview", way="rebill")
    assert "Settle its flag" not in page
    assert cycles(site) == ["monthly"]


async def test_lists_name_what_corrects_what_and_what_is_cancelled(site, visit):
    bill_october(site, until="issued")
    change(site, 10_000)
    clara = await visit("clara")
    await post(clara, f"{STATEMENT}/correction", way="rebill")
    cycle = "/clerk/cycles/2025-10/correction-1"
    original = "/clerk/cycles/2025-10/monthly"
    assert ">cancelled<" not in await (await clara.get(original)).text()
    for step in ("approve", "issue"):
        assert (await post(clara, f"{cycle}/{step}"))[0] == 200
    page = await (await clara.get(cycle)).text()
    assert '<span class="tag info">cancellation</span>' in page
    assert "takes back A-1-2025-10-1" in page
    assert "in place of A-1-2025-10-1" in page
    assert ">cancelled<" in await (await clara.get(original)).text()
