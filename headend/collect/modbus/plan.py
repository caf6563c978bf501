"""The read plan: as few requests as a meter allows, and no number torn between two of them.

A number whose halves came in two answers may never have been: the meter counts on between them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from headend.collect.modbus.profile import WORDS, Profile


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """Contiguous registers, read in one request."""

    function: int
    address: int
    count: int

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.address + self.count


#: A SunSpec model's own number and its length.
HEAD = Block(3, 0, 2)


def read_plan(profile: Profile, channels: Collection[str]) -> tuple[Block, ...]:
    """The blocks that hold the wanted channels' registers, in the order of their addresses.

    With SunSpec they are addressed from the head of the model, and the head itself is among them.
    """
    spans: list[Block] = [HEAD] if profile.sunspec is not None else []
    for register in profile.registers:
        if register.channel in channels:
            count = WORDS[register.type]
            spans += [Block(register.function, address, count) for address in register.addresses]
            if register.scale_register is not None:
                spans.append(Block(register.function, register.scale_register, 1))
    return joined(spans, profile.max_block, profile.max_gap)


def joined(spans: Iterable[Block], max_block: int, max_gap: int) -> tuple[Block, ...]:
    """Spans joined where the gap between them and the block they make are within the limits [registers].

    Each span lies within one of the blocks.
    """
    blocks: list[Block] = []
    for span in sorted(spans):
        last = blocks[-1] if blocks else None
        if last is not None and last.function == span.function and span.address - last.end <= max_gap:
            count = max(last.end, span.end) - last.address
            if count <= max_block:
                blocks[-1] = Block(last.function, last.address, count)
                continue
        blocks.append(span)
    return tuple(blocks)
