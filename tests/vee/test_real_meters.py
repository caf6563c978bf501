"""What the shipped rules say of real meters: nobody is asked in vain, and what is wrong is found and named."""

from __future__ import annotations

import pytest

from benchmarks.realmeters import building, london_home
from benchmarks.validation import held_bills, judged, zero_runs
from headend.config import shipped
from headend.vee import load_rule_set

RULES = load_rule_set(shipped("vee.toml"))


@pytest.mark.parametrize("register", [True, False])
def test_a_real_home_and_a_real_building_ask_nobody_for_a_year(register: bool) -> None:
    for meter, customer_class in ((london_home(), "residential"), (building("b0", 2016), "commercial")):
        assert judged(meter, customer_class, register=register).asked == 0
        assert held_bills(meter, RULES.of(customer_class))[0] == 0


def test_an_hour_times_ten_is_found_where_there_is_a_register() -> None:
    home = judged(london_home(), "residential", register=True, times=10)
    assert home.spikes == 139
    assert home.found >= 0.99 * home.spikes
    shop = judged(building("b0", 2016), "commercial", register=True, times=10)
    assert shop.found == shop.spikes == 104


@pytest.mark.parametrize(("name", "runs", "hours"), [("b13", 11, 242), ("b101", 5, 235)])
def test_zero_that_means_missing_is_named(name: str, runs: int, hours: int) -> None:
    meter = building(name, 2019)
    lengths = zero_runs(meter.values)
    assert (len(lengths), sum(lengths)) == (runs, hours)
    found = judged(meter, "commercial", register=False)
    assert found.runs == runs
    assert found.asked > 0
