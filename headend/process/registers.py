"""Register reads into the store, and the intervals that can be made of them.

A read changes only the intervals up to the next read on both sides, whenever it comes; so each batch looks at its
neighbours in the store, makes those intervals anew, and keeps of the reads what later ones can depend on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from sqlalchemy import Connection, delete, select
from sqlalchemy.sql import Select

from headend.process.runs import Runs
from headend.process.unpack import RegisterRead
from headend.reads.accumulation import Cut, Dial, Made, RegisterReads, intervals_of
from headend.reads.constants import to_base_units
from headend.reads.quality import Flag
from headend.registry.registry import EnrolledChannel
from headend.store import tables as t
from headend.store.database import upsert
from headend.vee.findings import Finding

#: Of each interval at most the first, the last and the one on its end are kept, and two beside a cut: so these reach
#: over the interval's end before a read, and to the read before that.
_NEIGHBOURS = 12

# A read stands for an interval's end from at most this fraction of the interval away, whatever the settings say.
_TOLERATED = 4

_WHAT_HAPPENED: dict[Cut, str] = {
    "exchange": "another device counts here: its serial number changed",
    "reset": "the register fell further than it can have rolled over: it was reset",
    "jump": "the register advanced further than the connection can carry",
}

#: (register, serial number) by moment.
_Known = dict[int, tuple[int, str | None]]


def near_s(interval_s: int, tolerance_s: int) -> int:
    """How far from the end of an interval a register read still stands for it [s]."""
    # A read that is as near to two ends would stand for both, and make an interval of nothing.
    return min(tolerance_s, interval_s // _TOLERATED)


def make_intervals(
    tx: Connection, reads: Sequence[RegisterRead], tolerance_s: int, runs: dict[int, Runs]
) -> list[Finding]:
    """Keep register reads, and add to `runs` the intervals they make or change.

    Parameters
    ----------
    tolerance_s
        how far from an interval's end a read still stands for it [s]; never more than a quarter of the interval.

    Returns
    -------
    list
        where a register does not go on from before (rule V7).
    """
    by_channel: dict[tuple[int, int], list[RegisterRead]] = defaultdict(list)
    for read in reads:
        by_channel[read.channel.meter, read.channel.channel.code].append(read)
    findings: list[Finding] = []
    for its_reads in by_channel.values():
        findings += _of_channel(tx, its_reads[0].channel, its_reads, tolerance_s, runs)
    return findings


def _of_channel(
    tx: Connection, channel: EnrolledChannel, reads: Sequence[RegisterRead], tolerance_s: int, runs: dict[int, Runs]
) -> Iterator[Finding]:
    came: _Known = {read.at_s: (read.register, read.serial) for read in reads}
    known = _neighbours(tx, channel, min(came), max(came))
    if all(known.get(at_s) == read for at_s, read in came.items()):
        return
    every = dict(sorted((known | came).items()))
    made = intervals_of(_as_arrays(every), _dial(channel), near_s(channel.interval_s, tolerance_s))
    _keep(tx, channel, every, known, made)
    interval_s = channel.interval_s
    # Ends up to the read before ours stand as they did; so do those after the next one's interval.
    after_s = max((at_s for at_s in known if at_s < min(came)), default=-1)
    next_s = min((at_s for at_s in known if at_s > max(came)), default=2**62)
    for place, (start_s, value, register) in enumerate(
        zip(made.start_s.tolist(), made.value.tolist(), made.register.tolist(), strict=True)
    ):
        if not after_s < start_s + interval_s < next_s + interval_s or start_s < channel.installed_s - interval_s:
            continue
        values, at_end = to_base_units(
            channel.constants,
            channel.register_digits,
            start_s,
            interval_s,
            [None if value < 0 else value],
            register,
        )
        cut = made.cut.get(place)
        runs.setdefault(interval_s, Runs()).add(
            channel, start_s, values, at_end, None if cut is None else [Flag.NEW_REGISTER]
        )
        if cut is not None:
            end_s = start_s + channel.interval_s
            yield Finding(channel.meter, channel.channel.code, start_s, end_s, "V7", "warning", _WHAT_HAPPENED[cut])


def _dial(channel: EnrolledChannel) -> Dial:
    """How the register on the wire counts, in the wire's units."""
    maximum = max(
        [-(-channel.max_per_interval * c.denominator // c.numerator) for c in channel.constants]
        or [channel.max_per_interval]
    )
    return Dial(channel.interval_s, channel.register_digits, maximum)


def _as_arrays(reads: _Known) -> RegisterReads:
    serials: dict[str | None, int] = {None: -1}
    return RegisterReads(
        np.fromiter(reads, np.int64, len(reads)),
        np.array([register for register, _ in reads.values()], np.int64),
        np.array([serials.setdefault(serial, len(serials)) for _, serial in reads.values()], np.int64),
    )


def _neighbours(tx: Connection, channel: EnrolledChannel, first_s: int, last_s: int) -> _Known:
    """What is known from `first_s` to `last_s` and beside it."""
    r = t.register_read.c
    mine = select(r.at_s, r.register, r.serial).where(r.meter == channel.meter, r.channel == channel.channel.code)
    found: _Known = {}

    def take(query: Select[tuple[int, int, str | None]]) -> None:
        found.update({row.at_s: (row.register, row.serial) for row in tx.execute(query)})

    take(mine.where(r.at_s < first_s).order_by(r.at_s.desc()).limit(_NEIGHBOURS))
    take(mine.where(r.at_s.between(first_s, last_s)))
    take(mine.where(r.at_s > last_s).order_by(r.at_s).limit(_NEIGHBOURS))
    return found


def _keep(tx: Connection, channel: EnrolledChannel, every: _Known, known: _Known, made: Made) -> None:
    key = {"meter": channel.meter, "channel": channel.channel.code}
    kept = {at_s for at_s, keep in zip(every, made.kept.tolist(), strict=True) if keep}
    gone = [at_s for at_s in known if at_s not in kept]
    if gone:
        r = t.register_read.c
        tx.execute(
            delete(t.register_read).where(r.meter == channel.meter, r.channel == channel.channel.code, r.at_s.in_(gone))
        )
    changed = [at_s for at_s in every if at_s in kept and known.get(at_s) != every[at_s]]
    upsert(
        tx,
        t.register_read,
        [key | {"at_s": at_s, "register": every[at_s][0], "serial": every[at_s][1]} for at_s in changed],
    )
