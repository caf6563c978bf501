"""Gaps: intervals that did not come, and commands that ask gateways for them.

An estimate is a gap as well, as long as the meter may still know better. What was asked for is read from the commands
themselves: each sent one is an attempt at every interval it names.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from headend.reads.days import DAY_S, moment, seconds
from headend.reads.quality import IS_ESTIMATED, Flag, Quality
from headend.registry.gateways import gateways_with_commands
from headend.registry.registry import EnrolledChannel, enrolled_channels
from headend.site import Site
from headend.store import tables as t
from headend.store.commandkinds import MAX_GAPS
from headend.store.commands import OPEN, queue_command
from headend.store.intervals import ChannelDay, IntervalStore

Bools = NDArray[np.bool_]

#: The same interval is asked for this often at most.
ATTEMPTS = 3
_ASKED_BY = "gap detection"
# Blocks are looked at in portions of this many intervals, so that a fleet of short intervals fits the memory.
_INTERVALS_AT_ONCE = 500_000


@dataclass(frozen=True, slots=True)
class Gap:
    """Intervals of one channel without a read of the meter's, [start_s, end_s) [s since 1970]."""

    channel: EnrolledChannel
    start_s: int
    end_s: int

    @property
    def wire(self) -> dict[str, Any]:
        """As a backfill command has it."""
        times = {"from": moment(self.start_s), "to": moment(self.end_s)}
        return {"meter": self.channel.meter_name, "channel": self.channel.channel.obis} | times


def ask_for_gaps(site: Site) -> int:
    """Ask gateways for what is missing; the number of commands queued.

    A gateway is asked for `MAX_GAPS` gaps at once, the oldest first, and not again before it has answered.
    """
    now, commands = site.clock(), site.settings.commands
    with site.database.read() as tx:
        asked = _Asked.since(tx, now, commands.backfill_days, commands.backfill_after_s)
        channels = _channels(tx, gateways_with_commands(tx) - asked.busy)
        gaps = _all_gaps(tx, site, channels, now - timedelta(seconds=commands.backfill_after_s), asked)
    by_gateway: dict[str, list[Gap]] = defaultdict(list)
    for gap in gaps:
        by_gateway[gap.channel.gateway or ""].append(gap)
    expires = now + timedelta(seconds=commands.expire_after_s)
    with site.database.write() as tx:
        for gateway, missing in by_gateway.items():
            args = {"gaps": [gap.wire for gap in missing[:MAX_GAPS]]}
            queue_command(tx, gateway, "backfill", args, by=_ASKED_BY, now=now, expires=expires)
    return len(by_gateway)


def gaps_of(tx: Connection, site: Site, gateway: str) -> list[Gap]:
    """What one gateway's meters owe up to now, oldest first, however often it was asked for."""
    return _all_gaps(tx, site, _channels(tx, {gateway}), site.clock(), _Asked(set(), {}))


