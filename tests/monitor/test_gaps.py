"""Gaps: what gateways are asked for by itself, and what they are left alone with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headend.jobs import Jobs
from headend.monitor.gaps import ATTEMPTS, ask_for_gaps, gaps_of
from headend.reads.days import seconds
from headend.reads.quality import Quality
from headend.store import tables as t
from headend.store.commandkinds import MAX_GAPS
from headend.store.commands import Command, commands_of, expire, mark_sent, queue_command, take_result
from headend.store.journal import Arrival
from tests.process.field import DAY, HOUR, Field, meter, registry, run
from tests.store.test_commands import result

MIDNIGHT = datetime(2026, 2, 5, tzinfo=UTC)
#: 12:30; what is missing for more than two hours had ended by 10:30, so 10:00 is the last end that is asked for. Three
#: days back is 12:30 on the 2nd: the first hour to be asked for begins at 13:00.
NOW = MIDNIGHT + timedelta(hours=12, minutes=30)
FIRST, LAST = datetime(2026, 2, 2, 13, tzinfo=UTC), MIDNIGHT + 10 * HOUR


class Watch:
    """One gateway with one hourly meter that has told every hour up to now, unless a test says otherwise."""

    def __init__(self, folder: Path) -> None:
        self.field = Field(folder, registry(meter("E-1", gateway="GW")))
        self.field.clock.now = NOW
        self.heard("GW")

    def heard(self, name: str) -> None:
        with self.field.site.database.write() as tx:
            tx.execute(
                t.gateway.update().where(t.gateway.c.name == name).values(native=True, first_seen_s=1, last_seen_s=1)
            )

    def tell_all_but(self, *missing: datetime, later: timedelta = timedelta(0)) -> None:
        """Every hour that is over at some time after `NOW`."""
        self.field.clock.now = NOW + later
        hours = (FIRST - DAY + n * HOUR for n in range(24 * 6))
        self.field.journal(*(run(hour, [100]) for hour in hours if hour not in missing and hour + HOUR <= NOW + later))
        while self.field.intake.step():
            pass

    def ask(self, later: timedelta = timedelta(0)) -> list[dict[str, Any]]:
        """The gaps that are asked for at some time after `NOW`; the first gateway's, if there are more."""
        self.field.clock.now = NOW + later
        if not ask_for_gaps(self.field.site):
            return []
        return self.newest().args["gaps"]

    def newest(self) -> Command:
        with self.field.site.database.read() as tx:
            return commands_of(tx, limit=1)[0]

    def ends(self, state: str = "done", later: timedelta = timedelta(0)) -> None:
        """The newest command is sent, and answered."""
        number = self.newest().id
        with self.field.site.database.write() as tx:
            mark_sent(tx, number, NOW + later)
            take_result(tx, "GW", result(number, state), NOW + later)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    made = Watch(tmp_path)
    yield made
    made.field.close()


def gap(first: datetime, end: datetime, meter: str = "E-1") -> dict[str, str]:
    def text(at: datetime) -> str:
        return f"{at:%Y-%m-%dT%H:%M:%SZ}"

    return {"meter": meter, "channel": "1-0:1.8.0", "from": text(first), "to": text(end)}


# ---- what is asked for -------------------------------------------------------------------------------------------


def test_nothing_missing_asks_for_nothing(watch):
    watch.tell_all_but()
    assert watch.ask() == []


def test_missing_hours_are_asked_for_as_runs(watch):
    evening = MIDNIGHT - 2 * HOUR
    watch.tell_all_but(MIDNIGHT - DAY + 3 * HOUR, evening, evening + HOUR, MIDNIGHT, MIDNIGHT + 5 * HOUR)
    assert watch.ask() == [
        gap(MIDNIGHT - DAY + 3 * HOUR, MIDNIGHT - DAY + 4 * HOUR),
        gap(evening, MIDNIGHT + HOUR),
        gap(MIDNIGHT + 5 * HOUR, MIDNIGHT + 6 * HOUR),
    ]
    command = watch.newest()
    assert (command.gateway, command.kind, command.created_by) == ("GW", "backfill", "gap detection")
    assert command.expires == NOW + DAY


