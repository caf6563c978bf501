"""What a statement tells of use: by local day, TOU period, tier and line. Sums over a whole group's rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from headend.billing.columns import column, numbers, without_zeros
from headend.billing.metered import UNIT_SCALE, Int64s, Metered
from headend.billing.parts import Part
from headend.billing.statement import DayUse, PeriodUse, StatementLine, TierUse
from headend.reads import Quality
from headend.reads.days import midnight, seconds
from headend.reads.quality import IS_ESTIMATED
from headend.tariffs import BillingWindow, Charge, Line, Market, RatedBatch, RatedBill, Tariff, Use, codes_of
from headend.tariffs.format.components import Energy
from headend.tariffs.money import added_up, minor_digits, rescaled
from headend.tariffs.rating.bill import Column
from headend.tariffs.rating.tiers import by_period


def rated_use(interval_s: int, used: Metered, fed_in: Metered | None, reactive: Metered | None) -> Use:
    """What is rated; which of what was used are estimates is said only where there are any."""
    estimated = IS_ESTIMATED[used.quality]
    return Use(
        interval_s,
        used.values,
        None if fed_in is None else fed_in.values,
        None if reactive is None else reactive.values,
        estimated if estimated.any() else None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class UseTables:
    """Sums of `m` usage points over one window.

    Parameters
    ----------
    total, present, estimated
        use [base units], intervals with a value, and those of them that are estimates (m,).
    daily, is_estimated
        use by local day, and whether an interval of it is an estimate (m, days).
    periods
        use by TOU period [base units] (periods, m).
    """

    total: Int64s
    present: Int64s
    estimated: Int64s
    days: tuple[date, ...]
    daily: Int64s
    is_estimated: NDArray[np.bool_]
    periods: Int64s

    @classmethod
    def of(
        cls,
        tariff: Tariff,
        window: BillingWindow,
        interval_s: int,
        market: Market,
        used: Metered,
        others: Sequence[Metered],
    ) -> UseTables:
        """Sum up what was used; the other reads billed count among the reads, and their estimates as estimates."""
        present = [each.quality != Quality.MISSING for each in (used, *others)]
        estimated = [IS_ESTIMATED[each.quality] for each in (used, *others)]
        begins = day_begins(window.first, window.end, window.zone, interval_s)
        codes = codes_of(tariff, window, interval_s, market=market)
        return cls(
            total=used.values.sum(axis=1),
            present=np.sum([np.count_nonzero(each, axis=1) for each in present], axis=0, dtype=np.int64),
            estimated=np.sum([np.count_nonzero(each, axis=1) for each in estimated], axis=0, dtype=np.int64),
            days=tuple(window.first + timedelta(days=day) for day in range(window.days)),
            daily=np.add.reduceat(used.values, begins, axis=1),
            is_estimated=np.logical_or.reduceat(estimated[0], begins, axis=1),
            periods=by_period(used.values, codes, len(tariff.periods)),
        )

    def by_day(self, rows: Sequence[int]) -> tuple[DayUse, ...]:
        """Use of some usage points by local day."""
        daily, estimated = self.daily[rows].T, self.is_estimated[rows].T
        return tuple(
            [
                DayUse(day, numbers(use, UNIT_SCALE), column(marks.tolist()) if marks.any() else False)
                for day, use, marks in zip(self.days, daily, estimated, strict=True)
            ]
        )

    def by_period(self, tariff: Tariff, rows: Sequence[int]) -> tuple[PeriodUse, ...]:
        """Use of some usage points by TOU period; nothing where the tariff has but one."""
        if len(tariff.periods) == 1:
            return ()
        return tuple(
            PeriodUse(period.name, period.label, numbers(use[rows], UNIT_SCALE))
            for period, use in zip(tariff.periods, self.periods, strict=True)
        )


@lru_cache(maxsize=256)
def day_begins(first: date, end: date, zone: ZoneInfo, interval_s: int) -> NDArray[np.int64]:
    """Number of the interval with which each local day begins (days,), counted from the first day's first.

    A day that begins within an interval takes the interval that holds its midnight.
    """
    start = seconds(midnight(first, zone))
    days = (first + timedelta(days=day) for day in range((end - first).days))
    return np.array([(seconds(midnight(day, zone)) - start) // interval_s for day in days], dtype=np.int64)


def tiered_energy(part: Part) -> Energy | None:
    """The tariff's first tiered price for use, whose tiers a statement shows; None where there is none."""
    for component in part.components.values():
        if not isinstance(component, Energy) or component.measures == "export" or component.credit:
            continue
        if len(component.tiers) > 1 and component.method != "block" and component.factor == 1:
            return component
    return None


def use_by_tier(component: Energy | None, bill: RatedBill) -> tuple[TierUse, ...]:
    """Use by tier, as a component counted it on a bill; nothing without one."""
    if component is None:
        return ()
    use = [Decimal(0)] * len(component.tiers)
    for line in bill.lines:
        # Another price without a name may have the same label, and more tiers.
        if line.tier is not None and line.tier <= len(use) and _is_of(line.charge, component):
            use[line.tier - 1] += line.quantity
    return tuple(map(TierUse, range(1, len(use) + 1), use))


def uses_by_tier(component: Energy | None, lines: Sequence[Column], rows: Sequence[int]) -> tuple[TierUse, ...]:
    """The same of some bills at once, that have these lines."""
    if component is None:
        return ()
    found = []
    for tier in range(1, len(component.tiers) + 1):
        its = [line for line in lines if line.charge.tier == tier and _is_of(line.charge, component)]
        scale = max((line.quantity_scale for line in its), default=0)
        use = added_up([rescaled(line.some(rows).quantity, line.quantity_scale, scale) for line in its])
        found.append(TierUse(tier, numbers(use, scale) if its else Decimal(0)))
    return tuple(found)


def _is_of(charge: Charge, component: Energy) -> bool:
    # A name is its component's alone; where there is none, the label begins all of its lines.
    if component.name is not None:
        return charge.component == component.name
    return charge.kind == "energy" and charge.component is None and charge.label.startswith(f"{component.label}, ")


def statement_line(line: Line) -> StatementLine:
    """A rated line as it stands on the statement."""
    estimated = without_zeros(line.estimated) if line.estimated else None
    return _line(line.charge, without_zeros(line.quantity), line.price, line.amount, estimated)


def statement_lines(batch: RatedBatch, lines: Sequence[Column], rows: Sequence[int]) -> tuple[StatementLine, ...]:
    """Lines of some bills of a batch as they stand on the statements, where all of these bills have them.

    Either none or all of them rest on estimates.
    """
    digits = minor_digits(batch.currency)
    found = []
    for line in (each.some(rows) for each in lines):
        charge, estimated = line.charge, None
        if line.estimated is not None and line.estimated.any():
            estimated = numbers(line.estimated, line.quantity_scale, is_plain=True)
        quantity = numbers(line.quantity, line.quantity_scale, is_plain=True)
        price = charge.price
        if price is None:
            price = column([one.price for one in line.lines(len(rows), digits) if one is not None])
        found.append(_line(charge, quantity, price, numbers(line.amount, digits), estimated))
    return tuple(found)


def _line(
    charge: Charge, quantity: Decimal, price: Decimal, amount: Decimal, estimated: Decimal | None
) -> StatementLine:
    return StatementLine(
        charge.kind,
        charge.label,
        quantity,
        charge.unit,
        price,
        amount,
        charge.period,
        charge.tier,
        estimated,
        charge.included,
        charge.price is None,
    )
