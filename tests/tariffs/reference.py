"""The reference rater: one customer, interval by interval, in Fraction. Slow and obvious on purpose.

Written from docs/tariff-format.md. Of the rater it shares the tariff's data and the published prices and events, and
no function: it has its own clocks, holidays, limits, rounding and banks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import holidays

from headend.tariffs import BillingWindow, Market, Tariff
from headend.tariffs.format.components import (
    Bank,
    BaselineCredit,
    Component,
    Demand,
    Dynamic,
    Energy,
    Minimum,
    Percentage,
    PowerFactor,
    Reactive,
    Standing,
    Tax,
    Tier,
)
from headend.tariffs.format.times import Period, When

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DIGITS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}
KILO = 1000


class NoBill(Exception):
    """A reason why there is none."""


@dataclass(frozen=True)
class Reads:
    """What one customer's meters counted in intervals that follow each other."""

    interval_s: int
    imported: list[int]
    exported: list[int] | None = None
    reactive: list[int] | None = None
    estimated: list[bool] | None = None


@dataclass(frozen=True)
class Earlier:
    """What one customer's bills before this one left over.

    `peaks`: by place of the component, latest bill first: the month it was for, and its peaks [W]. `energy`: Wh by
    period. `credit`, `exact_credit`: money in the bank.
    """

    peaks: Mapping[int, list[tuple[int, list[int]]]] = field(default_factory=dict)
    energy: Mapping[str, int] = field(default_factory=dict)
    credit: Fraction = Fraction(0)
    exact_credit: Fraction = Fraction(0)


@dataclass(frozen=True)
class PlainLine:
    """A line of the bill."""

    kind: str
    label: str
    quantity: Fraction
    price: Fraction
    exact: Fraction
    amount: Fraction
    period: str | None = None
    tier: int | None = None
    estimated: Fraction | None = None
    component: str | None = None
    included: bool = False


@dataclass(frozen=True)
class PlainBill:
    """One customer's lines, what was left to the next bill, and peaks measured, by place of the component."""

    lines: list[PlainLine]
    energy: Mapping[str, int]
    credit: Fraction
    exact_credit: Fraction
    peaks: Mapping[int, list[int]]

    @property
    def total(self) -> Fraction:
        """What is owed."""
        return sum((line.amount for line in self.lines if not line.included), Fraction(0))


@dataclass(frozen=True)
class Interval:
    """One interval of the reads: when it is and what was used in it."""

    begin: datetime
    day: date  # of the bill: of the usage point's zone
    local: datetime  # by the tariff's clock
    imported: int
    exported: int
    reactive: int
    estimated: bool


@dataclass(frozen=True)
class Days:
    """Days that a component is rated over: the bill's, or those of them on which it holds."""

    first: date
    end: date
    months: Fraction

    @property
    def each(self) -> list[date]:
        """All of them."""
        return [self.first + timedelta(days=number) for number in range((self.end - self.first).days)]

    @property
    def number(self) -> int:
        """How many."""
        return (self.end - self.first).days


def rate_plainly(
    tariff: Tariff,
    window: BillingWindow,
    reads: Reads,
    market: Market | None = None,
    earlier: Earlier | None = None,
    customer_class: str | None = None,
) -> PlainBill:
    """The bill; raises `NoBill`."""
    return _Rater(tariff, window, reads, market or Market(), earlier or Earlier(), customer_class).bill()


