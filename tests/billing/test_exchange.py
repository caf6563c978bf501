"""Meters that are exchanged, and transformers that are, within a period."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from headend.billing.run import rate_cycle
from headend.billing.statement import MeterReads, canonical_json
from headend.documents import statement_html, statement_pdf
from headend.documents.view import statement_view
from headend.reads import Quality
from headend.reads.quality import Flag
from tests.billing.town import IMPORT, Town

CHANGE = datetime(2026, 10, 12, 10, tzinfo=UTC)
BEGIN = datetime(2026, 9, 30, 22, tzinfo=UTC)
END = datetime(2026, 10, 31, 23, tzinfo=UTC)
LAST_HOUR = datetime(2026, 10, 31, 22, tzinfo=UTC)


def rate(town: Town) -> None:
    rate_cycle(town.office, "2026-10", "monthly", "ann")


def channel(digits: int, **more: object) -> list[dict[str, object]]:
    return [{"channel": IMPORT, "max_per_interval": 10**6, "register_digits": digits} | more]


@pytest.fixture
def exchanged(town: Town) -> Town:
    """E-old uses 1 kWh an hour up to the change, E-new 2 kWh an hour from there; both say more than they may."""
    town.account("Ada", {"tariff": "flat"})
    town.meter("E-old", "Ada", removed=CHANGE, channels=channel(6))
    town.meter("E-new", "Ada", installed=CHANGE, channels=channel(8))
    town.reads("E-old", 1_000)
    town.reads("E-new", 2_000, first=CHANGE.date())
    town.set("E-old", datetime(2026, 10, 12, 9, tzinfo=UTC), register=76_000)
    town.set("E-new", CHANGE, register=2_000)
    town.set("E-new", LAST_HOUR, register=938_000)
    return town


def told(meter: MeterReads) -> list[tuple[datetime, Decimal, str]]:
    return [(each.at, each.value, each.obtained) for each in (meter.opening, meter.closing) if each]


def test_exchange_bills_old_and_new_and_nothing_across(exchanged: Town) -> None:
    rate(exchanged)
    statement = exchanged.statements()["Ada"]
    (segment,) = statement.segments
    # 1 October to the change are 11 days and 12 hours, 276 h; from there to the end 745 − 276 = 469 h of 2 kWh.
    assert [(meter.meter, meter.quantity) for meter in segment.meters] == [("E-old", 276), ("E-new", 938)]
    old, new = segment.meters
    # The old dial, of 1,000 kWh, has rolled over: 800 + 276 → 76.
    assert told(old) == [(BEGIN, Decimal("800.000"), "calculated"), (CHANGE, Decimal("76.000"), "read")]
    assert told(new) == [(CHANGE, Decimal("0.000"), "calculated"), (END, Decimal("938.000"), "read")]
    # 1,214 kWh × 0.3174 = 385.3236; + 11.90 = 397.22; VAT 75.4718.
    assert segment.usage == 1214
    assert segment.intervals == 745
    assert [line.amount for line in segment.lines] == [Decimal("385.32"), Decimal("11.90"), Decimal("75.47")]
    assert statement.totals.gross == Decimal("472.69")


def test_exchange_stands_on_paper(exchanged: Town) -> None:
    rate(exchanged)
    statement = exchanged.statements()["Ada"]
    (view,) = statement_view(statement)["segments"]
    shown = [
        (row["meter"], [each["value"] for each in row["registers"]], row["quantity"]) for row in view["meters"]["rows"]
    ]
    assert shown == [
        ("E-old", ["800.000", "76.000"], "276.000\u00a0kWh"),
        ("E-new", ["0.000", "938.000"], "938.000\u00a0kWh"),
    ]
    page = statement_html(statement)
    assert all(word in page for word in ("E-old", "76.000", "12 Oct 2026 12:00, read", "E-new", "472.69"))
    assert statement_pdf(statement).startswith(b"%PDF")


def test_hour_between_two_meters_is_missing_and_named(exchanged: Town) -> None:
    exchanged.meter("E-new", "Ada", installed=CHANGE.replace(hour=11), channels=channel(8))
    rate(exchanged)
    assert (
        "1 of 745 intervals cannot be billed, first 2026-10-12T10:00Z (missing)" in exchanged.exceptions()["Ada"].detail
    )


def test_what_the_old_meter_says_after_its_removal_does_not_matter(exchanged: Town) -> None:
    rate(exchanged)
    before = exchanged.statements()["Ada"].segments[0].gross
    exchanged.set("E-old", CHANGE, values=77_000, register=1)
    exchanged.set("E-new", datetime(2026, 10, 12, 9, tzinfo=UTC), values=77_000, quality=Quality.RAW, register=1)
    rate(exchanged)
    (segment,) = exchanged.statements()["Ada"].segments
    assert segment.gross == before
    assert told(segment.meters[0])[1] == (CHANGE, Decimal("76.000"), "read")


def test_each_tariff_version_names_the_meters_that_hung_then(town: Town) -> None:
    town.account("Ada", {"tariff": "changing"})
    exchange = datetime(2026, 10, 5, 10, tzinfo=UTC)
    town.meter("E-old", "Ada", removed=exchange, channels=channel(6))
    town.meter("E-new", "Ada", installed=exchange, channels=channel(6))
    town.reads("E-old", 1_000)
    town.reads("E-new", 1_000)
    rate(town)
    first, second = town.statements()["Ada"].segments
    assert {meter.meter: meter.quantity for meter in first.meters} == {"E-old": 108, "E-new": 132}
    assert {meter.meter: meter.quantity for meter in second.meters} == {"E-new": 505}


def test_the_month_before_an_exchange_is_compared(exchanged: Town) -> None:
    exchanged.reads("E-old", 1_000, first=date(2026, 8, 31), last=date(2026, 9, 29))
    rate(exchanged)
    previous = exchanged.statements()["Ada"].segments[0].previous
    assert previous is not None
    assert (previous.days, previous.quantity) == (30, 720)


def test_new_transformers_show_the_register_at_each_scale(town: Town) -> None:
    """CT 200/5 up to 11 October, CT 300/5 from there: a dial of 10,000 kWh is 400,000, then 600,000 kWh."""
    constants = [
        {"from": datetime(2026, 1, 1, tzinfo=UTC), "ct": "200/5"},
        {"from": datetime(2026, 10, 10, 22, tzinfo=UTC), "ct": "300/5"},
    ]
    town.account("Ada", {"tariff": "flat"})
    town.meter("E-1", "Ada", channels=channel(7, constants=constants))
    town.reads("E-1", 40_000)
    town.reads("E-1", 60_000, first=date(2026, 10, 11))
    for hour in (22, 23):
        town.set("E-1", datetime(2026, 10, 10, hour, tzinfo=UTC), values=60_000)
    # On the wire 9,900 kWh at the end of September, 140 kWh at the change, 645 kWh at the end of October.
    town.set("E-1", datetime(2026, 9, 30, 21, tzinfo=UTC), register=9_900_000 * 40)
    town.set("E-1", datetime(2026, 10, 10, 21, tzinfo=UTC), register=140_000 * 40)
    town.set("E-1", LAST_HOUR, register=645_000 * 60)
    rate(town)
    statement = town.statements()["Ada"]
    (segment,) = statement.segments
    change = datetime(2026, 10, 10, 22, tzinfo=UTC)
    before, after = segment.meters
    assert (before.constant, before.quantity) == ("CT 200/5", 240 * 40)
    assert told(before) == [(BEGIN, 396_000, "read"), (change, 5_600, "read")]
    assert (after.constant, after.quantity) == ("CT 300/5", 505 * 60)
    assert told(after) == [(change, 8_400, "calculated"), (END, 38_700, "read")]
    assert segment.usage == 240 * 40 + 505 * 60
    assert "CT 300/5" in statement_html(statement)


def test_device_that_was_exchanged_behind_the_same_name_shows_both_registers(flat: Town) -> None:
    flat.set("E-1", datetime(2026, 10, 12, 9, tzinfo=UTC), register=700_000)
    flat.set("E-1", CHANGE, register=500, flags=Flag.NEW_REGISTER, quality=Quality.ESTIMATED_LINEAR)
    flat.set("E-1", LAST_HOUR, register=235_000)
    rate(flat)
    (segment,) = flat.statements()["Ada"].segments
    old, new = segment.meters
    assert told(old) == [(BEGIN, 562, "calculated"), (CHANGE, 700, "read")]
    assert told(new) == [(CHANGE, 0, "estimated"), (END, 235, "read")]
    assert (old.quantity, new.quantity, segment.usage) == (138, Decimal("234.5"), Decimal("372.5"))


def test_statement_without_anything_new_says_nothing_of_it(flat: Town) -> None:
    rate(flat)
    document = canonical_json(flat.statements()["Ada"])
    assert b'"gas"' not in document
    assert b'"constant"' not in document
