"""The queue of exceptions: each thing once, nothing that was decided twice, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, insert

from headend.config import shipped
from headend.errors import NotFound
from headend.reads import Channel
from headend.reads.days import microseconds
from headend.store import tables as t
from headend.store.database import Database
from headend.store.exceptions import (
    Choice,
    Passed,
    ReadException,
    clear_unfound,
    close,
    close_forgotten,
    count,
    counts_by_rule,
    exception_of,
    exceptions,
    holds,
    open_anomalies,
    open_by_hand,
    open_found,
    passed,
    set_state,
)
from headend.vee import Finding, load_rule_set
from headend.vee.findings import Severity

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
RULES = load_rule_set(shipped("vee.toml"))
IMPORT = Channel.parse("1-0:1.8.0").code
HOUR = 3600
DAY = 86_400
#: A midnight.
T0 = 20_500 * DAY
CLASS_OF = {(1, IMPORT): "residential", (2, IMPORT): "commercial"}


@pytest.fixture
def tx(site_database: Database) -> Iterator[Connection]:
    with site_database.write() as tx:
        for key, name in ((1, "E-1"), (2, "E-2")):
            tx.execute(insert(t.meter).values(id=key, name=name, commodity="electricity"))
            tx.execute(
                insert(t.meter_channel).values(
                    meter_id=key, channel=IMPORT, interval_s=HOUR, max_per_interval=20_000, register_digits=9
                )
            )
        yield tx


def finding(
    first: int, end: int, detail: str, *, rule: str = "V10", meter: int = 1, severity: Severity = "warning"
) -> Finding:
    """Over hours [first, end) from T0."""
    return Finding(meter, IMPORT, T0 + first * HOUR, T0 + end * HOUR, rule, severity, detail, review=True)


def found(tx: Connection, *findings: Finding, now: datetime = NOW) -> int:
    return open_found(tx, findings, RULES, CLASS_OF, now)


def the_only(tx: Connection, choice: Choice | None = None) -> ReadException:
    (one,) = exceptions(tx, choice or Choice(state="all"))
    return one


def hours_of(one: ReadException) -> tuple[int, int]:
    return (one.start_s - T0) // HOUR, (one.end_s - T0) // HOUR


def test_a_finding_that_wants_review_becomes_an_exception(tx: Connection) -> None:
    assert found(tx, finding(0, 30, "0 for 30 hours")) == 1
    one = the_only(tx)
    assert (one.meter, one.meter_name, one.channel.obis, one.rule, one.state) == (
        1,
        "E-1",
        "1-0:1.8.0",
        "V10",
        "open",
    )
    assert (one.start_s, one.end_s, one.detail, one.severity, one.score) == (
        T0,
        T0 + 30 * HOUR,
        "0 for 30 hours",
        "warning",
        0.5,
    )
    assert (one.rule_set, one.holds_bill, one.outcome, one.opened) == (RULES.version, False, None, NOW)
    assert exception_of(tx, one.id) == one


def test_one_that_wants_no_review_does_not(tx: Connection) -> None:
    assert open_found(tx, [Finding(1, IMPORT, T0, T0 + HOUR, "V9", "warning", "x")], RULES, CLASS_OF, NOW) == 0
    assert count(tx, Choice(state="all")) == 0


def test_findings_that_touch_are_one_exception_with_the_worst_severity(tx: Connection) -> None:
    rows = finding(2, 3, "b", severity="failed"), finding(3, 5, "c"), finding(1, 2, "a"), finding(7, 8, "d")
    assert found(tx, *rows) == 2
    apart, joined = sorted(exceptions(tx, Choice()), key=hours_of, reverse=True)
    assert (hours_of(joined), joined.severity, joined.score, joined.detail) == ((1, 5), "failed", 0.7, "c")
    assert (hours_of(apart), apart.severity) == ((7, 8), "warning")


def test_other_rules_channels_and_meters_are_other_exceptions(tx: Connection) -> None:
    rows = finding(0, 2, "a"), finding(0, 2, "a", rule="V9"), finding(0, 2, "a", meter=2)
    assert found(tx, *rows) == 3
    assert counts_by_rule(tx, Choice()) == {"V10": 2, "V9": 1}
    assert count(tx, Choice(meter="E-2")) == 1
    assert count(tx, Choice(rule="V10", meter="E-1", severity="warning")) == 1
    assert count(tx, Choice(rule="V10", severity="failed")) == 0


def test_an_open_one_is_extended_by_what_touches_it_with_the_newest_detail(tx: Connection) -> None:
    found(tx, finding(0, 24, "0 for 24 hours"))
    assert found(tx, finding(24, 48, "0 for 48 hours"), now=LATER) == 0
    one = the_only(tx)
    assert (hours_of(one), one.detail, one.opened, one.changed) == ((0, 48), "0 for 48 hours", NOW, LATER)


def test_the_same_again_changes_nothing(tx: Connection) -> None:
    found(tx, finding(0, 24, "0 for 24 hours"))
    before = the_only(tx)
    assert found(tx, finding(0, 24, "0 for 24 hours"), now=LATER) == 0
    assert the_only(tx) == before


def test_what_lies_between_two_open_ones_makes_them_one(tx: Connection) -> None:
    found(tx, finding(0, 3, "a"), finding(5, 8, "b"))
    assert found(tx, finding(3, 5, "c"), now=LATER) == 0
    one = the_only(tx, Choice())
    assert (hours_of(one), one.detail) == ((0, 8), "c")
    other = the_only(tx, Choice(state="closed"))
    assert (other.outcome, other.note) == ("cleared", f"part of exception {one.id} now")


@pytest.mark.parametrize("outcome", ["accepted", "edited", "estimated", "rejected"])
def test_a_decided_one_does_not_come_back_with_the_same_numbers(tx: Connection, outcome: str) -> None:
    found(tx, finding(0, 24, "0 for 24 hours"))
    close(tx, the_only(tx).id, outcome, by="anna", now=LATER, reason="other")  # type: ignore[arg-type]
    assert found(tx, finding(0, 24, "0 for 24 hours")) == 0
    assert found(tx, finding(0, 24, "5 for 24 hours")) == 1
    assert found(tx, finding(24, 48, "0 for 24 hours")) == 0  # touches the new one
    assert hours_of(the_only(tx, Choice())) == (0, 48)


def test_a_meter_that_stays_silent_is_no_news_and_one_that_falls_silent_again_is(tx: Connection) -> None:
    found(tx, finding(0, 96, "nothing was read for 4 days", rule="V13"))
    close(tx, the_only(tx).id, "accepted", by="anna", now=NOW, reason="other")
    assert found(tx, finding(0, 120, "nothing was read for 5 days", rule="V13"), now=LATER) == 0
    assert found(tx, finding(24, 144, "nothing was read for 5 or more days", rule="V13"), now=LATER) == 0
    assert found(tx, finding(240, 336, "nothing was read for 4 days", rule="V13"), now=LATER) == 1


def test_what_others_did_is_no_news(tx: Connection) -> None:
    found(tx, finding(0, 24, "500 a day — others like it are at 90 %", rule="V11"))
    close(tx, the_only(tx).id, "accepted", by="anna", now=NOW, reason="other")
    assert found(tx, finding(0, 24, "500 a day — others like it are at 95 %", rule="V11"), now=LATER) == 0
    assert found(tx, finding(0, 24, "501 a day — others like it are at 95 %", rule="V11"), now=LATER) == 1


def test_a_cleared_one_comes_back(tx: Connection) -> None:
    found(tx, finding(0, 24, "0 for 24 hours"))
    close(tx, the_only(tx).id, "cleared", by="rules", now=LATER)
    assert found(tx, finding(0, 24, "0 for 24 hours")) == 1


def test_what_is_not_found_again_is_cleared(tx: Connection) -> None:
    found(
        tx, finding(2, 5, "a"), finding(30, 31, "b", rule="V9"), finding(40, 60, "c"), finding(2, 5, "v13", rule="V13")
    )
    # Two days are looked at, one after the other: only the exception that goes on beyond them is not judged.
    looked_at = [(1, IMPORT, T0 + DAY, T0 + 2 * DAY), (1, IMPORT, T0, T0 + DAY)]
    assert clear_unfound(tx, looked_at, [finding(30, 31, "b", rule="V9")], by="rules 2026-2", now=LATER) == 1
    (gone,) = exceptions(tx, Choice(state="closed"))
    assert (hours_of(gone), gone.outcome, gone.changed_by, gone.changed) == (
        (2, 5),
        "cleared",
        "rules 2026-2",
        LATER,
    )
    assert counts_by_rule(tx, Choice()) == {"V10": 1, "V13": 1, "V9": 1}


def test_what_waits_for_a_second_person_is_not_cleared(tx: Connection) -> None:
    found(tx, finding(2, 5, "a"))
    set_state(tx, the_only(tx).id, "waiting", by="anna", now=NOW)
    assert clear_unfound(tx, [(1, IMPORT, T0, T0 + DAY)], [], by="rules", now=LATER) == 0
    assert count(tx, Choice(state="waiting")) == count(tx, Choice()) == 1
    assert count(tx, Choice(state="open")) == 0


def test_a_rule_that_holds_bills_does_so_until_somebody_decided(tx: Connection) -> None:
    found(tx, finding(0, 24, "high", rule="V11"), finding(0, 24, "zero"))
    (held,) = holds(tx, T0 + 23 * HOUR, T0 + 50 * HOUR)
    assert (held.rule, held.holds_bill) == ("V11", True)
    assert [count(tx, Choice(holds_bill=asked)) for asked in (True, False, None)] == [1, 1, 2]
    assert holds(tx, T0 + 24 * HOUR, T0 + 50 * HOUR) == holds(tx, T0 - HOUR, T0) == []
    close(tx, held.id, "accepted", by="anna", now=LATER, reason="usage confirmed")
    assert holds(tx, T0, T0 + DAY) == []


def test_an_anomaly_that_goes_on_is_one_exception_and_comes_back_only_if_worse(tx: Connection) -> None:
    def told(end: int, score: float) -> int:
        row = 2, IMPORT, "leak", T0, T0 + end * DAY, score, f"never below 20 litres for {end} days"
        return open_anomalies(tx, [row], "2026-2", LATER)

    assert (told(5, 0.6), told(6, 0.65)) == (1, 0)
    one = the_only(tx)
    assert (one.rule, one.score, one.end_s, one.detail) == (
        "leak",
        0.65,
        T0 + 6 * DAY,
        "never below 20 litres for 6 days",
    )
    close(tx, one.id, "accepted", by="anna", now=LATER, reason="usage confirmed")
    assert (told(7, 0.7), told(8, 0.8)) == (0, 1)


def test_the_most_urgent_comes_first_and_pages_do_not_overlap(tx: Connection) -> None:
    found(tx, finding(0, 1, "a"), finding(5, 6, "b", severity="failed"), finding(9, 10, "c"))
    open_by_hand(tx, (2, IMPORT), T0, T0 + HOUR, rule_set="2026-2", by="anna", note="", now=NOW)
    assert [one.detail for one in exceptions(tx, Choice())] == ["anna asks to look", "b", "c", "a"]
    assert [one.detail for one in exceptions(tx, Choice(), limit=2, skip=1)] == ["b", "c"]


def test_what_was_accepted_is_passed_until_another_version_stands(tx: Connection) -> None:
    found(tx, finding(0, 24, "a"))
    edit = {
        "exception_id": the_only(tx).id,
        "action": "accept",
        "start_s": T0,
        "end_s": T0 + DAY,
        "reason": "usage confirmed",
        "note": "",
        "change": 0,
        "made_us": microseconds(NOW),
        "made_by": "anna",
    }
    tx.execute(insert(t.edit).values(edit | {"state": "refused"}))
    assert passed(tx, [(1, IMPORT)], T0, T0 + DAY) == []
    tx.execute(insert(t.edit).values(edit | {"state": "done"}))
    assert passed(tx, [(1, IMPORT)], T0 + 23 * HOUR, T0 + 30 * HOUR) == [Passed(1, IMPORT, T0, T0 + DAY, "V10")]
    assert passed(tx, [(2, IMPORT)], T0, T0 + DAY) == passed(tx, [(1, IMPORT)], T0 + DAY, T0 + 2 * DAY) == []
    version = {"meter": 1, "channel": IMPORT, "version": 1, "value": 5, "quality": 2, "superseded_by": "journal 7"}
    for hour, when in ((0, LATER), (7, LATER), (9, NOW)):
        row = version | {"start_s": T0 + hour * HOUR, "superseded_us": microseconds(when)}
        tx.execute(insert(t.interval_history).values(row))
    assert [(p.start_s - T0) // HOUR for p in passed(tx, [(1, IMPORT)], T0, T0 + DAY)] == [1, 8]
    assert [(p.end_s - T0) // HOUR for p in passed(tx, [(1, IMPORT)], T0, T0 + DAY)] == [7, 24]


def test_a_number_nobody_gave_out(tx: Connection) -> None:
    with pytest.raises(NotFound, match=r"^no exception has the number 7$"):
        exception_of(tx, 7)


def test_what_nobody_decided_is_closed_when_its_reads_are_no_longer_kept(tx: Connection) -> None:
    found(tx, finding(0, 24, "0 for 24 hours"), finding(48, 72, "0 for 24 hours"))
    assert close_forgotten(tx, T0 + 24 * HOUR, by="retention", now=LATER) == 1
    assert hours_of(the_only(tx, Choice())) == (48, 72)
    (old,) = exceptions(tx, Choice(state="closed"))
    assert (old.outcome, old.changed_by, old.note) == ("cleared", "retention", "its reads are no longer kept")
    assert close_forgotten(tx, T0 + 24 * HOUR, by="retention", now=LATER) == 0
