"""Intake: what is in the journal is in the store exactly once, whoever sent it how often."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, select

from headend.process import Intake
from headend.reads import Blocks, Quality
from headend.reads.days import seconds
from headend.reads.quality import Flag
from headend.store import tables as t
from headend.store.checkpoints import IntakeCounts, checkpoint
from headend.store.intervals import Bools
from headend.store.sql import SqlIntervalStore

from .field import DAY, HOUR, MONDAY, Field, meter, registry, run


def test_reads_are_stored_once_however_often_they_come(field: Field) -> None:
    for _ in range(3):
        field.journal(run(MONDAY, [1, 2, 3], register=50))
    assert field.intake.step() == 3
    assert field.intake.step() == 0
    assert field.values(MONDAY, 4) == [1, 2, 3, None]
    assert field.totals() == IntakeCounts(stored=3, duplicates=6, replaced=0)
    field.send(MONDAY, [1, 2, 3], register=50)
    assert field.totals() == IntakeCounts(stored=3, duplicates=9, replaced=0)
    assert field.history() == []


def test_batches_go_on_where_the_last_ended(field: Field) -> None:
    site = replace(
        field.site,
        settings=field.site.settings.model_copy(
            update={"process": field.site.settings.process.model_copy(update={"batch_messages": 2})}
        ),
    )
    for hour in range(5):
        field.journal(run(MONDAY + hour * HOUR, [hour]))
    intake = Intake(site)
    assert [intake.step() for _ in range(4)] == [2, 2, 1, 0]
    assert field.values(MONDAY, 5) == [0, 1, 2, 3, 4]


class FailsOnce(SqlIntervalStore):
    """A real store, in front of which the power fails once: after it wrote, before the commit."""

    failed = False

    def save(self, tx: Connection, blocks: Blocks, changed: Bools, *, settled: bool) -> None:
        super().save(tx, blocks, changed, settled=settled)
        if not self.failed:
            self.failed = True
            raise RuntimeError("power")


def test_a_crash_in_the_middle_loses_nothing_and_doubles_nothing(field: Field) -> None:
    field.journal(run(MONDAY, [1, 2, 3]))
    field.journal(run(MONDAY, [1, 2, 4]), run(MONDAY, [9], meter="E-9"))
    intake = Intake(replace(field.site, store=FailsOnce()))
    before = field.everything()
    with pytest.raises(RuntimeError, match="power"):
        intake.step()
    assert field.everything() == before
    with field.site.database.read() as tx:
        assert checkpoint(tx) == 0
    assert intake.step() == 2
    assert field.values(MONDAY, 3) == [1, 2, 4]
    assert field.totals() == IntakeCounts(stored=3, duplicates=2, replaced=1)


def test_a_broken_block_holds_up_only_what_belongs_there(field: Field) -> None:
    field.enrol(registry(meter("E-1"), meter("E-2")))
    field.send(MONDAY, [1, 2])
    with field.site.database.write() as tx:
        (whole,) = tx.execute(select(t.day_block.c.quality)).scalars()
        tx.execute(t.day_block.update().values(quality=whole[:-1]))
    for hour in range(2, 6):
        field.journal(run(MONDAY + hour * HOUR, [hour]))
        field.journal(run(MONDAY + hour * HOUR, [hour], meter="E-2"))
    while field.intake.step():
        pass
    assert field.values(MONDAY, 6, meter="E-2") == [None, None, 2, 3, 4, 5]
    with field.site.database.write() as tx:
        stopped = tx.execute(select(t.quarantine)).all()
        assert [row.offset for row in stopped] == [2, 4, 6, 8]
        assert {row.fault for row in stopped} == {"cannot be taken in"}
        assert "meter 1, channel" in stopped[0].reason
        tx.execute(t.day_block.update().where(t.day_block.c.meter == 1).values(quality=whole))
    assert field.intake.retry([2, 4, 6, 8]) == 0
    assert field.values(MONDAY, 6) == [1, 2, 2, 3, 4, 5]


def test_a_journal_entry_that_makes_no_sense_holds_up_nothing(field: Field) -> None:
    for hour in range(5):
        field.journal(run(MONDAY + hour * HOUR, [hour]))
    with field.journal_database.write() as tx:
        tx.exec_driver_sql("UPDATE entry SET received_us = 'x' WHERE \"offset\" = 3")
    while field.intake.step():
        pass
    assert field.values(MONDAY, 5) == [0, 1, None, 3, 4]
    with field.site.database.read() as tx:
        assert tx.execute(select(t.quarantine.c.offset)).scalars().all() == [3]


def test_a_correction_is_a_version_and_the_first_value_again_is_a_redelivery(field: Field) -> None:
    field.send(MONDAY, [5], register=100, quality=[8])
    field.send(MONDAY, [7], register=102)
    field.send(MONDAY, [5], register=100, quality=[8])
    assert field.values(MONDAY, 1) == [7]
    assert field.stands(MONDAY, 1).versions == [2]
    # The first came marked as a test.
    assert field.history() == [(seconds(MONDAY), 1, 5, Quality.QUESTIONABLE)]
    assert field.totals() == IntakeCounts(stored=1, duplicates=1, replaced=1)
    with field.site.database.read() as tx:
        key = (seconds(MONDAY) // 86_400, field.channel().meter, field.channel().channel.code)
        block = field.site.store.load(tx, [key], 3600)
    assert (int(block.register[0, 0]), int(block.flags[0, 0])) == (102, 0)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.data())
def test_redelivery_of_anything_changes_nothing(field: Field, values: list[int], data: st.DataObject) -> None:
    hour = MONDAY + seconds(MONDAY) % 7 * HOUR + field.sent * HOUR  # an hour of its own for each example
    for value in values:
        field.send(hour, [value])
    before = field.everything()
    for value in data.draw(st.permutations(values)):
        field.send(hour, [value])
    assert field.everything() == before


def test_a_late_read_that_equals_a_former_estimate_is_stored(field: Field) -> None:
    # 03:00 is missing and estimated between 10 and 30 as 20; then 04:00 is corrected, and 03:00 is estimated as 25.
    field.send(MONDAY, [10, 10, 10, None, 30, *[10] * 19])
    field.settle()
    assert field.values(MONDAY + 3 * HOUR, 1) == [20]
    field.send(MONDAY + 4 * HOUR, [40])
    field.settle()
    assert field.stands(MONDAY + 3 * HOUR, 1).quality == [Quality.ESTIMATED_LINEAR]
    assert field.values(MONDAY + 3 * HOUR, 1) == [25]
    # Now the meter itself says 20, which is what the first estimate was.
    field.send(MONDAY + 3 * HOUR, [20])
    standing = field.stands(MONDAY + 3 * HOUR, 1)
    assert (standing.values, standing.quality, standing.versions) == ([20], [Quality.RAW], [3])
    # And a correction to what the second was.
    field.send(MONDAY + 3 * HOUR, [25])
    assert field.values(MONDAY + 3 * HOUR, 1) == [25]


@pytest.mark.parametrize(
    ("value", "flag", "rule"), [(-1, 0, "V5"), (24_001, 0, "V6"), (5, 8, "V12")]
)  # fmt: skip
def test_what_cannot_be_true_is_kept_as_questionable(field: Field, value: int, flag: int, rule: str) -> None:
    field.send(MONDAY, [10, value, 24_000], quality=[1, flag, 0])
    standing = field.stands(MONDAY, 3)
    assert standing.values == [10, value, 24_000]  # 20 kWh × 1.2 can just have flowed
    assert standing.quality == [Quality.RAW, Quality.QUESTIONABLE, Quality.RAW]
    ((start, severity, detail),) = field.findings(rule)
    assert (start, severity) == (MONDAY + HOUR, "failed")
    assert detail.startswith(f"{value} is ")


def test_flags_of_an_interval_the_meter_missed_are_kept(field: Field) -> None:
    field.send(MONDAY, [None, None], quality=[1, 1])
    with field.site.database.read() as tx:
        key = (seconds(MONDAY) // 86_400, field.channel().meter, field.channel().channel.code)
        assert field.site.store.load(tx, [key], 3600).flags[0, :3].tolist() == [1 | Flag.LOST, 1 | Flag.LOST, 0]


def test_quarantine_and_retry_after_the_meter_is_enrolled(field: Field) -> None:
    good_and_unknown = field.journal(run(MONDAY, [1]), run(MONDAY, [2, 3], meter="E-2"))
    broken = field.journal_raw(b"?", "headend/v1/GW/reads")
    field.intake.step()
    q = t.quarantine.c
    with field.site.database.read() as tx:
        rows = tx.execute(select(q.offset, q.path, q.gateway, q.reason, q.excerpt).order_by(q.offset)).all()
    assert [(row.offset, row.path, row.gateway) for row in rows] == [
        (good_and_unknown, "blocks.1", "GW"),
        (broken, "", "GW"),
    ]
    assert rows[0].reason == "blocks.1.meter: found unknown meter 'E-2', expected a meter of the registry"
    assert rows[1].excerpt == "?"
    assert field.values(MONDAY, 1) == [1]

    assert field.intake.retry([good_and_unknown, broken]) == 2
    field.enrol(registry(meter("E-2")))
    assert field.intake.retry([good_and_unknown, broken]) == 1
    assert field.values(MONDAY, 2, meter="E-2") == [2, 3]
    assert field.intake.retry([]) == 0
    with field.site.database.read() as tx:
        assert tx.execute(select(q.offset)).scalars().all() == [broken]
        assert checkpoint(tx) == 2


class Registry:
    """How often all of it was read."""

    def __init__(self, field: Field) -> None:
        self.reads = 0
        event.listen(field.site.database.engine, "before_cursor_execute", self._look)

    def _look(self, _1: Any, _2: Any, statement: str, *_rest: Any) -> None:
        self.reads += "JOIN meter_channel" in statement and "meter.name =" not in statement


def test_the_registry_is_read_anew_only_where_that_can_help_and_not_for_every_batch(field: Field) -> None:
    now = 0.0
    field.intake = Intake(field.site, steady=lambda: now)
    registry_reads = Registry(field)
    field.send(MONDAY, [1])
    assert registry_reads.reads == 1
    field.enrol(registry(meter("E-1"), meter("E-2")))
    registry_reads.reads = 0
    # Too soon after the last time; then late enough, but no registry makes of hours what these are.
    now = 2.0
    field.send(MONDAY, [2], meter="E-2")
    now = 2.1
    field.send(MONDAY, [2], interval_s=900)
    field.send(MONDAY, [2], meter="E-1", quality=[0, 0])
    assert registry_reads.reads == 0
    field.send(MONDAY, [3], meter="E-2")
    assert registry_reads.reads == 1
    assert field.values(MONDAY, 1, meter="E-2") == [3]
    # Meters that stay unknown.
    for later in (2.2, 3.0, 4.0, 4.2, 5.0, 6.0, 6.3):
        now = later
        field.send(MONDAY, [4], meter="E-9")
    assert registry_reads.reads == 3
    # Who asks for it gets it at once.
    field.enrol(registry(meter("E-1"), meter("E-2"), meter("E-9")))
    assert field.intake.retry([2]) == 0
    field.send(MONDAY, [4], meter="E-9")
    assert field.values(MONDAY, 1, meter="E-9") == [4]


def test_a_meter_is_polled_as_long_as_the_site_file_says_where_it_answers(field: Field) -> None:
    modbus = {"profile": "eastron-sdm120", "address": "tcp://192.0.2.7:502", "unit": 1}
    field.enrol(registry(meter("E-1"), meter("M-1", modbus=modbus)))
    assert (field.channel("E-1").polled, field.channel("M-1").polled) == (False, True)
    field.send(MONDAY, [1], meter="M-1")
    assert field.values(MONDAY, 1, meter="M-1") == [None]
    field.enrol(registry(meter("E-1"), meter("M-1")))
    assert not field.channel("M-1").polled
    assert field.intake.retry([1]) == 0
    assert field.values(MONDAY, 1, meter="M-1") == [1]


def test_retry_does_not_make_old_news_of_a_gateway_new(field: Field) -> None:
    field.clock.now = MONDAY + DAY
    old = field.journal(run(MONDAY, [2], meter="E-2"), sent_at=field.clock.now - timedelta(minutes=10))
    field.journal_raw(b'{"online": false}', "headend/v1/GW/status")
    field.clock.now += HOUR
    field.journal(run(MONDAY, [2]))
    field.journal_raw(b'{"online": true}', "headend/v1/GW/status")
    field.intake.step()
    gateways = select(t.gateway)
    with field.site.database.read() as tx:
        before = tx.execute(gateways).all()
    assert [(row.messages, row.online, row.clock_offset_s, row.last_seen_s) for row in before] == [
        (2, True, 0, seconds(field.clock.now))
    ]
    field.intake.retry([old, old + 1])
    with field.site.database.read() as tx:
        assert tx.execute(gateways).all() == before


def test_a_late_read_opens_its_day_again(field: Field) -> None:
    def open_days() -> int:
        with field.site.database.read() as tx:
            return len(field.site.store.open_days(tx, 30_000))

    field.send(MONDAY, [1] * 24)
    assert open_days() == 1
    field.settle(MONDAY + 2 * DAY)
    assert open_days() == 0
    field.send(MONDAY, [1] * 24)
    assert open_days() == 0
    field.send(MONDAY, [2])
    assert open_days() == 1


def test_events_stand_once_however_often_they_are_told(field: Field) -> None:
    def told(*kinds: str) -> None:
        events = [{"kind": kind, "at": MONDAY.isoformat(), "meter": "E-1"} for kind in kinds]
        message = json.dumps({"seq": 1, "sent_at": MONDAY.isoformat(), "events": events})
        field.journal_raw(message.encode(), "headend/v1/GW/events")

    told("tamper")
    told("tamper")
    assert field.intake.step() == 2
    told("tamper", "outage")
    assert field.intake.step() == 1
    field.intake.retry([1, 2, 3])
    e = t.event.c
    with field.site.database.read() as tx:
        assert tx.execute(select(e.offset, e.place, e.kind).order_by(e.offset)).all() == [
            (1, 0, "tamper"),
            (3, 1, "outage"),
        ]
