"""Rebill flags: which statements a change of reads concerns, and by how much. Statements stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import event

from headend.billing.again import rated_again
from headend.billing.approval import approve, issue
from headend.billing.correcting import make_corrections, withdraw
from headend.billing.corrections import Way
from headend.billing.groups import BillingGroup
from headend.billing.run import rate_cycle
from headend.reads import Quality
from headend.reads.blocks import Blocks
from headend.reads.days import DAY_S, day_number, seconds
from headend.registry.changes import Clerk
from headend.registry.grouping import add_group, assign
from headend.store.corrections import count_correctable, flagged_for_correction
from headend.store.rebills import (
    Flagged,
    RebillFlag,
    count_flagged,
    flag_rebills,
    flagged_by_cycle,
    flagged_by_period,
    flagged_statements,
    open_flags,
    rebills,
    rebills_of,
)
from tests.billing.town import EXPORT, IMPORT, Town

OCTOBER, NOVEMBER = "2026-10", "2026-11"
#: Berlin's October 2026: 745 hours.
BEGIN, END = datetime(2026, 9, 30, 22, tzinfo=UTC), datetime(2026, 10, 31, 23, tzinfo=UTC)
HOUR = timedelta(hours=1)
LATER = datetime(2026, 11, 5, 8, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    """Ada's home, which used 500 Wh every hour."""
    url = request.getfixturevalue("migrated_postgres_url") if request.param == "postgresql" else ""
    made = Town(tmp_path, url)
    made.account("Ada", {"tariff": "flat"})
    made.meter("E-1", "Ada", IMPORT)
    made.reads("E-1")
    yield made
    made.database.close()
    made.site.journal._database.close()


def bill(town: Town, period: str = OCTOBER, cycle: str = "monthly", *, until: str = "issued") -> None:
    for step, state in ((rate_cycle, "rated"), (approve, "approved"), (issue, "issued")):
        step(town.office, period, cycle, "ann")
        if state == until:
            return


