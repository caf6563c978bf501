"""What becomes of a settlement: values, their history, what was found, what rests on what, and who is to be asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from headend.process.due import DueRun
from headend.reads.blocks import Blocks, supersede
from headend.reads.days import DAY_S
from headend.reads.profiles import LoadProfiles
from headend.reads.quality import IS_DECIDED, IS_ESTIMATED, IS_MEASURED, Quality
from headend.site import Site
from headend.store import dailyuse, exceptions, history
from headend.store.accruals import note_changed
from headend.store.basis import drop_basis, keep_basis
from headend.store.intervals import BlockKey
from headend.store.rebills import flag_rebills
from headend.vee import Finding, Settled
from headend.vee.prolonged import check_prolonged

Bools = NDArray[np.bool_]

# What tells of a guess, and of the gap that it fills.
_OF_A_GUESS = frozenset(("V4", "E2", "E3", "E4"))


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What validation says should stand of some runs, a row of the profiles each; the profiles as they stood."""

    group: Sequence[DueRun]
    profiles: LoadProfiles
    settled: Settled


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What was stored: blocks as they stood and as they are now, which intervals changed, how many are estimated."""

    stood: Blocks
    now: Blocks
    changed: Bools
    estimated: int


def without_guesses(outcome: Outcome, silent: Bools) -> Outcome:
    """The outcome without what was guessed of missing reads where a channel has been silent for too long (k, n)."""
    profiles, settled = outcome.profiles, outcome.settled
    guessed = silent & (profiles.quality == Quality.MISSING) & is_guess(settled.quality)
    if not silent.any():
        return outcome
    rows = {d.key: row for row, d in enumerate(outcome.group)}

    def stays(f: Finding) -> bool:
        column = (f.start_s - profiles.start_s) // profiles.interval_s
        return f.rule not in _OF_A_GUESS or not (
            0 <= column < silent.shape[1] and silent[rows[f.meter, f.channel], column]
        )

    return replace(
        outcome,
        settled=replace(
            settled,
            values=np.where(guessed, 0, settled.values),
            quality=np.where(guessed, np.uint8(Quality.MISSING), settled.quality),
            findings=[f for f in settled.findings if stays(f)],
        ),
    )


def keep_outcome(tx: Connection, site: Site, outcome: Outcome, rows: Bools, horizon: int) -> Kept | None:
    """Store the chosen rows' outcome: every day that was due, and every other that changed; None: no row is chosen."""
    if not rows.any():
        return None
    group, profiles, settled = outcome.group, outcome.profiles, outcome.settled
    now, by = site.clock(), f"rules {site.rules.version}"
    per_day, first_day = DAY_S // profiles.interval_s, profiles.start_s // DAY_S
    shape = len(group), -1, per_day
    differs = (settled.values != profiles.values) | (settled.quality != profiles.quality)
    touched = differs.reshape(shape).any(axis=2)
    was_due = np.zeros_like(touched)
    for place, d in enumerate(group):
        was_due[place, d.days[0] - first_day : d.days[-1] + 1 - first_day] = True
    row, day = np.nonzero((touched | was_due) & rows[:, None])
    wanted = zip((day + first_day).tolist(), profiles.meter[row].tolist(), profiles.channel[row].tolist(), strict=True)
    stood = site.store.load(tx, list(wanted), profiles.interval_s)
    values, quality = settled.values.reshape(shape)[row, day], settled.quality.reshape(shape)[row, day]
    merged = supersede(stood, values, quality)
    history.keep(tx, stood, merged.replaced, by=by, now=now)
    # A day that intake touched since the due days were listed is not settled by a neighbour's window.
    unseen = (quality == Quality.RAW).any(axis=1)
    changed = merged.stored | merged.replaced | (quality != stood.quality)
    for rows_now, are_settled in ((~unseen, True), (unseen, False)):
        site.store.save(tx, merged.blocks.take(rows_now), changed[rows_now], settled=are_settled)
    note_changed(tx, merged.blocks, merged.stored | merged.replaced)
    dailyuse.put(tx, merged.blocks, horizon)
    _keep_basis(tx, outcome, merged.blocks, was_due[row, day])
    flag_rebills(tx, stood, merged.blocks, by, now)
    _keep_findings(tx, site, outcome, rows, horizon)
    estimated = int((IS_ESTIMATED[quality] & (merged.stored | merged.replaced)).sum())
    return Kept(stood, merged.blocks, changed, estimated)


