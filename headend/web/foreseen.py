"""What a decision would do, as its page shows it: energy, intervals before and after, bills."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headend.preview import Preview, Stretch
from headend.reads.quality import Quality
from headend.site import Site

_ROWS = 200


@dataclass(frozen=True, slots=True)
class Row:
    """One interval before and after; values in base units, None: there is none. `beside`: not decided on itself."""

    start_s: int
    before: int | None
    after: int | None
    was: Quality
    will: Quality
    beside: bool


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would happen.

    Parameters
    ----------
    before, after
        energy of the intervals that are decided on [base units].
    rows
        these, and those beside them that would change too, as many as a page can bear.
    changed
        how many of all would have another value; `left_out`: how many have no row.
    limit
        from this change of energy on another person is needed [base units].
    """

    preview: Preview
    before: int
    after: int
    rows: list[Row]
    changed: int
    left_out: int
    limit: int


def foreseen(site: Site, preview: Preview) -> Foreseen:
    """A preview as it is shown."""
    rows = [row for row in _rows(preview) if not row.beside or (row.before, row.was) != (row.after, row.will)]
    if len(rows) > _ROWS:
        # Of many, those that change say more than those that stay.
        rows = sorted(rows, key=lambda row: row.before == row.after)
    shown = sorted(rows[:_ROWS], key=lambda row: row.start_s)
    after = _energy(preview.after)
    changed = sum(row.before != row.after for row in rows)
    limit = site.rules.editing.second_person_above
    return Foreseen(preview, after - preview.change, after, shown, changed, len(rows) - len(shown), limit)


def _rows(preview: Preview) -> list[Row]:
    was, will = preview.days_before, preview.days_after
    return [
        Row(start, before, after, Quality(a), Quality(b), not preview.start_s <= start < preview.end_s)
        for start, before, after, a, b in zip(
            range(was.start_s, was.start_s + len(was.values) * preview.interval_s, preview.interval_s),
            was.shown,
            will.shown,
            was.quality.tolist(),
            will.quality.tolist(),
            strict=True,
        )
    ]


def _energy(stretch: Stretch) -> int:
    """What is questionable counts as nothing."""
    return int(np.where(stretch.quality == Quality.QUESTIONABLE, 0, stretch.values).sum())
