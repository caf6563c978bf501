"""What one month's bill leaves to the next: energy and money in an agreement's bank.

The statement is where it is kept. A month takes over what the statement of the month before left, and a part of a month
what the part before it left; an agreement begins with an empty bank, and whatever is in it when it ends is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from headend.billing.agreements import in_force
from headend.billing.metered import units
from headend.billing.parts import Part
from headend.billing.ports import Records
from headend.billing.statement import InBank, PeriodUse, Segment, Statement, parse_statement
from headend.errors import CannotRate
from headend.reads.days import next_period, previous_period
from headend.tariffs import Carried, Tariff
from headend.tariffs.format.components import Bank
from headend.tariffs.format.schema import BASE_UNITS
from headend.tariffs.money import EXACT, minor_digits
from headend.tariffs.rating.use import Credit


@dataclass(frozen=True, slots=True)
class Balance:
    """What is in an agreement's bank when the day `since` begins; None: nothing."""

    since: date
    bank: InBank | None


#: By agreement.
Balances = dict[str, Balance]


def has_bank(tariff: Tariff) -> bool:
    """Whether its bills leave something to the next."""
    return tariff.netting == "month" or any(isinstance(component, Bank) for component in tariff.components)


@dataclass(frozen=True, slots=True)
class Opening:
    """What is known of the banks of a month's agreements when it begins.

    Parameters
    ----------
    balances
        of agreements that have a bank.
    to_bill_first
        the month `YYYY-MM` that has to be billed first, by agreement, where one has.
    drafts
        accounts that take over from a statement that is not issued yet.
    """

    balances: Balances
    to_bill_first: dict[str, str]
    drafts: set[str]


def opening_of(records: Records, parts: Sequence[Part], period: str, *, provisional: bool) -> Opening:
    """Banks when month `period` begins.

    Parameters
    ----------
    provisional
        take what the last statement left, also where that is not the one of the month before.
    """
    opening = Opening({}, {}, set())
    with_bank = {part.agreement.id for part in parts if has_bank(part.tariff)}
    begins: dict[str, Part] = {}
    for part in parts:
        if part.agreement.id in with_bank:
            begins.setdefault(part.agreement.id, part)
    if not begins:
        return opening
    before = previous_period(period)
    accounts = {part.agreement.account.id for part in begins.values()}
    last, refused = records.last_statements(accounts, period), records.refused(accounts, before)
    for agreement, part in begins.items():
        account = part.agreement.account.id
        statement = parse_statement(last[account]) if account in last else None
        segment = None if statement is None else _last_segment(statement, part)
        if statement is not None and segment is not None:
            if not provisional and statement.period != before:
                opening.to_bill_first[agreement] = next_period(statement.period)
                continue
            if statement.issued_at is None:
                opening.drafts.add(account)
        elif not provisional and account in refused and in_force(part.agreement, before):
            opening.to_bill_first[agreement] = before
            continue
        opening.balances[agreement] = Balance(part.first, None if segment is None else segment.carried)
    return opening


def _last_segment(statement: Statement, part: Part) -> Segment | None:
    """The last days that a statement billed of the part's agreement on its tariff."""
    its = [
        segment
        for segment in statement.segments
        if segment.agreement == part.agreement.id and segment.tariff.id == part.tariff.id
    ]
    return max(its, key=lambda segment: segment.last, default=None)


def taken_over(tariff: Tariff, banks: Sequence[InBank | None]) -> Carried:
    """What bills take over (rows in order).

    Raises
    ------
    CannotRate
        there is energy of a period that the tariff version does not have.
    """
    names = [period.name for period in tariff.periods]
    energy = np.zeros((len(banks), len(names)), dtype=np.int64)
    amount = np.zeros(len(banks), dtype=np.int64)
    digits = minor_digits(tariff.currency)
    for row, bank in enumerate(banks):
        if bank is None:
            continue
        for use in bank.energy:
            if use.name not in names:
                raise CannotRate(
                    f"{use.quantity} {tariff.unit} are in the bank of period {use.name!r}, which"
                    f" {tariff.id} from {tariff.valid_from} on does not have"
                )
            energy[row, names.index(use.name)] = int(use.quantity * BASE_UNITS)
        amount[row] = int((bank.credit or Decimal(0)).scaleb(digits, EXACT))
    credit = Credit(amount, amount, digits) if amount.any() else None
    return Carried(energy=energy if energy.any() else None, credit=credit)


def left(tariff: Tariff, carried: Carried, row: int) -> InBank | None:
    """What one bill leaves."""
    energy = () if carried.energy is None else _by_period(tariff, carried.energy[row])
    credit = None
    if carried.credit is not None and int(carried.credit.amount[row]):
        credit = Decimal(int(carried.credit.amount[row])).scaleb(-minor_digits(tariff.currency))
    return InBank(energy, credit) if energy or credit else None


def _by_period(tariff: Tariff, energy: NDArray[np.int64]) -> tuple[PeriodUse, ...]:
    return tuple(
        PeriodUse(period.name, period.label, units(wh))
        for period, wh in zip(tariff.periods, energy.tolist(), strict=True)
        if wh
    )
