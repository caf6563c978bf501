"""Stuck meter: it answers, but what it counts no longer moves, or not at all."""

from __future__ import annotations

import numpy as np

from headend.reads.quality import Flag
from headend.vee.anomalies.anomaly import Anomaly, Bools, Installations, day_text, grown
from headend.vee.anomalies.limits import AnomalyLimits
from headend.vee.anomalies.presence import presence
from headend.vee.anomalies.runs import Runs, before, common, runs
from headend.vee.dailyuse import DailyUse

_DAYS_BEFORE = 7  # of real use
_LONGER = 3  # times as long as any pause before
_UNTOLD = 0.8  # how sure a pause is a fault's where nothing says whether somebody is at home …
_SOMETHING = 0.55  # … and where nobody is
_COARSE = 20  # base units: of a load so small, the same number hour after hour says little


def stuck(use: DailyUse, of: Installations, limits: AnomalyLimits) -> list[Anomaly]:
    """Channels that counted real use of the account that is supplied now, and since then the same value or nothing."""
    whole = (use.total >= 0) & (use.unread == 0) & of.same_account & of.consumes[:, None]
    moving = whole & (use.peak > use.low)
    return [*_same_value(use, of, limits, whole, moving), *_nothing(use, of, limits, whole, moving)]


def _same_value(use: DailyUse, of: Installations, limits: AnomalyLimits, whole: Bools, moving: Bools) -> list[Anomaly]:
    # The same flow all day is a leak in an empty house.
    same = whole & ~of.flows[:, None] & (use.peak == use.low) & (use.low > 0)
    last_known = np.maximum.accumulate(np.where(whole, np.arange(whole.shape[1]), 0), axis=1)
    changed = np.zeros_like(same)
    changed[:, 1:] = use.low[:, 1:] != np.take_along_axis(use.low, last_known, axis=1)[:, :-1]
    answer = []
    for row, first, last, days in _after_use(runs(same, whole & (~same | changed)), moving, limits.stuck_days):
        value, day = int(use.low[row, first]), int(use.days[first])
        answer.append(
            Anomaly(
                row,
                day,
                int(use.days[last]) + 1,
                "stuck",
                grown(days, limits.stuck_days / 2) * value / (value + _COARSE),
                f"Every interval of {days} days since {day_text(day)} is {of.amount(row, value)}; they used to differ.",
            )
        )
    return answer


def _nothing(use: DailyUse, of: Installations, limits: AnomalyLimits, whole: Bools, moving: Bools) -> list[Anomaly]:
    zero = whole & (use.peak == 0)
    out = (use.flags & Flag.POWER_OUTAGE) != 0
    shared = common(zero, whole, of.group, limits.common_percent, limits.peers_group)
    pauses = runs(zero, moving)
    longest = np.zeros(use.total.shape, dtype=np.int64)
    longest[pauses.row, pauses.last] = pauses.last - pauses.first + 1
    longest = np.maximum.accumulate(longest, axis=1)
    answer = []
    for row, first, last, days in _after_use(runs(zero & ~out & ~shared, moving), moving, 1):
        least = limits.stuck_zero_flow_days if of.flows[row] else limits.stuck_zero_days
        pause = int(longest[row, first - 1])
        if days < least or last - first + 1 < _LONGER * pause:
            continue
        lived = presence(row, first, last + 1, use, of, limits)
        # Nobody at home uses no water, but seldom no electricity for long: something is always plugged in.
        sure = _UNTOLD if lived is None else lived if of.flows[row] else max(lived, _SOMETHING)
        earlier = np.flatnonzero(moving[row, :first])
        day = int(use.days[first])
        usual = of.amount(row, float(np.median(use.total[row, earlier])))
        answer.append(
            Anomaly(
                row,
                day,
                int(use.days[last]) + 1,
                "stuck",
                grown(days, least) * sure,
                f"Nothing on {days} days since {day_text(day)}, after {usual} a day and pauses of {pause} days at most"
                + ("." if not lived else "; what else is used there goes on."),
            )
        )
    return answer


def _after_use(found: Runs, moving: Bools, least: int) -> Runs:
    return found.take((before(moving, found) >= _DAYS_BEFORE) & (found.days >= least))
