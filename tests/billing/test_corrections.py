"""Corrections of issued statements: cancelled and billed again, by a difference, or taken back; figures by hand.

Ada uses 500 Wh in each of October's 745 hours: 372.5 kWh × 0.3174 = 118.23, + 11.90 = 130.13, VAT 24.72, 154.85 EUR.
With 10 kWh more: 382.5 × 0.3174 = 121.41, 133.31, VAT 25.33, 158.64. With half a kWh less: 118.07, 24.69, 154.66.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from headend.billing.approval import approve, close, issue, review_cycle
from headend.billing.backbilling import BackBilling
from headend.billing.collecting import collect_cycle
from headend.billing.correcting import Proposal, make_corrections, propose, withdraw
from headend.billing.corrections import Way
from headend.billing.deciding import exclude
from headend.billing.run import rate_cycle
from headend.billing.statement import Statement, parse_statement
from headend.billing.verify import verify_period, verify_statement
from headend.errors import BillingConflict, InvalidInput, NotFound
from headend.process.asbilled import SitePast
from headend.reads.days import DAY_S, seconds
from headend.store.explaining import explained
from headend.store.ledger import SqlLedger
from headend.store.rebills import flag_rebills, rebills, rebills_of
from headend.tariffs import load_book
from tests.billing.town import IMPORT, TARIFFS, Town

OCTOBER, NOVEMBER = "2026-10", "2026-11"
NOON = datetime(2026, 10, 5, 12, tzinfo=UTC)
LATE = datetime(2026, 10, 25, 12, tzinfo=UTC)
FIRST = "Ada-2026-10-1"
WHY = "Reading corrected"
D = Decimal


def edit(town: Town, wh: int, at: datetime = NOON, meter: str = "E-1") -> None:
    """A clerk changes a read, and statements that billed it are flagged."""
    key = town.key(meter, IMPORT)
    with town.database.write() as tx:
        stood = town.store.load(tx, [(seconds(at) // DAY_S, *key)], 3600)
        now = town.store.load(tx, [(seconds(at) // DAY_S, *key)], 3600)
        now.values[0, seconds(at) % DAY_S // 3600] = wh
        flag_rebills(tx, stood, now, "ann", town.now)
        town.store.save(tx, now, now.present, settled=True)


def correct(town: Town, *ids: str, way: Way = Way.REBILL, reason: str = WHY) -> list[Statement]:
    """Make corrections, approve and issue them; their documents in the order of issue."""
    made = make_corrections(town.office, ids or (FIRST,), way, reason, "ann")
    documents = []
    for one in made:
        approve(town.office, one.period, one.cycle, "ann")
        issue(town.office, one.period, one.cycle, "bob")
        documents += issued(town, one)
    return documents


def issued(town: Town, made: Proposal) -> list[Statement]:
    with town.database.read() as tx:
        ledger = SqlLedger(tx)
        cycle = ledger.cycle(made.cycle, made.period)
        assert cycle is not None
        return [parse_statement(kept.document) for kept in ledger.statements(cycle)]


def lines(statement: Statement) -> list[tuple[str, Decimal, Decimal]]:
    return [(line.label, line.quantity, line.amount) for each in statement.segments for line in each.lines]


@pytest.fixture
def billed(flat: Town) -> Town:
    """Ada's October is issued, and it is a week later."""
    flat.bill()
    flat.now = datetime(2026, 11, 10, 9, tzinfo=UTC)
    return flat


@pytest.mark.parametrize(("wh", "total", "energy"), [(10_500, "158.64", "121.41"), (0, "154.66", "118.07")])
def test_a_read_that_changed_is_billed_again_in_both_directions(billed: Town, wh: int, total: str, energy: str) -> None:
    edit(billed, wh)
    taken, again = correct(billed)
    assert (taken.id, taken.kind, taken.revision) == ("Ada-2026-10-2", "cancellation", 2)
    assert lines(taken) == [
        ("Energy", D("-372.500"), D("-118.23")),
        ("Standing charge", D(-1), D("-11.90")),
        ("VAT 19 %", D("-130.13"), D("-24.72")),
    ]
    assert (taken.totals.net, taken.totals.tax, taken.totals.gross) == (D("-130.13"), D("-24.72"), D("-154.85"))
    assert (again.id, again.kind, again.revision) == ("Ada-2026-10-3", "rebill", 3)
    assert again.totals.gross == D(total)
    assert lines(again)[0][2] == D(energy)
    for each in (taken, again):
        assert each.corrects is not None
        assert (each.corrects.id, each.corrects.reason) == (FIRST, WHY)
        assert each.corrects.issued_on == date(2026, 11, 3)
    assert (taken.due_on, again.due_on) == (None, date(2026, 11, 24))


