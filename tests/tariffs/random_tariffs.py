"""Random tariffs, bills, markets and what was carried over: hypothesis strategies.

A `Case` is all that goes into one batch of bills. A strategy names the features it may draw, so that a test can look
at one part of the format alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from headend.tariffs import BillingWindow, Carried, Events, Market, Peaks, PriceSeries, Tariff, Use, canonical_json
from headend.tariffs.check import faults
from headend.tariffs.format.components import Demand
from headend.tariffs.rating.use import Credit

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Africa/Casablanca",
]
CLOCKS = ["local", "local", "local", "UTC", "Europe/Berlin", "America/St_Johns", "+05:45", "-03:30"]
#: Clock changes of the zones, holidays, ends of months and years.
DAYS = [
    date(2025, 3, 30),
    date(2025, 10, 26),
    date(2025, 3, 9),
    date(2025, 11, 2),
    date(2025, 4, 6),
    date(2025, 10, 5),
    date(2025, 2, 23),
    date(2025, 4, 25),
    date(2025, 10, 31),
    date(2025, 12, 31),
    date(2024, 2, 29),
    date(2025, 5, 1),
    date(2026, 7, 3),
]
#: A part of the country, and some of its holidays.
COUNTRIES = {
    "DE": ("BY", ["Labor Day", "German Unity Day", "Christmas Day", "New Year's Day"]),
    "US": ("CA", ["Independence Day", "Labor Day", "New Year's Day", "Presidents' Day"]),
    "IN": ("MH", ["Gudi Padwa", "Good Friday", "Christmas"]),
}
NAMES = ["one", "two", "three"]
SEASONS = ["cold", "warm"]
OTHER = "other"
CUSTOMERS = 3
Data = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """All that goes into one batch of bills."""

    tariff: Tariff
    window: BillingWindow
    use: Use
    market: Market
    carried: Carried
    customer_class: str | None

    def __repr__(self) -> str:
        return (
            f"{canonical_json(self.tariff)}\n{self.window}\n{self.use.interval_s} s\n"
            f"import {self.use.imported.tolist()}\n"
            f"export {None if self.use.exported is None else self.use.exported.tolist()}\n"
            f"reactive {None if self.use.reactive is None else self.use.reactive.tolist()}\n"
            f"{self.carried}, {self.customer_class}, {self.market.events}"
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # hypothesis would write out every array


def decimals(low: int, high: int, places: int) -> st.SearchStrategy[Decimal]:
    """Numbers from `low` to `high` units of a random decimal place."""

    def number(drawn: int) -> Decimal:
        units, place = divmod(drawn, places + 1)
        return Decimal(low + units).scaleb(-place)

    return st.integers(0, (high - low) * (places + 1) + places).map(number)


PRICES = decimals(0, 10**6, 6).filter(lambda price: price < 10**4)
SIGNED = decimals(-(10**5), 10**5, 5)
PERCENTS = decimals(0, 100, 2)
TIMES = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.sampled_from([0, 5, 15, 30, 45]))
HOURS = st.builds("{}-{}".format, TIMES, TIMES | st.just("24:00")).filter(lambda hours: hours[:5] != hours[6:])
DAY_NAMES = ["weekday", "saturday", "sunday", "holiday", "mon", "wed", "fri", "sat", "sun"]


@st.composite
def some_of(draw: st.DrawFn, what: Sequence[Any], chance: int = 2) -> list[Any]:
    """A few of these, or none: one time in `chance` there are some."""
    return draw(st.lists(st.sampled_from(what), max_size=3, unique=True)) if one_in(draw, chance) else []


def one_in(draw: st.DrawFn, chance: int) -> bool:
    """True one time in so many; false is the simpler case."""
    return draw(st.integers(0, chance - 1)) == chance - 1


@st.composite
def conditions(draw: st.DrawFn, seasons: list[str], holidays: bool, events: bool) -> Data:
    """Conditions on time."""
    days = [day for day in DAY_NAMES if holidays or day != "holiday"]
    made = {
        "months": draw(some_of(range(1, 13), 3)),
        "seasons": draw(some_of(seasons, 3)) if seasons else [],
        "days": draw(some_of(days)),
        "hours": draw(st.lists(HOURS, max_size=2)),
        "on_holidays": "as_weekday" if holidays and one_in(draw, 3) else None,
        "event": "critical" if events and one_in(draw, 5) else None,
    }
    return {key: value for key, value in made.items() if value}


@st.composite
def periods(draw: st.DrawFn, seasons: list[str], holidays: bool, events: bool) -> list[Data]:
    """A schedule, the last period of which takes all that is left."""
    when = conditions(seasons, holidays, events)
    made = []
    for name in NAMES[: draw(st.integers(0, 3))]:
        said = {"when": draw(st.lists(when, min_size=1, max_size=2))} if one_in(draw, 5) else draw(when)
        made.append({"name": name, "label": name.title(), **said})
    return [*made, {"name": "rest", "label": "Rest"}]


def rising(draw: st.DrawFn, number: int, low: int = 1, high: int = 10**5) -> list[Decimal]:
    """Limits of tiers."""
    return sorted(draw(st.sets(decimals(low, high, 4), min_size=number, max_size=number)))


@st.composite
def limits(draw: st.DrawFn, number: int, names: list[str], seasons: list[str], forms: list[str]) -> list[Any]:
    """Limits of all tiers but the last: numbers, or tables by season or by period."""
    form = draw(st.sampled_from(forms))
    if form == "season" and seasons:
        each = {season: rising(draw, number) for season in seasons}
        return [{season: of[at] for season, of in each.items()} for at in range(number)]
    if form == "period" and len(names) > 1 and number:
        own = {name: rising(draw, draw(st.integers(0, number))) for name in names}
        own[names[0]] = rising(draw, number)  # else a tier would have no limit
        return [{name: of[at] for name, of in own.items() if at < len(of)} for at in range(number)]
    return rising(draw, number)


@dataclass(frozen=True)
class Frame:
    """What the components of one tariff have to fit."""

    schedules: dict[str | None, list[str]]
    seasons: list[str]
    netting: str
    window: BillingWindow

    def schedule(self, draw: st.DrawFn, *, own: bool = False) -> tuple[Data, list[str]]:
        """A schedule's key, and the names of its periods."""
        name = None if own else draw(st.sampled_from(list(self.schedules)))
        return ({"schedule": name} if name else {}), self.schedules[name]


