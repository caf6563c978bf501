"""What every interval store does: one suite for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import Connection, func, select, update

from headend.errors import StoreBroken
from headend.reads import Blocks, Flag, Quality
from headend.reads.blocks import blocks_in_order
from headend.reads.profiles import lay_out
from headend.store.database import Database
from headend.store.intervals import ChannelDay, IntervalStore, Latest
from headend.store.sql import SqlIntervalStore
from headend.store.tables import day_block

from .blocks import DAY_S, block, everything, same, some_blocks
from .influx.servers import Forwarded, forwarded, with_meters


@dataclass(frozen=True)
class Opened:
    """A store under test, with the transactions it takes part in, and what happens after each of them."""

    store: IntervalStore
    write: Callable[[], AbstractContextManager[Connection]]
    read: Callable[[], AbstractContextManager[Connection]]
    then: Callable[[], None] = lambda: None


def on_sqlite(_request: pytest.FixtureRequest, folder: Path) -> Iterator[Opened]:
    database = Database(f"sqlite:///{folder / 'site.db'}", "site")
    yield Opened(SqlIntervalStore(), database.write, database.read)
    database.close()


def on_postgresql(request: pytest.FixtureRequest, _folder: Path) -> Iterator[Opened]:
    database = Database(request.getfixturevalue("migrated_postgres_url"), "site")
    yield Opened(SqlIntervalStore(), database.write, database.read)
    database.close()


def on_influx(request: pytest.FixtureRequest, folder: Path) -> Iterator[Opened]:
    """InfluxDB has got all blocks, and they are still in the site database too."""
    for site in _with_influx(request, folder):
        yield Opened(site.store, site.database.write, site.database.read, site.forward_all)


def on_influx_moved(request: pytest.FixtureRequest, folder: Path) -> Iterator[Opened]:
    """After each transaction the site database lets go of every settled day: reads come from InfluxDB alone."""
    for site in _with_influx(request, folder):
        yield Opened(site.store, site.database.write, site.database.read, partial(_let_go_of_all, site))


def _with_influx(request: pytest.FixtureRequest, folder: Path) -> Iterator[Forwarded]:
    database = Database(f"sqlite:///{folder / 'site.db'}", "site")
    with_meters(database, 50)
    with forwarded(database, request.getfixturevalue("influx_settings"), clock=lambda: _FAR_IN_THE_FUTURE) as site:
        yield site
    database.close()


def _let_go_of_all(site: Forwarded) -> None:
    site.forward_all()
    while site.forwarder.let_go():
        pass
    b = day_block.c
    still_open = select(b.day).where(b.settled.is_(False))
    left = select(func.count()).where(func.length(b.quality) > 0, b.day.not_in(still_open))
    with site.database.read() as tx:
        assert tx.execute(left).scalar_one() == 0


_FAR_IN_THE_FUTURE = datetime(2100, 1, 1, tzinfo=UTC)

#: A store joins the suite by a line here.
STORES = [on_sqlite, on_postgresql, on_influx, on_influx_moved]


@pytest.fixture(params=STORES, ids=lambda factory: factory.__name__)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    yield from request.param(request, tmp_path)


def save(opened: Opened, *stacks: Blocks, settled: bool = True) -> None:
    with opened.write() as tx:
        for blocks in stacks:
            opened.store.save(tx, blocks, everything(blocks), settled=settled)
    opened.then()


def test_what_nobody_saved_is_missing(opened: Opened) -> None:
    with opened.read() as tx:
        found = opened.store.load(tx, [(20_000, 1, 7), (20_000, 2, 7)], 3600)
        nothing = opened.store.load(tx, [], 900)
    assert found.keys == [(20_000, 1, 7), (20_000, 2, 7)]
    assert not found.present.any()
    assert len(nothing) == 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some_blocks())
def test_what_is_saved_is_loaded_in_the_order_asked_for(opened: Opened, blocks: Blocks) -> None:
    save(opened, blocks)
    back = np.arange(len(blocks))[::-1]
    with opened.read() as tx:
        assert same(opened.store.load(tx, blocks.keys, blocks.interval_s), blocks)
        assert same(opened.store.load(tx, blocks.take(back).keys, blocks.interval_s), blocks.take(back))


def test_saving_again_changes_nothing_and_another_value_replaces(opened: Opened) -> None:
    first, other = block(1, 7, 20_000, 100), block(1, 7, 20_000, 500)
    save(opened, first)
    save(opened, first)
    with opened.read() as tx:
        assert same(opened.store.load(tx, first.keys, 3600), first)
        assert len(list(opened.store.channel_days(tx, 0, 30_000))) == 1
    save(opened, other)
    with opened.read() as tx:
        assert same(opened.store.load(tx, first.keys, 3600), other)


def test_saving_no_blocks_is_fine(opened: Opened) -> None:
    save(opened, block(1, 7, 20_000).take(np.array([], dtype=np.intp)))


def test_a_failed_transaction_leaves_nothing(opened: Opened) -> None:
    def fail() -> None:
        with opened.write() as tx:
            day = block(1, 7, 20_000)
            opened.store.save(tx, day, everything(day), settled=False)
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        fail()
    with opened.read() as tx:
        assert list(opened.store.channel_days(tx, 0, 30_000)) == []


def test_few_and_many_channels_are_read_alike(opened: Opened) -> None:
    random = np.random.default_rng(11)
    stacks = [
        block(m, c, d, int(random.integers(0, 9_000)))
        for m in range(1, 41)
        for c in (7, 8)
        for d in range(20_000, 20_003)
    ]
    stacks[5].register[0, 3] = 77
    stacks[6].flags[0, 3] = 1
    save(opened, *stacks)
    every = [(m, c) for m in range(41, 0, -1) for c in (8, 7, 9)]
    assert len(every) >= 64
    start, end = 20_000 * DAY_S + 5 * 3600, 20_002 * DAY_S + 7 * 3600
    with opened.read() as tx:
        many = opened.store.profiles(tx, every, start, end, 3600)
        few = [opened.store.profiles(tx, every[i : i + 30], start, end, 3600) for i in range(0, len(every), 30)]
    expected = lay_out(stacks, every, start, end, 3600)
    for name in ("meter", "channel", "values", "quality", "flags", "register"):
        assert np.array_equal(getattr(many, name), getattr(expected, name)), name
        assert np.array_equal(np.concatenate([getattr(p, name) for p in few]), getattr(expected, name)), name


@pytest.mark.parametrize("count", [1, 63, 64, 65])
def test_profiles_of_channels_nobody_reported(opened: Opened, count: int) -> None:
    with opened.read() as tx:
        found = opened.store.profiles(tx, [(m, 7) for m in range(count)], 20_000 * DAY_S, 20_001 * DAY_S, 900)
    assert (found.quality == Quality.MISSING).sum(axis=1).tolist() == [96] * count


def test_no_channels_make_an_empty_profile(opened: Opened) -> None:
    with opened.read() as tx:
        assert opened.store.profiles(tx, [], 20_000 * DAY_S, 20_001 * DAY_S, 3600).values.shape == (0, 24)


def test_other_interval_lengths_are_passed_over(opened: Opened) -> None:
    save(opened, block(1, 7, 20_000, n=96), block(2, 7, 20_000))
    with opened.read() as tx:
        found = opened.store.profiles(tx, [(1, 7), (2, 7)], 20_000 * DAY_S, 20_001 * DAY_S, 3600)
    assert (found.quality == Quality.MISSING).sum(axis=1).tolist() == [24, 0]


def test_completeness_of_channel_days(opened: Opened) -> None:
    partly = block(1, 7, 20_000)
    partly.quality[0, :3] = Quality.MISSING
    partly.values[0, :3] = partly.version[0, :3] = 0
    partly.quality[0, 3:5] = Quality.ESTIMATED_LINEAR
    save(opened, partly, block(1, 7, 20_002), settled=False)
    save(opened, block(2, 7, 20_001, n=96), settled=True)
    with opened.read() as tx:
        found = sorted(opened.store.channel_days(tx, 20_000, 20_002), key=lambda d: d.day)
    assert found == [
        ChannelDay(20_000, 1, 7, 3600, present=21, estimated=2, settled=False),
        ChannelDay(20_001, 2, 7, 900, present=96, estimated=0, settled=True),
    ]


def test_a_day_is_open_until_it_is_settled_and_again_when_reads_come(opened: Opened) -> None:
    day, next_day = block(1, 7, 20_000), block(1, 7, 20_001)
    save(opened, day, next_day, settled=False)

    def open_days(before: int) -> list[tuple[int, int, int]]:
        with opened.read() as tx:
            return sorted(opened.store.open_days(tx, before))

    assert open_days(20_001) == [(20_000, 1, 7)]
    assert open_days(20_002) == [(20_000, 1, 7), (20_001, 1, 7)]
    save(opened, day, settled=True)
    assert open_days(20_002) == [(20_001, 1, 7)]
    save(opened, day, settled=False)
    assert open_days(20_001) == [(20_000, 1, 7)]


def test_a_channel_whose_intervals_changed_their_length(opened: Opened) -> None:
    quarters, hours = block(1, 7, 20_001, 900, n=96), [block(1, 7, 20_000, 100), block(1, 7, 20_002, 300)]
    save(opened, quarters, *hours)
    profile = partial(opened.store.profiles, channels=[(1, 7)], start_s=20_000 * DAY_S, end_s=20_003 * DAY_S)
    with opened.read() as tx:
        by_hour, by_quarter = profile(tx, interval_s=3600), profile(tx, interval_s=900)
    assert by_hour.values[0].tolist() == [*range(100, 124), *[0] * 24, *range(300, 324)]
    assert by_quarter.values[0].tolist() == [*[0] * 96, *range(900, 996), *[0] * 96]
    # A day that comes in other intervals is another day: nothing of the old one shows between the new.
    save(opened, block(1, 7, 20_000, 5, n=96), block(1, 7, 20_001, 6))
    with opened.read() as tx:
        by_hour, by_quarter = profile(tx, interval_s=3600), profile(tx, interval_s=900)
    assert by_hour.values[0].tolist() == [*[0] * 24, *range(6, 30), *range(300, 324)]
    assert by_quarter.values[0].tolist() == [*range(5, 101), *[0] * 192]


def test_what_is_no_longer_said_is_gone(opened: Opened) -> None:
    lost, came = block(1, 7, 20_000), block(1, 7, 20_000)
    lost.quality[0, 5], lost.values[0, 5], lost.version[0, 5] = Quality.MISSING, 0, 0
    lost.flags[0, 5], lost.register[0, 6] = Flag.LOST, 4_711
    for day in (lost, came, lost):
        save(opened, day)
        with opened.read() as tx:
            assert same(opened.store.load(tx, day.keys, 3600), day)


def test_the_newest_measured_read(opened: Opened) -> None:
    estimated_at_last, other = block(1, 7, 20_001, 100), block(2, 7, 20_000, 500, n=96)
    estimated_at_last.quality[0, 20:] = Quality.ESTIMATED_LINEAR
    save(opened, block(1, 7, 20_000), estimated_at_last, other)
    latest = partial(opened.store.latest, channels=[(1, 7), (2, 7), (3, 7)], since_s=19_990 * DAY_S)
    with opened.read() as tx:
        found = latest(tx, before_s=20_002 * DAY_S)
        earlier = latest(tx, before_s=20_001 * DAY_S)
    assert found == {
        (1, 7): Latest(20_001 * DAY_S + 19 * 3600, 3600, 119),
        (2, 7): Latest(20_000 * DAY_S + 95 * 900, 900, 595),
    }
    assert earlier[1, 7] == Latest(20_000 * DAY_S + 23 * 3600, 3600, 23)


def test_the_newest_read_of_few_and_of_many_channels_is_found_alike(opened: Opened) -> None:
    # Every channel was heard last on another day, up to six weeks back; every seventh was never heard.
    heard = {(m, c): 20_060 - (m * 2 + c) % 43 for m in range(1, 41) for c in (7, 8) if m % 7}
    save(opened, *(block(m, c, day, m) for (m, c), day in heard.items()))
    every = [(m, c) for m in range(1, 41) for c in (7, 8)]
    expected = {(m, c): Latest(day * DAY_S + 23 * 3600, 3600, m + 23) for (m, c), day in heard.items()}
    bounds = {"since_s": 20_000 * DAY_S, "before_s": 20_061 * DAY_S}
    with opened.read() as tx:
        many = opened.store.latest(tx, every, **bounds)
        few = [opened.store.latest(tx, every[i : i + 20], **bounds) for i in range(0, len(every), 20)]
    assert many == expected
    assert {key: read for part in few for key, read in part.items()} == expected


@pytest.mark.parametrize("others", [0, 70])
def test_bounds_of_the_newest_read_cut_through_days(opened: Opened, others: int) -> None:
    """Where all of the newest day's reads lie outside, the day before is looked at."""
    late = block(1, 7, 20_001, 100)
    late.quality[0, :12], late.values[0, :12], late.version[0, :12] = Quality.MISSING, 0, 0
    save(opened, block(1, 7, 20_000), late)
    noon = 20_001 * DAY_S + 12 * 3600
    channels = [(1, 7), *((2, 100 + i) for i in range(others))]

    def newest(since_s: int, before_s: int) -> Latest | None:
        with opened.read() as tx:
            found = opened.store.latest(tx, channels, since_s, before_s)
        assert found.keys() <= {(1, 7)}
        return found.get((1, 7))

    evening = Latest(20_000 * DAY_S + 23 * 3600, 3600, 23)
    weeks_before = 19_980 * DAY_S
    assert newest(weeks_before, noon + 1) == Latest(noon, 3600, 112)
    assert newest(weeks_before, noon) == evening
    assert newest(evening.start_s, noon) == evening
    assert newest(evening.start_s + 1, noon) is None
    assert newest(noon, noon) is None