def test_corrections_go_on_in_the_chain_and_name_the_hash_of_what_they_correct(billed: Town) -> None:
    edit(billed, 10_500)
    taken, again = correct(billed)
    with billed.database.read() as tx:
        newest, before, first = SqlLedger(tx).statements_of("Ada")
    assert [newest.id, before.id, first.id] == [again.id, taken.id, FIRST]
    assert taken.previous_sha256 == first.sha256
    assert again.previous_sha256 == before.sha256
    assert taken.corrects is not None
    assert taken.corrects.sha256 == first.sha256


def test_control_totals_of_a_correction_are_what_it_changes(billed: Town) -> None:
    edit(billed, 10_500)
    (made,) = make_corrections(billed.office, [FIRST], Way.REBILL, WHY, "ann")
    assert (made.totals.accounts, made.totals.billed, made.totals.excepted) == (1, 1, 0)
    assert made.totals.energy == {"electricity": 10_000}
    assert made.totals.money == {"EUR": D("3.79")}


def test_a_difference_has_what_is_more_and_leaves_out_what_is_not(billed: Town) -> None:
    edit(billed, 10_500)
    (more,) = correct(billed, way=Way.DIFFERENCE)
    assert (more.id, more.kind) == ("Ada-2026-10-2", "difference")
    assert lines(more) == [("Energy", D("10.000"), D("3.18")), ("VAT 19 %", D("3.18"), D("0.61"))]
    assert (more.totals.net, more.totals.tax, more.totals.gross) == (D("3.18"), D("0.61"), D("3.79"))
    assert more.segments[0].usage == D("382.500")


def test_a_difference_that_is_a_credit_is_not_due(billed: Town) -> None:
    edit(billed, 0)
    (less,) = correct(billed, way=Way.DIFFERENCE)
    assert (less.totals.gross, less.due_on) == (D("-0.19"), None)


def test_the_original_is_rated_by_its_own_version_though_a_newer_one_begins_in_its_days(tmp_path: Path) -> None:
    town = Town(tmp_path)
    town.home()
    town.bill()
    dearer = TARIFFS["flat"].replace("0.3174", "0.9999").replace("2025-01-01", "2026-10-11")
    (tmp_path / "tariffs" / "flat-dearer.toml").write_text(dearer, encoding="utf-8")
    town.office = replace(town.office, tariffs=load_book(tmp_path / "tariffs"))
    edit(town, 10_500)
    _, again = correct(town)
    assert again.totals.gross == D("158.64")
    assert len(again.segments) == 1


def test_a_correction_is_corrected_and_the_period_costs_what_the_last_one_says(billed: Town) -> None:
    edit(billed, 10_500)
    correct(billed)
    edit(billed, 0)
    taken, again = correct(billed, "Ada-2026-10-3")
    assert taken.corrects is not None
    assert (taken.id, taken.corrects.id, taken.totals.gross) == ("Ada-2026-10-4", "Ada-2026-10-3", D("-158.64"))
    assert (again.id, again.totals.gross) == ("Ada-2026-10-5", D("154.66"))


def test_a_bill_and_its_differences_are_cancelled_each_by_its_own(billed: Town) -> None:
    edit(billed, 10_500)
    correct(billed, way=Way.DIFFERENCE)
    edit(billed, 0)
    second, first, again = correct(billed)
    assert second.corrects is not None
    assert first.corrects is not None
    assert [second.corrects.id, first.corrects.id] == ["Ada-2026-10-2", FIRST]
    assert [each.totals.gross for each in (second, first, again)] == [D("-3.79"), D("-154.85"), D("154.66")]


