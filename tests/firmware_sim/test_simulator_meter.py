"""Registers, the shipment file, and the fold of the published series."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.data.fold import fold
from firmware_sim.errors import InvalidInput
from firmware_sim.inventory import make_shipment
from firmware_sim.meter import ORIGIN, Bank, Meter

SPECS = make_shipment(3, 12, 1).meters


@given(
    spec=st.sampled_from(SPECS),
    begin=st.integers(-15_000, 15_000),
    length=st.integers(1, 200),
    apart=st.integers(0, 500),
)
@settings(max_examples=50, deadline=None)
def test_a_register_advances_by_its_intervals_on_both_sides_of_the_origin(spec, begin, length, apart):
    meter = Meter(spec, 1, "Europe/Berlin")
    begin += ORIGIN
    whole = meter.measure(begin, begin + length + apart)
    part = meter.measure(begin + apart, begin + length + apart)
    for long, short in zip(whole, part, strict=True):
        assert (long.registers[1:] - long.registers[:-1]).tolist() == long.values[1:].tolist() or _rolled(long)
        assert long.registers[apart:].tolist() == short.registers.tolist()
        assert long.values[apart:].tolist() == short.values.tolist()


def _rolled(channel) -> bool:
    dial = 10**channel.channel.register_digits
    return (((channel.registers[1:] - channel.registers[:-1]) % dial) == channel.values[1:]).all()


@given(begin=st.integers(-15_000, 15_000), looks=st.lists(st.tuples(st.integers(-900, 900), st.integers(0, 60))))
@settings(max_examples=20, deadline=None)
def test_meters_measured_together_and_in_any_order_are_each_meter_alone(begin, looks):
    specs = [spec for spec in make_shipment(1, 40, 1).meters if spec.kind == "household_solar"]
    bank = Bank(specs, 1, "Europe/Berlin")
    for apart, length in looks:
        first = ORIGIN + begin + apart
        for table, alone in zip(
            bank.measure(first, first + length),
            Meter(specs[2], 1, "Europe/Berlin").measure(first, first + length),
            strict=True,
        ):
            row = list(table.rows())[2]
            assert (row.meter, row.values.tolist()) == (alone.meter, alone.values.tolist())
            assert row.registers.tolist() == alone.registers.tolist()


def test_registers_may_count_from_a_later_day():
    late, early = ORIGIN + 10_000, ORIGIN + 10_100
    one, other = (Bank(SPECS[:1], 1, "UTC", counted_from=at).measure(early, early + 5)[0] for at in (late, early))
    # what lies between the two days is all the difference
    between = Bank(SPECS[:1], 1, "UTC").measure(late, early)[0].values.sum()
    assert (one.registers - other.registers).tolist() == [[between] * 5]


def test_another_fleet_seed_is_another_fleet():
    one, two = (Meter(SPECS[3], seed, "Europe/Berlin").measure(ORIGIN, ORIGIN + 24)[0] for seed in (1, 2))
    assert one.values.tolist() != two.values.tolist()
    assert one.registers[0] != two.registers[0]


@given(gateways=st.integers(1, 30), meters=st.integers(1, 120), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_shipment_is_deterministic_and_every_meter_has_its_place(gateways, meters, seed):
    shipment = make_shipment(gateways, meters, seed)
    assert shipment == make_shipment(gateways, meters, seed)
    assert len(shipment.gateways) == gateways
    assert len({spec.meter for spec in shipment.meters}) == len(shipment.meters) == meters
    electricity = {spec.premise: spec for spec in shipment.meters if spec.commodity == "electricity"}
    for spec in shipment.meters:
        assert spec.gateway in shipment.gateways
        assert spec.gateway == electricity[spec.premise].gateway
        assert spec.commodity == "electricity" or electricity[spec.premise].kind.endswith(
            ("home", "household", "_ev", "_solar")
        )
    others = [(spec.premise, spec.commodity) for spec in shipment.meters if spec.commodity != "electricity"]
    assert len(set(others)) == len(others)


def test_shipment_of_one_two_three_and_a_hundred():
    assert [spec.meter for spec in make_shipment(1, 1, 1).meters] == ["E-20001"]
    assert [spec.kind for spec in make_shipment(1, 2, 1).meters] == ["london_home", "cambridge_building"]
    assert [spec.meter for spec in make_shipment(2, 3, 1).meters] == ["E-20001", "E-20002", "E-20003"]
    hundred = make_shipment(5, 102, 1).meters
    assert sum(spec.commodity == "electricity" for spec in hundred) == 72
    assert next(spec.meter for spec in hundred if spec.commodity == "gas") == "G-20001"
    assert next(spec.meter for spec in hundred if spec.commodity == "water") == "W-20001"


def test_shipment_file_as_json():
    content = make_shipment(2, 5, 1).as_json()
    assert content["gateways"] == ["GW-001", "GW-002"]
    assert content["meters"][0] == {
        "meter": "E-20001",
        "gateway": "GW-001",
        "commodity": "electricity",
        "premise": "P-0001",
        "kind": "london_home",
        "channels": (
            {
                "channel": "1-0:1.8.0",
                "unit": "Wh",
                "interval_s": 3600,
                "register_digits": 9,
                "max_per_interval": 27600,
            },
        ),
    }


def test_heat_meters_come_on_top_and_change_nothing_else():
    with_heat = make_shipment(2, 20, 1, heat=3)
    assert with_heat.meters[:20] == make_shipment(2, 20, 1).meters
    assert [(spec.meter, spec.commodity) for spec in with_heat.meters[20:]] == [
        ("H-20001", "heat"), ("H-20002", "heat"), ("H-20003", "heat"),
    ]  # fmt: skip
    assert {spec.channels[0].channel for spec in with_heat.meters[20:]} == {"6-0:1.0.0"}
    with pytest.raises(InvalidInput, match="--heat-meters: found 9, expected 0 to 1, one a home"):
        make_shipment(2, 2, 1, heat=9)


def test_no_meters_is_wrong_input():
    with pytest.raises(InvalidInput, match="--meters: found 0"):
        make_shipment(1, 0, 1)


def test_fold_adds_halves_drops_repeats_and_leaves_out_what_is_not_whole():
    rows = [
        ("2013-01-01 00:30:00", "0.2"),  # its first half is missing
        ("2013-01-01 01:00:00", "0.1234"),
        ("2013-01-01 01:30:00", "0.1231"),  # 246.5 Wh: halves go to even
        ("2013-01-01 02:00:00", "0.3"),
        ("2013-01-01 02:00:00", "0.3"),
        ("2013-01-01 02:30:00", "0.4"),
    ]
    assert fold(rows) == [("2013-01-01T01:00:00Z", 246), ("2013-01-01T02:00:00Z", 700)]
    with pytest.raises(ValueError, match="2013-01-01 02:00:00"):
        fold([*rows, ("2013-01-01 02:00:00", "0.5")])
