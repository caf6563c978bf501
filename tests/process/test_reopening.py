"""Late and corrected reads of closed days: what rests on them is estimated again, and no more than that."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from headend.reads import Quality
from headend.reads.days import seconds
from headend.store import tables as t

from .field import DAY, HOUR, MONDAY, Field


def day(number: int) -> int:
    """Days since 1970 of the so-manieth day."""
    return seconds(MONDAY) // 86_400 + number


def due_after(days: int) -> Any:
    return MONDAY + days * DAY + timedelta(hours=6)


def basis(field: Field) -> dict[int, tuple[int, int]]:
    """What each estimated day rests on, days counted from Monday."""
    with field.site.database.read() as tx:
        rows = tx.execute(select(t.estimate_basis).order_by(t.estimate_basis.c.day)).all()
    return {row.day - day(0): (row.first_day - day(0), row.end_day - day(0)) for row in rows}


def open_days(field: Field) -> list[int]:
    with field.site.database.read() as tx:
        query = select(t.day_block.c.day).where(t.day_block.c.settled.is_(False)).order_by(t.day_block.c.day)
        return [found - day(0) for found in tx.execute(query).scalars()]


def weekdays(field: Field, *, first: int = 0, n: int, without: dict[int, range]) -> None:
    """Days of 100 Wh an hour."""
    for number in range(first, first + n):
        missing = without.get(number, ())
        field.send(MONDAY + number * DAY, [None if h in missing else 100 for h in range(24)])


def test_a_day_rests_on_its_like_days_and_on_as_far_as_it_looked_for_them(field: Field) -> None:
    # Wednesday of the second week: three like days before it, of those after it only one had come.
    weekdays(field, n=11, without={9: range(8, 14)})
    field.settle(due_after(11))
    look_ahead = 9 + field.site.rules.rules.estimation.look_back_days
    (first, end) = basis(field)[9]
    assert list(basis(field)) == [9]
    assert first == 4  # Tuesday, Monday, and the Friday before
    assert end == look_ahead + 1


def test_a_corrected_like_day_changes_the_estimates_that_rest_on_it_alone(field: Field) -> None:
    # Gaps on Wednesday of the first and of the third week.
    weekdays(field, n=19, without={2: range(8, 14), 16: range(8, 14)})
    field.settle(due_after(19))
    assert field.values(MONDAY + 16 * DAY + 8 * HOUR, 6) == [100] * 6
    # On the Tuesday before the second it was 700 at ten: so much of one of the five days it rests on now.
    field.send(MONDAY + 15 * DAY + 10 * HOUR, [700])
    assert open_days(field) == [15, 16]
    field.settle(due_after(19))
    assert field.values(MONDAY + 16 * DAY + 8 * HOUR, 6) == [100, 100, 220, 100, 100, 100]
    assert field.stands(MONDAY + 2 * DAY + 8 * HOUR, 6).versions == [1] * 6
    assert open_days(field) == []
    assert field.settle(due_after(19)).channel_days == 0


def test_a_day_that_becomes_whole_is_the_reference_for_who_had_none(field: Field) -> None:
    # Each day lacks its last hour, so that days with holes must do; the first Tuesday's comes late.
    for number in range(10):
        level = 300 if number == 1 else 100
        missing = {23, *range(8, 14)} if number == 9 else {23}
        field.send(MONDAY + number * DAY, [None if h in missing else level for h in range(24)])
    field.settle(due_after(10))
    assert field.values(MONDAY + 9 * DAY + 8 * HOUR, 6) == [100] * 6
    field.send(MONDAY + DAY + 23 * HOUR, [300])
    assert open_days(field) == list(range(10))
    field.settle(due_after(10))
    middle = field.values(MONDAY + 9 * DAY + 10 * HOUR, 2)
    assert all(value is not None and 100 < value < 300 for value in middle)


def test_the_same_read_again_opens_nothing(field: Field) -> None:
    weekdays(field, n=5, without={2: range(8, 14)})
    field.settle(due_after(5))
    weekdays(field, n=5, without={2: range(8, 14)})
    assert open_days(field) == []


def test_an_outage_that_is_told_late_makes_a_day_no_reference_any_more(field: Field) -> None:
    for number, level in enumerate((100, 400, 100, 100)):
        field.send(MONDAY + number * DAY, [None if number == 2 and 8 <= h < 14 else level for h in range(24)])
    field.settle(due_after(4))
    # Like days say 200, the ends 100.
    assert all(100 < value < 200 for value in field.values(MONDAY + 2 * DAY + 8 * HOUR, 6))
    field.send(MONDAY + DAY, [400] * 24, quality=[1] * 24)
    assert open_days(field) == [1, 2]
    field.settle(due_after(4))
    assert field.values(MONDAY + 2 * DAY + 8 * HOUR, 6) == [100] * 6


def test_estimates_spread_by_a_register_rest_on_all_reads_it_counts(field: Field) -> None:
    # A register on Monday night and on Thursday night, and 100 Wh an hour but for 300 in the two hours that miss.
    field.send(MONDAY, [100] * 24, register=10_000)
    field.send(MONDAY + DAY, [100] * 8 + [None] + [100] * 15)
    field.send(MONDAY + 2 * DAY, [100] * 24)
    field.send(MONDAY + 3 * DAY, [100] * 8 + [None] + [100] * 15, register=10_000 + 72 * 100 + 400)
    field.settle(due_after(4))
    assert (field.values(MONDAY + DAY + 8 * HOUR, 1), field.values(MONDAY + 3 * DAY + 8 * HOUR, 1)) == ([300], [300])
    # Wednesday at noon was 200: 500 are left.
    field.send(MONDAY + 2 * DAY + 12 * HOUR, [200])
    assert open_days(field) == [1, 2, 3]
    field.settle(due_after(4))
    assert (field.values(MONDAY + DAY + 8 * HOUR, 1), field.values(MONDAY + 3 * DAY + 8 * HOUR, 1)) == ([250], [250])


def test_a_day_without_estimates_any_more_rests_on_nothing(field: Field) -> None:
    weekdays(field, n=5, without={2: range(8, 14)})
    field.settle(due_after(5))
    assert list(basis(field)) == [2]
    field.send(MONDAY + 2 * DAY + 8 * HOUR, [120] * 6)
    field.settle(due_after(5))
    assert basis(field) == {}
    assert set(field.stands(MONDAY + 2 * DAY, 24).quality) == {Quality.VALIDATED}


def test_a_day_that_only_influxdb_has_is_opened_again_as_any_other(field: Field) -> None:
    weekdays(field, n=5, without={2: range(8, 14)})
    field.settle(due_after(5))
    emptied = {"reads": b"", "quality": b"", "version": None, "flags": None, "register": None}
    with field.site.database.write() as tx:
        its = t.day_block.c.day == day(2)
        tx.execute(update(t.day_block).where(its).values(emptied))
    field.send(MONDAY + DAY + 10 * HOUR, [700])
    assert open_days(field) == [1, 2]


def test_good_hours_that_failed_beside_a_wrong_one_are_good_once_that_is_corrected(field: Field) -> None:
    for number in range(3):
        field.send(MONDAY + number * DAY, [100] * 24, register=2_400 * (number + 1))
    # Two hours are wrong, so that all of the day is questioned.
    wrong = [1_100 if h in (10, 11) else 100 for h in range(24)]
    wrong[15] = 130
    field.send(MONDAY + 3 * DAY, wrong, register=9_630)
    field.settle(due_after(4))
    assert Quality.VALIDATED not in field.stands(MONDAY + 3 * DAY + 10 * HOUR, 2).quality
    field.send(MONDAY + 3 * DAY + 10 * HOUR, [100, 100])
    field.settle(due_after(4))
    thursday = field.stands(MONDAY + 3 * DAY, 24)
    assert thursday.values == [130 if h == 15 else 100 for h in range(24)]
    assert set(thursday.quality) == {Quality.VALIDATED}


def test_a_gap_across_midnight_is_one_gap(field: Field) -> None:
    # Like days have 100 in each hour, what is around the gap 500: what it says beyond habit fades from both ends alike.
    weekdays(field, n=2, without={})
    field.send(MONDAY + 2 * DAY, [100] * 20 + [500] + [None] * 3)
    field.settle(due_after(3))
    one_sided = field.values(MONDAY + 2 * DAY + 21 * HOUR, 3)
    assert one_sided == sorted(one_sided, reverse=True)
    field.send(MONDAY + 3 * DAY, [None] * 3 + [500] + [100] * 20)
    field.settle(due_after(4))
    gap = np.array(field.values(MONDAY + 2 * DAY + 21 * HOUR, 6))
    assert np.abs(gap - gap[::-1]).max() <= 1
    assert gap[2] > one_sided[2]


@contextmanager
def a_field() -> Iterator[Field]:
    with tempfile.TemporaryDirectory() as folder:
        field = Field(Path(folder))
        yield field
        field.close()


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[list[Any]], list[list[Any]]]:
    """What a meter sends in the end, as (day, hour, values, register), and how it came: some late, some wrong first."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    days = draw(st.integers(3, 8))
    flow = random.integers(0, 2_000, (days, 24))
    lost = random.random((days, 24)) < draw(st.sampled_from([0.0, 0.05, 0.3]))
    register = 5_000 + flow.cumsum()
    with_register = draw(st.sampled_from([0.0, 0.3, 1.0]))
    pieces: list[list[Any]] = []
    for number in range(days):
        cuts = [0, *sorted(random.choice(np.arange(1, 24), 3, replace=False).tolist()), 24]
        for begin, end in pairwise(cuts):
            values = [None if lost[number, h] else int(flow[number, h]) for h in range(begin, end)]
            shown = int(register[number * 24 + end - 1]) if random.random() < with_register else None
            pieces.append([number, begin, values, shown])
    came: list[list[Any]] = []
    for piece in pieces:
        if random.random() < draw(st.sampled_from([0.0, 0.15])):
            number, begin, values, shown = piece
            came.append([number, begin, [None if v is None else v + 50 for v in values], None])
    return pieces, [*came, *(pieces[i] for i in random.permutation(len(pieces)).tolist())]


