"""Anomalies: each found with its days and its numbers, what looks like one left alone, and how often both hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.anomalies import looked_at_daily
from benchmarks.planted import AREA, KINDS, planted_fleet, with_real_home
from headend.config import shipped
from headend.reads.channels import EXPORT, GAS, IMPORT, WATER, Channel
from headend.reads.quality import Flag
from headend.vee import load_rule_set
from headend.vee.anomalies import (
    Anomaly,
    Installations,
    anomalies,
    inactive,
    leak,
    peers,
    reverse,
    stuck,
    tamper,
)
from headend.vee.dailyuse import DAYS, UNKNOWN, DailyUse, nothing_known

LIMITS = load_rule_set(shipped("vee.toml")).anomalies
END = 20_089  # 2025-01-01
HOUR = np.arange(24)

#: A day of 24 × 200 Wh and an evening of 5 × 800 Wh: 8.8 kWh, between 200 and 1,000 Wh.
EVENING = 200 + np.where((HOUR >= 17) & (HOUR < 22), 800, 0)
#: Taps from 7 to 21 h: 14 × 10 litres, dry at night.
TAPS = np.where((HOUR >= 7) & (HOUR < 21), 10, 0)


def hours(shape: np.ndarray) -> np.ndarray:
    """Seventy days of the same hours (70, 24)."""
    return np.tile(shape, (DAYS, 1)).astype(np.int64)


def fleet(
    *rows: tuple[Channel, np.ndarray],
    place: int | None = None,
    neighbourhood: int = -1,
) -> tuple[DailyUse, Installations]:
    """Channels with their hours (70, 24); each at a place of its own, or all at one."""
    values = np.stack([values for _, values in rows])
    k = len(rows)
    places = np.arange(1, k + 1) if place is None else np.full(k, place)
    use = DailyUse(
        END,
        values.sum(axis=2),
        values.max(axis=2),
        values.min(axis=2),
        np.zeros((k, DAYS), np.int64),
        np.zeros((k, DAYS), np.int64),
    )
    of = Installations(
        channel=np.array([channel.code for channel, _ in rows]),
        usage_point=places,
        per_day=np.full(k, 24),
        generates=np.zeros(k, dtype=np.bool_),
        account=np.repeat(places[:, None], DAYS, axis=1),
        neighbourhood=np.full(k, neighbourhood),
        backwards=np.zeros((k, DAYS), np.int64),
    )
    return use, of


def street(homes: int = 20, seed: int = 5) -> list[tuple[Channel, np.ndarray]]:
    """Electricity of neighbours: sizes, weeks and days that differ, a base load that hardly does."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(homes):
        size = random.uniform(0.6, 1.6)
        week = np.repeat(random.normal(0, 0.12, DAYS // 7), 7)[:, None]
        above = (EVENING - 200) * np.exp(week + random.normal(0, 0.1, (DAYS, 24)))
        rows.append((IMPORT, np.rint(size * (random.normal(200, 3, (DAYS, 24)) + above)).astype(np.int64)))
    return rows


def only(found: list[Anomaly]) -> Anomaly:
    """The one that was found."""
    assert len(found) == 1, found
    return found[0]


def told(found: list[Anomaly]) -> list[Anomaly]:
    """Those that a person would be shown."""
    return [anomaly for anomaly in found if anomaly.score >= LIMITS.review_score]


# ---- leak ------------------------------------------------------------------------------------------------------------


def test_water_that_never_stops_any_more_is_a_leak_with_what_it_loses() -> None:
    water = hours(TAPS)
    water[50:] += 12
    found = only(leak(*fleet((WATER, water)), LIMITS))
    assert (found.row, found.code, found.first_day, found.end_day) == (0, "leak", END - 20, END)
    assert found.score > 0.95
    assert "Since 2024-12-12" in found.detail
    assert "at least 12 litres an interval, about 288 litres a day lost, on 20 days" in found.detail


def test_a_leak_that_was_mended_keeps_its_days() -> None:
    water = hours(TAPS)
    water[30:36] += 3
    found = only(leak(*fleet((WATER, water)), LIMITS))
    assert (found.first_day, found.end_day) == (END - 40, END - 34)


@pytest.mark.parametrize(
    ("channel", "shape", "begin", "more"),
    [
        (WATER, TAPS, 68, 12),  # a pool is filled for two days
        (WATER, TAPS + 5, 50, 12),  # a hotel never had a dry night
        (IMPORT, EVENING - 200, 50, 12),  # electricity has a base load
        (GAS, TAPS, 63, 12),  # a week of heating
    ],
)
def test_what_flows_for_another_reason_is_no_leak(channel: Channel, shape: np.ndarray, begin: int, more: int) -> None:
    values = hours(shape)
    values[begin:] += more
    assert leak(*fleet((channel, values)), LIMITS) == []


def test_flow_that_begins_with_the_neighbours_is_heating() -> None:
    gas = hours(TAPS)
    gas[40:] += 50
    assert leak(*fleet(*[(GAS, gas)] * 6, *[(GAS, hours(TAPS))] * 6, neighbourhood=3), LIMITS) == []
    assert len(leak(*fleet(*[(GAS, gas)] * 2, *[(GAS, hours(TAPS))] * 10, neighbourhood=3), LIMITS)) == 2


def test_a_leak_goes_on_through_days_that_nobody_read() -> None:
    water = hours(TAPS)
    water[50:] += 12
    use, of = fleet((WATER, water))
    use.low[0, 55], use.unread[0, 55] = 0, 3  # holes count as nothing in a day's lowest
    for array in (use.total, use.peak, use.low):
        array[0, 60:64] = UNKNOWN
    found = only(leak(use, of, LIMITS))
    assert (found.first_day, found.end_day) == (END - 20, END)
    assert "on 15 days" in found.detail


# ---- stuck -----------------------------------------------------------------------------------------------------------


def test_the_same_value_in_every_interval_is_a_stuck_meter() -> None:
    power = hours(EVENING)
    power[66:] = 412
    found = only(stuck(*fleet((IMPORT, power)), LIMITS))
    assert (found.code, found.first_day, found.end_day) == ("stuck", END - 4, END)
    assert "Every interval of 4 days since 2024-12-28 is 412 Wh; they used to differ." in found.detail
    assert found.score > 0.7


@pytest.mark.parametrize("end", [70, 66])
def test_nothing_for_days_is_a_stuck_meter_while_the_water_runs(end: int) -> None:
    power = hours(EVENING)
    power[50:end] = 0
    found = only(stuck(*fleet((IMPORT, power), (WATER, hours(TAPS)), place=7), LIMITS))
    assert (found.row, found.first_day, found.end_day) == (0, END - 20, END - 70 + end)
    assert f"Nothing on {end - 50} days since 2024-12-12, after 8.8 kWh a day" in found.detail
    assert found.detail.endswith("what else is used there goes on.")
    assert found.score > 0.7


def test_who_is_away_has_no_stuck_meter() -> None:
    power, water = hours(EVENING), hours(TAPS)
    power[56:], water[40:] = 0, 0
    assert told(stuck(*fleet((IMPORT, power), (WATER, water), place=7), LIMITS)) == []


def test_near_stuck_is_not_stuck() -> None:
    two_days, router, pauses, short = hours(EVENING), hours(EVENING), hours(EVENING), hours(EVENING)
    two_days[68:] = 412
    router[60:] = 9  # so small that it may be the same for days
    pauses[20:27], pauses[55:69] = 0, 0  # it was off for a week before
    short[66:] = 0
    assert told(stuck(*fleet(*((IMPORT, values) for values in (two_days, router, pauses, short))), LIMITS)) == []


def test_zero_has_other_causes() -> None:
    power = hours(EVENING)
    power[50:] = 0
    use, of = fleet((IMPORT, power))
    assert len(told(stuck(use, of, LIMITS))) == 1
    use.flags[0, 50:] = Flag.POWER_OUTAGE
    assert stuck(use, of, LIMITS) == []
    # No agreement any more, or another household that has not come yet.
    use, of = fleet((IMPORT, power))
    for now in (0, 2):
        of.account[0, 48:] = now
        assert stuck(use, Installations(**_fields(of)), LIMITS) == []
    # The whole street is dark.
    assert stuck(*fleet(*[(IMPORT, power)] * 12, neighbourhood=1), LIMITS) == []


def test_days_that_are_not_known_never_look_like_zero() -> None:
    use, of = fleet((IMPORT, hours(EVENING)), (WATER, hours(TAPS)))
    for array in (use.total, use.peak, use.low):
        array[:, 30:] = UNKNOWN
    assert anomalies(use, of, LIMITS) == []
    estimated = replace(use, total=np.maximum(use.total, 0), peak=np.maximum(use.peak, 0), low=np.maximum(use.low, 0))
    estimated.unread[:, 30:] = 24
    assert anomalies(estimated, of, LIMITS) == []


# ---- reverse ---------------------------------------------------------------------------------------------------------


def test_export_where_nothing_may_feed_in_is_reverse_energy() -> None:
    fed = hours(np.zeros(24))
    fed[[60, 62, 65], 12] = 5_000
    use, of = fleet((EXPORT, fed))
    found = only(reverse(use, of, LIMITS))
    assert (found.code, found.first_day, found.end_day) == ("reverse", END - 10, END - 4)
    assert "15.0 kWh were fed in on 3 days" in found.detail
    assert reverse(use, replace(of, generates=np.array([True])), LIMITS) == []


def test_a_watt_hour_of_noise_and_one_exchange_are_no_reverse_energy() -> None:
    noise = hours(np.zeros(24))
    noise[::3, 12] = 40
    use, of = fleet((EXPORT, noise), (IMPORT, hours(EVENING)))
    of.backwards[1, 30] = 1
    assert reverse(use, of, LIMITS) == []


def test_reads_that_fall_on_several_days_are_reverse_energy() -> None:
    use, of = fleet((IMPORT, hours(EVENING)))
    of.backwards[0, [40, 50, 51, 60]] = [1, 4, 2, 1]
    found = only(reverse(use, of, LIMITS))
    assert (found.first_day, found.end_day) == (END - 30, END - 9)
    assert "8 reads on 4 days were negative or below the one before" in found.detail


# ---- tamper ----------------------------------------------------------------------------------------------------------


def test_a_tamper_flag_and_a_drop_that_lasts() -> None:
    power = hours(EVENING)
    power[51:] = power[51:] * 4 // 10
    use, of = fleet((IMPORT, power))
    use.flags[0, 50] = Flag.TAMPER
    found = only(tamper(use, of, LIMITS))
    assert (found.code, found.first_day, found.end_day) == ("tamper", END - 20, END)
    assert "on 2024-12-12" in found.detail
    assert "3.5 kWh a day instead of 8.8 kWh, 60 % less than expected, on 19 days" in found.detail
    assert found.score > 0.6


def test_only_flag_and_lasting_drop_together_are_tampering() -> None:
    drop, back, whole = hours(EVENING), hours(EVENING), hours(EVENING)
    drop[50:] = drop[50:] * 4 // 10
    back[50:62] = back[50:62] * 4 // 10
    use, of = fleet((IMPORT, drop), (IMPORT, back), (IMPORT, whole))
    use.flags[1:, 49] = Flag.TAMPER
    assert tamper(use, of, LIMITS) == []


def test_a_drop_of_the_whole_street_is_nobodys_tampering() -> None:
    rows = [(IMPORT, np.concatenate([values[:49], values[49:] // 3])) for _, values in street(12)]
    use, of = fleet(*rows, neighbourhood=4)
    use.flags[3, 48] = Flag.TAMPER
    assert tamper(use, of, LIMITS) == []


# ---- inactive --------------------------------------------------------------------------------------------------------


def test_use_without_an_agreement() -> None:
    use, of = fleet((IMPORT, hours(EVENING)))
    of.account[0, 60:] = 0
    found = only(inactive(use, of, LIMITS))
    assert (found.code, found.first_day, found.end_day) == ("inactive", END - 10, END)
    assert found.detail == (
        "No service agreement is in force, but 8.8 kWh a day were used on 10 days since 2024-12-22."
    )
    assert found.score > 0.85


def test_an_empty_home_may_use_a_little_and_a_contract_may_come_late() -> None:
    little, late, estimated = hours(np.full(24, 15)), hours(EVENING), hours(EVENING)
    use, of = fleet((IMPORT, little), (IMPORT, late), (IMPORT, estimated))
    of.account[0, 30:] = 0
    of.account[1, 30:32] = 0
    of.account[2, 30:] = 0
    use.unread[2, 30:] = 24
    assert inactive(use, of, LIMITS) == []


# ---- peers -----------------------------------------------------------------------------------------------------------


def test_a_multiplier_shows_beside_the_neighbours() -> None:
    rows = street()
    rows[7][1][42:] *= 10
    found = only(told(peers(*fleet(*rows, neighbourhood=1), LIMITS)))
    assert (found.row, found.code, found.first_day, found.end_day) == (7, "peers", END - 28, END)
    assert "19 neighbours changed by" in found.detail
    assert found.detail.endswith("its lowest interval changed as much, to 10 times, as by a factor of 10.")


def test_energy_that_goes_round_the_meter() -> None:
    rows = street()
    rows[2][1][42:] = rows[2][1][42:] * 3 // 10
    found = only(told(peers(*fleet(*rows, neighbourhood=1), LIMITS)))
    assert (found.row, found.first_day) == (2, END - 28)
    assert "to 0.3 times" in found.detail


def test_a_part_goes_round_the_meter_where_the_water_tells_that_somebody_is_at_home() -> None:
    rows = street()
    rows[2][1][:35, 17:22] += 4_000  # the car charges in the evening; later it charges beside the meter
    use, of = fleet(*rows, (WATER, hours(TAPS)), neighbourhood=1)
    of.usage_point[20] = of.usage_point[2]
    found = only(told(peers(use, of, LIMITS)))
    assert (found.row, found.first_day) == (2, END - 35)
    assert found.detail.endswith("what else is used there stayed as it was.")
    # Who is away uses no water.
    away = hours(TAPS)
    away[35:] = 0
    use, of = fleet(*rows, (WATER, away), neighbourhood=1)
    of.usage_point[20] = of.usage_point[2]
    assert told(peers(use, of, LIMITS)) == []


def test_a_holiday_a_new_car_and_the_next_household_are_no_theft() -> None:
    rows = street()
    rows[1][1][49:] = np.minimum(rows[1][1][49:], 220)
    rows[2][1][42:, 1:4] += 7_000
    rows[3][1][42:] = rows[3][1][42:] // 3
    use, of = fleet(*rows, neighbourhood=1)
    of.account[3, 42:] = 99
    assert told(peers(use, of, LIMITS)) == []


def test_a_home_that_is_switched_off_now_and_then_is_no_theft() -> None:
    rows = street()
    for day in range(40, DAYS):
        if day % 7 in (0, 1, 2, 3):
            rows[4][1][day] = 0
    use, of = fleet(*rows, neighbourhood=1)
    assert told(peers(use, of, LIMITS)) == []


def test_a_roof_that_was_declared_is_no_theft() -> None:
    rows = street()
    rows[2][1][42:] = rows[2][1][42:] * 3 // 10
    use, of = fleet(*rows, neighbourhood=1)
    assert told(peers(use, replace(of, generates=np.arange(20) == 2), LIMITS)) == []


def test_what_all_neighbours_do_and_what_few_do_is_not_compared() -> None:
    rows = [(IMPORT, np.concatenate([values[:42], values[42:] // 4])) for _, values in street()]
    assert peers(*fleet(*rows, neighbourhood=1), LIMITS) == []
    few = street(6)
    few[2][1][42:] *= 10
    assert peers(*fleet(*few, neighbourhood=1), LIMITS) == []
    assert peers(*fleet(*[*street(19), few[2]]), LIMITS) == []


# ---- all of them -----------------------------------------------------------------------------------------------------


def test_a_change_is_told_once_and_the_worst_comes_first() -> None:
    rows = street()
    rows[2][1][42:] = rows[2][1][42:] * 3 // 10
    rows[5][1][60:] = 412
    use, of = fleet(*rows, neighbourhood=1)
    use.flags[2, 41] = Flag.TAMPER
    found = anomalies(use, of, LIMITS)
    assert [(a.row, a.code) for a in found] == [(5, "stuck"), (2, "tamper")]
    assert found[0].score > found[1].score
    assert {(a.row, a.code) for a in peers(use, of, LIMITS)} >= {(2, "peers")}


@pytest.mark.parametrize("k", [0, 1, 3])
def test_of_nothing_nothing_is_said(k: int) -> None:
    for d in (1, 7, 20, DAYS):
        of = Installations(
            channel=np.full(k, IMPORT.code),
            usage_point=np.arange(k),
            per_day=np.full(k, 24),
            generates=np.zeros(k, dtype=np.bool_),
            account=np.ones((k, d), np.int64),
            neighbourhood=np.zeros(k, np.int64),
            backwards=np.zeros((k, d), np.int64),
        )
        assert anomalies(nothing_known(k, END, d), of, LIMITS) == []


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(24)), st.integers(0, 3))
def test_the_order_of_channels_changes_nothing(order: list[int], seed: int) -> None:
    use, of = mixed(seed)
    rows = np.array(order)
    shuffled = DailyUse(END, *(getattr(use, name)[rows] for name in ("total", "peak", "low", "unread", "flags")))
    found = anomalies(use, of, LIMITS)
    again = anomalies(shuffled, Installations(**{name: array[rows] for name, array in _fields(of).items()}), LIMITS)
    assert len(found) >= 5
    assert {replace(a, row=order[a.row]) for a in again} == set(found)
    assert all(0 <= a.score <= 1 and a.first_day < a.end_day <= END for a in found)


def mixed(seed: int) -> tuple[DailyUse, Installations]:
    """A street with something of everything."""
    rows = street(20, seed)
    rows[1][1][42:] *= 10
    rows[2][1][42:] = rows[2][1][42:] * 3 // 10
    rows[3][1][60:] = 412
    rows[4][1][50:] = 0
    water, fed = hours(TAPS), hours(np.zeros(24))
    water[50:] += 3
    fed[40:50, 12] = 900
    use, of = fleet(*rows, (WATER, water), (WATER, hours(TAPS)), (EXPORT, fed), (GAS, hours(TAPS)), neighbourhood=1)
    use.flags[2, 42] = Flag.TAMPER
    of.account[6, 62:] = 0
    return use, of


# ---- how often -------------------------------------------------------------------------------------------------------


def test_planted_cases_are_found_and_honest_homes_left_alone() -> None:
    looks = 6
    planted = planted_fleet(500, DAYS + looks - 1, 6, seed=11)
    alarms = looked_at_daily(planted, looks, anomalies)
    found = {alarm.case for alarm in alarms if alarm.case is not None}
    by_kind = {kind: sum(case.kind == kind for case in found) for kind in KINDS}
    clear = {"leak", "stuck: one value", "reverse: falls", "inactive"}
    assert {kind: n for kind, n in by_kind.items() if kind in clear} == dict.fromkeys(clear, 6)
    assert min(by_kind[kind] for kind in ("stuck: nothing", "reverse: roof", "tamper")) >= 5
    assert sum(by_kind.values()) >= 0.85 * len(planted.cases)
    right = [alarm for alarm in alarms if alarm.right]
    assert len(right) >= 0.85 * len(alarms)
    # Of all rules together 0.1 in 100 home-days may reach a person: 37 of 500 homes in 75 days. This is a part of them.
    ill = {int(planted.home[case.row]) for case in planted.cases}
    honest = [alarm for alarm in alarms if int(planted.home[alarm.anomaly.row]) not in ill]
    assert len(honest) <= 10


def test_a_real_home_is_left_alone() -> None:
    looks = 60
    street, row = with_real_home(planted_fleet(AREA, DAYS + looks - 1, 0, seed=11))
    alarms = looked_at_daily(street, looks, anomalies)
    assert [alarm.anomaly for alarm in alarms if alarm.anomaly.row == row] == []


def _fields(of: Installations) -> dict[str, np.ndarray]:
    names = ("channel", "usage_point", "per_day", "generates", "account", "neighbourhood", "backwards")
    return {name: getattr(of, name) for name in names}
