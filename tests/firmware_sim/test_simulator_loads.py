"""Load models: pure, never negative, and the real series stay real."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.clock import hour_of, stamps, wall_clock
from firmware_sim.loads import consumption, sunshine
from firmware_sim.noise import Chances
from firmware_sim.series import read_series, replay

BERLIN = "Europe/Berlin"
Y2026 = hour_of(datetime(2026, 1, 1, tzinfo=UTC))
YEAR = np.arange(Y2026, Y2026 + 8760)

MODELS = [
    ("electricity", "london_home", 27_600),
    ("electricity", "cambridge_building", 138_000),
    ("electricity", "household", 27_600),
    ("electricity", "household_ev", 82_800),
    ("electricity", "household_solar", 27_600),
    ("electricity", "commercial", 165_600),
    ("gas", "household", 6_000),
    ("water", "household", 3_125),
    ("heat", "household", 60_000),
]


def used(commodity, kind, seed, hours):
    return [channel[0] for channel in consumption(commodity, kind, Chances([seed]), hours, BERLIN)]


@pytest.mark.parametrize(("commodity", "kind", "limit"), MODELS)
def test_a_year_is_whole_never_negative_and_below_what_the_connection_carries(commodity, kind, limit):
    for seed in range(5):
        for channel in used(commodity, kind, seed, YEAR):
            assert channel.dtype == np.int64
            assert channel.min() >= 0
            assert 0 < channel.max() < limit
            assert channel.sum() > 0


@given(
    model=st.sampled_from(MODELS),
    seed=st.integers(0, 2**64 - 1),
    begin=st.integers(Y2026 - 20_000, Y2026 + 20_000),
    cut=st.integers(1, 99),
)
@settings(max_examples=60, deadline=None)
def test_an_hour_has_one_value_whoever_asks_for_it(model, seed, begin, cut):
    commodity, kind, _ = model
    hours = np.arange(begin, begin + 100)
    whole = used(commodity, kind, seed, hours)
    first = used(commodity, kind, seed, hours[:cut])
    rest = used(commodity, kind, seed, hours[cut:])
    for channel, one, two in zip(whole, first, rest, strict=True):
        assert channel.tolist() == one.tolist() + two.tolist()


def test_london_home_adds_up_to_the_last_52_weeks_of_its_file():
    series = read_series("london_home")
    last = max(series)
    # each of these four hours has a published half hour missing: the value of the week before stands in
    hours = range(last - 52 * 168 + 1, last + 1)
    expected = sum(series[hour] if hour in series else series[hour - 168] for hour in hours)
    assert sum(1 for hour in hours if hour not in series) <= 4
    assert replay("london_home", np.arange(Y2026, Y2026 + 52 * 168)).sum() == expected


def test_cambridge_building_adds_up_to_the_published_energy_less_its_first_two_days():
    # 248,362.7 kWh published in 2016; 366 days are 52 weeks and two days
    series = read_series("cambridge_building")
    assert sum(series.values()) == 248_362_700
    first = hour_of(datetime(2016, 1, 1, tzinfo=UTC))
    two_days = sum(series[hour] for hour in range(first, first + 48))
    assert replay("cambridge_building", np.arange(Y2026, Y2026 + 52 * 168)).sum() == 248_362_700 - two_days


@pytest.mark.parametrize(("name", "year"), [("london_home", 2013), ("cambridge_building", 2016)])
def test_replay_keeps_weekday_hour_and_season(name, year):
    series = read_series(name)
    for hour in (Y2026 + 24 * 150 + 9, Y2026 + 24 * 200 + 18):
        value = replay(name, np.array([hour]))[0]
        sources = [h for h, wh in series.items() if wh == value and (hour - h) % 168 == 0]
        shown = [datetime.fromisoformat(text) for text in stamps(np.array([hour, *sources]))]
        wanted = shown[0].replace(year=year)
        assert any(abs((found - wanted).days) <= 10 for found in shown[1:])


def test_no_export_at_night_and_netting_never_has_both():
    noon_utc = hour_of(datetime(2026, 6, 21, 11, tzinfo=UTC))
    assert sunshine(np.array([noon_utc]), BERLIN)[0] == pytest.approx(np.sin(np.radians(40 + 23.45)), abs=0.01)
    clock = wall_clock(YEAR, BERLIN)
    night = (clock.hour >= 22) | (clock.hour < 4)
    for seed in range(5):
        imported, exported = used("electricity", "household_solar", seed, YEAR)
        assert exported[night].sum() == 0
        assert exported.sum() > 0
        assert (np.minimum(imported, exported) == 0).all()


def test_cars_charge_at_night_only():
    clock = wall_clock(YEAR, BERLIN)
    day = (clock.hour >= 10) & (clock.hour < 21)
    with_car = used("electricity", "household_ev", 4, YEAR)[0]
    without = used("electricity", "household", 4, YEAR)[0]
    assert (with_car[day] == without[day]).all()
    assert (with_car - without)[~day].sum() > 500_000


def test_gas_heats_in_winter_and_mostly_rests_in_summer():
    burnt = used("gas", "household", 3, YEAR)[0]
    january, july = burnt[: 31 * 24], burnt[181 * 24 : 212 * 24]
    assert january.sum() > 5 * july.sum()
    assert (july == 0).mean() > 0.4
    assert (january == 0).mean() < 0.1


def test_water_rests_at_most_night_hours():
    clock = wall_clock(YEAR, BERLIN)
    run = used("water", "household", 4, YEAR)[0]
    assert (run[(clock.hour >= 1) & (clock.hour < 4)] == 0).mean() > 0.85
    assert 20_000 < run.sum() < 400_000


def test_a_leak_never_rests_and_few_homes_have_one():
    homes = consumption("water", "household", Chances(range(400)), YEAR, BERLIN)[0]
    # the longest time without a dry hour [h]: a leak runs for weeks, and no tap does for two days
    wet = np.cumsum(homes == 0, axis=1)
    longest = np.array([np.bincount(row).max() for row in wet])
    leaky = longest > 14 * 24
    assert (longest[~leaky] < 48).all()
    assert 20 < leaky.sum() < 60  # 400 homes, five quarters that the year touches, 2 % each: 38
    assert homes[leaky].sum(axis=1).mean() > homes[~leaky].sum(axis=1).mean() + 5_000


def test_heat_follows_the_same_weather_as_gas():
    heat, burnt = used("heat", "household", 3, YEAR)[0], used("gas", "household", 3, YEAR)[0]
    january = slice(0, 31 * 24)
    assert np.corrcoef(heat[january], burnt[january])[0, 1] > 0.8
    assert heat.min() > 0


def test_many_meters_at_once_are_each_meter_alone():
    for commodity, kind, _ in MODELS:
        together = consumption(commodity, kind, Chances([5, 6, 7]), YEAR[:500], BERLIN)
        for row, seed in enumerate((5, 6, 7)):
            alone = used(commodity, kind, seed, YEAR[:500])
            assert [channel[row].tolist() for channel in together] == [channel.tolist() for channel in alone]


def test_wall_clock_follows_summer_time():
    # 2026-03-29: 01:00 UTC is 03:00 in Berlin, the hour before it 01:00
    jump = hour_of(datetime(2026, 3, 29, 1, tzinfo=UTC))
    assert wall_clock(np.array([jump - 1, jump]), BERLIN).hour.tolist() == [1.0, 3.0]
    back = hour_of(datetime(2026, 10, 25, 1, tzinfo=UTC))
    assert wall_clock(np.array([back - 1, back]), BERLIN).hour.tolist() == [2.0, 2.0]
    assert wall_clock(np.array([jump]), "Asia/Kolkata").hour.tolist() == [6.5]
    assert wall_clock(np.array([jump]), BERLIN).weekend.tolist() == [True]
