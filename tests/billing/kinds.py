"""Towns with a statement of every kind of tariff, for those who check statements."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

from headend.reads import Quality
from tests.billing.town import EXPORT, IMPORT, REACTIVE, Town

GAS = "7-0:3.0.0"
BEGIN = datetime(2026, 9, 30, 22, tzinfo=UTC)
TURNS = ["0.10", "-0.02"] * 372 + ["0.10"]
#: Something that is not the same every hour.
DAY = [200 + 37 * hour % 900 for hour in range(24)]


def at(day: int, hour: int) -> datetime:
    """A moment of October 2026, UTC."""
    return datetime(2026, 10, day, hour, tzinfo=UTC)


def _home(town: Town, tariff: str, *channels: str, **other: str) -> None:
    town.account("Ada", {"tariff": tariff}, **other)
    town.meter("E-1", "Ada", IMPORT, *channels)
    town.reads("E-1", DAY, first=date(2026, 7, 31))
    town.set("E-1", at(6, 15), quality=Quality.ESTIMATED_LINEAR, values=800)


def dynamic(town: Town) -> None:
    _home(town, "home-dynamic")
    town.prices("day-ahead", BEGIN, TURNS)


def critical_peak(town: Town) -> None:
    _home(town, "home-critical-peak")
    town.event("critical-peak", at(15, 15), at(15, 18))
    town.event("critical-peak", at(20, 15), at(20, 18))


def seasonal_tiers(town: Town) -> None:
    _home(town, "home-seasonal-tiers")


def capacity(town: Town) -> None:
    _home(town, "home-capacity")
    town.set("E-1", at(20, 6), values=6_000)


def business(town: Town) -> None:
    """With a ratchet that goes by a peak of August."""
    _home(town, "business-demand", REACTIVE, customer_class="commercial")
    town.reads("E-1", 400, channel=REACTIVE, first=date(2026, 7, 31))
    town.set("E-1", datetime(2026, 8, 12, 12, tzinfo=UTC), values=10_000)


def ratchet_by_period(town: Town) -> None:
    _home(town, "demand-by-period")
    town.set("E-1", datetime(2026, 9, 10, 23, tzinfo=UTC), values=9_000)


def net_metering(town: Town) -> None:
    """October takes from the bank what September left in it."""
    _home(town, "home-net-metering", EXPORT)
    town.reads("E-1", 900, channel=EXPORT, first=date(2026, 7, 31), last=date(2026, 9, 30))
    town.reads("E-1", 100, channel=EXPORT, first=date(2026, 10, 1))
    town.bill("2026-08")
    town.bill("2026-09")


def bank_over_versions(town: Town) -> None:
    """A bank of money, and a new tariff version in mid-month."""
    _home(town, "bank", EXPORT)
    town.reads("E-1", 4_000, channel=EXPORT, first=date(2026, 7, 31), last=date(2026, 9, 30))
    town.reads("E-1", 100, channel=EXPORT, first=date(2026, 10, 1))
    town.bill("2026-08")
    town.bill("2026-09")


def gas_by_energy(town: Town) -> None:
    rows = [
        {"area": "north", "from": since, "calorific_value": value, "conversion": "0.9627"}
        for since, value in ((date(2026, 9, 1), "11.243"), (date(2026, 10, 16), "11.300"))
    ]
    town.enrol(gas_quality=rows)
    town.account("Ada", {"tariff": "gas-energy", "commodity": "gas"}, gas_area="north")
    town.meter("G-1", "Ada", GAS, commodity="gas", gas_area="north")
    town.reads("G-1", DAY, channel=GAS)


def exchanged(town: Town) -> None:
    """The old meter says things after its removal, the new one has nothing before its installation."""
    town.account("Ada", {"tariff": "tiered"})
    town.meter("E-old", "Ada", IMPORT, removed=at(12, 10))
    town.meter("E-new", "Ada", IMPORT, installed=at(12, 10))
    town.reads("E-old", DAY)
    town.reads("E-new", DAY[::-1], first=date(2026, 10, 13))
    for hour in range(10, 24):
        town.set("E-new", at(12, hour), values=700, quality=Quality.VALIDATED)


def moved_in(town: Town) -> None:
    """From the 12th on, and gas beside electricity."""
    since = {"valid_from": "2026-10-12"}
    town.account("Ada", {"tariff": "changing", **since}, {"tariff": "gas", "commodity": "gas", **since})
    town.meter("E-1", "Ada", IMPORT)
    town.meter("G-1", "Ada", GAS, commodity="gas")
    town.reads("E-1", DAY)
    town.reads("G-1", DAY, channel=GAS)


def exempt(town: Town) -> None:
    _home(town, "exempt", REACTIVE, customer_class="commercial")
    town.reads("E-1", 400, channel=REACTIVE)


KINDS: dict[str, Callable[[Town], None]] = {
    each.__name__: each
    for each in (
        dynamic,
        critical_peak,
        seasonal_tiers,
        capacity,
        business,
        ratchet_by_period,
        net_metering,
        bank_over_versions,
        gas_by_energy,
        exchanged,
        moved_in,
        exempt,
    )
}
