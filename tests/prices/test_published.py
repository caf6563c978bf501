"""Files of prices and events: what they say, exactly, and what is refused of them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.errors import InvalidInput
from headend.reads.days import moment
from headend.tariffs.market import PriceSeries
from headend.tariffs.money import EXACT
from headend.tariffs.published import read_events, read_prices

EIGHT = 1_767_254_400  # 2026-01-01T08:00:00Z


def read(text: str, **how: Any) -> PriceSeries:
    return read_prices(text.splitlines(), "p.csv", **{"name": "spot", "currency": "EUR", **how})


def prices(series: PriceSeries) -> list[Decimal]:
    return [Decimal(int(price)).scaleb(-series.scale, EXACT) for price in series.prices]


def spans(series: PriceSeries) -> list[tuple[int, int]]:
    """Hours after eight o'clock."""
    pairs = zip(series.start_s.tolist(), series.end_s.tolist(), strict=True)
    return [((start - EIGHT) // 3600, (end - EIGHT) // 3600) for start, end in pairs]


def test_a_price_holds_until_the_next_one_and_the_last_as_long_as_the_one_before() -> None:
    series = read("start,price\n2026-01-01T08:00Z,0.2\n2026-01-01T10:00+01:00,-0.0731\n2026-01-01T10:00Z,1\n")
    assert spans(series) == [(0, 1), (1, 2), (2, 3)]
    assert prices(series) == [Decimal("0.2"), Decimal("-0.0731"), Decimal(1)]
    assert (series.name, series.currency, series.unit) == ("spot", "EUR", "kWh")


def test_with_ends_a_hole_stays_a_hole() -> None:
    text = "\ufeffprice,start,end\n0.1,2026-01-01T08:00Z,2026-01-01T09:00Z\n\n0.3,2026-01-01T11:00Z,2026-01-01T12:00Z\n"
    assert spans(read(text)) == [(0, 1), (3, 4)]


def test_json_says_the_same() -> None:
    items = [
        {"start": "2026-01-01T08:00:00Z", "end": "2026-01-01T09:00:00Z", "price": 0.1},
        {"start": "2026-01-01T09:00:00Z", "end": "2026-01-01T10:00:00Z", "price": "0.30"},
    ]
    series = read(json.dumps(items, indent=1))
    assert (spans(series), prices(series)) == ([(0, 1), (1, 2)], [Decimal("0.1"), Decimal("0.3")])


def test_prices_per_megawatt_hour_and_in_pence_lose_nothing() -> None:
    text = "start,end,price\n2026-01-01T08:00Z,2026-01-01T09:00Z,65.1234567890123\n"
    assert prices(read(text, per="MWh")) == [Decimal("0.0651234567890123")]
    assert prices(read(text, currency="GBP", minor=True)) == [Decimal("0.651234567890123")]
    assert prices(read(text, currency="JPY", minor=True)) == [Decimal("65.1234567890123")]


def test_a_price_of_more_digits_than_a_word_holds_is_exact() -> None:
    text = "start,end,price\n2026-01-01T08:00Z,2026-01-01T09:00Z,-999999999.12345678901234567891\n"
    assert prices(read(text)) == [Decimal("-999999999.12345678901234567891")]


def test_what_is_said_twice_counts_once() -> None:
    line = "2026-01-01T08:00Z,2026-01-01T09:00Z,0.1\n"
    assert spans(read("start,end,price\n" + line + line)) == [(0, 1)]


HEAD = "start,end,price\n"
FIRST = "2026-01-01T08:00Z,2026-01-01T09:00Z,0.1\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "p.csv, line 1: found nothing, expected start,price or start,end,price"),
        ("start,end,price,area\n", "p.csv, line 1: found start,end,price,area, expected start,price or start,end"),
        (HEAD, "p.csv: found no price, expected at least one"),
        (HEAD + FIRST + "2026-01-01T09:00Z,0.1\n", "p.csv, line 3: found 2 values, expected 3: start,end,price"),
        (HEAD + "2026-01-01T08:00,2026-01-01T09:00Z,0.1\n", "p.csv, line 2, start: found '2026-01-01T08:00', expected"),
        (HEAD + "1960-01-01T08:00Z,2026-01-01T09:00Z,0.1\n", "p.csv, line 2, start: found '1960-01-01T08:00Z'"),
        (HEAD + "2026-01-01T08:00Z,9 o'clock,0.1\n", 'p.csv, line 2, end: found "9 o\'clock", expected an ISO 8601'),
        (HEAD + '2026-01-01T08:00Z,2026-01-01T09:00Z,"0,1"\n', "p.csv, line 2, price: found '0,1', expected a decimal"),
        (HEAD + "2026-01-01T08:00Z,2026-01-01T09:00Z,\n", "p.csv, line 2, price: found '', expected a decimal number"),
        (HEAD + "2026-01-01T08:00Z,2026-01-01T09:00Z,NaN\n", "p.csv, line 2, price: found 'NaN', expected a decimal"),
        (HEAD + "2026-01-01T08:00Z,2026-01-01T09:00Z,1000000000\n", "price: found 1000000000, expected a price below"),
        (
            HEAD + "2026-01-01T08:00Z,2026-01-01T08:00Z,0.1\n",
            "p.csv, line 2, end: found 2026-01-01T08:00:00Z, expected",
        ),
        (
            HEAD + FIRST + "2026-01-01T08:30Z,2026-01-01T09:30Z,0.1\n",
            "before the end of p.csv, line 2 at 2026-01-01T09",
        ),
        (HEAD + FIRST + "2026-01-01T07:00Z,2026-01-01T08:00Z,0.1\n", "line 3: found 2026-01-01T07:00:00Z after 2026-"),
        (HEAD + FIRST + "2026-01-01T08:00Z,2026-01-01T09:00Z,0.2\n", "line 3: found 2026-01-01T08:00:00Z again, and"),
        ("start,price\n2026-01-01T08:00Z,1\n", "p.csv, line 2: found a last price without end, expected a column end"),
        (
            "start,price\n2026-01-01T08:00Z,1\n2026-01-01T09:00Z,1\n2026-01-01T12:00Z,1\n",
            "line 4: found a last price without end, and those before it of different lengths, expected a column end",
        ),
        ("[1, 2", "p.csv: found Expecting ',' delimiter"),
        ("[NaN]", "p.csv: found NaN is no number, expected JSON"),
        ("{}", "p.csv: found an object, expected a list of objects"),
        ('[{"start": "2026-01-01T08:00Z"}]', "p.csv, item 0: found start, expected an object with start,price or"),
        ('[{"start": 5, "price": 1}]', "p.csv, item 0, start: found 5, expected an ISO 8601"),
        ('[{"start": "2026-01-01T08:00Z", "price": true}]', "p.csv, item 0, price: found True, expected a decimal"),
        ('[{"start": "2026-01-01T08:00Z", "price": 1e-99999999999999999999}]', "p.csv: found a number with"),
        ('[{"start": "2026-01-01T08:00Z", "price": 1e99999999999999999999}]', "p.csv: found a number with"),
    ],
)
def test_what_cannot_be_used_is_refused_by_line_and_key(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"currency": "EURO"}, "p.csv, currency: found 'EURO', expected an ISO 4217 currency such as EUR"),
        ({"unit": "therm"}, "p.csv, unit: found 'therm', expected kWh or m³"),
        ({"per": "GWh"}, "p.csv, per: found 'GWh', expected kWh or MWh, for a series in kWh"),
        ({"unit": "m³", "per": "MWh"}, "p.csv, per: found 'MWh', expected m³, for a series in m³"),
        ({"name": "Day ahead"}, "name: found 'Day ahead', expected small letters"),
    ],
)
def test_what_a_series_cannot_be_is_refused(how: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(HEAD + FIRST, **how)
    assert str(refused.value).startswith(said)


def test_events() -> None:
    text = "start,end\n2026-07-01T16:00-07:00,2026-07-01T21:00-07:00\n2026-07-03T16:00-07:00,2026-07-03T21:00-07:00\n"
    events = read_events(text.splitlines(keepends=True), "e.csv", name="critical")
    begins = [f"{moment(start):%m-%dT%H}" for start, _ in events.spans]
    assert (begins, [end - start for start, end in events.spans]) == (["07-01T23", "07-03T23"], [18_000, 18_000])
    assert read_events(["start,end"], "e.csv", name="critical").spans == ()
    with pytest.raises(InvalidInput, match=r"line 3: found a begin at .*, before the end of e\.csv, line 2"):
        read_events([*text.splitlines()[:2], "2026-07-01T17:00-07:00,2026-07-01T18:00-07:00"], "e.csv", name="critical")


DECIMALS = st.decimals(-999_999_999, 999_999_999, places=7, allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), DECIMALS), min_size=1, max_size=20))
def test_every_price_comes_out_as_it_went_in(rows: list[tuple[int, int, Decimal]]) -> None:
    text, at, expected = "start,end,price\n", EIGHT, []
    for quarters, pause, price in rows:
        end = at + 900 * quarters
        text += f"{moment(at).isoformat()},{moment(end).isoformat()},{price:f}\n"
        expected.append((at, end, price))
        at = end + 900 * pause
    series = read(text)
    got = zip(series.start_s.tolist(), series.end_s.tolist(), prices(series), strict=True)
    assert list(got) == expected
