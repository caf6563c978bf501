"""The register's verdict: V7, registers that contradict each other, and V8, the sum check.

A window is what lies between two register reads (`registers`). One whose intervals add up to the advance vouches for
them. In one that does not the wrong interval is looked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headend.reads.quality import Quality
from headend.vee.registers import Windows, sums_agree
from headend.vee.worksheet import Worksheet, runs_of

Bools = NDArray[np.bool_]

# Where several intervals could each explain a wrong sum: those whose case is at least so strong as the strongest's.
_AS_SUSPECT = 0.5


def check_registers(sheet: Worksheet) -> None:
    """V7: registers that contradict each other."""
    rule, w = sheet.rules.register_, sheet.windows
    if rule.then == "pass":
        return
    by_hand = sheet.passed_by_hand("V7")
    for i in np.flatnonzero(sheet.touched & (w.advance < 0)).tolist():
        row, column = int(w.row[i]), int(w.last[i])
        if by_hand is None or not by_hand[row, column]:
            before = int(sheet.profiles.register[row, w.first[i] - 1])
            now = int(sheet.profiles.register[row, column])
            how = "fell" if now < before else "rose further than can have flowed,"
            detail = f"the register {how} from {before} to {now}: reset, exchange or fault?"
            sheet.find(row, column, column + 1, "V7", "warning", detail, rule.review)


def check_sums(sheet: Worksheet) -> Bools:
    """V8: what does not add up fails; where a window vouches for its intervals (k, n)."""
    rule, w = sheet.rules.sum_check, sheet.windows
    complete = (w.advance >= 0) & ~sheet.any_in(w, ~sheet.good)
    agree = complete & sums_agree(w.total, w.advance, rule)
    off = sheet.touched & complete & ~agree
    decided = off & sheet.any_in(w, sheet.decided)
    for i in np.flatnonzero(decided).tolist():
        # They knew better than the register: no read beside what they decided gives way for it, and nobody is asked.
        _note(sheet, i, "a person decided otherwise: ")
    off &= ~decided
    if (by_hand := sheet.passed_by_hand("V8")) is not None:
        off &= ~sheet.any_in(w, by_hand)
    if rule.then == "fail":
        # Whose clock was off is suspect enough: none of the others is looked for.
        for i in np.flatnonzero(off & ~sheet.any_in(w, sheet.doubtful)).tolist():
            _look_for_the_wrong_one(sheet, w, i)
    elif rule.then == "warn":
        for i in np.flatnonzero(off).tolist():
            _note(sheet, i, review=rule.review)
    vouched = sheet.covered_by(w, agree)
    _clear_the_doubtful(sheet, vouched)
    return vouched


def _difference(w: Windows, i: int) -> str:
    return f"intervals add up to {w.total[i]}, the register advanced by {w.advance[i]}"


def _note(sheet: Worksheet, i: int, why: str = "", *, review: bool = False) -> None:
    """A window does not add up, and stays as it is."""
    w = sheet.windows
    detail = f"{why}{_difference(w, i)}"
    sheet.find(int(w.row[i]), int(w.first[i]), int(w.last[i]) + 1, "V8", "warning", detail, review)


def _clear_the_doubtful(sheet: Worksheet, vouched: Bools) -> None:
    if not sheet.doubtful.any():
        return
    cleared = sheet.doubtful & vouched
    sheet.quality[cleared & sheet.is_open] = Quality.VERIFIED
    refused = sheet.doubtful & ~vouched
    sheet.good[refused] = False
    sheet.values[refused] = 0


def _look_for_the_wrong_one(sheet: Worksheet, w: Windows, i: int) -> None:
    """A window's sum is wrong. An interval that explains it alone is to blame, or the few that could; else all."""
    row, at = int(w.row[i]), np.arange(w.first[i], w.last[i] + 1)
    excess = int(w.total[i] - w.advance[i])
    habit = sheet.habit(row, at)
    expected, known = habit.values, habit.known
    corrected = sheet.values[row, at] - excess
    gain = np.abs(sheet.values[row, at] - expected) - np.abs(corrected - expected)
    gain[(corrected < 0) | (corrected > sheet.due.maximum[row]) | ~known] = -1
    likely = gain > abs(excess) // 2
    if likely.any():
        # Loads vary by factors, not by amounts: suspect are those that are off by the largest factors.
        little = 1 + expected[known].mean() / 10
        usual, is_, would_be = (np.log(each.clip(0) + little) for each in (expected, sheet.values[row, at], corrected))
        by_factor = np.where(likely, np.abs(is_ - usual) - np.abs(would_be - usual), -np.inf)
        at = at[by_factor >= by_factor.max() * _AS_SUSPECT if by_factor.max() > 0 else likely]
    review = sheet.rules.sum_check.review and len(at) > 1
    for begin, stop in runs_of(at):
        was = ", ".join(str(value) for value in sheet.values[row, begin : min(stop, begin + 3)].tolist())
        more = " …" if stop - begin > 3 else ""
        sheet.find(row, begin, stop, "V8", "failed", f"{was}{more}: {_difference(w, i)}", review)
    sheet.fail(row, at)
