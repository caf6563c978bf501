"""Settlement of what is due: loads open days, lets validation decide, stores what should stand.

A day is due some hours after its end. Days of which nothing came at all are due as well: the registry says who should
have reported. Almost every channel is clean and needs no more than its open days and the register before them, so that
is what is loaded first; only for the others are the weeks before them read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Connection

from headend.errors import StoreAway, StoreBroken
from headend.reads.blocks import NO_REGISTER, supersede
from headend.reads.constants import modulus_at
from headend.reads.days import DAY_S
from headend.reads.profiles import LoadProfiles
from headend.reads.quality import IS_ESTIMATED, Quality
from headend.registry.registry import EnrolledChannel, enrolled_channels
from headend.site import Site
from headend.store import history
from headend.vee import Due, Settled, settle
from headend.vee.daytypes import day_types

log = structlog.get_logger(__name__)

# Channels settled in one transaction: enough for array operations to pay, few enough not to hold up intake.
_CHANNELS_AT_ONCE = 250
# Runs that begin within the same weeks are looked at together, so that none has to be read over years.
_ALIKE_DAYS = 28


@dataclass(frozen=True, slots=True)
class _Due:
    """One channel with a run of due days, oldest first; `run` tells it from the channel's other runs."""

    channel: EnrolledChannel
    days: tuple[int, ...]
    run: int

    @property
    def key(self) -> tuple[int, int]:
        return self.channel.meter, self.channel.channel.code


@dataclass(slots=True)
class SettlementCounts:
    """What settlement did.

    Parameters
    ----------
    waiting
        channels that need older days, which the interval store does not tell for now.
    """

    channel_days: int = 0
    estimated: int = 0
    waiting: int = 0


def settle_due_days(site: Site) -> SettlementCounts:
    """Validate and estimate every day that is due by the site's clock."""
    counts = SettlementCounts()
    end_day = site.rules.due_before(site.clock())
    with site.database.read() as tx:
        due = _due(tx, site, end_day)
    store_answers = True
    for alike in _alike(due):
        for first in range(0, len(alike), _CHANNELS_AT_ONCE):
            group: Sequence[_Due] = alike[first : first + _CHANNELS_AT_ONCE]
            # What needs the weeks before has a transaction of its own: the store may not have them for now. It is asked
            # for them no more then: it may take long not to answer, and nobody else writes meanwhile.
            for settled in (_settle_clean, _settle_rest) if store_answers else (_settle_clean,):
                try:
                    with site.database.write() as tx:
                        group = settled(tx, site, group, end_day, counts)
                except StoreAway as away:
                    log.debug("the interval store does not answer", channels=len(group), reason=str(away))
                    store_answers = False
                    break
                except StoreBroken as broken:
                    log.warning("channels are not settled", channels=len(group), reason=str(broken))
                    break
            counts.waiting += len(group)
    return counts


