"""Where an account stands as of a day: what it owes, for which items, and since when.

Which credit pays which item is worked out anew from the entries each time: a credit that names an item pays that first,
everything else pays what was due first, fees last. An entry and the one that reverses it cancel each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from headend.billing.books.entries import Entry


@dataclass(slots=True)
class Item:
    """Something that is owed.

    Parameters
    ----------
    open
        what is not paid [minor units].
    paid_by
        (number of the credit's entry, minor units), in the order of payment.
    """

    entry: Entry
    open: int
    paid_by: list[tuple[int, int]] = field(default_factory=list)

    def overdue_days(self, day: date) -> int:
        """Days since it was due, where some of it is open; 0: not overdue."""
        due = self.entry.due_on or self.entry.booked_on
        return max(0, (day - due).days) if self.open else 0


@dataclass(frozen=True, slots=True)
class Position:
    """One account in one currency, as of the end of `day`; amounts in minor units.

    Parameters
    ----------
    items
        everything that was ever owed and is not reversed, what was due first first.
    prepaid
        paid, and not owed yet.
    """

    account: str
    currency: str
    day: date
    balance: int
    items: tuple[Item, ...]
    prepaid: int

    @property
    def open_items(self) -> tuple[Item, ...]:
        """What is not paid in full."""
        return tuple(item for item in self.items if item.open)

    @property
    def overdue(self) -> int:
        """What should have been paid before this day."""
        return sum(item.open for item in self.items if item.overdue_days(self.day))

    @property
    def overdue_days(self) -> int:
        """Days since the oldest open item was due; 0: none is overdue."""
        return max((item.overdue_days(self.day) for item in self.items), default=0)


def position(entries: Iterable[Entry], day: date) -> Position:
    """Where one account stands in one currency at the end of `day`.

    Parameters
    ----------
    entries
        all of this account and currency, at least one; later ones are left out.
    """
    told = list(entries)
    seen = sorted((entry for entry in told if entry.booked_on <= day), key=lambda entry: entry.number)
    gone = {entry.reverses for entry in seen if entry.reverses is not None}
    standing = [entry for entry in seen if entry.number not in gone and entry.reverses is None]
    owed = sorted((entry for entry in standing if entry.change > 0), key=_due_first)
    items = {entry.source: Item(entry, entry.change) for entry in owed}
    credits = {entry.number: -entry.change for entry in standing if entry.change < 0}
    for entry in standing:
        if entry.number in credits and entry.target in items:
            credits[entry.number] = _pay(credits[entry.number], [items[entry.target]], entry.number)
    for number, left in credits.items():
        credits[number] = _pay(left, items.values(), number)
    balance, prepaid = sum(entry.change for entry in seen), sum(credits.values())
    return Position(told[0].account, told[0].currency, day, balance, tuple(items.values()), prepaid)


def positions(entries: Iterable[Entry], day: date) -> list[Position]:
    """Where accounts stand, by account and currency."""
    by_account: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        by_account[entry.account, entry.currency].append(entry)
    return [position(by_account[key], day) for key in sorted(by_account)]


def _due_first(entry: Entry) -> tuple[bool, date, int]:
    # Fees come after all statements: what was paid in time stays paid, however late a fee of its time is booked.
    return entry.kind == "fee", entry.due_on or entry.booked_on, entry.number


def _pay(amount: int, items: Iterable[Item], credit: int) -> int:
    """Pay items in their order; what is left over."""
    for item in items:
        if not amount:
            break
        if part := min(amount, item.open):
            item.paid_by.append((credit, part))
            item.open -= part
            amount -= part
    return amount