class _Rater:
    def __init__(
        self,
        tariff: Tariff,
        window: BillingWindow,
        reads: Reads,
        market: Market,
        earlier: Earlier,
        customer_class: str | None,
    ) -> None:
        self.tariff, self.window = tariff, window
        self.reads = in_hours(reads) if tariff.netting == "hour" else reads
        self.market, self.earlier, self.customer_class = market, earlier, customer_class
        self.clock = window.zone if tariff.clock == "local" else zone_of(tariff.clock)
        self.cycle = window.cycle or (window.end - timedelta(days=1)).replace(day=1)
        self.free = free_days(tariff, window)
        self.intervals = self.cut_into_intervals()
        self.found: dict[tuple[str | None, datetime], Period] = {}
        self.lines: list[PlainLine] = []
        self.peaks: dict[int, list[int]] = {}
        self.energy: dict[str, int] = {}
        self.credit, self.exact_credit = earlier.credit, earlier.exact_credit
        self.net: dict[str, int] | None = None
        self.net_estimates: dict[str, int] = {}
        self.surplus: PlainLine | None = None

    # Time

    def cut_into_intervals(self) -> list[Interval]:
        if self.tariff.netting != "none" and self.reads.exported is None:
            raise NoBill("netting without export reads")
        begin, made = midnight(self.window.first, self.window.zone), []
        nothing = [0] * len(self.reads.imported)
        for number, taken in enumerate(self.reads.imported):
            fed_in = (self.reads.exported or nothing)[number]
            set_off = min(taken, fed_in) if self.tariff.netting in ("interval", "hour") else 0
            made.append(
                Interval(
                    begin,
                    begin.astimezone(self.window.zone).date(),
                    begin.astimezone(self.clock),
                    taken - set_off,
                    fed_in - set_off,
                    (self.reads.reactive or nothing)[number],
                    self.reads.estimated is not None and self.reads.estimated[number],
                )
            )
            begin += timedelta(seconds=self.reads.interval_s)
        if begin != midnight(self.window.end, self.window.zone):
            raise NoBill("the reads do not cover the days")
        return made

    def season(self, day: date) -> str | None:
        """The season that began last."""
        day = self.cycle if self.tariff.seasons_by == "cycle" else day
        begins = [
            (date(year, int(begin[:2]), int(begin[3:])), season.name)
            for year in (day.year - 1, day.year)
            for season in self.tariff.seasons
            for begin in season.begins
        ]
        past = [each for each in begins if each[0] <= day]
        return max(past)[1] if past else None

    def period(self, schedule: str | None, interval: Interval) -> Period:
        at = schedule, interval.begin
        if at not in self.found:
            self.found[at] = next(
                period
                for period in self.tariff.schedule(schedule)
                if any(self.holds(when, interval) for when in period.when or (period,))
            )
        return self.found[at]

    def holds(self, when: When, interval: Interval) -> bool:
        local = interval.local
        weekday = local.weekday()
        names = {WEEKDAYS[weekday], ("weekday", "saturday", "sunday")[max(0, weekday - 4)]}
        if local.date() in self.free:
            names = names | {"holiday"} if when.on_holidays == "as_weekday" else {"holiday"}
        return (
            (when.months is None or local.month in when.months)
            and (when.seasons is None or self.season(local.date()) in when.seasons)
            and (when.days is None or bool(names & set(when.days)))
            and (when.hours is None or any(within(local.strftime("%H:%M"), hours) for hours in when.hours))
            and (when.event is None or self.during(when.event, interval.begin))
        )

    def during(self, event: str, begin: datetime) -> bool:
        if event not in self.market.events:
            return False
        moment = int(begin.timestamp())
        return any(start <= moment < end for start, end in self.market.events[event].spans)

    def days_of(self, component: Component) -> Days | None:
        """The days on which it holds, each worth what it is worth in the bill."""
        window = self.window
        days = [window.first + timedelta(days=number) for number in range((window.end - window.first).days)]
        held = [
            day
            for day in days
            if (component.valid_from is None or component.valid_from <= day)
            and (component.valid_until is None or day < component.valid_until)
        ]
        if not held:
            return None
        if window.months is None:
            months = sum((Fraction(1, days_of_month(day)) for day in held), Fraction(0))
        else:
            months = window.months * Fraction(len(held), len(days))
        return Days(held[0], held[-1] + timedelta(days=1), months)

    def intervals_of(self, days: Days) -> list[Interval]:
        return [each for each in self.intervals if days.first <= each.day < days.end]

    # The bill

    def bill(self) -> PlainBill:
        if self.tariff.netting == "month":
            self.take_off_what_was_fed_in()
        has_energy = False
        for place, component in enumerate(self.tariff.components):
            days = self.days_of(component)
            if self.customer_class in component.not_for or days is None:
                continue
            # Below the energy components that stand first.
            if has_energy and not isinstance(component, Energy):
                self.pay_surplus()
            made = self.lines_of(place, component, days)
            self.lines += [replace(line, component=component.name) for line in made]
            has_energy = has_energy or isinstance(component, Energy)
        self.pay_surplus()
        return PlainBill(
            [line for line in self.lines if line.quantity or line.exact],
            self.energy,
            self.credit,
            self.exact_credit,
            self.peaks,
        )

    def pay_surplus(self) -> None:
        self.lines += [self.surplus] if self.surplus else []
        self.surplus = None

    def lines_of(self, place: int, component: Component, days: Days) -> list[PlainLine]:
        match component:
            case Energy():
                return self.energy_lines(component, days)
            case Dynamic():
                return self.dynamic_lines(component, days)
            case BaselineCredit():
                return self.baseline_lines(component, days)
            case Demand():
                return self.demand_lines(place, component, days)
            case Reactive():
                return self.reactive_lines(component, days)
            case PowerFactor():
                return self.power_factor_lines(component, days)
            case Standing():
                return self.standing_lines(component, days)
            case Percentage():
                return self.percentage_lines(component, days)
            case Minimum():
                return self.minimum_lines(component, days)
            case Bank():
                return self.bank_lines(component)
            case Tax():
                return self.tax_lines(component, days)
        raise AssertionError(component)

    def line(
        self,
        component: Component,
        price: Fraction,
        quantity: Fraction,
        period: Period | None = None,
        tier: int | None = None,
        kind: str | None = None,
        estimated: Fraction | None = None,
        worth: Fraction = Fraction(1),
    ) -> PlainLine:
        """Quantity × price, rounded once; the quantity is worth × something."""
        label = component.label
        if period is not None:
            label += f", {period.label}"
        if tier is not None:
            label += f", tier {tier}"
        exact = quantity * price
        return PlainLine(
            kind or component.kind,
            label,
            kept(quantity, worth),
            price,
            kept(exact, worth),
            self.rounded(exact),
            period and period.name,
            tier,
            estimated,
        )

    def rounded(self, amount: Fraction) -> Fraction:
        minor = 10 ** DIGITS[self.tariff.currency]
        return Fraction(half_away(amount * minor), minor)

    def chosen(self, on: Iterable[str] | None, *, taxes: bool = True) -> list[PlainLine]:
        """The lines above that `on` means."""
        return [
            line
            for line in self.lines
            if not line.included
            and (line.kind in on or line.component in on if on is not None else taxes or line.kind != "tax")
        ]

    # Energy

    def energy_lines(self, component: Energy, days: Days) -> list[PlainLine]:
        kind = "energy" if component.measures == "import" else "export"
        sign = -1 if component.credit or component.measures == "export" else 1
        schedule = self.tariff.schedule(component.schedule)
        # What was used, in time order: (period, Wh, whether it is an estimate).
        used = self.used(component, days)
        ladder = self.ladders(component.tiers, schedule, self.worth(component.tiers_per, days), days)

        if component.method == "block":
            reached = reached_tier(ladder(schedule[0]), sum(wh for _, wh, _ in used))
            fee = component.tiers[reached].fee
            assert fee is not None
            shown = reached + 1 if len(component.tiers) > 1 else None
            return [
                self.line(component, sign * Fraction(fee), days.months, None, shown, kind, Fraction(0), days.months)
            ]

        taken: dict[tuple[int, str], int] = {}
        guessed: dict[tuple[int, str], int] = {}

        def take(tier: int, period: Period, wh: int, estimate: int) -> None:
            at = tier, period.name
            taken[at] = taken.get(at, 0) + wh
            guessed[at] = guessed.get(at, 0) + estimate

        is_shared = component.order == "share" and component.scope == "bill" and component.method == "graduated"
        total, estimates = ({period.name: 0 for period in schedule} for _ in range(2))
        for period, wh, is_estimate in used:
            total[period.name] += wh
            estimates[period.name] += wh * is_estimate
        if self.net is not None:
            estimates = {name: min(total[name], wh) for name, wh in self.net_estimates.items()}
        if component.method == "volume":
            for period, wh, is_estimate in used:
                count = total[period.name] if component.scope == "period" else sum(total.values())
                guess = estimates[period.name] if self.net is not None else wh * is_estimate
                take(reached_tier(ladder(period), count), period, wh, guess)
        elif is_shared:
            for tier, shares in enumerate(shared(ladder(schedule[0]), [total[period.name] for period in schedule])):
                for period, wh in zip(schedule, shares, strict=True):
                    part = Fraction(wh, total[period.name]) if wh else 0
                    take(tier, period, wh, half_away(estimates[period.name] * Fraction(part)))
        else:
            count: dict[str, int] = {}
            for period, wh, is_estimate in used:
                own = period.name if component.scope == "period" else ""
                before = count.get(own, 0)
                count[own] = before + wh
                for tier, fits in enumerate(split(ladder(period), before, wh)):
                    is_all = self.net is not None and len(component.tiers) == 1
                    take(tier, period, fits, estimates[period.name] if is_all else fits * is_estimate)

        factor, lines = Fraction(component.factor), []
        for number, tier in enumerate(component.tiers):
            shown = number + 1 if len(component.tiers) > 1 else None
            assert tier.price is not None
            if isinstance(tier.price, dict):
                groups = [(period, [period.name], tier.price.get(period.name)) for period in schedule]
            else:
                groups = [(None, [period.name for period in schedule], tier.price)]
            for period, names, price in groups:
                wh = sum(taken.get((number, name), 0) for name in names)
                by_guess = sum(guessed.get((number, name), 0) for name in names)
                if price is None:
                    assert wh == 0, "without a price there is nothing to price"
                    continue
                units = Fraction(wh, KILO) * factor
                # Which tiers the estimates of net use fall in, nothing says but for shares.
                is_known = self.net is None or is_shared or component.method == "volume" or len(component.tiers) == 1
                estimated = Fraction(by_guess, KILO) * factor if is_known else None
                lines.append(self.line(component, sign * Fraction(price), units, period, shown, kind, estimated))
        return lines

    def used(self, component: Energy, days: Days) -> list[tuple[Period, int, bool]]:
        if self.net is not None:
            return [(period, self.net[period.name], False) for period in self.tariff.periods]
        if component.measures == "export" and self.reads.exported is None:
            raise NoBill("export is credited and there are no export reads")
        return [
            (
                self.period(component.schedule, each),
                each.imported if component.measures == "import" else each.exported,
                each.estimated and component.measures == "import",
            )
            for each in self.intervals_of(days)
        ]

    def worth(self, per: str | None, days: Days) -> Fraction:
        """What limits are multiplied by."""
        worth = Fraction(days.number) if per in ("day", "kW_day") else days.months
        if per in ("kW_day", "kW_month"):
            highest = max(each.imported for each in self.intervals_of(days))
            worth *= Fraction(highest * 3600, self.reads.interval_s * KILO)
        return worth

    def ladders(
        self, tiers: tuple[Tier, ...], schedule: tuple[Period, ...], worth: Fraction, days: Days
    ) -> Callable[[Period], list[int | None]]:
        """The limits [base units, W] of each period; None: without end."""
        made: dict[str, list[int | None]] = {period.name: [] for period in schedule}
        for tier in tiers:
            for period in schedule:
                if tier.up_to is None:
                    limit = None
                elif not isinstance(tier.up_to, dict):
                    limit = half_away(Fraction(tier.up_to) * worth * KILO)
                elif set(tier.up_to) <= {each.name for each in schedule}:
                    own = tier.up_to.get(period.name)
                    limit = None if own is None else half_away(Fraction(own) * worth * KILO)
                else:
                    limit = half_away(self.mean_over_seasons(tier.up_to, days) * worth * KILO)
                made[period.name].append(limit)
        return lambda period: made[period.name]

    def mean_over_seasons(self, numbers: Mapping[str, Decimal], days: Days) -> Fraction:
        """Each season's number for its share of the days."""
        each = [Fraction(numbers[self.season(day) or ""]) for day in days.each]
        return sum(each, Fraction(0)) / len(each)

    def dynamic_lines(self, component: Dynamic, days: Days) -> list[PlainLine]:
        kind = "energy" if component.measures == "import" else "export"
        sign = -1 if component.credit or component.measures == "export" else 1
        if component.measures == "export" and self.reads.exported is None:
            raise NoBill("export is credited and there are no export reads")
        by_period = isinstance(component.factor, dict) or isinstance(component.add, dict)
        sums: dict[str, list[Fraction]] = {}
        for each in self.intervals_of(days):
            period = self.period(component.schedule, each)
            factor = component.factor[period.name] if isinstance(component.factor, dict) else component.factor
            add = component.add[period.name] if isinstance(component.add, dict) else component.add
            price = Fraction(factor) * self.published(component.series, each.begin) + Fraction(add)
            if component.cap is not None:
                price = min(price, Fraction(component.cap))
            if component.floor is not None:
                price = max(price, Fraction(component.floor))
            if component.decimals is not None:
                price = Fraction(half_away(price * 10**component.decimals), 10**component.decimals)
            wh = each.imported if component.measures == "import" else each.exported
            guess = wh if each.estimated and component.measures == "import" else 0
            row = sums.setdefault(period.name if by_period else "", [Fraction(0)] * 3)
            row[0] += Fraction(wh, KILO)
            row[1] += Fraction(wh, KILO) * price * sign
            row[2] += Fraction(guess, KILO)
        lines = []
        for period in self.tariff.schedule(component.schedule) if by_period else (None,):
            units, exact, guessed = sums.get(period.name if period else "", [Fraction(0)] * 3)
            mean = Fraction(half_away(exact / units * 10**6), 10**6) if units else Fraction(0)
            line = self.line(component, mean, units, period, None, kind, guessed)
            lines.append(replace(line, exact=exact, amount=self.rounded(exact)))
        return lines

    def published(self, name: str, begin: datetime) -> Fraction:
        series = self.market.prices.get(name)
        if series is None or (series.currency, series.unit) != (self.tariff.currency, self.tariff.unit):
            raise NoBill("no prices in the tariff's currency and unit")
        start = int(begin.timestamp())
        end = start + self.reads.interval_s
        for at in range(len(series.prices)):
            if series.start_s[at] <= start and end <= series.end_s[at]:
                return Fraction(int(series.prices[at]), 10**series.scale)
        raise NoBill(f"no price at {begin}")

    def baseline_lines(self, component: BaselineCredit, days: Days) -> list[PlainLine]:
        per_day = component.allowance_per_day
        mean = self.mean_over_seasons(per_day, days) if isinstance(per_day, dict) else Fraction(per_day)
        allowance = half_away(mean * days.number * KILO)
        used = sum(each.imported for each in self.intervals_of(days)) if self.net is None else sum(self.net.values())
        return [self.line(component, -Fraction(component.credit), Fraction(min(used, allowance), KILO))]

    def take_off_what_was_fed_in(self) -> None:
        """Net metering: each period for itself, over the whole bill."""
        self.net = {}
        for period in self.tariff.periods:
            own = [each for each in self.intervals if self.period(None, each) is period]
            credit = sum(each.exported for each in own) + self.earlier.energy.get(period.name, 0)
            taken = sum(each.imported for each in own)
            self.net_estimates[period.name] = sum(each.imported for each in own if each.estimated)
            self.net[period.name] = max(0, taken - credit)
            self.energy[period.name] = max(0, credit - taken)
        rule = self.tariff.net_metering
        if rule is not None and rule.true_up is not None and has_last_day_of(self.window, rule.true_up):
            left, self.energy = sum(self.energy.values()), dict.fromkeys(self.energy, 0)
            if rule.price:
                exact = -Fraction(rule.price) * Fraction(left, KILO)
                self.surplus = PlainLine(
                    "export", "Surplus", Fraction(left, KILO), -Fraction(rule.price), exact, self.rounded(exact)
                )

    # Power

    def demand_lines(self, place: int, component: Demand, days: Days) -> list[PlainLine]:
        schedule = self.tariff.schedule(component.schedule)
        named = [tier.price for tier in component.tiers if isinstance(tier.price, dict)]
        groups = [period for period in schedule if any(period.name in prices for prices in named)] if named else [None]
        windows = self.demand_windows(component, days)
        ladder = self.ladders(component.tiers, schedule, Fraction(1), days)
        worth = days.months if component.per == "month" else Fraction(days.number)
        lines: list[tuple[int, int, PlainLine]] = []
        self.peaks[place] = []
        for index, group in enumerate(groups):
            own = [window[1:] for window in windows if group is None or window[0] is group]
            measured, is_estimate = mean_of_highest(own, component.peaks)
            self.peaks[place].append(measured)
            if not own:
                continue
            charged = max(measured, self.ratcheted(place, component, index))
            if component.minimum is not None:
                charged = max(charged, half_away(Fraction(component.minimum) * KILO))
            limits = ladder(group or schedule[0])
            reached = reached_tier(limits, charged)
            if component.method == "block":
                fee = component.tiers[reached].fee
                assert fee is not None
                pieces = [(reached, worth, fee)]
            elif component.method == "volume":
                pieces = [(reached, Fraction(charged, KILO) * worth, component.tiers[reached].price)]
            else:
                pieces = [
                    (tier, Fraction(watts, KILO) * worth, component.tiers[tier].price)
                    for tier, watts in enumerate(split(limits, 0, charged))
                ]
            for tier, quantity, price in pieces:
                own_price = price.get(group.name) if group is not None and isinstance(price, dict) else price
                if own_price is None:
                    assert not quantity, "without a price there is nothing to price"
                    continue
                assert isinstance(own_price, Decimal)
                shown = tier + 1 if len(component.tiers) > 1 else None
                guessed = kept(quantity, worth) if is_estimate else Fraction(0)
                line = self.line(component, Fraction(own_price), quantity, group, shown, None, guessed, worth)
                lines.append((tier, index, line))
        return [line for _, _, line in sorted(lines, key=lambda each: each[:2])]

    def demand_windows(self, component: Demand, days: Days) -> list[tuple[Period, date, int, bool]]:
        """Period, day, mean power [W] of each window, and whether it rests on an estimate."""
        intervals = self.intervals_of(days)
        length = self.reads.interval_s if component.window_min is None else component.window_min * 60
        if length % self.reads.interval_s:
            raise NoBill("a demand window of no whole intervals")
        each = length // self.reads.interval_s
        if len(intervals) % each:
            raise NoBill("demand windows do not fill the days")
        windows = [intervals[at : at + each] for at in range(0, len(intervals), each)]
        return [
            (
                self.period(component.schedule, window[0]),
                window[0].local.date(),
                half_away(Fraction(sum(interval.imported for interval in window) * 3600, length)),
                any(interval.estimated for interval in window),
            )
            for window in windows
        ]

    def ratcheted(self, place: int, component: Demand, index: int) -> int:
        rule = component.ratchet
        if rule is None:
            return 0
        before = self.earlier.peaks.get(place, [])[: rule.months]
        peaks = [watts[index] for month, watts in before if rule.of_months is None or month in rule.of_months]
        return half_away(Fraction(rule.percent) / 100 * max(peaks, default=0))

    def reactive_lines(self, component: Reactive, days: Days) -> list[PlainLine]:
        if self.reads.reactive is None:
            raise NoBill("there are no reactive reads")
        intervals, lines = self.intervals_of(days), []
        groups: list[tuple[Period | None, Decimal]]
        if isinstance(component.price, dict):
            schedule = self.tariff.schedule(component.schedule)
            groups = [(period, component.price[period.name]) for period in schedule if period.name in component.price]
        else:
            groups = [(None, component.price)]
        for period, price in groups:
            own = [each for each in intervals if period is None or self.period(component.schedule, each) is period]
            free = half_away(Fraction(component.free) * sum(each.imported for each in own))
            beyond = max(0, sum(each.reactive for each in own) - free)
            lines.append(self.line(component, Fraction(price), Fraction(beyond, KILO), period, None, None, Fraction(0)))
        return lines

    def power_factor_lines(self, component: PowerFactor, days: Days) -> list[PlainLine]:
        if self.reads.reactive is None:
            raise NoBill("there are no reactive reads")
        intervals = self.intervals_of(days)
        active, reactive = sum(each.imported for each in intervals), sum(each.reactive for each in intervals)
        lacking = int(component.below * 100) - power_factor_percent(active, reactive)
        if lacking <= 0:
            return []
        return self.share_of(component, component.on, Fraction(component.percent) / 100 * lacking, days)

    # Money

    def standing_lines(self, component: Standing, days: Days) -> list[PlainLine]:
        quantity = {"day": Fraction(days.number), "month": days.months, "year": days.months / 12}[component.per]
        price = Fraction(component.price) * (-1 if component.credit else 1)
        return [self.line(component, price, quantity, worth=quantity)]

    def part_of_bill(self, days: Days) -> Fraction:
        """What a component takes of the lines above it whose dates cut the bill."""
        return Fraction(days.number, (self.window.end - self.window.first).days)

    def share_of(self, component: Component, on: Iterable[str] | None, rate: Fraction, days: Days) -> list[PlainLine]:
        """A rate on lines above: of their rounded amounts, and beside it of their exact ones."""
        base, part = self.chosen(on), self.part_of_bill(days)
        amounts = sum((line.amount for line in base), Fraction(0)) * part
        exact = sum((line.exact for line in base), Fraction(0)) * part * rate
        return [
            PlainLine(
                component.kind,
                component.label,
                kept(amounts, part),
                rate,
                kept(exact, part * rate if isinstance(component, Tax) and component.included else part),
                self.rounded(amounts * rate),
            )
        ]

    def percentage_lines(self, component: Percentage, days: Days) -> list[PlainLine]:
        return self.share_of(component, component.on, Fraction(component.percent) / 100, days)

    def tax_lines(self, component: Tax, days: Days) -> list[PlainLine]:
        percent = Fraction(component.percent)
        rate = percent / (100 + percent) if component.included else percent / 100
        return [
            replace(line, price=percent / 100, included=component.included)
            for line in self.share_of(component, component.on, rate, days)
        ]

    def minimum_lines(self, component: Minimum, days: Days) -> list[PlainLine]:
        worth = {"day": Fraction(days.number), "month": days.months, "year": days.months / 12}[component.per]
        asked = Fraction(component.amount) * worth
        base, part = self.chosen(component.on, taxes=False), self.part_of_bill(days)
        lacking = max(Fraction(0), asked - part * sum((line.amount for line in base), Fraction(0)))
        exact = max(Fraction(0), asked - part * sum((line.exact for line in base), Fraction(0)))
        amount = self.rounded(lacking)
        return [PlainLine("minimum", component.label, amount, Fraction(1), kept(exact, worth, part), amount)]

    def bank_lines(self, component: Bank) -> list[PlainLine]:
        base = self.chosen(component.on)
        trues_up = component.true_up is not None and has_last_day_of(self.window, component.true_up)

        def settle(sum_of_lines: Fraction, credit: Fraction) -> tuple[Fraction, Fraction]:
            """The line, and what is in the bank after it."""
            line = -sum_of_lines if sum_of_lines < 0 else -min(sum_of_lines, credit)
            credit += line
            if trues_up:
                line, credit = (line - credit if component.pays else line), Fraction(0)
            return line, credit

        amount, self.credit = settle(sum((line.amount for line in base), Fraction(0)), self.credit)
        exact, self.exact_credit = settle(sum((line.exact for line in base), Fraction(0)), self.exact_credit)
        return [PlainLine("bank", component.label, amount, Fraction(1), exact, amount)]


