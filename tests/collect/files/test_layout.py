"""Files that do not say all of themselves: whose they are, in what unit, in which zone, by begin or by end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.collect.files.csvfile import Layout, whose
from headend.collect.files.prepare import parse
from headend.collect.files.series import Series
from headend.errors import InvalidInput
from headend.reads.days import seconds
from headend.reads.quality import Flag, Quality
from tests.collect.files.samples import DATA, refused

METERS = DATA.parent / "meters"
HOME = METERS / "mac000002_halfhourly.csv"
E_1 = ("E-1", "1-0:1.8.0")
BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")


def read(text: str | bytes, **layout: object) -> Series:
    payload = text.encode() if isinstance(text, str) else text
    (series,) = parse("x", payload, layout=Layout(channel=E_1, **layout)).series  # type: ignore[arg-type]
    return series


def why_not(text: str | bytes, **layout: object) -> str:
    return refused(text, layout=Layout(**({"channel": E_1} | layout)))  # type: ignore[arg-type]


def utc(*at: int) -> int:
    return seconds(datetime(*at, tzinfo=UTC))  # type: ignore[arg-type]


def test_two_columns_are_stamp_and_value_whatever_they_are_called():
    text = "datetime,equipment load [kWh]\n2019-01-01 00:00:00,48.2\n2019-01-01 01:00:00,96.4\n"
    series = read(text, zone=UTC_ZONE)
    assert (series.names, series.obis, series.values) == (("E-1",), "1-0:1.8.0", [48_200, 96_400])
    assert list(series.start_s) == [utc(2019, 1, 1), utc(2019, 1, 1, 1)]


def test_named_columns_come_in_any_order():
    assert read("value,start\n5,2026-01-05T12:00:00Z\n").values == [5]


@pytest.mark.parametrize(
    ("unit", "obis", "value", "base"),
    [
        ("kWh", "1-0:1.8.0", "1.5", 1_500),
        ("Wh", "1-0:2.8.0", "1.5", 2),
        ("MWH", "1-0:1.8.0", "-0.0015", -1_500),
        ("kvarh", "1-0:3.8.0", "2", 2_000),
        ("m3", "7-0:3.0.0", ".25", 250),
        ("l", "8-0:1.0.0", "7", 7),
        ("kWh", "6-0:1.0.0", "7", 7_000),
    ],
)
def test_units_become_whole_base_units(unit: str, obis: str, value: str, base: int):
    (series,) = parse(
        "x",
        f"start,value\n2026-01-05T12:00:00Z,{value}\n".encode(),
        layout=Layout(channel=("E-1", obis), unit=unit),
    ).series
    assert series.values == [base]


def test_fractions_are_carried_through_the_day_and_no_further():
    rows = "".join(f"2026-01-05T{hour:02}:00:00Z,0.0006\n" for hour in (20, 21, 22, 23))
    rows += "".join(f"2026-01-06T{hour:02}:00:00Z,0.0006\n" for hour in (0, 1))
    # 0.6, 1.2, 1.8, 2.4 Wh; and from the beginning again
    assert read("start,value\n" + rows, unit="kWh").values == [1, 0, 1, 0, 1, 0]


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=24), st.randoms())
def test_a_day_is_never_half_a_watt_hour_off_in_whatever_order_it_stands(values: list[int], shuffle):
    rows = [f"2026-01-05T{hour:02}:00:00Z,{Decimal(value) / 10_000}" for hour, value in enumerate(values)]
    in_order = read("\n".join(["start,value", *rows]), unit="kWh").values
    shuffle.shuffle(rows)
    assert read("\n".join(["start,value", *rows]), unit="kWh").values == in_order
    assert abs(sum(value or 0 for value in in_order) - Decimal(sum(values)) / 10) <= Decimal("0.5")


def test_stamps_that_end_an_interval_are_one_interval_earlier():
    rows = [f"2026-01-05 {minute // 60:02}:{minute % 60:02},{minute}" for minute in range(30, 1440, 30)]
    series = read(
        "\n".join(["start,value", *rows, "2026-01-06 00:00,1440"]), zone=BERLIN, stamps="end", interval_s=1800
    )
    assert list(series.start_s) == [utc(2026, 1, 4, 23) + 1800 * place for place in range(48)]
    assert series.values[-1] == 1440


def test_an_offset_counts_before_the_zone():
    assert list(read("start,value\n2026-07-05T12:00:00+01:00,1\n", zone=BERLIN).start_s) == [utc(2026, 7, 5, 11)]


def local_hours(day: datetime, hours: int, zone: ZoneInfo, minutes: int = 60) -> list[datetime]:
    """What the clock on the wall shows at the begin of each interval of a local day, as it passes."""
    first = day.replace(tzinfo=zone).astimezone(UTC)
    steps = (first + timedelta(minutes=step) for step in range(0, hours * 60, minutes))
    return [at.astimezone(zone).replace(tzinfo=None) for at in steps]


@pytest.mark.parametrize(
    ("zone", "date", "hours", "minutes"),
    [
        ("Europe/Berlin", "2026-03-29", 23, 60),
        ("Europe/Berlin", "2026-10-25", 25, 60),
        ("Europe/Berlin", "2026-10-25", 25, 15),
        ("America/New_York", "2026-11-01", 25, 30),
        ("America/New_York", "2026-03-08", 23, 30),
        ("Australia/Brisbane", "2026-10-04", 24, 30),
        # Half an hour is put back here: the day has 24 and a half.
        ("Australia/Lord_Howe", "2026-04-05", 24, 30),
    ],
)
@pytest.mark.parametrize("stamps", ["begin", "end"])
def test_a_local_day_in_the_order_it_passed_has_every_interval_once(
    zone: str, date: str, hours: int, minutes: int, stamps: str
):
    day = datetime.fromisoformat(date)
    begins = local_hours(day, hours, ZoneInfo(zone), minutes)
    later = timedelta(minutes=minutes if stamps == "end" else 0)
    rows = [f"{at + later},{place}" for place, at in enumerate(begins)]
    if zone == "Australia/Lord_Howe":
        rows.append(f"{day + timedelta(hours=23.5) + later},{len(rows)}")
    series = read("\n".join(["start,value", *rows]), zone=ZoneInfo(zone), stamps=stamps, interval_s=minutes * 60)
    first = seconds(day.replace(tzinfo=ZoneInfo(zone)))
    assert list(series.start_s) == [first + minutes * 60 * place for place in range(len(rows))]
    assert series.values == list(range(len(rows)))


AUTUMN = [f"2026-10-25 {hour:02}:00,{hour}" for hour in range(24)]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (
            AUTUMN,
            "line 4: found an interval that begins 2026-10-25 02:00:00, an hour that comes twice in Europe/Berlin",
        ),
        ([*AUTUMN[:3], *[AUTUMN[2]] * 2, *AUTUMN[3:]], "line 4: found an interval that begins 2026-10-25 02:00:00"),
    ],
)
def test_an_autumn_hour_that_cannot_be_told_apart_is_refused_with_its_line(rows: list[str], says: str):
    assert says in why_not("\n".join(["start,value", *rows]), zone=BERLIN)


def test_half_hours_of_autumn_sorted_by_the_clock_cannot_be_told_apart():
    rows = [f"2026-10-25 02:{minute},{value}" for minute, value in (("00", 1), ("00", 2), ("30", 3), ("30", 4))]
    assert "line 2" in why_not("\n".join(["start,value", *rows]), zone=BERLIN, interval_s=1800)


def test_an_hour_that_spring_left_out_is_refused_with_its_line():
    rows = [f"2026-03-29 {hour:02}:00,{hour}" for hour in range(24)]
    assert why_not("\n".join(["start,value", *rows]), zone=BERLIN) == (
        "reads.csv: line 4, start: found an interval that begins 2026-03-29 02:00:00, an hour left out in Europe/Berlin"
        " that day, expected no such hour, or the zone of a file whose days all have 24 hours, such as --timezone"
        " Etc/GMT"
    )


def test_a_file_of_96_quarters_every_day_is_noticed_by_its_hour_of_zeros_in_spring():
    """As the UCI set of Portuguese meters is: zeros in March where there is no hour, two hours in one in October."""
    day = datetime.fromisoformat("2012-03-25")
    stamps = [day + timedelta(minutes=15 * quarter) for quarter in range(96)]
    rows = [f"{at},{0 if at.hour == 1 else 7}" for at in stamps]
    said = why_not("\n".join(["start,value", *rows]), zone=ZoneInfo("Europe/Lisbon"), interval_s=900)
    assert "line 6, start: found an interval that begins 2012-03-25 01:00:00, an hour left out in Europe/Lisbon" in said


@pytest.mark.parametrize(
    ("text", "layout", "says"),
    [
        (
            "start,value\n2026-01-05 12:00,1\n",
            {},
            "line 2, start: found '2026-01-05 12:00', expected an ISO 8601 moment",
        ),
        ("start,value\n2026-01-05 12:00,1\n", {}, "or --timezone ZONE"),
        ("start,value\n05.01.2026,1\n", {"zone": BERLIN}, "line 2, start: found '05.01.2026'"),
        ("start,value\n0001-01-01 00:00,1\n", {"zone": BERLIN, "stamps": "end"}, "line 2, start"),
        ("start,value\n0001-01-01 00:00,1\n", {"zone": BERLIN}, "line 2, start"),
        ("start,value\n2026-01-05T12:00Z,1.5\n", {}, "expected a whole number, or --unit, such as kWh"),
        ("start,value\n2026-01-05T12:00Z,1,5\n", {"unit": "kWh"}, "line 2: found 3 columns"),
        ("start,value\n2026-01-05T12:00Z,1e3\n", {"unit": "kWh"}, "line 2, value: found '1e3', expected a number"),
        (
            "start,value\n2026-01-05T12:00Z,1\n",
            {"unit": "m3"},
            "line 2, value: found unit 'm3' for 1-0:1.8.0, expected Wh",
        ),
        ("start,load [kWh]\n", {"unit": "Wh"}, "line 1: found the unit kwh, expected Wh, as --unit says"),
        ("stamp,load [kW]\n", {}, "line 1: found 'kw' in brackets, expected a unit such as kWh, or --unit"),
        ("2026-01-05T12:00Z,1\n", {}, "line 1: found '2026-01-05T12:00Z,1', expected the names of the columns"),
        ("start,value,colour\n", {}, "expected the columns"),
        ("meter,channel,start,value\n", {}, "expected no columns meter and channel where --channel is given"),
        ("start,value\n", {"channel": None}, "--channel METER/OBIS stands for the first two"),
        ("100,NEM12,202601060000,a,b\n900\n", {}, "found --channel for a nem12 file, expected it for CSV alone"),
    ],
)
def test_what_is_unclear_is_refused(text: str, layout: dict[str, object], says: str):
    assert says in why_not(text, **layout)


@pytest.mark.parametrize("option", ["E-1", "/1-0:1.8.0", "E-1/", "E-1/import", "1-0:1.8.0"])
def test_whose_a_file_is_needs_meter_and_channel(option: str):
    with pytest.raises(InvalidInput, match="expected METER/OBIS"):
        whose(option)


def test_qualities_may_be_codes_of_iec_61968_9_and_flags_are_bits():
    text = (
        "meter,channel,start,value,quality,flags\n"
        "E-1,1-0:1.8.0,2026-01-05T12:00:00Z,5,3.8.7 1.2.32,\n"
        "E-1,1-0:1.8.0,2026-01-05T13:00:00Z,5,3.0.1,20\n"
        "E-1,1-0:1.8.0,2026-01-05T14:00:00Z,5,11,255\n"
    )
    (series,) = parse("x", text.encode()).series
    assert list(series.codes) == [Quality.ESTIMATED_LIKE_DAY, Quality.RAW, Quality.ESTIMATED_BY_HAND]
    # 255: what only we can have seen of a device is not taken from a file.
    assert list(series.flags) == [0, Flag.PARTIAL | Flag.TAMPER, 31]
    assert "line 2, quality: found quality '3.99.0'" in refused(text.replace("3.8.7 1.2.32", "3.99.0"))
    assert "line 4, flags: found '256'" in refused(text.replace("255", "256"))


def test_registers_are_read_the_same_way():
    text = "at,register\n2026-01-05 00:00,48211.37\n"
    layout = Layout(channel=E_1, unit="kWh", zone=BERLIN)
    (register,) = parse("x", text.encode(), layout=layout).registers
    assert (register.names, register.at_s, register.value) == (("E-1",), utc(2026, 1, 4, 23), 48_211_370)


@pytest.mark.parametrize(("name", "zeros"), [("b13_electricity_2019.csv", 242), ("b101_electricity_2019.csv", 235)])
def test_a_building_is_imported_as_published_and_its_zeros_are_zeros(name: str, zeros: int):
    series = read((METERS / name).read_bytes(), zone=UTC_ZONE)
    assert (len(series.values), series.values.count(0)) == (8_760, zeros)
    assert list(series.runs(10**6)) == [slice(0, 8_760)]


def test_the_london_home_repeats_fifteen_half_hours_and_each_is_named():
    reads = parse(HOME.name, HOME.read_bytes(), layout=Layout(1800, E_1, "kWh", UTC_ZONE))
    (series,) = reads.series
    assert len(series.values) == 22_536 - 15
    assert reads.left_out == [
        "15 intervals that stand there again with the same value: lines 385, 1825, 3313, 4802, 6291, 7780, 9269, 10758,"
        " 12247, 13736, 15225, 16714, 18203, 19692, 21181"
    ]


def test_the_london_home_with_another_value_on_a_repeated_line_is_refused():
    lines = HOME.read_text().splitlines()
    assert lines[384] == "2012-10-20 00:00:00,0.2"
    lines[384] = "2012-10-20 00:00:00,0.3"
    assert "line 385: found 'E-1' '1-0:1.8.0' at 2012-10-20T00:00:00Z again, with another value" in why_not(
        "\n".join(lines), unit="kWh", zone=UTC_ZONE, interval_s=1800
    )


def test_the_london_home_with_day_and_month_exchanged_is_found():
    def exchanged(line: str) -> str:
        at = datetime.fromisoformat(line.partition(",")[0])
        swapped = at.replace(day=at.month, month=at.day) if at.day <= 12 else at
        return f"{swapped},{line.partition(',')[2]}"

    header, *lines = HOME.read_text().splitlines()
    said = why_not("\n".join([header, *map(exchanged, lines)]), unit="kWh", zone=UTC_ZONE, interval_s=1800)
    # It begins on 12 October 2012, which becomes 10 December; the next day is 13 October.
    assert said == (
        "reads.csv: line 48, start: found 2012-10-13 after 2012-12-10, expected days in order: day and month seem to be"
        " exchanged"
    )


def test_the_london_home_keeps_no_summer_time_and_is_refused_as_london_time():
    said = why_not(HOME.read_bytes(), unit="kWh", zone=ZoneInfo("Europe/London"), interval_s=1800)
    assert "found an interval that begins 2013-03-31 01:00:00, an hour left out in Europe/London" in said
