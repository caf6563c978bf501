"""Day blocks out of nothing, for the tests of stores."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from headend.reads import NO_REGISTER, Blocks, Quality, empty_blocks

DAY_S = 86_400
NAMES = ("meter", "channel", "day", "values", "quality", "flags", "version", "register")

_EDGES = [0, 1, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**53, -(2**53)]


@st.composite
def some_blocks(draw: st.DrawFn, interval_s: int | None = None) -> Blocks:
    """A stack of different blocks: every mixture of width, registers, flags and versions."""
    interval_s = interval_s or draw(st.sampled_from([300, 900, 3600, 21_600, 86_400]))
    key = st.tuples(st.integers(20_000, 20_003), st.integers(1, 4), st.sampled_from([1, 2**33, 2**40 - 1]))
    keys = draw(st.lists(key, unique=True, min_size=1, max_size=8))
    day, meter, channel = np.array(keys, dtype=np.int64).T
    blocks = empty_blocks(interval_s, meter, channel, day)
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = blocks.values.shape
    missing = draw(st.sampled_from([0.0, 0.3, 1.0]))
    blocks.quality[:] = np.where(random.random(shape) < missing, 0, random.integers(1, 10, shape))
    blocks.values[:] = np.where(blocks.present, random.integers(-5, 50_000, shape), 0)
    blocks.version[:] = blocks.present
    for row in range(len(keys)):
        for array, what in (
            (blocks.values, st.sampled_from(_EDGES)),
            (blocks.flags, st.integers(0, 31)),
            (blocks.version, st.integers(0, 255)),
            (blocks.register, st.just(NO_REGISTER) | st.integers(0, 2**53)),
        ):
            for place in draw(st.lists(st.integers(0, shape[1] - 1), max_size=3)):
                array[row, place] = draw(what)
    blocks.values[~blocks.present] = 0
    return blocks


def block(meter: int, channel: int, day: int, first: int = 0, *, n: int = 24, quality: Quality = Quality.RAW) -> Blocks:
    """One full block that counts up from `first`."""
    blocks = empty_blocks(DAY_S // n, np.array([meter]), np.array([channel]), np.array([day]))
    blocks.values[:] = first + np.arange(n)
    blocks.quality[:], blocks.version[:] = quality, 1
    return blocks


def everything(blocks: Blocks) -> NDArray[np.bool_]:
    """Whatever was there before, all of it is to be written (k, n)."""
    return np.ones(blocks.values.shape, dtype=np.bool_)


def same(a: Blocks, b: Blocks) -> bool:
    """Whether two stacks say the same, dtype for dtype."""
    return a.interval_s == b.interval_s and all(
        getattr(a, name).dtype == getattr(b, name).dtype and np.array_equal(getattr(a, name), getattr(b, name))
        for name in NAMES
    )
