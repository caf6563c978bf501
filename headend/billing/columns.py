"""Many documents at once: a form that they all have, with a column where they differ.

The bills by one tariff differ in nothing but values. A form is a part of a document as ever, a frozen dataclass with
slots, but in places of it stands a column: what stands there in each of `n` documents. Whatever is said about one of
them is said once for all; their texts, or the documents one by one, are made from the columns. To make every day and
line of a million bills an object takes longer than to work out what it says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from decimal import Decimal
from itertools import repeat
from operator import attrgetter, itemgetter
from types import NoneType
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from headend.tariffs.money import EXACT, Integers, added_up, plain, rescaled, scaled, unit_of_scale

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """What stands in one place of each document; such as are whole parts themselves, where no form fits them."""

    each: Sequence[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """The numbers in one place of each document, `whole` × 10^-`scale`; `is_plain`: without trailing zeros."""

    whole: Integers
    scale: int
    is_plain: bool

    @property
    def each(self) -> list[Any]:
        """As decimals."""
        made = list(map(EXACT.multiply, self.whole.tolist(), repeat(unit_of_scale(self.scale))))
        # Almost all numbers end in another digit.
        return list(map(without_zeros, made)) if self.is_plain else made


def column(values: Sequence[T]) -> T:
    """What stands in one place of each document, of one at least; for the type checker it is what stands in one."""
    # Decimals that are equal may be written otherwise.
    if (isinstance(values[0], _SIMPLE) or values[0] == ()) and values.count(values[0]) == len(values):
        return values[0]
    return cast(T, Values(values))


_SIMPLE = (str, date, int, NoneType)


def numbers(whole: Integers, scale: int, *, is_plain: bool = False) -> Any:
    """Numbers of 10^-`scale` in one place of each document; for the type checker, what stands in one."""
    return Numbers(whole, scale, is_plain)


def numbers_of(part: Decimal, n: int) -> Numbers:
    """What stands in one place of `n` documents, with a column or without, as whole numbers."""
    if isinstance(part, Numbers):
        return part
    each = [part] * n if isinstance(part, Decimal) else cast(Values, part).each
    scale = max(places for _, places in map(scaled, each))
    return Numbers(np.array([int(its.scaleb(scale, EXACT)) for its in each], dtype=object), scale, is_plain=False)


def summed(parts: Sequence[Decimal], n: int) -> Numbers:
    """The sum of numbers in several places, in each of `n` documents; exact."""
    columns = [numbers_of(part, n) for part in parts]
    scale = max((its.scale for its in columns), default=0)
    return Numbers(added_up([rescaled(its.whole, its.scale, scale) for its in columns], n), scale, is_plain=False)


def nearly(part: Decimal | int, n: int) -> NDArray[np.float64]:
    """What stands in one place of `n` documents as floats (n,): to look for what stands out, never to count."""
    if isinstance(part, Numbers):
        return part.whole.astype(np.float64) / 10.0**part.scale
    return np.array([part] * n if not isinstance(part, Values) else part.each, dtype=np.float64)


def form_of(parts: Sequence[T]) -> T:
    """The form of dataclasses of one type: each field that differs is a column."""
    kind: Any = type(parts[0])
    return cast(T, kind(*[column(list(map(attrgetter(field.name), parts))) for field in fields(kind)]))


def some_of(form: T, rows: Sequence[int]) -> T:
    """The form of some of the documents, by their places."""
    if isinstance(form, Values):
        chosen = [form.each[rows[0]]] if len(rows) == 1 else itemgetter(*rows)(form.each)
        return cast(T, Values(chosen))
    if isinstance(form, Numbers):
        return cast(T, Numbers(form.whole[np.asarray(rows)], form.scale, form.is_plain))
    if isinstance(form, tuple):
        return cast(T, tuple([some_of(each, rows) for each in form]))
    if is_dataclass(form):
        kind: Any = type(form)
        return cast(T, kind(*[some_of(getattr(form, field.name), rows) for field in fields(kind)]))
    return form


def each_of(form: T, n: int) -> list[T]:
    """The documents one by one; what they have in common they share."""
    made = _each(form, n)
    return [form] * n if made is None else list(made)


def _each(form: Any, n: int) -> Sequence[Any] | None:
    """What a part is in each of the documents; None: the same."""
    if isinstance(form, Values | Numbers):
        return form.each
    is_tuple = isinstance(form, tuple)
    if not is_tuple and not is_dataclass(form):
        return None
    parts = form if is_tuple else [getattr(form, field.name) for field in fields(form)]
    columns = [_each(part, n) for part in parts]
    if all(its is None for its in columns):
        return None
    filled = [repeat(part, n) if its is None else its for part, its in zip(parts, columns, strict=True)]
    return list(zip(*filled, strict=True)) if is_tuple else made_of(type(form), n, *filled)


def made_of(kind: type[T], n: int, *columns: Iterable[object]) -> list[T]:
    """`n` of a dataclass with slots; a column for each of its fields, in order, each of `n` values or endless.

    Its own `__init__` takes twice as long as slots filled column by column.
    """
    made: list[T] = list(map(object.__new__, repeat(kind, n)))
    for field, its in zip(fields(kind), columns, strict=True):  # type: ignore[arg-type]
        deque(map(getattr(kind, field.name).__set__, made, its), maxlen=0)
    return made


def without_zeros(number: Any) -> Any:
    """The same decimal without exponent or trailing zeros."""
    text = str(number)
    return type(number)(plain(number)) if text[-1] == "0" or "E" in text else number
