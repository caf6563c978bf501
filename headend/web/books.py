"""The books on pages: who is overdue, one account's entries and open items, payments; and the same for machines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200
from pydantic import BaseModel, Field
from sqlalchemy import Connection, select
from yarl import URL

from headend.billing.agreements import Account
from headend.billing.books.bankfile import payment_of
from headend.billing.books.entries import Entry, major
from headend.billing.books.position import Position, positions
from headend.errors import BillingConflict, InvalidInput, NotFound
from headend.process.bookkeeping import Overdue, overdue, pay, remind, reverse, rules_of, today
from headend.registry.registry import account_named
from headend.store import tables as t
from headend.store.books import Note, entries_of, notes_of
from headend.web.access import CLERK, CUSTOMER, SITE, Page, known_user
from headend.web.api import as_json, endpoint
from headend.web.render import number_in, page_number, render, see_other
from headend.web.words import money

_FOUND = 50
_ENTRY_ROWS = 50
_OVERDUE_ROWS = 50
#: What can be taken back on the page.
_REVERSIBLE = ("payment", "refund", "fee", "write_off")
_KINDS = {
    "statement": "statement",
    "payment": "payment",
    "refund": "refund",
    "fee": "fee",
    "write_off": "write-off",
    "reversal": "reversal",
    "settlement": "budget plan",
}


def shown(amount: int, currency: str) -> str:
    """Minor units for people."""
    return money(major(amount, currency), currency)


async def accounts(request: web.Request) -> web.Response:
    """Who is overdue; and accounts by a search."""
    site = request.app[SITE]
    text, wanted = request.query.get("q", "").strip()[:64], page_number(request)

    def look() -> tuple[list[Account], list[Overdue]]:
        with site.database.read() as tx:
            return _search(tx, text) if text else [], overdue(tx, rules_of(site).stages, today(site))

    found, late = await asyncio.to_thread(look)
    # Who is late for longest comes first.
    late.sort(key=lambda one: (-one.standing.overdue_days, one.standing.account, one.standing.currency))
    pages = max(1, -(-len(late) // _OVERDUE_ROWS))
    page = min(wanted, pages)
    return await render(
        request,
        "clerk/accounts.html",
        text=text,
        found=found,
        more=len(found) == _FOUND,
        late=late[(page - 1) * _OVERDUE_ROWS : page * _OVERDUE_ROWS],
        count=len(late),
        due=sum(len(one.due) for one in late),
        stages=rules_of(site).stages,
        page=page,
        pages=pages,
        shown=shown,
    )


def _search(tx: Connection, text: str) -> list[Account]:
    a = t.account.c
    named = a.id.icontains(text, autoescape=True) | a.name.icontains(text, autoescape=True)
    query = select(t.account).where(named).order_by(a.id).limit(_FOUND)
    return [Account(*row) for row in tx.execute(query)]


@dataclass(frozen=True, slots=True)
class AccountPage:
    """One account's books.

    Parameters
    ----------
    entries
        newest first, a page of them.
    reversed
        numbers of the entries that were taken back.
    notes
        dunning stages, by statement.
    """

    account: Account
    day: date
    positions: list[Position]
    entries: list[Entry]
    reversed: set[int]
    notes: dict[str, list[Note]]
    page: int
    pages: int


async def account(request: web.Request) -> web.Response:
    """Entries, open items, balance, reminders of one account, and a form for a payment."""
    return await _show(request, {}, "")


async def _show(request: web.Request, filled: dict[str, str], problem: str) -> web.Response:
    site, wanted = request.app[SITE], page_number(request)

    def look() -> AccountPage:
        with site.database.read() as tx:
            whose = account_named(tx, request.match_info["id"])
            return _page(tx, whose, today(site), wanted)

    view = await asyncio.to_thread(look)
    return await render(
        request,
        "clerk/account.html",
        status=422 if problem else 200,
        view=view,
        filled=filled,
        problem=problem,
        shown=shown,
        kinds=_KINDS,
        reversible=_REVERSIBLE,
    )


def _page(tx: Connection, whose: Account, day: date, wanted: int) -> AccountPage:
    entries = entries_of(tx, [whose.id])
    notes: dict[str, list[Note]] = {}
    for note in notes_of(tx, [whose.id]):
        notes.setdefault(note.statement, []).append(note)
    pages = max(1, -(-len(entries) // _ENTRY_ROWS))
    page = min(wanted, pages)
    return AccountPage(
        whose,
        day,
        positions(entries, day),
        entries[::-1][(page - 1) * _ENTRY_ROWS : page * _ENTRY_ROWS],
        {entry.reverses for entry in entries if entry.reverses is not None},
        notes,
        page,
        pages,
    )


async def book_payment(request: web.Request) -> web.StreamResponse:
    """Book a payment; what is wrong with it is said beside the form, with all that was filled in."""
    site, whose = request.app[SITE], request.match_info["id"]
    form = await request.post()
    filled = {name: str(form.get(name, ""))[:200] for name in ("amount", "currency", "reference", "date")}
    try:
        payment = payment_of(
            "payment",
            account=whose,
            statement="",
            amount=filled["amount"],
            currency=filled["currency"],
            reference=filled["reference"],
            on=filled["date"],
        )
        paid = await asyncio.to_thread(pay, site, [payment], known_user(request).login)
    except (InvalidInput, BillingConflict) as wrong:
        return await _show(request, filled, str(wrong))
    said = f"{shown(payment.amount, payment.currency)} booked." if paid.new else "This payment was booked already."
    raise await see_other(request, _path(whose), said)


async def reverse_entry(request: web.Request) -> web.StreamResponse:
    """Take back an entry of this account."""
    site, whose, form = request.app[SITE], request.match_info["id"], await request.post()
    text = str(form.get("entry", ""))
    number = number_in(text)

    def take_back() -> Entry:
        with site.database.read() as tx:
            if number not in {entry.number for entry in entries_of(tx, [whose])}:
                raise NotFound(f"account {whose} has no entry {text[:16]!r}")
        return reverse(site, number, str(form.get("reason", "")), known_user(request).login)

    try:
        made = await asyncio.to_thread(take_back)
    except (InvalidInput, BillingConflict) as wrong:
        raise await see_other(request, _path(whose), str(wrong), good=False) from None
    raise await see_other(request, _path(whose), f"{made.text}.")


async def note_stages(request: web.Request) -> web.StreamResponse:
    """Note the dunning stages that are reached."""
    found = await asyncio.to_thread(remind, request.app[SITE], known_user(request).login)
    noted = sum(len(one.due) for one in found)
    said = f"{noted} stage{'' if noted == 1 else 's'} noted." if noted else "No statement has reached a new stage."
    raise await see_other(request, "/clerk/accounts", said)


def _path(whose: str) -> str:
    return str(URL("/clerk/accounts") / whose)


def standing_of(tx: Connection, account_id: str, day: date) -> tuple[list[Position], list[Entry]]:
    """Where an account stands at the end of a day, and its payments, newest first: what a customer is shown."""
    entries = entries_of(tx, [account_id], day)
    gone = {entry.reverses for entry in entries}
    payments = [each for each in entries if each.kind in ("payment", "refund") and each.number not in gone]
    return positions(entries, day), sorted(payments, key=lambda each: (each.booked_on, each.number), reverse=True)


class EntryOut(BaseModel):
    """One entry: how much more the account owes, and what it owes after it."""

    number: int
    kind: str
    source: str
    booked: date
    due: date | None
    change: str
    balance: str
    currency: str
    text: str
    reverses: int | None = Field(description="number of the entry it takes back")


class ItemOut(BaseModel):
    """Something that is not paid in full."""

    source: str
    text: str
    due: date
    amount: str
    open: str
    overdue_days: int


class BalanceOut(BaseModel):
    """Where the account stands in one currency."""

    currency: str
    balance: str = Field(description="owed; negative: prepaid")
    overdue: str
    prepaid: str
    open: list[ItemOut]


class LedgerOut(BaseModel):
    """An account's books at the end of a day; amounts are decimal text."""

    account: str
    day: date
    balances: list[BalanceOut]
    entries: list[EntryOut]


