"""Years of bills by an independent program, within 1e-6 a month: rates as its database has them, and by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from headend.tariffs import Tariff, load_tariff
from headend.tariffs.rating.loadfile import read_load
from headend.tariffs.rating.monthly import rate_months
from headend.tariffs.urdb import tariff_from_urdb

DATA = Path(__file__).parents[1] / "data" / "tariffs"
READS = {
    "tou_tiers": "home",
    "tiered_three": "home",
    "tou_seasonal": "home",
    "net_billing": "solar",
    "demand_tou_flat": "business",
}
BY_HAND = ["tou_tiers", "tiered_three", "tou_seasonal", "net_billing"]


def check(case: str, tariff: Tariff) -> None:
    expected = json.loads((DATA / f"{case}.expected.json").read_text(), parse_float=Decimal)["months"]
    lines = (DATA / f"{READS[case]}.reads.csv").read_text().splitlines()
    found = rate_months(tariff, read_load(lines, case), ZoneInfo("UTC"))
    assert found["currency"] == "USD"
    assert len(found["months"]) == 12
    for month, truth in zip(found["months"], expected, strict=True):
        assert month["month"] == truth["month"]
        for charge in ("energy", "demand", "fixed", "minimum", "total"):
            assert abs(Decimal(month[charge]) - truth[charge]) < Decimal("1e-6"), (month["month"], charge)


@pytest.mark.parametrize("case", READS)
def test_every_month_of_a_year_by_the_rate_in_the_database(case: str) -> None:
    check(case, tariff_from_urdb((DATA / f"{case}.urdb.json").read_text(), f"{case}.urdb.json"))


@pytest.mark.parametrize("case", BY_HAND)
def test_every_month_of_a_year_by_the_tariff_written_by_hand(case: str) -> None:
    check(case, load_tariff(DATA / f"{case}.toml"))
