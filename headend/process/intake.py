"""Intake: the next journal entries into the interval store, in one transaction with the place they came from.

If the process dies anywhere, the transaction is gone and the same entries come again; if it dies just after, they do
not. So what the journal holds is in the store exactly once, whoever sent it how often.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import structlog
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from headend.collect.topics import SPARKPLUG, Births
from headend.errors import StoreBroken
from headend.process.belief import CURABLE, Belief, belief_of
from headend.process.registers import make_intervals
from headend.process.reopening import horizon, reopen_dependants
from headend.process.unpack import GatewayNews, Happened, Rejected, Unpacked, unpack
from headend.reads.blocks import Blocks, Merged, contested, merge
from headend.reads.days import DAY_S, seconds
from headend.reads.quality import IS_MEASURED
from headend.registry.gateways import revoked_gateways
from headend.registry.registry import enrolled_channels
from headend.site import Site
from headend.store import commands, exceptions, history
from headend.store import tables as t
from headend.store.accruals import note_changed
from headend.store.births import births, keep_births
from headend.store.bulk import portions
from headend.store.checkpoints import IntakeCounts, advance, checkpoint
from headend.store.database import storable, upsert
from headend.store.journal import Entry
from headend.store.rebills import flag_rebills
from headend.store.telemetry import keep_clock_offsets, keep_telemetry
from headend.vee import check_arrival
from headend.vee.arrival import arrival_limits, limits_of
from headend.vee.findings import Finding

log = structlog.get_logger(__name__)

_REREAD_REGISTRY_S = 10.0
#: Nor sooner than this, whatever is refused: a gateway that is set up wrongly must not cost a registry a batch.
_REREAD_AT_MOST_S = 2.0

# What a message, or what is stored where its reads belong, can be at fault for; anything else is the machine's. Of what
# a database says, that is a value it cannot keep; that it is away, full or locked (`OperationalError`) is not.
_AT_FAULT = (StoreBroken, ValueError, TypeError, ArithmeticError, LookupError, DataError, IntegrityError)
_TIMES_A_QUERY = 2_000


@dataclass(frozen=True, slots=True)
class _Registry:
    """The registry as intake needs it, kept for a moment: a large one is not read anew for every batch.

    Parameters
    ----------
    limits
        what single values are held against, by (meter, channel); see `arrival_limits`.
    class_of
        customer class, by (meter, channel).
    read_at
        steady time [s].
    """

    belief: Belief
    limits: dict[tuple[int, int], tuple[int, int, int, int, int]]
    class_of: dict[tuple[int, int], str]
    read_at: float


class Intake:
    """Reads the journal from where it stopped; one process does this at a time.

    Parameters
    ----------
    steady
        a clock that never jumps [s].
    """

    def __init__(self, site: Site, steady: Callable[[], float] = time.monotonic) -> None:
        self._site, self._steady = site, steady
        self._registry = _Registry(belief_of(site, [], ()), {}, {}, -math.inf)
        # A gap in what a Sparkplug node sends asks for its names; forgotten at a restart, it is not noticed once.
        self._sequences: dict[str, int | None] = {}
        self._at_once = site.settings.process.batch_messages
        # Only InfluxDB has to be told of telemetry.
        self._telemetry_is_sent = site.settings.store.kind != "influx"

    def step(self) -> int:
        """Process the next batch; number of messages, 0 when there are none."""
        site = self._site
        with site.database.read() as tx:
            offset = checkpoint(tx)
        taken = self.take(offset, site.journal.after(offset, self._at_once))
        self._at_once = min(2 * max(taken, 1), site.settings.process.batch_messages)
        return taken

    def take(self, offset: int, entries: Sequence[Entry]) -> int:
        """Process the first of these messages, which follow what was processed up to `offset`; how many.

        A batch that cannot be taken in is tried again by halves, until the message at fault is alone: it goes to
        quarantine, and the rest goes on.
        """
        while True:
            try:
                self._step(offset, entries)
                break
            except _AT_FAULT as error:
                if len(entries) == 1:
                    self._give_up(offset, entries[0], error)
                    break
                entries = entries[: len(entries) // 2]
        return len(entries)

    def _step(self, offset: int, entries: Sequence[Entry]) -> None:
        site = self._site
        if entries:
            sequences = self._sequences
            with site.database.write() as tx:
                if checkpoint(tx) == offset:  # else another process was faster
                    unpacked, counts = self._take_in(tx, entries)
                    _note_gateways(tx, unpacked)
                    keep_clock_offsets(tx, _clock_offsets(unpacked), sent=self._telemetry_is_sent)
                    _note_downlink(tx, unpacked, site.clock())
                    advance(tx, entries[-1].offset, counts)
                    sequences = unpacked.sequences
            self._sequences = sequences

    def _give_up(self, offset: int, entry: Entry, error: Exception) -> None:
        reason = _in_words(error)
        log.error("a message cannot be taken in, it is in quarantine", offset=entry.offset, reason=reason)
        with self._site.database.write() as tx:
            if checkpoint(tx) == offset:
                upsert(tx, t.quarantine, [_quarantined(Rejected(entry, "", "cannot be taken in", reason))])
                advance(tx, entry.offset, IntakeCounts())

    def retry(self, offsets: Sequence[int]) -> int:
        """Process quarantined messages again, say after a meter was enrolled; how many stay in quarantine."""
        entries = self._site.journal.at(offsets)
        with self._site.database.write() as tx:
            tx.execute(delete(t.quarantine).where(t.quarantine.c.offset.in_(list(offsets))))
            # Somebody asked for it, perhaps because of what was enrolled just now.
            self._read_registry(tx)
            # What a gateway said of itself then was noted then.
            _, counts = self._take_in(tx, entries)
            advance(tx, checkpoint(tx), counts)
            left = tx.execute(select(func.count()).where(t.quarantine.c.offset.in_(list(offsets)))).scalar_one()
        return left

    def _take_in(self, tx: Connection, entries: Sequence[Entry]) -> tuple[Unpacked, IntakeCounts]:
        age_s = self._steady() - self._registry.read_at
        if age_s > _REREAD_REGISTRY_S:
            self._read_registry(tx)
        known = births(tx) if any(entry.topic.startswith(SPARKPLUG) for entry in entries) else {}
        unpacked = self._unpack(entries, known)
        curable = any(rejected.fault in CURABLE for rejected in unpacked.rejected)
        if curable and _REREAD_AT_MOST_S < age_s <= _REREAD_REGISTRY_S:
            # Refused by what the registry was a moment ago: perhaps it knows better now.
            self._read_registry(tx)
            unpacked = self._unpack(entries, known)
        site, now = self._site, self._site.clock()
        tolerance_s = site.settings.process.register_tolerance_s
        findings = make_intervals(tx, unpacked.registers, tolerance_s, unpacked.runs)
        self._note(tx, findings, now)
        counts = IntakeCounts()
        cause = f"journal {entries[0].offset}–{entries[-1].offset}" if entries else ""
        for blocks in unpacked.stacks:
            self._store(tx, blocks, cause, counts)
        keep_telemetry(tx, unpacked.telemetry, sent=self._telemetry_is_sent)
        upsert(tx, t.quarantine, [_quarantined(rejected) for rejected in unpacked.rejected])
        upsert(tx, t.event, _untold(tx, [_event(happened) for happened in unpacked.events]))
        return unpacked, counts

    def _unpack(self, entries: Sequence[Entry], known: Births) -> Unpacked:
        return unpack(entries, self._site.topics, self._registry.belief, known, self._sequences)

    def _read_registry(self, tx: Connection) -> None:
        channels = enrolled_channels(tx)
        rules = self._site.rules
        self._registry = _Registry(
            belief_of(self._site, channels, revoked_gateways(tx)),
            {
                (c.meter, c.channel.code): arrival_limits(c.max_per_interval, rules.of(c.customer_class))
                for c in channels
            },
            {(c.meter, c.channel.code): c.customer_class for c in channels},
            self._steady(),
        )

    def _store(self, tx: Connection, incoming: Blocks, cause: str, counts: IntakeCounts) -> None:
        site, limits = self._site, self._registry.limits
        channels = zip(incoming.meter.tolist(), incoming.channel.tolist(), strict=True)
        checked, findings = check_arrival(incoming, limits_of([limits[channel] for channel in channels]))
        stored = site.store.load(tx, checked.keys, checked.interval_s)
        redelivered = history.holds(tx, checked, contested(stored, checked))
        merged = merge(stored, checked, redelivered)
        now = site.clock()
        history.keep(tx, stored, merged.replaced, by=cause, now=now)
        said = (merged.blocks.register != stored.register) | (merged.blocks.flags != stored.flags)
        changed = merged.stored | merged.replaced | said
        touched = changed.any(axis=1)
        site.store.save(tx, merged.blocks.take(touched), changed[touched], settled=False)
        note_changed(tx, merged.blocks, merged.stored | merged.replaced)
        self._note(tx, [*findings, *self._replaced(stored, merged)], now)
        if (touched & (merged.blocks.day < horizon(site))).any():
            reopen_dependants(tx, site, stored, merged.blocks, changed)
            flag_rebills(tx, stored, merged.blocks, cause, now)
        counts.stored += int(merged.stored.sum())
        counts.replaced += int(merged.replaced.sum())
        counts.duplicates += int(merged.duplicates.sum())

    def _replaced(self, stored: Blocks, merged: Merged) -> Iterator[Finding]:
        """V3: another value took the place of one that was measured."""
        rules, class_of = self._site.rules, self._registry.class_of
        other = merged.replaced & IS_MEASURED[stored.quality] & (merged.blocks.values != stored.values)
        for row, column in np.argwhere(other).tolist():
            key = int(stored.meter[row]), int(stored.channel[row])
            if rules.of(class_of[key]).duplicate.then == "warn":
                start_s = int(stored.day[row]) * DAY_S + column * stored.interval_s
                detail = f"was {stored.values[row, column]}, now {merged.blocks.values[row, column]}"
                yield Finding(*key, start_s, start_s + stored.interval_s, "V3", "warning", detail)

    def _note(self, tx: Connection, findings: Sequence[Finding], now: datetime) -> None:
        """Keep what was found, and put before people what they are to be asked about."""
        rules = self._site.rules
        history.keep_findings(tx, findings, rules.version, now)
        exceptions.open_found(tx, findings, rules, self._registry.class_of, now)


def _in_words(error: Exception) -> str:
    if isinstance(error, DBAPIError):
        return storable(f"the database refuses it: {' '.join(str(error.orig).split())}")
    return str(error) if isinstance(error, StoreBroken) else repr(error)


def _note_gateways(tx: Connection, unpacked: Unpacked) -> None:
    """What the gateways said of themselves."""
    known = {row.name: row for row in tx.execute(select(t.gateway))}
    upsert(tx, t.gateway, [_gateway(name, news, known.get(name)) for name, news in unpacked.gateways.items()])


def _clock_offsets(unpacked: Unpacked) -> dict[str, tuple[int, int]]:
    """When a gateway was heard and by how much its clock was off, where this batch tells [s since 1970, s]."""
    return {
        name: (news.last_seen_s, news.clock_offset_s)
        for name, news in unpacked.gateways.items()
        if news.clock_offset_s is not None
    }


def _note_downlink(tx: Connection, unpacked: Unpacked, now: datetime) -> None:
    """What became of commands, what is to be asked, and what later messages will need to be understood."""
    keep_births(tx, [(birth.node, birth.device, birth.metrics) for birth in unpacked.births.values()], now)
    for gateway, result in unpacked.results:
        commands.take_result(tx, gateway, result, now)
    for name, news in unpacked.gateways.items():
        if news.connected:
            commands.gateway_online(tx, name, now)
        if news.reborn:
            commands.reborn(tx, name, now)
        if news.ask_for_rebirth:
            commands.ask_for_rebirth(tx, name, now)


def _untold(tx: Connection, told: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events that are not there yet: a message that comes again tells again what it told."""
    same = ("gateway", "at_s", "kind", "meter", "detail")
    untold = {tuple(event[name] for name in same): event for event in reversed(told)}
    at = sorted({event["at_s"] for event in told})
    for some in portions(at, _TIMES_A_QUERY):
        query = select(*(t.event.c[name] for name in same))
        for row in tx.execute(query.where(t.event.c.at_s.in_(some))):
            untold.pop(tuple(row), None)
    return list(untold.values())


