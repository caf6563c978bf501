"""The reference rater: one customer, hour by hour, in Fraction and Decimal. Slow and obvious on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import holidays

from headend.tariffs import BillingWindow, Tariff
from headend.tariffs.components import BaselineCredit, Energy, Standing, Tax
from headend.tariffs.times import Period

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DIGITS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}


@dataclass(frozen=True)
class PlainLine:
    kind: str
    period: str | None
    tier: int | None
    price: Decimal
    quantity: Fraction
    exact: Fraction
    amount: Decimal


def rate_plainly(
    tariff: Tariff, window: BillingWindow, interval_s: int, imported: list[int], exported: list[int]
) -> list[PlainLine]:
    periods = periods_of(tariff, window, interval_s, len(imported))
    lines: list[PlainLine] = []
    for component in tariff.components:
        if isinstance(component, Energy):
            reads, sign = (imported, 1) if component.measures == "import" else (exported, -1)
            lines += energy_lines(tariff, component, window, list(zip(periods, reads, strict=True)), sign)
        elif isinstance(component, BaselineCredit):
            allowance = whole(Fraction(component.allowance_per_day) * window.days * 1000)
            units = Fraction(min(sum(imported), allowance), 1000)
            lines.append(line(tariff, "baseline_credit", -component.credit, units))
        elif isinstance(component, Standing):
            quantity = Fraction(window.days) if component.per == "day" else window.months_worth
            exact = quantity * Fraction(component.price)
            lines.append(
                PlainLine(
                    "standing",
                    None,
                    None,
                    component.price,
                    twelve_decimals(quantity),
                    twelve_decimals(exact),
                    cents(tariff, exact),
                )
            )
        elif isinstance(component, Tax):
            taxed = [each for each in lines if component.on is None or each.kind in component.on]
            rate = component.percent / 100
            base = sum((Fraction(each.amount) for each in taxed), Fraction(0))
            exact = sum((each.exact for each in taxed), Fraction(0)) * Fraction(rate)
            lines.append(PlainLine("tax", None, None, rate, base, exact, cents(tariff, base * Fraction(rate))))
    return [each for each in lines if each.quantity]


def energy_lines(
    tariff: Tariff,
    component: Energy,
    window: BillingWindow,
    reads: list[tuple[Period, int]],
    sign: int,
) -> list[PlainLine]:
    worth = Fraction(window.days) if component.tiers_per == "day" else window.months_worth
    limits = [None if tier.up_to is None else whole(Fraction(tier.up_to) * worth * 1000) for tier in component.tiers]
    used = 0
    taken: dict[tuple[int, str], int] = {}
    for period, wh in reads:
        left = wh
        for number, limit in enumerate(limits):
            fits = left if limit is None else max(0, min(left, limit - used))
            taken[number, period.name] = taken.get((number, period.name), 0) + fits
            used += fits
            left -= fits
    lines = []
    for number, tier in enumerate(component.tiers):
        shown = number + 1 if len(component.tiers) > 1 else None
        kind = "energy" if sign == 1 else "export"
        if isinstance(tier.price, Decimal):
            wh = sum(amount for (at, _), amount in taken.items() if at == number)
            lines.append(line(tariff, kind, sign * tier.price, Fraction(wh, 1000), tier=shown))
        else:
            for period in tariff.periods:
                wh = taken.get((number, period.name), 0)
                price = sign * tier.price[period.name]
                lines.append(line(tariff, kind, price, Fraction(wh, 1000), period.name, shown))
    return lines


def line(
    tariff: Tariff,
    kind: str,
    price: Decimal,
    quantity: Fraction,
    period: str | None = None,
    tier: int | None = None,
) -> PlainLine:
    exact = quantity * Fraction(price)
    return PlainLine(kind, period, tier, price, quantity, exact, cents(tariff, exact))


def cents(tariff: Tariff, amount: Fraction) -> Decimal:
    digits = DIGITS[tariff.currency]
    return Decimal(whole(amount * 10**digits)) / 10**digits


def twelve_decimals(number: Fraction) -> Fraction:
    """A month prorated by days may have no end in decimals."""
    return Fraction(whole(number * 10**12), 10**12)


def whole(number: Fraction) -> int:
    sign = -1 if number < 0 else 1
    quotient, rest = divmod(abs(number.numerator), number.denominator)
    return sign * (quotient + (1 if 2 * rest >= number.denominator else 0))


def periods_of(tariff: Tariff, window: BillingWindow, interval_s: int, n: int) -> list[Period]:
    zone = window.zone if tariff.clock == "local" else ZoneInfo(tariff.clock)
    free: dict[date, str] = {}
    if tariff.holidays is not None:
        years = range(window.first.year - 1, window.end.year + 2)
        free = holidays.country_holidays(tariff.holidays.country, years=years, observed=tariff.holidays.observed)
    starts = (window.start_utc + timedelta(seconds=interval_s * index) for index in range(n))
    return [period_at(tariff, start.astimezone(zone), free) for start in starts]


def period_at(tariff: Tariff, local: datetime, free: dict[date, str]) -> Period:
    if local.date() in free:
        names = {"holiday"}
    else:
        weekday = local.weekday()
        names = {WEEKDAYS[weekday], ("weekday", "saturday", "sunday")[max(0, weekday - 4)]}
    clock = local.strftime("%H:%M")
    for period in tariff.periods:
        if period.months is not None and local.month not in period.months:
            continue
        if period.days is not None and not names & set(period.days):
            continue
        if period.hours is not None and not any(within(clock, hours) for hours in period.hours):
            continue
        return period
    raise AssertionError("the last period takes all")


def within(clock: str, hours: str) -> bool:
    begin, end = hours.split("-")
    return begin <= clock < end if begin < end else clock >= begin or clock < end
