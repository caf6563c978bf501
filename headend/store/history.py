"""The history: every version of an interval that something else replaced, and what validation found on the way."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from headend.reads.blocks import Blocks
from headend.reads.days import microseconds
from headend.reads.quality import IS_MEASURED, Quality
from headend.store.bulk import Row, rows_at, upsert_rows
from headend.store.tables import finding, interval_history
from headend.vee.findings import Finding

Bools = NDArray[np.bool_]

#: So begins what supersedes a version where a person decided.
BY_A_PERSON: Final = "edit "


def keep(tx: Connection, stored: Blocks, replaced: Bools, *, by: str, now: datetime) -> None:
    """Versions that are about to be superseded.

    Parameters
    ----------
    stored
        the blocks as they stand.
    replaced
        which of their intervals get another version (k, n).
    by
        what supersedes them: journal entries, a rule, a user.
    """
    start, now_us = stored.start_s, microseconds(now)
    rows = [
        (
            int(stored.meter[row]),
            int(stored.channel[row]),
            int(start[row, column]),
            int(stored.version[row, column]),
            now_us,
            int(stored.values[row, column]),
            int(stored.quality[row, column]),
            by,
        )
        for row, column in np.argwhere(replaced).tolist()
    ]
    upsert_rows(tx, interval_history, rows)


def holds(tx: Connection, incoming: Blocks, asked: Bools) -> Bools:
    """Which of the intervals asked for arrive with a measured value that was superseded before (k, n).

    What validation once estimated is no such value: a read that happens to equal it is news.
    """
    found = np.zeros_like(asked)
    cells = np.argwhere(asked).tolist()
    start = incoming.start_s
    at = {
        (int(incoming.meter[r]), int(incoming.channel[r]), int(start[r, c]), int(incoming.values[r, c])): (r, c)
        for r, c in cells
    }
    for row in rows_at(tx, interval_history, [key[:3] for key in at]):
        cell = at.get((row.meter, row.channel, row.start_s, row.value))
        if cell is not None and IS_MEASURED[row.quality]:
            found[cell] = True
    return found


def last_measured(tx: Connection, intervals: Iterable[tuple[int, int, int]]) -> dict[int, tuple[int, int]]:
    """What was measured last of intervals of which something else stands now: value and quality, by place.

    Parameters
    ----------
    intervals
        meter, channel, begin [s since 1970]; different ones.
    """
    place = {interval: i for i, interval in enumerate(intervals)}
    found = [row for row in rows_at(tx, interval_history, place) if IS_MEASURED[row.quality]]
    found.sort(key=lambda row: (row.superseded_us, row.version))
    return {place[row.meter, row.channel, row.start_s]: (row.value, _quality_for_good(row)) for row in found}


def _quality_for_good(row: Any) -> int:
    """Of a version that was replaced: what a person put something else in the place of is not judged anew."""
    return Quality.QUESTIONABLE if row.superseded_by.startswith(BY_A_PERSON) else int(row.quality)


def keep_findings(tx: Connection, findings: Iterable[Finding], rule_set: str, now: datetime) -> None:
    """What validation found; the same rule's newer word on the same interval replaces its older one."""
    now_us = microseconds(now)
    rows: dict[tuple[int, int, int, str], Row] = {}
    for f in findings:
        key = f.meter, f.channel, f.start_s, f.rule
        rows[key] = (*key, f.severity, f.detail, rule_set, now_us, f.end_s)
    upsert_rows(tx, finding, list(rows.values()))
