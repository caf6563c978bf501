"""Why one statement differs from another of the same account: the difference split into causes, to the cent.

Everything is taken from the two statements: quantity and price of matching lines, days, use. Neither reads nor tariffs
are needed, so a statement can be explained as long as it exists. The old bill is turned into the new one step by step,
always in the same order, and what a step changes is its cause's part: days, use a day, season, when it was used, tier,
price. Amounts are exact fractions until the end; then each part is rounded once, and *rounding* is what is left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, Literal, TypeVar

from headend.billing.backbilling import KIND, is_write_off
from headend.billing.statement import Segment, Statement, StatementLine
from headend.errors import InvalidInput
from headend.tariffs.money import minor_digits


class Cause(StrEnum):
    """What makes two bills differ, in the order in which the steps are taken."""

    DAYS = "days"
    USE = "use"
    SEASON = "season"
    WHEN = "when"
    TIER = "tier"
    PRICE = "price"
    FIXED = "fixed"
    DEMAND = "demand"
    SURCHARGES = "surcharges"
    CREDITS = "credits"
    TAX_BASE = "tax_base"
    TAX_RATE = "tax_rate"
    SERVICES = "services"
    ROUNDING = "rounding"


#: What a kind of line counts as, where its quantity and price are not told apart.
_WHOLE = {
    "export": Cause.CREDITS,
    "bank": Cause.CREDITS,
    "baseline_credit": Cause.CREDITS,
    "demand": Cause.DEMAND,
    "reactive": Cause.DEMAND,
    "power_factor": Cause.DEMAND,
    "percentage": Cause.SURCHARGES,
    "minimum": Cause.SURCHARGES,
    "write_off": Cause.CREDITS,
}
_Named = TypeVar("_Named", str, int)

_TIME_UNITS = ("day", "month", "year")

#: Amount by cause [currency], exact.
_Parts = dict[Cause, Fraction]
#: TOU period and tier.
_Cell = tuple[str | None, int | None]


@dataclass(frozen=True, slots=True)
class Part:
    """One cause's part of a difference; positive: the newer statement is higher by it."""

    cause: Cause
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Side:
    """One service as it stands on one of the two statements.

    Parameters
    ----------
    use
        [unit of the service].
    shares
        of use by label of the TOU period; nothing where there is one.
    tiers
        shares of use by tier, the first first; nothing where there is one.
    tax_rates
        as 0.19 for 19 %, each once.
    """

    days: int
    use: Decimal
    unit: str
    tariffs: tuple[str, ...]
    versions: tuple[str, ...]
    shares: Mapping[str, Fraction]
    tiers: tuple[Fraction, ...]
    tax_rates: tuple[Decimal, ...]
    gross: Decimal


@dataclass(frozen=True, slots=True)
class ServiceExplained:
    """One commodity at one usage point; `before` or `now` is None where only one statement has it."""

    commodity: str
    usage_point: str
    before: Side | None
    now: Side | None
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a statement differs from another: `difference` = now − before = sum of `parts` = that of all services'."""

    statement: str
    compared_with: str
    account: str
    currency: str
    before: tuple[date, date, Decimal]
    now: tuple[date, date, Decimal]
    difference: Decimal
    parts: tuple[Part, ...]
    services: tuple[ServiceExplained, ...]


def explain(now: Statement, before: Statement) -> Explanation:
    """Split the difference of two statements' gross totals into its causes.

    Raises
    ------
    InvalidInput
        they are one statement, of two accounts, or in two currencies.
    """
    _check_comparable(now, before)
    digits = minor_digits(now.totals.currency)
    services = tuple(_service(old, new, digits) for old, new in _paired(before.segments, now.segments))
    difference = now.totals.gross - before.totals.gross
    sums: dict[Cause, Decimal] = defaultdict(Decimal)
    for service in services:
        for part in service.parts:
            sums[part.cause] += part.amount
    sums[Cause.ROUNDING] += difference - sum(sums.values(), Decimal(0))
    return Explanation(
        now.id,
        before.id,
        now.customer.account,
        now.totals.currency,
        (before.first, before.last, before.totals.gross),
        (now.first, now.last, now.totals.gross),
        difference,
        _in_order(sums),
        services,
    )