def _due(tx: Connection, site: Site, end_day: int) -> list[_Due]:
    """Channels with days before `end_day` that are open, or of which nothing came."""
    channels = enrolled_channels(tx)
    began = {(c.meter, c.channel.code): -(-c.installed_s // DAY_S) for c in channels}
    first_seen: dict[tuple[int, int], int] = {}
    there: dict[tuple[int, int], set[int]] = defaultdict(set)
    open_days: dict[tuple[int, int], set[int]] = defaultdict(set)
    for day, meter, channel in site.store.open_days(tx, end_day):
        open_days[meter, channel].add(day)
    look_back = site.rules.look_back_days
    for found in site.store.channel_days(tx, end_day - look_back, end_day):
        key = found.meter, found.channel
        there[key].add(found.day)
        first_seen[key] = min(found.day, first_seen.get(key, found.day))
    due = []
    for c in channels:
        key = c.meter, c.channel.code
        last = end_day if c.removed_s is None else min(end_day, -(-c.removed_s // DAY_S))
        # A channel that has not reported for weeks is silent, not missing a day: the operator sees it, and nothing is
        # known to estimate it from.
        silent = set(range(max(began[key], first_seen.get(key, last)), last)) - there[key]
        due += [_Due(c, run, place) for place, run in enumerate(_runs(sorted(silent | open_days[key])))]
    return due


def _runs(days: Sequence[int]) -> list[tuple[int, ...]]:
    """Days cut into runs without a gap: what lies between two of them is not due."""
    runs: list[list[int]] = []
    for day in days:
        if runs and day == runs[-1][-1] + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return [tuple(run) for run in runs]


def _alike(due: Iterable[_Due]) -> list[list[_Due]]:
    """Grouped by what validation of many channels at once has in common."""
    groups: dict[tuple[int, str, str, int, int], list[_Due]] = defaultdict(list)
    for d in due:
        age = d.days[0] // _ALIKE_DAYS
        groups[d.channel.interval_s, d.channel.timezone, d.channel.customer_class, d.run, age].append(d)
    return list(groups.values())


def _settle_clean(
    tx: Connection, site: Site, group: Sequence[_Due], horizon: int, counts: SettlementCounts
) -> list[_Due]:
    """Settle the channels of which the due days and the one before them say enough; the others.

    Days before `horizon` are settled, or are now: what lies there between a late day and today may be looked at.
    """
    end_day = max(d.days[-1] for d in group) + 1
    quick = _validate(tx, site, group, min(d.days[0] for d in group) - 1, end_day)
    clean = quick[1].clean & ~_ends_unclosed(group, quick[0], horizon)
    _keep(tx, site, group, quick, end_day, clean, counts)
    return [d for d, is_clean in zip(group, clean.tolist(), strict=True) if not is_clean]


def _settle_rest(
    tx: Connection, site: Site, group: Sequence[_Due], horizon: int, counts: SettlementCounts
) -> list[_Due]:
    """Settle channels by the weeks around their due days; none is left."""
    if group:
        look_back = site.rules.of(group[0].channel.customer_class).estimation.look_back_days
        end_day = min(horizon, max(d.days[-1] for d in group) + 1 + look_back)
        thorough = _validate(tx, site, group, min(d.days[0] for d in group) - look_back, end_day)
        _keep(tx, site, group, thorough, end_day, np.ones(len(group), dtype=np.bool_), counts)
    return []


def _ends_unclosed(group: Sequence[_Due], profiles: LoadProfiles, horizon: int) -> NDArray[np.bool_]:
    """Late channels of which the register read that closes their last due interval was not loaded (k,)."""
    ends = np.array([d.days[-1] + 1 for d in group])
    last = (ends * DAY_S - profiles.start_s) // profiles.interval_s - 1
    column = np.arange(profiles.register.shape[1])
    closed = ((profiles.register != NO_REGISTER) & (column >= last[:, None])).any(axis=1)
    return np.asarray((ends < horizon) & ~closed)


def _validate(
    tx: Connection, site: Site, group: Sequence[_Due], first_day: int, end_day: int
) -> tuple[LoadProfiles, Settled]:
    shared = group[0].channel
    rules = site.rules.of(shared.customer_class)
    per_day = DAY_S // shared.interval_s
    profiles = site.store.profiles(tx, [d.key for d in group], first_day * DAY_S, end_day * DAY_S, shared.interval_s)
    calendar = day_types(
        profiles.start_s, profiles.values.shape[1], shared.interval_s, ZoneInfo(shared.timezone), site.rules.holidays
    )
    open_from = np.array(
        [max((d.days[0] - first_day) * per_day, _column(d.channel.installed_s, profiles)) for d in group]
    )
    open_to = np.array([min((d.days[-1] + 1 - first_day) * per_day, _end_column(d.channel, profiles)) for d in group])
    modulus = _modulus([d.channel for d in group], profiles)
    maximum = np.array([int(d.channel.max_per_interval * rules.maximum.factor) for d in group])
    due = Due(open_from, open_to, modulus, maximum, np.zeros(len(group), dtype=np.bool_))
    return profiles, settle(profiles, due, rules, calendar)


def _modulus(channels: Sequence[EnrolledChannel], profiles: LoadProfiles) -> NDArray[np.int64]:
    """Where each row's register rolls over (k,), or each register itself where a constant changes on the way (k, n)."""
    modulus = np.array([modulus_at(c.constants, c.register_digits, profiles.start_s) for c in channels])
    shape = profiles.values.shape
    end_s = profiles.start_s + shape[1] * profiles.interval_s
    changes = [
        (row, constant)
        for row, c in enumerate(channels)
        for constant in c.constants
        if profiles.start_s < constant.valid_from_s < end_s
    ]
    if changes:
        modulus = np.repeat(modulus[:, None], shape[1], axis=1)
        for row, constant in changes:
            modulus[row, _column(constant.valid_from_s, profiles) :] = constant.scaled(
                10 ** channels[row].register_digits
            )
    return modulus


def _column(moment_s: int, profiles: LoadProfiles) -> int:
    """The first column that begins at or after a moment."""
    return -((profiles.start_s - moment_s) // profiles.interval_s)


def _end_column(channel: EnrolledChannel, profiles: LoadProfiles) -> int:
    """The first column that ends after the meter was removed, or the end."""
    if channel.removed_s is None:
        return profiles.values.shape[1]
    return (channel.removed_s - profiles.start_s) // profiles.interval_s


def _keep(
    tx: Connection,
    site: Site,
    group: Sequence[_Due],
    outcome: tuple[LoadProfiles, Settled],
    end_day: int,
    rows: NDArray[np.bool_],
    counts: SettlementCounts,
) -> None:
    """Store the chosen rows' outcome: every day from the first that changed or was due."""
    if not rows.any():
        return
    profiles, settled = outcome
    per_day = DAY_S // profiles.interval_s
    first_day = profiles.start_s // DAY_S
    shape = len(group), end_day - first_day, per_day
    differs = (settled.values != profiles.values) | (settled.quality != profiles.quality)
    touched = differs.reshape(shape).any(axis=2)
    for place, d in enumerate(group):
        touched[place, np.array(d.days) - first_day] = True
    touched[~rows] = False
    row, day = np.nonzero(touched)
    wanted = zip((day + first_day).tolist(), profiles.meter[row].tolist(), profiles.channel[row].tolist(), strict=True)
    stood = site.store.load(tx, list(wanted), profiles.interval_s)
    values, quality = settled.values.reshape(shape)[row, day], settled.quality.reshape(shape)[row, day]
    merged = supersede(stood, values, quality)
    history.keep(tx, stood, merged.replaced, by=f"rules {site.rules.version}", now=site.clock())
    # A day that intake touched since the due days were listed is not settled by a neighbour's window.
    unseen = (quality == Quality.RAW).any(axis=1)
    changed = merged.stored | merged.replaced | (quality != stood.quality)
    for rows_now, are_settled in ((~unseen, True), (unseen, False)):
        site.store.save(tx, merged.blocks.take(rows_now), changed[rows_now], settled=are_settled)
    kept = {d.key for d, keep in zip(group, rows.tolist(), strict=True) if keep}
    findings = (f for f in settled.findings if (f.meter, f.channel) in kept)
    history.keep_findings(tx, findings, site.rules.version, site.clock())
    counts.channel_days += len(row)
    counts.estimated += int((IS_ESTIMATED[quality] & (merged.stored | merged.replaced)).sum())
