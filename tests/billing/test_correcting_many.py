"""Many statements corrected portion by portion: the same documents as at once, and what ends the work in between.

Everybody uses 500 Wh in each of October's 745 hours: 154.85 EUR. With 10 kWh more that is 158.64, with half a kWh less
154.66; `test_corrections` works that out.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from headend.billing.approval import approve, issue
from headend.billing.correcting import make_corrections, withdraw
from headend.billing.correctingmany import Summary, correct_many, foresee_many
from headend.billing.corrections import Way
from headend.billing.cycle import CycleState, ExceptionCode
from headend.errors import BillingConflict, InvalidInput, NotFound
from headend.store.corrections import flagged_for_correction
from headend.store.ledger import SqlLedger
from tests.billing.test_corrections import WHY, edit
from tests.billing.town import Town

OCTOBER = "2026-10"
NAMES = ("Ada", "Ben", "Cem", "Dan", "Eve", "Flo", "Gil")
#: What the read of noon says now, by whose meter: 10 kWh more, half a kWh less, and as it was.
MORE, LESS, AS_BEFORE = 10_500, 0, 500
NOW = {"Ada": MORE, "Ben": MORE, "Cem": LESS, "Dan": AS_BEFORE, "Eve": MORE, "Flo": MORE, "Gil": MORE}
D = Decimal


@pytest.fixture
def billed(tmp_path: Path) -> Town:
    """Seven statements are issued, and flagged; Dan's would come out the same."""
    town = Town(tmp_path)
    for name in NAMES:
        town.home(name, f"E-{name}")
    town.bill()
    town.now = datetime(2026, 11, 10, 9, tzinfo=UTC)
    for name, wh in NOW.items():
        edit(town, MORE, meter=f"E-{name}")
        edit(town, wh, meter=f"E-{name}")
    return town


def hole(town: Town, *names: str) -> None:
    """A read is gone."""
    for name in names:
        town.set(f"E-{name}", datetime(2026, 10, 9, 12, tzinfo=UTC), quality=0)


def flagged(town: Town) -> list[str]:
    with town.database.read() as tx:
        return flagged_for_correction(tx)


def ids(*names: str) -> list[str]:
    return [f"{name}-2026-10-1" for name in names]


def many(town: Town, *, at_once: int = 2, **more: Any) -> Summary:
    (one,) = correct_many(town.office, flagged(town), Way.REBILL, WHY, "ann", at_once=at_once, **more)
    return one


def kept(town: Town, name: str = "correction-1") -> tuple[Any, ...]:
    with town.database.read() as tx:
        ledger = SqlLedger(tx)
        cycle = ledger.cycle(name, OCTOBER)
        assert cycle is not None
        return cycle, list(ledger.statements(cycle)), ledger.exceptions(cycle)


def stops_after(portions: int, of: int = 2) -> Any:
    def look(done: int, _of: int) -> None:
        if done == portions * of:
            raise KeyboardInterrupt

    return look


