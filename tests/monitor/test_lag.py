"""What lags is what has waited for longer than a moment: by the age of the oldest, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from headend.config import load_settings
from headend.monitor.lag import Behind, StoreLag, behind, journal_lag, store_lag
from headend.site import Site
from headend.store import tables as t
from headend.store.unsent import note_unsent
from tests.process.field import HOUR, MONDAY, Field, run
from tests.store.blocks import block, everything


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    made = Field(tmp_path)
    made.clock.now = MONDAY
    yield made
    made.close()


def lags(site: Site) -> tuple[int, Behind | None]:
    with site.database.read() as tx:
        return journal_lag(tx, site.journal), behind(tx, site)


def test_nothing_lags_where_nothing_waits(field):
    assert lags(field.site) == (0, None)
    field.send(MONDAY - HOUR, [100])
    field.clock.now += timedelta(days=1)
    assert lags(field.site) == (0, None)


def test_messages_are_behind_when_the_oldest_has_waited_for_more_than_half_a_minute(field):
    field.send(MONDAY - HOUR, [100])
    for _ in range(3):
        field.clock.now += timedelta(seconds=10)
        field.journal(run(MONDAY, [100]))
    oldest = MONDAY + timedelta(seconds=10)
    field.clock.now = oldest + timedelta(seconds=30)
    assert lags(field.site) == (3, None)
    field.clock.now += timedelta(seconds=1)
    assert lags(field.site) == (3, Behind(3, oldest))


def test_who_else_follows_the_journal_does_not_count_as_intake(field):
    field.send(MONDAY - HOUR, [100])
    field.journal(run(MONDAY, [200]))
    with field.site.database.write() as tx:
        other = {"name": "other", "offset": 2, "reads_stored": 9, "duplicates": 9, "replaced": 9}
        tx.execute(t.checkpoint.insert(), other)
    assert lags(field.site)[0] == 1
    assert field.totals().stored == 1


def test_site_without_influxdb_lacks_nothing_there(field):
    with field.site.database.read() as tx:
        assert store_lag(tx, field.site) is None


@pytest.mark.parametrize(
    ("waited_s", "state"),
    [(0, "up to date"), (30, "up to date"), (31, "catching up"), (300, "catching up"), (301, "away")],
)
def test_influxdb_is_judged_by_how_long_it_has_lacked_the_oldest_block(field, waited_s, state):
    site = replace(field.site, settings=load_settings(overrides={"store": {"kind": "influx"}}))
    with site.database.write() as tx:
        for meter, later_s in ((1, 0), (2, 5)):
            blocks = block(meter, 7, 20_000)
            note_unsent(tx, blocks, everything(blocks), MONDAY + timedelta(seconds=later_s))
    field.clock.now = MONDAY + timedelta(seconds=waited_s)
    with site.database.read() as tx:
        assert store_lag(tx, site) == StoreLag(2, MONDAY, waited_s, state)


def test_influxdb_that_has_everything_is_up_to_date(field):
    site = replace(field.site, settings=load_settings(overrides={"store": {"kind": "influx"}}))
    with site.database.write() as tx:
        nothing = block(1, 7, 20_000).take(np.array([], dtype=np.intp))
        note_unsent(tx, nothing, everything(nothing), MONDAY)
    with site.database.read() as tx:
        assert store_lag(tx, site) == StoreLag(0, None, 0, "up to date")
