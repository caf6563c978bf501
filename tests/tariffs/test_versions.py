"""Names of versions, the book of all versions, and the tariffs that are shipped."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from babel.numbers import list_currencies

from headend.errors import InvalidTariff, NotFound
from headend.reads.days import seconds
from headend.tariffs import (
    BillingWindow,
    Events,
    Market,
    PriceSeries,
    Tariff,
    TariffBook,
    Use,
    load_book,
    load_tariff,
    rate_batch,
)
from headend.tariffs.format.schema import canonical_json
from headend.tariffs.money import CURRENCIES, minor_digits, rounded

from .make import BERLIN, energy, period, tariff, tier

SHIPPED = Path(__file__).parents[2] / "config" / "tariffs"


def test_the_same_tariff_has_the_same_name_in_toml_and_json(tmp_path: Path) -> None:
    toml, other = tmp_path / "a.toml", tmp_path / "b.json"
    toml.write_text(
        'id = "a"\nname = "A"\nvalid_from = 2025-01-01\ncustomer_classes = ["x"]\ncommodity = "gas"\nunit = "m³"\n'
        'currency = "EUR"\nclock = "local"\n[[components]]\nkind = "energy"\nlabel = "Gas"\n'
        "tiers = [{ price = 1.50 }]\n",
        encoding="utf-8",
    )
    other.write_text(
        '{"components": [{"tiers": [{"price": 1.5}], "label": "Gas", "kind": "energy"}], "currency": "EUR",'
        ' "unit": "m³", "commodity": "gas", "customer_classes": ["x"], "valid_from": "2025-01-01",'
        ' "name": "A", "id": "a"}',
        encoding="utf-8",
    )
    one, two = load_tariff(toml), load_tariff(other)
    assert one == two
    assert one.version == two.version
    assert len(one.digest) == 64


def test_prices_are_read_exactly(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(
        '{"id": "a", "name": "A", "valid_from": "2025-01-01", "customer_classes": ["x"], "commodity": "gas",'
        ' "unit": "m³", "currency": "EUR", "components": [{"kind": "energy", "label": "Gas",'
        ' "tiers": [{"price": 0.1000000001}]}]}',
        encoding="utf-8",
    )
    assert load_tariff(path).components[0].tiers[0].price == Decimal("0.1000000001")


@pytest.mark.parametrize(
    "changed",
    [
        tariff(energy(tier("0.31"))),
        tariff(energy(tier("0.3")), valid_from=date(2025, 1, 1)),
        tariff(energy(tier("0.3")), clock="UTC"),
        tariff(energy(tier("0.3")), periods=[period("x", hours=["00:00-01:00"]), period("all")]),
    ],
)
def test_another_content_is_another_version(changed) -> None:
    assert changed.version != tariff(energy(tier("0.3"))).version


def book() -> TariffBook:
    days = [date(2025, 1, 1), date(2025, 4, 1), date(2025, 4, 16)]
    return TariffBook(tariff(energy(tier("0.3")), id="a", valid_from=day) for day in reversed(days))


def test_a_version_is_valid_until_the_next_one() -> None:
    for on, valid_from in ((date(2025, 1, 1), 1), (date(2025, 3, 31), 1), (date(2025, 4, 1), 4), (date(2030, 1, 1), 4)):
        assert book().version("a", on).valid_from.month == valid_from
    with pytest.raises(NotFound, match="no version of tariff 'a' is valid on 2024-12-31"):
        book().version("a", date(2024, 12, 31))
    with pytest.raises(NotFound, match="no tariff is called 'b'"):
        book().version("b", date(2025, 1, 1))


def test_versions_between_cut_the_days() -> None:
    parts = book().versions_between("a", date(2025, 3, 20), date(2025, 4, 17))
    assert [(first, end, version.valid_from) for first, end, version in parts] == [
        (date(2025, 3, 20), date(2025, 4, 1), date(2025, 1, 1)),
        (date(2025, 4, 1), date(2025, 4, 16), date(2025, 4, 1)),
        (date(2025, 4, 16), date(2025, 4, 17), date(2025, 4, 16)),
    ]
    assert len(book().versions_between("a", date(2025, 4, 1), date(2025, 4, 16))) == 1


def test_two_files_for_the_same_days_are_refused(tmp_path: Path) -> None:
    text = (SHIPPED / "gas.toml").read_text(encoding="utf-8")
    (tmp_path / "gas.toml").write_text(text, encoding="utf-8")
    (tmp_path / "gas-again.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidTariff, match=r"gas\.toml: valid_from: found gas from 2025-01-01 on, which gas-again"):
        load_book(tmp_path)
    with pytest.raises(InvalidTariff, match="gas: found two versions from 2025-01-01 on"):
        TariffBook([load_tariff(SHIPPED / "gas.toml")] * 2)
    with pytest.raises(InvalidTariff, match="found no folder"):
        load_book(tmp_path / "none")


#: September 2025 in Berlin: 700 Wh in every hour, 400 varh with them, 200 Wh fed in; worked by hand in the comments.
#: Day-ahead prices are 0.10 and -0.02 in turn; Tuesday the 16th has a critical peak from 17:00 to 21:00.
SHIPPED_TOTALS = {
    # 504 × 0.0984 = 49.59, + 10.40 = 59.99, VAT 11.40
    "gas-energy": "71.39",
    # 504 × 0.118 = 59.47, + 18.90 = 78.37, VAT 14.89
    "heat": "93.26",
    # 504 × 0.3174 = 159.97, + 11.90 = 171.87, VAT 32.66
    "home-flat": "204.53",
    # 150 × 0.249 = 37.35, 250 × 0.312 = 78.00, 104 × 0.3745 = 38.95, + 9.50 = 163.80, VAT 31.12
    "home-tiered": "194.92",
    # 22 weekdays: 88 peak hours 61.6 × 0.379 = 23.35; 240 night hours 168 × 0.239 = 40.15;
    # 392 others 274.4 × 0.285 = 78.20; + 12.90 = 154.60, VAT 29.37
    "home-tou": "183.97",
    # tier 1 to 360 kWh after 514.28 hours, on 22 September at 10:17: 15 weekdays of peak before, 75 hours 52.5 kWh
    # × 0.398 = 20.90; 307.5 × 0.276 = 84.87; then 35 peak hours 24.5 × 0.464 = 11.37; 119.5 × 0.342 = 40.87;
    # 150 × -0.045 = -6.75; 30 × 0.395 = 11.85; 163.11, VAT 30.99
    "home-tou-baseline": "194.10",
    # 105 × 0.369 = 38.75 (38.745), 399 × 0.298 = 118.90, - 30 × 0.114 = 3.42, - 114 × 0.0786 = 8.96, + 13.90;
    # VAT on 171.55 = 32.59
    "home-solar": "191.76",
    # 352 day hours 246.4, 257.6 others: 46.69 + 36.58 + 22.47 + 14.01 + 504 × 0.0205 = 10.33, + 24.50 + 2.47 (2.466)
    # = 157.05, VAT 29.84
    "business-tou": "186.89",
    # 504 × 1.064 = 536.26, + 10.40 = 546.66, VAT 103.87
    "gas": "650.53",
    # 252 × (0.10 × 1.03 + 0.018) = 30.492, 252 × (-0.02 × 1.03 + 0.018) = -0.6552: 29.84; 504 × 0.1245 = 62.75; + 6.90
    # = 99.49, VAT 18.90
    "home-dynamic": "118.39",
    # 246.4 × 0.164 = 40.41, 257.6 × 0.121 = 31.17; 0.7 kW × 9.80 = 6.86; (288 - 252) kvarh × 0.013 = 0.47; the power
    # factor is 0.7 ÷ √0.65 = 0.868, 0.87, so 3 × 0.5 % of 78.44 = 1.18; + 38.00 = 118.09, VAT 22.44
    "business-demand": "140.53",
    # 504 × 0.949 = 478.30, the first step 125.00; 120.66 of VAT are contained
    "home-capacity": "603.30",
    # evenings 105 - 30 = 75 × 0.369 = 27.68 (27.675), others 399 - 114 = 285 × 0.298 = 84.93; + 13.90 = 126.51,
    # VAT 24.04
    "home-net-metering": "150.55",
    # 4 critical hours 2.8 × 1.25 = 3.50, 84 peak hours 58.8 × 0.312 = 18.35, 632 others 442.4 × 0.238 = 105.29;
    # + 10.90; 5 % of 138.04 off: 6.90; VAT on 131.14 = 24.92
    "home-critical-peak": "156.06",
    # to 15 × 10.4 + 15 × 14.2 = 369 kWh × 0.182 = 67.16, 135 × 0.226 = 30.51; -150 × 0.031 = -4.65; 7.5 % of 93.02
    # = 6.98; + 8.50
    "home-seasonal-tiers": "108.50",
    # 15 × 1.92 = 28.80, 489 × 2.38 = 1163.82, + 7.20 = 1199.82, VAT 83.99
    "water": "1283.81",
}


def test_all_shipped_tariffs_are_in_the_book() -> None:
    assert load_book(SHIPPED).ids == sorted(SHIPPED_TOTALS)


@pytest.mark.parametrize("name", SHIPPED_TOTALS)
def test_a_month_of_every_shipped_tariff(name: str) -> None:
    september = BillingWindow(date(2025, 9, 1), date(2025, 10, 1), BERLIN)
    shipped = load_book(SHIPPED).version(name, date(2025, 9, 1))
    use = Use(3600, *(np.full((1, 720), each) for each in (700, 200, 400)))
    begins = seconds(september.start_utc) + 3600 * np.arange(720)
    prices = PriceSeries("day-ahead", "EUR", "kWh", begins, begins + 3600, np.tile([10, -2], 360), 2)
    evening = datetime(2025, 9, 16, 15, tzinfo=UTC), datetime(2025, 9, 16, 19, tzinfo=UTC)
    called = Events("critical-peak", ((seconds(evening[0]), seconds(evening[1])),))
    market = Market({"day-ahead": prices}, {"critical-peak": called})
    (bill,) = rate_batch(shipped, september, use, market)
    assert str(bill.total) == SHIPPED_TOTALS[name]


def test_currencies_are_those_the_world_knows() -> None:
    assert set(list_currencies()) >= CURRENCIES
    assert [minor_digits(code) for code in ("EUR", "JPY", "KWD", "USD", "CLP")] == [2, 0, 3, 2, 0]


@pytest.mark.parametrize(
    ("amount", "cents"), [("0.005", "0.01"), ("-0.005", "-0.01"), ("0.0049", "0.00"), ("2.675", "2.68")]
)
def test_rounding_rule(amount: str, cents: str) -> None:
    assert str(rounded(Decimal(amount), "EUR")) == cents


@pytest.mark.parametrize("name", SHIPPED_TOTALS)
def test_canonical_json_reads_back_as_the_same_version(tmp_path: Path, name: str) -> None:
    shipped = load_tariff(SHIPPED / f"{name}.toml")
    copy = tmp_path / "copy.json"
    copy.write_text(canonical_json(shipped), encoding="utf-8")
    assert load_tariff(copy).digest == shipped.digest
    assert Tariff.model_validate_json(canonical_json(shipped)) == shipped
