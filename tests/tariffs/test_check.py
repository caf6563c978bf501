"""Wrong tariff files: each finding names file and key, what stands there and what was expected."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from headend.errors import InvalidTariff
from headend.tariffs import Tariff, check_tariff, load_tariff
from headend.tariffs.check import examine_text, faults, notes, prices_beyond, told_apart_faults

from .make import energy, period, standing, tariff, tax, tier

GOOD = """
id = "case"
name = "Case"
valid_from = 2025-01-01
customer_classes = ["residential"]
commodity = "electricity"
unit = "kWh"
currency = "EUR"

[holidays]
country = "DE"

[[periods]]
name = "peak"
label = "Peak"
days = ["weekday"]
hours = ["16:00-21:00"]

[[periods]]
name = "rest"
label = "Rest"

[[components]]
kind = "energy"
label = "Energy"
tiers_per = "day"
tiers = [
  { up_to = 12, price = { peak = 0.39, rest = 0.27 } },
  { price = 0.41 },
]

[[components]]
kind = "baseline_credit"
label = "Baseline"
credit = 0.04
allowance_per_day = 5

[[components]]
kind = "tax"
label = "VAT"
percent = 19
"""

BAD = [
    ('id = "case"\n', "", "id: found nothing, expected a value"),
    (
        'name = "Case"',
        'name = "Case"\ncolour = "red"',
        "colour: found an unknown key, expected a key of the tariff format",
    ),
    ('name = "Case"', 'name = ""', "name: found '', expected text"),
    ('id = "case"', 'id = "A case"', "id: found 'A case', expected small letters, digits, - and _, such as off_peak"),
    ("2025-01-01", '"soon"', "valid_from: found 'soon', expected a date such as 2025-01-01"),
    ("2025-01-01", "2025", "valid_from: found 2025, expected a date such as 2025-01-01"),
    ('"kWh"', '"m³"', "unit: found 'm³', expected kWh for electricity"),
    ('"electricity"', '"steam"', "commodity: found 'steam', expected 'electricity', 'gas', 'water' or 'heat'"),
    ('"EUR"', '"EUX"', "currency: found 'EUX', expected an ISO 4217 currency such as EUR"),
    ('["residential"]', "[]", "customer_classes: found [], expected at least one"),
    ('["residential"]', '"residential"', "customer_classes: found 'residential', expected a list"),
    (
        '"EUR"',
        '"EUR"\nclock = "Mars/Olympus"',
        "clock: found 'Mars/Olympus', expected local, UTC or an IANA time zone such as Europe/Berlin",
    ),
    ('"DE"', '"XX"', "holidays.country: found 'XX', expected a country code such as DE"),
    ('"DE"', '"PT"\nsubdivision = "ZZ"', "holidays.subdivision: found 'ZZ', expected one of PT: "),
    ('"DE"', '"DE"\nobserved = "yes"', "holidays.observed: found 'yes', expected true or false"),
    (
        '["weekday"]',
        '["workday"]',
        "periods[0].days[0]: found 'workday', expected weekday, saturday, sunday, holiday, "
        "mon, tue, wed, thu, fri, sat or sun",
    ),
    (
        "16:00-21:00",
        "16-21",
        "periods[0].hours[0]: found '16-21', expected hours such as 07:00-20:00, from 00:00 to 24:00",
    ),
    ("16:00-21:00", "16:00-16:00", "periods[0].hours[0]: found '16:00-16:00', expected hours such as"),
    ("16:00-21:00", "24:00-05:00", "periods[0].hours[0]: found '24:00-05:00', expected hours such as"),
    (
        '["16:00-21:00"]',
        '["16:00-21:00"]\nmonths = [13]',
        "periods[0].months[0]: found 13, expected less than or equal to 12",
    ),
    ('["16:00-21:00"]', '["16:00-21:00"]\nmonths = [1.5]', "periods[0].months[0]: found 1.5, expected a whole number"),
    ('name = "rest"', 'name = "peak"', "periods[1].name: found 'peak', expected a name that no other period has"),
    (
        'label = "Rest"',
        'label = "Rest"\nmonths = [1]',
        "periods: found no period for Feb-Dec, Mon-Fri, 21:00-16:00; Feb-Dec, Sat-Sun and holidays, "
        "expected every hour of the year in a period",
    ),
    (
        'days = ["weekday"]\nhours = ["16:00-21:00"]',
        "",
        "periods[1]: found 'rest' never reached, expected hours that no earlier period takes",
    ),
    (
        ", rest = 0.27",
        "",
        "components[0].tiers[0].price.rest: found nothing, expected a price for period 'rest'",
    ),
    (
        "rest = 0.27",
        "rest = 0.27, night = 1",
        "components[0].tiers[0].price.night: found an unknown period, expected one of peak, rest",
    ),
    ("rest = 0.27", 'rest = "0,27"', "components[0].tiers[0].price.rest: found '0,27', expected a number"),
    ("rest = 0.27", "rest = true", "components[0].tiers[0].price.rest: found True, expected a number"),
    ("rest = 0.27", "rest = nan", "components[0].tiers[0].price.rest: found NaN, expected a number"),
    (
        "rest = 0.27",
        "rest = -0.27",
        "components[0].tiers[0].price.rest: found -0.27, expected greater than or equal to 0",
    ),
    ("price = 0.41", 'price = "cheap"', "components[0].tiers[1].price: found 'cheap', expected a number"),
    (
        "price = 0.41",
        "price = 0.12345678901",
        "components[0].tiers[1].price: found 0.12345678901, expected fewer decimals",
    ),
    (
        "price = 0.41",
        "up_to = 20, price = 0.41",
        "components[0].tiers[1].up_to: found 20, expected no limit in the last tier",
    ),
    ("up_to = 12, ", "", "components[0].tiers[0].up_to: found nothing, expected a limit in every tier but the last"),
    ("up_to = 12, ", "up_to = 0, ", "components[0].tiers[0].up_to: found 0, expected greater than 0"),
    (
        "{ price = 0.41 }",
        "{ up_to = 12, price = 0.4 }, { price = 0.41 }",
        "components[0].tiers[1].up_to: found 12, expected more than 12 of the tier before",
    ),
    (
        'tiers_per = "day"\n',
        "",
        "components[0].tiers_per: found nothing, expected month or day, what the limits are for",
    ),
    (
        'tiers_per = "day"',
        'tiers_per = "week"',
        "components[0].tiers_per: found 'week', expected 'month', 'day', 'kW_month' or 'kW_day'",
    ),
    (
        'kind = "energy"',
        'kind = "rider"',
        "components[0].kind: found 'rider', expected energy, dynamic, baseline_credit, demand, reactive, ",
    ),
    ('kind = "energy"\n', "", "components[0].kind: found nothing, expected energy, dynamic, baseline_credit, "),
    ("percent = 19", 'percent = 19\non = ["export"]', "components[2].on: found 'export', expected a kind above it: "),
    ("percent = 19", "percent = 119", "components[2].percent: found 119, expected less than or equal to 100"),
    ("valid_from = 2025-01-01", "valid_from = ", "found Invalid value (at line 4, column 14), expected TOML"),
]


@pytest.mark.parametrize(("was", "becomes", "expected"), BAD)
def test_a_fault_is_one_line_with_file_key_and_reason(tmp_path: Path, was: str, becomes: str, expected: str) -> None:
    assert was in GOOD
    path = tmp_path / "case.toml"
    path.write_text(GOOD.replace(was, becomes, 1), encoding="utf-8")
    with pytest.raises(InvalidTariff) as error:
        load_tariff(path)
    assert str(error.value).startswith(f"{path}: {expected}")
    assert "\n" not in str(error.value)
    assert str(check_tariff(path)[0]) == str(error.value)


def test_check_tells_all_faults_at_once(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    path.write_text(
        GOOD.replace('"kWh"', '"m³"').replace(", rest = 0.27", "").replace('"DE"', '"XX"'), encoding="utf-8"
    )
    assert [finding.where.removeprefix(f"{path}: ") for finding in check_tariff(path)] == [
        "unit",
        "holidays.country",
        "components[0].tiers[0].price.rest",
    ]


def test_a_sound_file_has_no_findings(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    path.write_text(GOOD, encoding="utf-8")
    assert check_tariff(path) == []


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        ('[{"kind": "tax", "label": "VAT", "percent": 19}]', "components[0]: found a tax on nothing, expected"),
        (
            '[{"kind": "standing", "label": "S", "per": "day", "price": 1},'
            ' {"kind": "baseline_credit", "label": "B", "credit": 1, "allowance_per_day": 1}]',
            "components[1]: found a credit before any energy, expected",
        ),
        (
            '[{"kind": "energy", "label": "E", "measures": "export", "tiers": [{"price": 1}]}]',
            "components[0].measures: found export of gas, expected import",
        ),
        (
            '[{"kind": "energy", "label": "E", "tiers_per": "day", "tiers": [{"price": 1}]}]',
            "components[0].tiers_per: found 'day', expected no key, for one tier",
        ),
        (
            '[{"kind": "energy", "label": "E", "tiers_per": "day", "tiers": [{"up_to": 5, "price": 1}]}]',
            "components[0].tiers[0].up_to: found 5, expected no limit in the last tier",
        ),
    ],
)
def test_components_that_make_no_sense_together(tmp_path: Path, components: str, expected: str) -> None:
    path = tmp_path / "case.json"
    header = {
        "id": "case",
        "name": "Case",
        "valid_from": "2025-01-01",
        "customer_classes": ["residential"],
        "commodity": "gas",
        "unit": "m³",
        "currency": "EUR",
        "components": json.loads(components),
    }
    path.write_text(json.dumps(header), encoding="utf-8")
    assert str(check_tariff(path)[0]).startswith(f"{path}: {expected}")


def test_holiday_without_holidays(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    text = GOOD.replace('[holidays]\ncountry = "DE"\n', "").replace('"weekday"', '"weekday", "holiday"')
    path.write_text(text, encoding="utf-8")
    assert str(check_tariff(path)[0]) == (
        f"{path}: periods[0].days: found 'holiday', expected [holidays] that says which days those are"
    )


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("case.json", b"{", "found Expecting property name enclosed in double quotes"),
        ("case.json", b"[]", "found [], expected "),
        ("case.json", b'{"id": "a", "id": "b"}', "found key 'id' twice, expected JSON"),
        ("case.json", b"[" * 100_000, "found maximum recursion depth exceeded"),
        ("case.toml", b"a = " + b"[" * 100_000, "found maximum recursion depth exceeded"),
        ("case.toml", b"\xff\xfe", "found bytes that are not UTF-8, expected UTF-8 text"),
    ],
)
def test_files_that_are_no_tariff(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert str(check_tariff(path)[0]).startswith(f"{path}: {expected}")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidTariff, match=r"nowhere\.toml: found No such file or directory, expected a readable tariff"
    ):
        load_tariff(tmp_path / "nowhere.toml")


RICH = """
id = "rich"
name = "Rich"
valid_from = 2025-01-01
customer_classes = ["residential"]
commodity = "electricity"
unit = "kWh"
currency = "EUR"

