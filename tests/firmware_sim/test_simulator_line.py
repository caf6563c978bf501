"""The way to the broker: what is dropped, overtaken and spoilt there, and that a spoilt message shows."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.line import HELD_BACK_S, Line, Outgoing, corrupted
from firmware_sim.plan import FaultPlan
from firmware_sim.tally import Tally

MESSAGES = [Outgoing("reads", json.dumps({"seq": seq, "blocks": []}).encode(), seq) for seq in range(1, 201)]


def carried(plan: FaultPlan) -> tuple[list[Outgoing], Tally, Line]:
    tally = Tally(facts={})
    line = Line(plan, "GW-1", tally)
    return [item for message in MESSAGES for item in line.carry(message, 0.0)], tally, line


@given(
    values=st.lists(st.one_of(st.integers(-(2**53), 2**53), st.none()), max_size=30),
    detail=st.text(max_size=20),
    seed=st.integers(0, 2**64 - 1),
)
def test_a_corrupt_message_is_never_json(values, detail, seed):
    payload = json.dumps({"seq": 7, "blocks": [{"values": values, "detail": detail}]}).encode()
    spoilt = corrupted(payload, seed)
    assert spoilt[:1] == b"{"
    with pytest.raises(ValueError, match=r"."):
        json.loads(spoilt)


def test_nothing_happens_without_a_plan():
    assert carried(FaultPlan())[0] == MESSAGES


def test_dropped_messages_never_arrive_and_are_on_record():
    arrived, tally, _ = carried(FaultPlan(dropped=0.2))
    gone = {message.seq for message in MESSAGES} - {item.seq for item in arrived}
    assert gone == {fact["seq"] for fact in tally.facts["dropped"]}
    assert 20 < len(gone) == tally.planted["dropped"] < 60


def test_corrupt_bytes_are_on_record_by_their_hash():
    arrived, tally, _ = carried(FaultPlan(corrupt=0.2))
    spoilt = {item.seq: item.payload for item, good in zip(arrived, MESSAGES, strict=True) if item != good}
    found = {fact["seq"]: fact["sha256"] for fact in tally.facts["corrupt"]}
    assert found == {seq: hashlib.sha256(payload).hexdigest() for seq, payload in spoilt.items()}
    assert 20 < len(found) < 60


def test_reordered_messages_are_overtaken_and_none_is_lost():
    arrived, tally, line = carried(FaultPlan(reordered=0.2))
    arrived += line.released(HELD_BACK_S)
    order = [item.seq for item in arrived]
    assert sorted(order) == [message.seq for message in MESSAGES]
    late = {fact["seq"] for fact in tally.facts["reordered"]}
    # of those told in time, none is behind a later one that was told in time as well
    assert [seq for seq in order if seq not in late] == [seq for seq in range(1, 201) if seq not in late]
    assert all(max(order[: order.index(seq)]) > seq for seq in late if seq < 190)


def test_a_cut_connection_takes_along_what_was_held_back():
    _, _, line = carried(FaultPlan(reordered=1.0))
    line.cut()
    assert line.released(1000.0) == []


def test_what_is_sent_again_gets_through():
    line = Line(FaultPlan(dropped=1.0, corrupt=1.0), "GW-1", Tally())
    again = Outgoing("reads", b"{}")
    assert line.carry(again, 0.0) == [again]
