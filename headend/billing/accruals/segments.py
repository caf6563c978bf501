"""Segments so far of parts that were rated together: those that have the same lines have one form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from headend.billing.accruals.accrual import LineSoFar, SegmentSoFar
from headend.billing.columns import column, numbers, some_of
from headend.billing.metered import UNIT_SCALE
from headend.billing.parts import Part
from headend.reads.days import moment
from headend.tariffs import RatedBatch
from headend.tariffs.arrays import Int64s
from headend.tariffs.money import Integers, minor_digits
from headend.tariffs.rating.bill import Column


@dataclass(frozen=True, slots=True, eq=False)
class SegmentsAlike:
    """Segments of one form, of `k` parts.

    Parameters
    ----------
    gross
        what they come to so far [minor units] (k,).
    reads_end_s
        of each [s since 1970] (k,).
    to_come
        what they will come to, by scenario [minor units] (3, k); it means nothing where the account is unforeseen.
    """

    form: SegmentSoFar
    parts: Sequence[Part]
    gross: Integers
    reads_end_s: Int64s
    to_come: Integers

    def some(self, places: list[int]) -> SegmentsAlike:
        """Some of them."""
        if places == list(range(len(self.parts))):
            return self
        return SegmentsAlike(
            some_of(self.form, places),
            [self.parts[place] for place in places],
            self.gross[places],
            self.reads_end_s[places],
            self.to_come[:, places],
        )


@dataclass(frozen=True, slots=True, eq=False)
class PartsSoFar:
    """`k` parts of one kind that were rated together, and what their segments tell.

    Parameters
    ----------
    totals, to_come
        what they come to so far (k,), and will, by scenario (3, k) [minor units].
    usage, export
        used and fed in [base units] (k,); None: not billed.
    reads_end_s
        up to where there are reads [s since 1970] (k,).
    daily, expected
        use by local day [base units], so far and as expected; by part.
    """

    parts: Sequence[Part]
    bills: RatedBatch
    totals: Integers
    to_come: Integers
    usage: Int64s
    export: Int64s | None
    reads_end_s: Int64s
    daily: Sequence[tuple[int, ...]]
    expected: Sequence[tuple[int, ...]]

    def segments(self) -> Iterator[SegmentsAlike]:
        """A segment of each part, those together that are alike."""
        columns, n = self.bills.columns, self.bills.n
        there = np.stack([np.broadcast_to(line.is_there, n) for line in columns], axis=1)
        patterns, which = np.unique(there, axis=0, return_inverse=True)
        for number, pattern in enumerate(patterns):
            lines = [line for line, is_there in zip(columns, pattern, strict=True) if is_there]
            yield self._alike(lines, np.flatnonzero(which == number).tolist())

    def _alike(self, lines: Sequence[Column], places: list[int]) -> SegmentsAlike:
        """The segments in some places, all of which have these lines."""
        parts, one = [self.parts[place] for place in places], self.parts[0]
        currency, gross, reads_end_s = self.bills.currency, self.totals[places], self.reads_end_s[places]
        digits = minor_digits(currency)
        form = SegmentSoFar(
            agreement=column([part.agreement.id for part in parts]),
            commodity=one.agreement.commodity,
            unit=one.tariff.unit,
            tariff=one.tariff.name,
            currency=currency,
            first=one.first,
            last=one.end - timedelta(days=1),
            usage=numbers(self.usage[places], UNIT_SCALE),
            export=None if self.export is None else numbers(self.export[places], UNIT_SCALE),
            gross=numbers(gross, digits),
            reads_end=moments(reads_end_s),
            daily=column([self.daily[place] for place in places]),
            expected=column([self.expected[place] for place in places]),
            lines=tuple([_line(each.some(places), digits) for each in lines]),
        )
        return SegmentsAlike(form, parts, gross, reads_end_s, self.to_come[:, places])


def moments(at_s: Int64s) -> datetime:
    """Moments [s since 1970] in one place of each document; most are the same."""
    found = {each: moment(each) for each in np.unique(at_s).tolist()}
    return column([found[each] for each in at_s.tolist()])


def _line(line: Column, digits: int) -> LineSoFar:
    charge = line.charge
    return LineSoFar(
        charge.kind,
        charge.label,
        charge.unit,
        charge.period,
        charge.tier,
        numbers(line.quantity, line.quantity_scale, is_plain=True),
        numbers(line.amount, digits),
    )
