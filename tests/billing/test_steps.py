"""The clerk's steps: what may follow what, what stays as it is for good, and the chain of statements."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from headend.billing.approval import approve, issue
from headend.billing.run import rate_cycle
from headend.billing.statement import canonical_json
from headend.errors import BillingConflict, NotFound, StoreBroken
from headend.office import SiteRecords
from headend.reads import Quality
from headend.store.ledger import SqlLedger
from tests.billing.town import EXPORT, IMPORT, Town

OCTOBER, NOVEMBER = "2026-10", "2026-11"


def bill(town: Town, period: str = OCTOBER, cycle: str = "monthly") -> None:
    rate_cycle(town.office, period, cycle, "ann")
    approve(town.office, period, cycle, "ann")
    issue(town.office, period, cycle, "bob")


def test_rating_again_changes_nothing(flat: Town) -> None:
    rate_cycle(flat.office, OCTOBER, "monthly", "ann")
    first = flat.documents()
    flat.now = datetime(2026, 11, 4, tzinfo=UTC)
    cycle = rate_cycle(flat.office, OCTOBER, "monthly", "bob")
    assert flat.documents() == first
    assert (cycle.changed_by, cycle.opened_at.day) == ("bob", 3)


def test_issued_statement_is_dated_due_and_signed_by_the_clerk(flat: Town) -> None:
    bill(flat)
    statement = flat.statements()["Ada"]
    assert (statement.issued_at, statement.issued_on) == (flat.now, date(2026, 11, 3))
    assert statement.due_on == date(2026, 11, 17)
    with flat.database.read() as tx:
        cycle = SqlLedger(tx).cycle("monthly", OCTOBER)
    assert cycle is not None
    assert (cycle.state, cycle.changed_by) == ("issued", "bob")


def test_a_bill_in_the_customers_favour_is_not_due_on_any_day(town: Town) -> None:
    """1 kWh fed in in each of October's 745 hours: 74.50 in favour; 11.90 and VAT of 2.26 to pay."""
    town.account("Sol", {"tariff": "solar"})
    town.meter("E-2", "Sol", IMPORT, EXPORT)
    town.reads("E-2", 0)
    town.reads("E-2", 1_000, channel=EXPORT)
    bill(town)
    statement = town.statements()["Sol"]
    assert statement.totals.gross == Decimal("-60.34")
    assert (statement.issued_on, statement.due_on) == (date(2026, 11, 3), None)


def test_steps_go_forward_only(flat: Town) -> None:
    with pytest.raises(NotFound):
        approve(flat.office, OCTOBER, "monthly", "ann")
    rate_cycle(flat.office, OCTOBER, "monthly", "ann")
    with pytest.raises(BillingConflict, match="is rated: cannot issue it"):
        issue(flat.office, OCTOBER, "monthly", "ann")
    approve(flat.office, OCTOBER, "monthly", "ann")
    with pytest.raises(BillingConflict, match="is approved: cannot rate it"):
        rate_cycle(flat.office, OCTOBER, "monthly", "ann")
    issue(flat.office, OCTOBER, "monthly", "ann")
    for step in (rate_cycle, approve, issue):
        with pytest.raises(BillingConflict, match="is issued"):
            step(flat.office, OCTOBER, "monthly", "ann")


@pytest.mark.parametrize(
    "change", ["UPDATE statement SET total = '0.00'", "UPDATE statement SET state = 'draft'", "DELETE FROM statement"]
)
def test_issued_statement_cannot_change(flat: Town, change: str) -> None:
    bill(flat)
    before = flat.documents()
    with pytest.raises(IntegrityError, match="an issued statement does not change"), flat.database.write() as tx:
        tx.exec_driver_sql(change)
    assert flat.documents() == before


def test_each_statement_names_the_hash_of_the_one_before(flat: Town) -> None:
    flat.account("Bea", {"tariff": "flat", "valid_from": "2026-11-01"})
    flat.meter("E-2", "Bea", IMPORT)
    for meter in ("E-1", "E-2"):
        flat.reads(meter, first=date(2026, 10, 31), last=date(2026, 12, 1))
    flat.now = datetime(2026, 12, 3, 8, tzinfo=UTC)
    bill(flat, OCTOBER)
    bill(flat, NOVEMBER)  # on the same clock: the order of issue is in the chain, not in the time
    october, november = flat.documents(OCTOBER)["Ada"], flat.documents(NOVEMBER)["Ada"]
    assert json.loads(october)["previous_sha256"] is None
    assert json.loads(november)["previous_sha256"] == hashlib.sha256(october).hexdigest()
    assert json.loads(flat.documents(NOVEMBER)["Bea"])["previous_sha256"] is None
    with flat.database.read() as tx:
        kept = SqlLedger(tx).statements_of("Ada")
    assert [each.id for each in kept] == ["Ada-2026-11-1", "Ada-2026-10-1"]
    assert [each.sha256 for each in kept] == [hashlib.sha256(each.document).hexdigest() for each in kept]


