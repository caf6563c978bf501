"""What new statements carry beside the digests of reads and prices: calendar and engine."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from decimal import Decimal

from headend.billing.statement import PastPeak, canonical_json, parse_statement
from tests.billing.made import made_statement
from tests.billing.town import IMPORT, Town

BEGIN = datetime(2026, 9, 30, 22, tzinfo=UTC)


def test_calendar_digest_is_made_by_hand(town: Town) -> None:
    town.account("Ada", {"tariff": "tiered"})
    town.meter("E-1", "Ada", IMPORT)
    town.reads("E-1")
    (segment,) = town.bill()["Ada"].segments
    # Day is from 6 to 22 o'clock of Berlin. 25 October has 25 hours: 2 o'clock comes twice.
    day = [0 if 6 <= hour < 22 else 1 for hour in range(24)]
    codes = day * 24 + [1, *day] + day * 6
    head = f"|{int(BEGIN.timestamp())}|3600|745\n".encode()
    assert segment.calendar_sha256 == hashlib.sha256(head + bytes(codes)).hexdigest()


def test_statement_says_which_engine_made_it(flat: Town) -> None:
    assert json.loads(canonical_json(flat.bill()["Ada"]))["engine"] == "headend 0.1.0"


def test_older_statement_has_neither(town: Town) -> None:
    document = canonical_json(made_statement())
    assert b"engine" not in document
    assert b"calendar" not in document
    assert canonical_json(parse_statement(document)) == document


def test_peak_of_a_period_names_it(town: Town) -> None:
    town.account("Ada", {"tariff": "demand-by-period"})
    town.meter("E-1", "Ada", IMPORT)
    town.reads("E-1", first=date(2026, 8, 31))
    town.set("E-1", datetime(2026, 9, 10, 23, tzinfo=UTC), values=9_000)
    (segment,) = town.bill()["Ada"].segments
    assert segment.peaks == (
        PastPeak("2026-09", "Demand", Decimal("0.500"), "day"),
        PastPeak("2026-09", "Demand", Decimal("9.000"), "night"),
        PastPeak("2026-08", "Demand", Decimal("0.500"), "day"),
        PastPeak("2026-08", "Demand", Decimal("0.500"), "night"),
    )
    # 0.5 kW × 10 by day; half of 9 kW × 4 by night.
    assert [line.amount for line in segment.lines] == [Decimal("5.00"), Decimal("18.00")]


def test_peak_of_all_hours_names_no_period(town: Town) -> None:
    town.account("Ada", {"tariff": "demand"})
    town.meter("E-1", "Ada", IMPORT)
    town.reads("E-1", first=date(2026, 8, 31))
    town.bill()
    peaks = [peak for its in json.loads(town.documents()["Ada"])["segments"] for peak in its["peaks"]]
    assert peaks[0] == {"label": "Demand", "month": "2026-09", "quantity": "0.500"}