@pytest.mark.parametrize("at_once", [1, 2, 3, 500])
def test_what_it_comes_to_is_the_same_however_many_are_looked_at_at_once(billed: Town, at_once: int) -> None:
    hole(billed, "Ada", "Ben")
    told: list[tuple[int, int]] = []
    (one,) = foresee_many(
        billed.office,
        flagged(billed),
        Way.REBILL,
        WHY,
        progress=lambda done, of: told.append((done, of)),
        at_once=at_once,
    )
    # Cem 0.19 less, Eve, Flo and Gil 3.79 more each.
    its = one.sums["EUR"]
    assert (its.count, its.said, its.now, its.difference) == (4, 4 * D("154.85"), D("630.58"), D("11.18"))
    assert (its.dearer, its.up, its.cheaper, its.down, its.written_off) == (3, D("11.37"), 1, D("0.19"), D(0))
    assert [(each.statement, each.difference) for each in one.first][:2] == [
        ("Cem-2026-10-1", D("-0.19")),
        ("Eve-2026-10-1", D("3.79")),
    ]
    assert one.refused == {ExceptionCode.INCOMPLETE_READS: 2}
    assert [each.account for each in one.first_refused] == ["Ada", "Ben"]
    assert (one.same, one.settled) == (ids("Dan"), ids("Dan"))
    assert told[0] == (0, 7)
    assert told[-1] == (7, 7)
    assert len(told) == 1 + -(-7 // at_once)
    with billed.database.read() as tx:
        assert [cycle.name for cycle in SqlLedger(tx).cycles()] == ["monthly"], "nothing is kept"


def test_what_is_made_in_portions_is_what_is_made_at_once(billed: Town) -> None:
    """The first portion has nothing but what cannot be billed: that stands among the exceptions nevertheless."""
    hole(billed, "Ada", "Ben", "Flo")
    make_corrections(billed.office, flagged(billed), Way.REBILL, WHY, "ann")
    cycle, documents, exceptions = kept(billed)
    withdraw(billed.office, OCTOBER, "correction-1", "ann")
    begun: list[str] = []
    one = many(billed, begins=begun.append)
    assert (one.cycle, begun) == ("correction-2", ["2026-10/correction-2"])
    again, others, refused = kept(billed, "correction-2")
    assert (again.state, again.totals, again.scope) == (CycleState.RATED, cycle.totals, cycle.scope)
    assert refused == exceptions
    assert [each.account for each in refused] == ["Ada", "Ben", "Flo"]
    assert [each.document.replace(b"correction-2", b"correction-1") for each in others] == [
        each.document for each in documents
    ]
    approve(billed.office, OCTOBER, "correction-2", "ann")
    issue(billed.office, OCTOBER, "correction-2", "bob")
    assert flagged(billed) == ids("Ada", "Ben", "Flo")


def test_what_is_stopped_in_between_stays_drafted_and_the_rest_is_corrected_later(billed: Town) -> None:
    with pytest.raises(KeyboardInterrupt):
        many(billed, progress=stops_after(2))
    cycle, documents, _ = kept(billed)
    assert (cycle.state, cycle.totals.billed, cycle.totals.money) == (CycleState.RATED, 3, {"EUR": D("7.39")})
    assert {each.account for each in documents} == {"Ada", "Ben", "Cem"}
    assert flagged(billed) == ids("Eve", "Flo", "Gil")
    approve(billed.office, OCTOBER, "correction-1", "ann")
    assert many(billed).cycle == "correction-2"
    for name in ("correction-1", "correction-2"):
        if name == "correction-2":
            approve(billed.office, OCTOBER, name, "ann")
        issue(billed.office, OCTOBER, name, "bob")
    assert flagged(billed) == []
    with billed.database.read() as tx:
        for name in NAMES:
            said = [kept.id for kept in SqlLedger(tx).statements_of(name)]
            assert len(said) == (1 if name == "Dan" else 3), said


class _Mortal(SqlLedger):
    """Is killed over the second portion of corrections, when they are written and not committed."""

    def keep_correction(self, cycle: Any, *rest: Any) -> None:
        super().keep_correction(cycle, *rest)
        if cycle.totals.billed > 2:
            os.kill(os.getpid(), signal.SIGKILL)


def correct_and_die(folder: Path) -> None:
    """Correct in this process, which does not live to see the end."""
    town = Town(folder)
    town.now = datetime(2026, 11, 10, 9, tzinfo=UTC)
    office = replace(town.office, ledger=_Mortal)
    correct_many(office, flagged(town), Way.REBILL, WHY, "ann", at_once=2)


def test_a_process_that_is_killed_leaves_whole_portions(billed: Town) -> None:
    program = (
        "import pathlib, tests.billing.test_correcting_many as t;"
        f" t.correct_and_die(pathlib.Path({str(billed.folder)!r}))"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -signal.SIGKILL
    cycle, documents, _ = kept(billed)
    assert (cycle.totals.billed, len(documents)) == (2, 4)
    assert flagged(billed) == ids("Cem", "Dan", "Eve", "Flo", "Gil")
    assert many(billed).count == 4
    assert flagged(billed) == []


def test_a_cycle_that_is_approved_in_between_takes_no_more(billed: Town) -> None:
    def approves(done: int, _of: int) -> None:
        if done == 2:
            approve(billed.office, OCTOBER, "correction-1", "bob")

    with pytest.raises(BillingConflict, match="2026-10/correction-1 was changed while corrections were put into it"):
        many(billed, progress=approves)
    assert kept(billed)[0].state == CycleState.APPROVED
    assert flagged(billed) == ids("Cem", "Dan", "Eve", "Flo", "Gil")


def test_who_is_second_is_refused_by_name(billed: Town) -> None:
    def other(done: int, _of: int) -> None:
        if done == 2:
            make_corrections(billed.office, ids("Flo"), Way.REBILL, WHY, "bob")

    with pytest.raises(BillingConflict, match="Flo-2026-10-1 is in the open correction 2026-10/correction-2"):
        many(billed, progress=other)
    assert flagged(billed) == ids("Eve", "Gil")
    # What is known before the first portion keeps all of them from being made.
    with pytest.raises(BillingConflict, match="Ada-2026-10-1 is in the open correction 2026-10/correction-1"):
        correct_many(billed.office, ids("Gil", "Ada"), Way.REBILL, WHY, "ann", at_once=1)
    assert flagged(billed) == ids("Eve", "Gil")


def test_a_portion_of_which_one_is_flagged_anew_meanwhile_is_looked_at_again(billed: Town) -> None:
    """Dan's would come out the same; before that is written, a read of his comes that makes it 10 kWh more."""
    late = iter([True])

    def clock() -> datetime:
        # The day is asked when the reads are looked at already, in one consistent view.
        if next(late, False):
            edit(billed, MORE, meter="E-Dan")
        return billed.now

    (one,) = correct_many(replace(billed.office, clock=clock), ids("Ada", "Dan"), Way.REBILL, WHY, "ann")
    assert [(each.account, each.difference) for each in one.first] == [("Ada", D("3.79")), ("Dan", D("3.79"))]
    assert one.same == []


def test_what_is_wrong_is_refused_before_anything_is_made(billed: Town) -> None:
    for wrong, which, reason, said in (
        (NotFound, ["NOPE"], WHY, "no statement is called 'NOPE'"),
        (InvalidInput, ids("Ada"), " ", "why it is corrected"),
    ):
        for work in (foresee_many, correct_many):
            by = () if work is foresee_many else ("ann",)
            with pytest.raises(wrong, match=said):
                work(billed.office, which, Way.REBILL, reason, *by)
    hole(billed, *NAMES)
    with pytest.raises(BillingConflict, match=r"nothing to correct: Ada: .* and 2 more"):
        many(billed)
    assert len(flagged(billed)) == 7