[holidays]
country = "DE"
only = ["Christmas Day"]

[[seasons]]
name = "summer"
label = "Summer"
begins = ["06-15"]

[[seasons]]
name = "winter"
label = "Winter"
begins = ["10-01"]

[[periods]]
name = "critical"
label = "Critical"
event = "cpp"

[[periods]]
name = "peak"
label = "Peak"
when = [{ seasons = ["summer"], hours = ["12:00-20:00"] }, { seasons = ["winter"], hours = ["17:00-20:00"] }]

[[periods]]
name = "off"
label = "Off-peak"

[[schedules.power]]
name = "day"
label = "Day"
hours = ["08:00-18:00"]

[[schedules.power]]
name = "night"
label = "Night"

[[components]]
kind = "energy"
label = "Energy"
name = "supply"
tiers_per = "month"
tiers = [
  { up_to = { peak = 100, off = 300 }, price = { critical = 1.2, peak = 0.4, off = 0.3 } },
  { up_to = { peak = 200 }, price = { peak = 0.5, off = 0.35 } },
  { price = { peak = 0.6 } },
]

[[components]]
kind = "dynamic"
label = "Market"
series = "day-ahead"
add = { critical = 0.1, peak = 0.02, off = 0.01 }
floor = 0
cap = 1

[[components]]
kind = "demand"
label = "Demand"
schedule = "power"
tiers = [{ up_to = { day = 30 }, price = { day = 5 } }, { price = { day = 7 } }]

