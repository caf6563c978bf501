"""A statement made by hand, with something of everything in it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from headend.billing.review import Limits
from headend.billing.statement import (
    Comparison,
    Customer,
    DayUse,
    MeterReads,
    PeriodUse,
    RegisterRead,
    Segment,
    Statement,
    StatementLine,
    TariffVersion,
    TierUse,
    Utility,
    totals_of,
)

D = Decimal

#: From when on something looks wrong, as a utility would have it.
USUAL_LIMITS = Limits(
    estimated_share=Decimal("0.25"),
    zero_use=("electricity",),
    high_use=Decimal(3),
    low_use=Decimal("0.25"),
    unlike_peers=Decimal(20),
    register_difference=Decimal(1),
    meter_change=True,
    days=(25, 35),
    negative=True,
    over_limit={"residential": {"EUR": Decimal(2000)}},
    back_billed_months=12,
)
_BEGIN, _END = datetime(2026, 9, 30, 22, tzinfo=UTC), datetime(2026, 10, 31, 23, tzinfo=UTC)


def made_statement(locale: str = "de_DE", *, gross_sign: int = 1) -> Statement:
    """October 2026 of one home: net 100.00, tax 19.00, gross 119.00; its third day is estimated."""
    lines = (
        StatementLine("energy", "Energy, Peak", D("310.000"), "kWh", D("1E-9"), D("88.10"), "peak", 1),
        StatementLine("standing", "Standing charge", D(1), "month", D("11.90"), D("11.90"), None, None),
        StatementLine("tax", "VAT 19 %", D("100.00"), "EUR", D("0.19"), D("19.00"), None, None),
    )
    if gross_sign < 0:
        credit = StatementLine("export", "Feed-in", D(2380), "kWh", D("-0.10"), D("-238.00"), None, None)
        lines = (*lines, credit)
    net, tax = D("100.00") if gross_sign > 0 else D("-138.00"), D("19.00")
    segment = Segment(
        agreement="A-1/UP-1/electricity/2025-01-01",
        usage_point="UP-1",
        address="Lindenweg 3, 12345 Musterstadt",
        commodity="electricity",
        unit="kWh",
        timezone="Europe/Berlin",
        first=date(2026, 10, 1),
        last=date(2026, 10, 31),
        days=31,
        tariff=TariffVersion("home", "Home", "ab" * 32),
        meters=(
            MeterReads(
                "E-1",
                "1-0:1.8.0",
                RegisterRead(_BEGIN, D("1000.000"), "read"),
                RegisterRead(_END, D("1310.000"), "calculated"),
                D("310.000"),
            ),
        ),
        usage=D("310.000"),
        export=None,
        usage_by_period=(PeriodUse("peak", "Peak", D("77.500")), PeriodUse("rest", "Other hours", D("232.500"))),
        usage_by_tier=(TierUse(1, D("100.000")), TierUse(2, D("210.000"))),
        lines=lines,
        intervals=745,
        estimated_intervals=2,
        daily=tuple(DayUse(date(2026, 10, 1) + timedelta(days=i), D("10.000"), i == 2) for i in range(31)),
        reads_sha256="cd" * 32,
        previous=Comparison(date(2026, 9, 1), date(2026, 9, 30), 30, D("240.000")),
        currency="EUR",
        net=net,
        tax=tax,
        gross=net + tax,
    )
    return Statement(
        id="A-1-2026-10-1",
        utility=Utility("Musterstadt Utilities", ("Marktplatz 1", "12345 Musterstadt")),
        customer=Customer("A-1", "Jürgen & Søn", segment.address, "residential", locale),
        cycle="monthly",
        period="2026-10",
        revision=1,
        timezone="Europe/Berlin",
        first=segment.first,
        last=segment.last,
        days=31,
        segments=(segment,),
        totals=totals_of((segment,)),
        issued_at=datetime(2026, 11, 3, 9, tzinfo=UTC),
        issued_on=date(2026, 11, 3),
        due_on=date(2026, 11, 17),
        previous_sha256="ef" * 32,
    )
