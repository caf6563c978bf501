"""All that a read says beside its value and its register, as one number.

InfluxDB stores and fetches field by field, so a question about four fields costs four times one about one. The fields
`quality`, `version` and `flags` are there for people; what the head-end reads back is this one. It says too whether the
register at the same point still holds, so that nothing an earlier version said can stay behind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headend.reads.blocks import NO_REGISTER
from headend.reads.quality import Quality

Int64s = NDArray[np.int64]
Bytes = NDArray[np.uint8]

_VERSION, _FLAGS, _HAS_REGISTER = 8, 16, 24

#: What nearly every read says: stored once, validated, nothing to remark.
USUAL = int(Quality.VALIDATED) | 1 << _VERSION


def status_of(quality: Bytes, version: Bytes, flags: Bytes, register: Int64s) -> Int64s:
    """The status of each read."""
    return (
        quality.astype(np.int64)
        | version.astype(np.int64) << _VERSION
        | flags.astype(np.int64) << _FLAGS
        | (register != NO_REGISTER).astype(np.int64) << _HAS_REGISTER
    )


def quality_of(status: Any) -> Any:
    """The quality code in a status, or in many."""
    return status & 255


def version_of(status: Any) -> Any:
    """How many values were ever stored."""
    return status >> _VERSION & 255


def flags_of(status: Any) -> Any:
    """The device flags."""
    return status >> _FLAGS & 255


def has_register(status: Any) -> Any:
    """1 where the register at the same point holds, else 0."""
    return status >> _HAS_REGISTER & 1
