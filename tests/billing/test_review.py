"""What is found about drafts: each code with figures worked by hand, and what clerks decide about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event

from headend.billing.approval import approve, close, issue, review_cycle
from headend.billing.collecting import collect_cycle
from headend.billing.cycle import CycleScope, tie_out
from headend.billing.deciding import Which, confirm, exclude, hold, include, release, reopen
from headend.billing.due import due_cycles
from headend.billing.ports import Gate
from headend.billing.review import FindingCode, Limits, Queued, ReviewRules
from headend.billing.run import rate_cycle
from headend.errors import BillingConflict, InvalidInput, NotFound
from headend.reads import Quality
from headend.reads.days import zone_named
from headend.store.ledger import SqlLedger
from headend.store.reviews import SqlReviews
from tests.billing.made import USUAL_LIMITS
from tests.billing.town import BERLIN, EXPORT, IMPORT, Town

OCTOBER = "2026-10"


def asking(town: Town, second_above: dict[str, Decimal] | None = None, **limits: Any) -> None:
    """From now on the town's office looks for this alone."""
    town.office = replace(town.office, review=ReviewRules(Limits(**limits), second_above or {}))


def rate(town: Town, period: str = OCTOBER) -> dict[str, Queued]:
    rate_cycle(town.office, period, "monthly", "ann")
    return queue(town, period)


def queue(town: Town, period: str = OCTOBER) -> dict[str, Queued]:
    with town.database.read() as tx:
        cycle = SqlLedger(tx).cycle("monthly", period)
        assert cycle is not None
        return {f"{one.account} {one.code}": one for one in SqlReviews(tx).findings(cycle)}


def history(town: Town) -> list[tuple[str, str]]:
    with town.database.read() as tx:
        cycle = SqlLedger(tx).cycle("monthly", OCTOBER)
        assert cycle is not None
        return [(taken.step, taken.by) for taken in SqlReviews(tx).steps(cycle)]


def neighbour(town: Town, name: str, value: int = 500, tariff: str = "flat") -> None:
    town.account(name, {"tariff": tariff})
    town.meter(f"E-{name}", name, IMPORT)
    town.reads(f"E-{name}", value)


# -- rules --


def test_healthy_bill_is_not_looked_at(flat: Town) -> None:
    flat.office = replace(flat.office, review=ReviewRules(USUAL_LIMITS))
    assert rate(flat) == {}


def test_share_of_estimates_above_the_limit(flat: Town) -> None:
    asking(flat, estimated_share=Decimal("0.1"))
    flat.reads("E-1", quality=Quality.ESTIMATED_LIKE_DAY, first=date(2026, 10, 5), last=date(2026, 10, 7))
    assert rate(flat) == {}  # 72 of 745 are 9.7 %
    flat.reads("E-1", quality=Quality.ESTIMATED_LIKE_DAY, first=date(2026, 10, 8), last=date(2026, 10, 8))
    assert rate(flat)["Ada estimated_share"].detail == "96 of 745 intervals are estimates: 13 %"


def test_nobody_uses_nothing(flat: Town) -> None:
    asking(flat, zero_use=("electricity",))
    neighbour(flat, "Bea", 0)
    found = rate(flat)
    assert {name: one.detail for name, one in found.items()} == {
        "Bea zero_use": "no electricity used at UP-Bea on 31 days"
    }


def test_use_is_held_against_the_same_days_last_year(flat: Town) -> None:
    asking(flat, high_use=Decimal(2), low_use=Decimal("0.5"), floor={"electricity": Decimal(3)})
    for name, then in (("Bea", 240), ("Cem", 1_010), ("Dot", 600)):
        neighbour(flat, name)
        flat.reads(f"E-{name}", then, first=date(2025, 9, 30), last=date(2025, 11, 1))
    found = rate(flat)
    # 500 Wh an hour against 240: 208 %; against 1,010: 50 %; against 600, as usual.
    assert set(found) == {"Bea high_use", "Cem low_use"}
    assert found["Bea high_use"].detail == "12.0 kWh a day against 5.8 on the same days last year: 208 %"
    flat.reads("E-Cem", 130, first=date(2026, 9, 30), last=date(2026, 11, 1))
    flat.reads("E-Cem", 30, first=date(2025, 9, 30), last=date(2025, 11, 1))
    flat.reads("E-Bea", 120, first=date(2026, 9, 30), last=date(2026, 11, 1))
    flat.reads("E-Bea", 30, first=date(2025, 9, 30), last=date(2025, 11, 1))
    # 3.1 kWh a day are above the floor, 2.9 are not.
    assert set(rate(flat)) == {"Cem high_use"}


