"""What a bill leaves to the next: energy and money in the bank, from month to month. Worked by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from headend.billing.accruals.accounts import cost_so_far
from headend.billing.approval import approve
from headend.billing.run import rate_cycle
from headend.billing.statement import InBank, Segment, canonical_json, parse_statement
from headend.documents import statement_html
from headend.errors import BillingConflict
from headend.reads import Quality
from tests.billing.made import made_statement
from tests.billing.town import EXPORT, IMPORT, Town

D = Decimal
JANUARY, FEBRUARY, MARCH, APRIL = (f"2027-0{month}" for month in range(1, 5))
#: Fed in per hour in each month [Wh].
FED_IN = {1: 600, 2: 100, 3: 200, 4: 0}


@pytest.fixture
def netted(town: Town) -> Town:
    """Ada's home takes 300 Wh in every hour of January to April 2027 and feeds in as `FED_IN` says, by local months."""
    town.account("Ada", {"tariff": "home-net-metering", "valid_from": "2027-01-01"})
    town.meter("E-1", "Ada", IMPORT, EXPORT)
    town.reads("E-1", 300, first=date(2026, 12, 31), last=date(2027, 5, 1))
    town.reads("E-1", FED_IN[1], channel=EXPORT, first=date(2026, 12, 31), last=date(2026, 12, 31))
    for month, value in FED_IN.items():
        town.reads("E-1", value, channel=EXPORT, first=date(2027, month, 1), last=date(2027, month + 1, 1))
        # In winter a local month begins an hour before that of UTC, in summer two.
        midnight = datetime(2027, month, 1, tzinfo=UTC)
        for hours in (1, 2) if month == 4 else (1,):
            town.set("E-1", midnight - timedelta(hours=hours), channel=EXPORT, values=value)
    town.now = datetime(2027, 5, 5, tzinfo=UTC)
    return town


def energy(bank: InBank | None) -> dict[str, Decimal]:
    return {} if bank is None else {use.name: use.quantity for use in bank.energy}


def lines(segment: Segment) -> list[tuple[str, Decimal]]:
    return [(line.label, line.amount) for line in segment.lines]


def only(town: Town, period: str, account: str = "Ada") -> Segment:
    (segment,) = town.bill(period)[account].segments
    return segment


def test_energy_in_the_bank_is_used_in_later_months_and_paid_in_march(netted: Town) -> None:
    # 31 × 5 evening hours: 46.5 - 93; 589 others: 176.7 - 353.4. The minimum is 18.00 - 13.90, VAT 0.19 × 18.00.
    january = only(netted, JANUARY)
    assert (january.usage, january.export) == (D("223.200"), D("446.400"))
    at_least = [("Standing charge", D("13.90")), ("Up to the minimum bill", D("4.10")), ("VAT 19 %", D("3.42"))]
    assert lines(january) == at_least
    assert (january.brought, energy(january.carried)) == (None, {"evening": D("46.500"), "other": D("176.700")})
    # 140 evening hours: 42 - 14 - 46.5; 532 others: 159.6 - 53.2 - 176.7.
    february = only(netted, FEBRUARY)
    assert lines(february) == at_least
    assert february.brought == january.carried
    assert energy(february.carried) == {"evening": D("18.500"), "other": D("70.300")}
    # 155 evening hours: 46.5 - 31 - 18.5 = -3; 588 others: 176.4 - 117.6 - 70.3 = -11.5: 14.5 kWh × 0.074 = 1.073.
    march = only(netted, MARCH)
    assert lines(march) == [("Surplus", D("-1.07")), *at_least]
    assert (energy(march.brought), march.carried) == ({"evening": D("18.500"), "other": D("70.300")}, None)
    assert march.gross == D("20.35")
    # 150 × 0.3 × 0.369 = 16.605; 570 × 0.3 × 0.298 = 50.958; VAT 0.19 × 81.47 = 15.4793.
    april = only(netted, APRIL)
    assert april.brought is None
    assert [line.amount for line in april.lines] == [D("16.61"), D("50.96"), D("13.90"), D("15.48")]


def test_bank_stands_on_paper(netted: Town) -> None:
    only(netted, JANUARY)
    netted.bill(FEBRUARY)
    page = statement_html(netted.statements(FEBRUARY)["Ada"])
    assert "In your bank before this bill: Evening 46.500\u00a0kWh, Other hours 176.700\u00a0kWh." in page
    assert "In your bank for the next bill: Evening 18.500\u00a0kWh, Other hours 70.300\u00a0kWh." in page


def test_month_is_not_billed_before_the_one_it_takes_over_from(netted: Town) -> None:
    only(netted, JANUARY)
    rate_cycle(netted.office, MARCH, "monthly", "ann")
    refused = netted.exceptions(MARCH)["Ada"]
    assert (refused.code, "bill 2027-02 first" in refused.detail) == ("month_before", True)
    # A draft of February is enough to rate March.
    rate_cycle(netted.office, FEBRUARY, "monthly", "ann")
    rate_cycle(netted.office, MARCH, "monthly", "ann")
    assert netted.statements(MARCH)["Ada"].totals.gross == D("20.35")