@st.composite
def energies(draw: st.DrawFn, frame: Frame, measures: str = "import", *, linear: bool = False) -> Data:
    """A component of energy by tiers; `linear`: of one tier."""
    is_net = frame.netting == "month"
    schedule, names = frame.schedule(draw, own=is_net)
    number = 0 if linear else draw(st.integers(0, 3))
    method = draw(st.sampled_from(["graduated", "graduated", "graduated", "volume", "block"])) if not linear else ""
    made: Data = {"kind": "energy", "label": "Energy", "measures": measures, **schedule}
    if measures == "import" and one_in(draw, 6):
        made["credit"] = True
    if number:
        made["tiers_per"] = draw(st.sampled_from(["month", "day", "month", "day", "kW_month", "kW_day"]))
    if method == "block":
        tops = draw(limits(number, names, frame.seasons, ["one", "season"]))
        tiers = [{"up_to": top, "fee": draw(PRICES)} for top in tops] + [{"fee": draw(PRICES)}]
        return {**made, "method": "block", "tiers": tiers}
    if one_in(draw, 4):
        made["factor"] = draw(decimals(1, 20_000, 4))
    meets = ["time", "period"] if method == "volume" else ["time", "time", "share", "period"]
    if is_net and number and len(names) > 1:
        meets = [each for each in meets if each != "time"]
    meet = draw(st.sampled_from(meets)) if number else "time"
    tops = draw(
        limits(number, names, frame.seasons, ["one", "season"] if meet == "share" else ["one", "season", "period"])
    )
    made |= {"order": "share"} if meet == "share" else {"scope": "period"} if meet == "period" else {}
    made |= {"method": "volume"} if method == "volume" else {}
    return {**made, "tiers": draw(price_tiers(tops, names))}


@st.composite
def price_tiers(draw: st.DrawFn, tops: list[Any], names: list[str], named: list[str] | None = None) -> list[Data]:
    """Tiers up to these limits, with one price or one for each period that still has the tier (or is `named`)."""
    tiers: list[Data] = []
    left = named or names
    for top in [*tops, None]:
        is_own = named is not None or len(left) < len(names) or (isinstance(top, dict) and set(top) <= set(names))
        table = {name: draw(PRICES) for name in left}
        price = table if is_own or draw(st.booleans()) else draw(PRICES)
        tiers.append({"price": price, **({} if top is None else {"up_to": top})})
        if isinstance(top, dict) and set(top) <= set(names):
            left = [name for name in left if name in top]
    return tiers


