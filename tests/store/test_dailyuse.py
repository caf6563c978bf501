"""Daily use in the database: days take their places, whatever comes when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from headend.errors import StoreBroken
from headend.reads import Blocks, Quality
from headend.reads.blocks import empty_blocks
from headend.store import dailyuse
from headend.store.database import Database
from headend.store.tables import daily_use
from headend.vee.dailyuse import DAYS, UNKNOWN

KEYS = [(1, 7), (2, 7), (3, 7)]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = (
        f"sqlite:///{tmp_path / 'site.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("migrated_postgres_url")
    )
    opened = Database(url, "site")
    yield opened
    opened.close()


def blocks(*days: tuple[int, int, int]) -> Blocks:
    """Blocks by (meter, day, value of each hour)."""
    meter, day, value = np.array(days).T
    made = empty_blocks(3600, meter, np.full(len(days), 7), day)
    made.values[:], made.quality[:] = value[:, None], Quality.VALIDATED
    return made


def put(database: Database, end_day: int, *days: tuple[int, int, int]) -> None:
    with database.write() as tx:
        dailyuse.put(tx, blocks(*days), end_day)


def peaks(database: Database, end_day: int) -> list[dict[int, int]]:
    """What is known of the three channels: the peak by day."""
    with database.read() as tx:
        use = dailyuse.load(tx, KEYS, end_day)
    assert use.total.shape == (3, DAYS)
    assert (use.total == np.where(use.peak == UNKNOWN, UNKNOWN, 24 * use.peak)).all()
    days = use.days.tolist()
    return [{day: peak for day, peak in zip(days, row, strict=True) if peak != UNKNOWN} for row in use.peak.tolist()]


def test_days_take_their_places_and_once_more_the_same(database: Database) -> None:
    put(database, 101, (1, 100, 5), (2, 100, 6))
    put(database, 103, (1, 102, 7), (1, 100, 8), (3, 90, 9))
    put(database, 103, (1, 102, 7))
    assert peaks(database, 103) == [{100: 8, 102: 7}, {100: 6}, {90: 9}]


def test_the_same_before_any_day(database: Database) -> None:
    put(database, 103, (1, 102, 7), (1, 100, 8))
    assert peaks(database, 102)[0] == {100: 8}
    assert peaks(database, 100)[0] == {}
    assert peaks(database, 100 + DAYS)[0] == {100: 8, 102: 7}
    assert peaks(database, 101 + DAYS)[0] == {102: 7}
    assert peaks(database, 5_000)[0] == {}


def test_a_day_older_than_what_is_kept_is_passed_over(database: Database) -> None:
    put(database, 1_000, (1, 999, 7), (1, 1_000 - DAYS, 8), (1, 999 - DAYS, 9))
    put(database, 1_000, (1, 3, 4))
    assert peaks(database, 1_000)[0] == {1_000 - DAYS: 8, 999: 7}


def test_a_clock_that_was_wrong_costs_what_it_told_and_no_more(database: Database) -> None:
    put(database, 102, (1, 100, 5), (1, 101, 6))
    put(database, 30_000, (1, 29_999, 7))
    put(database, 103, (1, 102, 8))
    assert peaks(database, 103)[0] == {102: 8}


def test_a_clock_that_was_a_little_ahead_costs_nothing(database: Database) -> None:
    put(database, 105, (1, 100, 5), (1, 104, 6))
    put(database, 102, (1, 101, 8))
    assert peaks(database, 105)[0] == {100: 5, 101: 8, 104: 6}


def test_a_row_that_was_not_written_by_us_is_named(database: Database) -> None:
    put(database, 101, (1, 100, 5))
    with database.write() as tx:
        tx.execute(update(daily_use).values(days=b"1234"))
    with pytest.raises(StoreBroken, match="daily use of meter 1, channel 7: found 4 bytes, expected 2800"):
        peaks(database, 101)


def test_hundreds_of_channels_in_any_order(database: Database) -> None:
    random = np.random.default_rng(3)
    keys = [(int(meter), 7) for meter in random.permutation(3_000) + 1]
    with database.write() as tx:
        dailyuse.put(tx, blocks(*((meter, 100, meter) for meter, _ in keys)), 101)
        use = dailyuse.load(tx, keys[::-1], 101)
    assert use.low[:, -1].tolist() == [meter for meter, _ in keys[::-1]]
