"""Anomalies: what no single read gives away, and no rule of validation fails.

Each is a function of the staged daily use of many channels, what is known of their installations, and limits. It
answers with the days, a score and a sentence; nothing is decided by it: a person is shown what scores high.
"""

from __future__ import annotations

from headend.vee.anomalies.anomaly import Anomaly, Code, Installations
from headend.vee.anomalies.inactive import inactive
from headend.vee.anomalies.leak import leak
from headend.vee.anomalies.limits import AnomalyLimits
from headend.vee.anomalies.peers import peers
from headend.vee.anomalies.reverse import reverse
from headend.vee.anomalies.stuck import stuck
from headend.vee.anomalies.tamper import tamper
from headend.vee.dailyuse import DailyUse

__all__ = [
    "Anomaly",
    "AnomalyLimits",
    "Code",
    "Installations",
    "anomalies",
    "inactive",
    "leak",
    "peers",
    "reverse",
    "stuck",
    "tamper",
]

#: Each says more than what follows it.
_KINDS = (leak, reverse, inactive, tamper, stuck, peers)
#: Of these, whichever comes first explains the change that the others would tell again.
_CHANGES = ("leak", "tamper", "stuck", "peers")


def anomalies(use: DailyUse, of: Installations, limits: AnomalyLimits) -> list[Anomaly]:
    """All that is worth a person's look, the highest score first; a change of use is told once, with its best cause."""
    answer: list[Anomaly] = []
    changes: dict[int, list[Anomaly]] = {}
    for kind in _KINDS:
        for anomaly in kind(use, of, limits):
            if anomaly.score < limits.review_score:
                continue
            if anomaly.code in _CHANGES:
                told = changes.setdefault(anomaly.row, [])
                if any(other.first_day < anomaly.end_day and anomaly.first_day < other.end_day for other in told):
                    continue
                told.append(anomaly)
            answer.append(anomaly)
    return sorted(answer, key=lambda anomaly: (-anomaly.score, anomaly.row))