def test_a_second_difference_counts_the_first(billed: Town) -> None:
    edit(billed, 10_500)
    correct(billed, way=Way.DIFFERENCE)
    edit(billed, 0)
    (less,) = correct(billed, "Ada-2026-10-2", way=Way.DIFFERENCE)
    assert less.totals.gross == D("154.66") - D("158.64")
    assert less.corrects is not None
    assert less.corrects.id == FIRST


def test_what_is_cancelled_alone_is_billed_by_a_late_cycle(billed: Town) -> None:
    (taken,) = correct(billed, way=Way.CANCEL)
    assert taken.totals.gross == D("-154.85")
    cycle = rate_cycle(billed.office, OCTOBER, "late", "ann")
    assert (cycle.totals.billed, cycle.totals.billed_elsewhere) == (1, 0)
    (late,) = billed.statements(cycle="late").values()
    assert (late.id, late.kind, late.totals.gross) == ("Ada-2026-10-3", None, D("154.85"))
    approve(billed.office, OCTOBER, "late", "ann")
    issue(billed.office, OCTOBER, "late", "ann")
    third = rate_cycle(billed.office, OCTOBER, "third", "ann")
    assert (third.totals.billed, third.totals.billed_elsewhere) == (0, 1)


def test_what_was_billed_again_is_not_billed_by_a_late_cycle(billed: Town) -> None:
    edit(billed, 10_500)
    correct(billed)
    late = rate_cycle(billed.office, OCTOBER, "late", "ann")
    assert (late.totals.billed, late.totals.billed_elsewhere) == (0, 1)


def test_flags_are_settled_by_the_correction_and_the_next_change_flags_that(billed: Town) -> None:
    edit(billed, 10_500)
    with billed.database.read() as tx:
        assert [flag.statement for flag in rebills(tx)] == [FIRST]
    correct(billed)
    with billed.database.read() as tx:
        assert rebills(tx) == []
        assert [flag.settled_by for flag in rebills_of(tx, FIRST)] == ["Ada-2026-10-3"]
    edit(billed, 500)
    with billed.database.read() as tx:
        assert [(flag.statement, flag.change) for flag in rebills(tx)] == [("Ada-2026-10-3", -10_000)]


def test_a_dry_run_says_what_would_change_and_keeps_nothing(billed: Town) -> None:
    edit(billed, 10_500)
    (one,) = propose(billed.office, [FIRST], Way.REBILL, WHY)
    (its,) = one.corrections
    assert (its.said, its.now, its.difference, its.written_off) == (D("154.85"), D("158.64"), D("3.79"), 0)
    with billed.database.read() as tx:
        assert [cycle.name for cycle in SqlLedger(tx).cycles()] == ["monthly"]


def limited(town: Town, months: int, now: datetime, **by_class: int) -> None:
    town.office = replace(town.office, back_billing=BackBilling(months, by_class))
    town.now = now


@pytest.mark.parametrize("way", [Way.REBILL, Way.DIFFERENCE])
def test_nothing_more_is_charged_for_days_that_are_too_long_ago(billed: Town, way: Way) -> None:
    # A year after the month's last day, all of it is older than twelve months.
    limited(billed, 12, datetime(2027, 11, 1, 12, tzinfo=UTC))
    edit(billed, 10_500)
    last = correct(billed, way=way)[-1]
    written = [(line.kind, line.label, line.amount) for line in last.segments[0].lines][-2:]
    assert written == [("write_off", "Back-billing limit", D("-3.18")), ("tax", "VAT 19 %", D("-0.61"))]
    assert last.totals.gross == (D("154.85") if way == Way.REBILL else 0)
    assert last.totals.tax == (D("24.72") if way == Way.REBILL else 0)


def test_of_a_period_that_straddles_the_limit_the_old_days_are_written_off(billed: Town) -> None:
    # Days before 15 October are old: 3 of the 4 kWh more. 376.5 × 0.3174 = 119.50, + 11.90 = 131.40, VAT 24.97,
    # 156.37: 1.52 more. 1.52 × 3/4 = 1.14, of it VAT 0.25 × 3/4 = 0.19 (0.1875), net 0.95.
    limited(billed, 12, datetime(2027, 10, 15, 12, tzinfo=UTC))
    edit(billed, 3_500)
    edit(billed, 1_500, LATE)
    (one,) = propose(billed.office, [FIRST], Way.REBILL, WHY)
    assert one.corrections[0].written_off == D("1.14")
    _, again = correct(billed)
    assert [line.amount for line in again.segments[0].lines][-2:] == [D("-0.95"), D("-0.19")]
    assert again.totals.gross == D("155.23")


