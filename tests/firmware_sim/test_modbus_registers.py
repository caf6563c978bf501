"""What stands in a simulated meter's registers as time goes on, read as a head-end would understand them."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.errors import InvalidInput
from firmware_sim.inventory import make_shipment
from firmware_sim.meter import ORIGIN, Meter
from firmware_sim.modbus.counter import HOUR_S, Counter
from firmware_sim.modbus.faults import NONE, Faults, read_faults
from firmware_sim.modbus.profile import load_profile
from firmware_sim.modbus.unit import MeterUnit

SPECS = {spec.meter: spec for spec in make_shipment(3, 12, 1).meters}
SOLAR = "E-20004"
BEGIN = ORIGIN * HOUR_S

IMPORT = {
    "abb-b23-b24": (3, 0x5000, ">Q", 10),
    "carlo-gavazzi-em24": (4, 0x0034, ">i", 100),
    "eastron-sdm120": (4, 0x0048, ">f", 1000),
    "eastron-sdm630": (4, 0x0048, ">f", 1000),
    "schneider-iem3155": (3, 3203, ">q", 1),
    "sunspec-meter": (3, 40_116, ">I", 1),
}
"""Function, address, number and Wh in one, from the makers' manuals."""


class Played:
    """A meter of the fleet with its hands on the clock.

    `at` is in seconds of 2026.
    """

    def __init__(self, profile: str, *, meter: str = "E-20001", tick: int = 60, start: int | None = None, **faults):
        self._now, self._profile = 0.0, profile
        self.meter = Meter(SPECS[meter], 1, "Europe/Berlin")
        kind, counter = load_profile(profile), Counter(self.meter, tick)
        self._unit = MeterUnit(kind, counter, lambda: BEGIN + self._now, Faults(**faults), start)

    def read(self, at: float, function: int, address: int, number: str) -> float:
        self._now = at
        words = self._unit.read(function, address, struct.calcsize(number) // 2)
        if self._profile == "carlo-gavazzi-em24":
            words = words[2:] + words[:2]
        return struct.unpack(number, words)[0]

    def wh(self, at: float) -> float:
        """The import register."""
        function, address, number, step = IMPORT[self._profile]
        return self.read(at, function, address, number) * step

    def used(self, hours: int) -> list[int]:
        """What the fleet's truth says of the first hours of 2026 [Wh]."""
        return self.meter.measure(ORIGIN, ORIGIN + hours)[0].values.tolist()


@pytest.mark.parametrize("profile", ["schneider-iem3155", "sunspec-meter"])
def test_differences_at_ends_of_hours_are_the_truth_where_registers_count_wh(profile):
    meter = Played(profile)
    registers = [meter.wh(hour * HOUR_S) for hour in range(201)]
    assert [end - begin for begin, end in pairwise(registers)] == meter.used(200)


@pytest.mark.parametrize("profile", ["abb-b23-b24", "carlo-gavazzi-em24"])
def test_coarse_registers_cut_their_last_digits_off_and_nothing_adds_up(profile):
    meter, step = Played(profile, start=0), IMPORT[profile][3]
    total = 0
    for hour, used in enumerate(meter.used(200), start=1):
        total += used
        assert meter.wh(hour * HOUR_S) == total // step * step


@pytest.mark.parametrize("profile", ["eastron-sdm120", "eastron-sdm630"])
def test_a_float_register_is_exact_while_the_meter_is_new(profile):
    meter = Played(profile, start=0)
    total = 0
    for hour, used in enumerate(meter.used(200), start=1):
        total += used
        assert round(meter.wh(hour * HOUR_S)) == total


@given(
    profile=st.sampled_from(sorted(IMPORT)),
    seconds=st.lists(st.floats(0, 1e6), min_size=2, max_size=10),
    tick=st.integers(1, 4000),
)
@settings(max_examples=60, deadline=None)
def test_registers_never_run_backwards_in_any_profile(profile, seconds, tick):
    meter = Played(profile, tick=tick)
    seen = [meter.wh(second) for second in sorted(seconds)]
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("profile", "dial"),
    [
        ("schneider-iem3155", 10**11),
        ("sunspec-meter", 2**32),
        ("abb-b23-b24", 10**12),
        ("carlo-gavazzi-em24", 10**11),
    ],
)
def test_a_register_rolls_over_behind_the_highest_number_it_can_show(profile, dial):
    meter = Played(profile, start=dial - 500)
    step = IMPORT[profile][3]
    assert meter.wh(0) == dial - 500
    assert meter.wh(HOUR_S) == (953 - 500) // step * step


