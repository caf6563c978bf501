"""Checks on arrival: what a single value gives away, before it is stored.

A value that fails is kept, as questionable: it is what the meter said, and settlement replaces it by an estimate.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from headend.reads.blocks import Blocks
from headend.reads.quality import Flag, Quality
from headend.vee.findings import Findings

Int64s = NDArray[np.int64]


def check_arrival(blocks: Blocks, maximum: Int64s) -> tuple[Blocks, Findings]:
    """Raw reads, with what cannot be true marked questionable.

    V5 negative on a channel that counts one way; V6 above what the connection can carry; V12 the meter says it was a
    test.

    Parameters
    ----------
    maximum
        highest possible value of each block's channel, factor included [base units per interval] (k,).
    """
    raw = blocks.quality == Quality.RAW
    negative = raw & (blocks.values < 0)
    too_high = raw & (blocks.values > maximum[:, None])
    test = raw & ((blocks.flags & Flag.TEST) != 0)
    findings = Findings()
    for failed, rule, found in (
        (negative, "V5", "negative on a channel that counts one way"),
        (too_high, "V6", "above what the connection can carry"),
        (test, "V12", "the meter marked it as a test"),
    ):
        for row, column in np.argwhere(failed).tolist():
            limit = f" ({maximum[row]})" if rule == "V6" else ""
            findings.add(
                int(blocks.meter[row]),
                int(blocks.channel[row]),
                int(blocks.start_s[row, column]),
                rule,
                "failed",
                f"{blocks.values[row, column]} is {found}{limit}",
            )
    failed = negative | too_high | test
    quality = np.where(failed, np.uint8(Quality.QUESTIONABLE), blocks.quality)
    return replace(blocks, quality=quality), findings
