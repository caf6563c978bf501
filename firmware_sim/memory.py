"""The meters' own load profile: what a gateway can still read from its meters, whatever became of its messages.

A meter keeps the intervals of so many days. It knows which ones it missed itself, and tells null for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from firmware_sim.clock import EPOCH, hour_from, hour_of
from firmware_sim.faults import Planter
from firmware_sim.messages import Block, blocks_of, clock_text
from firmware_sim.meter import Bank


class MeterMemory:
    """The memories of the meters behind one gateway.

    Parameters
    ----------
    begin
        when the meters were put in [UTC hours since 1970].
    days
        how long a meter keeps an interval.
    """

    def __init__(self, banks: Sequence[Bank], planter: Planter, begin: int, live_from: int, days: int) -> None:
        self._banks = banks
        self._planter = planter
        self._begin = begin
        self._live_from = live_from
        self._days = days

    def registers(self, meters: Iterable[str] | None, now: datetime) -> list[dict[str, Any]]:
        """The registers of these meters (None: of all), as they stand at `now`, as entries of a reads message."""
        wanted = None if meters is None else set(meters)
        at = now.replace(microsecond=0)
        hour = hour_of(at)
        second = int((at - EPOCH).total_seconds()) - hour * 3600
        entries = []
        for bank in self._banks:
            if wanted is not None and not any(spec.meter in wanted for spec in bank.meters):
                continue
            for table in bank.measure(hour, hour + 1):
                counted = table.registers - table.values + table.values * second // 3600
                readings = (counted % 10**table.channel.register_digits)[:, 0].tolist()
                for spec, reading in zip(bank.meters, readings, strict=True):
                    if wanted is None or spec.meter in wanted:
                        entry = {"meter": spec.meter, "channel": table.channel.channel, "at": clock_text(at)}
                        entries.append(entry | {"value": reading})
        return entries

    def gap(self, meter: str, channel: str, begin: datetime, end: datetime, now: datetime) -> list[Block]:
        """What is kept of a channel's intervals that lie in begin ≤ t < end, cut at UTC midnights."""
        ended = hour_of(now)
        first = max(hour_from(begin), self._begin, ended - 24 * self._days)
        last = min(hour_of(end), ended)
        bank = next((bank for bank in self._banks if any(spec.meter == meter for spec in bank.meters)), None)
        if bank is None or channel not in {one.channel for one in bank.channels}:
            return []
        row = next(row for row, spec in enumerate(bank.meters) if spec.meter == meter)
        column = next(column for column, one in enumerate(bank.channels) if one.channel == channel)
        blocks = []
        while first < last:
            midnight = (first // 24 + 1) * 24
            # history and live hours of one day are told apart: their faults are planted by different rules
            edge = self._live_from if first < self._live_from < midnight else midnight
            day_begin = max(first // 24 * 24, self._begin, self._live_from if first >= self._live_from else 0)
            reported = self._planter.report(bank.measure(day_begin, edge)[column])
            blocks.append(blocks_of(reported.remembered(), first, min(edge, last))[row])
            first = edge
        return blocks
