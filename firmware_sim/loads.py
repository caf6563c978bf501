"""What is used in each hour: pure functions of (seeds, hours), whole Wh, dm³ or litre, for many meters at once.

Every model is vectorised and remembers nothing, so that an hour has one value whoever asks for it, and a register is
the plain sum of its hours. The shapes are plausible rather than fitted; two kinds replay real series.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from firmware_sim.clock import WallClock, standard_offset, wall_clock
from firmware_sim.noise import Chances, Hours
from firmware_sim.series import replay

Quantity = NDArray[np.int64]
Rate = NDArray[np.float64]

LATITUDE = np.radians(50.0)
GAS_WH = 10.4  # of a dm³ of natural gas, in a boiler
LEAKY = 0.02  # of homes and quarters
LEAK_DAYS = 91


def consumption(commodity: str, kind: str, chances: Chances, hours: Hours, zone: str) -> list[Quantity]:
    """What each channel of like meters counts in these hours.

    Parameters
    ----------
    commodity, kind
        as in the shipment file.
    chances
        the meters' own, m of them.
    hours
        UTC hours since 1970, shape (n,).
    zone
        IANA name; people get up and go to bed by its clock.

    Returns
    -------
    list
        one array of shape (m, n) a channel, in the order of the shipment file: import, then export where there is one
        [Wh]; gas [dm³]; water [litre]; heat [Wh]. Never negative.
    """
    if commodity == "electricity":
        return [whole(channel) for channel in ELECTRICITY[kind](chances, hours, zone)]
    return [whole({"gas": gas, "water": water, "heat": heat}[commodity](chances, hours, zone))]


def whole(rate: Rate) -> Quantity:
    """To whole units, never below zero."""
    return np.rint(np.maximum(rate, 0.0)).astype(np.int64)


def bump(hour: Rate, centre: float | Rate, width: float) -> Rate:
    """A bell over the time of day, 1 at `centre` [h], that goes round midnight."""
    away = (hour - centre + 12) % 24 - 12
    return np.exp(-((away / width) ** 2) / 2)


def household(chances: Chances, hours: Hours, zone: str) -> Rate:
    """Household import [Wh]: morning and evening peaks, late weekend mornings, a darker winter, noise, appliances."""
    clock = wall_clock(hours, zone)
    size = chances.between("size", 0.5, 1.5)
    morning = np.where(
        clock.weekend,
        bump(clock.hour, chances.between("weekend", 9, 11), 1.8),
        bump(clock.hour, chances.between("morning", 6, 8), 1.1),
    )
    evening = bump(clock.hour, chances.between("evening", 18, 20.5), 2.2)
    midday = np.where(clock.weekend, 0.5, 0.2) * bump(clock.hour, 13, 2.5)
    shape = 0.22 + 0.55 * morning + 1.05 * evening + midday
    noise = 0.55 + 0.9 * chances.uniform("noise", hours)
    awake = (clock.hour >= 7) & (clock.hour < 22)
    appliance = np.where(awake & (chances.uniform("appliance", hours) < 0.07), 1100.0, 0.0)
    return size * (480 * shape * (1 + 0.2 * clock.season) * noise + appliance)


def charging(chances: Chances, hours: Hours, zone: str) -> Rate:
    """An electric car's charger [Wh]: some nights, from late evening until the day's driving is paid back."""
    clock = wall_clock(hours, zone)
    since_noon = (clock.hour - 12) % 24
    night = clock.day - (clock.hour < 12)
    charger = np.where(chances.one("charger") < 0.4, 11000.0, 3680.0)
    begins = np.floor(9.5 + 3.5 * chances.uniform("plug", night))
    driven = 5000 + 19000 * chances.uniform("driven", night) ** 1.5
    charges = chances.uniform("charges", night) < chances.between("often", 0.35, 0.8)
    before = np.clip((since_noon - begins) * charger, 0.0, driven)
    after = np.clip((since_noon + 1 - begins) * charger, 0.0, driven)
    return np.where(charges, after - before, 0.0)


def sunshine(hours: Hours, zone: str) -> Rate:
    """Sine of the sun's elevation in mid-interval, 0 below the horizon; 50° north, the middle of the time zone.

    References
    ----------
    Cooper, P. I. (1969): declination = 23.45° sin(360° (284 + n) / 365).
    """
    day = hours / 24
    declination = np.radians(23.45) * np.sin(2 * np.pi * (day + 284) / 365.2425)
    hour_angle = 2 * np.pi * ((hours + 0.5 + standard_offset(zone) - 12) % 24) / 24
    sine = np.sin(LATITUDE) * np.sin(declination) + np.cos(LATITUDE) * np.cos(declination) * np.cos(hour_angle)
    return np.maximum(sine, 0.0)


def solar(chances: Chances, hours: Hours, zone: str) -> Rate:
    """What a roof generates [Wh]: the sun's height, less the clouds of the day and of the hour."""
    clock = wall_clock(hours, zone)
    clear = np.clip(0.62 - 0.25 * clock.season, 0, 1)
    day_sky = clear * (0.25 + 1.1 * chances.uniform("sky", clock.day))
    hour_sky = 0.75 + 0.5 * chances.uniform("cloud", hours)
    return chances.between("roof", 4000, 9500) * sunshine(hours, zone) ** 1.15 * np.minimum(day_sky * hour_sky, 1.0)


