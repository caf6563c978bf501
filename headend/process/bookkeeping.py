"""What a clerk books: payments, refunds, fees, reminders, write-offs, and taking one of them back.

Each is one transaction. Whatever is booked has a source of its own, so that doing it again changes nothing, or is
refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import Connection, select

from headend.billing.books.bankfile import Payment
from headend.billing.books.entries import Draft, Entry, major
from headend.billing.books.position import Position, position, positions
from headend.billing.books.postings import (
    dunning_fee_draft,
    payment_draft,
    refund_draft,
    reversal_draft,
    source_of_settlement,
    source_of_statement,
    write_off_draft,
)
from headend.billing.books.reminding import (
    LateFees,
    Reminder,
    Reminding,
    Stage,
    end_of,
    late_fees,
    reminders,
    stage_fee,
)
from headend.errors import BillingConflict, InvalidInput, NotFound, checked_name
from headend.reads.days import Period
from headend.registry.registry import account_named
from headend.site import Site
from headend.store import books
from headend.store.tables import statement


def rules_of(site: Site) -> Reminding:
    """What a site charges, and when it reminds."""
    fees = site.settings.late_fees
    return Reminding(
        LateFees(fees.percent_per_month, fees.fixed, fees.minimum, fees.grace_days),
        tuple(Stage(stage.name, stage.days, stage.fee) for stage in site.settings.dunning),
    )


def today(site: Site) -> date:
    """The site's local day."""
    return site.clock().astimezone(site.settings.site.zone).date()


@dataclass(slots=True)
class Paid:
    """What became of payments: what is booked now, and how many were there already."""

    new: list[Draft] = field(default_factory=list)
    same: int = 0


def pay(site: Site, payments: Sequence[Payment], by: str, *, dry_run: bool = False) -> Paid:
    """Book payments, all or none. One that is booked already, just so, is left as it is.

    Raises
    ------
    InvalidInput
        an account or statement that there is not, another currency than the account is billed in, a day to come.
    BillingConflict
        a reference that another payment has, or one that was reversed.
    """
    checked_name(by)
    day, same = today(site), 0
    drafts: dict[str, Draft] = {}
    with site.database.write() as tx:
        for payment in payments:
            draft = _payment_draft(tx, payment, day)
            there = books.entry_for(tx, draft.source)
            if there is not None:
                _check_same(tx, payment, draft, there)
            elif drafts.setdefault(draft.source, draft) is draft:
                continue
            elif drafts[draft.source] != draft:
                raise BillingConflict(f"{payment.where}: reference {payment.reference!r} stands there twice")
            same += 1
        if not dry_run:
            books.book(tx, list(drafts.values()), site.clock(), by)
    return Paid(list(drafts.values()), same)


def _payment_draft(tx: Connection, payment: Payment, day: date) -> Draft:
    account, target = payment.account or "", None
    if payment.statement is not None:
        s = statement.c
        query = select(s.account_id).where(s.id == payment.statement, s.state == "issued")
        whose = tx.execute(query).scalar()
        if whose is None:
            raise InvalidInput(payment.where, f"statement {payment.statement!r}", "one that is issued")
        if account not in ("", whose):
            raise InvalidInput(payment.where, f"account {account!r}", f"{whose}, whose statement it is")
        account, target = whose, source_of_statement(payment.statement)
    try:
        account_named(tx, account)
    except NotFound:
        raise InvalidInput(payment.where, f"account {account!r}", "one that there is") from None
    entries = books.entries_of(tx, [account])
    currencies = {entry.currency for entry in entries}
    # Before anything is billed, a payment in one currency says nothing about the next.
    if any(entry.kind == "statement" for entry in entries) and payment.currency not in currencies:
        expected = f"{' or '.join(sorted(currencies))}, as account {account} is billed"
        raise InvalidInput(payment.where, payment.currency, expected)
    if (on := payment.on or day) > day:
        raise InvalidInput(payment.where, str(on), f"no day after {day}")
    return payment_draft(account, payment.amount, payment.currency, payment.reference, on, target)


def _check_same(tx: Connection, payment: Payment, draft: Draft, there: Entry) -> None:
    told = draft.account, draft.currency, draft.change, draft.target, payment.on or there.booked_on
    if told != (there.account, there.currency, there.change, there.target, there.booked_on):
        amount = f"{major(-there.change, there.currency)} {there.currency}"
        raise BillingConflict(
            f"{payment.where}: reference {payment.reference!r} is booked already: {amount} of account {there.account}"
            f" on {there.booked_on}"
        )
    if (reversed_by := books.reversal_of(tx, there.number)) is not None:
        raise BillingConflict(
            f"{payment.where}: payment {payment.reference!r} was reversed on {reversed_by.booked_on};"
            " book it under another reference"
        )


def refund(site: Site, payment: Payment, by: str) -> Entry:
    """Pay out what an account has prepaid.

    Raises
    ------
    BillingConflict
        so much is not there, or the reference is used.
    """
    checked_name(by)
    day = today(site)
    with site.database.write() as tx:
        wanted = _payment_draft(tx, payment, day)
        mine = [each for each in books.entries_of(tx, [wanted.account]) if each.currency == wanted.currency]
        prepaid = -mine[-1].balance if mine else 0
        if payment.amount > prepaid:
            there = f"{major(max(prepaid, 0), payment.currency)} {payment.currency}"
            raise BillingConflict(f"account {wanted.account} has {there} to be paid out")
        if wanted.booked_on < (last := mine[-1].booked_on):
            raise InvalidInput("day", str(wanted.booked_on), f"one from {last} on, when what is paid out had come in")
        draft = refund_draft(wanted.account, payment.amount, payment.currency, payment.reference, wanted.booked_on)
        if books.entry_for(tx, draft.source) is not None:
            raise BillingConflict(f"a refund with reference {payment.reference!r} is booked already")
        return books.book(tx, [draft], site.clock(), by)[0]