def _check_comparable(now: Statement, before: Statement) -> None:
    if now.id == before.id:
        raise InvalidInput("with", before.id, "another statement than the one to explain")
    if now.customer.account != before.customer.account:
        raise InvalidInput(
            "with",
            f"{before.id}, of account {before.customer.account}",
            f"a statement of account {now.customer.account}",
        )
    if now.totals.currency != before.totals.currency:
        raise InvalidInput("with", f"{before.id}, in {before.totals.currency}", f"a statement in {now.totals.currency}")


def _in_order(sums: Mapping[Cause, Decimal]) -> tuple[Part, ...]:
    return tuple(Part(cause, sums[cause]) for cause in Cause if sums.get(cause))


_Pair = tuple[list[Segment], list[Segment]]


def _paired(before: Iterable[Segment], now: Iterable[Segment]) -> list[_Pair]:
    """Segments by service; what is left alone on both sides of one commodity has moved, and is one service."""
    places: dict[tuple[str, str], _Pair] = {}
    for side, segments in enumerate((before, now)):
        for segment in segments:
            places.setdefault((segment.commodity, segment.usage_point), ([], []))[side].append(segment)
    alone: dict[str, tuple[list[list[Segment]], list[list[Segment]]]] = {}
    pairs = []
    for (commodity, _), (old, new) in places.items():
        if old and new:
            pairs.append((old, new))
        else:
            alone.setdefault(commodity, ([], []))[0 if old else 1].append(old or new)
    for left, come in alone.values():
        if len(left) == len(come) == 1:
            pairs.append((left[0], come[0]))
        else:
            pairs += [(segments, []) for segments in left]
            pairs += [([], segments) for segments in come]
    return pairs


def _service(old: Sequence[Segment], new: Sequence[Segment], digits: int) -> ServiceExplained:
    shown = (new or old)[0]
    before, now = _side(old), _side(new)
    if before is None or now is None:
        parts: _Parts = {Cause.SERVICES: Fraction(_gross(new) - _gross(old))}
    else:
        parts = _Comparison(old, new).parts()
    sums = {cause: _rounded(amount, digits) for cause, amount in parts.items()}
    sums[Cause.ROUNDING] = _gross(new) - _gross(old) - sum(sums.values(), Decimal(0))
    return ServiceExplained(shown.commodity, shown.usage_point, before, now, _in_order(sums))


def _gross(segments: Sequence[Segment]) -> Decimal:
    return sum((segment.gross for segment in segments), Decimal(0))


def _rounded(amount: Fraction, digits: int) -> Decimal:
    """Half away from zero, to the currency's minor unit."""
    scaled = abs(amount) * 10**digits
    units = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Decimal(units if amount >= 0 else -units).scaleb(-digits).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def _side(segments: Sequence[Segment]) -> Side | None:
    if not segments:
        return None
    use = sum((segment.usage for segment in segments), Decimal(0))
    shares: dict[str, Fraction] = defaultdict(Fraction)
    tiers: dict[int, Fraction] = defaultdict(Fraction)
    for segment in segments:
        for period in segment.usage_by_period:
            shares[period.label] += Fraction(period.quantity)
        for tier in segment.usage_by_tier:
            tiers[tier.tier] += Fraction(tier.quantity)
    taxes = [
        line.price for segment in segments for line in segment.lines if line.kind == "tax" and not is_write_off(line)
    ]
    return Side(
        days=sum(segment.days for segment in segments),
        use=use,
        unit=segments[-1].unit,
        tariffs=tuple(dict.fromkeys(segment.tariff.name for segment in segments)),
        versions=tuple(dict.fromkeys(segment.tariff.sha256 for segment in segments)),
        shares=_as_shares(shares),
        tiers=tuple(_as_shares(dict(sorted(tiers.items()))).values()),
        tax_rates=tuple(dict.fromkeys(taxes)),
        gross=_gross(segments),
    )


