"""What was metered at usage points: the rows of many meters made into one row a usage point.

Almost every usage point has one meter all month, and then its row is the meter's. Where a meter was exchanged, or two
hang side by side, a meter counts from its installation to its removal, and an interval in which none hung is missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from headend.billing.columns import column, numbers
from headend.billing.ports import MeterChannel
from headend.billing.statement import MeterReads, Obtained, RegisterRead
from headend.reads import NO_REGISTER, LoadProfiles, Quality
from headend.reads.constants import constant_at
from headend.reads.days import moment
from headend.reads.quality import IS_BILLABLE, IS_ESTIMATED, Flag
from headend.tariffs.money import EXACT, unit_of_scale

Int64s = NDArray[np.int64]
Bytes = NDArray[np.uint8]

_NEW_REGISTER = np.uint8(Flag.NEW_REGISTER)
#: Base units (Wh, dm³, litre) in a billed unit are 10 ** 3.
UNIT_SCALE = 3
_UNIT = unit_of_scale(UNIT_SCALE)


@dataclass(frozen=True, slots=True, eq=False)
class Metered:
    """Use at `m` usage points over the same `n` intervals.

    Parameters
    ----------
    values, quality
        base units and `Quality` per interval (m, n).
    """

    values: Int64s
    quality: Bytes

    def take(self, rows: Sequence[int]) -> Metered:
        """The chosen usage points, in rising order."""
        if len(rows) == len(self.values):
            return self
        return Metered(self.values[rows], self.quality[rows])


def at_usage_points(
    profiles: LoadProfiles, meters: Sequence[Sequence[tuple[int, MeterChannel]]], columns: slice
) -> Metered:
    """One row a usage point.

    Parameters
    ----------
    meters
        for each usage point its (row of `profiles`, channel) pairs, at least one.
    columns
        the intervals wanted.
    """
    first = [pairs[0][0] for pairs in meters]
    span = _span(first) if first else first
    values, quality = profiles.values[span, columns], profiles.quality[span, columns]
    begin_s = profiles.start_s + columns.start * profiles.interval_s
    end_s = profiles.start_s + columns.stop * profiles.interval_s
    apart = [
        place
        for place, pairs in enumerate(meters)
        if len(pairs) > 1 or not _hung_throughout(pairs[0][1], begin_s, end_s)
    ]
    if apart:
        values, quality = values.copy(), quality.copy()
    for place in apart:
        values[place], quality[place] = _combined(profiles, meters[place], columns)
    return Metered(values, quality)


def _hung_throughout(meter: MeterChannel, begin_s: int, end_s: int) -> bool:
    return meter.installed_s <= begin_s and (meter.removed_s is None or meter.removed_s >= end_s)


def _combined(
    profiles: LoadProfiles, pairs: Sequence[tuple[int, MeterChannel]], columns: slice
) -> tuple[Int64s, Bytes]:
    starts = profiles.start_s + profiles.interval_s * np.arange(columns.start, columns.stop, dtype=np.int64)
    values = np.zeros(len(starts), dtype=np.int64)
    # The worst quality speaks for the interval; worse is: not billable, then estimated, then the rest.
    quality = np.full(len(starts), Quality.MISSING, dtype=np.uint8)
    worst = np.full(len(starts), -1)
    for row, meter in pairs:
        hung = (starts >= meter.installed_s) & (starts < (meter.removed_s or np.iinfo(np.int64).max))
        its_quality = profiles.quality[row, columns]
        badness = np.where(hung, np.where(IS_BILLABLE[its_quality], IS_ESTIMATED[its_quality], 2), -1)
        values += np.where(hung, profiles.values[row, columns], 0)
        quality = np.where(badness > worst, its_quality, quality)
        worst = np.maximum(worst, badness)
    return values, quality.astype(np.uint8)


def reads_digest(profiles: LoadProfiles, meters: Sequence[tuple[int, MeterChannel]], columns: slice) -> str:
    """SHA-256 over what was billed, hexadecimal.

    For each meter channel, in order: `meter|channel|begin of the first interval [s since 1970]|interval [s]|count`
    and a line feed, in UTF-8; the values as little-endian int64; the quality codes, a byte each.
    """
    begin_s = profiles.start_s + columns.start * profiles.interval_s
    which = f"{begin_s}|{profiles.interval_s}|{columns.stop - columns.start}\n"
    billed = []
    for row, meter in meters:
        billed += [
            f"{meter.meter_name}|{meter.channel.obis}|{which}".encode(),
            profiles.values[row, columns].astype("<i8", copy=False).tobytes(),
            profiles.quality[row, columns].tobytes(),
        ]
    return hashlib.sha256(b"".join(billed)).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class PlainMeterReads:
    """What `meter_reads` says of `k` meters at once, where each is one stretch; of almost all it is.

    Parameters
    ----------
    is_plain
        it hung throughout, and its register went on as it was (k,); of the others nothing here counts.
    opened, closed
        whether its register is known at the begin and the end (k,).
    opening, closing, used
        register at both ends and what was used between [base units] (k,).
    opening_how, closing_how
        `Obtained` (k,).
    """

    meters: Sequence[MeterChannel]
    opens: datetime
    closes: datetime
    is_plain: NDArray[np.bool_]
    opened: NDArray[np.bool_]
    closed: NDArray[np.bool_]
    opening: Int64s
    closing: Int64s
    used: Int64s
    opening_how: NDArray[np.str_]
    closing_how: NDArray[np.str_]

    @classmethod
    def of(cls, profiles: LoadProfiles, meters: Sequence[tuple[int, MeterChannel]], columns: slice) -> PlainMeterReads:
        """Of (row of `profiles`, channel) pairs, at least one."""
        begin_s = profiles.start_s + columns.start * profiles.interval_s
        end_s = profiles.start_s + columns.stop * profiles.interval_s
        rows, channels = _span([row for row, _ in meters]), [meter for _, meter in meters]
        register, values = profiles.register[rows, columns], profiles.values[rows, columns]
        known, each, n = register != NO_REGISTER, np.arange(len(meters)), register.shape[1]
        there = np.logical_or.reduce(known, axis=1)
        first, last = np.argmax(known, axis=1), n - 1 - np.argmax(known[:, ::-1], axis=1)
        used, to_first, from_last = _summed_up(values, first, last)
        is_estimated = IS_ESTIMATED[profiles.quality[rows, columns]]
        # Mostly there are none, and to add up nothing takes as long as to add up the reads.
        estimated = np.cumsum(is_estimated, axis=1, dtype=np.int32) if is_estimated.any() else is_estimated
        modulus = np.array([10**meter.register_digits for meter in channels], dtype=np.int64)
        before = profiles.register[rows, columns.start - 1] if columns.start else np.full(len(meters), NO_REGISTER)
        was_read = before != NO_REGISTER
        # A register is carried to the end of a month over the reads there.
        carried = (register[each, first] - to_first) % modulus
        anew = np.logical_or.reduce(profiles.flags[rows, columns] & _NEW_REGISTER, axis=1)
        plain = [not meter.constants and _hung_throughout(meter, begin_s, end_s) for meter in channels]
        return cls(
            channels,
            moment(begin_s),
            moment(end_s),
            is_plain=np.array(plain) & ~anew.astype(np.bool_),
            opened=was_read | there,
            closed=there,
            opening=np.where(was_read, before, carried),
            closing=(register[each, last] + from_last) % modulus,
            used=used,
            opening_how=_obtained(was_read, estimated[each, first] > 0),
            closing_how=_obtained(last == n - 1, estimated[:, -1] > estimated[each, last]),
        )

    def form(self, places: Sequence[int]) -> MeterReads:
        """Of some of the meters: all plain, and alike in what is known of their registers."""
        meters, one = [self.meters[place] for place in places], places[0]
        opening = closing = None
        if self.opened[one]:
            how = column(self.opening_how[places].tolist())
            opening = RegisterRead(self.opens, numbers(self.opening[places], UNIT_SCALE), how)
        if self.closed[one]:
            how = column(self.closing_how[places].tolist())
            closing = RegisterRead(self.closes, numbers(self.closing[places], UNIT_SCALE), how)
        name, channel = (column([read(meter) for meter in meters]) for read in (_NAME, _OBIS))
        return MeterReads(name, channel, opening, closing, numbers(self.used[places], UNIT_SCALE))


_NAME, _OBIS = attrgetter("meter_name"), attrgetter("channel.obis")


def _summed_up(values: Int64s, first: Int64s, last: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Sums of rows: whole, up to and including one interval, and after another (k,)."""
    # A register mostly comes each day: between the first and the last of them nothing need be added up.
    each, begin, end = np.arange(len(values)), int(first.max()) + 1, int(last.min())
    front, back = np.cumsum(values[:, :begin], axis=1), np.cumsum(values[:, end:], axis=1)
    return values.sum(axis=1), front[each, first], back[:, -1] - back[each, last - end]


