"""Consumption on an inactive service: somebody uses what nobody has agreed to pay for."""

from __future__ import annotations

import numpy as np

from headend.vee.anomalies.anomaly import Anomaly, Installations, day_text, grown
from headend.vee.anomalies.limits import AnomalyLimits
from headend.vee.anomalies.runs import runs
from headend.vee.dailyuse import DailyUse


def inactive(use: DailyUse, of: Installations, limits: AnomalyLimits) -> list[Anomaly]:
    """Use above what an empty house needs, on days on which no service agreement is in force."""
    floor = np.where(of.volumes, limits.inactive_litres, limits.inactive_wh)
    unsupplied = of.consumes[:, None] & (of.account == 0)
    read = use.unread <= limits.unread_intervals  # an estimate is no proof
    found = runs(unsupplied & read & (use.total > floor[:, None]), ~unsupplied)
    found = found.take(found.days >= limits.inactive_days)
    answer = []
    for row, first, last, days in found:
        totals = use.total[row, first : last + 1]
        mean = float(totals[read[row, first : last + 1] & (totals > floor[row])].mean())
        day = int(use.days[first])
        answer.append(
            Anomaly(
                row,
                day,
                int(use.days[last]) + 1,
                "inactive",
                grown(days, limits.inactive_days) * grown(mean, float(floor[row]) or 1.0),
                f"No service agreement is in force, but {of.amount(row, mean)} a day were used on {days} days since"
                f" {day_text(day)}.",
            )
        )
    return answer
