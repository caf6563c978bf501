"""What settlement is told of channels beside their reads: what is physically possible, what people have passed, what
was before the reads it is shown, and how the class goes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from headend.process.due import DueRun
from headend.reads.constants import modulus_at
from headend.reads.days import DAY_S
from headend.reads.profiles import LoadProfiles
from headend.reads.quality import IS_ACTUAL, IS_DECIDED, IS_ESTIMATED, Quality
from headend.registry.registry import EnrolledChannel
from headend.site import Site
from headend.store import exceptions, history
from headend.store.intervals import ChannelKey
from headend.vee.classprofile import ClassProfile, class_profile_of
from headend.vee.dailyuse import DailyUse
from headend.vee.daytypes import DayTypes, day_types
from headend.vee.ruleset import Rules
from headend.vee.worksheet import PASSED_BIT, Due

Int64s = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]

#: So many channels say what a class uses, over so many days.
_OF_A_CLASS, _CLASS_DAYS = 200, 28


def calendar_of(site: Site, channel: EnrolledChannel, profiles: LoadProfiles) -> DayTypes:
    """The local calendar of the profiles, where the channel is."""
    zone = ZoneInfo(channel.timezone)
    return day_types(profiles.start_s, profiles.values.shape[1], profiles.interval_s, zone, site.rules.holidays)


def due_of(tx: Connection, group: Sequence[DueRun], profiles: LoadProfiles, rules: Rules, before: DailyUse) -> Due:
    """What is due of these channels, one row each of the profiles.

    Parameters
    ----------
    before
        the days before the profiles.
    """
    first_day, per_day = profiles.start_s // DAY_S, DAY_S // profiles.interval_s
    return Due(
        np.array([max((d.days[0] - first_day) * per_day, _column(d.channel.installed_s, profiles)) for d in group]),
        np.array([min((d.days[-1] + 1 - first_day) * per_day, _end_column(d.channel, profiles)) for d in group]),
        _modulus([d.channel for d in group], profiles),
        np.array([int(d.channel.max_per_interval * rules.maximum.factor) for d in group]),
        np.logical_or.reduce(before.total > 0, axis=1),
        _passed(tx, group, profiles),
    )


def as_measured(tx: Connection, profiles: LoadProfiles, due: Due) -> LoadProfiles:
    """The profiles with what was measured in the place of what validation made of it, in the days that are due.

    So it is judged anew each time, by all that has come: a read that failed beside a wrong one is good once that one is
    corrected, and settlement depends on what came and not on when.
    """
    column = np.arange(profiles.values.shape[1])
    is_due = (column >= due.open_from[:, None]) & (column < due.open_to[:, None])
    guessed = is_due & IS_ESTIMATED[profiles.quality] & ~IS_DECIDED[profiles.quality]
    row, column = np.nonzero(guessed)
    if not len(row):
        return profiles
    start_s = profiles.start_s + column * profiles.interval_s
    cells = zip(profiles.meter[row].tolist(), profiles.channel[row].tolist(), start_s.tolist(), strict=True)
    values, quality = profiles.values.copy(), profiles.quality.copy()
    for place, (value, how) in history.last_measured(tx, cells).items():
        values[row[place], column[place]] = value
        quality[row[place], column[place]] = Quality.RAW if IS_ACTUAL[how] else how
    return replace(profiles, values=values, quality=quality)


def class_profiles(
    tx: Connection,
    site: Site,
    like: EnrolledChannel,
    end_day: int,
    everyone: Callable[[], Sequence[EnrolledChannel]],
    but: Collection[ChannelKey] = (),
) -> Callable[[int], ClassProfile | None]:
    """What the class of a channel used in the weeks before `end_day`, by OBIS code; looked for when it is asked for.

    Parameters
    ----------
    everyone
        tells all channels there are.
    but
        who is not asked: channels that are to be estimated do not say themselves how their class goes.
    """
    known: dict[int, ClassProfile | None] = {}

    def of(channel: int) -> ClassProfile | None:
        if channel not in known:
            others = [c for c in everyone() if (c.meter, c.channel.code) not in but]
            known[channel] = _class_profile(tx, site, like, channel, end_day, others)
        return known[channel]

    return of


def _class_profile(
    tx: Connection, site: Site, like: EnrolledChannel, channel: int, end_day: int, others: Sequence[EnrolledChannel]
) -> ClassProfile | None:
    kind = like.customer_class, channel, like.interval_s, like.timezone
    start_s, end_s = (end_day - _CLASS_DAYS) * DAY_S, end_day * DAY_S
    keys = [
        (c.meter, c.channel.code)
        for c in others
        if (c.customer_class, c.channel.code, c.interval_s, c.timezone) == kind
        and c.installed_s < end_s
        and (c.removed_s is None or c.removed_s > start_s)
    ]
    if not keys:
        return None
    # From all over the fleet: what stands side by side in the registry may hang in one building.
    chosen = keys[:: -(-len(keys) // _OF_A_CLASS)]
    profiles = site.store.profiles(tx, chosen, start_s, end_s, like.interval_s)
    return class_profile_of(profiles, calendar_of(site, like, profiles))


def _passed(tx: Connection, group: Sequence[DueRun], profiles: LoadProfiles) -> Bytes | None:
    """What people have passed each interval for, as `PASSED_BIT`s (k, n); None: nothing."""
    end_s = profiles.start_s + profiles.values.shape[1] * profiles.interval_s
    found = exceptions.passed(tx, [d.key for d in group], profiles.start_s, end_s)
    if not found:
        return None
    rows = {d.key: row for row, d in enumerate(group)}
    passed = np.zeros(profiles.values.shape, np.uint8)
    for meter, channel, begin_s, stop_s, rule in found:
        if rule in PASSED_BIT:
            span = slice(max(0, _column(begin_s, profiles)), max(0, _column(stop_s, profiles)))
            passed[rows[meter, channel], span] |= np.uint8(PASSED_BIT[rule])
    return passed


def _modulus(channels: Sequence[EnrolledChannel], profiles: LoadProfiles) -> Int64s:
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
