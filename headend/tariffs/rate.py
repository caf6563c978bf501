"""What it costs: lines and bills for a batch of customers on one tariff.

Every component of a tariff becomes columns, one for each line of the bill, over all customers: quantity in base units,
exact amount and amount rounded to the minor unit, all whole numbers. Nothing is decided per customer, so a bill is
only read off the columns at the end, as Decimals.

Two amounts stand in each line. `amount` is rounded once and is what is owed; tax is charged on rounded amounts, as
the bill shows them. `exact` is never rounded on the way; tax on it is charged on exact amounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from headend.errors import CannotRate
from headend.tariffs.bill import Charge, Column, RatedBatch
from headend.tariffs.calendar import BillingWindow, compile_calendar
from headend.tariffs.energy import LARGEST_READ, energy_by_tier
from headend.tariffs.money import (
    EXACT,
    Integers,
    half_up,
    minor_digits,
    rescaled,
    scaled,
    times,
)
from headend.tariffs.schema import (
    BASE_UNITS,
    BaselineCredit,
    Energy,
    Standing,
    Tariff,
    Tax,
    line_kind,
)

Int64s = NDArray[np.int64]

# Where a month is prorated by days, the exact amount may have no end: it is kept to this many decimals.
_PRORATED_SCALE = 12
_BASE_SCALE = 3


def rate_batch(
    tariff: Tariff,
    window: BillingWindow,
    interval_s: int,
    imported: Int64s,
    exported: Int64s | None = None,
) -> RatedBatch:
    """Rate many customers on one tariff version over the same window.

    Batches of some hundred customers are fastest: their reads stay in the processor's cache.

    Parameters
    ----------
    interval_s
        length of an interval [s].
    imported
        energy, gas or water taken per interval [base units] (n_customers, n_intervals); the first interval begins
        with the window.
    exported
        energy fed in per interval [Wh], same shape; needed if the tariff credits it.

    Raises
    ------
    CannotRate
        the reads do not cover the window, are negative, absurdly large or no whole numbers, or the tariff needs
        exported energy.
    """
    return rate_segments([(tariff, window)], interval_s, imported, exported)


def rate_segments(
    segments: Sequence[tuple[Tariff, BillingWindow]],
    interval_s: int,
    imported: Int64s,
    exported: Int64s | None = None,
) -> RatedBatch:
    """Rate many customers over windows that follow each other, each by its own tariff version.

    Limits, allowances, standing charges and taxes of each segment are its own: the windows say how many days and
    months they are worth. The reads run from the first window's begin to the last one's end. See `rate_batch`.
    """
    currencies = {tariff.currency for tariff, _ in segments}
    if len(currencies) != 1:
        raise CannotRate(f"one bill cannot be in {len(currencies)} currencies: {', '.join(sorted(currencies))}")
    lengths = [window.intervals(interval_s) for _, window in segments]
    for (_, earlier), (_, later) in pairwise(segments):
        if earlier.end != later.first or earlier.zone != later.zone:
            raise CannotRate(f"nothing says how to rate from {earlier.end} up to {later.first}")
    _check_reads("import", imported, (len(imported), sum(lengths)))
    if exported is not None:
        _check_reads("export", exported, imported.shape)
    columns: list[Column] = []
    begin = 0
    for (tariff, window), length in zip(segments, lengths, strict=True):
        codes = compile_calendar(tariff, window.zone, window.start_utc, length, interval_s)
        part = slice(begin, begin + length)
        columns += columns_of(
            tariff,
            codes,
            window.days,
            window.months_worth,
            imported[:, part],
            None if exported is None else exported[:, part],
        )
        begin += length
    return RatedBatch(currencies.pop(), len(imported), tuple(columns))


def _check_reads(name: str, reads: Int64s, shape: tuple[int, ...]) -> None:
    if reads.shape != shape:
        raise CannotRate(
            f"{name} reads have {reads.shape[-1]} intervals for {len(reads)} customers, "
            f"the window has {shape[-1]} for {shape[0]}"
        )
    if not np.issubdtype(reads.dtype, np.integer):
        raise CannotRate(f"{name} reads are {reads.dtype}, not whole numbers")
    if reads.size and not 0 <= int(reads.min()) <= int(reads.max()) <= LARGEST_READ:
        row, interval = (int(at[0]) for at in np.nonzero((reads < 0) | (reads > LARGEST_READ)))
        raise CannotRate(f"{name} read {interval} of customer {row} is {reads[row, interval]}, which no meter counts")


def columns_of(
    tariff: Tariff,
    codes: NDArray[np.uint8],
    days: int,
    months: Fraction,
    imported: Int64s,
    exported: Int64s | None,
) -> list[Column]:
    """The columns of a bill, in the order of the tariff's components.

    Parameters
    ----------
    codes
        index of the TOU period of each interval (n_intervals,).
    days, months
        what the stretch is worth in allowances and standing charges.
    imported, exported
        as in `rate_batch`.
    """
    columns: list[Column] = []
    for component in tariff.components:
        match component:
            case Energy():
                reads = imported if component.measures == "import" else exported
                if reads is None:
                    raise CannotRate(f"{tariff.id} credits exported energy, but there are no export reads")
                columns += _energy(tariff, component, codes, days, months, reads)
            case BaselineCredit():
                columns.append(_baseline_credit(tariff, component, days, imported))
            case Standing():
                columns.append(_standing(tariff, component, days, months))
            case Tax():
                columns.append(_tax(tariff, component, columns))
    return columns


def tier_limit(up_to: Decimal, tiers: Decimal | Fraction | int) -> int:
    """A limit × days or months, in base units: rounded half up to a whole one, once, after everything else."""
    return half_up(Fraction(up_to) * Fraction(tiers) * BASE_UNITS)


def _energy(
    tariff: Tariff, component: Energy, codes: NDArray[np.uint8], days: int, months: Fraction, reads: Int64s
) -> list[Column]:
    worth = Fraction(days) if component.tiers_per == "day" else months
    limits = [tier_limit(tier.up_to, worth) for tier in component.tiers if tier.up_to is not None]
    energy = energy_by_tier(reads, codes, len(tariff.periods), limits)
    sign = 1 if component.measures == "import" else -1
    columns = []
    for index, (tier, by_period) in enumerate(zip(component.tiers, energy, strict=True)):
        number = index + 1 if len(component.tiers) > 1 else None
        step = "" if number is None else f", tier {number}"
        if isinstance(tier.price, Decimal):
            charge = _charge(tariff, component, component.label + step, sign * tier.price, tier=number)
            columns.append(_priced(charge, np.add.reduce(by_period), tariff.currency))
            continue
        for period, quantity in zip(tariff.periods, by_period, strict=True):
            label = f"{component.label}, {period.label}{step}"
            price = sign * tier.price[period.name]
            charge = _charge(tariff, component, label, price, period=period.name, tier=number)
            columns.append(_priced(charge, quantity, tariff.currency))
    return columns


def _charge(
    tariff: Tariff,
    component: Energy | BaselineCredit,
    label: str,
    price: Decimal,
    period: str | None = None,
    tier: int | None = None,
) -> Charge:
    kind = line_kind(component)
    return Charge(kind, label, tariff.unit, price, tariff.id, tariff.version, period, tier)


def _priced(charge: Charge, quantity: Int64s, currency: str) -> Column:
    price, price_scale = scaled(charge.price)
    exact, scale = times(quantity, price), price_scale + _BASE_SCALE
    amount = rescaled(exact, scale, minor_digits(currency))
    return Column(charge, quantity, _BASE_SCALE, exact, scale, amount)


def _baseline_credit(tariff: Tariff, component: BaselineCredit, days: int, imported: Int64s) -> Column:
    allowance = tier_limit(component.allowance_per_day, days)
    charge = _charge(tariff, component, component.label, -component.credit)
    return _priced(charge, np.minimum(imported.sum(axis=1, dtype=np.int64), allowance), tariff.currency)


def _standing(tariff: Tariff, component: Standing, days: int, months: Fraction) -> Column:
    quantity = Fraction(days) if component.per == "day" else months
    exact = quantity * Fraction(component.price)
    scale, quantity_scale = _scale_of(exact), _scale_of(quantity)
    return Column(
        Charge("standing", component.label, component.per, component.price, tariff.id, tariff.version),
        _alone(quantity, quantity_scale),
        quantity_scale,
        _alone(exact, scale),
        scale,
        _alone(exact, minor_digits(tariff.currency)),
    )


def _scale_of(number: Fraction) -> int:
    scale = 0
    while scale < _PRORATED_SCALE and (number * 10**scale).denominator != 1:
        scale += 1
    return scale


def _alone(number: Fraction, scale: int) -> Integers:
    return np.array([half_up(number * 10**scale)], dtype=object)


def _tax(tariff: Tariff, component: Tax, above: Sequence[Column]) -> Column:
    taxed = [column for column in above if component.on is None or column.charge.kind in component.on]
    rate = component.percent.scaleb(-2, EXACT)
    percent, percent_scale = scaled(rate)
    digits = minor_digits(tariff.currency)
    scale = max(column.scale for column in taxed)
    base = _sum([column.amount for column in taxed])
    exact_base = _sum([rescaled(column.exact, column.scale, scale) for column in taxed])
    charge = Charge("tax", component.label, tariff.currency, rate, tariff.id, tariff.version)
    return Column(
        charge,
        base,
        digits,
        times(exact_base, percent),
        scale + percent_scale,
        rescaled(times(base, percent), digits + percent_scale, digits),
    )


def _sum(columns: Sequence[Integers]) -> Integers:
    total = columns[0]
    for column in columns[1:]:
        total = total + column
    return total
