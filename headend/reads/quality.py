"""How good a stored interval is, and what the device said of it.

The codes are ours; each has its place in ESPI QualityOfReading, IEC 61968-9 and NEM12. What ranks higher may replace
what ranks lower, never the other way round: a late actual read replaces an estimate, an estimate never an actual.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np
from numpy.typing import NDArray


class Quality(IntEnum):
    """Quality code of one interval (one byte in a block)."""

    MISSING = 0
    RAW = 1
    VALIDATED = 2
    VERIFIED = 3
    QUESTIONABLE = 4
    EDITED = 5
    ESTIMATED_LINEAR = 6
    ESTIMATED_LIKE_DAY = 7
    ESTIMATED_FROM_REGISTER = 8
    ESTIMATED_AVERAGE = 9
    ESTIMATED_CLASS_PROFILE = 10
    ESTIMATED_BY_HAND = 11

    @property
    def label(self) -> str:
        """The code in words."""
        return _LABELS[self]


class Flag(IntFlag):
    """What the device says of one interval (the wire's `quality` bits), and what we saw of the device."""

    GOOD = 0
    POWER_OUTAGE = 1
    CLOCK_SET = 2
    PARTIAL = 4
    TEST = 8
    TAMPER = 16
    NEW_REGISTER = 32  # ours: at its end the register does not go on from before (exchange, reset)
    LOST = 64  # ours: the device said that it has no value for it
    CLOCK_OFF = 128  # ours: the clock of who told it was off by more than the rules allow


_LABELS = {
    Quality.MISSING: "missing",
    Quality.RAW: "raw",
    Quality.VALIDATED: "validated",
    Quality.VERIFIED: "verified",
    Quality.QUESTIONABLE: "questionable",
    Quality.EDITED: "edited by hand",
    Quality.ESTIMATED_LINEAR: "estimated: linear",
    Quality.ESTIMATED_LIKE_DAY: "estimated: like days",
    Quality.ESTIMATED_FROM_REGISTER: "estimated: from register",
    Quality.ESTIMATED_AVERAGE: "estimated: average use",
    Quality.ESTIMATED_CLASS_PROFILE: "estimated: class profile",
    Quality.ESTIMATED_BY_HAND: "estimated: method chosen by a person",
}


def _table(*members: Quality) -> NDArray[np.bool_]:
    table = np.zeros(256, dtype=np.bool_)
    table[list(members)] = True
    return table


#: Look-up tables: `IS_ACTUAL[quality]` is a boolean array of the shape of `quality`.
IS_ACTUAL = _table(Quality.RAW, Quality.VALIDATED, Quality.VERIFIED)
IS_ESTIMATED = _table(
    Quality.ESTIMATED_LINEAR,
    Quality.ESTIMATED_LIKE_DAY,
    Quality.ESTIMATED_FROM_REGISTER,
    Quality.ESTIMATED_AVERAGE,
    Quality.ESTIMATED_CLASS_PROFILE,
    Quality.ESTIMATED_BY_HAND,
)
#: A person decided: validation leaves it alone, a later actual read does not.
IS_DECIDED = _table(Quality.EDITED, Quality.ESTIMATED_BY_HAND)
IS_BILLABLE = IS_ESTIMATED | _table(Quality.VALIDATED, Quality.VERIFIED, Quality.EDITED)
#: Came from the meter itself, whatever validation said of it afterwards.
IS_MEASURED = _table(Quality.RAW, Quality.VALIDATED, Quality.VERIFIED, Quality.QUESTIONABLE)
