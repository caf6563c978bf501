"""Presence: whether a home goes on living while one of its channels counts less.

Who leaves stops the water and the electricity. Who goes round one meter, or has one that stands still, goes on with the
other.
"""

from __future__ import annotations

import numpy as np

from headend.vee.anomalies.anomaly import Installations
from headend.vee.anomalies.limits import AnomalyLimits
from headend.vee.dailyuse import DailyUse

_DAYS = 7  # on either side
# Of the usual: who uses no more than this of the other is not at home, or fewer are; who uses this much stayed.
_GONE, _STAYED = 0.5, 0.9


def presence(row: int, first: int, end: int, use: DailyUse, of: Installations, limits: AnomalyLimits) -> float | None:
    """How sure it is that a home went on as before, by its other channel, in columns from `first` to `end`.

    Of electricity counts what is above the base load, which runs in an empty house as well.

    Returns
    -------
    0 where the other fell to half or less, 1 where it stayed; None where there is no other, or too little is known.
    """
    answer = None
    for other in of.beside(row).tolist():
        read = (use.total[other] >= 0) & of.same_account[other] & (use.unread[other] <= limits.unread_intervals)
        base = float(np.median(use.low[other, :first][read[:first]])) if read[:first].any() else 0.0
        lively = np.maximum(use.total[other] - base * int(of.per_day[other]), 0)
        before, after = (lively[days][read[days]] for days in (slice(0, first), slice(first, end)))
        if len(before) < _DAYS or len(after) < _DAYS or before.mean() <= 0:
            continue
        stayed = float(after.mean() / before.mean())
        answer = max(answer or 0.0, min(1.0, max(0.0, (stayed - _GONE) / (_STAYED - _GONE))))
    return answer
