"""Retention: what is older goes, to the row; what is younger, not yet billed or the record stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Table, event, func, insert, select

from headend.billing.approval import approve, issue
from headend.billing.run import rate_cycle
from headend.jobs import Jobs
from headend.office import office_of
from headend.process.retention import forget_old
from headend.reads.days import day_number, seconds
from headend.site import Site
from headend.store import tables as t

from .field import DAY, HOUR, IMPORT, MONDAY, Field, meter, registry

TODAY = datetime(2027, 6, 15, 9, tzinfo=UTC)
#: With 400 days kept, the oldest day that stays.
KEPT_FROM = datetime(2026, 5, 11, tzinfo=UTC)


def keeping(field: Field, days: int, telemetry_days: int = 90) -> Site:
    settings = field.site.settings
    store = settings.store.model_copy(update={"keep_days": days, "keep_telemetry_days": telemetry_days})
    return replace(field.site, settings=settings.model_copy(update={"store": store}))


def put(field: Field, table: Table, *rows: dict[str, Any]) -> None:
    with field.site.database.write() as tx:
        tx.execute(insert(table), list(rows))


def count(field: Field, table: Table) -> int:
    with field.site.database.read() as tx:
        return tx.execute(select(func.count()).select_from(table)).scalar_one()


def left(field: Field, column: Any) -> list[Any]:
    with field.site.database.read() as tx:
        return list(tx.execute(select(column).order_by(column)).scalars())


def telemetry(*at: datetime) -> list[dict[str, Any]]:
    said = {"gateway": "GW", "meter": "", "quantity": "signal_dbm", "value": -70.0, "sent": True}
    return [{"at_s": seconds(moment), **said} for moment in at]


def reads_said_of(field: Field, *at: datetime) -> None:
    """A superseded version, a finding, an event and a register read at each moment."""
    meter, now_us = field.channel().meter, seconds(TODAY) * 1_000_000
    key = {"meter": meter, "channel": IMPORT.code}
    for place, moment in enumerate(at):
        start = key | {"start_s": seconds(moment)}
        put(
            field,
            t.interval_history,
            start | {"version": 1, "superseded_us": now_us, "value": 1, "quality": 1, "superseded_by": "a test"},
        )
        put(
            field,
            t.finding,
            start | {"rule": "V4", "severity": "warning", "detail": "", "rule_set": "1", "found_us": now_us},
        )
        day = {"channel": place, "day": day_number(moment.date())}
        put(field, t.estimate_basis, key | day | {"first_day": 0, "end_day": 1})
        put(field, t.register_read, key | {"at_s": seconds(moment), "register": place})
        at_place = {"offset": 1, "place": place, "at_s": seconds(moment), "gateway": "GW"}
        put(field, t.event, at_place | {"kind": "restart", "detail": ""})


def test_what_is_older_goes_and_what_is_younger_stays(field: Field) -> None:
    field.clock.now = TODAY
    for day in range(-3, 2):
        field.send(KEPT_FROM + day * DAY, [1] * 24)
    reads_said_of(field, *(KEPT_FROM + hours * HOUR for hours in (-50, -30, -1, 0, 1)))
    assert forget_old(keeping(field, 400)) == {
        "day_block": 3,
        "interval_history": 3,
        "finding": 3,
        "estimate_basis": 3,
        "register_read": 2,
        "event": 3,
    }
    first = day_number(KEPT_FROM.date())
    assert left(field, t.day_block.c.day) == [first, first + 1]
    assert field.values(KEPT_FROM - HOUR, 2) == [None, 1]
    young = [seconds(KEPT_FROM), seconds(KEPT_FROM + HOUR)]
    assert left(field, t.interval_history.c.start_s) == young
    assert left(field, t.finding.c.start_s) == young
    assert left(field, t.event.c.at_s) == young
    # The last register before begins the interval that ends with the next one.
    assert left(field, t.register_read.c.at_s) == [seconds(KEPT_FROM - HOUR), *young]
    assert forget_old(keeping(field, 400)) == {}


def test_without_a_limit_reads_stay_for_ever_but_telemetry_goes(field: Field) -> None:
    field.clock.now = TODAY
    field.send(MONDAY, [1] * 24)
    reads_said_of(field, MONDAY)
    midnight = TODAY.replace(hour=0) - 30 * DAY
    put(field, t.telemetry, *telemetry(MONDAY, *(midnight + timedelta(minutes=m) for m in range(-300, 60, 20))))
    assert forget_old(keeping(field, 0, 30)) == {"telemetry": 16}
    # And how far off the clock was of the gateway that sent the reads.
    assert left(field, t.telemetry.c.at_s) == [*(seconds(midnight) + 60 * m for m in (0, 20, 40)), seconds(TODAY)]
    made = (t.day_block, t.interval_history, t.finding, t.register_read, t.event)
    assert [count(field, table) for table in made] == [1] * 5


def test_a_cycle_that_is_not_issued_keeps_its_reads_and_those_of_the_month_before(field: Field) -> None:
    field.clock.now = TODAY
    for start in (
        datetime(2026, 1, 30, tzinfo=UTC),
        datetime(2026, 1, 31, tzinfo=UTC),
        datetime(2026, 4, 1, tzinfo=UTC),
    ):
        field.send(start, [1] * 24)
    office = office_of(field.site)
    for period in ("2026-03", "2026-04"):
        rate_cycle(office, period, "monthly", "clara")
    approve(office, "2026-03", "monthly", "clara")
    # The first of February begins in Berlin on 31 January, UTC.
    assert forget_old(keeping(field, 400)) == {"day_block": 1}
    issue(office, "2026-03", "monthly", "clara")
    assert forget_old(keeping(field, 400)) == {"day_block": 1}
    assert left(field, t.day_block.c.day) == [day_number(datetime(2026, 4, 1, tzinfo=UTC).date())]
    approve(office, "2026-04", "monthly", "clara")
    issue(office, "2026-04", "monthly", "clara")
    assert forget_old(keeping(field, 400)) == {"day_block": 1}
    with field.site.database.read() as tx:
        assert [str(cycle.state) for cycle in office.ledger(tx).cycles()] == ["issued", "issued"]


def test_many_meters_and_days_go_in_portions(field: Field) -> None:
    names = [f"N-{n:03}" for n in range(230)]
    field.enrol(registry(meter("E-1"), *(meter(name) for name in names)))
    field.clock.now = TODAY
    for day in range(-4, 1):
        field.send(KEPT_FROM + day * DAY, [1] * 24)
    reads_said_of(field, KEPT_FROM - DAY)
    with field.site.database.write() as tx:
        f = t.finding
        row = tx.execute(select(f)).one()._asdict()
        for key in tx.execute(select(t.meter.c.id).where(t.meter.c.name.in_(names))).scalars().all():
            tx.execute(insert(f), row | {"meter": key})
    deleted: list[int] = []

    def note(_connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("DELETE"):
            deleted.append(cursor.rowcount)

    event.listen(field.site.database.engine, "after_cursor_execute", note)
    assert forget_old(keeping(field, 400))["finding"] == 231
    # Four days; of 231 meters a hundred at a time history, findings, bases and registers; an hour of events.
    assert deleted == [1, 1, 1, 1, 1, 0, 0, 100, 100, 31, 1, 0, 0, 0, 0, 0, 1]


def test_the_job_looks_once_a_day(field: Field) -> None:
    field.clock.now = TODAY
    site = keeping(field, 400, 30)
    jobs = Jobs(site)
    put(field, t.telemetry, *telemetry(TODAY - 31 * DAY, TODAY - 30 * DAY))
    jobs.forget()
    assert count(field, t.telemetry) == 1
    put(field, t.telemetry, *telemetry(TODAY - 40 * DAY))
    field.clock.now = TODAY + 14 * HOUR
    jobs.forget()
    assert count(field, t.telemetry) == 2
    field.clock.now = TODAY + 15 * HOUR
    jobs.forget()
    assert count(field, t.telemetry) == 0


@pytest.mark.parametrize("days", [0, 400, 36_500])
def test_nothing_is_deleted_where_nothing_is(field: Field, days: int) -> None:
    assert forget_old(keeping(field, days)) == {}