def test_month_before_that_is_rated_anew_stops_approval(netted: Town) -> None:
    rate_cycle(netted.office, JANUARY, "monthly", "ann")
    rate_cycle(netted.office, FEBRUARY, "monthly", "ann")
    with pytest.raises(BillingConflict, match="Ada: the bank comes from a statement that is not issued yet"):
        approve(netted.office, FEBRUARY, "monthly", "ann")
    netted.set("E-1", datetime(2027, 1, 5, 12, tzinfo=UTC), channel=EXPORT, values=10_600)
    netted.bill(JANUARY)
    with pytest.raises(BillingConflict, match="have changed since 2027-02/monthly was rated: Ada"):
        approve(netted.office, FEBRUARY, "monthly", "ann")
    (february,) = netted.bill(FEBRUARY)["Ada"].segments
    assert energy(february.carried)["other"] == D("80.300")


def test_month_after_one_that_was_refused_waits_for_it(netted: Town) -> None:
    gap = datetime(2027, 1, 5, 12, tzinfo=UTC)
    netted.set("E-1", gap, quality=Quality.MISSING)
    rate_cycle(netted.office, JANUARY, "monthly", "ann")
    rate_cycle(netted.office, FEBRUARY, "monthly", "ann")
    refused = netted.exceptions(FEBRUARY)["Ada"]
    assert (refused.code, "bill 2027-01 first" in refused.detail) == ("month_before", True)
    netted.set("E-1", gap, quality=Quality.EDITED)
    netted.bill(JANUARY, "late")
    assert energy(only(netted, FEBRUARY).carried) == {"evening": D("18.500"), "other": D("70.300")}


def test_first_bill_of_an_account_takes_nothing_over(netted: Town) -> None:
    assert only(netted, FEBRUARY).brought is None


def test_cost_so_far_takes_over_what_the_last_statement_left(netted: Town) -> None:
    only(netted, JANUARY)
    (segment,) = cost_so_far(netted.office, "Ada", datetime(2027, 3, 31, 12, tzinfo=UTC)).segments
    # 155 evening hours: 46.5 - 31 - 46.5 = -31; 588 others: 176.4 - 117.6 - 176.7 = -117.9.
    # 148.9 kWh × 0.074 = 11.0186.
    assert (segment.lines[0].label, segment.lines[0].amount) == ("Surplus", D("-11.02"))


# -- money --


@pytest.fixture
def credited(town: Town) -> Town:
    """Bob takes 100 Wh an hour, and feeds in 4 kWh an hour in October 2026; import is dearer from 11 October on."""
    town.account("Bob", {"tariff": "bank", "valid_from": "2026-10-01"})
    town.meter("E-2", "Bob", IMPORT, EXPORT)
    town.reads("E-2", 100, last=date(2026, 12, 1))
    town.reads("E-2", 4_000, channel=EXPORT, last=date(2026, 10, 31))
    town.reads("E-2", 0, channel=EXPORT, first=date(2026, 11, 1), last=date(2026, 12, 1))
    town.set("E-2", datetime(2026, 10, 31, 23, tzinfo=UTC), channel=EXPORT, values=0)
    town.now = datetime(2026, 12, 3, tzinfo=UTC)
    return town


def test_credit_goes_from_version_to_version_and_from_month_to_month(credited: Town) -> None:
    first, second = credited.bill("2026-10")["Bob"].segments
    # 240 hours: 24 × 0.30 = 7.20 less 960 × 0.10 = 96.00. 505 hours: 50.5 × 0.40 = 20.20 less 202.00.
    assert lines(first) == [
        ("Energy", D("7.20")),
        ("Feed-in credit", D("-96.00")),
        ("Bank", D("88.80")),
        ("Standing charge", D("3.84")),
    ]
    assert (first.brought, first.carried) == (None, InBank((), D("88.80")))
    assert lines(second)[2:] == [("Bank", D("181.80")), ("Standing charge", D("8.06"))]
    assert (second.brought, second.carried) == (first.carried, InBank((), D("270.60")))
    # 72 × 0.40 = 28.80 is paid from the bank.
    (november,) = credited.bill("2026-11")["Bob"].segments
    assert lines(november) == [("Energy", D("28.80")), ("Bank", D("-28.80")), ("Standing charge", D("11.90"))]
    assert november.carried == InBank((), D("241.80"))
    assert november.gross == D("11.90")
    assert "In your bank for the next bill: €241.80." in statement_html(credited.statements("2026-11")["Bob"])


def test_days_that_cannot_be_billed_leave_an_unknown_bank(credited: Town) -> None:
    credited.set("E-2", datetime(2026, 10, 5, 12, tzinfo=UTC), values=-5)
    rate_cycle(credited.office, "2026-10", "monthly", "ann")
    assert credited.statements() == {}
    assert "import read" in credited.exceptions()["Bob"].detail


def test_new_agreement_begins_with_an_empty_bank(credited: Town) -> None:
    agreed = {"tariff": "bank", "valid_from": "2026-10-01"}
    credited.account("Bob", agreed | {"valid_to": "2026-11-01"}, {"tariff": "bank", "valid_from": "2026-11-01"})
    credited.bill("2026-10")
    (november,) = credited.bill("2026-11")["Bob"].segments
    assert (november.brought, november.gross) == (None, D("40.70"))


def test_bank_comes_back_from_the_document() -> None:
    statement = made_statement()
    assert b'"carried"' not in canonical_json(statement)
    (segment,) = statement.segments
    bank = InBank(segment.usage_by_period, D("12.30"))
    with_bank = replace(statement, segments=(replace(segment, carried=bank),))
    assert parse_statement(canonical_json(with_bank)).segments[0].carried == bank
