"""Rating a load file month by month, and load files that are wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from headend.errors import CannotRate, InvalidInput
from headend.tariffs.monthly import rate_months, read_load

from .make import BERLIN, baseline, energy, standing, tariff, tax, tier


def csv_of(start: str, hours: int, wh: int = 1000) -> list[str]:
    begin = datetime.fromisoformat(start)
    stamps = (begin + timedelta(hours=hour) for hour in range(hours))
    return ["start,import_wh", *(f"{stamp.astimezone(UTC).isoformat()},{wh}" for stamp in stamps)]


MADE = tariff(
    energy(tier("0.3333", "10"), tier("0.4"), tiers_per="month"),
    baseline("0.1", "1"),
    standing("31.00", "month"),
    tax("19"),
)


def test_months_of_the_local_clock_unrounded_and_rounded() -> None:
    load = read_load(csv_of("2025-01-30T00:00+01:00", 4 * 24), "load.csv")
    exact = rate_months(MADE, load, BERLIN)
    assert (exact["currency"], exact["timezone"]) == ("EUR", "Europe/Berlin")
    january, february = exact["months"]
    # January: 2 days, 48 kWh; limit 10 × 2/31 kWh = 645 Wh: 0.645 × 0.3333 + 47.355 × 0.4 - 2 × 0.1
    assert january == {
        "month": "2025-01",
        "energy": "18.9569785",
        "demand": "0",
        "fixed": "2",
        "minimum": "0",
        "tax": "3.981825915",
        "total": "24.938804415",
    }
    assert february["month"] == "2025-02"
    rounded = rate_months(MADE, load, BERLIN, rounded=True)["months"][0]
    # 0.21 + 18.94 - 0.20, 2.00, and 19 % of 20.95
    assert rounded == {
        "month": "2025-01",
        "energy": "18.95",
        "demand": "0.00",
        "fixed": "2.00",
        "minimum": "0.00",
        "tax": "3.98",
        "total": "24.93",
    }


def test_a_day_that_is_only_touched_counts() -> None:
    load = read_load(csv_of("2018-01-01T00:00+00:00", 48), "load.csv")
    months = rate_months(tariff(standing("1", "day"), energy(tier("1"))), load, ZoneInfo("America/New_York"))["months"]
    assert [(month["month"], month["energy"], month["fixed"]) for month in months] == [
        ("2017-12", "5", "1"),
        ("2018-01", "43", "2"),
    ]


def test_months_are_those_of_the_tariffs_clock() -> None:
    load = read_load(csv_of("2025-01-31T22:00+00:00", 4), "load.csv")
    by_utc = rate_months(tariff(energy(tier("1")), clock="UTC"), load, BERLIN)["months"]
    assert [(month["month"], month["energy"]) for month in by_utc] == [("2025-01", "2"), ("2025-02", "2")]
    local = rate_months(tariff(energy(tier("1"))), load, BERLIN)["months"]
    assert [(month["month"], month["energy"]) for month in local] == [("2025-01", "1"), ("2025-02", "3")]


def test_export_only_and_export_missing() -> None:
    solar = tariff(energy(tier("1")), energy(tier("0.5"), measures="export", label="Export"))
    load = read_load(["start,export_wh", "2025-01-01T00:00Z,0", "2025-01-01T00:30Z,3000"], "load.csv")
    assert load.interval_s == 1800
    assert rate_months(solar, load, BERLIN)["months"][0]["total"] == "-1.5"
    with pytest.raises(CannotRate, match="case credits exported energy, but there are no export reads"):
        rate_months(solar, read_load(csv_of("2025-01-01T00:00Z", 3), "load.csv"), BERLIN)


def test_the_columns_may_stand_in_any_order_after_a_byte_order_mark() -> None:
    lines = ["\ufeffimport_wh, start", "1,2025-01-01T00:00Z", "", "2,2025-01-01T02:00+01:00"]
    load = read_load(lines, "load.csv")
    assert load.imported.tolist() == [1, 2]
    assert load.interval_s == 3600


A, B = "2025-01-01T00:00Z,1", "2025-01-01T01:00Z,1"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "load.csv, line 1: found nothing, expected columns start, import_wh and/or export_wh"),
        (["start,kwh", A], "load.csv, line 1: found start, kwh, expected columns start, import_wh"),
        (["start,import_wh,exprt_wh", A], "load.csv, line 1: found an unknown column 'exprt_wh', expected"),
        (["start,import_wh", A], "load.csv: found 1 reads, expected at least two, which tell the interval"),
        (["start,import_wh", "2025-01-01T00:00Z"], "load.csv, line 2: found 1 values, expected 2: start, import_wh"),
        (["start,import_wh", "2025-01-01T00:00,1"], "load.csv, line 2: found '2025-01-01T00:00', expected an ISO 8601"),
        (
            ["start,import_wh", "noon,1"],
            "load.csv, line 2: found 'noon', expected an ISO 8601 moment with Z or an offset",
        ),
        (["start,import_wh", A, A], "load.csv, line 3: found 2025-01-01T00:00Z, expected a later begin than"),
        (["start,import_wh", A, "2025-01-01T00:50Z,1"], "load.csv, line 3: found an interval of 3000 s, expected"),
        (
            ["start,import_wh", A, B, "2025-01-01T03:00Z,1"],
            "load.csv, line 4: found 2025-01-01T03:00Z, expected 2025-01-01T02:00:00+00:00, the next interval",
        ),
        (["start,import_wh", A, B, B], "load.csv, line 4: found 2025-01-01T01:00Z, expected 2025-01-01T02:00:00+00:00"),
        (["start,import_wh", A[:-1] + "-1"], "load.csv, line 2, import_wh: found '-1', expected whole Wh, 0 or more"),
        (["start,import_wh", A[:-1] + "1.5"], "load.csv, line 2, import_wh: found '1.5', expected whole Wh, 0 or more"),
        (["start,import_wh", A[:-1]], "load.csv, line 2, import_wh: found '', expected whole Wh, 0 or more"),
        (["start,import_wh", A + "0" * 13], "load.csv, line 2, import_wh: found '10000000000000', expected whole Wh"),
    ],
)
def test_a_wrong_load_file_is_refused_with_its_line(lines: list[str], expected: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read_load(lines, "load.csv")
    assert str(error.value).startswith(expected)
