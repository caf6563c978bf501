"""Rates of the OpenEI Utility Rate Database, API version 8, as tariffs.

Whatever changes a bill is either expressed or refused by name, so that no import charges for part of a rate. Keys that
only describe are left out; an unknown key is refused if a number stands in it, because that might be money.

A rate sorts the hours of a weekday and of a weekend day of each month into periods by number, and has the prices of
each period beside. Here a period of the rate becomes a period of the tariff, `period_1` being number 0, which is how
the database's own pages count.

References
----------
OpenEI, "Utility Rates API, version 8", https://openei.org/services/doc/rest/util_rates/?version=8. Where it says
nothing, NREL's System Advisor Model is followed (`cmod_utilityrate5`, `lib_utility_rate_equations`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from headend.errors import InvalidTariff
from headend.tariffs.check import examine_text
from headend.tariffs.format.schema import Tariff
from headend.tariffs.money import plain

Json = dict[str, Any]
#: Number of the period in each hour of a month's day (12, 24).
Schedule = tuple[tuple[int, ...], ...]

# What says which rate it is, whom it is for, or where it was found: nothing of it is on a bill. `fixedchargeeaaddl` is
# for the second meter on, and a usage point has one.
_DESCRIPTION = """
label uri utility eiaid name approved is_default startdate enddate supercedes supersedes sector servicetype
description source sourceparent basicinformationcomments peakkwcapacitymin peakkwcapacitymax peakkwcapacityhistory
demandunits peakkwhusagemin peakkwhusagemax peakkwhusagehistory voltageminimum voltagemaximum voltagecategory
phasewiring demandcomments energycomments country revisions version latest_update fixedchargeeaaddl
"""
_DESCRIBES = frozenset(_DESCRIPTION.split())
_CHARGE = """
energyratestructure energyweekdayschedule energyweekendschedule fueladjustmentsmonthly dgrules usenetmetering
demandratestructure demandweekdayschedule demandweekendschedule demandrateunit
flatdemandstructure flatdemandmonths flatdemandunit
demandwindow demandratchetpercentage demandreactivepowercharge lookbackpercent lookbackmonths lookbackrange
coincidentratestructure coincidentrateschedule coincidentschedule coincidentrateunit
fixedchargefirstmeter fixedchargeunits fixedmonthlycharge
mincharge minchargeunits minmonthlycharge annualmincharge
energyattrs demandattrs fixedattrs
"""
_CHARGES = frozenset(_CHARGE.split())
_TIERS_PER = {"kwh": "month", "kwh daily": "day", "kwh/kw": "kW_month", "kwh/kw daily": "kW_day"}
_PER = {"$/day": "day", "$/month": "month", "$/year": "year"}
_DG_RULES = ("Net Metering", "Net Billing Instantaneous", "Net Billing Hourly", "Buy All Sell All")
_IN_DOLLARS = frozenset(("USA", "US", "UNITED STATES", "PRI", "VIR", "GUM", "ASM", "MNP"))
_SECTORS = ("residential", "commercial", "industrial", "lighting")
_WINDOWS = (5, 10, 15, 20, 30, 60)

# Before the database's oldest rates: the first day of one that does not say.
_ALWAYS = date(1970, 1, 1)
# A limit as large as this is the database's way to write none.
_NO_LIMIT = Decimal("1e37")
_DECIMALS = Decimal("1e-10")
# A lookback by calendar months looks at the year that ends with the bill.
_MONTHS_BEFORE = 11


def tariff_from_urdb(text: str, source: str) -> Tariff:
    """The tariff that a rate of the database describes.

    Parameters
    ----------
    text
        JSON of one rate, or the API's answer `{"items": [rate]}`.
    source
        the file's name, for messages.

    Raises
    ------
    InvalidTariff
        names the key: it is malformed, or a charge that the tariff format does not know.
    """
    rate = _Rate(source, _one_rate(text, source))
    _refuse_unknown(rate)
    main, energy = _energy(rate)
    fuel_periods, fuel = _fuel(rate)
    demand_periods, demand = _demand(rate)
    components = [*energy, *fuel, *demand, *_standing(rate), *_minimum(rate)]
    if not components:
        raise rate.wrong("energyratestructure", None, "a rate that charges for something")
    data: Json = {
        **_head(rate),
        "netting": _netting(rate),
        **({"periods": main} if main else {}),
        "schedules": {**fuel_periods, **demand_periods},
        "components": components,
    }
    tariff, found = examine_text(json.dumps(data, default=_as_text), source, is_json=True)
    if tariff is None:
        raise InvalidTariff(found[0].where, found[0].found, found[0].expected)
    return tariff


def _as_text(value: date | Decimal) -> str:
    return plain(value) if isinstance(value, Decimal) else value.isoformat()


@dataclass(frozen=True, slots=True)
class _Rate:
    """A rate by its keys, in small letters."""

    source: str
    keys: Mapping[str, Any]

    def wrong(self, key: str, found: Any, expected: str) -> InvalidTariff:
        """What is wrong with a key."""
        return InvalidTariff(f"{self.source}: {key}", "nothing" if found is None else _shown(found), expected)

    def has(self, key: str) -> bool:
        """Whether the key says something."""
        return self.keys.get(key) not in (None, "", [])

    def number(self, key: str) -> Decimal:
        """The number there, 0 if there is none."""
        return self.as_number(key, self.keys[key]) if self.has(key) else Decimal(0)

    def as_number(self, key: str, value: Any) -> Decimal:
        """A value as a price or limit."""
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self.wrong(key, value, "a number")
        number = Decimal(value)
        if abs(number) >= Decimal("1e12"):
            raise self.wrong(key, value, "a number below 10^12")
        # Programs that count in binary fractions write 0.07 as 0.06999999999999999 now and then.
        kept = number.quantize(_DECIMALS, ROUND_HALF_EVEN)
        if abs(kept - number) > abs(number) * Decimal("1e-14"):
            raise self.wrong(key, value, "a number of at most 10 decimals")
        return kept.normalize() + 0

    def choice(self, key: str, choices: Iterable[str]) -> str:
        """The text there, which is one of `choices`."""
        value = self.keys.get(key)
        if value not in (known := tuple(choices)):
            raise self.wrong(key, value, " or ".join(known))
        return str(value)

    def rows(self, key: str, length: int, of_what: str) -> list[Any]:
        """The list there, which has a value for each of so many things."""
        value = self.keys.get(key)
        if not isinstance(value, list):
            raise self.wrong(key, value, f"a list of {length}, one for each {of_what}")
        return self.sized(key, value, length, of_what)

    def sized(self, key: str, value: Any, length: int, of_what: str) -> list[Any]:
        """A list of so many things."""
        if not isinstance(value, list) or len(value) != length:
            found = f"{len(value)} values" if isinstance(value, list) else _shown(value)
            raise InvalidTariff(f"{self.source}: {key}", found, f"{length}, one for each {of_what}")
        return value


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        text = json.dumps(value, default=float, ensure_ascii=False)
    else:
        text = repr(value) if isinstance(value, str | bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _one_rate(text: str, source: str) -> Json:
    try:
        data = json.loads(text, parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_small_keys)
    except (ValueError, RecursionError) as error:
        raise InvalidTariff(source, str(error) or "nesting without end", "JSON of the Utility Rate Database") from None
    if isinstance(data, dict) and isinstance(data.get("items"), list):
        items = data["items"]
        if len(items) != 1:
            raise InvalidTariff(f"{source}: items", f"{len(items)} rates", "one rate")
        data = items[0]
    if not isinstance(data, dict):
        raise InvalidTariff(source, _shown(data), "one rate, a JSON object")
    return data


def _small_keys(pairs: list[tuple[str, Any]]) -> Json:
    # The documentation writes lookbackPercent, the API lookbackpercent.
    data: Json = {}
    for key, value in pairs:
        if key.lower() in data:
            raise ValueError(f"the key {key!r} twice")
        data[key.lower()] = value
    return data


def _no_number(word: str) -> Any:
    raise ValueError(f"{word}, which is no number")


def _refuse_unknown(rate: _Rate) -> None:
    for key, value in rate.keys.items():
        if key in _DESCRIBES or not rate.has(key):
            continue
        if key in ("energyattrs", "demandattrs", "fixedattrs"):
            if any(character.isdigit() for character in json.dumps(value, default=str)):
                raise rate.wrong(key, value, "attributes without numbers; these may be charges")
        elif key not in _CHARGES and _has_number(value):
            raise rate.wrong(key, value, "a key of the Utility Rate Database; this may be a charge")
    for key in ("demandratchetpercentage", "coincidentratestructure"):
        if _has_amount(rate.keys.get(key)):
            raise rate.wrong(key, rate.keys[key], _INEXPRESSIBLE[key])
    for key in ("demandreactivepowercharge", "annualmincharge"):
        if rate.number(key):
            raise rate.wrong(key, rate.keys[key], _INEXPRESSIBLE[key])


_ONE_BILL = "a minimum is for each bill, not for a year's bills together"
_INEXPRESSIBLE = {
    "demandratchetpercentage": "none, or zeros: it does not say how far it looks back; lookbackpercent with "
    "lookbackrange or lookbackmonths does",
    "coincidentratestructure": "none, or zeros: when the system peaks is not known beforehand",
    "demandreactivepowercharge": "none, or 0: tariffs charge reactive energy, not reactive power",
    "annualmincharge": f"none, or 0: {_ONE_BILL}",
}


def _has_number(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_number, value.values() if isinstance(value, dict) else value))
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _has_amount(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_amount, value.values() if isinstance(value, dict) else value))
    return value not in (None, 0, "", False)


def _head(rate: _Rate) -> Json:
    name = rate.keys.get("name") or rate.keys.get("label")
    if not isinstance(name, str) or not (slug := re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")):
        raise rate.wrong("name", name, "the rate's name")
    country = rate.keys.get("country") or "USA"
    if str(country).upper() not in _IN_DOLLARS:
        raise rate.wrong("country", country, "USA, where prices are in dollars")
    sector = str(rate.keys.get("sector") or "").lower()
    return {
        "id": slug[:64].strip("-"),
        "name": name.strip()[:200],
        "valid_from": _valid_from(rate),
        "customer_classes": (sector,) if sector in _SECTORS else _SECTORS[:3],
        "commodity": "electricity",
        "unit": "kWh",
        "currency": "USD",
    }


def _valid_from(rate: _Rate) -> date:
    value = rate.keys.get("startdate")
    if value is None:
        return _ALWAYS
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 10**11:
        raise rate.wrong("startdate", value, "seconds since 1970")
    # Stamps are midnight in America, some hours later in UTC and of the same date.
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)).date()


@dataclass(frozen=True, slots=True)
class _Step:
    """One tier of one period of the rate."""

    up_to: Decimal | None
    price: Decimal
    sell: Decimal
    unit: str


#: Tiers of each period that a schedule uses, by its number.
_Ladders = dict[int, list[_Step]]


def _ladders(rate: _Rate, key: str, used: Iterable[int], units: Mapping[str, Any]) -> _Ladders:
    """The tiers of the periods in use; raises `InvalidTariff` unless each ends with one that has no limit."""
    ladders = {}
    for number in sorted(set(used)):
        where = f"{key}[{number}]"
        tiers = rate.keys[key][number]
        if not isinstance(tiers, list) or not tiers:
            raise rate.wrong(where, tiers, "a list of tiers")
        steps = [_step(rate, f"{where}[{at}]", tier, units) for at, tier in enumerate(tiers)]
        reached = Decimal(0)
        for at, step in enumerate(steps[:-1]):
            if step.up_to is None:
                raise rate.wrong(f"{where}[{at}].max", None, "a limit in every tier but the last")
            if step.up_to <= reached:
                raise rate.wrong(f"{where}[{at}].max", step.up_to, f"more than {reached:f}")
            reached = step.up_to
        if steps[-1].up_to is not None:
            raise rate.wrong(f"{where}[{len(steps) - 1}].max", steps[-1].up_to, "no limit in the last tier")
        ladders[number] = steps
    return ladders


def _step(rate: _Rate, where: str, tier: Any, units: Mapping[str, Any]) -> _Step:
    if not isinstance(tier, dict):
        raise rate.wrong(where, tier, "a tier with a rate")
    for key, value in tier.items():
        if key not in ("rate", "adj", "sell", "max", "unit") and _has_amount(value):
            raise rate.wrong(f"{where}.{key}", value, "rate, adj, sell, max or unit")
    if tier.get("rate") is None and tier.get("adj") is None:
        raise rate.wrong(f"{where}.rate", None, "a rate")
    numbers = {
        key: Decimal(0) if tier.get(key) is None else rate.as_number(f"{where}.{key}", tier[key])
        for key in ("rate", "adj", "sell")
    }
    price = numbers["rate"] + numbers["adj"]
    for name, number in (("rate", price), ("sell", numbers["sell"])):
        if number < 0:
            raise rate.wrong(f"{where}.{name}", number, "a price of 0 or more, adj included")
    up_to = tier.get("max")
    if isinstance(up_to, int | Decimal) and not isinstance(up_to, bool) and up_to >= _NO_LIMIT:
        up_to = None
    if up_to is not None and (up_to := rate.as_number(f"{where}.max", up_to)) <= 0:
        raise rate.wrong(f"{where}.max", up_to, "more than 0")
    unit = tier.get("unit") or next(iter(units))
    if not isinstance(unit, str) or unit.lower() not in units:
        raise rate.wrong(f"{where}.unit", unit, " or ".join(units))
    return _Step(up_to, price, numbers["sell"], unit.lower())


def _structure(rate: _Rate, key: str) -> int:
    """How many periods a structure has."""
    value = rate.keys.get(key)
    if not isinstance(value, list) or not value:
        raise rate.wrong(key, value, "a list of periods")
    return len(value)


def _schedule(rate: _Rate, key: str, structure: str) -> Schedule:
    n = _structure(rate, structure)
    months = rate.rows(key, 12, "month")
    return tuple(
        tuple(
            _period(rate, f"{key}[{month}][{hour}]", value, structure, n)
            for hour, value in enumerate(rate.sized(f"{key}[{month}]", row, 24, "hour"))
        )
        for month, row in enumerate(months)
    )


def _period(rate: _Rate, where: str, value: Any, structure: str, n: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < n:
        raise rate.wrong(where, value, f"a period of {structure}, 0 to {n - 1}")
    return value


def _periods(weekday: Schedule, weekend: Schedule) -> list[Json]:
    """The periods of a schedule, the one with the most hours last and for all others; none, if there is only one."""
    hours = {
        number: sum(5 * row.count(number) for row in weekday) + sum(2 * row.count(number) for row in weekend)
        for number in _used(weekday, weekend)
    }
    if len(hours) == 1:
        return []
    rest = max(hours, key=lambda number: (hours[number], number))
    periods = []
    for number in sorted(hours, key=lambda number: (number == rest, number)):
        when = [] if number == rest else _when(number, weekday, weekend)
        conditions = when[0] if len(when) == 1 else {"when": when} if when else {}
        periods.append({"name": _name(number), "label": f"Period {number + 1}", **conditions})
    return periods


def _used(*schedules: Schedule) -> set[int]:
    return {number for schedule in schedules for row in schedule for number in row}


def _name(number: int) -> str:
    return f"period_{number + 1}"


def _when(number: int, weekday: Schedule, weekend: Schedule) -> list[Json]:
    """When a period holds: months with the same hours are one condition."""
    groups: dict[tuple[str, ...], dict[str, list[int]]] = {}
    for days, schedule in (("weekday", weekday), ("weekend", weekend)):
        for month, row in enumerate(schedule, 1):
            if hours := _hours(number, row):
                groups.setdefault(hours, {}).setdefault(days, []).append(month)
    conditions = []
    for hours, months_of in groups.items():
        always = months_of.get("weekday") == months_of.get("weekend")
        for days, months in (("both", months_of["weekday"]),) if always else months_of.items():
            conditions.append(
                {
                    **({"months": months} if len(months) < 12 else {}),
                    **({"days": _DAYS[days]} if days in _DAYS else {}),
                    **({"hours": hours} if hours != ("00:00-24:00",) else {}),
                }
            )
    return conditions


_DAYS = {"weekday": ["weekday"], "weekend": ["saturday", "sunday"]}


def _hours(number: int, row: Sequence[int]) -> tuple[str, ...]:
    """The hours of a day in which a period holds, as ranges; one over midnight is one range."""
    begins = [hour for hour in range(24) if row[hour] == number and row[hour - 1] != number]
    if not begins:
        return ("00:00-24:00",) if row[0] == number else ()
    ranges = []
    for begin in begins:
        end = next(hour for hour in range(begin + 1, begin + 25) if row[hour % 24] != number)
        ranges.append(f"{begin:02}:00-{end % 24 or 24:02}:00")
    return tuple(ranges)


def _by_period(values: Mapping[int, Decimal], one: bool) -> Any:
    """One value, or a table of them by period."""
    return next(iter(values.values())) if one else {_name(number): value for number, value in values.items()}


def _tiers(ladders: _Ladders) -> list[Json]:
    tiers = []
    for at in range(max(map(len, ladders.values()))):
        steps = {number: steps[at] for number, steps in ladders.items() if at < len(steps)}
        limits = {number: step.up_to for number, step in steps.items() if step.up_to is not None}
        prices = {number: step.price for number, step in steps.items()}
        tier: Json = {"price": _by_period(prices, len(ladders) == 1)}
        if limits:
            same = len(limits) == len(ladders) and len(set(limits.values())) == 1
            tier = {"up_to": _by_period(limits, same), **tier}
        tiers.append(tier)
    return tiers


def _energy(rate: _Rate) -> tuple[list[Json], list[Json]]:
    """The tariff's own periods, and the components for import and export."""
    key = "energyratestructure"
    if not rate.has(key):
        for schedule in ("energyweekdayschedule", "energyweekendschedule", "dgrules", "fueladjustmentsmonthly"):
            if _has_amount(rate.keys.get(schedule)):
                raise rate.wrong(key, None, f"a list of periods, as there is {schedule}")
        return [], []
    weekday = _schedule(rate, "energyweekdayschedule", key)
    weekend = _schedule(rate, "energyweekendschedule", key)
    ladders = _ladders(rate, key, _used(weekday, weekend), _TIERS_PER)
    netting = _netting(rate)
    charge = {"kind": "energy", "label": "Energy", **_ladder(rate, key, ladders)}
    if netting == "month":
        _refuse_stranded(rate, weekday, weekend)
        if len(ladders) > 1 and len(charge["tiers"]) > 1:
            charge["order"] = "share"
    sells = any(step.sell for steps in ladders.values() for step in steps)
    if not sells:
        return _periods(weekday, weekend), [charge]
    if netting == "month":
        raise rate.wrong(f"{key}: sell", "prices", "none with net metering, which credits kWh")
    sold = {number: [_Step(s.up_to, s.sell, s.sell, s.unit) for s in steps] for number, steps in ladders.items()}
    if all(len({step.price for step in steps}) == 1 for steps in sold.values()):
        sold = {number: [_Step(None, steps[0].price, steps[0].price, "kwh")] for number, steps in sold.items()}
    export = {"kind": "energy", "label": "Export", "measures": "export", **_ladder(rate, key, sold)}
    return _periods(weekday, weekend), [charge, export]


