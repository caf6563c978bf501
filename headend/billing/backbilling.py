"""The back-billing limit: use of days longer ago is not charged more than it was billed.

docs/corrections.md says the rule. It compares money and use of one usage point and commodity, whatever agreements and
tariff versions these were under.
"""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from headend.billing.statement import Segment, Statement, StatementLine
from headend.tariffs.money import half_up, minor_digits

#: The line's kind, and its label in the document; on paper it stands in the customer's language.
KIND = "write_off"
LABEL = "Back-billing limit"

_Place = tuple[str, str]
_Tax = tuple[str, bool]


@dataclass(frozen=True, slots=True)
class BackBilling:
    """How many months ago what was used may still be charged; 0: any number."""

    months: int = 0
    by_class: Mapping[str, int] = field(default_factory=dict)

    def limit(self, customer_class: str, today: date) -> date | None:
        """The first local day that may be charged afterwards; None: every day."""
        months = self.by_class.get(customer_class, self.months)
        if not months:
            return None
        year, month = divmod(today.year * 12 + today.month - 1 - months, 12)
        return date(year, month + 1, min(today.day, monthrange(year, month + 1)[1]))


#: Everything may be charged.
NO_LIMIT = BackBilling()


@dataclass(slots=True)
class Charged:
    """What one usage point and commodity is charged: gross, the taxes by label, and use by local day."""

    gross: Decimal = Decimal(0)
    taxes: dict[_Tax, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    daily: dict[date, Decimal] = field(default_factory=lambda: defaultdict(Decimal))


def charged(segments: Iterable[Segment]) -> dict[_Place, Charged]:
    """What segments charge, by usage point and commodity."""
    found: dict[_Place, Charged] = defaultdict(Charged)
    for segment in segments:
        its = found[segment.usage_point, segment.commodity]
        _add_money(its, segment)
        for use in segment.daily:
            its.daily[use.day] += use.quantity
    return found


def billed_before(documents: Sequence[Statement]) -> dict[_Place, Charged]:
    """What was charged after the newest of these documents of a period, in order, that came without a write-off."""
    newest: dict[_Place, Charged] = {}
    so_far: list[Statement] = []
    for document in documents:
        if document.kind == "cancellation":
            so_far = [each for each in so_far if document.corrects is None or each.id != document.corrects.id]
            continue
        so_far = [*so_far, document] if document.kind == "difference" else [document]
        if not any(has_write_off(segment) for each in so_far for segment in each.segments):
            newest = _together(so_far)
    return newest


def _together(documents: Sequence[Statement]) -> dict[_Place, Charged]:
    """Money is the sum of a bill and its differences, use is what the last of them says."""
    found = charged(documents[-1].segments)
    for document in documents[:-1]:
        for segment in document.segments:
            _add_money(found[segment.usage_point, segment.commodity], segment)
    return found


def _add_money(its: Charged, segment: Segment) -> None:
    its.gross += segment.gross
    for line in segment.lines:
        if line.kind == "tax":
            its.taxes[line.label, line.included] += line.amount


def has_write_off(segment: Segment) -> bool:
    """Whether some of what it charges is written off."""
    return any(line.kind == KIND for line in segment.lines)


def within_limit(segments: Sequence[Segment], before: Mapping[_Place, Charged], limit: date) -> tuple[Segment, ...]:
    """Segments rated today, of which none charges more for days before the limit than was billed."""
    limited = list(segments)
    for place, now in charged(segments).items():
        last = max(number for number, each in enumerate(segments) if (each.usage_point, each.commodity) == place)
        lines = _write_off(now, before.get(place, Charged()), limit, segments[last].currency)
        if lines:
            limited[last] = with_lines(segments[last], (*segments[last].lines, *lines))
    return tuple(limited)


def _write_off(now: Charged, before: Charged, limit: date, currency: str) -> list[StatementLine]:
    increase = now.gross - before.gross
    part = _part_of_old_days(now, before, limit) if increase > 0 else Fraction(0)
    whole = _rounded(Fraction(increase) * part, currency)
    if not whole:
        return []
    taxes = {
        tax: _rounded(Fraction(now.taxes.get(tax, Decimal(0)) - before.taxes.get(tax, Decimal(0))) * part, currency)
        for tax in sorted(now.taxes.keys() | before.taxes.keys())
    }
    added = sum((amount for (_, included), amount in taxes.items() if not included), Decimal(0))
    lines = [_line(KIND, LABEL, whole - added, currency)]
    for (label, included), amount in taxes.items():
        if amount:
            lines.append(_line("tax", label, amount, currency, included=included))
    return lines


def _part_of_old_days(now: Charged, before: Charged, limit: date) -> Fraction:
    """Which part of an increase is of the days before the limit."""
    days = now.daily.keys() | before.daily.keys()
    more = {day: now.daily.get(day, Decimal(0)) - before.daily.get(day, Decimal(0)) for day in days}
    old = max(Decimal(0), sum((use for day, use in more.items() if day < limit), Decimal(0)))
    others = max(Decimal(0), sum((use for day, use in more.items() if day >= limit), Decimal(0)))
    if old or others:
        return Fraction(old) / Fraction(old + others)
    return Fraction(sum(day < limit for day in days), len(days) or 1)


def _rounded(amount: Fraction, currency: str) -> Decimal:
    """To the smallest coin, half away from zero."""
    digits = minor_digits(currency)
    return Decimal(half_up(amount * 10**digits)).scaleb(-digits)


def _line(kind: str, label: str, amount: Decimal, currency: str, *, included: bool = False) -> StatementLine:
    return StatementLine(kind, label, -amount, currency, Decimal(1), -amount, None, None, included=included)


def with_lines(segment: Segment, lines: tuple[StatementLine, ...]) -> Segment:
    """A segment that charges these lines."""
    gross = sum((line.amount for line in lines if not line.included), Decimal(0))
    tax = sum((line.amount for line in lines if line.kind == "tax"), Decimal(0))
    digits = minor_digits(segment.currency)
    zero = Decimal(0).scaleb(-digits)
    return replace(segment, lines=lines, net=gross - tax + zero, tax=tax + zero, gross=gross + zero)


def is_write_off(line: StatementLine) -> bool:
    """Whether a line writes off, or is the tax on what is written off; a tax's own price is its rate."""
    return line.kind == KIND or (line.kind == "tax" and line.price == 1)
