"""The history: every version of an interval that something else replaced, and what validation found on the way."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select, tuple_

from headend.reads.blocks import Blocks
from headend.reads.quality import IS_MEASURED
from headend.store.database import upsert
from headend.store.tables import finding, interval_history
from headend.vee.findings import Finding

Bools = NDArray[np.bool_]

_KEYS_A_QUERY = 2_000
_MEASURED = np.flatnonzero(IS_MEASURED).tolist()


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
    start = stored.start_s
    rows = [
        {
            "meter": int(stored.meter[row]),
            "channel": int(stored.channel[row]),
            "start_s": int(start[row, column]),
            "version": int(stored.version[row, column]),
            "superseded_us": int(now.timestamp() * 1_000_000),
            "value": int(stored.values[row, column]),
            "quality": int(stored.quality[row, column]),
            "superseded_by": by,
        }
        for row, column in np.argwhere(replaced).tolist()
    ]
    upsert(tx, interval_history, rows)


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
    h = interval_history.c
    keys = [key[:3] for key in at]
    for first in range(0, len(keys), _KEYS_A_QUERY):
        query = select(h.meter, h.channel, h.start_s, h.value).where(
            tuple_(h.meter, h.channel, h.start_s).in_(keys[first : first + _KEYS_A_QUERY]),
            h.quality.in_(_MEASURED),
        )
        for row in tx.execute(query):
            if (cell := at.get(tuple(row))) is not None:
                found[cell] = True
    return found


def keep_findings(tx: Connection, findings: Iterable[Finding], rule_set: str, now: datetime) -> None:
    """What validation found; the same rule's newer word on the same interval replaces its older one."""
    rows: dict[tuple[int, int, int, str], dict[str, Any]] = {}
    for f in findings:
        rows[f.meter, f.channel, f.start_s, f.rule] = {
            "meter": f.meter,
            "channel": f.channel,
            "start_s": f.start_s,
            "rule": f.rule,
            "severity": f.severity,
            "detail": f.detail,
            "rule_set": rule_set,
            "found_us": int(now.timestamp() * 1_000_000),
        }
    upsert(tx, finding, list(rows.values()))
