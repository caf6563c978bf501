"""What is booked for what: statements, payments, fees, write-offs, and taking one of these back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from headend.billing.books.entries import (
    BACK_BILLING,
    BUDGET,
    CASH,
    DUNNING_FEES,
    LATE_FEES,
    PREPAID,
    RECEIVABLE,
    ROUNDING,
    WRITE_OFF,
    Draft,
    Entry,
    Posting,
    minor,
)
from headend.billing.statement import Statement
from headend.errors import BillingConflict

#: Of what may be taken back by an entry of its own; a statement is corrected by billing.
_REVERSIBLE = ("payment", "refund", "fee", "write_off")


def statement_draft(statement: Statement) -> Draft:
    """What an issued statement says: revenue by commodity and kind of line, tax by label, what goes into the bank.

    Of an account that pays by instalments, what is billed beyond what is due now is in its budget.

    A tax that the prices contain is owed like any other; the revenue that contains it is reduced by `…:included-tax`.

    Raises
    ------
    ValueError
        it is a draft.
    """
    if statement.issued_on is None:
        raise ValueError(f"statement {statement.id} is not issued")
    currency = statement.totals.currency
    sums: dict[str, int] = {}

    def add(code: str, amount: int) -> None:
        sums[code] = sums.get(code, 0) + amount

    for segment in statement.segments:
        for line in segment.lines:
            amount = minor(line.amount, currency, statement.id)
            if line.kind == "tax":
                add(f"tax:{line.label}", -amount)
                if line.included:
                    add(f"revenue:{segment.commodity}:included-tax", amount)
            elif line.kind == "write_off":
                add(BACK_BILLING, -amount)
            elif line.kind == "bank":
                add(f"bank:{segment.commodity}", -amount)
            else:
                add(f"revenue:{segment.commodity}:{line.kind}", -amount)
    # Billing refuses a statement whose lines are not its total; should one ever be, the customer owes the total.
    add(ROUNDING, -minor(statement.totals.gross, currency, statement.id) - sum(sums.values()))
    add(BUDGET, minor(statement.totals.gross - statement.due, currency, statement.id))
    return Draft(
        kind="statement",
        source=source_of_statement(statement.id),
        account=statement.customer.account,
        currency=currency,
        booked_on=statement.issued_on,
        against=_postings(sums),
        text=_text_of(statement),
        due_on=statement.due_on if statement.due > 0 else None,
        target=_paid_first(statement),
    )


def _text_of(statement: Statement) -> str:
    if statement.corrects is None:
        return f"Statement {statement.id}"
    what = {"cancellation": "Cancellation", "rebill": "Rebill", "difference": "Difference"}
    return f"{what[statement.kind or 'difference']} {statement.id} of {statement.corrects.id}"


def _paid_first(statement: Statement) -> str | None:
    """What is taken back of a statement pays that statement."""
    if statement.corrects is None or statement.totals.gross >= 0:
        return None
    return source_of_statement(statement.corrects.id)


def source_of_statement(statement_id: str) -> str:
    """What a statement's entry is booked for."""
    return f"statement:{statement_id}"


def source_of_settlement(reference: str) -> str:
    """What the entry is booked for that settles a budget plan without a bill."""
    return f"settlement:{reference}"


def settlement_draft(account: str, left: int, currency: str, number: int, on: date, due_on: date | None) -> Draft:
    """What a budget plan has left when no bill follows is asked for, or owed to the customer [minor units].

    Parameters
    ----------
    number
        1, 2 …: of the account's settlements.
    """
    reference = f"{account}-budget-{number}"
    return Draft(
        kind="settlement",
        source=source_of_settlement(reference),
        account=account,
        currency=currency,
        booked_on=on,
        against=(Posting(BUDGET, -left),),
        text=f"Settlement {reference} of the budget plan",
        due_on=due_on if left > 0 else None,
    )


def payment_draft(account: str, amount: int, currency: str, reference: str, on: date, target: str | None) -> Draft:
    """A payment that came [minor units]; `target`: source of the item that is to be paid first."""
    return Draft(
        kind="payment",
        source=f"payment:{reference}",
        account=account,
        currency=currency,
        booked_on=on,
        against=(Posting(CASH, amount),),
        text=f"Payment {reference}",
        target=target,
    )


def refund_draft(account: str, amount: int, currency: str, reference: str, on: date) -> Draft:
    """What was prepaid is paid out [minor units]."""
    return Draft(
        kind="refund",
        source=f"refund:{reference}",
        account=account,
        currency=currency,
        booked_on=on,
        against=(Posting(CASH, -amount),),
        text=f"Refund {reference}",
        due_on=on,
    )


def late_fee_draft(item: Entry, period: str, amount: int, on: date) -> Draft:
    """The late fee of month `period` on one statement [minor units], due at once."""
    text = f"Late fee {period} on {item.reference}"
    return _fee(item, f"fee:{period}:{item.reference}", LATE_FEES, amount, on, text)


def dunning_fee_draft(item: Entry, stage: str, amount: int, on: date) -> Draft:
    """The fee of a dunning stage that one statement has reached [minor units], due at once."""
    return _fee(
        item, f"dunning:{stage}:{item.reference}", DUNNING_FEES, amount, on, f"Fee of {stage} on {item.reference}"
    )


def _fee(item: Entry, source: str, code: str, amount: int, on: date, text: str) -> Draft:
    return Draft("fee", source, item.account, item.currency, on, (Posting(code, -amount),), text, due_on=on)


def write_off_draft(item: Entry, amount: int, times_before: int, on: date, reason: str) -> Draft:
    """What is still open of an item is given up [minor units]."""
    return Draft(
        kind="write_off",
        source=f"write_off:{item.reference}:{times_before + 1}",
        account=item.account,
        currency=item.currency,
        booked_on=on,
        against=(Posting(WRITE_OFF, amount),),
        text=f"Write-off of {item.reference}: {reason}",
        target=item.source,
    )


def reversal_draft(entry: Entry, postings: Sequence[Posting], on: date, reason: str) -> Draft:
    """The entry that takes another one back.

    Raises
    ------
    BillingConflict
        that entry is a statement's, a reversal, or of a later day.
    """
    if entry.kind not in _REVERSIBLE:
        raise BillingConflict(f"entry {entry.number} is of a {entry.kind}: that is not reversed in the books")
    if on < entry.booked_on:
        raise BillingConflict(f"entry {entry.number} is of {entry.booked_on}: it cannot be reversed on {on}")
    return Draft(
        kind="reversal",
        source=f"reversal:{entry.number}",
        account=entry.account,
        currency=entry.currency,
        booked_on=on,
        against=tuple(Posting(each.code, -each.amount) for each in postings if each.code not in (RECEIVABLE, PREPAID)),
        text=f"{entry.text} reversed: {reason}",
        reverses=entry.number,
    )


def _postings(sums: Mapping[str, int]) -> tuple[Posting, ...]:
    return tuple(Posting(code, amount) for code, amount in sorted(sums.items()) if amount)