def _ladder(rate: _Rate, key: str, ladders: _Ladders) -> Json:
    tiers = _tiers(ladders)
    if len(tiers) == 1:
        return {"tiers": tiers}
    units = sorted({step.unit for steps in ladders.values() if len(steps) > 1 for step in steps})
    if len(units) > 1:
        raise rate.wrong(f"{key}: unit", " and ".join(units), "one unit for all limits")
    if "/kw" in units[0] and rate.number("demandwindow"):
        raise rate.wrong("demandwindow", rate.keys["demandwindow"], f"none with {units[0]}: the interval of the reads")
    return {"tiers_per": _TIERS_PER[units[0]], "tiers": tiers}


def _rule(rate: _Rate) -> str | None:
    """What is done with energy fed in. None: nothing is said, and it earns what it is sold for, if anything."""
    if rate.has("dgrules"):
        return rate.choice("dgrules", _DG_RULES)
    uses = rate.keys.get("usenetmetering")
    if uses not in (None, True, False, ""):
        raise rate.wrong("usenetmetering", uses, "true or false")
    return "Net Metering" if uses else None


def _netting(rate: _Rate) -> str:
    rule = _rule(rate)
    return "month" if rule == "Net Metering" else "hour" if rule == "Net Billing Hourly" else "none"


