"""Wrong tariff files: each finding names file and key, what stands there and what was expected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headend.errors import InvalidTariff
from headend.tariffs import check_tariff, load_tariff

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
