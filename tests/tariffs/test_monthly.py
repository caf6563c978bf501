"""Rating a load file month by month, and load files that are wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from headend.errors import CannotRate, InvalidInput
from headend.tariffs.rating.loadfile import read_load
from headend.tariffs.rating.monthly import rate_months

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
        "other": "0",
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
        "other": "0.00",
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


def test_demand_month_by_month_with_a_ratchet_and_reactive_energy() -> None:
    made = tariff(
        {
            "kind": "demand",
            "label": "Demand",
            "tiers": [tier("10")],
            "ratchet": {"percent": Decimal(50), "months": 2},
        },
        {"kind": "reactive", "label": "Reactive", "free": Decimal("0.5"), "price": Decimal("0.01")},
    )
    lines = ["start,reactive_varh,import_wh"]
    for hour in range(24 * (31 + 28 + 31 + 30)):
        at = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
        lines.append(f"{at.isoformat()},600,{9000 if hour == 700 else 1000}")
    months = rate_months(made, read_load(lines, "load.csv"), ZoneInfo("UTC"))["months"]
    # January: 744 hours; 446.4 kvarh, of which (743 + 9) ÷ 2 are free. From February on a tenth of each hour is not.
    assert [(month["demand"], month["other"]) for month in months] == [
        ("90", "0.704"),
        ("45", "0.672"),
        ("45", "0.744"),
        ("10", "0.72"),
    ]
    assert months[0]["total"] == "90.704"


def test_hourly_reads_where_days_begin_at_half_past() -> None:
    """In India it is half past when an hour of UTC begins: an hour belongs to the month in which it begins."""
    demand = {"kind": "demand", "label": "Demand", "tiers": [tier("1")], "peaks": 2, "window_min": 60}
    reads = [1000] * 48
    reads[18], reads[19] = 9000, 5000  # 23:30 on 31 January, 00:30 on 1 February
    start = datetime(2025, 1, 31, tzinfo=UTC)
    stamps = [(start + timedelta(hours=hour)).isoformat() for hour in range(48)]
    lines = ["start,import_wh", *(f"{stamp},{wh}" for stamp, wh in zip(stamps, reads, strict=True))]
    made = tariff(energy(tier("1")), demand, standing("1", "day"))
    months = rate_months(made, read_load(lines, "load.csv"), ZoneInfo("Asia/Kolkata"), rounded=True)["months"]
    assert [(month["month"], month["energy"], month["demand"], month["fixed"]) for month in months] == [
        ("2025-01", "27.00", "0.29", "1.00"),  # 9 kW × 1/31
        ("2025-02", "33.00", "0.21", "2.00"),  # (5 + 1) ÷ 2 kW × 2/28
    ]


A, B = "2025-01-01T00:00Z,1", "2025-01-01T01:00Z,1"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["start,reactive_varh", A], "load.csv, line 1: found start, reactive_varh, expected columns start, import_wh"),
        (
            ["start,import_wh,reactive_varh", f"{A},-1"],
            "load.csv, line 2, reactive_varh: found '-1', expected whole varh, 0 or more",
        ),
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
            "load.csv, line 4: found 2025-01-01T03:00Z, expected 2025-01-01T02:00:00Z, the next interval",
        ),
        (["start,import_wh", A, B, B], "load.csv, line 4: found 2025-01-01T01:00Z, expected 2025-01-01T02:00:00Z"),
        (["start,import_wh", A[:-1] + "-1"], "load.csv, line 2, import_wh: found '-1', expected whole Wh, 0 or more"),
        (["start,import_wh", A[:-1] + "1.5"], "load.csv, line 2, import_wh: found '1.5', expected whole Wh, 0 or more"),
        (["start,import_wh", A[:-1]], "load.csv, line 2, import_wh: found '', expected whole Wh, 0 or more"),
        (["start,import_wh", "0001-01-01T00:00+14:00,1"], "load.csv, line 2: found '0001-01-01T00:00+14:00', expected"),
        (["start,import_wh", "9999-12-31T00:00Z,1"], "load.csv, line 2: found '9999-12-31T00:00Z', expected"),
        (["start,import_wh", A + "0" * 5000], "load.csv, line 2, import_wh: found '1000"),
        (["start,import_wh", A + "0" * 200_000], "load.csv, line 2: found field larger than field limit"),
        (["start,import_wh", A + "0" * 13], "load.csv, line 2, import_wh: found '10000000000000', expected whole Wh"),
    ],
)
def test_a_wrong_load_file_is_refused_with_its_line(lines: list[str], expected: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read_load(lines, "load.csv")
    assert str(error.value).startswith(expected)
