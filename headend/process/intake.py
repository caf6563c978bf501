"""Intake: the next journal entries into the interval store, in one transaction with the place they came from.

If the process dies anywhere, the transaction is gone and the same entries come again; if it dies just after, they do
not. So what the journal holds is in the store exactly once, whoever sent it how often.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, delete, func, select

from headend.process.unpack import WHOLE_MESSAGE, Enrolled, GatewayNews, Rejected, Unpacked, unpack
from headend.reads.blocks import Blocks, contested, merge
from headend.reads.days import DAY_S
from headend.registry.registry import enrolled_channels
from headend.site import Site
from headend.store import history
from headend.store import tables as t
from headend.store.database import upsert
from headend.store.journal import Entry
from headend.vee import check_arrival

_CHECKPOINT = "store"
_REREAD_REGISTRY_S = 10.0


@dataclass(slots=True)
class IntakeCounts:
    """What became of reads [intervals]."""

    stored: int = 0
    duplicates: int = 0
    replaced: int = 0


@dataclass(frozen=True, slots=True)
class _Enrolled:
    """The registry as intake needs it, kept for a moment: a large one is not read anew for every batch.

    Parameters
    ----------
    channels
        by (meter name, OBIS code).
    maximum
        highest possible value of an interval, by (meter, channel).
    read_at
        steady time [s].
    """

    channels: Enrolled
    maximum: dict[tuple[int, int], int]
    read_at: float


class Intake:
    """Reads the journal from where it stopped; one process does this at a time."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._enrolled = _Enrolled({}, {}, -_REREAD_REGISTRY_S)

    def step(self) -> int:
        """Process the next batch; number of messages, 0 when there are none."""
        site = self._site
        with site.database.read() as tx:
            offset = checkpoint(tx)
        entries = site.journal.after(offset, site.settings.process.batch_messages)
        if entries:
            with site.database.write() as tx:
                if checkpoint(tx) == offset:  # else another process was faster
                    unpacked, counts = self._take_in(tx, entries)
                    _note_gateways(tx, unpacked)
                    _advance(tx, entries[-1].offset, counts)
        return len(entries)

    def retry(self, offsets: Sequence[int]) -> int:
        """Process quarantined messages again, say after a meter was enrolled; how many stay in quarantine."""
        entries = self._site.journal.at(offsets)
        with self._site.database.write() as tx:
            tx.execute(delete(t.quarantine).where(t.quarantine.c.offset.in_(list(offsets))))
            # What a gateway said of itself then was noted then.
            _, counts = self._take_in(tx, entries)
            _advance(tx, checkpoint(tx), counts)
            left = tx.execute(select(func.count()).where(t.quarantine.c.offset.in_(list(offsets)))).scalar_one()
        return left

    def _take_in(self, tx: Connection, entries: Sequence[Entry]) -> tuple[Unpacked, IntakeCounts]:
        stale = time.monotonic() - self._enrolled.read_at > _REREAD_REGISTRY_S
        if stale:
            self._read_registry(tx)
        unpacked = self._unpack(entries)
        if not stale and any(rejected.block != WHOLE_MESSAGE for rejected in unpacked.rejected):
            # Refused by what the registry was a moment ago: perhaps it knows better now.
            self._read_registry(tx)
            unpacked = self._unpack(entries)
        counts = IntakeCounts()
        cause = f"journal {entries[0].offset}–{entries[-1].offset}" if entries else ""
        for blocks in unpacked.stacks:
            self._store(tx, blocks, cause, counts)
        upsert(tx, t.quarantine, [_quarantined(rejected) for rejected in unpacked.rejected])
        return unpacked, counts

    def _unpack(self, entries: Sequence[Entry]) -> Unpacked:
        settings = self._site.settings
        return unpack(
            entries,
            self._enrolled.channels,
            max_bytes=settings.collect.max_message_bytes,
            future_s=settings.process.future_s,
            past_s=settings.process.past_days * DAY_S,
        )

    def _read_registry(self, tx: Connection) -> None:
        channels = enrolled_channels(tx)
        rules = self._site.rules
        self._enrolled = _Enrolled(
            {(c.meter_name, c.channel.obis): c for c in channels},
            {
                (c.meter, c.channel.code): int(c.max_per_interval * rules.of(c.customer_class).physical_factor)
                for c in channels
            },
            time.monotonic(),
        )

    def _store(self, tx: Connection, incoming: Blocks, cause: str, counts: IntakeCounts) -> None:
        site, maximum = self._site, self._enrolled.maximum
        channels = zip(incoming.meter.tolist(), incoming.channel.tolist(), strict=True)
        checked, findings = check_arrival(incoming, np.array([maximum[channel] for channel in channels]))
        stored = site.store.load(tx, checked.keys, checked.interval_s)
        redelivered = history.holds(tx, checked, contested(stored, checked))
        merged = merge(stored, checked, redelivered)
        history.keep(tx, stored, merged.replaced, by=cause, now=site.clock())
        said = (merged.blocks.register != stored.register) | (merged.blocks.flags != stored.flags)
        changed = merged.stored | merged.replaced | said
        site.store.save(tx, merged.blocks.take(changed.any(axis=1)), settled=False)
        history.keep_findings(tx, findings, site.rules.version, site.clock())
        counts.stored += int(merged.stored.sum())
        counts.replaced += int(merged.replaced.sum())
        counts.duplicates += int(merged.duplicates.sum())