[[components]]
kind = "demand"
label = "Capacity"
method = "block"
tiers = [{ up_to = { summer = 10, winter = 12 }, fee = 4 }, { fee = 9 }]

[[components]]
kind = "reactive"
label = "Reactive"
free = 0.33
price = 0.02

[[components]]
kind = "percentage"
label = "Rebate"
percent = -2
on = ["supply", "energy"]
valid_from = 2025-02-01
valid_until = 2025-03-01

[[components]]
kind = "bank"
label = "Bank"

[[components]]
kind = "tax"
label = "VAT"
percent = 19
"""

BETWEEN_KEYS = [
    # Holidays and seasons
    ('["Christmas Day"]', '["Christmas"]', "holidays.only[0]: found 'Christmas', expected one of New Year's Day, "),
    ('country = "DE"', 'subdivision = "BY"', "holidays: found neither country nor dates, expected a country code"),
    ('begins = ["10-01"]', "", "seasons[1].begins: found nothing, expected a value"),
    ('["10-01"]', '["02-29"]', "seasons[1].begins[0]: found '02-29', expected a day such as 06-01"),
    (
        '["10-01"]',
        '["10-01", "06-15"]',
        "seasons[1].begins[1]: found '06-15', expected a day on which no other season begins",
    ),
    ('name = "winter"', 'name = "summer"', "seasons[1].name: found 'summer', expected a name that no other season has"),
    # Periods
    (
        'seasons = ["winter"]',
        'seasons = ["spring"]',
        "periods[1].when[1].seasons[0]: found 'spring', expected one of summer, winter",
    ),
    (
        "when = [",
        "months = [1]\nwhen = [",
        "periods[1].when: found months beside it, expected conditions inside it alone",
    ),
    (
        'label = "Off-peak"',
        'label = "Off-peak"\nhours = ["20:00-12:00"]',
        "periods: found no period for Jun (winter), Oct-May, 12:00-17:00, expected every hour",
    ),
    (
        'event = "cpp"',
        'event = "cpp"\nhours = ["00:00-24:00"]\n[[periods]]\nname = "all"\nlabel = "All"',
        "periods[2]: found 'peak' never reached, expected hours that no earlier period takes",
    ),
    (
        'label = "Night"',
        'label = "Night"\ndays = ["weekday", "holiday"]',
        "schedules.power: found no period for Sat-Sun, 18:00-08:00, expected every hour",
    ),
    (
        'name = "night"',
        'name = "day"',
        "schedules.power[1].name: found 'day', expected a name that no other period has",
    ),
    # Components in general
    ('schedule = "power"', 'schedule = "load"', "components[2].schedule: found 'load', expected power"),
    ('name = "supply"', 'name = "tax"', "components[0].name: found 'tax', expected a name that is not a kind"),
    (
        'label = "Market"',
        'label = "Market"\nname = "supply"',
        "components[1].name: found 'supply', expected a name that no",
    ),
    ("2025-03-01", "2025-02-01", "components[5].valid_until: found 2025-02-01, expected a day after its valid_from"),
    (
        'kind = "bank"',
        'kind = "bank"\nnot_for = ["royal"]',
        "components[6].not_for[0]: found 'royal', expected residential",
    ),
    (
        'on = ["supply"',
        'on = ["market"',
        "components[5].on: found 'market', expected a kind or name above it: demand, ",
    ),
    ('label = "Bank"', 'label = "Bank"\npays = true', "components[6].true_up: found nothing, expected the month"),
    (
        'label = "Bank"',
        'label = "Bank"\n[[components]]\nkind = "bank"\nlabel = "More"',
        "components[7]: found a second bank",
    ),
    # Ladders
    (
        "{ peak = 200 }",
        "{ peak = 100 }",
        "components[0].tiers[1].up_to.peak: found 100, expected more than 100 of the tier before",
    ),
    (
        "{ summer = 10, winter = 12 }",
        "{ winter = 12 }",
        "components[3].tiers[0].up_to.summer: found nothing, expected a limit for season 'summer'",
    ),
    (
        "{ peak = 200 }",
        "{ peak = 200, winter = 9 }",
        "components[0].tiers[1].up_to.winter: found a season among periods, expected one of critical, peak, off",
    ),
    (
        "{ peak = 200 }",
        "{ night = 9 }",
        "components[0].tiers[1].up_to.night: found an unknown name, expected one of summer, winter, critical, ",
    ),
    (
        "{ peak = 200 }",
        "{ peak = 200, critical = 9 }",
        "components[0].tiers[1].up_to.critical: found 9, expected no limit: 'critical' has none in tiers[0]",
    ),
    (
        "{ peak = 100, off = 300 }",
        "{ critical = 100 }",
        "components[0].tiers[1].up_to.peak: found 200, expected no limit: 'peak' has none in tiers[0]",
    ),
    (
        "price = { peak = 0.5, off = 0.35 }",
        "price = { peak = 0.5 }",
        "components[0].tiers[1].price.off: found nothing, expected a price for period 'off'",
    ),
    ("{ price = { peak = 0.6 } }", "{ }", "components[0].tiers[2].price: found nothing, expected a price"),
    (
        "{ price = { peak = 0.6 } }",
        "{ fee = 1 }",
        "components[0].tiers[2].fee: found 1, expected a price, with method = 'graduated'",
    ),
    (
        'tiers_per = "month"',
        'tiers_per = "month"\norder = "share"',
        "components[0].tiers[0].up_to.peak: found an unknown name, expected one of summer, winter",
    ),
    (
        'tiers_per = "month"',
        'tiers_per = "month"\norder = "share"\nscope = "period"',
        "components[0].order: found 'share', expected no key",
    ),
    (
        'tiers_per = "month"',
        'tiers_per = "month"\nmethod = "block"',
        "components[0].tiers[0].up_to.peak: found an unknown name",
    ),
    # Demand and dynamic prices
    (
        "{ fee = 9 }",
        "{ price = 9 }",
        "components[3].tiers[1].price: found a price, expected a fee, with method = 'block'",
    ),
    (", fee = 4 }", "}", "components[3].tiers[0].fee: found nothing, expected a fee a month"),
    ('method = "block"', 'method = "block"\nper = "day"', "components[3].per: found 'day', expected no key"),
    (
        "price = { day = 7 }",
        "price = { day = 7, night = 2 }",
        "components[2].tiers[1].price.night: found an unknown period, expected day",
    ),
    ("price = { day = 7 }", "price = 7", "components[2].tiers[1].price: found one price, expected a table"),
    (
        "free = 0.33",
        'free = 0.33\nschedule = "power"',
        "components[4].schedule: found 'power', expected no key, without prices by period",
    ),
    ("cap = 1", "cap = -1", "components[1].cap: found -1, expected at least the floor, 0"),
    ("off = 0.01 }", "night = 0.01 }", "components[1].add.off: found nothing, expected a price for period 'off'"),
    # Netting
    (
        'currency = "EUR"',
        'currency = "EUR"\nnetting = "month"',
        "components[0].order: found 'time', expected order = 'share' or scope = 'period', with netting by month",
    ),
    (
        'currency = "EUR"',
        'currency = "EUR"\n[net_metering]\ntrue_up = 3',
        "net_metering: found netting = 'none', expected netting = 'month'",
    ),
    (
        'commodity = "electricity"',
        'commodity = "heat"',
        "components[2].kind: found 'demand' of heat, expected it with electricity only",
    ),
    (
        'commodity = "electricity"',
        'commodity = "heat"\nnetting = "interval"',
        "netting: found 'interval', expected none, for heat",
    ),
]


@pytest.mark.parametrize(("was", "becomes", "expected"), [*BETWEEN_KEYS])
def test_rules_between_keys(was: str, becomes: str, expected: str) -> None:
    assert was in RICH
    tariff, findings = examine_text(RICH.replace(was, becomes, 1), "rich.toml", is_json=False)
    assert tariff is None
    found = [str(finding).removeprefix("rich.toml: ") for finding in findings]
    assert any(line.startswith(expected) for line in found), found


def test_a_tariff_with_everything_has_no_findings() -> None:
    tariff, findings = examine_text(RICH, "rich.toml", is_json=False)
    assert findings == []
    assert tariff is not None


def keys_of(data: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to every key and item."""
    for key in [*data] if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else []:
        yield (*above, key)
        yield from keys_of(data[key], (*above, key))


