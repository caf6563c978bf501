"""A tariff's hours drawn in letters, and in colours where a terminal has them: green is cheap, red is dear."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from string import ascii_letters, ascii_uppercase, digits

from rich.console import Console
from rich.text import Text

from headend.tariffs import Tariff
from headend.tariffs.check.year import clock
from headend.tariffs.format.components import Dynamic, Energy
from headend.tariffs.format.times import Period
from headend.tariffs.heatmap import MIXED, Grid, Heatmap, first_prices, heatmap
from headend.tariffs.money import plain

_GREEN, _YELLOW, _RED = (102, 189, 99), (254, 224, 139), (244, 109, 67)
_MIXED = "*"
# One for each of the hundred periods that a schedule can have.
_LETTERS = ascii_uppercase + ascii_letters[:26] + digits + "αβγδεζηθικλμνξοπρστυφχψωΓΔΘΛΞΠΣΦΨΩ"
_HOURS = "0     6     12    18    "
_LABEL = 11
_APART = "   "
# So that it stays within 100 columns.
_ABREAST = 3


def draw_hours(tariff: Tariff, console: Console) -> None:
    """Draw each schedule that prices energy."""
    # A step that has a fee has no price per unit.
    using = [
        each
        for each in tariff.components
        if isinstance(each, Dynamic) or (isinstance(each, Energy) and each.method != "block")
    ]
    for name in dict.fromkeys(each.schedule for each in using):
        its = [each for each in using if each.schedule == name]
        its = [each for each in its if each.measures == "import"] or its
        periods = tariff.schedule(name)
        console.print()
        title = "Hours" if name is None else f"Hours of schedule {name}"
        console.print(Text(f"{title}: {', '.join(dict.fromkeys(each.label for each in its))}", style="bold"))
        prices = first_prices(tariff, name)
        letters, styles = _letters(periods), _styles(prices)
        if len(periods) > 1:
            for line in _drawn(heatmap(tariff, name), letters, styles):
                console.print(line, no_wrap=True, crop=False, overflow="ignore")
        series = ", ".join(dict.fromkeys(each.series for each in its if isinstance(each, Dynamic)))
        for line in _legend(tariff, periods, prices, letters, styles, series):
            console.print(line, no_wrap=True, crop=False, overflow="ignore")


def _letters(periods: Sequence[Period]) -> list[str]:
    """A letter for each period: its number, an initial or another letter of its label, if one is free."""
    taken: dict[str, None] = {}
    for period in periods:
        label = period.label.upper()
        wanted = [label[-1:], *(word[0] for word in label.split()), *label]
        free = (each for each in (*wanted[label[-1:] not in digits :], *_LETTERS) if each in _LETTERS)
        taken[next(each for each in free if each not in taken)] = None
    return list(taken)


def _styles(prices: Sequence[Decimal]) -> list[str]:
    """A colour for each price, by its rank, so that one that stands out leaves the others apart."""
    ranks = sorted(set(prices))
    return [_colour(ranks.index(price) / max(len(ranks) - 1, 1)) for price in prices]


def _colour(place: float) -> str:
    low, high = (_GREEN, _YELLOW) if place < 0.5 else (_YELLOW, _RED)
    share = 2 * place if place < 0.5 else 2 * place - 1
    mixed = (round(one + share * (other - one)) for one, other in zip(low, high, strict=True))
    return f"black on rgb({','.join(map(str, mixed))})"


def _drawn(drawn: Heatmap, letters: Sequence[str], styles: Sequence[str]) -> Iterator[Text]:
    for first in range(0, len(drawn.grids), _ABREAST):
        abreast = drawn.grids[first : first + _ABREAST]
        yield Text(" " * _LABEL + _APART.join(f"{grid.days:24.24}" for grid in abreast).rstrip())
        yield Text(" " * _LABEL + _APART.join(_HOURS for _ in abreast).rstrip(), style="dim")
        for row, label in enumerate(drawn.rows):
            line = Text(f"{label:{_LABEL}}")
            for at, grid in enumerate(abreast):
                line.append(_APART if at else "")
                _append_hours(line, grid, row, letters, styles)
            yield line
    if drawn.holidays is not None:
        yield Text(f"Holidays are {drawn.holidays}")
    if drawn.changes:
        yield Text(f"{_MIXED} changes within the hour, at {', '.join(map(clock, drawn.changes))}")


def _append_hours(line: Text, grid: Grid, row: int, letters: Sequence[str], styles: Sequence[str]) -> None:
    for code in grid.cells[row].tolist():
        if code == MIXED:
            line.append(_MIXED)
        else:
            line.append(letters[code], styles[code])


def _legend(
    tariff: Tariff,
    periods: Sequence[Period],
    prices: Sequence[Decimal],
    letters: Sequence[str],
    styles: Sequence[str],
    series: str,
) -> Iterator[Text]:
    width = max(len(period.label) for period in periods)
    amounts = [plain(price) for price in prices]
    decimals = max(len(amount.partition(".")[2]) for amount in amounts)
    for at, period in enumerate(periods):
        line = Text()
        if len(periods) > 1:
            line.append(letters[at], styles[at]).append(" ")
        line.append(f"{period.label:{width}}  {prices[at]:.{decimals}f} {tariff.currency} per {tariff.unit}")
        line.append(f" + {series}" if series else "")
        events = dict.fromkeys(when.event for when in period.alternatives if when.event is not None)
        line.append(f", while {' or '.join(events)} lasts" if events else "")
        yield line
