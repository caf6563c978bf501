"""What was metered at usage points: the rows of many meters made into one row a usage point.

Almost every usage point has one meter all month, and then its row is the meter's. Where a meter was exchanged, or two
hang side by side, a meter counts from its installation to its removal, and an interval in which none hung is missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise, repeat

import numpy as np
from numpy.typing import NDArray

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


def plain_meter_reads(
    profiles: LoadProfiles, meters: Sequence[tuple[int, MeterChannel]], columns: slice
) -> dict[int, list[MeterReads]]:
    """What `meter_reads` says, by row, of all meters at once that hung throughout and whose register went on as it was.

    Almost all meters do; the others are left out.
    """
    begin_s = profiles.start_s + columns.start * profiles.interval_s
    end_s = profiles.start_s + columns.stop * profiles.interval_s
    plain = [(row, meter) for row, meter in meters if not meter.constants and _hung_throughout(meter, begin_s, end_s)]
    if not plain:
        return {}
    rows = _span([row for row, _ in plain])
    anew = np.logical_or.reduce(profiles.flags[rows, columns] & _NEW_REGISTER, axis=1).tolist()
    register, values = profiles.register[rows, columns], profiles.values[rows, columns]
    known, each, n = register != NO_REGISTER, np.arange(len(plain)), register.shape[1]
    there = np.logical_or.reduce(known, axis=1).tolist()
    first, last = np.argmax(known, axis=1), n - 1 - np.argmax(known[:, ::-1], axis=1)
    used = np.cumsum(values, axis=1)
    is_estimated = IS_ESTIMATED[profiles.quality[rows, columns]]
    # Mostly there are none, and to add up nothing takes as long as to add up the reads.
    estimated = np.cumsum(is_estimated, axis=1, dtype=np.int32) if is_estimated.any() else is_estimated
    opens, closes = moment(begin_s), moment(end_s)
    before = profiles.register[rows, columns.start - 1].tolist() if columns.start else [NO_REGISTER] * len(plain)
    opening = (register[each, first] - used[each, first]).tolist()
    closing = (register[each, last] + used[:, -1] - used[each, last]).tolist()
    estimated_before = (estimated[each, first] > 0).tolist()
    estimated_after = (estimated[:, -1] > estimated[each, last]).tolist()
    at_end, quantity = (last == n - 1).tolist(), list(all_units(used[:, -1]))
    found = {}
    for place, (row, meter) in enumerate(plain):
        if anew[place]:
            continue
        modulus, opened, closed = 10**meter.register_digits, None, None
        if before[place] != NO_REGISTER:
            opened = RegisterRead(opens, units(before[place]), "read")
        elif there[place]:
            how: Obtained = "estimated" if estimated_before[place] else "calculated"
            opened = RegisterRead(opens, units(opening[place] % modulus), how)
        if there[place]:
            how = "read" if at_end[place] else "estimated" if estimated_after[place] else "calculated"
            closed = RegisterRead(closes, units(closing[place] % modulus), how)
        found[row] = [MeterReads(meter.meter_name, meter.channel.obis, opened, closed, quantity[place])]
    return found


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


def all_units(base_units: Int64s) -> Iterator[Decimal]:
    """The same of many."""
    return map(EXACT.multiply, base_units.tolist(), repeat(_UNIT))
