"""NEM12 and NEM13: numbers read by hand from the published samples, and by the library's own reading of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import aemo_mdff_reader
import pytest

from headend.collect.files.prepare import parse
from headend.collect.files.series import whole
from headend.reads.days import seconds
from headend.reads.quality import Flag, Quality
from tests.collect.files.samples import DATA, refused, sample

VALID = sorted(path.name for path in DATA.glob("Example_NEM12_*.csv"))


def day(*values: object, quality: str = "A", date: str = "20260105", more: Sequence[str] = ()) -> str:
    """A NEM12 file of one day: these values first, then zeros, in half hours."""
    cells = [*map(str, values), *["0"] * (48 - len(values))]
    return "\n".join(
        [
            "100,NEM12,202601060000,MDA1,Ret1",
            "200,NMI1,E1,1,E1,N1,SER1,kWh,30,",
            f"300,{date},{','.join(cells)},{quality},,,20260106000000,",
            *more,
            "900",
        ]
    )


def utc(*at: int) -> int:
    return seconds(datetime(*at, tzinfo=UTC))  # type: ignore[arg-type]


def test_a_day_begins_at_midnight_in_brisbane_and_values_are_whole_watt_hours():
    (reactive, active) = sorted(sample("Example_NEM12_actual_interval.csv").series, key=lambda s: s.channel)[::-1]
    assert (active.names, active.channel, active.obis) == (("VABD000163", "METSER123"), "E1", "1-0:1.8.0")
    assert (reactive.channel, reactive.obis) == ("Q1", "1-0:3.8.0")
    # 1 February 2004, 00:00 AEST; the first value is the one that ends at 00:30.
    assert active.start_s[0] == utc(2004, 1, 31, 14)
    assert active.start_s[-1] == utc(2004, 2, 1, 13, 30)
    assert set(active.values) == {1111}
    assert set(reactive.values) == {2222}
    assert set(active.codes) == {Quality.RAW}


def test_solar_of_a_month_is_export_in_five_minutes():
    solar, use = sample("Example_NEM12_month_solar.csv").series
    assert (solar.obis, use.obis) == ("1-0:2.8.0", "1-0:1.8.0")
    assert (solar.interval_s, len(solar.values)) == (300, 31 * 288)
    assert solar.values[:80] == [0] * 76 + [5, 12, 21, 33]
    assert sum(value or 0 for value in solar.values[:288]) == 23_166
    assert list(solar.runs(10**6)) == [slice(0, 31 * 288)], "days follow each other without a break"


@pytest.mark.parametrize("name", VALID)
def test_every_value_is_what_the_library_reads(name: str):
    ours = {
        (series.names[0], series.channel, start): value
        for series in sample(name).series
        for start, value in zip(series.start_s, series.values, strict=True)
    }
    theirs = {}
    for read in aemo_mdff_reader.parse(DATA / name):
        scale = {"wh": 1, "varh": 1, "kwh": 1000, "kvarh": 1000}.get(read.uom.lower())
        if scale:
            start = seconds(read.interval_start.replace(tzinfo=UTC)) - 36_000
            theirs[read.nmi, read.nmi_suffix, start] = round(read.value * scale)
    assert ours == theirs


def test_each_half_hour_has_the_quality_its_400_record_says():
    (series,) = sample("Example_NEM12_multiple_quality.csv").series
    assert series.values[:3] == [18_023, 19_150, 17_592]
    # 400,1,20,F14: final; 400,21,24,A; 400,25,48,S14: like day
    assert list(series.codes) == ([Quality.EDITED] * 20 + [Quality.RAW] * 4 + [Quality.ESTIMATED_LIKE_DAY] * 24)


def test_a_reason_of_the_meters_own_value_is_what_the_device_says():
    text = day(*["0.1"] * 48, quality="V", more=["400,1,2,A,79,Power Outage Alarm", "400,3,4,A,89,", "400,5,48,A,,"])
    (series,) = parse("x", text.encode()).series
    assert list(series.flags) == [Flag.POWER_OUTAGE] * 2 + [Flag.CLOCK_SET] * 2 + [Flag.GOOD] * 44
    assert set(series.codes) == {Quality.RAW}


@pytest.mark.parametrize(
    ("flag", "code"),
    [
        ("A", Quality.RAW),
        ("S17", Quality.ESTIMATED_LINEAR),
        ("S14", Quality.ESTIMATED_LIKE_DAY),
        ("E20", Quality.ESTIMATED_LIKE_DAY),
        ("S24", Quality.ESTIMATED_FROM_REGISTER),
        ("E25", Quality.ESTIMATED_AVERAGE),
        ("E11", Quality.ESTIMATED_AVERAGE),
        ("S18", Quality.EDITED),
        ("F17", Quality.EDITED),
        ("S57", Quality.ESTIMATED_CLASS_PROFILE),
        ("S55", Quality.ESTIMATED_BY_HAND),
        ("N", Quality.MISSING),
    ],
)
def test_quality_flags_become_our_codes(flag: str, code: Quality):
    (series,) = parse("x", day(1.5, quality=flag).encode()).series
    assert set(series.codes) == {code}
    assert series.values[0] == (None if flag == "N" else 1_500)


def test_null_intervals_of_a_varied_day_are_missing_not_zero():
    text = day(*["0.1"] * 47, "", quality="V", more=["400,1,47,A,,", "400,48,48,N,,"])
    (series,) = parse("x", text.encode()).series
    assert series.values[-2:] == [100, None]


def test_fractions_of_a_watt_hour_are_carried_into_the_next_interval():
    (series,) = parse("x", day("0.0004", "0.0004", "0.0004", "1.0008").encode()).series
    # running total 0.4, 0.8, 1.2, 1002.0 Wh
    assert series.values[:4] == [0, 1, 0, 1001]
    assert whole([Decimal("0.5")] * 4) == [1, 0, 1, 0]
    assert whole([Decimal("-0.6"), None, Decimal("-0.6")]) == [-1, None, 0]


@pytest.mark.parametrize(("unit", "wh"), [("Wh", 2), ("kWh", 2_000), ("MWH", 2_000_000), ("kwh", 2_000)])
def test_units_become_watt_hours(unit: str, wh: int):
    (series,) = parse("x", day(2).replace("kWh", unit).encode()).series
    assert series.values[0] == wh


def test_a_channel_that_is_no_energy_is_kept_apart_with_the_reason():
    volts = sample("Example_NEM12_different_interval_length.csv").series[2]
    assert (volts.channel, volts.unusable, volts.values) == ("V1", "its unit '' is none of energy", [])


def test_a_channel_that_changes_its_unit_is_read_in_each():
    first, again = day(2), day(2, date="20260106").replace("kWh", "Wh")
    one, other = parse("x", "\n".join([*first.splitlines()[:-1], *again.splitlines()[1:]]).encode()).series
    assert (one.values[0], other.values[0]) == (2_000, 2)


def test_accumulated_reads_become_registers_with_the_serial_number():
    first, last = sample("Example_NEM13_consumption_data.csv").registers
    assert (first.names, first.obis, first.serial) == (("VABC005890", "METSER123"), "1-0:1.8.0", "METSER123")
    assert (first.at_s, first.value) == (utc(2003, 10, 4, 23, 30, 55), 6_342_800)
    assert (last.at_s, last.value) == (utc(2004, 1, 7, 0, 3, 33), 7_654_900)
    assert last.value - first.value == 1_312_100  # the quantity the file states: 1312.1 kWh


def test_estimated_registers_are_left_out_and_said_to_be():
    reads = sample("Example_NEM13_forward_estimate.csv")
    assert [(register.serial, register.value) for register in reads.registers] == [
        ("MET12345", 888_000),
        ("MET5678", 950_000),
    ]
    assert reads.left_out == ["2 estimated registers"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "invalid_NEM12_15min_200_30min_300.csv",
            "line 3: found 300 row has 55 fields, expected at least 98 for IntervalLength=15",
        ),
        (
            "invalid_NEM12_incomplete_interval.csv",
            "line 3: found 300 row has 7 fields, expected at least 50 for IntervalLength=30",
        ),
        (
            "invalid_NEM12_missing_header.csv",
            "line 2: found record '200,VABD000163,E1Q1,1,E1,N1,METSER123,kW', expected the header first: 100,NEM12,… or"
            " 100,NEM13,…",
        ),
    ],
)
def test_invalid_samples_are_refused_with_the_line(name: str, says: str):
    assert refused((DATA / name).read_bytes()) == f"reads.csv: {says}"


SECOND_DAY = day(7).splitlines()[2]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (day(1, more=[SECOND_DAY]), "line 4: found 'NMI1' 'E1' at 2026-01-04T14:00:00Z again"),
        (day(1).removesuffix("900"), "expected an end record, 900: it is cut off"),
        (day(1) + "\n300,1", "line 5: found record '300', expected nothing after 900"),
        (day("", 1), "line 3: found '', expected a number"),
        (day("nan"), "line 3: found 'nan', expected a number"),
        (day("1e3"), "line 3: found '1e3', expected a number"),
        (day(1, quality="X"), "line 3: found quality 'X'"),
        (day(1, quality=""), "line 3: found quality ''"),
        (day(1, quality="V"), "line 3: found 400 records of 0 intervals, expected of all 48"),
        (day(1, quality="V", more=["400,1,20,A,,", "400,22,48,A,,"]), "intervals 22–48, expected them from 21 on"),
        (day(1, quality="V", more=["400,1,49,A,,"]), "intervals 1–49, expected them from 1 on, up to 48"),
        (day(1, more=["400,1,48,A,,"]), "expected 400 records only after V"),
        (day(1, date="20260230"), "line 3: found day"),
        (day(1, date="202601051200"), "line 3: found '202601051200', expected a date"),
        (day(1, date="00010101"), "expected a date from 1971 on"),
        (day(1).replace(",30,", ",7,"), "line 2: found IntervalLength 7 does not divide a 24-hour day"),
        (day(1).replace("NEM12,", "NEM14,"), "line 1: found record '100,NEM14"),
        (day(1, more=["250,x"]), "line 4: found record '250'"),
        ("900", "line 1: found record '900', expected the header first"),
        ("100,NEM12,202601060000,a,b\n300,20260105,1\n900", "line 2: found record '300'"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, says: str):
    assert says in refused(text)


def test_the_same_day_twice_with_the_same_values_counts_once():
    (series,) = parse("x", day(1, more=[day(1).splitlines()[2]]).encode()).series
    assert len(series.values) == 48
