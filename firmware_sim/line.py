"""The way from a gateway to its broker, with what the plan does to messages there.

Each fault falls on a message's first sending only: what is sent again gets through. A corrupt message cannot be taken
for a good one, since it is no JSON any more: so it is never acknowledged, and the right one comes after it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from firmware_sim.faults import strikes
from firmware_sim.noise import one, seed_of
from firmware_sim.plan import FaultPlan
from firmware_sim.tally import Tally

HELD_BACK_S = 1.5
"""A message that is to be overtaken goes out after this time, whether others came or not [s]."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One publication.

    Attributes
    ----------
    leaf
        the last part of its topic.
    seq
        its sequence number where this is its first sending.
    record
        what is on record of it as corrupt: `delivered` is still to be filled in.
    """

    leaf: str
    payload: bytes
    seq: int | None = None
    record: dict[str, Any] | None = None


@dataclass(slots=True)
class _Held:
    item: Outgoing
    behind: int
    until: float


class Line:
    """What a plan makes of one gateway's publications."""

    def __init__(self, plan: FaultPlan, gateway: str, tally: Tally) -> None:
        self._plan = plan
        self._gateway = gateway
        self._tally = tally
        self._held: list[_Held] = []

    def carry(self, item: Outgoing, now: float) -> list[Outgoing]:
        """What reaches the broker at `now` [s, steady] when this is handed in."""
        if item.seq is None:
            return [item]
        arrives = [item]
        if self._strikes(self._plan.dropped, "dropped", item.seq):
            arrives = []
        elif self._strikes(self._plan.corrupt, "corrupt", item.seq):
            spoilt = corrupted(item.payload, seed_of(self._plan.seed, self._gateway, item.seq))
            digest = hashlib.sha256(spoilt).hexdigest()
            record = {
                "gateway": self._gateway,
                "seq": item.seq,
                "leaf": item.leaf,
                "sha256": digest,
                "delivered": False,
            }
            arrives = [replace(item, payload=spoilt, record=record)]
            self._tally.note("corrupt", record)
        elif self._strikes(self._plan.reordered, "reordered", item.seq):
            behind = 1 + int(8 * one(seed_of(self._plan.seed, self._gateway, item.seq), "behind"))
            self._held.append(_Held(item, behind, now + HELD_BACK_S))
            arrives = []
        for held in self._held if arrives else ():
            held.behind -= 1
        return arrives + self.released(now)

    def released(self, now: float) -> list[Outgoing]:
        """What was held back long enough."""
        if not self._held:
            return []
        out = [held.item for held in self._held if held.behind <= 0 or now >= held.until]
        self._held = [held for held in self._held if held.behind > 0 and now < held.until]
        return out

    def cut(self) -> None:
        """The connection is gone, and with it what was held back."""
        self._held.clear()

    def _strikes(self, share: float, kind: str, seq: int) -> bool:
        if not strikes(self._plan, share, self._gateway, kind, seq):
            return False
        self._tally.planted[kind] += 1
        if kind != "corrupt":
            self._tally.note(kind, {"gateway": self._gateway, "seq": seq})
        return True


def corrupted(payload: bytes, seed: int) -> bytes:
    """The message cut short, or with one to four bits of it turned.

    Turned is the highest bit of bytes that do not touch: in a text of ASCII, each of them is what no UTF-8 has. The
    first byte stays, so that it still looks like the message it was.
    """
    if one(seed, "cut") < 0.5:
        return payload[: 1 + int((len(payload) - 1) * one(seed, "cut at"))]
    spoilt = bytearray(payload)
    for number in range(1 + int(4 * one(seed, "bits"))):
        at = 1 + int((len(payload) - 1) * one(seed, f"bit {number}"))
        if payload[at - 1] == spoilt[at - 1] and (at + 1 == len(payload) or payload[at + 1] == spoilt[at + 1]):
            spoilt[at] |= 0x80
    return bytes(spoilt)
