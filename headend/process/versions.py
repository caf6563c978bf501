"""Every version of one interval that there ever was, out of the tables: the current one, those it replaced, and what
validation found on the way.

A version that was replaced says what replaced it and when, so each version but the first knows its origin from the one
before. An estimate's origin is also the finding of the rule that made it. Where the first read came from, only the
journal knows: see `told`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, select

from headend.errors import InvalidInput
from headend.reads.days import DAY_S, moment, moment_us, seconds
from headend.reads.quality import Quality
from headend.registry.registry import EnrolledChannel
from headend.store.intervals import IntervalStore
from headend.store.tables import finding, interval_history

_EARLIEST, _LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)

#: The rule whose estimate has this quality; of one made by a method that a person chose, the edit tells.
_RULE_OF: Final[Mapping[Quality, str]] = {
    Quality.ESTIMATED_FROM_REGISTER: "E1",
    Quality.ESTIMATED_LINEAR: "E2",
    Quality.ESTIMATED_LIKE_DAY: "E3",
    Quality.ESTIMATED_AVERAGE: "E4",
    Quality.ESTIMATED_CLASS_PROFILE: "E4",
}


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an interval.

    Parameters
    ----------
    number
        counted from 1; the 255th and all after it have the same.
    value
        base units; None: validation took the value away.
    quality
        the last it had: what arrived raw is validated later without a new version.
    since, until
        when it came and when it was replaced; None: not known, and not replaced.
    by
        what made it: journal entries, a rule set, a user; None: not known from the tables.
    rule, detail
        of an estimate, how it was made.
    """

    number: int
    value: int | None
    quality: Quality
    since: datetime | None = None
    by: str | None = None
    until: datetime | None = None
    rule: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The newest word of one rule on the interval."""

    rule: str
    severity: str
    detail: str
    rule_set: str
    found: datetime


@dataclass(frozen=True, slots=True)
class IntervalVersions:
    """One interval of a channel, beginning at `start_s` [s since 1970]; versions and findings oldest first."""

    channel: EnrolledChannel
    start_s: int
    versions: Sequence[Version]
    findings: Sequence[Found]

    @property
    def end_s(self) -> int:
        """End of the interval [s since 1970]."""
        return self.start_s + self.channel.interval_s


def moment_of(text: str, where: str) -> datetime:
    """An aware moment out of ISO 8601 with `Z` or an offset; raises `InvalidInput`."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not _EARLIEST <= at < _LATEST:
        raise InvalidInput(where, repr(text[:40]), "a time with Z or an offset, such as 2026-10-31T12:00:00Z")
    return at


def interval_at(
    channels: Sequence[EnrolledChannel], obis: str | None, at: datetime, now: datetime
) -> tuple[EnrolledChannel, int]:
    """The channel of one meter by its OBIS code, and the begin of its interval around a moment [s since 1970].

    Raises
    ------
    InvalidInput
        the meter has no such channel, or was not in service then, or the interval has not begun.
    """
    channel = _channel(channels, obis)
    start_s = seconds(at) // channel.interval_s * channel.interval_s
    installed, removed = channel.installed_s, channel.removed_s
    if start_s + channel.interval_s <= installed:
        raise InvalidInput("at", at.isoformat(), f"a time from {moment(installed).isoformat()} on: installed then")
    if removed is not None and start_s >= removed:
        raise InvalidInput("at", at.isoformat(), f"a time before {moment(removed).isoformat()}: removed then")
    if start_s > seconds(now):
        raise InvalidInput("at", at.isoformat(), f"an interval that has begun: it is {now:%Y-%m-%dT%H:%M:%SZ}")
    return channel, start_s


def _channel(channels: Sequence[EnrolledChannel], obis: str | None) -> EnrolledChannel:
    there = {channel.channel.obis: channel for channel in channels}
    if obis is None and len(there) == 1:
        return channels[0]
    if obis is None or obis not in there:
        raise InvalidInput("channel", repr(obis[:40]) if obis else "none", f"one of {', '.join(sorted(there))}")
    return there[obis]


def versions_of(tx: Connection, store: IntervalStore, channel: EnrolledChannel, start_s: int) -> IntervalVersions:
    """Every version of the interval that begins at `start_s` [s since 1970]; raises `StoreAway`."""
    findings = _findings(tx, channel, start_s)
    stood = [*_replaced(tx, channel, start_s), *_current(tx, store, channel, start_s)]
    return IntervalVersions(channel, start_s, _with_rules(_chained(stood), findings), findings)


@dataclass(frozen=True, slots=True)
class _Stood:
    """A version as the tables have it: when and by what it was replaced; None: it stands."""

    number: int
    value: int
    quality: Quality
    until: datetime | None = None
    replaced_by: str | None = None


def _replaced(tx: Connection, channel: EnrolledChannel, start_s: int) -> Iterator[_Stood]:
    h = interval_history.c
    query = (
        select(h.version, h.value, h.quality, h.superseded_us, h.superseded_by)
        .where(h.meter == channel.meter, h.channel == channel.channel.code, h.start_s == start_s)
        .order_by(h.superseded_us, h.version)
    )
    for row in tx.execute(query):
        yield _Stood(row.version, row.value, Quality(row.quality), moment_us(row.superseded_us), row.superseded_by)


def _current(tx: Connection, store: IntervalStore, channel: EnrolledChannel, start_s: int) -> Iterator[_Stood]:
    block = store.load(tx, [(start_s // DAY_S, channel.meter, channel.channel.code)], channel.interval_s)
    at = 0, start_s % DAY_S // channel.interval_s
    if number := int(block.version[at]):
        yield _Stood(number, int(block.values[at]), Quality(int(block.quality[at])))


def _chained(stood: Iterable[_Stood]) -> list[Version]:
    """Each with its origin: what replaced the one before."""
    versions: list[Version] = []
    since, by = None, None
    for one in stood:
        if versions and one.number > versions[-1].number + 1:
            # Validation took the value away, and with nothing there nothing was replaced.
            versions.append(Version(versions[-1].number + 1, None, Quality.MISSING, since, by))
            since = by = None
        value = None if one.quality == Quality.MISSING else one.value
        versions.append(Version(one.number, value, one.quality, since, by, one.until))
        since, by = one.until, one.replaced_by
    return versions


def _with_rules(versions: Sequence[Version], findings: Sequence[Found]) -> list[Version]:
    """Estimates with the rule that made them; its finding tells of the newest of them."""
    untold = {one.rule: one for one in findings}
    return [_with_rule(version, untold) for version in reversed(versions)][::-1]


def _with_rule(version: Version, untold: dict[str, Found]) -> Version:
    rule = _RULE_OF.get(version.quality)
    if rule is None:
        return version
    how = untold.pop(rule, None)
    if how is None:
        return replace(version, rule=rule)
    since, by = (how.found, f"rules {how.rule_set}") if version.by is None else (version.since, version.by)
    return replace(version, rule=rule, detail=how.detail, since=since, by=by)


def _findings(tx: Connection, channel: EnrolledChannel, start_s: int) -> list[Found]:
    f = finding.c
    query = (
        select(f.rule, f.severity, f.detail, f.rule_set, f.found_us)
        .where(f.meter == channel.meter, f.channel == channel.channel.code, f.start_s == start_s)
        .order_by(f.found_us, f.rule)
    )
    return [
        Found(row.rule, row.severity, row.detail, row.rule_set, moment_us(row.found_us)) for row in tx.execute(query)
    ]
