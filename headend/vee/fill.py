"""Estimation on the worksheet: what is not good is filled, in the order of the methods, best first.

E1 from the register, whose total is actual; E2 between two good ends; E3 as like days go; E4 as the class goes, or on
average. What a method makes is checked again: it is never more than can have flowed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headend.reads.quality import Quality
from headend.vee import estimate
from headend.vee.worksheet import Basis, Worksheet, runs_of

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]


def estimate_from_registers(sheet: Worksheet, incomplete: Int64s) -> Bools:
    """E1: holes take what their window's register advance leaves for them. Which intervals it filled (k, n)."""
    filled = np.zeros_like(sheet.good)
    w = sheet.windows
    for i in incomplete.tolist():
        row, span = int(w.row[i]), slice(int(w.first[i]), int(w.last[i]) + 1)
        at = np.flatnonzero(~sheet.good[row, span]) + span.start
        left = int(w.advance[i] - sheet.values[row, span][sheet.good[row, span]].sum())
        if not 0 <= left <= sheet.due.maximum[row] * len(at):
            detail = f"the register's advance of {w.advance[i]} leaves {left} for {len(at)} other intervals"
            if sheet.decided[row, span].any():
                sheet.find(row, span.start, span.stop, "V8", "failed", f"decided by hand, but {detail}", review=True)
                continue
            at, left = np.arange(span.start, span.stop), int(w.advance[i])
            for begin, stop in runs_of(at[sheet.good[row, at]]):
                sheet.find(row, begin, stop, "V8", "failed", detail, sheet.rules.sum_check.review)
            sheet.good[row, at] = False
        guess = sheet.guess(row, at)
        shape = guess.values.copy()
        shape[~guess.known] = shape[guess.known].mean() if guess.known.any() else 1
        parts = estimate.spread(shape, left)
        if parts.max() > sheet.due.maximum[row]:
            # Checked again: what follows the shape may pass what can flow; evenly spread it cannot.
            parts = estimate.spread(np.ones_like(parts), left)
        detail = f"register advance {w.advance[i]} leaves {left} for {len(at)} intervals"
        _estimate(sheet, row, at, parts, Quality.ESTIMATED_FROM_REGISTER, "E1", detail)
        _rests_on(sheet, row, at, min(guess.first, span.start - 1), max(guess.last, span.stop - 1))
        filled[row, at] = True
    return filled


def estimate_gaps(sheet: Worksheet, gaps: Bools) -> Bools:
    """E2, E3, E4: gaps that no register closes yet. Which intervals it filled (k, n)."""
    filled = np.zeros_like(sheet.good)
    longest_line = sheet.rules.estimation.linear_hours * 3600 / sheet.profiles.interval_s
    for row in np.flatnonzero(gaps.any(axis=1)).tolist():
        for begin, stop in runs_of(np.flatnonzero(gaps[row])):
            at = np.arange(begin, stop)
            between = begin > 0 and stop < sheet.good.shape[1] and sheet.good[row, begin - 1] and sheet.good[row, stop]
            if between and stop - begin <= longest_line:
                _estimate_between(sheet, row, at)
                filled[row, at] = True
            else:
                filled[row, _estimate_by_habit(sheet, row, at)] = True
    return filled


def _estimate_between(sheet: Worksheet, row: int, at: Int64s) -> None:
    """E2: from one good end to the other, as like days go from one to the other."""
    guess = sheet.guess(row, at)
    values = np.minimum(guess.values, sheet.due.maximum[row])
    _estimate(sheet, row, at, values, Quality.ESTIMATED_LINEAR, "E2", "between its two good ends, as like days go")
    _rests_on(sheet, row, at, guess.first, guess.last)


def _estimate_by_habit(sheet: Worksheet, row: int, at: Int64s) -> Int64s:
    """E3, and E4 where there is no like day; which columns were filled."""
    guess, known = sheet.guess(row, at), sheet.habit(row, at).known
    values = np.minimum(guess.values, sheet.due.maximum[row])
    detail = f"mean of up to {sheet.rules.estimation.like_days} like days, bent to its ends"
    _estimate(sheet, row, at[known], values[known], Quality.ESTIMATED_LIKE_DAY, "E3", detail)
    _rests_on(sheet, row, at, guess.first, guess.last)
    return at if known.all() or _estimate_from_others(sheet, row, at[~known]) else at[known]


def _estimate_from_others(sheet: Worksheet, row: int, at: Int64s) -> bool:
    """E4: the profile of its class, at the channel's own level where that is known; False: nothing is known at all."""
    near = sheet.reach(at)
    own = np.flatnonzero(sheet.good[row])
    own = own[(own >= near.start) & (own < near.stop)]
    profile = sheet.class_profile(int(sheet.profiles.channel[row]))
    if profile is not None:
        values = profile.at(sheet.calendar, at)
        detail = f"profile of {profile.channels} channels of its class"
        level = profile.level(sheet.calendar, sheet.values[row], own)
        if level is not None:
            values, detail = values * level, f"{detail}, at its own level"
        whole = np.minimum(estimate.whole_units(values), sheet.due.maximum[row])
        _estimate(sheet, row, at, whole, Quality.ESTIMATED_CLASS_PROFILE, "E4", detail)
    elif len(own):
        average = estimate.whole_units(np.full(len(at), sheet.values[row, own].mean()))
        _estimate(sheet, row, at, average, Quality.ESTIMATED_AVERAGE, "E4", "average use: there is no like day")
    else:
        for begin, stop in runs_of(at):
            detail = "missing, and nothing is known to estimate it from"
            sheet.find(row, begin, stop, "V4", "failed", detail, review=True)
    return profile is not None or len(own) > 0


def _estimate(sheet: Worksheet, row: int, at: Int64s, values: Int64s, quality: Quality, rule: str, detail: str) -> None:
    stood, how = sheet.profiles.values[row], sheet.profiles.quality[row]
    sheet.values[row, at], sheet.quality[row, at] = values, quality
    for column, value in zip(at.tolist(), values.tolist(), strict=True):
        was = "missing" if how[column] == Quality.MISSING else str(stood[column])
        if how[column] == Quality.MISSING:
            sheet.find(row, column, column + 1, "V4", "warning", "no read came for this interval")
        if stood[column] != value or how[column] != quality:
            sheet.find(row, column, column + 1, rule, "info", f"was {was}, estimated {value}: {detail}")


def _rests_on(sheet: Worksheet, row: int, at: Int64s, first: int, last: int) -> None:
    sheet.basis.append(Basis(row, int(at[0]), int(at[-1]) + 1, first, last + 1))