def reverse(site: Site, number: int, reason: str, by: str) -> Entry:
    """Take back a payment, a refund, a fee or a write-off by an entry of its own.

    Raises
    ------
    BillingConflict
        it was taken back already, or is none of these.
    """
    checked_name(by)
    reason = _reason(reason)
    with site.database.write() as tx:
        entry = books.numbered(tx, number)
        if (before := books.reversal_of(tx, number)) is not None:
            raise BillingConflict(f"entry {number} was reversed by entry {before.number} on {before.booked_on}")
        draft = reversal_draft(entry, books.postings_of(tx, number), max(today(site), entry.booked_on), reason)
        return books.book(tx, [draft], site.clock(), by)[0]


def write_off(site: Site, statement_id: str, reason: str, by: str) -> Entry:
    """Give up what is open of a statement, or of a settlement of a budget plan.

    Raises
    ------
    NotFound
        nothing is booked for it.
    BillingConflict
        nothing of it is open.
    """
    checked_name(by)
    reason = _reason(reason)
    with site.database.write() as tx:
        sources = source_of_statement(statement_id), source_of_settlement(statement_id)
        entry = next((its for source in sources if (its := books.entry_for(tx, source)) is not None), None)
        if entry is None:
            raise NotFound(f"no statement {statement_id!r} is booked")
        mine = [each for each in books.entries_of(tx, [entry.account]) if each.currency == entry.currency]
        day = max(today(site), mine[-1].booked_on)
        still_open = next((item.open for item in position(mine, day).items if item.entry == entry), 0)
        if not still_open:
            raise BillingConflict(f"nothing of statement {statement_id} is open")
        before = sum(each.kind == "write_off" and each.target == entry.source for each in mine)
        return books.book(tx, [write_off_draft(entry, still_open, before, day, reason)], site.clock(), by)[0]


def _reason(text: str) -> str:
    text = " ".join(text.split())
    if not text or len(text) > 200 or not text.isprintable():
        raise InvalidInput("reason", repr(text[:20]), "a few words why")
    return text


def charge_late_fees(site: Site, period: str, by: str, *, dry_run: bool = False) -> list[Draft]:
    """Book the late fees of a month that is over, each once; what is booked now.

    Raises
    ------
    BillingConflict
        the month is not over.
    """
    checked_name(by)
    Period.month(period, site.settings.site.zone)
    last, rule = end_of(period), rules_of(site).late_fees
    if today(site) <= last:
        raise BillingConflict(f"{period} is not over: its late fees are known on the day after {last}")
    due: list[Draft] = []
    with site.database.write() as tx:
        for entries in books.owing(tx, last):
            drafts = [draft for standing in positions(entries, last) for draft in late_fees(rule, standing, period)]
            there = books.sources_there(tx, [draft.source for draft in drafts])
            due += [draft for draft in drafts if draft.source not in there]
        if not dry_run:
            books.book(tx, due, site.clock(), by)
    return due


@dataclass(frozen=True, slots=True)
class Overdue:
    """An account that is late, in one currency, with its reminders.

    Parameters
    ----------
    noted
        stages noted so far, by statement.
    due
        reminders whose stage is not noted yet.
    """

    standing: Position
    reminders: tuple[Reminder, ...]
    noted: dict[str, list[books.Note]]
    due: tuple[Reminder, ...]

    @property
    def stage(self) -> Stage | None:
        """The highest stage that one of its statements has reached."""
        return max((one.stage for one in self.reminders if one.stage), key=lambda stage: stage.days, default=None)


def overdue(tx: Connection, stages: Sequence[Stage], day: date) -> list[Overdue]:
    """Every account with an overdue statement, by account."""
    found: list[Overdue] = []
    for entries in books.owing(tx, day):
        found += _overdue(tx, stages, positions(entries, day))
    return found


def _overdue(tx: Connection, stages: Sequence[Stage], standing: Iterable[Position]) -> list[Overdue]:
    late = [(one, tuple(its)) for one in standing if (its := reminders(stages, one))]
    noted: dict[str, list[books.Note]] = {}
    for note in books.notes_of(tx, {one.account for one, _ in late}):
        noted.setdefault(note.statement, []).append(note)
    return [
        Overdue(
            one,
            its,
            {each.item.entry.reference: noted.get(each.item.entry.reference, []) for each in its},
            tuple(each for each in its if each.stage and not _reached(each.stage, noted, each)),
        )
        for one, its in late
    ]


def _reached(stage: Stage, noted: dict[str, list[books.Note]], reminder: Reminder) -> bool:
    """Whether this stage was noted, or the statement was further already when the stages had other days."""
    return any(
        note.stage == stage.name or note.days >= stage.days for note in noted.get(reminder.item.entry.reference, [])
    )


def remind(site: Site, by: str, *, dry_run: bool = False) -> list[Overdue]:
    """Note the stage of every overdue statement that has reached a new one, and book its fee; all overdue accounts."""
    checked_name(by)
    day, stages, now = today(site), rules_of(site).stages, site.clock()
    with site.database.write() as tx:
        found = overdue(tx, stages, day)
        due = [(one.standing.account, each, each.stage) for one in found for each in one.due if each.stage]
        if not dry_run:
            books.note(
                tx,
                [
                    books.Note(its.item.entry.reference, stage.name, whose, its.days, its.item.open, day, now, by)
                    for whose, its, stage in due
                ],
            )
            fees = [
                dunning_fee_draft(its.item.entry, stage.name, fee, day)
                for _, its, stage in due
                if (fee := stage_fee(stage, its.currency))
            ]
            books.book(tx, fees, now, by)
    return found
