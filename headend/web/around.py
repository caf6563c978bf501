"""What lies around an exception: the reads beside it, what like days would say of it, what registers say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from headend.errors import StoreAway
from headend.process.worksheets import worksheet_of
from headend.reads.days import DAY_S, HOUR_S
from headend.reads.quality import Quality
from headend.registry.registry import EnrolledChannel
from headend.site import Site
from headend.vee.registers import sums_agree
from headend.vee.worksheet import Worksheet
from headend.web.readings import Readings, by_hour, over_by, readings
from headend.web.words import local_time, quantity, unit_of

Int64s = NDArray[np.int64]

#: How much is drawn before and after the span [s].
_BESIDE_S: Final = 3 * DAY_S


@dataclass(frozen=True, slots=True, eq=False)
class Around:
    """A channel's reads around a span.

    Parameters
    ----------
    usual
        what like days say of each interval [base units], -1 where there is none (n,); None: the store does not answer.
    """

    reads: Readings
    usual: Int64s | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the registers say of a span, in a sentence; `kind` is its style."""

    kind: Literal["good", "bad", ""]
    text: str


def around(tx: Connection, site: Site, channel: EnrolledChannel, start_s: int, end_s: int, now_s: int) -> Around:
    """The span and three days on both sides, as far as they are over; raises `StoreAway`."""
    begin_s = start_s - _BESIDE_S
    reads = readings(tx, site.store, channel, begin_s, min(end_s + _BESIDE_S, max(begin_s, over_by(channel, now_s))))
    try:
        return Around(reads, _usual(tx, site, channel, reads, start_s, end_s))
    except StoreAway:
        return Around(reads, None)


def by_hours(seen: Around) -> Around:
    """Shorter intervals summed to hours."""
    hourly = by_hour(seen.reads)
    if seen.usual is None or hourly is seen.reads:
        return Around(hourly, seen.usual)
    per_hour = HOUR_S // seen.reads.interval_s
    lead = seen.reads.start_s % HOUR_S // seen.reads.interval_s
    parts = np.pad(seen.usual, (lead, -(lead + len(seen.usual)) % per_hour), constant_values=-1).reshape(-1, per_hour)
    return Around(hourly, np.where((parts < 0).any(axis=1), -1, parts.sum(axis=1)))


def verdict(tx: Connection, site: Site, channel: EnrolledChannel, start_s: int, end_s: int, zone: ZoneInfo) -> Verdict:
    """Whether the register reads right before and after the span agree with its intervals; raises `StoreAway`."""
    sheet, first, end = _sheet(tx, site, channel, start_s, end_s)
    w, profile = sheet.windows, sheet.profiles
    over = np.flatnonzero((w.last >= first) & (w.first < end))
    if not len(over):
        return Verdict("", "No two register reads lie around these intervals: nothing vouches for their sum.")
    if (w.advance[over] < 0).any():
        said = "The register went back, or rose by more than can have flowed: it vouches for nothing here."
        return Verdict("bad", said)
    from_, to = int(w.first[over[0]]), int(w.last[over[-1]]) + 1
    if from_ > first or to < end or (w.first[over[1:]] != w.last[over[:-1]] + 1).any():
        return Verdict("", "Register reads close only a part of these intervals: nothing vouches for their sum.")
    advance, total = int(w.advance[over].sum()), int(profile.values[0, from_:to].sum())
    missing = int((profile.quality[0, from_:to] == Quality.MISSING).sum())
    unit = unit_of(channel.channel).shown
    begins, ends = (local_time(profile.start_s + place * profile.interval_s, zone) for place in (from_, to))
    said = (
        f"From {begins} to {ends} the register advanced by {quantity(advance)} {unit}; the {to - from_} intervals"
        f"{f', {missing} of them missing,' if missing else ''} add up to {quantity(total)} {unit}"
    )
    if bool(sums_agree(np.array([total]), np.array([advance]), sheet.rules.sum_check)[0]):
        return Verdict("good", f"{said}: they agree.")
    off = total - advance
    return Verdict("bad", f"{said}: {quantity(abs(off))} {unit} too {'much' if off > 0 else 'little'}.")


def _usual(tx: Connection, site: Site, channel: EnrolledChannel, reads: Readings, start_s: int, end_s: int) -> Int64s:
    """What like days say of every interval of `reads`; the span itself is no reference."""
    sheet, first, end = _sheet(tx, site, channel, reads.start_s, reads.end_s)
    begins = sheet.profiles.start_s + np.arange(sheet.values.shape[1]) * reads.interval_s
    in_span = (begins >= start_s) & (begins < end_s)
    sheet.good[0, in_span] = False
    usual = np.full(len(begins), -1, np.int64)
    shown = slice(first, end)
    # The span without itself, and each day beside it without itself and the span.
    part = np.where(in_span, -1, begins // DAY_S)
    for each in np.unique(part[shown]).tolist():
        at = first + np.flatnonzero(part[shown] == each)
        guess = sheet.habit(0, at)
        usual[at] = np.where(guess.known, guess.values, -1)
    return usual[shown]


def _sheet(
    tx: Connection, site: Site, channel: EnrolledChannel, start_s: int, end_s: int
) -> tuple[Worksheet, int, int]:
    """A channel with the weeks beside a stretch, and the columns of the stretch: the first, and after the last."""
    sheet = worksheet_of(tx, site, channel, start_s, end_s)
    first, end = ((at_s - sheet.profiles.start_s) // channel.interval_s for at_s in (start_s, end_s))
    return sheet, first, end
