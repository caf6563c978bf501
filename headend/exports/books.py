"""The books out: the journal of some days as CSV for an ERP, or as Beancount text. The same entries, the same bytes."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Literal

from headend.billing.books.entries import Entry, Posting, major

Booked = tuple[Entry, tuple[Posting, ...]]
BookFormat = Literal["csv", "beancount"]

_COLUMNS = ("entry", "date", "code", "customer", "debit", "credit", "currency", "source", "text")
_KINDS = {
    "receivable": "Assets",
    "cash": "Assets",
    "budget": "Assets",
    "prepaid": "Liabilities",
    "tax": "Liabilities",
    "bank": "Liabilities",
    "revenue": "Income",
    "fees": "Income",
    "write-off": "Expenses",
    "rounding": "Expenses",
}


def as_csv(booked: Iterable[Booked]) -> Iterator[str]:
    """A line a posting, and for each currency a line `total` with both sums."""
    yield _line(_COLUMNS)
    debits: Counter[str] = Counter()
    credits_: Counter[str] = Counter()
    for entry, postings in booked:
        for posting in postings:
            debit, credit = max(posting.amount, 0), max(-posting.amount, 0)
            debits[entry.currency] += debit
            credits_[entry.currency] += credit
            yield _line(
                (
                    entry.number,
                    entry.booked_on,
                    posting.code,
                    entry.account,
                    _money(debit, entry.currency) if debit else "",
                    _money(credit, entry.currency) if credit else "",
                    entry.currency,
                    entry.source,
                    entry.text,
                )
            )
    for currency in sorted(debits):
        sums = _money(debits[currency], currency), _money(credits_[currency], currency)
        yield _line(("total", "", "", "", *sums, currency, "", ""))


def as_beancount(booked: Iterable[Booked]) -> Iterator[str]:
    """Entries as Beancount transactions, with the customer and the source as metadata; accounts are opened as needed.

    Of a date earlier than the first entry nothing is told: its balances begin at nothing.
    """
    opened: set[str] = set()
    for entry, postings in booked:
        names = [beancount_account(posting.code) for posting in postings]
        for name in names:
            if name not in opened:
                opened.add(name)
                yield f"{entry.booked_on} open {name}\n"
        yield f"{entry.booked_on} * {_quoted(entry.text)}\n"
        yield f"  entry: {entry.number}\n  customer: {_quoted(entry.account)}\n  source: {_quoted(entry.source)}\n"
        for name, posting in zip(names, postings, strict=True):
            yield f"  {name}  {_money(posting.amount, entry.currency)} {entry.currency}\n"
        yield "\n"


FORMATS: dict[BookFormat, Callable[[Iterable[Booked]], Iterator[str]]] = {"csv": as_csv, "beancount": as_beancount}


def beancount_account(code: str) -> str:
    """A code as an account of Beancount: `tax:VAT 19 %` → `Liabilities:Tax:VAT-19-8F3A2C`.

    What Beancount does not allow in a name becomes a dash; a few digits of a hash keep apart what differed there.
    """
    first, *rest = code.split(":", 1)
    return ":".join((_KINDS[first], _named(first), *(_named(part) for part in rest)))


def _named(part: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-")
    shown = plain[:1].upper() + plain[1:]
    if plain == part or part in _KINDS:
        return shown
    mark = hashlib.sha256(part.encode()).hexdigest()[:6].upper()
    return f"{shown}-{mark}" if shown else f"X-{mark}"


def _money(amount: int, currency: str) -> Decimal:
    return major(amount, currency)


def _line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([_harmless(str(cell)) for cell in cells])
    return text.getvalue()


def _harmless(cell: str) -> str:
    """What a spreadsheet would take for a formula stands behind an apostrophe; nothing of ours begins so."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t")) else cell


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