@st.composite
def dynamics(draw: st.DrawFn, frame: Frame, measures: str = "import") -> Data:
    """A component at published prices."""
    schedule, names = frame.schedule(draw)
    numbers = SIGNED | st.fixed_dictionaries(dict.fromkeys(names, SIGNED))
    made: Data = {"kind": "dynamic", "label": "Spot", "measures": measures, "series": "spot", **schedule}
    if draw(st.booleans()):
        made["factor"] = draw(numbers)
    if draw(st.booleans()):
        made["add"] = draw(numbers)
    low, high = sorted([draw(SIGNED), draw(SIGNED)])
    made |= {"cap": high} if one_in(draw, 3) else {}
    made |= {"floor": low} if one_in(draw, 3) else {}
    made |= {"decimals": draw(st.integers(0, 6))} if one_in(draw, 3) else {}
    made |= {"credit": True} if measures == "import" and one_in(draw, 6) else {}
    return made


@st.composite
def baselines(draw: st.DrawFn, frame: Frame) -> Data:
    """A baseline credit."""
    (allowance,) = draw(limits(1, [], frame.seasons, ["one", "season"]))
    return {
        "kind": "baseline_credit",
        "label": "Baseline",
        "credit": draw(PRICES),
        "allowance_per_day": allowance,
    }


@st.composite
def demands(draw: st.DrawFn, frame: Frame) -> Data:
    """A charge for the highest power."""
    schedule, names = frame.schedule(draw)
    made: Data = {"kind": "demand", "label": "Demand", **schedule}
    for key, values in {
        "window_min": st.sampled_from([15, 30, 30, 60, 60, 20]),
        "peaks": st.integers(2, 5),
        "minimum": decimals(1, 10**5, 3),
        "per": st.just("day"),
        "ratchet": ratchets(),
    }.items():
        if draw(st.booleans()):
            made[key] = draw(values)
    method = draw(st.sampled_from(["graduated", "graduated", "volume", "block"]))
    number = draw(st.integers(0, 2))
    if method == "block":
        made.pop("per", None)
        tops = draw(limits(number, names, frame.seasons, ["one"]))
        return {
            **made,
            "method": method,
            "tiers": [*({"up_to": top, "fee": draw(PRICES)} for top in tops), {"fee": draw(PRICES)}],
        }
    tops = draw(limits(number, names, frame.seasons, ["one"]))
    if draw(st.booleans()):
        named = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        tiers = draw(price_tiers(tops, names, named))
    else:
        tiers = [{"up_to": top, "price": draw(PRICES)} for top in tops] + [{"price": draw(PRICES)}]
    return {**made, **({"method": method} if method != "graduated" else {}), "tiers": tiers}


@st.composite
def ratchets(draw: st.DrawFn) -> Data:
    """Looks back on bills before."""
    of_months = draw(some_of(range(1, 13)))
    made = {"percent": draw(PERCENTS), "months": draw(st.integers(1, 4))}
    return {**made, **({"of_months": of_months} if of_months else {})}


@st.composite
def reactives(draw: st.DrawFn, frame: Frame) -> Data:
    """A charge for reactive energy."""
    schedule, names = frame.schedule(draw)
    price = draw(PRICES | st.fixed_dictionaries(dict.fromkeys(names, PRICES)))
    return {"kind": "reactive", "label": "Reactive", "free": draw(decimals(0, 100, 4)), "price": price, **schedule}


@st.composite
def standings(draw: st.DrawFn) -> Data:
    """A fixed charge."""
    per = draw(st.sampled_from(["day", "month", "year"]))
    made = {"kind": "standing", "label": "Standing", "per": per, "price": draw(PRICES)}
    return {**made, **({"credit": True} if one_in(draw, 5) else {})}


