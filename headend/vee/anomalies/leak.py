"""Leak: what flows every night where nights used to be dry."""

from __future__ import annotations

import numpy as np

from headend.vee.anomalies.anomaly import Anomaly, Installations, day_text, grown
from headend.vee.anomalies.limits import AnomalyLimits
from headend.vee.anomalies.runs import before, common, runs
from headend.vee.dailyuse import DailyUse

_DAYS_BEFORE = 7  # so many must be known, or nothing is known of the nights before


def leak(use: DailyUse, of: Installations, limits: AnomalyLimits) -> list[Anomaly]:
    """Channels of gas, water and heat with no dry interval for days, which had one on most days before.

    What begins with many neighbours on the same days is heating; since some begin earlier, gas and heat must flow for
    longer. A steady flow is surer than one that comes and goes.
    """
    whole = (use.total >= 0) & (use.unread == 0) & of.flows[:, None]
    flowing = whole & (use.low > 0)
    dry = whole & (use.low == 0)
    weather = common(flowing, whole, of.group, limits.common_percent, limits.peers_group)
    found = runs(flowing & ~weather, dry)
    known_before, dry_before = before(whole, found), before(dry, found)
    found = found.take(
        (found.days >= np.where(of.heats[found.row], limits.leak_heating_days, limits.leak_days))
        & (known_before >= _DAYS_BEFORE)
        & (dry_before * 100 >= known_before * limits.leak_dry_percent)
    )
    answer = []
    for row, first, last, _ in found:
        columns = first + np.flatnonzero(flowing[row, first : last + 1])
        lowest = use.low[row, columns]
        usual = float(np.median(lowest))
        lost = usual * int(of.per_day[row])
        unsteady = float(np.median(np.abs(lowest - usual))) / usual
        day = int(use.days[first])
        answer.append(
            Anomaly(
                row,
                day,
                int(use.days[last]) + 1,
                "leak",
                grown(len(columns), limits.leak_days / 2) * max(0.0, 1 - unsteady),
                f"Since {day_text(day)} it flows without a pause, at least {of.amount(row, usual)} an interval, about"
                f" {of.amount(row, lost)} a day lost, on {len(columns)} days; before, nearly every day had a pause.",
            )
        )
    return answer