def send(field: Field, piece: list[Any]) -> None:
    number, begin, values, register = piece
    more = {} if register is None else {"register": register}
    field.send(MONDAY + number * DAY + begin * HOUR, values, **more)


def what_stands(field: Field, days: int) -> list[list[Any]]:
    said = field.stands(MONDAY, 24 * days)
    with field.site.database.read() as tx:
        use = [tuple(row) for row in tx.execute(select(t.daily_use))]
    return [said.values, said.quality, basis(field), use]


@settings(max_examples=25, deadline=None)
@given(stories(), st.lists(st.integers(0, 40), max_size=4))
def test_what_came_late_stands_as_if_it_had_come_in_time(
    story: tuple[list[list[Any]], list[list[Any]]], settled_after: list[int]
) -> None:
    in_time, as_it_came = story
    days = in_time[-1][0] + 1
    with a_field() as one, a_field() as other:
        for piece in in_time:
            send(one, piece)
        one.settle(due_after(days))
        for place, piece in enumerate(as_it_came):
            send(other, piece)
            if place in settled_after:
                other.settle(due_after(days))
        other.settle(due_after(days))
        assert open_days(other) == []
        assert other.settle(due_after(days)).channel_days == 0
        assert what_stands(other, days) == what_stands(one, days)
        # And that is a fixed point: settled again, nothing changes.
        before = what_stands(other, days)
        with other.site.database.write() as tx:
            tx.execute(update(t.day_block).values(settled=False))
        other.settle(due_after(days))
        assert what_stands(other, days) == before
