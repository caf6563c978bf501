"""Payments as they come: typed in by a clerk, or in a file from a bank.

A file is CSV with a header. `amount`, `currency`, `date` and `reference` are there, and `account` or `statement` or
both; in which order does not matter.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from headend.billing.books.entries import minor
from headend.errors import InvalidInput

_NEEDED = {"amount", "currency", "date", "reference"}
_KNOWN = {*_NEEDED, "account", "statement"}
_LONGEST = 140
_AMOUNT = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that came.

    Parameters
    ----------
    where
        file and line, or form, for whoever has to be told that something is wrong with it.
    account, statement
        who paid, or what; at least one is there.
    amount
        [minor units], more than 0.
    on
        day of value; None: today.
    """

    where: str
    account: str | None
    statement: str | None
    amount: int
    currency: str
    reference: str
    on: date | None


def payment_of(
    where: str, *, account: str, statement: str, amount: str, currency: str, reference: str, on: str
) -> Payment:
    """A payment from what people or files wrote; raises `InvalidInput` with `where`."""
    account, statement, reference = account.strip(), statement.strip(), " ".join(reference.split())
    if not account and not statement:
        raise InvalidInput(where, "neither account nor statement", "one of them")
    if not 0 < len(reference) <= _LONGEST or not reference.isprintable():
        found = "no reference" if not reference else repr(reference[:20])
        raise InvalidInput(where, found, f"the payment's reference, up to {_LONGEST} letters")
    paid = minor(amount_of(where, amount), currency.strip(), where)
    if paid <= 0:
        raise InvalidInput(where, amount.strip(), "an amount above 0")
    return Payment(where, account or None, statement or None, paid, currency.strip(), reference, day_of(where, on))


def amount_of(where: str, text: str) -> Decimal:
    """An amount of money as people write it; raises `InvalidInput` with `where`."""
    text = text.strip()
    if _AMOUNT.fullmatch(text):
        return Decimal(text)
    raise InvalidInput(where, repr(text[:32]), "an amount such as 12.34")


def day_of(where: str, text: str) -> date | None:
    """A day that somebody wrote; None where nothing is written."""
    if not text.strip():
        return None
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput(where, repr(text.strip()[:32]), "a day such as 2026-11-17") from None


def read_payments(lines: Iterable[str], name: str) -> list[Payment]:
    """The payments in a file; raises `InvalidInput` at the first line that is wrong."""
    rows = csv.reader(lines)
    try:
        header = [cell.strip().lower().removeprefix("\ufeff") for cell in next(rows, [])]
        if not _NEEDED <= set(header) <= _KNOWN or len(set(header)) < len(header) or "date" not in header:
            raise InvalidInput(f"{name} line 1", ",".join(header)[:80] or "nothing", _EXPECTED)
        if not {"account", "statement"} & set(header):
            raise InvalidInput(f"{name} line 1", ",".join(header)[:80], _EXPECTED)
        return [_payment(f"{name} line {rows.line_num}", header, row) for row in rows if any(map(str.strip, row))]
    except csv.Error as error:
        raise InvalidInput(f"{name} line {rows.line_num}", str(error), "CSV") from None


_EXPECTED = "account and/or statement, amount, currency, date, reference"


def _payment(where: str, header: list[str], row: list[str]) -> Payment:
    if len(row) != len(header):
        raise InvalidInput(where, f"{len(row)} columns", f"{len(header)}")
    cells = dict(zip(header, row, strict=True))
    if not cells["date"].strip():
        raise InvalidInput(where, "no date", "a day such as 2026-11-17")
    return payment_of(
        where,
        account=cells.get("account", ""),
        statement=cells.get("statement", ""),
        amount=cells["amount"],
        currency=cells["currency"],
        reference=cells["reference"],
        on=cells["date"],
    )
