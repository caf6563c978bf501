"""Registers that run: exact at the ends of hours, evenly between them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.inventory import make_shipment
from firmware_sim.meter import ORIGIN, Meter
from firmware_sim.modbus.counter import HOUR_S, Counter

SPECS = make_shipment(3, 12, 1).meters
IMPORT = "1-0:1.8.0"


def meter(number: int) -> Meter:
    return Meter(SPECS[number], 1, "Europe/Berlin")


@given(
    number=st.sampled_from(range(len(SPECS))),
    hour=st.integers(ORIGIN - 5_000, ORIGIN + 9_000),
    hours=st.integers(1, 200),
    tick=st.integers(1, 8000),
)
@settings(max_examples=50, deadline=None)
def test_what_is_counted_between_ends_of_hours_is_the_sum_of_the_hours(number, hour, hours, tick):
    counter = Counter(meter(number), tick)
    begin, end = (counter.totals(counter.tick(at * HOUR_S)) for at in (hour, hour + hours))
    for channel in meter(number).measure(hour, hour + hours):
        code = channel.channel.channel
        assert end[code] - begin[code] == channel.values.sum()


@given(
    number=st.sampled_from(range(len(SPECS))),
    hour=st.integers(ORIGIN - 5_000, ORIGIN + 9_000),
    seconds=st.lists(st.floats(0, 7200), min_size=2, max_size=20),
    tick=st.integers(1, 4000),
)
@settings(max_examples=50, deadline=None)
def test_registers_never_run_backwards(number, hour, seconds, tick):
    counter = Counter(meter(number), tick)
    seen = [counter.totals(counter.tick(hour * HOUR_S + second)) for second in sorted(seconds)]
    for code in seen[0]:
        counted = [totals[code] for totals in seen]
        assert counted == sorted(counted)


def test_registers_agree_with_the_fleets_registers():
    for number in range(len(SPECS)):
        counter = Counter(meter(number), 60)
        totals = counter.totals(counter.tick((ORIGIN + 1000) * HOUR_S))
        for channel in meter(number).measure(ORIGIN + 999, ORIGIN + 1000):
            code = channel.channel.channel
            assert (counter.at_origin[code] + totals[code]) % 10**channel.channel.register_digits == channel.registers[
                0
            ]


def test_energy_of_an_hour_is_spread_evenly_over_it():
    counter = Counter(meter(0), 60)
    first = meter(0).measure(ORIGIN, ORIGIN + 1)[0].values[0]
    begin = ORIGIN * HOUR_S
    assert first == 953
    assert [counter.totals(counter.tick(begin + second))[IMPORT] for second in (0, 59.9, 60, 1800, 3599, 3600)] == [
        0,
        0,
        15,  # 953 × 60 ÷ 3600 = 15.9
        476,  # 953 ÷ 2
        937,  # 953 × 59 ÷ 60 = 937.1
        953,
    ]


@pytest.mark.parametrize("tick", [3600, 7200])
def test_a_tick_of_an_hour_or_more_lets_registers_jump_at_ends_of_hours(tick):
    counter = Counter(meter(0), tick)
    begin = ORIGIN * HOUR_S
    assert [counter.totals(counter.tick(begin + second))[IMPORT] for second in (3599.9, 3600, 7199)] == [0, 953, 953]
