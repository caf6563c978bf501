"""Whether the interval store says what the journal says: everything is processed once more, elsewhere, and compared.

The journal is taken in by the same intake, with today's registry, into a site database of its own that is thrown away
afterwards; nothing is written to the site. Then every measured read on either side must be known to the other: stand
there, or have stood there. What validation estimated, refused or somebody edited is no difference, for the journal does
not know of it.

Who may speak of a meter is not asked again. That was decided when a message came, by a registry that may have changed
since: gateways are exchanged and revoked. What was refused is in quarantine, and is looked up there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, select, tuple_

from headend.process.intake import Intake
from headend.reads.channels import Channel
from headend.reads.days import DAY_S
from headend.reads.profiles import LoadProfiles
from headend.reads.quality import IS_ACTUAL, IS_DECIDED, IS_MEASURED, Quality
from headend.site import Site
from headend.store import tables as t
from headend.store.bulk import insert_rows, portions, rows_at
from headend.store.checkpoints import checkpoint
from headend.store.completeness import channel_days, days_there_are
from headend.store.database import Database
from headend.store.differences import Difference, Differences
from headend.store.intervals import Bools, ChannelKey
from headend.store.journal import Entry
from headend.store.sql import SqlIntervalStore

#: What intake asks the registry; a table after those it refers to.
_REGISTRY = (
    t.usage_point,
    t.account,
    t.service_agreement,
    t.meter,
    t.meter_channel,
    t.channel_constant,
    t.installation,
)

# Fewer than intake takes: nobody waits for it, and it may run beside one that does.
_MESSAGES_AT_ONCE = 1_000
_ROWS_AT_ONCE = 5_000
_CHANNELS_AT_ONCE = 5_000
_MEASURED = [int(code) for code in Quality if IS_MEASURED[code]]
_QUARANTINED_AT_ONCE = 500

_INTERVALS = select(t.meter_channel.c.meter_id, t.meter_channel.c.channel, t.meter_channel.c.interval_s)

#: (meter, channel, begin [s since 1970])
_Cell = tuple[int, int, int]
#: … and a value that was measured there.
_Read = tuple[int, int, int, int]


@dataclass(slots=True)
class Compared:
    """What came of it.

    Parameters
    ----------
    messages
        of the journal that were processed again.
    days, blocks, reads
        compared; reads are those with a value on one side at least.
    in_quarantine
        reads that only messages in quarantine tell of.
    differences
        reads of which the store and the journal say otherwise.
    """

    differences: Differences

    messages: int = 0
    days: int = 0
    blocks: int = 0
    reads: int = 0
    in_quarantine: int = 0


@dataclass(frozen=True, slots=True)
class Scope:
    """What is compared: days from `first_day` up to and without `end_day`, of these meters by registry key (all)."""

    first_day: int
    end_day: int
    meters: Collection[int] | None = None

    def has(self, day: int, meter: int) -> bool:
        """Whether a meter's day is in it."""
        return self.first_day <= day < self.end_day and (self.meters is None or meter in self.meters)


#: Told how far it is: what is done, how much of it, of how much.
Progress = Callable[[str, int, int], None]


def compare_with_journal(site: Site, scope: Scope, folder: Path, shown: int, progress: Progress) -> Compared:
    """Process the journal once more and compare; safe while the head-end runs.

    Parameters
    ----------
    folder
        for what is made anew: about as large as the site's own database, and of no use afterwards.
    shown
        how many differences are named; all are counted.
    """
    return _Comparison(site, scope, folder, shown, progress).run()


class _Replay:
    """Journal entries made into reads once more, in a site database of their own."""

    def __init__(self, site: Site, folder: Path, *more: Table) -> None:
        self.database = Database(f"sqlite:///{folder / 'site.db'}", "site")
        _copy(site.database, self.database, (*_REGISTRY, *more))
        self._intake = Intake(replace(site, database=self.database, store=SqlIntervalStore()))

    def take(self, entries: Sequence[Entry]) -> None:
        """Process all of these, which follow what was processed before."""
        rest = list(entries)
        while rest:
            with self.database.read() as tx:
                offset = checkpoint(tx)
            rest = rest[self._intake.take(offset, rest) :]

    def close(self) -> None:
        self.database.close()


