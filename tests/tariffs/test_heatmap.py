"""The grids of a heatmap against a walk through the year, quarter of an hour by quarter of an hour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from headend.tariffs import Tariff
from headend.tariffs.calendar import GAP
from headend.tariffs.heatmap import MIXED, Heatmap, first_prices, heatmap

from .make import energy, period, standing, tariff, tier

SEASONS = [
    {"name": "summer", "label": "Summer", "begins": ["06-15"]},
    {"name": "winter", "label": "Winter", "begins": ["10-01"]},
]
PERIODS = [
    period("event", event="cpp"),
    period("peak", seasons=["summer"], days=["weekday"], hours=["16:30-21:00"]),
    period("saturday", days=["saturday"], hours=["22:00-02:15"]),
    period("rest"),
]


def made(**head: object) -> Tariff:
    prices = {"event": "1.1", "peak": "0.4", "saturday": "0.2", "rest": "0.3"}
    return tariff(energy(tier(prices)), periods=PERIODS, seasons=SEASONS, **head)


def period_at(at: datetime) -> str:
    """Which period holds, as a person would say it."""
    if (6, 15) <= (at.month, at.day) < (10, 1) and at.weekday() < 5 and 16.5 <= at.hour + at.minute / 60 < 21:
        return "peak"
    if at.weekday() == 5 and (at.hour >= 22 or at.hour + at.minute / 60 < 2.25):
        return "saturday"
    return "rest"


def quarters() -> Iterator[datetime]:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    while at.year == 2024:
        yield at
        at += timedelta(minutes=15)


def walked(drawn: Heatmap, row_of: Callable[[datetime], str], names: list[str]) -> dict[tuple[str, str, int], object]:
    """The cell of each grid, row and hour: all periods that a walk through the year finds there."""
    days = {"Mon-Fri": range(5), "Sat": [5], "Sun": [6]}
    cells: dict[tuple[str, str, int], set[str]] = {}
    for at in quarters():
        (grid,) = (each.days for each in drawn.grids if at.weekday() in days[each.days])
        cells.setdefault((grid, row_of(at), at.hour), set()).add(period_at(at))
    return {key: names.index(*its) if len(its) == 1 else MIXED for key, its in cells.items()}


def drawn_cells(drawn: Heatmap) -> dict[tuple[str, str, int], object]:
    return {
        (grid.days, label, hour): int(grid.cells[row, hour])
        for grid in drawn.grids
        for row, label in enumerate(drawn.rows)
        for hour in range(24)
    }


def test_every_cell_is_what_a_walk_through_the_year_finds() -> None:
    def row_of(at: datetime) -> str:
        return f"{at:%b}" if at.month != 6 else "Jun 1-14" if at.day < 15 else "Jun 15-30"

    drawn = heatmap(made())
    assert [grid.days for grid in drawn.grids] == ["Mon-Fri", "Sat", "Sun"]
    assert drawn.rows[4:8] == ("May", "Jun 1-14", "Jun 15-30", "Jul")
    assert drawn_cells(drawn) == walked(drawn, row_of, [each["name"] for each in PERIODS])
    assert drawn.changes == (2 * 60 + 15, 16 * 60 + 30)
    assert drawn.holidays is None


def test_seasons_by_cycle_are_those_of_the_month_s_bill() -> None:
    drawn = heatmap(made(seasons_by="cycle"))
    assert len(drawn.rows) == 12
    june, july = drawn.grids[0].cells[5], drawn.grids[0].cells[6]
    assert june.tolist() == [3] * 24
    assert july.tolist() == [3] * 16 + [MIXED] + [1] * 4 + [3] * 3


def test_days_that_are_alike_share_a_grid() -> None:
    periods = [period("busy", days=["mon", "fri", "sunday"], hours=["08:00-12:00"]), period("rest")]
    drawn = heatmap(tariff(energy(tier("0.3")), periods=periods))
    assert [grid.days for grid in drawn.grids] == ["Mon, Fri", "Tue-Thu", "Sat", "Sun"]


def holidays_of(*periods: dict[str, object]) -> tuple[str | None, list[str]]:
    drawn = heatmap(tariff(energy(tier("0.3")), periods=[*periods, period("rest")], holidays={"country": "DE"}))
    return drawn.holidays, [grid.days for grid in drawn.grids]


def test_holidays_are_like_the_weekend_or_like_weekdays_or_have_a_grid() -> None:
    day = {"hours": ["08:00-20:00"]}
    usual = ["Mon-Fri", "Sat-Sun"]
    assert holidays_of(period("day", days=["weekday"], **day)) == ("as Sat-Sun", usual)
    assert holidays_of(period("day", days=["weekday"], on_holidays="as_weekday", **day)) == (
        "as the weekday they fall on",
        usual,
    )
    assert holidays_of(period("day", days=["holiday"], **day)) == (None, [*usual, "Holidays"])
    own = [period("day", days=["holiday"], **day), period("night", days=["sunday"], on_holidays="as_weekday")]
    assert holidays_of(*own) == (None, ["Mon-Fri", "Sat", "Sun", "Holidays on Mon-Sat", "Holidays on Sun"])


def test_another_schedule_has_its_own_hours() -> None:
    other = tariff(
        energy(tier("0.3"), schedule="night"),
        schedules={"night": [period("low", hours=["22:00-06:00"]), period("high")]},
    )
    assert heatmap(other, "night").grids[0].cells[0].tolist() == [0] * 6 + [1] * 16 + [0] * 2
    assert not (heatmap(other).grids[0].cells == GAP).any()


def test_first_prices_are_those_of_all_components_on_the_first_day() -> None:
    periods = [period("day", hours=["08:00-20:00"]), period("night")]
    both = tariff(
        energy(tier({"day": "0.20", "night": "0.10"}, "10"), tier("9"), tiers_per="day", factor="1.5"),
        energy(tier("0.02")),
        energy(tier("0.005"), credit=True),
        energy(tier("7"), valid_from="2020-02-01"),
        energy(tier("7"), measures="export"),
        {"kind": "dynamic", "label": "Market", "series": "spot", "add": {"day": "0.03", "night": "-0.04"}},
        standing("5", "day"),
        periods=periods,
    )
    assert first_prices(both) == [Decimal("0.345"), Decimal("0.125")]
    assert first_prices(tariff(energy(tier("0.07"), measures="export"))) == [Decimal("0.07")]
