"""What a billing cycle looks at before it rates: high and low use, bills on estimates alone; and what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from headend.billing.approval import approve, issue
from headend.billing.run import rate_cycle
from headend.errors import BillingConflict
from headend.process.billcheck import check_bills
from headend.process.editing import Decision, decide
from headend.reads import Quality
from headend.reads.days import day_number, seconds
from headend.store import dailyuse
from headend.store.exceptions import Choice, ReadException, exceptions, open_found
from headend.store.tables import finding
from headend.vee.findings import Finding
from headend.vee.ruleset import Rules
from tests.billing.town import IMPORT, Town

OCTOBER = "2026-10"
BEGIN, END = datetime(2026, 9, 30, 22, tzinfo=UTC), datetime(2026, 10, 31, 23, tzinfo=UTC)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """Ada's home, which used 500 Wh an hour from August on and 1,100 in October."""
    made = Town(tmp_path)
    made.account("Ada", {"tariff": "flat"})
    made.meter("E-1", "Ada", IMPORT)
    made.reads("E-1", hours(500), first=date(2026, 8, 1), last=date(2026, 9, 30))
    made.reads("E-1", hours(1_100), first=date(2026, 10, 1))
    yield made
    made.database.close()


def hours(mean: int) -> list[int]:
    """A day of hours, of which no two in a row are alike."""
    return [mean - 100, mean + 100] * 12


def stage(town: Town, first: date, last: date) -> None:
    """Daily use as settlement leaves it."""
    days = range(day_number(first), day_number(last) + 1)
    with town.database.write() as tx:
        dailyuse.put(tx, town.store.load(tx, [(day, *town.key("E-1", IMPORT)) for day in days], 3600), days.stop)


def queue(town: Town, state: str = "undecided") -> list[ReadException]:
    with town.database.read() as tx:
        return sorted(exceptions(tx, Choice(state=state)), key=lambda each: each.id)


def accept(town: Town, exception: int) -> None:
    decided = decide(town.site, Decision(exception, "accept", by="ann", reason="usage confirmed"))
    assert (decided.state, decided.change) == ("done", 0)


def test_a_high_bill_is_held_until_somebody_decided(town: Town) -> None:
    cycle = rate_cycle(town.office, OCTOBER, "monthly", "ann")
    assert (cycle.totals.accounts, cycle.totals.billed, cycle.totals.excepted) == (1, 0, 1)
    (asked,) = queue(town)
    assert (asked.rule, asked.severity, asked.holds_bill, asked.meter_name) == ("V11", "warning", True, "E-1")
    assert (asked.start_s, asked.end_s) == (seconds(BEGIN), seconds(END))
    # 31 days of 26,400 Wh after days of 12,000; they are days of UTC, two hours off those of the bill.
    assert asked.detail == "26,400 a day against 12,000 a day in the 3 weeks before: 220 %"
    held = town.exceptions()["Ada"]
    assert (held.code, held.held_by) == ("held", (asked.id,))
    assert held.detail == f"exception {asked.id}: V11 high or low use: {asked.detail}"

    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    assert [each.id for each in queue(town)] == [asked.id], "looking again asks nothing again"

    accept(town, asked.id)
    cycle = rate_cycle(town.office, OCTOBER, "monthly", "ann")
    assert (cycle.totals.billed, cycle.totals.excepted) == (1, 0)
    assert [each.id for each in queue(town, "closed")] == [asked.id]
    assert queue(town) == []
    approve(town.office, OCTOBER, "monthly", "ann")
    issue(town.office, OCTOBER, "monthly", "ann")
    assert check_bills(town.site, OCTOBER) == 0


def test_what_waits_for_a_second_person_is_held_too(town: Town) -> None:
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    with town.database.write() as tx:
        tx.exec_driver_sql("UPDATE exception SET state = 'waiting'")
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    assert "V11 high or low use (waits for a second person): 26,400" in town.exceptions()["Ada"].detail


def test_a_decided_bill_of_other_numbers_is_asked_about_again(town: Town) -> None:
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    accept(town, queue(town)[0].id)
    town.reads("E-1", hours(1_150), first=date(2026, 10, 2), last=date(2026, 10, 31))
    stage(town, date(2026, 10, 2), date(2026, 10, 31))
    assert check_bills(town.site, OCTOBER) == 1
    assert [each.detail[:6] for each in queue(town)] == ["27,561"]


def test_a_bill_that_is_as_usual_after_a_correction_is_held_no_more(town: Town) -> None:
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    town.reads("E-1", 600, first=date(2026, 10, 1))
    cycle = rate_cycle(town.office, OCTOBER, "monthly", "ann")
    assert cycle.totals.billed == 1
    (gone,) = queue(town, "closed")
    assert (gone.outcome, gone.changed_by) == ("cleared", "rules " + town.site.rules.version)


