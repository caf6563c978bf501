"""A bill cycle: one period's statements on their way from open to closed, and the totals that must tie out.

A cycle only goes forward, and each step is one clerk's decision with a name on it. Rating may be done again as long as
nobody has approved, and is reviewed again then; from approval on the cycle is what was approved.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from headend.billing.columns import each_of, numbers_of, some_of, summed
from headend.billing.groups import MONTHLY
from headend.billing.statement import Segment, Statement, StatementsAlike
from headend.errors import BillingConflict, InvalidInput, checked_name
from headend.reads.days import Period
from headend.tariffs.money import EXACT, rescaled, unit_of_scale

Step = Literal["collect", "begin", "rate", "review", "approve", "issue", "close"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


class CycleState(StrEnum):
    """How far a cycle is."""

    OPEN = "open"
    COLLECTED = "collected"
    RATING = "rating"
    RATED = "rated"
    REVIEWED = "reviewed"
    APPROVED = "approved"
    ISSUED = "issued"
    CLOSED = "closed"


#: Of these cycles nothing changes any more that is billed.
FOR_GOOD = (CycleState.APPROVED, CycleState.ISSUED, CycleState.CLOSED)
#: Statements of these cycles are out.
OUT = (CycleState.ISSUED, CycleState.CLOSED)
#: Until then it is rated again, and accounts are left out or taken in, as often as needed.
BEFORE_APPROVAL = (
    CycleState.OPEN,
    CycleState.COLLECTED,
    CycleState.RATING,
    CycleState.RATED,
    CycleState.REVIEWED,
)

_STEPS: dict[Step, tuple[tuple[CycleState, ...], CycleState]] = {
    "collect": ((CycleState.OPEN, CycleState.COLLECTED), CycleState.COLLECTED),
    # Rating what is open collects it first; approving what is rated reviews it first.
    "begin": (BEFORE_APPROVAL, CycleState.RATING),
    "rate": (BEFORE_APPROVAL, CycleState.RATED),
    "review": ((CycleState.RATED,), CycleState.REVIEWED),
    "approve": ((CycleState.RATED, CycleState.REVIEWED), CycleState.APPROVED),
    "issue": ((CycleState.APPROVED,), CycleState.ISSUED),
    "close": ((CycleState.ISSUED,), CycleState.CLOSED),
}


class ExceptionCode(StrEnum):
    """Why an account got no statement."""

    HELD = "held"
    HELD_BY_CLERK = "held_by_clerk"
    INCOMPLETE_READS = "incomplete_reads"
    NO_METER = "no_meter"
    NO_TARIFF = "no_tariff"
    CANNOT_RATE = "cannot_rate"
    PRICE_MISSING = "price_missing"
    MONTH_BEFORE = "month_before"
    OVERLAPPING_AGREEMENTS = "overlapping_agreements"
    CURRENCIES = "currencies"
    REQUIRED_ITEM = "required_item"


@dataclass(frozen=True, slots=True)
class BillException:
    """One account that is not billed, and why.

    Parameters
    ----------
    held_by
        numbers of the exceptions of reads that somebody has to decide first.
    """

    account: str
    code: ExceptionCode
    detail: str
    held_by: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ControlTotals:
    """What must tie out before anybody approves.

    Parameters
    ----------
    agreements, accounts
        in force in the period; accounts = billed + excepted + excluded + billed_elsewhere.
    excluded
        accounts that a clerk left out, with a reason.
    billed_elsewhere
        accounts that another cycle bills for the same period.
    energy
        billed use by commodity [Wh, dm³ or litre].
    money
        sum of all lines by currency.
    """

    agreements: int = 0
    accounts: int = 0
    billed: int = 0
    excepted: int = 0
    billed_elsewhere: int = 0
    energy: dict[str, int] = field(default_factory=dict)
    money: dict[str, Decimal] = field(default_factory=dict)
    excluded: int = 0


@dataclass(frozen=True, slots=True)
class CycleScope:
    """Whom a cycle bills, of those who have no statement for the period yet.

    Parameters
    ----------
    group
        the billing group.
    accounts
        these of the group alone; empty: all.
    final
        only who has moved out, as soon as their days are over, though the period is not.
    correction
        what is issued is corrected: the accounts have statements already.
    """

    group: str = MONTHLY
    accounts: tuple[str, ...] = ()
    final: bool = False
    correction: bool = False

    def __str__(self) -> str:
        """In words, for messages."""
        who = f"accounts {', '.join(self.accounts)} of group {self.group}" if self.accounts else f"group {self.group}"
        return f"who has moved out of {who}" if self.final else who


@dataclass(frozen=True, slots=True)
class BillCycle:
    """One cycle of one billing period (`YYYY-MM`)."""

    name: str
    period: str
    state: CycleState
    opened_at: datetime
    changed_at: datetime
    changed_by: str
    totals: ControlTotals
    scope: CycleScope = CycleScope()

    @property
    def id(self) -> str:
        """The period and the name."""
        return f"{self.period}/{self.name}"


def open_cycle(name: str, period: str, now: datetime, clerk: str, scope: CycleScope) -> BillCycle:
    """A cycle in which nothing is rated yet; raises `InvalidInput` where it cannot be called that."""
    if Period.month(period, ZoneInfo("UTC")).first.isoformat()[:7] != period:
        raise InvalidInput("period", repr(period), "a month such as 2026-10")
    if not _NAME.fullmatch(name):
        raise InvalidInput("cycle", repr(name), "a name of letters, digits, dots and dashes, up to 40")
    return BillCycle(name, period, CycleState.OPEN, now, now, clerk, ControlTotals(), scope)


@dataclass(frozen=True, slots=True)
class StepTaken:
    """One line of a cycle's history: a step, or what was decided about one of its accounts."""

    step: str
    note: str
    at: datetime
    by: str


