"""Reverse energy: it runs the way it should not."""

from __future__ import annotations

import numpy as np

from headend.vee.anomalies.anomaly import Anomaly, Installations, day_text, grown
from headend.vee.anomalies.limits import AnomalyLimits
from headend.vee.anomalies.runs import runs
from headend.vee.dailyuse import DailyUse


def reverse(use: DailyUse, of: Installations, limits: AnomalyLimits) -> list[Anomaly]:
    """Export where nothing may feed in, and channels whose reads are negative or fall."""
    unexpected = of.exports & ~of.generates
    fed_in = unexpected[:, None] & (use.total > limits.reverse_floor)
    backwards = of.backwards > 0
    # A cloudy day ends nothing: all days of a channel are one anomaly.
    found = runs(fed_in | backwards, np.zeros_like(fed_in))
    found = found.take(found.days >= limits.reverse_days)
    answer = []
    for row, first, last, days in found:
        day, end = int(use.days[first]), int(use.days[last]) + 1
        said = []
        if fed_in[row].any():
            energy = of.amount(row, float(use.total[row, fed_in[row]].sum()))
            said.append(f"{energy} were fed in on {int(fed_in[row].sum())} days where nothing may feed in")
        if backwards[row].any():
            reads = int(of.backwards[row].sum())
            said.append(f"{reads} reads on {int(backwards[row].sum())} days were negative or below the one before")
        answer.append(
            Anomaly(
                row,
                day,
                end,
                "reverse",
                grown(days, limits.reverse_days),
                f"Since {day_text(day)}, {' and '.join(said)}.",
            )
        )
    return answer
