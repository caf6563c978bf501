"""Gas by energy: counted m³ × conversion × calorific value = kWh [DVGW G 685: E = V × z × H].

A value holds from a local day on. The use of a stretch of days with one value is converted as a whole and rounded once,
half up to a whole Wh; its intervals are rounded along its running sum, so that they add up to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from headend.billing.metered import Metered, units
from headend.billing.ports import GasQualities, GasQuality
from headend.billing.statement import GasEnergy
from headend.errors import CannotRate
from headend.reads.days import midnight, seconds
from headend.tariffs import BillingWindow, Tariff
from headend.tariffs.money import EXACT, rescaled, scaled, times
from headend.tariffs.rating.use import LARGEST_READ

Int64s = NDArray[np.int64]


def is_by_energy(tariff: Tariff) -> bool:
    """Whether a tariff prices the energy of gas, not its volume."""
    return tariff.commodity == "gas" and tariff.unit == "kWh"


def by_energy(
    counted: Metered,
    areas: Sequence[str | None],
    qualities: GasQualities,
    window: BillingWindow,
    interval_s: int,
) -> tuple[Metered, list[tuple[GasEnergy, ...]]]:
    """Volumes [dm³] as energy [Wh], and how each usage point's came about.

    Parameters
    ----------
    counted
        use at usage points; the first interval begins with the window (m, n).
    areas
        gas area of each usage point (m,).

    Raises
    ------
    CannotRate
        a usage point has no gas area, its area has no value for a day, or a volume is absurd.
    """
    if counted.values.size and int(np.abs(counted.values).max()) > LARGEST_READ:
        raise CannotRate("a volume is larger than any meter counts")
    energy = np.empty_like(counted.values)
    shown: list[tuple[GasEnergy, ...]] = [()] * len(areas)
    for area in set(areas):
        rows = [row for row, its in enumerate(areas) if its == area]
        values: list[list[GasEnergy]] = [[] for _ in rows]
        for begin, until, quality in _stretches(area, qualities, window):
            columns = _columns(window, begin, until, interval_s)
            volume = counted.values[rows, columns]
            wh = _energy(volume, quality)
            energy[rows, columns] = wh
            last = until - timedelta(days=1)
            for said, dm3, total in zip(values, volume.sum(axis=1), wh.sum(axis=1), strict=True):
                said.append(
                    GasEnergy(begin, last, units(dm3), quality.conversion, quality.calorific_value, units(total))
                )
        for row, said in zip(rows, values, strict=True):
            shown[row] = tuple(said)
    return Metered(energy, counted.quality), shown


def _energy(dm3: Int64s, quality: GasQuality) -> Int64s:
    """Wh of each interval (m, n): dm³ × kWh/m³ are Wh."""
    factor, scale = scaled(EXACT.multiply(quality.conversion, quality.calorific_value))
    running = rescaled(times(dm3.cumsum(axis=1), factor), scale, 0)
    return np.diff(running, axis=1, prepend=0).astype(np.int64)


def _stretches(area: str | None, qualities: GasQualities, window: BillingWindow) -> list[tuple[date, date, GasQuality]]:
    """The window's days, cut where another value begins; raises `CannotRate`."""
    if area is None:
        raise CannotRate("its usage point is in no gas area, so nothing says what a m³ is worth")
    rising = qualities.get(area, ())
    before = [quality for quality in rising if quality.valid_from <= window.first]
    if not before:
        raise CannotRate(f"gas area {area} has no calorific value for {window.first}")
    later = [quality for quality in rising if window.first < quality.valid_from < window.end]
    edges = [window.first, *(quality.valid_from for quality in later), window.end]
    return [(*days, quality) for days, quality in zip(pairwise(edges), [before[-1], *later], strict=True)]


def _columns(window: BillingWindow, begin: date, until: date, interval_s: int) -> slice:
    start_s = seconds(window.start_utc)
    return slice(*((seconds(midnight(day, window.zone)) - start_s) // interval_s for day in (begin, until)))
