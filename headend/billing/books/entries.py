"""An entry of the books: the customer's side, what stands against it, and the chain that nobody can take one out of.

Amounts are whole minor units of the entry's currency: cents of EUR, yen of JPY. A debit is positive, a credit negative,
and an entry's postings sum to zero.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from headend.errors import InvalidInput
from headend.tariffs.money import CURRENCIES, EXACT, minor_digits

Kind = Literal["statement", "payment", "refund", "fee", "write_off", "reversal", "settlement"]

#: The customer's side of the chart of accounts: what is owed, and what is paid and not owed yet.
RECEIVABLE, PREPAID = "receivable", "prepaid"
CASH, WRITE_OFF, ROUNDING = "cash", "write-off", "rounding"
BACK_BILLING = "write-off:back-billing"
#: What is billed and not asked for yet of accounts that pay by instalments, or the other way round.
BUDGET = "budget"
LATE_FEES, DUNNING_FEES = "fees:late", "fees:dunning"

#: The chain before the first entry.
GENESIS = bytes(32)
#: No single amount is larger [minor units]: sums of as many as there will ever be stay below 2^63.
MOST = 10**14


@dataclass(frozen=True, slots=True)
class Posting:
    """An amount on an account of the chart [minor units]; positive: debit."""

    code: str
    amount: int


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be booked: all of an entry but the customer's side.

    Parameters
    ----------
    source
        what it is booked for, such as `statement:A-1-2026-10-1`; nothing is booked twice for the same.
    against
        postings that stand against the customer's.
    due_on
        day what is owed is due; None where less is owed.
    target
        source of the item that a credit pays first.
    reverses
        number of the entry it takes back.
    """

    kind: Kind
    source: str
    account: str
    currency: str
    booked_on: date
    against: tuple[Posting, ...]
    text: str
    due_on: date | None = None
    target: str | None = None
    reverses: int | None = None

    @property
    def change(self) -> int:
        """How much more the customer owes [minor units]."""
        return -sum(posting.amount for posting in self.against)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it is booked, for good; see `Draft`.

    Parameters
    ----------
    number
        1, 2, 3 … over all accounts.
    change, balance
        how much more the customer owes, and what they owe after it in this currency; negative: they are owed.
    booked_at, booked_by
        when it was written, and who did.
    """

    number: int
    kind: Kind
    source: str
    account: str
    currency: str
    booked_on: date
    due_on: date | None
    change: int
    balance: int
    target: str | None
    reverses: int | None
    text: str
    booked_at: datetime
    booked_by: str

    @property
    def reference(self) -> str:
        """Number of the statement, reference of the payment …: the source without its kind."""
        return self.source.partition(":")[2]


def entry_of(draft: Draft, number: int, before: int, at: datetime, by: str) -> tuple[Entry, tuple[Posting, ...]]:
    """The entry and all its postings.

    Parameters
    ----------
    before
        what the customer owed before it in this currency [minor units].
    """
    change = draft.change
    entry = Entry(
        number,
        draft.kind,
        draft.source,
        draft.account,
        draft.currency,
        draft.booked_on,
        draft.due_on,
        change,
        before + change,
        draft.target,
        draft.reverses,
        draft.text,
        at,
        by,
    )
    return entry, (*customers_side(before, before + change), *draft.against)


def customers_side(before: int, after: int) -> tuple[Posting, ...]:
    """Postings that take a customer's balance from `before` to `after`: owed is receivable, beyond that it is prepaid.

    One who owes 30 and pays 50 has the receivable credited with 30 and 20 prepaid; the next bill takes these first.
    """
    sides = (
        Posting(RECEIVABLE, max(after, 0) - max(before, 0)),
        Posting(PREPAID, min(after, 0) - min(before, 0)),
    )
    return tuple(side for side in sides if side.amount)


def link(chain: bytes, entry: Entry, postings: Sequence[Posting]) -> bytes:
    """SHA-256 over the chain before an entry and all that the entry says."""
    said = [
        entry.number,
        entry.kind,
        entry.source,
        entry.account,
        entry.currency,
        entry.booked_on.isoformat(),
        entry.due_on and entry.due_on.isoformat(),
        entry.change,
        entry.balance,
        entry.target,
        entry.reverses,
        entry.text,
        entry.booked_at.isoformat(),
        entry.booked_by,
        [[posting.code, posting.amount] for posting in postings],
    ]
    return hashlib.sha256(chain + json.dumps(said, separators=(",", ":")).encode()).digest()


def minor(amount: Decimal, currency: str, where: str) -> int:
    """An amount in minor units; raises `InvalidInput` where the currency has none so small, or it is beyond reason."""
    if currency not in CURRENCIES:
        raise InvalidInput(where, repr(currency), "a currency of ISO 4217")
    if not amount.is_finite() or abs(amount) >= MOST:
        raise InvalidInput(where, str(amount), "an amount of money")
    scaled = amount.scaleb(minor_digits(currency), EXACT)
    if scaled != (whole := int(scaled)) or abs(whole) > MOST:
        raise InvalidInput(where, f"{amount:f} {currency}", f"at most {minor_digits(currency)} decimal places")
    return whole


def major(amount: int, currency: str) -> Decimal:
    """Minor units as an amount: 1234 → 12.34 EUR."""
    return Decimal(amount).scaleb(-minor_digits(currency), EXACT)