def _as_shares(sums: Mapping[_Named, Fraction]) -> dict[_Named, Fraction]:
    whole = sum(sums.values(), Fraction(0))
    return {key: each / whole for key, each in sums.items()} if whole else {}


@dataclass(slots=True)
class _Sum:
    """Lines of one price, or of one component, added up; `exact` is quantity × price, not rounded."""

    quantity: Fraction = Fraction(0)
    exact: Fraction = Fraction(0)

    def add(self, quantity: Fraction, exact: Fraction) -> None:
        self.quantity += quantity
        self.exact += exact

    @property
    def price(self) -> Fraction:
        return self.exact / self.quantity


@dataclass(slots=True)
class _Group:
    """Lines of one component: sums by TOU period and tier."""

    cells: dict[_Cell, _Sum] = field(default_factory=dict)

    @property
    def whole(self) -> _Sum:
        return _added(self.cells.values())

    @property
    def periods(self) -> set[str | None]:
        return {period for period, _ in self.cells}

    def along(self, axis: Literal[0, 1]) -> dict[str | int | None, _Sum]:
        """Sums by TOU period (0) or by tier (1)."""
        sums: dict[str | int | None, _Sum] = {}
        for cell, its in self.cells.items():
            sums.setdefault(cell[axis], _Sum()).add(its.quantity, its.exact)
        return sums


def _added(sums: Iterable[_Sum]) -> _Sum:
    whole = _Sum()
    for each in sums:
        whole.add(each.quantity, each.exact)
    return whole


#: Kind of line, label of the component, unit.
_Key = tuple[str, str, str]


def _groups(segments: Sequence[Segment]) -> dict[_Key, _Group]:
    """Lines by component. A tax that the prices contain adds nothing to the bill, and is left out."""
    groups: dict[_Key, _Group] = {}
    for segment in segments:
        labels = {period.name: period.label for period in segment.usage_by_period}
        for line in segment.lines:
            if line.included:
                continue
            kind = KIND if is_write_off(line) else line.kind
            group = groups.setdefault((kind, _component_of(line, labels), line.unit), _Group())
            group.cells.setdefault((line.period, line.tier), _Sum()).add(Fraction(line.quantity), _exact(line))
    return groups


def _exact(line: StatementLine) -> Fraction:
    # A mean price is rounded itself: quantity × mean would be less exact than the amount.
    return Fraction(line.amount) if line.mean else Fraction(line.quantity) * Fraction(line.price)


def _component_of(line: StatementLine, labels: Mapping[str, str]) -> str:
    """A line's label without period and tier, which stand behind the component's own."""
    label = line.label
    if line.tier is not None:
        label = label.removesuffix(f", tier {line.tier}")
    if line.period is None:
        return label
    known = f", {labels.get(line.period, '')}"
    return label.removesuffix(known) if label.endswith(known) else label.rpartition(", ")[0] or label


