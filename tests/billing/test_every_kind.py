"""Bills on tariffs of every kind, worked by hand: from the reads to the issued statement.

October 2026 in Berlin begins on a Thursday and has 745 hours; 22 of its days are weekdays, none of them a holiday.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from headend.billing.accruals.accounts import cost_so_far
from headend.billing.approval import approve
from headend.billing.run import rate_cycle
from headend.billing.statement import Segment
from headend.documents import statement_html, statement_pdf
from headend.errors import BillingConflict
from headend.reads import Quality
from tests.billing.town import IMPORT, REACTIVE, Town

OCTOBER = "2026-10"
BEGIN = datetime(2026, 9, 30, 22, tzinfo=UTC)
TURNS = ["0.10", "-0.02"] * 372 + ["0.10"]
D = Decimal


def home(town: Town, tariff: str, value: int = 500, *channels: str, **other: str) -> None:
    """Ada's, on a tariff; the same use in every hour."""
    town.account("Ada", {"tariff": tariff}, **other)
    town.meter("E-1", "Ada", IMPORT, *channels)
    town.reads("E-1", value)


def only(town: Town, period: str = OCTOBER) -> Segment:
    (segment,) = town.bill(period)["Ada"].segments
    return segment


def told(segment: Segment) -> list[tuple[str, Decimal, Decimal, Decimal]]:
    return [(line.label, line.quantity, line.price, line.amount) for line in segment.lines]


def at(day: int, hour: int) -> datetime:
    return datetime(2026, 10, day, hour, tzinfo=UTC)


# -- dynamic prices --


def test_hours_are_billed_at_their_own_prices(town: Town) -> None:
    home(town, "home-dynamic")
    town.prices("day-ahead", BEGIN, TURNS)
    segment = only(town)
    # 373 hours at 0.10 × 1.03 + 0.018 = 0.121, 372 at -0.02 × 1.03 + 0.018 = -0.0026:
    # 186.5 × 0.121 - 186 × 0.0026 = 22.0829, a mean of 0.0592829; 372.5 × 0.1245 = 46.37625; 0.19 × 75.36 = 14.3184.
    assert told(segment) == [
        ("Energy at day-ahead prices", D("372.5"), D("0.059283"), D("22.08")),
        ("Network, levies and electricity tax", D("372.5"), D("0.1245"), D("46.38")),
        ("Standing charge", 1, D("6.90"), D("6.90")),
        ("VAT 19 %", D("75.36"), D("0.19"), D("14.32")),
    ]
    assert [line.mean for line in segment.lines] == [True, False, False, False]
    assert segment.gross == D("89.68")


def test_statement_names_the_digest_of_the_prices_it_used(town: Town) -> None:
    home(town, "home-dynamic")
    # What is published beside the month does not matter.
    town.prices("day-ahead", datetime(2026, 9, 30, 20, tzinfo=UTC), ["0.5", "0.5", *TURNS, "0.5"])
    starts = range(int(BEGIN.timestamp()), int(BEGIN.timestamp()) + 745 * 3600, 3600)
    rows = [f"{start}|{start + 3600}|{price}\n" for start, price in zip(starts, ["0.1", "-0.02"] * 373, strict=False)]
    (used,) = only(town).prices
    assert (used.series, used.sha256) == ("day-ahead", hashlib.sha256("".join(rows).encode()).hexdigest())


def test_missing_price_makes_an_exception_until_it_is_imported(town: Town) -> None:
    home(town, "home-dynamic")
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    assert town.exceptions()["Ada"].code == "price_missing"
    assert "there is no price series 'day-ahead'" in town.exceptions()["Ada"].detail
    town.prices("day-ahead", BEGIN, TURNS[:700])
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    says = "price series day-ahead has no price for 45 of 745 intervals, first 2026-10-30T02:00Z"
    assert says in town.exceptions()["Ada"].detail
    assert town.statements() == {}
    town.prices("day-ahead", at(30, 2), TURNS[700:])
    assert only(town).gross == D("89.68")
    assert town.exceptions() == {}


def test_price_that_changed_after_rating_stops_approval(town: Town) -> None:
    home(town, "home-dynamic")
    town.prices("day-ahead", BEGIN, TURNS)
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    town.prices("day-ahead", BEGIN, ["0.11"])
    with pytest.raises(BillingConflict, match="have changed since"):
        approve(town.office, OCTOBER, "monthly", "ann")


def test_neighbour_on_another_tariff_does_not_wait_for_prices(town: Town) -> None:
    home(town, "home-dynamic")
    town.account("Bea", {"tariff": "flat"})
    town.meter("E-2", "Bea", IMPORT)
    town.reads("E-2")
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    assert list(town.statements()) == ["Bea"]


