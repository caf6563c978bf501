"""Tamper and drop: somebody opened the meter, and since then it counts less."""

from __future__ import annotations

import numpy as np

from headend.reads.quality import Flag
from headend.vee.anomalies.anomaly import Anomaly, Installations, day_text, grown
from headend.vee.anomalies.limits import AnomalyLimits
from headend.vee.anomalies.neighbours import WEEK, beside_neighbours, weekly_means
from headend.vee.dailyuse import DailyUse

_DAYS_BEFORE = 14  # so many must be known
_COMPARED = 28  # on either side
_EMPTY = 0.7  # what it counts for where the lowest interval stayed


def tamper(use: DailyUse, of: Installations, limits: AnomalyLimits) -> list[Anomaly]:
    """Channels with a tamper flag that count less since, beside what their neighbours do.

    A drop that the last week does not show any more is none.
    """
    read = (use.total >= 0) & of.same_account & of.consumes[:, None] & (use.unread <= limits.unread_intervals)
    opened = of.same_account & of.consumes[:, None] & ((use.flags & Flag.TAMPER) != 0)
    rows = np.flatnonzero(opened.any(axis=1))
    if not len(rows) or use.total.shape[1] < _DAYS_BEFORE + limits.tamper_days:
        return []
    shared = _of_days(beside_neighbours(weekly_means(use.total, read), of.group)[1][rows], use.total.shape[1])
    alone = np.bincount(of.group)[of.group[rows]] < limits.peers_group
    expected = np.exp(np.where(np.isnan(shared) | alone[:, None], 0.0, shared))
    answer = []
    for row, usual in zip(rows.tolist(), expected, strict=True):
        found = [
            anomaly
            for column in np.flatnonzero(opened[row]).tolist()
            if (anomaly := _after(row, column, use, of, limits, use.total[row] / usual, read[row])) is not None
        ]
        if found:
            answer.append(max(found, key=lambda anomaly: anomaly.score))
    return answer


def _of_days(weekly: np.ndarray, d: int) -> np.ndarray:
    """The value of a day's week; days before the first whole week have the first's (r, d)."""
    week = (np.arange(d) - d % WEEK) // WEEK
    return weekly[:, np.maximum(week, 0)]


def _after(
    row: int,
    column: int,
    use: DailyUse,
    of: Installations,
    limits: AnomalyLimits,
    level: np.ndarray,
    read: np.ndarray,
) -> Anomaly | None:
    earlier = np.flatnonzero(read[:column])[-_COMPARED:]
    later = column + 1 + np.flatnonzero(read[column + 1 :])
    if len(earlier) < _DAYS_BEFORE or len(later) < limits.tamper_days:
        return None
    usual = float(np.median(level[earlier]))
    now = max(float(np.median(level[days])) for days in (later[:_COMPARED], later[-WEEK:]))
    if now >= usual * (1 - limits.tamper_drop_percent / 100):
        return None
    drop, day = 1 - now / usual, int(use.days[column])
    before, after = (float(np.median(use.total[row, days])) for days in (earlier, later))
    return Anomaly(
        row,
        day,
        use.end_day,
        "tamper",
        grown(len(later), limits.tamper_days)
        * (0.6 + 0.4 * drop)
        * (_EMPTY + (1 - _EMPTY) * _lowest_too(row, column, drop, use)),
        f"Opened or tampered with on {day_text(day)}; since then {of.amount(row, after)} a day instead of"
        f" {of.amount(row, before)}, {100 * drop:.0f} % less than expected, on {len(later)} days.",
    )


def _lowest_too(row: int, column: int, drop: float, use: DailyUse) -> float:
    """1 where the lowest interval dropped as much as the total, 0 where it stayed: a holiday leaves it as it was."""
    whole = (use.total[row] >= 0) & (use.unread[row] == 0)
    before, after = use.low[row, :column][whole[:column]], use.low[row, column + 1 :][whole[column + 1 :]]
    if not len(before) or not len(after) or np.median(before) <= 0:
        return 0.0
    return float(np.clip((1 - np.median(after) / np.median(before)) / drop, 0, 1))