class _Comparison:
    """One service on two statements."""

    def __init__(self, old: Sequence[Segment], new: Sequence[Segment]) -> None:
        self._old, self._new = _groups(old), _groups(new)
        self._days = Fraction(sum(each.days for each in new), sum(each.days for each in old))
        one_unit = len({each.unit for each in (*old, *new)}) == 1
        self._uses = tuple(
            sum((Fraction(each.usage if one_unit else each.metered) for each in side), Fraction(0))
            for side in (old, new)
        )
        self._one_version = {each.tariff.sha256 for each in old} == {each.tariff.sha256 for each in new}
        self._one_clock = _periods(old) == _periods(new)
        self._nets = any(
            each.export is not None or each.brought is not None or each.carried is not None for each in (*old, *new)
        )
        self._parts: _Parts = defaultdict(Fraction)

    def parts(self) -> _Parts:
        """Every line of both bills, in the part it belongs to."""
        for kind in dict.fromkeys(key[0] for key in (*self._old, *self._new)):
            old = {key: group for key, group in self._old.items() if key[0] == kind}
            new = {key: group for key, group in self._new.items() if key[0] == kind}
            if kind == "energy":
                self._energy(old, new)
            elif kind == "standing":
                self._matching(old, new, Cause.DAYS, Cause.FIXED)
            elif kind == "tax":
                self._taxes(old, new)
            else:
                self._parts[_WHOLE[kind]] += _pool(new).exact - _pool(old).exact
        return self._parts

    def _energy(self, old: Mapping[_Key, _Group], new: Mapping[_Key, _Group]) -> None:
        matched = {key for key in old.keys() & new.keys() if self._same_structure(old[key], new[key])}
        for key in sorted(matched):
            was, now = old[key].whole.quantity, new[key].whole.quantity
            days = now / was if key[2] in _TIME_UNITS and was else self._days
            self._step_by_step(old[key], new[key], days)
        # Components that have no like on the other bill: all of them together, by their mean price.
        gone = [group for key, group in old.items() if key not in matched]
        come = [group for key, group in new.items() if key not in matched]
        if gone or come:
            self._by_mean_price(
                _added(group.whole for group in gone).exact, _added(group.whole for group in come).exact, gone, come
            )

    def _same_structure(self, old: _Group, new: _Group) -> bool:
        """Whether prices stand in the same places: the same tariff version, or the same periods, and tiers on both."""
        if self._one_version:
            return True
        periods, before = new.periods, old.periods
        tiered = {tier is None for _, tier in (*old.cells, *new.cells)}
        return len(tiered) == 1 and ((None in periods) == (None in before)) and (self._one_clock or periods <= before)

    def _step_by_step(self, old: _Group, new: _Group, days: Fraction) -> None:
        was, now, parts = old.whole, new.whole, self._parts
        if not was.quantity or not now.quantity:
            parts[Cause.USE] += now.exact - was.exact
            return
        more = now.quantity / was.quantity
        parts[Cause.DAYS] += was.exact * (days - 1)
        parts[Cause.USE] += was.exact * (more - days)
        # First between periods, then between the tiers of each; tiers that all periods share are told apart first.
        shared = any(None in group.periods and len(group.periods) > 1 for group in (old, new))
        before, after = old.along(1 if shared else 0), new.along(1 if shared else 0)
        mean = {name: each.price for name, each in {**after, **before}.items() if each.quantity}
        share_before = {name: each.quantity / was.quantity for name, each in before.items() if each.quantity}
        share_now = {name: each.quantity / now.quantity for name, each in after.items() if each.quantity}

        def cost(shares: Mapping[str | int | None, Fraction]) -> Fraction:
            return now.quantity * sum((share * mean[name] for name, share in shares.items()), Fraction(0))

        turned = share_before if shared else _other_season(share_before, share_now)
        parts[Cause.SEASON] += cost(turned) - cost(share_before)
        parts[Cause.TIER if shared else Cause.WHEN] += cost(share_now) - cost(turned)
        at_old_prices = Fraction(0)
        for cell, its in new.cells.items():
            before_it = old.cells.get(cell)
            at_old_prices += its.quantity * before_it.price if before_it and before_it.quantity else its.exact
        parts[Cause.WHEN if shared else Cause.TIER] += at_old_prices - cost(share_now)
        parts[Cause.PRICE] += now.exact - at_old_prices

    def _by_mean_price(self, was: Fraction, now: Fraction, gone: Sequence[_Group], come: Sequence[_Group]) -> None:
        parts, (used_before, used_now) = self._parts, self._uses
        if not (used_before and used_now):
            parts[Cause.USE] += now - was
        elif self._one_version and self._nets:
            parts[Cause.CREDITS] += now - was
        elif not gone or not come:
            parts[Cause.PRICE] += now - was
        else:
            more = used_now / used_before
            parts[Cause.DAYS] += was * (self._days - 1)
            parts[Cause.USE] += was * (more - self._days)
            parts[Cause.PRICE] += now - was * more

    def _taxes(self, old: Mapping[_Key, _Group], new: Mapping[_Key, _Group]) -> None:
        """By label; those that are on one bill alone, such as of another rate that their label names, together."""
        both = old.keys() & new.keys()
        self._matching({key: old[key] for key in both}, {key: new[key] for key in both}, Cause.TAX_BASE, Cause.TAX_RATE)
        gone = _pool({key: group for key, group in old.items() if key not in both})
        come = _pool({key: group for key, group in new.items() if key not in both})
        self._quantity_and_price(gone, come, Cause.TAX_BASE, Cause.TAX_RATE)

    def _matching(
        self, old: Mapping[_Key, _Group], new: Mapping[_Key, _Group], by_quantity: Cause, by_price: Cause
    ) -> None:
        for key in sorted(old.keys() | new.keys()):
            was, now = (side[key].whole if key in side else _Sum() for side in (old, new))
            self._quantity_and_price(was, now, by_quantity, by_price)

    def _quantity_and_price(self, was: _Sum, now: _Sum, by_quantity: Cause, by_price: Cause) -> None:
        if was.quantity and now.quantity:
            moved = was.price * (now.quantity - was.quantity)
            self._parts[by_quantity] += moved
            self._parts[by_price] += now.exact - was.exact - moved
        else:
            self._parts[by_price] += now.exact - was.exact