def _all_gaps(
    tx: Connection, site: Site, channels: Sequence[EnrolledChannel], end: datetime, asked: _Asked
) -> list[Gap]:
    """Oldest first, from `commands.backfill_days` ago."""
    window_s = seconds(site.clock() - timedelta(days=site.settings.commands.backfill_days)), seconds(end)
    days = list(site.store.channel_days(tx, window_s[0] // DAY_S, window_s[1] // DAY_S + 1))
    gaps = [gap for alike in _alike(channels) for gap in _gaps(tx, site.store, alike, days, window_s, asked)]
    return sorted(gaps, key=lambda gap: gap.start_s)


def _channels(tx: Connection, gateways: set[str]) -> list[EnrolledChannel]:
    """Channels whose meters these gateways can be asked about."""
    polled = set(tx.execute(select(t.modbus_device.c.meter_id)).scalars())
    return [c for c in enrolled_channels(tx) if c.gateway in gateways and c.meter not in polled]


def _alike(channels: Sequence[EnrolledChannel]) -> list[list[EnrolledChannel]]:
    """By interval length."""
    groups: dict[int, list[EnrolledChannel]] = defaultdict(list)
    for channel in channels:
        groups[channel.interval_s].append(channel)
    return list(groups.values())


@dataclass(frozen=True, slots=True)
class _Asked:
    """What gateways were asked for already.

    Parameters
    ----------
    busy
        gateways that have not answered yet.
    gaps
        [start_s, end_s) by (meter, channel) as commands name them, and how many attempts each counts for.
    """

    busy: set[str]
    gaps: Mapping[tuple[str, str], Sequence[tuple[int, int, int]]]

    @classmethod
    def since(cls, tx: Connection, now: datetime, days: int, rest_s: int) -> _Asked:
        """Attempts of the last days; what was asked for within `rest_s` is left alone."""
        c = t.command.c
        backfills = select(c.gateway, c.args, c.state, c.attempts, c.changed_us, c.created_us).where(
            c.kind == "backfill"
        )
        busy = {row.gateway for row in tx.execute(backfills.where(c.state.in_(OPEN)))}
        oldest_us = (seconds(now) - days * DAY_S) * 1_000_000
        resting_us = (seconds(now) - rest_s) * 1_000_000
        gaps: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
        # The newest first, up to the first that is too old: those of years are not looked at.
        with tx.execute(backfills.order_by(c.id.desc()).execution_options(yield_per=500)) as rows:
            for row in takewhile(lambda row: row.created_us >= oldest_us, rows):
                if row.state in OPEN or not row.attempts:
                    continue  # not an attempt yet, or never sent
                counts_for = ATTEMPTS if row.changed_us > resting_us else 1
                for gap in json.loads(row.args)["gaps"]:
                    start, end = (seconds(datetime.fromisoformat(gap[key])) for key in ("from", "to"))
                    gaps[gap["meter"], gap["channel"]].append((start, end, counts_for))
        return cls(busy, gaps)


def _gaps(
    tx: Connection,
    store: IntervalStore,
    channels: Sequence[EnrolledChannel],
    days: Sequence[ChannelDay],
    window_s: tuple[int, int],
    asked: _Asked,
) -> list[Gap]:
    """Gaps of channels with one interval length, in the window."""
    interval_s = channels[0].interval_s
    first_day, end_day = window_s[0] // DAY_S, window_s[1] // DAY_S + 1
    origin_s = first_day * DAY_S
    missing = _unread(tx, store, channels, days, (first_day, end_day))
    column = np.arange(missing.shape[1])
    # Whole intervals that are in the window and in service.
    begins = np.array([max(window_s[0], c.installed_s) for c in channels]) - origin_s
    ends = np.array([min(window_s[1], c.removed_s or window_s[1]) for c in channels]) - origin_s
    missing &= column >= -(-begins // interval_s)[:, None]
    missing &= column < (ends // interval_s)[:, None]
    _leave_alone(missing, channels, asked, origin_s)
    edges = np.diff(missing, axis=1, prepend=False, append=False)
    row, edge = np.nonzero(edges)
    return [
        Gap(channels[which], origin_s + first * interval_s, origin_s + end * interval_s)
        for which, first, end in zip(row[::2].tolist(), edge[::2].tolist(), edge[1::2].tolist(), strict=True)
    ]


def _unread(
    tx: Connection,
    store: IntervalStore,
    channels: Sequence[EnrolledChannel],
    days: Sequence[ChannelDay],
    between: tuple[int, int],
) -> Bools:
    """Intervals of the days [first, end) without a read of the meter's (k, n); only days that lack some are loaded."""
    interval_s, first_day = channels[0].interval_s, between[0]
    per_day = DAY_S // interval_s
    unread = np.ones((len(channels), between[1] - first_day, per_day), dtype=np.bool_)
    row_of = {(c.meter, c.channel.code): row for row, c in enumerate(channels)}
    partly = []
    for day in days:
        row = row_of.get((day.meter, day.channel))
        if row is None:
            continue
        if day.present - day.estimated == per_day:
            unread[row, day.day - first_day] = False
        else:
            partly.append((day.day, day.meter, day.channel))
    at_once = max(1, _INTERVALS_AT_ONCE // per_day)
    for first in range(0, len(partly), at_once):
        keys = partly[first : first + at_once]
        blocks = store.load(tx, keys, interval_s)
        rows = [row_of[meter, channel] for _, meter, channel in keys]
        # Of what a meter said it has lost there is nothing to be had.
        missing = (blocks.quality == Quality.MISSING) | IS_ESTIMATED[blocks.quality]
        unread[rows, [day - first_day for day, _, _ in keys]] = missing & ((blocks.flags & Flag.LOST) == 0)
    return unread.reshape(len(channels), -1)


def _leave_alone(missing: Bools, channels: Sequence[EnrolledChannel], asked: _Asked, origin_s: int) -> None:
    """Take out what was asked for often enough."""
    interval_s = channels[0].interval_s
    for row, channel in enumerate(channels):
        gaps = asked.gaps.get((channel.meter_name, channel.channel.obis))
        if gaps is None:
            continue
        attempts = np.zeros(missing.shape[1], dtype=np.int64)
        for start_s, end_s, counts_for in gaps:
            first = max(0, (start_s - origin_s) // interval_s)
            attempts[first : max(0, -(-(end_s - origin_s) // interval_s))] += counts_for
        missing[row] &= attempts < ATTEMPTS
