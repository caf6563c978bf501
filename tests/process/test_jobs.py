"""The jobs: each asks the clock what is due, and does it once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from headend.jobs import Jobs
from headend.office import office_of
from headend.registry.site_file import SiteFile

from .field import DAY, HOUR, MONDAY, Field, run


def periods(field: Field) -> list[str]:
    with field.site.database.read() as tx:
        return [cycle.period for cycle in office_of(field.site).ledger(tx).cycles()]


def open_days(field: Field) -> int:
    with field.site.database.read() as tx:
        return len(field.site.store.open_days(tx, 30_000))


def test_settlement_waits_while_a_message_has_waited_in_the_journal_for_more_than_a_moment(field: Field) -> None:
    field.send(MONDAY, [100] * 24)
    field.clock.now = MONDAY + DAY + 7 * HOUR
    field.journal(run(MONDAY, [100]))
    field.clock.now += timedelta(seconds=field.site.settings.process.behind_after_s + 1)
    Jobs(field.site).settle()
    assert open_days(field) == 1
    while field.intake.step():
        pass
    Jobs(field.site).settle()
    assert open_days(field) == 0


def test_settlement_does_not_wait_for_the_traffic_of_a_moment(field: Field) -> None:
    field.send(MONDAY, [100] * 24)
    field.clock.now = MONDAY + DAY + 7 * HOUR
    for _ in range(1_001):
        field.journal(run(MONDAY + DAY, [100]))
    field.clock.now += timedelta(seconds=field.site.settings.process.behind_after_s)
    Jobs(field.site).settle()
    assert open_days(field) == 0


def test_days_of_which_nothing_came_are_looked_for_once_a_day_and_late_reads_at_any_time(field: Field) -> None:
    jobs = Jobs(field.site)
    for day in range(14):
        field.send(MONDAY + day * DAY, [100] * 24)
    field.clock.now = MONDAY + 15 * DAY + 7 * HOUR
    jobs.settle()
    assert field.values(MONDAY + 14 * DAY, 24) == [100] * 24
    field.send(MONDAY + 14 * DAY, [120] * 24)
    jobs.settle()
    assert (field.values(MONDAY + 14 * DAY, 24), open_days(field)) == ([120] * 24, 0)
    field.clock.now += DAY
    jobs.settle()
    assert None not in field.values(MONDAY + 15 * DAY, 24)


def test_last_month_is_rated_once_from_its_day_on(field: Field) -> None:
    jobs = Jobs(field.site)
    home = {"usage_point": "UP", "commodity": "electricity", "tariff": "home-flat", "valid_from": "2026-01-01"}
    ada = {"id": "A", "name": "Ada", "agreements": [home]}
    field.enrol(SiteFile.model_validate(field.enrolled.model_dump() | {"accounts": [ada]}))
    field.clock.now = datetime(2026, 3, 2, 22, 59, tzinfo=UTC)  # in Berlin still the 2nd
    jobs.bill()
    assert periods(field) == []
    field.clock.now += timedelta(minutes=1)
    jobs.bill()
    jobs.bill()
    assert periods(field) == ["2026-02"]
    field.clock.now = datetime(2026, 4, 20, tzinfo=UTC)
    jobs.bill()
    assert periods(field) == ["2026-03", "2026-02"]


def test_a_month_in_which_nobody_is_to_be_billed_is_not_rated(field: Field) -> None:
    field.clock.now = datetime(2026, 3, 20, tzinfo=UTC)
    Jobs(field.site).bill()
    assert periods(field) == []


def test_scheduler_runs_and_stops(field: Field) -> None:
    jobs = Jobs(field.site)
    jobs.start()
    jobs.stop()
