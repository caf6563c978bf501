"""What people decide about exceptions, over real files, against values worked by hand.

Unless a test says otherwise a meter uses 100 + 10 h Wh in UTC hour h of every day, and tells no register: so hours 5
and 6 are 150 and 160 Wh.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from headend.billing.approval import approve, issue
from headend.billing.run import rate_cycle
from headend.errors import EditConflict, HeadendError, InvalidInput, NotFound
from headend.office import office_of
from headend.preview import Preview, preview, preview_again
from headend.process.editing import Decided, Decision, ask_to_look, confirm, decide, refuse, seen
from headend.process.versions import versions_of
from headend.reads import Quality
from headend.reads.days import seconds
from headend.registry.site_file import SiteFile
from headend.store import tables as t
from headend.store.edits import edit_of, edits_of
from headend.store.exceptions import ReadException, exception_of, open_anomalies, open_found
from headend.vee import Finding
from tests.commands import headend

from .field import DAY, HOUR, IMPORT, MONDAY, Field, meter, run

SHAPE = [100 + 10 * hour for hour in range(24)]
#: Thursday of the second week, 5 to 7 UTC, and the days sent before and after it.
FIVE = MONDAY + 10 * DAY + 5 * HOUR
FIRST, DAYS = MONDAY - 2 * DAY, 30
REASON = "failed to validate"
LIMIT = 50_000


def site_file(**more: Any) -> SiteFile:
    """E-1 and E-2 of the same class, E-1 billed at 0.3174 EUR a kWh, plus 11.90 EUR a month and 19 % VAT."""
    agreement = {"usage_point": "UP", "commodity": "electricity", "tariff": "home-flat", "valid_from": "2025-01-01"}
    return SiteFile.model_validate(
        {
            "gateways": ["GW"],
            "usage_points": [
                {"id": name, "timezone": "Europe/Berlin", "address": "Lindenweg 1"} for name in ("UP", "UP-2")
            ],
            "meters": [meter("E-1"), meter("E-2", usage_point="UP-2")],
            "accounts": [{"id": "A-1", "name": "Anna", "agreements": [agreement]}],
        }
        | more
    )


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    made = Field(tmp_path, site_file())
    yield made
    made.close()


@pytest.fixture
def told(field: Field) -> Field:
    """Thirty days of E-1 that nothing is wrong with, but that 5 to 7 of one Thursday tells 900 and 900 Wh."""
    tell(field, {FIVE: 900, FIVE + HOUR: 900})
    return field


def tell(field: Field, other: dict[datetime, int | None] | None = None, *, meter: str = "E-1", times: int = 1) -> None:
    values: list[int | None] = [times * value for value in SHAPE * DAYS]
    for at, value in (other or {}).items():
        values[(at - FIRST) // HOUR] = value
    field.send(FIRST, values, meter=meter)
    field.settle()


def ask(field: Field, start: datetime = FIVE, hours: int = 2) -> int:
    return ask_to_look(field.site, "E-1", IMPORT.obis, start, start + hours * HOUR, "otto")


def do(field: Field, action: Any, exception: int | None = None, by: str = "anna", **more: Any) -> Decided:
    return decide(field.site, decision(field, action, exception, by, **more))


def decision(field: Field, action: Any, exception: int | None = None, by: str = "anna", **more: Any) -> Decision:
    return Decision(ask(field) if exception is None else exception, action, by, REASON, **more)


def exception(field: Field, number: int) -> ReadException:
    with field.site.database.read() as tx:
        return exception_of(tx, number)


def store(field: Field) -> list[list[tuple[Any, ...]]]:
    """All that decisions may change."""
    tables = (t.day_block, t.interval_history, t.finding, t.exception, t.edit, t.rebill_flag, t.estimate_basis)
    with field.site.database.read() as tx:
        return [[tuple(row) for row in tx.execute(select(table))] for table in (*tables, t.daily_use)]


def versions(field: Field, start: datetime = FIVE) -> list[tuple[int | None, Quality, str | None]]:
    """(value, quality, what replaced it) of every version, oldest first."""
    with field.site.database.read() as tx:
        its = versions_of(tx, field.site.store, field.channel(), seconds(start)).versions
    by = [one.by for one in its[1:]]
    return [(one.value, one.quality, after) for one, after in zip(its, [*by, None], strict=True)]


def test_what_is_accepted_is_verified_and_stays_the_version_it_is(told: Field) -> None:
    number = ask(told)
    assert do(told, "accept", number, note="seen by the fitter") == Decided(1, "done", 0)
    stands = told.stands(FIVE - HOUR, 4)
    assert (stands.values, stands.versions) == ([140, 900, 900, 170], [1, 1, 1, 1])
    assert stands.quality == [Quality.VALIDATED, Quality.VERIFIED, Quality.VERIFIED, Quality.VALIDATED]
    one = exception(told, number)
    assert (one.state, one.outcome, one.changed_by, one.reason, one.note) == (
        "closed",
        "accepted",
        "anna",
        REASON,
        "seen by the fitter",
    )
    assert told.history() == []


def test_an_accepted_estimate_is_a_persons_choice_until_a_read_comes(field: Field) -> None:
    tell(field, {FIVE: None, FIVE + HOUR: None})
    assert [q for q in field.stands(FIVE, 2).quality if q in (0, 2)] == []
    do(field, "accept")
    assert (field.values(FIVE, 2), set(field.stands(FIVE, 2).quality)) == ([150, 160], {Quality.ESTIMATED_BY_HAND})
    field.send(FIVE, [150, 333])
    field.settle()
    assert (field.values(FIVE, 2), set(field.stands(FIVE, 2).quality)) == ([150, 333], {Quality.VALIDATED})


def test_edited_values_stand_and_the_history_says_who_and_why(told: Field) -> None:
    done = do(told, "edit", values=[151, 162])
    assert done == Decided(1, "done", 151 + 162 - 1800)
    stands = told.stands(FIVE - HOUR, 4)
    assert (stands.values, stands.versions) == ([140, 151, 162, 170], [1, 2, 2, 1])
    assert set(told.stands(FIVE, 2).quality) == {Quality.EDITED}
    assert versions(told) == [
        (900, Quality.VALIDATED, f"edit 1 by anna: {REASON}"),
        (151, Quality.EDITED, None),
    ]
    told.settle()
    assert told.values(FIVE, 2) == [151, 162]


def test_what_is_given_no_value_or_the_one_that_was_read_stays_as_it_is(told: Field) -> None:
    do(told, "edit", ask(told, FIVE, 4), values=[None, 160, 170, None])
    stands = told.stands(FIVE, 4)
    assert stands.values == [900, 160, 170, 180]
    assert stands.quality == [Quality.VALIDATED, Quality.EDITED, Quality.VALIDATED, Quality.VALIDATED]
    assert stands.versions == [1, 2, 1, 1]


def test_the_edit_says_what_was_done(told: Field) -> None:
    number = ask(told)
    do(told, "edit", number, values=[151, 162], note="n")
    with told.site.database.read() as tx:
        (edit,) = edits_of(tx, number)
    assert (edit.action, edit.values, edit.change, edit.state, edit.made_by, edit.reason, edit.note) == (
        "edit",
        (151, 162),
        -1487,
        "done",
        "anna",
        REASON,
        "n",
    )
    assert (edit.start_s, edit.end_s, edit.second_by, edit.method) == (seconds(FIVE), seconds(FIVE) + 7200, None, None)


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("linear", [150, 160]),  # between 140 and 170
        ("like_days", [150, 160]),
        ("average", [215, 215]),  # 100 + 10 × 11.5
        ("class_profile", [150, 160]),  # E-2 uses twice as much; at the level of E-1
    ],
)
def test_an_estimate_by_the_method_of_ones_choice(told: Field, method: Any, values: list[int]) -> None:
    tell(told, meter="E-2", times=2)
    done = do(told, "estimate", method=method)
    stands = told.stands(FIVE, 2)
    assert (stands.values, set(stands.quality)) == (values, {Quality.ESTIMATED_BY_HAND})
    assert done.change == sum(values) - 1800


def test_an_estimate_from_the_register_takes_exactly_what_it_leaves(field: Field) -> None:
    register = 1_000_000
    for day in range(20):
        start = FIRST + day * DAY
        flowed = list(SHAPE)
        if start <= FIVE < start + DAY:
            flowed[5:7] = [301, 322]
        register += sum(flowed)
        field.send(start, [*SHAPE[:5], None, None, *SHAPE[7:]] if 301 in flowed else SHAPE, register=register)
    field.settle()
    do(field, "estimate", method="register")
    stands = field.stands(FIVE, 2)
    # 623 Wh in the shape of 150 : 160, and the day's other hours as they were read.
    assert (stands.values, set(stands.quality)) == ([301, 322], {Quality.ESTIMATED_BY_HAND})
    assert sum(field.values(FIVE - 5 * HOUR, 24)) == sum(SHAPE) + 313


def test_methods_that_have_nothing_to_go_by_say_so(field: Field) -> None:
    field.send(FIVE - HOUR, [None, 900, 900, 170])
    number = ask(field)
    for method, why in (
        ("register", "there are not two register reads around each of these intervals"),
        ("linear", "there is no read at 2026-02-12T04:00Z"),
        ("class_profile", "there are no reads of its class"),
    ):
        expected = f"^method: found {method}, but {why}, expected another method$"
        with pytest.raises(InvalidInput, match=expected):
            do(field, "estimate", number, method=method)
    with pytest.raises(InvalidInput, match=r"^method: found none, expected one of register, linear, like_days"):
        do(field, "estimate", number)
    assert exception(field, number).state == "open"


def test_like_days_need_one(field: Field) -> None:
    field.send(FIVE, [900, 900])
    with pytest.raises(InvalidInput, match=r"^method: found like_days, but there is no like day for 2026-02-12T05:00Z"):
        do(field, "estimate", method="like_days")
    with pytest.raises(InvalidInput, match=r"^method: found average, but there is no other read of this channel"):
        do(field, "estimate", method="average")


def test_what_is_rejected_is_estimated_by_validation_and_does_not_come_back(told: Field) -> None:
    done = do(told, "reject")
    assert done.change == 310 - 1800
    stands = told.stands(FIVE, 2)
    assert (stands.values, set(stands.quality)) == ([150, 160], {Quality.ESTIMATED_LINEAR})
    assert [(value, quality) for value, quality, _ in versions(told)] == [
        (900, Quality.VALIDATED),
        (900, Quality.QUESTIONABLE),
        (150, Quality.ESTIMATED_LINEAR),
    ]
    assert versions(told)[0][2] == f"edit 1 by anna: {REASON}"
    told.send(FIVE, [900, 900])
    told.settle()
    assert told.values(FIVE, 2) == [150, 160]
    told.send(FIVE, [155, 165])
    told.settle()
    assert (told.values(FIVE, 2), set(told.stands(FIVE, 2).quality)) == ([155, 165], {Quality.VALIDATED})


def test_what_is_rejected_does_not_come_back_even_if_the_estimate_is_the_same(field: Field) -> None:
    tell(field)
    do(field, "reject")
    assert set(field.stands(FIVE, 2).quality) == {Quality.ESTIMATED_LINEAR}
    field.send(FIVE, [150, 160])
    field.settle()
    assert set(field.stands(FIVE, 2).quality) == {Quality.ESTIMATED_LINEAR}
    settle_again(field)
    assert set(field.stands(FIVE, 2).quality) == {Quality.ESTIMATED_LINEAR}


def settle_again(field: Field, read: int = 241) -> None:
    """A late read opens the day again, and validation judges anew what was measured."""
    field.send(FIVE + 9 * HOUR, [read])
    assert field.settle().channel_days > 0


def test_what_was_edited_and_then_rejected_is_not_what_was_read(told: Field) -> None:
    do(told, "edit", values=[151, 162])
    do(told, "reject")
    for read in (241, 242):
        assert (told.values(FIVE, 2), set(told.stands(FIVE, 2).quality)) == ([150, 160], {Quality.ESTIMATED_LINEAR})
        settle_again(told, read)


def test_a_read_by_a_clock_that_was_off_is_not_cleared_by_its_register_once_it_is_rejected(field: Field) -> None:
    register = 1_000_000
    for day in range(10):
        register += sum(SHAPE)
        start = FIRST + day * DAY
        late = {"sent_at": field.clock() + timedelta(minutes=30)} if start <= FIVE - 4 * DAY < start + DAY else {}
        field.journal(run(start, SHAPE, register=register), **late)
    while field.intake.step():
        pass
    field.settle()
    off = FIVE - 4 * DAY
    assert set(field.stands(off, 2).quality) == {Quality.VERIFIED}
    do(field, "reject", ask(field, off))
    assert set(field.stands(off, 2).quality) == {Quality.ESTIMATED_FROM_REGISTER}


def test_a_rejected_estimate_is_made_anew_and_gives_way_to_the_same_value_read(field: Field) -> None:
    tell(field, {FIVE: None, FIVE + HOUR: None})
    do(field, "edit", values=[700, 800])
    do(field, "reject")
    assert (field.values(FIVE, 2), set(field.stands(FIVE, 2).quality)) == ([150, 160], {Quality.ESTIMATED_LINEAR})
    field.send(FIVE, [700, 800])
    field.settle()
    assert (field.values(FIVE, 2), set(field.stands(FIVE, 2).quality)) == ([700, 800], {Quality.VALIDATED})


def test_a_late_read_takes_the_place_of_an_edit_and_the_history_keeps_both(told: Field) -> None:
    do(told, "edit", values=[151, 162])
    told.clock.now += DAY
    told.send(FIVE, [900, 900])  # what was told before is no news
    told.settle()
    assert told.values(FIVE, 2) == [151, 162]
    told.send(FIVE, [155])
    told.settle()
    assert told.stands(FIVE, 2).quality == [Quality.VALIDATED, Quality.EDITED]
    assert [(value, quality) for value, quality, _ in versions(told)] == [
        (900, Quality.VALIDATED),
        (151, Quality.EDITED),
        (155, Quality.VALIDATED),
    ]


def test_an_estimate_that_rested_on_what_is_edited_is_made_anew(field: Field) -> None:
    # Thursday's 5 to 9 is estimated from like days, of which Wednesday is one.
    tell(field, dict.fromkeys(FIVE + n * HOUR for n in range(4)))
    before = field.values(FIVE, 4)
    assert before == [150, 160, 170, 180]
    wednesday = FIVE - DAY
    do(field, "edit", ask(field, wednesday, 4), values=[450, 460, 470, 480])
    after = field.values(FIVE, 4)
    assert after != before
    assert set(field.stands(FIVE, 4).quality) == {Quality.ESTIMATED_LIKE_DAY}


def test_a_part_of_an_exception_can_be_decided(told: Field) -> None:
    number = ask(told, FIVE, 4)
    do(told, "edit", number, values=[151], start_s=seconds(FIVE), end_s=seconds(FIVE + HOUR))
    assert told.values(FIVE, 4) == [151, 900, 170, 180]
    assert exception(told, number).outcome == "edited"


# ---- two persons ---------------------------------------------------------------------------------------------------

LARGE = [20_000] * 4  # for 900, 900, 170 and 180 Wh


def large(field: Field, by: str = "anna") -> tuple[int, Decided]:
    number = ask(field, FIVE, 4)
    return number, do(field, "edit", number, by, values=LARGE)


def test_a_large_change_waits_and_changes_nothing(told: Field) -> None:
    before = told.everything()
    number, done = large(told)
    assert (done.state, done.change) == ("waiting", 80_000 - 2_150)
    assert told.everything() == before
    assert exception(told, number).state == "waiting"


def test_a_change_of_exactly_the_limit_does_not_wait(told: Field) -> None:
    values = [20_000, 20_000, 11_970, 180]
    assert do(told, "edit", ask(told, FIVE, 4), values=values) == Decided(1, "done", LIMIT)


def test_energy_that_is_only_moved_to_another_hour_counts_as_much(told: Field) -> None:
    assert do(told, "edit", ask(told, FIVE, 4), values=[24_000, 24_000, 170, 180]).state == "done"
    moved = do(told, "edit", ask(told, FIVE, 4), values=[170, 180, 24_000, 24_000])
    assert (moved.state, moved.change) == ("waiting", 0)


def test_another_person_confirms_it(told: Field) -> None:
    number, asked = large(told)
    told.clock.now += HOUR
    assert confirm(told.site, asked.edit, "ben") == Decided(asked.edit, "done", asked.change)
    assert (told.values(FIVE, 4), set(told.stands(FIVE, 4).quality)) == (LARGE, {Quality.EDITED})
    assert versions(told)[0][2] == f"edit {asked.edit} by anna and ben: {REASON}"
    with told.site.database.read() as tx:
        edit = edit_of(tx, asked.edit)
    assert (edit.state, edit.made_by, edit.second_by, edit.second) == ("done", "anna", "ben", told.clock.now)
    assert exception(told, number).outcome == "edited"


def test_what_an_edit_left_as_it_was_stays_so_when_it_is_confirmed(field: Field) -> None:
    tell(field, {FIVE + 3 * HOUR: None})
    asked = do(field, "edit", ask(field, FIVE, 4), values=[20_000, 20_000, 20_000, None])
    assert asked.state == "waiting"
    confirm(field.site, asked.edit, "ben")
    assert field.stands(FIVE, 4).quality == [Quality.EDITED] * 3 + [Quality.ESTIMATED_LINEAR]
    with field.site.database.read() as tx:
        assert edit_of(tx, asked.edit).values == (20_000, 20_000, 20_000, None)


def test_the_same_person_cannot(told: Field) -> None:
    number, asked = large(told)
    before = store(told)
    for login in ("anna", " Anna "):
        with pytest.raises(EditConflict, match=r"^edit 1 was asked for by anna: another person has to confirm it$"):
            confirm(told.site, asked.edit, login)
    assert store(told) == before
    assert exception(told, number).state == "waiting"


def test_what_is_refused_is_open_again(told: Field) -> None:
    number, asked = large(told)
    refuse(told.site, asked.edit, "ben", "not without the fitter")
    one = exception(told, number)
    assert (one.state, one.outcome, one.changed_by, one.note) == ("open", None, "ben", "not without the fitter")
    with pytest.raises(EditConflict, match=r"^edit 1 is refused already by ben$"):
        confirm(told.site, asked.edit, "ben")
    assert do(told, "edit", number, values=[151, 160, 170, 180]).state == "done"


def test_who_asked_may_withdraw_it(told: Field) -> None:
    number, asked = large(told)
    refuse(told.site, asked.edit, "anna")
    assert exception(told, number).state == "open"


def test_what_waits_is_not_done_on_other_reads(told: Field) -> None:
    _, asked = large(told)
    told.send(FIVE, [901])
    with pytest.raises(EditConflict, match=r"^reads of exception 1 have changed since edit 1 was asked for: refuse it"):
        confirm(told.site, asked.edit, "ben")
    assert told.values(FIVE, 1) == [901]
    refuse(told.site, asked.edit, "ben")


def test_what_waits_is_not_done_if_it_would_be_something_else(told: Field) -> None:
    limit_of(told, 100)
    asked = do(told, "estimate", method="like_days")
    assert (asked.state, asked.change) == ("waiting", 310 - 1800)
    told.send(FIVE - DAY, [450])  # of the Wednesday, one of six like days: 150 become (5 × 150 + 450) ÷ 6
    with pytest.raises(EditConflict, match=r"^edit 1 would change -1440 now, not -1490 as it was asked for: refuse it"):
        confirm(told.site, asked.edit, "ben")
    assert told.values(FIVE, 2) == [900, 900]
    refuse(told.site, asked.edit, "ben")


def limit_of(field: Field, limit: int) -> None:
    """Another rule for when a second person is needed."""
    editing = field.site.rules.editing.model_copy(update={"second_person_above": limit})
    field.site = replace(field.site, rules=field.site.rules.model_copy(update={"editing": editing}))


def test_an_exception_that_changed_meanwhile_is_not_decided_as_it_was(told: Field) -> None:
    number, asked = large(told)
    told.clock.now += HOUR
    with told.site.database.write() as tx:
        tx.execute(
            t.exception.update().where(t.exception.c.id == number).values(changed_us=t.exception.c.changed_us + 1)
        )
    with pytest.raises(
        EditConflict, match=r"^exception 1 has changed since edit 1 was asked for: refuse it and decide"
    ):
        confirm(told.site, asked.edit, "ben")


def test_nobody_decides_what_is_decided_or_waits(told: Field) -> None:
    number, asked = large(told)
    with pytest.raises(EditConflict, match=r"^exception 1 waits for a second person: edit 1 of anna$"):
        do(told, "accept", number, "ben")
    confirm(told.site, asked.edit, "ben")
    with pytest.raises(EditConflict, match=r"^exception 1 is edited already, by anna 2026-05-13 00:00 UTC$"):
        do(told, "accept", number, "ben")
    with pytest.raises(EditConflict, match=r"^edit 1 is done already by ben$"):
        refuse(told.site, asked.edit, "anna")


def test_of_two_at_once_one_decides(told: Field) -> None:
    number = ask(told)
    barrier, outcomes = threading.Barrier(2), []

    def decides(by: str, value: int) -> None:
        barrier.wait()
        try:
            outcomes.append(do(told, "edit", number, by, values=[value, value]).state)
        except EditConflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=decides, args=one) for one in (("anna", 151), ("ben", 152))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict", "done"]
    with told.site.database.read() as tx:
        (edit,) = edits_of(tx, number)
    assert told.values(FIVE, 2) == list(edit.values)


def test_what_was_seen_must_still_be_so(told: Field) -> None:
    number = ask(told)
    with told.site.database.read() as tx:
        looked = seen(tx, told.site, exception_of(tx, number))
    told.settle()
    told.send(FIVE + 2 * HOUR, [171])  # beside it: nothing that was seen
    with told.site.database.read() as tx:
        assert seen(tx, told.site, exception_of(tx, number)) == looked
    told.send(FIVE, [901])
    with pytest.raises(EditConflict, match=r"^exception 1 or its reads have changed since you looked: look again$"):
        do(told, "accept", number, seen=looked)
    assert do(told, "accept", number, seen="").state == "done"


# ---- what cannot be ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"action": "accept", "reason": "because"}, "reason: found 'because', expected one of meter changed, "),
        ({"action": "accept", "by": "  "}, "by: found nothing, expected the name of who does it"),
        ({"action": "accept", "note": "x" * 2001}, "note: found 2001 characters, expected at most 2000"),
        ({"action": "burn"}, "action: found 'burn', expected one of accept, edit, estimate, reject"),
        ({"action": "edit"}, "values: found none, expected 2, one for each interval from 2026-02-12T05:00:00Z on"),
        ({"action": "edit", "values": [1]}, "values: found 1, expected 2, one for each interval"),
        ({"action": "edit", "values": [1, -1]}, "values: found -1 at 2026-02-12T06:00:00Z, expected 0 to 24000, which"),
        ({"action": "edit", "values": [24_001, 1]}, "values: found 24001 at 2026-02-12T05:00:00Z, expected 0 to 24000"),
        ({"action": "edit", "values": [2**70, 1]}, "values: found 1180591620717411303424 at 2026-02-12T05:00:00Z, exp"),
        ({"action": "edit", "values": [900, None]}, "values: found what stands already, expected at least one other"),
        ({"action": "estimate", "method": "guess"}, "method: found 'guess', expected one of register, linear, like_"),
        (
            {"action": "accept", "start_s": seconds(FIVE - HOUR)},
            "from: found 2026-02-12T04:00:00Z to 2026-02-12T07:00:00Z, expected a part of 2026-02-12T05:00:00Z to 2026",
        ),
        (
            {"action": "accept", "start_s": seconds(FIVE) + 60},
            "from: found 2026-02-12T05:01:00Z, expected the end of an interval of 3600 s",
        ),
        (
            {"action": "accept", "end_s": seconds(FIVE)},
            "from: found 2026-02-12T05:00:00Z to 2026-02-12T05:00:00Z, expected a part of",
        ),
    ],
)
def test_wrong_input_is_one_line_and_changes_nothing(told: Field, wrong: dict[str, Any], line: str) -> None:
    number = ask(told)
    before = store(told)
    for does in (decide, preview):
        with pytest.raises(InvalidInput) as refused:
            does(told.site, Decision(**{"exception": number, "by": "anna", "reason": REASON} | wrong))
        assert str(refused.value).startswith(line), str(refused.value)
    assert store(told) == before


def test_a_value_that_is_not_there_is_not_accepted_and_one_that_cannot_be_neither(field: Field) -> None:
    field.send(FIVE, [-5, 170])
    with pytest.raises(InvalidInput, match=r"^accept: found -5 at 2026-02-12T05:00:00Z, expected 0 to 24000, or an "):
        do(field, "accept")
    with pytest.raises(InvalidInput, match=r"^accept: found no value at 2026-02-13T05:00:00Z, expected a value: esti"):
        do(field, "accept", ask(field, FIVE + DAY))
    with pytest.raises(InvalidInput, match=r"^reject: found no value at all, expected a value: estimate or edit these"):
        do(field, "reject", ask(field, FIVE + DAY))


def test_numbers_nobody_gave_out(field: Field) -> None:
    with pytest.raises(NotFound, match=r"^no exception has the number 9$"):
        do(field, "accept", 9)
    for does in (confirm, refuse):
        with pytest.raises(NotFound, match=r"^no edit has the number 9$"):
            does(field.site, 9, "anna")
    with pytest.raises(NotFound, match=r"^no edit has the number 9$"):
        preview_again(field.site, 9)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"meter": "X"}, "no meter is called 'X'"),
        ({"obis": "1-0:2.8.0"}, "channel: found '1-0:2.8.0', expected one that E-1 has: 1-0:1.8.0"),
        ({"obis": "x"}, "channel: found 'x', expected an OBIS code such as 1-0:1.8.0"),
        ({"start": FIVE + timedelta(minutes=5)}, "from: found 2026-02-12T05:05:00Z, expected the end of an interval"),
        ({"end": FIVE}, "from: found 2026-02-12T05:00:00Z, expected a time before 2026-02-12T05:00:00Z"),
        ({"end": MONDAY + 101 * DAY}, "to: found 2026-05-14T00:00:00Z, expected intervals that are over"),
        (
            {"start": datetime(1999, 1, 1, tzinfo=FIVE.tzinfo)},
            "from: found 1999-01-01T00:00:00+00:00, expected at most",
        ),
        ({"by": ""}, "by: found nothing, expected the name of who does it"),
    ],
)
def test_what_cannot_be_looked_at(field: Field, wrong: dict[str, Any], line: str) -> None:
    asked = {"meter": "E-1", "obis": IMPORT.obis, "start": FIVE, "end": FIVE + 2 * HOUR, "by": "otto"} | wrong
    with pytest.raises(HeadendError) as refused:
        ask_to_look(field.site, **asked)
    assert str(refused.value).startswith(line), str(refused.value)


# ---- preview -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what",
    [
        {"action": "accept"},
        {"action": "reject"},
        {"action": "edit", "values": [151, None]},
        {"action": "estimate", "method": "linear"},
        {"action": "estimate", "method": "average"},
    ],
)
def test_a_preview_changes_nothing_and_says_what_happens(told: Field, what: dict[str, Any]) -> None:
    wanted = Decision(exception=ask(told), by="anna", reason=REASON, **what)
    before = store(told)
    shown = preview(told.site, wanted)
    assert store(told) == before
    assert shown.before.shown == [900, 900]
    happens(told, shown, decide(told.site, wanted))


def happens(field: Field, shown: Preview, done: Decided, hours: int = 2) -> None:
    """What was shown is what is."""
    assert (shown.change, shown.second_person) == (done.change, done.state == "waiting")
    for stretch, many in ((shown.after, hours), (shown.days_after, len(shown.days_after.values))):
        stands = field.stands(MONDAY + timedelta(seconds=stretch.start_s - seconds(MONDAY)), many)
        assert stretch.shown == stands.values
        assert stretch.quality.tolist() == stands.quality


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_decided_happens_as_it_was_shown(told: Field, data: st.DataObject) -> None:
    start = FIRST + data.draw(st.integers(2, DAYS - 3)) * DAY + data.draw(st.integers(0, 23)) * HOUR
    number = ask(told, start, 2)
    action = data.draw(st.sampled_from(["accept", "reject", "edit", "estimate"]))
    more: dict[str, Any] = {}
    if action == "edit":
        more["values"] = data.draw(st.lists(st.none() | st.integers(0, 24_000), min_size=2, max_size=2))
    elif action == "estimate":
        more["method"] = data.draw(st.sampled_from(["linear", "like_days", "average"]))
    wanted = decision(told, action, number, **more)
    before = store(told)
    try:
        shown = preview(told.site, wanted)
    except InvalidInput as refused:
        with pytest.raises(InvalidInput, match=f"^{re.escape(str(refused))}$"):
            decide(told.site, wanted)
        return
    assert store(told) == before
    happens(told, shown, decide(told.site, wanted))


def test_the_preview_shows_what_is_estimated_anew_beside_the_span(field: Field) -> None:
    tell(field, dict.fromkeys(FIVE + n * HOUR for n in range(4)))
    number = ask(field, FIVE - DAY, 4)
    wanted = decision(field, "edit", number, values=[450, 460, 470, 480])
    shown = preview(field.site, wanted)
    assert shown.after.shown == [450, 460, 470, 480]
    assert shown.days_before.start_s == seconds(FIVE - 5 * HOUR - DAY)
    assert shown.days_before.shown[29:33] == [150, 160, 170, 180]
    done = decide(field.site, wanted)
    assert shown.days_after.shown[29:33] == field.values(FIVE, 4) != [150, 160, 170, 180]
    assert shown.change == done.change == 1_200


def test_the_preview_tells_the_bill_of_another_month_that_is_estimated_anew(field: Field) -> None:
    tell(field, {FIRST + 5 * HOUR: None, FIRST + 6 * HOUR: None, FIRST + 7 * HOUR: None})
    shown = preview(field.site, decision(field, "edit", ask(field, FIRST + 7 * DAY + 6 * HOUR, 1), values=[9_000]))
    assert (shown.days_before.start_s, f"{FIRST:%Y-%m}") == (seconds(FIRST), "2026-01")
    january, february = shown.bills
    assert (january.period, february.period) == ("2026-01", "2026-02")
    assert january.change["EUR"] > 0 < february.change["EUR"]


def test_the_preview_tells_the_bill_to_the_cent(told: Field) -> None:
    shown = preview(told.site, decision(told, "edit", values=[150, 160]))
    (bill,) = shown.bills
    # February in Berlin is 28 days of 5.16 kWh and 1.49 kWh more: 145.97 kWh.
    energy = 28 * sum(SHAPE) + 1_490
    assert energy == 145_970
    net = [(Decimal(wh) * Decimal("0.3174") / 1000).quantize(Decimal("0.01")) for wh in (energy, energy - 1_490)]
    gross = [(one + Decimal("11.90"), (one + Decimal("11.90")) * Decimal("0.19")) for one in net]
    before, after = (total + tax.quantize(Decimal("0.01")) for total, tax in gross)
    assert (bill.account, bill.name, bill.period) == ("A-1", "Anna", "2026-02")
    assert (bill.before, bill.after, bill.change) == ({"EUR": before}, {"EUR": after}, {"EUR": after - before})
    assert (bill.refused_before, bill.refused_after, bill.provisional, bill.issued) == ("", "", False, None)


def test_the_preview_says_that_a_bill_was_issued(told: Field) -> None:
    office = office_of(told.site)
    for step in (rate_cycle, approve, issue):
        step(office, "2026-02", "monthly", "clara")
    (bill,) = preview(told.site, decision(told, "edit", values=[150, 160])).bills
    assert bill.issued == "A-1-2026-02-1"


def test_the_preview_says_which_bill_could_not_be_made_before(field: Field) -> None:
    # Nothing to estimate from at the class: a day that nobody read is missing in the bill.
    field.send(FIVE, [150, 160])
    (bill,) = preview(field.site, decision(field, "edit", values=[151, None])).bills
    assert bill.before is not None
    assert bill.refused_before.startswith("A-1/UP/electricity/2025-01-01: ")


def test_a_month_that_still_runs_is_provisional(told: Field) -> None:
    told.clock.now = MONDAY + 20 * DAY
    (bill,) = preview(told.site, decision(told, "edit", values=[150, 160])).bills
    assert (bill.provisional, bill.refused_before) == (True, "")


def test_a_channel_that_nobody_is_billed_for_has_no_bills(told: Field) -> None:
    tell(told, meter="E-2")
    number = ask_to_look(told.site, "E-2", IMPORT.obis, FIVE, FIVE + HOUR, "otto")
    assert preview(told.site, decision(told, "edit", number, values=[1])).bills == ()


def test_what_waits_can_be_foreseen_too(told: Field) -> None:
    _, asked = large(told)
    before = store(told)
    shown = preview_again(told.site, asked.edit)
    assert store(told) == before
    assert (shown.after.shown, shown.change, shown.second_person) == (LARGE, asked.change, True)


# ---- validation ----------------------------------------------------------------------------------------------------


def test_what_was_accepted_for_a_rule_is_not_found_again(told: Field) -> None:
    """A run of the same value, of which a person said that it is right."""
    tell(told, {FIVE - 5 * HOUR + n * HOUR: 77 for n in range(14)})
    with told.site.database.read() as tx:
        query = select(t.exception.c.id).where(t.exception.c.rule == "V10", t.exception.c.state == "open")
        (number,) = tx.execute(query).scalars()
    do(told, "accept", number)
    told.send(FIVE + 15 * HOUR, [301])  # the day is settled again
    told.settle()
    with told.site.database.read() as tx:
        assert tx.execute(query).all() == []
    one = exception(told, number)
    assert (one.outcome, set(told.stands(FIVE - 5 * HOUR, 14).quality)) == ("accepted", {Quality.VERIFIED})


def test_a_preview_knows_what_is_accepted_for_a_rule_that_fails(told: Field) -> None:
    """What ran on was only noted when it was settled, and would be refused by the rules of today."""
    tell(told, {FIVE - 5 * HOUR + n * HOUR: 77 for n in range(14)})
    with told.site.database.read() as tx:
        number = tx.execute(select(t.exception.c.id).where(t.exception.c.rule == "V10")).scalar_one()
    runs = told.site.rules.rules.runs.model_copy(update={"then": "fail"})
    everybodys = told.site.rules.rules.model_copy(update={"runs": runs})
    told.site = replace(told.site, rules=told.site.rules.model_copy(update={"rules": everybodys}))
    wanted = decision(told, "accept", number)
    shown = preview(told.site, wanted)
    assert shown.after.shown == [77] * 14
    happens(told, shown, decide(told.site, wanted), hours=14)


def test_of_use_over_days_what_is_there_can_be_accepted(field: Field) -> None:
    """An anomaly from the midnight before the meter was installed, up to a day that is not over."""
    installed, now = MONDAY + 10 * HOUR, MONDAY + 2 * DAY + 7 * HOUR
    field.enrol(site_file(meters=[meter("E-1", installed=installed.isoformat()), meter("E-2", usage_point="UP-2")]))
    field.clock.now = now
    field.send(installed, [100] * 20 + [None] + [100] * 20)
    key = field.channel().meter, IMPORT.code
    with field.site.database.write() as tx:
        leak = (*key, "leak", seconds(MONDAY), seconds(MONDAY + 3 * DAY), 0.8, "never below 100")
        open_anomalies(tx, [leak], "1", now)
        (number,) = tx.execute(select(t.exception.c.id).where(t.exception.c.rule == "leak")).scalars()
    assert preview(field.site, decision(field, "accept", number)).before.start_s == seconds(installed)
    do(field, "accept", number)
    assert set(field.stands(installed, 14).quality) == {Quality.VERIFIED}


def test_an_exception_of_a_rule_is_decided_like_one_by_hand(told: Field) -> None:
    its = told.channel()
    found = Finding(its.meter, IMPORT.code, seconds(FIVE), seconds(FIVE) + 7200, "V9", "warning", "900", review=True)
    with told.site.database.write() as tx:
        open_found(tx, [found], told.site.rules, {}, told.clock())
        (number,) = tx.execute(select(t.exception.c.id).where(t.exception.c.rule == "V9")).scalars()
    do(told, "estimate", number, method="linear")
    assert exception(told, number).outcome == "estimated"


def test_intervals_of_a_quarter_hour(tmp_path: Path) -> None:
    channel = {"channel": IMPORT.obis, "max_per_interval": 5_000, "register_digits": 9, "interval_s": 900}
    field = Field(tmp_path, site_file(meters=[meter("E-1", channels=[channel])]))
    values = np.arange(96) + 100
    for day in range(3):
        field.journal(
            {
                "meter": "E-1",
                "channel": IMPORT.obis,
                "start": (FIVE - 5 * HOUR + day * DAY).isoformat(),
                "interval_s": 900,
                "values": values.tolist(),
            }
        )
    while field.intake.step():
        pass
    field.settle()
    number = ask_to_look(field.site, "E-1", IMPORT.obis, FIVE, FIVE + HOUR, "otto")
    shown = preview(field.site, decision(field, "edit", number, values=[1, 2, 3, 4]))
    assert (shown.before.shown, shown.after.shown, shown.interval_s) == ([120, 121, 122, 123], [1, 2, 3, 4], 900)
    field.close()


# ---- PostgreSQL ----------------------------------------------------------------------------------------------------


@pytest.fixture
def there(tmp_path: Path, migrated_postgres_url: str) -> Iterator[Field]:
    made = Field(tmp_path, site_file(), postgres_url=migrated_postgres_url)
    tell(made, {FIVE: 900, FIVE + HOUR: 900})
    yield made
    made.close()


def test_on_postgresql_a_preview_is_taken_back_and_what_waits_changes_nothing(there: Field) -> None:
    before = store(there)
    wanted = decision(there, "reject", note="lid\0open")
    shown = preview(there.site, wanted)
    assert shown.after.shown == [150, 160]
    happens(there, shown, decide(there.site, wanted))
    assert exception(there, wanted.exception).note == "lid\ufffdopen"
    assert store(there) != before
    reads = there.everything()
    _, asked = large(there)
    assert (asked.state, there.everything()) == ("waiting", reads)
    assert confirm(there.site, asked.edit, "ben").state == "done"
    assert there.values(FIVE, 4) == LARGE


def test_on_postgresql_one_of_two_decides(there: Field) -> None:
    test_of_two_at_once_one_decides(there)


# ---- the command ---------------------------------------------------------------------------------------------------


def said(field: Field, *args: str) -> list[str]:
    """What the command says, line by line, without the lines of tables."""
    ended = headend(field.folder, "exception", *args)
    assert (ended.returncode, ended.stderr) == (0, "")
    return [" ".join(line.replace("│", " ").split()) for line in ended.stdout.splitlines()]


def test_the_command_tells_decides_and_confirms(told: Field, tmp_path: Path) -> None:
    two = ("--from", "2026-02-12T06:00:00+01:00", "--to", "2026-02-12T07:00:00Z")
    assert said(told, "ask", "--meter", "E-1", "--channel", IMPORT.obis, *two, "--note", "too much?") == ["1"]
    assert "1 1.00 hand E-1 1-0:1.8.0 2026-02-12 05:00 2026-02-12 07:00 open too much?" in said(told, "list")
    before = store(told)
    foreseen = said(told, "edit", "1", "--reason", REASON, "--values", "20000, 20000", "--preview")
    assert "2026-02-12 05:00 900 validated 20,000 edited by hand" in foreseen
    assert "the energy would change by +38,200 Wh" in foreseen
    assert "A-1 2026-02: 69.29 EUR before, 83.73 EUR after" in foreseen
    assert foreseen[-1] == "nothing was changed"
    assert store(told) == before
    (tmp_path / "values").write_text("24000\n24000\n")
    third = said(
        told,
        "ask",
        "--meter",
        "E-1",
        "--channel",
        IMPORT.obis,
        "--from",
        "2026-02-12T05:00Z",
        "--to",
        "2026-02-12T08:00Z",
    )
    (tmp_path / "values").write_text("24000\n24000\n24000\n")
    assert said(told, "edit", *third, "--reason", REASON, "--values-file", str(tmp_path / "values")) == [
        "edit 1 waits: it changes +70,030, which another person has to confirm (headend exception confirm 1)"
    ]
    assert said(told, "list", "--state", "waiting")[3].endswith("waits for a second person anna asks to look")
    assert "the energy would change by +70,030 Wh; more than 50,000 Wh: another person has to confirm it" in said(
        told, "confirm", "1", "--preview"
    )
    same = headend(told.folder, "exception", "confirm", "1")
    assert (same.returncode, same.stderr) == (
        1,
        "headend: edit 1 was asked for by anna: another person has to confirm it\n",
    )
    assert said(told, "refuse", "1", "--by", "ben") == ["edit 1 is refused: its exception is open again"]
    assert said(told, "estimate", "1", "--reason", REASON, "--method", "linear") == [
        "edit 2 is done: the energy changed by -1,490"
    ]
    shown = said(told, "show", "1")
    assert shown[0].startswith("exception 1: ")
    assert shown[0].endswith("E-1 1-0:1.8.0, 2026-02-12 05:00 to 2026-02-12 07:00 UTC, estimated by anna")
    assert "2026-02-12 06:00 160 estimated: method chosen by a person 2" in shown
    assert shown[-1].startswith(f"edit 2 done: estimate by linear, -1,490 Wh, {REASON} (anna ")
    assert said(told, "reject", *third, "--reason", REASON, "--by", "ben")[0].startswith("edit 3 is done")


def test_the_command_for_machines(told: Field) -> None:
    number = ask(told)
    listed = json.loads(headend(told.folder, "exception", "list", "--json").stdout)
    assert (listed["total"], listed["exceptions"][0]["id"], listed["by_rule"]) == (1, number, {"hand": 1})
    shown = json.loads(headend(told.folder, "exception", "show", str(number), "--json").stdout)
    assert (shown["values"], shown["quality"]) == ([900, 900], [2, 2])
    foreseen = json.loads(
        headend(told.folder, "exception", "reject", str(number), "--reason", REASON, "--preview", "--json").stdout
    )
    assert (foreseen["after"]["values"], foreseen["change"]) == ([150, 160], -1490)
    done = json.loads(headend(told.folder, "exception", "accept", str(number), "--reason", REASON, "--json").stdout)
    assert done == {"edit": 1, "state": "done", "change": 0}


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("show", "9"), "no exception has the number 9"),
        (("accept", "1"), "Missing option '--reason'."),
        (("accept", "1", "--reason", "x"), "reason: found 'x', expected one of meter changed, "),
        (("edit", "1", "--reason", REASON), "--values: found nothing, expected either --values or --values-file"),
        (("edit", "1", "--reason", REASON, "--values", "1,x"), "value 2: found 'x', expected a whole number of units"),
        (("edit", "1", "--reason", REASON, "--values", "1"), "values: found 1, expected 2, one for each interval from"),
        (("estimate", "1", "--reason", REASON, "--method", "x"), "Invalid value for '--method': "),
        (("reject", "1", "--reason", REASON, "--from", "x"), "--from: found 'x', expected a time with Z or an offset"),
        (("refuse", "9"), "no edit has the number 9"),
    ],
)
def test_wrong_input_of_the_command_is_one_line(told: Field, args: tuple[str, ...], line: str) -> None:
    ask(told)
    ended = headend(told.folder, "exception", *args)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert ended.stderr.startswith(f"headend: {line}"), ended.stderr
