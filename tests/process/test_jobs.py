"""The jobs: each asks the clock what is due, and does it once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from headend.jobs import Jobs
from headend.office import office_of

from .field import DAY, HOUR, MONDAY, Field, run


def periods(field: Field) -> list[str]:
    with field.site.database.read() as tx:
        return [cycle.period for cycle in office_of(field.site).ledger(tx).cycles()]


def test_settlement_waits_while_the_journal_holds_more_than_a_batch(field: Field) -> None:
    field.send(MONDAY, [100] * 24)
    field.clock.now = MONDAY + DAY + 7 * HOUR
    batch = field.site.settings.process.batch_messages
    for _ in range(batch + 1):
        field.journal(run(MONDAY, [100]))
    Jobs(field.site).settle()
    with field.site.database.read() as tx:
        assert len(field.site.store.open_days(tx, 30_000)) == 1
    while field.intake.step():
        pass
    Jobs(field.site).settle()
    with field.site.database.read() as tx:
        assert field.site.store.open_days(tx, 30_000) == []


def test_last_month_is_rated_once_from_its_day_on(field: Field) -> None:
    jobs = Jobs(field.site)
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


def test_scheduler_runs_and_stops(field: Field) -> None:
    jobs = Jobs(field.site)
    jobs.start()
    jobs.stop()
