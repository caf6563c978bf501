"""From the site database to a real InfluxDB: nothing lost, nothing newer undone, nothing let go of on trust."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select, update

from headend.errors import StoreAway, StoreBroken
from headend.reads import Blocks
from headend.reads.blocks import blocks_in_order, digest
from headend.store.database import Database
from headend.store.tables import day_block, moved_day, unsent
from headend.store.unsent import backlog
from tests.databases import file_database
from tests.servers import Influxd

from ..blocks import block, everything, same
from .servers import Forwarded, forwarded, with_meters

NOW = datetime(2024, 10, 20, 12, tzinfo=UTC)
TODAY = 20_016
NAMES = {i: f"E-{i:03d}" for i in range(1, 51)}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = file_database(tmp_path / "site.db", "site")
    with_meters(opened, 50)
    yield opened
    opened.close()


@pytest.fixture
def site(database: Database, influx_settings: dict[str, object]) -> Iterator[Forwarded]:
    with forwarded(database, influx_settings, clock=lambda: NOW) as made:
        yield made


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    """A server that may be killed."""
    server = Influxd(tmp_path_factory.mktemp("own-influxd"))
    yield server
    server.kill()


def save(site: Forwarded, *stacks: Blocks, settled: bool = True) -> None:
    with site.database.write() as tx:
        for blocks in stacks:
            site.store.save(tx, blocks, everything(blocks), settled=settled)


def in_influx(site: Forwarded, *keys: tuple[int, int, int], interval_s: int = 3600) -> Blocks:
    return site.reads.load(list(keys), interval_s, NAMES)


def here(site: Forwarded) -> set[tuple[int, int]]:
    """(day, meter) of the blocks whose reads are in the site database."""
    with site.database.read() as tx:
        rows = tx.execute(select(day_block.c.day, day_block.c.meter).where(func.length(day_block.c.quality) > 0))
        return {(row.day, row.meter) for row in rows}


def waiting(site: Forwarded) -> int:
    with site.database.read() as tx:
        return backlog(tx).blocks


def test_what_is_saved_is_sent_once(site: Forwarded) -> None:
    days = [block(m, 7, TODAY, 100 * m, n=n) for m, n in ((1, 24), (2, 96), (3, 1))]
    save(site, *days, settled=False)
    assert waiting(site) == 3
    assert (site.forwarder.forward(), site.forwarder.forward(), waiting(site)) == (3, 0, 0)
    for day in days:
        assert same(in_influx(site, day.keys[0], interval_s=day.interval_s), day)


def test_only_what_changed_is_sent(site: Forwarded) -> None:
    day = block(1, 7, TODAY, 100)
    save(site, day)
    site.forward_all()
    day.values[0, 3:6] = 9_001, 9_002, 9_003
    changed = np.zeros((1, 24), dtype=np.bool_)
    changed[0, 4] = True
    with site.database.write() as tx:
        site.store.save(tx, day, changed, settled=True)
    site.forward_all()
    assert in_influx(site, day.keys[0]).values[0, 3:6].tolist() == [103, 9_002, 105]


def test_a_block_that_changes_while_it_is_sent_is_sent_again(site: Forwarded, monkeypatch: pytest.MonkeyPatch) -> None:
    day, newer = block(1, 7, TODAY, 100), block(1, 7, TODAY, 500)
    save(site, day)
    write = site.reads.write

    def write_and_meanwhile(*args: object) -> None:
        write(*args)  # the older values are there, and not yet noted as sent
        monkeypatch.undo()
        save(site, newer)

    monkeypatch.setattr(site.reads, "write", write_and_meanwhile)
    site.forwarder.forward()
    assert same(in_influx(site, day.keys[0]), day)
    assert waiting(site) == 1
    site.forward_all()
    assert same(in_influx(site, day.keys[0]), newer)
    assert waiting(site) == 0


def test_while_influxdb_is_away_nothing_is_lost(database: Database, own: Influxd) -> None:
    with forwarded(database, own.settings(), clock=lambda: NOW) as site:
        first, during = block(1, 7, TODAY, 100), block(1, 7, TODAY, 500)
        save(site, first)
        own.stop()
        with pytest.raises(StoreAway, match="does not answer"):
            site.forwarder.step()
        save(site, during)
        save(site, block(2, 7, TODAY))
        with pytest.raises(StoreAway):
            site.forwarder.forward()
        with database.read() as tx:
            assert backlog(tx).blocks == 2
            assert backlog(tx).since == NOW
        own.start()
        site.forward_all()
        assert waiting(site) == 0
        assert same(in_influx(site, during.keys[0]), during)


def test_a_server_that_hangs_is_away(database: Database, own: Influxd) -> None:
    with forwarded(database, own.settings() | {"timeout_s": 0.5}, clock=lambda: NOW) as site:
        save(site, block(1, 7, TODAY))
        own.pause()
        try:
            with pytest.raises(StoreAway, match=r"does not answer: .*timed out"):
                site.forwarder.forward()
        finally:
            own.resume()
        site.forward_all()
        assert same(in_influx(site, (TODAY, 1, 7)), block(1, 7, TODAY))


def test_a_server_killed_in_the_middle_has_everything_in_the_end(database: Database, own: Influxd) -> None:
    with forwarded(database, own.settings() | {"points_a_request": 100}, clock=lambda: NOW) as site:
        days = [block(m, 7, TODAY - d, 10 * m + d, n=288) for m in range(1, 51) for d in range(4)]
        save(site, *days)
        some_written = threading.Event()
        write, died = site.influx._write, []

        def write_one(bucket: str, body: bytes) -> None:
            write(bucket, body)
            some_written.set()

        site.influx._write = write_one  # type: ignore[method-assign]

        def forward() -> None:
            try:
                site.forward_all()
            except StoreAway as error:
                died.append(error)

        sender = threading.Thread(target=forward)
        sender.start()
        assert some_written.wait(30)
        own.kill()
        sender.join()
        assert len(died) == 1
        assert waiting(site) == 200
        own.start()
        site.forward_all()
        keys = [day.keys[0] for day in days]
        assert same(in_influx(site, *keys, interval_s=300), blocks_in_order(keys, days, 300))


def test_a_running_forwarder_catches_up_by_itself(database: Database, own: Influxd) -> None:
    with forwarded(database, own.settings(), clock=lambda: NOW) as site:
        own.kill()
        tried = threading.Event()
        step = site.forwarder.step

        def step_and_tell() -> int:
            try:
                return step()
            finally:
                tried.set()

        site.forwarder.step = step_and_tell  # type: ignore[method-assign]
        save(site, block(1, 7, TODAY, 100))
        site.forwarder.start()
        assert tried.wait(30)
        assert waiting(site) == 1
        own.start()
        until = datetime.now(tz=UTC) + timedelta(seconds=30)
        while waiting(site) and datetime.now(tz=UTC) < until:
            tried.clear()
            tried.wait(1)
        site.forwarder.stop()
        assert same(in_influx(site, (TODAY, 1, 7)), block(1, 7, TODAY, 100))


def test_an_influxdb_that_forgot_gets_everything_again(site: Forwarded) -> None:
    kept, lost = block(1, 7, TODAY, 100), [block(m, 7, TODAY - 1, m, n=96) for m in (1, 2)]
    save(site, kept, *lost)
    site.forward_all()
    assert site.forwarder.compare() == 0
    site.reads.forget(TODAY)
    assert site.forwarder.compare() == 2
    assert site.forwarder.forward() == 2
    assert site.forwarder.compare() == 0
    assert same(in_influx(site, (TODAY - 1, 2, 7), interval_s=900), lost[1])


def test_old_settled_days_are_let_go_of(site: Forwarded) -> None:
    old = [block(m, 7, TODAY - 8, m, n=n) for m, n in ((1, 24), (2, 96))]
    still_open, young = block(1, 7, TODAY - 9, 300), block(1, 7, TODAY - 7, 400)
    save(site, *old, young)
    save(site, still_open, settled=False)
    site.forward_all()
    assert site.forwarder.let_go() == 2
    assert here(site) == {(TODAY - 9, 1), (TODAY - 7, 1)}
    with site.database.read() as tx:
        [moved] = tx.execute(select(moved_day)).all()
        assert (moved.day, moved.blocks, moved.sha256) == (TODAY - 8, 2, digest(*old))
        assert same(site.store.load(tx, [(TODAY - 8, 2, 7)], 900), old[1])
        profiles = site.store.profiles(tx, [(1, 7)], (TODAY - 9) * 86_400, (TODAY - 6) * 86_400, 3600)
    assert profiles.values[0].tolist() == [*range(300, 324), *range(1, 25), *range(400, 424)]
    assert site.forwarder.let_go() == 0


def test_what_is_unsent_is_not_let_go_of(site: Forwarded) -> None:
    save(site, block(1, 7, TODAY - 8))
    assert site.forwarder.let_go() == 0
    assert here(site) == {(TODAY - 8, 1)}


def test_nothing_is_let_go_of_when_influxdb_says_otherwise(site: Forwarded, influxd: Influxd) -> None:
    day = block(1, 7, TODAY - 8, 100)
    save(site, day)
    site.forward_all()
    at = (TODAY - 8) * 86_400 + 5 * 3600
    influxd.write(site.influx.settings.reads_bucket, f"reads,channel=0-0:0.0.7,meter=E-001 value=1i {at}")
    assert site.forwarder.let_go() == 0
    assert here(site) == {(TODAY - 8, 1)}
    assert waiting(site) == 1
    site.forward_all()
    assert site.forwarder.let_go() == 1
    assert same(in_influx(site, day.keys[0]), day)


def test_a_late_read_for_a_day_that_was_let_go_of(site: Forwarded) -> None:
    day, other = block(1, 7, TODAY - 8, 100), block(2, 7, TODAY - 8, 200)
    save(site, day, other)
    site.forward_all()
    site.forwarder.let_go()
    with site.database.write() as tx:
        found = site.store.load(tx, [day.keys[0]], 3600)
        found.values[0, 5], found.version[0, 5] = 7_777, 2
        changed = np.zeros((1, 24), dtype=np.bool_)
        changed[0, 5] = True
        site.store.save(tx, found, changed, settled=True)
    assert here(site) == {(TODAY - 8, 1)}
    with site.database.read() as tx:  # what is here holds, InfluxDB does not know of it yet
        both = site.store.load(tx, [day.keys[0], other.keys[0]], 3600)
    assert both.values[:, 5].tolist() == [7_777, 205]
    site.forward_all()
    assert site.forwarder.let_go() == 1
    assert here(site) == set()
    with site.database.read() as tx:
        assert same(site.store.load(tx, [day.keys[0]], 3600), found)
        assert tx.execute(select(moved_day.c.sha256)).scalar_one() == digest(
            blocks_in_order([day.keys[0], other.keys[0]], [found, other], 3600)
        )
        assert tx.execute(select(func.count()).select_from(unsent)).scalar_one() == 0


def test_late_reads_of_an_old_day_are_compared_and_let_go_of_after_a_restart(
    site: Forwarded, influx_settings: dict[str, object]
) -> None:
    day, late = block(1, 7, TODAY - 8, 100), block(1, 7, TODAY - 8, 500)
    save(site, day)
    site.forward_all()
    site.forwarder.let_go()
    save(site, late)
    site.forward_all()
    with forwarded(site.database, influx_settings, clock=lambda: NOW) as again:
        again.reads.write(day, everything(day), NAMES)  # as a copy made before the late reads has it
        assert again.forwarder.compare() == 1
        again.forward_all()
        assert again.forwarder.let_go() == 1
    assert here(site) == set()
    assert same(in_influx(site, *late.keys), late)


def test_late_reads_do_not_hide_what_influxdb_lost_of_their_day(site: Forwarded) -> None:
    day, other = block(1, 7, TODAY - 8, 100), block(2, 7, TODAY - 8, 200)
    save(site, day, other)
    site.forward_all()
    site.forwarder.let_go()
    site.reads.forget(TODAY)
    save(site, block(1, 7, TODAY - 8, 500))
    site.forward_all()
    assert site.forwarder.let_go() == 0
    assert here(site) == {(TODAY - 8, 1)}
    with site.database.read() as tx:
        assert tx.execute(select(moved_day.c.sha256)).scalar_one() == digest(
            blocks_in_order([day.keys[0], other.keys[0]], [day, other], 3600)
        )


def test_a_forwarder_that_is_to_stop_looks_at_no_more_days(site: Forwarded) -> None:
    save(site, block(1, 7, TODAY, 100))
    site.forwarder.start()
    site.forwarder.stop()
    site.forward_all()
    site.reads.forget(TODAY + 1)
    assert site.forwarder.compare() == 0


def test_what_an_older_copy_of_influxdb_lacks_is_not_taken_for_missing(site: Forwarded) -> None:
    day, other = block(1, 7, TODAY - 8, 100), block(2, 7, TODAY - 9, 200)
    save(site, day, other)
    site.forward_all()
    site.forwarder.let_go()
    site.reads.forget(TODAY - 8)
    with site.database.read() as tx:
        assert same(site.store.load(tx, day.keys, 3600), day)
        with pytest.raises(
            StoreBroken, match=r"found 0 reads of E-002, .*, 2024-10-11, expected the 24 that went there"
        ):
            site.store.load(tx, [*day.keys, *other.keys], 3600)


def test_an_old_day_cannot_be_read_while_influxdb_is_away(database: Database, own: Influxd) -> None:
    with forwarded(database, own.settings(), clock=lambda: NOW) as site:
        old, young = block(1, 7, TODAY - 8, 100), block(1, 7, TODAY, 200)
        save(site, old, young)
        site.forward_all()
        site.forwarder.let_go()
        own.kill()
        with database.read() as tx:
            assert same(site.store.load(tx, young.keys, 3600), young)
            ask = partial(site.store.profiles, tx, [(1, 7)], interval_s=3600)
            assert ask(start_s=TODAY * 86_400, end_s=(TODAY + 1) * 86_400).values[0, 0] == 200
            with pytest.raises(StoreAway, match="does not answer"):
                site.store.load(tx, old.keys, 3600)
            with pytest.raises(StoreAway, match="does not answer"):
                ask(start_s=(TODAY - 8) * 86_400, end_s=(TODAY + 1) * 86_400)


def test_a_request_that_was_carried_out_after_it_was_given_up_is_undone(own: Influxd, database: Database) -> None:
    with forwarded(database, own.settings() | {"timeout_s": 1}, clock=lambda: NOW) as site:
        older, newer = block(1, 7, TODAY, 100), block(1, 7, TODAY, 500)
        while site.forwarder.step():
            pass
        save(site, newer)
        own.pause()
        with pytest.raises(StoreAway):
            site.forwarder.step()
        own.resume()
        while waiting(site):
            site.forwarder.forward()
        site.reads.write(older, everything(older), NAMES)  # as such a request would
        while site.forwarder.step():
            pass
        assert same(in_influx(site, newer.keys[0]), newer)


def test_a_block_that_cannot_be_sent_holds_up_no_other(
    site: Forwarded, database: Database, influx_settings: dict[str, object]
) -> None:
    days = [block(m, 7, TODAY, 100 * m) for m in range(1, 12)]
    save(site, *days)
    with site.database.write() as tx:
        tx.execute(update(day_block).where(day_block.c.meter == 4).values(reads=b"\0" * 95))
    while site.forwarder.forward():
        pass
    assert waiting(site) == 1
    for day in days[:3] + days[4:]:
        assert same(in_influx(site, day.keys[0]), day)
    save(site, days[3])  # mended
    with forwarded(database, influx_settings, clock=lambda: NOW) as started_anew:
        started_anew.forward_all()
    assert waiting(site) == 0
    assert same(in_influx(site, days[3].keys[0]), days[3])
