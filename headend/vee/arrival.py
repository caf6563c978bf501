"""Checks on arrival: what a single value gives away, before it is stored.

A value that fails is kept, as questionable: it is what the meter said, and settlement replaces it by an estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headend.reads.blocks import Blocks
from headend.reads.quality import Flag, Quality
from headend.vee.findings import Finding
from headend.vee.ruleset import Rules, Then

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]

_LEVEL: Final[dict[Then, int]] = {"pass": 0, "warn": 1, "fail": 2}


@dataclass(frozen=True, slots=True, eq=False)
class ArrivalLimits:
    """What single values of `k` blocks are held against.

    Parameters
    ----------
    maximum
        highest possible value of each block's channel [base units per interval] (k,).
    then
        what follows where V2, V5, V6 and V12 fail (k, 4): 0 nothing, 1 it is noted, 2 the value is questionable.
    """

    maximum: Int64s
    then: NDArray[np.int64]


def arrival_limits(max_per_interval: int, rules: Rules) -> tuple[int, int, int, int, int]:
    """One channel's limits: its maximum, and what follows where V2, V5, V6 and V12 fail."""
    levels = (_LEVEL[rule.then] for rule in (rules.clock, rules.negative, rules.maximum, rules.device))
    return (int(max_per_interval * rules.maximum.factor), *levels)  # type: ignore[return-value]


def limits_of(channels: Sequence[tuple[int, int, int, int, int]]) -> ArrivalLimits:
    """The limits of many blocks, from those of each one's channel."""
    columns = np.array(channels, dtype=np.int64).reshape(-1, 5)
    return ArrivalLimits(columns[:, 0], columns[:, 1:])


def check_arrival(blocks: Blocks, limits: ArrivalLimits) -> tuple[Blocks, list[Finding]]:
    """Raw reads, with what cannot be true marked questionable.

    V2 whoever told it has a clock that is off; V5 negative on a channel that counts one way; V6 above what the
    connection can carry; V12 the meter says it was a test.
    """
    raw = blocks.quality == Quality.RAW
    broken = (
        ("V2", raw & ((blocks.flags & Flag.CLOCK_OFF) != 0), "told by a clock that is off"),
        ("V5", raw & (blocks.values < 0), "negative on a channel that counts one way"),
        ("V6", raw & (blocks.values > limits.maximum[:, None]), "above what the connection can carry"),
        ("V12", raw & ((blocks.flags & Flag.TEST) != 0), "marked as a test by the meter"),
    )
    findings: list[Finding] = []
    failed = np.zeros_like(raw)
    for place, (rule, where, found) in enumerate(broken):
        if not where.any():
            continue
        then = limits.then[:, place]
        failed |= where & (then == _LEVEL["fail"])[:, None]
        for row, column in np.argwhere(where & (then > 0)[:, None]).tolist():
            start_s = int(blocks.day[row]) * 86_400 + column * blocks.interval_s
            limit = f" ({limits.maximum[row]})" if rule == "V6" else ""
            findings.append(
                Finding(
                    int(blocks.meter[row]),
                    int(blocks.channel[row]),
                    start_s,
                    start_s + blocks.interval_s,
                    rule,
                    "failed" if then[row] == _LEVEL["fail"] else "warning",
                    f"{blocks.values[row, column]} is {found}{limit}",
                )
            )
    quality = np.where(failed, np.uint8(Quality.QUESTIONABLE), blocks.quality)
    return replace(blocks, quality=quality), findings