def _refuse_stranded(rate: _Rate, weekday: Schedule, weekend: Schedule) -> None:
    """Raise where a period that a month does not have could keep the surplus of another month."""
    used = [set(weekday[month]) | set(weekend[month]) for month in range(12)]
    if any(its != used[0] for its in used):
        rule = "dgrules" if rate.has("dgrules") else "usenetmetering"
        raise rate.wrong(
            rule,
            rate.keys[rule],
            "the same periods in every month with net metering: the rate does not say where a period's surplus goes "
            "in a month that does not have it",
        )


def _fuel(rate: _Rate) -> tuple[dict[str, list[Json]], list[Json]]:
    """Adjustments by month, on every unit taken."""
    key = "fueladjustmentsmonthly"
    if not _has_amount(rate.keys.get(key)):
        return {}, []
    rows = rate.rows(key, 12, "month")
    values = [rate.as_number(f"{key}[{month}]", value or 0) for month, value in enumerate(rows)]
    kinds = sorted(set(values))
    months = tuple((kinds.index(value),) * 24 for value in values)
    periods = _periods(months, months)
    if periods and _netting(rate) == "month":
        raise rate.wrong(key, rows, "the same in every month with net metering")
    components = []
    for label, sign in (("Fuel adjustment", 1), ("Fuel adjustment, credit", -1)):
        ladders = {
            number: [_Step(None, max(Decimal(0), sign * kind), Decimal(0), "kwh")] for number, kind in enumerate(kinds)
        }
        if any(steps[0].price for steps in ladders.values()):
            components.append(
                {
                    "kind": "energy",
                    "label": label,
                    **({"credit": True} if sign < 0 else {}),
                    **({"schedule": "fuel"} if periods else {}),
                    "tiers": _tiers(ladders),
                }
            )
    return ({"fuel": periods} if periods else {}), components


