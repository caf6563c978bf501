"""Whether InfluxDB says what the site database says, of the reads that are here, and of those that were moved."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from sqlalchemy import select

from headend.reads.blocks import NO_REGISTER, Blocks, alike
from headend.reads.channels import Channel
from headend.reads.days import day_of
from headend.store.database import Database
from headend.store.differences import Difference, Differences
from headend.store.influx.comparison import moved_wrongly, read_back
from headend.store.influx.names import meter_names
from headend.store.influx.reads import InfluxReads
from headend.store.tables import moved_day, unsent

#: What blocks say of an interval, and what people call it.
_WHAT = {"values": "value", "quality": "quality", "version": "version", "flags": "flags", "register": "register"}


@dataclass(slots=True)
class InfluxDay:
    """What came of a day.

    Parameters
    ----------
    blocks
        that InfluxDB should have.
    waiting
        those of them that it has not been told of yet, as the forwarder knows.
    fault
        what is wrong with the blocks that it alone has; "" where nothing is.
    """

    blocks: int
    waiting: int
    fault: str


def compare_with_influx(
    database: Database, reads: InfluxReads, day: int, meters: Collection[int] | None, found: Differences
) -> InfluxDay:
    """Compare one day; safe while the head-end runs. Raises `StoreAway`.

    Parameters
    ----------
    meters
        which blocks of those that are here are compared, by registry key; None: all. What was moved was moved as whole
        days, and is looked at as such.
    found
        takes the intervals that differ, each by the first thing that does.
    """
    looked = _look(database, reads, day, meters)
    if looked.differing or looked.fault:
        # What was saved, sent or let go of between two questions is as it should be now; what is wrong stays wrong.
        looked = _look(database, reads, day, meters)
    for here, there in looked.differing:
        _name(database, here, there, found)
    return InfluxDay(looked.blocks, looked.waiting, looked.fault)


@dataclass(frozen=True, slots=True)
class _Looked:
    blocks: int
    waiting: int
    differing: list[tuple[Blocks, Blocks]]
    fault: str


def _look(database: Database, reads: InfluxReads, day: int, meters: Collection[int] | None) -> _Looked:
    both = list(read_back(database, reads, day))
    with database.read() as tx:
        u = unsent.c
        waiting = {(row.meter, row.channel) for row in tx.execute(select(u.meter, u.channel).where(u.day == day))}
        sha256 = tx.execute(select(moved_day.c.sha256).where(moved_day.c.day == day)).scalar()
    differing = []
    for alike_long in both:
        here, there = alike_long.here, alike_long.there
        channels = zip(here.meter.tolist(), here.channel.tolist(), strict=True)
        asked = [(meters is None or key[0] in meters) and key not in waiting for key in channels]
        differs = ~alike(here, there) & np.array(asked, dtype=np.bool_)
        if differs.any():
            differing.append((here.take(differs), there.take(differs)))
    blocks = sum(len(alike_long.whole) for alike_long in both)
    fault = "" if sha256 is None else moved_wrongly(both, sha256)
    return _Looked(blocks, len(waiting), differing, f"{day_of(day)}: {fault}" if fault else "")


def _name(database: Database, here: Blocks, there: Blocks, found: Differences) -> None:
    differs = {name: getattr(here, name) != getattr(there, name) for name in _WHAT}
    cells = np.argwhere(np.logical_or.reduce(list(differs.values())))
    named = cells[: found.room].tolist()
    with database.read() as tx:
        names = meter_names(tx, {int(here.meter[row]) for row, _ in named})
    for row, column in named:
        name = next(name for name, mask in differs.items() if mask[row, column])
        meter, channel = names[int(here.meter[row])], Channel(int(here.channel[row])).obis
        at = meter, channel, int(here.start_s[row, column])
        said = _said(here, name, row, column), _said(there, name, row, column)
        found.add(Difference(*at, _WHAT[name], *said, "InfluxDB"))
    found.count += len(cells) - len(named)


def _said(blocks: Blocks, name: str, row: int, column: int) -> int | None:
    """None for a value that is missing, and a register that did not come: no number stands for nothing."""
    told = int(getattr(blocks, name)[row, column])
    is_nothing = told == NO_REGISTER if name == "register" else name == "values" and not blocks.present[row, column]
    return None if is_nothing else told