def test_use_is_held_against_what_alike_bills_used_the_month_before(town: Town) -> None:
    asking(town, unlike_peers=Decimal(5), peers=3)
    for name, value in (("Ada", 100), ("Bea", 200), ("Cem", 300), ("Dot", 400)):
        neighbour(town, name, value)
        town.reads(f"E-{name}", value, first=date(2026, 8, 31), last=date(2026, 9, 29))
    town.bill("2026-09")
    town.now += timedelta(minutes=1)
    # The lower median of 2.4, 4.8, 7.2 and 9.6 kWh a day is 4.8.
    for name, value in (("Eve", 1_100), ("Flo", 30), ("Gus", 900)):
        town.account(name, {"tariff": "flat", "valid_from": "2026-10-01"})
        town.meter(f"E-{name}", name, IMPORT)
        town.reads(f"E-{name}", value)
    found = rate(town)
    assert set(found) == {"Eve unlike_peers", "Flo unlike_peers"}
    assert found["Eve unlike_peers"].detail == (
        "26.4 kWh a day; the median of 4 bills by flat for residential was 4.8 in 2026-09"
    )


def test_register_that_went_further_than_its_intervals(flat: Town) -> None:
    asking(flat, register_difference=Decimal(1))
    flat.set("E-1", datetime(2026, 9, 30, 21, tzinfo=UTC), register=100_000)
    flat.set("E-1", datetime(2026, 10, 31, 22, tzinfo=UTC), register=472_500)
    assert rate(flat) == {}
    flat.set("E-1", datetime(2026, 10, 31, 22, tzinfo=UTC), register=475_000)
    assert rate(flat)["Ada register_difference"].detail == (
        "E-1 1-0:1.8.0: the register went from 100.000 to 475.000, the intervals sum to 372.500: -2.500"
    )


def test_register_that_begins_anew_is_no_difference(flat: Town) -> None:
    asking(flat, register_difference=Decimal(1))
    flat.set("E-1", datetime(2026, 9, 30, 21, tzinfo=UTC), register=900_000)
    flat.set("E-1", datetime(2026, 10, 31, 22, tzinfo=UTC), register=272_500)
    assert rate(flat) == {}


def test_exchanged_meter_short_bill_credit_amount_and_age(town: Town) -> None:
    neighbour(town, "Ada")
    town.meter("E-new", "Ada", IMPORT, installed=datetime(2026, 10, 12, 10, tzinfo=UTC))
    with town.database.write() as tx:
        removed = int(datetime(2026, 10, 12, 10, tzinfo=UTC).timestamp())
        tx.exec_driver_sql("UPDATE installation SET removed_s = ? WHERE meter_id = 1", (removed,))
    town.reads("E-new")
    asking(town, meter_change=True)
    assert rate(town)["Ada meter_change"].detail == "1-0:1.8.0 at UP-Ada was measured by E-Ada, then E-new"
    asking(town, days=(32, 35))
    assert rate(town)["Ada days"].detail == "31 days from 2026-10-01 to 2026-10-31, 32 to 35 are usual"
    asking(town, over_limit={"residential": {"EUR": Decimal("154.84")}})
    assert rate(town)["Ada over_limit"].detail == "154.85 EUR, above 154.84 for residential"
    asking(town, over_limit={"residential": {"EUR": Decimal("154.85")}})
    assert rate(town) == {}
    asking(town, back_billed_months=3)
    town.now = datetime(2027, 1, 31, 12, tzinfo=UTC)
    assert rate(town) == {}
    town.now = datetime(2027, 2, 1, 12, tzinfo=UTC)
    assert rate(town)["Ada back_billed"].detail == "its last day, 2026-10-31, is more than 3 months ago"


def test_short_bill_of_who_moved_in_is_as_long_as_it_has_to_be(town: Town) -> None:
    asking(town, days=(25, 35))
    town.account("Bob", {"tariff": "flat", "valid_from": "2026-10-17"})
    town.meter("E-2", "Bob", IMPORT)
    town.reads("E-2")
    assert rate(town) == {}


def test_credit_for_what_was_fed_in_is_no_surprise(town: Town) -> None:
    asking(town, negative=True)
    town.account("Sol", {"tariff": "solar"})
    town.meter("E-1", "Sol", IMPORT, EXPORT)
    town.reads("E-1", 100)
    town.reads("E-1", 4_000, channel=EXPORT)
    assert rate(town) == {}


# -- decisions --


@pytest.fixture
def empty_homes(flat: Town) -> Town:
    """Ada's, and those of Bea and Cem, where nothing is used."""
    asking(flat, zero_use=("electricity",))
    neighbour(flat, "Bea", 0)
    neighbour(flat, "Cem", 0)
    rate(flat)
    return flat


