"""What is due: days that validation has not closed, and days of which nothing came though something should have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from headend.reads.days import DAY_S
from headend.registry.registry import EnrolledChannel
from headend.site import Site
from headend.store.completeness import coverage, days_of
from headend.store.intervals import BlockKey, ChannelKey

# Runs that begin within the same weeks are looked at together, so that none has to be read over years.
_ALIKE_DAYS = 28


@dataclass(frozen=True, slots=True)
class DueRun:
    """One channel with a run of due days, oldest first; `run` tells it from the channel's other runs."""

    channel: EnrolledChannel
    days: tuple[int, ...]
    run: int

    @property
    def key(self) -> ChannelKey:
        """(meter, channel)"""
        return self.channel.meter, self.channel.channel.code

    @property
    def stretch_s(self) -> tuple[int, int, int, int]:
        """Meter, channel, begin and end of the run [s since 1970]."""
        return *self.key, self.days[0] * DAY_S, (self.days[-1] + 1) * DAY_S


def due_runs(tx: Connection, site: Site, channels: Sequence[EnrolledChannel], end_day: int) -> list[DueRun]:
    """Runs of days before `end_day` that are open, or of which nothing came."""
    begin_day = end_day - site.rules.look_back_days
    found = {(one.meter, one.channel): one for one in coverage(tx, begin_day, end_day)}
    expected: dict[ChannelKey, range] = {}
    for c in channels:
        # A channel that has not reported for weeks is silent, not missing a day: the operator sees it, and nothing is
        # known to estimate it from.
        its = found.get((c.meter, c.channel.code))
        if its is not None and its.first_read is not None:
            days = range(max(-(-c.installed_s // DAY_S), its.first_read), _last_day(c, end_day))
            # Counted, they are all there: as almost always. Else they are looked at one by one.
            if its.days != len(days) or its.first_day not in days or its.last_day not in days:
                expected[c.meter, c.channel.code] = days
    there = days_of(tx, expected, begin_day, end_day) if expected else {}
    open_days = _by_channel(site.store.open_days(tx, end_day))
    runs = []
    for c in channels:
        key = c.meter, c.channel.code
        silent = set(expected[key]) - there[key] if key in expected else set()
        runs += _runs_of(c, silent | open_days.get(key, set()))
    return runs


def _last_day(channel: EnrolledChannel, end_day: int) -> int:
    """The day after the last on which something can be due."""
    return end_day if channel.removed_s is None else min(end_day, -(-channel.removed_s // DAY_S))


def open_runs(channels: Sequence[EnrolledChannel], open_days: Iterable[BlockKey]) -> list[DueRun]:
    """Runs of these open days, of those of the channels."""
    days = _by_channel(open_days)
    return [run for c in channels for run in _runs_of(c, days.get((c.meter, c.channel.code), ()))]


def alike(due: Iterable[DueRun]) -> list[list[DueRun]]:
    """Grouped by what validation of many channels at once has in common."""
    groups: dict[tuple[int, str, str, int, int], list[DueRun]] = defaultdict(list)
    for d in due:
        age = d.days[0] // _ALIKE_DAYS
        groups[d.channel.interval_s, d.channel.timezone, d.channel.customer_class, d.run, age].append(d)
    return list(groups.values())


def _by_channel(keys: Iterable[BlockKey]) -> dict[ChannelKey, set[int]]:
    days: dict[ChannelKey, set[int]] = defaultdict(set)
    for day, meter, channel in keys:
        days[meter, channel].add(day)
    return days


def _runs_of(channel: EnrolledChannel, days: Collection[int]) -> list[DueRun]:
    """Days cut into runs without a gap: what lies between two of them is not due."""
    runs: list[list[int]] = []
    for day in sorted(days):
        if runs and day == runs[-1][-1] + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return [DueRun(channel, tuple(run), place) for place, run in enumerate(runs)]
