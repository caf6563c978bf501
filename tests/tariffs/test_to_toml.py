"""A tariff as a file: read back, it is the same version."""

from __future__ import annotations

from datetime import UTC, date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headend.config import shipped
from headend.tariffs import BillingWindow, Tariff, load_tariff
from headend.tariffs.check import examine_text
from headend.tariffs.format.to_toml import to_toml
from tests.tariffs.make import energy, tariff, tier
from tests.tariffs.random_tariffs import tariffs

MARCH = BillingWindow(date(2025, 3, 1), date(2025, 4, 1), UTC)


def check(made: Tariff) -> None:
    read, found = examine_text(to_toml(made), "x.toml", is_json=False)
    assert found == []
    assert read is not None
    assert read.version == made.version


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tariffs(MARCH))
def test_any_tariff(made: Tariff) -> None:
    check(made)


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_any_label(label: str) -> None:
    check(tariff(energy(tier("0.1"), label=label), name=label))


@pytest.mark.parametrize("path", sorted(shipped("tariffs").iterdir()), ids=lambda path: path.stem)
def test_the_tariffs_that_ship(path: Path) -> None:
    check(load_tariff(path))