def test_a_meter_that_never_told_anything_is_asked_for_the_whole_window(watch):
    assert watch.ask() == [gap(FIRST, LAST)]


def test_hours_outside_the_window_and_younger_than_two_hours_are_not_asked_for(watch):
    watch.tell_all_but(FIRST - HOUR, LAST)
    assert watch.ask() == []
    assert watch.ask(timedelta(minutes=29)) == []
    assert watch.ask(timedelta(minutes=30)) == [gap(LAST, LAST + HOUR)]


def test_an_estimate_is_a_gap_still(watch):
    hour = MIDNIGHT - DAY + 3 * HOUR
    watch.tell_all_but(hour)
    watch.field.settle(NOW)
    assert watch.field.stands(hour, 1).quality == [Quality.ESTIMATED_LINEAR]
    assert watch.ask() == [gap(hour, hour + HOUR)]


def test_hours_before_installation_and_after_removal_are_not_missing(watch):
    begin, end = MIDNIGHT - DAY + HOUR / 2, MIDNIGHT - HOUR / 2
    with watch.field.site.database.write() as tx:
        tx.execute(t.installation.update().values(installed_s=seconds(begin), removed_s=seconds(end)))
    assert watch.ask() == [gap(MIDNIGHT - DAY + HOUR, MIDNIGHT - HOUR)]


def test_each_gateway_is_asked_for_its_own_meters_whatever_their_interval(watch):
    quarter = {"channel": "1-0:1.8.0", "max_per_interval": 20_000, "interval_s": 900}
    others = [meter("E-2", gateway="GW-2", channels=[quarter]), meter("E-3")]
    watch.field.enrol(registry(meter("E-1", gateway="GW"), *others))
    with watch.field.site.database.write() as tx:
        tx.execute(t.gateway.insert().values(name="GW-2", messages=1, native=True, first_seen_s=1))
    assert ask_for_gaps(watch.field.site) == 2
    with watch.field.site.database.read() as tx:
        (first,), (second,) = commands_of(tx, "GW"), commands_of(tx, "GW-2")
    assert first.args["gaps"] == [gap(FIRST, LAST)]
    # Of quarters of an hour the one from 12:30 on is in the window, and the one up to 10:30.
    assert second.args["gaps"] == [gap(FIRST - HOUR / 2, LAST + HOUR / 2, meter="E-2")]


# ---- what is not -------------------------------------------------------------------------------------------------


def test_only_gateways_that_hear_commands_are_asked(watch):
    changes: list[dict[str, Any]] = [{"native": False}, {"native": True, "revoked_s": 1}]
    for change in changes:
        with watch.field.site.database.write() as tx:
            tx.execute(t.gateway.update().values(**change))
        assert watch.ask() == []
    with watch.field.site.database.write() as tx:
        tx.execute(t.gateway.update().values(revoked_s=None))
        tx.execute(t.modbus_device.insert().values(meter_id=1, profile="sdm630", address="tcp://meter:502", unit=1))
    assert watch.ask() == []


def test_a_gateway_that_has_not_answered_is_not_asked_again(watch):
    assert watch.ask()
    for later in (HOUR, 3 * HOUR):
        assert watch.ask(later) == []


def test_a_gap_is_asked_for_three_times_two_hours_apart(watch):
    hour = MIDNIGHT - HOUR
    for attempt in range(ATTEMPTS):
        later = attempt * 2 * HOUR
        watch.tell_all_but(hour, later=later)
        assert watch.ask(later) == [gap(hour, MIDNIGHT)]
        watch.ends("failed" if attempt else "done", later)
        assert watch.ask(later + HOUR) == []
    watch.tell_all_but(hour, later=DAY)
    assert watch.ask(DAY) == []


def test_a_command_that_was_never_sent_is_no_attempt(watch):
    hour = MIDNIGHT - HOUR
    watch.tell_all_but(hour)
    for _ in range(ATTEMPTS + 1):
        assert watch.ask() == [gap(hour, MIDNIGHT)]
        with watch.field.site.database.write() as tx:
            expire(tx, NOW + DAY)