def _obtained(read: NDArray[np.bool_], estimated: NDArray[np.bool_]) -> NDArray[np.str_]:
    """How registers at the end of a month were obtained."""
    return np.where(read, "read", np.where(estimated, "estimated", "calculated"))


def _span(rows: list[int]) -> slice | list[int]:
    """The same rows as a slice, where they follow one another: nothing is copied then."""
    first, last = rows[0], rows[-1]
    return slice(first, last + 1) if rows == list(range(first, last + 1)) else rows


def meter_reads(profiles: LoadProfiles, row: int, meter: MeterChannel, columns: slice) -> list[MeterReads]:
    """One meter while it hung within the period, with its register at both ends.

    Where a constant changes, the register goes on at another scale, and where another device counts or it was reset, it
    does not go on: there is one `MeterReads` for each stretch, in order.
    """
    begin_s = profiles.start_s + columns.start * profiles.interval_s
    end_s = profiles.start_s + columns.stop * profiles.interval_s
    start = columns.start + max(0, -(-(meter.installed_s - begin_s) // profiles.interval_s))
    stop = columns.stop - max(0, -(-(end_s - (meter.removed_s or end_s)) // profiles.interval_s))
    changes = [(each.valid_from_s - profiles.start_s) // profiles.interval_s for each in meter.constants]
    cut = profiles.flags[row, start:stop] & _NEW_REGISTER
    if cut.any():
        changes += (np.flatnonzero(cut) + start).tolist()
    edges = [start, *sorted({each for each in changes if start < each < stop}), stop]
    return [
        _at_one_scale(profiles, row, meter, slice(*each), from_another=each[0] in changes)
        for each in pairwise(edges)
        if each[0] < each[1]
    ]


def _at_one_scale(
    profiles: LoadProfiles, row: int, meter: MeterChannel, columns: slice, *, from_another: bool
) -> MeterReads:
    """A register is seldom sent for the very end of a local month, so it is carried there over the interval reads.

    It is carried from the nearest one sent within the columns; `from_another` says that the register before them does
    not go on in them.
    """
    opens_s, closes_s = (profiles.start_s + edge * profiles.interval_s for edge in (columns.start, columns.stop))
    values = profiles.values[row, columns]
    register = profiles.register[row, columns]
    # The register at the period's begin is the one at the end of the interval before it, where that was fetched.
    fetched = columns.start > 0 and not from_another
    before = int(profiles.register[row, columns.start - 1]) if fetched else NO_REGISTER
    known = np.flatnonzero(register != NO_REGISTER)
    estimated = IS_ESTIMATED[profiles.quality[row, columns]]
    opening = closing = None
    constant = constant_at(meter.constants, opens_s)
    modulus = constant.scaled(10**meter.register_digits)
    if before != NO_REGISTER:
        opening = _register(opens_s, before, "read")
    elif len(known):
        used = slice(0, int(known[0]) + 1)
        at = (int(register[known[0]]) - int(values[used].sum())) % modulus
        opening = _register(opens_s, at, "estimated" if estimated[used].any() else "calculated")
    if len(known):
        rest = slice(int(known[-1]) + 1, None)
        at = (int(register[known[-1]]) + int(values[rest].sum())) % modulus
        how: Obtained = "estimated" if estimated[rest].any() else "calculated"
        closing = _register(closes_s, at, how if len(values[rest]) else "read")
    quantity, made_of = units(values.sum()), constant.made_of or None
    return MeterReads(meter.meter_name, meter.channel.obis, opening, closing, quantity, made_of)


def _register(at_s: int, value: int, obtained: Obtained) -> RegisterRead:
    return RegisterRead(moment(at_s), units(value), obtained)


def units(base_units: int | np.int64) -> Decimal:
    """Wh as kWh, dm³ and litre as m³, exact."""
    return EXACT.multiply(int(base_units), _UNIT)
