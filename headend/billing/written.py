"""A document written out, field by field: the same bytes as by way of plain data, in a fraction of the time.

How each type is written is worked out once, as one format string for all of its fields, which Python compiles: a year
of bills is billions of fields. Of many documents that are alike the format string is of the whole document, with holes
where they differ. Numbers stand as text without exponent, moments as pydantic writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import repeat
from json.encoder import encode_basestring
from operator import attrgetter, mod
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import TypeAdapter

from headend.billing.columns import Numbers, Values

T = TypeVar("T")

Write = Callable[[Any], str]

_MOMENT = TypeAdapter(datetime)


class _Written(NamedTuple):
    """How a type is written: a pattern (`"%s"`) around what a function makes of a value."""

    pattern: str
    each: Write

    @property
    def whole(self) -> Write:
        """The value with its pattern around it."""
        return self.each if self.pattern == "%s" else lambda value: self.pattern % self.each(value)


class Writer(Generic[T]):
    """Writes a dataclass as JSON: names sorted, no blanks.

    Parameters
    ----------
    later
        by dataclass, names that stand only where there is something to them.
    """

    def __init__(self, kind: type[T], later: Mapping[type, tuple[str, ...]]) -> None:
        self._later = later
        self._hints: dict[type, dict[str, Any]] = {}
        self._known: dict[Any, _Written] = {}
        self._kind, self._one = kind, self._dataclass(kind).each

    def one(self, document: T) -> str:
        """The text of a document."""
        return self._one(document)

    def alike(self, form: T, n: int) -> list[str]:
        """The texts of `n` documents of one form."""
        holes = Holes()
        return holes.filled(self._pattern(self._kind, form, holes), n)

    # ---- one document ----

    def _dataclass(self, kind: type) -> _Written:
        written = {name: self._written(hint) for name, hint in self._fields(kind).items()}
        if kind not in self._later:
            return _Written("%s", _all_of(written))
        names = self._later[kind]
        # One attribute more than asked for: of a single one it would give no tuple.
        values_of = attrgetter(*names, "__class__")

        @lru_cache(maxsize=4096)
        def where(*there: bool) -> Write:
            """What writes those of which the same stands."""
            missing = {name for name, is_there in zip(names, there, strict=False) if not is_there}
            return _all_of({name: its for name, its in written.items() if name not in missing})

        return _Written("%s", lambda part: where(*map(_is_something, values_of(part)))(part))

    def _fields(self, kind: type) -> dict[str, Any]:
        """The types of a dataclass's fields, in the order in which they are written."""
        if kind not in self._hints:
            hints = get_type_hints(kind, include_extras=True)
            self._hints[kind] = {name: hints[name] for name in sorted(field.name for field in fields(kind))}
        return self._hints[kind]

    def _written(self, hint: Any) -> _Written:
        if hint not in self._known:
            self._known[hint] = self._found(hint)
        return self._known[hint]

    def _found(self, hint: Any) -> _Written:
        origin = get_origin(hint)
        if origin is Annotated:
            return self._written(get_args(hint)[0])
        if origin in (Union, UnionType):
            return _Written("%s", _or_null(self._written(_but_none(hint)).whole))
        if origin is tuple:
            return _Written("%s", _all(self._written(get_args(hint)[0]).whole))
        if is_dataclass(hint) and isinstance(hint, type):
            return self._dataclass(hint)
        return _PLAIN[str] if origin is Literal else _PLAIN[hint]

    # ---- many ----

    def _pattern(self, hint: Any, form: Any, holes: Holes) -> str:
        """The format string of a part."""
        if isinstance(form, Numbers):
            return holes.numbers(form)
        if isinstance(form, tuple):
            (of, _) = get_args(hint)
            return "[" + ",".join([self._pattern(of, each, holes) for each in form]) + "]"
        if is_dataclass(form) and not isinstance(form, Values):
            kind = type(form)
            later = self._later.get(kind, ())
            values = ((name, its, getattr(form, name)) for name, its in self._fields(kind).items())
            there = [each for each in values if each[0] not in later or _is_something(each[2])]
            return "{" + ",".join([f'"{name}":{self._pattern(its, part, holes)}' for name, its, part in there]) + "}"
        its = self._written(hint)
        return holes.put(form, its.each, its.pattern)


def _all_of(written: Mapping[str, _Written]) -> Write:
    """What writes fields that all stand, whatever is in them."""
    each = {f"write_{name}": its.each for name, its in written.items()}
    places = ",".join(f'"{name}":' + its.pattern % f"{{write_{name}(part.{name})}}" for name, its in written.items())
    write: Write = eval("lambda part: f'{{" + places + "}}'", each)  # noqa: S307 - names of our own fields
    return write


# 10 to a higher power is no int64.
_SCALES = 18


class Holes:
    """The holes of a format string of many documents, in the order in which they stand: of each the texts of all."""

    def __init__(self) -> None:
        self._columns: list[Iterable[Any]] = []

    def put(self, part: Any, write: Write, pattern: str = "%s") -> str:
        """The format string of a part that is no form: a hole where documents differ, else its text."""
        if isinstance(part, Values):
            self._columns.append(map(write, part.each))
            return pattern
        return (pattern % write(part)).replace("%", "%%")

    def numbers(self, form: Numbers) -> str:
        """The same of numbers, which stand as text; where none is negative, what is before the point and after it."""
        whole, scale = form.whole, form.scale
        if whole.dtype == object or scale > _SCALES or whole.min(initial=0) < 0:
            self._columns.append(map(_number, form.each))
            return '"%s"'
        if scale == 0:
            self._columns.append(whole.tolist())
            return '"%d"'
        before, after = np.divmod(whole, 10**scale)
        if not form.is_plain:
            self._columns += [before.tolist(), after.tolist()]
            return f'"%d.%0{scale}d"'
        texts = map(mod, repeat(f"%d.%0{scale}d"), zip(before.tolist(), after.tolist(), strict=True))
        self._columns.append(map(str.rstrip, map(str.rstrip, texts, repeat("0")), repeat(".")))
        return '"%s"'

    def filled(self, pattern: str, n: int) -> list[str]:
        """The texts of `n` documents."""
        return list(map(mod, repeat(pattern, n), zip(*self._columns, strict=True) if self._columns else repeat(())))


def _but_none(hint: Any) -> Any:
    (only,) = (each for each in get_args(hint) if each is not NoneType)
    return only


def _is_something(value: object) -> bool:
    """None is nothing, and so is an empty text or list; a number of 0 is something."""
    return value is not None and (type(value) is Decimal or bool(value))


def _or_null(write: Write) -> Write:
    return lambda value: "null" if value is None else write(value)


def _all(write: Write) -> Write:
    return lambda values: "[" + ",".join(map(write, values)) + "]"


def _number(number: Decimal) -> str:
    text = str(number)  # which is much quicker, and has no exponent but for the very small and the rounded
    return format(number, "f") if "E" in text else text


# The days of a run are the same in every document.
_day = lru_cache(maxsize=65_536)(date.isoformat)


@lru_cache(maxsize=65_536)
def _moment(moment: datetime) -> str:
    return str(_MOMENT.dump_python(moment, mode="json"))


_PLAIN: Mapping[Any, _Written] = {
    Decimal: _Written('"%s"', _number),
    date: _Written('"%s"', _day),
    datetime: _Written('"%s"', _moment),
    bool: _Written("%s", {True: "true", False: "false"}.__getitem__),
    int: _Written("%s", str),
    str: _Written("%s", encode_basestring),
}