def checkpoint(tx: Connection) -> int:
    """Offset of the last journal entry that is in the store."""
    query = select(t.checkpoint.c.offset).where(t.checkpoint.c.name == _CHECKPOINT)
    return tx.execute(query).scalar() or 0


def totals(tx: Connection) -> IntakeCounts:
    """What became of all reads so far."""
    c = t.checkpoint.c
    row = tx.execute(select(c.reads_stored, c.duplicates, c.replaced).where(c.name == _CHECKPOINT)).first()
    return IntakeCounts(*row) if row else IntakeCounts()


def _advance(tx: Connection, offset: int, counts: IntakeCounts) -> None:
    before = totals(tx)
    row = {
        "name": _CHECKPOINT,
        "offset": offset,
        "reads_stored": before.stored + counts.stored,
        "duplicates": before.duplicates + counts.duplicates,
        "replaced": before.replaced + counts.replaced,
    }
    upsert(tx, t.checkpoint, [row])


def _note_gateways(tx: Connection, unpacked: Unpacked) -> None:
    """What the gateways said of themselves."""
    known = {row.name: row for row in tx.execute(select(t.gateway))}
    upsert(tx, t.gateway, [_gateway(name, news, known.get(name)) for name, news in unpacked.gateways.items()])


def _quarantined(rejected: Rejected) -> dict[str, object]:
    return {
        "offset": rejected.entry.offset,
        "block": rejected.block,
        "received_us": rejected.entry.received_us,
        "gateway": rejected.entry.gateway,
        "fault": rejected.fault,
        "reason": rejected.reason,
        "excerpt": rejected.excerpt,
    }


def _gateway(name: str, news: GatewayNews, known: object) -> dict[str, object]:
    first, last, online, offset, messages = (
        (known.first_seen_s, known.last_seen_s, known.online, known.clock_offset_s, known.messages)  # type: ignore[attr-defined]
        if known is not None
        else (None, None, None, None, 0)
    )
    if news.messages:
        first, last = first or news.last_seen_s, max(news.last_seen_s, last or 0)
    return {
        "name": name,
        "first_seen_s": first,
        "last_seen_s": last,
        "online": online if news.online is None else news.online,
        "clock_offset_s": offset if news.clock_offset_s is None else news.clock_offset_s,
        "messages": messages + news.messages,
    }
