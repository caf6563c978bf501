"""Checks of single values on arrival."""

from __future__ import annotations

import numpy as np

from headend.config import shipped
from headend.reads import Quality, empty_blocks
from headend.vee import check_arrival, load_rule_set
from headend.vee.arrival import ArrivalLimits, arrival_limits, limits_of

RULES = load_rule_set(shipped("vee.toml")).of("residential")


def limits(*maximum: int) -> ArrivalLimits:
    """Limits with these maxima, and what the shipped rules say follows."""
    # The registry's own maximum is five sixths of what the factor of 1.2 makes of it.
    return limits_of([arrival_limits(each * 5 // 6, RULES) for each in maximum])


def test_what_cannot_be_true_is_questionable_and_keeps_its_value() -> None:
    blocks = empty_blocks(21_600, np.array([1, 2]), np.array([7, 7]), np.array([20_000, 20_000]))
    blocks.values[:] = [[-1, 0, 120, 121], [120, 121, 5, -3]]
    blocks.quality[:] = Quality.RAW
    blocks.quality[1, 3] = Quality.MISSING
    blocks.flags[1, 2] = 8 | 1
    checked, findings = check_arrival(blocks, limits(120, 240))
    q, raw = Quality.QUESTIONABLE, Quality.RAW
    assert checked.quality.tolist() == [[q, raw, raw, q], [raw, raw, q, Quality.MISSING]]
    assert checked.values.tolist() == blocks.values.tolist()
    day = 20_000 * 86_400
    assert [(f.meter, f.start_s - day, f.rule, f.severity, f.detail) for f in findings] == [
        (1, 0, "V5", "failed", "-1 is negative on a channel that counts one way"),
        (1, 64_800, "V6", "failed", "121 is above what the connection can carry (120)"),
        (2, 43_200, "V12", "failed", "5 is marked as a test by the meter"),
    ]


def test_only_raw_reads_are_checked() -> None:
    blocks = empty_blocks(86_400, np.array([1]), np.array([7]), np.array([20_000]))
    blocks.values[:], blocks.quality[:] = -5, Quality.EDITED
    checked, findings = check_arrival(blocks, limits(120))
    assert checked.quality.tolist() == [[Quality.EDITED]]
    assert len(findings) == 0