def test_without_one_key_it_is_refused_in_lines_or_sound() -> None:
    whole = tomllib.loads(RICH, parse_float=str)
    sound = 0
    for *above, key in [*keys_of(whole)][::3]:
        data = deepcopy(whole)
        table = data
        for each in above:
            table = table[each]
        del table[key]
        made, findings = examine_text(json.dumps(data, default=str), "rich.json", is_json=True)
        assert (made is None) == bool(findings)
        assert all(str(finding).startswith("rich.json") and "\n" not in str(finding) for finding in findings)
        if made is not None:
            sound += 1
            notes(made)
    assert sound > 3


NETTED = {"netting": "month", "periods": [period("day", hours=["08:00-20:00"]), period("night")]}


@pytest.mark.parametrize(
    ("components", "head", "expected"),
    [
        ([energy(tier("0.1"), measures="export")], NETTED, "components[0].measures: found 'export', expected import"),
        (
            [{"kind": "dynamic", "label": "D", "series": "s"}],
            NETTED,
            "components[0].kind: found 'dynamic', expected energy, with netting by month",
        ),
        (
            [energy(tier("0.1")), {"kind": "bank", "label": "B"}],
            NETTED,
            "components[1].kind: found 'bank', expected no",
        ),
        (
            [energy(tier("0.1"))],
            {**NETTED, "net_metering": {"price": 1}},
            "net_metering.true_up: found nothing, expected the month in which what is left is paid",
        ),
        (
            [energy(tier("0.1"), schedule="other")],
            {**NETTED, "schedules": {"other": [period("all")]}},
            "components[0].schedule: found 'other', expected no other periods than [[periods]]",
        ),
        (
            [energy(tier("0.1"), scope="period")],
            {},
            "components[0].scope: found 'period', expected no key, for one tier",
        ),
        ([energy(tier("0.1"), schedule="x")], {}, "components[0].schedule: found 'x', expected [[schedules.x]]"),
        ([energy(tier("0.1"))], {"seasons_by": "cycle"}, "seasons_by: found 'cycle', expected [[seasons]] that"),
        (
            [tax("19", included=True), {"kind": "minimum", "label": "M", "amount": 5}],
            {},
            "components[0]: found a tax on nothing, expected components above it",
        ),
        (
            [energy(tier("0.1")), tax("19", included=True), tax("1", on=["tax"])],
            {},
            "components[2].on: found 'tax', expected a kind above it: energy",
        ),
        (
            [{"kind": "bank", "label": "B"}],
            {},
            "components[0]: found a bank of nothing, expected one of energy, export",
        ),
        (
            [energy(tier("1", "5"), tier("2"), tiers_per="kW_month")],
            {"commodity": "gas"},
            "components[0].tiers_per: found 'kW_month' of gas, expected month or day",
        ),
        (
            [energy(tier("1", "5"), {"price": 2}, tiers_per="month")],
            {"schedules": {"empty": []}},
            "schedules.empty: found no period for all year, expected every hour of the year in a period",
        ),
        (
            [{**energy({"price": 1, "up_to": {"summer": 5}}, tier("2")), "tiers_per": "month"}],
            {
                "seasons": [{"name": "summer", "label": "S", "begins": ["06-01"]}],
                "periods": [period("summer")],
            },
            "components[0].tiers[0].up_to: found names of seasons and periods both: summer, expected other names",
        ),
    ],
)
def test_what_does_not_go_together(components: list[Any], head: dict[str, Any], expected: str) -> None:
    data = {
        "id": "case",
        "name": "Case",
        "valid_from": "2025-01-01",
        "customer_classes": ["residential"],
        "commodity": "electricity",
        "unit": "kWh",
        "currency": "EUR",
        "components": components,
        **head,
    }
    found = [str(finding) for finding in faults(Tariff.model_validate(data))]
    assert any(line.startswith(expected) for line in found), found