def test_what_came_from_a_meter_counts_as_read_whatever_was_said_of_it(opened: Opened) -> None:
    day = block(1, 7, 20_000)
    day.quality[0, 21:] = Quality.QUESTIONABLE, Quality.EDITED, Quality.ESTIMATED_AVERAGE
    save(opened, day)
    with opened.read() as tx:
        assert opened.store.latest(tx, [(1, 7)], 0, 20_001 * DAY_S)[1, 7].value == 21
        assert opened.store.latest(tx, [], 0, 20_001 * DAY_S) == {}


def test_days_whose_time_is_over_are_forgotten(opened: Opened) -> None:
    days = [block(1, 7, day, day) for day in range(20_000, 20_004)]
    save(opened, *days)
    with opened.write() as tx:
        assert opened.store.forget(tx, 20_002) == 2
    save(opened, block(1, 7, 20_004))
    with opened.write() as tx:
        assert opened.store.forget(tx, 20_002) == 0
    with opened.read() as tx:
        found = opened.store.load(tx, [(day, 1, 7) for day in range(20_000, 20_004)], 3600)
        assert [day.day for day in opened.store.channel_days(tx, 0, 30_000)] == [20_002, 20_003, 20_004]
    assert found.present.any(axis=1).tolist() == [False, False, True, True]
    assert same(found.take(np.array([2, 3])), blocks_in_order([days[2].keys[0], days[3].keys[0]], days[2:], 3600))


def test_what_is_forgotten_is_no_newest_read_and_no_open_day(opened: Opened) -> None:
    save(opened, block(1, 7, 20_000))
    save(opened, block(2, 7, 20_000), block(2, 7, 20_001), settled=False)
    with opened.write() as tx:
        assert opened.store.forget(tx, 20_001) == 2
    opened.then()
    with opened.read() as tx:
        assert opened.store.open_days(tx, 30_000) == [(20_001, 2, 7)]
        assert opened.store.latest(tx, [(1, 7), (2, 7)], 0, 20_010 * DAY_S).keys() == {(2, 7)}
        profiles = opened.store.profiles(tx, [(1, 7), (2, 7)], 20_000 * DAY_S, 20_002 * DAY_S, 3600)
    assert (profiles.quality != Quality.MISSING).sum(axis=1).tolist() == [0, 24]


def test_a_cut_row_is_found(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'site.db'}", "site")
    store, day = SqlIntervalStore(), block(1, 7, 20_000)
    with database.write() as tx:
        store.save(tx, day, everything(day), settled=False)
        tx.execute(update(day_block).values(reads=b"\0" * 95))
    with database.read() as tx, pytest.raises(StoreBroken):
        store.load(tx, day.keys, 3600)
    database.close()
