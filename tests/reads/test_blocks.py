"""Packing and merging day blocks, against plain dictionaries and lists of versions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from headend.reads import NO_REGISTER, Blocks, Quality, empty_blocks, merge, pack
from headend.reads.blocks import contested, supersede
from headend.reads.profiles import lay_out

DAY = 86_400
NAMES = ("values", "quality", "flags", "version", "register")


@dataclass(frozen=True)
class Read:
    """One read, as plain as can be."""

    meter: int
    channel: int
    start_s: int
    value: int | None
    flags: int
    register: int


def packed(reads: list[Read], interval_s: int) -> list[Blocks]:
    column = {
        name: np.array([getattr(r, name) for r in reads], dtype=np.int64) for name in ("meter", "channel", "start_s")
    }
    return pack(
        interval_s,
        column["meter"],
        column["channel"],
        column["start_s"],
        np.array([-7 if r.value is None else r.value for r in reads], dtype=np.int64),
        np.array([Quality.MISSING if r.value is None else Quality.RAW for r in reads], dtype=np.uint8),
        np.array([r.flags for r in reads], dtype=np.uint8),
        np.array([r.register for r in reads], dtype=np.int64),
    )


def unpacked(blocks: Blocks) -> dict[tuple[int, int, int], tuple[int | None, int, int]]:
    """Everything a stack says, interval by interval."""
    said = {}
    for row, (day, meter, channel) in enumerate(blocks.keys):
        for column in range(DAY // blocks.interval_s):
            value = int(blocks.values[row, column]) if blocks.quality[row, column] else None
            found = value, int(blocks.flags[row, column]), int(blocks.register[row, column])
            if found != (None, 0, NO_REGISTER):
                said[meter, channel, day * DAY + column * blocks.interval_s] = found
            assert blocks.values[row, column] == (value or 0)
    return said


INTERVALS = st.sampled_from([60, 300, 900, 1800, 3600, 86_400])


@st.composite
def read_lists(draw: st.DrawFn) -> tuple[int, list[Read]]:
    interval_s = draw(INTERVALS)
    starts = st.integers(19_999 * DAY // interval_s, 20_001 * DAY // interval_s).map(lambda i: i * interval_s)
    read = st.builds(
        Read,
        meter=st.integers(1, 3),
        channel=st.integers(1, 2),
        start_s=starts | st.sampled_from([20_000 * DAY, 20_000 * DAY - interval_s]),
        value=st.none() | st.integers(-(2**53), 2**53),
        flags=st.integers(0, 31),
        register=st.just(NO_REGISTER) | st.integers(0, 2**53),
    )
    return interval_s, draw(st.lists(read, min_size=1, max_size=40))


@given(read_lists())
def test_the_nth_read_of_an_interval_is_in_the_nth_stack(drawn: tuple[int, list[Read]]) -> None:
    interval_s, reads = drawn
    model: list[dict[tuple[int, int, int], tuple[int | None, int, int]]] = []
    seen: dict[tuple[int, int, int], int] = {}
    for r in reads:
        key = r.meter, r.channel, r.start_s
        nth = seen.get(key, 0)
        seen[key] = nth + 1
        model.extend([{}] * (nth + 1 - len(model)))
        model[nth] = model[nth] | {key: (r.value, r.flags, r.register)}
    quiet = (None, 0, NO_REGISTER)
    stacks = packed(reads, interval_s)
    assert [unpacked(s) for s in stacks] == [{k: v for k, v in m.items() if v != quiet} for m in model]
    for stack in stacks:
        assert len(set(stack.keys)) == len(stack)
        assert set(np.unique(stack.quality)) <= {Quality.MISSING, Quality.RAW}
        assert not stack.version.any()


def test_a_run_over_midnight_utc_becomes_two_blocks() -> None:
    at = 20_000 * DAY
    (stack,) = packed([Read(1, 1, at - 3600, 5, 0, NO_REGISTER), Read(1, 1, at, 6, 0, 99)], 3600)
    assert stack.day.tolist() == [19_999, 20_000]
    assert (stack.values[0, 23], stack.values[1, 0], stack.register[1, 0]) == (5, 6, 99)
    assert stack.start_s[0, 23] == at - 3600


def one(value: int, quality: Quality, version: int = 1, flags: int = 0, register: int = NO_REGISTER) -> Blocks:
    """A block of one interval a day."""
    a = np.array([1])
    blocks = empty_blocks(DAY, a, a, a)
    for name, what in zip(NAMES, (value, quality, flags, version, register), strict=True):
        getattr(blocks, name)[0, 0] = what
    return blocks


def state(blocks: Blocks) -> tuple[int, ...]:
    return tuple(int(getattr(blocks, name)[0, 0]) for name in NAMES)


ESTIMATES = [
    Quality.ESTIMATED_LINEAR, Quality.ESTIMATED_LIKE_DAY, Quality.ESTIMATED_FROM_REGISTER, Quality.ESTIMATED_AVERAGE,
    Quality.EDITED,
]  # fmt: skip


@pytest.mark.parametrize("quality", ESTIMATES)
@pytest.mark.parametrize("value", [10, 11])
def test_a_read_replaces_what_was_estimated_or_edited_whatever_its_value(quality: Quality, value: int) -> None:
    merged = merge(one(10, quality), one(value, Quality.RAW, 0), np.zeros((1, 1), np.bool_))
    assert state(merged.blocks)[:2] == (value, Quality.RAW)
    assert merged.blocks.version[0, 0] == 2
    assert merged.replaced.all()
    assert not merged.duplicates.any()
    assert not merged.stored.any()


@pytest.mark.parametrize("quality", [Quality.RAW, Quality.VALIDATED, Quality.VERIFIED, Quality.QUESTIONABLE])
def test_the_same_value_again_is_a_duplicate(quality: Quality) -> None:
    stored = one(10, quality)
    merged = merge(stored, one(10, Quality.RAW, 0), np.zeros((1, 1), np.bool_))
    assert state(merged.blocks) == state(stored)
    assert merged.duplicates.all()


def test_a_redelivery_brings_nothing_of_its_time_back() -> None:
    stored = one(7, Quality.RAW, 2, flags=0, register=102)
    merged = merge(stored, one(5, Quality.RAW, 0, flags=8, register=100), np.ones((1, 1), np.bool_))
    assert state(merged.blocks) == state(stored)
    assert merged.duplicates.all()


def test_a_null_brings_its_flags_and_register_and_no_value() -> None:
    stored = empty_blocks(DAY, *[np.array([1])] * 3)
    merged = merge(stored, one(0, Quality.MISSING, 0, flags=1, register=9), np.zeros((1, 1), np.bool_))
    assert state(merged.blocks) == (0, Quality.MISSING, 1, 0, 9)
    assert not (merged.stored | merged.replaced | merged.duplicates).any()


def test_the_255th_version_is_the_last_number() -> None:
    merged = merge(one(1, Quality.RAW, 255), one(2, Quality.RAW, 0), np.zeros((1, 1), np.bool_))
    assert state(merged.blocks)[:4] == (2, Quality.RAW, 0, 255)


def test_a_better_quality_alone_is_no_version() -> None:
    stored = one(10, Quality.RAW)
    merged = supersede(stored, stored.values.copy(), np.full((1, 1), Quality.VALIDATED, np.uint8))
    assert state(merged.blocks)[:2] == (10, Quality.VALIDATED)
    assert merged.blocks.version[0, 0] == 1
    assert not (merged.stored | merged.replaced).any()


def test_an_estimate_of_zero_for_nothing_is_a_version() -> None:
    stored = empty_blocks(DAY, *[np.array([1])] * 3)
    merged = supersede(stored, stored.values.copy(), np.full((1, 1), Quality.ESTIMATED_LINEAR, np.uint8))
    assert merged.stored.all()
    assert merged.blocks.version[0, 0] == 1


@dataclass
class Interval:
    """What the specification says of one interval: what stands, and every version that something else replaced."""

    value: int | None = None
    measured: bool = True
    versions: int = 0
    superseded: list[tuple[int, bool]] = field(default_factory=list)

    def arrives(self, value: int) -> str:
        if self.value is None:
            self.stand(value, measured=True)
            return "stored"
        if self.measured and value == self.value:
            return "duplicate"
        if (value, True) in self.superseded:
            return "duplicate"
        self.superseded.append((self.value, self.measured))
        self.stand(value, measured=True)
        return "replaced"

    def estimated(self, value: int) -> None:
        if self.value is not None and value != self.value:
            self.superseded.append((self.value, self.measured))
        if value != self.value:
            self.versions += 1
        self.value, self.measured = value, False

    def stand(self, value: int, *, measured: bool) -> None:
        self.value, self.measured, self.versions = value, measured, self.versions + 1


SMALL = st.integers(0, 4)
PLACE = st.integers(0, 1)


class VersionsOfIntervals(RuleBasedStateMachine):
    """Two intervals of one block; the history is a list, so that nothing but the merge is on trial."""

    def __init__(self) -> None:
        super().__init__()
        a = np.array([1])
        self.blocks = empty_blocks(DAY // 2, a, a, a)
        self.history: list[tuple[int, int, int]] = []
        self.model = [Interval(), Interval()]

    @rule(place=PLACE, value=SMALL)
    def a_read_arrives(self, place: int, value: int) -> None:
        a = np.array([1])
        incoming = empty_blocks(DAY // 2, a, a, a)
        incoming.values[0, place], incoming.quality[0, place] = value, Quality.RAW
        redelivered = contested(self.blocks, incoming)
        for _, column in np.argwhere(redelivered).tolist():
            redelivered[0, column] = any(
                (c, v) == (column, value) and q <= Quality.QUESTIONABLE for c, v, q in self.history
            )
        merged = merge(self.blocks, incoming, redelivered)
        self._keep(merged.replaced)
        self.blocks = merged.blocks
        became = {
            "stored": merged.stored[0, place],
            "replaced": merged.replaced[0, place],
            "duplicate": merged.duplicates[0, place],
        }
        expected = self.model[place].arrives(value)
        assert became == {word: word == expected for word in became}

    @rule(place=PLACE, value=SMALL)
    def validation_estimates(self, place: int, value: int) -> None:
        values, quality = self.blocks.values.copy(), self.blocks.quality.copy()
        values[0, place], quality[0, place] = value, Quality.ESTIMATED_LIKE_DAY
        merged = supersede(self.blocks, values, quality)
        self._keep(merged.replaced)
        self.blocks = merged.blocks
        self.model[place].estimated(value)

    @rule()
    def validation_passes(self) -> None:
        quality = np.where(self.blocks.quality == Quality.RAW, np.uint8(Quality.VALIDATED), self.blocks.quality)
        merged = supersede(self.blocks, self.blocks.values.copy(), quality)
        assert not (merged.stored | merged.replaced).any()
        self.blocks = merged.blocks

    def _keep(self, replaced: np.ndarray) -> None:
        for _, c in np.argwhere(replaced).tolist():
            self.history.append((c, int(self.blocks.values[0, c]), int(self.blocks.quality[0, c])))

    @invariant()
    def what_stands_is_what_the_model_says(self) -> None:
        for column, model in enumerate(self.model):
            standing = int(self.blocks.values[0, column]) if self.blocks.quality[0, column] else None
            assert standing == model.value
            assert self.blocks.version[0, column] == min(model.versions, 255)
            assert [(v, q <= Quality.QUESTIONABLE) for c, v, q in self.history if c == column] == model.superseded


TestVersionsOfIntervals = VersionsOfIntervals.TestCase
TestVersionsOfIntervals.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_blocks_side_by_side_are_cut_to_the_interval() -> None:
    day = 20_000
    two_days = empty_blocks(3600, np.array([1, 1, 9]), np.array([5, 5, 5]), np.array([day, day + 1, day]))
    two_days.values[:] = np.arange(72).reshape(3, 24)
    two_days.quality[:] = Quality.VALIDATED
    two_days.register[0, 23] = 1000
    # From 22:00 on the first day to 02:00 on the next; channel (2, 5) has nothing, (9, 5) nobody asked for.
    start_s = day * DAY + 22 * 3600
    profiles = lay_out([two_days], [(2, 5), (1, 5)], start_s, start_s + 4 * 3600, 3600)
    assert profiles.values.tolist() == [[0, 0, 0, 0], [22, 23, 24, 25]]
    assert profiles.quality.tolist() == [[Quality.MISSING] * 4, [Quality.VALIDATED] * 4]
    assert profiles.register.tolist() == [[-1] * 4, [-1, 1000, -1, -1]]


def test_days_outside_the_stretch_are_passed_over() -> None:
    far = empty_blocks(3600, np.array([1, 1]), np.array([5, 5]), np.array([19_999, 20_001]))
    far.quality[:] = Quality.RAW
    profiles = lay_out([far], [(1, 5)], 20_000 * DAY, 20_001 * DAY, 3600)
    assert (profiles.quality == Quality.MISSING).all()