class _Comparison:
    def __init__(self, site: Site, scope: Scope, folder: Path, shown: int, progress: Progress) -> None:
        self._site, self._scope, self._progress = site, scope, progress
        self._folder = folder
        self._told = _Replay(site, folder / "told")
        self._quarantined: _Replay | None = None
        self._taken = 0
        self._result = Compared(Differences(shown))
        with site.database.read() as tx:
            self._names = {row.id: row.name for row in tx.execute(select(t.meter.c.id, t.meter.c.name))}

    def run(self) -> Compared:
        try:
            with self._site.database.read() as tx:
                self._catch_up(tx)
            self._compare_days()
            self._compare_superseded()
        finally:
            self._told.close()
            if self._quarantined is not None:
                self._quarantined.close()
        return self._result

    def _catch_up(self, tx: Connection) -> None:
        """Process again what is in the store by now, as this transaction sees it."""
        end = checkpoint(tx)
        while self._taken < end:
            entries = self._site.journal.after(self._taken, _MESSAGES_AT_ONCE)
            entries = [entry for entry in entries if entry.offset <= end]
            refused = _refused(tx, entries)
            self._told.take([entry for entry in entries if entry.offset not in refused])
            self._taken = entries[-1].offset
            self._result.messages += len(entries)
            self._progress("replaying the journal", self._taken, end)

    def _compare_days(self) -> None:
        with self._site.database.read() as tx, self._told.database.read() as told:
            days = sorted({day for both in (tx, told) for day in days_there_are(both)})
        days = [day for day in days if self._scope.first_day <= day < self._scope.end_day]
        for done, day in enumerate(days, 1):
            with self._site.database.read() as tx:
                # While the head-end runs, the store goes on: both sides are to be of one moment.
                self._catch_up(tx)
                with self._told.database.read() as told:
                    self._compare_day(tx, told, day)
            self._result.days += 1
            self._progress("comparing", done, len(days))

    def _compare_day(self, tx: Connection, told: Connection, day: int) -> None:
        by_interval: dict[int, set[ChannelKey]] = defaultdict(set)
        for side in (tx, told):
            for found in channel_days(side, day, day + 1):
                if self._scope.has(day, found.meter):
                    by_interval[found.interval_s].add((found.meter, found.channel))
        for interval_s, channels in sorted(by_interval.items()):
            for some in portions(sorted(channels), _CHANNELS_AT_ONCE):
                window = some, day * DAY_S, (day + 1) * DAY_S, interval_s
                self._compare_profiles(
                    tx,
                    told,
                    self._site.store.profiles(tx, *window),
                    SqlIntervalStore().profiles(told, *window),
                )

    def _compare_profiles(self, tx: Connection, told: Connection, stored: LoadProfiles, said: LoadProfiles) -> None:
        self._result.blocks += len(stored.values)
        self._result.reads += int(((stored.quality != Quality.MISSING) | (said.quality != Quality.MISSING)).sum())
        stands, is_told = IS_MEASURED[stored.quality], IS_MEASURED[said.quality]
        same = stands & is_told & (stored.values == said.values)
        # Where something better stood, or a person decided, what arrival checks doubted was not taken.
        held = (said.quality == Quality.QUESTIONABLE) & (IS_ACTUAL[stored.quality] | IS_DECIDED[stored.quality])
        lost = is_told & ~same & ~held
        untold = stands & ~same
        at_lost, at_untold = _cells(stored, lost), _cells(stored, untold)
        was_stored, was_told = _superseded(tx, at_lost), _superseded(told, at_untold)
        differing: set[tuple[int, int]] = set()
        for cell, at in at_lost.items():
            read = (*cell, int(said.values[at]))
            if read not in was_stored and not self._is_quarantined(read, stored.interval_s):
                differing.add(at)
        for cell, at in at_untold.items():
            if (*cell, int(stored.values[at])) not in was_told:
                differing.add(at)
        for at in sorted(differing):
            meter, channel, start_s = _cell(stored, at)
            self._differs(meter, channel, start_s, _value(stored, at), _value(said, at))

    def _compare_superseded(self) -> None:
        """Reads that later ones replaced must have stood in the store too."""
        with self._told.database.read() as told:
            r = t.register_read.c
            # What is made of registers between which others come later depends on what came together.
            made = {tuple(row) for row in told.execute(select(r.meter, r.channel).distinct())}
            intervals = {tuple(row[:2]): row.interval_s for row in told.execute(_INTERVALS)}
        for reads in _superseded_reads(self._told.database, self._scope):
            with self._site.database.read() as tx:
                looked_for = [read for read in reads if read[:2] not in made]
                kept = _superseded(tx, [read[:3] for read in looked_for])
                for read in looked_for:
                    if read not in kept:
                        self._look_for(tx, read, intervals[read[:2]])

    def _look_for(self, tx: Connection, read: _Read, interval_s: int) -> None:
        meter, channel, start_s, value = read
        window = start_s, start_s + interval_s, interval_s
        stored = self._site.store.profiles(tx, [(meter, channel)], *window)
        stands = _value(stored, (0, 0))
        if stands != value and not self._is_quarantined(read, interval_s):
            self._differs(meter, channel, start_s, stands, value)

    def _is_quarantined(self, read: _Read, interval_s: int) -> bool:
        """Whether messages tell of a read of which at least a part was refused; it counts as theirs."""
        if self._quarantined is None:
            self._quarantined = self._replay_quarantine()
        meter, channel, start_s, value = read
        with self._quarantined.database.read() as tx:
            window = start_s, start_s + interval_s, interval_s
            said = SqlIntervalStore().profiles(tx, [(meter, channel)], *window)
            found = _value(said, (0, 0)) == value or read in _superseded(tx, [read[:3]])
        self._result.in_quarantine += found
        return found

    def _replay_quarantine(self) -> _Replay:
        # Who told the names behind aliases is not among them.
        replay = _Replay(self._site, self._folder / "quarantined", t.sparkplug_birth)
        last = 0
        q = t.quarantine.c
        while True:
            with self._site.database.read() as tx:
                query = (
                    select(q.offset).where(q.offset > last).distinct().order_by(q.offset).limit(_QUARANTINED_AT_ONCE)
                )
                offsets = list(tx.execute(query).scalars())
            if not offsets:
                return replay
            replay.take(self._site.journal.at(offsets))
            last = offsets[-1]

    def _differs(self, meter: int, channel: int, start_s: int, stored: int | None, told: int | None) -> None:
        name = self._names.get(meter, f"meter {meter}")
        at = name, Channel(channel).obis, start_s
        self._result.differences.add(Difference(*at, "value", stored, told, "journal"))


