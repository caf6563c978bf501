"""Ladders: limits that rise, a price or a fee for each step, and nothing for a step that nobody reaches."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal

from headend.tariffs.check.finding import Finding, one_of
from headend.tariffs.format.components import Demand, Energy, Tier
from headend.tariffs.format.fields import Part

_ALL = None


@dataclass(frozen=True, slots=True)
class Steps:
    """What the ladder of a component is about.

    Parameters
    ----------
    where
        the component's key.
    seasons, periods
        names that a table of limits or prices can have.
    limited
        periods that can have limits of their own: none, where one step is reached for all of them.
    """

    where: str
    seasons: tuple[str, ...]
    periods: tuple[str, ...]
    limited: tuple[str, ...]


def tier_faults(component: Energy | Demand, steps: Steps) -> Iterator[Finding]:
    """What is wrong with the tiers of a component."""
    tables = list(_limit_faults(component, steps))
    yield from tables
    if not tables:
        yield from _order_faults(component, steps)
    for index, tier in enumerate(component.tiers):
        where = f"{steps.where}.tiers[{index}]"
        if component.method == "block":
            yield from _fee_faults(tier, where)
        elif tier.fee is not None:
            yield Finding(f"{where}.fee", str(tier.fee), f"a price, with method = {component.method!r}")
        elif tier.price is None:
            yield Finding(f"{where}.price", "nothing", "a price")
        else:
            yield from _price_faults(component, index, tier.price, steps)


def _limit_faults(component: Energy | Demand, steps: Steps) -> Iterator[Finding]:
    for index, tier in enumerate(component.tiers):
        where = f"{steps.where}.tiers[{index}].up_to"
        if index == len(component.tiers) - 1:
            if tier.up_to is not None:
                found = str(tier.up_to) if isinstance(tier.up_to, Decimal) else "a table"
                yield Finding(where, found, "no limit in the last tier")
        elif tier.up_to is None:
            yield Finding(where, "nothing", "a limit in every tier but the last")
        elif isinstance(tier.up_to, dict):
            yield from limit_table_faults(tier.up_to, where, steps.seasons, steps.limited)


def limit_table_faults(
    table: dict[str, Decimal], where: str, seasons: Collection[str], periods: Collection[str]
) -> Iterator[Finding]:
    """A table of limits is by season, and then has all of them, or by period, and then has any."""
    keys = table.keys()
    if not keys:
        yield Finding(where, "an empty table", "a limit, or a table by season or period")
    elif keys <= set(seasons) & set(periods):
        yield Finding(where, f"names of seasons and periods both: {', '.join(keys)}", "other names for the periods")
    elif keys <= set(seasons):
        for name in seasons:
            if name not in keys:
                yield Finding(f"{where}.{name}", "nothing", f"a limit for season {name!r}")
    else:
        # One known name tells which of the two was meant.
        meant = seasons if keys & set(seasons) and not keys & set(periods) else periods
        expected = one_of(meant if keys & set(meant) else (*seasons, *periods)) or "one limit for all"
        for name in table:
            if name not in meant:
                found = "a season among periods" if name in seasons else "an unknown name"
                yield Finding(f"{where}.{name}", found, expected)


def _order_faults(component: Energy | Demand, steps: Steps) -> Iterator[Finding]:
    """Limits that do not rise in some season and period, and tiers that no period reaches."""
    seen: set[str] = set()
    ups = [tier.up_to for tier in component.tiers[:-1]]
    tables = [up.keys() for up in ups if isinstance(up, dict)]
    seasons = steps.seasons if any(keys <= set(steps.seasons) for keys in tables) else (_ALL,)
    periods = steps.periods if any(not keys <= set(steps.seasons) for keys in tables) else (_ALL,)
    for season in seasons:
        for period in periods:
            reached, ended = Decimal(0), None
            for index, up in enumerate(ups):
                where = f"{steps.where}.tiers[{index}].up_to"
                limit: Decimal | None
                if isinstance(up, dict):
                    key = season if up.keys() <= set(steps.seasons) else period
                    limit, where = up.get(key or ""), f"{where}.{key}"
                else:
                    limit = up
                if limit is None:
                    ended = index if ended is None else ended
                elif ended is not None and isinstance(up, dict) and where not in seen:
                    seen.add(where)
                    yield Finding(where, str(limit), f"no limit: {period!r} has none in tiers[{ended}]")
                elif limit <= reached and where not in seen:
                    seen.add(where)
                    yield Finding(where, str(limit), f"more than {reached} of the tier before")
                reached = max(reached, limit or reached)
    for index in range(1, len(component.tiers)):
        if steps.periods and not any(_goes_on(component, index, name, steps) for name in steps.periods):
            yield Finding(
                f"{steps.where}.tiers[{index}]", "a tier that no period reaches", "a limit in the tier before"
            )
            return


def _goes_on(component: Energy | Demand, index: int, period: str, steps: Steps) -> bool:
    """Whether a period has a limit in every tier below."""
    ups = (tier.up_to for tier in component.tiers[:index])
    return all(not isinstance(up, dict) or up.keys() <= set(steps.seasons) or period in up for up in ups)


def _fee_faults(tier: Tier, where: str) -> Iterator[Finding]:
    if tier.price is not None:
        yield Finding(f"{where}.price", "a price", "a fee, with method = 'block'")
    elif tier.fee is None:
        yield Finding(f"{where}.fee", "nothing", "a fee a month, with method = 'block'")


def _price_faults(
    component: Energy | Demand, index: int, price: Decimal | dict[str, Decimal], steps: Steps
) -> Iterator[Finding]:
    where = f"{steps.where}.tiers[{index}].price"
    if isinstance(component, Energy):
        if isinstance(price, dict):
            needed = [name for name in steps.periods if _goes_on(component, index, name, steps)]
            yield from table_faults(price, where, steps.periods, needed)
        return
    # Demand has a peak for each period that its first tier names, and no other.
    first = component.tiers[0].price
    if isinstance(first, dict) != isinstance(price, dict):
        yield Finding(where, *(("one price", "a table") if isinstance(first, dict) else ("a table", "one price")))
    elif isinstance(price, dict):
        if not price:
            yield Finding(where, "an empty table", "a price, or a table by period")
        named = steps.periods if index == 0 or not isinstance(first, dict) else tuple(first)
        needed = [name for name in named if index and _goes_on(component, index, name, steps)]
        yield from table_faults(price, where, named, needed)


def table_faults(
    table: dict[str, Decimal], where: str, names: Collection[str], needed: Collection[str]
) -> Iterator[Finding]:
    """A table of prices by period has all that are needed, and none that is unknown."""
    for name in needed:
        if name not in table:
            yield Finding(f"{where}.{name}", "nothing", f"a price for period {name!r}")
    for name in table:
        if name not in names:
            yield Finding(f"{where}.{name}", "an unknown period", one_of(names))


def has_table(*values: object) -> bool:
    """Whether any of these is by period or season."""
    return any(isinstance(value, dict) for value in values)


def is_said(part: Part, key: str) -> bool:
    """Whether a key stands in the file with another value than the one it has without."""
    return bool(getattr(part, key) != type(part).model_fields[key].default)