def change(
    town: Town, meter: str, hours: dict[datetime, int], *, channel: str = IMPORT, by: str = "journal 7", **columns: int
) -> int:
    """Other values for some hours, as intake stores them: flagged in the transaction that stores them."""
    key = town.key(meter, channel)
    days = sorted({seconds(at) // DAY_S for at in hours})
    with town.database.write() as tx:
        stood = town.store.load(tx, [(day, *key) for day in days], 3600)
        now = replace(stood, values=stood.values.copy(), quality=stood.quality.copy())
        for at, value in hours.items():
            place = days.index(seconds(at) // DAY_S), seconds(at) % DAY_S // 3600
            now.values[place], now.quality[place] = value, columns.get("quality", Quality.VALIDATED)
        town.store.save(tx, now, now.present, settled=True)
        return flag_rebills(tx, stood, now, by, LATER)


def flags(town: Town) -> list[RebillFlag]:
    with town.database.read() as tx:
        return rebills(tx)


def test_a_late_read_flags_the_statement_that_billed_its_hour(town: Town) -> None:
    at = datetime(2026, 10, 5, 12, tzinfo=UTC)
    town.set("E-1", at, quality=Quality.ESTIMATED_LIKE_DAY)
    bill(town)
    before = town.documents()
    assert change(town, "E-1", {at: 1_700}) == 1
    (flag,) = flags(town)
    assert (flag.statement, flag.account, flag.period) == ("Ada-2026-10-1", "Ada", OCTOBER)
    assert (flag.meter_name, flag.channel.obis, flag.change, flag.cause) == ("E-1", IMPORT, 1_200, "journal 7")
    assert (flag.first_s, flag.end_s) == (seconds(at), seconds(at + HOUR))
    assert (flag.flagged_at, flag.changed_at) == (LATER, LATER)
    assert town.documents() == before
    with town.database.read() as tx:
        assert rebills_of(tx, "Ada-2026-10-1") == [flag]
        assert rebills_of(tx, "Ada-2026-11-1") == []
        assert rebills(tx, cycle="2026-10/monthly") == [flag]
        assert rebills(tx, cycle="2026-11/monthly") == []
        assert flagged_by_cycle(tx) == {"2026-10/monthly": 1}
    # 1.2 kWh of 0.3174 and 19 % of it: 372.5 kWh cost 118.23 + 11.90 net, 373.7 kWh 118.61 + 11.90.
    again = rated_again(town.office, town.statements()["Ada"])
    assert again.now is not None
    assert (str(again.made.gross), str(again.now.gross), str(again.difference)) == ("154.85", "155.31", "0.46")


def test_changes_add_up(town: Town) -> None:
    bill(town)
    first, second = datetime(2026, 10, 20, 3, tzinfo=UTC), datetime(2026, 10, 5, 12, tzinfo=UTC)
    assert change(town, "E-1", {first: 700, first + HOUR: 400}, by="rules 2026-2") == 1
    assert change(town, "E-1", {second: 0}, by="clara") == 1
    (flag,) = flags(town)
    assert (flag.change, flag.cause) == (200 - 100 - 500, "clara")
    assert (flag.first_s, flag.end_s) == (seconds(second), seconds(first + 2 * HOUR))
    # What validation makes of it follows from what clara did.
    change(town, "E-1", {first: 800}, by="rules 2026-2")
    assert [(each.change, each.cause) for each in flags(town)] == [(-300, "clara")]
    change(town, "E-1", {first: 500, first + HOUR: 500, second: 500})
    assert [each.change for each in flags(town)] == [0], "it was flagged, and stays so"


def test_a_better_quality_of_the_same_value_is_no_change(town: Town) -> None:
    at = datetime(2026, 10, 5, 12, tzinfo=UTC)
    town.set("E-1", at, quality=Quality.ESTIMATED_LIKE_DAY)
    bill(town)
    assert change(town, "E-1", {at: 500}) == 0
    assert flags(town) == []


def test_days_of_a_group_before_the_month_its_period_is_called_by(town: Town) -> None:
    """The 20th of September is in the period 15 September to 14 October, which is called 2026-10."""
    with town.database.write() as tx:
        add_group(tx, BillingGroup("north", 15), Clerk("ann", town.now))
        assign(tx, "Ada", "north", date(2025, 1, 1), Clerk("ann", town.now))
    town.reads("E-1", first=date(2026, 9, 14))
    bill(town, cycle="north")
    assert change(town, "E-1", {datetime(2026, 9, 20, 12, tzinfo=UTC): 700}) == 1
    assert [(each.period, each.change) for each in flags(town)] == [(OCTOBER, 200)]


@pytest.mark.parametrize("until", ["nothing", "rated"])
def test_what_is_not_billed_for_good_is_not_flagged(town: Town, until: str) -> None:
    if until != "nothing":
        bill(town, until=until)
    assert change(town, "E-1", {datetime(2026, 10, 5, 12, tzinfo=UTC): 0}) == 0
    assert flags(town) == []


def test_what_is_approved_will_be_issued_and_is_flagged(town: Town) -> None:
    bill(town, until="approved")
    assert change(town, "E-1", {datetime(2026, 10, 5, 12, tzinfo=UTC): 0}) == 1
    issue(town.office, OCTOBER, "monthly", "ann")
    assert [each.statement for each in flags(town)] == ["Ada-2026-10-1"]


@pytest.mark.parametrize(
    ("at", "concerned"),
    [(BEGIN - HOUR, 0), (BEGIN, 1), (END - HOUR, 1), (END, 0), (datetime(2026, 10, 25, 1, tzinfo=UTC), 1)],
)
def test_the_month_is_the_local_one(town: Town, at: datetime, concerned: int) -> None:
    """Berlin's October begins at 22:00 UTC and ends at 23:00, with an hour twice on its last Sunday."""
    bill(town)
    assert change(town, "E-1", {at: 900}) == concerned


def test_each_month_has_its_own_flag(town: Town) -> None:
    town.reads("E-1", first=date(2026, 11, 1), last=date(2026, 12, 1))
    town.now = datetime(2026, 12, 3, 8, tzinfo=UTC)
    bill(town, OCTOBER)
    bill(town, NOVEMBER)
    assert change(town, "E-1", {END - HOUR: 600, END: 900}) == 2
    assert [(each.period, each.change) for each in flags(town)] == [(OCTOBER, 100), (NOVEMBER, 400)]
    assert change(town, "E-1", {END - HOUR: 700}) == 1
    assert [each.change for each in flags(town)] == [200, 400]


def test_old_and_new_meter_are_flagged_for_what_each_measured(town: Town) -> None:
    at = datetime(2026, 10, 14, 10, tzinfo=UTC)
    town.account("Bea", {"tariff": "flat"})
    town.meter("OLD", "Bea", IMPORT, removed=at)
    town.meter("NEW", "Bea", IMPORT, installed=at)
    town.reads("OLD", last=date(2026, 10, 14))
    town.reads("NEW", first=date(2026, 10, 14))
    bill(town)
    assert change(town, "OLD", {at - HOUR: 510, at: 9_000}) == 1
    assert change(town, "NEW", {at - HOUR: 9_000, at: 530}) == 1
    assert change(town, "NEW", {at - HOUR: 8_000}) == 0
    assert [(each.meter_name, each.change) for each in flags(town)] == [("NEW", 30), ("OLD", 10)]


def test_who_moved_out_and_who_moved_in_have_their_own(town: Town) -> None:
    town.account("Out", {"tariff": "flat", "valid_to": "2026-10-11"})
    town.account("In", {"tariff": "flat", "valid_from": "2026-10-11"}, at="Out")
    town.meter("E-2", "Out", IMPORT)
    town.reads("E-2")
    bill(town)
    moved = datetime(2026, 10, 10, 22, tzinfo=UTC)
    assert change(town, "E-2", {moved - HOUR: 600, moved: 300}) == 2
    assert [(each.account, each.change) for each in flags(town)] == [("In", -200), ("Out", 100)]


def test_another_tariff_within_the_month_is_the_same_statement(town: Town) -> None:
    """Two agreements of one account, a segment each."""
    town.account(
        "Bea", {"tariff": "flat", "valid_to": "2026-10-11"}, {"tariff": "changing", "valid_from": "2026-10-11"}
    )
    town.meter("E-2", "Bea", IMPORT)
    town.reads("E-2")
    bill(town)
    change_of_tariff = datetime(2026, 10, 10, 22, tzinfo=UTC)
    assert change(town, "E-2", {change_of_tariff - HOUR: 600, change_of_tariff: 300}) == 1
    (flag,) = flags(town)
    assert (flag.account, flag.change) == ("Bea", -100)
    assert (flag.first_s, flag.end_s) == (seconds(change_of_tariff - HOUR), seconds(change_of_tariff + HOUR))


def test_a_channel_that_was_not_billed_is_not_flagged(town: Town) -> None:
    town.account("Sol", {"tariff": "solar"})
    town.meter("E-2", "Sol", IMPORT, EXPORT)
    town.meter("E-3", "Ada", EXPORT)
    for meter in ("E-2", "E-3"):
        town.reads(meter, channel=EXPORT)
    town.reads("E-2")
    bill(town)
    at = datetime(2026, 10, 5, 12, tzinfo=UTC)
    assert change(town, "E-3", {at: 900}, channel=EXPORT) == 0
    assert change(town, "E-2", {at: 900}, channel=EXPORT) == 1
    assert [(each.account, each.channel.obis, each.change) for each in flags(town)] == [("Sol", EXPORT, 400)]


def test_the_statement_of_a_later_cycle_is_found_as_well(town: Town) -> None:
    town.account("Bea", {"tariff": "flat"})
    town.meter("E-2", "Bea", IMPORT)
    bill(town)
    town.reads("E-2")
    bill(town, cycle="late")
    assert change(town, "E-2", {BEGIN: 0}) == 1
    assert [(each.statement, each.change) for each in flags(town)] == [("Bea-2026-10-1", -500)]


def test_a_month_that_is_held_now_has_no_other_total(town: Town) -> None:
    bill(town)
    change(town, "E-1", {BEGIN: 0}, quality=Quality.QUESTIONABLE)
    again = rated_again(town.office, town.statements()["Ada"])
    assert (again.now, again.difference) == (None, None)
    assert again.problem is not None
    assert "1 of 745 intervals cannot be billed" in again.problem


def test_many_blocks_are_looked_at_together(town: Town) -> None:
    """Every hour of a month of every home changes; each statement is off by all of its own."""
    homes = [f"H-{number}" for number in range(30)]
    for name in homes:
        town.account(name, {"tariff": "flat"})
        town.meter(f"M-{name}", name, IMPORT)
        town.reads(f"M-{name}")
    bill(town)
    days = range(day_number(date(2026, 9, 30)), day_number(date(2026, 11, 1)))
    asked = 0

    def count(*_: object) -> None:
        nonlocal asked
        asked += 1

    with town.database.write() as tx:
        stood: Blocks = town.store.load(
            tx, [(day, *town.key(f"M-{name}", IMPORT)) for name in homes for day in days], 3600
        )
        now = replace(stood, values=stood.values + np.arange(1, len(homes) + 1).repeat(len(days))[:, None])
        event.listen(town.database.engine, "before_cursor_execute", count)
        assert flag_rebills(tx, stood, now, "journal 1–9", LATER) == len(homes)
    assert asked < 10
    found = {each.account: each.change for each in flags(town)}
    assert found == {name: 745 * (place + 1) for place, name in enumerate(homes)}


def test_flagged_statements_are_told_page_by_page_and_those_that_can_be_corrected_are_counted(town: Town) -> None:
    for name in ("Ben", "Cem", "D_n"):
        town.home(name, f"E-{name}", last=date(2026, 12, 1))
    town.reads("E-1", first=date(2026, 11, 2), last=date(2026, 12, 1))
    bill(town)
    town.now = datetime(2026, 12, 3, 9, tzinfo=UTC)
    bill(town, NOVEMBER)
    early, late = datetime(2026, 10, 5, 12, tzinfo=UTC), datetime(2026, 11, 5, 12, tzinfo=UTC)
    for name in ("1", "Ben", "Cem"):
        change(town, f"E-{name}", {early: 9_000})
    change(town, "E-Cem", {early + HOUR: 9_000}, by="clara")
    change(town, "E-D_n", {late: 9_000}, by="clara")

    def told(which: Flagged, limit: int = 50, offset: int = 0) -> list[str]:
        with town.database.read() as tx:
            found = flagged_statements(tx, which, limit, offset)
            flags = open_flags(tx, found)
            assert list(flags) == found
            assert all({flag.statement for flag in its} == {name} for name, its in flags.items())
            assert offset or limit < 50 or count_flagged(tx, which) == len(found)
            return found

    def correctable(which: Flagged) -> tuple[list[str], str]:
        with town.database.read() as tx:
            ids = flagged_for_correction(tx, which.period, which.text)
            count, seen = count_correctable(tx, which)
            assert count == len(ids)
            assert flagged_for_correction(tx, which.period, which.text, 2, 1) == ids[1:3]
            return ids, seen

    every = ["Ada-2026-10-1", "Ben-2026-10-1", "Cem-2026-10-1", "D_n-2026-11-1"]
    assert told(Flagged()) == correctable(Flagged())[0] == every
    assert told(Flagged(), 2) == every[:2]
    assert told(Flagged(), 3, 3) == every[3:]
    assert told(Flagged(NOVEMBER)) == correctable(Flagged(NOVEMBER))[0] == every[3:]
    # The account, the customer's name, or the cause.
    assert told(Flagged(text="d_")) == told(Flagged(text="D_N & sons")) == every[3:]
    assert told(Flagged(text="CLARA")) == correctable(Flagged(text="CLARA"))[0] == every[2:]
    assert told(Flagged(OCTOBER, "clara")) == [every[2]]
    assert told(Flagged(text="nobody")) == []
    assert told(Flagged(cycle=f"{NOVEMBER}/monthly")) == every[3:]
    with town.database.read() as tx:
        assert flagged_by_period(tx) == {OCTOBER: 3, NOVEMBER: 1}

    before = correctable(Flagged())[1]
    assert correctable(Flagged(text="-20")) == ([], correctable(Flagged("2020-01"))[1])
    # One that changes places with another is another.
    make_corrections(town.office, ["Ada-2026-10-1"], Way.REBILL, "why", "ann")
    without_ada = correctable(Flagged())
    assert without_ada[0] == every[1:]
    assert told(Flagged()) == every, "flagged it is still"
    withdraw(town.office, OCTOBER, "correction-1", "ann")
    assert correctable(Flagged()) == (every, before)
    make_corrections(town.office, ["Ben-2026-10-1"], Way.REBILL, "why", "ann")
    assert correctable(Flagged())[0] == [every[0], *every[2:]]
    assert correctable(Flagged())[1] not in (before, without_ada[1])
    withdraw(town.office, OCTOBER, "correction-2", "ann")
    change(town, "E-Ben", {early: 9_001})
    assert correctable(Flagged())[0] == every
    assert correctable(Flagged())[1] != before
