"""What a statement tells of use: by local day, TOU period and tier. Sums over a whole group's rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import repeat
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from headend.billing.columns import made_of
from headend.billing.metered import Int64s, Metered, units
from headend.billing.parts import Part
from headend.billing.statement import DayUse, PeriodUse, StatementLine, TierUse
from headend.reads import Quality
from headend.reads.days import midnight, seconds
from headend.reads.quality import IS_ESTIMATED
from headend.tariffs import BillingWindow, Charge, Line, Market, RatedBill, Tariff, Use, codes_of
from headend.tariffs.format.components import Energy
from headend.tariffs.money import plain


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
    reached
        number of intervals up to and including the last with a value (m,).
    daily, daily_estimated
        use by local day, and how many intervals of that use are estimates (m, days).
    periods
        use by TOU period [base units] (periods, m).
    """

    total: Int64s
    present: Int64s
    estimated: Int64s
    reached: Int64s
    days: tuple[date, ...]
    daily: Int64s
    daily_estimated: Int64s
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
        n = used.values.shape[1]
        billed = [used.quality, *(other.quality for other in others)]
        present = used.quality != Quality.MISSING
        estimated = np.sum([IS_ESTIMATED[quality] for quality in billed], axis=0, dtype=np.int64)
        begins = day_begins(window.first, window.end, window.zone, interval_s)
        codes = codes_of(tariff, window, interval_s, market=market)
        return cls(
            total=used.values.sum(axis=1),
            present=np.sum([(quality != Quality.MISSING).sum(axis=1) for quality in billed], axis=0, dtype=np.int64),
            estimated=estimated.sum(axis=1),
            reached=np.where(present.any(axis=1), n - np.argmax(present[:, ::-1], axis=1), 0),
            days=tuple(window.first + timedelta(days=day) for day in range(window.days)),
            daily=np.add.reduceat(used.values, begins, axis=1),
            daily_estimated=np.add.reduceat(IS_ESTIMATED[used.quality].astype(np.int64), begins, axis=1),
            periods=np.stack([used.values[:, codes == i].sum(axis=1) for i in range(len(tariff.periods))]),
        )

    def by_day(self) -> list[tuple[DayUse, ...]]:
        """Each usage point's use by local day."""
        m, n = self.daily.shape
        quantities = map(_usual_units, self.daily.ravel().tolist())
        made = made_of(DayUse, m * n, self.days * m, quantities, (self.daily_estimated > 0).ravel().tolist())
        return [tuple(made[first : first + n]) for first in range(0, m * n, n)]

    def by_period(self, tariff: Tariff, row: int) -> tuple[PeriodUse, ...]:
        """One usage point's use by TOU period; nothing where the tariff has but one."""
        if len(tariff.periods) == 1:
            return ()
        return tuple(
            PeriodUse(period.name, period.label, _usual_units(value))
            for period, value in zip(tariff.periods, self.periods[:, row].tolist(), strict=True)
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
    """Use by tier, as a component counted it; nothing without one."""
    return uses_by_tier(component, [bill])[0]


def uses_by_tier(component: Energy | None, bills: Sequence[RatedBill]) -> list[tuple[TierUse, ...]]:
    """The same of many bills by one tariff version."""
    if component is None:
        return [()] * len(bills)
    # Bills by one version have its charges in common.
    charges = {id(line.charge): line.charge for bill in bills for line in bill.lines}
    tier_of = {
        number: charge.tier - 1
        for number, charge in charges.items()
        if charge.tier is not None and _is_of(charge, component)
    }
    found = []
    for bill in bills:
        use = [_NOTHING] * len(component.tiers)
        for line in bill.lines:
            tier = tier_of.get(id(line.charge))
            if tier is not None:
                use[tier] += line.quantity
        found.append(tuple(map(TierUse, range(1, len(use) + 1), use)))
    return found


_NOTHING = Decimal(0)


def _is_of(charge: Charge, component: Energy) -> bool:
    # A name is its component's alone; where there is none, the label begins all of its lines.
    if component.name is not None:
        return charge.component == component.name
    return charge.kind == "energy" and charge.component is None and charge.label.startswith(f"{component.label}, ")


def statement_line(line: Line) -> StatementLine:
    """A rated line as it stands on the statement."""
    return statement_lines([line])[0]


def statement_lines(lines: Sequence[Line]) -> list[StatementLine]:
    """Rated lines as they stand on the statement."""
    charges = [line.charge for line in lines]
    return made_of(
        StatementLine,
        len(lines),
        [charge.kind for charge in charges],
        [charge.label for charge in charges],
        [_plain(line.quantity) for line in lines],
        [charge.unit for charge in charges],
        [line.price if line.charge.price is None else line.charge.price for line in lines],
        [line.amount for line in lines],
        [charge.period for charge in charges],
        [charge.tier for charge in charges],
        [_plain(line.estimated) if line.estimated else None for line in lines],
        [charge.included for charge in charges],
        [charge.price is None for charge in charges],
        repeat(None),
    )


def _plain(number: Decimal) -> Decimal:
    """The same without exponent or trailing zeros; almost all numbers have none."""
    text = str(number)
    return Decimal(plain(number)) if text[-1] == "0" or "E" in text else number


@lru_cache(maxsize=65_536)
def _usual_units(base_units: int) -> Decimal:
    """`units` of what people use in a day or a month: many use as much as others."""
    return units(base_units)
