"""Settlement of what is due: loads open days, lets validation decide, stores what should stand.

A day is due some hours after its end. Days of which nothing came at all are due as well: the registry says who should
have reported. Almost every channel is clean and needs no more than its open days and the register before them, so that
is what is loaded first; only for the others are the weeks before them read.

What settlement itself makes of a read, other days may rest on: those are settled in a second round, which opens none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Connection

from headend.errors import StoreAway, StoreBroken
from headend.process.due import DueRun, alike, due_runs, open_runs
from headend.process.evidence import as_measured, calendar_of, class_profiles, due_of
from headend.process.outcome import Outcome, is_guess, keep_outcome, without_guesses
from headend.process.reopening import horizon, reopen_dependants
from headend.reads.blocks import NO_REGISTER
from headend.reads.days import DAY_S
from headend.reads.profiles import LoadProfiles
from headend.reads.quality import IS_MEASURED
from headend.registry.registry import EnrolledChannel, enrolled_channels
from headend.site import Site
from headend.store import dailyuse
from headend.store.completeness import open_days_of
from headend.store.intervals import BlockKey
from headend.vee import settle
from headend.vee.dailyuse import last_read
from headend.vee.prolonged import given_up

log = structlog.get_logger(__name__)

Bools = NDArray[np.bool_]

# Channels settled in one transaction: enough for array operations to pay, few enough not to hold up intake.
_CHANNELS_AT_ONCE = 1_000


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
    """Validate and estimate every day that is due by the site's clock, those too of which nothing came."""
    with site.database.read() as tx:
        everyone = enrolled_channels(tx)
        due = due_runs(tx, site, everyone, horizon(site))
    return _settle(site, everyone, due)


def settle_open_days(site: Site) -> SettlementCounts:
    """The same, of days of which something came: where there are none that costs next to nothing."""
    with site.database.read() as tx:
        opened = site.store.open_days(tx, horizon(site))
        everyone = enrolled_channels(tx) if opened else []
    return _settle(site, everyone, open_runs(everyone, opened))


def _settle(site: Site, everyone: Sequence[EnrolledChannel], due: Sequence[DueRun]) -> SettlementCounts:
    work = _Settlement(site, horizon(site), lambda: everyone)
    _in_groups(work, due)
    if work.opened:
        work.reopens = False
        _in_groups(work, open_runs(everyone, work.opened))
    return work.counts


def settle_channels(tx: Connection, site: Site, channels: Sequence[EnrolledChannel]) -> SettlementCounts:
    """Settle the due days of these channels that are open within a transaction: what an edit opened, and its preview.

    Raises
    ------
    StoreAway
        the interval store does not tell the days that are needed.
    """
    # Of a large registry only a class profile needs all, which is rarely asked for.
    work = _Settlement(site, horizon(site), cache(partial(enrolled_channels, tx)))
    keys = {(c.meter, c.channel.code) for c in channels}
    _in_transaction(work, tx, open_runs(channels, open_days_of(tx, keys, work.horizon)))
    if work.opened:
        work.reopens = False
        _in_transaction(work, tx, open_runs(channels, work.opened))
    return work.counts


@dataclass(slots=True)
class _Settlement:
    """One settlement under way.

    Parameters
    ----------
    horizon
        days before it are settled, or are now: what lies there between a late day and today may be looked at.
    everyone
        all channels of the registry.
    opened
        days that rest on what it changed.
    reopens
        whether it opens such days.
    """

    site: Site
    horizon: int
    everyone: Callable[[], Sequence[EnrolledChannel]]
    counts: SettlementCounts = field(default_factory=SettlementCounts)
    opened: set[BlockKey] = field(default_factory=set)
    reopens: bool = True


def _in_groups(work: _Settlement, due: Sequence[DueRun]) -> None:
    """Settle channels that are alike together, some at a time, each lot in transactions of its own.

    A lot of which something stored cannot be read is tried again by halves, until the channel at fault is alone.
    """
    site, store_answers = work.site, True
    lots: list[Sequence[DueRun]] = [
        kind[first : first + _CHANNELS_AT_ONCE]
        for kind in alike(due)
        for first in range(0, len(kind), _CHANNELS_AT_ONCE)
    ]
    lots.reverse()
    while lots:
        group = lots.pop()
        # What needs the weeks before has a transaction of its own: the store may not have them for now. It is asked
        # for them no more then: it may take long not to answer, and nobody else writes meanwhile.
        for settled in (_settle_clean, _settle_rest) if store_answers else (_settle_clean,):
            try:
                with site.database.write() as tx:
                    group = settled(work, tx, group)
            except StoreAway as away:
                log.debug("the interval store does not answer", channels=len(group), reason=str(away))
                store_answers = False
                break
            except StoreBroken as broken:
                if len(group) > 1:
                    half = len(group) // 2
                    lots += [group[half:], group[:half]]
                    group = []
                else:
                    log.warning("a channel is not settled", meter=group[0].channel.meter_name, reason=str(broken))
                break
        work.counts.waiting += len(group)


def _in_transaction(work: _Settlement, tx: Connection, due: Sequence[DueRun]) -> None:
    for group in alike(due):
        _settle_rest(work, tx, _settle_clean(work, tx, group))