def test_a_person_who_asked_counts_as_an_attempt(watch):
    hour = MIDNIGHT - HOUR
    watch.tell_all_but(hour)
    with watch.field.site.database.write() as tx:
        args = {"gaps": [gap(hour - HOUR, MIDNIGHT + HOUR)]}
        queue_command(tx, "GW", "backfill", args, by="olga", now=NOW, expires=NOW + DAY)
    assert watch.ask() == []
    watch.ends()
    assert watch.ask() == []
    watch.tell_all_but(hour, later=2 * HOUR)
    assert watch.ask(2 * HOUR) == [gap(hour, MIDNIGHT)]


def test_what_was_answered_is_not_asked_for_again(watch):
    hour = MIDNIGHT - HOUR
    watch.tell_all_but(hour)
    assert watch.ask() == [gap(hour, MIDNIGHT)]
    watch.ends()
    watch.tell_all_but(later=2 * HOUR)
    assert watch.ask(2 * HOUR) == []


def test_more_gaps_than_a_command_holds_come_in_their_turn(watch):
    minute = {"channel": "1-0:1.8.0", "max_per_interval": 20_000, "interval_s": 60}
    watch.field.enrol(registry(meter("E-1", gateway="GW"), meter("E-4", gateway="GW", channels=[minute])))
    watch.tell_all_but()
    second_minute = NOW - 3 * DAY + timedelta(minutes=1)
    every_other = [second_minute + timedelta(minutes=2 * n) for n in range(2_160)]
    watch.field.journal(*(run(at, [100], meter="E-4") | {"interval_s": 60} for at in every_other))
    watch.field.intake.step()
    first = watch.ask()
    assert len(first) == MAX_GAPS
    assert first[0] == gap(NOW - 3 * DAY, NOW - 3 * DAY + timedelta(minutes=1), "E-4")
    watch.ends()
    second = watch.ask(timedelta(minutes=5))
    assert second[0]["from"] == f"{NOW - 3 * DAY + timedelta(minutes=1_000):%Y-%m-%dT%H:%M:%SZ}"


def test_what_the_meter_itself_has_lost_is_not_asked_for(watch):
    watch.tell_all_but(FIRST + 2 * HOUR, FIRST + 3 * HOUR)
    watch.field.send(FIRST + 2 * HOUR, [None])
    assert watch.ask() == [gap(FIRST + 3 * HOUR, FIRST + 4 * HOUR)]


# ---- the job -----------------------------------------------------------------------------------------------------


def test_job_waits_while_what_is_missing_may_be_in_the_journal(watch):
    site = watch.field.site
    message = {"seq": 1, "sent_at": NOW.isoformat(), "blocks": [run(MIDNIGHT, [100])]}
    payload = json.dumps(message).encode()
    waits_s = site.settings.process.behind_after_s + 1
    arrival = Arrival((seconds(NOW) - waits_s) * 1_000_000, "headend/v1/GW/reads", "GW", payload, len(payload))
    site.journal.append([arrival])
    Jobs(site).backfill()
    with site.database.read() as tx:
        assert commands_of(tx) == []
    while watch.field.intake.step():
        pass
    Jobs(site).backfill()
    assert watch.newest().args["gaps"] == [gap(FIRST, MIDNIGHT), gap(MIDNIGHT + HOUR, LAST)]


# ---- what people ask for ---------------------------------------------------------------------------------------------


def test_one_gateways_gaps_reach_up_to_now_however_often_they_were_asked_for(watch):
    old, young = MIDNIGHT, MIDNIGHT + 11 * HOUR
    watch.tell_all_but(old, young)
    for attempt in range(ATTEMPTS):
        watch.ask(attempt * 3 * HOUR)
        watch.ends("failed", attempt * 3 * HOUR)
    watch.field.clock.now = NOW
    with watch.field.site.database.read() as tx:
        found = gaps_of(tx, watch.field.site, "GW")
        assert gaps_of(tx, watch.field.site, "another") == []
    assert [(gap.start_s, gap.end_s) for gap in found] == [
        (seconds(begin), seconds(begin + HOUR)) for begin in (old, young)
    ]