def test_a_hold_that_comes_after_rating_stops_approval_by_name(town: Town) -> None:
    town.reads("E-1", 500, first=date(2026, 10, 1))
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    town.reads("E-1", 1_100, first=date(2026, 10, 1))
    check_bills(town.site, OCTOBER)
    # As if the reads had been the same all the time: it is the decision that is missing.
    town.reads("E-1", 500, first=date(2026, 10, 1))
    with pytest.raises(BillingConflict, match=r"decisions or agreements have changed since .* Ada. Rate it again"):
        approve(town.office, OCTOBER, "monthly", "ann")


def test_daily_use_that_is_staged_is_asked_before_the_reads(town: Town) -> None:
    """Staged: an October as usual, whatever the blocks say."""
    key = town.key("E-1", IMPORT)
    days = range(day_number(date(2026, 9, 1)), day_number(date(2026, 11, 1)))
    with town.database.write() as tx:
        blocks = town.store.load(tx, [(day, *key) for day in days], 3600)
        blocks.values[:] = 500
        dailyuse.put(tx, blocks, days.stop)
    assert check_bills(town.site, OCTOBER) == 0


def test_the_days_of_a_month_that_runs_are_not_looked_at(town: Town) -> None:
    town.now = datetime(2026, 10, 31, 22, 59, tzinfo=UTC)
    assert check_bills(town.site, OCTOBER) == 0
    town.now = END
    assert check_bills(town.site, OCTOBER) == 1


def test_who_moved_in_is_not_compared_with_who_moved_out(tmp_path: Path) -> None:
    town = Town(tmp_path)
    town.account("Old", {"tariff": "flat", "valid_to": "2026-10-11"})
    town.account("New", {"tariff": "flat", "valid_from": "2026-10-11"}, at="Old")
    town.meter("E-1", "Old", IMPORT)
    town.reads("E-1", 500, first=date(2026, 8, 1))
    town.reads("E-1", 1_500, first=date(2026, 10, 11))
    assert check_bills(town.site, OCTOBER) == 0
    town.reads("E-1", 1_200, first=date(2026, 10, 1), last=date(2026, 10, 10))
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    (asked,) = queue(town)
    assert asked.end_s == seconds(datetime(2026, 10, 10, 22, tzinfo=UTC))
    assert asked.detail.startswith("28,800 a day against 12,000")
    assert list(town.exceptions()) == ["Old"]
    assert list(town.statements()) == ["New"]


def test_nothing_is_asked_about_a_bill_that_is_done_though_another_of_its_meter_is_not(tmp_path: Path) -> None:
    town = Town(tmp_path)
    town.account("Old", {"tariff": "flat", "valid_to": "2026-10-11"})
    town.account("New", {"tariff": "flat", "valid_from": "2026-10-11"}, at="Old")
    town.meter("E-1", "Old", IMPORT)
    town.reads("E-1", 500, first=date(2026, 8, 1), last=date(2026, 10, 30))
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    assert (list(town.statements()), list(town.exceptions())) == (["Old"], ["New"])
    approve(town.office, OCTOBER, "monthly", "ann")
    town.reads("E-1", 1_200, first=date(2026, 10, 1), last=date(2026, 10, 10))
    assert check_bills(town.site, OCTOBER) == 0


def test_another_tariff_is_no_other_customer(tmp_path: Path) -> None:
    town = Town(tmp_path)
    town.account(
        "Ada",
        {"tariff": "flat", "valid_to": "2026-10-01"},
        {"tariff": "changing", "valid_from": "2026-10-01"},
    )
    town.meter("E-1", "Ada", IMPORT)
    town.reads("E-1", 500, first=date(2026, 8, 1))
    town.reads("E-1", 1_100, first=date(2026, 10, 1))
    assert check_bills(town.site, OCTOBER) == 1


def test_use_goes_on_over_an_exchange_of_the_meter(tmp_path: Path) -> None:
    """Old and new are compared as one: neither the weeks before nor the bill are one meter's alone."""
    town = Town(tmp_path)
    town.account("Ada", {"tariff": "flat"})
    at = datetime(2026, 10, 14, 10, tzinfo=UTC)
    town.meter("OLD", "Ada", IMPORT, removed=at)
    town.meter("NEW", "Ada", IMPORT, installed=at)
    town.reads("OLD", 500, first=date(2026, 8, 1), last=date(2026, 10, 14))
    town.reads("NEW", 500, first=date(2026, 10, 14))
    for hour in range(24):
        meter = "NEW" if hour < 10 else "OLD"
        town.set(meter, datetime(2026, 10, 14, hour, tzinfo=UTC), values=0, quality=Quality.MISSING)
    assert check_bills(town.site, OCTOBER) == 0
    town.reads("NEW", 2_000, first=date(2026, 10, 15))
    assert check_bills(town.site, OCTOBER) == 1
    (asked,) = queue(town)
    assert (asked.meter_name, asked.start_s, asked.end_s) == ("NEW", seconds(at), seconds(END))
    # 13 days of 12,000, the day of the exchange, 17 of 48,000 Wh: 984,000 in 31 days.
    assert asked.detail == "31,742 a day against 12,000 a day in the 3 weeks before: 265 %"