def _settle_clean(work: _Settlement, tx: Connection, group: Sequence[DueRun]) -> list[DueRun]:
    """Settle the channels of which the due days and the one before them say enough; the others."""
    first_day, end_day = min(d.days[0] for d in group) - 1, max(d.days[-1] for d in group) + 1
    profiles = _profiles(work, tx, group, first_day, end_day)
    outcome = _validate(work, tx, group, profiles, estimates=False)
    clean = outcome.settled.clean & ~_ends_unclosed(group, profiles, work.horizon) & (_gap_begins(group, profiles) < 0)
    _keep(work, tx, outcome, clean)
    return [d for d, is_clean in zip(group, clean.tolist(), strict=True) if not is_clean]


def _settle_rest(work: _Settlement, tx: Connection, group: Sequence[DueRun]) -> list[DueRun]:
    """Settle channels by the weeks around their due days; none is left."""
    if group:
        look_back = work.site.rules.of(group[0].channel.customer_class).estimation.look_back_days
        end_day = min(work.horizon, max(d.days[-1] for d in group) + 1 + look_back)
        profiles = _profiles(work, tx, group, min(d.days[0] for d in group) - look_back, end_day)
        group = _with_whole_gaps(group, profiles)
        outcome = _validate(work, tx, group, profiles, estimates=True)
        _keep(work, tx, outcome, np.ones(len(group), dtype=np.bool_))
    return []


def _profiles(work: _Settlement, tx: Connection, group: Sequence[DueRun], first_day: int, end_day: int) -> LoadProfiles:
    interval_s = group[0].channel.interval_s
    return work.site.store.profiles(tx, [d.key for d in group], first_day * DAY_S, end_day * DAY_S, interval_s)


def _ends_unclosed(group: Sequence[DueRun], profiles: LoadProfiles, horizon: int) -> Bools:
    """Late channels of which the register read that closes their last due interval was not loaded (k,)."""
    ends = np.array([d.days[-1] + 1 for d in group])
    last = (ends * DAY_S - profiles.start_s) // profiles.interval_s - 1
    column = np.arange(profiles.register.shape[1])
    closed = ((profiles.register != NO_REGISTER) & (column >= last[:, None])).any(axis=1)
    return np.asarray((ends < horizon) & ~closed)


def _gap_begins(group: Sequence[DueRun], profiles: LoadProfiles) -> NDArray[np.int64]:
    """Where a guess that lasts until the first due interval began (k,); -1: the interval before it is no guess.

    The gap of which it is goes on now, or has its other end: it is one gap, and is filled as one.
    """
    per_day, first_day = DAY_S // profiles.interval_s, profiles.start_s // DAY_S
    begins = (np.array([d.days[0] for d in group]) - first_day) * per_day
    column = np.arange(profiles.quality.shape[1])
    # After the last interval before the due ones that is no guess.
    other = np.where(~is_guess(profiles.quality) & (column < begins[:, None]), column, -1).max(axis=1, initial=-1)
    return np.where(other < begins - 1, other + 1, -1)


def _with_whole_gaps(group: Sequence[DueRun], profiles: LoadProfiles) -> list[DueRun]:
    """The runs with the days before them from which on the gap was guessed that reaches to them."""
    per_day, first_day = DAY_S // profiles.interval_s, profiles.start_s // DAY_S
    return [
        d if begin < 0 else replace(d, days=(*range(first_day + begin // per_day, d.days[0]), *d.days))
        for d, begin in zip(group, _gap_begins(group, profiles).tolist(), strict=True)
    ]


def _validate(
    work: _Settlement, tx: Connection, group: Sequence[DueRun], profiles: LoadProfiles, *, estimates: bool
) -> Outcome:
    """What should stand; `estimates`: the profiles are long enough for them to be kept."""
    site, shared = work.site, group[0].channel
    rules, first_day = site.rules.of(shared.customer_class), profiles.start_s // DAY_S
    before = dailyuse.load(tx, [d.key for d in group], first_day)
    due = due_of(tx, group, profiles, rules, before)
    calendar = calendar_of(site, shared, profiles)
    if not estimates:
        return Outcome(group, profiles, settle(profiles, due, rules, calendar))
    end_day = first_day + profiles.values.shape[1] * profiles.interval_s // DAY_S
    of_class = class_profiles(tx, site, shared, end_day, work.everyone, {d.key for d in group})
    settled = settle(as_measured(tx, profiles, due), due, rules, calendar, of_class)
    per_day = DAY_S // profiles.interval_s
    read = np.logical_or.reduce(IS_MEASURED[profiles.quality].reshape(len(group), -1, per_day), axis=2)
    silent = given_up(last_read(before, per_day), read, first_day, rules.prolonged)
    return without_guesses(Outcome(group, profiles, settled), np.repeat(silent, per_day, axis=1))


def _keep(work: _Settlement, tx: Connection, outcome: Outcome, rows: Bools) -> None:
    kept = keep_outcome(tx, work.site, outcome, rows, work.horizon)
    if kept is None:
        return
    work.counts.channel_days += len(kept.now)
    work.counts.estimated += kept.estimated
    if work.reopens:
        work.opened |= set(reopen_dependants(tx, work.site, kept.stood, kept.now, kept.changed, but=kept.now.keys))
