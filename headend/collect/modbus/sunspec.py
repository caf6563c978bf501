"""Where a SunSpec meter keeps its model: the walk along the chain of models, without the wire.

A chain begins with the marker `SunS` at one of few addresses. Then come models, each its number, its length and that
many registers, up to the number 0xFFFF. A device may hold several things one after another, each headed by a common
model with its own serial number, so the common model that counts is the last one before the meter.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from headend.collect.modbus.plan import Block
from headend.collect.modbus.profile import SunSpec
from headend.errors import InvalidMessage

_MARKER = (0x5375, 0x6E53)  # "SunS"
_END = 0xFFFF

# No device has as many; a chain that has is no chain.
_MOST_MODELS = 100


@dataclass(frozen=True, slots=True)
class Place:
    """Where a meter model stands.

    Parameters
    ----------
    model, length, address
        its number, its registers behind the head, and the address of the head.
    before
        address of the head by number, of the models passed on the way.
    """

    model: int
    length: int
    address: int
    before: dict[int, int]


def walk(sunspec: SunSpec) -> Generator[Block, Sequence[int] | None, Place]:
    """Ask for one block after another until the meter model is found.

    What is sent in are the words of the block, or None where the device refuses them. Raises `InvalidMessage` where
    there is no chain, or no meter in it.
    """
    for base in sunspec.bases:
        if tuple((yield Block(3, base, 2)) or ()) == _MARKER:
            return (yield from _along(sunspec, base + 2))
    bases = ", ".join(str(base) for base in sunspec.bases)
    raise InvalidMessage("SunSpec", "no marker SunS", f"one at {bases}", fault="no such model")


def _along(sunspec: SunSpec, address: int) -> Generator[Block, Sequence[int] | None, Place]:
    before: dict[int, int] = {}
    while len(before) < _MOST_MODELS and address <= 65_534:
        head = yield Block(3, address, 2)
        if head is None or head[0] == _END:
            break
        model, length = head
        if model in sunspec.models:
            return Place(model, length, address, before)
        before[model] = address
        address += 2 + length
    found = ", ".join(str(model) for model in before) or "none"
    wanted = " or ".join(str(model) for model in sunspec.models)
    raise InvalidMessage("SunSpec", f"models {found}", f"a meter, {wanted}", fault="no such model")