def estimated(town: Town, first: date, last: date) -> None:
    town.reads("E-1", 500, first=first, last=last, quality=Quality.ESTIMATED_LIKE_DAY)


@pytest.fixture
def silent(tmp_path: Path) -> Town:
    """Ada's meter was read for the last time in August."""
    town = Town(tmp_path)
    town.account("Ada", {"tariff": "flat"})
    town.meter("E-1", "Ada", IMPORT)
    town.reads("E-1", 500, first=date(2026, 7, 1), last=date(2026, 8, 31))
    estimated(town, date(2026, 9, 1), date(2026, 11, 1))
    return town


def test_the_second_bill_on_estimates_alone_is_held(silent: Town) -> None:
    silent.reads("E-1", 500, first=date(2026, 9, 1), last=date(2026, 9, 1))
    assert check_bills(silent.site, OCTOBER) == 0, "September had a day that was read"
    estimated(silent, date(2026, 9, 1), date(2026, 9, 1))
    rate_cycle(silent.office, OCTOBER, "monthly", "ann")
    (asked,) = queue(silent)
    assert (asked.rule, asked.holds_bill) == ("V13b", True)
    assert asked.detail == "2 bills in a row on estimates alone: nothing was read from 2026-09-01 to 2026-10-31"
    assert silent.exceptions()["Ada"].held_by == (asked.id,)
    accept(silent, asked.id)
    assert rate_cycle(silent.office, OCTOBER, "monthly", "ann").totals.billed == 1


def test_a_decided_bill_is_not_held_by_the_meter_that_is_silent_still(silent: Town) -> None:
    """The meter's own exception grows day by day; that is about going there, not about the bill."""
    rate_cycle(silent.office, OCTOBER, "monthly", "ann")
    accept(silent, queue(silent)[0].id)
    key = silent.key("E-1", IMPORT)
    stretch = seconds(datetime(2026, 9, 1, tzinfo=UTC)), seconds(datetime(2026, 11, 3, tzinfo=UTC))
    days = Finding(*key, *stretch, "V13", "warning", "nothing was read for 63 days", review=True)
    with silent.database.write() as tx:
        open_found(tx, [days], silent.site.rules, {}, silent.now)
    assert rate_cycle(silent.office, OCTOBER, "monthly", "ann").totals.billed == 1
    assert [(each.rule, each.holds_bill) for each in queue(silent)] == [("V13", False)]


def test_one_read_lets_go_of_a_bill_on_estimates(silent: Town) -> None:
    rate_cycle(silent.office, OCTOBER, "monthly", "ann")
    silent.set("E-1", datetime(2026, 10, 20, 9, tzinfo=UTC), quality=Quality.VALIDATED)
    assert rate_cycle(silent.office, OCTOBER, "monthly", "ann").totals.billed == 1
    assert [each.outcome for each in queue(silent, "closed")] == ["cleared"]


def test_the_first_bill_of_an_account_is_not_its_second(silent: Town) -> None:
    silent.account("Bea", {"tariff": "flat", "valid_from": "2026-10-01"})
    silent.meter("E-2", "Bea", IMPORT)
    silent.reads("E-2", 500, first=date(2026, 8, 1), quality=Quality.ESTIMATED_LIKE_DAY)
    check_bills(silent.site, OCTOBER)
    assert [each.meter_name for each in queue(silent)] == ["E-1"]


def test_findings_are_told_beside_the_exception(town: Town) -> None:
    check_bills(town.site, OCTOBER)
    with town.database.read() as tx:
        (row,) = tx.execute(select(finding)).all()
    assert (row.rule, row.severity, row.start_s, row.end_s) == ("V11", "warning", seconds(BEGIN), seconds(END))
    assert row.rule_set == town.site.rules.version


def test_a_class_has_limits_of_its_own(town: Town) -> None:
    rules = town.site.rules
    lenient = rules.rules.high_low.model_copy(update={"high_percent": 250.0})
    own: Rules = rules.rules.model_copy(update={"high_low": lenient})
    site = replace(town.site, rules=rules.model_copy(update={"classes": {"residential": own}}))
    assert check_bills(site, OCTOBER) == 0
    assert check_bills(town.site, OCTOBER) == 1