def test_what_is_within_the_limit_is_charged_and_a_decrease_is_always_given(billed: Town) -> None:
    limited(billed, 12, datetime(2027, 10, 1, 12, tzinfo=UTC))
    edit(billed, 10_500)
    assert propose(billed.office, [FIRST], Way.REBILL, WHY)[0].corrections[0].written_off == 0
    limited(billed, 12, datetime(2028, 10, 1, 12, tzinfo=UTC))
    edit(billed, 0)
    _, again = correct(billed)
    assert again.totals.gross == D("154.66")


def test_a_rebill_after_a_write_off_goes_by_what_was_billed_without(billed: Town) -> None:
    limited(billed, 12, datetime(2027, 11, 1, 12, tzinfo=UTC))
    edit(billed, 10_500)
    correct(billed)
    edit(billed, 20_500)
    _, again = correct(billed, "Ada-2026-10-3")
    assert again.totals.gross == D("154.85")


def test_the_limit_is_by_customer_class(billed: Town) -> None:
    limited(billed, 0, datetime(2027, 11, 1, 12, tzinfo=UTC), residential=12)
    edit(billed, 10_500)
    assert propose(billed.office, [FIRST], Way.REBILL, WHY)[0].corrections[0].written_off == D("3.79")
    limited(billed, 12, datetime(2027, 11, 1, 12, tzinfo=UTC), residential=0)
    assert propose(billed.office, [FIRST], Way.REBILL, WHY)[0].corrections[0].written_off == 0


def test_the_limit_is_a_day_of_the_month() -> None:
    assert BackBilling(1).limit("residential", date(2026, 3, 31)) == date(2026, 2, 28)
    assert BackBilling(12).limit("residential", date(2028, 2, 29)) == date(2027, 2, 28)
    assert BackBilling(2).limit("residential", date(2026, 1, 15)) == date(2025, 11, 15)
    assert BackBilling().limit("residential", date(2026, 1, 15)) is None


def many(town: Town) -> list[str]:
    names = [f"H{number}" for number in range(4)]
    for name in names:
        town.account(name, {"tariff": "flat"})
        town.meter(f"E-{name}", name, IMPORT)
        town.reads(f"E-{name}")
    return names


def test_many_are_corrected_together_and_who_cannot_be_billed_is_named(town: Town) -> None:
    names = many(town)
    town.bill()
    for name in names[:3]:
        edit(town, 10_500, meter=f"E-{name}")
    town.set("E-H1", NOON, quality=0)
    (made,) = make_corrections(town.office, [f"{name}-2026-10-1" for name in names], Way.REBILL, WHY, "ann")
    assert [each.account for each in made.corrections] == ["H0", "H2"]
    assert [(each.account, each.code) for each in made.exceptions] == [("H1", "incomplete_reads")]
    assert [bill.id for bill in made.same.values()] == ["H3-2026-10-1"]
    assert (made.totals.accounts, made.totals.billed, made.totals.excepted) == (3, 2, 1)
    assert made.totals.money == {"EUR": D("7.58")}
    approve(town.office, OCTOBER, made.cycle, "ann")
    issue(town.office, OCTOBER, made.cycle, "ann")
    with town.database.read() as tx:
        assert [kept.id for kept in SqlLedger(tx).statements_of("H1")] == ["H1-2026-10-1"]


def test_two_corrections_of_one_statement_are_not_open_at_once(billed: Town) -> None:
    edit(billed, 10_500)
    make_corrections(billed.office, [FIRST], Way.REBILL, WHY, "ann")
    with pytest.raises(BillingConflict, match=f"{FIRST} is in the open correction 2026-10/correction-1"):
        make_corrections(billed.office, [FIRST], Way.DIFFERENCE, WHY, "bob")
    withdraw(billed.office, OCTOBER, "correction-1", "ann")
    (made,) = make_corrections(billed.office, [FIRST], Way.DIFFERENCE, WHY, "bob")
    assert made.cycle == "correction-2"