def _copy(source: Database, into: Database, tables: Sequence[Table]) -> None:
    with source.read() as tx, into.write() as copy:
        for table in tables:
            rows = tx.execution_options(yield_per=_ROWS_AT_ONCE).execute(select(table))
            for some in rows.partitions():
                insert_rows(copy, table, [_anybodys(table, tuple(row)) for row in some])


def _anybodys(table: Table, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row of the registry; a meter's without the gateway that alone may tell of it."""
    if table is not t.meter:
        return row
    return tuple(None if column is t.meter.c.gateway else given for column, given in zip(table.c, row, strict=True))


def _refused(tx: Connection, entries: Sequence[Entry]) -> set[int]:
    """Offsets of messages that are in quarantine as a whole."""
    q = t.quarantine.c
    query = select(q.offset).where(q.offset.between(entries[0].offset, entries[-1].offset), q.path == "")
    return set(tx.execute(query).scalars())


def _cells(profiles: LoadProfiles, chosen: Bools) -> dict[_Cell, tuple[int, int]]:
    """The chosen intervals, and where in the profiles they are."""
    return {_cell(profiles, (row, column)): (row, column) for row, column in np.argwhere(chosen).tolist()}


def _cell(profiles: LoadProfiles, at: tuple[int, int]) -> _Cell:
    row, column = at
    return int(profiles.meter[row]), int(profiles.channel[row]), profiles.start_s + column * profiles.interval_s


def _value(profiles: LoadProfiles, at: tuple[int, int]) -> int | None:
    return None if profiles.quality[at] == Quality.MISSING else int(profiles.values[at])


def _superseded(tx: Connection, cells: Iterable[_Cell]) -> set[_Read]:
    """Measured reads of these intervals that something else replaced."""
    return {
        (row.meter, row.channel, row.start_s, row.value)
        for row in rows_at(tx, t.interval_history, cells)
        if IS_MEASURED[row.quality]
    }


def _superseded_reads(database: Database, scope: Scope) -> Iterator[list[_Read]]:
    """All measured reads in a scope that something else replaced, some at a time."""
    h = t.interval_history.c
    key = tuple_(*t.interval_history.primary_key.columns)
    within = h.start_s.between(scope.first_day * DAY_S, scope.end_day * DAY_S - 1)
    query = (
        select(t.interval_history).where(within, h.quality.in_(_MEASURED)).order_by(*key.clauses).limit(_ROWS_AT_ONCE)
    )
    last: tuple[int, ...] | None = None
    while True:
        with database.read() as tx:
            rows = tx.execute(query if last is None else query.where(key > last)).all()
        if not rows:
            return
        yield [(r.meter, r.channel, r.start_s, r.value) for r in rows if scope.has(r.start_s // DAY_S, r.meter)]
        last = tuple(rows[-1][: len(t.interval_history.primary_key)])