@endpoint
async def ledger(request: web.Request, id: str, /, day: date | None = None) -> r200[LedgerOut]:
    """Balance, open items and entries of an account at the end of a day, today by default; a customer's own only."""
    site, user = request.app[SITE], known_user(request)
    until = day or today(site)

    def look() -> LedgerOut:
        if user.role == "customer" and user.account != id:
            raise NotFound(f"no account is called {id!r}")
        with site.database.read() as tx:
            account_named(tx, id)
            entries = entries_of(tx, [id], until)
        balances = [_balance_out(one) for one in positions(entries, until)]
        if user.role == "customer":
            entries = [_without_reason(each) for each in entries]
        return LedgerOut(account=id, day=until, balances=balances, entries=[_entry_out(each) for each in entries])

    return as_json(await asyncio.to_thread(look))


def _without_reason(entry: Entry) -> Entry:
    """As the customer is told it: why a clerk gave something up or took it back is the clerk's note."""
    if entry.kind not in ("write_off", "reversal"):
        return entry
    what, reversed_, _ = entry.text.partition(" reversed: ")
    if what.startswith("Write-off of "):
        what = what.partition(": ")[0]
    return replace(entry, text=f"{what} reversed" if reversed_ else what)


def _balance_out(one: Position) -> BalanceOut:
    text = _text_in(one.currency)
    return BalanceOut(
        currency=one.currency,
        balance=text(one.balance),
        overdue=text(one.overdue),
        prepaid=text(one.prepaid),
        open=[
            ItemOut(
                source=item.entry.source,
                text=item.entry.text,
                due=item.entry.due_on or item.entry.booked_on,
                amount=text(item.entry.change),
                open=text(item.open),
                overdue_days=item.overdue_days(one.day),
            )
            for item in one.open_items
        ],
    )


def _entry_out(entry: Entry) -> EntryOut:
    text = _text_in(entry.currency)
    return EntryOut(
        number=entry.number,
        kind=entry.kind,
        source=entry.source,
        booked=entry.booked_on,
        due=entry.due_on,
        change=text(entry.change),
        balance=text(entry.balance),
        currency=entry.currency,
        text=entry.text,
        reverses=entry.reverses,
    )


def _text_in(currency: str) -> Callable[[int], str]:
    def text(amount: int) -> str:
        return format(major(amount, currency), "f")

    return text


PAGES = (
    Page("GET", "/clerk/accounts", accounts, CLERK),
    Page("POST", "/clerk/accounts/reminders", note_stages, CLERK),
    Page("GET", "/clerk/accounts/{id}", account, CLERK),
    Page("POST", "/clerk/accounts/{id}/payments", book_payment, CLERK),
    Page("POST", "/clerk/accounts/{id}/reversals", reverse_entry, CLERK),
    Page("GET", "/api/v1/accounts/{id}/ledger", ledger, CLERK | CUSTOMER),
)