@pytest.mark.parametrize("since", ["0001-01-01", "1970-01-01", "9999-12-31"])
def test_holidays_are_known_however_old_a_tariff_is(since: str) -> None:
    tariff(energy(tier("0.1")), valid_from=since, holidays={"country": "DE", "only": ["German Unity Day"]})


def test_one_bank_after_another_is_no_second_bank() -> None:
    tariff(
        energy(tier("0.1")),
        {"kind": "bank", "label": "Old", "valid_until": "2025-07-01"},
        {"kind": "bank", "label": "New", "valid_from": "2025-07-01"},
    )


def test_a_gap_with_seasons_by_cycle_counts_the_days_beside_the_month() -> None:
    # A bill for June is summer all through, and can have days of May: those are in no period.
    data = tariff(energy(tier("0.1"))).model_dump(exclude_unset=True) | {
        "seasons_by": "cycle",
        "seasons": [
            {"name": "summer", "label": "S", "begins": ["06-01"]},
            {"name": "winter", "label": "W", "begins": ["09-01"]},
        ],
        "periods": [period("s", seasons=["summer"], months=[6, 7, 8]), period("w", seasons=["winter"])],
    }
    assert [str(each) for each in faults(Tariff.model_validate(data))] == [
        "periods: found no period for May (summer), Sep (summer), expected every hour of the year in a period"
    ]