def _demand(rate: _Rate) -> tuple[dict[str, list[Json]], list[Json]]:
    """Demand by hours and demand by months, each with its schedule."""
    schedules: dict[str, list[Json]] = {}
    components = []
    for name, label, structure, unit in (
        ("demand", "Demand", "demandratestructure", "demandrateunit"),
        ("flat_demand", "Demand, all hours", "flatdemandstructure", "flatdemandunit"),
    ):
        if not _has_amount(rate.keys.get(structure)):
            continue
        if name == "demand":
            weekday = _schedule(rate, "demandweekdayschedule", structure)
            weekend = _schedule(rate, "demandweekendschedule", structure)
        else:
            n, rows = _structure(rate, structure), rate.rows("flatdemandmonths", 12, "month")
            numbers = (_period(rate, f"flatdemandmonths[{at}]", row, structure, n) for at, row in enumerate(rows))
            weekday = weekend = tuple((number,) * 24 for number in numbers)
        ladders = _ladders(rate, structure, _used(weekday, weekend), {"kw": None})
        if not any(step.price for steps in ladders.values() for step in steps):
            continue
        if str(rate.keys.get(unit) or "kW").lower() != "kw":
            raise rate.wrong(unit, rate.keys[unit], "kW")
        periods = _periods(weekday, weekend)
        if periods:
            schedules[name] = periods
        components.append(
            {
                "kind": "demand",
                "label": label,
                **({"schedule": name} if periods else {}),
                **_window(rate),
                **_ratchet(rate, structure, several=bool(periods)),
                "tiers": _tiers(ladders),
            }
        )
    return schedules, components


