"""What is due: days that validation has not closed, and days of which nothing came though something should have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from headend.reads.days import DAY_S
from headend.registry.registry import EnrolledChannel
from headend.site import Site
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
    began = {(c.meter, c.channel.code): -(-c.installed_s // DAY_S) for c in channels}
    first_read: dict[ChannelKey, int] = {}
    there: dict[ChannelKey, set[int]] = defaultdict(set)
    look_back = site.rules.look_back_days
    for found in site.store.channel_days(tx, end_day - look_back, end_day):
        key = found.meter, found.channel
        there[key].add(found.day)
        if found.present:
            first_read[key] = min(found.day, first_read.get(key, found.day))
    open_days = _by_channel(site.store.open_days(tx, end_day))
    runs = []
    for c in channels:
        key = c.meter, c.channel.code
        last = end_day if c.removed_s is None else min(end_day, -(-c.removed_s // DAY_S))
        # A channel that has not reported for weeks is silent, not missing a day: the operator sees it, and nothing is
        # known to estimate it from.
        silent = set(range(max(began[key], first_read.get(key, last)), last)) - there[key]
        runs += _runs_of(c, silent | open_days[key])
    return runs


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