def test_a_solar_meter_counts_export_too():
    meter = Played("schneider-iem3155", meter=SOLAR)
    noon = 24 * 180 + 11
    _, export = meter.meter.measure(ORIGIN + noon, ORIGIN + noon + 1)
    begin, end = (meter.read((noon + hour) * HOUR_S, 3, 3207, ">q") for hour in (0, 1))
    assert end == export.registers[0]
    assert end - begin == export.values[0] > 0


def test_what_the_meter_does_not_count_is_not_available():
    assert Played("schneider-iem3155").read(0, 3, 3207, ">q") == -(2**63)
    assert Played("abb-b23-b24").read(0, 3, 0x5004, ">Q") == 2**64 - 1


def test_a_register_in_several_parts_is_their_sum():
    reactive = next(row for row in load_profile("sunspec-meter").registers if row.channel == "1-0:3.8.0")
    assert reactive.addresses == (40_142, 40_150)  # quadrants 1 and 2
    assert reactive.numbers(101) == [struct.pack(">I", 50), struct.pack(">I", 51)]


@pytest.mark.parametrize("model", [201, 202, 203, 204])
def test_any_sunspec_meter_model_can_be_played(model):
    counter = Counter(Meter(SPECS["E-20001"], 1, "Europe/Berlin"), 60)
    unit = MeterUnit(load_profile("sunspec-meter", model), counter, lambda: BEGIN, NONE)
    head = unit.read(3, 40_070, 2)
    assert head == struct.pack(">HH", model, 105)


def test_a_reset_lets_registers_start_again_and_keeps_the_serial_number():
    meter = Played("schneider-iem3155", reset_at=BEGIN + 2 * HOUR_S)
    first, second, third = meter.used(3)
    before = meter.wh(0)
    assert meter.wh(2 * HOUR_S - 1) == before + first + second * 3540 // 3600
    assert meter.wh(2 * HOUR_S) == 0
    assert meter.wh(3 * HOUR_S) == third
    assert meter.read(3 * HOUR_S, 3, 129, ">I") == 20_001


def test_an_exchange_brings_another_serial_number_and_registers_from_zero():
    meter = Played("schneider-iem3155", exchange_at=BEGIN + 2 * HOUR_S)
    assert meter.read(HOUR_S, 3, 129, ">I") == 20_001
    assert meter.read(2 * HOUR_S, 3, 129, ">I") == 1_020_001
    assert meter.wh(2 * HOUR_S) == 0
    assert meter.wh(3 * HOUR_S) == meter.used(3)[2]


def test_registers_at_fault_tell_no_number():
    assert math.isnan(Played("eastron-sdm120", nan=True).wh(0))
    assert Played("schneider-iem3155", nan=True).wh(0) == -(2**63)
    assert Played("sunspec-meter", nan=True).read(0, 3, 40_124, ">h") == -(2**15)


def test_swapped_words_are_another_number():
    right, wrong = (Played("schneider-iem3155", swapped_words=swap).wh(0) for swap in (False, True))
    words = [right >> shift & 0xFFFF for shift in (0, 16, 32, 48)]
    assert wrong == words[0] - (words[0] >> 15 << 16) << 48 | words[1] << 32 | words[2] << 16 | words[3]


def test_faults_are_told_for_all_units_or_one():
    at = datetime(2026, 1, 5, 12, tzinfo=UTC).timestamp()
    found = read_faults(["exception=6", "2:slow=0.5", "2:reset_at=2026-01-05T12:00:00Z", "1:nan"], [1, 2])
    assert found == {1: Faults(exception=6, nan=True), 2: Faults(exception=6, slow=0.5, reset_at=at)}


@pytest.mark.parametrize(
    "option",
    [
        "unknown",
        "slow=late",
        "slow=nan",
        "exception=256",
        "3:silent",
        "silent=1",
        "reset_at",
        "reset_at=noon",
        "reset_at=2026-01-05T12:00:00",
        "",
    ],
)
def test_a_fault_that_cannot_be_is_refused(option):
    with pytest.raises(InvalidInput, match="--fault"):
        read_faults([option], [1, 2])


def test_an_unknown_profile_or_model_is_refused_with_those_there_are():
    with pytest.raises(InvalidInput, match=r"one of abb-b23-b24, .*sunspec-meter"):
        load_profile("sdm121")
    with pytest.raises(InvalidInput, match="found 205, expected 201, 202, 203, 204"):
        load_profile("sunspec-meter", 205)
    with pytest.raises(InvalidInput, match="has no SunSpec models"):
        load_profile("abb-b23-b24", 201)