def test_cost_so_far_needs_no_prices_of_days_to_come(town: Town) -> None:
    home(town, "home-dynamic")
    town.reads("E-1", 0, quality=Quality.MISSING, first=date(2026, 10, 2), last=date(2026, 11, 1))
    town.prices("day-ahead", BEGIN, TURNS[:26])
    now = at(2, 0)
    # 26 hours: 13 × 0.5 × 0.121 - 13 × 0.5 × 0.0026 = 0.7696; 13 × 0.1245 = 1.6185; + 6.90; VAT 0.19 × 9.29 = 1.7651.
    assert cost_so_far(town.office, "Ada", now).segments[0].gross == D("11.06")
    town.reads("E-1", first=date(2026, 10, 2), last=date(2026, 10, 2))
    (problem,) = cost_so_far(town.office, "Ada", now).problems
    assert "no price for 24 of 745 intervals, first 2026-10-02T00:00Z" in problem


# -- events, seasons, capacity --


def test_critical_peak_is_billed_while_its_event_lasts(town: Town) -> None:
    home(town, "home-critical-peak")
    town.event("critical-peak", at(15, 15), at(15, 18))
    segment = only(town)
    # 22 × 4 hours of peak, but 3: 42.5 × 0.312; 745 - 88 = 657 others: 328.5 × 0.238 = 78.183; 5 % of 104.22 = 5.211.
    assert told(segment) == [
        ("Energy, Critical peak", D("1.5"), D("1.2500"), D("1.88")),
        ("Energy, Peak", D("42.5"), D("0.3120"), D("13.26")),
        ("Energy, Off-peak", D("328.5"), D("0.2380"), D("78.18")),
        ("Standing charge", 1, D("10.90"), D("10.90")),
        ("Launch discount", D("104.22"), D("-0.05"), D("-5.21")),
        ("VAT 19 %", D("99.01"), D("0.19"), D("18.81")),
    ]
    assert [(use.name, use.quantity) for use in segment.usage_by_period] == [
        ("critical", D("1.500")),
        ("peak", D("42.500")),
        ("off_peak", D("328.500")),
    ]
    assert [(event.name, event.begin, event.end) for event in segment.events] == [
        ("critical-peak", at(15, 15), at(15, 18))
    ]


def test_limits_of_winter_hold_in_october(town: Town) -> None:
    home(town, "home-seasonal-tiers", 1_000)
    segment = only(town)
    # 31 × 14.2 = 440.2 kWh in the first tier; 31 × 6 = 186 of baseline; 7.5 % of 143.23 = 10.74225.
    assert [line.amount for line in segment.lines] == [D("80.12"), D("68.88"), D("-5.77"), D("8.50"), D("10.74")]
    assert [(use.tier, use.quantity) for use in segment.usage_by_tier] == [(1, D("440.2")), (2, D("304.8")), (3, 0)]
    assert (segment.gross, segment.currency) == (D("162.47"), "USD")


def test_capacity_is_the_mean_of_three_days_and_its_tax_is_contained(town: Town) -> None:
    home(town, "home-capacity")
    for moment, value in ((at(5, 9), 4_000), (at(9, 18), 5_000), (at(20, 6), 6_000), (at(20, 7), 5_900)):
        town.set("E-1", moment, values=value)
    statement = town.bill()["Ada"]
    (segment,) = statement.segments
    # (4 + 5 + 6) ÷ 3 = 5 kW is still the second step; 391.4 × 0.949 = 371.4386; a fifth of 577.69 is VAT, 115.538.
    assert [(line.label, line.unit, line.amount, line.included) for line in segment.lines] == [
        ("Energy", "kWh", D("371.44"), False),
        ("Capacity, tier 2", "month", D("206.25"), False),
        ("VAT 25 %", "NOK", D("115.54"), True),
    ]
    totals = statement.totals
    assert (totals.net, totals.tax, totals.gross) == (D("462.15"), D("115.54"), D("577.69"))
    assert segment.usage_by_tier == ()


def test_demand_goes_over_an_exchange_of_the_meter(town: Town) -> None:
    town.account("Ada", {"tariff": "home-capacity"})
    town.meter("E-old", "Ada", IMPORT, removed=at(12, 10))
    town.meter("E-new", "Ada", IMPORT, installed=at(12, 10))
    town.reads("E-old")
    town.reads("E-new", first=date(2026, 10, 12))
    # What the old meter says after its removal is nobody's.
    peaks = {("E-old", 5): 7_000, ("E-new", 20): 9_000, ("E-new", 25): 8_000, ("E-old", 27): 99_000}
    for (meter, day), value in peaks.items():
        town.set(meter, at(day, 12), values=value)
    # (7 + 9 + 8) ÷ 3 = 8 kW.
    assert [line.amount for line in only(town).lines if line.kind == "demand"] == [D("350.00")]