def _keep_basis(tx: Connection, outcome: Outcome, blocks: Blocks, was_due: Bools) -> None:
    """What the estimates of these days rest on; of a day that was not due, others than these may have been made."""
    profiles = outcome.profiles
    per_day, first_day = DAY_S // profiles.interval_s, profiles.start_s // DAY_S
    guessed = np.logical_or.reduce(IS_ESTIMATED[blocks.quality] & ~IS_DECIDED[blocks.quality], axis=1).tolist()
    all_of_it = {key: whole for key, whole, holds in zip(blocks.keys, was_due.tolist(), guessed, strict=True) if holds}
    whole: dict[BlockKey, tuple[int, int]] = {}
    part: dict[BlockKey, tuple[int, int]] = {}
    for b in outcome.settled.basis:
        d = outcome.group[b.row]
        on = first_day + b.first // per_day, first_day - (-b.end // per_day)
        for day in range(first_day + b.begin // per_day, first_day - (-b.stop // per_day)):
            key = day, *d.key
            if key in all_of_it:
                its = whole if all_of_it[key] else part
                before = its.get(key, on)
                its[key] = min(on[0], before[0]), max(on[1], before[1])
    keep_basis(tx, whole, part)
    drop_basis(tx, (key for key, holds in zip(blocks.keys, guessed, strict=True) if not holds))


def _keep_findings(tx: Connection, site: Site, outcome: Outcome, rows: Bools, horizon: int) -> None:
    """Note what was found, and put before people what they are to be asked about."""
    now, by = site.clock(), f"rules {site.rules.version}"
    kept = [d for d, keep in zip(outcome.group, rows.tolist(), strict=True) if keep]
    class_of = {d.key: d.channel.customer_class for d in kept}
    found = [f for f in outcome.settled.findings if (f.meter, f.channel) in class_of]
    looked_at = [d.stretch_s for d in kept]
    exceptions.open_found(tx, found, site.rules, class_of, now)
    exceptions.clear_unfound(tx, looked_at, found, by=by, now=now)
    prolonged = _check_prolonged(tx, site, outcome, rows, horizon)
    history.keep_findings(tx, [*found, *prolonged], site.rules.version, now)


def _check_prolonged(tx: Connection, site: Site, outcome: Outcome, rows: Bools, horizon: int) -> Iterable[Finding]:
    """V13, where a day is late, has a hole, or follows one on which nothing was read: else nothing is new about it."""
    per_day, first_day = DAY_S // outcome.profiles.interval_s, outcome.profiles.start_s // DAY_S
    begins = np.array([d.days[0] for d in outcome.group])
    read = np.logical_or.reduce(IS_MEASURED[outcome.profiles.quality].reshape(len(begins), -1, per_day), axis=2)
    before = read[np.arange(len(begins)), (begins - 1 - first_day).clip(0)]
    asked = rows & ((begins + 1 < horizon) | ~outcome.settled.clean | ~before)
    group = [d for d, is_asked in zip(outcome.group, asked.tolist(), strict=True) if is_asked]
    if not group:
        return []
    rules, now = site.rules.of(group[0].channel.customer_class), site.clock()
    keys = [d.key for d in group]
    use = dailyuse.load(tx, keys, horizon)
    found = check_prolonged(use, keys, per_day, rules.prolonged)
    class_of = {d.key: d.channel.customer_class for d in group}
    exceptions.open_found(tx, found, site.rules, class_of, now)
    span_s = (horizon - len(use.days)) * DAY_S, horizon * DAY_S
    looked_at = [(*key, *span_s) for key in keys]
    by = f"rules {site.rules.version}"
    exceptions.clear_unfound(tx, looked_at, found, by=by, now=now, rules={"V13"})
    return found


def is_guess(quality: NDArray[np.uint8]) -> Bools:
    """Estimated without a total that is known, and by no person (k, n)."""
    return np.asarray(IS_ESTIMATED[quality] & ~IS_DECIDED[quality] & (quality != Quality.ESTIMATED_FROM_REGISTER))