def test_of_two_clerks_at_once_one_wins(billed: Town) -> None:
    edit(billed, 10_500)
    quicker: list[Callable[[], Any]] = [
        lambda: make_corrections(billed.office, [FIRST], Way.REBILL, WHY, "bob"),
    ]

    def records(tx: Any) -> Any:
        while quicker:
            quicker.pop()()
        return billed.office.records(tx)

    with pytest.raises(BillingConflict, match="was corrected or flagged while it was looked at"):
        make_corrections(replace(billed.office, records=records), [FIRST], Way.REBILL, WHY, "ann")
    with billed.database.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM statement").scalar_one() == 3


def test_reads_that_change_again_stop_the_approval(billed: Town) -> None:
    edit(billed, 10_500)
    make_corrections(billed.office, [FIRST], Way.REBILL, WHY, "ann")
    edit(billed, 9_500)
    with pytest.raises(BillingConflict, match="have changed since 2026-10/correction-1 was made"):
        approve(billed.office, OCTOBER, "correction-1", "ann")
    with pytest.raises(BillingConflict, match="withdraw it and make it anew"):
        rate_cycle(billed.office, OCTOBER, "correction-1", "ann")


def test_a_correction_that_is_issued_is_not_withdrawn(billed: Town) -> None:
    edit(billed, 10_500)
    correct(billed)
    with pytest.raises(BillingConflict, match="is issued: only what is not approved is withdrawn"):
        withdraw(billed.office, OCTOBER, "correction-1", "ann")
    with pytest.raises(BillingConflict, match="is no correction"):
        withdraw(billed.office, OCTOBER, "monthly", "ann")


def test_bad_input_is_refused_by_name(billed: Town) -> None:
    def refused(which: str, way: Way = Way.REBILL, reason: str = WHY) -> None:
        make_corrections(billed.office, [which], way, reason, "ann")

    with pytest.raises(NotFound, match="no statement is called 'Bea-2026-10-1'"):
        refused("Bea-2026-10-1")
    with pytest.raises(InvalidInput, match="reason: found nothing"):
        refused(FIRST, reason="  ")
    with pytest.raises(InvalidInput, match="reason: found 501 characters"):
        refused(FIRST, reason="a" * 501)
    with pytest.raises(BillingConflict, match=f"{FIRST} would come out the same"):
        refused(FIRST)
    edit(billed, 10_500)
    make_corrections(billed.office, [FIRST], Way.REBILL, WHY, "ann")
    with pytest.raises(BillingConflict, match="Ada-2026-10-3 is a draft"):
        refused("Ada-2026-10-3")
    approve(billed.office, OCTOBER, "correction-1", "ann")
    issue(billed.office, OCTOBER, "correction-1", "ann")
    with pytest.raises(BillingConflict, match="cancelled already, by Ada-2026-10-2; Ada-2026-10-3 is in its place"):
        refused(FIRST, Way.CANCEL)
    with pytest.raises(BillingConflict, match=f"Ada-2026-10-2 is a cancellation of {FIRST}"):
        refused("Ada-2026-10-2")


def test_the_next_month_takes_over_what_the_rebill_leaves_and_was_flagged_where_it_took_another(town: Town) -> None:
    town.account("Ada", {"tariff": "bank"})
    town.meter("E-1", "Ada", IMPORT, "1-0:2.8.0")
    town.reads("E-1", 100, last=date(2026, 12, 1))
    town.reads("E-1", 1_000, channel="1-0:2.8.0", last=date(2026, 12, 1))
    town.now = datetime(2026, 12, 3, 9, tzinfo=UTC)
    october = town.bill()["Ada"]
    town.bill(NOVEMBER)
    edit(town, 10_100)
    (one,) = propose(town.office, [FIRST], Way.REBILL, WHY)
    assert one.corrections[0].touches == ("Ada-2026-11-1",)
    _, again = correct(town)
    assert again.segments[-1].carried != october.segments[-1].carried
    with town.database.read() as tx:
        (flag,) = rebills(tx)
    assert (flag.statement, flag.cause) == ("Ada-2026-11-1", "the bank of 2026-10, by Ada-2026-10-3")
    _, next_one = correct(town, "Ada-2026-11-1")
    assert next_one.segments[0].brought == again.segments[-1].carried


