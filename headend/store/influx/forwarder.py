"""Sends InfluxDB what it has not got, and lets go of what it provably has.

Everything is done from what the site database says, and nothing is remembered in between: killed anywhere, the
forwarder sends a few blocks again, which changes nothing. One process of a site forwards at a time; what it sends is
confirmed before the next is sent, so no older value can follow a newer one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

import numpy as np
import structlog
from sqlalchemy import Connection, exists, func, or_, select, update

from headend.errors import StoreAway, StoreBroken
from headend.reads.blocks import Blocks, differing, digest
from headend.reads.channels import Channel
from headend.reads.days import day_number, day_of, microseconds
from headend.store.blockcodec import blocks_of
from headend.store.bulk import rows_at
from headend.store.completeness import days_that_came_back, days_there_are
from headend.store.database import Database, upsert
from headend.store.dayrows import is_here
from headend.store.influx.comparison import Both, lost, read_back
from headend.store.influx.names import meter_names
from headend.store.influx.reads import InfluxReads
from headend.store.influx.telemetry import InfluxTelemetry
from headend.store.intervals import BlockKey, Bools
from headend.store.tables import day_block, moved_day, unsent
from headend.store.unsent import Unsent, next_unsent, note_sent, note_unsent

log = structlog.get_logger(__name__)

_BLOCKS_AT_ONCE = 5_000
_LET_GO_EVERY_S = 60.0
_LONGEST_WAIT_S = 30.0
_AFTER_A_FAULT_S = 5.0

_IS_HERE = func.length(day_block.c.quality) > 0
_NOTHING = {"reads": b"", "quality": b"", "version": None, "flags": None, "register": None}


class Forwarder:
    """Runs from `start` to `stop`.

    Parameters
    ----------
    every_s
        how often it looks for something to send when there was nothing.
    recent_days
        younger days stay in the site database.
    given_up_s
        how long InfluxDB may take to carry out a request that nobody waits for any more.
    """

    def __init__(
        self,
        database: Database,
        reads: InfluxReads,
        telemetry: InfluxTelemetry,
        *,
        every_s: float,
        recent_days: int,
        given_up_s: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._database, self._reads, self._telemetry = database, reads, telemetry
        self._every_s, self._recent_days, self._given_up_s, self._clock = every_s, recent_days, given_up_s, clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="forwarder", daemon=True)
        self._away = False
        # When to look whether InfluxDB has something else than it was sent: it is another one, or an older copy, or it
        # carried out a request that we had given up, which can come until `_sure_at`. None: there is no doubt.
        self._compare_at: float | None = 0.0
        self._sure_at = 0.0
        self._let_go_at = 0.0
        self._at_once = _BLOCKS_AT_ONCE
        # What cannot be sent, whatever is tried.
        self._refused: set[BlockKey] = set()
        # Days that had gone or may have, and got reads again.
        self._reopened: set[int] = set()

    def start(self) -> None:
        """Begin; once all is sent, what is here is compared with InfluxDB, at the start and after every outage."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the request at hand; what is unsent stays noted."""
        self._stopping.set()
        self._thread.join()

    def step(self) -> int:
        """Send what is next; how many blocks and telemetry values went out. Raises `StoreAway`."""
        try:
            sent = self.forward() + self._telemetry.forward(self._database)
        except StoreAway:
            self._compare_at, self._sure_at = 0.0, time.monotonic() + self._given_up_s
            raise
        if not sent and self._compare_at is not None and time.monotonic() >= self._compare_at:
            begun = time.monotonic()
            sent = self.compare()
            self._compare_at = self._sure_at if begun < self._sure_at else None
        if not sent and self._compare_at is None and time.monotonic() >= self._let_go_at:
            self.let_go()
            self._let_go_at = time.monotonic() + _LET_GO_EVERY_S
        return sent

    def forward(self) -> int:
        """Send the next unsent blocks; how many were tried. Raises `StoreAway`.

        Blocks that cannot be sent are tried again by halves, until the one at fault is alone: it stays unsent until the
        next start, and the rest goes on.
        """
        with self._database.read() as tx:
            unsent_now = next_unsent(tx, self._at_once + len(self._refused))
            waiting = [one for one in unsent_now if one.key not in self._refused][: self._at_once]
            rows = rows_at(tx, day_block, [one.key for one in waiting])
        try:
            self._send(rows, waiting)
        except StoreBroken as error:
            self._give_way(waiting, error)
            return len(waiting)
        self._at_once = min(2 * self._at_once, _BLOCKS_AT_ONCE)
        if waiting:
            with self._database.write() as tx:
                note_sent(tx, waiting)
            self._reopened |= {one.key[0] for one in waiting}
        return len(waiting)

    def _send(self, rows: Sequence[Any], waiting: Sequence[Unsent]) -> None:
        with self._database.read() as tx:
            names = meter_names(tx, {row.meter for row in rows})
        for blocks, changed in _to_send(rows, waiting):
            self._reads.write(blocks, changed, names)

    def _give_way(self, waiting: Sequence[Unsent], error: StoreBroken) -> None:
        self._at_once = max(1, len(waiting) // 2)
        if len(waiting) == 1:
            day, meter, channel = waiting[0].key
            self._refused.add(waiting[0].key)
            log.error(
                "a day block cannot be sent to InfluxDB, it stays unsent until the next start",
                day=str(day_of(day)),
                meter=meter,
                channel=Channel(channel).obis,
                reason=str(error),
            )

    def compare(self) -> int:
        """Note as unsent whatever stands here otherwise than in InfluxDB; how many blocks. Raises `StoreAway`."""
        with self._database.read() as tx:
            self._reopened |= days_that_came_back(tx)
        days = (read_back(self._database, self._reads, day) for day in self._days())
        return sum(self._note_differing(both) for day in days for both in day)

    def let_go(self) -> int:
        """Empty the rows of old settled days that InfluxDB has as they are here; how many. Raises `StoreAway`."""
        end = day_number(self._clock().date()) - self._recent_days
        return sum(self._let_go_of(day) for day in self._days() if day < end)

    def _let_go_of(self, day: int) -> int:
        with self._database.read() as tx:
            if not _is_at_rest(tx, day):
                return 0
        both = list(read_back(self._database, self._reads, day))
        if blocks := sum(map(self._note_differing, both)):
            log.error("InfluxDB says otherwise of an old day, it is sent again", day=str(day_of(day)), blocks=blocks)
            return 0
        if blocks := lost(both):
            log.error("InfluxDB has lost reads of an old day, late ones stay here", day=str(day_of(day)), blocks=blocks)
            self._reopened.discard(day)
            return 0
        with self._database.write() as tx:
            if not _is_at_rest(tx, day):
                return 0  # something came in the meantime
            emptied = tx.execute(update(day_block).where(day_block.c.day == day, _IS_HERE).values(_NOTHING)).rowcount
            whole = [alike_long.whole for alike_long in both]
            row = {"day": day, "blocks": sum(map(len, whole)), "sha256": digest(*whole)}
            upsert(tx, moved_day, [{**row, "moved_us": microseconds(self._clock())}])
        self._reopened.discard(day)
        return emptied

    def _days(self) -> Iterator[int]:
        """Days with blocks that are here, oldest first, until we are to stop; of those that had gone, what is back."""
        with self._database.read() as tx:
            moved = set(tx.execute(select(moved_day.c.day)).scalars()) - self._reopened
            days = [day for day in days_there_are(tx) if day not in moved]
        return takewhile(lambda _: not self._stopping.is_set(), days)

    def _note_differing(self, both: Both) -> int:
        # The intervals that differ, and not all of the block: what no meter ever told is no point in InfluxDB.
        changed = differing(both.here, both.there)
        touched = np.asarray(changed.any(axis=1))
        if touched.any():
            with self._database.write() as tx:
                note_unsent(tx, both.here.take(touched), changed[touched], self._clock())
        return int(touched.sum())

    def _run(self) -> None:
        wait_s = 0.0
        while not self._stopping.wait(wait_s):
            try:
                wait_s = 0.0 if self.step() else self._every_s
                if self._away:
                    log.info("InfluxDB answers again")
                self._away = False
            except StoreAway as error:
                if not self._away:
                    log.warning("InfluxDB is away, what it lacks waits in the site database", reason=str(error))
                self._away = True
                wait_s = min(max(2 * wait_s, self._every_s), _LONGEST_WAIT_S)
            except Exception as error:
                # Whatever it was, what InfluxDB lacks is still noted.
                log.exception("forwarding failed, trying again", error=str(error))
                wait_s = _AFTER_A_FAULT_S


def _to_send(rows: Sequence[Any], waiting: Sequence[Unsent]) -> Iterator[tuple[Blocks, Bools]]:
    """Blocks as they stand now, and which of their intervals are unsent (k, n), by interval length."""
    bits = {one.key: one.changed for one in waiting}
    here = [row for row in rows if is_here(row)]  # what has been let go of, InfluxDB has
    for interval_s in {row.interval_s for row in here}:
        blocks = blocks_of([row for row in here if row.interval_s == interval_s], interval_s)
        packed = np.frombuffer(b"".join(bits[key] for key in blocks.keys), np.uint8).reshape(len(blocks), -1)
        yield blocks, np.unpackbits(packed, axis=1, count=blocks.values.shape[1]).astype(np.bool_)


def _is_at_rest(tx: Connection, day: int) -> bool:
    """Whether nothing of a day is open or unsent."""
    open_block = exists().where(day_block.c.day == day, day_block.c.settled.is_(False))
    waiting = exists().where(unsent.c.day == day)
    return not tx.execute(select(or_(open_block, waiting))).scalar_one()