@st.composite
def shares(draw: st.DrawFn, kind: str, on: list[str], window: BillingWindow) -> Data:
    """A component that is worked out from the lines above it."""
    chosen = draw(st.lists(st.sampled_from(on), min_size=1, max_size=3, unique=True))
    maybe = {"on": chosen} if draw(st.booleans()) else {}
    if kind == "power_factor":
        below = draw(st.integers(50, 100))
        return {"kind": kind, "label": "Factor", "below": Decimal(below) / 100, "percent": draw(PERCENTS), "on": chosen}
    if kind == "percentage":
        return {"kind": kind, "label": "Rider", "percent": draw(decimals(-100, 1000, 3)), "on": chosen}
    if kind == "minimum":
        per = draw(st.sampled_from(["month", "day", "year"]))
        return {"kind": kind, "label": "Minimum", "amount": draw(PRICES), "per": per, **maybe}
    if kind == "bank":
        made = {"kind": kind, "label": "Bank", "on": chosen}
        made |= {"true_up": draw(true_ups(window))} if draw(st.booleans()) else {}
        return {**made, **({"pays": True} if "true_up" in made and draw(st.booleans()) else {})}
    return {
        "kind": "tax",
        "label": "Tax",
        "percent": draw(PERCENTS),
        **maybe,
        **({"included": True} if one_in(draw, 3) else {}),
    }


#: What a strategy may draw.
EVERYTHING = frozenset(
    ("tiers", "export", "dynamic", "baseline", "demand", "reactive", "standing", "shares", "dates", "netting")
)


@st.composite
def components(draw: st.DrawFn, frame: Frame, features: frozenset[str]) -> list[Data]:
    """The components of a tariff, in an order that holds together."""
    made = [draw(energies(frame, linear="tiers" not in features)) for _ in range(draw(st.integers(1, 2)))]
    is_net = frame.netting == "month"
    if "export" in features and not is_net and not one_in(draw, 3):
        made.append(draw(energies(frame, "export", linear="tiers" not in features)))
    if "dynamic" in features and not is_net and draw(st.booleans()):
        measures = draw(st.sampled_from(["import", "export"] if "export" in features else ["import"]))
        made.append(draw(dynamics(frame, measures)))
    for feature, strategy in (
        ("baseline", baselines(frame)),
        ("demand", demands(frame)),
        ("reactive", reactives(frame)),
        ("standing", standings()),
    ):
        if feature in features:
            made += draw(st.lists(strategy, max_size=2 if feature == "demand" else 1))
    if "dates" in features:
        for each in made:
            if one_in(draw, 4) and not is_net:
                each.update(draw(dates(frame.window)))
    for number, each in enumerate(made):
        if not any(isinstance(table, dict) for table in prices_of(each)):
            each.pop("schedule", None)
        if one_in(draw, 4):
            each["name"] = f"c{number}"
    if "shares" in features:
        kinds = draw(
            st.lists(
                st.sampled_from(["percentage", "minimum", "power_factor", "tax", "bank", "tax"]), min_size=1, max_size=4
            )
        )
        if frame.netting == "month" or kinds.count("bank") > 1:
            kinds = [kind for kind in kinds if kind != "bank"]
        for kind in kinds:
            made.append(draw(shares(kind, above(made), frame.window)))
            if "dates" in features and one_in(draw, 4):
                made[-1] |= draw(dates(frame.window))
    for each in made:
        if one_in(draw, 10):
            each["not_for"] = ["exempt"]
    return made


def prices_of(component: Data) -> list[Any]:
    """All its prices."""
    return [component.get(key) for key in ("price", "factor", "add")] + [
        tier.get("price") for tier in component.get("tiers", ())
    ]


def true_ups(window: BillingWindow) -> st.SearchStrategy[int]:
    """A month, often one of the bill's."""
    return st.sampled_from([window.first.month, (window.end - timedelta(days=1)).month]) | st.integers(1, 12)


def above(made: list[Data]) -> list[str]:
    """What `on` may mean."""
    kinds = {
        "export" if each.get("measures") == "export" else each["kind"].replace("dynamic", "energy") for each in made
    }
    return sorted(kinds | {each["name"] for each in made if "name" in each})


@st.composite
def dates(draw: st.DrawFn, window: BillingWindow) -> Data:
    """A component's own days, about those of a bill."""
    days = st.integers(-1, window.days + 1).map(lambda number: window.first + timedelta(days=number))
    first, until = sorted([draw(days), draw(days)])
    made: Data = {"valid_from": first} if draw(st.booleans()) else {}
    return {**made, **({"valid_until": until} if until > first and draw(st.booleans()) else {})}


