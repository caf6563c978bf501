"""Store and forward: nothing is forgotten that was not acknowledged, whatever the wire does."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from firmware_sim.buffer import SendBuffer

RESEND_S = 30.0
WINDOW = 4
ALL = 1_000_000


class LossyWire(RuleBasedStateMachine):
    """A gateway and a head-end with a wire between them that loses, doubles and reorders both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer: SendBuffer[int] = SendBuffer(WINDOW, RESEND_S, 10_000)
        self.now = 0.0
        self.put: set[int] = set()
        self.sent: set[int] = set()
        self.flying: list[int] = []
        self.durable: set[int] = set()
        self.answers: list[tuple[int, list[int]]] = []
        self.dropped: set[int] = set()

    @rule(lost=st.integers(0, 9))
    def keep_a_message(self, lost: int) -> None:
        if lost == 0:
            self.buffer.skip()
            return
        seq = self.buffer.skip() + 1
        assert self.buffer.put(seq) == seq
        self.put.add(seq)

    @rule(seconds=st.sampled_from([0.0, 0.2, 1.5, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        due = self.buffer.due(self.now, ALL)
        assert [one.seq for one in due] == sorted(one.seq for one in due)
        assert len(due) <= WINDOW
        assert all(one.item == one.seq for one in due)
        self.flying += [one.seq for one in due]
        self.sent |= {one.seq for one in due}

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), doubled=st.booleans(), lost=st.booleans())
    def wire_delivers(self, data: st.DataObject, doubled: bool, lost: bool) -> None:
        seq = data.draw(st.sampled_from(self.flying))
        if not doubled:
            self.flying.remove(seq)
        if not lost:
            self.durable.add(seq)

    @precondition(lambda self: self.durable)
    @rule()
    def head_end_answers(self) -> None:
        through = max(self.durable)
        self.answers.append((through, [seq for seq in range(1, through) if seq not in self.durable]))

    @precondition(lambda self: self.answers)
    @rule(data=st.data(), doubled=st.booleans())
    def answer_arrives(self, data: st.DataObject, doubled: bool) -> None:
        answer = data.draw(st.sampled_from(self.answers))
        if not doubled:
            self.answers.remove(answer)
        covered = self.buffer.acknowledge(*answer, self.now)
        assert not self.dropped & set(covered)
        self.dropped |= set(covered)

    @rule()
    def connection_is_new(self) -> None:
        self.flying.clear()
        self.buffer.reconnected()

    @invariant()
    def what_is_dropped_was_durable_and_the_rest_is_kept(self) -> None:
        assert self.dropped <= self.durable
        assert len(self.buffer) == len(self.put - self.dropped)
        assert self.buffer.fresh == len(self.put - self.sent)
        if self.put - self.dropped:
            assert self.buffer.oldest == min(self.put - self.dropped)

    def teardown(self) -> None:
        """Once the wire is good, everything gets through."""
        for _ in range(len(self.put) // WINDOW + 2):
            self.now += RESEND_S
            self.durable |= {one.seq for one in self.buffer.due(self.now, ALL)}
            through = max(self.durable, default=0)
            missing = [seq for seq in range(1, through) if seq not in self.durable]
            self.dropped |= set(self.buffer.acknowledge(through, missing, self.now))
        assert len(self.buffer) == 0
        assert self.dropped == self.put


TestLossyWire = LossyWire.TestCase
TestLossyWire.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_silence_sends_again_after_thirty_seconds_and_not_before():
    buffer: SendBuffer[str] = SendBuffer(8, RESEND_S, 10)
    assert buffer.put("first") == 1
    assert [(one.seq, one.again) for one in buffer.due(0.0, ALL)] == [(1, False)]
    assert buffer.due(29.9, ALL) == []
    assert [(one.seq, one.again) for one in buffer.due(30.0, ALL)] == [(1, True)]


def test_named_as_missing_is_sent_at_once_but_not_with_every_answer():
    buffer: SendBuffer[str] = SendBuffer(8, RESEND_S, 10)
    for text in "abc":
        buffer.put(text)
    buffer.due(0.0, ALL)
    assert buffer.acknowledge(3, [2], 2.0) == ["a", "c"]
    assert [one.seq for one in buffer.due(2.0, ALL)] == [2]
    assert buffer.acknowledge(3, [2], 2.3) == []
    assert buffer.due(2.3, ALL) == []
    assert buffer.acknowledge(3, [], 2.5) == ["b"]
    assert buffer.oldest == 4


def test_an_answer_cannot_cover_what_was_never_sent():
    buffer: SendBuffer[str] = SendBuffer(1, RESEND_S, 10)
    buffer.put("sent")
    buffer.put("waiting")
    buffer.due(0.0, ALL)
    assert buffer.acknowledge(1000, [], 1.0) == ["sent"]
    assert [one.item for one in buffer.due(1.0, ALL)] == ["waiting"]


def test_a_new_connection_sends_all_it_keeps_oldest_first():
    buffer: SendBuffer[str] = SendBuffer(8, RESEND_S, 10)
    for text in "abc":
        buffer.put(text)
    buffer.due(0.0, ALL)
    buffer.acknowledge(3, [1, 3], 0.1)
    buffer.reconnected()
    assert [one.seq for one in buffer.due(0.2, ALL)] == [1, 3]


def test_no_more_at_once_than_asked_for():
    buffer: SendBuffer[str] = SendBuffer(8, RESEND_S, 10)
    for text in "abc":
        buffer.put(text)
    assert [one.item for one in buffer.due(0.0, 2)] == ["a", "b"]
    assert [one.item for one in buffer.due(0.0, 2)] == ["c"]


def test_a_full_flash_gives_up_its_oldest_message_and_says_so():
    buffer: SendBuffer[str] = SendBuffer(1, RESEND_S, 2)
    assert buffer.overwrite() is None
    buffer.put("sent")
    buffer.put("waiting")
    buffer.due(0.0, ALL)
    assert buffer.overwrite() == ("sent", True)
    assert (buffer.put("third"), buffer.oldest) == (3, 2)
    assert buffer.overwrite() == ("waiting", False)
    assert buffer.oldest == 3
