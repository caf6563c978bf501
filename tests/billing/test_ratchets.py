"""Demand of the months before, below which a ratchet does not let a bill fall. Worked by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from headend.billing.run import rate_cycle
from headend.billing.statement import PastPeak, Segment
from headend.documents import statement_html
from headend.reads import Quality
from tests.billing.town import IMPORT, REACTIVE, Town

D = Decimal
AUGUST_PEAK = datetime(2026, 8, 12, 12, tzinfo=UTC)


def demand(segment: Segment) -> list[tuple[Decimal, Decimal]]:
    return [(line.quantity, line.amount) for line in segment.lines if line.kind == "demand"]


@pytest.fixture
def business(town: Town) -> Town:
    """Ada's business takes 500 Wh in every hour since August 2026, but 10 kWh in one hour of August."""
    town.account("Ada", {"tariff": "business-demand"}, customer_class="commercial")
    town.meter("E-1", "Ada", IMPORT, REACTIVE)
    for channel, value in ((IMPORT, 500), (REACTIVE, 100)):
        town.reads("E-1", value, channel=channel, first=date(2026, 7, 31))
    town.set("E-1", AUGUST_PEAK, values=10_000)
    return town


def test_peak_of_august_is_billed_in_october(business: Town) -> None:
    (segment,) = business.bill()["Ada"].segments
    # 80 % of 10 kW × 9.80; 176 × 0.164 = 28.864, 196.5 × 0.121 = 23.7765; + 38.00; VAT 0.19 × 169.04 = 32.1176.
    assert demand(segment) == [(D(8), D("78.40"))]
    assert segment.gross == D("201.16")
    assert segment.peaks == (
        PastPeak("2026-09", "Demand", D("0.500")),
        PastPeak("2026-08", "Demand", D("10.000")),
        PastPeak("2026-07", "Demand", D("0.500")),
    )
    assert "Demand, August 2026, 10.000\u00a0kW" in statement_html(business.statements()["Ada"])


def test_hour_without_a_valid_read_is_no_peak(business: Town) -> None:
    business.set("E-1", AUGUST_PEAK, quality=Quality.QUESTIONABLE)
    (segment,) = business.bill()["Ada"].segments
    assert demand(segment) == [(D("0.5"), D("4.90"))]


def test_who_was_not_there_in_august_does_not_pay_for_it(business: Town) -> None:
    agreed = {"tariff": "business-demand", "valid_from": "2026-08-13"}
    business.account("Ada", {"tariff": "business-demand", "valid_to": "2026-08-13"}, customer_class="commercial")
    business.account("Bob", agreed, at="Ada", customer_class="commercial")
    (segment,) = business.bill()["Bob"].segments
    assert demand(segment) == [(D("0.5"), D("4.90"))]
    assert [peak.month for peak in segment.peaks] == ["2026-09", "2026-08"]


def test_neighbours_keep_their_own_peaks(business: Town) -> None:
    business.account("Bob", {"tariff": "business-demand"}, customer_class="commercial")
    business.meter("E-2", "Bob", IMPORT, REACTIVE)
    for channel, value in ((IMPORT, 1_000), (REACTIVE, 100)):
        business.reads("E-2", value, channel=channel)
    business.account("Cyd", {"tariff": "business-demand"}, customer_class="commercial")
    rate_cycle(business.office, "2026-10", "monthly", "ann")
    statements = business.statements()
    assert demand(statements["Ada"].segments[0]) == [(D(8), D("78.40"))]
    assert demand(statements["Bob"].segments[0]) == [(D(1), D("9.80"))]
    assert business.exceptions()["Cyd"].code == "no_meter"


def test_peak_of_a_meter_that_was_exchanged_since_counts(business: Town) -> None:
    change = datetime(2026, 9, 15, 10, tzinfo=UTC)
    business.account("Ada", {"tariff": "business-demand"}, customer_class="commercial")
    business.meter("E-1", "Ada", IMPORT, REACTIVE, removed=change)
    business.meter("E-9", "Ada", IMPORT, REACTIVE, installed=change)
    for channel, value in ((IMPORT, 500), (REACTIVE, 100)):
        business.reads("E-9", value, channel=channel, first=change.date())
    (segment,) = business.bill()["Ada"].segments
    assert demand(segment) == [(D(8), D("78.40"))]


# -- versions and agreements within the month --


@pytest.fixture
def home(town: Town) -> Town:
    """Eve's home: 10 EUR a kW, from 11 October 12 EUR; at least half the peak of the two months before."""
    town.account("Eve", {"tariff": "demand"})
    town.meter("E-3", "Eve", IMPORT)
    town.reads("E-3", 1_000, first=date(2026, 8, 31))
    peaks = [(9, 7, 8_000), (10, 5, 3_000), (10, 20, 5_000)]
    for month, day, value in peaks:
        town.set("E-3", datetime(2026, month, day, 12, tzinfo=UTC), values=value)
    return town


def test_each_version_bills_the_peak_of_its_days_and_its_share_of_the_month(home: Town) -> None:
    first, second = home.bill()["Eve"].segments
    # Half of 8 kW is more than the 3 kW up to 10 October: 4 × 10 × 10/31 = 12.903; then 5 × 12 × 21/31 = 40.645.
    assert [amount for _, amount in demand(first)] == [D("12.90")]
    assert [amount for _, amount in demand(second)] == [D("40.65")]
    assert demand(first)[0][0] == D("1.290322580645")
    assert {peak.month: peak.quantity for peak in second.peaks} == {"2026-09": D("8.000"), "2026-08": D("1.000")}


def test_new_tariff_in_the_month_knows_no_peak_of_the_old(home: Town) -> None:
    home.account("Eve", {"tariff": "flat", "valid_to": "2026-10-11"}, {"tariff": "demand", "valid_from": "2026-10-11"})
    flat, kilowatts = home.bill()["Eve"].segments
    assert flat.tariff.id == "flat"
    assert demand(kilowatts)[0][1] == D("40.65")
    assert kilowatts.peaks == ()
