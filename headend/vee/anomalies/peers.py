"""Peer comparison: a channel that leaves its neighbours and does not come back.

Energy that goes round a meter, a current transformer that is lost, a wrong multiplier: all of them scale what is
counted, from one day on, at every hour. An empty house or a new car does not: the night's base load stays.
So the step is looked for in the lowest interval of the day, which hardly varies, and the total must have made it, too.
Where only a part of the use is missing, the base load says nothing; there the water of the place must have gone on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headend.vee.anomalies.anomaly import Anomaly, Installations, Int64s, day_text, grown
from headend.vee.anomalies.limits import AnomalyLimits
from headend.vee.anomalies.neighbours import WEEK, Floats, beside_neighbours, group_medians, medians, weekly_means
from headend.vee.anomalies.presence import presence
from headend.vee.dailyuse import DailyUse

_WEEKS_BEFORE = 3
_SMALL = 0.2  # of what neighbours use: a cellar, a house that was empty are not compared
_UNEXPLAINED = 6  # times as many weeks, where nothing says that it is more than an empty room
_FACTORS = np.log([1000, 100, 10, 5, 4, 3, 2, 1.5, 1 / 1.5, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 10, 1 / 100, 1 / 1000])
_NEAR = 0.1  # of a factor's logarithm
_NO_FACTOR = 0.6  # what counts a rise that is no multiplier's, or a colder house where nobody says that it is lived in
_DROP = 0.5  # logarithm of a drop of the total alone that counts half: a smaller one needs longer than weeks are kept


@dataclass(frozen=True, slots=True, eq=False)
class _Weeks:
    """Logarithms of weekly use over the channel's usual and its neighbours' (k, w)."""

    total: Floats
    lowest: Floats
    highest: Floats
    shared: Floats  # what the neighbours' total did


def peers(use: DailyUse, of: Installations, limits: AnomalyLimits) -> list[Anomaly]:
    """Channels whose weekly use dropped or rose for good, each beside its neighbours of the same code."""
    d = use.total.shape[1]
    if d < (_WEEKS_BEFORE + limits.peers_weeks) * WEEK:
        return []
    known = (use.total >= 0) & of.same_account & of.consumes[:, None]
    # What stands still, or is switched off, is another anomaly.
    known &= of.flows[:, None] | (use.peak > 0)
    whole = known & (use.unread == 0)
    totals = weekly_means(use.total, known & (use.unread <= limits.unread_intervals))
    group, usual = of.group, medians(totals)
    members = np.bincount(group[~np.isnan(usual)], minlength=int(group.max(initial=-1)) + 1)[group]
    typical = group_medians(usual[:, None], group)[:, 0]
    total, shared = beside_neighbours(totals, group)
    lowest, highest = (beside_neighbours(weekly_means(days, whole), group)[0] for days in (use.low, use.peak))
    weeks = _Weeks(total, lowest, highest, shared)
    answer: dict[int, Anomaly] = {}
    for series, judge in ((lowest, _scaled), (total, _less)):
        step = _step_week(series, group, limits)
        earlier = np.arange(totals.shape[1]) < step[:, None]
        old, new = (medians(np.where(part & (step > 0)[:, None], totals, np.nan)) for part in (earlier, ~earlier))
        compared = (members >= limits.peers_group) & (old > _SMALL * typical) & (new > 0)
        for row in np.flatnonzero(compared).tolist():
            week = int(step[row])
            judged = judge(row, week, weeks, use, of, limits)
            if judged is None:
                continue
            # The more the neighbours moved as well, the less is known of what would have been.
            size, moved = (float(_step(series[row : row + 1], week)[0]) for series in (total, shared))
            score = judged[0] * abs(size) / (abs(size) + abs(moved))
            if row in answer and answer[row].score >= score:
                continue
            day = use.end_day - (totals.shape[1] - week) * WEEK
            detail = (
                f"Since about {day_text(day)}, {of.amount(row, float(new[row]))} a day instead of"
                f" {of.amount(row, float(old[row]))}, while {int(members[row]) - 1} neighbours changed by"
                f" {100 * np.expm1(moved):+.0f} %; {judged[1]}."
            )
            answer[row] = Anomaly(row, day, use.end_day, "peers", score, detail)
    return list(answer.values())


def _scaled(
    row: int, week: int, weeks: _Weeks, use: DailyUse, of: Installations, limits: AnomalyLimits
) -> tuple[float, str] | None:
    """Score and reason where night, day and (for a rise) peak made one step."""
    size, total, peak = (
        float(_step(series[row : row + 1], week)[0]) for series in (weeks.lowest, weeks.total, weeks.highest)
    )
    # A roof lowers the lowest interval, too; and heating is begun when one is cold.
    if of.generates[row] or (size > 0 and of.heats[row]):
        return None
    # What is new in a house seldom multiplies the peak as it does the night.
    alike = _alike(size, total) if size < 0 else min(_alike(size, total), _alike(size, peak))
    near = _FACTORS[np.argmin(np.abs(_FACTORS - size))]
    multiplier = abs(near - size) < _NEAR
    certain = grown(_known(weeks.lowest[row, week:]), limits.peers_weeks / 2)
    score = certain * alike * (0.6 + 0.4 * grown(abs(size), 0.5))
    if size > 0 and not multiplier:
        score *= _NO_FACTOR
    if of.heats[row]:
        # Who goes away turns the heating down, day and night.
        lived = presence(row, *_since(week, weeks, use), use, of, limits)
        score *= lived if lived is not None else _NO_FACTOR
    as_by = f", as by a factor of {np.exp(near):.2g}" if multiplier else ""
    return score, f"its lowest interval changed as much, to {np.exp(size):.2g} times{as_by}"


def _less(
    row: int, week: int, weeks: _Weeks, use: DailyUse, of: Installations, limits: AnomalyLimits
) -> tuple[float, str] | None:
    """Score and reason where the total alone dropped; that it rose alone is a new car."""
    size = float(_step(weeks.total[row : row + 1], week)[0])
    if size > 0:
        return None
    # Gardens and pools have their season: water that stops while the light burns is no theft.
    lived = None if of.flows[row] else presence(row, *_since(week, weeks, use), use, of, limits)
    half = limits.peers_weeks * (1 + (_UNEXPLAINED - 1) * (1 - (lived or 0.0)))
    said = (
        "what else is used there stayed as it was"
        if lived and lived > 0.5
        else "its lowest interval did not change as much"
    )
    return grown(_known(weeks.total[row, week:]), half) * grown(abs(size), _DROP), said


def _since(week: int, weeks: _Weeks, use: DailyUse) -> tuple[int, int]:
    d = use.total.shape[1]
    return d - (weeks.total.shape[1] - week) * WEEK, d


def _known(weekly: Floats) -> int:
    return int((~np.isnan(weekly)).sum())


def _step_week(weekly: Floats, group: Int64s, limits: AnomalyLimits) -> Int64s:
    """The first week after the largest step that is one; 0 for none (k,)."""
    k, weeks = weekly.shape
    best, found = np.zeros(k), np.zeros(k, dtype=np.int64)
    smallest = np.log(1 - limits.peers_drop_percent / 100), np.log(1 + limits.peers_rise_percent / 100)
    for week in range(_WEEKS_BEFORE, weeks - limits.peers_weeks + 1):
        size = _step(weekly, week)
        spread = 1.4826 * group_medians(np.abs(size)[:, None], group)[:, 0]
        # Medians say how large a step is; means, where: a median does not mind one week on the wrong side.
        weight = np.abs(_mean(weekly[:, week:]) - _mean(weekly[:, :week])) * np.sqrt(week * (weeks - week))
        better = (
            ((size <= smallest[0]) | (size >= smallest[1]))
            & (np.abs(size) >= limits.peers_deviations * spread)
            & (weight > best)
        )
        rows = np.flatnonzero(better)
        rows = rows[_apart(weekly[rows], week, np.sign(size[rows]), limits.peers_weeks)]
        best[rows], found[rows] = weight[rows], week
    return found


def _step(weekly: Floats, week: int) -> Floats:
    return medians(weekly[:, week:]) - medians(weekly[:, :week])


def _mean(weekly: Floats) -> Floats:
    known = ~np.isnan(weekly)
    return np.where(known, weekly, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)


def _apart(weekly: Floats, week: int, sign: Floats, least: int) -> NDArray[np.bool_]:
    """Every week after is further out than every week before, but for one before (a holiday)."""
    outward = weekly * sign[:, None]
    known = ~np.isnan(outward)
    ordered = np.sort(np.where(known[:, :week], outward[:, :week], -np.inf), axis=1)
    nearest = np.where(known[:, week:], outward[:, week:], np.inf).min(axis=1)
    enough = (known[:, :week].sum(axis=1) >= _WEEKS_BEFORE) & (known[:, week:].sum(axis=1) >= least)
    return enough & (nearest > ordered[:, -2])


def _alike(step: float, other: float) -> float:
    """1 where another quantity made about the same step, 0 where it stayed or is not known."""
    smaller = min(abs(step), abs(other))
    return float(np.clip(1.25 - abs(other - step) / smaller, 0, 1)) if smaller > 0 else 0.0
