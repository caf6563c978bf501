"""V11: what a bill's days used, against the weeks before them.

Like is compared with like: what is expected of a bill's days is the mean of the same weekdays in the weeks before. Only
days that were read all through say what is usual. Of the bill's own days an estimated one counts towards *high*, for it
is billed as well and a missing interval adds nothing; towards *low* it does not count, for a hole is no low use.

The season is nobody's fault: where enough bills of the class are looked at together, what they did on the same channel
is expected of each of them. Of gas and heat, which the weather moves most, there is no verdict without that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headend.reads.channels import Channel
from headend.vee.dailyuse import DailyUse
from headend.vee.findings import OF_OTHERS, Finding
from headend.vee.ruleset import HighLowRule

Int64s = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_WEEK = 7
_LARGEST_SEASON = 4
_OF_THE_WEATHER = ("gas", "heat")
#: 1970-01-01 was the fourth day of its week.
_FIRST_WEEKDAY = 3


@dataclass(frozen=True, slots=True)
class BillDays:
    """The days of one bill, and the channel that a finding is put on.

    Parameters
    ----------
    start_s, end_s
        the stretch of the finding, UTC [s since 1970].
    first, end
        the bill's days, the second not included [days since 1970].
    since
        the first day on which it was the same customer's use: what was before says nothing of them.
    """

    meter: int
    channel: int
    start_s: int
    end_s: int
    first: int
    end: int
    since: int


def high_low(bills: Sequence[BillDays], use: DailyUse, rule: HighLowRule) -> list[Finding]:
    """Bills of which the average daily use is above `high_percent` or below `low_percent` of the weeks before.

    Bills are of one customer class. There is no verdict on less than a week: of the bill, or, of any weekday, no day in
    the weeks before that was read.

    Parameters
    ----------
    use
        of each bill's usage point (k, d); days that are not in it are not known.
    """
    if rule.then == "pass" or not bills:
        return []
    first, end, since = (np.array([getattr(bill, name) for bill in bills]) for name in ("first", "end", "since"))
    weekday = np.eye(_WEEK, dtype=np.int64)[(use.days + _FIRST_WEEKDAY) % _WEEK]
    known = use.total >= 0
    read = known & (use.unread == 0)
    begin = np.maximum(first - _WEEK * rule.weeks, since)
    before = read & (use.days >= begin[:, None]) & (use.days < first[:, None])
    billed = known & (use.days >= first[:, None]) & (use.days < end[:, None])
    days_before = before @ weekday
    usual = (np.where(before, use.total, 0) @ weekday) / np.maximum(days_before, 1)
    whole_week = (days_before > 0).all(axis=1)
    channel = np.array([bill.channel for bill in bills])
    found: dict[int, str] = {}
    for counted, is_high in ((billed, True), (billed & read, False)):
        days = counted.sum(axis=1)
        used = np.where(counted, use.total, 0).sum(axis=1)
        expected = ((counted @ weekday) * usual).sum(axis=1)
        judged = whole_week & (days >= _WEEK) & (np.maximum(used, expected) > rule.floor)
        season = _season(used, expected, channel, judged, rule)
        due = expected * season
        judged &= season > 0
        off = judged & (used * 100 > due * rule.high_percent if is_high else used * 100 < due * rule.low_percent)
        for row in np.flatnonzero(off).tolist():
            now, usual_day = used[row] / days[row], expected[row] / days[row]
            found[row] = _sentence(now, usual_day, float(season[row]), int(days_before[row].sum()), rule)
    return [
        Finding(bill.meter, bill.channel, bill.start_s, bill.end_s, "V11", "warning", found[row], rule.review)
        for row, bill in enumerate(bills)
        if row in found
    ]


def _season(used: Int64s, expected: Floats, channel: Int64s, judged: Bools, rule: HighLowRule) -> Floats:
    """What bills on the same channel did, as a factor of what was usual (k,): their median.

    Where they are few it is 1; of what the weather moves, 0: it is not known.
    """
    season = np.ones(len(used))
    for code in np.unique(channel).tolist():
        of_channel = channel == code
        alike = of_channel & judged & (expected > 0)
        if alike.sum() >= rule.alike:
            # A fault of all meters together is no season.
            done = float(np.median(used[alike] / expected[alike]))
            season[of_channel] = min(max(done, 1 / _LARGEST_SEASON), _LARGEST_SEASON)
        elif Channel(code).commodity in _OF_THE_WEATHER:
            season[of_channel] = 0
    return season


def _sentence(now: float, usual: float, season: float, days_before: int, rule: HighLowRule) -> str:
    """Both averages per day, how many days the second is made of where some were not read, and what others did."""
    made_of = f", of which {days_before} days were read" if days_before < _WEEK * rule.weeks else ""
    share = f": {now * 100 / usual:,.0f} %" if usual else ""
    share += f"{OF_OTHERS}others like it are at {season * 100:,.0f} %" if usual and season != 1 else ""
    return f"{now:,.0f} a day against {usual:,.0f} a day in the {rule.weeks} weeks before{made_of}{share}"