# Arithmetic


def in_hours(reads: Reads) -> Reads:
    """Added up to hours from the first interval on."""
    each, rest = divmod(3600, reads.interval_s)
    if rest or len(reads.imported) % each:
        raise NoBill("reads that do not fill hours")
    hours = range(0, len(reads.imported), each)

    def added(values: list[int] | None) -> list[int] | None:
        return values and [sum(values[at : at + each]) for at in hours]

    estimated = reads.estimated and [any(reads.estimated[at : at + each]) for at in hours]
    return Reads(3600, added(reads.imported) or [], added(reads.exported), added(reads.reactive), estimated)


def split(limits: list[int | None], before: int, amount: int) -> list[int]:
    """How much of what comes after `before` falls below each limit, and above the one before."""
    parts, begin, end = [], before, before + amount
    for limit in limits:
        top = end if limit is None else max(begin, min(end, limit))
        parts.append(top - begin)
        begin = top
    return parts


def reached_tier(limits: list[int | None], amount: int) -> int:
    """The first tier whose limit is not exceeded."""
    return next(tier for tier, limit in enumerate(limits) if limit is None or amount <= limit)


def shared(limits: list[int | None], uses: list[int]) -> list[list[int]]:
    """By tier and period: the share of each period in what lies between two limits, of what it has left."""
    left, made, below = list(uses), [], 0
    total = sum(uses)
    for limit in limits:
        top = total if limit is None else max(below, min(total, limit))
        running, given, shares = 0, 0, []
        for use in left:
            running += use
            until = half_away(Fraction((top - below) * running, sum(left))) if sum(left) else 0
            shares.append(until - given)
            given = until
        left = [use - share for use, share in zip(left, shares, strict=True)]
        made.append(shares)
        below = top
    return made