def test_a_bill_that_was_issued_before_that_of_the_month_before_is_flagged_for_its_bank(town: Town) -> None:
    town.account("Ada", {"tariff": "bank"})
    town.account("Bob", {"tariff": "bank"})
    for meter, whose, fed_in in (("E-1", "Ada", 1_000), ("E-2", "Bob", 0)):
        town.meter(meter, whose, IMPORT, "1-0:2.8.0")
        town.reads(meter, 100, last=date(2026, 12, 1))
        town.reads(meter, fed_in, channel="1-0:2.8.0", last=date(2026, 12, 1))
    town.now = datetime(2026, 12, 3, 9, tzinfo=UTC)
    november = town.bill(NOVEMBER)["Ada"]
    assert november.segments[0].brought is None
    with town.database.read() as tx:
        assert not rebills(tx)
    october = town.bill()
    assert october["Ada"].segments[-1].carried is not None
    assert october["Bob"].segments[-1].carried is None
    with town.database.read() as tx:
        (flag,) = rebills(tx)
    assert (flag.statement, flag.cause) == ("Ada-2026-11-1", "the bank of 2026-10, by Ada-2026-10-1")
    _, again = correct(town, "Ada-2026-11-1")
    assert again.segments[0].brought == october["Ada"].segments[-1].carried


def test_issued_documents_keep_their_bytes(billed: Town) -> None:
    with billed.database.read() as tx:
        before = SqlLedger(tx).statement(FIRST).document
    edit(billed, 10_500)
    correct(billed)
    with billed.database.read() as tx:
        assert SqlLedger(tx).statement(FIRST).document == before


def verified(town: Town, which: str) -> dict[str, bool]:
    found = verify_statement(town.office, lambda tx: SitePast(tx, town.site), which)
    return {check.name: check.ok for check in found.checks}


def test_every_document_of_a_chain_of_corrections_verifies(billed: Town) -> None:
    edit(billed, 10_500)
    correct(billed)
    assert all(verified(billed, "Ada-2026-10-2").values())
    assert all(verified(billed, "Ada-2026-10-3").values())
    edit(billed, 0)
    correct(billed, "Ada-2026-10-3", way=Way.DIFFERENCE)
    assert all(verified(billed, "Ada-2026-10-4").values())
    assert not verified(billed, "Ada-2026-10-3")["today"]
    assert [each.id for each in verify_period(billed.office, lambda tx: SitePast(tx, billed.site), OCTOBER)] == [
        f"Ada-2026-10-{revision}" for revision in (1, 2, 3, 4)
    ]


def test_a_rebill_with_a_write_off_verifies(billed: Town) -> None:
    limited(billed, 12, datetime(2027, 11, 1, 12, tzinfo=UTC))
    edit(billed, 10_500)
    correct(billed)
    assert all(verified(billed, "Ada-2026-10-3").values())


def test_the_next_statement_is_explained_by_the_rebill_and_not_by_what_was_cancelled(flat: Town) -> None:
    flat.reads("E-1", first=date(2026, 10, 31), last=date(2026, 12, 1))
    flat.now = datetime(2026, 12, 3, 9, tzinfo=UTC)
    flat.bill()
    flat.bill(NOVEMBER)
    edit(flat, 10_500)
    correct(flat)
    with flat.database.read() as tx:
        explanation = explained(tx, SqlLedger(tx).statement("Ada-2026-11-1"))
    assert explanation.compared_with == "Ada-2026-10-3"
    assert explanation.before[2] == D("158.64")


def steps(town: Town, cycle: str) -> list[tuple[str, str, str]]:
    with town.database.read() as tx:
        found = SqlLedger(tx).cycle(cycle, OCTOBER)
        assert found is not None
        return [(taken.step, taken.by, taken.note) for taken in town.office.reviews(tx).steps(found)]