def _window(rate: _Rate) -> Json:
    minutes = rate.number("demandwindow")
    if minutes and minutes not in _WINDOWS:
        raise rate.wrong("demandwindow", rate.keys["demandwindow"], f"{', '.join(map(str, _WINDOWS))} minutes")
    return {"window_min": int(minutes)} if minutes else {}


def _ratchet(rate: _Rate, structure: str, *, several: bool) -> Json:
    share = rate.number("lookbackpercent")
    if not share:
        return {}
    if not 0 < share <= 1:
        raise rate.wrong("lookbackpercent", rate.keys["lookbackpercent"], "a share from 0 to 1")
    if several:
        raise rate.wrong("lookbackpercent", rate.keys["lookbackpercent"], f"one period in {structure} with a lookback")
    months = []
    if rate.has("lookbackmonths"):
        rows = rate.rows("lookbackmonths", 12, "month")
        for at, on in enumerate(rows):
            if on not in (True, False):
                raise rate.wrong(f"lookbackmonths[{at}]", on, "true or false")
        months = [month for month, on in enumerate(rows, 1) if on]
    span = rate.number("lookbackrange")
    if bool(span) == bool(months) or span < 0 or span % 1:
        expected = "a whole number of months, or else lookbackmonths with one that is true"
        raise rate.wrong("lookbackrange", rate.keys.get("lookbackrange"), expected)
    ratchet: Json = {"percent": 100 * share, "months": int(span) or _MONTHS_BEFORE}
    return {"ratchet": {**ratchet, "of_months": months} if months and len(months) < 12 else ratchet}