def check_step(cycle: BillCycle, step: Step) -> None:
    """Raise `BillingConflict` unless the cycle may take this step now."""
    allowed, _ = _STEPS[step]
    if cycle.state not in allowed:
        wanted = " or ".join(allowed)
        raise BillingConflict(f"cycle {cycle.id} is {cycle.state}: cannot {step} it, only what is {wanted}")


def advance(cycle: BillCycle, step: Step, now: datetime, clerk: str, totals: ControlTotals | None = None) -> BillCycle:
    """The cycle after a step; raises `BillingConflict` where it is not allowed, `InvalidInput` without a clerk."""
    check_step(cycle, step)
    by = checked_name(clerk)
    return replace(cycle, state=_STEPS[step][1], changed_at=now, changed_by=by, totals=totals or cycle.totals)


def control_totals(
    agreements: int,
    accounts: int,
    billed_elsewhere: int,
    bills: Iterable[StatementsAlike],
    exceptions: Iterable[BillException],
    excluded: int = 0,
) -> ControlTotals:
    """Totals of a rated cycle, counted from the documents themselves; raises `BillingConflict` where they do not tie.

    Parameters
    ----------
    agreements, accounts
        counted from the registry, independently of what was rated.
    excluded
        accounts that a clerk left out.
    """
    energy: dict[str, int] = {}
    money: dict[str, Decimal] = {}
    billed = 0
    for alike in bills:
        billed += alike.n
        for commodity, used in billed_energy(alike.form, alike.n).items():
            energy[commodity] = energy.get(commodity, 0) + used
        currency = alike.form.totals.currency
        money[currency] = money.get(currency, Decimal(0)) + sum_of_lines(alike)
    excepted = sum(1 for _ in exceptions)
    totals = ControlTotals(agreements, accounts, billed, excepted, billed_elsewhere, energy, money, excluded)
    tie_out(totals)
    return totals


def billed_energy(statement: Statement, n: int = 1) -> dict[str, int]:
    """What a statement, or `n` of this form together, bill by commodity [Wh, dm³ or litre]."""
    energy: dict[str, int] = {}
    for segment in statement.segments:
        energy[segment.commodity] = energy.get(segment.commodity, 0) + _metered(segment, n)
    return energy


def _metered(segment: Segment, n: int) -> int:
    """What the meters counted: the volume of gas, also where its energy is priced."""
    if segment.gas:
        volumes = [each.volume for its in each_of(segment.gas, n) for each in its]
        return int(sum(volumes, Decimal(0)).scaleb(3))
    usage = numbers_of(segment.usage, n)
    return sum(rescaled(usage.whole, usage.scale, 3).tolist())


def sum_of_lines(bills: StatementsAlike) -> Decimal:
    """What the lines of statements come to; raises `BillingConflict` where the total of one says another."""
    form, n = bills.form, bills.n
    amounts = [line.amount for segment in form.segments for line in segment.lines if not line.included]
    lines, gross = summed(amounts, n), numbers_of(form.totals.gross, n)
    scale = max(lines.scale, gross.scale)
    differ = rescaled(lines.whole, lines.scale, scale) != rescaled(gross.whole, gross.scale, scale)
    for place in np.flatnonzero(differ).tolist():
        (wrong,) = each_of(some_of(form.id, [place]), 1)
        said, found = gross.each[place], lines.each[place]
        raise BillingConflict(f"statement {wrong}: lines sum to {found}, total says {said}")
    return EXACT.multiply(sum(lines.whole.tolist()), unit_of_scale(lines.scale))


def tie_out(totals: ControlTotals) -> None:
    """Raise `BillingConflict` unless every account is billed here or elsewhere, excepted, or excluded by name."""
    known = totals.billed + totals.excepted + totals.excluded + totals.billed_elsewhere
    if totals.accounts != known:
        raise BillingConflict(
            f"{totals.accounts} accounts, but {totals.billed} billed + {totals.excepted} excepted"
            f" + {totals.excluded} excluded + {totals.billed_elsewhere} billed elsewhere"
        )
