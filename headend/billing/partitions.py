"""A bill run in parts: a cycle's accounts are cut into ranges, and each is worked through by itself.

A range is small enough to be held in memory whole, whatever the cycle's size, and large enough for array operations to
pay. Who works through ranges, in this process or in many, is an `Executor`'s business: work may be begun twice, where a
worker died or two clerks meet, so it is the ledger that says whether a range is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeVar

from headend.billing.cycle import BillCycle, ControlTotals
from headend.billing.ports import AccountRange, Office

#: So many accounts are rated and committed at once.
ACCOUNTS_A_RANGE = 2_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Task:
    """A range of accounts of one run of a cycle."""

    cycle: BillCycle
    run: int
    accounts: AccountRange


#: What is done with a range. It has to be found by its name in another process.
Work = Callable[[Office, Task], T]


class Executor(Protocol):
    """Has ranges worked through, each with an open office; every one at least once, also where a worker dies."""

    def each(self, work: Work[T], tasks: Sequence[Task]) -> Iterator[T]:
        """What comes of each task, in the order in which they are done; raises what a task raises."""


@dataclass(frozen=True, slots=True)
class InTurn:
    """One range after the other, in this process."""

    office: Office

    def each(self, work: Work[T], tasks: Sequence[Task]) -> Iterator[T]:
        """What comes of each task, in order."""
        return (work(self.office, task) for task in tasks)


def cut(accounts: Iterable[str], size: int = ACCOUNTS_A_RANGE) -> Iterator[AccountRange]:
    """Ranges of so many accounts; of none, one empty range.

    Parameters
    ----------
    accounts
        ids, in the order of the database.
    """
    first = last = ""
    count = 0
    for account in accounts:
        if count == size:
            yield AccountRange(first, last, count)
            count = 0
        if not count:
            first = account
        last, count = account, count + 1
    yield AccountRange(first, last, count)


def together(parts: Iterable[ControlTotals]) -> ControlTotals:
    """Totals of ranges as those of the cycle: counts added up, and sums by currency and commodity."""
    sums: dict[str, Any] = {}
    for part in parts:
        for each in fields(part):
            sums[each.name] = _added(sums.get(each.name), getattr(part, each.name))
    return ControlTotals(**sums)


def _added(one: Any, other: Any) -> Any:
    if not isinstance(other, dict):
        return other if one is None else one + other
    added = dict(one or {})
    for key, value in other.items():
        added[key] = added[key] + value if key in added else value
    return added
