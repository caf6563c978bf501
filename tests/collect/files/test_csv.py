"""CSV: the header decides; times are UTC whatever their offset; what is wrong is said with its line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.collect.files.csvfile import Layout
from headend.collect.files.prepare import parse
from headend.reads.days import seconds
from headend.reads.quality import Quality
from tests.collect.files.samples import refused

NOON = "2026-01-05T12:00:00Z"
NOON_S = seconds(datetime(2026, 1, 5, 12, tzinfo=UTC))


def test_the_simulators_truth_file_imports_as_it_is():
    text = f"meter,channel,start,interval_s,value\nE-1,1-0:1.8.0,{NOON},3600,1240\nE-2,7-0:3.0.0,{NOON},3600,3\n"
    one, other = parse("truth.csv", text.encode()).series
    assert (one.names, one.obis, one.interval_s, list(one.start_s), one.values) == (
        ("E-1",),
        "1-0:1.8.0",
        3600,
        [NOON_S],
        [1240],
    )
    assert (other.names, other.obis, other.values) == (("E-2",), "7-0:3.0.0", [3])


def test_columns_come_in_any_order_and_lengths_from_the_option():
    text = f"\ufeffValue, start ,channel,meter\n\n 12 ,{NOON},1-0:1.8.0,E-1\n"
    (series,) = parse("x", text.encode(), layout=Layout(900)).series
    assert (series.interval_s, series.values, list(series.lines)) == (900, [12], [3])


def test_the_hour_that_comes_twice_in_autumn_is_two_hours():
    hours = ["02:00:00+02:00", "02:00:00+01:00", "03:00:00+01:00"]
    rows = "".join(f"E-1,1-0:1.8.0,2026-10-25T{hour},{place}\n" for place, hour in enumerate(hours))
    (series,) = parse("x", f"meter,channel,start,value\n{rows}".encode()).series
    first = seconds(datetime(2026, 10, 25, tzinfo=UTC))
    assert list(series.start_s) == [first, first + 3600, first + 7200]
    assert list(series.runs(100)) == [slice(0, 3)]


def test_the_hour_that_is_not_there_in_spring_is_no_gap():
    rows = "".join(f"E-1,1-0:1.8.0,2026-03-29T{hour},1\n" for hour in ("01:00:00+01:00", "03:00:00+02:00"))
    (series,) = parse("x", f"meter,channel,start,value\n{rows}".encode()).series
    assert list(series.runs(100)) == [slice(0, 2)]


def test_qualities_are_names_or_codes_and_missing_is_null():
    words = ["actual", "validated", "7", "ESTIMATED_LINEAR", "edited", "", "missing", "4"]
    rows = "".join(f"E-1,1-0:1.8.0,2026-01-05T{hour:02}:00:00Z,5,{word}\n" for hour, word in enumerate(words))
    (series,) = parse("x", f"meter,channel,start,value,quality\n{rows}".encode()).series
    assert list(series.codes) == [
        Quality.RAW,
        Quality.RAW,
        Quality.ESTIMATED_LIKE_DAY,
        Quality.ESTIMATED_LINEAR,
        Quality.EDITED,
        Quality.RAW,
        Quality.MISSING,
        Quality.QUESTIONABLE,
    ]
    assert series.values == [5, 5, 5, 5, 5, 5, None, 5]


def test_registers_have_columns_of_their_own():
    text = f"meter,channel,at,register,serial\nE-1,1-0:1.8.0,{NOON},48211370,A77\n"
    reads = parse("x", text.encode())
    assert (reads.registers[0].at_s, reads.registers[0].value, reads.registers[0].serial) == (NOON_S, 48_211_370, "A77")


HEADER = "meter,channel,start,value\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "reads.csv: line 1: found '', expected the columns meter,channel,start,value"),
        ("meter;channel;start;value\n", "line 1: found 'meter;channel;start;value', expected the columns"),
        ("meter,channel,start,value,value\n", "line 1"),
        ("meter,channel,start,value,colour\n", "expected the columns"),
        (HEADER, "reads.csv: found no reads"),
        (HEADER + "E-1,1-0:1.8.0\n", "line 2: found 2 columns, expected 4, as in the header"),
        (HEADER + f"E-1,1-0:1.8.0,{NOON},1.5\n", "line 2, value: found '1.5', expected a whole number"),
        (HEADER + f"E-1,1-0:1.8.0,{NOON},９\n", "line 2, value: found '９'"),
        (HEADER + "E-1,1-0:1.8.0,2026-01-05T12:00:00,1\n", "line 2, start: found '2026-01-05T12:00:00'"),
        (HEADER + "E-1,1-0:1.8.0,05.01.2026 12:00,1\n", "expected an ISO 8601 moment with Z or an offset"),
        (HEADER + "E-1,1-0:1.8.0,0001-01-01T00:00:00+23:00,1\n", "line 2, start"),
        (HEADER + "E-1,1-0:1.8.0,1969-12-31T23:00:00Z,1\n", "expected a moment from 1970 to 2199"),
        (HEADER + "E-1,1-0:1.8.0,2026-01-05T12:30:00Z,1\n", "line 2: found an interval that begins 2026-01-05T12:30"),
        (HEADER + f"E-1,1-0:1.8.0,{NOON},1\n" * 2 + f"E-1,1-0:1.8.0,{NOON},2\n", "(it stands on line 2)"),
        (HEADER.replace("\n", ",interval_s\n") + f"E-1,1-0:1.8.0,{NOON},1,7\n", "found intervals of 7 s"),
        (HEADER.replace("\n", ",interval_s\n") + f"E-1,1-0:1.8.0,{NOON},1,0\n", "found intervals of 0 s"),
        (HEADER.replace("\n", ",quality\n") + f"E-1,1-0:1.8.0,{NOON},1,good\n", "line 2, quality: found 'good'"),
        (f"meter,channel,at,register\nE-1,1-0:1.8.0,{NOON},-1\n", "line 2, register: found '-1'"),
        (b"meter,channel,start,value\nE-\xff", "line 2: found byte 0xff, expected text in UTF-8"),
        (HEADER + '"' + "x" * 200_000, "line 2: found field larger than field limit"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str | bytes, says: str):
    assert says in refused(text)


def hours(first: datetime, count: int) -> list[datetime]:
    return [first + timedelta(hours=hour) for hour in range(count)]


def rows_of(starts: list[datetime]) -> bytes:
    return (HEADER + "".join(f"E-1,1-0:1.8.0,{at:%Y-%m-%dT%H:%M:%SZ},1\n" for at in starts)).encode()


def test_day_and_month_exchanged_are_found():
    true = hours(datetime(2026, 1, 1, tzinfo=UTC), 60 * 24)
    swapped = [at.replace(day=at.month, month=at.day) if at.day <= 12 else at for at in true]
    assert "day and month seem to be exchanged" in refused(rows_of(swapped))
    assert "line 26, start: found 2026-02-01 after 2026-01-01" in refused(rows_of(swapped))


def test_days_in_order_and_single_gaps_are_no_exchange():
    true = hours(datetime(2026, 1, 1, tzinfo=UTC), 60 * 24)
    (series,) = parse("x", rows_of([at for at in true if at.hour != 3])).series
    assert len(series.values) == 60 * 23


BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
VALUES = st.dictionaries(st.integers(0, 9_000), st.none() | st.integers(-(2**53), 2**53), min_size=1, max_size=40)


@given(st.dictionaries(st.sampled_from(["E-1", "E-2", "Zähler, links"]), VALUES, min_size=1), st.randoms())
def test_what_is_written_in_any_order_is_read_back(meters: dict[str, dict[int, int | None]], shuffle):
    rows = [
        f'"{meter}",1-0:1.8.0,{BEGIN + timedelta(minutes=15 * place):%Y-%m-%dT%H:%M:%SZ},{"" if v is None else v},900'
        for meter, values in meters.items()
        for place, v in values.items()
    ]
    shuffle.shuffle(rows)
    reads = parse("x", "\n".join(["meter,channel,start,value,interval_s", *rows]).encode())
    assert {
        series.names[0]: {
            (at - seconds(BEGIN)) // 900: value for at, value in zip(series.start_s, series.values, strict=True)
        }
        for series in reads.series
    } == meters
    for series in reads.series:
        for run in series.runs(7):
            steps = {b - a for a, b in pairwise(series.start_s[run])}
            assert steps <= {900}
            assert 0 < run.stop - run.start <= 7
