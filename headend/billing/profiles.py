"""What a statement has to show: a profile is a list of required items, and each is looked for in the document.

A profile is data (`config/profiles/*.toml`). An item names paths into the statement, by the names that its canonical
JSON has; it is there if each of its paths (or one, with `one_of`) leads to something: not to null, nothing, or an empty
text or list. `[]` in a path stands for every element of a list, of which there must be one at least, and `[key=value]`
for those that have that value:

    segments[].meters[].opening.value
    segments[].lines[heading=Delivery].amount

The names are those of the statement's parts, so nothing is written out to be looked at: a million statements are. What
the form of many statements shows, all of them show.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from headend.billing.agreements import Agreement
from headend.billing.columns import Numbers, Values, column
from headend.billing.statement import (
    Contacts,
    Contract,
    EnergyMix,
    Segment,
    Statement,
    StatementLine,
    TypicalUse,
    Utility,
)
from headend.errors import InvalidInput
from headend.reads.days import a_year_before

_STEP = re.compile(r"(?P<name>[a-z_0-9]+)(?P<each>\[(?:(?P<key>[a-z_]+)=(?P<value>[^\]=]+))?\])?")
_SPLIT = re.compile(r"\.(?![^\[]*\])")


@dataclass(frozen=True, slots=True)
class _Step:
    """One name of a path; `each`: its value is a list, and the path goes on in every element, or in those chosen."""

    name: str
    each: bool
    key: str | None
    value: str | None


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[_Step, ...]:
    """The steps of a path; raises `InvalidInput`."""
    steps = []
    for part in _SPLIT.split(path):
        found = _STEP.fullmatch(part)
        if found is None:
            raise InvalidInput("paths", repr(path), "names with dots between; [] or [key=value] after a list")
        steps.append(_Step(found["name"], found["each"] is not None, found["key"], found["value"]))
    return tuple(steps)


@lru_cache(maxsize=1024)
def _checks(paths: tuple[str, ...]) -> tuple[Callable[[object], bool], ...]:
    """Of each path what tells of a statement whether every way of it ends at something; what does the same, once."""
    return tuple(dict.fromkeys(_leads_somewhere(_telling(_steps(path))) for path in paths))


@lru_cache(maxsize=1024)
def _leads_somewhere(steps: tuple[_Step, ...]) -> Callable[[object], bool]:
    leads: Callable[[object], bool] = _is_something
    for step in reversed(steps):
        leads = _in_each(step, leads) if step.each else _in_one(step, leads)
    return leads


def _telling(steps: tuple[_Step, ...]) -> tuple[_Step, ...]:
    """The steps without those behind the last list, where they lead to a number or a day: that is always something."""
    kind: object = Statement
    for step in steps:
        hint = get_type_hints(kind).get(step.name) if isinstance(kind, type) and is_dataclass(kind) else None
        kind = (get_args(hint)[0] if get_origin(hint) is tuple else None) if step.each else hint
    lists = [place for place, step in enumerate(steps) if step.each]
    if not lists or kind not in _ALWAYS_SOMETHING:
        return steps
    last = steps[lists[-1]]
    # Of a whole list, that it has elements says it all.
    return (*steps[: lists[-1]], last if last.key is not None else _Step(last.name, False, None, None))


_ALWAYS_SOMETHING = (Decimal, int, bool, date, datetime)


def _is_something(part: object) -> bool:
    if isinstance(part, Values):
        return all(map(_is_something, part.each))
    return part is not None and not (type(part) in (str, tuple) and not part)


def _in_one(step: _Step, leads: Callable[[object], bool]) -> Callable[[object], bool]:
    def in_one(part: object) -> bool:
        if isinstance(part, Values):
            return all(map(in_one, part.each))
        return leads(getattr(part, step.name, None))

    return in_one


def _in_each(step: _Step, leads: Callable[[object], bool]) -> Callable[[object], bool]:
    def in_each(part: object) -> bool:
        return in_all(getattr(part, step.name, None))

    def in_all(elements: object) -> bool:
        if isinstance(elements, Values):
            return all(map(in_all, elements.each))
        if not isinstance(elements, tuple):
            return False
        if step.key is not None:
            keys = [getattr(each, step.key, None) for each in elements]
            if any(isinstance(key, Values | Numbers) for key in keys):
                # Which elements it is about differs from document to document: each has to tell.
                return False
            elements = tuple(each for each, key in zip(elements, keys, strict=True) if str(key) == step.value)
        return bool(elements) and all(map(leads, elements))

    return in_each


def _path(path: str) -> str:
    _steps(path)
    return path


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RequiredItem(_Data):
    """Something a statement has to show.

    Parameters
    ----------
    key
        its name, for settings and exceptions; unlike that of any other item of the profile.
    what, source
        in words, and the paragraph that asks for it.
    paths
        into the canonical JSON; all must lead somewhere, or with `one_of` one.
    commodities
        only for segments of these; none: of any.
    after_a_year
        only for segments whose agreement was in force a year before already.
    """

    key: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    what: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=1)]
    paths: Annotated[tuple[Annotated[str, AfterValidator(_path)], ...], Field(min_length=1)]
    one_of: bool = False
    commodities: tuple[Literal["electricity", "gas", "heat", "water"], ...] = ()
    after_a_year: bool = False

    def is_in(self, statement: Statement, older: Sequence[bool]) -> bool:
        """Whether the statement shows it; `older` says of each segment whether it was supplied a year before."""
        if self.commodities or self.after_a_year:
            segments = tuple(
                segment
                for segment, known in zip(statement.segments, older, strict=True)
                if (not self.commodities or segment.commodity in self.commodities) and (known or not self.after_a_year)
            )
            if not segments:
                # Nothing on the statement is what the item is about.
                return True
            if len(segments) < len(statement.segments):
                statement = replace(statement, segments=segments)
        there = [leads(statement) for leads in _checks(self.paths)]
        return any(there) if self.one_of else all(there)


class Heading(_Data):
    """A heading over lines of a segment, in the order in which headings stand.

    Parameters
    ----------
    title
        as it stands on paper.
    labels
        patterns of labels (`*` for anything, capitals or not); they go before `kinds`.
    kinds
        kinds of lines that no heading takes by their label.
    """

    title: Annotated[str, Field(min_length=1)]
    labels: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


class Profile(_Data):
    """What statements have to show under one law.

    Parameters
    ----------
    name, law
        short, and in full.
    shows
        what is put on the statement for this profile alone.
    commodities
        headings are for segments of these.
    """

    name: Annotated[str, Field(min_length=1)]
    law: str
    shows: tuple[Literal["contract", "mix", "typical"], ...] = ()
    headings: tuple[Heading, ...] = ()
    commodities: tuple[Literal["electricity", "gas", "heat", "water"], ...] = ("electricity",)
    items: Annotated[tuple[RequiredItem, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_once(self) -> Profile:
        keys = [item.key for item in self.items]
        for place, key in enumerate(keys):
            if key in keys[:place]:
                raise InvalidInput(f"items.{place}.key", repr(key), "a key of its own for each item")
        return self

    def missing(self, statement: Statement, older: Sequence[bool]) -> tuple[RequiredItem, ...]:
        """What the statement, as it would be issued, does not show.

        Parameters
        ----------
        older
            of each segment: its agreement was in force on the same days a year before.
        """
        return tuple(item for item in self.items if not item.is_in(statement, older))

    def heading_of(self, line: StatementLine) -> str | None:
        """What a line stands under; None: under none, after all headings."""
        label = line.label.casefold()
        for heading in self.headings:
            if any(fnmatchcase(label, pattern.casefold()) for pattern in heading.labels):
                return heading.title
        return next((heading.title for heading in self.headings if line.kind in heading.kinds), None)


@dataclass(frozen=True, slots=True)
class Typical:
    """Use of comparable customers in a year, for one commodity and customer class."""

    commodity: str
    customer_class: str
    use: TypicalUse


@dataclass(frozen=True, slots=True)
class StatementRules:
    """By which profile each customer class is billed, and what the utility has to say for it.

    Parameters
    ----------
    default, by_class
        profiles; a class that is not among them has the default one.
    waived
        keys of items that the utility does without, on its own account.
    """

    default: Profile
    by_class: Mapping[str, Profile] = field(default_factory=dict)
    waived: frozenset[str] = frozenset()
    contacts: Contacts | None = None
    mix: EnergyMix | None = None
    notice: str = ""
    typical: tuple[Typical, ...] = ()

    def profile_of(self, customer_class: str) -> Profile:
        """The profile a class is billed by."""
        return self.by_class.get(customer_class, self.default)

    def contract(self, *agreements: Agreement) -> Contract:
        """What a statement says of how long its agreement lasts; of several, the form of it."""
        untils = [None if its.valid_to is None else its.valid_to - timedelta(days=1) for its in agreements]
        return Contract(column([its.valid_from for its in agreements]), column(untils), self.notice)

    def shown(self, statement: Statement, contracts: Sequence[Contract]) -> Statement:
        """The statement with what its profile has it show. No amount changes; lines go under their headings.

        Parameters
        ----------
        contracts
            of each of the statement's segments.
        """
        profile = self.profile_of(statement.customer.customer_class)
        if self.contacts is None and not profile.shows and not profile.headings:
            return statement
        segments = tuple(
            self._segment(segment, contract, statement.customer.customer_class, profile)
            for segment, contract in zip(statement.segments, contracts, strict=True)
        )
        electric = any(segment.commodity == "electricity" for segment in segments)
        its = statement.utility
        mix = self.mix if "mix" in profile.shows and electric else None
        return replace(statement, utility=Utility(its.name, its.address, self.contacts, mix), segments=segments)

    def _segment(self, segment: Segment, contract: Contract, customer_class: str, profile: Profile) -> Segment:
        if "contract" in profile.shows:
            segment = replace(segment, contract=contract)
        if "typical" in profile.shows:
            its = (segment.commodity, customer_class)
            found = (each.use for each in self.typical if (each.commodity, each.customer_class) == its)
            segment = replace(segment, typical=next(found, None))
        if profile.headings and segment.commodity in profile.commodities:
            segment = replace(segment, lines=tuple(_under_headings(segment.lines, profile)))
        return segment

    def missing(self, statement: Statement, older: Sequence[bool]) -> tuple[RequiredItem, ...]:
        """Items that the statement has to show and does not, but for those that are waived.

        Parameters
        ----------
        older
            of each segment: its agreement was in force on the same days a year before.
        """
        profile = self.profile_of(statement.customer.customer_class)
        return tuple(item for item in profile.missing(statement, older) if item.key not in self.waived)


def is_older(agreement: Agreement, segment: Segment) -> bool:
    """Whether an agreement was in force on the same days a year before."""
    return agreement.valid_from <= a_year_before(segment.first)


def _under_headings(lines: Sequence[StatementLine], profile: Profile) -> Iterator[StatementLine]:
    headed = [replace(line, heading=profile.heading_of(line)) for line in lines]
    for heading in profile.headings:
        yield from (line for line in headed if line.heading == heading.title)
    yield from (line for line in headed if line.heading is None)