def commercial(chances: Chances, hours: Hours, zone: str) -> Rate:
    """A shop or office [Wh]: opening hours, half a Saturday, cooling in summer, a base load that never stops."""
    clock = wall_clock(hours, zone)
    saturday = (clock.day + 3) % 7 == 5
    share = np.where(clock.weekend, np.where(saturday, 0.45, 0.05), 1.0)
    opening = 1 / (1 + np.exp(-3 * (clock.hour - chances.between("opens", 7, 9))))
    closing = 1 / (1 + np.exp(3 * (clock.hour - chances.between("closes", 17, 20))))
    peak = chances.between("peak", 9000, 32000)
    cooling = 1 + 0.25 * np.maximum(-clock.season, 0) * bump(clock.hour, 15, 3)
    noise = 0.9 + 0.2 * chances.uniform("noise", hours)
    return peak * (0.16 + share * opening * closing * cooling) * noise


def temperature(clock: WallClock, chances: Chances) -> Rate:
    """Outdoor air [°C]: the season, the time of day, and a day's weather."""
    weather = 9 * (chances.uniform("weather", clock.day) - 0.5)
    return 10.0 - 9.5 * clock.season + 3.5 * np.cos(2 * np.pi * (clock.hour - 15) / 24) + weather


def heating(chances: Chances, clock: WallClock, hours: Hours) -> Rate:
    """Space heating [dm³ of gas]: in proportion to the degrees below 15 °C, with a night set-back."""
    cold = np.maximum(15.0 - temperature(clock, chances), 0.0)
    setback = np.where((clock.hour >= 6) & (clock.hour < 22), 1.0, 0.45)
    return chances.between("house", 9, 26) * cold * setback * (0.85 + 0.3 * chances.uniform("noise", hours))


def gas(chances: Chances, hours: Hours, zone: str) -> Rate:
    """Gas [dm³]: heating, and hot water by day; many summer hours are zero."""
    clock = wall_clock(hours, zone)
    washes = chances.uniform("hot water", hours) < 0.25 * (bump(clock.hour, 7, 1.2) + bump(clock.hour, 19.5, 1.8))
    return heating(chances, clock, hours) + np.where(washes, 40 + 240 * chances.uniform("bath", hours), 0.0)


def heat(chances: Chances, hours: Hours, zone: str) -> Rate:
    """District heat [Wh]: the same house by a heat exchanger, which also keeps a store of hot water warm."""
    clock = wall_clock(hours, zone)
    store = chances.between("store", 60, 180) * (0.5 + bump(clock.hour, 7, 1.5) + bump(clock.hour, 20, 2.0))
    return GAS_WH * heating(chances, clock, hours) + store


def water(chances: Chances, hours: Hours, zone: str) -> Rate:
    """Water [litre]: whether a tap runs at all in the hour, and how much; at night hardly ever, unless it leaks."""
    clock = wall_clock(hours, zone)
    day_use = 0.85 * bump(clock.hour, np.where(clock.weekend, 9.5, 7.2), 1.6) + 0.8 * bump(clock.hour, 19, 2.5)
    runs = chances.uniform("tap", hours) < np.clip(0.04 + day_use + 0.3 * bump(clock.hour, 13, 3.5), 0, 0.97)
    litres = chances.between("people", 8, 40) * (0.2 + 1.8 * chances.uniform("litres", hours) ** 2)
    return np.where(runs, litres, 0.0) + leak(chances, clock)


def leak(chances: Chances, clock: WallClock) -> Rate:
    """A cistern that does not close [litre], day and night: in some quarters, in some homes, until somebody sees it."""
    quarter, day = clock.day // LEAK_DAYS, clock.day % LEAK_DAYS
    leaks = chances.uniform("leaks", quarter) < LEAKY
    leaks &= day >= 60 * chances.uniform("leak begins", quarter)
    return np.where(leaks, chances.between("leak", 6, 30), 0.0)


def _household_only(chances: Chances, hours: Hours, zone: str) -> list[Rate]:
    return [household(chances, hours, zone)]


def _with_car(chances: Chances, hours: Hours, zone: str) -> list[Rate]:
    return [household(chances, hours, zone) + charging(chances, hours, zone)]


def _with_roof(chances: Chances, hours: Hours, zone: str) -> list[Rate]:
    """Import and export: what the roof gives is used at home first."""
    net = household(chances, hours, zone) - solar(chances, hours, zone)
    return [np.maximum(net, 0.0), np.maximum(-net, 0.0)]


def _replayed(name: str) -> Callable[[Chances, Hours, str], list[Rate]]:
    def rates(chances: Chances, hours: Hours, _zone: str) -> list[Rate]:
        return [np.tile(replay(name, hours).astype(np.float64), (len(chances), 1))]

    return rates


ELECTRICITY: dict[str, Callable[[Chances, Hours, str], list[Rate]]] = {
    "london_home": _replayed("london_home"),
    "cambridge_building": _replayed("cambridge_building"),
    "household": _household_only,
    "household_ev": _with_car,
    "household_solar": _with_roof,
    "commercial": lambda chances, hours, zone: [commercial(chances, hours, zone)],
}
