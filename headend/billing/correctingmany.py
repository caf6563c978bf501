"""Correcting many statements at once, in the memory that some take: portion by portion, of which a summary is kept.

Each portion is drafted as a few statements are, in one transaction, into one cycle of corrections for each period. What
ends the work in between leaves what was drafted in that cycle, and all the others flagged as they were: correcting
these anew goes on with the rest, in a cycle of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import islice

from headend.billing.correcting import (
    STATEMENTS_AT_ONCE,
    Correction,
    Portion,
    Proposal,
    by_period,
    check_free,
    checked_reason,
    make_portion,
    nothing_to_correct,
    propose_portion,
)
from headend.billing.corrections import Way
from headend.billing.cycle import BillException, ExceptionCode
from headend.billing.ports import Office
from headend.errors import checked_name

#: Of so many corrections, and of so many that are refused, a summary knows each.
SHOWN = 50

#: Told how many statements are done, and of how many.
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Sums:
    """What corrections come to in one currency, gross.

    Parameters
    ----------
    said, now
        what was said so far, and what is said then; `now` with what is written off taken off.
    up, down
        what is charged more, and less: both positive; `dearer`, `cheaper`: of how many statements.
    """

    currency: str
    count: int = 0
    said: Decimal = Decimal(0)
    now: Decimal = Decimal(0)
    written_off: Decimal = Decimal(0)
    up: Decimal = Decimal(0)
    down: Decimal = Decimal(0)
    dearer: int = 0
    cheaper: int = 0

    @property
    def difference(self) -> Decimal:
        """What is charged more in all."""
        return self.now - self.said

    def add(self, one: Correction) -> None:
        """Count a correction."""
        self.count += 1
        self.said += one.said
        self.now += one.now
        self.written_off += one.written_off
        if one.difference > 0:
            self.up, self.dearer = self.up + one.difference, self.dearer + 1
        elif one.difference < 0:
            self.down, self.cheaper = self.down - one.difference, self.cheaper + 1


@dataclass(slots=True)
class Summary:
    """What correcting many statements of a period comes to.

    Parameters
    ----------
    cycle
        the one that has the drafts, or would have; "": there is none so far.
    count
        how many are corrected; `sums`: by currency.
    first
        the first of them, without their documents.
    refused
        how many cannot be corrected as they stand, by reason; `first_refused`: the first of them.
    same
        ids of those that would come out the same; `settled`: of those of which that settles a flag.
    """

    period: str
    cycle: str = ""
    count: int = 0
    sums: dict[str, Sums] = field(default_factory=dict)
    first: list[Correction] = field(default_factory=list)
    refused: Counter[ExceptionCode] = field(default_factory=Counter)
    first_refused: list[BillException] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)

    def add(self, one: Proposal, told_before: int = 0) -> None:
        """Count what a portion comes to; so many of its exceptions are counted already."""
        self.cycle = one.cycle
        self.count += len(one.corrections)
        for each in one.corrections:
            self.sums.setdefault(each.currency, Sums(each.currency)).add(each)
        left = SHOWN - len(self.first)
        self.first += [replace(each, documents=()) for each in one.corrections[:left]]
        new = one.exceptions[told_before:]
        self.refused.update(each.code for each in new)
        self.first_refused += new[: SHOWN - len(self.first_refused)]
        self.same += [bill.id for bill in one.same.values()]
        self.settled += [one.same[account].id for account in sorted(one.flagged)]


def foresee_many(
    office: Office,
    ids: Collection[str],
    way: Way,
    reason: str,
    *,
    progress: Progress = lambda _done, _of: None,
    at_once: int = STATEMENTS_AT_ONCE,
) -> list[Summary]:
    """What correcting these statements would change, by period; nothing is kept of it.

    Parameters
    ----------
    progress
        what it raises ends the work.
    at_once
        so many accounts are in memory at once.

    Raises
    ------
    NotFound, BillingConflict, InvalidInput
        as `headend.billing.correcting.propose`.
    """
    reason = checked_reason(reason)
    asked = _Asked(office, ids)
    summaries = []
    progress(0, asked.accounts)
    for period, portions in asked.portions(at_once):
        summary = Summary(period)
        for wanted in portions:
            summary.add(propose_portion(office, Portion(period, wanted), way, reason))
            progress(asked.done, asked.accounts)
        summaries.append(summary)
    return summaries


def correct_many(
    office: Office,
    ids: Collection[str],
    way: Way,
    reason: str,
    clerk: str,
    *,
    progress: Progress = lambda _done, _of: None,
    begins: Callable[[str], None] = lambda _cycle: None,
    at_once: int = STATEMENTS_AT_ONCE,
) -> list[Summary]:
    """Make the drafts of these statements, a cycle of corrections for each period; what was made.

    Flags of what comes out the same are settled, by the clerk and for the reason.

    Parameters
    ----------
    begins
        told the id of each cycle of corrections as it is begun.

    Raises
    ------
    NotFound, BillingConflict, InvalidInput
        as `headend.billing.correcting.propose`, and where nothing would change; nothing is made then. Later on where
        somebody corrected one of them meanwhile, or the cycle was approved or withdrawn: what was made before stays.
    """
    reason, clerk = checked_reason(reason), checked_name(clerk)
    asked = _Asked(office, ids)
    summaries = []
    progress(0, asked.accounts)
    for period, portions in asked.portions(at_once):
        summary, cycle, waiting = Summary(period), None, tuple[BillException, ...]()
        for wanted in portions:
            office.database.trim_log()
            one, now = make_portion(office, Portion(period, wanted, cycle, waiting), way, reason, clerk)
            summary.add(one, len(waiting))
            if cycle is None and now is not None:
                begins(now.id)
            cycle, waiting = now, one.exceptions if now is None else ()
            progress(asked.done, asked.accounts)
        if cycle is None:
            summary.cycle = ""
        summaries.append(summary)
    if not any(each.count or each.settled for each in summaries):
        refused = [each for one in summaries for each in one.first_refused]
        raise nothing_to_correct(refused, [which for one in summaries for which in one.same])
    return [each for each in summaries if each.count or each.settled]


class _Asked:
    """Statements by period and account, in portions; how many accounts' periods those are, and are done.

    Raises what `by_period` and `check_free` do.
    """

    def __init__(self, office: Office, ids: Collection[str]) -> None:
        with office.database.read() as tx:
            desk = office.corrections(tx)
            self._wanted = by_period(desk, ids)
            for period, wanted in self._wanted.items():
                check_free(desk, period, wanted)
        self.accounts = sum(len(wanted) for wanted in self._wanted.values())
        self.done = 0

    def portions(self, at_once: int) -> Iterator[tuple[str, Iterable[Mapping[str, Sequence[str]]]]]:
        """By period, and of each its accounts in order."""
        for period in sorted(self._wanted):
            yield period, self._of(self._wanted[period], at_once)

    def _of(self, wanted: Mapping[str, Sequence[str]], at_once: int) -> Iterator[Mapping[str, Sequence[str]]]:
        accounts = iter(sorted(wanted))
        while some := list(islice(accounts, at_once)):
            self.done += len(some)
            yield {account: wanted[account] for account in some}
