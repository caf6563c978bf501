"""What is charged, and who is reminded, when money does not come in time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from headend.billing.books.entries import Draft, major, minor
from headend.billing.books.position import Item, Position
from headend.billing.books.postings import late_fee_draft
from headend.tariffs.money import rounded

#: Amounts by currency; a currency that is not there has none.
ByCurrency = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class LateFees:
    """What a month of being late costs.

    Parameters
    ----------
    percent_per_month
        of what is open at the end of the month.
    fixed, minimum
        added to that; and the least that is charged.
    grace_days
        nothing is charged on what has been due for no more than these days by then.
    """

    percent_per_month: Decimal
    fixed: ByCurrency
    minimum: ByCurrency
    grace_days: int


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of dunning, reached when a statement has been overdue for so many days."""

    name: str
    days: int
    fee: ByCurrency


@dataclass(frozen=True, slots=True)
class Reminding:
    """The rules of a site; stages by rising days."""

    late_fees: LateFees
    stages: tuple[Stage, ...]


def late_fee(rule: LateFees, still_open: int, currency: str) -> int:
    """What a month costs on an item of which so much is open [minor units], rounded once, half up."""
    share = rounded(major(still_open, currency) * rule.percent_per_month / 100, currency)
    fee = share + rule.fixed.get(currency, Decimal(0))
    return minor(max(fee, rule.minimum.get(currency, Decimal(0))), currency, "late fee")


def late_fees(rule: LateFees, standing: Position, period: str) -> list[Draft]:
    """The fees of month `period` for an account as it stands on the month's last day: on statements, never on fees."""
    return [
        late_fee_draft(item.entry, period, fee, standing.day)
        for item in standing.open_items
        if item.entry.kind == "statement" and item.overdue_days(standing.day) > rule.grace_days
        if (fee := late_fee(rule, item.open, standing.currency))
    ]


@dataclass(frozen=True, slots=True)
class Reminder:
    """An overdue statement, and the highest stage it has reached; None: none yet, as of a budget plan's settlement."""

    item: Item
    currency: str
    days: int
    stage: Stage | None


def reminders(stages: Sequence[Stage], standing: Position) -> list[Reminder]:
    """The overdue statements of an account, and settlements of its budget plan, the oldest first."""
    return [
        Reminder(item, standing.currency, days, stage_after(stages, days) if item.entry.kind == "statement" else None)
        for item in standing.open_items
        if item.entry.kind in ("statement", "settlement") and (days := item.overdue_days(standing.day))
    ]


def stage_after(stages: Iterable[Stage], days: int) -> Stage | None:
    """The highest stage that is reached after so many days; None: none."""
    return max((stage for stage in stages if stage.days <= days), key=lambda stage: stage.days, default=None)


def stage_fee(stage: Stage, currency: str) -> int:
    """What a stage costs [minor units]."""
    return minor(stage.fee.get(currency, Decimal(0)), currency, f"stage {stage.name}")


def end_of(period: str) -> date:
    """The last day of a month `YYYY-MM`."""
    year, month = int(period[:4]), int(period[5:])
    return date.fromordinal(date(year + month // 12, month % 12 + 1, 1).toordinal() - 1)
