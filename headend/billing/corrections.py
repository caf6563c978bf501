"""Corrections as documents: what stands of an account's period, and what takes it back, replaces it or adds to it.

An issued statement never changes. What was said of a period is the sum of its documents, so every correction is one
more of them, and what it says follows from the others and from what the period costs today. docs/corrections.md says
the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from headend.billing.backbilling import is_write_off, with_lines
from headend.billing.budgets import billed_again, off_by, taken_back
from headend.billing.digests import ENGINE
from headend.billing.peaks import goes_by_peaks_of
from headend.billing.ports import Kept
from headend.billing.statement import (
    Budget,
    Corrected,
    EventUsed,
    Kind,
    Segment,
    Statement,
    StatementLine,
    parse_statement,
    totals_of,
)
from headend.errors import BillingConflict, NotFound, StoreBroken
from headend.reads.days import next_period
from headend.tariffs import Tariff, TariffBook
from headend.tariffs.money import minor_digits


class Way(StrEnum):
    """How something is corrected: cancelled and billed again, by a document of the difference, or taken back alone."""

    REBILL = "rebill"
    DIFFERENCE = "difference"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands of an account's period.

    Parameters
    ----------
    said
        the bill that is not cancelled and its differences, as they were issued.
    documents
        everything that was issued for the period, in order.
    """

    said: tuple[Kept, ...]
    documents: tuple[Statement, ...]

    @property
    def bill(self) -> Statement:
        """The bill."""
        return self.statements[0]

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The documents that stand."""
        ids = {kept.id for kept in self.said}
        return tuple(each for each in self.documents if each.id in ids)

    @property
    def next_revision(self) -> int:
        """Of the next document."""
        return max(each.revision for each in self.documents) + 1

    @property
    def gross(self) -> Decimal:
        """What was said so far."""
        return sum((each.totals.gross for each in self.statements), Decimal(0))

    def corrected(self, number: int, reason: str) -> Corrected:
        """How a correction names one of the documents that stand."""
        its, kept = self.statements[number], self.said[number]
        if its.issued_on is None:
            raise StoreBroken(f"statement {its.id} is issued, and has no day of issue")
        return Corrected(its.id, kept.sha256, its.issued_on, reason)


def standing_of(issued: Sequence[Kept]) -> Standing | None:
    """What stands of the documents that were issued for one account and period, in order; None: nothing."""
    documents = tuple(parse_statement(kept.document) for kept in issued)
    said: list[Kept] = []
    for kept, statement in zip(issued, documents, strict=True):
        if statement.kind == "cancellation":
            said = [each for each in said if statement.corrects is None or each.id != statement.corrects.id]
        elif statement.kind == "difference":
            said.append(kept)
        else:
            said = [kept]
    return Standing(tuple(said), documents) if said else None


def checked_standing(wanted: str, issued: Sequence[Kept]) -> Standing:
    """What stands where the document `wanted` was issued; raises `BillingConflict` where that one does not."""
    standing = standing_of(issued)
    documents = [parse_statement(kept.document) for kept in issued]
    its = next((each for each in documents if each.id == wanted), None)
    if its is None:
        raise NotFound(f"no statement is called {wanted!r}")
    if its.kind == "cancellation":
        taken = "" if its.corrects is None else f" of {its.corrects.id}"
        raise BillingConflict(f"statement {wanted} is a cancellation{taken}: it is not corrected")
    if standing is None or wanted not in {kept.id for kept in standing.said}:
        by = next(each.id for each in documents if each.corrects is not None and each.corrects.id == wanted)
        instead = f"; {standing.bill.id} is in its place" if standing else ""
        raise BillingConflict(f"statement {wanted} is cancelled already, by {by}{instead}")
    return standing


class TariffsAsBilled(TariffBook):
    """A book in which the days a statement billed have the tariff versions that it names.

    Parameters
    ----------
    billed
        by tariff: first day, day after the last, and version, in order.
    """

    def __init__(self, book: TariffBook, billed: Mapping[str, Sequence[tuple[date, date, Tariff]]]) -> None:
        super().__init__(version for name in book.ids for version in book.versions(name))
        self._billed = billed

    def versions_between(self, tariff_id: str, first: date, end: date) -> list[tuple[date, date, Tariff]]:
        """As in the book; on days that were billed, what they were billed by."""
        spans: list[tuple[date, date, Tariff]] = []
        at = first
        for begin, until, version in self._billed.get(tariff_id, ()):
            if until <= at or begin >= end:
                continue
            if at < begin:
                spans += super().versions_between(tariff_id, at, begin)
            spans.append((max(at, begin), min(until, end), version))
            at = min(until, end)
        if at < end:
            spans += super().versions_between(tariff_id, at, end)
        return _joined(spans)


def _joined(spans: Iterable[tuple[date, date, Tariff]]) -> list[tuple[date, date, Tariff]]:
    joined: list[tuple[date, date, Tariff]] = []
    for first, end, version in spans:
        if joined and joined[-1][1] == first and joined[-1][2].digest == version.digest:
            joined[-1] = joined[-1][0], end, version
        else:
            joined.append((first, end, version))
    return joined


#: By tariff: first day, day after the last, and digest of the version.
Spans = tuple[tuple[str, tuple[tuple[date, date, str], ...]], ...]


def spans_of(bill: Statement) -> Spans:
    """Which version of which tariff a bill went by on which days."""
    days: dict[str, dict[date, str]] = {}
    for segment in bill.segments:
        its = days.setdefault(segment.tariff.id, {})
        for number in range(segment.first.toordinal(), segment.last.toordinal() + 1):
            its[date.fromordinal(number)] = segment.tariff.sha256
    return tuple((name, tuple(_runs(days[name]))) for name in sorted(days))


def _runs(days: Mapping[date, str]) -> Iterable[tuple[date, date, str]]:
    run: tuple[date, date, str] | None = None
    for day in sorted(days):
        after = date.fromordinal(day.toordinal() + 1)
        if run is not None and run[1] == day and run[2] == days[day]:
            run = run[0], after, run[2]
            continue
        if run is not None:
            yield run
        run = day, after, days[day]
    if run is not None:
        yield run


def tariffs_as_billed(book: TariffBook, spans: Spans) -> TariffBook:
    """The book to rate by what a bill went by; raises `NotFound` where a version is not there any more."""
    billed: dict[str, list[tuple[date, date, Tariff]]] = {}
    for name, its in spans:
        versions = {version.digest: version for version in (book.versions(name) if name in book.ids else ())}
        for first, end, digest in its:
            if digest not in versions:
                raise NotFound(f"version {digest[:12]} of tariff {name!r} is not there any more")
            billed.setdefault(name, []).append((first, end, versions[digest]))
    same = all(
        version.digest == billed_by.digest
        for name, its in billed.items()
        for first, end, billed_by in its
        for _, _, version in book.versions_between(name, first, end)
    )
    return book if same else TariffsAsBilled(book, billed)


def cancellation_of(its: Statement, corrected: Corrected, revision: int, cycle: str) -> Statement:
    """The document that takes another one back: its lines with the other sign, all else as it stands there."""
    segments = tuple(
        replace(
            segment,
            lines=tuple(_negated(line) for line in segment.lines),
            net=_minus(segment.net),
            tax=_minus(segment.tax),
            gross=_minus(segment.gross),
        )
        for segment in its.segments
    )
    budget = None if its.budget is None else taken_back(its.budget)
    return _as_correction(its, "cancellation", corrected, revision, cycle, segments, budget)


def _negated(line: StatementLine) -> StatementLine:
    estimated = None if line.estimated is None else _minus(line.estimated)
    return replace(line, quantity=_minus(line.quantity), amount=_minus(line.amount), estimated=estimated)


def _minus(number: Decimal) -> Decimal:
    # Zero has no sign on paper.
    return number.copy_negate() if number else number.copy_abs()


def rebill_of(now: Statement, corrected: Corrected, revision: int, cycle: str) -> Statement:
    """What a period costs today, as the document that takes the place of what is cancelled; `now` has its budget."""
    budget = None if now.budget is None else billed_again(now.budget, now.totals.gross)
    return _as_correction(now, "rebill", corrected, revision, cycle, now.segments, budget)


def difference_of(
    now: Statement, said: Sequence[Statement], corrected: Corrected, revision: int, cycle: str
) -> Statement:
    """What a period costs today less what was said of it so far, line by line."""
    before = _sums_of(said)
    latest = {_segment_key(segment): segment for document in said for segment in document.segments}
    segments = [
        with_lines(segment, _less(segment.lines, before.pop(_segment_key(segment), {}))) for segment in now.segments
    ]
    for key, sums in before.items():
        if lines := _less((), sums):
            segments.append(with_lines(latest[key], lines))
    budget = None
    if said[-1].budget is not None:
        budget = off_by(said[-1].budget, totals_of(tuple(segments)).gross)
    return _as_correction(now, "difference", corrected, revision, cycle, tuple(segments), budget)


_SegmentKey = tuple[str, str]
_LineKey = tuple[Any, ...]
_Sums = dict[_SegmentKey, dict[_LineKey, StatementLine]]


def _sums_of(said: Sequence[Statement]) -> _Sums:
    """What was said, by segment and line."""
    before: _Sums = {}
    for document in said:
        for segment in document.segments:
            sums = before.setdefault(_segment_key(segment), {})
            for line in segment.lines:
                _add(sums, line)
    return before


def difference_comes_out(stated: Segment, rated: Segment, said: Sequence[Statement]) -> Segment:
    """A segment of a difference as it comes out of what it costs and what was said; what is written off, as stated."""
    before = _sums_of(said).get(_segment_key(stated), {})
    without = {key: line for key, line in before.items() if not is_write_off(line)}
    charged = tuple(line for line in stated.lines if not is_write_off(line))
    taken = _less((), without)
    lines = taken if charged == taken else _less(rated.lines, without)
    return with_lines(rated, (*lines, *(line for line in stated.lines if is_write_off(line))))


def _segment_key(segment: Segment) -> _SegmentKey:
    return segment.agreement, segment.tariff.sha256


def _line_key(line: StatementLine) -> _LineKey:
    return line.kind, line.label, line.unit, line.period, line.tier, line.price, line.included, line.mean


def _add(sums: dict[_LineKey, StatementLine], line: StatementLine) -> None:
    key = _line_key(line)
    if key in sums:
        there = sums[key]
        line = replace(there, quantity=there.quantity + line.quantity, amount=there.amount + line.amount)
    sums[key] = replace(line, estimated=None)


def _less(now: Iterable[StatementLine], before: Mapping[_LineKey, StatementLine]) -> tuple[StatementLine, ...]:
    """Lines less those of before; what is nothing is left out."""
    sums: dict[_LineKey, StatementLine] = {}
    for line in now:
        _add(sums, line)
    for line in before.values():
        _add(sums, _negated(line))
    # A zero that subtraction leaves has the sign and places of its terms.
    return tuple(line for line in sums.values() if line.amount or (line.quantity and not line.mean))


def _as_correction(
    its: Statement,
    kind: Kind,
    corrected: Corrected,
    revision: int,
    cycle: str,
    segments: tuple[Segment, ...],
    budget: Budget | None,
) -> Statement:
    totals = totals_of(segments)
    zero = Decimal(0).scaleb(-minor_digits(totals.currency))
    return replace(
        its,
        id=f"{its.customer.account}-{its.period}-{revision}",
        cycle=cycle,
        revision=revision,
        kind=kind,
        corrects=corrected,
        segments=segments,
        totals=replace(totals, net=totals.net + zero, tax=totals.tax + zero, gross=totals.gross + zero),
        issued_at=None,
        issued_on=None,
        due_on=None,
        previous_sha256=None,
        engine=ENGINE,
        budget=budget,
    )


def says_the_same(now: Statement, said: Sequence[Statement]) -> bool:
    """Whether what a period costs today is what was said of it, line by line, and leaves the same to the next."""
    before = _sums_of(said)
    for segment in now.segments:
        if _less(segment.lines, before.pop(_segment_key(segment), {})):
            return False
    if any(_less((), sums) for sums in before.values()):
        return False
    left, leaves = ({_segment_key(each): each.carried for each in its.segments} for its in (said[-1], now))
    return all(left.get(key) == bank for key, bank in leaves.items())


@dataclass(frozen=True, slots=True)
class Touched:
    """A later statement that rests on what a correction changes: which of its segments, and on what."""

    statement: Statement
    segment: Segment
    why: str


def touched_by(
    standing: Standing, now: Statement | None, later: Iterable[Statement], ratcheted: Mapping[str, Tariff]
) -> list[Touched]:
    """Statements of later periods that take over another bank now, or go by a peak that may be another.

    Parameters
    ----------
    now
        None: the period is taken back.
    later
        what stands of later periods.
    ratcheted
        versions whose demand goes by peaks of earlier months, by digest. A statement does not say which months it went
        by: peaks of nothing are left out.
    """
    before, period = standing.statements[-1], standing.bill.period
    left = {segment.agreement: segment.carried for segment in before.segments}
    leaves = {segment.agreement: segment.carried for segment in now.segments} if now else {}
    banks = {name for name in left.keys() | leaves.keys() if left.get(name) != leaves.get(name)}
    changed = _measured_by(before) ^ (_measured_by(now) if now else set())
    peaks = {agreement for agreement, *_ in changed}
    found = []
    for statement in later:
        for segment in statement.segments:
            whys = []
            if statement.period == next_period(period) and segment.agreement in banks:
                whys.append("the bank")
            tariff = ratcheted.get(segment.tariff.sha256) if segment.agreement in peaks else None
            if tariff is not None and goes_by_peaks_of(tariff, statement.period, period):
                whys.append("the peak")
            if whys:
                found.append(Touched(statement, segment, f"{' and '.join(whys)} of {period}"))
    return found


def touched_by_late(late: Statement, later: Iterable[Statement]) -> list[Touched]:
    """Statements issued before that of an earlier period, which took over another bank than that one leaves.

    Parameters
    ----------
    later
        what stands of later periods.
    """
    left = {its.agreement: its.carried for its in sorted(late.segments, key=lambda each: each.last)}
    found = []
    for statement in later:
        if statement.period == next_period(late.period):
            first: dict[str, Segment] = {}
            for its in sorted(statement.segments, key=lambda each: each.first):
                first.setdefault(its.agreement, its)
            whose = [its for agreement, its in first.items() if agreement in left and its.brought != left[agreement]]
            found += [Touched(statement, its, f"the bank of {late.period}") for its in whose]
    return found


def has_bank_left(statement: Statement) -> bool:
    """Whether it leaves anything to the next period."""
    return any(segment.carried for segment in statement.segments)


def may_touch(standing: Standing, now: Statement | None, ratcheted: Mapping[str, Tariff]) -> bool:
    """Whether later statements have to be looked at: there is a bank, or a version of the tariff has a ratchet."""
    segments = [*standing.statements[-1].segments, *(now.segments if now else ())]
    tariffs = {tariff.id for tariff in ratcheted.values()}
    return any(segment.carried or segment.tariff.id in tariffs for segment in segments)


def _measured_by(statement: Statement) -> set[tuple[str, str, tuple[EventUsed, ...]]]:
    # An event is a TOU period of its own, which may have a peak of its own.
    return {(segment.agreement, segment.reads_sha256, segment.events) for segment in statement.segments}
