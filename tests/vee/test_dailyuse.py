"""Daily use: a few numbers a day, laid out before any day."""

from __future__ import annotations

import numpy as np

from headend.reads import Flag, Quality
from headend.reads.blocks import empty_blocks
from headend.vee.dailyuse import DAYS, NOTHING, UNKNOWN, last_read, moved, nothing_known, use_of_days

_ONE = np.array([1])


def test_a_day_in_five_numbers() -> None:
    block = empty_blocks(3600, _ONE, _ONE, _ONE)
    block.values[0, :4] = 300, 20, 100, 50
    block.quality[0, :4] = Quality.VALIDATED, Quality.EDITED, Quality.ESTIMATED_LINEAR, Quality.QUESTIONABLE
    block.flags[0, 1], block.flags[0, 2] = Flag.POWER_OUTAGE, Flag.TAMPER
    numbers = [int(each[0]) for each in use_of_days(block)]
    # Read are 300 and, by a person, 20; the other 22 are not.
    assert numbers == [470, 300, 0, 22, Flag.POWER_OUTAGE | Flag.TAMPER]


def test_moved_to_a_later_end_the_oldest_are_forgotten_and_to_an_earlier_the_newest() -> None:
    numbers = np.arange(DAYS)[None, None, :].repeat(5, axis=1).repeat(4, axis=0)
    there = moved(numbers, np.full(4, 1_000), np.array([1_000, 1_002, 998, 1_000 + DAYS]))
    assert there[0, 0].tolist() == list(range(DAYS))
    assert there[1, 0].tolist() == [*range(2, DAYS), UNKNOWN, UNKNOWN]
    assert there[2, 0].tolist() == [UNKNOWN, UNKNOWN, *range(DAYS - 2)]
    assert there[1, :, -1].tolist() == list(NOTHING)
    assert (np.array(NOTHING) == there[3].T).all()


def test_the_last_day_of_which_something_was_read() -> None:
    use = nothing_known(3, 100)
    use.total[:2, -10:-4] = 5
    use.unread[0, -10:-4] = [0, 23, 24, 24, 24, 24]
    use.unread[1, -10:-4] = 24
    assert last_read(use, 24).tolist() == [91, -1, -1]
