"""Chance without a generator: a number in [0, 1) that depends on nothing but (seed, stream, index).

Because no draw depends on an earlier one, any process can compute any hour of any meter and gets the same value.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Hours = NDArray[np.int64]
"""Whole UTC hours since 1970-01-01, shape (n,)."""


def seed_of(*parts: object) -> int:
    """64-bit seed of a name, the same in every process (`hash()` is not)."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


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

    References
    ----------
    Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators (OOPSLA 2014): the splitmix64 finaliser.
    """
    start = np.uint64(seed_of(seed, stream))
    with np.errstate(over="ignore"):
        x = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + start
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53


def one(seed: int, stream: str) -> float:
    """One uniform draw in [0, 1): a trait that never changes."""
    return float(uniform(seed, stream, np.zeros(1, np.int64))[0])
