"""What a statement was made of, put back as it was by the histories of reads and prices; see `headend.billing.verify`.

From what stands today one change after the other is taken back, the latest first, until the digest is the statement's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from sqlalchemy import Connection, select

from headend.billing.bundle import make_bundle
from headend.billing.ports import Kept
from headend.billing.recount import Evidence, channels_of, counted, days_of
from headend.billing.statement import Segment, SeriesUsed, Statement
from headend.billing.verify import Billed, Link, PriceChange, ReadChange, evidence_of
from headend.errors import CannotRate, StoreBroken
from headend.reads import LoadProfiles, Quality
from headend.reads.days import microseconds, moment_us
from headend.registry.registry import InstalledChannel, installed_channels
from headend.site import Site
from headend.store.ledger import SqlLedger
from headend.store.market import load_market, prices_of, series_before
from headend.store.tables import interval_history, statement, tariff_version
from headend.tariffs import PriceSeries, Tariff, canonical_json
from headend.tariffs.money import EXACT

Bools = NDArray[np.bool_]

#: A row of the history that took the billed value away, by row and column of the profiles.
_Undone = dict[tuple[int, int], Any]


@dataclass(frozen=True)
class SitePast:
    """What was, in one transaction of a site; see `headend.billing.verify.Past`."""

    tx: Connection
    site: Site

    @cached_property
    def _hung(self) -> dict[str, dict[tuple[str, str], InstalledChannel]]:
        """Channels by meter and OBIS code, of the usage points that were asked for."""
        return {}

    def kept(self, statement_id: str) -> Kept:
        """A statement; raises `NotFound`."""
        return SqlLedger(self.tx).statement(statement_id)

    def issued(self, period: str) -> list[str]:
        """Numbers of the issued statements of month `YYYY-MM`, by account."""
        s = statement.c
        query = select(s.id).where(s.period == period, s.state == "issued").order_by(s.account_id, s.revision)
        return list(self.tx.execute(query).scalars())

    def chain(self, account: str) -> list[Link]:
        """The account's issued statements."""
        s = statement.c
        query = select(s.id, s.sha256, s.previous_sha256).where(s.account_id == account, s.state == "issued")
        return [Link(*row) for row in self.tx.execute(query.order_by(s.period, s.revision))]

    def tariff(self, digest: str) -> bytes | None:
        """Canonical JSON of a version: the one that is kept, or that of a file while no bill was approved with it."""
        v = tariff_version.c
        document = self.tx.execute(select(v.document).where(v.digest == digest)).scalar()
        if document is not None:
            return str(document).encode()
        book = self.site.tariffs
        its = next((each for name in book.ids for each in book.versions(name) if each.digest == digest), None)
        return None if its is None else canonical_json(its).encode()

    def parsed(self, document: bytes) -> Tariff:
        """The version of a kept document; raises `StoreBroken`."""
        try:
            return Tariff.model_validate(json.loads(document))
        except (ValueError, ValidationError) as error:
            raise StoreBroken(f"a tariff version that is kept: {str(error).splitlines()[0]}") from None

    def billed(self, statement: Statement, segment: Segment, tariff: Tariff) -> Billed:
        """What a segment was rated on; raises `CannotRate` where that is not there any more."""
        meters = [self._channel(segment, *named) for named in channels_of(segment)]
        if len({meter.interval_s for meter in meters}) != 1:
            raise CannotRate("its meters have intervals of different lengths today")
        days, interval_s = days_of(segment), meters[0].interval_s
        begin_s, end_s = days.start_s, days.end_s
        keys = [(meter.meter, meter.channel.code) for meter in meters]
        now = Evidence(tariff, meters, self.site.store.profiles(self.tx, keys, begin_s, end_s, interval_s))
        until = statement.issued_at or self.site.clock()
        then, undone, reads_proven = self._reads(now, segment.reads_sha256, until)
        reads = list(_read_changes(then, now, undone))
        if not reads_proven and not then.profiles.quality.any():
            raise CannotRate("its reads are not kept any more")
        series, prices, prices_proven = [], [], True
        for used in segment.prices:
            its, changes, is_proven = self._prices(used, begin_s, end_s)
            series.append(its)
            prices += changes
            prices_proven &= is_proven
        return Billed(replace(then, prices=series), reads_proven and prices_proven, reads, prices)

    def _channel(self, segment: Segment, meter: str, channel: str) -> InstalledChannel:
        at = segment.usage_point
        if at not in self._hung:
            there = installed_channels(self.tx, [at])
            self._hung[at] = {(each.meter_name, each.channel.obis): each for each in there}
        its = self._hung[at].get((meter, channel))
        if its is None:
            raise CannotRate(f"no meter {meter} with {channel} is at {segment.usage_point} any more")
        return its

    def _reads(self, now: Evidence, digest: str, until: datetime) -> tuple[Evidence, _Undone, bool]:
        """The state that has the digest, and whether there is one; else that of a moment."""
        undone: _Undone = {}
        stands = now.profiles
        at_moment: tuple[LoadProfiles, _Undone] | None = None
        # What came later for intervals in which a meter did not hang replaced nothing, so no history knows of it.
        idle = ~np.array([counted(now, row) for row in range(len(now.meters))])
        for profiles, change_us in self._back(stands, undone):
            if change_us is None or change_us > microseconds(until):
                at_moment = profiles, dict(undone)
            for each in (profiles, _without(profiles, idle)) if idle.any() else (profiles,):
                then = replace(now, profiles=each)
                if then.reads_sha256 == digest:
                    return then, undone, True
        profiles, its = at_moment or (stands, {})
        return replace(now, profiles=profiles), its, False

    def _back(self, now: LoadProfiles, undone: _Undone) -> Iterator[tuple[LoadProfiles, int | None]]:
        """Reads as they stand, and then before each change, latest first, with its moment [µs since 1970].

        `undone` grows by what is taken back.
        """
        yield now, None
        values, quality = now.values.copy(), now.quality.copy()
        for change_us, rows in groupby(self._history(now), key=attrgetter("superseded_us")):
            for row in rows:
                for place in np.flatnonzero((now.meter == row.meter) & (now.channel == row.channel)).tolist():
                    at = place, (row.start_s - now.start_s) // now.interval_s
                    missing = row.quality == Quality.MISSING
                    values[at], quality[at] = (0, 0) if missing else (row.value, row.quality)
                    undone[at] = row
            yield replace(now, values=values.copy(), quality=quality.copy()), change_us

    def _history(self, now: LoadProfiles) -> list[Any]:
        """Replaced versions, the one that was replaced last first."""
        h = interval_history.c
        end_s = now.start_s + now.values.shape[1] * now.interval_s
        rows: list[Any] = []
        for meter, channel in zip(now.meter.tolist(), now.channel.tolist(), strict=True):
            query = select(interval_history).where(
                h.meter == meter, h.channel == channel, h.start_s >= now.start_s, h.start_s < end_s
            )
            rows += self.tx.execute(query)
        return sorted(rows, key=lambda row: (row.superseded_us, row.version), reverse=True)

    def _prices(self, used: SeriesUsed, begin_s: int, end_s: int) -> tuple[PriceSeries, list[PriceChange], bool]:
        now = load_market(self.tx, [used.series], [], begin_s, end_s).series(used.series)
        if now.digest(begin_s, end_s) == used.sha256:
            return now, [], True
        for before in series_before(self.tx, used.series, begin_s, end_s):
            if before.digest(begin_s, end_s) == used.sha256:
                return before, self._price_changes(before, now, begin_s, end_s), True
        return now, [], False

    def _price_changes(self, before: PriceSeries, now: PriceSeries, begin_s: int, end_s: int) -> list[PriceChange]:
        was, stands = _by_span(before), _by_span(now)
        told = {(one.start_s, one.end_s): one for one in prices_of(self.tx, now.name, begin_s, end_s)}
        changes = []
        for span in sorted(was.keys() | stands.keys()):
            if was.get(span) != stands.get(span):
                its = told.get(span)
                at, by = (its.imported, its.imported_by) if its else (None, None)
                changes.append(PriceChange(now.name, *span, was.get(span), stands.get(span), at, by))
        return changes