def test_open_finding_stops_approval_and_names_itself(empty_homes: Town) -> None:
    told = "2 findings are not decided yet, first Bea: zero_use, no electricity used at UP-Bea on 31 days"
    for step in (approve, review_cycle):
        with pytest.raises(BillingConflict, match=told):
            step(empty_homes.office, OCTOBER, "monthly", "ann")
    assert [step for step, _ in history(empty_homes)] == ["collect", "rate"]


def test_released_bills_are_issued_and_held_ones_wait_for_another_cycle(empty_homes: Town) -> None:
    office = empty_homes.office
    release(office, OCTOBER, "monthly", "ann", Which("Bea"), "on holiday")
    hold(office, OCTOBER, "monthly", "bob", Which("Cem"), "meter to be looked at")
    cycle = approve(office, OCTOBER, "monthly", "ann")
    tie_out(cycle.totals)
    assert (cycle.totals.accounts, cycle.totals.billed, cycle.totals.excepted) == (3, 2, 1)
    # Ada's 154.85, and Bea's 11.90 and VAT.
    assert cycle.totals.money == {"EUR": Decimal("169.01")}
    issue(office, OCTOBER, "monthly", "ann")
    held = empty_homes.exceptions()["Cem"]
    assert (held.code, held.detail) == ("held_by_clerk", "zero_use held by bob: meter to be looked at")
    assert set(empty_homes.statements()) == {"Ada", "Bea"}
    assert history(empty_homes) == [
        ("collect", "ann"),
        ("rate", "ann"),
        ("release", "ann"),
        ("hold", "bob"),
        ("review", "ann"),
        ("approve", "ann"),
        ("issue", "ann"),
    ]
    with pytest.raises(BillingConflict, match=r"1 exceptions are neither billed .* first Cem: held_by_clerk"):
        close(office, OCTOBER, "monthly", "ann")
    asking(empty_homes)
    assert set(empty_homes.bill(cycle="late")) == {"Cem"}
    assert close(empty_homes.office, OCTOBER, "monthly", "ann").state == "closed"
    with pytest.raises(BillingConflict, match="is closed"):
        rate_cycle(empty_homes.office, OCTOBER, "monthly", "ann")
    with pytest.raises(BillingConflict, match="is closed: nothing is decided"):
        exclude(empty_homes.office, OCTOBER, "monthly", "Ada", "ann", "no")


def test_many_are_decided_by_as_many_statements_of_sql_as_few(flat: Town) -> None:
    asking(flat, zero_use=("electricity",))
    asked: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        asked.append(statement)

    def release_all() -> int:
        asked.clear()
        event.listen(flat.database.engine, "before_cursor_execute", count)
        release(flat.office, OCTOBER, "monthly", "ann", Which(code=FindingCode.ZERO_USE), "on holiday")
        event.remove(flat.database.engine, "before_cursor_execute", count)
        return len(asked)

    neighbour(flat, "H00", 0)
    rate(flat)
    few = release_all()
    for number in range(1, 31):
        neighbour(flat, f"H{number:02}", 0)
    rate(flat)
    assert release_all() == few
    with flat.database.read() as tx:
        cycle = SqlLedger(tx).cycle("monthly", OCTOBER)
        assert cycle is not None
        noted = [(taken.step, taken.note, taken.by) for taken in SqlReviews(tx).steps(cycle)]
    assert noted[-30:] == [("release", f"H{number:02} zero_use: on holiday", "ann") for number in range(1, 31)]


def test_decision_stays_while_the_figures_do(empty_homes: Town) -> None:
    release(empty_homes.office, OCTOBER, "monthly", "ann", Which(code=FindingCode.ZERO_USE), "on holiday")
    found = rate(empty_homes)
    assert {one.state for one in found.values()} == {"released"}
    asking(empty_homes, zero_use=("electricity",), over_limit={"residential": {"EUR": Decimal(14)}})
    empty_homes.reads("E-Cem", 1)
    found = rate(empty_homes)
    assert {name: str(one.state) for name, one in found.items()} == {
        "Ada over_limit": "open",
        "Bea over_limit": "open",
        "Bea zero_use": "released",
        "Cem over_limit": "open",
    }