def _standing(rate: _Rate) -> list[Json]:
    charges = [("fixedmonthlycharge", "month")]
    if rate.number("fixedchargefirstmeter"):
        charges.append(("fixedchargefirstmeter", _PER[rate.choice("fixedchargeunits", _PER)]))
    amounts = [(key, per, rate.number(key)) for key, per in charges if rate.number(key)]
    if len(amounts) > 1:
        raise rate.wrong("fixedmonthlycharge", rate.keys["fixedmonthlycharge"], "none beside fixedchargefirstmeter")
    return [
        {
            "kind": "standing",
            "label": "Fixed charge",
            "per": per,
            "price": abs(amount),
            **({"credit": True} if amount < 0 else {}),
        }
        for _, per, amount in amounts
    ]


def _minimum(rate: _Rate) -> list[Json]:
    amounts = [("minmonthlycharge", "month")]
    if rate.number("mincharge"):
        if rate.choice("minchargeunits", _PER) == "$/year":
            raise rate.wrong("minchargeunits", "$/year", f"$/month or $/day: {_ONE_BILL}")
        amounts.append(("mincharge", _PER[rate.keys["minchargeunits"]]))
    found = [(key, per, rate.number(key)) for key, per in amounts if rate.number(key)]
    if len(found) > 1:
        raise rate.wrong("minmonthlycharge", rate.keys["minmonthlycharge"], "none beside mincharge")
    for key, _, amount in found:
        if amount < 0:
            raise rate.wrong(key, amount, "0 or more")
    return [{"kind": "minimum", "label": "Minimum", "amount": amount, "per": per} for _, per, amount in found]
