"""Truth against store: what the field says it measured, and what the head-end holds, to the Wh."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from headend.reads.days import seconds
from headend.reads.quality import IS_ESTIMATED, Quality
from headend.registry.registry import enrolled_channels
from headend.site import Site


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """How truth and store compare.

    Parameters
    ----------
    measured, stored, estimated, missing
        intervals.
    difference
        Σ over channels of |Σ truth − Σ store|, and of every actual interval's own difference [Wh, dm³, litre].
    """

    measured: int
    stored: int
    estimated: int
    missing: int
    difference: int


def reconcile(site: Site, truth: Path, start: datetime, end: datetime) -> Reconciliation:
    """Compare the simulator's truth file with the interval store over [start, end)."""
    start_s, end_s = seconds(start), seconds(end)
    with site.database.read() as tx:
        channels = enrolled_channels(tx)
        keys = [(c.meter, c.channel.code) for c in channels]
        profiles = site.store.profiles(tx, keys, start_s, end_s, 3600)
    row_of = {(c.meter_name, c.channel.obis): row for row, c in enumerate(channels)}
    true = np.zeros_like(profiles.values)
    with truth.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        measured = 0
        column_of: dict[str, int] = {}
        for meter, channel, begin, _interval_s, value in rows:
            if (column := column_of.get(begin)) is None:
                column = column_of[begin] = (seconds(datetime.fromisoformat(begin)) - start_s) // 3600
            true[row_of[meter, channel], column] = int(value)
            measured += 1
    estimated = IS_ESTIMATED[profiles.quality]
    missing = profiles.quality == Quality.MISSING
    totals = np.abs(true.sum(axis=1) - profiles.values.sum(axis=1)).sum()
    actuals = np.abs(true - profiles.values)[~estimated].sum()
    return Reconciliation(
        measured, int((~estimated & ~missing).sum()), int(estimated.sum()), int(missing.sum()), int(totals + actuals)
    )
