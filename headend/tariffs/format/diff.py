"""What changed between two tariffs, key by key; seasons, periods and components are known by name, not by place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from headend.tariffs.format.components import Component
from headend.tariffs.format.fields import Part
from headend.tariffs.format.schema import Tariff
from headend.tariffs.format.times import Period
from headend.tariffs.money import plain

_PARTS = {"holidays", "net_metering", "seasons", "periods", "schedules", "components"}
_HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Change:
    """One key that differs; None on the side where it does not stand.

    Parameters
    ----------
    percent
        by how much a number rose, in percent, rounded to 2 places; None for what is no number, and from zero.
    """

    where: str
    before: str | None
    after: str | None
    percent: Decimal | None = None


def diff(before: Tariff, after: Tariff) -> list[Change]:
    """All that differs, in the order of the file: head, seasons, periods, schedules, components.

    A component is found again by its name, else by kind and label, else if it is the only one of its kind that is left.
    """
    heads = [each.model_dump(exclude=_PARTS) for each in (before, after)]
    found = [*_values("", *heads)]
    found += _parts("net_metering", before.net_metering, after.net_metering)
    found += _parts("holidays", before.holidays, after.holidays)
    found += _named("seasons", before.seasons, after.seasons)
    found += _periods("periods", before.periods, after.periods)
    for name in dict.fromkeys([*before.schedules, *after.schedules]):
        key = f"schedules.{name}"
        found += _periods(key, before.schedules.get(name, ()), after.schedules.get(name, ()))
    return [*found, *_components(before.components, after.components)]


def _periods(where: str, before: Sequence[Period], after: Sequence[Period]) -> Iterator[Change]:
    yield from _named(where, before, after)
    yield from _order(where, [each.name for each in before], [each.name for each in after])


def _named(where: str, before: Sequence[Any], after: Sequence[Any]) -> Iterator[Change]:
    old, new = ({each.name: each for each in side} for side in (before, after))
    for name in dict.fromkeys([*old, *new]):
        yield from _parts(f"{where}[{name}]", old.get(name), new.get(name))


def _components(before: Sequence[Component], after: Sequence[Component]) -> Iterator[Change]:
    pairs = _matched(before, after)
    taken = {new for _, new in pairs}
    partner = dict(pairs)
    for index, component in enumerate(before):
        new = partner.get(index)
        yield from _parts(_title(component), component, None if new is None else after[new])
    for index, component in enumerate(after):
        if index not in taken:
            yield from _parts(_title(component), None, component)
    yield from _order(
        "components",
        [before[old].name or before[old].label for old, _ in sorted(pairs)],
        [before[old].name or before[old].label for old, _ in sorted(pairs, key=lambda pair: pair[1])],
    )


def _title(component: Component) -> str:
    return f"components[{component.name or component.label}]"


def _matched(before: Sequence[Component], after: Sequence[Component]) -> list[tuple[int, int]]:
    """Places of the same component on both sides."""
    pairs: list[tuple[int, int]] = []
    old, new = dict(enumerate(before)), dict(enumerate(after))
    same: tuple[Callable[[Component], object], ...] = (
        lambda each: each.name,
        lambda each: (each.kind, each.label),
    )
    for key in same:
        for index, component in [*old.items()]:
            partner = next((at for at, each in new.items() if key(component) and key(each) == key(component)), None)
            if partner is not None and new[partner].kind == component.kind:
                pairs.append((index, partner))
                del old[index], new[partner]
    for kind in dict.fromkeys(each.kind for each in before):
        left, right = ([at for at, each in side.items() if each.kind == kind] for side in (old, new))
        if len(left) == len(right) == 1:
            pairs.append((left[0], right[0]))
    return pairs


def _parts(where: str, before: Part | None, after: Part | None) -> Iterator[Change]:
    if before is None or after is None:
        old, new = (
            None if each is None else each.model_dump(exclude_unset=True, exclude={"name"}) for each in (before, after)
        )
    else:
        old, new = before.model_dump(), after.model_dump()
    yield from _values(where, old, new)


def _order(where: str, before: Sequence[str], after: Sequence[str]) -> Iterator[Change]:
    old, new = ([name for name in side if name in before and name in after] for side in (before, after))
    if old != new:
        yield Change(f"{where} (order)", ", ".join(old), ", ".join(new))


def _values(where: str, before: Any, after: Any) -> Iterator[Change]:
    """Differences below a key."""
    if before == after:
        return
    if isinstance(before, dict) or isinstance(after, dict):
        # One price for all periods beside a table: it is that of each.
        old, new = (side if isinstance(side, dict) else _Always(side) for side in (before, after))
        for key in dict.fromkeys([*old, *new]):
            yield from _values(f"{where}.{key}".removeprefix("."), old.get(key), new.get(key))
    elif _are_tables(before) or _are_tables(after):
        old_rows, new_rows = before or (), after or ()
        for index in range(max(len(old_rows), len(new_rows))):
            old_row, new_row = (rows[index] if index < len(rows) else None for rows in (old_rows, new_rows))
            yield from _values(f"{where}[{index}]", old_row, new_row)
    else:
        yield Change(where, _text(before), _text(after), _percent(before, after))


class _Always(dict[str, Any]):
    """The same value under every key."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self._value = value

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ARG002 - dict's own signature
        """The value."""
        return self._value


def _are_tables(value: Any) -> bool:
    return isinstance(value, tuple | list) and any(isinstance(each, dict) for each in value)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, tuple | list):
        return ", ".join(_text(each) or "" for each in value) or None
    return value.isoformat() if isinstance(value, date) else str(value)


def _percent(before: Any, after: Any) -> Decimal | None:
    if not isinstance(before, Decimal) or not isinstance(after, Decimal) or not before:
        return None
    return ((after - before) / abs(before) * 100).quantize(_HUNDREDTH, ROUND_HALF_UP)
