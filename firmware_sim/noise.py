"""Chance without a generator: a number in [0, 1) that depends on nothing but (seed, stream, index).

Because no draw depends on an earlier one, any process can compute any hour of any meter and gets the same value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Hours = NDArray[np.int64]
"""Whole UTC hours since 1970-01-01, shape (n,)."""


def seed_of(*parts: object) -> int:
    """64-bit seed of a name, the same in every process (`hash()` is not)."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


class Chances:
    """The chance of many things at once, one row each: row i draws what `uniform(seeds[i], …)` would.

    Parameters
    ----------
    seeds
        whose chance it is: meters, say.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self._seeds = seeds
        self._starts: dict[str, NDArray[np.uint64]] = {}

    def __len__(self) -> int:
        return len(self._seeds)

    def uniform(self, stream: str, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Uniform draws in [0, 1), shape (seeds, n), of an index of shape (n,) or (seeds, n)."""
        starts = self._starts.get(stream)
        if starts is None:
            drawn = [seed_of(seed, stream) for seed in self._seeds]
            starts = self._starts[stream] = np.array(drawn, np.uint64)[:, None]
        return _mixed(starts, index)

    def one(self, stream: str) -> NDArray[np.float64]:
        """One uniform draw in [0, 1) a row, shape (seeds, 1): a trait that never changes."""
        return self.uniform(stream, np.zeros(1, np.int64))

    def between(self, stream: str, low: float, high: float) -> NDArray[np.float64]:
        """A lasting property of each row, between `low` and `high`, shape (seeds, 1)."""
        return low + (high - low) * self.one(stream)


def uniform(seed: int, stream: str, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Uniform draws in [0, 1), one per index.

    Parameters
    ----------
    seed
        whose chance it is: a meter, a fault plan.
    stream
        what it is about, so that two questions about one hour are independent.
    index
        any whole numbers (hours, days), any shape.
    """
    return _mixed(np.uint64(seed_of(seed, stream)), index)


def one(seed: int, stream: str) -> float:
    """One uniform draw in [0, 1): a trait that never changes."""
    return float(uniform(seed, stream, np.zeros(1, np.int64))[0])


def _mixed(start: Any, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Draws in [0, 1) of starts and indices, in the shape they broadcast to.

    References
    ----------
    Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators (OOPSLA 2014): the splitmix64 finaliser.
    """
    with np.errstate(over="ignore"):
        x = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + start
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53