def test_each_step_of_a_correction_is_in_its_history_and_it_is_closed_like_others(billed: Town) -> None:
    edit(billed, 10_500)
    make_corrections(billed.office, [FIRST], Way.REBILL, WHY, "ann")
    withdraw(billed.office, OCTOBER, "correction-1", "bob")
    assert steps(billed, "correction-1") == [("correct", "ann", WHY), ("withdraw", "bob", "")]
    with pytest.raises(BillingConflict, match="is closed"):
        collect_cycle(billed.office, OCTOBER, "correction-1", "ann")

    make_corrections(billed.office, [FIRST], Way.REBILL, WHY, "ann")
    with pytest.raises(BillingConflict, match="withdraw it and make it without Ada"):
        exclude(billed.office, OCTOBER, "correction-2", "Ada", "ann", "Not now")
    review_cycle(billed.office, OCTOBER, "correction-2", "bob")
    approve(billed.office, OCTOBER, "correction-2", "cleo")
    issue(billed.office, OCTOBER, "correction-2", "dan")
    close(billed.office, OCTOBER, "correction-2", "eva")
    took = [("review", "bob", ""), ("approve", "cleo", ""), ("issue", "dan", ""), ("close", "eva", "")]
    assert steps(billed, "correction-2") == [("correct", "ann", WHY), *took]


def test_what_changed_and_changed_back_is_settled_by_name_and_reason_and_flagged_anew_by_the_next_change(
    billed: Town,
) -> None:
    edit(billed, 10_500)
    edit(billed, 500)
    with billed.database.read() as tx:
        assert [(flag.statement, flag.change) for flag in rebills(tx)] == [(FIRST, 0)]
    (seen,) = propose(billed.office, [FIRST], Way.REBILL, WHY)
    assert (seen.corrections, seen.same["Ada"].id, seen.flagged) == ((), FIRST, {"Ada"})
    (one,) = make_corrections(billed.office, [FIRST], Way.REBILL, "Changed back", "ann")
    assert one.corrections == ()
    with billed.database.read() as tx:
        assert rebills(tx) == []
        assert [(flag.settled_by, flag.settled_reason) for flag in rebills_of(tx, FIRST)] == [("ann", "Changed back")]
        assert [cycle.name for cycle in SqlLedger(tx).cycles()] == ["monthly"]
    assert steps(billed, "monthly")[-1] == ("settle", "ann", f"{FIRST}: nothing to correct: Changed back")
    with pytest.raises(BillingConflict, match=f"{FIRST} would come out the same"):
        make_corrections(billed.office, [FIRST], Way.REBILL, WHY, "ann")

    edit(billed, 10_500)
    with billed.database.read() as tx:
        (flag,) = rebills(tx)
    assert (flag.statement, flag.change, flag.settled_by, flag.settled_reason) == (FIRST, 10_000, None, None)
    correct(billed)
    with billed.database.read() as tx:
        assert [(flag.settled_by, flag.settled_reason) for flag in rebills_of(tx, FIRST)] == [("Ada-2026-10-3", None)]


def test_of_many_what_comes_out_the_same_is_settled_and_the_rest_is_corrected(town: Town) -> None:
    for name, meter in (("Ada", "E-1"), ("Bea", "E-2")):
        town.account(name, {"tariff": "flat"})
        town.meter(meter, name, IMPORT)
        town.reads(meter)
    town.bill()
    edit(town, 10_500)
    edit(town, 10_500, meter="E-2")
    edit(town, 500, meter="E-2")
    (one,) = make_corrections(town.office, [FIRST, "Bea-2026-10-1"], Way.DIFFERENCE, WHY, "ann")
    assert [each.account for each in one.corrections] == ["Ada"]
    assert one.flagged == {"Bea"}
    with town.database.read() as tx:
        assert [flag.statement for flag in rebills(tx)] == [FIRST]  # until the correction is issued


def test_what_is_flagged_while_it_is_looked_at_is_not_settled(billed: Town) -> None:
    edit(billed, 10_500)
    edit(billed, 500)
    looks: list[datetime] = []

    def clock() -> datetime:
        looks.append(billed.now)
        if len(looks) == 2:  # rated already, and nothing is written yet
            edit(billed, 9_500)
        return billed.now

    with pytest.raises(BillingConflict, match="was corrected or flagged while it was looked at"):
        make_corrections(replace(billed.office, clock=clock), [FIRST], Way.REBILL, WHY, "ann")
    with billed.database.read() as tx:
        assert [flag.settled_by for flag in rebills_of(tx, FIRST)] == [None]