def test_overlaps_are_told_once_and_are_no_fault() -> None:
    made = tariff(
        energy(tier("0.1")),
        periods=[
            period("peak", days=["weekday"], months=[11, 12, 1], hours=["17:00-21:30"]),
            period("evening", hours=["20:00-02:00"]),
            period("event", event="cpp", hours=["12:00-13:00"]),
            period("rest"),
        ],
    )
    assert [str(note) for note in notes(made)] == [
        "periods[1]: 'evening' gives way to 'peak' above it: Nov-Jan, Mon-Fri, 20:00-21:30"
    ]


def test_a_slipped_decimal_point_is_noted_and_zero_is_not() -> None:
    periods = [period("a", months=[1]), period("b", months=[2]), period("c", months=[3]), period("d")]
    prices = {"a": "0.30", "b": "0.32", "c": "6.5", "d": "0"}
    made = tariff(energy(tier(prices)), periods=periods)
    assert [str(note) for note in notes(made)] == [
        "components[0].tiers[0].price.c: 6.5 is far from 0.31, the middle of its component's prices"
    ]


def test_what_nothing_uses_is_noted() -> None:
    made = tariff(
        energy(tier("0.1")),
        {**standing("1", "day"), "valid_until": "2019-01-01"},
        schedules={"spare": [period("all")]},
    )
    assert [str(note) for note in notes(made)] == [
        "schedules.spare: no component asks for it",
        "components[1].valid_until: 2019-01-01, so that it never holds in this version",
    ]