def test_two_clerks_at_once_the_second_is_told_who_was_first(empty_homes: Town) -> None:
    office = empty_homes.office
    release(office, OCTOBER, "monthly", "ann", Which("Bea"), "on holiday")
    for decide in (release, hold):
        with pytest.raises(BillingConflict, match=r"Bea: zero_use.* ann released it at 2026-11-03 09:00 UTC: on holid"):
            decide(office, OCTOBER, "monthly", "bob", Which("Bea"), "looks wrong")
    reopen(office, OCTOBER, "monthly", "bob", Which("Bea"), "nobody is away")
    assert queue(empty_homes)["Bea zero_use"].state == "open"
    hold(office, OCTOBER, "monthly", "bob", Which("Bea"), "looks wrong")
    assert queue(empty_homes)["Bea zero_use"].state == "held"


def test_large_amount_takes_a_second_person(flat: Town) -> None:
    asking(flat, {"EUR": Decimal("154.85")}, over_limit={"residential": {"EUR": Decimal(100)}})
    rate(flat)
    (waiting,) = release(flat.office, OCTOBER, "monthly", "ann", Which("Ada"), "a bakery")
    assert waiting.state == "waiting"
    with pytest.raises(BillingConflict, match="not decided yet"):
        approve(flat.office, OCTOBER, "monthly", "ann")
    for same in ("ann", " ANN "):
        with pytest.raises(BillingConflict, match="ann released it, somebody else has to confirm it"):
            confirm(flat.office, OCTOBER, "monthly", same, Which("Ada"))
    confirm(flat.office, OCTOBER, "monthly", "bob", Which("Ada"))
    one = queue(flat)["Ada over_limit"]
    assert (one.state, one.decided_by, one.confirmed_by) == ("released", "ann", "bob")
    assert approve(flat.office, OCTOBER, "monthly", "ann").state == "approved"


def test_bad_decisions_are_refused(empty_homes: Town) -> None:
    office = empty_homes.office
    with pytest.raises(InvalidInput, match="reason"):
        release(office, OCTOBER, "monthly", "ann", Which("Bea"), " ")
    with pytest.raises(InvalidInput, match="clerk"):
        hold(office, OCTOBER, "monthly", " ", Which("Bea"), "x")
    with pytest.raises(InvalidInput, match="neither account nor code"):
        hold(office, OCTOBER, "monthly", "ann", Which(), "x")
    with pytest.raises(NotFound, match="no finding of Ada"):
        release(office, OCTOBER, "monthly", "ann", Which("Ada"), "x")
    with pytest.raises(NotFound, match="no cycle 'late'"):
        release(office, OCTOBER, "late", "ann", Which("Bea"), "x")
    with pytest.raises(BillingConflict, match="nobody has decided it yet"):
        confirm(office, OCTOBER, "monthly", "bob", Which("Bea"))


# -- who is left out --


def test_excluded_accounts_are_counted_and_stay_out_of_later_cycles(empty_homes: Town) -> None:
    office = empty_homes.office
    exclude(office, OCTOBER, "monthly", "Bea", "ann", "in court")
    with pytest.raises(BillingConflict, match="Bea: ann has left it out of 2026-10/monthly already: in court"):
        exclude(office, OCTOBER, "monthly", "Bea", "bob", "too")
    with pytest.raises(NotFound, match="bills no account 'Zoe'"):
        exclude(office, OCTOBER, "monthly", "Zoe", "bob", "too")
    hold(office, OCTOBER, "monthly", "ann", Which("Cem"), "later")
    totals = approve(office, OCTOBER, "monthly", "ann").totals
    assert (totals.accounts, totals.billed, totals.excepted, totals.excluded) == (3, 1, 1, 1)
    assert totals.energy == {"electricity": 372_500}
    with pytest.raises(BillingConflict, match="is approved: nothing is decided"):
        include(office, OCTOBER, "monthly", "Bea", "ann")
    issue(office, OCTOBER, "monthly", "ann")
    asking(empty_homes)
    assert set(empty_homes.bill(cycle="late")) == {"Cem"}
    include(empty_homes.office, OCTOBER, "monthly", "Bea", "bob")
    assert empty_homes.exceptions()["Bea"].detail == "ann left it out: in court; bob took it in again"
    with pytest.raises(BillingConflict, match="first Bea"):
        close(empty_homes.office, OCTOBER, "monthly", "ann")
    assert set(empty_homes.bill(cycle="later")) == {"Bea"}
    assert close(empty_homes.office, OCTOBER, "monthly", "ann").state == "closed"


def test_account_taken_in_again_after_rating_is_not_forgotten(flat: Town) -> None:
    neighbour(flat, "Bea")
    rate(flat)
    exclude(flat.office, OCTOBER, "monthly", "Bea", "ann", "in court")
    assert rate_cycle(flat.office, OCTOBER, "monthly", "ann").totals.excluded == 1
    include(flat.office, OCTOBER, "monthly", "Bea", "ann")
    with pytest.raises(BillingConflict, match="Rate it again"):
        approve(flat.office, OCTOBER, "monthly", "ann")
    assert rate_cycle(flat.office, OCTOBER, "monthly", "ann").totals.billed == 2


