"""Rating a cycle: who is billed, what for, and who is not and why."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from headend.billing.accruals.accounts import cost_so_far
from headend.billing.run import rate_cycle
from headend.errors import NotFound
from headend.reads import Quality
from tests.billing.town import EXPORT, IMPORT, Town

OCTOBER = "2026-10"


def rate(town: Town, period: str = OCTOBER, cycle: str = "monthly") -> None:
    rate_cycle(town.office, period, cycle, "ann")


def test_statement_worked_by_hand(flat: Town) -> None:
    rate(flat)
    statement = flat.statements()["Ada"]
    (segment,) = statement.segments
    # October 2026 has 745 hours in Berlin: 372.5 kWh × 0.3174 = 118.2315; VAT 0.19 × 130.13 = 24.7247.
    assert [(line.label, line.quantity, line.amount) for line in segment.lines] == [
        ("Energy", Decimal("372.5"), Decimal("118.23")),
        ("Standing charge", Decimal(1), Decimal("11.90")),
        ("VAT 19 %", Decimal("130.13"), Decimal("24.72")),
    ]
    assert (statement.totals.net, statement.totals.tax) == (Decimal("130.13"), Decimal("24.72"))
    assert statement.totals.gross == Decimal("154.85")
    assert (statement.first, statement.last, statement.days) == (date(2026, 10, 1), date(2026, 10, 31), 31)


def test_day_of_25_hours_is_billed_with_25_hours(flat: Town) -> None:
    rate(flat)
    (segment,) = flat.statements()["Ada"].segments
    assert segment.intervals == 745
    used = {use.day.day: use.quantity for use in segment.daily}
    assert len(used) == 31
    assert used[24] == Decimal("12.000")
    assert used[25] == Decimal("12.500")


def test_agreement_that_begins_in_mid_month_is_billed_from_there(town: Town) -> None:
    town.account("Bob", {"tariff": "flat", "valid_from": "2026-10-17"})
    town.meter("E-2", "Bob", IMPORT)
    town.reads("E-2")
    rate(town)
    statement = town.statements()["Bob"]
    # 15 days, one of 25 hours: 361 h × 0.5 kWh × 0.3174 = 57.2907; 11.90 × 15/31 = 5.758; 0.19 × 63.05 = 11.9795.
    assert [line.amount for line in statement.segments[0].lines] == [
        Decimal("57.29"),
        Decimal("5.76"),
        Decimal("11.98"),
    ]
    assert (statement.first, statement.days) == (date(2026, 10, 17), 15)
    assert statement.totals.gross == Decimal("75.03")


def test_agreement_that_ended_before_is_not_in_the_cycle(town: Town) -> None:
    town.account("Old", {"tariff": "flat", "valid_to": "2026-10-01"})
    cycle = rate_cycle(town.office, OCTOBER, "monthly", "ann")
    assert cycle.totals.accounts == 0


@pytest.mark.parametrize("quality", [Quality.MISSING, Quality.RAW, Quality.QUESTIONABLE])
def test_interval_that_may_not_be_billed_makes_an_exception(flat: Town, quality: Quality) -> None:
    flat.set("E-1", datetime(2026, 10, 5, 12, tzinfo=UTC), quality=quality)
    flat.set("E-1", datetime(2026, 10, 9, 1, tzinfo=UTC), quality=quality)
    rate(flat)
    assert flat.statements() == {}
    exception = flat.exceptions()["Ada"]
    assert exception.code == "incomplete_reads"
    assert "2 of 745 intervals" in exception.detail
    assert f"first 2026-10-05T12:00Z ({quality.label})" in exception.detail


def test_account_is_billed_once_its_gap_is_filled(flat: Town) -> None:
    gap = datetime(2026, 10, 5, 12, tzinfo=UTC)
    flat.set("E-1", gap, quality=Quality.MISSING)
    rate(flat)
    flat.set("E-1", gap, quality=Quality.ESTIMATED_LINEAR)
    rate(flat)
    assert flat.exceptions() == {}
    (segment,) = flat.statements()["Ada"].segments
    assert segment.estimated_intervals == 1
    assert [use.day for use in segment.daily if use.estimated] == [date(2026, 10, 5)]


def test_reads_outside_the_local_month_do_not_matter(flat: Town) -> None:
    # Midnight of 1 October in Berlin is 22:00 UTC of the day before.
    flat.set("E-1", datetime(2026, 9, 30, 21, tzinfo=UTC), quality=Quality.MISSING)
    flat.set("E-1", datetime(2026, 10, 31, 23, tzinfo=UTC), quality=Quality.MISSING)
    rate(flat)
    assert "Ada" in flat.statements()


def test_nobody_is_silently_unbilled(flat: Town) -> None:
    for name, agreement in {
        "no_tariff": {"tariff": "unheard-of"},
        "no_tariff2": {"tariff": "future"},
        "no_meter": {"tariff": "flat"},
        "cannot_rate": {"tariff": "gas"},
        "cannot_rate2": {"tariff": "solar"},
        "cannot_rate3": {"tariff": "flat"},
    }.items():
        flat.account(name, agreement, customer_class="commercial" if name == "cannot_rate3" else "residential")
        if name != "no_meter":
            flat.meter(f"M-{name}", name, IMPORT)
            flat.reads(f"M-{name}")
    cycle = rate_cycle(flat.office, OCTOBER, "monthly", "ann")
    assert {account: each.code.rstrip() for account, each in flat.exceptions().items()} == {
        name: name.rstrip("23")
        for name in ("no_tariff", "no_tariff2", "no_meter", "cannot_rate", "cannot_rate2", "cannot_rate3")
    }
    assert (cycle.totals.accounts, cycle.totals.billed, cycle.totals.excepted) == (7, 1, 6)
    assert cycle.totals.energy == {"electricity": 372_500}
    assert cycle.totals.money == {"EUR": Decimal("154.85")}


def test_one_bad_read_does_not_hold_back_its_neighbours(flat: Town) -> None:
    for name in ("Bea", "Cem", "Dot"):
        flat.account(name, {"tariff": "flat"})
        flat.meter(f"E-{name}", name, IMPORT)
        flat.reads(f"E-{name}")
    flat.set("E-Cem", datetime(2026, 10, 5, 12, tzinfo=UTC), values=-1)
    rate(flat)
    assert set(flat.statements()) == {"Ada", "Bea", "Dot"}
    assert flat.exceptions()["Cem"].code == "cannot_rate"


def test_agreements_that_overlap_are_both_held_back(flat: Town) -> None:
    flat.account("Eve", {"tariff": "flat", "valid_from": "2026-10-20"}, at="Ada")
    rate(flat)
    assert flat.statements() == {}
    assert {each.code for each in flat.exceptions().values()} == {"overlapping_agreements"}


def test_one_statement_sums_electricity_and_gas(flat: Town) -> None:
    flat.account("Ada", {"tariff": "flat"}, {"tariff": "gas", "commodity": "gas"})
    flat.meter("G-1", "Ada", "7-0:3.0.0", commodity="gas")
    flat.reads("G-1", 100, channel="7-0:3.0.0")
    rate(flat)
    statement = flat.statements()["Ada"]
    assert [segment.commodity for segment in statement.segments] == ["electricity", "gas"]
    # Gas: 74.5 m³ × 1.00 + 10.40 = 84.90, VAT 16.131.
    assert [segment.gross for segment in statement.segments] == [Decimal("154.85"), Decimal("101.03")]
    assert statement.totals.gross == Decimal("255.88")


def test_two_currencies_are_an_exception(flat: Town) -> None:
    flat.account("Ada", {"tariff": "flat"}, {"tariff": "dollars", "commodity": "gas"})
    flat.meter("G-1", "Ada", "7-0:3.0.0", commodity="gas")
    flat.reads("G-1", 100, channel="7-0:3.0.0")
    rate(flat)
    assert flat.statements() == {}
    assert flat.exceptions()["Ada"].code == "currencies"


def test_new_tariff_version_in_mid_month_makes_two_segments(town: Town) -> None:
    town.account("Ada", {"tariff": "changing"})
    town.meter("E-1", "Ada", IMPORT)
    town.reads("E-1", 1_000)
    rate(town)
    first, second = town.statements()["Ada"].segments
    assert (first.last, second.first, first.days + second.days) == (date(2026, 10, 10), date(2026, 10, 11), 31)
    assert first.lines[0].amount == Decimal("72.00")  # 240 h × 1 kWh × 0.30
    assert second.lines[0].amount == Decimal("202.00")  # 505 h × 1 kWh × 0.40
    assert first.tariff.sha256 != second.tariff.sha256


def test_export_is_credited(town: Town) -> None:
    town.account("Sol", {"tariff": "solar"})
    town.meter("E-1", "Sol", IMPORT, EXPORT)
    town.reads("E-1", 100)
    town.reads("E-1", 4_000, channel=EXPORT)
    rate(town)
    statement = town.statements()["Sol"]
    (segment,) = statement.segments
    assert segment.export == Decimal(2980)
    # 74.5 × 0.30 = 22.35; + 11.90 = 34.25; VAT 6.51; less 2,980 × 0.10.
    assert statement.totals.gross == Decimal("-257.24")


def test_use_by_period_and_tier_sums_to_the_use(town: Town) -> None:
    town.account("Ada", {"tariff": "tiered"})
    town.meter("E-1", "Ada", IMPORT)
    town.reads("E-1", 1_000)
    rate(town)
    (segment,) = town.statements()["Ada"].segments
    assert segment.usage == 745
    assert [(use.name, use.quantity) for use in segment.usage_by_period] == [("day", 31 * 16), ("night", 31 * 8 + 1)]
    assert [(use.tier, use.quantity) for use in segment.usage_by_tier] == [(1, 100), (2, 645)]


def test_exchanged_meter_counts_until_its_successor(town: Town) -> None:
    change = datetime(2026, 10, 12, 10, tzinfo=UTC)
    town.account("Ada", {"tariff": "flat"})
    town.meter("E-old", "Ada", IMPORT)
    town.meter("E-new", "Ada", IMPORT, installed=change)
    with town.database.write() as tx:
        tx.exec_driver_sql(
            "UPDATE installation SET removed_s = ? WHERE meter_id = ?",
            (int(change.timestamp()), town.key("E-old", IMPORT)[0]),
        )
    town.reads("E-old", 1_000)
    town.reads("E-new", 2_000, first=date(2026, 10, 12))
    rate(town)
    (segment,) = town.statements()["Ada"].segments
    old_hours = (change - datetime(2026, 9, 30, 22, tzinfo=UTC)).total_seconds() / 3600
    assert {meter.meter: meter.quantity for meter in segment.meters} == {
        "E-old": old_hours,
        "E-new": 2 * (745 - old_hours),
    }
    assert segment.usage == Decimal(int(old_hours + 2 * (745 - old_hours)))


def test_registers_are_carried_to_the_ends_of_the_month(flat: Town) -> None:
    flat.set("E-1", datetime(2026, 10, 1, 3, tzinfo=UTC), register=2_000)
    flat.set("E-1", datetime(2026, 10, 31, 22, tzinfo=UTC), register=374_000)
    rate(flat)
    (meter,) = flat.statements()["Ada"].segments[0].meters
    assert meter.opening is not None
    assert meter.closing is not None
    # 22:00 … 04:00 UTC are six hours of 500 Wh, so the register has rolled over from 999,000 to 2,000.
    assert (meter.opening.value, meter.opening.obtained) == (Decimal("999.000"), "calculated")
    assert meter.opening.at == datetime(2026, 9, 30, 22, tzinfo=UTC)
    assert (meter.closing.value, meter.closing.obtained) == (Decimal("374.000"), "read")
    flat.set("E-1", datetime(2026, 10, 1, 0, tzinfo=UTC), quality=Quality.ESTIMATED_AVERAGE)
    flat.set("E-1", datetime(2026, 10, 31, 22, tzinfo=UTC), register=-1)
    rate(flat)
    (meter,) = flat.statements()["Ada"].segments[0].meters
    assert meter.opening is not None
    assert meter.closing is not None
    assert (meter.opening.obtained, meter.closing.obtained) == ("estimated", "calculated")


def test_register_sent_at_the_months_begin_is_a_read(flat: Town) -> None:
    flat.set("E-1", datetime(2026, 9, 30, 21, tzinfo=UTC), register=123_456)
    rate(flat)
    (meter,) = flat.statements()["Ada"].segments[0].meters
    assert meter.opening is not None
    assert (meter.opening.value, meter.opening.obtained) == (Decimal("123.456"), "read")
    assert meter.closing is None


def test_month_before_is_compared_where_its_reads_are_all_there(flat: Town) -> None:
    rate(flat)
    assert flat.statements()["Ada"].segments[0].previous is None
    flat.reads("E-1", 250, first=date(2026, 8, 31), last=date(2026, 9, 29))
    flat.set("E-1", datetime(2026, 9, 30, 5, tzinfo=UTC), values=500)
    rate(flat)
    previous = flat.statements()["Ada"].segments[0].previous
    assert previous is not None
    assert (previous.first, previous.last, previous.days) == (date(2026, 9, 1), date(2026, 9, 30), 30)
    # 29 days and two hours of 250 Wh (31 August 22:00 … 29 September 24:00 UTC), then 22 hours of 500 Wh.
    assert previous.quantity == Decimal("0.250") * (29 * 24 + 2) + Decimal("0.500") * 22


def test_month_before_is_compared_from_its_last_gap_on(flat: Town) -> None:
    flat.reads("E-1", 250, first=date(2026, 9, 1), last=date(2026, 9, 30))
    flat.set("E-1", datetime(2026, 9, 10, 5, tzinfo=UTC), quality=Quality.MISSING)
    rate(flat)
    previous = flat.statements()["Ada"].segments[0].previous
    assert previous is not None
    assert (previous.first, previous.days, previous.quantity) == (date(2026, 9, 11), 20, Decimal("0.25") * 20 * 24)
    flat.set("E-1", datetime(2026, 9, 24, 5, tzinfo=UTC), quality=Quality.MISSING)
    rate(flat)
    assert flat.statements()["Ada"].segments[0].previous is None


def test_estimates_of_what_was_fed_in_are_counted_but_mark_no_day_of_use(town: Town) -> None:
    town.account("Sol", {"tariff": "solar"})
    town.meter("E-1", "Sol", IMPORT, EXPORT)
    town.reads("E-1", 100)
    town.reads("E-1", 50, channel=EXPORT)
    town.set("E-1", datetime(2026, 10, 5, 12, tzinfo=UTC), channel=EXPORT, quality=Quality.ESTIMATED_LIKE_DAY)
    rate(town)
    (segment,) = town.statements()["Sol"].segments
    assert (segment.intervals, segment.estimated_intervals) == (1490, 1)
    assert not any(use.estimated for use in segment.daily)


def test_digest_changes_with_a_read_and_with_nothing_else(flat: Town) -> None:
    rate(flat)
    before = flat.statements()["Ada"].segments[0].reads_sha256
    flat.set("E-1", datetime(2026, 9, 30, 21, tzinfo=UTC), values=9)
    rate(flat)
    assert flat.statements()["Ada"].segments[0].reads_sha256 == before
    flat.set("E-1", datetime(2026, 10, 7, 7, tzinfo=UTC), quality=Quality.VERIFIED)
    rate(flat)
    assert flat.statements()["Ada"].segments[0].reads_sha256 != before


def test_cost_so_far_counts_what_is_there_and_ends_as_the_statement(flat: Town) -> None:
    flat.reads("E-1", quality=Quality.RAW, first=date(2026, 10, 11))
    whole = cost_so_far(flat.office, "Ada", datetime(2026, 10, 31, 22, 59, tzinfo=UTC))
    assert whole.period == OCTOBER
    assert whole.segments[0].gross == Decimal("154.85")
    for day in range(11, 32):
        flat.reads("E-1", quality=Quality.MISSING, value=0, first=date(2026, 10, day), last=date(2026, 10, day))
    flat.reads("E-1", quality=Quality.MISSING, value=0, first=date(2026, 11, 1), last=date(2026, 11, 1))
    ten = cost_so_far(flat.office, "Ada", datetime(2026, 10, 15, 12, tzinfo=UTC))
    (segment,) = ten.segments
    assert ten.through == datetime(2026, 10, 11, tzinfo=UTC)
    assert segment.usage == Decimal("0.5") * 242
    assert segment.daily == (12_000,) * 10 + (1_000,)
    # 121 kWh × 0.3174 = 38.4054; + 11.90 = 50.31; VAT 9.5589.
    assert segment.gross == Decimal("59.87")


def test_cost_so_far_of_nobody_is_not_found(town: Town) -> None:
    with pytest.raises(NotFound):
        cost_so_far(town.office, "Nobody", town.now)
