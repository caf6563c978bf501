"""What running periods cost so far: fed in any order, it ends as the statement."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from benchmarks.accruals import tried
from headend.billing.accruals.accounts import cost_so_far
from headend.billing.accruals.accrual import Forecast, shares
from headend.billing.accruals.document import document_of, parse_document
from headend.reads import Quality
from headend.reads.days import day_number, day_of
from tests.billing.kinds import KINDS
from tests.billing.town import IMPORT, Town

OCTOBER = "2026-10"
OVER = datetime(2026, 10, 31, 22, 59, tzinfo=UTC)


@pytest.mark.parametrize("kind", KINDS)
def test_accrual_of_a_read_period_is_its_statement(kind: str, town: Town) -> None:
    KINDS[kind](town)
    accrual = cost_so_far(town.office, "Ada", OVER)
    statement = town.bill()["Ada"]
    assert (accrual.amount, accrual.currency) == (statement.totals.gross, statement.totals.currency)
    assert accrual.problems == ()
    for mine, its in zip(
        sorted(accrual.segments, key=lambda each: (each.agreement, each.first)),
        sorted(statement.segments, key=lambda each: (each.agreement, each.first)),
        strict=True,
    ):
        assert (mine.gross, mine.usage, mine.export) == (its.gross, its.usage, its.export)
        lines = [(each.label, each.quantity, each.amount) for each in mine.lines]
        assert lines == [(each.label, each.quantity, each.amount) for each in its.lines]
        assert [Decimal(each).scaleb(-3) for each in mine.daily] == [each.quantity for each in its.daily]
    assert accrual.forecast is not None
    assert accrual.forecast.low == accrual.forecast.expected == accrual.forecast.high == statement.totals.gross


def test_document_says_all_of_it(town: Town) -> None:
    KINDS["moved_in"](town)
    accrual = cost_so_far(town.office, "Ada", OVER)
    through = None if accrual.through is None else int(accrual.through.timestamp())
    row = (accrual.account, accrual.period, accrual.currency, str(accrual.amount), through)
    assert parse_document(document_of(accrual), *row) == accrual


def test_shares_add_up_by_period_and_tier(town: Town) -> None:
    """2 TOU periods, and a tier that ends at 100 kWh: 745 h × 0.5 kWh, of which 31 × 16 h are day."""
    town.account("Ada", {"tariff": "tiered"})
    town.meter("E-1", "Ada", IMPORT)
    town.reads("E-1")
    (segment,) = cost_so_far(town.office, "Ada", OVER).segments
    told = shares(segment)
    assert sum(each.quantity for each in told) == segment.usage == Decimal("372.5")
    assert sum(each.quantity for each in told if each.tier == 1) == 100
    assert sum(each.amount for each in told) == segment.gross


# -- forecast --


def test_forecast_of_a_home_that_never_changes_is_its_statement(flat: Town) -> None:
    """500 Wh every hour, four weeks long; read up to the 21st."""
    flat.reads("E-1", first=date(2026, 9, 1))
    nothing = {"value": 0, "quality": Quality.MISSING, "last": date(2026, 11, 1)}
    flat.reads("E-1", first=date(2026, 10, 21), **nothing)
    accrual = cost_so_far(flat.office, "Ada", datetime(2026, 10, 21, 9, tzinfo=UTC))
    assert accrual.forecast == Forecast(Decimal("154.85"), Decimal("154.85"), Decimal("154.85"))
    (segment,) = accrual.segments
    assert (len(segment.daily), len(segment.expected)) == (21, 31)
    # The clock goes back on the 25th.
    assert segment.expected[24] == 12_500
    assert sum(segment.expected) == 372_500


def test_forecast_knows_weekdays_and_keeps_peaks(town: Town) -> None:
    """12 kWh on workdays, all of it at noon, and nothing on weekends: demand of the days to come is 12 kW again."""
    town.account("Ada", {"tariff": "demand"})
    town.meter("E-1", "Ada", IMPORT)
    noon = [12_000 if hour == 12 else 0 for hour in range(24)]
    for day in range(day_number(date(2026, 9, 1)), day_number(date(2026, 9, 30)) + 1):
        works = day_of(day).weekday() < 5
        town.reads("E-1", noon if works else 0, first=day_of(day), last=day_of(day))
    town.reads("E-1", 0, first=date(2026, 10, 1), last=date(2026, 10, 1))
    accrual = cost_so_far(town.office, "Ada", datetime(2026, 10, 1, 1, tzinfo=UTC))
    assert accrual.segments[0].expected[2:5] == (0, 0, 12_000)
    assert accrual.forecast is not None
    # Two tariff versions: 10 of 31 days at 10, and 21 at 12, of 12 kW.
    assert accrual.forecast.expected == (Decimal(10 * 10 * 12) / 31 + Decimal(21 * 12 * 12) / 31).quantize(
        Decimal("0.01")
    )


def test_no_forecast_from_less_than_two_weeks_or_from_who_lived_there_before(town: Town) -> None:
    town.account("Ada", {"tariff": "flat", "valid_from": "2026-10-12"})
    town.meter("E-1", "Ada", IMPORT)
    town.reads("E-1", first=date(2026, 9, 1), last=date(2026, 10, 20))
    accrual = cost_so_far(town.office, "Ada", datetime(2026, 10, 21, 9, tzinfo=UTC))
    assert accrual.forecast is None
    assert "fewer than 14 of the last 28 days" in accrual.no_forecast
    assert accrual.amount is not None


def test_range_holds_most_statements_of_simulated_homes() -> None:
    """Ten days before the end of each month of a year, 40 homes of each kind: near eight of ten, as is said."""
    told = tried(homes=40, left=10)
    for inside in ({kind: its.use for kind, its in told.items()}, {kind: its.bills for kind, its in told.items()}):
        assert all(0.7 <= share <= 0.95 for share in inside.values()), inside
        assert 0.75 <= sum(inside.values()) / len(inside) <= 0.9, inside