# -- the gate --


@pytest.fixture
def gated(flat: Town) -> Town:
    """Ada is complete, Bea lacks a day; all reads are asked for, or two days of waiting."""
    neighbour(flat, "Bea")
    flat.reads("E-Bea", 0, quality=Quality.MISSING, first=date(2026, 10, 5), last=date(2026, 10, 5))
    flat.office = replace(flat.office, gate=Gate(Decimal(1), 2))
    flat.now = datetime(2026, 11, 2, 22, 59, tzinfo=UTC)  # October ended in Berlin at 23:00 UTC two days before
    return flat


def test_gate_waits_for_reads_and_says_whose(gated: Town) -> None:
    told = "1 of 2 accounts have all their reads, 100 % are asked for; first Bea: E-Bea has 30 of 31 days"
    for attempt in (collect_cycle, rate_cycle):
        with pytest.raises(BillingConflict, match=told):
            attempt(gated.office, OCTOBER, "monthly", "ann")
    with gated.database.read() as tx:
        assert SqlLedger(tx).cycles() == []


@pytest.mark.parametrize("how", ["reads", "deadline", "anyway", "share"])
def test_gate_opens(gated: Town, how: str) -> None:
    if how == "reads":
        gated.reads("E-Bea")
    elif how == "deadline":
        gated.now += timedelta(minutes=1)
    elif how == "share":
        gated.office = replace(gated.office, gate=Gate(Decimal("0.5"), 2))
    why = "the year is to be closed" if how == "anyway" else ""
    cycle = rate_cycle(gated.office, OCTOBER, "monthly", "ann", anyway=why)
    assert (cycle.totals.billed, cycle.totals.excepted) == ((2, 0) if how == "reads" else (1, 1))
    with gated.database.read() as tx:
        note = SqlReviews(tx).steps(cycle)[0].note
    assert {
        "reads": "2 of 2 accounts have all their reads",
        "deadline": "the last day to wait was over at 2026-11-02 23:00 UTC",
        "anyway": "1 of 2 accounts have all their reads; anyway: the year is to be closed",
        "share": "1 of 2 accounts have all their reads",
    }[how] == note


def test_collected_cycle_is_rated_without_counting_again(gated: Town) -> None:
    cycle, gathered = collect_cycle(gated.office, OCTOBER, "monthly", "ann", anyway="in a hurry")
    assert (cycle.state, gathered.complete, gathered.accounts) == ("collected", 1, 2)
    assert rate_cycle(gated.office, OCTOBER, "monthly", "ann").state == "rated"


# -- what is due --


def due(town: Town) -> list[tuple[str, str]]:
    return [(one.period, one.name) for one in due_cycles(town.office, zone_named(BERLIN), 2)]


def test_month_is_due_once_and_exceptions_are_tried_again_the_next_day(flat: Town) -> None:
    assert due(flat) == [(OCTOBER, "monthly")]
    flat.set("E-1", datetime(2026, 10, 5, 12, tzinfo=UTC), quality=Quality.MISSING)
    rate(flat)
    assert due(flat) == []
    flat.now += timedelta(days=1)
    assert due(flat) == [(OCTOBER, "monthly")]
    flat.set("E-1", datetime(2026, 10, 5, 12, tzinfo=UTC), quality=Quality.VALIDATED)
    rate(flat)
    flat.now += timedelta(days=1)
    assert due(flat) == []


def test_final_bill_is_due_once_its_days_are_over(flat: Town) -> None:
    flat.account("Old", {"tariff": "flat", "valid_to": "2026-11-04"})
    flat.meter("E-Old", "Old", IMPORT)
    flat.reads("E-Old", last=date(2026, 11, 5))
    rate(flat)
    flat.now = datetime(2026, 11, 5, 22, tzinfo=UTC)
    assert due(flat) == []
    flat.now = datetime(2026, 11, 5, 23, tzinfo=UTC)  # two days after its end, in Berlin
    (one,) = due_cycles(flat.office, zone_named(BERLIN), 2)
    assert (one.period, one.name, one.scope) == ("2026-11", "final", CycleScope("monthly", final=True))
    cycle = rate_cycle(flat.office, one.period, one.name, "scheduler", one.scope)
    assert (cycle.totals.accounts, cycle.totals.billed) == (1, 1)
    assert due(flat) == []