def _periods(segments: Sequence[Segment]) -> set[str]:
    return {period.name for segment in segments for period in segment.usage_by_period}


def _pool(groups: Mapping[_Key, _Group]) -> _Sum:
    return _added(group.whole for group in groups.values())


def _other_season(
    before: Mapping[str | int | None, Fraction], now: Mapping[str | int | None, Fraction]
) -> Mapping[str | int | None, Fraction]:
    """The old shares, with what was used in periods that are gone spread over those that came in their place.

    Periods are another season's where some are gone and others came. Where only one of the two is so, somebody just
    used nothing in a period, or an event was called.
    """
    gone = sum((share for period, share in before.items() if period not in now), Fraction(0))
    come = {period: share for period, share in now.items() if period not in before}
    if not gone or not come:
        return before
    whole = sum(come.values(), Fraction(0))
    kept = {period: share for period, share in before.items() if period in now}
    return kept | {period: gone * share / whole for period, share in come.items()}


def to_json(explanation: Explanation) -> dict[str, Any]:
    """An explanation as JSON data; amounts are decimal text, and every cause is there that has a part."""
    return {
        "statement": explanation.statement,
        "compared_with": explanation.compared_with,
        "account": explanation.account,
        "currency": explanation.currency,
        "before": _total_json(*explanation.before),
        "now": _total_json(*explanation.now),
        "difference": format(explanation.difference, "f"),
        "parts": _parts_json(explanation.parts),
        "services": [
            {
                "commodity": service.commodity,
                "usage_point": service.usage_point,
                "before": _side_json(service.before),
                "now": _side_json(service.now),
                "parts": _parts_json(service.parts),
            }
            for service in explanation.services
        ],
    }


def _total_json(first: date, last: date, gross: Decimal) -> dict[str, str]:
    return {"first": first.isoformat(), "last": last.isoformat(), "gross": format(gross, "f")}


def _parts_json(parts: Iterable[Part]) -> list[dict[str, str]]:
    return [{"cause": str(part.cause), "amount": format(part.amount, "f")} for part in parts]


def _side_json(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {
        "days": side.days,
        "use": format(side.use, "f"),
        "unit": side.unit,
        "tariffs": list(side.tariffs),
        "gross": format(side.gross, "f"),
    }
