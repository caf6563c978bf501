"""Published prices and events: which interval has which, and what is refused."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from headend.errors import CannotRate
from headend.tariffs import Events, Market, PriceSeries

H = 3600
MIDNIGHT = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp())


def series(*rows: tuple[int, int, int], scale: int = 2) -> PriceSeries:
    """Prices from (begin, end) [s after midnight], in 10^-scale EUR per kWh."""
    start, end, price = (
        np.array(column, dtype=np.int64) for column in (zip(*rows, strict=True) if rows else ((),) * 3)
    )
    return PriceSeries("day-ahead", "EUR", "kWh", MIDNIGHT + start, MIDNIGHT + end, price, scale)


def test_an_hours_price_holds_for_each_of_its_quarters() -> None:
    found = series((0, H, 10), (H, 2 * H, -3)).at(MIDNIGHT, 8, 900)
    assert found.tolist() == [10] * 4 + [-3] * 4


def test_a_months_price_holds_for_each_of_its_hours() -> None:
    month = series((0, 744 * H, 81), (744 * H, 1416 * H, 79))
    assert month.at(MIDNIGHT, 744, H).tolist() == [81] * 744
    assert month.at(MIDNIGHT + 743 * H, 2, H).tolist() == [81, 79]


def test_a_gap_names_the_first_interval_and_how_many() -> None:
    gap = series((0, H, 10), (3 * H, 4 * H, 10))
    with pytest.raises(CannotRate, match=r"^price series day-ahead has no price for 2 of 4 .*first 2025-01-01T01:00Z$"):
        gap.at(MIDNIGHT, 4, H)


@pytest.mark.parametrize("begin_s", [MIDNIGHT - H, MIDNIGHT + H])
def test_there_is_no_price_before_the_first_and_after_the_last(begin_s: int) -> None:
    with pytest.raises(CannotRate, match="has no price for 1 of 1 intervals"):
        series((0, H, 10)).at(begin_s, 1, H)


def test_an_empty_series_has_no_price() -> None:
    with pytest.raises(CannotRate, match=r"no price for 24 of 24 intervals, first 2025-01-01T00:00Z"):
        series().at(MIDNIGHT, 24, H)
    assert series().at(MIDNIGHT, 0, H).tolist() == []


def test_a_price_that_changes_within_an_interval_is_refused() -> None:
    halves = series((0, H, 10), (H, H + 1800, 11), (H + 1800, 2 * H, 12))
    assert halves.at(MIDNIGHT, 4, 1800).tolist() == [10, 10, 11, 12]
    with pytest.raises(CannotRate, match=r"a price of series day-ahead ends within .* 3600 s at 2025-01-01T01:00Z"):
        halves.at(MIDNIGHT, 2, H)


def test_prices_of_any_length_stay_exact() -> None:
    huge = replace(series((0, H, 0)), prices=np.array([10**30 + 1], dtype=object), scale=30)
    assert huge.at(MIDNIGHT, 1, H).tolist() == [10**30 + 1]


def test_a_digest_is_of_the_prices_in_force_in_a_span_however_they_are_kept() -> None:
    prices = series((0, H, 1050), (H, 2 * H, -300), (2 * H, 3 * H, 7), scale=4)
    text = f"{MIDNIGHT}|{MIDNIGHT + H}|0.105\n{MIDNIGHT + H}|{MIDNIGHT + 2 * H}|-0.03\n"
    assert prices.digest(MIDNIGHT, MIDNIGHT + 2 * H) == hashlib.sha256(text.encode()).hexdigest()
    finer = replace(prices, prices=prices.prices * 10, scale=5)
    assert finer.digest(MIDNIGHT, MIDNIGHT + 2 * H) == prices.digest(MIDNIGHT, MIDNIGHT + 2 * H)
    assert prices.digest(MIDNIGHT, MIDNIGHT + 2 * H + 1) != prices.digest(MIDNIGHT, MIDNIGHT + 2 * H)


def test_an_interval_that_begins_during_an_event_is_in_it() -> None:
    afternoon = Events("cpp", ((MIDNIGHT + 5400, MIDNIGHT + 3 * H), (MIDNIGHT + 5 * H, MIDNIGHT + 5 * H + 1)))
    assert np.flatnonzero(afternoon.during(MIDNIGHT, 8, H)).tolist() == [2, 5]  # from 01:30: not the hour from 01:00
    assert np.flatnonzero(afternoon.during(MIDNIGHT, 16, 1800)).tolist() == [3, 4, 5, 10]


def test_without_events_none_is_on() -> None:
    assert not Events("cpp").during(MIDNIGHT, 24, H).any()


def test_a_series_that_nobody_publishes_is_named() -> None:
    with pytest.raises(CannotRate, match="no price series 'agile'"):
        Market({"day-ahead": series()}).series("agile")