# -- demand of a business --


def business(town: Town, *, reactive: int = 400) -> None:
    home(town, "business-demand", 700, REACTIVE, customer_class="commercial")
    town.reads("E-1", reactive, channel=REACTIVE)


def test_demand_reactive_energy_and_power_factor(town: Town) -> None:
    business(town)
    segment = only(town)
    # 22 × 16 = 352 hours of day. 298 kvarh, of which half of 521.5 kWh is free. 0.7 ÷ √0.65 = 0.868: 3 × 0.5 % of
    # 40.41 + 33.29 + 6.86 = 80.56.
    assert [(line.label, line.quantity, line.unit, line.amount) for line in segment.lines] == [
        ("Energy, Day", D("246.4"), "kWh", D("40.41")),
        ("Energy, Night and weekend", D("275.1"), "kWh", D("33.29")),
        ("Demand", D("0.7"), "kW", D("6.86")),
        ("Reactive energy", D("37.25"), "kvarh", D("0.48")),
        ("Power factor below 0.90", D("80.56"), "EUR", D("1.21")),
        ("Metering", 1, "month", D("38.00")),
        ("VAT 19 %", D("120.25"), "EUR", D("22.85")),
    ]
    assert segment.gross == D("143.10")
    assert (segment.usage, segment.reactive, segment.export) == (D("521.5"), D(298), None)
    assert [meter.channel for meter in segment.meters] == [IMPORT, REACTIVE]
    assert (segment.intervals, segment.estimated_intervals) == (1490, 0)


def test_reactive_reads_must_be_there(town: Town) -> None:
    business(town)
    town.set("E-1", at(7, 7), channel=REACTIVE, quality=Quality.MISSING)
    home_without = {"tariff": "business-demand"}
    town.account("Bea", home_without, customer_class="commercial")
    town.meter("E-2", "Bea", IMPORT)
    town.reads("E-2")
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    refused = town.exceptions()
    assert "1 of 745 intervals cannot be billed, first 2026-10-07T07:00Z (missing)" in refused["Ada"].detail
    assert (refused["Bea"].code, refused["Bea"].detail.split(": ")[1]) == (
        "cannot_rate",
        "business-demand charges reactive energy, but no meter measures it",
    )


def test_class_that_is_exempt_has_no_such_line_and_needs_no_such_meter(town: Town) -> None:
    home(town, "exempt")
    town.account("Bob", {"tariff": "exempt"}, customer_class="commercial")
    town.meter("E-2", "Bob", IMPORT, REACTIVE)
    town.reads("E-2")
    town.reads("E-2", 400, channel=REACTIVE)
    statements = town.bill()
    # 372.5 × 0.30 = 111.75; VAT 21.2325; or 298 - 186.25 = 111.75 kvarh.
    assert [(line.label, line.amount) for line in statements["Ada"].segments[0].lines] == [
        ("Energy", D("111.75")),
        ("VAT 19 %", D("21.23")),
    ]
    assert [(line.label, line.amount) for line in statements["Bob"].segments[0].lines] == [
        ("Energy", D("111.75")),
        ("Reactive energy", D("1.12")),
    ]


# -- what stands on paper --


def test_lines_tell_how_much_of_them_is_estimated(town: Town) -> None:
    home(town, "home-critical-peak")
    for hour in (15, 16, 22):
        town.set("E-1", at(6, hour), quality=Quality.ESTIMATED_LINEAR, values=800)
    segment = only(town)
    assert [(line.label, line.estimated) for line in segment.lines if line.estimated is not None] == [
        ("Energy, Peak", D("1.6")),
        ("Energy, Off-peak", D("0.8")),
    ]
    lines = json.loads(town.documents()["Ada"])["segments"][0]["lines"]
    assert ["estimated" in line for line in lines] == [True, True, False, False, False]


def test_business_bill_can_be_drawn(town: Town) -> None:
    business(town)
    statement = town.bill()["Ada"]
    page = statement_html(statement)
    for words in ("0.700\u00a0kW", "€9.80/kW", "37.250\u00a0kvarh", "1.5%", "reactive", "298.000\u00a0kvarh"):
        assert words in page, words
    assert statement_pdf(statement).startswith(b"%PDF")
