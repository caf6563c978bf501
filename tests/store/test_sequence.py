"""The sequence window against a plain set of what is durable."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headend.store.sequence import HOLES_REMEMBERED, MISSING_NAMED, SequenceWindow


def window(*seqs: int, oldest: int | None = None) -> SequenceWindow:
    made = SequenceWindow()
    for seq in seqs:
        made.note(seq, oldest=oldest)
    return made


@pytest.mark.parametrize(
    ("seqs", "answer"),
    [
        ((1, 2, 3), {"through": 3, "missing": []}),
        ((1, 4), {"through": 4, "missing": [2, 3]}),
        ((4, 1, 2, 3), {"through": 4, "missing": []}),
        ((1, 7, 4), {"through": 7, "missing": [2, 3, 5, 6]}),
        ((3, 3, 3), {"through": 3, "missing": [1, 2]}),
        ((0, 1), {"through": 1, "missing": []}),
        ((1_000,), {"through": 1_000, "missing": list(range(1, 1_000))}),
        # Nobody knows what a gateway that comes with a high number did before.
        ((1_001,), {"through": 1_001, "missing": []}),
        ((1_001, 5, 1_002), {"through": 1_002, "missing": []}),
        # More is missing than can be named: the sentence ends before the first that is not.
        ((1, 2_000), {"through": 1_001, "missing": list(range(2, 1_002))}),
        ((1, 1_002), {"through": 1_002, "missing": list(range(2, 1_002))}),
    ],
)
def test_acknowledgements_worked_by_hand(seqs: tuple[int, ...], answer: dict[str, object]) -> None:
    assert window(*seqs).acknowledgement() == answer


def test_what_the_gateway_no_longer_keeps_is_not_asked_for() -> None:
    made = window(1, 2, 10)
    made.note(11, oldest=6)
    assert made.acknowledgement() == {"through": 11, "missing": [6, 7, 8, 9]}
    made.note(12, oldest=12)
    assert made.acknowledgement() == {"through": 12, "missing": []}


def test_a_gateway_that_says_what_it_keeps_is_asked_for_all_of_it() -> None:
    assert window(5_000, oldest=4_998).acknowledgement() == {"through": 5_000, "missing": [4_998, 4_999]}


def test_another_epoch_counts_anew() -> None:
    made = window(1, 2, 3)
    made.note(2, epoch="after-reset")
    assert made.acknowledgement() == {"through": 2, "missing": [1], "epoch": "after-reset"}


def test_a_late_message_of_an_earlier_epoch_makes_nothing_durable_that_is_not() -> None:
    made = SequenceWindow()
    for seq in range(1, 5_001):
        if seq != 4_990:
            made.note(seq, "b")
    made.note(17, "a")
    made.note(5_001, "b")
    assert made.acknowledgement() == {"through": 5_001, "missing": [4_990], "epoch": "b"}
    assert SequenceWindow.from_json(made.to_json()) == made


def test_a_window_of_an_older_journal_is_read() -> None:
    assert SequenceWindow.from_json('["b", 1, 9, [[3, 4]]]') == SequenceWindow("b", 1, 9, [(3, 4)])


def test_a_corrupted_counter_costs_one_hole() -> None:
    made = window(1, 10**12, 2**63 - 1)
    assert made.missing == [(2, 10**12 - 1), (10**12 + 1, 2**63 - 2)]
    assert made.acknowledgement() == {"through": 1_001, "missing": list(range(2, 1_002))}


def every_second(last: int) -> SequenceWindow:
    return window(*range(1, last + 1, 2))


def test_a_gateway_that_sends_every_second_number_does_not_fill_the_memory() -> None:
    made = every_second(30_001)
    assert len(made.missing) == HOLES_REMEMBERED
    assert made.through == 20_001
    assert made.acknowledgement() == {"through": 2_001, "missing": list(range(2, 2_001, 2))}
    assert SequenceWindow.from_json(made.to_json()) == made


def test_what_was_forgotten_counts_when_it_comes_again() -> None:
    made = every_second(20_005)
    assert (made.through, made.missing[-1]) == (20_001, (20_000, 20_000))
    for seq in range(2, 20_001, 2):
        made.note(seq)
    assert made.acknowledgement() == {"through": 20_001, "missing": []}
    made.note(20_007)
    assert made.acknowledgement() == {"through": 20_007, "missing": list(range(20_002, 20_007))}
    # Or is given up, when the gateway no longer keeps it.
    made.note(20_008, oldest=20_005)
    assert made.acknowledgement() == {"through": 20_008, "missing": [20_005, 20_006]}


FULL = every_second(20_001)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 50) | st.integers(1, 25_000) | st.integers(19_990, 20_040), max_size=60))
def test_a_full_window_calls_nothing_durable_that_is_not(seqs: list[int]) -> None:
    made, durable, told = FULL.copy(), {*range(1, 20_002, 2)}, set()
    for seq in seqs:
        made.note(seq)
        durable.add(seq)
        assert len(made.missing) <= HOLES_REMEMBERED
        assert all(left[1] + 1 < right[0] for left, right in pairwise(made.missing))
        missing = {number for a, b in made.missing for number in range(a, b + 1)}
        called_durable = {*range(1, made.through + 1)} - missing
        assert called_durable <= durable
        # What a gateway was told, and threw away therefore, is never asked for.
        answer = made.acknowledgement()
        assert not told & set(answer["missing"])
        told |= {*range(1, answer["through"] + 1)} - set(answer["missing"])
        assert told <= called_durable


SEQ = st.integers(0, 40) | st.integers(0, 3_000) | st.sampled_from([10**12, 10**12 + 1, 2**63 - 1])


class Windows(RuleBasedStateMachine):
    """Messages in whatever order; the model remembers every one."""

    def __init__(self) -> None:
        super().__init__()
        self.window = SequenceWindow()
        self.epoch: str | None = None
        self.durable: set[int] = set()
        self.given_up_below = 0
        self.began = False
        self.past: dict[str | None, tuple[set[int], int, bool]] = {}

    def _note(self, seq: int, oldest: int | None) -> None:
        if not self.began:
            # Before the first message nobody knows what came before it, unless the gateway says so.
            says = oldest is not None and oldest <= seq
            self.given_up_below = oldest if says else 1 if 0 < seq <= MISSING_NAMED else seq
            self.began = True
        if oldest is not None:
            self.given_up_below = max(self.given_up_below, oldest)
        self.durable.add(seq)
        self.window.note(seq, self.epoch, oldest)

    @rule(seq=SEQ)
    def a_message(self, seq: int) -> None:
        self._note(seq, None)

    @rule(seq=SEQ, back=st.integers(0, 50))
    def a_message_of_a_gateway_that_says_what_it_keeps(self, seq: int, back: int) -> None:
        self._note(seq, max(0, seq - back))

    @precondition(lambda self: self.durable)
    @rule(data=st.data())
    def a_message_again(self, data: st.DataObject) -> None:
        self._note(data.draw(st.sampled_from(sorted(self.durable))), None)

    @precondition(lambda self: self.began)
    @rule()
    def what_is_missing_comes(self) -> None:
        missing = self.window.acknowledgement()["missing"]
        for seq in missing[:5]:
            self._note(seq, None)

    @rule(epoch=st.sampled_from([None, "a", "b"]), seq=SEQ)
    def a_message_of_an_epoch(self, epoch: str | None, seq: int) -> None:
        """The gateway lost its counter, or what it sent before that comes late."""
        if epoch != self.epoch:
            self.past[self.epoch] = self.durable, self.given_up_below, self.began
            self.epoch = epoch
            self.durable, self.given_up_below, self.began = self.past.get(epoch, (set(), 0, False))
        self._note(seq, None)

    @rule()
    def the_head_end_starts_again(self) -> None:
        self.window = SequenceWindow.from_json(self.window.to_json())

    @invariant()
    def the_acknowledgement_is_true(self) -> None:
        if not self.began:
            return
        answer = self.window.acknowledgement()
        through, missing = answer["through"], answer["missing"]
        assert answer.get("epoch") == self.epoch
        assert missing == sorted(set(missing))
        assert len(missing) <= MISSING_NAMED
        assert not self.durable & set(missing)
        assert all(self.given_up_below <= number <= through for number in missing)
        # Nothing is called durable that is not: counted, as it can be 10**12 numbers.
        span = range(self.given_up_below, through + 1)
        durable = sum(seq in span for seq in self.durable)
        assert max(0, through + 1 - self.given_up_below) == durable + len(missing)
        # Nor is anything held back without need.
        assert through == max(self.durable) or len(missing) == MISSING_NAMED

    @invariant()
    def memory_is_what_the_holes_are(self) -> None:
        if not self.began:
            return
        holes = self.window.missing
        assert len(holes) <= len(self.durable)
        assert all(a <= b for a, b in holes)
        assert all(left[1] + 1 < right[0] for left, right in pairwise(holes))


TestWindows = Windows.TestCase
TestWindows.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@given(st.lists(SEQ, max_size=20), st.none() | st.text(max_size=32))
def test_a_window_reads_back_as_it_was_written(seqs: list[int], epoch: str | None) -> None:
    made = SequenceWindow()
    for seq in seqs:
        made.note(seq, epoch)
    assert SequenceWindow.from_json(made.to_json()) == made