def test_second_cycle_bills_only_who_was_left(flat: Town) -> None:
    gap = datetime(2026, 10, 5, 12, tzinfo=UTC)
    flat.account("Bea", {"tariff": "flat"})
    flat.meter("E-2", "Bea", IMPORT)
    flat.reads("E-2")
    flat.set("E-2", gap, quality=Quality.MISSING)
    bill(flat)
    flat.set("E-2", gap, quality=Quality.EDITED)
    cycle = rate_cycle(flat.office, OCTOBER, "late", "ann")
    assert (cycle.totals.accounts, cycle.totals.billed, cycle.totals.billed_elsewhere) == (2, 1, 1)
    assert list(flat.statements(cycle="late")) == ["Bea"]


class SlowRecords(SiteRecords):
    """Records during whose reading another clerk is quicker."""

    meanwhile: Any = None

    def channels(self, usage_points: Any = None) -> Any:
        if SlowRecords.meanwhile is not None:
            quicker, SlowRecords.meanwhile = SlowRecords.meanwhile, None
            quicker()
        return super().channels(usage_points)


@pytest.mark.parametrize(("cycle", "billed"), [("monthly", 1), ("other", 0)])
def test_two_clerks_at_once_do_not_bill_twice(flat: Town, cycle: str, billed: int) -> None:
    """They share a run of one cycle; of two cycles the quicker has the account."""
    slow = replace(flat.office, records=lambda tx: SlowRecords(tx, flat.store))
    SlowRecords.meanwhile = lambda: rate_cycle(flat.office, OCTOBER, cycle, "bob")
    totals = rate_cycle(slow, OCTOBER, "monthly", "ann").totals
    assert (totals.billed, totals.billed_elsewhere) == (billed, 1 - billed)
    with flat.database.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM statement").scalar_one() == 1


def test_draft_that_was_tampered_with_is_not_issued(flat: Town) -> None:
    rate_cycle(flat.office, OCTOBER, "monthly", "ann")
    approve(flat.office, OCTOBER, "monthly", "ann")
    cheaper = flat.documents()["Ada"].replace(b"154.85", b"100.00")
    with flat.database.write() as tx:
        tx.exec_driver_sql("UPDATE statement SET document = ?", (cheaper,))
    with pytest.raises(StoreBroken, match="Ada-2026-10-1"):
        issue(flat.office, OCTOBER, "monthly", "ann")


def test_draft_that_vanished_stops_approval(flat: Town) -> None:
    rate_cycle(flat.office, OCTOBER, "monthly", "ann")
    with flat.database.write() as tx:
        tx.exec_driver_sql("DELETE FROM statement")
    with pytest.raises(BillingConflict, match="have changed since 2026-10/monthly was rated: Ada"):
        approve(flat.office, OCTOBER, "monthly", "ann")


def test_reads_that_changed_after_rating_stop_approval_until_it_is_rated_again(flat: Town) -> None:
    rate_cycle(flat.office, OCTOBER, "monthly", "ann")
    flat.set("E-1", datetime(2026, 10, 5, 12, tzinfo=UTC), values=9_000)
    with pytest.raises(BillingConflict, match=r"decisions or agreements have changed .* Ada. Rate it again"):
        approve(flat.office, OCTOBER, "monthly", "ann")
    rate_cycle(flat.office, OCTOBER, "monthly", "ann")
    assert approve(flat.office, OCTOBER, "monthly", "ann").state == "approved"


def test_document_in_the_ledger_is_canonical(flat: Town) -> None:
    bill(flat)
    document, statement = flat.documents()["Ada"], flat.statements()["Ada"]
    assert canonical_json(statement) == document
    plain = json.loads(document)
    assert document == json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert plain["totals"] == {"currency": "EUR", "gross": "154.85", "net": "130.13", "tax": "24.72"}


def test_month_that_is_not_over_cannot_be_rated(flat: Town) -> None:
    # November ends in Berlin at 23:00 UTC of its last day.
    flat.now = datetime(2026, 11, 30, 22, 59, tzinfo=UTC)
    with pytest.raises(BillingConflict, match="2026-11 is not over before 2026-11-30 23:00 UTC"):
        rate_cycle(flat.office, NOVEMBER, "monthly", "ann")
    flat.now = datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert rate_cycle(flat.office, NOVEMBER, "monthly", "ann").state == "rated"
