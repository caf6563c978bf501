"""The books on SQL: entries go in, are read, and are checked; nothing is ever changed or taken out.

Whoever writes holds the site database's one writer lock, so numbers have no holes, each entry knows the chain and the
balance before it, and of two clerks who book the same thing the second finds it there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, func, select

from headend.billing.books.entries import GENESIS, Draft, Entry, Posting, customers_side, entry_of, link, major
from headend.billing.books.postings import source_of_statement, statement_draft
from headend.billing.statement import Statement, parse_statement
from headend.errors import NotFound, StoreBroken
from headend.reads.days import microseconds, moment_us
from headend.store.bulk import insert_rows, portions
from headend.store.database import storable
from headend.store.tables import book_entry, book_posting, dunning_note, statement

_AT_ONCE = 500
_ENTRY = [column for column in book_entry.columns if column.name != "chain"]


def book(tx: Connection, drafts: Sequence[Draft], at: datetime, by: str) -> list[Entry]:
    """Book drafts, in this order; nothing of them may be booked already.

    Raises
    ------
    sqlalchemy.exc.IntegrityError
        something is booked for one of the sources already.
    """
    number, chain = _newest(tx)
    owed = _balances(tx, {draft.account for draft in drafts})
    made: list[Entry] = []
    entries: list[tuple[Any, ...]] = []
    lines: list[tuple[Any, ...]] = []
    # What is written must read back the same: time goes to the microsecond, and no database keeps every character.
    at, by = moment_us(microseconds(at)), storable(by)
    for draft in drafts:
        number += 1
        key = draft.account, draft.currency
        entry, postings = entry_of(draft, number, owed.get(key, 0), at, by)
        owed[key] = entry.balance
        chain = link(chain, entry, postings)
        made.append(entry)
        entries.append((*_values(entry), chain))
        lines += [(number, place, each.code, each.amount) for place, each in enumerate(postings)]
    insert_rows(tx, book_entry, entries)
    insert_rows(tx, book_posting, lines)
    return made


def _newest(tx: Connection) -> tuple[int, bytes]:
    query = select(book_entry.c.number, book_entry.c.chain).order_by(book_entry.c.number.desc()).limit(1)
    row = tx.execute(query).first()
    return (row.number, row.chain) if row else (0, GENESIS)


def _balances(tx: Connection, accounts: Collection[str]) -> dict[tuple[str, str], int]:
    """What these accounts owe, by account and currency [minor units]."""
    owed: dict[tuple[str, str], int] = {}
    for some in portions(sorted(accounts)):
        last = _last_numbers().where(book_entry.c.account_id.in_(some))
        query = select(book_entry.c.account_id, book_entry.c.currency, book_entry.c.balance).where(
            book_entry.c.number.in_(last)
        )
        owed.update({(row.account_id, row.currency): row.balance for row in tx.execute(query)})
    return owed


def _last_numbers() -> Any:
    return select(func.max(book_entry.c.number)).group_by(book_entry.c.account_id, book_entry.c.currency)


def booked_as_issued(tx: Connection, statements: Iterable[Statement], at: datetime, by: str) -> Iterator[Statement]:
    """The same statements, each booked as it goes by."""
    for some in portions(statements, _AT_ONCE):
        book(tx, [statement_draft(each) for each in some], at, by)
        yield from some


def book_missing(tx: Connection, at: datetime, by: str) -> int:
    """Book issued statements that have no entry, in the order of issue, up to a portion; how many there were."""
    source = source_of_statement("") + statement.c.id
    query = (
        select(statement.c.document)
        .outerjoin(book_entry, book_entry.c.source == source)
        .where(statement.c.state == "issued", book_entry.c.number.is_(None))
        .order_by(statement.c.issued_us, statement.c.period, statement.c.account_id)
        .limit(_AT_ONCE)
    )
    documents = tx.execute(query).scalars().all()
    book(tx, [statement_draft(parse_statement(document)) for document in documents], at, by)
    return len(documents)


def entry_for(tx: Connection, source: str) -> Entry | None:
    """What is booked for a source."""
    row = tx.execute(select(*_ENTRY).where(book_entry.c.source == source)).first()
    return None if row is None else _entry(row)


def numbered(tx: Connection, number: int) -> Entry:
    """An entry by its number; raises `NotFound`."""
    row = tx.execute(select(*_ENTRY).where(book_entry.c.number == number)).first()
    if row is None:
        raise NotFound(f"the books have no entry {number}")
    return _entry(row)


def reversal_of(tx: Connection, number: int) -> Entry | None:
    """The entry that takes another one back."""
    row = tx.execute(select(*_ENTRY).where(book_entry.c.reverses == number)).first()
    return None if row is None else _entry(row)


def sources_there(tx: Connection, sources: Collection[str]) -> set[str]:
    """Those of the sources for which something is booked."""
    there: set[str] = set()
    for some in portions(sorted(sources)):
        there.update(tx.execute(select(book_entry.c.source).where(book_entry.c.source.in_(some))).scalars())
    return there


def entries_of(tx: Connection, accounts: Collection[str], until: date | None = None) -> list[Entry]:
    """Entries of these accounts up to a day, by number."""
    found: list[Entry] = []
    for some in portions(sorted(accounts)):
        query = select(*_ENTRY).where(book_entry.c.account_id.in_(some))
        if until is not None:
            query = query.where(book_entry.c.booked_on <= until.isoformat())
        found += [_entry(row) for row in tx.execute(query.order_by(book_entry.c.number))]
    return found


def postings_of(tx: Connection, number: int) -> tuple[Posting, ...]:
    """The postings of an entry."""
    query = (
        select(book_posting.c.code, book_posting.c.amount)
        .where(book_posting.c.entry == number)
        .order_by(book_posting.c.place)
    )
    return tuple(Posting(row.code, row.amount) for row in tx.execute(query))


def owing(tx: Connection, due_before: date) -> Iterator[list[Entry]]:
    """Entries up to the day before `due_before` of accounts that may have something overdue then, some at a time."""
    e = book_entry.c
    late = select(e.account_id).where(e.change > 0, e.due_on < due_before.isoformat())
    query = (
        select(e.account_id)
        .where(e.account_id.in_(late), e.booked_on <= due_before.isoformat())
        .group_by(e.account_id, e.currency)
        .having(func.sum(e.change) > 0)
        .distinct()
        .order_by(e.account_id)
    )
    accounts = list(tx.execute(query).scalars())
    for some in portions(accounts):
        yield entries_of(tx, some, due_before)


def journal(tx: Connection, first: date, last: date) -> Iterator[tuple[Entry, tuple[Posting, ...]]]:
    """Entries of the days `first` to `last` with their postings: by day, then by number."""
    e = book_entry.c
    query = _WITH_POSTINGS.where(e.booked_on.between(first.isoformat(), last.isoformat())).order_by(
        e.booked_on, e.number, book_posting.c.place
    )
    for entry, postings, _ in _told(tx, query):
        yield entry, postings


_WITH_POSTINGS = select(*book_entry.columns, book_posting.c.code, book_posting.c.amount).outerjoin(
    book_posting, book_posting.c.entry == book_entry.c.number
)


def _told(tx: Connection, query: Any) -> Iterator[tuple[Entry, tuple[Posting, ...], bytes]]:
    rows = tx.execute(query.execution_options(yield_per=_AT_ONCE * 8))
    for _, its in groupby(rows, key=lambda row: row.number):
        lines = list(its)
        postings = tuple(Posting(row.code, row.amount) for row in lines if row.code is not None)
        yield _entry(lines[0]), postings, lines[0].chain


def verify(tx: Connection) -> int:
    """Walk the books from the first entry: number of entries.

    Raises
    ------
    StoreBroken
        at the first that was altered, lost or moved, does not balance or does not go on from the customer's balance;
        where a statement is issued and not booked, or booked with another total.
    """
    number, chain = 0, GENESIS
    owed: dict[tuple[str, str], int] = defaultdict(int)
    for entry, postings, its_chain in _told(tx, _WITH_POSTINGS.order_by(book_entry.c.number, book_posting.c.place)):
        number += 1
        if entry.number != number:
            raise StoreBroken(f"the books have no entry {number}")
        chain = link(chain, entry, postings)
        if chain != its_chain:
            raise StoreBroken(f"entry {number} is not as it was booked")
        if sum(posting.amount for posting in postings):
            raise StoreBroken(f"entry {number} does not balance")
        before = owed[entry.account, entry.currency]
        side = customers_side(before, before + entry.change)
        if entry.balance != before + entry.change or postings[: len(side)] != side:
            raise StoreBroken(f"entry {number} does not go on from the balance of account {entry.account}")
        owed[entry.account, entry.currency] = entry.balance
    _check_statements(tx)
    return number


_ASKED_FOR = func.coalesce(statement.c.due, statement.c.total)


def _check_statements(tx: Connection) -> None:
    source = source_of_statement("") + statement.c.id
    query = (
        select(statement.c.id, _ASKED_FOR.label("asked_for"), statement.c.currency, *_ENTRY)
        .outerjoin(book_entry, book_entry.c.source == source)
        .where(statement.c.state == "issued")
        .order_by(statement.c.id)
        .execution_options(yield_per=_AT_ONCE)
    )
    for row in tx.execute(query):
        if row.number is None:
            raise StoreBroken(f"statement {row.id} is issued and not booked: headend ledger post")
        entry = _entry(row)
        total = major(entry.change, entry.currency)
        if (Decimal(row.asked_for), row.currency) != (total, entry.currency):
            raise StoreBroken(
                f"statement {row.id} is of {row.asked_for} {row.currency}, booked are {total} {entry.currency}"
            )


@dataclass(frozen=True, slots=True)
class Note:
    """A dunning stage that an overdue statement has reached.

    Parameters
    ----------
    days, open
        overdue, and not paid, when it was noted [minor units].
    """

    statement: str
    stage: str
    account: str
    days: int
    open: int
    on: date
    at: datetime
    by: str


def note(tx: Connection, notes: Sequence[Note]) -> None:
    """Note stages; raises `sqlalchemy.exc.IntegrityError` where one is noted already."""
    insert_rows(
        tx,
        dunning_note,
        [
            (n.statement, n.stage, n.account, n.days, n.open, n.on.isoformat(), microseconds(n.at), storable(n.by))
            for n in notes
        ],
    )


def notes_of(tx: Connection, accounts: Collection[str]) -> list[Note]:
    """The stages that were noted of these accounts, in the order they were reached."""
    d = dunning_note.c
    found: list[Note] = []
    for some in portions(sorted(accounts)):
        query = select(dunning_note).where(d.account_id.in_(some)).order_by(d.account_id, d.statement_id, d.days)
        found += [
            Note(
                row.statement_id,
                row.stage,
                row.account_id,
                row.days,
                row.open,
                date.fromisoformat(row.noted_on),
                moment_us(row.noted_us),
                row.noted_by,
            )
            for row in tx.execute(query)
        ]
    return found


def _values(entry: Entry) -> tuple[Any, ...]:
    """An entry as a row, in the table's order, but for its chain."""
    return (
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
        microseconds(entry.booked_at),
        entry.booked_by,
    )


def _entry(row: Row[Any]) -> Entry:
    try:
        booked_on = date.fromisoformat(row.booked_on)
        due_on = date.fromisoformat(row.due_on) if row.due_on else None
    except ValueError as error:
        raise StoreBroken(f"entry {row.number} is not as it was booked: {error}") from None
    return Entry(
        row.number,
        row.kind,
        row.source,
        row.account_id,
        row.currency,
        booked_on,
        due_on,
        row.change,
        row.balance,
        row.target,
        row.reverses,
        row.text,
        moment_us(row.booked_us),
        row.booked_by,
    )