@st.composite
def tariffs(draw: st.DrawFn, window: BillingWindow, features: frozenset[str] = EVERYTHING) -> Tariff:
    """A sound tariff."""
    country = draw(st.sampled_from([None, *COUNTRIES]))
    holidays: Data = {"country": country, "observed": draw(st.booleans())} if country else {}
    if country:
        part, days = COUNTRIES[country]
        holidays |= {"subdivision": part} if one_in(draw, 2) else {}
        only = draw(some_of(days, 4)) if "subdivision" in holidays else []
        holidays |= {"only": only} if only else {}
    if one_in(draw, 4):
        holidays["dates"] = [window.first + timedelta(days=draw(st.integers(0, 3)))]
    seasons = SEASONS if draw(st.booleans()) else []
    begins = draw(st.sampled_from([("10-01", "04-01"), ("11-02", "03-30"), ("01-01", "12-31"), ("03-01", "10-26")]))
    netting = (
        draw(st.sampled_from(["none", "none", "interval", "hour", "month", "month"]))
        if "netting" in features
        else "none"
    )
    head: Data = {}
    if seasons:
        head["seasons"] = [
            {"name": name, "label": name.title(), "begins": [begin]}
            for name, begin in zip(seasons, begins, strict=True)
        ]
        head["seasons_by"] = draw(st.sampled_from(["date", "date", "cycle"]))
    if holidays:
        head["holidays"] = holidays
    if netting != "none":
        head["netting"] = netting
    if netting == "month" and draw(st.booleans()):
        head["net_metering"] = {"true_up": draw(true_ups(window))}
        head["net_metering"] |= {"price": draw(PRICES)} if draw(st.booleans()) else {}
    head |= {
        "id": "random",
        "name": "Random",
        "valid_from": date(2020, 1, 1),
        "customer_classes": ["residential", "exempt"],
        "commodity": "electricity",
        "unit": "kWh",
        "currency": draw(st.sampled_from(["EUR", "JPY", "KWD"])),
        "clock": draw(st.sampled_from(CLOCKS)),
    }
    schedule = periods(seasons, bool(holidays), events=True)
    schedules = {None: reachable(draw(schedule), head)}
    if one_in(draw, 3):
        schedules[OTHER] = reachable(draw(schedule), head)
        head["schedules"] = {OTHER: schedules[OTHER]}
    names = {key: [each["name"] for each in of] for key, of in schedules.items()}
    frame = Frame(names, seasons, netting, window)
    made = Tariff.model_validate(
        {**head, "periods": schedules[None], "components": draw(components(frame, features))},
    )
    assume(faults(made) == [])
    return made


def reachable(schedule: list[Data], head: Data) -> list[Data]:
    """Without the periods that no hour is left for."""
    if len(schedule) == 1:
        return schedule
    free = {"kind": "standing", "label": "Nothing", "per": "day", "price": 0}
    made = Tariff.model_validate(
        {**head, "netting": "none", "net_metering": None, "periods": schedule, "components": [free]}
    )
    never = {fault.where for fault in faults(made) if "never reached" in fault.found}
    return [each for at, each in enumerate(schedule) if f"periods[{at}]" not in never]


@st.composite
def windows(draw: st.DrawFn, most_days: int = 4) -> BillingWindow:
    """A few days about clock changes and ends of months, worth what the calendar says or something else."""
    first = draw(st.sampled_from(DAYS)) - timedelta(days=draw(st.integers(0, 2)))
    months = draw(st.sampled_from([None, None, Fraction(1), Fraction(1, 3), Fraction(45, 30)]))
    cycle = draw(st.sampled_from([None, None, date(2025, 1, 1), date(2025, 7, 1)]))
    end = first + timedelta(days=draw(st.integers(1, most_days)))
    return BillingWindow(first, end, ZoneInfo(draw(st.sampled_from(ZONES))), months, cycle)


LARGEST = st.sampled_from([900, 20_000, 3, 500, 10**6, 1, 10**12, 0])


def random_reads(seed: int, shape: tuple[int, int], largest: int) -> np.ndarray:
    """Whole numbers from nothing to `largest`, a third of them nothing."""
    random = np.random.default_rng(seed)
    return random.integers(0, largest, shape, endpoint=True) * (random.integers(0, 3, shape) > 0)