def _event(happened: Happened) -> dict[str, Any]:
    event = happened.event
    return {
        "offset": happened.entry.offset,
        "place": happened.place,
        "at_s": seconds(event.at),
        "gateway": happened.entry.gateway,
        "meter": event.meter,
        "kind": event.kind,
        "detail": event.detail,
    }


def _quarantined(rejected: Rejected) -> dict[str, object]:
    return {
        "offset": rejected.entry.offset,
        "path": rejected.path[:64],
        "received_us": rejected.entry.received_us,
        "gateway": rejected.entry.gateway,
        "fault": rejected.fault,
        "reason": rejected.reason,
        "excerpt": rejected.excerpt,
    }


def _gateway(name: str, news: GatewayNews, known: Any) -> dict[str, object]:
    first, last, online, offset, messages, native, firmware = (None, None, None, None, 0, None, None)
    if known is not None:
        first, last, online, offset = known.first_seen_s, known.last_seen_s, known.online, known.clock_offset_s
        messages, native, firmware = known.messages, known.native, known.firmware
    if news.messages:
        first, last = first or news.last_seen_s, max(news.last_seen_s, last or 0)
    return {
        "name": name,
        "first_seen_s": first,
        "last_seen_s": last,
        "online": online if news.online is None else news.online,
        "clock_offset_s": offset if news.clock_offset_s is None else news.clock_offset_s,
        "messages": messages + news.messages,
        "native": news.native or bool(native),
        "firmware": firmware if news.firmware is None else news.firmware,
    }