def _without(profiles: LoadProfiles, idle: Bools) -> LoadProfiles:
    return replace(
        profiles, values=np.where(idle, 0, profiles.values), quality=np.where(idle, np.uint8(0), profiles.quality)
    )


def _by_span(series: PriceSeries) -> dict[tuple[int, int], Decimal]:
    rows = zip(series.start_s.tolist(), series.end_s.tolist(), series.prices.tolist(), strict=True)
    return {(start_s, end_s): Decimal(price).scaleb(-series.scale, EXACT) for start_s, end_s, price in rows}


def _read_changes(then: Evidence, now: Evidence, undone: _Undone) -> Iterator[ReadChange]:
    was, stands = then.profiles, now.profiles
    hung: Sequence[Bools] = [counted(now, row) for row in range(len(now.meters))]
    for row, column in np.argwhere((was.values != stands.values) | (was.quality != stands.quality)).tolist():
        meter, change = now.meters[row], undone.get((row, column))
        yield ReadChange(
            meter.meter_name,
            meter.channel.obis,
            was.start_s + column * was.interval_s,
            int(was.values[row, column]),
            int(was.quality[row, column]),
            int(stands.values[row, column]),
            int(stands.quality[row, column]),
            bool(hung[row][column]),
            None if change is None else moment_us(change.superseded_us),
            None if change is None else str(change.superseded_by),
        )


def bundle_of(tx: Connection, site: Site, statement_id: str) -> tuple[Kept, bytes]:
    """An issued statement and its bundle.

    Raises
    ------
    NotFound
        there is no such statement.
    BillingConflict
        it is not issued, or what was billed cannot be put back.
    """
    past = SitePast(tx, site)
    kept = past.kept(statement_id)
    return kept, make_bundle(kept.document, evidence_of(past, kept))
