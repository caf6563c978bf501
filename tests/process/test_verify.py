"""The store against the journal: whatever was done to one of them is found, and what is as it should be is not."""

from __future__ import annotations

import numpy as np
from sqlalchemy import delete, update

from headend.process import Intake
from headend.process.verify import Compared, Scope, compare_with_journal
from headend.reads import Quality
from headend.reads.days import seconds
from headend.registry.gateways import enrol_gateway, revoke_gateway
from headend.store import history
from headend.store import tables as t
from headend.store.blockcodec import blocks_of, rows_of
from headend.store.bulk import upsert_rows

from .field import DAY, HOUR, MONDAY, Field, meter, registry, run

ALL = Scope(0, 40_000)
DAY_NUMBER = seconds(MONDAY) // 86_400


def compared(field: Field, scope: Scope = ALL) -> Compared:
    field.verified = getattr(field, "verified", 0) + 1
    folder = field.folder / f"verify-{field.verified}"
    return compare_with_journal(field.site, scope, folder, 20, lambda *_: None)


def found(field: Field, scope: Scope = ALL) -> list[tuple[str, int, int | None, int | None]]:
    """Meter, hour after Monday's midnight, store and journal of each difference."""
    differences = compared(field, scope).differences
    assert differences.count == len(differences.first)
    return [(d.meter, (d.start_s - seconds(MONDAY)) // 3600, d.stored, d.told) for d in differences.first]


def put(field: Field, hour: int, value: int, quality: Quality, *, version: int, replacing: bool = False) -> None:
    """Another value for an hour, past everything that keeps account of it; `replacing` puts it into the history."""
    with field.site.database.write() as tx:
        row = tx.execute(t.day_block.select().where(t.day_block.c.day == DAY_NUMBER + hour // 24)).one()
        blocks = blocks_of([row], 3600)
        at = 0, hour % 24
        if replacing:
            only_this = np.zeros_like(blocks.present)
            only_this[at] = True
            history.keep(tx, blocks, only_this, by="olga", now=field.clock())
        blocks.values[at], blocks.quality[at], blocks.version[at] = value, quality, version
        upsert_rows(tx, t.day_block, rows_of(blocks, settled=row.settled))


def week(field: Field) -> None:
    """Seven days with a hole, a spike, a correction, a redelivery and registers, settled."""
    hours: list[int | None] = [300 + hour % 24 * 10 for hour in range(7 * 24)]
    hours[30] = None
    field.send(MONDAY, hours[:100], register=1_000_000)
    field.send(MONDAY + 50 * HOUR, [17_000])
    field.send(MONDAY + 100 * HOUR, hours[100:])
    field.send(MONDAY + 60 * HOUR, [777, 778])
    field.send(MONDAY + 60 * HOUR, hours[60:62])
    field.settle()


def test_a_site_with_holes_spikes_corrections_and_estimates_is_as_its_journal_tells(field):
    week(field)
    result = compared(field)
    assert (result.differences.count, result.in_quarantine) == (0, 0)
    assert (result.messages, result.days, result.blocks) == (5, 7, 7)
    assert field.stands(MONDAY + 30 * HOUR, 1).values != [None]  # estimated, of which the journal knows nothing


def test_nothing_is_written_to_the_site(field):
    week(field)
    before = field.everything()
    compared(field)
    assert field.everything() == before


def test_a_value_that_was_changed_in_the_database_is_found_with_its_meter_and_hour(field):
    week(field)
    put(field, 75, 12, Quality.VALIDATED, version=1)
    assert found(field) == [("E-1", 75, 12, 330)]


def test_a_read_that_vanished_is_found(field):
    week(field)
    put(field, 3, 0, Quality.MISSING, version=0)
    assert found(field) == [("E-1", 3, None, 330)]


def test_a_read_that_nobody_told_is_found(field):
    field.send(MONDAY, [100, None, 102])
    put(field, 1, 55, Quality.RAW, version=1)
    assert found(field) == [("E-1", 1, 55, None)]


def test_days_that_vanished_are_found(field):
    field.send(MONDAY, [100, 101])
    field.send(MONDAY + DAY, [200])
    with field.site.database.write() as tx:
        tx.execute(delete(t.day_block).where(t.day_block.c.day == DAY_NUMBER))
    assert found(field) == [("E-1", 0, None, 100), ("E-1", 1, None, 101)]
    assert found(field, Scope(DAY_NUMBER + 1, 40_000)) == []


def test_an_earlier_version_that_vanished_from_the_history_is_found(field):
    field.send(MONDAY, [100, 101])
    field.send(MONDAY, [105])
    assert found(field) == []
    with field.site.database.write() as tx:
        tx.execute(delete(t.interval_history))
    assert found(field) == [("E-1", 0, 105, 100)]


def test_a_history_that_was_changed_is_found(field):
    field.send(MONDAY, [100, 101])
    field.send(MONDAY, [105])
    with field.site.database.write() as tx:
        tx.execute(update(t.interval_history).values(value=99))
    assert found(field) == [("E-1", 0, 105, 100)]


def test_only_the_meters_that_were_asked_for_are_compared(field):
    field.enrol(registry(meter("E-1"), meter("E-2")))
    field.send(MONDAY, [100])
    field.send(MONDAY, [200], meter="E-2")
    with field.site.database.write() as tx:
        tx.execute(delete(t.day_block))
    other = field.channel("E-2").meter
    assert found(field, Scope(0, 40_000, frozenset({other}))) == [("E-2", 0, None, 200)]


def test_a_gateway_that_was_exchanged_and_revoked_has_still_told_what_it_told(field):
    field.enrol(registry(meter("E-1", gateway="GW")))
    field.send(MONDAY, [100, 101])
    with field.site.database.write() as tx:
        enrol_gateway(tx, "GW-2")
        revoke_gateway(tx, "GW", field.clock(), by="olga")
    field.enrol(registry(meter("E-1", gateway="GW-2")))
    field.intake = Intake(field.site)  # it has not seen the registry before
    field.journal(run(MONDAY + 2 * HOUR, [102]), gateway="GW-2")
    field.journal(run(MONDAY + 3 * HOUR, [666]), gateway="GW")  # to quarantine
    while field.intake.step():
        pass
    assert field.values(MONDAY, 4) == [100, 101, 102, None]
    result = compared(field)
    assert (result.differences.count, result.in_quarantine) == (0, 0)


def test_what_waits_in_quarantine_is_no_difference_and_is_counted(field):
    # One good piece, and one of a meter that is enrolled later.
    field.journal(run(MONDAY, [100]), run(MONDAY, [200, 201], meter="E-2"))
    field.intake.step()
    field.enrol(registry(meter("E-1"), meter("E-2")))
    result = compared(field)
    assert (result.differences.count, result.in_quarantine) == (0, 2)
    field.intake.retry([1])
    result = compared(field)
    assert (result.differences.count, result.in_quarantine) == (0, 0)
    assert field.values(MONDAY, 2, meter="E-2") == [200, 201]


def test_messages_that_were_processed_out_of_order_tell_the_same(field):
    """What was quarantined and tried again later stands over what came after it."""
    field.journal(run(MONDAY, [200], meter="E-2"))
    field.intake.step()
    field.enrol(registry(meter("E-1"), meter("E-2")))
    field.intake = Intake(field.site)
    field.send(MONDAY, [205], meter="E-2")
    field.intake.retry([1])
    assert field.values(MONDAY, 1, meter="E-2") == [200]
    assert found(field) == []


def test_what_was_edited_by_hand_is_no_difference_nor_what_it_held_off(field):
    field.send(MONDAY, [100, None, None])
    put(field, 0, 95, Quality.EDITED, version=2, replacing=True)
    put(field, 1, 90, Quality.EDITED, version=1)
    put(field, 2, 91, Quality.ESTIMATED_BY_HAND, version=1)
    # More than the connection carries: what a clerk decided holds.
    field.send(MONDAY + HOUR, [1_000_000, 1_000_000])
    assert field.stands(MONDAY, 3).quality == [Quality.EDITED, Quality.EDITED, Quality.ESTIMATED_BY_HAND]
    assert found(field) == []


def test_what_came_after_the_store_is_not_missing(field):
    field.send(MONDAY, [100])
    field.journal(run(MONDAY + HOUR, [101]))
    result = compared(field)
    assert (result.differences.count, result.messages) == (0, 1)
