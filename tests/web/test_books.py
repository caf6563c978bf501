"""The books on pages: the clerk's accounts, payments and reminders; what the customer sees; the API."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from aiohttp.test_utils import TestServer

from headend.billing.budgets import Plan
from headend.billing.statement import parse_statement
from headend.process.bookkeeping import reverse, write_off
from headend.process.budgeting import set_plan, settle
from headend.site import Site
from headend.store import tables as t
from headend.store.ledger import SqlLedger
from headend.web import make_app
from headend.web.words import money
from tests.web.conftest import token, visitor
from tests.web.sites import NOW, bill_october

ACCOUNT = "/clerk/accounts/A-1"


async def text(client, path: str, status: int = 200) -> str:
    answer = await client.get(path)
    assert answer.status == status, await answer.text()
    return await answer.text()


async def send(client, path: str, page: str, **form: str) -> str:
    answer = await client.post(path, data={"csrf": await token(client, page), **form})
    return await answer.text()


def total(site: Site, statement: str = "A-1-2025-10-1") -> Decimal:
    with site.database.read() as tx:
        return parse_statement(SqlLedger(tx).statement(statement).document).totals.gross


async def test_an_account_of_which_nothing_is_booked(site, visit):
    clara, anna = await visit("clara"), await visit("anna")
    assert "Nothing is booked for this account yet" in await text(clara, ACCOUNT)
    assert "No account is overdue" in await text(clara, "/clerk/accounts")
    assert "Nothing has been billed or paid yet" in await text(anna, "/customer")
    told = await (await anna.get("/api/v1/accounts/A-1/ledger")).json()
    assert told == {"account": "A-1", "day": "2025-11-12", "balances": [], "entries": []}
    await text(clara, "/clerk/accounts/nobody", 404)


async def test_a_payment_is_booked_and_taken_back(site, visit):
    bill_october(site, until="issued")
    owed = total(site)
    clara, anna = await visit("clara"), await visit("anna")
    assert f"<dd>{money(owed, 'EUR')}</dd>" in await text(clara, ACCOUNT)
    page = await text(anna, "/customer")
    assert "Statement A-1-2025-10-1" in page.split('id="balance"')[1].split("</section>")[0]
    assert "No payment has come yet" in page
    form = {"amount": "20.00", "currency": "EUR", "reference": "<R1>", "date": "2025-11-12"}
    said = await send(clara, f"{ACCOUNT}/payments", ACCOUNT, **form)
    assert "€20.00 booked." in said
    assert "Payment &lt;R1&gt;" in said
    assert f"<dd>{money(owed - 20, 'EUR')}</dd>" in said
    assert "was booked already" in await send(clara, f"{ACCOUNT}/payments", ACCOUNT, **form)
    page = await text(anna, "/customer")
    assert f"{money(owed - 20, 'EUR')}" in page
    assert "Payment &lt;R1&gt;" in page
    number = (await (await clara.get("/api/v1/accounts/A-1/ledger")).json())["entries"][-1]["number"]
    said = await send(clara, f"{ACCOUNT}/reversals", ACCOUNT, entry=str(number), reason="bounced")
    assert "Payment &lt;R1&gt; reversed: bounced" in said
    assert f"<dd>{money(owed, 'EUR')}</dd>" in said
    assert "was reversed by entry" in await send(
        clara, f"{ACCOUNT}/reversals", ACCOUNT, entry=str(number), reason="again"
    )
    assert "No payment has come yet" in await text(anna, "/customer")


async def test_what_is_wrong_with_a_payment_is_said_beside_the_form(site, visit):
    bill_october(site, until="issued")
    clara = await visit("clara")
    usual = {"amount": "20.00", "currency": "EUR", "reference": "R1", "date": ""}
    for name, value, complaint in (
        ("amount", "a lot", "an amount such as 12.34"),
        ("amount", "-1", "an amount above 0"),
        ("currency", "USD", "expected EUR, as account A-1 is billed"),
        ("reference", "", "the payment&#39;s reference"),
        ("date", "2099-01-01", "no day after 2025-11-12"),
    ):
        page = await send(clara, f"{ACCOUNT}/payments", ACCOUNT, **{**usual, name: value})
        assert complaint in page
        assert value in page
    assert len((await (await clara.get("/api/v1/accounts/A-1/ledger")).json())["entries"]) == 1
    for entry in ("1e3", "", "999999", "2" * 40):
        answer = await clara.post(
            f"{ACCOUNT}/reversals", data={"csrf": await token(clara, ACCOUNT), "entry": entry, "reason": "x"}
        )
        assert answer.status == 404


async def test_overdue_accounts_are_a_queue(site, writer):
    bill_october(site, until="issued")
    late = replace(site, clock=lambda: NOW + timedelta(days=30))
    async with TestServer(make_app(late, writer)) as server:
        clara, anna = await visitor(server, "clara"), await visitor(server, "anna")
        await _remind(clara, anna)
        await clara.session.close()
        await anna.session.close()


async def _remind(clara, anna):
    page = await text(clara, "/clerk/accounts?q=anna")
    assert page.count(f'<a href="{ACCOUNT}">A-1</a>') == 2
    assert '<span class="tag warn">reminder</span>' in page
    assert "Note 2 new stages" in page
    said = await send(clara, "/clerk/accounts/reminders", "/clerk/accounts")
    assert "2 stages noted." in said
    assert "reached a new stage" not in said
    said = await send(clara, "/clerk/accounts/reminders", "/clerk/accounts")
    assert "No statement has reached a new stage." in said
    assert "No account matches." in await text(clara, "/clerk/accounts?q=zzz")
    assert "reminder" in await text(clara, ACCOUNT)
    assert "overdue</span>" in await text(anna, "/customer")


async def test_a_clerks_reasons_are_not_told_to_customers(site, visit):
    bill_october(site, until="issued")
    entry = write_off(site, "A-1-2025-10-1", "moved away: no address", "clara")
    reverse(site, entry.number, "found: she pays", "clara")
    clara, anna = await visit("clara"), await visit("anna")

    async def texts(who):
        return [entry["text"] for entry in (await (await who.get("/api/v1/accounts/A-1/ledger")).json())["entries"]]

    of = "Write-off of A-1-2025-10-1"
    assert (await texts(clara))[1:] == [
        f"{of}: moved away: no address",
        f"{of}: moved away: no address reversed: found: she pays",
    ]
    assert (await texts(anna))[1:] == [of, f"{of} reversed"]


async def test_the_api_tells_a_customer_their_own_books(site, visit):
    bill_october(site, until="issued")
    anna, ben = await visit("anna"), await visit("ben")
    told = await (await anna.get("/api/v1/accounts/A-1/ledger")).json()
    (balance,) = told["balances"]
    assert balance["balance"] == balance["open"][0]["open"] == f"{total(site):.2f}"
    assert (balance["overdue"], balance["open"][0]["source"]) == ("0.00", "statement:A-1-2025-10-1")
    assert told["entries"][0]["change"] == balance["balance"]
    assert (await ben.get("/api/v1/accounts/A-1/ledger")).status == 404
    assert (await anna.get("/api/v1/accounts/A-1/ledger?day=yesterday")).status == 422
    assert (await (await anna.get("/api/v1/accounts/A-1/ledger?day=2025-01-01")).json())["entries"] == []
    assert (await (await visit("olga")).get("/api/v1/accounts/A-1/ledger")).status == 403


async def test_a_customer_with_a_budget_plan_reads_what_it_asks_for_and_carries(site, visit):
    set_plan(site, "A-1", Plan("2025-10", Decimal("20.00"), "EUR", 12), "clara")
    bill_october(site, until="issued")
    anna, billed = await visit("anna"), total(site)
    card = (await text(anna, "/customer")).split('id="balance"')[1].split("</section>")[0]
    assert '<p class="total">€20.00</p>' in card
    assert "you pay €20.00 for each bill" in card
    assert "settled once a year, with the bill of December." in card
    assert f"{money(billed - 20, 'EUR')} more was billed than asked for so far." in card
    statements = (await text(anna, "/customer")).split("<h2>Statements</h2>")[1]
    assert "€20.00 instalment" in " ".join(statements.replace("&#160;", " ").split())
    with site.database.write() as tx:
        tx.execute(
            t.service_agreement.update().where(t.service_agreement.c.account_id == "A-1"), {"valid_to": "2025-11-01"}
        )
    settle(site, "A-1", "clara")
    card = (await text(anna, "/customer")).split('id="balance"')[1].split("</section>")[0]
    assert f'<p class="total">{money(billed, "EUR")}</p>' in card
    assert "Settlement A-1-budget-1 of the budget plan" in card
    assert "more was billed than asked for" not in card
    clara = await visit("clara")
    assert '<span class="tag">budget plan</span> Settlement A-1-budget-1' in await text(clara, ACCOUNT)