def mean_of_highest(windows: list[tuple[date, int, bool]], number: int) -> tuple[int, bool]:
    """Mean of the highest windows of the highest days [W], and whether one is an estimate; measured ones come first."""
    days = {day for day, _, _ in windows}
    of_days = [min((-watts, is_estimate) for its, watts, is_estimate in windows if its == day) for day in days]
    highest = sorted(of_days)[:number]
    if not highest:
        return 0, False
    return half_away(Fraction(-sum(watts for watts, _ in highest), len(highest))), any(guess for _, guess in highest)


def power_factor_percent(active: int, reactive: int) -> int:
    """100 × active ÷ √(active² + reactive²), half up, without a root: the largest n with n - ½ at most that."""
    if not active and not reactive:
        return 100
    squares = active**2 + reactive**2
    return max(n for n in range(101) if n == 0 or (2 * n - 1) ** 2 * squares <= (200 * active) ** 2)


def half_away(number: Fraction) -> int:
    """The nearest whole number, half away from zero."""
    quotient, rest = divmod(abs(number.numerator), number.denominator)
    magnitude = quotient + (1 if 2 * rest >= number.denominator else 0)
    return -magnitude if number < 0 else magnitude


def kept(number: Fraction, *worth: Fraction) -> Fraction:
    """To 12 decimals, if one of what it is made of has no end in decimals."""
    return number if all(map(has_end, worth)) else Fraction(half_away(number * 10**12), 10**12)


