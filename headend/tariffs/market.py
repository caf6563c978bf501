"""Prices and events that are published day by day, beside the tariffs that refer to them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from headend.errors import CannotRate, PriceMissing
from headend.reads.days import moment
from headend.tariffs.arrays import Bools, Int64s
from headend.tariffs.money import EXACT, Integers, plain, unit_of_scale


@dataclass(frozen=True, slots=True, eq=False)
class PriceSeries:
    """Published prices, each from its begin to its end; rising in time, without overlap, gaps allowed.

    Parameters
    ----------
    currency, unit
        of a price: EUR per kWh.
    start_s, end_s
        UTC [s since 1970] (k,).
    prices
        in 10^-`scale` of the currency (k,).
    """

    name: str
    currency: str
    unit: str
    start_s: Int64s
    end_s: Int64s
    prices: Integers
    scale: int

    def at(self, begin_s: int, n: int, interval_s: int) -> Integers:
        """The price of each of `n` intervals (n,), in 10^-`scale`.

        Raises
        ------
        PriceMissing
            no price covers an interval.
        CannotRate
            the price changes within one.
        """
        begins = begin_s + interval_s * np.arange(n, dtype=np.int64)
        place = np.searchsorted(self.start_s, begins, side="right") - 1
        covered = (place >= 0) & (self.end_s[place] > begins) if len(self.end_s) else np.zeros(n, dtype=bool)
        if not covered.all():
            first = moment(int(begins[np.argmin(covered)]))
            missing = n - int(covered.sum())
            raise PriceMissing(
                f"price series {self.name} has no price for {missing} of {n} intervals, first {first:%Y-%m-%dT%H:%MZ}"
            )
        within = self.end_s[place] >= begins + interval_s
        if not within.all():
            first = moment(int(begins[np.argmin(within)]))
            raise CannotRate(
                f"a price of series {self.name} ends within the interval of {interval_s} s at {first:%Y-%m-%dT%H:%MZ}"
            )
        return np.asarray(self.prices[place])

    def digest(self, begin_s: int, end_s: int) -> str:
        """SHA-256 over prices in [begin_s, end_s): a line `start|end|price` each, in seconds since 1970."""
        chosen = np.flatnonzero((self.end_s > begin_s) & (self.start_s < end_s)).tolist()
        unit = unit_of_scale(self.scale)
        prices = (plain(EXACT.multiply(int(self.prices[at]), unit)) for at in chosen)
        rows = (f"{self.start_s[at]}|{self.end_s[at]}|{price}\n" for at, price in zip(chosen, prices, strict=True))
        return hashlib.sha256("".join(rows).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Events:
    """Times of one kind of event, such as critical peaks: [begin, end) in UTC [s since 1970], rising, apart."""

    name: str
    spans: tuple[tuple[int, int], ...] = ()

    def during(self, begin_s: int, n: int, interval_s: int) -> Bools:
        """Which of `n` intervals begin during one (n,)."""
        begins = begin_s + interval_s * np.arange(n, dtype=np.int64)
        starts = np.array([start for start, _ in self.spans], dtype=np.int64)
        ends = np.array([end for _, end in self.spans], dtype=np.int64)
        place = np.searchsorted(starts, begins, side="right") - 1
        return np.asarray((place >= 0) & (begins < ends[place])) if len(starts) else np.zeros(n, dtype=np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """All that is published: series of prices and lists of events, by name."""

    prices: Mapping[str, PriceSeries] = field(default_factory=dict)
    events: Mapping[str, Events] = field(default_factory=dict)

    def series(self, name: str) -> PriceSeries:
        """The series of that name; raises `PriceMissing`."""
        try:
            return self.prices[name]
        except KeyError:
            raise PriceMissing(f"there is no price series {name!r}") from None


#: Where nothing is published.
NO_MARKET = Market()