@st.composite
def uses(draw: st.DrawFn, window: BillingWindow, interval_s: int) -> Use:
    """Reads of a few customers; now and then without export or reactive reads."""
    shape = (CUSTOMERS, int((_midnight(window, window.end) - _midnight(window, window.first)) // interval_s))
    seed, largest = draw(st.integers(0, 2**32)), draw(LARGEST)
    return Use(
        interval_s,
        random_reads(seed, shape, largest),
        None if one_in(draw, 30) else random_reads(seed + 1, shape, draw(LARGEST)),
        None if one_in(draw, 30) else random_reads(seed + 2, shape, min(draw(LARGEST), largest * 3)),
        random_reads(seed + 3, shape, 1) > 0 if draw(st.booleans()) else None,
    )


@st.composite
def markets(draw: st.DrawFn, window: BillingWindow, currency: str) -> Market:
    """Hourly prices about a bill, one of them perhaps missing, and critical events."""
    begin = _midnight(window, window.first) // 3600 * 3600
    hours = (_midnight(window, window.end) - begin) // 3600 + 1
    length = draw(st.sampled_from([3600, 3600, 1800, 900]))
    starts = np.arange(begin, begin + 3600 * hours, length, dtype=np.int64)
    scale = draw(st.integers(0, 8))
    prices = np.random.default_rng(draw(st.integers(0, 2**32))).integers(-(10**5), 10**5, len(starts))
    there = np.ones(len(starts), dtype=bool)
    if one_in(draw, 12):
        there[draw(st.integers(0, len(starts) - 1))] = False
    spot = PriceSeries(
        "spot",
        "USD" if one_in(draw, 20) else currency,
        "kWh",
        starts[there],
        starts[there] + length,
        prices[there],
        scale,
    )
    cuts = sorted(draw(st.sets(st.integers(0, int(hours) * 4), max_size=6)))
    spans = tuple((begin + 900 * a, begin + 900 * b) for a, b in zip(cuts[::2], cuts[1::2], strict=False))
    return Market({"spot": spot}, {"critical": Events("critical", spans)})


@st.composite
def carried_over(draw: st.DrawFn, tariff: Tariff) -> Carried:
    """What bills before left over."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    peaks = {}
    for place, component in enumerate(tariff.components):
        if isinstance(component, Demand):
            lines = demand_lines(tariff, component)
            months = draw(st.lists(st.integers(1, 12), max_size=5))
            peaks[place] = tuple(Peaks(month, random.integers(0, 10**5, (CUSTOMERS, lines))) for month in months)
    energy = random.integers(0, 10**5, (CUSTOMERS, len(tariff.periods))) if draw(st.booleans()) else None
    amounts, exact = random.integers(0, 10**4, CUSTOMERS), random.integers(0, 10**8, CUSTOMERS)
    credit = Credit(amounts, exact, draw(st.integers(0, 6))) if draw(st.booleans()) else None
    return Carried(
        peaks,
        energy if tariff.netting == "month" else None,
        credit if any(each.kind == "bank" for each in tariff.components) else None,
    )


def demand_lines(tariff: Tariff, component: Demand) -> int:
    """How many peaks it has: one, or one for each period that is named."""
    tables = [tier.price for tier in component.tiers if isinstance(tier.price, dict)]
    return len({name for table in tables for name in table}) if tables else 1


@st.composite
def cases(draw: st.DrawFn, features: frozenset[str] = EVERYTHING, most_days: int = 4) -> Case:
    """Everything at once."""
    window = draw(windows(most_days))
    tariff = draw(tariffs(window, features))
    # Lord Howe's clocks change by half an hour.
    is_whole = window.zone != ZoneInfo("Australia/Lord_Howe")
    interval_s = draw(st.sampled_from([1800, 1800, 900, 600, *([3600] if is_whole else [])]))
    return Case(
        tariff,
        window,
        draw(uses(window, interval_s)),
        draw(markets(window, tariff.currency)),
        draw(carried_over(tariff)),
        draw(st.sampled_from([None, None, "residential", "exempt"])),
    )


def _midnight(window: BillingWindow, day: date) -> int:
    return int(datetime.combine(day, time(), window.zone).astimezone(UTC).timestamp())
