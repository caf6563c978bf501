"""V13: nothing was read for long. Estimates stand on each other's shoulders then: somebody has to go there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headend.reads.days import DAY_S
from headend.vee.dailyuse import UNKNOWN, DailyUse
from headend.vee.findings import Finding
from headend.vee.ruleset import ProlongedRule

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Unread:
    """Stretches of days on which nothing was read: row, first day, day after the last [days since 1970] (r,)."""

    row: Int64s
    first: Int64s
    end: Int64s


def unread_days(use: DailyUse, per_day: int, longest: int) -> Unread:
    """Stretches of more than `longest` days of which no interval was read."""
    unread = (use.total != UNKNOWN) & (use.unread >= per_day)
    edges = np.diff(unread.astype(np.int8), axis=1, prepend=0, append=0)
    # Each row has as many begins as ends, in the same order.
    row, first = np.nonzero(edges == 1)
    end = np.nonzero(edges == -1)[1]
    long = end - first > longest
    begin = use.end_day - use.total.shape[1]
    return Unread(row[long], first[long] + begin, end[long] + begin)


def check_prolonged(
    use: DailyUse, channels: Sequence[tuple[int, int]], per_day: int, rule: ProlongedRule
) -> list[Finding]:
    """V13, of channels (meter, channel) with `per_day` intervals a day: one finding a stretch."""
    if rule.then == "pass":
        return []
    found = unread_days(use, per_day, rule.days)
    findings = []
    for row, first, end in zip(found.row.tolist(), found.first.tolist(), found.end.tolist(), strict=True):
        or_more = " or more" if first == use.days[0] else ""
        detail = f"nothing was read for {end - first}{or_more} days"
        if end - first > rule.stop_after_days:
            detail += "; nothing is estimated any more"
        findings.append(
            Finding(
                channels[row][0], channels[row][1], first * DAY_S, end * DAY_S, "V13", "warning", detail, rule.review
            )
        )
    return findings


def given_up(last_read: Int64s, read: Bools, first_day: int, rule: ProlongedRule) -> Bools:
    """Days that are too long after the last read for anything to be estimated (k, d).

    Parameters
    ----------
    last_read
        the newest day before `first_day` of which something was read [days since 1970] (k,); -1: not known, and nothing
        is given up for it.
    read
        on which of the days from `first_day` on something was read (k, d).
    """
    days = first_day + np.arange(read.shape[1])
    latest = np.maximum.accumulate(np.where(read, days, last_read[:, None]), axis=1)
    return (latest >= 0) & (days - latest > rule.stop_after_days)
