"""Estimates by a method that a person chose: that method alone, and a refusal where it has nothing to go by.

Validation takes the best method there is for each interval. A person who chooses one wants that, or to be told why not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from headend.errors import InvalidInput
from headend.reads.days import moment
from headend.reads.quality import IS_ESTIMATED
from headend.vee import estimate
from headend.vee.worksheet import Worksheet

Int64s = NDArray[np.int64]

Method = Literal["register", "linear", "like_days", "class_profile", "average"]


def estimate_by(method: Method, sheet: Worksheet, begin: int, stop: int) -> Int64s:
    """Values for the columns [begin, stop) of a sheet's only row, whatever stands there (stop − begin,).

    Raises
    ------
    InvalidInput
        the method has nothing to go by, or what it says cannot have flowed.
    """
    at = np.arange(begin, stop)
    sheet.values[0, at], sheet.good[0, at] = 0, False
    values = _METHODS[method](sheet, at)
    return np.minimum(values, sheet.due.maximum[0])


def _from_register(sheet: Worksheet, at: Int64s) -> Int64s:
    """What the register's advance leaves for these intervals, in the shape of like days; exact for each window."""
    w, values = sheet.windows, np.zeros(len(at), np.int64)
    inside = np.flatnonzero((w.first <= at[-1]) & (w.last >= at[0]) & (w.advance >= 0))
    closed = [np.arange(max(w.first[i], at[0]), min(w.last[i], at[-1]) + 1) for i in inside.tolist()]
    if sum(map(len, closed)) < len(at):
        raise _refused("register", "there are not two register reads around each of these intervals")
    guess = sheet.guess(0, at)
    shape = guess.values.copy()
    shape[~guess.known] = shape[guess.known].mean() if guess.known.any() else 1
    for i, its in zip(inside.tolist(), closed, strict=True):
        others = np.setdiff1d(np.arange(w.first[i], w.last[i] + 1), its)
        unread = others[~_has_value(sheet, others)]
        if len(unread):
            raise _refused("register", f"others in its window have no value either, first {_at(sheet, unread[0])}")
        left = int(w.advance[i] - sheet.profiles.values[0, others].sum())
        most = int(sheet.due.maximum[0])
        if not 0 <= left <= most * len(its):
            raise _refused("register", f"the register's advance of {w.advance[i]} leaves {left} for {len(its)} of them")
        parts = estimate.spread(shape[its - at[0]], left)
        values[its - at[0]] = parts if parts.max() <= most else estimate.spread(np.ones_like(parts), left)
    return values


def _on_a_line(sheet: Worksheet, at: Int64s) -> Int64s:
    before, after = int(at[0]) - 1, int(at[-1]) + 1
    for end in (before, after):
        if not (0 <= end < sheet.good.shape[1] and sheet.good[0, end]):
            raise _refused("linear", f"there is no read at {_at(sheet, end)}")
    return estimate.linear(int(sheet.values[0, before]), int(sheet.values[0, after]), len(at))


def _as_like_days(sheet: Worksheet, at: Int64s) -> Int64s:
    habit = sheet.habit(0, at)
    if not habit.known.all():
        raise _refused("like_days", f"there is no like day for {_at(sheet, at[~habit.known][0])}")
    return habit.values


def _as_its_class(sheet: Worksheet, at: Int64s) -> Int64s:
    profile = sheet.class_profile(int(sheet.profiles.channel[0]))
    if profile is None:
        raise _refused("class_profile", "there are no reads of its class")
    level = profile.level(sheet.calendar, sheet.values[0], np.flatnonzero(sheet.usable(0)))
    return estimate.whole_units(profile.at(sheet.calendar, at) * (1.0 if level is None else level))


def _on_average(sheet: Worksheet, at: Int64s) -> Int64s:
    own = np.flatnonzero(sheet.usable(0))
    if not len(own):
        raise _refused("average", "there is no other read of this channel")
    return estimate.spread(np.ones(len(at), np.int64), round(float(sheet.values[0, own].mean()) * len(at)))


_METHODS: Final[Mapping[Method, Callable[[Worksheet, Int64s], Int64s]]] = MappingProxyType(
    {
        "register": _from_register,
        "linear": _on_a_line,
        "like_days": _as_like_days,
        "class_profile": _as_its_class,
        "average": _on_average,
    }
)
#: Their names.
METHODS: Final[tuple[Method, ...]] = tuple(_METHODS)


def _has_value(sheet: Worksheet, columns: Int64s) -> NDArray[np.bool_]:
    """Reads and estimates; what was refused is none."""
    return np.asarray(sheet.good[0, columns] | IS_ESTIMATED[sheet.profiles.quality[0, columns]])


def _at(sheet: Worksheet, column: int) -> str:
    start_s = sheet.profiles.start_s + int(column) * sheet.profiles.interval_s
    return f"{moment(start_s):%Y-%m-%dT%H:%MZ}"


def _refused(method: Method, why: str) -> InvalidInput:
    return InvalidInput("method", f"{method}, but {why}", "another method")
