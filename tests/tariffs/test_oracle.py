"""A year of bills by an independent program, every month within 1e-6."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from headend.tariffs import load_tariff
from headend.tariffs.monthly import rate_months, read_load

DATA = Path(__file__).parents[1] / "data" / "tariffs"


@pytest.mark.parametrize(
    ("case", "reads"),
    [("tou_tiers", "home"), ("tiered_three", "home"), ("tou_seasonal", "home"), ("net_billing", "solar")],
)
def test_every_month_of_a_year_rated_by_pysam(case: str, reads: str) -> None:
    expected = json.loads((DATA / f"{case}.expected.json").read_text(), parse_float=Decimal)["months"]
    lines = (DATA / f"{reads}.reads.csv").read_text().splitlines()
    found = rate_months(load_tariff(DATA / f"{case}.toml"), read_load(lines, reads), ZoneInfo("UTC"))
    assert found["currency"] == "USD"
    assert len(found["months"]) == 12
    for month, truth in zip(found["months"], expected, strict=True):
        assert month["month"] == truth["month"]
        for charge in ("energy", "demand", "fixed", "minimum", "total"):
            assert abs(Decimal(month[charge]) - truth[charge]) < Decimal("1e-6"), (month["month"], charge)