def has_end(number: Fraction) -> bool:
    """Whether it can be written in decimals."""
    rest = number.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


# Time


def zone_of(clock: str) -> tzinfo:
    """The zone of a tariff's clock."""
    if match := re.fullmatch(r"([+-])(\d\d):(\d\d)", clock):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-offset if match[1] == "-" else offset)
    return ZoneInfo(clock)


def within(clock: str, hours: str) -> bool:
    """Whether `HH:MM` is within `HH:MM-HH:MM`."""
    begin, end = hours.split("-")
    return begin <= clock < end if begin < end else clock >= begin or clock < end


def days_of_month(day: date) -> int:
    """28 to 31."""
    return ((day.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)).day


def has_last_day_of(window: BillingWindow, month: int) -> bool:
    """Whether a bill has the last day of a month."""
    day = window.first
    while day < window.end:
        if day.month == month and day.day == days_of_month(day):
            return True
        day += timedelta(days=1)
    return False


def free_days(tariff: Tariff, window: BillingWindow) -> set[date]:
    """The tariff's holidays about the time of a bill."""
    rule = tariff.holidays
    if rule is None:
        return set()
    free = set(rule.dates)
    if rule.country is not None:
        years = range(window.first.year - 1, window.end.year + 2)
        public = holidays.country_holidays(
            rule.country, subdiv=rule.subdivision, years=years, observed=rule.observed, language="en_US"
        )
        for day, names in public.items():
            own = {re.sub(r" \((observed|estimated)\)$", "", name) for name in names.split("; ")}
            if rule.only is None or own & set(rule.only):
                free.add(day)
    return free


def midnight(day: date, zone: tzinfo) -> datetime:
    """Begin of a local day, in UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)