def test_bounds_are_for_imported_energy() -> None:
    made = tariff(
        energy(tier({"day": "0.5", "night": "0.04"}, "10"), tier("0.6"), tiers_per="day"),
        energy(tier("0.01"), measures="export"),
        energy(tier("0.01"), credit=True),
        standing("9", "day"),
        periods=[period("day", hours=["08:00-20:00"]), period("night")],
    )
    assert [str(finding) for finding in prices_beyond(made, Decimal("0.05"), Decimal("0.55"))] == [
        "components[0].tiers[0].price.night: found 0.04, expected 0.05 or more",
        "components[0].tiers[1].price: found 0.6, expected 0.55 or less",
    ]
    assert prices_beyond(made, None, None) == []


def test_a_percentage_written_as_a_fraction_is_noted() -> None:
    (note,) = notes(tariff(energy(tier("0.3")), tax("0.19")))
    assert str(note) == "components[1].percent: 0.19 is 0.19 %; 19 % is written 19, not 0.19"


TIERS = (tier("0.3", "100"), tier("0.4"))
RATCHET = {
    "kind": "demand",
    "label": "Demand",
    "ratchet": {"percent": 60, "months": 11},
    "tiers": [{"price": {"peak": 9}}],
}


def tiered(label: str = "Energy", **keys: Any) -> dict[str, Any]:
    return energy(*TIERS, tiers_per="month", label=label, **keys)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (tiered(), tiered()),
        (tiered(), tiered("Energy, night")),
        (tiered("Energy, night"), tiered()),
        (tiered(), tiered(credit=True)),
        (tiered(valid_until="2025-07-02"), tiered(valid_from="2025-07-01")),
    ],
)
def test_prices_by_tier_that_a_statement_would_add_up_are_no_new_version(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    made = tariff(standing("1", "day"), first, second)
    assert [str(fault) for fault in told_apart_faults(made)] == [
        f"components[2].label: found {second['label']!r}, and components[1].label is {first['label']!r}, expected a"
        " name for one of them, or another label: the use by tier on a statement would be that of both"
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (tiered(), tiered(name="grid")),
        (tiered(name="grid"), tiered()),
        (tiered(), tiered("Energy for heating")),
        (tiered(), tiered(measures="export")),
        (tiered(), energy(tier("0.1"))),
        (tiered(valid_until="2025-07-01"), tiered(valid_from="2025-07-01")),
        (tiered(not_for=["commercial"]), tiered(not_for=["residential"])),
    ],
)
def test_prices_that_are_told_apart_or_never_on_one_bill_may_be_called_alike(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    made = tariff(first, second, customer_classes=["residential", "commercial"])
    assert list(told_apart_faults(made)) == []


def test_two_ratchets_that_a_statement_would_not_tell_apart_are_no_new_version() -> None:
    periods = [period("peak", hours=["08:00-20:00"]), period("rest")]
    grid = RATCHET | {"label": "Grid demand"}
    rest = RATCHET | {"tiers": [{"price": {"rest": 3}}]}
    free = {key: value for key, value in RATCHET.items() if key != "ratchet"}
    for other in (grid, rest, free):
        assert list(told_apart_faults(tariff(RATCHET, other, periods=periods))) == []
    # A name is not what the peaks of earlier months stand under, and a ratchet looks behind its own first day.
    for other in (RATCHET, RATCHET | {"name": "grid"}, RATCHET | {"valid_from": "2025-07-01"}):
        made = tariff(RATCHET | {"valid_until": "2025-07-01"}, other, periods=periods)
        assert [str(fault) for fault in told_apart_faults(made)] == [
            "components[1].label: found 'Demand', and components[0].label is 'Demand', expected another label: the"
            " peaks of earlier months on a statement would not say whose ratchet they are for"
        ]


def test_a_file_of_components_called_alike_is_refused_as_new_and_can_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    component = """
[[components]]
kind = "energy"
label = "Grid"
tiers_per = "month"
tiers = [{ up_to = 100, price = 0.1 }, { price = 0.2 }]
"""
    path.write_text(GOOD + component * 2, encoding="utf-8")
    (finding,) = check_tariff(path)
    assert str(finding).startswith(f"{path}: components[")
    assert len(load_tariff(path).components) == len(tomllib.loads(GOOD)["components"]) + 2
