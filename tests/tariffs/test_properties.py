"""What holds for every bill, whatever the tariff."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from headend.errors import CannotRate
from headend.tariffs import NO_MARKET, BillingWindow, Carried, Peaks, RatedBatch, Tariff, Use, rate_batch
from headend.tariffs.format.components import Energy, Percentage, Standing, Tax
from headend.tariffs.rating.use import Credit

from .make import energy, period, standing, tariff, tier
from .random_tariffs import (
    CUSTOMERS,
    Case,
    Data,
    Frame,
    cases,
    decimals,
    demands,
    energies,
    random_reads,
    standings,
    tariffs,
    windows,
)

few = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
LINEAR = frozenset(("export", "dynamic", "standing", "shares", "dates"))


def rated(case: Case, use: Use | None = None, window: BillingWindow | None = None) -> RatedBatch:
    """The bills; a case that there are none for says nothing."""
    try:
        return rate_batch(
            case.tariff, window or case.window, use or case.use, case.market, case.carried, case.customer_class
        )
    except CannotRate:
        assume(False)
        raise


def rows_of(case: Case, rows: list[int]) -> Case:
    """Some of the customers."""

    def of(values: Any) -> Any:
        return None if values is None else values[rows]

    use, carried = case.use, case.carried
    peaks = {at: tuple(Peaks(each.month, each.watts[rows]) for each in bills) for at, bills in carried.peaks.items()}
    credit = carried.credit and Credit(carried.credit.amount[rows], carried.credit.exact[rows], carried.credit.scale)
    return replace(
        case,
        use=Use(use.interval_s, use.imported[rows], of(use.exported), of(use.reactive), of(use.estimated)),
        carried=Carried(peaks, of(carried.energy), credit),
    )


@few
@given(cases())
def test_the_total_is_the_sum_of_the_lines(case: Case) -> None:
    for bill in rated(case).bills():
        assert bill.total == sum(line.amount for line in bill.lines if not line.charge.included)
        assert Fraction(bill.exact_total) == sum(
            Fraction(line.exact) for line in bill.lines if not line.charge.included
        )


@few
@given(cases(), st.permutations(range(CUSTOMERS)))
def test_a_bill_does_not_depend_on_who_else_is_billed(case: Case, order: list[int]) -> None:
    bills = rated(case).bills()
    assert rated(rows_of(case, order)).bills() == [bills[row] for row in order]
    assert [rated(rows_of(case, [row])).bills()[0] for row in range(CUSTOMERS)] == bills


@few
@given(cases(frozenset(("tiers", "export", "dates"))))
def test_energy_is_conserved_over_periods_and_tiers(case: Case) -> None:
    parts = [each.model_copy(update={"name": f"part{at}"}) for at, each in enumerate(case.tariff.components)]
    made = case.tariff.model_copy(update={"components": tuple(parts)})
    bills = rated(replace(case, tariff=Tariff.model_validate(made.model_dump()))).bills()
    for part in parts:
        days = case.window.within(part.valid_from, part.valid_until)
        if days is None or part.method == "block" or case.customer_class in part.not_for:
            continue
        begin = int((days.start_utc - case.window.start_utc).total_seconds()) // case.use.interval_s
        its = slice(begin, begin + days.intervals(case.use.interval_s))
        reads = case.use.imported if part.measures == "import" else case.use.exported
        guessed = case.use.estimated if part.measures == "import" else None
        for row, bill in enumerate(bills):
            lines = [line for line in bill.lines if line.charge.component == part.name]
            assert sum(line.quantity for line in lines) * 1000 == int(reads[row, its].sum()) * part.factor
            if guessed is not None and part.order == "time":
                estimated = int((reads[row, its] * guessed[row, its]).sum())
                assert sum(line.estimated for line in lines) * 1000 == estimated * part.factor


@few
@given(cases(LINEAR), st.data())
def test_a_bill_split_at_any_day_adds_up(case: Case, data: st.DataObject) -> None:
    made = linear(case.tariff)
    assume(made is not None and case.window.days > 1)
    case = replace(case, tariff=made, carried=Carried())
    day = case.window.first + timedelta(days=data.draw(st.integers(1, case.window.days - 1)))
    first, second = case.window.within(None, day), case.window.within(day, None)
    assert first is not None
    assert second is not None
    cut = first.intervals(case.use.interval_s)
    before, after = case.use.part(slice(None, cut)), case.use.part(slice(cut, None))
    whole = rated(case).bills()
    parts = zip(rated(case, before, first).bills(), rated(case, after, second).bills(), strict=True)
    # A month's share has no end in decimals and is kept to twelve, once for each part and once for the whole.
    for bill, (early, late) in zip(whole, parts, strict=True):
        parts_total = Fraction(early.exact_total) + Fraction(late.exact_total)
        assert abs(Fraction(bill.exact_total) - parts_total) <= slack(case.tariff)


@few
@given(cases(LINEAR), st.data())
def test_reads_split_at_any_instant_add_up(case: Case, data: st.DataObject) -> None:
    made = linear(case.tariff, fixed=False)
    assume(made is not None)
    case = replace(case, tariff=made, carried=Carried())
    cut = data.draw(st.integers(0, case.use.imported.shape[1]))
    is_before = np.arange(case.use.imported.shape[1]) < cut
    bills = [rated(case, masked(case.use, chosen)).bills() for chosen in (is_before, ~is_before)]
    for bill, early, late in zip(rated(case).bills(), *bills, strict=True):
        assert Fraction(bill.exact_total) == Fraction(early.exact_total) + Fraction(late.exact_total)


def linear(made: Tariff, *, fixed: bool = True) -> Tariff | None:
    """The tariff without what is no sum over its hours or days: floors, banks, and what a share of days is taken of."""
    kept = [
        each
        for each in made.components
        if each.kind in ("energy", "dynamic", "percentage", "tax", *(["standing"] if fixed else []))
        and not (isinstance(each, Energy) and each.method == "block")
        and not (isinstance(each, Percentage | Tax) and (each.valid_from or each.valid_until))
        and getattr(each, "included", False) is False
    ]
    # What refers to a component that is gone goes as well, and what refers to that.
    kinds, parts = set(), []
    for each in kept:
        on = getattr(each, "on", None)
        if on is not None and not set(on) <= kinds:
            continue
        if on is None and each.kind == "tax" and not kinds:
            continue
        kinds |= {"export" if getattr(each, "measures", "") == "export" else each.kind.replace("dynamic", "energy")}
        kinds |= {each.name} if each.name else set()
        parts.append(each)
    return (
        Tariff.model_validate({**made.model_dump(), "components": [part.model_dump() for part in parts]})
        if parts
        else None
    )


def slack(made: Tariff) -> Fraction:
    """Three roundings at the twelfth decimal for each charge by the month, with all percentages there may be on it."""
    monthly = sum(isinstance(each, Standing) and each.per != "day" for each in made.components)
    return Fraction(monthly, 10**9)


def masked(use: Use, chosen: np.ndarray) -> Use:
    """Some of the intervals; nothing in the others."""

    def of(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values * chosen

    return Use(use.interval_s, use.imported * chosen, of(use.exported), of(use.reactive))


@st.composite
def charges(draw: st.DrawFn) -> Case:
    """Tariffs under which more use never costs less: positive prices and no credits, unit by unit.

    Left out is what makes use cheaper on purpose: one price for all units of the tier that is reached (the next one may
    be cheaper for all of them), limits that grow with the demand, credits per unit of use, and charges for reactive
    energy, of which use makes more free. Where a ladder for the whole bill meets prices by period, they rise from tier
    to tier: under falling ones a unit more at night moves the evening into a cheaper tier. Shares may round a Wh into
    the other period, so they are left out too.
    """
    window = draw(windows())
    base = draw(tariffs(window, frozenset()))
    names: dict[str | None, list[str]] = {None: [each.name for each in base.periods]}
    frame = Frame(names, [], "none", window)
    parts = draw(st.lists(energies(frame).filter(is_charge), min_size=1, max_size=2))
    for part in parts:
        if part.get("scope") != "period" and any(isinstance(step["price"], dict) for step in part["tiers"]):
            part["tiers"] = rising(part["tiers"], names[None])
    parts += draw(st.lists(demands(frame).filter(is_charge), max_size=1))
    parts += draw(st.lists(standings(), max_size=1))
    if draw(st.booleans()):
        parts.append({"kind": "percentage", "label": "Rider", "percent": draw(decimals(0, 100, 2)), "on": ["energy"]})
    if draw(st.booleans()):
        parts.append({"kind": "minimum", "label": "Minimum", "amount": draw(decimals(0, 10**5, 2))})
    parts.append({"kind": "tax", "label": "Tax", "percent": draw(decimals(0, 100, 2))})
    data = base.model_dump() | {"schedules": {}, "components": parts}
    shape = (CUSTOMERS, window.intervals(1800))
    reads = random_reads(draw(st.integers(0, 2**32)), shape, draw(st.sampled_from([10, 1000, 10**6])))
    return Case(Tariff.model_validate(data), window, Use(1800, reads), NO_MARKET, Carried(), None)


def is_charge(part: Data) -> bool:
    """Whether it asks for something, unit by unit."""
    return (
        not part.get("credit")
        and part.get("method", "graduated") == "graduated"
        and part.get("order") != "share"
        and part.get("tiers_per") not in ("kW_day", "kW_month")
    )


@few
@given(charges(), st.data())
def test_more_use_in_any_hour_never_costs_less(case: Case, data: st.DataObject) -> None:
    more = case.use.imported.copy()
    more[:, data.draw(st.integers(0, more.shape[1] - 1))] += data.draw(st.sampled_from([1, 500, 10**5]))
    for bill, dearer in zip(rated(case).bills(), rated(case, Use(1800, more)).bills(), strict=True):
        assert dearer.exact_total >= bill.exact_total


def rising(tiers: list[Data], names: list[str]) -> list[Data]:
    """The same steps, each price as much more than the one below as it was high."""
    reached = dict.fromkeys(names, Decimal(0))
    made = []
    for each in tiers:
        own = each["price"] if isinstance(each["price"], dict) else dict.fromkeys(names, each["price"])
        reached = {name: reached[name] + price for name, price in own.items()}
        made.append({**each, "price": dict(reached)})
    return made


def test_a_bill_of_which_everything_is_exempt_has_no_lines() -> None:
    made = tariff(energy(tier("0.3"), not_for=["church"]), customer_classes=["residential", "church"])
    window = BillingWindow(date(2025, 7, 1), date(2025, 7, 2), ZoneInfo("UTC"))
    (bill,) = rate_batch(made, window, Use(3600, np.full((1, 24), 500)), customer_class="church").bills()
    assert (bill.lines, bill.total) == ((), 0)


FLAT = tariff(energy(tier("0.3")), standing("1", "day"))
EVENING = [period("evening", hours=["17:00-21:00"]), period("rest")]
TOU = energy(tier({"evening": "0.4", "rest": "0.2"}))


def quantities(made: Tariff, zone: str, first: date, interval_s: int, wh: int = 1000) -> dict[str, Decimal]:
    """Energy by period of one day, every interval of which has so many Wh."""
    window = BillingWindow(first, first + timedelta(days=1), ZoneInfo(zone))
    use = Use(interval_s, np.full((1, window.intervals(interval_s)), wh))
    (bill,) = rate_batch(made, window, use).bills()
    return {line.period or line.kind: line.quantity for line in bill.lines}


@pytest.mark.parametrize(
    ("zone", "first", "hours"),
    [
        ("Europe/Berlin", date(2025, 3, 30), 23),
        ("Europe/Berlin", date(2025, 10, 26), 25),
        ("America/New_York", date(2025, 3, 9), 23),
        ("America/New_York", date(2025, 11, 2), 25),
        ("Africa/Cairo", date(2025, 4, 25), 23),  # skips the hour after midnight
        ("America/Havana", date(2025, 11, 2), 25),  # midnight comes twice
        ("Asia/Kolkata", date(2025, 3, 30), 24),
    ],
)
def test_a_day_of_23_or_25_hours_is_one_day_of_its_hours(zone: str, first: date, hours: int) -> None:
    assert quantities(FLAT, zone, first, 3600) == {"energy": hours, "standing": 1}


def test_a_clock_change_of_half_an_hour() -> None:
    assert quantities(FLAT, "Australia/Lord_Howe", date(2025, 10, 5), 1800) == {"energy": 47, "standing": 1}
    assert quantities(FLAT, "Australia/Lord_Howe", date(2025, 4, 6), 1800) == {"energy": 49, "standing": 1}


def test_the_hour_that_comes_twice_is_twice_what_its_hour_is() -> None:
    night = [period("night", hours=["02:00-03:00"]), period("rest")]
    made = tariff(energy(tier({"night": "0.1", "rest": "0.2"})), periods=night)
    assert quantities(made, "Europe/Berlin", date(2025, 10, 26), 3600) == {"night": 2, "rest": 23}
    assert quantities(made, "Europe/Berlin", date(2025, 10, 27), 3600) == {"night": 1, "rest": 23}
    assert quantities(made, "Europe/Berlin", date(2025, 3, 30), 3600) == {"rest": 23}


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Australia/Adelaide"])
def test_local_hours_in_a_zone_whose_offset_is_no_whole_hour(zone: str) -> None:
    made = tariff(TOU, periods=EVENING)
    assert quantities(made, zone, date(2025, 6, 4), 900, 250) == {"evening": 4, "rest": 20}
    # Four whole hours whatever the day; hourly reads begin with the local day, not with the hour of UTC.
    assert quantities(made, zone, date(2025, 6, 4), 3600) == {"evening": 4, "rest": 20}


def test_a_tariff_in_utc_under_a_customer_in_local_time() -> None:
    early = [period("early", hours=["00:00-06:00"]), period("rest")]
    made = tariff(energy(tier({"early": "0.1", "rest": "0.2"})), periods=early, clock="UTC")
    window = BillingWindow(date(2025, 7, 1), date(2025, 7, 2), ZoneInfo("Europe/Berlin"))
    # The local day is 22:00 to 22:00 UTC: its hours 2 to 7 are the six after midnight in UTC.
    reads = np.array([[10**hour if hour < 10 else 0 for hour in range(24)]])
    (bill,) = rate_batch(made, window, Use(3600, reads)).bills()
    assert {line.period: int(line.quantity * 1000) for line in bill.lines} == {
        "early": 11111100,
        "rest": 1100000011,
    }


def test_a_clock_of_a_fixed_offset_knows_no_summer() -> None:
    made = tariff(TOU, periods=EVENING, clock="+01:00")
    window = BillingWindow(date(2025, 7, 1), date(2025, 7, 2), ZoneInfo("Europe/Berlin"))
    reads = np.array([[1000 if hour == 17 else 0 for hour in range(24)]])  # 16:00 all the year by that clock
    (bill,) = rate_batch(made, window, Use(3600, reads)).bills()
    assert [line.period for line in bill.lines] == ["rest"]
